"""The report in words and numbers: a ``Week`` as sections of text, the same for a page, for Markdown and for a message.

The verdict comes first, then what changed and why, then what could not be seen, then the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from driftwatch.report.story import care, traffic
from driftwatch.report.story.canaries import canaries, measures
from driftwatch.report.story.incidents import changed
from driftwatch.report.story.parts import (
    Fact,
    Story,
    between,
    change,
    counted,
    figure,
    first_upper,
    moment,
    per_cent,
    text,
    week_days,
    whole,
)
from driftwatch.report.story.traffic import kinds_of_rates
from driftwatch.reported import ALL, Week

MOST_FACTS = 8


def story_of(week: Week) -> Story:
    """Everything that ``week`` says, in the order in which it is read."""
    return Story(
        service=text(week.service, 80),
        week=text(week.name, 20),
        dates=dates_of(week),
        covers=_covers(week),
        level=week.verdict.level,
        sentence=text(week.verdict.sentence, 300),
        reasons=tuple(text(each, 300) for each in week.verdict.reasons),
        facts=tuple(_facts(week))[:MOST_FACTS],
        sections=(
            changed(week),
            care.not_seen(week),
            canaries(week),
            traffic.scores(week),
            traffic.rates(week),
            traffic.mixes(week),
            traffic.topics(week),
            care.indexes(week),
            care.checks(week),
            care.budget(week),
            care.retraining(week),
            care.normals(week),
        ),
    )


def dates_of(week: Week) -> str:
    """``16 to 22 November 2026``, as the week's own time zone has it."""
    return week_days(week.start.astimezone(ZoneInfo(week.timezone)).date())


def _covers(week: Week) -> str:
    span = f"From {moment(week.start, week.timezone)} to {moment(week.end, week.timezone)}."
    if week.complete:
        return span
    return f"{span} The week was not over: this covers what there was until {moment(week.seen_until, week.timezone)}."


# --- the few figures at the top ------------------------------------------------------------------------------------


def _facts(week: Week) -> Iterator[Fact]:
    yield _incidents(week)
    yield from _recall(week)
    yield from _distance(week)
    yield from _bad_ends(week)
    if week.mixes:
        yield Fact("Queries", whole(sum(each.queries for each in week.mixes)), "in the week")
    yield from _evidence(week)
    missing = len(week.not_seen)
    yield Fact(
        "Not seen", counted(missing, "gap") if missing else "no gap", "checks, runs, sources", "warn" if missing else ""
    )


def _incidents(week: Week) -> Fact:
    still = sum(each.resolved is None for each in week.incidents)
    tone = "" if not week.incidents else "fail" if any(each.pages for each in week.incidents) else "warn"
    return Fact("Incidents", str(len(week.incidents)), f"{still} still open" if still else "none open now", tone)


def _recall(week: Week) -> Iterator[Fact]:
    """The first measure of the first suite, over all languages."""
    every = [each for _, _, group in measures(week)[:1] for each in group if each.lang == ALL]
    for each in every[:1]:
        beside = f"{whole(each.now.n)} canaries"
        tone = ""
        if each.change is not None and each.change.value is not None:
            beside = f"{change(each.change.value)} ({between(each.change.low, each.change.high)})"
            tone = "fail" if each.change.high is not None and each.change.high < 0 else ""
        days = tuple(day.value for day in each.days)
        yield Fact(f"Canaries: {text(each.words, 30)}", figure(each.now.value), beside, tone, days)


def _distance(week: Week) -> Iterator[Fact]:
    for each in [each for each in week.scores if each.segment == ALL and each.ks is not None][:1]:
        yield Fact("Scores moved by", f"D {figure(each.ks)}", f"n {whole(each.now.mean.n)}")


def _bad_ends(week: Week) -> Iterator[Fact]:
    for _, words, group in kinds_of_rates(week)[:2]:
        for each in [each for each in group if each.lang == ALL][:1]:
            usual = f"usually {per_cent(each.baseline.value)}" if each.baseline else f"of {whole(each.now.n)}"
            worse = each.change is not None and each.change.low is not None and each.change.low > 0
            days = tuple(day.rate.value for day in each.days)
            yield Fact(first_upper(text(words, 30)), per_cent(each.now.value), usual, "warn" if worse else "", days)


def _evidence(week: Week) -> Iterator[Fact]:
    for each in [each for each in week.budgets if each.severity == "page"][:1]:
        tone = "warn" if each.highest is not None and each.highest >= each.limit else ""
        yield Fact("Most evidence", f"{figure(each.highest)} days", f"pages at {figure(each.limit)}", tone)
