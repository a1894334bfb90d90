"""The evidence that every check carries from look to look."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from driftwatch.store.columns import Name

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "ledgers",
        sa.Column("check", Name, primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
