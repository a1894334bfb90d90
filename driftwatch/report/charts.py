"""The charts of a week, drawn into axes: what is now in blue and solid, what is usual in grey and dashed.

Each function draws one noun of ``driftwatch.reported`` into the axes it is given, in the colours it is given, so that a
page and a picture show the same thing. Whoever calls them is inside ``canvas.drawing()``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

from driftwatch.cleaning import cut
from driftwatch.report.canvas import Palette
from driftwatch.reported import CanaryMeasure, Mix, Rate, Rates, Scores
from driftwatch.segment_names import segment_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_LABEL = 17
"""Characters of a name on an axis."""

_SMALL = 9.0
_DASHES = (0, (4, 2.5))


def trend(
    axes: Axes,
    measure: CanaryMeasure,
    limits: tuple[float, float],
    first_day: date,
    onsets: Iterable[date],
    to: Palette,
) -> None:
    """A measure of the canaries day by day, with where a usual day lies, and the week from ``first_day`` on shaded.

    ``onsets``: when incidents of this language began; each is a triangle at the upper edge.
    """
    _plain(axes, to)
    days = [day.day.toordinal() for day in measure.days]
    values = [math.nan if day.value is None else day.value for day in measure.days]
    first = first_day.toordinal()
    start = min([*days, first])
    axes.axvspan(first - 0.5, first + 6.5, color=to.now, alpha=0.07, lw=0)
    if measure.band is not None:
        axes.axhspan(*measure.band, color=to.usual, alpha=0.2, lw=0)
    if measure.baseline is not None and measure.baseline.value is not None:
        axes.axhline(measure.baseline.value, color=to.usual, lw=1.2, ls=_DASHES)
    axes.plot(days, values, color=to.now, lw=1.5, marker="o", ms=2.6, mew=0)
    begun = sorted({day.toordinal() for day in onsets if start <= day.toordinal() <= first + 6})
    axes.plot(begun, [limits[1]] * len(begun), ls="", marker="v", ms=6, color=to.gap, mew=0, clip_on=False)
    axes.set_ylim(*limits)
    axes.set_xlim(start - 0.5, first + 6.5)
    _dates(axes, [first - 21, first - 7, first] if start < first - 14 else [first])
    _few_ticks(axes.yaxis, limits, 3)


def limits_of(measures: Iterable[CanaryMeasure]) -> tuple[float, float]:
    """One scale for several small charts, so that their heights compare: everything drawn, and a little room."""
    drawn = [value for each in measures for value in _drawn(each)]
    if not drawn:
        return 0.0, 1.0
    low, high = min(drawn), max(drawn)
    room = max(0.08 * (high - low), 0.01)
    return (max(0.0, low - room) if low >= 0 else low - room), (min(1.02, high + room) if high <= 1 else high + room)


def _drawn(measure: CanaryMeasure) -> list[float]:
    usual = () if measure.baseline is None else (measure.baseline.value,)
    return [
        value for value in (*(day.value for day in measure.days), *(measure.band or ()), *usual) if value is not None
    ]


def ecdf(axes: Axes, scores: Scores, to: Palette) -> None:
    """The share of sessions up to each score, now and usually, and the largest gap between the two at its place."""
    _plain(axes, to)
    curve = scores.ecdf
    if curve.baseline:
        axes.step(curve.at, curve.baseline, where="post", color=to.usual, lw=1.5, ls=_DASHES)
    if curve.now:
        axes.step(curve.at, curve.now, where="post", color=to.now, lw=1.7)
    _gap(axes, scores, to)
    axes.set_ylim(-0.02, 1.02)
    if curve.at and curve.at[0] < curve.at[-1]:
        axes.set_xlim(curve.at[0], curve.at[-1])
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    _few_ticks(axes.xaxis, axes.get_xlim(), 3)


def _gap(axes: Axes, scores: Scores, to: Palette) -> None:
    """The Kolmogorov-Smirnov distance as a bar with its size beside it, in the corner."""
    if scores.ks is None or scores.gap_at is None or scores.gap is None:
        return
    low, high = sorted(scores.gap)
    axes.plot([scores.gap_at] * 2, [low, high], color=to.gap, lw=2.2, marker="_", ms=7, mew=1.6, solid_capstyle="butt")
    # Two distribution functions leave the lower right corner free.
    words = f"D = {scores.ks:.3f}"
    axes.text(0.98, 0.06, words, transform=axes.transAxes, ha="right", color=to.gap, fontsize=_SMALL)


def rates(axes: Axes, rows: Sequence[Rates], to: Palette) -> None:
    """One row a language: the rate of the week as a dot with its interval, the usual one as a hollow diamond."""
    _plain(axes, to)
    top = 0.0
    for place, row in enumerate(rows):
        if row.baseline is not None:
            top = max(
                top, _interval(axes, row.baseline, place + 0.17, to.usual, marker="D", mfc=to.paper, ms=4.5, lw=1)
            )
        top = max(top, _interval(axes, row.now, place - 0.17, to.now, marker="o", ms=5, lw=1.8))
    axes.set_xlim(0, top * 1.05 or 1.0)
    _names(axes, [row.lang for row in rows], to)
    _per_cent(axes)


def _interval(axes: Axes, rate: Rate, place: float, colour: str, **style: Any) -> float:
    """Draw one rate; the largest number drawn."""
    if rate.value is None:
        return 0.0
    width = style.pop("lw")
    if rate.low is not None and rate.high is not None:
        axes.plot([rate.low, rate.high], [place, place], color=colour, lw=width, solid_capstyle="butt")
    axes.plot([rate.value], [place], ls="", color=colour, mew=1.2, clip_on=False, **style)
    return max(rate.value, rate.high or 0.0)


def mix(axes: Axes, spoken: Mix, to: Palette) -> None:
    """One row a language: its share of the sessions as a bar, the usual share as a hollow diamond."""
    _plain(axes, to)
    values = [share.now.value or 0.0 for share in spoken.shares]
    usual = [(share.baseline.value, place) for place, share in enumerate(spoken.shares) if share.baseline is not None]
    known = [(value, place) for value, place in usual if value is not None]
    axes.barh(range(len(values)), values, height=0.55, color=to.now, lw=0)
    xs, ys = [value for value, _ in known], [place for _, place in known]
    axes.plot(xs, ys, ls="", marker="D", ms=5.5, mfc=to.paper, mec=to.usual, mew=1.5, clip_on=False)
    axes.set_xlim(0, max([*values, *xs], default=0.0) * 1.05 or 1.0)
    _names(axes, [share.lang for share in spoken.shares], to)
    _per_cent(axes)


def sparkline(values: Sequence[float | None], label: str) -> str:
    """A line of a few characters' size, drawn without axes; days without a value are a gap in it.

    Empty where there are too few for a line.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    wide = 60 / (len(values) - 1)
    line, pen, end = "", "M", ""
    for place, value in enumerate(values):
        if value is not None:
            across, up = f"{2 + place * wide:.1f}", f"{14 - 12 * (value - low) / span:.1f}"
            line += f"{pen}{across} {up}"
            end = f'<circle cx="{across}" cy="{up}" r="1.8"/>'
        pen = "M" if value is None else "L"
    drawn = f'<path d="{line}" fill="none"/>{end}'
    box = 'viewBox="0 0 64 16" preserveAspectRatio="xMinYMid meet"'
    return f'<svg class="spark" role="img" {box} aria-label="{escape(label)}">{drawn}</svg>'


# --- axes ----------------------------------------------------------------------------------------------------------


def _plain(axes: Axes, to: Palette) -> None:
    """Axes with two lines and small words: what is drawn in them is the picture."""
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=to.soft, linewidth=0.7)
    axes.tick_params(colors=to.soft, labelcolor=to.ink, labelsize=_SMALL, length=3, width=0.7, pad=2)


def _names(axes: Axes, segments: Sequence[str], to: Palette) -> None:
    """Rows from the top down, each with the name of its language."""
    axes.set_yticks(range(len(segments)), [cut(segment_name(each), LONGEST_LABEL) for each in segments])
    axes.set_ylim(len(segments) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=to.soft, lw=0.4, alpha=0.35)
    axes.set_axisbelow(True)


def _per_cent(axes: Axes) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator

    ticks = _round_places(axes.get_xlim(), 4)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{100 * tick:.3g} %" for tick in ticks]))


def _dates(axes: Axes, ordinals: Sequence[int]) -> None:
    days = [date.fromordinal(each) for each in ordinals]
    axes.set_xticks(list(ordinals), [f"{day.day} {_MONTHS[day.month - 1]}" for day in days])


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not by ``strftime``, which would follow the machine's language."""


def _few_ticks(axis: Any, limits: tuple[float, float], most: int) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator

    ticks = _round_places(limits, most)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([f"{tick:.4g}".replace("-", "−") for tick in ticks]))


def _round_places(limits: tuple[float, float], most: int) -> list[float]:
    """Round numbers within ``limits``, about ``most`` of them.

    >>> _round_places((0.02, 0.41), 4)
    [0.1, 0.2, 0.3, 0.4]
    """
    low, high = limits
    span = high - low
    if not span > 0:
        return [low]
    rough = span / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * each for each in (1, 2, 2.5, 5, 10) if size * each >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]
