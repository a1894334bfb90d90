import numpy as np
import pytest

from driftwatch.probes.sketch import Sketch, mixed


def of(keys):
    sketch = Sketch.empty()
    sketch.add(np.array(sorted(keys), np.uint64))
    return sketch


@pytest.fixture
def keys():
    return {int(key) for key in np.random.default_rng(0).integers(0, 2**63, 5000)}


@pytest.mark.parametrize("many", [0, 1, 40, 900])
def test_what_came_and_what_left_is_read_from_two_sketches(keys, many):
    gone = set(sorted(keys)[: many // 3])
    new = {2**63 + 7 * n for n in range(many - len(gone))}
    came, left = of(keys - gone | new).came_and_left(of(keys))
    assert set(came.tolist()) == new
    assert set(left.tolist()) == gone


def test_more_than_it_can_tell_is_said_and_not_guessed(keys):
    assert of(keys).came_and_left(of(set())) is None


def test_it_is_kept_as_text_of_one_size(keys):
    kept = of(keys).dump()
    assert len(kept) == len(of({1}).dump()) < 34_000
    came, left = Sketch.read(kept).came_and_left(of(keys))
    assert len(came) == len(left) == 0
    assert Sketch.read("?") is None
    assert Sketch.read(kept[:100]) is None
    assert Sketch.read(None) is None


def test_each_salt_is_another_order_of_the_same_keys(keys):
    rows = np.array(sorted(keys), np.uint64)
    orders = [np.argsort(mixed(rows, salt)).tolist() for salt in (0, 1)]
    assert orders[0] != orders[1]
    assert len(np.unique(mixed(rows, 3))) == len(rows)
