"""A language model on loopback that speaks OpenAI's chat completions and Anthropic's messages, over real HTTP.

It checks what the real ones check, counts tokens and what they cost, and can be scripted to go wrong as they do.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

KEY = "sk-test-do-not-tell-0123456789"
OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"

_MARKED = re.compile(r"<document ([0-9a-f]{16})>\n(.*)\n</document \1>", re.DOTALL)


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong."""

    status: int = 200
    body: bytes = b""
    retry_after: str | None = None
    hang: float = 0.0
    drip: float = 0.0
    """Seconds between the bytes of the answer."""
    lose_reply: bool = False
    """The request is carried out, and paid, and the connection closed without an answer."""
    location: str = ""


def rate_limited(retry_after: str | None = None) -> Fault:
    return Fault(429, _error("Rate limit reached"), retry_after)


def overloaded(status: int = 500) -> Fault:
    return Fault(status, _error("Overloaded"))


def refused(status: int, message: str) -> Fault:
    return Fault(status, _error(message))


def says(text: str) -> Callable[[str], str]:
    """The model writes this, whatever it is asked."""
    return lambda _: text


@dataclass
class FakeLLM:
    """``with FakeLLM() as llm: Generate(url=llm.openai, key=KEY, ...)``; by default it writes sensible questions."""

    key: str = KEY
    """Empty: it wants none."""
    writes: Callable[[str], str] | None = None
    """Text of a document -> what the model writes."""
    usage: bool = True
    """Whether it tells the tokens."""
    new_names: bool = False
    """Only ``max_completion_tokens`` is known, as with OpenAI's newer models."""
    hidden: int = 0
    """Tokens that it adds to each request and counts, such as a prompt of its own."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies, those that went wrong among them."""
    documents: list[str] = field(default_factory=list)
    """The texts of documents that were answered."""
    tokens: list[tuple[int, int]] = field(default_factory=list)
    """Sent and received, of each request that was carried out."""

    def __post_init__(self) -> None:
        self._faults: deque[Fault] = deque()
        self._outage: Fault | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    # --- for tests ---------------------------------------------------------------------------------------------------

    def script(self, *faults: Fault) -> None:
        """The next requests go wrong in this order."""
        self._faults.extend(faults)

    def outage(self, fault: Fault | None) -> None:
        """Every request goes wrong like this, until ``outage(None)``."""
        self._outage = fault

    def cost(self, input_price: float, output_price: float) -> float:
        """What the bill will say, for prices of a million tokens."""
        return sum(sent * input_price + received * output_price for sent, received in self.tokens) / 1e6

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai(self) -> str:
        return f"{self.address}/v1"

    @property
    def anthropic(self) -> str:
        return self.address

    def __enter__(self) -> FakeLLM:
        llm = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                llm._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    # --- HTTP --------------------------------------------------------------------------------------------------------

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self.requests.append(body)
            fault = self._faults.popleft() if self._faults else self._outage
        if fault is not None and fault.hang:
            self._closing.wait(fault.hang)
            return
        if fault is not None and fault.status != 200:
            self._send(request, fault.status, fault.body, fault)
            return
        with self._lock:
            status, answer = self._carry_out(request, body)
        if fault is None or not fault.lose_reply:
            self._send(request, status, (fault.body if fault else b"") or answer, fault or Fault())

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, fault: Fault) -> None:
        try:
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(body)))
            if fault.retry_after is not None:
                request.send_header("Retry-After", fault.retry_after)
            if fault.location:
                request.send_header("Location", fault.location)
            request.end_headers()
            for piece in [body] if not fault.drip else [bytes([each]) for each in body]:
                request.wfile.write(piece)
                request.wfile.flush()
                if fault.drip and self._closing.wait(fault.drip):
                    return
        except (BrokenPipeError, ConnectionResetError):
            pass

    # --- the protocols -----------------------------------------------------------------------------------------------

    def _carry_out(self, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> tuple[int, bytes]:
        if request.path == OPENAI:
            given = request.headers.get("Authorization")
            if given != (f"Bearer {self.key}" if self.key else None):
                return 401, _error(f"Incorrect API key provided: {given}")
            return self._openai(body)
        if request.path == ANTHROPIC:
            given = request.headers.get("x-api-key")
            if given != (self.key or None):
                return 401, _error(f"invalid x-api-key: {given}")
            if not request.headers.get("anthropic-version"):
                return 400, _error("anthropic-version: header is required")
            return self._anthropic(body)
        return 404, _error(f"there is no {request.path}")

    def _openai(self, body: dict[str, Any]) -> tuple[int, bytes]:
        if unknown := set(body) - {"model", "messages", "max_tokens", "max_completion_tokens"}:
            return 400, _error(f"Unrecognized request argument supplied: {unknown}")
        if self.new_names and "max_tokens" in body:
            return 400, _error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead."
            )
        roles = [message["role"] for message in body["messages"]]
        if roles != ["system", "user"]:
            return 400, _error(f"roles {roles}")
        most = body.get("max_tokens") or body["max_completion_tokens"]
        sent = self.hidden + sum(_tokens(message["content"]) for message in body["messages"])
        text, received = self._write(body["messages"][1]["content"], most)
        self.tokens.append((sent, received))
        answer: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        }
        if self.usage:
            answer["usage"] = {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
        return 200, json.dumps(answer).encode()

    def _anthropic(self, body: dict[str, Any]) -> tuple[int, bytes]:
        if unknown := set(body) - {"model", "system", "messages", "max_tokens"}:
            return 400, _error(f"{unknown}: Extra inputs are not permitted")
        if "max_tokens" not in body or [message["role"] for message in body["messages"]] != ["user"]:
            return 400, _error("max_tokens: Field required")
        sent = self.hidden + _tokens(body["system"]) + _tokens(body["messages"][0]["content"])
        text, received = self._write(body["messages"][0]["content"], body["max_tokens"])
        self.tokens.append((sent, received))
        answer: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
        }
        if self.usage:
            answer["usage"] = {"input_tokens": sent, "output_tokens": received}
        return 200, json.dumps(answer).encode()

    def _write(self, message: str, most: int) -> tuple[str, int]:
        marked = _MARKED.fullmatch(message)
        assert marked, "the document does not stand between its marks"
        assert marked[1] not in marked[2], "the document holds its own mark"
        self.documents.append(marked[2])
        text = (self.writes or questions_of)(marked[2])
        return text, min(_tokens(text), most)


def questions_of(document: str) -> str:
    """Three questions made of the document's own words."""
    words = document.split()
    return json.dumps(
        [f"what is {words[0]}", f"who knows about {' '.join(words[:3])}", f"tell me where {' '.join(words[-3:])} is"]
    )


def _tokens(text: str) -> int:
    """Every sign is as many tokens as it has bytes: dearer than any real tokenizer."""
    return len(text.encode("utf-8", "surrogatepass"))


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error"}}).encode()
