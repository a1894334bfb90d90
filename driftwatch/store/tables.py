"""The tables. Times are microseconds since 1970 UTC, days are days since 1970, JSON is text."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    false,
)

from driftwatch.store.columns import Day, Floats, Json, Moment, Name, Number, Words
from driftwatch.types import TALLY_FIELDS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id(name: str) -> Column[int]:
    """A number that only rises, on SQLite the row's own."""
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _of_a_line() -> list[Any]:
    """What is known of every line that is kept, and what it is found by."""
    names = ("source", "at", "day", "stratum", "priority", "lang", "query_id", "query_hash")
    kinds: tuple[Any, ...] = (Name, Moment, Day, Name, Number, Name, Name, BigInteger)
    columns = [Column(name, kind, nullable=False) for name, kind in zip(names, kinds, strict=True)]
    return [*columns, Index(None, "source", "at"), Index(None, "source", "query_hash")]


def _since_0003(counter: str) -> str | None:
    """What a counter of units begins with: these columns were added to tables that had rows."""
    return "0" if counter.startswith("units") else None


# --- traffic -------------------------------------------------------------------------------------------------------

readings = Table(
    "readings",
    metadata,
    Column("source", Name, primary_key=True),
    Column("cursor", Json, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("notes", Json, nullable=False),
)
"""How far each source is read. ``lines`` and ``rejected`` are exact and never shrink."""

tallies = Table(
    "tallies",
    metadata,
    Column("source", Name, primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("lang", Name, primary_key=True),
    *(Column(name, BigInteger, nullable=False, server_default=_since_0003(name)) for name in TALLY_FIELDS),
    sqlite_with_rowid=False,
)
"""Exact counts; ``hour`` is hours since 1970."""

sampled = Table(
    "sampled",
    metadata,
    _id("row_id"),
    *_of_a_line(),
    Column("unit", BigInteger, nullable=False),
    Column("scores", LargeBinary, nullable=False),
    Column("body", Words, nullable=False),
    UniqueConstraint("source", "day", "stratum", "priority"),
)
"""One sampled query a row. ``scores`` is a float32 array, higher is better; ``body`` is what only people read."""

thresholds = Table(
    "thresholds",
    metadata,
    Column("source", Name, primary_key=True),
    Column("day", Day, primary_key=True, autoincrement=False),
    Column("stratum", Name, primary_key=True),
    Column("threshold", Number, nullable=False),
    sqlite_with_rowid=False,
)
"""The sampling threshold of a stratum; a row's weight is one over it."""

feedback = Table(
    "feedback",
    metadata,
    _id("row_id"),
    *_of_a_line(),
    Column("line", BigInteger, nullable=False),
    Column("body", Words, nullable=False),
    UniqueConstraint("source", "day", "stratum", "priority", "line"),
)
"""One line that carries feedback a row, whether or not its query is sampled; ``priority`` is that of its session."""

feedback_days = Table(
    "feedback_days",
    metadata,
    Column("source", Name, primary_key=True),
    Column("day", Day, primary_key=True, autoincrement=False),
    Column("stratum", Name, primary_key=True),
    Column("threshold", Number, nullable=False),
    Column("lines", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many lines carried feedback, kept or not, and below which priority the sessions are kept."""

rejects = Table(
    "rejects",
    metadata,
    _id("reject_id"),
    Column("source", Name, nullable=False),
    Column("file", Words, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("reason", Words, nullable=False),
    Column("line", Words, nullable=False),
    Index(None, "source", "reject_id"),
)
"""The newest lines of each source that could not be read."""

# --- canaries ------------------------------------------------------------------------------------------------------

canary_runs = Table(
    "canary_runs",
    metadata,
    Column("run_id", Name, primary_key=True),
    Column("source", Name, nullable=False),
    Column("at", Moment, nullable=False),
    Column("suite", Words, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index(None, "source", "at"),
)
"""One asking of a suite a row; ``body`` is its observations as compressed JSON."""

first_seen = Table(
    "first_seen",
    metadata,
    Column("source", Name, primary_key=True),
    Column("canary", Words, primary_key=True),
    Column("query_id", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("at", Moment, nullable=False),
)
"""When a canary was first asked as it is now; ``canary`` is a hash of its id and digest."""

# --- decisions -----------------------------------------------------------------------------------------------------

findings = Table(
    "findings",
    metadata,
    Column("check", Name, primary_key=True),
    Column("segment", Name, primary_key=True),
    Column("at", Moment, primary_key=True, autoincrement=False),
    Column("verdict", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("family", Words, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("value", Number),
    Column("reference", Number),
    Column("effect", Number),
    Column("low", Number),
    Column("high", Number),
    Column("statistic", Number),
    Column("p_value", Number),
    Column("e_value", Number),
    Column("examples", Json, nullable=False),
    Column("details", Json, nullable=False),
    Column("state", Floats, nullable=False),
    Column("learning", Boolean, nullable=False),
    Column("evidence", Number),
    Column("share", Number),
    Column("onset", Moment),
    Column("pages", Boolean, nullable=False, server_default=false()),
    Index(None, "at"),
    Index(None, "check", "segment", "at", "verdict", "value", "evidence"),
)

last_findings = Table(
    "last_findings",
    metadata,
    Column("check", Name, primary_key=True),
    Column("segment", Name, primary_key=True),
    Column("at", Moment, nullable=False),
)
"""Which finding is the newest of each check and segment."""

alerts = Table(
    "alerts",
    metadata,
    Column("check", Name, primary_key=True),
    Column("segment", Name, primary_key=True),
    Column("state", Words, nullable=False),
    Column("since", Moment),
    Column("bad", Integer, nullable=False),
    Column("good", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("fired_at", Moment),
    Column("reminded_at", Moment),
    Column("acknowledged_by", Words, nullable=False),
    Column("incident", Name, nullable=False),
    Column("last_incident", Name, nullable=False, server_default=""),
    Column("resolved_at", Moment),
)

ledgers = Table(
    "ledgers",
    metadata,
    Column("check", Name, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""The evidence of each check between looks, as bytes that only its own code reads."""

transitions = Table(
    "transitions",
    metadata,
    _id("number"),
    Column("key", Name, nullable=False),
    Column("check", Name, nullable=False),
    Column("segment", Name, nullable=False),
    Column("event", Words, nullable=False),
    Column("before", Words, nullable=False),
    Column("after", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("incident", Name, nullable=False),
    Column("family", Words, nullable=False),
    Column("actor", Words, nullable=False),
    Column("verdict", Words, nullable=False, server_default=""),
    UniqueConstraint("key"),
    Index(None, "incident"),
)
"""What was decided, in the order of ``number``; kept for ever."""

incidents = Table(
    "incidents",
    metadata,
    Column("incident_id", Name, primary_key=True),
    Column("family", Words, nullable=False),
    Column("segment", Name, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("resolved_at", Moment),
    Index(None, "opened_at"),
)

runs = Table(
    "runs",
    metadata,
    Column("check", Name, primary_key=True),
    Column("scheduled_for", Moment, primary_key=True, autoincrement=False),
    Column("started", Moment, nullable=False),
    Column("finished", Moment, nullable=False),
    Column("status", Words, nullable=False),
)
"""What was done for which due time: the same work is never recorded twice."""

silences = Table(
    "silences",
    metadata,
    Column("silence_id", Name, primary_key=True),
    Column("check", Name, nullable=False),
    Column("segment", Name, nullable=False),
    Column("until", Moment, nullable=False),
    Column("author", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("created", Moment, nullable=False),
)

baselines = Table(
    "baselines",
    metadata,
    _id("number"),
    Column("start", Moment, nullable=False),
    Column("end", Moment, nullable=False),
    Column("reason", Words, nullable=False),
    Column("author", Words, nullable=False),
    Column("set_at", Moment, nullable=False),
    Column("source", Name, nullable=False),
    Column("of", Name, nullable=False, server_default=""),
)

# --- experiments ---------------------------------------------------------------------------------------------------

experiments = Table(
    "experiments",
    metadata,
    Column("kind", Words, primary_key=True),
    Column("source", Name, primary_key=True),
    Column("at", Moment, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
"""What was found out at one time, as compressed JSON: probes of an index, comparisons of two retrievers."""

keepsakes = Table(
    "keepsakes",
    metadata,
    Column("kind", Words, primary_key=True),
    Column("source", Name, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""What an experiment hands to the next one."""

diagnoses = Table(
    "diagnoses",
    metadata,
    Column("incident", Name, primary_key=True),
    Column("at", Moment, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
"""What was thought to have broken, each time that another thing was thought."""

# --- approvals -----------------------------------------------------------------------------------------------------

questions = Table(
    "questions",
    metadata,
    Column("key", Name, primary_key=True),
    Column("nonce", Words, nullable=False),
    Column("job_id", Name, nullable=False),
    Column("title", Words, nullable=False),
    Column("sentences", Json, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("state", Words, nullable=False),
    Column("decided_by", Words, nullable=False),
    Column("decided_name", Words, nullable=False),
    Column("decided_at", Moment),
    Column("channel", Words, nullable=False),
    Column("ts", Words, nullable=False),
    Column("shown", Words),
    Column("tried", Boolean, nullable=False),
    UniqueConstraint("job_id"),
)
"""Whether the model of a job may be switched on; ``key`` is the nonce's hash."""

clicks = Table(
    "clicks",
    metadata,
    _id("number"),
    Column("click_id", Name, nullable=False),
    Column("at", Moment, nullable=False),
    Column("question", Name, nullable=False),
    Column("job_id", Name, nullable=False),
    Column("user", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("state", Words),
    Column("why", Words, nullable=False),
    UniqueConstraint("click_id"),
    Index(None, "question"),
)
"""Everything that changed a question or tried to, in the order of ``number``; only appended to, and kept for ever."""

# --- the outbox ----------------------------------------------------------------------------------------------------

deliveries = Table(
    "deliveries",
    metadata,
    _id("delivery_id"),
    Column("transition", Name, ForeignKey("transitions.key"), nullable=False),
    Column("receiver", Name, nullable=False),
    Column("incident", Name, nullable=False),
    Column("check", Name, nullable=False),
    Column("segment", Name, nullable=False),
    Column("state", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("repeat", Boolean, nullable=False),
    Column("held_until", Moment),
    Column("retry_at", Moment),
    Column("leased_until", Moment),
    Column("finished_at", Moment),
    Column("outcome", Words, nullable=False),
    UniqueConstraint("transition", "receiver"),
    Index(None, "receiver", "state", "incident"),
)
"""One transition on its way to one receiver; ``state`` is waiting, done, dropped or parked."""

threads = Table(
    "threads",
    metadata,
    Column("receiver", Name, primary_key=True),
    Column("incident", Name, primary_key=True),
    Column("thread", Words, nullable=False),
)
"""What a receiver calls the message of an incident."""
