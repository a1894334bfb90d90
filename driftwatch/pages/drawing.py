"""Charts as SVG: whole without script, and coloured by the style sheet. What is not a number is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from driftwatch.show import number, safe

Floats = NDArray[np.float64]
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720, 56, 14, 12, 26
STRIP = 14
"""The height of the strip of verdicts."""
MOST_POINTS = 360
"""Of a line: more cannot be told apart."""
SPARK = (74, 20)
SECOND = 1_000_000
_STEPS = (1, 2, 5, 10)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_APART = (6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 61 * DAY, 122 * DAY)
"""Between two moments below a chart."""
MOST_MOMENTS = 7


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart with what stands beside it."""

    name: str
    caption: str
    svg: Markup
    kind: str = ""
    """What the script draws in its place."""
    source: str = ""
    """Where the script finds the data, from the first page on; empty: nothing to zoom into."""
    columns: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where data are in a chart of ``height``."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: int
    left: int = LEFT

    def across(self, value: Any) -> Any:
        """From left to right."""
        low, high = self.x
        return self.left + (value - low) / ((high - low) or 1) * (WIDTH - self.left - RIGHT)

    def up(self, value: Any) -> Any:
        """From the bottom."""
        low, high = self.y
        return self.height - BOTTOM - (value - low) / ((high - low) or 1) * (self.height - TOP - BOTTOM)


def sparkline(values: Floats) -> Markup:
    """The shape of the last days, with a dot at the end; empty where nothing was measured.

    There are hundreds on a page: of so few numbers lists are quicker than arrays.
    """
    numbers = values.tolist()
    known = [value for value in numbers if math.isfinite(value)]
    if len(known) < 2:
        return Markup()
    width, height = SPARK
    low, high = _apart(min(known), max(known), 0.04)
    apart, scale_of = (width - 6) / (len(numbers) - 1), (height - 6) / (high - low)
    parts, before, x, y = [], "M", 0.0, 0.0
    for place, value in enumerate(numbers):
        if not math.isfinite(value):
            before = "M"
            continue
        x, y = 2 + place * apart, height - 3 - (value - low) * scale_of
        parts.append(f"{before}{x:.1f} {y:.1f}")
        before = "L"
    end = f'<circle class="end" cx="{x:.0f}" cy="{y:.1f}" r="2.2"/>'
    head = f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true">'
    return Markup(f'{head}<path class="spark" d="{"".join(parts)}"/>{end}</svg>')  # noqa: S704 numbers only


def path(x: Floats, y: Floats) -> str:
    """A line that stops where nothing is known."""
    parts: list[str] = []
    going = False
    for across, up in zip(x.tolist(), y.tolist(), strict=True):
        if up != up:
            going = False
            continue
        parts.append(f"{'L' if going else 'M'}{across:.1f} {up:.1f}")
        going = True
    return "".join(parts)


def steps(x: Floats, y: Floats) -> str:
    """A line that goes up in steps, as shares do."""
    return path(np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]) if len(x) else ""


def thinned(at: NDArray[np.int64], values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Few enough points, the highest and the lowest of each stretch among them."""
    if len(at) <= 2 * MOST_POINTS:
        return at, values
    kept: list[int] = []
    for rows in np.array_split(np.arange(len(at)), MOST_POINTS):
        known = rows[np.isfinite(values[rows])]
        ends = (
            {int(known[values[known].argmin()]), int(known[values[known].argmax()])} if len(known) else {int(rows[0])}
        )
        kept += sorted(ends)
    return at[kept], values[kept]


def chart(frame: Frame, name: str, *parts: str) -> Markup:
    """The whole of it; ``name`` is what a screen reader says."""
    head = f'<svg viewBox="0 0 {WIDTH} {frame.height}" role="img" aria-label="{escape(safe(name))}">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 words() escapes what is no number


def line(kind: str, d: str) -> str:
    """A path of one class."""
    return f'<path class="{kind}" d="{d}"/>' if d else ""


def words(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    """A few words in a chart."""
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(safe(text))}</text>'


def level(frame: Frame, kind: str, value: float, text: str, *, right: bool = False) -> str:
    """A line across, with its name at one of its ends."""
    y = float(frame.up(value))
    drawn = line(kind, f"M{frame.left} {y:.1f}H{WIDTH - RIGHT}")
    x, anchor = (WIDTH - RIGHT - 2, "end") if right else (frame.left + 4, "start")
    return drawn + words(x, y - 4 if y > TOP + 14 else y + 13, text, anchor=anchor)


def scale(frame: Frame, percent: bool = False) -> str:
    """Lines across at round numbers."""
    parts = []
    for value in ticks(*frame.y):
        y = float(frame.up(value))
        text = f"{number(100 * value)} %" if percent else number(value) or "0"
        parts.append(
            line("axis", f"M{frame.left} {y:.1f}H{WIDTH - RIGHT}") + words(frame.left - 6, y + 4, text, "", "end")
        )
    return "".join(parts)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two others.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / most or 1.0
    size = 10.0 ** np.floor(np.log10(rough))
    apart = next((size * each for each in _STEPS if size * each >= rough * 0.999), size * 10)
    first = np.ceil(low / apart - 1e-9)
    return [
        round(float((first + place) * apart), 12) for place in range(int((high - first * apart) / apart + 1e-9) + 1)
    ]


def days(frame: Frame, zone: tzinfo) -> str:
    """The moments below a chart whose x are microseconds since 1970."""
    y = frame.height - 8
    parts = []
    for at, text in _moments(*frame.x, zone):
        x = float(frame.across(at))
        parts.append(line("axis", f"M{x:.1f} {TOP}V{frame.height - BOTTOM}") + words(x, y, text, "", "middle"))
    return "".join(parts)


def strip(frame: Frame, at: NDArray[np.int64], verdicts: Sequence[str]) -> str:
    """What was said at each look, as a strip: what fails stands tallest."""
    if not len(at):
        return ""
    heights = {"fail": STRIP, "warn": STRIP * 0.7, "unknown": STRIP * 0.7, "ok": 3}
    edges = np.append(at, at[-1] + (np.median(np.diff(at)) if len(at) > 1 else 0))
    x = np.clip(frame.across(edges), frame.left, WIDTH - RIGHT)
    parts, place = [], 0
    for verdict, run in groupby(verdicts):
        length = sum(1 for _ in run)
        tall, width = heights[verdict], max(1.0, float(x[place + length] - x[place]))
        y = frame.height - BOTTOM - tall
        parts.append(
            f'<rect class="v-{verdict}" x="{x[place]:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:g}"/>'
        )
        place += length
    return "".join(parts)


def bar(low: float, value: float, high: float) -> Markup:
    """A share in [0, 1] as a bar, with its interval where there is one."""
    ends = f'<path class="normal" d="M{100 * low:.1f} 8H{100 * high:.1f}"/>' if high > low else ""
    filled = f'<rect class="full" y="2" width="{100 * value:.1f}" height="12"/>'
    head = '<svg viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">'
    return Markup(f'{head}<rect class="empty" width="100" height="16"/>{filled}{ends}</svg>')  # noqa: S704 numbers only


def around(*parts: Floats, least: float = 0.02) -> tuple[float, float]:
    """The least and the most of all that is known, and a little more."""
    known = np.concatenate([part[np.isfinite(part)] for part in parts])
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return _apart(low, high, least)


def _apart(low: float, high: float, least: float) -> tuple[float, float]:
    """Ends that are not so near each other that noise looks like news."""
    wanted = max(high - low, least * max(abs(low), abs(high)), 1e-9) * 1.1
    middle = (low + high) / 2
    return middle - wanted / 2, middle + wanted / 2


def _moments(first: float, last: float, zone: tzinfo) -> Iterator[tuple[float, str]]:
    start, end = (datetime.fromtimestamp(each / SECOND, UTC).astimezone(zone) for each in (first, last))
    length = end - start
    apart = next((each for each in _APART if length <= MOST_MOMENTS * each), _APART[-1])
    form = "%a %H:%M" if apart < DAY else "%-d %b" if apart < _APART[-2] else "%b %Y"
    moment = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while moment <= end - 0.04 * length:
        if moment >= start + 0.02 * length:
            yield moment.timestamp() * SECOND, moment.strftime(form)
        moment += apart
