"""What an index says of itself, against what it said before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from driftwatch.probes.facts import compare_facts, remembered
from driftwatch.types import IndexFacts, Look

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
FACTS = IndexFacts(count=1000, dimension=384, metric="cosine", fingerprint="a", settings={"kind": "hnsw"})


def compared(before: IndexFacts, after: IndexFacts, documents: tuple[int | None, int | None] = (None, None)) -> Look:
    past = remembered(before, None, documents[0], [], NOW)
    return compare_facts(after, None, documents[1], past, 0.02)


def test_what_stays_is_right() -> None:
    assert compared(FACTS, FACTS).bad == 0
    assert compare_facts(FACTS, None, None, [], 0.02).bad == 0
    assert compared(FACTS, replace(FACTS, count=990, fingerprint="b")).bad == 0


def test_entries_that_are_lost_are_told_unless_their_documents_are_gone() -> None:
    look = compared(FACTS, replace(FACTS, count=900))
    assert (look.bad, look.why) == (1, "the index is not what it was: it lost entries (1000 -> 900)")
    assert compared(FACTS, replace(FACTS, count=900), (500, 450)).bad == 0


def test_an_estimated_count_is_shown_and_not_compared() -> None:
    estimated = replace(FACTS, count=900, settings={**FACTS.settings, "count": "estimated"})
    for before, after in ((FACTS, estimated), (replace(estimated, count=1200), estimated), (estimated, FACTS)):
        look = compared(before, after)
        assert (look.bad, look.why) == (0, "")
        assert look.values == {"count": float(after.count or 0)}


def test_what_does_not_change_by_itself_is_wrong_when_it_does() -> None:
    look = compared(FACTS, replace(FACTS, metric="dot"))
    assert (look.bad, look.words["metric"]) == (1, "cosine -> dot")
