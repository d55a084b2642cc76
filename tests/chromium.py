"""A Chromium, if there is one, driven over its debugging pipe: no package besides the browser is needed."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-extensions", "--use-mock-keychain", "--remote-debugging-pipe"),
)
PATIENCE = 60
"""Seconds for one answer: a busy machine is slow."""


def find():
    """The browser that CHROMIUM names, else one on the path, else None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab."""

    def __init__(self, folder):
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()

        def as_chromium_expects():  # it reads from descriptor 3 and writes to 4
            high = [os.dup(to_read), os.dup(to_write)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [find(), *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            close_fds=False,
            preexec_fn=as_chromium_expects,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._left, self._numbers, self._events = b"", itertools.count(1), []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """A command of the DevTools protocol and its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self):
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            assert ready, f"{find()} says nothing for {PATIENCE} s"
            part = os.read(self._from, 1 << 20)
            assert part, f"{find()} ended"
            self._left += part
        message, self._left = self._left.split(b"\0", 1)
        return json.loads(message)

    def open(self, path, width=1100, dark=False, height=900):
        """Show a file, or an address of this machine, in a window of this width; waits until it is loaded."""
        home = path.as_uri() if isinstance(path, Path) else path
        self._own = ("file:",) if isinstance(path, Path) else (home, "data:", "blob:")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        self.call("Page.navigate", url=home)
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._events.append(self._next())
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script):
        """The value of a script."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition):
        """Look again until a script's value is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < deadline, f"after {PATIENCE} s it does not hold that {condition}"
            time.sleep(0.1)

    def wait_for_text(self, text):
        """Until the page says so."""
        self.wait_for(f"document.body.innerText.includes({json.dumps(text)})")

    def choose_files(self, selector, files):
        """Put files into a field for them."""
        field = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")["result"]
        self.call("DOM.setFileInputFiles", objectId=field["objectId"], files=list(map(str, files)))

    def write(self, selector, text):
        """Replace the text of a field, as typing it would."""
        self.run(
            f"(() => {{ const field = document.querySelector({json.dumps(selector)}); field.value = {json.dumps(text)};"
            "field.dispatchEvent(new Event('input', { bubbles: true })) })()"
        )

    def screenshot(self, selector=None):
        """PNG of the window, or of an element."""
        options = {}
        if selector:
            box = self.run(
                f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect();"
                "return { x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height } })()"
            )
            options = {"clip": {**box, "scale": 1}, "captureBeyondViewport": True}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **options)["data"])

    def pdf(self):
        """Return the console output of the page."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])

    def complaints(self, console=True):
        """Exceptions, policy violations, requests to elsewhere, and what was written to the console as an error."""
        self.run("0")  # what happened before this answer has arrived
        found = []
        for event in self._events:
            name, params = event.get("method"), event.get("params", {})
            if name == "Runtime.exceptionThrown" or (name == "Log.entryAdded" and params["entry"]["level"] == "error"):
                found.append(json.dumps(params))
            if console and name == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(params["args"]))
            if name == "Network.requestWillBeSent" and not params["request"]["url"].startswith(self._own):
                found.append(params["request"]["url"])
        return found

    def close(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._to)
        os.close(self._from)
