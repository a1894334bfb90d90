"""`baseline`, `alerts` and `explain`: what is normal, what is wrong, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch import acting
from driftwatch.acting import NOBODY, alerts_called
from driftwatch.commands import opened, say
from driftwatch.errors import DriftwatchError
from driftwatch.schedule import duration
from driftwatch.show import alerts_table, at, now_utc, table
from driftwatch.types import ASPECTS, Baseline, Diagnosis, ExpectedChange, Finding, Incident

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.config import Watch
    from driftwatch.evidence import Evidence
    from driftwatch.store import Store

MOST_NAMED = 20
"""Documents and canaries that are printed; `--json` has them all."""


def baseline_show(config: Path, *, json: bool) -> None:
    """Print every source's baseline, or how far it is."""
    from driftwatch.windows import Learning, Windows

    with opened(config) as (watch, store):
        windows = Windows(store, watch, learns=False)
        now = now_utc()
        kept = {}
        for name, source in watch.sources.items():
            if source.gives in ("runs", "traffic"):
                needs = "runs" if source.gives == "runs" else "sample"
                kept[name] = windows.baseline(name, needs, now)
                of = {aspect: windows.baseline(name, needs, now, aspect) for aspect in ASPECTS}
                kept |= {f"{name}, {aspect}": each for aspect, each in of.items() if each != kept[name]}
        history = store.decisions.baselines()
    rows = [
        (name, "learning", str(each), "", "")
        if isinstance(each, Learning)
        else (name, f"{at(each.start)} .. {at(each.end)}", each.reason, each.author, at(each.set_at))
        for name, each in kept.items()
    ]
    shown = {name: {"learning": str(each)} if isinstance(each, Learning) else each for name, each in kept.items()}
    columns = ("source", "from .. to", "reason", "author", "set at")
    say(json, {"baselines": shown, "history": history}, table("", columns, rows))


def baseline_set(config: Path, start: str, end: str, source: str, reason: str, author: str, *, json: bool) -> None:
    """Write a new baseline; the daemon uses it at its next look."""
    now = now_utc()
    with opened(config) as (watch, store):
        if source != "*" and source not in watch.sources:
            raise DriftwatchError(f"there is no source '{source}'.", remedy=f"There are: {', '.join(watch.sources)}.")
        until = moment(end, last=True) if end else now
        since = moment(start) if start else until - (watch.baseline.length or timedelta(days=14))
        if not since < until <= now + timedelta(days=1):
            raise DriftwatchError(
                f"a baseline from {at(since)} to {at(until)} is not a stretch of the past.",
                remedy="Check --from and --to.",
            )
        made = Baseline(since, min(until, now), reason, author or NOBODY, now, source)
        store.decisions.set_baseline(made)
    say(json, {"baseline": made}, f"normal is now {at(made.start)} .. {at(made.end)} ({reason})")


def moment(text: str, *, last: bool = False) -> datetime:
    """A day or a time in UTC; ``last`` takes a day to its end.

    >>> moment("2026-05-04", last=True).isoformat()
    '2026-05-05T00:00:00+00:00'
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise DriftwatchError(
            f"'{text}' is not a day or time.", remedy="Write 2026-05-04 or 2026-05-04T08:00."
        ) from None
    read = read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    return read + timedelta(days=1) if last and len(text) == len("2026-05-04") else read


def alerts(config: Path, *, json: bool) -> None:
    """Print every alert that is not ok, the silences in force, and the changes that were announced."""
    with opened(config) as (watch, store):
        kept = [alert for alert in store.decisions.alerts().values() if alert.state != "ok"]
        silences = store.decisions.silences(now_utc())
        expected = store.expected.changes(now_utc())
        openings = {each.incident_id: len(each.openings) for each in store.decisions.open_incidents()}
    shown: list[Table | str] = [alerts_table(kept, watch.timezone, openings) if kept else "Nothing is wrong."]
    if silences:
        columns = ("check", "segment", "until", "author", "reason")
        rows = [
            (each.check, each.segment, at(each.until, watch.timezone), each.author, each.reason) for each in silences
        ]
        shown.append(table("silenced", columns, rows))
    if expected:
        shown.append(_expected_table(expected, watch.timezone))
    content = {"alerts": kept, "silences": silences, "openings": openings, "expected": expected}
    say(json, content, *shown)


def _expected_table(expected: Sequence[ExpectedChange], zone: str) -> Table:
    rows = [(each.change_id, at(each.start, zone), at(each.end, zone), each.author, each.reason) for each in expected]
    return table("expected changes", ("id", "from", "to", "author", "reason"), rows)


def acknowledge(config: Path, name: str, author: str, *, json: bool) -> None:
    """Acknowledge every open alert of that name."""
    author = author or NOBODY
    with opened(config) as (watch, store):
        changed = acting.acknowledge(watch, store, name, author, now_utc())
    names = [f"{alert.check}:{alert.segment}" for alert in changed]
    say(json, {"acknowledged": names, "by": author}, f"{author} looks after {', '.join(names)}")


def silence(config: Path, check: str, segment: str, length: str, reason: str, author: str, *, json: bool) -> None:
    """Write a silence with an end and an author."""
    now = now_utc()
    try:
        until = now + duration(length)
    except ValueError as error:
        raise DriftwatchError(str(error)) from None
    with opened(config) as (watch, store):
        made = acting.silence(watch, store, check, segment, until, reason, author or NOBODY, now)
    say(json, {"silence": made}, f"silent about {check}:{segment} until {at(until, watch.timezone)}")


def expect(config: Path, start: str, end: str, reason: str, author: str, *, json: bool) -> None:
    """Write an expected change; without ``start`` it begins now."""
    now = now_utc()
    with opened(config) as (watch, store):
        since = moment(start) if start else now
        made = acting.expect(store, since, moment(end, last=True), reason, author or NOBODY, now)
    until = at(made.end, watch.timezone)
    say(json, {"expected": made}, f"{made.change_id}: a change is expected until {until} ({reason})")


def end_expected(config: Path, change_id: str, author: str, *, json: bool) -> None:
    """End an expected change before its time."""
    author = author or NOBODY
    with opened(config) as (_, store):
        acting.end_expected(store, change_id, author, now_utc())
    say(json, {"ended": change_id, "by": author}, f"{change_id} is over: everything is evidence again")


def explain(config: Path, name: str, *, json: bool) -> None:
    """Print the evidence behind every alert that ``name`` means."""
    from driftwatch.evidence import evidence_of

    with opened(config) as (watch, store):
        newest = store.decisions.last_findings()
        incident = store.decisions.incident(name)
        members = [(alert, newest.get((alert.check, alert.segment))) for alert in alerts_called(store, name)]
        evidence = [evidence_of(finding, watch, store) for _, finding in members if finding is not None]
        content: dict[str, Any] = {
            "alerts": [
                {"alert": alert, "finding": finding, "examples": _examples(finding, watch, store)}
                for alert, finding in members
            ],
            "openings": incident.openings if incident is not None else (),
            "diagnoses": [
                {"incident": name, "history": store.diagnoses.history(name)}
                for name in dict.fromkeys(alert.incident or alert.last_incident for alert, _ in members)
                if name
            ],
        }
    story = [_story(incident, watch.timezone)] if incident is not None and len(incident.openings) > 1 else []
    thought = [each["history"][-1] for each in content["diagnoses"] if each["history"]]
    told = [part for each in thought for part in _diagnosis(each)]
    say(json, content, *story, *told, *(part for each in evidence for part in _shown(each)))


def _story(incident: Incident, timezone: str) -> str:
    """What is said of an incident that was over and opened again."""
    opened = ", ".join(at(each, timezone) for each in incident.openings)
    return f"{incident.incident_id} has opened {len(incident.openings)} times: {opened}"


def _diagnosis(diagnosis: Diagnosis) -> list[Table | str]:
    """What most likely broke, what shows it, and what to do."""
    rows = [("most likely", diagnosis.cause), ("segment", diagnosis.segment or "all"), ("because", diagnosis.sentence)]
    rows += [("next", diagnosis.action)]
    rows += [("beside it", sentence) for sentence in diagnosis.beside]
    rows += [(name, ", ".join(ids)) for name, ids in _named(diagnosis) if ids]
    rows += [("it explains", ", ".join(f"{check}:{segment}" for check, segment in diagnosis.silences))]
    rows += [("not looked at", sentence) for sentence in diagnosis.unseen]
    return [table("what broke", ("", ""), [(name, said) for name, said in rows if said])]


def _named(diagnosis: Diagnosis) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("documents", diagnosis.documents[:MOST_NAMED]), ("canaries", diagnosis.queries[:MOST_NAMED])


def _examples(finding: Finding | None, watch: Watch, store: Store) -> object:
    from driftwatch.evidence import evidence_of

    return evidence_of(finding, watch, store).examples if finding else ()


def _shown(evidence: Evidence) -> list[Table | str]:
    shown: list[Table | str] = [
        f"{evidence.title} is {evidence.verdict}",
        evidence.message,
        table("", ("evidence", ""), evidence.numbers),
    ]
    if evidence.examples:
        rows = [(each.query_id, each.text, each.note) for each in evidence.examples]
        shown.append(table("look at these first", ("query", "text", "what happened"), rows))
    return shown
