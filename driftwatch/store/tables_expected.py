"""The table of expected changes, beside those of ``tables``."""

from __future__ import annotations

from sqlalchemy import Column, Table

from driftwatch.store.columns import Moment, Name, Words
from driftwatch.store.tables import metadata

expected_changes = Table(
    "expected_changes",
    metadata,
    Column("change_id", Name, primary_key=True),
    Column("start", Moment, nullable=False),
    Column("end", Moment, nullable=False),
    Column("reason", Words, nullable=False),
    Column("author", Words, nullable=False),
    Column("created", Moment, nullable=False),
    Column("ended_by", Words, nullable=False, server_default=""),
)
"""Stretches of time in which nothing is evidence; kept for ever, since what was folded in them was not."""
