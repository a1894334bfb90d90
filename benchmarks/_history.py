"""A stored history of simulated traffic: what a daemon would have kept of it, without a log to read first."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np

from benchmarks._traffic import LANGUAGES, Day, Traffic
from driftwatch.sampling import Batch, Kept
from driftwatch.store import Store
from driftwatch.types import TALLY_FIELDS, Observation, ScoredDoc

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOURS = 24
KEPT_A_DAY = 2000


def keep_days(store: Store, source: str, traffic: Traffic, days: int, *, seed: int, kept: int = KEPT_A_DAY) -> None:
    """Count and sample ``days`` days of ``traffic``: exact tallies of everything, ``kept`` sampled units a day."""
    random = np.random.default_rng(seed)
    for day in traffic.days(days):
        units = day.units()
        rows, thresholds = _sampled(units, random, kept)
        store.traffic.ingest(
            Batch(
                source=source,
                cursor={},
                tallies=_tallies(day, units),
                kept=rows,
                thresholds=thresholds,
                lines=len(day),
            )
        )


def _tallies(day: Day, units: Day) -> dict[tuple[int, str], list[int]]:
    """(hour, language) -> counts; rows and units are counted alike, each under its own names."""
    cells: dict[tuple[int, str], list[int]] = {}
    for prefix, rows in (("", day), ("units_", units)):
        found, given = ~rows.empty, rows.feedback != 0
        columns = {
            "units" if prefix else "queries": np.ones(len(rows), bool),
            f"{prefix}results_known": np.ones(len(rows), bool),
            f"{prefix}empty": ~found,
            f"{prefix}abstention_known": np.ones(len(rows), bool),
            f"{prefix}abstained": rows.abstained,
            f"{prefix}feedback_known": given,
            f"{prefix}up": rows.feedback > 0,
            f"{prefix}down": rows.feedback < 0,
        }
        first = int(day.hour.min())
        place = (rows.hour - first) * len(LANGUAGES) + rows.lang
        for name, mask in columns.items():
            counts = np.bincount(place[mask], minlength=HOURS * len(LANGUAGES))
            for cell in np.flatnonzero(counts):
                hour, lang = divmod(int(cell), len(LANGUAGES))
                row = cells.setdefault((first + hour, LANGUAGES[lang]), [0] * len(TALLY_FIELDS))
                row[TALLY_FIELDS.index(name)] = int(counts[cell])
    return cells


def _sampled(
    units: Day, random: np.random.Generator, kept: int
) -> tuple[tuple[Kept, ...], dict[tuple[date, str], float]]:
    """The sample of one day, each language its own stratum, small ones whole."""
    at = EPOCH + timedelta(hours=int(units.hour.min()))
    room = _rooms(np.bincount(units.lang, minlength=len(LANGUAGES)), kept)
    rows: list[Kept] = []
    thresholds = {}
    for lang, most in enumerate(room):
        places = np.flatnonzero(units.lang == lang)
        if not len(places):
            continue
        share = min(1.0, most / len(places))
        chosen = np.sort(random.choice(places, size=min(most, len(places)), replace=False))
        thresholds[at.date(), LANGUAGES[lang]] = share
        rows += [_row(units, int(place), float(random.random() * share)) for place in chosen]
    rows.sort(key=lambda row: row.observation.at)
    return tuple(rows), thresholds


def _rooms(counts: np.ndarray, kept: int) -> list[int]:
    """How many of each language are kept: the largest give way until all fit."""
    cap = int(counts.max(initial=0))
    while np.minimum(counts, cap).sum() > kept:
        cap = int(cap * 0.98)
    return [int(room) for room in np.minimum(counts, cap)]


def _row(units: Day, place: int, priority: float) -> Kept:
    hour = EPOCH + timedelta(hours=int(units.hour[place]))
    at = hour + timedelta(seconds=3600 * ((place * 0.61803) % 1))
    score = float(units.score[place])
    hits = () if np.isnan(score) else tuple(ScoredDoc(f"d{n}", round(score - 0.02 * n, 4)) for n in range(3))
    query_id = f"q{units.index}-{place}"
    observation = Observation(at=at, source="live", query_id=query_id, lang=LANGUAGES[units.lang[place]], hits=hits)
    return Kept(priority, at.date(), observation, LANGUAGES[units.lang[place]])
