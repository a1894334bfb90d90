"""The table of weekly messages, beside those of ``tables``."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, Table

from driftwatch.store.columns import Moment, Name, Words
from driftwatch.store.tables import metadata

weekly = Table(
    "weekly",
    metadata,
    Column("receiver", Name, primary_key=True),
    Column("week", Name, primary_key=True),
    Column("state", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("repeat", Boolean, nullable=False),
    Column("announced_at", Moment, nullable=False),
    Column("retry_at", Moment),
    Column("leased_until", Moment),
    Column("finished_at", Moment),
    Column("outcome", Words, nullable=False),
    Column("remembered", Words, nullable=False),
)
"""One week on its way to one receiver; ``state`` is waiting, done or parked; ``remembered`` is what the receiver has
already, as JSON. Kept for ever: a row a week.
"""
