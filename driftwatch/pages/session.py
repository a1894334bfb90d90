"""Who has logged in: a signed cookie with an end. Nothing is kept here, and a new token ends every session.

The cookie is ``<name, end and a random number in base64>.<HMAC-SHA-256 of that>``, under a key that is made from the
API token: who does not know the token can make none, and where the token changes, none that was made before counts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

COOKIE = "driftwatch_session"
LENGTH = timedelta(hours=12)
"""After so long somebody must log in again."""
MOST_FAILURES = 10
WITHIN = timedelta(minutes=1)
"""More failures than that in so long, and nobody can log in for as long."""
LONGEST_NAME = 80
_PURPOSE = b"driftwatch session 1"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has shown the token."""

    name: str
    until: datetime
    nonce: str
    """Random: no two sessions have the same forms."""


class Sessions:
    """Makes and reads cookies."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._key = hmac.digest(self._token, _PURPOSE, hashlib.sha256)
        self._failures: deque[datetime] = deque(maxlen=MOST_FAILURES)

    def admits(self, given: str, now: datetime) -> bool:
        """Whether ``given`` is the token, compared in constant time; a failure is remembered for a minute."""
        if hmac.compare_digest(given.encode("utf-8", "replace"), self._token):
            return True
        self._failures.append(now)
        return False

    def must_wait(self, now: datetime) -> bool:
        """Whether too many have failed to log in just before."""
        return len(self._failures) == MOST_FAILURES and now - self._failures[0] < WITHIN

    def open(self, name: str, now: datetime) -> str:
        """The cookie of a new session."""
        until = int((now + LENGTH).timestamp())
        said = {"name": name[:LONGEST_NAME], "until": until, "nonce": secrets.token_hex(16)}
        body = base64.urlsafe_b64encode(orjson.dumps(said)).decode().rstrip("=")
        return f"{body}.{self._sign(body)}"

    def read(self, cookie: str, now: datetime) -> Session | None:
        """The session of a cookie; None where we did not make it, or it is over."""
        body, _, signature = cookie.partition(".")
        if not cookie.isascii() or not hmac.compare_digest(signature, self._sign(body)):
            return None
        try:
            said = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (binascii.Error, ValueError):
            return None
        session = Session(said["name"], datetime.fromtimestamp(said["until"], UTC), said["nonce"])
        return session if now < session.until else None

    def csrf(self, session: Session) -> str:
        """What the forms of a session carry: no other page can know it."""
        return hmac.new(self._key, f"csrf {session.nonce}".encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, session: Session, given: str) -> bool:
        """Whether a form is one of ours, compared in constant time."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.csrf(session).encode())

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()
