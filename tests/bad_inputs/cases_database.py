"""What can be wrong with the database."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from driftwatch.errors import StoreError
from driftwatch.store import Store, leader
from driftwatch.types import Baseline
from tests.bad_inputs.registry import case

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def opened(tmp: Path, options: str = "") -> Store:
    """The store in ``tmp``."""
    return Store.open(f"sqlite:///{tmp}/driftwatch.db{options}")


@case("database", "the address names a database that is not supported")
def unknown_scheme(_tmp: Path) -> str:
    Store.open("mysql://driftwatch:s3cret@db/driftwatch")
    return "nothing"


@case("database", "the address is only a file name")
def no_scheme(_tmp: Path) -> str:
    Store.open("driftwatch.db")
    return "nothing"


@case("database", "the address names no file: a database in memory")
def in_memory(_tmp: Path) -> str:
    Store.open("sqlite://")
    return "nothing"


@case("database", "the folder of the database does not exist")
def missing_folder(tmp: Path) -> str:
    Store.open(f"sqlite:///{tmp}/missing/driftwatch.db")
    return "nothing"


@case("database", "the folder of the database is read-only")
def read_only_folder(_tmp: Path) -> str:
    Store.open("sqlite:////proc/driftwatch.db")
    return "nothing"


@case("database", "the file is not a database")
def not_a_database(tmp: Path) -> str:
    (tmp / "driftwatch.db").write_text("these are my notes\n" * 100)
    opened(tmp)
    return "nothing"


@case("database", "the file is the database of another program")
def another_program(tmp: Path) -> str:
    with closing(sqlite3.connect(tmp / "driftwatch.db")) as other:
        other.execute("CREATE TABLE invoices (number)")
    opened(tmp)
    return "nothing"


@case("database", "the database was written by a newer driftwatch")
def newer(tmp: Path) -> str:
    with closing(opened(tmp)) as store, store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE driftwatch_version SET version_num = '0999'")
    opened(tmp)
    return "nothing"


@case("database", "another program keeps the database locked")
def locked(tmp: Path) -> str:
    with (
        closing(opened(tmp, "?timeout=0.05")) as store,
        closing(sqlite3.connect(tmp / "driftwatch.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        store.decisions.set_baseline(Baseline(EPOCH, EPOCH, "why", "ann", EPOCH))
    return "nothing"


@case("database", "two daemons for one database")
def two_daemons(tmp: Path) -> str:
    with closing(opened(tmp)) as store, leader(store):
        (tmp / "driftwatch.db.lock").write_text("process 4711 on help-centre-1\n")
        with leader(store):
            return "nothing"


@case("database", "no Postgres answers")
def unreachable(_tmp: Path) -> str:
    Store.open("postgresql+psycopg://driftwatch:s3cret@127.0.0.1:1/driftwatch")
    return "nothing"


@case("database", "Postgres does not accept the password")
def wrong_password(_tmp: Path) -> str:
    with postgres_that_refuses() as port:
        try:
            Store.open(f"postgresql+psycopg://driftwatch:s3cret@127.0.0.1:{port}/driftwatch?sslmode=disable")
        except StoreError as error:
            return str(error).replace(str(port), "5432")
    return "nothing"


@contextmanager
def postgres_that_refuses() -> Iterator[int]:
    """A server that speaks enough of the protocol to ask for a password and refuse it; gives its port."""
    reason = b'SFATAL\0C28P01\0Mpassword authentication failed for user "driftwatch"\0\0'

    def refuse() -> None:
        client, _ = server.accept()
        with client:
            client.recv(4096)
            client.sendall(b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big"))
            client.recv(4096)
            client.sendall(b"E" + (len(reason) + 4).to_bytes(4, "big") + reason)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=refuse)
        thread.start()
        yield server.getsockname()[1]
        thread.join()
