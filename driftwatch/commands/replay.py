"""`replay`: what these checks would have said over recorded time, and how often they would have woken you."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.commands import say
from driftwatch.commands.judging import moment
from driftwatch.errors import DriftwatchError
from driftwatch.show import now_utc, number, table

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.replay.reading import Progress
    from driftwatch.replay.report import Detection, Proposal, Quiet, Rate, Report, Said

HERE = Path("driftwatch.yaml")


def replay(
    config: Path,
    *,
    logs: Sequence[str],
    canaries: Sequence[str],
    start: str,
    end: str,
    every: str,
    baseline: str,
    events: Path | None,
    quiet_weeks: int,
    tune: bool,
    fields: Sequence[str],
    source: str,
    json: bool,
) -> None:
    """Replay and print what was found."""
    from driftwatch.config import load_watch
    from driftwatch.daemon import open_embedder
    from driftwatch.replay.running import Request
    from driftwatch.replay.running import replay as replayed

    request = Request(
        config=None if config == HERE and not config.exists() else config,
        now=now_utc(),
        logs=tuple(logs),
        canaries=tuple(canaries),
        start=_moment("--from", start),
        end=_moment("--to", end, last=True),
        every=every,
        baseline=baseline,
        events=events,
        quiet_weeks=quiet_weeks,
        tune=tune,
        fields=_fields(fields),
        source=source,
    )
    watch = load_watch(config) if request.config else None
    with _progress() as progress:
        report = replayed(request, progress, watch=watch, embedder=open_embedder(watch) if watch else None)
    say(json, report, *_shown(report))


def _moment(option: str, text: str, *, last: bool = False) -> datetime | None:
    try:
        return moment(text, last=last) if text else None
    except DriftwatchError as error:
        raise DriftwatchError(f"{option}: {error.problem}", remedy=error.remedy) from None


def _fields(given: Sequence[str]) -> dict[str, str]:
    """``ts=time`` as a name and an expression."""
    pairs = [each.partition("=") for each in given]
    for (name, sign, expression), whole in zip(pairs, given, strict=True):
        if not (name and sign and expression):
            raise DriftwatchError(f"--field {whole} names no field.", remedy="Write --field NAME=WHERE: ts=time.")
    return {name: expression for name, _, expression in pairs}


@contextmanager
def _progress() -> Iterator[Progress]:
    """One moving line on a terminal; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _what, _count: None
        return
    from rich.console import Console

    with Console(stderr=True).status("replaying") as status:
        yield lambda what, count: status.update(f"{what}: {count:,}" if count else what)


# --- what a person is shown ----------------------------------------------------------------------------------------


def _shown(report: Report) -> Iterator[Table | str]:
    yield from _record(report)
    if report.said:
        yield table("what would have been said", ("at (UTC)", "event", "check", "segment", "why"), _rows(report))
    else:
        yield "Nothing would have been said.\n"
    yield from _counts(report)
    if report.events:
        columns = ("event", "at (UTC)", "found by", "after")
        yield table("marked events", columns, [_event_row(each) for each in report.events])
    if report.quiet is not None:
        yield from _quiet(report.quiet)
    if report.proposals:
        yield from _tuning(report.proposals)
    for name, why in report.left_out.items():
        yield f"Left out: {name}: {why}."
    for note in report.notes:
        yield f"Note: {note}."


def _record(report: Report) -> Iterator[Table | str]:
    rows = []
    for each in report.recorded:
        base = each.baseline
        normal = f"{_at(base.start)} .. {_at(base.end)} ({base.reason})" if base else "not full yet"
        rows.append((each.source, f"{_at(each.start)} .. {_at(each.end)}", each.cadence, normal))
    yield table(f"recorded of {report.service}", ("source", "from .. to (UTC)", "written", "compared with"), rows)
    for each in report.recorded:
        if (taken := each.taken) is None:
            continue
        unread = f", {taken.rejected:,} of them could not be read" if taken.rejected else ""
        yield f"{taken.source}: {taken.count:,} lines{unread}"
        yield from (f"  {reject}" for reject in taken.rejects)
        yield from (f"  {count:,} lines: {note}" for note, count in taken.notes.items())


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    for each in report.said:
        why = each.message if each.belongs_to is None else f"{each.message} [{each.belongs_to}]"
        yield _at(each.at), _event_word(each), each.check, each.segment, why


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _event_word(said: Said) -> str:
    return "warning" if said.event == "firing" and said.severity == "warn" else said.event


def _counts(report: Report) -> Iterator[str]:
    if not report.judged_days:
        yield "Nothing could be judged: the baseline never became full."
        return
    budget = number(report.budget)
    yield f"Judged: {report.judged_days:.1f} days. Budget: {budget} false pages a quarter (90 days)."
    yield _rate("pages", report.pages)
    if report.false_pages is not None:
        yield _rate("of them, belonging to no marked event", report.false_pages)
    yield _rate("warnings", report.warnings)


def _rate(what: str, rate: Rate) -> str:
    low, high = rate.interval
    return f"{what}: {rate.count}, {number(rate.per_quarter)} a quarter (95 % interval {number(low)} to {number(high)})"


def _event_row(found: Detection) -> tuple[str, ...]:
    event = found.event
    already = f" ({found.already} was firing already)" if found.already else ""
    if found.check is None:
        return event.name, _at(event.at), f"nothing{already}", ""
    return event.name, _at(event.at), f"{found.check}:{found.segment}{already}", _length(found.after_hours or 0.0)


def _length(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _quiet(quiet: Quiet) -> Iterator[str]:
    yield f"A/A: {quiet.weeks} weeks drawn from {quiet.drawn_from} quiet ones"
    yield _rate("  pages", quiet.pages)
    yield _rate("  warnings", quiet.warnings)
    for name, count in quiet.by_check.items():
        yield f"  {name}: {count}"
    yield from (f"  Note: {note}." for note in quiet.notes)


def _tuning(proposals: Sequence[Proposal]) -> Iterator[Table | str]:
    columns = ("check", "floor", "every", "pages/quarter", "delay", "missed", "")
    rows = []
    for each in proposals:
        for trial in each.trials:
            mark = "proposed" if trial == each.best else "over budget" if not trial.keeps else ""
            mark = f"now, {mark}".rstrip(", ") if trial == each.now else mark
            delay = "never" if trial.delay_days is None else _length(24 * trial.delay_days)
            rate = number(trial.pages.per_quarter)
            rows.append((each.check, f"{trial.floor:.3g}", trial.every, rate, delay, f"{trial.missed:.0%}", mark))
    yield table("settings tried on quiet weeks", columns, rows)
    for each in proposals:
        yield f"{each.check}: the delay is that of a shift of {each.shift:.3g} ({each.quantity}) in {each.segment}"
    yield ""
    yield "To paste:"
    yield from (each.yaml for each in proposals if each.best != each.now)
    if all(each.best == each.now for each in proposals):
        yield "nothing: the present settings are the best of those tried."
