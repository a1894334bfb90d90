"""How often each interval that driftwatch shows holds the truth; it says 95 %.

    python benchmarks/coverage.py      # minutes; prints, and writes benchmarks/results/coverage.{json,md}

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
  anyway. D of the Kolmogorov-Smirnov test has no interval: without any change it is still above 0, and no two-sided
  interval of it is honest where it matters;
- pages a quarter: exact, so at least 95 %.

Ends with 1 when a setting is outside by more than three standard errors of the simulation.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._coverage import (
    Setting,
    canary_settings,
    check_settings,
    other_settings,
    score_settings,
    share_settings,
)
from benchmarks._report import show_and_keep

LOWEST, HIGHEST = 0.94, 0.97


@dataclass(frozen=True)
class Covered:
    """What came out of one setting."""

    setting: Setting
    ours: float
    textbook: float

    @property
    def off(self) -> float:
        """By how many standard errors of the simulation it is outside of what is promised."""
        error = np.sqrt(0.95 * 0.05 / self.setting.draws)
        beyond = 0.0 if self.setting.thin else self.ours - HIGHEST
        return float(max(LOWEST - self.ours, beyond, 0.0) / error)


def main() -> int:
    start = time.perf_counter()
    covered = [measure(number, setting) for number, setting in enumerate(settings())]
    rows = list(table(covered))
    facts = {
        "seconds": round(time.perf_counter() - start),
        "settings": [
            {
                "interval": each.setting.interval,
                "setting": each.setting.text,
                "thin": each.setting.thin,
                "draws": each.setting.draws,
                "covered": each.ours,
                "textbook": each.textbook,
            }
            for each in covered
        ],
    }
    show_and_keep("coverage", "How often a 95 % interval holds the truth", rows, facts)
    for each in covered:
        if each.off > 2:
            print(
                f"{each.setting.interval}: {each.setting.text}: {each.ours:.1%} ({each.off:.1f} errors)",
                file=sys.stderr,
            )
    return int(any(each.off > 3 for each in covered))


def settings() -> Iterator[Setting]:
    wanted = sys.argv[1:]
    families = chain(canary_settings(), share_settings(), check_settings(), score_settings(), other_settings())
    return (each for each in families if not wanted or any(word in each.interval for word in wanted))


def measure(number: int, setting: Setting) -> Covered:
    random = np.random.default_rng([20261121, number])
    ours, textbook = np.mean([setting.draw(random) for _ in range(setting.draws)], axis=0)
    return Covered(setting, float(ours), float(textbook))


def table(covered: list[Covered]) -> Iterator[dict[str, object]]:
    """One row an interval, thin settings apart."""
    for name in dict.fromkeys(each.setting.interval for each in covered):
        for thin in (False, True):
            rows = [each for each in covered if each.setting.interval == name and each.setting.thin == thin]
            if rows:
                yield _row(name + (", thin" if thin else ""), rows)


def _row(name: str, rows: list[Covered]) -> dict[str, object]:
    ours, textbook = ([getattr(each, side) for each in rows] for side in ("ours", "textbook"))
    low, high = min(rows, key=lambda each: each.ours), max(rows, key=lambda each: each.ours)
    return {
        "interval": name,
        "settings": len(rows),
        "lowest": f"{low.ours:.1%}",
        "mean": f"{np.mean(ours):.1%}",
        "highest": f"{high.ours:.1%}",
        "outside": sum(each.off > 2 for each in rows),
        "lowest at": low.setting.text,
        "textbook": f"{min(textbook):.1%} to {max(textbook):.1%}",
    }


if __name__ == "__main__":
    sys.exit(main())
