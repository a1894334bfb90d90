"""Requests that prove who sent them: the signature of Standard Webhooks, HMAC-SHA256."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac


def signing_key(secret: str) -> bytes:
    """The key in ``whsec_…``.

    Raises:
        ValueError: not a secret of this form; the secret itself is not repeated.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "'secret' is not a signing secret. Write whsec_ and the base64 of 24 to 64 random bytes, as"
            " `echo whsec_$(openssl rand -base64 32)` prints."
        )
    return key


def signature(secret: str, message_id: str, timestamp: int, content: bytes) -> str:
    """``v1,<base64 of HMAC-SHA256 over id.timestamp.body>`` (Standard Webhooks, "Signature scheme")."""
    signed = f"{message_id}.{timestamp}.".encode("ascii", "replace") + content
    return "v1," + base64.b64encode(hmac.digest(signing_key(secret), signed, hashlib.sha256)).decode("ascii")
