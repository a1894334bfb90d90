"""The tables behind the counters of ``/metrics``: what they hold only grows, whatever is deleted elsewhere."""

from __future__ import annotations

from typing import Literal, get_args

from sqlalchemy import BigInteger, Column, Table

from driftwatch.store.columns import Moment, Name, Number
from driftwatch.store.tables import metadata
from driftwatch.types import TALLY_FIELDS

Outcome = Literal["success", "failure", "insufficient_data", "skipped"]
"""What became of one look of one check."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

COUNTED = TALLY_FIELDS[: TALLY_FIELDS.index("units")]
"""The columns of ``types.Tallies`` that count lines."""

totals = Table(
    "totals",
    metadata,
    Column("source", Name, primary_key=True),
    Column("language", Name, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in COUNTED),
    sqlite_with_rowid=False,
)
"""Everything that was ever counted; ``language`` is one that is named outside, ``other`` or ``unknown``."""

named_languages = Table(
    "named_languages",
    metadata,
    Column("language", Name, primary_key=True),
    sqlite_with_rowid=False,
)
"""The languages that are named outside where the configuration lists none."""

looks = Table(
    "looks",
    metadata,
    Column("check", Name, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("succeeded_at", Moment),
    Column("seconds", Number, nullable=False),
    *(Column(outcome, BigInteger, nullable=False) for outcome in OUTCOMES),
    sqlite_with_rowid=False,
)
"""The newest look of each check, and how many of its looks had which outcome."""
