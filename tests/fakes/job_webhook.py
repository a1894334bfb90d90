"""A place elsewhere that trains when it is asked to: a real HTTP server with a status, and a memory for keys.

with JobServer() as server:
    Webhook(url=server.url, status_url=server.status_url)
    server.finish(job)        # what the trainer there would do: the candidate and result.json in the folder
"""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from driftwatch.retrain.jobs import JobFolder
from tests.fakes.webhook import Received


@dataclass(frozen=True)
class Act:
    """How one request is answered; a job is begun by it all the same where ``begins``."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    begins: bool = True
    lose_reply: bool = False


class JobServer:
    """Begins a job for each new `Idempotency-Key`; answers 202 unless told otherwise."""

    def __init__(self) -> None:
        self.posts: list[Received] = []
        self.asked: list[Received] = []
        self.begun: list[str] = []
        """The key of every job that was begun, as often as it was."""
        self.known: set[str] = set()
        self.status: Any = None
        """What the status says; None: 404 for a job that was not begun, else `RUNNING`."""
        self.forgetful = False
        """Whether keys are not looked at, as by services that know no idempotency."""
        self._acts: deque[Act] = deque()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server._post(self)

            def do_GET(self) -> None:
                server._get(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def _base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self._base}/jobs?key=in-the-address"

    @property
    def status_url(self) -> str:
        return f"{self._base}/jobs/{{job_id}}"

    def does(self, *acts: Act) -> None:
        """The next requests for jobs are answered in this way, in this order."""
        self._acts.extend(acts)

    def finish(self, job: JobFolder, **changed: Any) -> None:
        """The trainer writes what it was asked for."""
        (job.path / "candidate").mkdir(exist_ok=True)
        (job.path / "candidate" / "model.safetensors").write_bytes(b"weights")
        result = {"version": 1, "job_id": job.job_id, "outcome": "done", "candidate": "candidate"} | changed
        (job.path / "result.json").write_text(json.dumps(result))

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        act = self._acts.popleft() if self._acts else Act()
        received = self._received(request, act.status)
        self.posts.append(received)
        key = received.headers["idempotency-key"]
        if act.begins and (self.forgetful or key not in self.known):
            self.known.add(key)
            self.begun.append(key)
        if not act.lose_reply:
            self._answer(request, act.status, act.body, act.headers)

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        key = request.path.rpartition("/")[2]
        status = 404 if self.status is None and key not in self.known else 200
        self.asked.append(self._received(request, status))
        body = (
            self.status if isinstance(self.status, bytes) else json.dumps({"status": self.status or "RUNNING"}).encode()
        )
        self._answer(request, status, b"no such job" if status == 404 else body, {})

    @staticmethod
    def _received(request: BaseHTTPRequestHandler, status: int) -> Received:
        content = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Received(request.command, headers, content, status)

    @staticmethod
    def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def __enter__(self) -> JobServer:
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
