"""Tests of how many pairs decide how a model is trained."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from pydantic import ValidationError

from driftwatch.errors import RetrainError
from driftwatch.retrain.settings import Train
from driftwatch.retrain.strategy import GENTLE, STEEP, Strategy, rate_for, refuse_unlabelled, strategy_of


@pytest.mark.parametrize(
    ("pairs", "name"),
    [
        (0, "none"),
        (49, "none"),
        (50, "few-shot"),
        (499, "few-shot"),
        (500, "contrastive"),
        (10_000, "contrastive"),
        (10_001, "curriculum"),
    ],
)
def test_the_number_of_pairs_decides(pairs, name):
    assert strategy_of(pairs, Train()).name == name


def test_too_few_pairs_are_refused_with_the_reason():
    strategy = strategy_of(31, Train())
    assert not strategy.allowed
    assert "31" in strategy.sentence
    assert "50" in strategy.sentence


def test_few_pairs_train_gently_and_stop_early():
    few, enough = strategy_of(100, Train()), strategy_of(800, Train())
    assert few.learning_rate < enough.learning_rate
    assert 0 < few.patience < few.epochs


def test_a_curriculum_goes_from_easy_to_hard():
    assert strategy_of(20_000, Train()).curriculum == (("random",), ("bm25",), ("dense",))


def test_a_short_run_takes_larger_steps_and_never_leaves_the_bounds():
    rates = [rate_for(steps) for steps in (1, 50, 200, 500, 100_000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == STEEP
    assert rates[-1] == GENTLE


def test_what_the_settings_say_is_kept():
    strategy = strategy_of(800, Train(epochs=7, learning_rate=1e-5))
    assert (strategy.epochs, strategy.learning_rate) == (7, 1e-5)


def test_the_sentence_names_what_will_be_done():
    sentence = strategy_of(800, Train(epochs=3)).sentence
    for words in ("800 pairs", "hard negatives", "3 epochs", "stops early"):
        assert words in sentence


def test_a_strategy_survives_job_json():
    strategy = strategy_of(20_000, Train())
    assert Strategy.read(asdict(strategy)) == strategy


def test_what_is_no_strategy_is_said():
    with pytest.raises(RetrainError, match=r"job\.json"):
        Strategy.read({"name": "few-shot"})


@pytest.mark.parametrize("stages", [[["../../elsewhere"]], [["dense"], ["DENSE"]], [[["dense"]]], 3])
def test_a_stage_of_unknown_bands_is_refused_and_names_no_folder(stages):
    with pytest.raises(RetrainError, match=r"job\.json: 'strategy' is none"):
        Strategy.read(asdict(strategy_of(20_000, Train())) | {"curriculum": stages})


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"epochs": -3}, {"learning_rate": 0.0}, {"learning_rate": -1e-5}])
def test_settings_that_train_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        Train(**wrong)


def test_texts_without_pairs_are_refused_with_the_reason():
    error = refuse_unlabelled()
    assert "no pairs" in str(error)
    assert "do not say which of them answers a question" in str(error)
    assert "generate" in error.remedy
