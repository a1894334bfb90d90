"""The weekly report of one watched service: what joins its numbers, its drawing and its keeping with a ``Watch``.

A report is made in a process of its own: what numbers and pictures need of memory goes with it.

::

    python -m driftwatch.reporting driftwatch.yaml 2026-W47
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from driftwatch.config import Watch, load_watch, remembered
from driftwatch.config.release import folder_of, registry_of
from driftwatch.errors import DriftwatchError, ReportError, RetrainError
from driftwatch.report.about import About, Accepted, Expected
from driftwatch.report.kept import Kept, Reports
from driftwatch.report.spans import last_week, span_of
from driftwatch.report.week import build_week
from driftwatch.reported import Retraining, Week
from driftwatch.show import now_utc
from driftwatch.store import CheckRun, Store

if TYPE_CHECKING:
    from driftwatch.report.attached import Attached

JOB = "report"
LONGEST = 900.0
"""Seconds that making one may take."""
_LOOK = 0.2
_SAID = 500
"""Bytes of what a process said at its end that are repeated."""


@dataclass(frozen=True, slots=True)
class Made:
    """A report, drawn."""

    week: Week
    files: Mapping[str, bytes]
    """Name -> content, as ``render`` made them."""
    kept: Kept | None
    """Where it is kept; None: the week is not over, or nothing was seen in it."""


def make(watch: Watch, store: Store, name: str, now: datetime, *, anew: bool = False) -> Made:
    """The report of a week (empty: the last that is over), kept where the week is over.

    What is kept already is drawn again from its own numbers, unless it is to be made ``anew`` from the store.

    Raises:
        ConfigError: that is no week, or it has not begun.
        ReportError: what is kept cannot be read, or the disk refuses.
    """
    from driftwatch.report.attached import NOT_YET
    from driftwatch.report.render import render

    span = span_of(name or last_week(now, watch.zone), watch.zone, now)
    reports = Reports(watch.state)
    week = None if anew else reports.week(span.name)
    if week is None:
        week = build_week(store, about_of(watch), span)
    lasting = week.complete and seen_anything(week)
    attached, pages = (
        _beside(watch, store, week, None if anew else reports.find(span.name)) if lasting else (NOT_YET, {})
    )
    files = {**render(week, attached), **pages}
    kept = reports.keep(week, files) if lasting else None
    return Made(week, files, kept)


def _beside(watch: Watch, store: Store, week: Week, kept: Kept | None) -> tuple[Attached, dict[str, bytes]]:
    """The Evidently page: the one that was kept, else a new one."""
    from driftwatch.contents import Asked
    from driftwatch.report.attached import NOT_ASKED, attach, read_attached
    from driftwatch.report.drift_rows import week_rows

    if kept is not None:
        return read_attached(kept.files)
    if watch.report is None or not watch.report.evidently:
        return NOT_ASKED, {}
    embedder = None
    if watch.embedder is not None and any(check.embeds for check in watch.checks):
        from driftwatch.embed import TextEmbedder

        embedder = TextEmbedder(watch.embedder, watch.state)
    asked = Asked(store, embedder, watch.privacy, at_once=0) if embedder is not None else None
    return attach(week_rows(store, week, asked.fill if asked is not None else None).arrays)


def seen_anything(week: Week) -> bool:
    """Whether there is anything to report: before its first day driftwatch saw nothing."""
    return bool(week.checks or week.canary_sources or week.mixes or week.incidents)


def about_of(watch: Watch) -> About:
    """What the report has to know of the configuration, and of the releases on the disk."""
    settings = watch.baseline
    given = (settings.start, settings.end) if settings.start and settings.end else settings.length
    assert given is not None
    events: tuple[Retraining, ...]
    unread: tuple[str, ...]
    try:
        events, unread = tuple(_events(watch)), ()
    except (RetrainError, OSError, ValueError) as error:
        events, unread = (), (str(error),)
    return About(
        service=watch.service,
        zone=watch.zone,
        sources={name: source.gives for name, source in watch.sources.items()},
        checks=watch.checks,
        accepted=(
            Accepted("page", watch.false_pages.count, watch.false_pages.per),
            Accepted("warn", watch.false_warnings.count, watch.false_warnings.per),
        ),
        baseline=given,
        jobs=remembered(watch) | ({JOB: watch.report.every} if watch.report is not None else {}),
        expected=tuple(Expected(each.start, each.end, each.reason) for each in watch.expected),
        retraining=events,
        unread=unread,
        shows_queries=watch.privacy.show_queries and watch.privacy.keep_text != "hash",
    )


def _events(watch: Watch) -> Iterator[Retraining]:
    """Jobs and releases, as their folders tell."""
    if watch.retrain is None:
        return
    from driftwatch.retraining.course import courses

    for job in courses(folder_of(watch)):
        reasons = job.wanted.get("reasons") or [""]
        yield Retraining(job.began, "job", job.job_id, "begun", str(reasons[0]))
        if (ended := job.ended) is not None:
            what = {"promoted": "promoted", "rolled back": "rolled back"}.get(ended.how, "job")
            yield Retraining(ended.at, what, job.job_id, ended.how, ended.reason)  # type: ignore[arg-type]
    registry = registry_of(watch)
    for release in registry.releases():
        back = registry.rolled_back(release.release)
        if back is not None:
            at = datetime.fromisoformat(str(back["at"]))
            by, reason = str(back.get("by", "")), str(back.get("reason", ""))
            yield Retraining(at, "rolled back", release.job or release.release, "rolled back", reason, by)


# --- in a process of its own ---------------------------------------------------------------------------------------


def make_by_itself(watch: Watch, store: Store, due: datetime, stopping: Callable[[], bool]) -> None:
    """Make and keep the report of the week that was over at ``due``, in another process, unless it is there.

    A process that is told to stop is ended, and the report is made at the next start.

    Raises:
        ReportError: it could not be made; what the process said is in the message.
    """
    started, name = now_utc(), last_week(due, watch.zone)
    reports = Reports(watch.state)
    wanted = reports.find(name) is None and _began(watch, store) < span_of(name, watch.zone).end
    if wanted and not _done(watch.path.absolute(), name, stopping):
        return
    if watch.report is not None:
        reports.prune(watch.report.keep, due)
    # Before the run counts as done: a crash in between makes the job run again, and nobody is told twice.
    if reports.find(name) is not None:
        store.weekly.announce(name, [each.name for each in watch.notify if "report" in each.tell], due)
    store.decisions.record_run(CheckRun(JOB, due, started, now_utc(), "done"))


def _began(watch: Watch, store: Store) -> datetime:
    """When anything was first seen; now, where nothing was."""
    first = [
        store.traffic.first_hour(name) if source.gives == "traffic" else store.canaries.first_run(name)
        for name, source in watch.sources.items()
    ]
    return min((each for each in first if each is not None), default=now_utc())


def _done(config: Path, name: str, stopping: Callable[[], bool]) -> bool:
    """Run the process to its end; False when told to stop before."""
    command = [sys.executable, "-P", "-m", "driftwatch.reporting", str(config), name]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        try:
            deadline = time.monotonic() + LONGEST
            while process.poll() is None:
                if stopping() or time.monotonic() > deadline:
                    break
                time.sleep(_LOOK)
        finally:
            if (code := process.poll()) is None:
                process.kill()
                process.wait()
        if code is None and stopping():
            return False
        if code != 0:
            why = _tail(said) or f"it took more than {LONGEST:.0f} s"
            raise ReportError(f"the report of {name} could not be made: {why}", remedy="Try `driftwatch report`.")
    return True


def _tail(file: IO[bytes]) -> str:
    """The last that a process said, on one line."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _SAID))
    return " ".join(file.read().decode("utf-8", "replace").split())


def main(arguments: list[str]) -> int:
    """Make and keep one report; the exit code."""
    config, name = arguments
    try:
        watch = load_watch(Path(config))
        store = Store.open(watch.database, migrate=False)
        try:
            make(watch, store, name, now_utc())
        finally:
            store.close()
    except DriftwatchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
