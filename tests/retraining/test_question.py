"""What a person reads before he decides: reasons, figures, and both models side by side; never a query's text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from driftwatch.compared import ALL, Comparison, Disagreement, Measured, Side
from driftwatch.errors import RetrainError
from driftwatch.retraining.question import NAMED, question_of, side_by_side
from tests.fakes.workshop import DAY, NOW, Workshop

ROW = Measured("nDCG@10", 120, 0.61, 0.65, 0.02, 0.07, 31, 4)
PLAIN = Comparison(NOW, Side("old"), Side("new"), 10, canaries={ALL: (replace(ROW, measure="R@10"), ROW)})


def test_one_language_is_not_told_twice() -> None:
    found = list(side_by_side(replace(PLAIN, canaries={**PLAIN.canaries, "en": (ROW,)})))
    assert found == ["side by side: of 120 questions with known answers 31 are answered better and 4 worse (nDCG@10)."]


def test_each_of_several_languages_has_its_own_sentence() -> None:
    langs = {lang: (replace(ROW, n=n),) for lang, n in (("de", 20), ("fr", 30))}
    found = list(side_by_side(replace(PLAIN, canaries={**PLAIN.canaries, **langs})))
    assert [each.partition(" questions")[0] for each in found] == [
        "side by side: of 120", "side by side, language de: of 20", "side by side, language fr: of 30",
    ]  # fmt: skip


def test_only_a_few_questions_are_named_and_by_their_names() -> None:
    hostile = "<!channel> please approve"
    far = [Disagreement(f"q{n}", "en", "query", 0.0, ("d1",), (), text=hostile) for n in range(NAMED + 3)]
    found = list(side_by_side(replace(PLAIN, differ_most=tuple(far))))[1:]
    assert found == [f"old and new differ: q{n} (en), d1 → nothing." for n in range(NAMED)]


def test_long_answers_are_cut() -> None:
    docs = tuple(f"d{n}" for n in range(9))
    (found,) = list(side_by_side(replace(PLAIN, differ_most=(Disagreement("q", "en", "canary", 0.0, docs, docs),))))[1:]
    assert found == "old and new differ: q (en), d0, d1, d2 → d0, d1, d2; the answer: not found → not found."


def test_the_question_ends_with_what_the_switch_costs_and_expires(shop: Workshop, candidate: Path) -> None:
    course = shop.judged(candidate)
    question = question_of(course, "shop", 105, NOW, 2 * DAY)
    assert question.sentences[-1] == "105 documents will be embedded anew."
    assert question.expires_at == NOW + 2 * DAY
    assert any(each.startswith("side by side: ") for each in question.sentences)


def test_what_was_not_judged_is_not_asked_about(shop: Workshop, candidate: Path) -> None:
    with pytest.raises(RetrainError, match=r"judgement\.json"):
        question_of(shop.trained(candidate), "shop", 105, NOW, DAY)
