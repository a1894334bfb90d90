"""What users said, beside the sample: also on later lines of a session. What the sample holds of it is taken over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TAKEN_OVER = ("source", "at", "day", "stratum", "priority", "lang", "query_id", "query_hash", "body")


def upgrade() -> None:
    feedback = op.create_table(
        "feedback",
        sa.Column(
            "row_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("stratum", sa.Text(), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("lang", sa.Text(), nullable=False),
        sa.Column("query_id", sa.Text(), nullable=False),
        sa.Column("query_hash", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("row_id", name="pk_feedback"),
        sa.UniqueConstraint(
            "source", "day", "stratum", "priority", "line", name="uq_feedback_source_day_stratum_priority_line"
        ),
    )
    op.create_index("ix_feedback_source_at", "feedback", ["source", "at"])
    op.create_index("ix_feedback_source_query_hash", "feedback", ["source", "query_hash"])
    op.create_table(
        "feedback_days",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stratum", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "day", "stratum", name="pk_feedback_days"),
        sqlite_with_rowid=False,
    )
    _take_over(feedback)


def _take_over(feedback: sa.Table) -> None:
    """How many lines there were on those days is not known: only what the sample kept of them."""
    sampled = sa.table("sampled", *(sa.column(name, sa.Text()) for name in TAKEN_OVER))
    said = sampled.c.body.contains('"feedback":"') & ~sampled.c.body.contains('"feedback":"none"')
    rows = sa.select(*(sampled.c[name] for name in TAKEN_OVER), sa.literal(0, sa.BigInteger())).where(said)
    op.execute(sa.insert(feedback).from_select([*TAKEN_OVER, "line"], rows))
