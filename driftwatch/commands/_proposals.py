"""Proposed canaries: questions of live traffic, why each is proposed, and what the service answered to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driftwatch.commands._live import Live, went_wrong
from driftwatch.coverage import Coverage, Pick, coverage, propose
from driftwatch.privacy import redact
from driftwatch.sources._csv import named_after
from driftwatch.sources._native import PROPOSED
from driftwatch.types import Observation

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.documents import Corpus

CANDIDATES = 5
"""Documents that the service answered, for a person to choose among."""
LONGEST_QUESTION, LONGEST_DOCUMENT = 1000, 200
"""Characters: longer questions are not proposed, and no more is shown of a document."""


def proposals(live: Live, watch: Watch, count: int, seed: int, *, unredacted: bool) -> list[dict[str, Any]]:
    """Lines of a file of proposals, those that stand for most traffic first; the same for the same ``seed``."""
    found = coverage(live.points, live.canaries, seed=seed)
    corpus = watch.documents.corpus(watch.base) if watch.documents is not None else None
    made: dict[str, dict[str, Any]] = {}
    for pick in propose(live.points, live.troubled, found, live.canaries, count, seed):
        seen = live.observations.get(pick.row)
        if seen is None or not seen.text.strip() or len(seen.text) > LONGEST_QUESTION:
            continue
        line = _line(seen, pick, found, corpus, unredacted=unredacted)
        made.setdefault(line["query_id"], line)  # texts may become equal by redaction
    return list(made.values())


def _line(seen: Observation, pick: Pick, found: Coverage, corpus: Corpus | None, *, unredacted: bool) -> dict[str, Any]:
    text = seen.text.strip() if unredacted else redact(seen.text.strip())
    reasons = [*([] if found.nearby[pick.row] else ["no canary is near"]), *went_wrong(seen)]
    share = f"it stands for {pick.stands_for:.1%} of the traffic"
    return {
        "query_id": named_after(text, seen.lang, "live"),
        "text": text,
        "lang": seen.lang,
        "relevant": [],
        PROPOSED: {
            "why": "; ".join([*reasons, share]),
            "share": round(pick.stands_for, 6),
            "similarity": round(float(found.similarity[pick.row]), 3),
            "asked_as": seen.query_id,
            "redacted": text != seen.text.strip(),
            "candidates": _candidates(seen, corpus),
        },
    }


def _candidates(seen: Observation, corpus: Corpus | None) -> list[dict[str, Any]]:
    hits = (seen.hits or ())[:CANDIDATES]
    known = corpus.get([hit.doc_id for hit in hits]) if corpus is not None else {}
    return [
        {"id": hit.doc_id, "score": hit.score}
        | ({"text": known[hit.doc_id].text[:LONGEST_DOCUMENT]} if hit.doc_id in known else {})
        for hit in hits
    ]
