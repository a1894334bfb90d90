"""How often each interval that driftwatch shows holds the truth; it says 95 %.

    python benchmarks/coverage.py            # ten minutes; prints, and writes benchmarks/results/coverage.{json,md}
    python benchmarks/coverage.py traffic    # only intervals of that name; the others stay as they were measured last

Every setting draws data whose truth is known some thousands of times and counts how often the interval holds it. The
promise is 94 to 97 % in each. Rates are drawn anew within a fifth of the one named, because the coverage of any
interval of whole counts jumps up and down from one rate to the next (Brown, Cai and DasGupta 2001). "Thin" settings
expect fewer than three hits, or three lost canaries: no interval of whole counts can cover 97 % at most there without
covering far too little a step further, so the promise for them is 94 % at least. "Textbook" is what the same data get
without what driftwatch does about few hits, uneven days and sessions: Student's t for canaries, Wald's interval for a
share, Wilson's and Newcombe's without dispersion, Clopper and Pearson's for traffic, Welch's on every row for scores.

What each interval is about:

- canary change: the change of the mean measure over canaries like these (a suite is a sample of the questions that
  could have been asked), not only over exactly these;
- dispersed share: the change of the share behind the days that were seen, against what was expected;
- rate change, ratio of traffic, change of the mean and of the median score: the change beyond what days differ by
  anyway;
- D of the Kolmogorov-Smirnov test: a band for the true gap. D is above 0 without any change, so the band is as wide as
  the largest gap that chance makes, and covers more than it says where there is a change;
- effect of a page: the change of the share since the onset. The onset was searched for and the page waited for, which
  makes the effect look larger; the promise is 94 % at least, and it is kept within the error of the simulation;
- pages a quarter: exact, so at least 95 %.

"±" is the standard error of the simulation of one setting; the lowest of many settings is low by chance, too. "Outside"
counts the settings that are off by more than two of these errors. Ends with 1 when one is off by more than three.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._coverage import (
    Setting,
    canary_settings,
    check_settings,
    gap_settings,
    other_settings,
    score_settings,
    share_settings,
)
from benchmarks._coverage_pages import page_settings
from benchmarks._report import RESULTS, show_and_keep

LOWEST, HIGHEST = 0.94, 0.97


@dataclass(frozen=True)
class Covered:
    """What came out of one setting."""

    interval: str
    setting: str
    thin: bool
    draws: int
    covered: float
    textbook: float

    @property
    def off(self) -> float:
        """By how many standard errors of the simulation it is outside of what is promised."""
        beyond = 0.0 if self.thin else self.covered - HIGHEST
        return max(LOWEST - self.covered, beyond, 0.0) / _error(self.draws)


def main() -> int:
    words = sys.argv[1:]
    fresh = [measure(number, each) for number, each in enumerate(settings()) if _is_wanted(each.interval, words)]
    covered = in_order([*(each for each in last() if not _is_wanted(each.interval, words)), *fresh])
    facts = {"settings": [asdict(each) for each in covered]}
    show_and_keep("coverage", "How often a 95 % interval holds the truth", list(table(covered)), facts)
    for each in covered:
        if each.off > 2:
            where = f"{each.interval}: {each.setting}"
            print(f"{where}: {each.covered:.1%} ({each.off:.1f} standard errors outside)", file=sys.stderr)
    return int(any(each.off > 3 for each in covered))


def settings() -> Iterator[Setting]:
    return chain(
        canary_settings(),
        share_settings(),
        check_settings(),
        score_settings(),
        gap_settings(),
        page_settings(),
        other_settings(),
    )


def measure(number: int, setting: Setting) -> Covered:
    random = np.random.default_rng([20261121, number])
    ours, textbook = np.mean([setting.draw(random) for _ in range(setting.draws)], axis=0)
    return Covered(setting.interval, setting.text, setting.thin, setting.draws, float(ours), float(textbook))


def last() -> list[Covered]:
    """What was measured last, if anything was."""
    kept = RESULTS / "coverage.json"
    return [Covered(**each) for each in json.loads(kept.read_text())["settings"]] if kept.exists() else []


def in_order(covered: list[Covered]) -> list[Covered]:
    """As ``settings`` has them; what is no setting any more is left out."""
    places = {(each.interval, each.text): place for place, each in enumerate(settings())}
    known = [each for each in covered if (each.interval, each.setting) in places]
    return sorted(known, key=lambda each: places[each.interval, each.setting])


def table(covered: list[Covered]) -> Iterator[dict[str, object]]:
    """One row an interval, thin settings apart."""
    for name in dict.fromkeys(each.interval for each in covered):
        for thin in (False, True):
            rows = [each for each in covered if each.interval == name and each.thin == thin]
            if rows:
                yield _row(name + (", thin" if thin else ""), rows)


def _row(name: str, rows: list[Covered]) -> dict[str, object]:
    low, high = min(rows, key=lambda each: each.covered), max(rows, key=lambda each: each.covered)
    textbook = [each.textbook for each in rows]
    return {
        "interval": name,
        "settings": len(rows),
        "lowest": f"{low.covered:.1%}",
        "mean": f"{np.mean([each.covered for each in rows]):.1%}",
        "highest": f"{high.covered:.1%}",
        "±": f"{max(_error(each.draws) for each in rows):.1%}",
        "outside": sum(each.off > 2 for each in rows),
        "lowest at": low.setting,
        "textbook": f"{min(textbook):.1%} to {max(textbook):.1%}" if any(textbook) else "",
    }


def _error(draws: int) -> float:
    return float(np.sqrt(0.95 * 0.05 / draws))


def _is_wanted(interval: str, words: list[str]) -> bool:
    return not words or any(word in interval for word in words)


if __name__ == "__main__":
    sys.exit(main())
