"""How one score follows from another, on seeded scores whose relation is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from driftwatch.probes.cells import Ranking
from driftwatch.probes.scores import Scores, compare_scores, unchanged
from driftwatch.types import Look, ScoredDoc

Change = Callable[[float, int, int], float]


@pytest.fixture
def old() -> dict[str, Ranking]:
    rng = np.random.default_rng(5)
    return {
        f"q{number:02}": tuple(
            ScoredDoc(f"d{number}-{place}", float(score))
            for place, score in enumerate(np.sort(rng.normal(0.5, 0.15, 20))[::-1])
        )
        for number in range(30)
    }


def changed(old: dict[str, Ranking], change: Change) -> dict[str, Ranking]:
    return {
        name: tuple(ScoredDoc(hit.doc_id, change(hit.score or 0.0, number, place)) for place, hit in enumerate(hits))
        for number, (name, hits) in enumerate(old.items())
    }


def compared(old: dict[str, Ranking], change: Change) -> Look:
    return compare_scores(Scores.of(old, changed(old, change)), "what they were")


def test_a_service_that_names_a_document_once_for_each_of_its_parts_has_its_best_score(old: dict[str, Ranking]) -> None:
    parts = {
        name: tuple(
            ScoredDoc(f"{hit.doc_id.partition('-')[0]}-{place // 3}", hit.score) for place, hit in enumerate(hits)
        )
        for name, hits in old.items()
    }
    once = {name: hits[::3] for name, hits in parts.items()}
    for before in (parts, once):
        assert compare_scores(Scores.of(before, parts), "what they were").words["relation"] == "equal"
        assert all(unchanged(before, parts).values())


def test_the_same_scores_are_equal(old: dict[str, Ranking]) -> None:
    look = compared(old, lambda score, _query, _place: score)
    assert (look.n, look.bad, look.words, look.why) == (600, 0, {"relation": "equal"}, "")


def test_scores_that_differ_by_precision_are_equal(old: dict[str, Ranking]) -> None:
    assert compared(old, lambda score, _query, _place: float(np.float16(score))).words["relation"] == "equal"


def test_a_linear_scale_is_found_with_its_line(old: dict[str, Ranking]) -> None:
    look = compared(old, lambda score, _query, _place: 0.5 * score + 0.5)
    assert look.words["relation"] == "rescaled"
    assert look.values["slope"] == pytest.approx(0.5, abs=1e-6)
    assert look.values["intercept"] == pytest.approx(0.5, abs=1e-6)
    assert look.bad == 0
    assert "0.5 x +0.5" in look.why


def test_any_increasing_function_is_a_scale(old: dict[str, Ranking]) -> None:
    look = compared(old, lambda score, _query, _place: 1 / (1 + np.exp(-8 * score)))
    assert look.words["relation"] == "rescaled"
    assert look.values["rank correlation"] == pytest.approx(1.0)


def test_a_scale_of_each_querys_own_is_told_apart(old: dict[str, Ranking]) -> None:
    look = compared(old, lambda score, query, _place: score * (1 + query % 7) - query % 5)
    assert look.words["relation"] == "rescaled by query"
    assert look.values["rank correlation by query"] == pytest.approx(1.0)


def test_scores_that_moved_for_some_documents_name_them(old: dict[str, Ranking]) -> None:
    look = compared(old, lambda score, _query, place: score - 0.2 if place == 3 else score)
    assert look.words["relation"] == "shifted in part"
    assert look.bad == 30
    assert {name.partition("-")[2] for name in look.ids} == {"3"}
    assert look.values["slope"] == pytest.approx(1.0, abs=0.01)


def test_scores_that_have_nothing_to_do_with_each_other_are_different(old: dict[str, Ranking]) -> None:
    rng = np.random.default_rng(1)
    assert compared(old, lambda _score, _query, _place: float(rng.normal())).words["relation"] == "different"


def test_scores_that_nobody_gave_are_not_compared() -> None:
    bare = {"q": tuple(ScoredDoc(f"d{place}") for place in range(20))}
    assert compare_scores(Scores.of(bare, bare), "what they were").unable


def test_a_pair_that_follows_the_others_is_unchanged_and_one_that_does_not_is_not(old: dict[str, Ranking]) -> None:
    new = changed(old, lambda score, query, place: 2 * score + 1 - (0.9 if (query, place) == (4, 0) else 0.0))
    same = unchanged(old, new)
    assert not same["q04", "d4-0"]
    assert sum(same.values()) == 599


def test_of_unrelated_scores_nothing_is_known_to_be_unchanged(old: dict[str, Ranking]) -> None:
    rng = np.random.default_rng(1)
    assert unchanged(old, changed(old, lambda *_: float(rng.normal()))) == {}
