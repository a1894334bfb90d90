"""One request and its answer over HTTP, and what can go wrong between them, in words."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

if TYPE_CHECKING:
    import httpx

_BUSY = {429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0
"""Seconds; a service that asks for more is not waited for."""


class Trouble(Exception):
    """A request that brought no answer.

    ``again``: asking once more may help, after ``wait`` seconds if the service named them. ``unreachable``: nothing
    answered at all, so that other queries would fare no better.
    """

    def __init__(
        self, words: str, *, again: bool = False, wait: float | None = None, unreachable: bool = False
    ) -> None:
        self.again = again
        self.wait = wait
        self.unreachable = unreachable
        super().__init__(words)


@dataclass
class Streak:
    """Failures in a row over all threads of one search: a dead service costs seconds, not minutes."""

    limit: int
    failures: int = 0
    unreachable: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, trouble: Trouble | None) -> None:
        """Note how one query ended."""
        with self._lock:
            self.failures = self.failures + 1 if trouble else 0
            self.unreachable = self.unreachable + 1 if trouble and trouble.unreachable else 0

    @property
    def is_hopeless(self) -> bool:
        """Nothing answers: do not ask the rest."""
        return self.unreachable >= self.limit

    @property
    def is_failing(self) -> bool:
        """Everything fails: ask the rest once, without retries."""
        return self.failures >= self.limit


def exchange(client: httpx.Client, request: httpx.Request, *, timeout: float, max_body: int) -> Any:
    """Send one request and return the JSON of its answer. ``timeout`` is in seconds and covers the whole body.

    Raises:
        Trouble: there was no answer, or it was no JSON.
    """
    import httpx

    late = Trouble(f"timed out after {timeout:g}s", unreachable=True)
    try:
        response = client.send(request, stream=True)
        try:
            body = _read(response, time.monotonic() + timeout, max_body, late)
        finally:
            response.close()
    except httpx.TimeoutException:
        raise late from None
    except httpx.ConnectError as error:
        raise _no_connection(request, str(error)) from None
    except httpx.TransportError as error:
        words = f"the connection broke before the answer was complete ({type(error).__name__}: {shown(str(error))})"
        raise Trouble(words, again=True, unreachable=True) from None
    except UnicodeError:  # what becomes of `search..internal`
        raise Trouble(f"the host name '{request.url.host}' cannot be resolved", unreachable=True) from None
    except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed by another thread
        raise Trouble(f"the answer could not be read: {shown(str(error))}") from None
    return _parsed(response, body)


def _read(response: httpx.Response, deadline: float, max_body: int, late: Trouble) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > max_body:
            raise Trouble(f"the answer is larger than {max_body / 1e6:g} MB. Ask for less, or raise 'max_body'")
        if time.monotonic() > deadline:
            raise late
    return b"".join(chunks)


def _no_connection(request: httpx.Request, words: str) -> Trouble:
    origin = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
    if "refused" in words:
        return Trouble(f"connection refused at {origin}", again=True, unreachable=True)
    if any(hint in words for hint in ("Name or service", "nodename", "name resolution", "getaddrinfo")):
        return Trouble(f"the host name '{request.url.host}' cannot be resolved", again=True, unreachable=True)
    return Trouble(f"cannot connect to {origin}: {shown(words)}", again="CERTIFICATE" not in words, unreachable=True)


def _parsed(response: httpx.Response, body: bytes) -> Any:
    status = response.status_code
    if 300 <= status < 400:
        raise Trouble(f"answered with a redirect ({status}) to {_place(response)}. Set 'url' to where it should go")
    text = body[:4000].decode("utf-8", "replace")
    is_html = text.lstrip().startswith("<") or "html" in response.headers.get("content-type", "")
    if status >= 400:
        raise _refusal(response, f"HTML that starts '{start(text)}'" if is_html else shown(text))
    if not body.strip():
        raise Trouble(f"answered nothing at all (status {status})")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        what = "HTML instead of JSON" if is_html else "what is not JSON"
        raise Trouble(f"answered {what} (status {status}, starts '{start(text)}')") from None


def _refusal(response: httpx.Response, said: str) -> Trouble:
    status = response.status_code
    words = f"status {status}: {said}" if said else f"status {status}"
    if status in (401, 403):
        words += ". Check 'token' or 'auth'"
    wait = retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))
    if wait is not None and wait > _LONGEST_WAIT:
        return Trouble(f"{words} (asks to be left alone for {wait:.0f}s)")
    return Trouble(words, again=status in _BUSY, wait=wait)


def retry_after(header: str, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, as a number or a date; None when it says nothing."""
    if re.fullmatch(r"[0-9]+", header.strip()):
        return float(header.strip()[:9])
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _place(response: httpx.Response) -> str:
    """Where a redirect leads, without its query string, which may hold what somebody asked."""
    try:
        target = urlsplit(response.headers.get("location", ""))
        port = f":{target.port}" if target.port else ""
    except ValueError:
        return "what is no address"
    host = f"{target.scheme}://{target.hostname}{port}" if target.netloc else ""
    return shown(host + target.path) or "nowhere"


def without(secrets: Iterable[str], words: str) -> str:
    """What a service said without the secrets that it repeats, also where one was cut off by ``shown``."""
    for secret in filter(None, secrets):
        words = words.replace(secret, "***")
        for length in range(len(secret) - 1, 3, -1):
            words = words.replace(f"{secret[:length]}…", "***…")
    return words


def start(text: str) -> str:
    """The first tag or word of a body."""
    first = re.match(r"\s*(<[^>]{0,40}>|\S{1,40})", text)
    return shown(first[1]) if first else ""


def shown(text: str, most: int = 160) -> str:
    """Foreign text on one line, printable, and short."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
