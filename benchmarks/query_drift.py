"""New topics: false alarms on traffic whose topics wax and wane, and how long a new one takes to be seen.

    python benchmarks/query_drift.py [--seeds 5] [--days 200]

Generated embeddings (``_topics.py``): sixty topics by Zipf whose popularity varies from day to day, weekends, twenty
languages. The check and its ledger are the real ones; a page is due at 600 days of evidence, which is what the check's
part of one false page in 90 days comes to. ``far``: a direction of its own; ``near``: as similar to a known topic as
that topic's own questions are to each other.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from _report import show_and_keep
from _topics import NewTopic, Questions, TopicNuisance
from numpy.typing import NDArray
from scipy.stats import chi2

from driftwatch.checks._counted import Watched, watch
from driftwatch.checks.query_drift import QueryDrift
from driftwatch.columns import Contents
from driftwatch.stats.book import Book
from driftwatch.types import Sample, Window

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
BASELINE, PATIENCE = 28, 28
"""Days."""
NEEDED = 600.0
SIZES = (0.02, 0.05, 0.10, 0.20)
CHECK = QueryDrift(name="new topics", source="live")
QUESTIONS = TopicNuisance(dimensions=384, sampled_per_day=1000)


@dataclass(frozen=True)
class Stream:
    """One simulated service after its baseline."""

    questions: Questions
    baseline: Window
    watched: Watched


def window(vectors: NDArray[np.floating[Any]], day: int, days: int = 1) -> Window:
    """The questions of ``days`` days as a check is given them, one unit each, spread over the hours."""
    n, start = len(vectors), START + day * DAY
    half = vectors.astype(np.float16)
    at = np.datetime64(start.replace(tzinfo=None), "us") + np.arange(n) * (days * 86_400_000_000 // n)
    unit = np.random.default_rng(day).integers(0, 2**62, n)
    ids = np.array([f"{day}-{number}" for number in range(n)])
    sample = Sample(ids, at, np.full(n, "en"), unit, np.ones(n), np.empty((n, 0), np.float32))
    everything = np.ones(n, bool)
    contents = Contents(sample, everything, everything, lambda rows: half[rows], None)
    return Window(start, start + days * DAY, sample=replace(sample, contents=contents))


def stream(seed: int, new: NewTopic, watched: Watched | None = None, baseline: Window | None = None) -> Stream:
    """A service that has recorded its baseline; what that says does not depend on what is new later."""
    questions = Questions(QUESTIONS, seed, new)
    days = list(questions.days(BASELINE))
    baseline = baseline or window(np.concatenate(days), 0, BASELINE)
    watched = watched or watch(CHECK, baseline, NEEDED)
    assert watched is not None
    return Stream(questions, baseline, watched)


def evidence(given: Stream, days: int) -> Iterator[tuple[float, float]]:
    """(days since the baseline, days of evidence) at each hour; the ledger starts again after a page."""
    watched = given.watched
    book, silent = Book.empty(watched.normal), np.zeros(len(watched.segments), bool)
    for day, vectors in enumerate(given.questions.days(days)):
        counted = watched.count(window(vectors, BASELINE + day))
        for hour in range(len(counted)):
            book, held = watched.ledger.fold(book, counted.keep(slice(hour, hour + 1)), silent)
            total = float(watched.evidence(held)[-1].sum())
            yield day + (hour + 1) / 24, total
            if total >= NEEDED:
                book = book.cleared(~silent)


def delay(given: Stream) -> float:
    """Days until the first page; infinite when none comes in ``PATIENCE`` days."""
    return next((at for at, days in evidence(given, PATIENCE) if days >= NEEDED), math.inf)


def p_values(given: Stream, days: int) -> list[float]:
    """The p-value that each of the next days is shown with."""
    return [
        CHECK.judge(window(vectors, BASELINE + day), given.baseline, None).p_value or 0.0
        for day, vectors in enumerate(given.questions.days(days))
    ]


def main(seeds: int, days: int) -> None:
    quiet = NewTopic(10**9)
    found: dict[str, list[float]] = {f"{how} {size:.0%}": [] for how in ("far", "near") for size in SIZES}
    pages, shown = 0, []
    for seed in range(1, seeds + 1):
        null = stream(seed, quiet)
        pages += sum(total >= NEEDED for _, total in evidence(null, days))
        shown += p_values(null, PATIENCE)
        for name in found:
            how, _, size = name.partition(" ")
            new = NewTopic(BASELINE, float(size.rstrip("%")) / 100, how)  # type: ignore[arg-type]
            found[name].append(delay(stream(seed, new, null.watched, null.baseline)))
    years = seeds * days / 365.25
    rows = [
        {"what": f"nothing new: pages in {years:.1f} years", "result": f"{pages}", "note": _upper(pages, years)},
        {
            "what": "nothing new: days shown with p < .05",
            "result": f"{np.mean(np.array(shown) < 0.05):.1%}",
            "note": "",
        },
        *({"what": f"new topic, {name}: days to page", **_delays(delays)} for name, delays in found.items()),
    ]
    show_and_keep("query_drift", "New topics", rows, {"pages": pages, "years": years, "p": shown, "delays": found})


def _upper(pages: int, years: float) -> str:
    """The exact Poisson bound."""
    return f"at most {chi2.ppf(0.95, 2 * pages + 2) / 2 / years:.2f} a year (95 %); its budget is 0.61"


def _delays(delays: list[float]) -> dict[str, str]:
    seen = f"{np.mean(np.isfinite(delays)):.0%} seen within {PATIENCE} days"
    middle, late = np.quantile(delays, [0.5, 0.9], method="inverted_cdf")
    return {"result": f"{middle:.1f} ({late:.1f})", "note": f"median (90 %) of {len(delays)}; {seen}"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--days", type=int, default=200, help="days without anything new, of each seed")
    given = parser.parse_args()
    main(given.seeds, given.days)
