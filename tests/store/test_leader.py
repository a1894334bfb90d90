from __future__ import annotations

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa

from driftwatch.errors import LeaderElsewhere, StoreError
from driftwatch.store import Store, leader
from driftwatch.store.leader import AdvisoryLock


def test_there_is_one_leader_at_a_time(store: Store, store_url: str) -> None:
    other = Store.open(store_url)
    with leader(store) as leadership:
        assert leadership.still_held()
        with pytest.raises(LeaderElsewhere, match="another driftwatch"), leader(other):
            pass
        assert leadership.still_held()
    with leader(other) as leadership:
        assert leadership.still_held()
    other.close()


def test_a_leader_elsewhere_is_named(sqlite_store: Store) -> None:
    with leader(sqlite_store), pytest.raises(LeaderElsewhere, match=f"process {os.getpid()} on "), leader(sqlite_store):
        pass


def test_leadership_ends_with_the_process(sqlite_store: Store) -> None:
    script = (
        "import sys; from driftwatch.store import Store, leader\n"
        f"lead = leader(Store.open({str(sqlite_store.database.url)!r})); lead.__enter__()\n"
        "print('leading', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"leading\n"
        with pytest.raises(LeaderElsewhere), leader(sqlite_store):
            pass
        process.kill()
    with leader(sqlite_store) as leadership:
        assert leadership.still_held()


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_lock_file_that_is_gone_is_no_lock(sqlite_store: Store, what: str) -> None:
    path = sqlite_store.database.path
    assert path is not None
    lock = path.with_name(path.name + ".lock")
    with leader(sqlite_store) as leadership:
        lock.unlink()
        if what == "replaced":
            lock.touch()
        assert not leadership.still_held()


def test_a_lock_file_that_cannot_be_made_is_explained(sqlite_store: Store) -> None:
    path = sqlite_store.database.path
    assert path is not None
    path.with_name(path.name + ".lock").mkdir()
    with pytest.raises(StoreError, match="cannot be opened"), leader(sqlite_store):
        pass


@pytest.mark.postgres
def test_a_leader_whose_connection_was_cut_no_longer_leads(postgres_url: str) -> None:
    store = Store.open(postgres_url)
    with leader(store) as leadership:
        assert isinstance(leadership, AdvisoryLock)
        process = leadership.connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
        with store.database.reading() as connection:
            connection.execute(sa.select(sa.func.pg_terminate_backend(process)))
        assert not leadership.still_held()
        assert not leadership.still_held()
    store.close()


@pytest.mark.postgres
def test_two_schemas_of_one_server_have_a_leader_each(postgres_url: str, other_postgres_url: str) -> None:
    store, elsewhere = Store.open(postgres_url), Store.open(other_postgres_url)
    with leader(store), leader(elsewhere) as leadership:
        assert leadership.still_held()
    elsewhere.close()
    store.close()
