"""What leaves the machine, and what is kept: personal data taken out of texts, or texts replaced by a keyed hash.

``redact`` finds what has a shape: addresses, numbers, keys. It knows nothing of names, so a redacted text is not an
anonymous one. Every pattern is linear: a run of characters is matched once, from its first character, and never given
back.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from functools import cache
from pathlib import Path
from typing import Literal

from driftwatch.errors import ConfigError
from driftwatch.privacy._addresses import without_addresses
from driftwatch.privacy._numbers import without_ibans, without_numbers
from driftwatch.privacy._secrets import without_secrets

KeepText = Literal["full", "redacted", "hash"]

_WORTH_A_LOOK = re.compile(r"[\d@＠:：=]|bearer|basic|token", re.IGNORECASE)


def redact(text: str) -> str:
    """``text`` without e-mail addresses, telephone and long numbers, cards, IBANs, keys, credentials, queries, IPs.

    Each is replaced by its name in brackets; redacting twice changes nothing.

    >>> redact("write to jane.doe@example.org or +49 89 1234567 about card 4111 1111 1111 1111")
    'write to [email] or [phone] about card [card]'
    """
    if not _WORTH_A_LOOK.search(text):
        return text
    return without_numbers(without_addresses(without_secrets(without_ibans(text))))


class Hasher:
    """Text -> 32 hex digits that only the holder of ``key`` can compute (HMAC-SHA-256, RFC 2104, 128 bits of it).

    A plain hash of a short query is guessable by hashing likely queries. Texts that differ only in case, width or
    blanks have the same hash.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("the key of the text hashes is shorter than 16 bytes. Make one of 32 random bytes.")
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


def load_key(path: Path) -> bytes:
    """The key of the text hashes in ``path``: 64 hex digits; drawn and written, readable by its owner only, if absent.

    Raises:
        ConfigError: the file cannot be read or written, or holds something else.
    """
    try:
        if not path.exists():
            _write_key(path)
        return _checked_key(path)
    except OSError as error:
        raise ConfigError(
            f"the key of the text hashes cannot be read or made: {error.strerror}.",
            file=path,
            remedy="Make its directory writable, or put a file of 64 hex digits there.",
        ) from None


def _write_key(path: Path) -> None:
    """Write a new key; of several processes that do, the first wins and all read its key."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(opened, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _checked_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_bytes().decode("ascii"))
    except ValueError:
        key = b""
    if len(key) < 16:
        raise ConfigError(
            "this is not a key for text hashes.",
            file=path,
            remedy="Put 64 hex digits there, or delete it for a new one.",
        )
    return key


@cache
def _own_key() -> bytes:
    return secrets.token_bytes(32)


@cache
def _hasher(key: bytes) -> Hasher:
    return Hasher(key)
