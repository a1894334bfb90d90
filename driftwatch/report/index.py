"""The health of an index over a week, from the runs of its probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from driftwatch.checks._integrity import ORDER
from driftwatch.probed import OFF
from driftwatch.report.figures import rate, rounded
from driftwatch.report.spans import Span
from driftwatch.reported import DayRate, Index, Looked, Rate
from driftwatch.types import IndexFacts, Look, Probe

SHOWN = 10
"""Documents that are named."""


def index_of(source: str, probes: Sequence[Probe], span: Span) -> Index | None:
    """What the probes of the week saw, oldest first; None when none ran."""
    if not probes:
        return None
    facts = [each.facts for each in probes if each.facts is not None]
    last, first = (facts[-1], facts[0]) if facts else (IndexFacts(), IndexFacts())
    return Index(
        source=source,
        runs=len(probes),
        looked=tuple(each for name in ORDER if (each := _looked(name, probes, span)) is not None),
        entries=last.count,
        entries_before=first.count,
        dimension=last.dimension,
        metric=last.metric,
        model=last.model,
        settings=dict(sorted(last.settings.items())),
        changed=tuple(_changes(first, last)),
    )


def _looked(name: str, probes: Sequence[Probe], span: Span) -> Looked | None:
    """One look over the week; None where it is switched off or never tried."""
    tried = [each for each in probes if name in each.looks and each.looks[name].words.get("kind") != OFF]
    if not tried:
        return None
    able = [each for each in tried if not each.looks[name].unable]
    if not able:
        return Looked(name, tried[-1].at, rate(0, 0), rate(0, 0), unable=tried[-1].looks[name].unable)
    last = able[-1].looks[name]
    worst = max((each.looks[name] for each in able), key=lambda look: look.bad / look.n if look.n else 0.0)
    daily = {each.at.astimezone(span.zone).date(): each.looks[name] for each in able}
    return Looked(
        name=name,
        at=able[-1].at,
        bad=_bad(last),
        worst=_bad(worst),
        by={lang: rate(bad, n) for lang, (n, bad) in sorted(last.by.items())},
        ids=last.ids[:SHOWN],
        values={each: value for each, number in last.values.items() if (value := rounded(number)) is not None},
        why=last.why,
        unable=tried[-1].looks[name].unable,
        runs=len(able),
        days=tuple(DayRate(day, _bad(look)) for day, look in daily.items()),
    )


def _bad(look: Look) -> Rate:
    return rate(look.bad, look.n)


def _changes(first: IndexFacts, last: IndexFacts) -> Iterator[str]:
    for name in ("dimension", "metric", "model"):
        before, now = getattr(first, name), getattr(last, name)
        if before != now:
            yield f"{name} {now or 'unknown'}, before {before or 'unknown'}"
    for name in sorted(first.settings.keys() | last.settings.keys()):
        before, now = first.settings.get(name, "unknown"), last.settings.get(name, "unknown")
        if before != now:
            yield f"{name} {now}, before {before}"
