from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from driftwatch.errors import StoreError
from driftwatch.store import Store
from driftwatch.store.database import Database
from driftwatch.store.schema import HEAD, VERSION_TABLE, upgrade
from driftwatch.store.tables import metadata
from driftwatch.types import TALLY_FIELDS
from tests.fakes.batches import HOUR, MONDAY, hours


@contextmanager
def at_revision(revision: str, url: str) -> Iterator[Database]:
    """A database that was made by the migrations alone, up to this one."""
    database = Database(url)
    with database.writing() as connection:
        upgrade(connection, revision)
    yield database
    database.engine.dispose()


def migrated(url: str) -> AbstractContextManager[Database]:
    return at_revision("head", url)


def _insert(database: Database, name: str, **row: Any) -> None:
    """A row as an older driftwatch wrote it: its tables, not ours."""
    with database.writing() as connection:
        connection.execute(sa.Table(name, sa.MetaData(), autoload_with=connection).insert(), row)


def described(database: Database) -> dict[str, Any]:
    with database.reading() as connection:
        inspector = sa.inspect(connection)
        return {
            table: {
                "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
                "key": inspector.get_pk_constraint(table),
                "unique": sorted(inspector.get_unique_constraints(table), key=str),
                "foreign": inspector.get_foreign_keys(table),
                "indexes": sorted(inspector.get_indexes(table), key=str),
            }
            for table in inspector.get_table_names()
        }


def test_migrations_and_a_new_database_give_the_same_tables(empty_url: str, tmp_path: Any) -> None:
    with migrated(empty_url) as database:
        by_migrations = described(database)
        with database.reading() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            assert compare_metadata(context, metadata) == []
        if database.is_sqlite:
            fresh = Store.open(f"sqlite:///{tmp_path}/other.db")
        else:
            with database.writing() as connection:
                for table in by_migrations:
                    connection.exec_driver_sql(f"DROP TABLE {table} CASCADE")
            fresh = Store.open(empty_url)
        assert described(fresh.database) == by_migrations
        fresh.close()


def test_sqlite_tables_are_clustered_the_same_in_both_ways(tmp_path: Any) -> None:
    def clustered(database: Database) -> set[str]:
        with database.reading() as connection:
            sql = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'")
            return {name for (name,) in sql}

    fresh = Store.open(f"sqlite:///{tmp_path}/fresh.db")
    with migrated(f"sqlite:///{tmp_path}/migrated.db") as database:
        assert (
            clustered(database)
            == clustered(fresh.database)
            == {
                *("tallies", "thresholds", "feedback_days"),
                *("totals", "named_languages", "looks"),
            }
        )
    fresh.close()


def test_the_newest_migration_is_the_head() -> None:
    assert ScriptDirectory(str(files("driftwatch") / "migrations")).get_current_head() == HEAD


def test_a_store_opens_what_migrations_made(empty_url: str) -> None:
    with migrated(empty_url):
        store = Store.open(empty_url, migrate=False)
        assert store.decisions.alerts() == {}
        store.close()


def test_findings_from_before_the_budget_add_nothing_to_it(empty_url: str) -> None:
    with at_revision("0001", empty_url) as database:
        _insert(database, "findings", check="ks", segment="de", at=1, verdict="ok", message="", kind="", family="", n=3,
                examples="[]", details="{}", state="{}", learning=False)  # fmt: skip
    store = Store.open(empty_url)
    (found,) = store.decisions.findings()
    assert (found.n, found.evidence, found.share, found.onset, found.pages) == (3, None, None, None, False)
    store.close()


def test_lines_from_before_units_were_counted_are_taken_for_units(empty_url: str) -> None:
    lines = {name: 100 + place for place, name in enumerate(TALLY_FIELDS) if not name.startswith("units")}
    with at_revision("0002", empty_url) as database:
        _insert(database, "tallies", source="live", hour=hours(MONDAY), lang="de", **lines)
    store = Store.open(empty_url)
    found = store.traffic.tallies("live", MONDAY, MONDAY + HOUR)
    assert {name: found.total(name) for name in lines} == lines
    assert found.total("units") == lines["queries"]
    topics = ("results_known", "empty", "abstention_known", "abstained")
    feedback = ("feedback_known", "up", "down", "click", "accepted")
    assert all(found.total(f"units_{name}") == lines[name] for name in (*topics, *feedback))
    store.close()


def test_alerts_from_before_incidents_reopened_were_resolved_in_none(empty_url: str) -> None:
    with at_revision("0004", empty_url) as database:
        _insert(database, "alerts", check="ks", segment="de", state="ok", bad=0, good=3, unknown=0,
                acknowledged_by="", incident="")  # fmt: skip
    store = Store.open(empty_url)
    alert = store.decisions.alerts()["ks", "de"]
    assert (alert.good, alert.last_incident, alert.resolved_at) == (3, "", None)
    store.close()


def test_what_was_told_before_verdicts_were_kept_counts_as_a_page(empty_url: str) -> None:
    with at_revision("0005", empty_url) as database:
        _insert(database, "transitions", key="k", check="ks", segment="de", event="firing", before="pending",
                after="firing", at=1, incident="i", family="scores", actor="")  # fmt: skip
        _insert(database, "incidents", incident_id="i", family="scores", segment="de", opened_at=1)
    store = Store.open(empty_url)
    incident = store.decisions.incident("i")
    assert incident is not None
    assert [each.verdict for each in incident.history] == [""]
    store.close()


def test_a_database_of_a_newer_driftwatch_is_refused(empty_url: str) -> None:
    store = Store.open(empty_url)
    with store.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    store.close()
    with pytest.raises(StoreError, match=r"newer driftwatch .*0999") as refused:
        Store.open(empty_url)
    assert "Install that version again" in refused.value.remedy


def test_an_empty_database_is_not_migrated_unasked(empty_url: str) -> None:
    with pytest.raises(StoreError, match="not up to date"):
        Store.open(empty_url, migrate=False)


def test_many_that_start_together_make_the_tables_once(empty_url: str) -> None:
    with ThreadPoolExecutor(6) as starting:
        for store in starting.map(Store.open, [empty_url] * 6):
            assert store.decisions.alerts() == {}
            store.close()


def test_opening_loads_alembic_only_to_migrate(tmp_path: Any) -> None:
    script = (
        "import sys; from driftwatch.store import Store\n"
        f"Store.open('sqlite:///{tmp_path}/a.db').close(); Store.open('sqlite:///{tmp_path}/a.db').close()\n"
        "print('alembic' in sys.modules, 'psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
