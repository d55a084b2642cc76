"""The page's server: for this machine, for this page, with bounds.

A page of another site can send requests to a server on the visitor's own machine; a browser then names that site in
the header Origin. Such requests are refused, and so is what is larger than images are.
"""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
NAMES = frozenset({HOST, "localhost"})
FIRST_PORT, PORTS = 7860, 100
LARGEST = 64 << 20
"""Bytes of a request: some dozens of photographs at once."""
PATIENCE = 120.0
"""Seconds that a busy machine is given to start the server."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)


class LocalOnly:
    """Refuses requests from other sites and too large ones; sends the content security policy with every answer."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST):
        self.app, self.largest = app, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (refusal := refused(headers, self.largest)) is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse(refusal[1], refusal[0])(scope, receive, send)
            return
        began, received = False, 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.largest:
                raise _TooLarge
            return message

        async def send_with_policy(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        try:
            await self.app(scope, counted, send_with_policy)
        except _TooLarge:
            if not began:
                await PlainTextResponse(_too_large(self.largest), 413)(scope, receive, send)


class _TooLarge(Exception):
    """More came than was announced, or than is taken."""


def refused(headers: Headers, largest: int = LARGEST) -> tuple[int, str] | None:
    """Return status and reason where a request is not to be answered; None where it is."""
    host = headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in NAMES:
        return 400, "This page is served to this machine only."
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return 403, "Requests from other sites are not answered."
    if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        return 403, "Requests from other sites are not answered."
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 15 or int(length) > largest:
        return 413, _too_large(largest)
    return None


def _too_large(largest: int) -> str:
    return f"Requests of at most {largest >> 20} MiB are taken: drop fewer or smaller images."


def listen(port: int | None) -> socket.socket:
    """Return a socket on the loopback interface.

    Args:
        port: None for the first free one from 7860 on.

    Raises:
        OSError: the port is taken, or all are.
    """
    candidates = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else (port,)
    for number in candidates:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, number))
            found.listen(128)
            return found
        except OSError as error:
            found.close()
            reason = error
    where = f"Port {port} is" if port is not None else f"The ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are"
    raise OSError(reason.errno, f"{where} taken or not allowed ({reason.strerror}): give another with --port")


def serve(app: ASGIApp, port: int | None, wait: bool = True) -> str:
    """Answer requests to `app`; return the address, where `wait` is false as soon as the server runs.

    Raises:
        OSError: the port is taken, or the server does not start.
    """
    place = listen(port)
    address = f"http://{HOST}:{place.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(LocalOnly(app), log_level="error", lifespan="on", timeout_keep_alive=5))
    print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
    if wait:
        server.run(sockets=[place])
        return address
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise OSError("The page's server did not start: see what it printed")
        time.sleep(0.02)
    return address
