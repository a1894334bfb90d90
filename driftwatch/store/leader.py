"""One driftwatch writes to a database at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from driftwatch.errors import LeaderElsewhere, StoreError
from driftwatch.store.database import Database

if TYPE_CHECKING:
    from driftwatch.store import Store

_REMEDY = "Stop the other one, or give this one a database of its own."


class Leadership(Protocol):
    """Held from entering ``leader`` to leaving it, unless it gets lost."""

    def still_held(self) -> bool:
        """Whether nobody else can have become the leader since."""


@contextmanager
def leader(store: Store) -> Iterator[Leadership]:
    """Be the only writer: a locked file beside a SQLite file, an advisory lock on Postgres.

    The lock ends with the process, however that ends.

    Raises:
        LeaderElsewhere: another process is.
    """
    database = store.database
    held = _file_lock(database.path) if database.path is not None else _advisory_lock(database)
    with held as leadership:
        yield leadership


class FileLock:
    """The lock beside a SQLite file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def still_held(self) -> bool:
        """The lock is on the open file: somebody who removed or replaced it could lock another one."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self.descriptor))


@contextmanager
def _file_lock(database: Path) -> Iterator[FileLock]:
    path = database.with_name(database.name + ".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(
            f"the lock file {path} cannot be opened: {error.strerror}.",
            remedy="Check that driftwatch may write in that folder.",
        ) from None
    try:
        _lock(descriptor, path, database)
        yield FileLock(path, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = path.read_text("utf-8", "replace").strip() or "unknown"
        raise LeaderElsewhere(f"another driftwatch ({who}) writes to {database}.", remedy=_REMEDY) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


class AdvisoryLock:
    """The lock of a Postgres connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lost = False

    def still_held(self) -> bool:
        """The lock lives as long as its connection; one that was made anew does not have it."""
        try:
            self.lost = self.lost or self.connection.execute(sa.select(1)).scalar() != 1
        except SQLAlchemyError:
            self.lost = True
        return not self.lost


_KEY = sa.select(sa.func.hashtextextended(sa.func.concat("driftwatch leader ", sa.func.current_schema()), 0))


@contextmanager
def _advisory_lock(database: Database) -> Iterator[AdvisoryLock]:
    # A pool would hand the connection, and with it the lock, to somebody else.
    engine = sa.create_engine(
        database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True, pool_reset_on_return=None
    )
    with database.errors(), engine.connect() as connection:
        key = connection.execute(_KEY).scalar_one()
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one():
            raise LeaderElsewhere(f"another driftwatch writes to {database.shown}.", remedy=_REMEDY)
        yield AdvisoryLock(connection)
