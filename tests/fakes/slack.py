"""A Slack on loopback: the calls of the Web API that driftwatch makes, over real HTTP, with Slack's own limits.

What is posted is kept and can be asserted on; any call can be scripted to go wrong as the real one does.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ALL_SCOPES = frozenset({"chat:write", "channels:history", "channels:read", "files:write"})
TOKEN = "xoxb-fake-token"
CHANNEL_ID, CHANNEL_NAME = "C0QUALITY99", "assistant-quality"
WEBHOOK_PATH = "/services/T0/B0/secret-of-the-webhook"


@dataclass(frozen=True)
class Fault:
    """How one call goes wrong."""

    error: str = ""
    status: int = 200
    retry_after: float | None = None
    hang: float = 0.0
    lose_reply: bool = False
    """The call is carried out and the connection closed without an answer."""
    body: bytes | None = None


def rate_limited(seconds: float) -> Fault:
    return Fault("ratelimited", status=429, retry_after=seconds)


def server_error(status: int = 500) -> Fault:
    return Fault(status=status, body=b"<html>upstream connect error</html>")


def says(error: str) -> Fault:
    return Fault(error)


def hangs(seconds: float = 30.0) -> Fault:
    return Fault(hang=seconds)


def reply_lost() -> Fault:
    return Fault(lose_reply=True)


@dataclass
class File:
    """One upload; ``content`` is what arrived at the address that was handed out for it."""

    file_id: str
    name: str
    length: int
    alt: str
    content: bytes | None = None
    title: str = ""
    complete: bool = False


@dataclass
class Posted:
    """One message."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any]
    thread_ts: str | None = None
    edits: int = 0
    via: str = "token"
    files: list[File] = field(default_factory=list)

    @property
    def key(self) -> str:
        return str(self.metadata.get("event_payload", {}).get("key", ""))

    @property
    def said(self) -> str:
        """Every text of the blocks, one a line."""
        return "\n".join(texts_of(self.blocks))


@dataclass
class FakeSlack:
    """``with FakeSlack() as slack: Slack(base_url=slack.base_url, token=TOKEN, channel=...)``."""

    scopes: frozenset[str] = ALL_SCOPES
    token: str = TOKEN
    messages: list[Posted] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)
    takes_in: int = 0
    """How many messages that show pictures are refused, as Slack does until it has taken the pictures in."""

    def __post_init__(self) -> None:
        self._faults: dict[str, deque[Fault | None]] = defaultdict(deque)
        self._outage: Fault | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._clock = itertools.count(1)
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    # --- for tests ---------------------------------------------------------------------------------------------------

    def script(self, method: str, *faults: Fault | None) -> None:
        """The next calls of ``method`` (``chat.postMessage``, …) go wrong in this order; at None one goes well."""
        self._faults[method].extend(faults)

    def outage(self, fault: Fault | None) -> None:
        """Every call goes wrong like this, until ``outage(None)``."""
        self._outage = fault

    @property
    def is_out(self) -> bool:
        return self._outage is not None

    def heads(self) -> list[Posted]:
        return [message for message in self.messages if message.thread_ts is None]

    def thread(self, ts: str) -> list[Posted]:
        return [message for message in self.messages if message.thread_ts == ts]

    def delete(self, ts: str) -> None:
        self.messages = [message for message in self.messages if message.ts != ts]

    def called(self, method: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.calls if name == method]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/"

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self._port}{WEBHOOK_PATH}"

    def start(self) -> None:
        """Listen; after a ``stop`` on the same port."""
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                slack._answer(self)

            def do_GET(self) -> None:
                slack._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._closing.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more."""
        assert self._server is not None
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> FakeSlack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closing.is_set():
            self.stop()

    # --- HTTP --------------------------------------------------------------------------------------------------------

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        arguments = dict(parse_qsl(path.query))
        if "json" in (request.headers.get("Content-Type") or "") and body:
            arguments |= json.loads(body)
        elif not path.path.startswith("/upload/"):
            arguments |= dict(parse_qsl(body.decode()))
        method = "webhook" if path.path.startswith("/services/") else path.path.removeprefix("/api/")
        if path.path.startswith("/upload/"):
            method, arguments = "upload", {"id": path.path.removeprefix("/upload/"), "content": body}
        with self._lock:
            self.calls.append((method, arguments))
            fault = self._faults[method].popleft() if self._faults[method] else self._outage
        if fault is not None and fault.hang:
            self._closing.wait(fault.hang)
            return
        if fault is not None and not fault.lose_reply:
            self._fail(request, fault)
            return
        with self._lock:
            status, answer = self._carry_out(method, path.path, arguments, request)
        if fault is None:
            self._send(request, status, answer)

    def _fail(self, request: BaseHTTPRequestHandler, fault: Fault) -> None:
        body = fault.body if fault.body is not None else json.dumps({"ok": False, "error": fault.error}).encode()
        headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after is not None else {}
        self._send(request, fault.status, body, headers)

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        try:
            request.send_response(status)
            for name, value in (
                {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
            ).items():
                request.send_header(name, value)
            request.send_header("X-OAuth-Scopes", ",".join(sorted(self.scopes)))
            request.end_headers()
            request.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _carry_out(
        self, method: str, path: str, arguments: dict[str, Any], request: BaseHTTPRequestHandler
    ) -> tuple[int, bytes]:
        if method == "webhook":
            return self._webhook(path, arguments)
        if method == "upload":
            return self._receive(arguments)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return 200, _no("invalid_auth")
        handler = getattr(self, "_" + re.sub(r"\W", "_", method), None)
        return 200, handler(arguments) if handler else _no("unknown_method")

    # --- the methods -------------------------------------------------------------------------------------------------

    def _auth_test(self, _: dict[str, Any]) -> bytes:
        return _yes(user="driftwatch", team="Acme", user_id="U0DRIFT", bot_id="B0DRIFT")

    def _chat_postMessage(self, given: dict[str, Any]) -> bytes:
        if "chat:write" not in self.scopes:
            return _no("missing_scope", needed="chat:write")
        if given.get("channel") not in (CHANNEL_ID, CHANNEL_NAME, f"#{CHANNEL_NAME}"):
            return _no("channel_not_found")
        if (wrong := wrong_with(given)) is not None:
            return _no(wrong)
        parent = given.get("thread_ts")
        if parent is not None and not any(message.ts == parent for message in self.messages):
            return _no("thread_not_found")
        if (wrong := self._wrong_pictures(given)) is not None:
            return _no(wrong)
        posted = self._keep(given, parent, "token")
        return _yes(channel=CHANNEL_ID, ts=posted.ts)

    def _chat_update(self, given: dict[str, Any]) -> bytes:
        if given.get("channel") != CHANNEL_ID:
            return _no("channel_not_found")
        if (wrong := wrong_with(given)) is not None:
            return _no(wrong)
        for message in self.messages:
            if message.ts == given.get("ts"):
                message.text, message.blocks = given["text"], given["blocks"]
                message.metadata = given.get("metadata") or message.metadata
                message.edits += 1
                return _yes(channel=CHANNEL_ID, ts=message.ts)
        return _no("message_not_found")

    def _conversations_list(self, _: dict[str, Any]) -> bytes:
        if "channels:read" not in self.scopes:
            return _no("missing_scope", needed="channels:read")
        return _yes(channels=[{"id": "C0GENERAL99", "name": "general"}, {"id": CHANNEL_ID, "name": CHANNEL_NAME}])

    def _conversations_history(self, given: dict[str, Any]) -> bytes:
        return self._listed(given, [message for message in self.messages if message.thread_ts is None][::-1])

    def _conversations_replies(self, given: dict[str, Any]) -> bytes:
        parent = given.get("ts")
        if not any(message.ts == parent for message in self.messages):
            return _no("thread_not_found")
        return self._listed(given, [message for message in self.messages if parent in (message.ts, message.thread_ts)])

    def _listed(self, given: dict[str, Any], messages: list[Posted]) -> bytes:
        if "channels:history" not in self.scopes:
            return _no("missing_scope", needed="channels:history")
        if given.get("channel") != CHANNEL_ID:
            return _no("channel_not_found")
        oldest, limit, start = (
            float(given.get("oldest", 0)),
            int(given.get("limit", 100)),
            int(given.get("cursor") or 0),
        )
        found = [message for message in messages if float(message.ts) > oldest]
        page, more = found[start : start + limit], len(found) > start + limit
        with_metadata = given.get("include_all_metadata") in (True, "1", "true", "True")
        shown = [
            {"ts": message.ts, "text": message.text}
            | ({"metadata": message.metadata} if with_metadata else {})
            | ({"files": [{"id": each.file_id, "name": each.name} for each in message.files]} if message.files else {})
            for message in page
        ]
        return _yes(
            messages=shown, has_more=more, response_metadata={"next_cursor": str(start + limit) if more else ""}
        )

    # --- files -------------------------------------------------------------------------------------------------------

    def _files_getUploadURLExternal(self, given: dict[str, Any]) -> bytes:
        if "files:write" not in self.scopes:
            return _no("missing_scope", needed="files:write")
        if not given.get("filename") or int(given.get("length") or 0) < 1 or len(given.get("alt_txt") or "") > 1000:
            return _no("invalid_arguments")
        file_id = f"F{next(self._clock):08d}"
        self.files[file_id] = File(file_id, given["filename"], int(given["length"]), given.get("alt_txt") or "")
        return _yes(upload_url=f"http://127.0.0.1:{self._port}/upload/{file_id}", file_id=file_id)

    def _receive(self, given: dict[str, Any]) -> tuple[int, bytes]:
        file = self.files.get(given["id"])
        if file is None or len(given["content"]) != file.length:
            return 400, b"bad upload"
        file.content = given["content"]
        return 200, f"OK - {file.length}".encode()

    def _files_completeUploadExternal(self, given: dict[str, Any]) -> bytes:
        wanted = json.loads(given["files"])
        if not wanted or any(
            self.files.get(each["id"]) is None or not self.files[each["id"]].content for each in wanted
        ):
            return _no("file_not_found")
        if given.get("channel_id") not in (None, CHANNEL_ID):
            return _no("channel_not_found")
        done = [self.files[each["id"]] for each in wanted]
        for file, each in zip(done, wanted, strict=True):
            file.title, file.complete = each.get("title", ""), True
        if given.get("channel_id"):
            shared = self._keep({"text": "", "blocks": []}, given.get("thread_ts"), "file")
            shared.files = done
        return _yes(files=[{"id": file.file_id, "title": file.title} for file in done])

    def _wrong_pictures(self, given: dict[str, Any]) -> str | None:
        shown = [block["slack_file"]["id"] for block in given.get("blocks") or [] if block["type"] == "image"]
        if any(each not in self.files or not self.files[each].complete for each in shown):
            return "invalid_blocks"
        if shown and self.takes_in > 0:
            self.takes_in -= 1
            return "invalid_blocks"
        return None

    def _webhook(self, path: str, given: dict[str, Any]) -> tuple[int, bytes]:
        if path != WEBHOOK_PATH:
            return 404, b"no_service"
        if not given.get("text") and not given.get("blocks"):
            return 400, b"no_text"
        if (wrong := wrong_with(given)) is not None:
            return 400, wrong.encode()
        self._keep(given, None, "webhook")
        return 200, b"ok"

    def _keep(self, given: dict[str, Any], parent: str | None, via: str) -> Posted:
        ts = f"{int(time.time())}.{next(self._clock):06d}"
        posted = Posted(CHANNEL_ID, ts, given["text"], given["blocks"], given.get("metadata") or {}, parent, via=via)
        self.messages.append(posted)
        return posted


def _yes(**more: Any) -> bytes:
    return json.dumps({"ok": True} | more).encode()


def _no(error: str, **more: Any) -> bytes:
    return json.dumps({"ok": False, "error": error} | more).encode()


# --- Slack's limits --------------------------------------------------------------------------------------------------

TEXT_LIMITS = {"header": 150, "section": 3000, "field": 2000, "context": 3000}
TOTAL_LIMIT = 13_200
"""Undocumented; beyond it Slack answers msg_blocks_too_long."""


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def wrong_with(given: dict[str, Any]) -> str | None:
    """The error code that Slack would answer to a message, None when it takes it."""
    text, blocks = given.get("text") or "", given.get("blocks") or []
    if not text and not blocks:
        return "no_text"
    if units(text) > 40_000:
        return "msg_too_long"
    try:
        if len(blocks) > 50:
            raise ValueError
        for block in blocks:
            BLOCKS[block["type"]](block)
    except (KeyError, TypeError, ValueError):
        return "invalid_blocks"
    if sum(units(each) for each in texts_of(blocks)) > TOTAL_LIMIT:
        return "msg_blocks_too_long"
    if len(json.dumps(given.get("metadata") or {})) > 8000:
        return "metadata_too_large"
    return None


def texts_of(node: Any) -> list[str]:
    """Every string under a key ``text`` or ``url``."""
    if isinstance(node, list):
        return [text for each in node for text in texts_of(each)]
    if not isinstance(node, dict):
        return []
    own = [value for name, value in node.items() if name in ("text", "url") and isinstance(value, str)]
    return own + [text for value in node.values() if not isinstance(value, str) for text in texts_of(value)]


def _need(true: bool) -> None:
    if not true:
        raise ValueError


def _text_object(node: dict[str, Any], limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> None:
    _need(node["type"] in kinds)
    _need(1 <= units(node["text"]) <= limit)
    _need("emoji" not in node or node["type"] == "plain_text")
    node["text"].encode("utf-8")
    _need(set(node) <= {"type", "text", "emoji", "verbatim"})


def _header(block: dict[str, Any]) -> None:
    _text_object(block["text"], TEXT_LIMITS["header"], ("plain_text",))


def _section(block: dict[str, Any]) -> None:
    _need("text" in block or "fields" in block)
    if "text" in block:
        _text_object(block["text"], TEXT_LIMITS["section"])
    if "fields" in block:
        _need(1 <= len(block["fields"]) <= 10)
        for each in block["fields"]:
            _text_object(each, TEXT_LIMITS["field"])


def _context(block: dict[str, Any]) -> None:
    _need(1 <= len(block["elements"]) <= 10)
    for each in block["elements"]:
        _text_object(each, TEXT_LIMITS["context"])


def _rich_text(block: dict[str, Any]) -> None:
    _need(bool(block["elements"]))
    for each in block["elements"]:
        if each["type"] == "rich_text_list":
            _need(each["style"] in ("bullet", "ordered") and bool(each["elements"]))
            for item in each["elements"]:
                _rich_section(item)
        else:
            _rich_section(each)


def _rich_section(section: dict[str, Any]) -> None:
    _need(section["type"] == "rich_text_section" and bool(section["elements"]))
    for each in section["elements"]:
        _need(each["type"] in ("text", "link"))
        _need(set(each) <= {"type", "text", "style", "url"})
        _need(bool(each["text"]))
        each["text"].encode("utf-8")
        _need(all(name in ("bold", "italic", "strike", "code") for name in each.get("style", {})))


def _image(block: dict[str, Any]) -> None:
    _need(set(block) <= {"type", "slack_file", "image_url", "alt_text", "title", "block_id"})
    _need(("slack_file" in block) != ("image_url" in block))
    _need(1 <= units(block["alt_text"]) <= 2000)
    if "title" in block:
        _text_object(block["title"], 2000, ("plain_text",))


def _divider(block: dict[str, Any]) -> None:
    _need(set(block) == {"type"})


def _actions(block: dict[str, Any]) -> None:
    _need(1 <= len(block["elements"]) <= 25)
    for each in block["elements"]:
        _need(each["type"] == "button" and 1 <= units(each["action_id"]) <= 255)
        _text_object(each["text"], 75, ("plain_text",))
        _need(units(each.get("value", "")) <= 2000)
        _need(each.get("style", "primary") in ("primary", "danger"))
        if "confirm" in each:
            for name, limit in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
                _text_object(each["confirm"][name], limit)
            _need(each["confirm"].get("style", "primary") in ("primary", "danger"))
    _need(len({each["action_id"] for each in block["elements"]}) == len(block["elements"]))


BLOCKS = {
    "header": _header,
    "section": _section,
    "context": _context,
    "rich_text": _rich_text,
    "divider": _divider,
    "image": _image,
    "actions": _actions,
}
