"""Four weeks in a database, once for all tests that only read it; and the last week, reported."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from driftwatch.report.spans import span_of
from driftwatch.report.week import build_week
from driftwatch.reported import Week
from driftwatch.store import Store
from tests.fakes import four_weeks


@dataclass(frozen=True)
class History:
    """The four weeks: through the store, as bare rows, and the report of the last of them."""

    store: Store
    path: Path
    week: Week

    def rows(self, query: str, *given: Any) -> list[tuple[Any, ...]]:
        """What plain SQL gives."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query, given).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Read only: it is shared."""
    path = tmp_path_factory.mktemp("four weeks") / "driftwatch.db"
    store = Store.open(f"sqlite:///{path}", lasting=False)
    four_weeks.fill(store)
    week = build_week(store, four_weeks.about(), span_of("2026-W44", four_weeks.BERLIN))
    yield History(store, path, week)
    store.close()
