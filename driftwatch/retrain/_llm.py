"""One request to a language model, by OpenAI's or Anthropic's protocol, and what came of it in a sentence."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import orjson

from driftwatch.errors import RetrainError
from driftwatch.retrain.settings import Generate
from driftwatch.schedule import show_duration

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 1 << 20
"""Of an answer; a longer one is not read to its end."""
_SHOWN = 160
_BUSY = frozenset({408, 409, 425, 429})
_NOT_THIS_ONE = frozenset({400, 413, 422})
_ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request."""

    state: Literal["answered", "busy", "refused"]
    """`busy`: come again. `refused`: this document, for what it is."""
    text: str = ""
    """What the model wrote; empty where it cannot be found in the answer."""
    usage: tuple[int, int] | None = None
    """Tokens sent and received; None: not told."""
    why: str = ""
    wait: float | None = None
    """Seconds after which to come again, where the endpoint says so."""
    free: bool = False
    """It certainly cost nothing."""


class Endpoint:
    """Where questions are asked. It follows no redirect, and the key is in no message and no log.

    Raises:
        RetrainError: (when made) the key is none that a request can carry.
    """

    def __init__(self, settings: Generate, transport: httpx.BaseTransport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._client: httpx.Client | None = None
        self._limit = "max_tokens"
        self._key = settings.key.get_secret_value().strip() if settings.key else ""
        if not self._key.isascii() or not self._key.isprintable() or " " in self._key:
            raise RetrainError("'generate: key' holds signs that no key has.", remedy="Copy it again, on one line.")
        self.name = settings.url.partition("//")[2].partition("/")[0]
        """What messages call it."""

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def ask(self, instruction: str, text: str, tokens: int) -> Reply:
        """Ask once, for an answer of at most so many tokens.

        Raises:
            RetrainError: the endpoint will not answer any request like this: the address, the key or the model.
        """
        reply = self._once(instruction, text, tokens)
        if reply.state == "refused" and self._limit == "max_tokens" and "max_completion_tokens" in reply.why:
            self._limit = "max_completion_tokens"  # what newer models of OpenAI call it; others know the old name only
            reply = self._once(instruction, text, tokens)
        return reply

    def _once(self, instruction: str, text: str, tokens: int) -> Reply:
        import httpx

        deadline = time.monotonic() + self._settings.timeout.total_seconds()
        try:
            with self._connected().stream(
                "POST",
                self._url(),
                content=orjson.dumps(self._body(instruction, text, tokens)),
                headers=self._headers(),
            ) as response:
                return self._read(response, _content(response, deadline))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Reply("busy", why=f"{self.name} could not be reached: {self._plain(str(error))}.", free=True)
        except (httpx.TimeoutException, TimeoutError):
            return Reply("busy", why=f"{self.name} did not answer within {show_duration(self._settings.timeout)}.")
        except httpx.InvalidURL as error:
            raise RetrainError(f"{self._settings.url}: {error}.", remedy="Check 'url' of 'generate'.") from None
        except (httpx.HTTPError, OSError) as error:
            return Reply("busy", why=f"{self.name} broke off: {self._plain(str(error))}.")

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx

            logging.getLogger("httpx").setLevel(logging.WARNING)  # one line a request, and there are thousands
            self._client = httpx.Client(
                timeout=self._settings.timeout.total_seconds(), follow_redirects=False, transport=self._transport
            )
        return self._client

    # --- the two protocols -----------------------------------------------------------------------------------------

    def _url(self) -> str:
        if self._settings.api == "openai":
            return f"{self._settings.url}/chat/completions"
        return f"{self._settings.url.removesuffix('/v1')}/v1/messages"

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._settings.api == "anthropic":
            headers["anthropic-version"] = _ANTHROPIC_VERSION
        if self._key:
            headers |= (
                {"Authorization": f"Bearer {self._key}"} if self._settings.api == "openai" else {"x-api-key": self._key}
            )
        return headers

    def _body(self, instruction: str, text: str, tokens: int) -> dict[str, Any]:
        asked = {"role": "user", "content": text}
        if self._settings.api == "openai":
            messages = [{"role": "system", "content": instruction}, asked]
            return {"model": self._settings.model, "messages": messages, self._limit: tokens}
        return {"model": self._settings.model, "system": instruction, "messages": [asked], "max_tokens": tokens}

    def _read(self, response: httpx.Response, content: bytes) -> Reply:
        status = response.status_code
        if status == 200:
            return self._answer(content)
        why = f"{self.name} answered {status}"
        if status in _BUSY or status >= 500:
            wait = _seconds(response.headers.get("retry-after"))
            return Reply("busy", why=f"{why}.", wait=wait, free=status == 429)
        if status in _NOT_THIS_ONE:
            return Reply("refused", why=f"{why}: {self._plain(_message(content))}", free=True)
        if status in (401, 403):  # what they say may repeat the key
            raise RetrainError(f"{why}: it does not take the key.", remedy="Set 'generate: key' right.")
        said = self._plain(_message(content))
        raise RetrainError(f"{why}: {said}", remedy="Check 'url', 'api' and 'model' of 'generate'.")

    def _answer(self, content: bytes) -> Reply:
        given = _parsed(content)
        names = ("prompt_tokens", "completion_tokens")
        if self._settings.api == "anthropic":
            names = ("input_tokens", "output_tokens")
        usage = [_at(given, "usage", name) for name in names]
        counted = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in usage)
        said = _at(given, "choices", 0, "message") if self._settings.api == "openai" else given
        text = _joined(_at(said, "content"))
        if not text and not counted:  # the page of a proxy, or another protocol
            return Reply("busy", why=f"{self.name} answered what is no answer of '{self._settings.api}'.")
        return Reply("answered", text, (usage[0], usage[1]) if counted else None)

    def _plain(self, text: str) -> str:
        """The beginning of what others wrote, on one line and without the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _content(response: httpx.Response, deadline: float) -> bytes:
    """The body, as far as it is read.

    Raises:
        TimeoutError: it comes in drops, and has not ended in time.
    """
    body = b""
    for piece in response.iter_raw():
        body += piece
        if len(body) > MOST_BYTES:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    return body


def _parsed(content: bytes) -> Any:
    """The JSON of a body; None where it is none."""
    try:
        return orjson.loads(content)
    except ValueError:
        pass
    try:  # some write halves of surrogate pairs, which the quick parser refuses
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _joined(content: Any) -> str:
    """The text of a message, which may come in parts, as characters that can be stored."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [_at(part, "text") for part in parts if _at(part, "type") == "text"]
    return "".join(text for text in texts if isinstance(text, str)).encode("utf-8", "replace").decode("utf-8")


def _at(value: Any, *path: str | int) -> Any:
    """What stands there; None where the answer has another shape."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _message(content: bytes) -> str:
    """What an error says: its ``message``, or the beginning of the body."""
    given = _parsed(content)
    said = _at(given, "error", "message") or _at(given, "message") or _at(given, "error")
    return said if isinstance(said, str) else content[:2000].decode("utf-8", "replace")


def _seconds(retry_after: str | None) -> float | None:
    try:
        wait = float(retry_after or "")
    except ValueError:
        return None
    return wait if 0 <= wait < float("inf") else None
