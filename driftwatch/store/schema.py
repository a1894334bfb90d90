"""Making the tables, bringing old ones up to date, and refusing what a newer driftwatch wrote.

A new database is made from ``tables.metadata`` and marked as current; an older one is brought up to date by Alembic,
which is only imported for that. A test holds the two ways together.
"""

from __future__ import annotations

from importlib.resources import files

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.errors import StoreError
from driftwatch.store.database import Database
from driftwatch.store.tables import metadata

HEAD = "0015"
"""The newest migration: the name of the tables as ``tables.py`` has them."""

VERSION_TABLE = "driftwatch_version"
_version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
_MIGRATING = 0x64726966
"""The advisory lock of migrations: processes that start together do it once."""


def bring_up_to_date(database: Database, *, migrate: bool = True) -> None:
    """Make or migrate the tables.

    Raises:
        StoreError: the database is newer than this driftwatch, belongs to something else, or must be migrated while
            ``migrate`` is False.
    """
    found = checked_version(database)
    if found == HEAD:
        return
    if not migrate:
        raise StoreError(
            f"the tables in {database.shown} are not up to date.", remedy="Start `driftwatch run` once, it migrates."
        )
    if database.is_sqlite:
        _prepare_file(database)
    with database.writing(durable=True) as connection:
        _migrate(connection, database)


def checked_version(database: Database) -> str | None:
    """The migration that the tables are at; None where there are none.

    Raises:
        StoreError: this driftwatch must leave the database alone.
    """
    with database.reading() as connection:
        found = _version_of(connection)
        foreign = found is None and database.is_sqlite and sa.inspect(connection).get_table_names()
    _refuse_newer(found, database)
    if foreign:
        raise StoreError(
            f"the file {database.shown} holds the tables of another program ({', '.join(sorted(foreign)[:3])}).",
            remedy="Give driftwatch a database of its own.",
        )
    return found


def _version_of(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(sa.select(_version.c.version_num)).scalar()
    return found


def _refuse_newer(found: str | None, database: Database) -> None:
    if found is not None and found > HEAD:
        raise StoreError(
            f"the database {database.shown} was written by a newer driftwatch (tables {found}, known up to {HEAD}).",
            remedy="Install that version again, or put back the backup from before the upgrade.",
        )


def _prepare_file(database: Database) -> None:
    """Settings that a SQLite file keeps; the first is only heard before the first table is made."""
    with database.alone() as connection:
        connection.exec_driver_sql("PRAGMA auto_vacuum = INCREMENTAL")
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _migrate(connection: Connection, database: Database) -> None:
    if not database.is_sqlite:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
    found = _version_of(connection)
    _refuse_newer(found, database)
    if found is None:
        metadata.create_all(connection)
        connection.execute(
            sa.schema.CreateTable(
                sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False))
            )
        )
        connection.execute(_version.insert().values(version_num=HEAD))
    elif found != HEAD:
        upgrade(connection)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that are missing up to ``revision``, in the transaction of ``connection``."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("driftwatch") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
