"""Everything driftwatch remembers, in SQLite or Postgres."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from driftwatch.errors import StoreError
from driftwatch.store import maintenance
from driftwatch.store.approvals import Approvals
from driftwatch.store.canaries import Canaries
from driftwatch.store.courses import Courses
from driftwatch.store.database import Database, read_url
from driftwatch.store.decisions import Decisions
from driftwatch.store.diagnoses import Diagnoses
from driftwatch.store.expected import ExpectedChanges
from driftwatch.store.experiments import Experiments
from driftwatch.store.history import History
from driftwatch.store.leader import Leadership, leader
from driftwatch.store.numbers import Numbers, read_numbers
from driftwatch.store.outbox import Delivery, Outbox
from driftwatch.store.ranks import RankHistory
from driftwatch.store.rows import CheckRun
from driftwatch.store.schema import bring_up_to_date, checked_version
from driftwatch.store.totals import Looked, Totals
from driftwatch.store.traffic import Traffic
from driftwatch.store.weekly import Telling, Weekly

__all__ = ["CheckRun", "Delivery", "Leadership", "Looked", "Numbers", "Store", "Telling", "leader"]


class Store:
    """One database. Any thread may use it; only the ``leader`` should write observations and decisions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.traffic = Traffic(database)
        self.canaries = Canaries(database)
        self.decisions = Decisions(database)
        self.outbox = Outbox(database)
        self.weekly = Weekly(database)
        self.experiments = Experiments(database)
        self.diagnoses = Diagnoses(database)
        self.approvals = Approvals(database)
        self.totals = Totals(database)
        self.history = History(database)
        self.courses = Courses(database)
        self.ranks = RankHistory(database)
        self.expected = ExpectedChanges(database)

    @classmethod
    def open(cls, url: str, *, migrate: bool = True, lasting: bool = True) -> Store:
        """Open the database at ``url``; make it, or bring it up to date, where that is needed.

        One that is not ``lasting`` is quicker and need not survive a power cut.

        Raises:
            StoreError: it cannot be reached, is no database, or was written by a newer driftwatch.
            MissingExtra: a Postgres database without its driver.
        """
        database = Database(url, lasting=lasting)
        try:
            bring_up_to_date(database, migrate=migrate)
        except BaseException:
            database.engine.dispose()
            raise
        return cls(database)

    @staticmethod
    def probe(url: str) -> str:
        """What is at ``url``, in a few words; changes nothing.

        Raises:
            StoreError: it cannot be used, with the reason.
            MissingExtra: a Postgres database without its driver.
        """
        read = read_url(url)
        if read.get_backend_name() == "sqlite" and not Path(str(read.database)).exists():
            folder = Path(str(read.database)).absolute().parent
            if not folder.is_dir():
                raise StoreError(f"the folder {folder} does not exist.", remedy="Make it, or name another file.")
            return f"{read.database} will be made"
        database = Database(url)
        try:
            found = checked_version(database)
        finally:
            database.engine.dispose()
        return f"{database.shown}, " + ("empty" if found is None else f"tables {found}")

    def close(self) -> None:
        """Let go of every connection."""
        self.database.engine.dispose()

    def size(self) -> int:
        """Bytes on the disk."""
        return maintenance.database_size(self.database)

    def numbers(self, now: datetime) -> Numbers:
        """What a scrape tells."""
        return read_numbers(self.database, now)

    def maintain(self, retention: maintenance.Retention, now: datetime) -> None:
        """Delete what is too old or too much, and give the space back."""
        maintenance.maintain(self.database, retention, now)

    def backup(self, path: Path) -> None:
        """Write a consistent copy while everything goes on.

        Raises:
            StoreError: the file exists, cannot be written, or the database is on Postgres.
        """
        if self.database.path is None:
            raise StoreError("a Postgres database is not copied by driftwatch.", remedy="Use pg_dump.")
        if path.exists():
            raise StoreError(f"the backup {path} exists already.", remedy="Name a new file.")
        try:
            with closing(sqlite3.connect(self.database.path)) as source, closing(sqlite3.connect(path)) as copy:
                source.backup(copy, pages=1000)
        except sqlite3.Error as error:
            raise StoreError(f"the backup {path} cannot be written: {error}.", remedy="Check its folder.") from None
