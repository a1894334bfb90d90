"""Does the gate ever let a worse model through, and how often a better one? Simulated candidates whose truth is known.

    python benchmarks/gate.py                       # prints, and writes benchmarks/results/gate.{json,md}
    python benchmarks/gate.py --candidates 1000

Each candidate is judged once, by `driftwatch.retrain.gate.judge` with its default settings, on questions drawn anew. A
false promotion is any of a candidate that nobody should want: no better on questions that it never saw, or worse for
somebody. `_candidates.py` says how questions and answers are drawn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from _candidates import Kind, World, drawn
from _report import show_and_keep

from driftwatch.retrain.gate import judge
from driftwatch.retrain.settings import Gate

AT_MOST = 0.01
SEED = 20_261_121
WORLDS = (
    World("60", {"en": 15, "de": 9}, {"en": 22, "de": 14}),
    World("150", {"en": 30, "de": 20}, {"en": 60, "de": 40}),
    World("400", {"en": 80, "de": 50}, {"en": 160, "de": 110}),
    World("1,600", {"en": 250, "de": 150}, {"en": 700, "de": 500}),
)
KINDS = (
    Kind("better by 3 points", 0.03, 0.03),
    Kind("better by 10 points", 0.10, 0.10),
    Kind("equal", 0.0, 0.0),
    Kind("worse overall, by 3 points", -0.03, -0.03),
    Kind("better by 5 points, worse by 5 in one language", 0.05, 0.05, -0.05),
    Kind("better by 5 points, worse by 2.5 in one language", 0.05, 0.05, -0.025),
    Kind("overfitted: better by 10 points on the canaries, equal elsewhere", 0.10, 0.0),
)


LARGE = {"better by 3 points", KINDS[-2].name, KINDS[-1].name}
"""What is simulated with the most questions: the gain that is to be seen, and what comes nearest to passing."""


def promoted(world: World, kind: Kind, candidates: int) -> dict[str, Any]:
    """How many of so many candidates passed, and which reasons refused the others."""
    random = np.random.default_rng([SEED, WORLDS.index(world), KINDS.index(kind)])
    passed, refused = 0, Counter[str]()
    for _ in range(candidates):
        found = judge(*drawn(world, kind, random), Gate())
        passed += found.passed
        refused.update(reason.name for reason in found.reasons if not reason.passed)
    return {
        "world": world.name,
        "questions": world.questions,
        "candidate": kind.name,
        "wanted": not kind.worse,
        "candidates": candidates,
        "promoted": passed,
        "interval": exact(passed, candidates),
        "refused by": dict(refused.most_common()),
    }


def exact(x: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(x, n - x + 1, tail)) if x else 0.0
    return low, float(betaincinv(x + 1, n - x, 1 - tail)) if x < n else 1.0


def row(found: dict[str, Any]) -> dict[str, object]:
    """One line of the page."""
    low, high = found["interval"]
    share = found["promoted"] / found["candidates"]
    first = next(iter(found["refused by"]), "")
    return {
        "questions": found["world"],
        "candidate": found["candidate"],
        "promoted": f"{found['promoted']} of {found['candidates']}",
        "share": f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})",
        "this is": "power" if found["wanted"] else "false",
        "refused most by": first,
    }


def main() -> int:
    """Simulate, print, keep, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=200, help="of each kind, with each number of questions")
    count = parser.parse_args().candidates
    began, cpu = time.perf_counter(), time.process_time()
    every = []
    for world in WORLDS:
        for kind in KINDS if world is not WORLDS[-1] else [each for each in KINDS if each.name in LARGE]:
            every.append(promoted(world, kind, count))
            print(f"  {world.name}, {kind.name}: {every[-1]['promoted']}", file=sys.stderr, flush=True)
    false = [each for each in every if not each["wanted"]]
    passed, judged = sum(each["promoted"] for each in false), sum(each["candidates"] for each in false)
    low, high = exact(passed, judged)
    whole = {
        "questions": "all",
        "candidate": "every one that nobody should want",
        "promoted": f"{passed} of {judged}",
        "share": f"{100 * passed / judged:.2f} % ({100 * low:.2f} to {100 * high:.2f})",
        "this is": "false",
        "refused most by": "",
    }
    raw = {
        "settings": Gate().model_dump(),
        "every": every,
        "false": {"promoted": passed, "judged": judged, "interval": [low, high], "at most": AT_MOST},
        "seconds": round(time.perf_counter() - began, 1),
        "processor seconds": round(time.process_time() - cpu, 1),
    }
    show_and_keep("gate", "Simulated candidates at the gate", [*map(row, every), whole], raw)
    worst = max(each["promoted"] / each["candidates"] for each in false)
    holds = passed <= AT_MOST * judged
    print(f"{'holds' if holds else 'DOES NOT HOLD'}; the worst kind: {100 * worst:.1f} %")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
