from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from driftwatch.probes.strings import KEPT_NUMBERS, TEXTS, look_at_strings

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
DAY = timedelta(days=1)


class Wide:
    """Vectors of any dimension, moved by any length; remembers whether it was to embed anew."""

    def __init__(self, dimension=768, moved=0.0, fingerprint="one"):
        self.dimension, self.moved, self.fingerprint = dimension, moved, fingerprint
        self.anew = 0

    def encode_anew(self, role, texts):
        self.anew += len(texts)
        chance = np.random.default_rng(1 + (role == "query"))
        rows = chance.normal(size=(len(texts), self.dimension))
        away = np.random.default_rng(5).normal(size=rows.shape)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        rows += self.moved * away / np.linalg.norm(away, axis=1, keepdims=True)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dimension", [32, 384, 3072])
def test_the_same_embedder_does_not_move_and_little_is_kept(dimension):
    _, kept = look_at_strings(Wide(dimension), {}, MONDAY)
    look, again = look_at_strings(Wide(dimension), kept, MONDAY + DAY)
    assert (look.n, look.bad) == (2 * len(TEXTS), 0)
    assert again == kept
    assert len(kept["vectors"]) <= 2 * len(TEXTS) * KEPT_NUMBERS * 2 * 4 / 3 + 4


@pytest.mark.parametrize("moved", [0.01, 0.2])
def test_how_far_it_moved_is_told_from_projections(moved):
    _, kept = look_at_strings(Wide(), {}, MONDAY)
    look, _ = look_at_strings(Wide(moved=moved), kept, MONDAY + DAY)
    assert look.bad == look.n
    assert look.values["displacement p50"] == pytest.approx(moved, rel=0.1)
    assert "while its name and version stayed the same" in look.why


def test_they_are_embedded_anew_and_not_read_from_a_cache():
    embedder = Wide()
    look_at_strings(embedder, {}, MONDAY)
    assert embedder.anew == 2 * len(TEXTS)


def test_an_embedder_that_says_that_it_changed_is_the_new_normal_after_a_day():
    _, kept = look_at_strings(Wide(), {}, MONDAY)
    new = Wide(moved=0.3, fingerprint="two")
    for hours, bad in ((0, True), (23, True), (24, True), (25, False)):
        look, kept = look_at_strings(new, kept, MONDAY + timedelta(hours=hours))
        assert bool(look.bad) is bad


def test_one_that_says_nothing_stays_wrong_for_a_week():
    _, kept = look_at_strings(Wide(), {}, MONDAY)
    for days, bad in ((0, True), (3, True), (7, True), (8, False)):
        look, kept = look_at_strings(Wide(moved=0.3), kept, MONDAY + days * DAY)
        assert bool(look.bad) is bad


def test_another_dimension_is_said():
    _, kept = look_at_strings(Wide(384), {}, MONDAY)
    look, _ = look_at_strings(Wide(768), kept, MONDAY + DAY)
    assert look.bad == look.n
    assert look.words["dimension"] == "384 -> 768"
