#!/usr/bin/env python3
"""A backend that keeps nothing: who is logged in and how often they came, it is told by whichever gateway asks."""

import html
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

PAGE = """<!doctype html><meta name="viewport" content="width=device-width"><title>Two gateways</title>
<p>{user}, visit {visits}, by way of <b>{gateway}</b>.
<p><a href="https://localhost:8443/">the first gateway</a>, <a href="https://localhost:9443/">the second</a>
<form method="post" action="/login"><input name="name" required maxlength="64"><button>log in</button></form>
<form method="post" action="/logout"><button>log out everywhere</button></form>
"""


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        # http.server reads headers as Latin-1; they are UTF-8.
        user = self.headers.get("X-Session-User", "").encode("latin-1").decode() or "nobody"
        visits = json.loads(self.headers.get("X-Session-Data", "{}")).get("visits", 0) + 1
        page = PAGE.format(user=html.escape(user), visits=visits, gateway=html.escape(self.headers.get("Host", "")))
        self.answer(200, page, {"X-Session-Patch": json.dumps({"visits": visits})})

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        name = form.get("name", [""])[0].strip()
        if self.path == "/login" and 0 < len(name) <= 64 and name.isprintable():
            self.answer(303, "", {"Location": "/", "X-Session-User": name.encode().decode("latin-1")})
        elif self.path == "/logout":
            self.answer(303, "", {"Location": "/", "X-Session-End": "all"})
        else:
            self.answer(400, "a name, please\n", {})

    def answer(self, status, text, headers):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html; charset=utf-8", "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Backend)
    print(f"backend on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
