"""What must not be taken for the answer: for each question, passages that look like one to the model in use.

Candidates come from the model's own ranking and from BM25's; whatever may be an answer after all is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from driftwatch.errors import TooLittle
from driftwatch.retrain._asked import Question, documents_named, questions_of
from driftwatch.retrain._candidates import Neighbours, Source
from driftwatch.retrain._guards import Corpus, Guard, Tally
from driftwatch.retrain._judge import Judge
from driftwatch.retrain._miner import ASKED, FILLED, SAID, Miner, Queries
from driftwatch.retrain._removed import TakenOut
from driftwatch.retrain.settings import Mine
from driftwatch.retrained import Pair, Passage, Removed, Row

NONE_LEFT = "an answer to which no negative was left"
_REMEDY = "Collect more pairs, or look at what was left out: 'driftwatch retrain pairs'."
LEAST_USES = 10
TIMES_EVEN = 10
"""A passage is a negative of so many questions at most: this many times what it would be if all were used alike."""


@dataclass(frozen=True, slots=True)
class Mined:
    """What is trained on, and what was left out."""

    rows: tuple[Row, ...]
    removed: tuple[Removed, ...]
    """Pairs, then candidates, by guard."""
    report: Mapping[str, Any]
    """Counts, as JSON."""


def mine(
    pairs: Sequence[Pair],
    passages: Sequence[Passage],
    encode_queries: Source,
    encode_documents: Source,
    settings: Mine,
    *,
    clicked: Mapping[str, Collection[str]] | None = None,
    judge: Judge | None = None,
    device: str = "cpu",
    neighbours: Neighbours | None = None,
    most_uses: int | None = None,
) -> Mined:
    """A row for each question and each of its answers, with up to ``settings.negatives`` passages that are none.

    ``encode_queries`` and ``encode_documents``: functions of texts, or vectors that are there already, one for each
    pair and one for each passage. ``clicked``: question -> doc_ids. ``judge``: asked about the candidates that are
    left. ``device``: ``cpu`` compares with FAISS, any other with torch; where there are ``neighbours``, they compare.
    ``most_uses``: how many questions a passage is a negative of at most; without it, ten times what it would be if all
    passages were used alike, and at least ten.

    The seed decides every draw; the order of ``pairs`` decides nothing. Memory: the vectors, the words that questions
    have, and what ``QUESTIONS`` of them need.

    Raises:
        TooLittle: fewer rows than ``settings.least_rows``.
        RetrainError: vectors that do not fit the texts.
        MissingExtra: faiss or bm25s is not installed.
    """
    if not passages:
        raise TooLittle("the corpus holds no document.", remedy="Check 'documents: path'.")
    taken, tally = TakenOut(), Tally()
    clicked = clicked or {}
    corpus = Corpus(passages, encode_documents, documents_named(pairs, clicked))
    questions = questions_of(pairs, clicked, corpus.parts.keys(), settings.seed, taken)
    uses = most_uses or _even_uses(questions, len(passages), settings)
    guard = Guard(corpus, settings.margin, settings.near_duplicate, tally)
    miner = Miner(corpus, settings, guard, judge, device, neighbours, uses)
    rows = list(miner.rows(questions, Queries(encode_queries, len(pairs))))
    for row in rows:
        if not row.negatives:
            taken.add(NONE_LEFT, row.query)
    kept = tuple(row for row in rows if row.negatives)
    if len(kept) < settings.least_rows:
        raise TooLittle(_too_little(len(kept), len(pairs), taken.all(), settings), remedy=_REMEDY)
    removed = (*taken.all(), *tally.removed())
    return Mined(kept, removed, _report(kept, len(questions), corpus, miner, removed))


def _even_uses(questions: Sequence[Question], passages: int, settings: Mine) -> int:
    rows = sum(len(each.answers) for each in questions)
    return max(LEAST_USES, ceil(TIMES_EVEN * rows * settings.negatives / passages))


def _too_little(rows: int, pairs: int, taken: Sequence[Removed], settings: Mine) -> str:
    why = "".join(f"; {each.count} x {each.guard}" for each in taken)
    return (
        f"mining leaves {rows} rows of {pairs} pairs, and {settings.least_rows} are wanted (`mine: least_rows`){why}."
    )


def _report(
    rows: Sequence[Row], questions: int, corpus: Corpus, miner: Miner, removed: Sequence[Removed]
) -> dict[str, Any]:
    used = {name for row in rows for name in row.negatives}
    languages = {each.passage_id: each.lang for each in corpus.passages if each.passage_id in used}
    return {
        "questions": questions,
        "passages": len(corpus),
        "rows": len(rows),
        "rows_with_fewer_negatives": sum(len(row.negatives) < miner.settings.negatives for row in rows),
        "negatives": sum(len(row.negatives) for row in rows),
        "said_to_be_wrong": miner.counts[SAID],
        "filled_at_random": miner.counts[FILLED],
        "judged": miner.counts[ASKED],
        "bands": dict(Counter(band for row in rows for band in row.bands)),
        "languages": dict(Counter(languages[name] for row in rows for name in row.negatives)),
        "most_uses": max(miner.uses.values(), default=0),
        "most_uses_allowed": miner.most_uses,
        "removed": {each.guard: each.count for each in removed},
    }
