"""Real data, replayed: what is found and how soon, and what pages though nothing happened.

    python benchmarks/real_streams.py                        # prints, and writes results/real_streams.{json,md}
    python benchmarks/real_streams.py --only clicks nab      # these anew, the others as they were written
    python benchmarks/real_streams.py --seeds 1 2 3

Questions of CLINC150, XQuAD and Stack Exchange, the clicks of Open Bandit and the series of NAB are written as query
logs (and recorded canary runs) with the checks that driftwatch ships, and judged by `driftwatch replay`. What is drawn,
is drawn by seed. What these streams show has mended mistakes; no number in a check was fitted to them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from _corpora import RESULTS
from _real_play import Page, Played, play
from _real_series import clicks, nab_quiet, nab_rates, nab_scores
from _real_tables import page_of
from _real_text import clinc, clinc_year, stackexchange, xquad
from _recorded import DAY, Event, Stream

GROUPS: dict[str, Callable[[int], Iterator[Stream]]] = {
    "clinc150": clinc,
    "clinc150-year": clinc_year,
    "xquad": xquad,
    "stackexchange": stackexchange,
    "clicks": clicks,
    "nab": nab_rates,
    "nab-scores": nab_scores,
    "nab-quiet": nab_quiet,
}

ONE_SEED = ("nab", "nab-scores", "clinc150-year", "nab-quiet")
"""Nothing is drawn in the first two; the last two are long."""

LATE = DAY
"""A window of NAB still explains what is said a day after its end: checks look at the last day."""

Row = dict[str, Any]


def row(group: str, seed: int, played: Played) -> Row:
    """Everything that the tables need of one replay."""
    stream = played.stream
    return {
        "group": group,
        "seed": seed,
        "name": stream.name,
        "change": stream.change,
        "lines": len(stream.records),
        "days": round(played.judged / DAY, 2),
        "facts": dict(stream.facts),
        "events": [_event(played, event) for event in stream.events],
        "false": [_page(page) for page in played.false(LATE)],
        "false, each opening": len(played.false(LATE, reopened=True)),
        "false warnings": [_page(page) for page in played.unexplained(LATE) if page.warns],
        "said": [_page(page) for page in played.pages],
        "left out": played.report["left_out"],
        "seconds": round(played.seconds, 1),
    }


def _event(played: Played, event: Event) -> Row:
    found = {check: played.first(event, check) for check in event.checks}
    first, late = played.first(event), played.first(event, late=LATE)
    return {
        "name": event.name,
        "at": event.at.isoformat(),
        "until": event.until.isoformat() if event.until else None,
        "delay": _days(first, event),
        "delay or late": _days(late, event),
        "by": f"{first.check}: {first.segment}" if first else None,
        "delays": {check: _days(page, event) for check, page in found.items()},
    }


def _days(page: Page | None, event: Event) -> float | None:
    return None if page is None else round((page.at - event.at) / timedelta(days=1), 3)


def _page(page: Page) -> Row:
    at = page.at.isoformat()
    told = {"at": at, "check": page.check, "segment": page.segment, "warns": page.warns, "message": page.message}
    return told | {"incident": page.incident, "opening": page.opening}


def measured(group: str, seeds: Sequence[int], part: str) -> Iterator[Row]:
    """The rows of one group; ``part``: only streams with this in their names."""
    for seed in seeds[:1] if group in ONE_SEED else seeds:
        for stream in GROUPS[group](seed):
            if part in f"{stream.name}: {stream.change}":
                found = row(group, seed, play(stream))
                delays = [(event["delay"], event["by"]) for event in found["events"]]
                said = f"{len(found['false'])} false, {len(found['false warnings'])} warnings, delays {delays}"
                print(f"  {stream.name}: {stream.change}: {said}, {found['seconds']} s", file=sys.stderr, flush=True)
                yield found


def written(path: Path, rows: list[Row]) -> list[Row]:
    """The rows in the order of the page, after they were written beside it."""
    order = {name: place for place, name in enumerate(GROUPS)}
    rows = sorted(rows, key=lambda each: order[each["group"]])
    path.write_text(json.dumps({"rows": rows}, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text(page_of(rows))
    return rows


def _which(found: Row) -> tuple[str, ...]:
    return found["group"], found["name"], found["change"], str(found["seed"])


def main() -> None:
    """Measure, write down, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--part", default="", help="only streams with this in their names")
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2])
    options = parser.parse_args()
    kept = RESULTS / "real_streams.json"
    rows: list[Row] = json.loads(kept.read_text())["rows"] if kept.exists() else []
    for group in options.only:
        if not options.part:
            rows = [each for each in rows if each["group"] != group]
        for found in measured(group, options.seeds, options.part):
            rows = written(kept, [each for each in rows if _which(each) != _which(found)] + [found])
    print(page_of(rows))


if __name__ == "__main__":
    main()
