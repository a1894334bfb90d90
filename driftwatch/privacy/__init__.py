"""What leaves the machine, and what is kept: personal data taken out of texts, or texts replaced by a keyed hash.

``redact`` finds what has a shape: addresses, numbers, keys. It knows nothing of names, so a redacted text is not an
anonymous one. Every pattern is linear: a run of characters is matched once, from its first character, and never given
back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from functools import cache
from typing import Literal

from driftwatch.privacy._addresses import without_addresses
from driftwatch.privacy._numbers import without_ibans, without_numbers
from driftwatch.privacy._secrets import without_secrets

KeepText = Literal["full", "redacted", "hash"]

SHORTEST_KEY = 16
"""Bytes of a key of the text hashes, at least."""

_WORTH_A_LOOK = re.compile(r"[\d@＠:：=]|bearer|basic|token", re.IGNORECASE)
_MOST_PASSES = 5
"""What one pass takes out may leave something with a shape beside it: in ``1.2.3.4::7``, the rest of no address."""


def redact(text: str) -> str:
    """``text`` without e-mail addresses, telephone and long numbers, cards, IBANs, keys, credentials, queries, IPs.

    Each is replaced by its name in brackets; redacting twice changes nothing.

    >>> redact("write to jane.doe@example.org or +49 89 1234567 about card 4111 1111 1111 1111")
    'write to [email] or [phone] about card [card]'
    """
    if not _WORTH_A_LOOK.search(text):
        return text
    for _ in range(_MOST_PASSES):
        before = text
        text = without_numbers(without_addresses(without_secrets(without_ibans(text))))
        if text == before:
            break
    return text


class Hasher:
    """Text -> 32 hex digits that only the holder of ``key`` can compute (HMAC-SHA-256, RFC 2104, 128 bits of it).

    A plain hash of a short query is guessable by hashing likely queries. Texts that differ only in case, width or
    blanks have the same hash.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"the key of the text hashes is shorter than {SHORTEST_KEY} bytes. Make one of 32.")
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def __call__(self, text: str) -> str:
        same = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        keyed = self._keyed.copy()
        keyed.update(same.encode("utf-8", "surrogatepass"))
        return keyed.hexdigest()[:32]


def hashed(text: str, key: bytes | None = None) -> str:
    """The keyed hash of a text; without a key, one that is drawn once a process and forgotten with it."""
    return _hasher(_own_key() if key is None else key)(text)


def kept(text: str, keep_text: KeepText, key: bytes | None = None) -> str:
    """What is stored of a query's text: all of it, what ``redact`` leaves, or its hash."""
    if keep_text == "full":
        return text
    return redact(text) if keep_text == "redacted" else hashed(text, key)


@cache
def _own_key() -> bytes:
    return secrets.token_bytes(32)


@cache
def _hasher(key: bytes) -> Hasher:
    return Hasher(key)
