"""What a finding adds to the false-page budget."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("findings", sa.Column("evidence", sa.Double(), nullable=True))
    op.add_column("findings", sa.Column("share", sa.Double(), nullable=True))
    op.add_column("findings", sa.Column("onset", sa.BigInteger(), nullable=True))
    op.add_column("findings", sa.Column("pages", sa.Boolean(), nullable=False, server_default=sa.false()))
