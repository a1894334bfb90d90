"""The delay: days from a change to the page, beside detectors tuned with hindsight to the same rate of false pages.

    python benchmarks/delay.py                    # everything: about an hour on one processor
    python benchmarks/delay.py --quick            # three streams, few quiet years
    python benchmarks/delay.py --only-ours        # the peers' numbers are taken from results/delay.json

Ours: the shipped checks at one false page in 90 days over all families together. Peers: each family's part of that
budget, as one threshold that gives exactly so many pages on quiet years (`_peers.py`: season-matched, one row a unit,
standardised with over-dispersion). Of a kind of detector with several settings (slacks, scales) the setting that does
best over all rows of the family is shown: a second hindsight. Median and ninetieth percentile, in days; a page counts
when it names what changed or all languages together. "Holds": within 1.25 of the best peer, not above the peers'
median, not slower than the first trial.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from _cases import CASES, Case, Peers, ours, peers
from _report import RESULTS, show_and_keep

LATEST = 60.0
"""Days that stand for never when settings are compared."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=40, help="streams with each change")
    parser.add_argument("--years", type=int, default=30, help="quiet years that peers are tuned on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default="", help="only cases whose name or family contains this")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--only-peers", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    if given.quick:
        given.streams, given.years = 3, 4
    cases = [case for case in CASES if given.cases in case.name or given.cases in case.family]
    seeds = list(range(given.seed, given.seed + given.streams))
    theirs: Peers = {} if given.only_ours else peers(cases, seeds, given.years)
    own = {} if given.only_peers else ours(cases, seeds)
    raw = _before()
    for part, fresh in (("ours", own), ("peers", theirs)):
        raw[part] |= fresh
        raw["made"] |= {f"{part}, {name}": {"streams": given.streams, "seed": given.seed} for name in fresh}
    raw["made"] |= {f"quiet years, {name}": given.years for name in theirs}
    known = [case for case in CASES if case.name in raw["ours"] or case.name in raw["peers"]]
    rows = [row(case, raw["ours"].get(case.name, {}), raw["peers"], known) for case in known]
    show_and_keep("delay", "Days from a change to the page", rows, raw)
    return 0


def _before() -> dict[str, Any]:
    """What was measured last."""
    path = RESULTS / "delay.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {part: known.get(part, {}) for part in ("ours", "peers", "made")}


def row(case: Case, own: dict[str, list[float]], theirs: Peers, cases: Sequence[Case]) -> dict[str, object]:
    """One line of the table."""
    family = [each.name for each in cases if each.family == case.family]
    chosen = best_settings(theirs, family)
    found = theirs.get(case.name, {})
    medians = {kind: quantile(found[name][1], 0.5) for kind, name in chosen.items() if name in found}
    hourly = quantile(own.get("hourly", []), 0.5)
    best, middle = min(medians.values(), default=np.nan), quantile(list(medians.values()), 0.5)
    slower = case.trial[0] is not None and hourly > case.trial[0]
    good = hourly <= 1.25 * best and hourly <= middle and not slower
    return {
        "change": case.name,
        "ours, looking every hour": shown(own.get("hourly", [])),
        "once a day": shown(own.get("daily", [])),
        "first trial": " / ".join("-" if days is None else f"{days:g}" for days in case.trial),
        "best peer": days_shown(best),
        "median peer": days_shown(middle),
        "ours / best": f"{hourly / best:.2f}" if best > 0 else "-",
        "holds": "yes" if good else "no",
        "peers": "; ".join(f"{kind} {shown(found[name][1])}" for kind, name in chosen.items() if name in found),
    }


def best_settings(theirs: Peers, family: Sequence[str]) -> dict[str, str]:
    """Kind -> the detector of it whose medians over the family's cases have the lowest geometric mean."""
    merit: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for name in family:
        for detector, (kind, days) in theirs.get(name, {}).items():
            kinds[detector] = kind
            merit.setdefault(detector, []).append(float(np.log(min(LATEST, quantile(days, 0.5)))))
    chosen: dict[str, str] = {}
    for detector, kind in kinds.items():
        if kind not in chosen or np.mean(merit[detector]) < np.mean(merit[chosen[kind]]):
            chosen[kind] = detector
    return chosen


def quantile(days: Sequence[float], share: float) -> float:
    """Of the delays; those never found are infinite."""
    return float(np.quantile(days, share, method="inverted_cdf")) if len(days) else float("nan")


def shown(days: Sequence[float]) -> str:
    return f"{days_shown(quantile(days, 0.5))} ({days_shown(quantile(days, 0.9))})" if len(days) else "-"


def days_shown(days: float) -> str:
    if np.isnan(days):
        return "-"
    return "never" if np.isinf(days) else f"{days:.2f}" if days < 2 else f"{days:.1f}"


if __name__ == "__main__":
    sys.exit(main())
