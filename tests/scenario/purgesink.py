"""A cache that only takes purges: writes each PURGE as a line into a file.

purgesink.py PORT_FILE LOG    binds a free port of 127.0.0.1, writes its number into PORT_FILE, serves until it is killed

What stands in LOG.mode decides: 200 (also where there is none), any other status, or `hang`: no answer at all.
"""
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()


def mode():
    try:
        with open(sys.argv[2] + ".mode") as f:
            return f.read().strip()
    except FileNotFoundError:
        return "200"


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_PURGE(self):
        now = mode()
        while now == "hang":
            time.sleep(0.05)
            now = mode()
        with lock, open(sys.argv[2], "a") as f:
            f.write(f"{now} {self.headers.get('Host')} {self.path}\n")
        self.send_response(int(now))
        if now in ("429", "503"):
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
