from __future__ import annotations

import numpy as np
import pytest

from driftwatch.stats.abstaining import FEWEST, Answers, abstention


def answers(seed: int, n: int = 4000, *, cut: float | None = 0.5, langs: tuple[str, ...] = ("en",)) -> Answers:
    """A service that abstains the more the lower the best score, and nearly always when nothing was kept."""
    random = np.random.default_rng(seed)
    score = random.normal(0.6, 0.1, n)
    says = random.random(n) < 1 / (1 + np.exp(20 * (score - 0.5)))
    if cut is not None:
        says = np.where(score < cut, random.random(n) < 0.95, says)
    return Answers(score, says.astype(float), np.arange(n), np.ones(n), np.array(langs)[np.arange(n) % len(langs)])


def test_the_same_cut_off_predicts_what_is_seen():
    seen = answers(1)
    found = abstention(seen, 0.5, 0.5)[""]
    assert found.share.value == pytest.approx(seen.abstained.mean(), abs=1e-9)
    assert not found.assumed
    assert found.modelled == 0


def test_a_higher_cut_off_is_predicted_without_a_model():
    found = abstention(answers(2), 0.6, 0.5)[""]
    later = answers(3, 50_000, cut=0.6).abstained.mean()
    assert found.modelled == 0
    assert found.share.low <= later <= found.share.high


def test_a_lower_cut_off_is_read_off_the_relation_to_the_score():
    found = abstention(answers(4), 0.4, 0.5)[""]
    later = answers(5, 50_000, cut=0.4).abstained.mean()
    assert found.modelled == pytest.approx(0.13, abs=0.03)
    assert found.share.value == pytest.approx(later, abs=0.03)
    assert found.share.value < abstention(answers(4), 0.5, 0.5)[""].share.value


def test_without_any_empty_answer_it_is_taken_to_abstain_then():
    seen = answers(6, cut=None)
    found = abstention(seen, 0.55, None)[""]
    assert found.assumed
    assert found.when_empty == 1
    below = seen.score < 0.55
    assert found.share.value == pytest.approx(np.where(below, 1, seen.abstained).mean())


def test_a_query_without_any_hit_is_one_without_anything_kept():
    seen = answers(7, cut=None)
    score, says = seen.score.copy(), seen.abstained.copy()
    score[: 2 * FEWEST], says[: 2 * FEWEST] = -np.inf, np.tile([0.0, 1.0], FEWEST)
    found = abstention(Answers(score, says, seen.unit, seen.weight, seen.lang), 0.3, None)[""]
    assert found.when_empty == 0.5
    assert not found.assumed


def test_each_language_has_its_rate():
    found = abstention(answers(8, langs=("de", "en")), 0.55, 0.5)
    assert set(found) == {"", "de", "en"}
    assert found["de"].share.units == 2000
    middle = (found["de"].share.value + found["en"].share.value) / 2
    assert found[""].share.value == pytest.approx(middle)


def test_where_hardly_anything_was_kept_the_mean_stands_for_it():
    seen = answers(9, 200, cut=0.9)
    found = abstention(seen, 0.3, 0.9)[""]
    assert 0 <= found.share.value <= 1
    assert found.modelled > 0.9
