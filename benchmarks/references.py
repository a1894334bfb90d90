"""Our statistics beside those of scipy and beside brute force: the largest difference, and the time each takes.

    python benchmarks/references.py    # a minute; prints, and writes benchmarks/results/references.{json,md}

Thousands of seeded cases with ties, samples of one, values from 1e-300 to 1e300, weights, and tails down to 1e-280. A
difference of a p-value is relative, any other absolute, in units of the values' range. "Approximates" marks rows where
the reference computes something else on purpose (the exact p-value, a finite number of draws): there the difference is
how good the approximation is. Ends with 1 when an exact row differs by more than 1e-6, or when the Kolmogorov-Smirnov
test of 2,000 scores against a kept baseline of 56,000 takes more than half of the time of `scipy.stats.ks_2samp`.
"""

from __future__ import annotations

import sys
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._references import KS_AT_WORK, Reference, references
from benchmarks._report import show_and_keep

TOLERANCE, SHARE_OF_TIME = 1e-6, 0.5


def main() -> int:
    found = [compared(each) for each in references()]
    rows = [
        {
            "ours": row["ours"],
            "reference": row["reference"],
            "cases": f"{row['cases']:,}",
            "largest difference": f"{row['difference']:.1e}" + ("" if row["exact"] else " (approximates)"),
            "ours takes": _time(row["seconds"]),
            "reference takes": _time(row["reference_seconds"]),
            "share": f"{row['seconds'] / row['reference_seconds']:.3f}",
        }
        for row in found
    ]
    show_and_keep("references", "The statistics beside their references", rows, {"rows": found})
    wrong = [row["ours"] for row in found if row["exact"] and not row["difference"] <= TOLERANCE]
    slow = [
        row["ours"]
        for row in found
        if row["reference"] == KS_AT_WORK and row["seconds"] > SHARE_OF_TIME * row["reference_seconds"]
    ]
    for name in wrong:
        print(f"{name} differs from its reference", file=sys.stderr)
    for name in slow:
        print(f"{name} takes more than half of the reference's time", file=sys.stderr)
    return int(bool(wrong or slow))


def compared(reference: Reference) -> dict[str, object]:
    """The largest difference over all cases, and the best time of each side on the case at work."""
    largest = max(reference.difference(case) for case in reference.cases())
    return {
        "ours": reference.ours_name,
        "reference": reference.name,
        "cases": sum(1 for _ in reference.cases()),
        "exact": reference.exact,
        "difference": largest,
        "seconds": _best(lambda: reference.ours(*reference.at_work)),
        "reference_seconds": _best(lambda: reference.theirs(*reference.at_work)),
    }


def _best(call: object) -> float:
    timer = timeit.Timer(call)  # type: ignore[arg-type]
    once = max(timer.timeit(1), 1e-7)
    number = max(1, min(2_000, int(0.03 / once)))
    return min(timer.repeat(5, number)) / number


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} µs" if seconds < 1e-3 else f"{1e3 * seconds:,.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
