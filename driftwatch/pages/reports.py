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
FIRST = ("report.html", "index.html")
"""What stands for the whole report, if it is there."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One week."""

    week: str
    first: str
    """The file to read; empty where there is none."""
    others: tuple[str, ...]


def render_reports(watch: Watch, viewer: Viewer = NOBODY) -> str:
    """Every kept report, the newest first."""
    return render("reports.html", watch, viewer, "Reports", reports=list(kept(watch)), settings=watch.report)


def kept(watch: Watch) -> Iterator[Kept]:
    """The weeks of which something is there, the newest first."""
    folder = watch.state / "reports"
    weeks = (
        sorted((each for each in folder.iterdir() if WEEK.fullmatch(each.name)), reverse=True)
        if folder.is_dir()
        else []
    )
    for each in weeks:
        names = sorted(path.name for path in each.iterdir() if is_shown(path)) if each.is_dir() else []
        pages = [name for name in (*FIRST, *names) if name in names and name.endswith(".html")]
        first = pages[0] if pages else ""
        if names:
            yield Kept(each.name, first, tuple(name for name in names if name != first))


def report_file(watch: Watch, week: str, name: str) -> Path | None:
    """One file of a report; None: there is none that may be shown."""
    if not WEEK.fullmatch(week) or not FILE.fullmatch(name):
        return None
    path = watch.state / "reports" / week / name
    return path if is_shown(path) else None


def is_shown(path: Path) -> bool:
    """Whether it is a plain file of a kind that pages show."""
    return path.suffix in TYPES and not path.is_symlink() and not path.parent.is_symlink() and path.is_file()
