"""Canaries over a week, beside their baseline: measures by language, and which of them flipped, rotted or flicker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

import numpy as np

from driftwatch.checks._canaries import Key, Usual, summary
from driftwatch.privacy import redact
from driftwatch.report.asked import Course, Judge, Outcomes, course
from driftwatch.report.figures import estimate, rate, rounded
from driftwatch.report.spans import Span, days_between, edges
from driftwatch.report.traffic import MOST_LANGUAGES
from driftwatch.report.words import line
from driftwatch.reported import ALL, CanaryMeasure, CanarySource, DayValue, Estimate, Flicker, Flip, Rotten
from driftwatch.stats.interval import critical
from driftwatch.stats.ir import Measure
from driftwatch.stats.paired import paired_bootstrap
from driftwatch.store import Store
from driftwatch.store.packing import Answered

WEEKS = 4
"""Shown day by day."""
REASONS, DOCUMENTS, LISTED = 5, 10, 50
CHANGES = 3
"""Two runs after one another that differ so often make a canary that flickers."""
LONGEST = 300
"""Characters of a query that are shown."""
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class CanaryPart:
    """What the report says of one suite."""

    source: CanarySource
    measures: tuple[CanaryMeasure, ...]
    flips: tuple[Flip, ...]
    rotten: tuple[Rotten, ...]
    flickering: tuple[Flicker, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Suite:
    """One suite, read."""

    name: str
    measures: tuple[Measure, ...]
    now: Course
    before: Course
    usual: Sequence[Mapping[Key, Usual]]
    """A mapping for each measure."""
    daily: Mapping[date, Mapping[Key, Outcomes]]
    span: Span
    shows: bool


def canaries_of(
    store: Store,
    source: str,
    own: Sequence[Measure],
    baseline: tuple[datetime, datetime] | None,
    span: Span,
    *,
    shows: bool,
) -> CanaryPart | None:
    """What the suite of ``source`` found; None when it was not asked in the week.

    ``own``: the measures of the checks; recall and rank are shown beside them in any case.
    """
    measures = all_measures(own)
    judge = Judge(measures)
    now = course(store.canaries.answers(source, span.start, span.until), judge, span.zone)
    if not now.runs:
        return None
    usually = Judge(measures, now.partly)
    before = course(store.canaries.answers(source, *baseline), usually, span.zone) if baseline else Course()
    days = days_between(span.before(WEEKS - 1), span.until, span.zone)
    daily = course(store.canaries.last_answers(source, _until(days, span)), judge, span.zone).lasts
    usual = [
        {key: summary([each[place] for each in told], len(before.days[key])) for key, told in before.outcomes.items()}
        for place in range(len(measures))
    ]
    suite = _Suite(source, measures, now, before, usual, daily, span, shows)
    watched = tuple(dict.fromkeys(own)) or measures[:1]
    return CanaryPart(
        _source(suite),
        tuple(each for place in range(len(measures)) for each in _languages(suite, place, days)),
        tuple(_flips(suite, watched)),
        tuple(_rotten(suite)),
        tuple(_flickering(suite, watched[0])),
    )


def all_measures(own: Sequence[Measure]) -> tuple[Measure, ...]:
    """Those of the checks, and recall, reciprocal rank and nDCG at the same depth.

    >>> [str(each) for each in all_measures([Measure("nDCG", 5)])]
    ['nDCG@5', 'R@5', 'RR@5']
    """
    depth = next((each.cutoff for each in own if each.cutoff), 10)
    return tuple(dict.fromkeys([*own, *(Measure(name, depth) for name in ("R", "RR", "nDCG"))]))


def _until(days: Sequence[date], span: Span) -> list[datetime]:
    return [min(edge, span.until) for edge in edges(days, span.zone)]


def _source(suite: _Suite) -> CanarySource:
    now = suite.now
    said: dict[str, int] = {}
    for reason, times in now.unasked.items():
        name = line(reason)
        said[name] = said.get(name, 0) + times
    last = now.last
    return CanarySource(
        source=suite.name,
        canaries=sum(not each.attempt for each in last.answers) if last else 0,
        runs=now.runs,
        asked=rate(now.judged, now.asked),
        unasked=dict(sorted(said.items(), key=lambda each: (-each[1], each[0]))[:REASONS]),
    )


# --- measures ------------------------------------------------------------------------------------------------------


def _languages(suite: _Suite, place: int, days: Sequence[date]) -> Iterator[CanaryMeasure]:
    members: dict[str, list[Key]] = {}
    for key, lang in sorted((suite.before.langs | suite.now.langs).items()):
        members.setdefault(lang, []).append(key)
    langs = sorted((lang for lang in members), key=lambda lang: (-len(members[lang]), lang))[:MOST_LANGUAGES]
    yield _measured(suite, place, ALL, frozenset(key for each in members.values() for key in each), days)
    for lang in sorted(langs):
        found = _measured(suite, place, lang, frozenset(members[lang]), days)
        if found.now.n or found.baseline is not None:
            yield found


def _measured(suite: _Suite, place: int, lang: str, keys: frozenset[Key], days: Sequence[date]) -> CanaryMeasure:
    measure = suite.measures[place]
    now = {key: _mean(told, place) for key, told in sorted(suite.now.outcomes.items()) if key in keys}
    usual = {key: each for key, each in sorted(suite.usual[place].items()) if key in keys}
    moved = [_moved(suite.now.outcomes[key], usual[key], measure, place) for key in now if key in usual]
    shown = [(day, _values(suite.daily.get(day, {}), keys, place)) for day in days]
    usually = [_values(told, keys, place) for _, told in sorted(suite.before.lasts.items())]
    return CanaryMeasure(
        source=suite.name,
        measure=str(measure),
        words=measure.words,
        lang=lang,
        now=mean_of(list(now.values())),
        baseline=mean_of([each.mean for each in usual.values()]) if usual else None,
        band=band_of([float(np.mean(each)) for each in usually if each]),
        change=estimate(len(moved), float(np.mean(moved)), paired_bootstrap(moved)) if moved else None,
        days=tuple(DayValue(day, len(each), rounded(float(np.mean(each))) if each else None) for day, each in shown),
    )


def mean_of(values: Sequence[float]) -> Estimate:
    """The mean over canaries with its interval, by the Bayesian bootstrap with half a canary at 0 and half at 1."""
    if not values:
        return Estimate(0)
    low, high = paired_bootstrap([2 * value - 1 for value in values])
    return estimate(len(values), float(np.mean(values)), ((low + 1) / 2, (high + 1) / 2))


def band_of(days: Sequence[float]) -> tuple[float, float] | None:
    """Where one more day lies with 95 %: Student's prediction interval; None of fewer than two days."""
    if len(days) < 2:
        return None
    reach = critical(0.95, len(days) - 1) * float(np.std(days, ddof=1)) * (1 + 1 / len(days)) ** 0.5
    middle = float(np.mean(days))
    return rounded(max(0.0, middle - reach)) or 0.0, rounded(min(1.0, middle + reach)) or 0.0


def _mean(told: Sequence[Outcomes], place: int) -> float:
    return sum(each[place].value for each in told) / len(told)


def _values(told: Mapping[Key, Outcomes], keys: frozenset[Key], place: int) -> list[float]:
    return [outcomes[place].value for key, outcomes in told.items() if key in keys]


def _moved(told: Sequence[Outcomes], usual: Usual, measure: Measure, place: int) -> float:
    """Mean difference from what it usually measures, judged in every run by the documents that there were."""
    total, beside = 0.0, usual
    for each in told:
        outcome = each[place]
        if beside.median is None or beside.median.judged != outcome.judged:
            beside = usual.judged_by(outcome.judged, measure)
        total += outcome.value - beside.mean
    return total / len(told)


def _beside(usual: Usual, suite: _Suite, key: Key, place: int) -> Usual:
    """What the canary usually measures, judged by the documents that it was judged by last."""
    return usual.judged_by(suite.now.outcomes[key][-1][place].judged, suite.measures[place])


# --- single canaries -----------------------------------------------------------------------------------------------


def _flips(suite: _Suite, watched: Sequence[Measure]) -> Iterator[Flip]:
    """The canaries whose last run is not what they typically are: hardest losses of the steadiest first."""
    found: dict[Key, tuple[tuple[float, int, Key], Flip]] = {}
    ended = _last(suite)
    for measure in watched:
        place = suite.measures.index(measure)
        for key in sorted(ended.keys() & suite.usual[place].keys() - found.keys()):
            seen, outcomes = ended[key]
            usual = _beside(suite.usual[place][key], suite, key, place)
            new = outcomes[place]
            if abs(new.value - usual.typical) > SAME:
                change = new.value - usual.typical
                order = change * usual.reliability, usual.rank or 0, key
                found[key] = order, _flip(suite, seen, place, usual, new.rank, new.value)
    yield from (flip for _, flip in sorted(found.values(), key=lambda each: each[0])[:LISTED])


def _flip(suite: _Suite, seen: Answered, place: int, usual: Usual, rank: int | None, value: float) -> Flip:
    lost = value < usual.typical
    told = [each[place].value for each in suite.now.outcomes[seen.query_id, seen.digest]]
    apart = sum((each < usual.typical - SAME) if lost else (each > usual.typical + SAME) for each in told)
    return Flip(
        source=suite.name,
        query_id=seen.query_id,
        lang=seen.lang,
        text=_text(suite, seen),
        measure=str(suite.measures[place]),
        old_rank=usual.rank,
        new_rank=rank,
        old=rounded(usual.typical) or 0.0,
        new=rounded(value) or 0.0,
        runs=rate(apart, len(told)),
    )


def _last(suite: _Suite) -> dict[Key, tuple[Answered, Outcomes]]:
    """The canaries that the last run of the week could judge."""
    assert suite.now.last is not None
    answers = Judge(suite.measures).answers(suite.now.last)
    return {each.key: (each.seen, each.outcomes) for each in answers if each.outcomes is not None}


def _rotten(suite: _Suite) -> Iterator[Rotten]:
    """Those whose documents are gone in the last run: all of them first, then those that lost a part."""
    last = suite.now.last
    assert last is not None
    found = []
    for seen in last.answers:
        gone = sorted(name for name, grade in seen.relevant.items() if grade > 0 and name in last.gone)
        if not gone or seen.attempt or seen.expect_empty or seen.docs is None or seen.error:
            continue
        partly = any(grade > 0 and name not in last.gone for name, grade in seen.relevant.items())
        documents = tuple(gone[:DOCUMENTS])
        found.append(Rotten(suite.name, seen.query_id, seen.lang, _text(suite, seen), documents, partly))
    yield from sorted(found, key=lambda each: (each.partly, each.lang, each.query_id))[:LISTED]


def _flickering(suite: _Suite, measure: Measure) -> Iterator[Flicker]:
    place = suite.measures.index(measure)
    assert suite.now.last is not None
    seen = {(each.query_id, each.digest): each for each in suite.now.last.answers if not each.attempt}
    found = []
    for key in sorted(suite.now.outcomes.keys() & seen.keys()):
        values = [each[place].value for each in suite.now.outcomes[key]]
        changes = sum(abs(later - earlier) > SAME for earlier, later in pairwise(values))
        if changes >= CHANGES:
            below = rate(sum(value < max(values) - SAME for value in values), len(values))
            one = seen[key]
            text = _text(suite, one)
            found.append(Flicker(suite.name, one.query_id, one.lang, text, str(measure), changes, below))
    yield from sorted(found, key=lambda each: (-each.changes, each.lang, each.query_id))[:LISTED]


def _text(suite: _Suite, seen: Answered) -> str:
    return redact(seen.text)[:LONGEST] if suite.shows else ""
