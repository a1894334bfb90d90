"""Baselines that a release brings hold only for what a new model changes by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("baselines", sa.Column("of", sa.Text(), nullable=False, server_default=""))
