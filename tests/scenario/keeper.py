"""A cache that keeps everything until it is purged, also that something is not there.

keeper.py PORT_FILE LOG ROOT    binds a free port of 127.0.0.1, writes its number into PORT_FILE, serves the files below ROOT as
                                /p/... until it is killed; each PURGE becomes a line of LOG: STATUS PATH

What stands in LOG.mode decides of a PURGE: 200 (also where there is none), another status, `lie`: 200, and nothing is forgotten,
or `hang`: no answer at all.
"""
import mimetypes
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

PORT, LOG, ROOT = sys.argv[1:4]
lock = threading.Lock()
kept = {}  # path as asked -> (status, body)
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".json": "application/json; charset=utf-8", ".svg": "image/svg+xml; charset=utf-8", ".csv": "text/csv",
         ".woff2": "font/woff2", ".zip": "application/zip"}


def mode():
    try:
        with open(LOG + ".mode") as f:
            return f.read().strip()
    except FileNotFoundError:
        return "200"


def fetch(path):
    name = unquote(urlsplit(path).path)[len("/p/"):]
    name = name + "index.html" if name == "" or name.endswith("/") else name
    try:
        with open(os.path.join(ROOT, name), "rb") as f:
            return 200, f.read()
    except OSError:
        return 404, b"not there"


class Keeper(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            if self.path not in kept:
                kept[self.path] = fetch(self.path)
            status, body = kept[self.path]
        end = os.path.splitext(urlsplit(self.path).path)[1] or ".html"
        self.answer(status, body, [("Content-Type", TYPES.get(end) or mimetypes.guess_type("x" + end)[0] or "text/plain")])

    def do_PURGE(self):
        now = mode()
        while now == "hang":
            time.sleep(0.05)
            now = mode()
        status = 200 if now == "lie" else int(now)
        with lock, open(LOG, "a") as f:
            f.write(f"{now} {self.path}\n")
            if now == "200":
                kept.pop(self.path, None)
        self.answer(status, b"", [("Retry-After", "1")] if status in (429, 503) else [])


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # whoever asked is gone


server = Server(("127.0.0.1", 0), Keeper)
with open(PORT + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(PORT + ".new", PORT)
server.serve_forever()
