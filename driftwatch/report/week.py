"""A week of one service in numbers, from what is in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from driftwatch.checks import Check
from driftwatch.checks.canary import Canary
from driftwatch.checks.rate import Rate
from driftwatch.checks.score_drift import ScoreDrift
from driftwatch.report.about import About
from driftwatch.report.canaries import CanaryPart, canaries_of
from driftwatch.report.checked import budgets_of, checks_of
from driftwatch.report.incidents import incidents_of
from driftwatch.report.index import index_of
from driftwatch.report.normals import Normals
from driftwatch.report.scores import gather, scores_of
from driftwatch.report.spans import Span
from driftwatch.report.topics import topics_of
from driftwatch.report.traffic import Outcome, mix_of, rates_of
from driftwatch.report.unseen import not_seen, quiet_hours
from driftwatch.report.verdict import verdict_of
from driftwatch.reported import Mix, NotSeen, Rates, Retraining, Scores, Verdict, Week
from driftwatch.store import Store

OUTCOMES: tuple[Outcome, ...] = ("empty", "abstained", "negative_feedback")
"""Shown of every source that says anything of them; ``no_click`` only where a check watches it."""
EVENTS = 20
"""Of retraining that are shown: those of the week, and as many of the newest before it as make so many."""
_ASKED = {"asked": "asked", "approve": "decided", "reject": "decided", "expiry": "decided"}


def build_week(store: Store, about: About, span: Span) -> Week:
    """The numbers of ``span``: nothing that was recorded from ``span.until`` on changes them.

    Reads the sample and the runs of canaries a day or a run at a time; holds one number a session.
    """
    normals = Normals(store, about, span)
    suites = list(_suites(store, about, normals, span))
    traffic = [_Traffic(store, about, normals, name, span) for name in _giving(about, "traffic")]
    indexes = [
        found
        for name in _giving(about, "probes")
        if (found := index_of(name, store.experiments.probes(name, span.start, span.until), span)) is not None
    ]
    checked, incidents = checks_of(store, about, span), incidents_of(store, about, span)
    sources = [each.source for each in suites]
    unseen = [*not_seen(store, about, span, checked, incidents, sources, indexes)]
    quiet = [each for one in traffic for each in one.quiet]
    topics = {check.name: check.source for check in about.checks if check.kind == "query_drift"}
    week = Week(
        service=about.service,
        name=span.name,
        timezone=str(span.zone),
        start=span.start,
        end=span.end,
        complete=span.until == span.end,
        seen_until=span.until,
        verdict=Verdict("unknown", ""),
        normals=normals.used,
        checks=checked,
        incidents=incidents,
        canary_sources=tuple(sources),
        canaries=tuple(each for one in suites for each in one.measures),
        flips=tuple(each for one in suites for each in one.flips),
        rotten=tuple(each for one in suites for each in one.rotten),
        flickering=tuple(each for one in suites for each in one.flickering),
        scores=tuple(each for one in traffic for each in one.scores),
        rates=tuple(each for one in traffic for each in one.rates),
        mixes=tuple(one.mix for one in traffic if one.mix is not None),
        topics=topics_of(store, topics, span, shows=about.shows_queries) if topics else (),
        indexes=tuple(indexes),
        retraining=_retraining(store, about, span),
        budgets=budgets_of(store, about, span),
        not_seen=tuple(_in_order([*unseen, *quiet])),
        shows_queries=about.shows_queries,
    )
    return replace(week, verdict=verdict_of(week))


def _giving(about: About, what: str) -> list[str]:
    return sorted(name for name, gives in about.sources.items() if gives == what)


def _suites(store: Store, about: About, normals: Normals, span: Span) -> Iterator[CanaryPart]:
    for name in _giving(about, "runs"):
        own = [check.measure for check in about.checks if isinstance(check, Canary) and check.source == name]
        found = canaries_of(store, name, own, normals.of(name), span, shows=about.shows_queries)
        if found is not None:
            yield found


class _Traffic:
    """What one source of live queries says."""

    def __init__(self, store: Store, about: About, normals: Normals, name: str, span: Span) -> None:
        own = [check for check in about.checks if check.source == name]
        now = store.traffic.tallies(name, span.start, span.until)
        usual = normals.of(name)
        baseline = store.traffic.tallies(name, *usual) if usual else None
        outcomes = [*OUTCOMES, *{check.of for check in own if isinstance(check, Rate)} - {*OUTCOMES}]
        first = store.traffic.first_hour(name)
        self.rates: tuple[Rates, ...] = tuple(rates_of(name, outcomes, now, baseline, span))
        self.mix: Mix | None = mix_of(name, now, baseline)
        self.quiet: tuple[NotSeen, ...] = (
            tuple(quiet_hours(name, now, baseline, span, first)) if first is not None else ()
        )
        self.scores: tuple[Scores, ...] = _scores(store, normals, name, own, span)


def _scores(store: Store, normals: Normals, name: str, own: Sequence[Check], span: Span) -> tuple[Scores, ...]:
    kinds = list(dict.fromkeys(check.score for check in own if isinstance(check, ScoreDrift))) or ["top1"]
    usual = normals.of(name, "scores")
    now = gather(store, name, kinds, span.start, span.until)
    return tuple(scores_of(name, kinds, now, gather(store, name, kinds, *usual) if usual and now else {}))


def _retraining(store: Store, about: About, span: Span) -> tuple[Retraining, ...]:
    """Newest first."""
    said = [
        Retraining(each.at, _ASKED[each.action], each.job_id, each.action, each.why, each.who)  # type: ignore[arg-type]
        for each in store.history.asked(span.until)
        if each.accepted and each.action in _ASKED
    ]
    every = [*(each for each in about.retraining if each.at < span.until), *said]
    every = [replace(each, in_week=each.at >= span.start) for each in every]
    every.sort(key=lambda each: (each.at, each.job, each.what), reverse=True)
    return tuple(each for place, each in enumerate(every) if each.in_week or place < EVENTS)


_FIRST = ("blind", "never looked", "run missed", "run failed", "no traffic")


def _in_order(found: list[NotSeen]) -> list[NotSeen]:
    """What left something unwatched comes first, in the order in which it was found."""
    return sorted(found, key=lambda each: _FIRST.index(each.what) if each.what in _FIRST else len(_FIRST))
