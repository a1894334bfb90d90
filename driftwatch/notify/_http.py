"""One HTTP request to a receiver, and what went wrong with it in a sentence."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from driftwatch.errors import DeliveryError
from driftwatch.notify._text import clean
from driftwatch.schedule import show_duration

_READ_AT_MOST = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered."""

    status: int
    text: str
    """The beginning of the body of what was not a success, clean."""
    retry_after: float | None

    @property
    def taken(self) -> bool:
        """Only 2xx is a success."""
        return 200 <= self.status < 300


def request(
    url: str,
    *,
    receiver: str,
    timeout: timedelta,
    method: str = "POST",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask once, waiting ``timeout`` to connect and for each piece of the answer.

    Redirects are not followed, for a signature and a secret address are meant for one place only.

    Raises:
        DeliveryError: no answer. The message never holds the address, which may be a secret.
    """
    import httpx

    # httpx logs each address at INFO, and the address of a webhook is its password.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        with httpx.Client(timeout=timeout.total_seconds(), follow_redirects=False) as client:  # noqa: SIM117
            with client.stream(method, url, content=body, headers=dict(headers or {})) as response:
                text = "" if response.is_success else _beginning(response)
                return Answer(response.status_code, text, seconds(response.headers.get("retry-after")))
    except httpx.TimeoutException:
        raise DeliveryError(f"{receiver} did not answer within {show_duration(timeout)}.") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise DeliveryError(f"{receiver} could not be reached: {clean(str(error), 200)}.") from None


def _beginning(response: object) -> str:
    import httpx

    assert isinstance(response, httpx.Response)
    body = b""
    for piece in response.iter_bytes():
        body += piece
        if len(body) >= _READ_AT_MOST:
            break
    return clean(body[:_READ_AT_MOST].decode("utf-8", "replace"), 200)


def seconds(retry_after: str | None) -> float | None:
    """A Retry-After header in seconds; None when there is none, or none we can read.

    >>> seconds("30"), seconds("Wed, 21 Oct 2026 07:28:00 GMT"), seconds(None)
    (30.0, None, None)
    """
    try:
        wait = float(retry_after or "")
    except ValueError:
        return None
    return wait if 0 <= wait < float("inf") else None


def checked_url(url: str, setting: str) -> str:
    """``url`` if it is an http(s) address.

    Raises:
        ValueError: it is not; the address itself is not repeated.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError(f"'{setting}' is not an address. Write it like https://host/path.")
    return url
