"""`baseline`, `alerts` and `explain`: what is normal, what is wrong, and why."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.alerts import acknowledge as acknowledged
from driftwatch.commands import opened, say
from driftwatch.errors import DriftwatchError
from driftwatch.schedule import duration
from driftwatch.show import alerts_table, at, now_utc, table
from driftwatch.types import ASPECTS, Alert, Baseline, Diagnosis, Finding, Incident, Silence

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.config import Watch
    from driftwatch.evidence import Evidence
    from driftwatch.store import Store

MOST_NAMED = 20
"""Documents and canaries that are printed; `--json` has them all."""

NOBODY = "somebody"
"""The author when neither --author nor USER says."""


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
    """Print every alert that is not ok, and the silences in force."""
    with opened(config) as (watch, store):
        kept = [alert for alert in store.decisions.alerts().values() if alert.state != "ok"]
        silences = store.decisions.silences(now_utc())
        openings = {each.incident_id: len(each.openings) for each in store.decisions.open_incidents()}
    shown: list[Table | str] = [alerts_table(kept, watch.timezone, openings) if kept else "Nothing is wrong."]
    if silences:
        columns = ("check", "segment", "until", "author", "reason")
        rows = [
            (each.check, each.segment, at(each.until, watch.timezone), each.author, each.reason) for each in silences
        ]
        shown.append(table("silenced", columns, rows))
    say(json, {"alerts": kept, "silences": silences, "openings": openings}, *shown)


def acknowledge(config: Path, name: str, author: str, *, json: bool) -> None:
    """Acknowledge every open alert of that name."""
    now = now_utc()
    with opened(config) as (watch, store):
        families = {check.name: check.family for check in watch.checks}
        moved = [
            acknowledged(alert, author or NOBODY, now, family=families.get(alert.check, ""))
            for alert in found(store, name)
            if alert.state in ("firing", "blind")
        ]
        changed = [(alert, transition) for alert, transition in moved if transition is not None]
        if not changed:
            raise DriftwatchError(
                f"'{name}' is not open, or is acknowledged already.", remedy="See `driftwatch alerts`."
            )
        store.decisions.record(
            findings=(),
            alerts=[alert for alert, _ in changed],
            transitions=[transition for _, transition in changed if transition is not None],
            receivers={notifier.name: frozenset(notifier.tell) for notifier in watch.notify},
        )
    names = [f"{alert.check}:{alert.segment}" for alert, _ in changed]
    say(json, {"acknowledged": names, "by": author or NOBODY}, f"{author or NOBODY} looks after {', '.join(names)}")


def silence(config: Path, check: str, segment: str, length: str, reason: str, author: str, *, json: bool) -> None:
    """Write a silence with an end and an author."""
    now = now_utc()
    try:
        until = now + duration(length)
    except ValueError as error:
        raise DriftwatchError(str(error)) from None
    with opened(config) as (watch, store):
        if check != "*" and check not in {each.name for each in watch.checks}:
            names = ", ".join(each.name for each in watch.checks)
            raise DriftwatchError(f"there is no check '{check}'.", remedy=f"There are: {names}.")
        made = Silence(uuid.uuid4().hex[:12], check, segment, until, author or NOBODY, reason, now)
        store.decisions.add_silence(made)
    say(json, {"silence": made}, f"silent about {check}:{segment} until {at(until, watch.timezone)}")


def found(store: Store, name: str) -> list[Alert]:
    """The alerts that ``name`` means: an incident, a check, or check:segment.

    Raises:
        DriftwatchError: it means none.
    """
    every = store.decisions.alerts()
    incident = store.decisions.incident(name)
    if incident is not None:
        return [member.alert for member in incident.members]
    chosen = [alert for (check, segment), alert in every.items() if name in (check, f"{check}:{segment}")]
    if not chosen:
        raise DriftwatchError(f"nothing is called '{name}'.", remedy="See `driftwatch alerts` for what is open.")
    return chosen


def explain(config: Path, name: str, *, json: bool) -> None:
    """Print the evidence behind every alert that ``name`` means."""
    from driftwatch.evidence import evidence_of

    with opened(config) as (watch, store):
        newest = store.decisions.last_findings()
        incident = store.decisions.incident(name)
        members = [(alert, newest.get((alert.check, alert.segment))) for alert in found(store, name)]
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
