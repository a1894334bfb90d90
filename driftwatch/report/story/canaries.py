"""What the questions with known answers found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from driftwatch.report.story.parts import (
    NONE,
    Section,
    Table,
    between,
    counted,
    day,
    difference,
    estimate,
    figure,
    language,
    listed,
    pairs,
    rate_words,
    text,
)
from driftwatch.reported import CanaryMeasure, Flicker, Flip, Rotten, Week


def canaries(week: Week) -> Section:
    """Measures per language, and the canaries that flipped, flicker or are rotten."""
    if not (week.canary_sources or week.canaries):
        return Section("canaries", "Questions with known answers", ("No canaries are asked.",))
    words = tuple(
        f"{text(each.source, 80)}: {counted(each.canaries, 'canary', 'canaries')} asked in "
        f"{counted(each.runs, 'run')}; {rate_words(each.asked)} askings could be judged"
        + (f", the others not: {pairs(each.unasked)}." if each.unasked else ".")
        for each in week.canary_sources
    )
    return Section("canaries", "Questions with known answers", words, tables=tuple(_tables(week)))


def measures(week: Week) -> list[tuple[str, str, tuple[CanaryMeasure, ...]]]:
    """Source, measure in words, and the languages: one group of small charts each."""
    grouped = groupby(week.canaries, lambda each: (each.source, each.measure, each.words))
    return [(source, words, tuple(group)) for (source, _, words), group in grouped]


def _tables(week: Week) -> Iterator[Table]:
    for source, words, group in measures(week):
        yield _numbers(f"{text(words, 60)} of {text(source, 60)}, per language", group)
        yield _days(f"{text(words, 60)} of {text(source, 60)}, day by day (canaries)", group)
    if week.flips:
        yield _flips(week.flips)
    if week.rotten:
        yield _rotten(week.rotten)
    if week.flickering:
        yield _flickering(week.flickering)


def _numbers(caption: str, group: tuple[CanaryMeasure, ...]) -> Table:
    columns = (
        "language", "this week", "95 % interval", "canaries", "usual", "95 % interval", "canaries",
        "change", "95 % interval", "compared", "a usual day",
    )  # fmt: skip
    rows = tuple(
        (language(each.lang), *estimate(each.now), *estimate(each.baseline), *difference(each.change),
         between(*each.band) if each.band else NONE)
        for each in group
    )  # fmt: skip
    return Table(caption, columns, rows, tuple(range(1, 11)))


def _days(caption: str, group: tuple[CanaryMeasure, ...]) -> Table:
    """One row a day, one column a language."""
    days = sorted({each.day for measure in group for each in measure.days})
    known = [{each.day: each for each in measure.days} for measure in group]
    rows = []
    for one in days:
        values = [column.get(one) for column in known]
        rows.append((day(one), *(f"{figure(each.value)} ({each.n})" if each and each.n else NONE for each in values)))
    columns = ("day", *(language(measure.lang) for measure in group))
    return Table(caption, columns, tuple(rows), tuple(range(1, len(columns))), data=True)


def _rank(rank: int | None) -> str:
    return "not found" if rank is None else str(rank)


def _flips(flips: tuple[Flip, ...]) -> Table:
    columns = ("canary", "language", "usual rank", "rank now", "measure", "usual", "now", "runs that say so")
    rows = tuple(
        (_asked(each), language(each.lang), _rank(each.old_rank), _rank(each.new_rank), text(each.measure, 40),
         figure(each.old), figure(each.new), rate_words(each.runs))
        for each in flips
    )  # fmt: skip
    return Table("Canaries that ended the week elsewhere than usual", columns, rows, (2, 3, 5, 6, 7))


def _rotten(rotten: tuple[Rotten, ...]) -> Table:
    rows = tuple(
        (_asked(each), language(each.lang), listed(each.documents),
         "some are left" if each.partly else "none is left: mend or retire it")
        for each in rotten
    )  # fmt: skip
    return Table("Canaries whose documents are gone (rot, not drift)", ("canary", "language", "gone", "and"), rows)


def _flickering(flickering: tuple[Flicker, ...]) -> Table:
    rows = tuple(
        (_asked(each), language(each.lang), text(each.measure, 40), str(each.changes), rate_words(each.below))
        for each in flickering
    )
    columns = ("canary", "language", "measure", "changes", "runs below its best")
    return Table("Canaries that flicker", columns, rows, (3, 4))


def _asked(each: Flip | Rotten | Flicker) -> str:
    """What was asked and by which name; the name alone where no text is shown."""
    name = f"{text(each.query_id, 80)} of {text(each.source, 40)}"
    return f"“{text(each.text, 160)}” ({name})" if each.text else name
