"""A service that says it is well: something to roll out. Yours takes its place."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path in ("/", "/healthz")
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(b"ok\n" if known else b"not found\n")


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
