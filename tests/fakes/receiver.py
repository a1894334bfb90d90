"""What every receiver on loopback has: a socket, requests that are kept, and ways to go wrong when told to."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """How one request is answered."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    lose_reply: bool = False
    """The request is carried out and the connection closed without an answer."""


def json_answer(status: int, said: Any) -> Answer:
    return Answer(status, json.dumps(said).encode(), {"Content-Type": "application/json"})


LOST = Answer(0, lose_reply=True)


@dataclass(frozen=True)
class Request:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    content: bytes


class Loopback(ABC):
    """A server on a free port of 127.0.0.1; ``with`` starts and stops it, ``stop`` and ``start`` make an outage."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._faults: deque[Answer] = deque()
        self._outage: Answer | None = None
        self._closing = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @abstractmethod
    def carry_out(self, request: Request) -> Answer:
        """What the real one does with it."""

    def script(self, *answers: Answer) -> None:
        """The next requests go wrong in this way, in this order."""
        self._faults.extend(answers)

    def outage(self, answer: Answer | None) -> None:
        """Every request goes wrong in this way, until ``outage(None)``."""
        self._outage = answer

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                fake._handle(self)

            def do_GET(self) -> None:
                fake._handle(self)

            def do_OPTIONS(self) -> None:
                fake._handle(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, handler.path, headers, content)
        self.requests.append(request)
        fault = self._faults.popleft() if self._faults else self._outage
        answer = fault if fault is not None and not fault.lose_reply else self.carry_out(request)
        if fault is not None and fault.hang:
            self._closing.wait(fault.hang)
        if fault is not None and (fault.hang or fault.lose_reply):
            return
        handler.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.stop()
