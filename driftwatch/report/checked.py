"""How the looks of the week ended, and what stands against the budgets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from driftwatch.budget import limit_of
from driftwatch.checks import Check
from driftwatch.report.about import About, Accepted
from driftwatch.report.figures import rounded
from driftwatch.report.incidents import openings
from driftwatch.report.spans import Span
from driftwatch.report.words import verdict_word, without_words
from driftwatch.reported import Budget, Checked
from driftwatch.store import Store
from driftwatch.store.history import Looked

WORST_FIRST = ("fail", "warn", "unknown", "learning", "ok")


def checks_of(store: Store, about: About, span: Span) -> tuple[Checked, ...]:
    """Every check and segment that was looked at in the week, the worst first."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for each in store.history.counted(span.start, span.until):
        told = counts.setdefault((each.check, each.segment), {})
        word = verdict_word(each.verdict, each.learning)
        told[word] = told.get(word, 0) + each.looks
    sources = {check.name: check.source for check in about.checks}
    shown = [
        _checked(each, counts[each.check, each.segment], sources.get(each.check, ""), about.shows_queries)
        for each in store.history.last_looks(span.start, span.until)
    ]
    return tuple(sorted(shown, key=lambda each: (WORST_FIRST.index(each.last), each.check, each.segment)))


def _checked(last: Looked, told: dict[str, int], source: str, shows: bool) -> Checked:
    return Checked(
        check=last.check,
        kind=last.kind,
        family=last.family,
        source=source,
        segment=last.segment,
        looks=sum(told.values()),
        verdicts={word: told[word] for word in WORST_FIRST if word in told},
        last=verdict_word(last.verdict, last.learning),
        at=last.at,
        message=without_words(last.message, last.kind, shows=shows),
        n=last.n,
        value=rounded(last.value),
        reference=rounded(last.reference),
        effect=rounded(last.effect),
        low=rounded(last.low),
        high=rounded(last.high),
    )


def budgets_of(store: Store, about: About, span: Span) -> tuple[Budget, ...]:
    """Each budget, with what was told and the most evidence that was held against it."""
    return tuple(_budget(store, about.checks, accepted, span) for accepted in about.accepted)


def _budget(store: Store, checks: Sequence[Check], accepted: Accepted, span: Span) -> Budget:
    severity = accepted.severity
    names = {check.name for check in checks if check.severity == severity}
    top = store.history.most_evidence(names, span.start, span.until)
    return Budget(
        severity=severity,
        count=accepted.times,
        days=accepted.per / timedelta(days=1),
        limit=limit_of(accepted.times, accepted.per),
        told=openings(store, span.start, span.until, severity),
        told_in_period=openings(store, span.until - accepted.per, span.until, severity),
        highest=rounded(top.evidence) if top else None,
        check=top.check if top else "",
        segment=top.segment if top else "",
        at=top.at if top else None,
    )
