"""Load a page in a headless Chromium, wait until it is drawn, and take a picture of it.

usage: page.py URL SECONDS PICTURE

PICTURE becomes a PNG in base64.

Drawn means: the document was answered below 400 and loaded, there is text, it has not changed
for a moment, and a Streamlit script has ended without showing an exception. Nothing outside of
the page's own host can be reached. Prints one JSON object.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import IO, Any
from urllib.parse import urlsplit

# What is looked at, in the page. Streamlit's names are those of its own tests.
LOOK = """(() => {
  const text = document.body ? document.body.innerText : '';
  const app = document.querySelector('[data-testid="stApp"]');
  const state = app ? app.getAttribute('data-test-script-state') : '';
  const broken = [...document.querySelectorAll('[data-testid="stException"]')].map(e => e.innerText).join('; ');
  const waiting = document.querySelectorAll('[data-testid="stSkeleton"], [data-testid="stAppSkeleton"]').length;
  const busy = document.readyState !== 'complete' || waiting > 0 || (app !== null && state !== 'notRunning');
  const noscript = app === null && !!document.querySelector('#root:empty');
  return JSON.stringify({title: document.title, text: text.slice(0, 2000), length: text.length, streamlit: app !== null,
    broken: broken.slice(0, 2000), busy: busy || noscript});
})()"""


class Browser:
    """Chromium, spoken to over two pipes: one JSON message after the other, ended by a zero."""

    def __init__(self, host: str, log: IO[bytes]) -> None:
        command_read, self.commands = os.pipe()
        self.answers, answer_write = os.pipe()

        def pipes() -> None:  # the browser expects them at 3 and 4
            a, b = os.dup(command_read), os.dup(answer_write)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [
                "chromium",
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
                "--mute-audio",
                "--window-size=1280,900",
                f"--user-data-dir={tempfile.mkdtemp()}",
                "--remote-debugging-pipe",
                f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {host}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
            preexec_fn=pipes,
            close_fds=False,
        )
        os.close(command_read)
        os.close(answer_write)
        self.number, self.buffer, self.session = 0, b"", ""
        self.status: int | None = None
        self.error = ""

    def call(self, method: str, **params: object) -> Any:
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]
            self.note(answer)

    def note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if (
            event.get("method") == "Network.responseReceived"
            and params.get("type") == "Document"
            and self.status is None
        ):
            self.status = params["response"]["status"]
        if event.get("method") == "Runtime.exceptionThrown" and not self.error:
            details = params.get("exceptionDetails", {})
            self.error = str(details.get("exception", {}).get("description") or details.get("text", ""))[:500]

    def read(self) -> Any:
        while b"\0" not in self.buffer:
            more = os.read(self.answers, 1 << 16)
            if not more:
                raise RuntimeError("the browser ended")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)


def load(url: str, seconds: float, picture: str, log: IO[bytes]) -> dict[str, Any]:
    browser = Browser(urlsplit(url).hostname or "", log)
    try:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            browser.call(f"{domain}.enable")
        started = time.monotonic()
        failed = browser.call("Page.navigate", url=url).get("errorText", "")
        seen, last, since, drawn = {}, None, started, False
        while not failed and time.monotonic() - started < seconds:
            seen = json.loads(browser.call("Runtime.evaluate", expression=LOOK)["result"]["value"])
            now = time.monotonic()
            if seen["text"] != last:
                last, since = seen["text"], now
            if seen["text"].strip() and not seen["busy"] and now - since >= 0.4:
                drawn = True
                break
            time.sleep(0.1)
        shot = browser.call("Page.captureScreenshot", format="png")
        with open(picture, "w", encoding="ascii") as f:
            f.write(shot["data"])
        return {
            "drawn": drawn,
            "seconds": since - started,
            "failed": failed,
            "status": browser.status,
            "error": browser.error,
            **seen,
        }
    finally:
        browser.process.kill()
        browser.process.wait()


def main() -> None:
    url, seconds, picture = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryFile() as log:
        try:
            found = load(url, seconds, picture, log)
        except (OSError, RuntimeError, ValueError) as error:
            log.seek(0)
            found = {"browser": f"{error}: {log.read()[-1000:].decode(errors='replace')}"}
            open(picture, "ab").close()
    json.dump(found, sys.stdout)


main()
