"""What stored vectors are, told from arrays alone."""

import numpy as np
import pytest

from driftwatch.probes.vectors import judge_vectors
from driftwatch.types import IndexFacts

N, D = 120, 64
DOT = IndexFacts(metric="dot")
COARSE = IndexFacts(metric="dot", settings={"compressed": "yes"})


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def chance():
    return np.random.default_rng(3)


@pytest.fixture
def fresh(chance):
    """Texts of twelve topics, as a model sees them."""
    topics = chance.normal(size=(12, D))
    return unit(topics[chance.integers(0, 12, N)] + 0.8 * chance.normal(size=(N, D)))


def noise(chance, size):
    return size * unit(chance.normal(size=(N, D)))


def rotated(rows):
    return rows @ np.linalg.qr(np.random.default_rng(0).normal(size=(D, D)))[0].astype(np.float32)


def kinds(seen):
    return {kind for kind in seen.kinds if kind}


def test_vectors_of_their_texts_are_as_they_should_be(fresh):
    seen = judge_vectors(fresh.astype(np.float16).astype(np.float32), fresh, {}, fresh, DOT)
    assert not seen.bad.any()
    assert seen.kind == ""
    assert seen.displacement < 0.001


@pytest.mark.parametrize("hit", [1, 12, 60, 108, N])
def test_vectors_of_another_model_are_told_from_the_others(fresh, hit):
    stored = fresh.copy()
    stored[:hit] = rotated(fresh)[:hit]
    seen = judge_vectors(stored, fresh, {}, fresh, DOT)
    assert seen.bad[:hit].all()
    assert not seen.bad[hit:].any()
    assert seen.kind == "other model"


@pytest.mark.parametrize("hit", [1, 30])
def test_a_text_that_changed_is_no_other_model(fresh, hit):
    stored = fresh.copy()
    stored[:hit] = fresh[60 : 60 + hit]
    seen = judge_vectors(stored, fresh, {}, fresh, DOT)
    assert seen.bad.sum() == hit
    assert seen.kind == "other text"


def test_a_compressed_index_is_no_defect_and_hides_none(fresh, chance):
    stored = unit(fresh + noise(chance, 0.4))
    assert not judge_vectors(stored, fresh, {}, fresh, COARSE).bad.any()
    assert judge_vectors(stored, fresh, {}, fresh, COARSE).kind == "compressed"
    stored[5] = unit(rotated(fresh) + noise(chance, 0.4))[5]
    assert np.flatnonzero(judge_vectors(stored, fresh, {}, fresh, COARSE).bad).tolist() == [5]


def test_a_little_movement_of_all_is_one_movement(fresh, chance):
    seen = judge_vectors(unit(fresh + noise(chance, 0.01)), fresh, {}, fresh, DOT)
    assert seen.kind == "moved"
    assert not seen.bad.any()
    assert seen.displacement == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_a_lost_prompt_is_named(fresh, chance, share):
    bare = unit(fresh + noise(chance, 0.5))
    hit = np.arange(N) < share * N
    stored = np.where(hit[:, None], bare, fresh)
    seen = judge_vectors(stored, fresh, {"no document prompt": bare}, fresh, DOT)
    assert np.array_equal(seen.bad, hit)
    assert kinds(seen) == {"no document prompt"}


def test_a_lost_prompt_is_seen_through_compression(fresh, chance):
    bare = unit(fresh + noise(chance, 0.5))
    seen = judge_vectors(unit(bare + noise(chance, 0.4)), fresh, {"no document prompt": bare}, fresh, COARSE)
    assert seen.kind == "no document prompt"
    assert seen.bad.mean() > 0.9
    well = judge_vectors(unit(fresh + noise(chance, 0.4)), fresh, {"no document prompt": bare}, fresh, COARSE)
    assert not well.bad.any()


def test_zeros_behind_the_first_numbers_are_a_truncation(fresh):
    stored = fresh.copy()
    stored[:, D // 2 :] = 0
    assert judge_vectors(stored, fresh, {}, fresh, DOT).kind == "truncated"
    assert judge_vectors(stored, fresh, {}, fresh, DOT).bad.all()


def test_a_smaller_dimension_that_matches_is_a_truncation_and_another_one_is_another_model(fresh):
    assert judge_vectors(fresh[:, :48], fresh, {}, fresh, DOT).kind == "truncated"
    assert judge_vectors(rotated(fresh)[:, :48], fresh, {}, fresh, DOT).kind == "other model"


def test_lengths_count_where_the_metric_minds_and_the_others_have_length_one(fresh):
    stored = fresh.copy()
    stored[:7] *= 5
    assert judge_vectors(stored, fresh, {}, fresh, DOT).bad.sum() == 7
    assert kinds(judge_vectors(stored, fresh, {}, fresh, DOT)) == {"not normalised"}
    assert not judge_vectors(stored, fresh, {}, fresh, IndexFacts(metric="cosine")).bad.any()
    assert not judge_vectors(5 * fresh, fresh, {}, fresh, DOT).bad.any()
    assert judge_vectors(5 * fresh, fresh, {}, fresh, DOT, normalised=True).bad.all()


def test_what_is_no_vector_is_said(fresh):
    stored = fresh.copy()
    stored[0], stored[1] = 0, np.nan
    seen = judge_vectors(stored, fresh, {}, fresh, DOT)
    assert seen.kinds[:2] == ("no vector", "no vector")
    assert seen.bad.sum() == 2


def test_nothing_at_all_is_nothing_bad():
    none = np.empty((0, D), np.float32)
    assert judge_vectors(none, none, {}, none, DOT).kind == ""
