"""Tests of what the benchmark of retraining keeps, and of when it says that it holds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.retrain import MEASURES, SETS, Kept, verdict

RNG = np.random.default_rng(0)
BASE = RNG.integers(0, 2, 300) * 0.8


def run_of(gain: float, forgets: float = 0.0) -> dict:
    """A run whose questions all gain so much, and whose old ones lose so much."""
    values = {"scifact": BASE + gain, "xquad": BASE - forgets}
    return {"judged": {name: dict.fromkeys(MEASURES, values[name].tolist()) for name in SETS}, "about": {}}


def runs_of(plain: float = 0.03, mined: float = 0.04, ours: float = 0.05, forgets: float = 0.0) -> dict:
    found = {("base", 0): run_of(0.0), ("plain", 0): run_of(plain), ("mined", 0): run_of(mined)}
    return found | {("ours", seed): run_of(ours, forgets) for seed in range(2)}


def said(runs: dict) -> str:
    return "; ".join(verdict(runs, [recipe for recipe, _ in runs]))


def test_the_best_of_three_with_a_sure_gain_that_forgets_nothing_holds():
    assert said(runs_of()) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mined": 0.05}, "mined is as good as ours"),
        ({"plain": 0.06}, "plain is as good as ours"),
        ({"plain": 0.0, "mined": 0.0, "ours": 0.001}, "may be chance"),
        ({"forgets": 0.021}, "forgetting set loses more"),
    ],
)
def test_what_does_not_hold_is_named(changes, words):
    assert words in said(runs_of(**changes))


def test_a_recipe_that_was_not_run_is_no_win():
    runs = runs_of()
    del runs["mined", 0]
    assert "mined was not run" in said(runs)


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path):
    kept = Kept(tmp_path / "runs.jsonl", "a")
    kept.add("plain", 0, {"seconds": 1})
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"settings": "a", "rec')
    kept.add("ours", 0, {"seconds": 2})
    assert set(kept.all()) == {("plain", 0), ("ours", 0)}


def test_runs_under_other_settings_do_not_count(tmp_path):
    Kept(tmp_path / "runs.jsonl", "a").add("plain", 0, {"seconds": 1})
    assert Kept(tmp_path / "runs.jsonl", "b").all() == {}
