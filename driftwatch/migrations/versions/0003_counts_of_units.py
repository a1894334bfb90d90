"""Independent units are counted beside lines; of what was counted before, a line is all that is known of a unit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

COUNTERS = {
    "units": "queries",
    "units_results_known": "results_known",
    "units_empty": "empty",
    "units_abstention_known": "abstention_known",
    "units_abstained": "abstained",
    "units_feedback_known": "feedback_known",
    "units_up": "up",
    "units_down": "down",
    "units_click": "click",
    "units_accepted": "accepted",
}


def upgrade() -> None:
    for name in COUNTERS:
        op.add_column("tallies", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    tallies = sa.table("tallies", *(sa.column(name) for pair in COUNTERS.items() for name in pair))
    op.execute(tallies.update().values({name: tallies.c[lines] for name, lines in COUNTERS.items()}))
