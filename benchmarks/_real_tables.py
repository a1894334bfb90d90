"""The page of the replayed real streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from driftwatch.stats.poisson import rate_interval

Row = dict[str, Any]

BUDGET_DAYS = 90
"""One false page in so many days is the default that every stream is replayed with."""

COUNTED = (
    "A page is an incident that begins to fire. What fires again within seven days of its resolution reopens its"
    " incident: it is told in the same thread and calls nobody again (`alerts.reopen_within`). *Each opening counted*"
    " is the number without that."
)

INTRODUCTIONS = {
    "clinc150": (
        "CLINC150: in-scope and out-of-scope questions",
        "An index of the 15,000 in-scope training questions, all-MiniLM-L6-v2, exact search; the 7,500 held-out"
        " in-scope questions arrive by a Poisson process: 28 days of baseline, a week of quiet, three with change."
        " `once each`: drawn without replacement, 105 to 125 a day; `with repeats`: with replacement, 500 a day."
        " The out-of-scope questions come on top. The service abstains below the score that a twentieth of the training"
        " questions stay under.",
    ),
    "clinc150-year": ("CLINC150: a year without any change", "500 in-scope questions a day, with repeats."),
    "xquad": (
        "XQuAD: twelve languages, an English model",
        "1,500 questions a day with replacement, languages by Zipf, and 50 canaries in each language once a day. The"
        " mix may shift (no fault of retrieval), or the index may lose documents of one language.",
    ),
    "stackexchange": (
        "Stack Exchange: dated questions, and those of another site among them",
        "Each site by its own time; one look a week, at the last four weeks (`beer`: 13). From two weeks after the"
        " baseline on, questions of the other site come on top. Baseline: 35 days (`ai`) and 182"
        " (`beer`), about 260 questions each.",
    ),
    "clicks": (
        "Open Bandit: clicks of two ranking policies",
        "The recorded week of the random policy, then that of the policy `bts`; and weeks drawn from them by hour of"
        " the day, with the click rates of their policies (0.46 % and 0.69 %). The check is `rate` of `no_click` with"
        " `side: both, min_effect: 0.001, min_ratio: 0`, as for somebody to whom every fifth click matters; with the"
        " default settings it asks for half of all clicks, and only where they are lost.",
    ),
    "nab": (
        "NAB: 58 series with labelled windows, as rates",
        "Every value is one query: `high values` is the share above the baseline's .95 quantile, `low values` the share"
        " below its .05 quantile, both as `rate` checks with a floor of ten points. The baseline is the first 15 % of a"
        " series, two days for most, in the series' own time. A window counts as found when a page comes within it (in"
        " brackets: or up to a day after it). Pages outside are not all false: many of these series move to another"
        " level that nobody labelled.",
    ),
    "nab-scores": (
        "NAB: the same series, as scores",
        "Every value is the score of one query, judged by `score_drift`.",
    ),
    "nab-quiet": (
        "NAB: quiet days, drawn",
        "Of each series the days without a labelled window, drawn at random: 28 for the baseline and 28 to be judged."
        " The hours of a day hang together as they did; nothing changes. Every page is false.",
    ),
}


def page_of(rows: Sequence[Row]) -> str:
    """All tables as Markdown."""
    lines = ["# Real data, replayed", "", "`python benchmarks/real_streams.py` makes this page.", "", COUNTED, ""]
    for group, (title, introduction) in INTRODUCTIONS.items():
        if found := [row for row in rows if row["group"] == group]:
            table = _series if group.startswith("nab") else _streams
            lines += [f"## {title}", "", introduction, "", *table(found), "", *_said(found), ""]
    return "\n".join(lines)


def _streams(rows: Sequence[Row]) -> list[str]:
    """One line for each stream, its seeds together."""
    checks = list(dict.fromkeys(check for row in rows for event in row["events"] for check in event["delays"]))
    head = ["stream", "change", "runs", "found", "days to the first alert", *checks]
    head += ["false pages", "each opening counted", "false warnings"]
    return _table([*head, "days judged"], [_stream_line(*each, checks) for each in _grouped(rows)])


def _stream_line(name: str, change: str, rows: Sequence[Row], checks: Sequence[str]) -> list[str]:
    events = [event for row in rows for event in row["events"]]
    found = [event for event in events if event["delay"] is not None]
    delays = [_delay([event["delays"].get(check) for event in events]) if events else "" for check in checks]
    false, warned = (sum(len(row[kind]) for row in rows) for kind in ("false", "false warnings"))
    each = sum(row["false, each opening"] for row in rows)
    first = _delay([event["delay"] for event in events]) if events else ""
    days = f"{sum(row['days'] for row in rows):,.0f}"
    return [name, change, str(len(rows)), f"{len(found)} of {len(events)}" if events else "", first, *delays,
            str(false), str(each), str(warned), days]  # fmt: skip


def _series(rows: Sequence[Row]) -> list[str]:
    """One line for each kind of series, and one for all."""
    kinds = list(dict.fromkeys(row["facts"]["kind"] for row in rows))
    parts = [(kind, [row for row in rows if row["facts"]["kind"] == kind]) for kind in kinds]
    without = [row for row in rows if not row["events"]]
    parts += [("without a window", without)] if 0 < len(without) < len(rows) else []
    head = ["series", "number", "windows", "found", "median hours from the window's start", "pages outside"]
    head += ["each opening counted", "series that page outside", "days judged", "pages the budget allows"]
    head += ["pages a quarter (95 %)", "each opening counted"]
    return _table(head, [_series_line(*part) for part in [*parts, ("all", rows)]])


def _series_line(kind: str, rows: Sequence[Row]) -> list[str]:
    events = [event for row in rows for event in row["events"]]
    inside = [event["delay"] for event in events if event["delay"] is not None]
    late = [event for event in events if event["delay or late"] is not None]
    outside = sum(len(row["false"]) for row in rows)
    openings = sum(row["false, each opening"] for row in rows)
    days = sum(row["days"] for row in rows)
    hours = f"{24 * median(inside):.0f}" if inside else ""
    found = f"{len(inside)} ({len(late)})" if events else ""
    paging = sum(bool(row["false"]) for row in rows)
    allowed = f"{days / BUDGET_DAYS:.1f}"
    return [kind, str(len(rows)), str(len(events) or ""), found, hours, str(outside), str(openings), str(paging),
            f"{days:,.0f}", allowed, _quarterly(outside, days), _quarterly(openings, days)]  # fmt: skip


def _quarterly(count: int, days: float) -> str:
    """With its exact interval."""
    low, high = rate_interval(count, days / 90)
    return f"{90 * count / days:.2f} ({low:.2f} to {high:.2f})"


def _said(rows: Sequence[Row]) -> list[str]:
    """What the false pages said: the first ten."""
    false = [(row, page) for row in rows for page in row["false"]]
    lines = [
        f"- {row['name']} ({row['change']}), {page['at'][:16]}, {page['check']}, {page['segment']}: {page['message']}"
        for row, page in false[:10]
    ]
    return (
        [f"Pages that no event explains{' (the first ten)' if len(false) > 10 else ''}:", "", *lines] if lines else []
    )


def _grouped(rows: Iterable[Row]) -> Iterable[tuple[str, str, list[Row]]]:
    together: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        together.setdefault((row["name"], row["change"]), []).append(row)
    return ((*key, each) for key, each in together.items())


def _delay(delays: Sequence[float | None]) -> str:
    """The median with the slowest; ``never`` where most runs never found it."""
    ranked = sorted(float("inf") if each is None else each for each in delays)
    middle, last = ranked[(len(ranked) - 1) // 2], ranked[-1]
    if middle == float("inf"):
        return "never" if ranked[0] == middle else f"never (soonest {ranked[0]:.1f})"
    return (
        f"{middle:.1f} ({'never' if last == float('inf') else f'{last:.1f}'})" if len(ranked) > 1 else f"{middle:.1f}"
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]
