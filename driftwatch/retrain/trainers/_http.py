"""One request and the beginning of its answer. No message holds an address: it may be a password."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from driftwatch.retrievers._exchange import retry_after, shown

TIMEOUT = 15.0
"""Seconds, for the whole answer."""
_MOST_BYTES = 1 << 20


class Unreached(Exception):
    """Nobody answered; says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content: bytes
    retry_after: float | None
    """Seconds."""

    @property
    def said(self) -> str:
        """For a person."""
        words = shown(self.content[:2000].decode("utf-8", "replace"))
        return f"it answered {self.status}" + (f": {words}" if words else "")


def ask(method: str, url: str, headers: Mapping[str, str], content: bytes = b"") -> Answer:
    """Ask once; redirects are not followed, for a signature is meant for one place only.

    Raises:
        Unreached: there was no answer, or it was too large or too slow.
    """
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs each address
    try:
        with (
            httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client,
            client.stream(method, url, headers=dict(headers), content=content) as response,
        ):
            wait = retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))
            return Answer(response.status_code, _read(response), wait)
    except httpx.TimeoutException:
        raise Unreached(f"it did not answer within {TIMEOUT:g}s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise Unreached(f"it could not be reached: {shown(str(error)) or type(error).__name__}") from None


def _read(response: object) -> bytes:
    import httpx

    assert isinstance(response, httpx.Response)
    content, deadline = b"", time.monotonic() + TIMEOUT
    for piece in response.iter_bytes():
        content += piece
        if len(content) > _MOST_BYTES or time.monotonic() > deadline:
            raise Unreached("its answer was too large or too slow")
    return content
