"""Two pages for a person: what is wrong now, and one incident. No script, no outside resource, everything escaped."""

from __future__ import annotations

from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from driftwatch.evidence import evidence_of
from driftwatch.show import at, number, safe, verdict_of

if TYPE_CHECKING:
    from jinja2 import Environment

    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Incident


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("driftwatch"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    one_segment = partial(quote, safe="", errors="replace")  # nothing in a name leads to another page
    made.filters.update(number=number, safe_text=safe, verdict=verdict_of, one_segment=one_segment)
    return made


def render_overview(watch: Watch, store: Store, now: datetime) -> str:
    """Open incidents, the newest findings and what waits to be told."""
    watched = {check.name for check in watch.checks}
    findings = [each for each in store.decisions.last_findings().values() if each.check in watched]
    return _render(
        "overview.html",
        watch,
        now=now,
        incidents=store.decisions.open_incidents(),
        findings=sorted(findings, key=lambda each: (each.verdict == "ok", each.check, each.segment)),
        waiting=store.outbox.waiting(),
    )


def render_incident(watch: Watch, store: Store, incident: Incident) -> str:
    """One incident: its findings, their evidence and its history."""
    evidence = [evidence_of(member.finding, watch, store) for member in incident.members if member.finding is not None]
    return _render("incident.html", watch, incident=incident, evidence=evidence)


def _render(name: str, watch: Watch, **values: Any) -> str:
    when = lambda moment: at(moment, watch.timezone)  # noqa: E731 a one-line binding of the time zone
    return _environment().get_template(name).render(service=watch.service, when=when, **values)
