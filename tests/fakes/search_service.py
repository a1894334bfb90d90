"""A real search service on loopback that misbehaves as it is told.

with SearchService() as service:
    service.does(status(500), answers("doc-1"))     # the first request fails, every later one is answered
    Http(kind="http", url=service.url)...
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the act that is due."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two packets, and the second would wait 40 ms for an answer
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = urlsplit(self.path)
        params = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, params, headers, json.loads(raw) if raw else None)
        try:
            self.server.service.act_for(asked)(self, asked)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def reply(self, code: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole answer."""
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


Act = Callable[[Handler, Asked], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    service: SearchService

    def process_request(self, request: Any, client_address: Any) -> None:
        self.service.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news here."""


class SearchService:
    """Answers `{"results": []}` until it is told otherwise; on any free port unless one is given."""

    def __init__(self, port: int = 0) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._acts: list[Act] = [answers()]
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.service = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/retrieve"

    def does(self, *acts: Act) -> None:
        """One act a request from now on; the last one stays."""
        with self._lock:
            self._acts = list(acts)

    def act_for(self, asked: Asked) -> Act:
        with self._lock:
            self.asked.append(asked)
            return self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def says(answer: Any, *, code: int = 200, headers: Mapping[str, str] | None = None) -> Act:
    """Any JSON."""
    body = json.dumps(answer).encode()
    return lambda handler, _: handler.reply(code, body, {"Content-Type": "application/json", **(headers or {})})


def answers(*doc_ids: str, score: float = 0.9) -> Act:
    """`{"results": [{"id", "score"}]}`, with falling scores."""
    return says({"results": [{"id": doc_id, "score": score - place / 10} for place, doc_id in enumerate(doc_ids)]})


def echoes() -> Act:
    """One document whose id is the query."""
    return lambda handler, asked: answers(asked.body["query"])(handler, asked)


def sends(body: bytes, *, code: int = 200, kind: str = "application/json") -> Act:
    """Any bytes."""
    return lambda handler, _: handler.reply(code, body, {"Content-Type": kind})


def html(code: int = 200) -> Act:
    """A page, as a proxy sends when the service behind it is gone."""
    return sends(b"<html><body>Sign in</body></html>", code=code, kind="text/html")


def status(code: int, said: str = "", *, headers: Mapping[str, str] | None = None) -> Act:
    """An error with a few words."""
    return lambda handler, _: handler.reply(code, said.encode(), {"Content-Type": "text/plain", **(headers or {})})


def redirect(to: str, code: int = 307) -> Act:
    """The way elsewhere."""
    return lambda handler, _: handler.reply(code, b"", {"Location": to})


def slowly(seconds: float, then: Act) -> Act:
    """``then``, late."""

    def act(handler: Handler, asked: Asked) -> None:
        handler.server.service.stopped.wait(seconds)
        then(handler, asked)

    return act


def hang() -> Act:
    """No answer at all, until the service stops."""

    def act(handler: Handler, _: Asked) -> None:
        handler.server.service.stopped.wait(30)
        handler.close_connection = True

    return act


def drip(every: float) -> Act:
    """An answer that comes a byte at a time and never ends."""

    def act(handler: Handler, _: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not handler.server.service.stopped.is_set():
            handler.wfile.write(b" ")
            time.sleep(every)

    return act


def reset() -> Act:
    """The connection is torn down in the middle."""

    def act(handler: Handler, _: Asked) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    return act


def huge(size: int) -> Act:
    """A list of that many bytes."""
    return sends(b"[" + b" " * size + b"]")
