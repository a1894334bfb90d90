"""The weekly reports that are kept: which there are, and their files, as they were written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.pages.rendering import NOBODY, Viewer, render

if TYPE_CHECKING:
    from driftwatch.config import Watch

WEEK = re.compile(r"\d{4}-W\d\d")
FILE = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,99}")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""Ending -> what it is; no other file is shown."""
FIRST = "report.html"
"""What stands for the whole report, if it is there."""
STATES = {"ok": "ok", "warn": "warn", "fail": "fail", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One week."""

    week: str
    state: str
    """For its sign; empty where nothing can be read of it."""
    sentence: str
    first: str
    """The file to read; empty where there is none."""
    others: tuple[str, ...]


def render_reports(watch: Watch, viewer: Viewer = NOBODY) -> str:
    """Every kept report, the newest first."""
    return render("reports.html", watch, viewer, "Reports", reports=list(kept(watch)), settings=watch.report)


def kept(watch: Watch) -> Iterator[Shown]:
    """The weeks of which something is there, the newest first."""
    from driftwatch.report.kept import Reports

    for each in Reports(watch.state).list():
        names = sorted(name for name, path in each.files.items() if is_shown(path))
        first = FIRST if FIRST in names else ""
        others = tuple(name for name in names if name != first)
        yield Shown(each.name, STATES.get(each.level, ""), each.sentence, first, others)


def report_file(watch: Watch, week: str, name: str) -> Path | None:
    """One file of a report; None: there is none that may be shown."""
    if not WEEK.fullmatch(week) or not FILE.fullmatch(name):
        return None
    path = watch.state / "reports" / week / name
    return path if is_shown(path) else None


def is_shown(path: Path) -> bool:
    """Whether it is a plain file of a kind that pages show."""
    return path.suffix in TYPES and not path.is_symlink() and not path.parent.is_symlink() and path.is_file()
