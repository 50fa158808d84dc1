"""A server with the health paths of the real application, and every way to fail.

How it fails is said by APP_MODE: see the names of the methods below.
"""

import http.server
import os
import pathlib
import sys
import threading
import time
import urllib.request

import six  # noqa: F401  (what serving needs is installed, or this fails)

MODEL = pathlib.Path("models/lstm_model.keras").read_bytes()
STARTED = time.monotonic()
MODE = os.environ.get("APP_MODE", "healthy")
PORT = int(os.environ.get("APP_PORT", "7051"))
SLOW = float(os.environ.get("APP_SLOW", "0"))
asked = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        global asked
        asked += 1
        print(f"GET {self.path} token=hunter2-hunter2", flush=True)
        if MODE == "flapping" and asked > 2:
            print("going down", flush=True)
            os._exit(9)
        if MODE == "unhealthy" or time.monotonic() - STARTED < SLOW:
            self.answer(500, b"not yet")
        elif MODE == "script" and self.path == "/_stcore/script-health-check":
            self.answer(503, b"ModuleNotFoundError: No module named 'pandas'")
        elif MODE == "page":
            self.answer(200, b"<title>the page of every path</title>", "text/html")
        elif MODE == "moved" and self.path == "/_stcore/health":
            self.answer(307, b"", location="/healthz")
        elif self.path in ("/", "/_stcore/health", "/_stcore/script-health-check"):
            self.answer(200, b"ok")
        else:
            self.answer(404, b"not found")

    def answer(self, status: int, body: bytes, kind: str = "text/plain", location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    print(f"starting as {os.getuid()} with a model of {len(MODEL)} bytes", flush=True)
    pathlib.Path("/app/data/started").write_text("yes")
    if MODE == "untidy":
        pathlib.Path.home().joinpath("notes").write_text("where nothing stays")
    if MODE == "crash":
        sys.exit("error: cannot load the model")
    if MODE == "download":
        urllib.request.urlopen("http://192.0.2.7/weights.bin", timeout=5)
    if MODE == "silent":
        threading.Event().wait()
    address = "127.0.0.1" if MODE == "local" else "0.0.0.0"
    http.server.ThreadingHTTPServer((address, PORT), Handler).serve_forever()


if len(sys.argv) > 1 and sys.argv[1] == "score":
    golden = pathlib.Path(sys.argv[2]).read_text()
    print("scoring", golden)
    sys.exit(0 if golden == "golden\n" else 1)
main()
