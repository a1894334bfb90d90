"""What people asked, and what came back: scores, rates, languages and new topics."""

from __future__ import annotations

from collections.abc import Iterator

from driftwatch.report.story.parts import (
    NONE,
    Section,
    Table,
    chance,
    counted,
    day,
    difference,
    estimate,
    figure,
    first_upper,
    language,
    listed,
    moment,
    per_cent,
    per_cents,
    rate,
    rate_words,
    text,
    whole,
)
from driftwatch.reported import Estimate, Mix, Rates, Scores, Shape, Topic, Week

SCORES = {"top1": "best score", "topk_mean": "mean score of the results"}


def scores(week: Week) -> Section:
    """Distributions now against the baseline, by Kolmogorov and Smirnov."""
    title = "Scores of what was found"
    if not week.scores:
        return Section("scores", title, ("No scores were seen.",))
    columns = ("source", "score", "language", "D", "p", "largest gap at", "shares there",
               "scores are", "mean distance (Wasserstein)")  # fmt: skip
    distances = tuple((*_named(each), *_distance(each)) for each in week.scores)
    shapes = tuple(row for each in week.scores for row in _shapes(each))
    return Section(
        "scores",
        title,
        ("D is the largest gap between the two curves (Kolmogorov-Smirnov), one row a session.",),
        tables=(
            Table("How far the scores are from usual", columns, distances, (3, 4, 5, 6, 8)),
            Table("Where the scores lie", _SHAPE, shapes, tuple(range(4, 14))),
        ),
    )


_SHAPE = (
    "source", "score", "language", "", "sessions", "mean", "95 % interval", "median", "95 % interval",
    "95th percentile", "95 % interval",
)  # fmt: skip


def _named(each: Scores) -> tuple[str, str, str]:
    return text(each.source, 60), SCORES[each.score], language(each.segment)


def _distance(each: Scores) -> tuple[str, ...]:
    shares = " and ".join(map(per_cent, each.gap)) if each.gap else NONE
    return (
        figure(each.ks),
        chance(each.p_value),
        figure(each.gap_at),
        shares,
        each.direction if each.ks is not None else NONE,
        figure(each.wasserstein),
    )


def _shapes(each: Scores) -> Iterator[tuple[str, ...]]:
    yield (*_named(each), "now", *_shape(each.now))
    if each.baseline is not None:
        yield (*_named(each), "usual", *_shape(each.baseline))


def _shape(shape: Shape) -> tuple[str, ...]:
    """n is that of the mean; where a quantile has another, it stands beside it."""
    first = shape.mean.n
    cells = [cell for each in (shape.mean, shape.median, shape.p95) for cell in _quantile(each, first)]
    return (whole(first), *cells)


def _quantile(each: Estimate, n: int) -> tuple[str, str]:
    value, interval, count = estimate(each)
    return value if each.n == n else f"{value} (n {count})", interval


def curve(each: Scores) -> Table:
    """What the chart of one distribution draws."""
    usual = each.ecdf.baseline or (None,) * len(each.ecdf.at)
    rows = tuple(
        (figure(at), per_cent(now), per_cent(then))
        for at, now, then in zip(each.ecdf.at, each.ecdf.now, usual, strict=True)
    )
    caption = f"Share of sessions with a {SCORES[each.score]} of at most …, {language(each.segment)}"
    return Table(caption, ("score", "now", "usually"), rows, (0, 1, 2), data=True, curve=True)


# --- rates ---------------------------------------------------------------------------------------------------------


def rates(week: Week) -> Section:
    """How often queries ended badly."""
    title = "Queries that ended badly"
    if not week.rates:
        return Section("rates", title, ("Nothing is known of empty results, abstentions or feedback.",))
    tables = [table for source, words, group in kinds_of_rates(week) for table in _rate_tables(source, words, group)]
    return Section("rates", title, ("Counted exactly, one row a session or distinct query.",), tables=tuple(tables))


def kinds_of_rates(week: Week) -> list[tuple[str, str, tuple[Rates, ...]]]:
    """Source, what it is the rate of, and the languages: one chart each."""
    groups: dict[tuple[str, str, str], list[Rates]] = {}
    for each in week.rates:
        groups.setdefault((each.source, each.of, each.words), []).append(each)
    return [(source, words, tuple(group)) for (source, _, words), group in groups.items()]


def _rate_tables(source: str, words: str, group: tuple[Rates, ...]) -> Iterator[Table]:
    name = f"{first_upper(text(words, 60))} in {text(source, 60)}"
    columns = (
        "language", "this week", "95 % interval", "queries", "usually", "95 % interval", "queries",
        "change", "95 % interval", "n",
    )  # fmt: skip
    rows = tuple((language(each.lang), *rate(each.now), *rate(each.baseline), *_points(each.change)) for each in group)
    yield Table(name, columns, rows, tuple(range(1, 10)))
    days = sorted({one.day for each in group for one in each.days})
    known = [{one.day: one.rate for one in each.days} for each in group]
    daily = tuple((day(one), *(rate_words(column.get(one)) for column in known)) for one in days)
    langs = tuple(language(each.lang) for each in group)
    yield Table(f"{name}, day by day", ("day", *langs), daily, tuple(range(1, len(langs) + 1)), data=True)


def _points(given: Estimate | None) -> tuple[str, str, str]:
    """A change of a rate."""
    if given is None:
        return difference(None)
    sign = "+" if given.value is not None and given.value > 0 else ""
    return f"{sign}{per_cent(given.value)}", per_cents(given.low, given.high), whole(given.n)


# --- languages and topics ------------------------------------------------------------------------------------------


def mixes(week: Week) -> Section:
    """Which languages were spoken: more of one is not worse retrieval."""
    title = "Languages"
    if not week.mixes:
        return Section("mix", title, ("No traffic was seen.",))
    words = tuple(_spoken(each) for each in week.mixes)
    return Section("mix", title, words, tables=tuple(_shares(each) for each in week.mixes))


def _spoken(each: Mix) -> str:
    usual = ""
    if each.baseline_queries is not None:
        span = f" in {figure(each.baseline_days)} days" if each.baseline_days is not None else ""
        usual = f" (baseline: {whole(each.baseline_queries)}{span})"
    moved = f" {figure(each.total_variation)} of the traffic changed its language (total variation)."
    return (
        f"{text(each.source, 60)}: {whole(each.queries)} queries{usual}. Language guessed: {rate_words(each.detected)}."
        f"{moved if each.total_variation is not None else ''}"
    )


def _shares(each: Mix) -> Table:
    columns = ("language", "this week", "95 % interval", "sessions", "usually", "95 % interval", "sessions")
    rows = tuple((language(share.lang), *rate(share.now), *rate(share.baseline)) for share in each.shares)
    return Table(f"Share of each language in {text(each.source, 60)}", columns, rows, tuple(range(1, 7)), data=True)


def topics(week: Week) -> Section:
    """What people ask about that they did not."""
    title = "New topics"
    if not week.topics:
        return Section("topics", title, ("Nothing new was asked about, as far as can be seen.",))
    note = () if week.shows_queries else ("Texts of queries are not shown (`privacy.show_queries`).",)
    columns = ("about", "language", "share now", "usually", "looks", "from", "to", "for example")
    rows = tuple(_topic(each, week.timezone) for each in week.topics)
    named = counted(len(rows), "topic has", "topics have")
    caption = f"{named} more queries than usual"
    return Section("topics", title, note, tables=(Table(caption, columns, rows, (2, 3, 4)),))


def _topic(each: Topic, timezone: str) -> tuple[str, ...]:
    about = listed(each.words) if each.words else "a group of queries that are alike"
    examples = " · ".join(f"“{text(one.text, 120)}”" if one.text else text(one.query_id, 60) for one in each.examples)
    return (
        f"{about} ({text(each.check, 60)})",
        language(each.segment),
        rate_words(each.share),
        per_cent(each.before),
        str(each.looks),
        moment(each.first, timezone),
        moment(each.last, timezone),
        examples or NONE,
    )
