"""A receiver of webhooks on loopback: keeps what it was sent, checks signatures, goes wrong when told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How one request is answered."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: float = 0.0
    lose_reply: bool = False


@dataclass(frozen=True)
class Received:
    """One request that arrived, taken or not."""

    method: str
    headers: dict[str, str]
    """Names in lower case."""
    content: bytes
    status: int

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def signed_with(self, secret: str) -> bool:
        """Whether the Standard Webhooks signature is right, computed here from scratch."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.content
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers.get("webhook-signature", "").split(" ")


@dataclass
class FakeWebhook:
    """``with FakeWebhook() as hook: Webhook(url=hook.url)``; answers 204 unless scripted."""

    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._outage: Answer | None = None
        self._closing = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook._handle(self)

            def do_OPTIONS(self) -> None:
                hook._handle(self)

            def do_GET(self) -> None:
                hook._handle(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook?secret=in-the-address"

    def script(self, *answers: Answer) -> None:
        """The next requests are answered in this way, in this order."""
        self._answers.extend(answers)

    def outage(self, answer: Answer | None) -> None:
        """Every request is answered in this way, until ``outage(None)``."""
        self._outage = answer

    @property
    def is_out(self) -> bool:
        return self._outage is not None

    def taken(self) -> list[Received]:
        return [each for each in self.received if 200 <= each.status < 300]

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        answer = self._answers.popleft() if self._answers else self._outage or Answer()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.command, headers, content, 0 if answer.hang else answer.status))
        if answer.hang:
            self._closing.wait(answer.hang)
        if answer.hang or answer.lose_reply:
            return
        request.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(answer.body)

    def __enter__(self) -> FakeWebhook:
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
