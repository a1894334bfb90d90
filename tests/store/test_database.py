from __future__ import annotations

import importlib
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from driftwatch.errors import MissingExtra, StoreError
from driftwatch.store import Store
from driftwatch.store.database import read_url
from driftwatch.store.schema import HEAD
from tests.fakes.batches import DAY, MONDAY, batch, counts, hours, kept
from tests.fakes.decided import EVERYTHING, MINUTE, alert, finding, transition


def test_threads_that_read_and_write_at_once_lose_nothing(store: Store) -> None:
    def count(worker: int) -> None:
        for number in range(15):
            place = worker * 1000 + number
            store.traffic.ingest(
                batch(kept(place / 1e6, str(place)), tallies={(hours(MONDAY), "de"): counts(queries=1)}, lines=1)
            )

    def decide(worker: int) -> None:
        for number in range(10):
            at = MONDAY + timedelta(minutes=number)
            store.decisions.record(
                findings=[finding(f"check {worker}", at)],
                alerts=[alert(f"check {worker}", bad=number)],
                transitions=[transition(f"check {worker}", "firing", at)],
                receivers={"slack": EVERYTHING},
            )
            store.decisions.last_findings()

    def deliver(_worker: int) -> None:
        for _ in range(10):
            if (delivery := store.outbox.claim("slack", MONDAY, MINUTE)) is not None:
                store.outbox.done(delivery, "thread", MONDAY)
            store.traffic.sample("live", MONDAY, MONDAY + DAY)

    with ThreadPoolExecutor(8) as threads:
        work = [threads.submit(job, worker) for worker in range(3) for job in (count, decide, deliver)]
        for each in work:
            each.result()
    assert store.traffic.tallies("live", MONDAY, MONDAY + DAY).total("queries") == 45
    assert store.traffic.line_counts() == {"live": 45}
    assert len(store.traffic.sample("live", MONDAY, MONDAY + DAY)) == 45
    assert len(store.decisions.findings()) == 30
    assert {alert.bad for alert in store.decisions.alerts().values()} == {9}


def test_two_processes_worth_of_connections_wait_for_each_other(sqlite_store: Store) -> None:
    other = Store.open(str(sqlite_store.database.url))

    def count(store: Store) -> None:
        for _ in range(40):
            store.traffic.ingest(batch(tallies={(hours(MONDAY), "de"): counts(queries=1)}))

    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(count, store) for store in (sqlite_store, other) * 2]:
            each.result()
    assert other.traffic.tallies("live", MONDAY, MONDAY + DAY).total("queries") == 160
    other.close()


def test_sqlite_is_set_up_for_a_daemon(sqlite_store: Store) -> None:
    with sqlite_store.database.writing(durable=True) as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "auto_vacuum", "synchronous")
        }
    assert found == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 10_000,
        "auto_vacuum": 2,
        "synchronous": 2,
    }


def test_a_locked_database_is_explained(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/d.db?timeout=0.05")
    other = sqlite3.connect(tmp_path / "d.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="kept it locked") as refused:
        store.traffic.ingest(batch())
    assert "fuser" in refused.value.remedy
    other.close()
    store.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://user:hunter2@host/name", "'mysql' names no database"),
        ("mongodb://host/name", "'mongodb' names no database"),
        ("driftwatch.db", "cannot be read"),
        ("", "cannot be read"),
        ("sqlite://", "in memory would be forgotten"),
        ("sqlite:///:memory:", "in memory would be forgotten"),
        ("sqlite:////proc/driftwatch.db", "cannot be opened or made"),
        ("sqlite:////nowhere/at/all/driftwatch.db", "cannot be opened or made"),
        ("sqlite:///d.db?timeout=soon", "not a number of seconds"),
    ],
)
def test_an_address_that_cannot_work_is_explained(
    url: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=why) as refused:
        Store.open(url)
    assert refused.value.remedy
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_name_of_postgres_is_understood(scheme: str) -> None:
    assert read_url(f"{scheme}://user:pw@host/name").drivername == "postgresql+psycopg"


def test_a_full_disk_is_explained_whoever_noticed_it(sqlite_store: Store) -> None:
    too_much = "PRAGMA max_page_count = 1; CREATE TABLE more AS SELECT zeroblob(1000000)"
    with (
        pytest.raises(StoreError, match=r"the disk is full\. Make room"),
        sqlite_store.database.alone() as connection,
    ):
        connection.connection.driver_connection.executescript(too_much)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"these are my notes, keep them\n" * 100)
    with pytest.raises(StoreError, match="no SQLite file"):
        Store.open(f"sqlite:///{tmp_path}/d.db")
    assert (tmp_path / "d.db").read_bytes().startswith(b"these are my notes")


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "d.db")
    other.execute("CREATE TABLE invoices (number)")
    other.close()
    before = (tmp_path / "d.db").read_bytes()
    with pytest.raises(StoreError, match=r"another program \(invoices\)"):
        Store.open(f"sqlite:///{tmp_path}/d.db")
    assert (tmp_path / "d.db").read_bytes() == before


def test_postgres_without_its_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"driftwatch-rag\[postgres\]"):
        Store.open("postgresql+psycopg://user:pw@localhost/name")
    monkeypatch.undo()
    importlib.invalidate_caches()


def test_an_unreachable_postgres_is_explained_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"127.0.0.1:1/name\?.* nobody answers there") as refused:
        Store.open("postgresql+psycopg://user:hunter2@127.0.0.1:1/name?connect_timeout=2")
    assert "server runs" in refused.value.remedy
    assert "hunter2" not in str(refused.value)


@pytest.mark.postgres
def test_a_wrong_password_is_explained_without_showing_it(postgres_url: str) -> None:
    wrong = sa.make_url(postgres_url).set(password="hunter2").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match="does not accept this user with this password") as refused:
        Store.open(wrong)
    assert "Check user, password" in refused.value.remedy
    assert "hunter2" not in str(refused.value)


@pytest.mark.postgres
def test_a_connection_that_was_cut_is_made_again(postgres_url: str) -> None:
    store, other = Store.open(postgres_url), Store.open(postgres_url)
    with store.database.reading() as connection:
        process = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
    with other.database.reading() as connection:
        connection.execute(sa.select(sa.func.pg_terminate_backend(process)))
    assert store.decisions.alerts() == {}
    store.close()
    other.close()


def test_a_password_is_never_shown() -> None:
    from driftwatch.store.database import Database

    database = Database("postgresql+psycopg://user:hunter2@localhost/name")
    assert "hunter2" not in repr(database)
    assert "hunter2" not in database.shown


# --- looking without touching, and copying -------------------------------------------------------------------------


def test_a_probe_says_what_is_there_and_makes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/d.db"
    assert Store.probe(url).endswith("d.db will be made")
    assert list(tmp_path.iterdir()) == []
    Store.open(url).close()
    assert Store.probe(url).endswith(f"d.db, tables {HEAD}")
    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute("UPDATE driftwatch_version SET version_num = '0999'")
    connection.close()
    with pytest.raises(StoreError, match="newer driftwatch"):
        Store.probe(url)
    with pytest.raises(StoreError, match="does not exist"):
        Store.probe(f"sqlite:///{tmp_path}/missing/d.db")


@pytest.mark.postgres
def test_a_probe_of_postgres_makes_nothing(postgres_url: str) -> None:
    assert Store.probe(postgres_url).endswith(", empty")
    assert Store.probe(postgres_url).endswith(", empty")


def test_a_backup_is_a_store(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.traffic.ingest(batch(cursor={"offset": 7}))
    sqlite_store.backup(tmp_path / "copy.db")
    copy = Store.open(f"sqlite:///{tmp_path}/copy.db", migrate=False)
    assert copy.traffic.cursor("live") == {"offset": 7}
    copy.close()
    with pytest.raises(StoreError, match="exists already"):
        sqlite_store.backup(tmp_path / "copy.db")
    with pytest.raises(StoreError, match="cannot be written"):
        sqlite_store.backup(tmp_path / "missing" / "copy.db")


@pytest.mark.postgres
def test_a_backup_of_postgres_names_pg_dump(postgres_url: str, tmp_path: Path) -> None:
    store = Store.open(postgres_url)
    with pytest.raises(StoreError, match="pg_dump"):
        store.backup(tmp_path / "copy.db")
    store.close()
