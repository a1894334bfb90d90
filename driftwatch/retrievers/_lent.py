"""A client of a service that several threads share, and that one of them may close."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """Whatever holds connections."""

    def close(self) -> None:
        """Let go of them."""


Client = TypeVar("Client", bound=Closable)


@dataclass
class _Opened(Generic[Client]):
    client: Client
    users: int = 0


class Lent(Generic[Client]):
    """Opened when it is first used, and closed when nobody uses it any more.

    A client that is closed while another thread connects leaves that thread's connection open for good, so one in use
    is closed by the last who used it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: _Opened[Client] | None = None

    @contextmanager
    def use(self, opens: Callable[[], Client]) -> Iterator[Client]:
        """The one client, or what ``opens`` gives if there is none; it stays open until this is left."""
        with self._lock:
            if self._current is None:
                self._current = _Opened(opens())
            opened = self._current
            opened.users += 1
        try:
            yield opened.client
        finally:
            with self._lock:
                opened.users -= 1
                is_left = opened is not self._current and not opened.users
            if is_left:
                opened.client.close()

    def close(self) -> None:
        """Close the client now, or once the last who uses it is done; whoever comes next gets a new one."""
        with self._lock:
            opened, self._current = self._current, None
            if opened is None or opened.users:
                return
        opened.client.close()
