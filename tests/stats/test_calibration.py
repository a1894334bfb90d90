import numpy as np
import pytest

from driftwatch.stats.calibration import FOLDS, Calibration


def world(n, slopes, *, seed=0, level=0.0):
    """(x, quality, fold): one group whose logit of the quality is linear in the first two of three predictors."""
    random = np.random.default_rng(seed)
    x = random.normal(0, 1, (n, 3))
    chance = 1 / (1 + np.exp(-(level + x[:, :2] @ np.asarray(slopes, dtype=float))))
    return x, (random.random(n) < chance).astype(float), np.arange(n) % FOLDS


def fit(*groups):
    x, quality, fold = (np.concatenate(columns) for columns in zip(*groups, strict=True))
    names = np.repeat([f"g{number}" for number in range(len(groups))], [len(each[1]) for each in groups])
    return Calibration.fit(x, quality, names, fold), x, quality, names, fold


def test_what_predicts_gets_the_weight():
    found, *_ = fit(world(3000, [1.0, -0.5]))
    assert found.weights == pytest.approx([1.0, -0.5, 0.0], abs=0.12)


def test_a_canary_is_judged_by_the_fit_that_has_not_seen_it():
    x, quality, fold = world(50, [1, 0])
    names = np.full(50, "en")
    one = Calibration.fit(x, quality, names, fold)
    quality[fold == 2] = 1 - quality[fold == 2]
    other = Calibration.fit(x, quality, names, fold)
    same = one.held_out(x, names, fold) == pytest.approx(other.held_out(x, names, fold))
    mine = fold == 2
    assert one.held_out(x, names, fold)[mine] == pytest.approx(other.held_out(x, names, fold)[mine])
    assert not same


def test_groups_that_differ_are_told_apart_when_there_is_much_of_them():
    found, *_ = fit(world(800, [1.5, 0]), world(800, [-1.5, 0], seed=1))
    x = np.array([[2.0, 0, 0]])
    assert found.predict(x, np.array(["g0"]))[0] > 0.85
    assert found.predict(x, np.array(["g1"]))[0] < 0.15


def test_a_group_with_few_labels_is_judged_like_the_others():
    x, quality, fold = world(6, [-1.5, 0], seed=1)
    found, *_ = fit(world(800, [1.5, 0]), (x, quality, fold))
    x = np.array([[1.0, 0, 0]])
    everybody = found.predict(x, np.array(["nobody"]))[0]
    assert found.predict(x, np.array(["g1"]))[0] == pytest.approx(everybody, abs=0.2)


def test_a_group_without_labels_has_the_common_fit():
    found, *_ = fit(world(300, [1, 0]), world(300, [1, 0], seed=1))
    x = np.random.default_rng(0).normal(0, 1, (5, 3))
    unknown = found.predict(x, np.full(5, "xx"))
    assert unknown == pytest.approx(found.predict(x, np.full(5, "g0")), abs=0.1)


def test_predictions_are_right_in_the_mean():
    found, x, quality, names, fold = fit(world(400, [1, 1]), world(400, [0.5, 0], seed=1, level=-2))
    said = found.held_out(x, names, fold)
    for group in ("g0", "g1"):
        assert said[names == group].mean() == pytest.approx(quality[names == group].mean(), abs=0.02)


def test_a_predictor_that_never_varied_says_nothing_even_when_it_does_later():
    x, quality, fold = world(200, [1, 0])
    x[:, 2] = 7.0
    names = np.full(200, "en")
    found = Calibration.fit(x, quality, names, fold)
    later = x.copy()
    later[:, 2] = -1e6
    assert found.predict(later, names) == pytest.approx(found.predict(x, names))


def test_nothing_is_extrapolated_far_beyond_what_was_seen():
    found, *_ = fit(world(200, [1, 0]))
    far, farther = found.predict(np.array([[40.0, 0, 0], [4e30, 0, 0]]), np.full(2, "g0"))
    assert far == farther < 1


@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_canaries_that_are_all_alike_are_no_trouble(quality):
    x, _, fold = world(30, [1, 0])
    found = Calibration.fit(x, np.full(30, quality), np.full(30, "en"), fold)
    assert found.predict(x, np.full(30, "en")) == pytest.approx(quality, abs=0.12)
    assert np.isfinite(found.weights).all()


def test_a_single_canary_is_no_trouble():
    found = Calibration.fit(np.ones((1, 3)), np.ones(1), np.array(["en"]), np.array([0]))
    assert np.isfinite(found.predict(np.zeros((1, 3)), np.array(["en"]))).all()
