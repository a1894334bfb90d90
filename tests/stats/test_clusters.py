import numpy as np
import pytest

from driftwatch.stats.clusters import nearest, spherical_kmeans
from tests.fakes.contents import directions, normalised


def groups(n: int, k: int, spread: float = 0.2, seed: int = 0, width: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """``n`` rows around ``k`` directions that are far from each other, and which row is around which."""
    random = np.random.default_rng(seed)
    centres = np.eye(k, width)
    belongs = random.integers(0, k, n)
    return normalised(centres[belongs] + spread * directions(random, n, width)), belongs


def test_groups_that_lie_apart_are_found_as_they_are():
    rows, belongs = groups(600, 6)
    found = nearest(rows, spherical_kmeans(rows, 6, seed=1))[0]
    assert len({(a, b) for a, b in zip(belongs.tolist(), found.tolist(), strict=True)}) == 6


def test_centres_have_length_one_and_are_the_same_for_the_same_seed():
    rows, _ = groups(400, 5, spread=1.0)
    centres = spherical_kmeans(rows, 12, seed=3)
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(centres, spherical_kmeans(rows, 12, seed=3))
    assert not np.array_equal(centres, spherical_kmeans(rows, 12, seed=4))


def test_there_are_never_more_centres_than_different_rows():
    rows = np.repeat(np.eye(3, 8), 50, axis=0)
    assert len(spherical_kmeans(rows, 10, seed=1)) == 3
    assert len(spherical_kmeans(rows[:1], 10, seed=1)) == 1
    assert spherical_kmeans(rows[:0], 10, seed=1).shape == (0, 8)


def test_more_rounds_bring_the_rows_nearer_to_their_centres():
    rows, _ = groups(2_000, 10, spread=1.5)
    near = [float(nearest(rows, spherical_kmeans(rows, 10, seed=2, rounds=rounds))[1].mean()) for rounds in (0, 2, 12)]
    assert near[0] < near[1] < near[2] + 1e-6


def test_nearest_is_what_brute_force_finds_in_blocks_of_any_size():
    random = np.random.default_rng(5)
    rows, centres = directions(random, 9_000, 8).astype(np.float32), directions(random, 7, 8).astype(np.float32)
    belongs, similarity = nearest(rows.astype(np.float16), centres)
    cosines = rows.astype(np.float16).astype(np.float32) @ centres.T
    assert np.array_equal(belongs, cosines.argmax(axis=1))
    assert np.allclose(similarity, cosines.max(axis=1))


def test_it_is_as_good_as_the_k_means_of_faiss():
    faiss = pytest.importorskip("faiss", reason="faiss is not installed (extra 'embed')")
    rows = groups(4_000, 30, spread=1.2, width=32)[0].astype(np.float32)
    theirs = faiss.Kmeans(32, 40, niter=12, seed=1, spherical=True, max_points_per_centroid=1_000)
    theirs.train(rows)
    ours = nearest(rows, spherical_kmeans(rows, 40, seed=1))[1].mean()
    assert ours >= nearest(rows, np.asarray(theirs.centroids))[1].mean() - 0.005
