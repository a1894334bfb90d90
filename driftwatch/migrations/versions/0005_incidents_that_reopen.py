"""The incident that an alert was resolved in, for when it soon fires again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("last_incident", sa.Text(), nullable=False, server_default=""))
    op.add_column("alerts", sa.Column("resolved_at", sa.BigInteger(), nullable=True))
