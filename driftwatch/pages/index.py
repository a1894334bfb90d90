"""How the index is: what the probes saw last, how that went over time, and what the last experiment measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from driftwatch.pages.drawing import sparkline
from driftwatch.pages.incident import cells_of, steps_of
from driftwatch.pages.rendering import NOBODY, Viewer, render, segment
from driftwatch.show import number, verdict_of
from driftwatch.stats.proportion import wilson

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Diagnosis, Finding, Look, Probe

MONTH = timedelta(days=30)
POINTS = 40
MOST_NAMED = 12
SMALLEST = 1e-9
"""A share below it is none."""
INCIDENTS = 20
"""The newest ones, among which the last experiment is looked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look of the newest run."""

    name: str
    state: str
    said: str
    n: int
    bad: int
    share: str
    """With its 95 % interval."""
    spark: Markup
    """The share of the bad ones over the last month, drawn so that up is worse."""
    ids: str
    by: str


def render_index(watch: Watch, store: Store, viewer: Viewer = NOBODY) -> str:
    """The index of the first source that looks into one."""
    sources = [name for name, each in watch.sources.items() if each.gives == "probes"]
    source = sources[0] if sources else ""
    probe = store.experiments.last_probe(source) if source else None
    past = store.experiments.some_probes(source, probe.at - MONTH, POINTS) if probe is not None else ()
    checks = [check.name for check in watch.checks if check.kind == "integrity"]
    findings = [each for (name, _), each in store.decisions.last_findings(checks).items()] if checks else []
    thought = _last_experiment(store)
    experiment = thought[1].experiment if thought is not None else None
    return render(
        "index.html",
        watch,
        viewer,
        "Index",
        source=source,
        probe=probe,
        looks=[_seen(name, look, past, _judged(findings)) for name, look in probe.looks.items()]
        if probe is not None
        else [],
        facts=list(_facts(probe)) if probe is not None else [],
        findings=[(each, verdict_of(each), f"checks/{segment(each.check)}") for each in findings],
        thought=thought,
        experiment=experiment,
        cells=list(cells_of(experiment)) if experiment is not None else [],
        steps=list(steps_of(experiment)) if experiment is not None else [],
    )


def _last_experiment(store: Store) -> tuple[str, Diagnosis] | None:
    """(incident, what was thought of it when something was measured), the newest one."""
    for incident in store.decisions.recent_incidents(INCIDENTS):
        if incident.diagnosis is not None and incident.diagnosis.experiment is not None:
            return incident.incident_id, incident.diagnosis
    return None


def _seen(name: str, look: Look, past: Sequence[Probe], judged: Mapping[str, str]) -> Seen:
    looks = [probe.looks[name] for probe in past if name in probe.looks]
    shares = np.array([each.bad / each.n if each.n and not each.unable else np.nan for each in looks], dtype=np.float64)
    state = "unknown" if look.unable else judged.get(name) or ("warn" if look.bad else "ok")
    values = ", ".join(f"{what} {number(value)}" for what, value in look.values.items() if value == value)
    return Seen(
        name=name,
        state=state,
        said=look.why or look.unable or values,
        n=look.n,
        bad=look.bad,
        share=_share(look) if look.n and not look.unable else "–",
        spark=sparkline(shares) if np.nanmax(shares, initial=0) > 0 else Markup(),
        ids=", ".join(look.ids[:MOST_NAMED]) + (" …" if len(look.ids) > MOST_NAMED else ""),
        by=", ".join(f"{lang} {bad} of {n}" for lang, (n, bad) in look.by.items() if bad),
    )


def _judged(findings: Sequence[Finding]) -> dict[str, str]:
    """Look -> what the check says of it: a few bad ones may be allowed."""
    told = [each.details.get("looks", {}) for each in findings]
    return {
        name: str(look["verdict"]) for looks in told for name, look in looks.items() if look["verdict"] != "unknown"
    }


def _share(look: Look) -> str:
    low, high = (0.0 if bound < SMALLEST else 100 * float(bound) for bound in wilson(look.bad, look.n))
    return f"{number(100 * look.bad / look.n)} % ({number(low)} to {number(high)})"


def _facts(probe: Probe) -> Iterator[tuple[str, str]]:
    facts = probe.facts
    if facts is None:
        return
    yield "entries", f"{facts.count:,}" if facts.count is not None else "–"
    yield "dimension", str(facts.dimension or "–")
    yield "metric", facts.metric or "–"
    yield "model it says it was built with", facts.model or "–"
    yield "compared with the embedder", probe.embedder or "–"
    yield "fingerprint", facts.fingerprint or "–"
    yield from facts.settings.items()
