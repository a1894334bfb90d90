"""Counters that only grow, for ``/metrics``: they begin at zero."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0011"

COUNTED = (
    "queries",
    "results_known",
    "empty",
    "abstention_known",
    "abstained",
    "feedback_known",
    "up",
    "down",
    "click",
    "accepted",
    "detected",
    "errors",
)
OUTCOMES = ("success", "failure", "insufficient_data", "skipped")


def upgrade() -> None:
    op.create_table(
        "totals",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTED),
        sa.PrimaryKeyConstraint("source", "language", name="pk_totals"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "named_languages",
        sa.Column("language", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("language", name="pk_named_languages"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "looks",
        sa.Column("check", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        *(sa.Column(outcome, sa.BigInteger(), nullable=False) for outcome in OUTCOMES),
        sa.PrimaryKeyConstraint("check", name="pk_looks"),
        sqlite_with_rowid=False,
    )
