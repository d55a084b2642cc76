"""HTTP server of the demonstration page: it serves this machine only and limits the size of requests.

A page of another site can send requests to a server on the visitor's own machine; a browser then names that site in
the header Origin. Such requests are refused, and so are requests larger than an image can be.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inference.demo.trial import Trial
from safeio.errors import UserError, WrongChoice

HOST = "127.0.0.1"
NAMES = frozenset({HOST, "localhost"})
FIRST_PORT, PORTS = 7860, 100
LARGEST = 64 << 20
"""Bytes of a request."""
LARGEST_TOPK = 20
PATIENCE = 60
"""Seconds that a browser may take to send the next part of a request."""
WEB = Path(__file__).parent / "web"
FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A refused request, with HTTP status and reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Handler of the page's requests: its files, the runs and examples, and predictions of an image."""

    protocol_version, timeout = "HTTP/1.1", PATIENCE
    server: PageServer

    def do_GET(self) -> None:
        """Answer with a file of the page, an example, or what there is to try."""
        self._answered(self._get)

    def do_POST(self) -> None:
        """Answer what is asked of an image."""
        self._answered(self._post)

    def log_message(self, *words: Any) -> None:
        """Say nothing: what goes wrong is in the answer."""

    def _answered(self, find: Any) -> None:
        try:
            self._check()
            status, kind, body = find()
        except Refused as refused:
            status, kind, body = refused.status, "text/plain", str(refused).encode()
            self.close_connection = True  # what was not read must not be taken for the next request
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _check(self) -> None:
        """Refuse other hosts' names, other sites, and what is too large."""
        host = self.headers.get("Host", "")
        if urlsplit(f"//{host}").hostname not in NAMES:
            raise Refused(400, "This page is served to this machine only.")
        origin = self.headers.get("Origin")
        site, mode = self.headers.get("Sec-Fetch-Site"), self.headers.get("Sec-Fetch-Mode")
        if (origin is not None and urlsplit(origin).netloc != host) or (site == "cross-site" and mode != "navigate"):
            raise Refused(403, "Requests from other sites are not answered.")
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            raise Refused(411, "Say how long the request is (Content-Length).")
        if not (length.isascii() and length.isdecimal()) or len(length) > 15 or int(length) > self.server.largest:
            raise Refused(
                413, f"Requests of at most {self.server.largest >> 20} MiB are taken: choose a smaller image."
            )

    def _get(self) -> tuple[int, str, bytes]:
        path, trial = urlsplit(self.path).path, self.server.trial
        if path in FILES:
            name, kind = FILES[path]
            return 200, kind, (WEB / name).read_bytes()
        if path == "/about":
            return _json(trial.about())
        if (number := re.fullmatch(r"/examples/(\d{1,4})", path, re.ASCII)) and (file := trial.example(int(number[1]))):
            return 200, "application/octet-stream", file
        raise Refused(404, "There is nothing here.")

    def _post(self) -> tuple[int, str, bytes]:
        trial, asked = self.server.trial, self._asked()
        image = asked["image"]
        try:
            if self.path == "/answers":
                names, topk = asked.get("names"), asked.get("topk")
                if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
                    raise Refused(400, "names is a list of class names.")
                if not (isinstance(topk, int) and 1 <= topk <= LARGEST_TOPK):
                    raise Refused(400, f"topk is from 1 to {LARGEST_TOPK}.")
                return _json({"answers": trial.answers(image, names, topk)})
            if self.path == "/attention":
                run = asked.get("run")
                if not (isinstance(run, int) and 0 <= run < len(trial.runs)):
                    raise Refused(400, "There is no such run.")
                return _json(trial.attention(image, run))
        except (UserError, ValueError) as error:
            return _json({"problem": str(error)})
        raise Refused(404, "There is nothing here.")

    def _asked(self) -> dict[str, Any]:
        """Return the request: JSON with an image in base64."""
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "Requests are JSON.")
        try:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            return {**asked, "image": base64.b64decode(asked["image"], validate=True)}
        except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
            raise Refused(400, f"This is no request of the page: {type(error).__name__}.") from error


def _json(content: Any) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps(content).encode()


class PageServer(ThreadingHTTPServer):
    """A server on the loopback interface.

    Args:
        port: None for the first free one from 7860 on; largest: bytes of a request.

    Raises:
        OSError: the port is taken, or all are. WrongChoice: there is no such port.
    """

    daemon_threads = True

    def __init__(self, trial: Trial, port: int | None, largest: int = LARGEST):
        self.trial, self.largest = trial, largest
        for number in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else (port,):
            try:
                super().__init__((HOST, number), Handler)
                return
            except OverflowError as error:
                raise WrongChoice(f"Port {port} does not exist: give one from 1 to 65535 with --port") from error
            except OSError as error:
                reason = error
        where = f"Port {port} is" if port is not None else f"The ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are"
        raise OSError(reason.errno, f"{where} taken or not allowed ({reason.strerror}): give another with --port")

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self.server_address[1]}"


def serve(trial: Trial, port: int | None) -> None:
    """Show the page until Ctrl-C."""
    with PageServer(trial, port) as server:
        print(f"The page is at {server.address} (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def serve_beside(trial: Trial, port: int | None = None, largest: int = LARGEST) -> PageServer:
    """Show the page in a thread; its `shutdown` ends it."""
    server = PageServer(trial, port, largest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
