"""A new model's cut-off keeps what the one in use keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from driftwatch.retrained import Asked, Served
from driftwatch.retraining.cutoff import MOST, behind, fitting, kept

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DOCUMENTS = tuple(f"d{number}" for number in range(5))


def asked(group: str = "canary", n: int = 60) -> list[Asked]:
    return [Asked(f"{group}{number}", f"question {number}", "en", {"d0": 1}, group) for number in range(n)]


def served(questions: list[Asked], answer: float, others: float, seed: int = 0) -> Served:
    """The answer is found first, at a score around ``answer``; what else is found scores around ``others``."""
    noise = np.random.default_rng(seed).normal(0, 0.03, (len(questions), len(DOCUMENTS)))
    scores = {
        each.query_id: tuple(sorted((float(score) for score in row + np.array([answer, *[others] * 4])), reverse=True))
        for each, row in zip(questions, noise, strict=True)
    }
    return Served("model", {each.query_id: DOCUMENTS for each in questions}, scores)


def test_the_new_cut_off_hands_on_as_much_of_the_known_answers_as_the_old_one() -> None:
    questions = asked()
    old, new = served(questions, 0.80, 0.4), served(questions, 0.95, 0.6, seed=1)
    found = fitting(questions, old, new, 0.7, NOW)
    assert found.found
    assert found.value is not None
    assert kept(questions, old, 0.7) == 1.0
    assert MOST - 0.02 <= kept(questions, new, found.value) <= 1.0
    assert 0.8 < found.value < 0.93
    assert found.method == "labels"
    assert "0.7 hands on 100%" in found.sentence


def test_a_service_that_drops_a_third_of_what_it_finds_goes_on_to_do_so() -> None:
    questions = asked(n=200)
    old, new = served(questions, 0.80, 0.4), served(questions, 0.95, 0.6, seed=1)
    current = float(np.quantile([scores[0] for scores in old.scores.values()], 1 / 3))
    found = fitting(questions, old, new, current, NOW)
    assert found.value is not None
    assert kept(questions, new, found.value) == pytest.approx(2 / 3, abs=0.02)


def test_what_the_old_model_drops_of_new_things_is_no_measure() -> None:
    canaries, held_out = asked(), asked("held-out")
    old = served(canaries, 0.8, 0.4)
    badly = served(held_out, 0.5, 0.4)
    old = replace(old, rankings={**old.rankings, **badly.rankings}, scores={**old.scores, **badly.scores})
    new = served([*canaries, *held_out], 0.9, 0.5, seed=2)
    found = fitting([*canaries, *held_out], old, new, 0.7, NOW)
    assert found.value is not None
    assert kept(held_out, old, 0.7) == 0
    assert kept([*canaries, *held_out], new, found.value) > 0.95


def test_without_a_known_cut_off_there_is_none_and_that_is_said() -> None:
    found = fitting(asked(), served(asked(), 0.8, 0.4), served(asked(), 0.9, 0.5), None, NOW)
    assert found.value is None
    assert found.found
    assert "say it there" in found.sentence


def test_a_cut_off_on_another_scale_is_refused() -> None:
    found = fitting(asked(), served(asked(), 0.8, 0.4), served(asked(), 0.9, 0.5), 12.5, NOW)
    assert not found.reason.passed
    assert "is that a cosine similarity" in found.reason.sentence


def test_too_few_questions_for_a_cut_off_are_a_no() -> None:
    few = asked(n=5)
    found = fitting(few, served(few, 0.8, 0.4), served(few, 0.9, 0.5), 0.7, NOW)
    assert not found.reason.passed
    assert "20 of each are needed" in found.reason.sentence


def test_behind_a_cut_off_is_what_scores_at_least_so_much() -> None:
    side = Served("model", {"q": ("a", "b", "c"), "unscored": ("a",)}, {"q": (0.9, 0.7, 0.6)})
    cut = behind(side, 0.7)
    assert cut.rankings == {"q": ("a", "b"), "unscored": ("a",)}
    assert cut.scores == {"q": (0.9, 0.7)}
    assert behind(side, None) is side
