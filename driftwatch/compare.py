"""Two retrievers side by side: paired measures over canaries, likeness of the answers to sampled queries. Pure."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._paired import languages, measured
from driftwatch.checks._words import language, percent, shorten, things
from driftwatch.compared import ALL, Agreement, Comparison, Disagreement, Measured, Paired, Share, Side
from driftwatch.privacy import redact
from driftwatch.show import safe
from driftwatch.stats.ir import Measure, first_rank
from driftwatch.stats.overlap import Overlaps, mean_interval, persistence
from driftwatch.types import Query, Reply

DIFFER_MOST = 20
"""Queries that are named."""
TOP = 3
"""Documents of each side that are shown of them."""
MOST_REASONS = 5
IN_A_SECTION = 5
"""Queries that a report names."""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@/])")


@dataclass(frozen=True, slots=True)
class Answers:
    """What one side answered, in the order of the questions."""

    name: str
    canaries: Sequence[Reply]
    queries: Sequence[Reply]


def measures_at(k: int) -> tuple[Measure, ...]:
    """What canaries are compared by."""
    return tuple(Measure(name, k) for name in ("R", "RR", "nDCG"))


def compare(
    old: Answers,
    new: Answers,
    canaries: Sequence[Query],
    queries: Sequence[Query],
    at: datetime,
    *,
    k: int = 10,
    measures: Sequence[Measure] | None = None,
    weights: Sequence[float] | None = None,
    show_queries: bool = False,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare what two sides answered to the same questions.

    Documents are the same where their doc_ids are. A question that one side could not be asked counts for neither.

    Args:
        old: what is in use.
        new: what may replace it.
        canaries: questions with known answers.
        queries: sampled live queries; nobody knows their answers.
        at: when both were asked.
        k: how many documents count.
        measures: of the canaries; default: recall, reciprocal rank and nDCG at ``k``.
        weights: how many queries each sampled one stands for; default: all are alike.
        show_queries: whether the texts of queries may be shown, redacted.
        notes: what else is to be said of it.
    """
    known = _Both.of(canaries, old.canaries, new.canaries)
    live = _Both.of(queries, old.queries, new.queries)
    paired = _paired(known, measures or measures_at(k))
    weight = np.ones(len(queries)) if weights is None else np.asarray(weights, np.float64)
    far = [*_far_apart(known, "canary", k, show_queries), *_far_apart(live, "query", k, show_queries)]
    return Comparison(
        at=at,
        old=_side(old),
        new=_side(new),
        k=k,
        canaries={lang: measured(paired, lang) for lang in [ALL, *languages(paired)]} if known.questions else {},
        queries=_agreements(live, weight[live.rows], k),
        differ_most=tuple(sorted(far, key=lambda each: (each.alike, each.query_id))[:DIFFER_MOST]),
        notes=(*notes, *_doubts(known, live)),
        paired=paired,
    )


@dataclass(frozen=True, slots=True)
class _Both:
    """The questions that both sides were asked, and their rankings."""

    questions: list[Query]
    old: list[list[str]]
    new: list[list[str]]
    rows: list[int]
    """Their places among all questions."""
    likeness: Overlaps

    @classmethod
    def of(cls, questions: Sequence[Query], old: Sequence[Reply], new: Sequence[Reply]) -> _Both:
        rows = [row for row in range(len(questions)) if _was_asked(old[row]) and _was_asked(new[row])]
        before, after = ([[hit.doc_id for hit in side[row].hits or ()] for row in rows] for side in (old, new))
        return cls([questions[row] for row in rows], before, after, rows, Overlaps.of(before, after))


def _was_asked(reply: Reply) -> bool:
    return reply.hits is not None and reply.error is None


def _side(answers: Answers) -> Side:
    replies = [*answers.canaries, *answers.queries]
    reasons = Counter(shorten(each.error or "it gave no answer") for each in replies if not _was_asked(each))
    told = dict(reasons.most_common(MOST_REASONS))
    if others := reasons.total() - sum(told.values()):
        told["other reasons"] = others
    times = [each.latency_ms for each in replies if _was_asked(each) and each.latency_ms is not None]
    empty = sum(_was_asked(each) and not each.hits for each in replies)
    return Side(answers.name, len(replies), empty, told, median(times) if times else None)


def _paired(known: _Both, measures: Sequence[Measure]) -> Paired:
    def column(measure: Measure, rankings: list[list[str]]) -> tuple[float, ...]:
        return tuple(_value(measure, *each) for each in zip(known.questions, rankings, strict=True))

    return Paired(
        tuple(query.query_id for query in known.questions),
        tuple(query.lang for query in known.questions),
        {str(measure): column(measure, known.old) for measure in measures},
        {str(measure): column(measure, known.new) for measure in measures},
    )


def _value(measure: Measure, query: Query, ranking: Sequence[str]) -> float:
    if query.expect_empty:
        return 0.0 if ranking else 1.0
    return measure(ranking, query.relevant)


def _agreements(live: _Both, weights: NDArray[np.float64], k: int) -> dict[str, Agreement]:
    langs = np.array([query.lang for query in live.questions], dtype=np.str_)
    likeness = live.likeness
    values = [likeness.overlap(k), likeness.jaccard(k), likeness.rbo(persistence(k)), likeness.top1()]

    def agreement(rows: NDArray[np.bool_]) -> Agreement:
        return Agreement(int(rows.sum()), *(Share(*mean_interval(each[rows], weights[rows])) for each in values))

    if not len(langs):
        return {}
    names, counts = np.unique(langs, return_counts=True)
    largest_first = [str(name) for _, name in sorted(zip(-counts, names, strict=True)) if name != ALL]
    return {ALL: agreement(langs != "")} | {lang: agreement(langs == lang) for lang in largest_first}


def _far_apart(both: _Both, asked_as: Literal["canary", "query"], k: int, show: bool) -> Iterator[Disagreement]:
    """The questions whose answers are not alike, the least alike of them."""
    # By rank-biased overlap alone a list is as good as equal to one that merely goes on.
    alike = np.minimum(both.likeness.rbo(persistence(k)), both.likeness.overlap(k))
    for row in np.argsort(alike, kind="stable")[:DIFFER_MOST].tolist():
        if alike[row] > 1 - 1e-9:
            return
        query, old, new = both.questions[row], both.old[row], both.new[row]
        yield Disagreement(
            query.query_id,
            query.lang,
            asked_as,
            float(alike[row]),
            tuple(old[:TOP]),
            tuple(new[:TOP]),
            first_rank(old, query.relevant),
            first_rank(new, query.relevant),
            redact(query.text) if show else "",
        )


def _doubts(known: _Both, live: _Both) -> Iterator[str]:
    """What the numbers would hide."""
    old = {doc_id for ranking in (*known.old, *live.old) for doc_id in ranking}
    new = {doc_id for ranking in (*known.new, *live.new) for doc_id in ranking}
    if old and new and not old & new:
        yield (
            "not one document is named by both sides: are the ids that they give keys of the documents, which "
            "re-indexing leaves as they are?"
        )
    for both, what in ((known, "canary"), (live, "sampled query")):
        if not both.questions:
            yield f"there is no {what} that both sides answered"


def verdict(comparison: Comparison) -> str:
    """One sentence for a person: which side finds more, where it does not, and how much they have in common."""
    parts = []
    if pooled := comparison.canaries.get(ALL):
        parts.append(_canary_clause(comparison, pooled))
        worse = [lang for lang, rows in comparison.canaries.items() if lang != ALL and any(m.high < 0 for m in rows)]
        if worse:
            parts.append(f"it is worse in {', '.join(language(lang) for lang in worse)}")
    if agreement := comparison.queries.get(ALL):
        share = percent(agreement.overlap.value)
        parts.append(
            f"they share {share} of the first {comparison.k} documents of {things(agreement.n, 'sampled query')}"
        )
    return "; ".join(parts) or "nothing could be compared"


def _canary_clause(comparison: Comparison, measures: Sequence[Measured]) -> str:
    """About the measure that tells the sides apart: one that is certainly worse, else better, else the first."""
    worse = [each for each in measures if each.high < 0]
    better = [each for each in measures if each.low > 0]
    shown = (worse or better or measures)[0]
    found = "is worse" if worse else "is better" if better else "is neither better nor worse beyond chance"
    change = f"{shown.measure} {shown.new:.3f} against {shown.old:.3f} ({shown.low:+.3f} to {shown.high:+.3f})"
    sides = f"{comparison.new.name} against {comparison.old.name}"
    return f"{sides}: {found} over {things(shown.n, 'canary')}, {change}"


# --- for a report --------------------------------------------------------------------------------------------------


def section(comparison: Comparison) -> str:
    """The comparison as Markdown, for a report: a heading, sentences and tables; nothing foreign in it is markup."""
    old, new = _plain(comparison.old.name), _plain(comparison.new.name)
    named = replace(comparison, old=replace(comparison.old, name=old), new=replace(comparison.new, name=new))
    parts = [f"## {new} against {old}", f"{verdict(named)}."]
    if comparison.canaries:
        parts.append(
            _table(("language", "measure", old, new, "change", "95 % interval", "canaries"), _rows(comparison))
        )
    if comparison.queries:
        head = ("language", f"overlap@{comparison.k}", f"Jaccard@{comparison.k}", "rank-biased overlap", "same first")
        parts.append(_table((*head, "queries"), _alike(comparison)))
    if comparison.differ_most:
        far = [_far(each) for each in comparison.differ_most[:IN_A_SECTION]]
        parts += ["They disagree most about:", _table(("query", "language", old, new), far)]
    notes = [f"* {_plain(note)}" for note in (*_missed(comparison), *comparison.notes)]
    parts += ["\n".join(notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """``text`` on one line, with every sign that Markdown or HTML could read as its own escaped."""
    return html.escape(_MARKDOWN.sub(r"\\\1", safe(text)), quote=False)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rows(comparison: Comparison) -> list[list[str]]:
    return [
        [
            _plain(lang),
            each.measure,
            f"{each.old:.3f}",
            f"{each.new:.3f}",
            f"{each.difference:+.3f}",
            f"{each.low:+.3f} to {each.high:+.3f}",
            str(each.n),
        ]
        for lang, measures in comparison.canaries.items()
        for each in measures
    ]


def _alike(comparison: Comparison) -> list[list[str]]:
    return [
        [
            _plain(lang),
            *(f"{share.value:.3f}" for share in (each.overlap, each.jaccard, each.rbo, each.top1)),
            str(each.n),
        ]
        for lang, each in comparison.queries.items()
    ]


def _far(each: Disagreement) -> list[str]:
    found = [_plain(", ".join(doc_ids)) or "nothing" for doc_ids in (each.old, each.new)]
    return [_plain(each.text or each.query_id), _plain(each.lang), *found]


def _missed(comparison: Comparison) -> Iterator[str]:
    for side in (comparison.old, comparison.new):
        if side.failed:
            reason = next(iter(side.unasked))
            yield f"{side.name} could not be asked {side.failed} of {things(side.asked, 'question')}: {reason}"
