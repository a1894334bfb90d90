"""`report …`: make one, show one, list what is kept."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.commands import opened, say
from driftwatch.errors import ConfigError, ReportError
from driftwatch.show import now_utc, table

if TYPE_CHECKING:
    from driftwatch.report.kept import Kept
    from driftwatch.reporting import Made

FILES = {"html": "report.html", "markdown": "report.md", "json": "report.json"}
_SUFFIXES = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown", ".json": "json"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """In which form the report is wanted, and where."""

    form: str
    """``html``, ``markdown``, ``json``; empty: that of ``out``, or a summary."""
    out: Path | None

    def file(self) -> str:
        """The name of the file that is wanted; empty for a summary.

        Raises:
            ConfigError: there is no such form.
        """
        form = self.form or (_SUFFIXES.get(self.out.suffix.lower(), "html") if self.out is not None else "")
        if form and form not in FILES:
            raise ConfigError(f"'{form}' is no format of a report.", remedy=f"Write one of {', '.join(FILES)}.")
        return FILES.get(form, "")


def report(config: Path, week: str, wanted: Wanted, *, anew: bool) -> None:
    """Make the report of ``week`` and keep it; print or write what is wanted of it."""
    from driftwatch.reporting import make

    name = wanted.file()
    with opened(config) as (watch, store):
        made = make(watch, store, week, now_utc(), anew=anew)
    if wanted.out is not None:
        _write(wanted.out, made.files[name])
        say(False, None, f"{made.week.name}: {made.week.verdict.sentence}.", f"written to {wanted.out}")
    elif name:
        sys.stdout.buffer.write(made.files[name])
        sys.stdout.buffer.flush()
    else:
        _summary(made)


def _summary(made: Made) -> None:
    """The verdict, why, and where the report is."""
    week = made.week
    where = f"kept in {next(iter(made.kept.files.values())).parent}" if made.kept is not None else "not kept"
    why = "" if made.kept is not None else ": " + ("nothing was seen" if week.complete else "the week is not over")
    reasons = [f"- {each}" for each in week.verdict.reasons]
    say(False, None, f"{week.name}, {week.verdict.level}: {week.verdict.sentence}.", *reasons, where + why)


def _write(path: Path, content: bytes) -> None:
    """The whole file, or the one that was there."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)  # noqa: PTH105 - the target is the user's own
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}.", remedy="Name another file with --out.") from None


def listed(config: Path, *, json: bool) -> None:
    """Print the reports that are kept."""
    from driftwatch.config import load_watch
    from driftwatch.report.kept import Reports

    kept = Reports(load_watch(config).state).list()
    rows = [(each.name, each.level, each.sentence, str(_page(each) or "")) for each in kept]
    shown = table("", ("week", "verdict", "", "page"), rows) if rows else "No report is kept yet."
    say(json, {"reports": [_plain(each) for each in kept]}, shown)


def _page(kept: Kept) -> Path | None:
    return kept.files.get(FILES["html"]) or kept.files.get(FILES["markdown"])


def _plain(kept: Kept) -> dict[str, object]:
    files = {name: str(path) for name, path in kept.files.items()}
    said = {"week": kept.name, "level": kept.level, "sentence": kept.sentence}
    return {**said, "start": kept.start, "end": kept.end, "files": files}
