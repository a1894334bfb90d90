"""What is behind the numbers: the index, the checks, the budget, retraining, and what could not be seen."""

from __future__ import annotations

from collections.abc import Iterator

from driftwatch.report.story.parts import (
    NONE,
    Card,
    Section,
    Table,
    between,
    change,
    counted,
    day,
    figure,
    language,
    listed,
    moment,
    pairs,
    rate_words,
    text,
    whole,
)
from driftwatch.reported import Budget, Checked, Index, Looked, NotSeen, Week


def not_seen(week: Week) -> Section:
    """What did not run, or could not see: never passed over in silence."""
    title = "What did not run or could not see"
    if not week.not_seen:
        return Section("not-seen", title, ("Every check ran and could see.",))
    rows = tuple(_missing(each, week.timezone) for each in week.not_seen)
    columns = ("what", "where", "how often", "since", "until", "in words")
    return Section("not-seen", title, tables=(Table("Gaps of this week", columns, rows, (2,)),))


def _missing(each: NotSeen, timezone: str) -> tuple[str, ...]:
    where = text(each.name, 80) + (f" ({listed(map(language, each.segments))})" if each.segments else "")
    often = rate_words(each.share) if each.share is not None else NONE
    since, until = moment(each.since, timezone), moment(each.until, timezone)
    return each.what, where, often, since, until, text(each.sentence)


# --- the index -----------------------------------------------------------------------------------------------------


def indexes(week: Week) -> Section:
    """One card an index, one row a probe."""
    title = "Health of the index"
    if not week.indexes:
        return Section("index", title, ("No index is probed.",))
    return Section("index", title, cards=tuple(_index(each, week.timezone) for each in week.indexes))


def _index(index: Index, timezone: str) -> Card:
    wrong = any(each.why for each in index.looked)
    unable = any(each.unable for each in index.looked) or not index.runs
    tone, state = (
        ("warn", "look at it") if wrong else ("unknown", "not all seen") if unable else ("ok", "as it should be")
    )
    return Card(
        text(index.source, 80),
        state,
        tone,
        tuple(_facts(index)),
        tuple(_probes(index, timezone)) if index.looked else (),
    )


def _facts(index: Index) -> Iterator[tuple[str, str]]:
    yield "Looked at", counted(index.runs, "time")
    if index.entries is not None:
        before = f", {whole(index.entries_before)} at first" if index.entries_before is not None else ""
        yield "Entries", f"{whole(index.entries)}{before}"
    if index.dimension is not None:
        yield "Vectors", f"{index.dimension} dimensions" + (f", {text(index.metric, 40)}" if index.metric else "")
    if index.model:
        yield "Model", text(index.model, 200)
    if index.settings:
        yield "Settings", pairs(index.settings)
    if index.changed:
        yield "Changed in the week", listed(index.changed, 400)


def _probes(index: Index, timezone: str) -> Iterator[Table]:
    columns = (
        "probe",
        "not as it should be",
        "at worst",
        "runs",
        "last",
        "by language",
        "figures",
        "for example",
        "in words",
    )
    yield Table("What the probes saw", columns, tuple(_probe(each, timezone) for each in index.looked), (1, 2, 3))
    days = sorted({one.day for each in index.looked for one in each.days})
    if days:
        known = [{one.day: one.rate for one in each.days} for each in index.looked]
        rows = tuple((day(one), *(rate_words(column.get(one)) for column in known)) for one in days)
        names = tuple(text(each.name, 60) for each in index.looked)
        yield Table("Day by day", ("day", *names), rows, tuple(range(1, len(names) + 1)), data=True)


def _probe(each: Looked, timezone: str) -> tuple[str, ...]:
    by = "; ".join(f"{language(lang)} {rate_words(rate)}" for lang, rate in each.by.items())
    said = " ".join(text(part) for part in (each.why, f"Could not look: {each.unable}" if each.unable else "") if part)
    figures = "; ".join(f"{text(name, 40)} {figure(value)}" for name, value in each.values.items())
    return (
        text(each.name, 60),
        rate_words(each.bad),
        rate_words(each.worst),
        str(each.runs),
        moment(each.at, timezone),
        by or NONE,
        figures or NONE,
        listed(each.ids) if each.ids else NONE,
        said or "as it should be",
    )


# --- checks, budget, retraining ------------------------------------------------------------------------------------


def checks(week: Week) -> Section:
    """Every check in every language, the worst first."""
    title = "Every check"
    if not week.checks:
        return Section("checks", title, ("No check looked in this week.",))
    columns = (
        "check", "language", "ended", "n", "now", "usual", "effect", "95 % interval", "looks", "verdicts",
        "last look", "it said",
    )  # fmt: skip
    rows = tuple(_checked(each, week.timezone) for each in week.checks)
    caption = f"How the looks of {counted(len(rows), 'check', 'checks')} ended, one row a check and language"
    return Section("checks", title, tables=(Table(caption, columns, rows, (3, 4, 5, 6, 7, 8)),))


def _checked(each: Checked, timezone: str) -> tuple[str, ...]:
    return (
        f"{text(each.check, 80)} ({text(each.kind, 60)} of {text(each.source, 60)})",
        language(each.segment),
        text(each.last, 20),
        whole(each.n),
        figure(each.value),
        figure(each.reference),
        change(each.effect),
        between(each.low, each.high),
        str(each.looks),
        pairs({name: count for name, count in each.verdicts.items() if count}),
        moment(each.at, timezone),
        text(each.message),
    )


def budget(week: Week) -> Section:
    """What the false-page budget has left."""
    title = "Budget of false pages"
    if not week.budgets:
        return Section("budget", title, ("No budget is set.",))
    columns = (
        "for", "accepted", "told at (days of evidence)", "told this week", "told in that time",
        "most evidence (days)", "held by", "when",
    )  # fmt: skip
    rows = tuple(_accepted(each, week.timezone) for each in week.budgets)
    words = (
        "Evidence of so many days is what traffic without any drift shows about once in so many days. "
        "What was told counts true and false alarms alike.",
    )
    return Section("budget", title, words, tables=(Table("Accepted, and used", columns, rows, (2, 3, 4, 5)),))


def _accepted(each: Budget, timezone: str) -> tuple[str, ...]:
    held = f"{text(each.check, 80)}, {language(each.segment)}" if each.check else NONE
    return (
        {"page": "pages", "warn": "warnings"}[each.severity],
        f"{figure(each.count)} in {figure(each.days)} days",
        figure(each.limit),
        str(each.told),
        str(each.told_in_period),
        figure(each.highest),
        held,
        moment(each.at, timezone),
    )


def retraining(week: Week) -> Section:
    """What was prepared, asked and switched on."""
    title = "Retraining"
    if not week.retraining:
        return Section("retraining", title, ("Nothing was retrained.",))
    rows = tuple(
        (moment(each.at, week.timezone), each.what, text(each.outcome, 60), text(each.job, 80), text(each.reason, 200),
         text(each.by, 60), "this week" if each.in_week else "before")
        for each in week.retraining
    )  # fmt: skip
    columns = ("when", "what", "outcome", "job or release", "reason", "by", "")
    return Section("retraining", title, tables=(Table("The newest first", columns, rows),))


def normals(week: Week) -> Section:
    """What every "usual" in the report means."""
    title = "What “usual” means here"
    if not week.normals:
        return Section("normals", title, ("There is no baseline yet: nothing can be compared.",))
    rows = tuple(
        (text(each.source, 60), text(each.aspect or "everything else", 40), moment(each.start, week.timezone),
         moment(each.end, week.timezone), text(each.reason, 200), text(each.author, 60),
         "yes: partly compared with itself" if each.overlaps else "no")
        for each in week.normals
    )  # fmt: skip
    columns = ("source", "for", "from", "to", "reason", "set by", "overlaps this week")
    return Section("normals", title, tables=(Table("Baselines", columns, rows),))
