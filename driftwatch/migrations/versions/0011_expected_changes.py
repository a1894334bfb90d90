"""Changes that are announced at run time; and an index from which the course of a check is read without its details."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "expected_changes",
        sa.Column("change_id", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("change_id", name="pk_expected_changes"),
    )
    name = "ix_findings_check_segment_at_verdict_value_evidence"
    op.create_index(name, "findings", ["check", "segment", "at", "verdict", "value", "evidence"])
