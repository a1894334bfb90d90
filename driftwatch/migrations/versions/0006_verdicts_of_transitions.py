"""Whether what fired was a page or a warning."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("transitions", sa.Column("verdict", sa.Text(), nullable=False, server_default=""))
