"""How fast the store hands out what it keeps: samples and tallies of an hour, a day, a week, and a year by weeks.

    python benchmarks/store_reading.py [--days 365]

A store of 20 languages by Zipf with 18,000 sampled rows a day (up to 20 scores each, what people read of a query as it
is kept) is written to a temporary folder, 650 bytes a row. Each reading is done several times: the least time counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._report import show_and_keep
from driftwatch.store import Store
from driftwatch.store.columns import EPOCH_DAY, micros
from driftwatch.types import TALLY_FIELDS

SEED, ROWS_A_DAY = 20260521, 18_000
START, DAY, HOUR = datetime(2025, 5, 5, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
LANGUAGES = [f"l{number:02}" for number in range(20)]
BODY = json.dumps(
    {
        "text": "wie kann ich mein passwort zurücksetzen und wo finde ich die rechnung",
        **{"lang_detected": False, "session": "0123456789abcdef", "score_kind": "similarity", "relevant": {}},
        **{"expect_empty": False, "abstained": False, "feedback": None, "versions": {}, "error": None, "digest": ""},
        **{"attempt": 0, "hits": [[f"doc-{place}", round(0.9 - place / 100, 2)] for place in range(10)]},
    },
    ensure_ascii=False,
)
COLUMNS = ("source", "at", "day", "stratum", "priority", "lang", "query_id", "query_hash", "unit", "scores", "body")


def sampled_rows(day: date, chance: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """The rows of one day, in the order of time."""
    midnight = micros(datetime.combine(day, datetime.min.time(), UTC))
    share = 1 / np.arange(1, 21)
    langs = chance.choice(LANGUAGES, ROWS_A_DAY, p=share / share.sum()).tolist()
    at = (midnight + np.sort(chance.integers(0, 86_400_000_000, ROWS_A_DAY))).tolist()
    units = chance.integers(-(2**63), 2**63 - 1, ROWS_A_DAY).tolist()
    scores = np.sort(chance.normal(0.8, 0.05, (ROWS_A_DAY, 20)).astype("f4"))[:, ::-1]
    found = chance.integers(10, 21, ROWS_A_DAY) * (chance.random(ROWS_A_DAY) > 0.03)
    for row, lang in enumerate(langs):
        query_id, packed = f"q-{day:%m%d}-{row:05}", scores[row, : found[row]].tobytes()
        number = (day - EPOCH_DAY).days
        yield "live", at[row], number, lang, row / ROWS_A_DAY, lang, query_id, row, units[row], packed, BODY


def fill(path: Path, days: int) -> None:
    """Past the store's own way of writing, which samples."""
    chance = np.random.default_rng(SEED)
    insert = "INSERT INTO {} ({}) VALUES ({})".format
    tallies = insert("tallies", ", ".join(("source", "hour", "lang", *TALLY_FIELDS)), "'live', ?, ?" + ", 40" * 22)
    sampled = insert("sampled", ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS)))
    thresholds = insert("thresholds", "source, day, stratum, threshold", "'live', ?, ?, 0.5")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for day in (START.date() + number * DAY for number in range(days)):
            number = (day - EPOCH_DAY).days
            connection.executemany(sampled, sampled_rows(day, chance))
            connection.executemany(thresholds, [(number, lang) for lang in LANGUAGES])
            connection.executemany(tallies, [(number * 24 + hour, lang) for hour in range(24) for lang in LANGUAGES])
            connection.commit()


def weeks(days: int) -> Iterator[tuple[datetime, datetime]]:
    for start in range(0, days, 7):
        yield START + start * DAY, START + min(start + 7, days) * DAY


def least(read: Callable[[], int], times: int) -> tuple[int, float]:
    """Rows, and seconds of processor time: a busy machine must not decide."""
    taken, rows = [], 0
    for _ in range(times):
        before = time.process_time()
        rows = read()
        taken.append(time.process_time() - before)
    return rows, min(taken)


def readings(store: Store, days: int) -> dict[str, tuple[int, float]]:
    """What is read -> rows and seconds."""
    traffic, middle = store.traffic, START + days // 2 * DAY + 10 * HOUR
    taken: dict[str, tuple[int, float]] = {}

    def sample(start: datetime, end: datetime, ids: bool) -> int:
        return len(traffic.sample("live", start, end, ids=ids))

    def tallies(start: datetime, end: datetime) -> int:
        return len(traffic.tallies("live", start, end).hour)

    for title, span, times in (("1 hour", HOUR, 30), ("24 hours", DAY, 10), ("7 days", 7 * DAY, 3)):
        end = middle + span
        taken[f"sample, {title}"] = least(partial(sample, middle, end, True), times)
        taken[f"sample, {title}, without ids"] = least(partial(sample, middle, end, False), times)
        taken[f"tallies, {title}"] = least(partial(tallies, middle, end), times)
    whole = f"{days} days by weeks"
    taken[f"sample, {whole}"] = least(lambda: sum(sample(*week, ids=True) for week in weeks(days)), 1)
    taken[f"sample, {whole}, without ids"] = least(lambda: sum(sample(*week, ids=False) for week in weeks(days)), 1)
    taken[f"tallies, {days} days at once"] = least(partial(tallies, START, START + days * DAY), 2)
    return taken


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=int, default=365)
    days = options.parse_args().days
    with TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/driftwatch.db")
        fill(Path(folder) / "driftwatch.db", days)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        taken = readings(store, days)
        rise = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        megabytes = store.size() / 1e6
        store.close()
    rows = [
        {
            "read": title,
            "rows": f"{count:,}",
            "milliseconds": f"{seconds * 1000:,.2f}",
            "rows a second": f"{count / seconds:,.0f}",
        }
        for title, (count, seconds) in taken.items()
    ]
    raw = {title: {"rows": count, "seconds": seconds} for title, (count, seconds) in taken.items()}
    title = f"Reading a store of {megabytes:,.0f} MB (the process grew by {rise:.0f} MB)"
    show_and_keep("store_reading", title, rows, {"days": days, "readings": raw, "rise_mb": rise})


if __name__ == "__main__":
    main()
