"""A connection to Postgres for one read-only transaction, and what its errors mean for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from driftwatch.errors import MissingExtra, RetrieverError
from driftwatch.retrievers._exchange import shown
from driftwatch.retrievers._pgvector import Reader, Table, read_columns

if TYPE_CHECKING:
    from psycopg import Connection

FORM = "'postgresql://user:password@host/database'"


@contextmanager
def reading(url: str, table: Table, timeout: timedelta) -> Iterator[Reader]:
    """A connection for one read-only transaction, in which a statement may take ``timeout``.

    Raises:
        RetrieverError: the server cannot be reached or refuses, or the table is not what the settings say.
        MissingExtra: psycopg or pgvector is not installed.
    """
    try:
        import psycopg
        from pgvector.psycopg import register_vector
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MissingExtra(
            (error.name or "psycopg").partition(".")[0], "pgvector", "The retriever 'pgvector'"
        ) from None
    try:
        place = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    except psycopg.ProgrammingError:  # its words repeat parts of the address, and with them the password
        raise RetrieverError("'url' is not an address that Postgres reads.", remedy=f"Write it like {FORM}.") from None
    for name, value in _patience(timeout).items():
        place.setdefault(name, value)
    try:
        with _connected(place) as connection:
            connection.read_only = True
            connection.execute(
                "SELECT set_config('statement_timeout', %s, true)", (str(round(1000 * timeout.total_seconds())),)
            )
            register_vector(connection)
            yield Reader(connection, table, read_columns(connection, table))
    except psycopg.Error as error:
        raise _explained(error, place, timeout) from None


def _connected(place: Mapping[str, Any]) -> Connection[Any]:
    import psycopg

    try:
        # Behind a pooler a prepared statement outlives the transaction, and is in the way of the next one.
        return psycopg.connect(**place, prepare_threshold=None)
    except UnicodeError:  # what becomes of `db..internal`
        raise psycopg.OperationalError("failed to resolve host") from None


def _patience(timeout: timedelta) -> dict[str, str]:
    """How a server is noticed that does not answer at all; what a statement may take, the server sees to itself."""
    return {
        "connect_timeout": str(max(2, round(timeout.total_seconds()))),
        "keepalives_idle": "10",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": str(round(1000 * timeout.total_seconds())),
    }


def _explained(error: Exception, place: Mapping[str, Any], timeout: timedelta) -> RetrieverError:
    """What Postgres says, with where it was asked and without the password."""
    where = f"{place.get('host') or 'the local socket'}:{place.get('port') or 5432}/{place.get('dbname') or ''}"
    said = str(error).split("\n")[0]
    if password := place.get("password"):
        said = said.replace(str(password), "***")
    reason = shown(said, 300).rstrip(".") or type(error).__name__
    lowered = reason.lower()
    for sign, problem, remedy in _KNOWN:
        if sign in lowered:
            said = problem.format(seconds=f"{timeout.total_seconds():g}") or reason
            return RetrieverError(f"Postgres at {where}: {said}.", remedy=remedy)
    return RetrieverError(f"Postgres at {where}: {reason}.")


_KNOWN = (
    ("statement timeout", "a statement took longer than {seconds} s", "Raise 'timeout', or see what the server does."),
    (
        "vector type not found",
        "the database has no pgvector on its search path",
        "Run CREATE EXTENSION vector there, or put its schema on the search path.",
    ),
    ("password", "", "Check user and password in 'url'."),
    ("permission denied", "", "Grant the user SELECT on the table."),
    ("does not exist", "", "Check the names in the settings."),
    ("resolve host", "its host name is not known", "Check the host in 'url'."),
    ("refused", "nobody answers there", "Check that the server runs, and its host and port."),
    ("timeout", "nobody answers there", "Check that the server runs, and its host and port."),
)
"""What Postgres or its driver say, what that means (empty: what they say), and what to do."""
