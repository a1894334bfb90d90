"""How each canary is, by its stored runs: live, in quarantine, flaky, never found or too easy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from driftwatch.checks._canaries import RELIABLE, Outcome, Usual, read, summary
from driftwatch.stats.ir import Measure
from driftwatch.types import Observation, Run

STATES = ("live", "quarantined", "never found", "flaky", "too easy")
FEWEST_RUNS = 3
"""With fewer runs than this nobody says that a canary is flaky or too easy."""

History = dict[tuple[str, str], list[Outcome]]


def care(runs: Sequence[Run], measure: Measure) -> dict[str, Any]:
    """JSON: the canaries of the newest of ``runs`` (oldest first), each with its state, and how many are in each.

    - ``quarantined``: all of its documents have left the index, ``since`` the first of its last runs of which that is
      true; it is judged again as soon as one of them is back.
    - ``never found``: none of its documents came back in any of the runs: it can show no loss.
    - ``flaky``: below what it typically measures in more than a tenth of the runs: it carries no evidence.
    - ``too easy``: first in every run, and farther ahead of the second than the rest of the answer is long; it goes
      last, when everything else is lost already.
    """
    if not runs:
        return {"at": None, "measure": str(measure), "counts": dict.fromkeys(STATES, 0), "by": {}, "canaries": []}
    history, since = _histories(runs, measure)
    last = [seen for seen in runs[-1].observations if not seen.attempt]
    partly = set(read(runs[-1], measure).partly)
    canaries = [_state(seen, history, since, partly) for seen in last]
    order = sorted(canaries, key=lambda each: (-STATES.index(each["state"]), each["lang"], each["query_id"]))
    counts = Counter(each["state"] for each in canaries)
    by_lang = {
        lang: dict(Counter(each["state"] for each in canaries if each["lang"] == lang))
        for lang in sorted({each["lang"] for each in canaries})
    }
    return {
        "at": runs[-1].at,
        "measure": str(measure),
        "counts": {state: counts[state] for state in STATES},
        "by": by_lang,
        "canaries": order,
    }


def _histories(runs: Sequence[Run], measure: Measure) -> tuple[History, dict[tuple[str, str], Any]]:
    """What each canary measured, run by run; and since when it has been in quarantine."""
    history: History = {}
    since: dict[tuple[str, str], Any] = {}
    for run in runs:
        asked = read(run, measure)
        for key, outcome in asked.outcomes.items():
            history.setdefault(key, []).append(outcome)
            since.pop(key, None)
        for seen in asked.rotten:
            since.setdefault((seen.query_id, seen.digest), run.at)
    return history, since


def _state(seen: Observation, history: History, since: dict[tuple[str, str], Any], partly: set[str]) -> dict[str, Any]:
    key = (seen.query_id, seen.digest)
    outcomes = history.get(key, [])
    usual = summary(outcomes, days=1) if outcomes else None
    newest = outcomes[-1] if outcomes else None
    return {
        "query_id": seen.query_id,
        "lang": seen.lang,
        "state": "quarantined" if key in since else _by_history(seen, outcomes, usual),
        "since": since.get(key),
        "rank": newest.rank if newest else None,
        "value": round(newest.value, 4) if newest else None,
        "mean": round(usual.mean, 4) if usual else None,
        "runs": len(outcomes),
        "unasked": bool(seen.error) or seen.hits is None,
        "lost_some_documents": seen.query_id in partly,
    }


def _by_history(seen: Observation, outcomes: list[Outcome], usual: Usual | None) -> str:
    if usual is None:
        return "live"
    if all(outcome.value == 0 for outcome in outcomes):
        return "never found"
    if len(outcomes) < FEWEST_RUNS:
        return "live"
    if usual.down > 1 - RELIABLE:
        return "flaky"
    return "too easy" if not seen.expect_empty and all(map(_is_far_ahead, outcomes)) else "live"


def _is_far_ahead(outcome: Outcome) -> bool:
    scores = [hit.score for hit in outcome.hits]
    if outcome.rank != 1 or len(scores) < 3:
        return False
    first, second, last = scores[0], scores[1], scores[-1]
    if first is None or second is None or last is None:
        return False
    return abs(first - second) > abs(second - last)
