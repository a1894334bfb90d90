"""Which charts stand in the page, in which order, and what is said beside each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from driftwatch.report import charts
from driftwatch.report.canvas import IN_PAGE, drawing, figure, svg
from driftwatch.report.story.canaries import measures
from driftwatch.report.story.parts import (
    Table,
    between,
    chance,
    change,
    counted,
    first_upper,
    language,
    listed,
    per_cent,
    rate_words,
    text,
    whole,
)
from driftwatch.report.story.parts import figure as shown
from driftwatch.report.story.traffic import SCORES, curve, kinds_of_rates
from driftwatch.reported import ALL, CanaryMeasure, Estimate, Mix, Rates, Scores, Week

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAR = 6
"""How many distributions are shown at once; the others, which moved less, are folded away."""

Key = Literal["trend", "ecdf", "rows", "bars"]


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing with what it shows in words."""

    heading: str
    caption: str
    tone: str
    """``fail`` or ``warn`` where something is worse than usual; else empty."""
    svg: str
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Charts that are looked at together."""

    title: str
    key: Key
    """What the lines and colours mean."""
    charts: tuple[Chart, ...]
    folded: str = ""
    """What they are called while they are folded away; empty where they are not."""


def panels(week: Week) -> dict[str, tuple[Group, ...]]:
    """Section of the story -> its charts.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    names = (f"chart-{number}" for number in count(1))
    with drawing():
        return {
            "canaries": tuple(_trends(week, names)),
            "scores": tuple(_distributions(week, names)),
            "rates": tuple(_rates(week, names)),
            "mix": tuple(_mixes(week, names)),
        }


def _chart(
    size: tuple[float, float],
    edges: tuple[float, float, float, float],
    draw: Callable[[Axes], None],
    name: str,
    title: str,
    words: str,
) -> str:
    """One drawing of ``size`` points; ``edges``: points left, below, right and above of the axes."""
    drawn = figure(*size)
    left, below, right, above = edges
    wide, high = size
    draw(drawn.add_axes((left / wide, below / high, 1 - (left + right) / wide, 1 - (below + above) / high)))
    return svg(drawn, name, title, words)


# --- canaries ------------------------------------------------------------------------------------------------------


def first_day(week: Week) -> date:
    """The Monday, as the week's own time zone has it."""
    return week.start.astimezone(ZoneInfo(week.timezone)).date()


def onsets(week: Week, lang: str) -> list[date]:
    """When the incidents of a language began."""
    zone = ZoneInfo(week.timezone)
    begun = [each.onset or each.opened for each in week.incidents if each.segment == lang]
    return [each.astimezone(zone).date() for each in begun]


def _trends(week: Week, names: Iterator[str]) -> Iterator[Group]:
    for source, words, group in measures(week):
        limits = charts.limits_of(group)
        made = tuple(_trend(week, each, limits, next(names)) for each in group)
        yield Group(f"{first_upper(text(words, 60))} of {text(source, 60)}, four weeks", "trend", made)


def _trend(week: Week, each: CanaryMeasure, limits: tuple[float, float], name: str) -> Chart:
    begun = onsets(week, each.lang)

    def draw(axes: Axes) -> None:
        charts.trend(axes, each, limits, first_day(week), begun, IN_PAGE)

    caption = f"{shown(each.now.value)} ({between(each.now.low, each.now.high)}), n {whole(each.now.n)}"
    moved = ""
    if each.change is not None:
        moved = f", {change(each.change.value)} ({between(each.change.low, each.change.high)})"
    words = f"{text(each.words, 60)} of this week: {caption}{moved and ', change against usual' + moved[1:]}. "
    words += f"The line has {counted(sum(day.n > 0 for day in each.days), 'day')}."
    title = f"{text(each.words, 60)}, {language(each.lang)}, day by day"
    drawn = _chart((200, 112), (30, 18, 6, 8), draw, name, title, words)
    return Chart(language(each.lang), caption + moved, _worse(each.change), drawn)


def _worse(moved: Estimate | None) -> str:
    return "fail" if moved is not None and moved.high is not None and moved.high < 0 else ""


# --- scores --------------------------------------------------------------------------------------------------------


def _distributions(week: Week, names: Iterator[str]) -> Iterator[Group]:
    grouped: dict[tuple[str, str], list[Scores]] = {}
    for each in week.scores:
        grouped.setdefault((each.source, each.score), []).append(each)
    for (source, score), group in grouped.items():
        title = f"{first_upper(SCORES[score])} in {text(source, 60)}"
        made = tuple(_distribution(each, next(names)) for each in group)
        yield Group(title, "ecdf", made[:FAR])
        if made[FAR:]:
            fold = f"{counted(len(made) - FAR, 'language', 'languages')} whose scores moved less"
            yield Group(title, "ecdf", made[FAR:], fold)


def _distribution(each: Scores, name: str) -> Chart:
    caption = f"median {shown(each.now.median.value)}"
    if each.baseline is not None:
        caption += f", usually {shown(each.baseline.median.value)}; n {whole(each.now.mean.n)}"
    if each.ks is not None:
        caption += f"; D {shown(each.ks)}, p {chance(each.p_value)}"
    words = f"Share of sessions up to each score, now and usually. {first_upper(caption)}."
    if each.gap_at is not None:
        words += f" The largest gap is at {shown(each.gap_at)}."
    title = f"{first_upper(SCORES[each.score])}, {language(each.segment)}"
    drawn = _chart((260, 150), (38, 20, 10, 6), lambda axes: charts.ecdf(axes, each, IN_PAGE), name, title, words)
    table = curve(each) if each.ecdf.at else None
    return Chart(language(each.segment), caption, "", drawn, table)


# --- rates and languages -------------------------------------------------------------------------------------------


def _rates(week: Week, names: Iterator[str]) -> Iterator[Group]:
    made = [_rate(source, words, group, next(names)) for source, words, group in kinds_of_rates(week)]
    if made:
        yield Group("This week against usual, per language", "rows", tuple(made))


def _rows_high(rows: int) -> float:
    return 30 + 19.0 * rows


def _rate(source: str, words: str, group: Sequence[Rates], name: str) -> Chart:
    worse = [
        language(each.lang) for each in group if each.change and each.change.low is not None and each.change.low > 0
    ]
    every = next((each for each in group if each.lang == ALL), None)
    caption = rate_words(every.now) if every is not None else counted(len(group), "language")
    if worse:
        caption += f"; more than usual: {listed(worse)}"
    title = f"{first_upper(text(words, 60))} in {text(source, 60)}"
    size = (340, _rows_high(len(group)))
    drawn = _chart(size, (104, 22, 16, 4), lambda axes: charts.rates(axes, group, IN_PAGE), name, title, f"{caption}.")
    return Chart(title, caption, "warn" if worse else "", drawn)


def _mixes(week: Week, names: Iterator[str]) -> Iterator[Group]:
    made = [_mix(each, next(names)) for each in week.mixes if each.shares]
    if made:
        yield Group("Share of the sessions", "bars", tuple(made))


def _mix(each: Mix, name: str) -> Chart:
    first = each.shares[0]
    caption = f"{language(first.lang)} most of all: {per_cent(first.now.value)}"
    size = (340, _rows_high(len(each.shares)))
    title = f"Languages of {text(each.source, 60)}"
    drawn = _chart(size, (104, 22, 16, 4), lambda axes: charts.mix(axes, each, IN_PAGE), name, title, f"{caption}.")
    return Chart(title, caption, "", drawn)
