"""A tiny store: what tools/new-plugin's sample speaks to. Objects live in memory.

webstore.py FILE    binds a free port of 127.0.0.1, writes its number into FILE, serves until it is killed
"""
import hashlib
import json
import os
import sys
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "token-of-the-test"
objects = {}  # key -> (tag, body, headers)
lock = threading.Lock()
writes = 0
KEPT = ("content-type", "content-encoding", "cache-control")


class Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status, code):
        self.answer(status, json.dumps({"error": {"code": code, "message": "no"}}).encode())

    def key(self):
        return unquote(urlsplit(self.path).path)[len("/site/"):]

    def is_allowed(self):
        if self.headers.get("authorization") == "Bearer " + TOKEN:
            return True
        self.fail(403, "Forbidden")
        return False

    def is_met(self, there):
        """The conditions of a request, against what is there."""
        want = self.headers.get("if-match")
        if want is not None and (there is None or there[0] != want):
            self.fail(412, "Changed")
            return False
        if self.headers.get("if-none-match") == "*" and there is not None:
            self.fail(412, "Exists")
            return False
        return True

    def page(self):
        q = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        prefix, after, most = q["prefix"][0], q.get("after", [""])[0], int(q["max"][0])
        with lock:
            keys = sorted(k for k in objects if k.startswith(prefix) and k > after)
            rows = [{"key": k, "etag": objects[k][0], "size": len(objects[k][1]), "modified": "2026-01-01T00:00:00Z",
                     "meta": {n[7:]: v for n, v in objects[k][2].items() if n.startswith("x-meta-")}}
                    for k in keys[:most]]
        page = {"objects": rows}
        if len(keys) > most:
            page["next"] = rows[-1]["key"]
        self.answer(200, json.dumps(page).encode(), [("Content-Type", "application/json")])

    def do_GET(self):
        if not self.is_allowed():
            return
        if self.key() == "":
            self.page()
            return
        with lock:
            there = objects.get(self.key())
        if there is None:
            self.fail(404, "NotFound")
            return
        tag, body, headers = there
        if self.headers.get("if-none-match") == tag:
            self.answer(304)
            return
        if not self.is_met(there):
            return
        more = [("ETag", tag), ("Last-Modified", formatdate(usegmt=True))] + list(headers.items())
        wanted = self.headers.get("range")
        if wanted is None or self.command == "HEAD":
            self.answer(200, body, more)
            return
        first, last = wanted.removeprefix("bytes=").split("-")
        part = body[int(first):int(last) + 1 if last else None]
        more.append(("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"))
        self.answer(206, part, more)

    do_HEAD = do_GET

    def do_PUT(self):
        global writes
        body = self.rfile.read(int(self.headers["content-length"]))
        if not self.is_allowed():
            return
        if hashlib.sha256(body).hexdigest() != self.headers.get("x-sha256"):
            self.fail(400, "BadDigest")
            return
        kept = {n.lower(): v for n, v in self.headers.items() if n.lower() in KEPT or n.lower().startswith("x-meta-")}
        with lock:
            if not self.is_met(objects.get(self.key())):
                return
            writes += 1
            tag = f'"{writes}"'
            objects[self.key()] = (tag, body, kept)
        self.answer(201, b"", [("ETag", tag)])

    def do_DELETE(self):
        if not self.is_allowed():
            return
        with lock:
            there = objects.get(self.key())
            if there is None:
                self.fail(404, "NotFound")
                return
            if not self.is_met(there):
                return
            del objects[self.key()]
        self.answer(204)


server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
