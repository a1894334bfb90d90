"""What a person or a program is shown: tables for a terminal, one stable JSON object for everything else."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.types import Alert, Finding

COLOURS = {
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
    "unknown": "magenta",
    "pending": "yellow",
    "firing": "red",
    "blind": "magenta",
    "learning": "cyan",
}
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@contextmanager
def quiet_logs(level: int) -> Iterator[None]:
    """Only what is at least as bad as ``level`` is logged, unless a person asked for everything."""
    logger = logging.getLogger("driftwatch")
    before = logger.level
    if logger.getEffectiveLevel() > logging.DEBUG:
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def as_json(content: object, *, indent: bool = True) -> bytes:
    """Dataclasses, mappings, sets, times and numpy numbers as JSON; NaN becomes null, half a surrogate pair ``?``."""
    import orjson

    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
    options |= orjson.OPT_INDENT_2 if indent else 0
    try:
        return orjson.dumps(content, default=_plain, option=options)
    except orjson.JSONEncodeError:
        return orjson.dumps(_mended(content), default=_plain, option=options)


def _mended(value: Any) -> Any:
    """``value`` without what others' JSON can hold and ours not: half surrogates, integers of more than 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    if hasattr(value, "_asdict"):
        return _mended(value._asdict())
    if is_dataclass(value):
        return {field.name: _mended(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_mended(key): _mended(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_mended(each) for each in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def safe(text: str) -> str:
    """``text`` without terminal escapes, control characters and bidirectional overrides, on one line."""
    return " ".join(harmless(text).split())


def harmless(text: str) -> str:
    """The same of a text that may have several lines, which stay."""
    if text.isprintable():
        return text
    plain = _ESCAPES.sub("", text)
    return "".join(
        "" if unicodedata.category(letter) in ("Cc", "Cf", "Cs") and letter not in "\n\t" else letter
        for letter in plain
    )


def at(moment: datetime | None, timezone: str = "UTC") -> str:
    """A time for a person, in ``timezone``.

    >>> at(datetime(2026, 5, 4, 7, 30, tzinfo=UTC), "Europe/Berlin")
    '2026-05-04 09:30 CEST'
    """
    return moment.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M %Z") if moment else ""


def number(value: float | None) -> str:
    """Three digits that matter.

    >>> number(0.04127), number(1234.0), number(None)
    ('0.0413', '1234', '')
    """
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose cells are plain text: nothing in them is taken for markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        made.add_column(Text(safe(column)), overflow="fold")
    for row in rows:
        made.add_row(*(Text(safe(cell), style=COLOURS.get(cell, "")) for cell in row))
    return made


def findings_table(findings: Iterable[Finding]) -> Table:
    """One row a finding, the worst first."""
    order = ("fail", "warn", "unknown", "ok")
    rows = [
        (
            verdict_of(each),
            each.check,
            each.segment,
            number(each.value),
            number(each.reference),
            str(each.n),
            each.message,
        )
        for each in sorted(findings, key=lambda each: (order.index(each.verdict), each.check, each.segment))
    ]
    return table("", ("verdict", "check", "segment", "now", "normal", "n", "finding"), rows)


def verdict_of(finding: Finding) -> str:
    """The verdict, or `learning` where it is unknown only for now."""
    return "learning" if finding.learning else finding.verdict


def alerts_table(alerts: Iterable[Alert], timezone: str, openings: Mapping[str, int]) -> Table:
    """One row an alert that is not ok; ``openings``: incident -> how often it has opened."""
    rows = [
        (
            each.state,
            each.check,
            each.segment,
            at(each.since, timezone),
            each.incident,
            str(openings.get(each.incident, "")),
            each.acknowledged_by,
        )
        for each in sorted(alerts, key=lambda each: (each.state, each.check, each.segment))
    ]
    return table("", ("state", "check", "segment", "since", "incident", "opened", "acknowledged by"), rows)


def now_utc() -> datetime:
    """The present moment: the edge asks here, everything else is told."""
    return datetime.now(UTC)
