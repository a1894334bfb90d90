"""Whether a new index may be used: it holds everything, everything finds itself, and its search finds it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from driftwatch.retrain.checked import Checked, check_index, recall
from driftwatch.retrained import Passage
from driftwatch.types import IndexFacts
from tests.fakes.small_index import WIDTH, Rows, SmallIndex, Topics, small_rows

MODEL = Topics()
ROWS = small_rows(MODEL)
COUNT = len(ROWS.doc_ids)


def sampled(rows: Rows = ROWS, every: int = 7) -> list[tuple[Passage, Any]]:
    return [
        (Passage(f"e{row}", rows.doc_ids[row], rows.texts[row] or ""), rows.vectors[row])
        for row in range(0, len(rows.doc_ids), every)
    ]


def check(new: SmallIndex, old: SmallIndex | None = None, **changed: Any) -> Checked:
    given = {"count": COUNT, "dimension": WIDTH, **changed}
    return check_index(new, old or SmallIndex.of(ROWS), sampled(), given["count"], given["dimension"])


def failed(checked: Checked) -> list[str]:
    return [reason.name for reason in checked.reasons if not reason.passed]


def test_a_good_index_may_be_used_and_says_why():
    checked = check(SmallIndex.of(ROWS))
    assert checked.passed
    assert [reason.sentence for reason in checked.reasons] == [
        f"it holds {COUNT} of {COUNT} passages",
        f"its vectors have {WIDTH} numbers, and the model gives {WIDTH}",
        f"{len(sampled())} of {len(sampled())} passages are found",
        "its recall of exact search is 1.000",
    ]


def test_an_index_that_lacks_a_passage_may_not_be_used():
    assert failed(check(SmallIndex.of(ROWS), count=COUNT + 1)) == ["holds everything", "finds itself"]


def test_an_estimated_count_may_be_a_little_off():
    class Estimating(SmallIndex):
        def facts(self) -> IndexFacts:
            facts = super().facts()
            return replace(facts, count=int(COUNT * 1.04), settings={**facts.settings, "count": "estimated"})

    assert check(Estimating.of(ROWS)).passed


def test_vectors_under_the_names_of_others_may_not_be_used():
    turned = Rows([*ROWS.doc_ids[1:], ROWS.doc_ids[0]], ROWS.vectors, ROWS.texts, ROWS.langs)
    checked = check(SmallIndex.of(turned))
    assert failed(checked) == ["finds itself"]
    assert "passages are found; not " in checked.reasons[2].sentence


def test_a_graph_that_loses_documents_may_not_be_used():
    broken = SmallIndex.of(ROWS, spec="HNSW2,Flat", ef=1)
    assert recall(broken, ROWS.vectors[:40]) < 0.8
    assert "search" in failed(check(broken))


def test_a_search_that_is_no_worse_than_the_old_ones_may_be_used():
    coarse = {"spec": "HNSW2,Flat", "ef": 1}
    checked = check(SmallIndex.of(ROWS, **coarse), SmallIndex.of(ROWS, **coarse))
    assert checked.passed
    assert "and that of the old index" in checked.reasons[3].sentence


def test_while_the_store_builds_its_graph_nothing_is_said():
    class Building(SmallIndex):
        def facts(self) -> IndexFacts:
            return replace(super().facts(), settings={"status": "yellow"})

    checked = check(Building.of(ROWS))
    assert not checked.passed
    assert checked.reasons == ()
    assert "still builds" in checked.waiting


def test_an_index_that_nothing_is_known_of_may_not_be_used():
    assert not check_index(SmallIndex.of(ROWS), SmallIndex.of(ROWS), [], COUNT, WIDTH).passed


@pytest.mark.parametrize(("compressed", "passes"), [("yes", True), ("no", False)])
def test_what_keeps_less_of_a_vector_may_miss_a_few(compressed, passes):
    class Missing(SmallIndex):
        def facts(self) -> IndexFacts:
            return replace(super().facts(), settings={"compressed": compressed})

        def search_vectors(self, vectors: Any, top_k: int, *, exact: bool = False) -> Any:
            found = super().search_vectors(vectors, top_k, exact=exact)
            return [() if row % 8 == 0 else hits for row, hits in enumerate(found)]

    assert ("finds itself" not in failed(check(Missing.of(ROWS)))) == passes
    assert np.isfinite(recall(SmallIndex.of(ROWS), ROWS.vectors[:2]))
