"""The two pictures that go with the weekly message: those that show what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from driftwatch.cleaning import cut
from driftwatch.report import charts
from driftwatch.report.canvas import ON_PAPER, drawing, figure, png
from driftwatch.report.panels import first_day, onsets
from driftwatch.report.story.canaries import measures
from driftwatch.report.story.parts import change, first_upper, language, per_cent, text, whole
from driftwatch.report.story.parts import figure as shown
from driftwatch.report.story.traffic import SCORES, kinds_of_rates
from driftwatch.reported import ALL, CanaryMeasure, Mix, Rates, Week
from driftwatch.reported.announced import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 2
WIDE, HIGH = 720.0, 405.0
"""Points; at twice the screen's resolution 1440 x 810 pixels."""
_SHARP = 144

Drawn = tuple[str, str, "Figure"]
"""Title, words and the drawing."""

_OF_FAMILY = {"canaries": "canaries", "scores": "scores", "rates": "rates", "mix": "mix", "queries": "mix"}


def pictures(week: Week) -> list[tuple[Picture, bytes]]:
    """At most two, what matters most first.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    made: list[tuple[Picture, bytes]] = []
    with drawing():
        for name in chosen(week)[:MOST]:
            title, words, drawn = _DRAW[name](week)
            made.append((Picture(f"picture-{len(made) + 1}.png", title, words), png(drawn)))
    return made


def chosen(week: Week) -> list[str]:
    """Which pictures there are something for, what the incidents are about first: pages before warnings."""
    about = [
        _OF_FAMILY.get(each.family, "") for pages in (True, False) for each in week.incidents if each.pages is pages
    ]
    there = {
        "canaries": bool(week.canaries),
        "scores": bool(week.scores),
        "rates": bool(week.rates),
        "mix": bool(_spoken(week)),
    }
    return [name for name in dict.fromkeys((*about, "canaries", "scores", "rates", "mix")) if there.get(name)]


def _canvas(title: str, labels: Sequence[tuple[str, dict[str, Any]]]) -> Figure:
    """A figure with a title above and what the lines mean below."""
    from matplotlib.lines import Line2D

    drawn = figure(WIDE, HIGH, ON_PAPER.paper, _SHARP)
    drawn.text(0.03, 0.955, cut(title, 74), color=ON_PAPER.ink, fontsize=13, fontweight="bold", va="center")
    lines = [Line2D([], [], label=label, **style) for label, style in labels]
    drawn.legend(handles=lines, loc="lower left", bbox_to_anchor=(0.02, 0.0), ncols=len(lines), frameon=False,
                 fontsize=9, labelcolor=ON_PAPER.soft)  # fmt: skip
    return drawn


_NOW = {"color": ON_PAPER.now, "lw": 1.8}
_USUAL = {"color": ON_PAPER.usual, "lw": 1.4, "ls": (0, (4, 2.5))}
_WEEK = {"color": ON_PAPER.now, "lw": 7, "alpha": 0.1}
_BAND = {"color": ON_PAPER.usual, "lw": 7, "alpha": 0.25}
_GAP = {"color": ON_PAPER.gap, "lw": 2.2}
_BEGAN = {"color": ON_PAPER.gap, "ls": "", "marker": "v", "ms": 6}
_DOT = {"color": ON_PAPER.now, "marker": "o", "ms": 5, "lw": 1.8}
_DIAMOND = {"color": ON_PAPER.usual, "marker": "D", "ms": 4.5, "mfc": ON_PAPER.paper, "lw": 1}


def _grid(drawn: Figure, several: int, across: int) -> Iterator[Axes]:
    """Axes in rows of ``across``, between title and legend."""
    down = -(-several // across)
    wide, high = 0.96 / across, 0.80 / down
    for place in range(several):
        row, column = divmod(place, across)
        left, below = 0.02 + column * wide, 0.91 - (row + 1) * high
        yield drawn.add_axes((left + 0.045, below + 0.072, wide - 0.062, high - 0.135))


def _small(axes: Axes, heading: str, worse: bool) -> None:
    colour = ON_PAPER.gap if worse else ON_PAPER.ink
    axes.set_title(f"▼ {heading}" if worse else heading, loc="left", fontsize=9.5, color=colour, pad=5)


# --- canaries ------------------------------------------------------------------------------------------------------


def _canaries(week: Week) -> Drawn:
    """The measure that fell most, in all languages together and the five that fell most."""
    _, words, group = min(measures(week), key=lambda found: min(map(_fall, found[2])))
    each = [one for one in group if one.lang == ALL][:1]
    each += sorted((one for one in group if one.lang != ALL), key=_fall)[: 6 - len(each)]
    worst = min(each, key=_fall)
    title = f"Canary {text(words, 40)}: {language(worst.lang)} {shown(worst.now.value)}"
    if worst.baseline is not None:
        title += f", usually {shown(worst.baseline.value)}"
    drawn = _canvas(
        title,
        [
            ("each day", _NOW),
            ("usual", _USUAL),
            ("a usual day (95 %)", _BAND),
            ("this week", _WEEK),
            ("an incident began", _BEGAN),
        ],
    )
    limits = charts.limits_of(each)
    for axes, one in zip(_grid(drawn, len(each), min(3, len(each))), each, strict=True):
        charts.trend(axes, one, limits, first_day(week), onsets(week, one.lang), ON_PAPER)
        _small(axes, _said(one), one.change is not None and (one.change.high or 0.0) < 0)
    return title, f"{title}. {'. '.join(map(_said, each))}.", drawn


def _fall(each: CanaryMeasure) -> float:
    return each.change.value if each.change is not None and each.change.value is not None else 0.0


def _said(each: CanaryMeasure) -> str:
    moved = f" ({change(each.change.value)})" if each.change is not None else ""
    return f"{language(each.lang)} {shown(each.now.value)}{moved}, n {whole(each.now.n)}"


# --- scores --------------------------------------------------------------------------------------------------------


def _scores(week: Week) -> Drawn:
    """The three distributions that moved most."""
    worst = max(week.scores, key=lambda one: one.ks or 0.0)
    alike = [one for one in week.scores if (one.source, one.score) == (worst.source, worst.score)]
    each = sorted(alike, key=lambda one: -(one.ks or 0.0))[:3]
    title = f"{first_upper(SCORES[worst.score])}, {language(worst.segment)}"
    if worst.baseline is not None:
        title += f": median {shown(worst.now.median.value)}, usually {shown(worst.baseline.median.value)}"
    drawn = _canvas(title, [("this week", _NOW), ("usual", _USUAL), ("the largest gap (D)", _GAP)])
    for axes, one in zip(_grid(drawn, len(each), len(each)), each, strict=True):
        charts.ecdf(axes, one, ON_PAPER)
        _small(axes, f"{language(one.segment)}, {SCORES[one.score].split()[0]} score", False)
        axes.set_xlabel("score; share of sessions up to it", fontsize=8, color=ON_PAPER.soft)
    said = [
        f"{language(one.segment)}, {SCORES[one.score]}: D {shown(one.ks)} at {shown(one.gap_at)}, "
        f"n {whole(one.now.mean.n)}"
        for one in each
    ]
    return title, f"{title}. {'. '.join(said)}.", drawn


# --- rates and languages -------------------------------------------------------------------------------------------


def _rates(week: Week) -> Drawn:
    """The two kinds of bad ends of which there are most more than usual."""
    kinds = sorted(kinds_of_rates(week), key=lambda kind: -max(map(_rise, kind[2])))[:2]
    worst = max(kinds[0][2], key=_rise)
    title = f"{first_upper(text(kinds[0][1], 40))}: {language(worst.lang)} {per_cent(worst.now.value)}"
    if worst.baseline is not None:
        title += f", usually {per_cent(worst.baseline.value)}"
    drawn = _canvas(title, [("this week (95 %)", _DOT), ("usual (95 %)", _DIAMOND)])
    places = _wide_grid(drawn, len(kinds))
    said = []
    for axes, (_, words, group) in zip(places, kinds, strict=True):
        rows = sorted(group, key=lambda one: (one.lang != ALL, -_rise(one)))[:12]
        charts.rates(axes, rows, ON_PAPER)
        _small(axes, first_upper(text(words, 40)), False)
        said.append(
            f"{text(words, 40)}: " + ", ".join(f"{language(one.lang)} {per_cent(one.now.value)}" for one in rows)
        )
    return title, f"{title}. {'. '.join(said)}.", drawn


def _rise(each: Rates) -> float:
    return each.change.value if each.change is not None and each.change.value is not None else 0.0


def _wide_grid(drawn: Figure, several: int) -> Iterator[Axes]:
    """Axes beside one another, with room for names at their left."""
    wide = 0.96 / several
    for place in range(several):
        yield drawn.add_axes((0.02 + place * wide + 0.14, 0.15, wide - 0.17, 0.7))


def _spoken(week: Week) -> list[Mix]:
    return [each for each in week.mixes if each.shares]


def _mix(week: Week) -> Drawn:
    """The languages of the source whose mix moved most."""
    from dataclasses import replace

    each = max(_spoken(week), key=lambda one: one.total_variation or 0.0)
    title = f"Languages of {text(each.source, 40)}"
    if each.total_variation is not None:
        title += f": {per_cent(each.total_variation)} of the traffic changed its language"
    drawn = _canvas(title, [("this week", {"color": ON_PAPER.now, "lw": 7}), ("usual", _DIAMOND | {"ls": ""})])
    (axes,) = _wide_grid(drawn, 1)
    shares = each.shares[:14]
    charts.mix(axes, replace(each, shares=shares), ON_PAPER)
    said = ", ".join(f"{language(one.lang)} {per_cent(one.now.value)}" for one in shares)
    return title, f"{title}. {said}.", drawn


_DRAW: dict[str, Callable[[Week], Drawn]] = {"canaries": _canaries, "scores": _scores, "rates": _rates, "mix": _mix}
