"""The effect that a page shows: one language in a ledger, from the baseline to the page."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks._coverage import Draw, Floats, Random, Setting, Z, inside
from driftwatch.stats.book import Book
from driftwatch.stats.history import History, Onset
from driftwatch.stats.ledger import Ledger
from driftwatch.stats.normal import Quantity, learn
from driftwatch.stats.shares import Shares

QUIET, LONGEST, NEEDED = 5, 60, 300.0
FIRST = 20_000 * 24


def page(per_hour: float, p: float, rho: float, change: float) -> Draw:
    """The share of one language rises by ``change`` after some quiet days; its ledger is asked when it pages."""

    def draw(random: Random) -> tuple[bool, bool]:
        while True:
            found = _first_page(random, per_hour, p, rho, change)
            if found is not None:
                return inside(found.interval, change), inside(wald(found), change)

    def wald(found: Onset) -> tuple[float, float]:
        share = min(max(p + found.effect, 0.0), 1.0)
        reach = Z * np.sqrt(share * (1 - share) / found.n)
        return found.effect - reach, found.effect + reach

    return draw


def _first_page(random: Random, per_hour: float, p: float, rho: float, change: float) -> Onset | None:
    """None: it paged before the change, or not at all."""
    baseline = _hours(random, FIRST, np.full(28, p), per_hour, rho)
    normal = learn(baseline, (Quantity("share", 0, +1, 0.5, 0.1, 1.0, relative=True),))
    ledger = Ledger(normal, cap=0.5 * float(np.log(8 * NEEDED)))
    book, nobody = Book.empty(normal, FIRST + 28 * 24 - 1), np.zeros(3, bool)
    for day in range(LONGEST):
        level = np.array([p + change * (day >= QUIET)])
        book, days = ledger.fold(book, _hours(random, FIRST + (28 + day) * 24, level, per_hour, rho), nobody)
        if days[-1, 0, 0] >= NEEDED:
            return History(ledger, book).onset(0, 0) if day >= QUIET else None
    return None


def _hours(random: Random, first: int, level: Floats, per_hour: float, rho: float) -> Shares:
    n = random.poisson(per_hour, 24 * len(level))
    k = (1 - rho) / rho
    hits = random.binomial(n, np.repeat(random.beta(level * k, (1 - level) * k), 24))
    both = [np.stack([each, 0 * each], axis=1).astype(float) for each in (n, hits)]
    return Shares(np.arange(first, first + len(n)), ("de", "rest"), both[0], both[1][:, :, None])


def page_settings() -> Iterator[Setting]:
    for per_hour, p, rho, change in (
        (40, 0.02, 0.001, 0.01),
        (40, 0.02, 0.001, 0.02),
        (40, 0.02, 0.001, 0.04),
        (10, 0.05, 0.005, 0.05),
        (200, 0.1, 0.005, 0.05),
        (200, 0.5, 0.002, 0.25),
    ):
        text = f"{per_hour} units an hour, {p:.0%} rises by {change:.0%}, correlation {rho}"
        yield Setting("effect of a page", text, page(per_hour, p, rho, change), 200, True)
