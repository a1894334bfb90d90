"""What a person is told before he decides: the gate's reasons and figures, and old and new side by side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from driftwatch.approval import Question, evidence, new_question
from driftwatch.compared import ALL, Comparison, Disagreement, Measured
from driftwatch.retraining.course import Course

NAMED = 5
"""Questions that both answer most differently."""
SHOWN = 3
"""Documents of an answer."""


def question_of(course: Course, service: str, documents: int, now: datetime, expires: timedelta) -> Question:
    """Whether the model of a job may be switched on; ``documents`` must be embedded anew for it.

    Raises:
        RetrainError: it was not judged, or what was said of it cannot be read.
    """
    sentences = (*evidence(course.judgement), *side_by_side(course.comparison))
    title = f"{service}: switch on the model of {course.job_id}?"
    return new_question(course.job_id, title, sentences, documents=documents, now=now, expires=expires)


def side_by_side(comparison: Comparison) -> Iterator[str]:
    """How many questions gain and lose, how alike answers to live queries are, and what differs most; no query's text
    is in it.
    """
    langs = [lang for lang in comparison.canaries if lang != ALL]
    for lang in (ALL, *(langs if len(langs) > 1 else ())):
        if rows := comparison.canaries.get(lang):
            yield _counted(rows[-1], lang)
    if (alike := comparison.queries.get(ALL)) is not None:
        yield (
            f"side by side: of {alike.n:,} live queries, old and new share {alike.overlap.value:.0%} of the first"
            f" {comparison.k} documents, and name the same one first for {alike.top1.value:.0%}."
        )
    yield from map(_differs, comparison.differ_most[:NAMED])


def _counted(each: Measured, lang: str) -> str:
    """One measure, question by question.

    >>> _counted(Measured("nDCG@10", 120, 0.61, 0.65, 0.02, 0.07, 31, 4), "de")
    'side by side, language de: of 120 questions with known answers 31 are answered better and 4 worse (nDCG@10).'
    """
    where = "side by side" if lang == ALL else f"side by side, language {lang}"
    counts = f"{each.better:,} are answered better and {each.worse:,} worse ({each.measure})"
    return f"{where}: of {each.n:,} questions with known answers {counts}."


def _differs(each: Disagreement) -> str:
    """A question that both answer differently, by the names of its documents.

    >>> _differs(Disagreement("canaries:c7", "de", "canary", 0.1, ("d1", "d2"), ("d9",), 2, None))
    'old and new differ: canaries:c7 (de), d1, d2 → d9; the answer: place 2 → not found.'
    """
    old, new = (", ".join(docs[:SHOWN]) or "nothing" for docs in (each.old, each.new))
    found = f"; the answer: {_place(each.old_rank)} → {_place(each.new_rank)}" if each.asked_as == "canary" else ""
    return f"old and new differ: {each.query_id} ({each.lang}), {old} → {new}{found}."


def _place(rank: int | None) -> str:
    return f"place {rank}" if rank else "not found"
