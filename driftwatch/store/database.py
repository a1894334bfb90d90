"""One SQLAlchemy engine for SQLite or Postgres, and the two ways to use it: reading and writing.

SQLite is in WAL mode. Writers say ``BEGIN IMMEDIATE``: a transaction that begins by reading and then writes fails at
once when another one wrote in between, however long it would wait. In one process writers queue at a lock, because
SQLite's own waiting is by sleeping and is not fair.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry

from driftwatch.errors import MissingExtra, StoreError

POSTGRES = "postgresql+psycopg"
FORMS = (
    "Write sqlite:///driftwatch.db, sqlite:////var/lib/driftwatch/driftwatch.db or "
    "postgresql+psycopg://user:password@host/name."
)
WAIT = 10
"""Seconds: how long a writer waits for another process, and how long a connection may take."""
ALONE = "alone"


class Database:
    """Where the tables are. Any thread may use it."""

    def __init__(self, url: str, *, lasting: bool = True) -> None:
        """``lasting``: whether it must survive a power cut; one that is thrown away need not."""
        self.url = read_url(url)
        self.lasting = lasting
        self.path = Path(self.url.database) if self.is_sqlite and self.url.database else None
        self.engine = _engine(self.url)
        self._writers = threading.Lock() if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the tables; nothing may be written.

        Raises:
            StoreError: the database cannot be reached, or refuses.
        """
        with self.errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[Connection]:
        """One transaction: all of it or nothing.

        A commit always survives the death of the process; with ``durable`` it also survives a power cut.

        Raises:
            StoreError: the database cannot be reached, or refuses; nothing was written.
        """
        options: dict[str, Any] = {"driftwatch_writes": "FULL" if durable and self.lasting else "NORMAL"}
        with self.errors(), self._writers, self.engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin():
                yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A connection outside any transaction, for what the database does to its own files."""
        options = {"driftwatch_writes": ALONE} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with self.errors(), self._writers, self.engine.connect() as connection:
            yield connection.execution_options(**options)

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ON CONFLICT, in this database's dialect."""
        if self.is_sqlite:
            from sqlalchemy.dialects.sqlite import insert
        else:
            from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
        return insert(table)

    @staticmethod
    def added(connection: Connection, statement: Any, row: Mapping[str, Any]) -> bool:
        """Whether an INSERT that ignores conflicts found none."""
        counted = statement.execution_options(preserve_rowcount=True)  # else Postgres does not say
        return connection.execute(counted, row).rowcount == 1

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What the database says becomes one sentence and a remedy; never a password, never a row's content."""
        try:
            yield
        except StatementError as error:
            raise self._explained(error.orig) from None
        except sqlite3.Error as error:  # of what SQLAlchemy has no way to say
            raise self._explained(error) from None
        except SQLAlchemyError as error:
            raise StoreError(f"the database {self.shown} cannot be used now: {error}.") from error

    @property
    def shown(self) -> str:
        """The address as a person may read it."""
        return str(self.path) if self.path is not None else self.url.render_as_string(hide_password=True)

    def _explained(self, error: BaseException | None) -> StoreError:
        reason = " ".join(str(error).split()).rstrip(".")
        if self.url.password:
            reason = reason.replace(str(self.url.password), "***")
        known = _SQLITE if self.is_sqlite else _POSTGRES
        for sign, problem, remedy in known:
            if sign in reason.lower():
                return StoreError(f"the database {self.shown}: {problem or reason}.", remedy=remedy)
        return StoreError(f"the database {self.shown} refuses: {reason}.")


_FOLDER = "Check that its folder exists and that driftwatch may write there."
_SQLITE = (
    ("not a database", "it is no SQLite file", "Move it away, or name another file."),
    ("malformed", "the file is damaged", "Move it away and put a backup in its place."),
    ("locked", "another program has kept it locked for too long", "Find it with `fuser` and end it."),
    ("unable to open", "it cannot be opened or made", _FOLDER),
    ("readonly", "it cannot be written", "Check that driftwatch may write the file and its folder."),
    ("disk is full", "the disk is full", "Make room, or lower `retention: disk`."),
    ("disk i/o", "the disk fails", "Check the disk; a network folder cannot hold a SQLite file."),
)
"""What SQLite says, what that means (empty: what it says), and what to do."""

_NAMES = "Check user, password and name in `database:`."
_POSTGRES = (
    ("password authentication failed", "the server does not accept this user with this password", _NAMES),
    ("no password supplied", "the server wants a password", _NAMES),
    ("does not exist", "", "Check the name in `database:`, and make the database or role first."),
    ("permission denied", "", "Grant the role the right to make tables in its schema."),
    ("could not translate host name", "its host name is not known", "Check the host in `database:`."),
    ("failed to resolve host", "its host name is not known", "Check the host in `database:`."),
    ("connection refused", "nobody answers there", "Check that the server runs, and its host and port."),
    ("timeout expired", "nobody answers there", "Check that the server runs, and its host and port."),
    ("connection", "", "Check that the server runs, and its host and port."),
)
"""The same of Postgres."""


def read_url(url: str) -> URL:
    """The address of a database that driftwatch can use.

    Raises:
        StoreError: not an address, or of a database that driftwatch does not know.
    """
    try:
        read = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError("the database's address cannot be read.", remedy=FORMS) from None
    if read.drivername in ("postgres", "postgresql", POSTGRES):
        return read.set(drivername=POSTGRES)
    if read.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(f"'{read.drivername}' names no database that driftwatch knows.", remedy=FORMS)
    if not read.database or read.database == ":memory:" or read.database.startswith("file:"):
        raise StoreError("a database in memory would be forgotten at the end.", remedy=FORMS)
    return read


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": WAIT} | _timeout(url))
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return sa.create_engine(
            url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": WAIT} | _timeout(url)
        )
    except ImportError:
        raise MissingExtra("psycopg", "postgres", "a Postgres database") from None


def _timeout(url: URL) -> dict[str, float]:
    """``?timeout=2`` (SQLite) or ``?connect_timeout=2`` (Postgres) in the address, in seconds."""
    name = "timeout" if url.get_backend_name() == "sqlite" else "connect_timeout"
    try:
        return {name: float(str(url.query[name]))} if name in url.query else {}
    except ValueError:
        raise StoreError(f"'{name}' in the database's address is not a number of seconds.", remedy=FORMS) from None


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come too late, and never before a read
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("driftwatch_writes")
    if writes is None:
        connection.exec_driver_sql("BEGIN")
    elif writes != ALONE:
        connection.exec_driver_sql(f"PRAGMA synchronous = {writes}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
