"""What a report is made of, whatever it is written as: sections of sentences, cards and tables, all of them text.

Every text is one line and clean (see ``driftwatch.cleaning``); none of it is escaped, since HTML and Markdown escape
each in their own way. Numbers are written here and nowhere else, so that every form says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from driftwatch.cleaning import clean
from driftwatch.reported import Estimate, Rate
from driftwatch.segment_names import segment_name
from driftwatch.show import at, number

NONE = "–"
"""What is written where nothing is known."""

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under named columns."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: tuple[int, ...] = ()
    """The columns that hold numbers, which are set flush right."""
    data: bool = False
    """Whether it holds what a chart draws, and is folded away beside it."""
    curve: bool = False
    """Whether it has hundreds of rows that say nothing one by one: Markdown leaves those to the JSON."""


@dataclass(frozen=True, slots=True)
class Card:
    """One thing with a name, a state and what there is to say of it."""

    title: str
    state: str
    """One word."""
    tone: str
    """``ok`` | ``warn`` | ``fail`` | ``unknown``."""
    lines: tuple[tuple[str, str], ...]
    """Label and text."""
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One question that the report answers."""

    key: str
    title: str
    words: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """One of the few figures at the top."""

    label: str
    figure: str
    beside: str
    tone: str = ""
    """``warn`` or ``fail`` where it is to be noticed."""
    days: tuple[float | None, ...] = ()
    """The same day by day, oldest first; None on a day on which nothing was measured."""


@dataclass(frozen=True, slots=True)
class Story:
    """The whole report in words and numbers."""

    service: str
    week: str
    dates: str
    covers: str
    """Which stretch of time it is about, to the minute."""
    level: str
    sentence: str
    reasons: tuple[str, ...]
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]


# --- writing -------------------------------------------------------------------------------------------------------


def text(given: str, limit: int = 400) -> str:
    """What somebody else wrote, fit to be shown; something in any case."""
    return clean(given, limit) or NONE


def figure(value: float | None) -> str:
    """Three digits that matter; below one, three places, as measures and rates are written.

    >>> figure(0.9), figure(-0.04127), figure(0.00031), figure(23.456), figure(999.7), figure(None)
    ('0.900', '−0.041', '0.0003', '23.5', '1,000', '–')
    """
    if value is None:
        return NONE
    size = abs(value)
    if size >= 999.5:  # three digits of it would be written as 1e+03
        shown = f"{value:,.0f}"
    elif size >= 1 or value == 0:
        shown = number(value)
    elif size >= 0.001:
        shown = f"{value:.3f}"
    else:
        shown = _small(value)
    return shown.replace("-", "−", 1)


def _small(value: float) -> str:
    """One digit that matters."""
    return f"{value:.0e}" if abs(value) < 0.00001 else f"{float(f'{value:.1g}'):.5f}".rstrip("0")


def chance(p_value: float | None) -> str:
    """A p-value: two digits that matter.

    >>> chance(0.0213), chance(1.23e-9), chance(0.0)
    ('0.021', '1.2e-09', '< 1e-300')
    """
    if p_value is None:
        return NONE
    return f"{p_value:.2g}" if p_value > 0 else "< 1e-300"


def whole(count: int) -> str:
    """A count.

    >>> whole(68900)
    '68,900'
    """
    return f"{count:,}"


def change(value: float | None) -> str:
    """The same with its sign.

    >>> change(0.031), change(-0.031), change(0.0)
    ('+0.031', '−0.031', '0')
    """
    return f"+{figure(value)}" if value is not None and value > 0 else figure(value)


def per_cent(value: float | None) -> str:
    """A share in [0, 1] as per cent.

    >>> per_cent(0.03527), per_cent(1.0), per_cent(None)
    ('3.53 %', '100 %', '–')
    """
    return f"{100 * value:.3g} %".replace("-", "−", 1) if value is not None else NONE


def between(low: float | None, high: float | None) -> str:
    """An interval.

    >>> between(-0.1, 0.25), between(None, None)
    ('−0.100 to 0.250', '–')
    """
    return NONE if low is None and high is None else f"{figure(low)} to {figure(high)}"


def per_cents(low: float | None, high: float | None) -> str:
    """An interval of shares."""
    return NONE if low is None and high is None else f"{per_cent(low)} to {per_cent(high)}"


def rate(given: Rate | None) -> tuple[str, str, str]:
    """The share, its interval, and what of how many: three cells."""
    if given is None:
        return NONE, NONE, NONE
    return per_cent(given.value), per_cents(given.low, given.high), f"{whole(given.k)} of {whole(given.n)}"


def rate_words(given: Rate | None) -> str:
    """The same in one.

    >>> rate_words(Rate(12, 340, 0.02, 0.06))
    '3.53 % (2 % to 6 %), 12 of 340'
    """
    share, interval, counts = rate(given)
    return counts if share == NONE else f"{share}, {counts}" if interval == NONE else f"{share} ({interval}), {counts}"


def estimate(given: Estimate | None) -> tuple[str, str, str]:
    """The value, its interval and n: three cells."""
    return (figure(given.value), between(given.low, given.high), whole(given.n)) if given else (NONE, NONE, NONE)


def difference(given: Estimate | None) -> tuple[str, str, str]:
    """The same of a change, with its sign."""
    return (change(given.value), *estimate(given)[1:]) if given else (NONE, NONE, NONE)


def language(segment: str) -> str:
    """What a segment is called."""
    return segment_name(segment)


def day(given: date) -> str:
    """``16 Nov``."""
    return f"{given.day} {MONTHS[given.month - 1][:3]}"


def moment(given: datetime | None, timezone: str) -> str:
    """A time in the report's time zone."""
    return at(given, timezone) or NONE


def lasted(seconds: float) -> str:
    """The two largest units.

    >>> lasted(18720), lasted(20)
    ('5 h 12 min', 'less than a minute')
    """
    minutes = max(0, int(seconds // 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    units = ((days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min"))
    return " ".join([f"{count} {unit}" for count, unit in units if count][:2]) or "less than a minute"


def counted(count: int, one: str, several: str = "") -> str:
    """``1 incident``, ``2 incidents``."""
    return f"{whole(count)} {one if count == 1 else several or one + 's'}"


def first_upper(words: str) -> str:
    """Words at the head of something: the first letter large, the others as they are.

    >>> first_upper("nDCG@5"), first_upper("recall R@5")
    ('nDCG@5', 'Recall R@5')
    """
    return words if words[1:2].isupper() else words[:1].upper() + words[1:]


def listed(names: Iterable[str], limit: int = 200) -> str:
    """Names after one another."""
    return text(", ".join(names), limit)


def pairs(given: Mapping[str, object]) -> str:
    """``ok 12, fail 3``."""
    return listed(f"{name} {value}" for name, value in given.items())


def week_days(first: date) -> str:
    """The seven days from ``first`` on.

    >>> week_days(date(2026, 11, 16)), week_days(date(2026, 11, 30))
    ('16 to 22 November 2026', '30 November to 6 December 2026')
    """
    last = first + timedelta(days=6)
    start = str(first.day)
    if first.month != last.month:
        start += f" {MONTHS[first.month - 1]}"
    if first.year != last.year:
        start += f" {first.year}"
    return f"{start} to {last.day} {MONTHS[last.month - 1]} {last.year}"
