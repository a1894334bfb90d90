"""Which live queries have a canary nearby, and which new canaries would help most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.coverage import Points, _parts, coverage, propose, radii, radius_of
from driftwatch.errors import DriftwatchError

pytestmark = pytest.mark.process

WIDTH, TOPICS = 64, 40


class Traffic:
    """Questions about ``TOPICS`` topics, alike within a topic and unrelated between two."""

    def __init__(self, seed: int = 0, spread: float = 0.7, common: float = 0.0) -> None:
        self.random = np.random.default_rng(seed)
        self.topics = self.random.normal(size=(TOPICS, WIDTH)) / np.sqrt(WIDTH)
        self.spread = spread
        self.common = common * np.ones(WIDTH) / np.sqrt(WIDTH)

    def about(self, topics: np.ndarray, lang: str = "en", weight: float = 1.0) -> Points:
        noise = self.random.normal(size=(len(topics), WIDTH)) * self.spread / np.sqrt(WIDTH)
        rows = self.topics[topics] + noise
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) + self.common
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return Points(rows, np.full(len(topics), lang), np.full(len(topics), weight))


def together(*parts: Points) -> Points:
    return Points(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("vectors", "lang", "weight")))


def some(n: int, topics: int = TOPICS) -> np.ndarray:
    return np.arange(n) % topics


@pytest.mark.parametrize("common", [0.0, 1.0, 3.0])
def test_a_canary_is_near_the_questions_of_its_topic_whatever_the_model_calls_similar(common: float) -> None:
    """``common``: how much all vectors share, as those of many models do, whose similarities all lie near 1."""
    traffic = Traffic(common=common, spread=0.5)
    live, canaries = traffic.about(some(800)), traffic.about(np.repeat(np.arange(20), 3))
    found = coverage(live, canaries)
    own = some(800) < 20
    assert found.nearby[own].mean() > 0.8
    assert found.nearby[~own].mean() < 0.05
    assert found.covered == pytest.approx(0.5, abs=0.1)


def test_the_radius_hardly_depends_on_how_many_queries_there_are() -> None:
    few, many = (radii(Traffic().about(some(n)))["en"] for n in (120, 4000))
    assert few == pytest.approx(many, abs=0.08)


def test_a_topic_that_is_a_quarter_of_the_traffic_does_not_move_the_radius() -> None:
    traffic = Traffic()
    usual = traffic.about(some(900))
    assert radii(together(usual, traffic.about(np.full(300, 7))))["en"] == pytest.approx(radii(usual)["en"], abs=0.05)


def test_the_same_question_asked_again_and_again_does_not_move_the_radius() -> None:
    live = Traffic().about(some(600))
    bot = Points(np.repeat(live.vectors[:1], 600, axis=0), np.full(600, "en"), np.ones(600))
    assert radii(together(live, bot))["en"] == pytest.approx(radii(live)["en"], abs=0.02)


def test_a_canary_of_another_language_is_not_nearby_and_one_without_a_language_is() -> None:
    traffic = Traffic()
    live = traffic.about(some(400), "de")
    german, english, unknown = (Points(live.vectors, np.full(400, lang), np.ones(400)) for lang in ("de", "en", "und"))
    assert coverage(live, german).covered == 1.0
    assert coverage(live, english).covered == 0.0
    assert coverage(live, unknown).covered == 1.0


def test_shares_are_weighted_by_what_a_query_stands_for() -> None:
    traffic = Traffic()
    rare, common = traffic.about(some(300, 20), weight=1.0), traffic.about(20 + some(300, 20), weight=9.0)
    found = coverage(together(rare, common), traffic.about(np.repeat(20 + np.arange(20), 3)))
    assert found.covered == pytest.approx(0.9, abs=0.05)
    assert sum(cluster.share for cluster in found.languages[0].clusters) == pytest.approx(1.0)


def test_languages_come_with_their_share_their_canaries_and_a_radius_of_their_own() -> None:
    traffic = Traffic()
    live = together(traffic.about(some(600)), traffic.about(some(200), "de"), traffic.about(some(10), "fr"))
    found = coverage(live, traffic.about(some(40)))
    assert [(each.lang, each.n, each.canaries) for each in found.languages] == [
        ("en", 600, 40),
        ("de", 200, 0),
        ("fr", 10, 0),
    ]
    assert found.languages[0].share == pytest.approx(600 / 810)
    assert found.languages[1].covered == 0.0
    assert 0 < found.radius["fr"] < 1  # too few for one of its own: that of all languages together


def test_the_clusters_that_lack_canaries_most_come_first_with_their_terms_and_an_example() -> None:
    traffic = Traffic(spread=0.3)
    topics = np.concatenate([np.repeat([0, 1], 150), 2 + some(300, 38)])
    live = traffic.about(topics)
    words = [
        f"where is my {'parcel' if topic == 0 else 'refund' if topic == 1 else 'thing'} {topic}" for topic in topics
    ]
    found = coverage(live, traffic.about(np.repeat(np.arange(1, 40), 3)), lambda rows: [words[row] for row in rows])
    first = found.languages[0].clusters[0]
    assert "parcel" in first.terms
    assert first.covered < 0.05
    assert topics[first.example] == 0
    assert not found.nearby[first.example]


def test_without_texts_clusters_have_no_terms() -> None:
    traffic = Traffic()
    found = coverage(traffic.about(some(300)), traffic.about(some(10)))
    assert {cluster.terms for cluster in found.languages[0].clusters} == {()}


def test_without_canaries_nothing_is_covered() -> None:
    live = Traffic().about(some(300))
    assert coverage(live, live.take(np.empty(0, np.intp))).covered == 0.0


def test_a_language_in_which_everybody_asks_the_same_shares_the_radius_of_all() -> None:
    traffic = Traffic()
    one = traffic.about(some(1), "fr")
    live = together(traffic.about(some(300)), one.take(np.zeros(50, np.intp)))
    found = coverage(live, traffic.about(some(3)))
    assert 0 < found.radius["fr"] < 1
    assert found.covered == pytest.approx(0.06, abs=0.06)
    assert len(propose(live, np.zeros(350, bool), found, traffic.about(some(3)), 5)) == 5


def test_one_query_asked_again_and_again_is_too_little_to_learn_from() -> None:
    one = Traffic().about(some(1))
    with pytest.raises(DriftwatchError, match=r"400 queries .* are too few .*; 30 different ones"):
        radii(one.take(np.zeros(400, np.intp)))


def test_of_more_candidates_than_are_looked_at_a_pick_stands_for_those_that_were_not() -> None:
    traffic = Traffic(spread=0.3)
    live, canaries = traffic.about(some(9000)), traffic.about(np.repeat(np.arange(20), 3))
    found = coverage(live, canaries)
    picks = propose(live, np.zeros(9000, bool), found, canaries, 40)
    assert sum(pick.stands_for for pick in picks) == pytest.approx(1 - found.covered, abs=0.05)


def test_too_few_queries_are_said_and_not_guessed_from() -> None:
    with pytest.raises(DriftwatchError, match="12 queries with an embedding are too few"):
        radii(Traffic().about(some(12)))


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=200))
def test_a_radius_is_never_above_what_equal_texts_measure(pairs: list[float]) -> None:
    assert radius_of(np.array(pairs)) <= 0.98


# --- what to propose -----------------------------------------------------------------------------------------------


def proposed(
    live: Points, canaries: Points, number: int, troubled: np.ndarray | None = None, seed: int = 0
) -> list[int]:
    none = np.zeros(len(live), bool)
    picks = propose(live, none if troubled is None else troubled, coverage(live, canaries), canaries, number, seed)
    return [pick.row for pick in picks]


def test_proposals_are_about_topics_without_a_canary_each_of_them_once() -> None:
    traffic = Traffic(spread=0.4)
    topics = some(800)
    rows = proposed(traffic.about(topics), traffic.about(np.repeat(np.arange(20), 3)), 20)
    assert sorted(topics[rows]) == list(range(20, 40))


def test_the_largest_topics_are_proposed_first() -> None:
    traffic = Traffic(spread=0.4)
    topics = np.concatenate([np.repeat([7, 9], [200, 100]), some(400)])
    live = traffic.about(topics)
    picks = propose(
        live, np.zeros(700, bool), coverage(live, live.take(np.empty(0, np.intp))), live.take(np.empty(0, np.intp)), 5
    )
    assert topics[[pick.row for pick in picks[:2]]].tolist() == [7, 9]
    assert picks[0].stands_for == pytest.approx(210 / 700, abs=0.03)
    assert sum(pick.stands_for for pick in picks) <= 1


def test_no_two_proposals_are_nearly_the_same() -> None:
    live = Traffic().about(some(500, 3))
    nobody = live.take(np.empty(0, np.intp))
    rows = proposed(live, nobody, 60)
    alike = live.vectors[rows] @ live.vectors[rows].T - 2 * np.eye(len(rows))
    assert alike.max() < (1 + coverage(live, nobody).radius["en"]) / 2


def test_what_went_wrong_is_proposed_though_a_canary_is_near_but_not_when_it_is_nearly_the_same() -> None:
    traffic = Traffic()
    live = traffic.about(some(400))
    canaries = together(traffic.about(np.repeat(np.arange(40), 4)), live.take(np.array([5])))
    found = coverage(live, canaries)
    near = np.flatnonzero(found.nearby & (found.similarity < (1 + found.radius["en"]) / 2))[:3]
    troubled = np.isin(np.arange(400), [*near, 5])
    rows = proposed(live, canaries, 300, troubled)
    assert set(near[:1]) <= set(rows)
    assert 5 not in rows
    assert not set(rows) & set(np.flatnonzero(found.nearby & ~troubled))


def test_each_language_has_its_part_by_its_traffic_without_a_canary() -> None:
    traffic = Traffic(spread=0.4)
    live = together(traffic.about(some(600)), traffic.about(some(300), "de"), traffic.about(some(100), "fr"))
    rows = proposed(live, traffic.about(np.repeat(np.arange(40), 3), "fr"), 12)
    assert (live.lang[rows] == "en").sum() == 8
    assert (live.lang[rows] == "de").sum() == 4


def test_the_same_seed_proposes_the_same() -> None:
    live = Traffic().about(some(4000))
    nobody = live.take(np.empty(0, np.intp))
    assert proposed(live, nobody, 20, seed=3) == proposed(live, nobody, 20, seed=3)


@given(st.dictionaries(st.text(max_size=2), st.floats(0.01, 1e6), min_size=1, max_size=8), st.integers(1, 40))
def test_parts_add_up(weight: dict[str, float], number: int) -> None:
    parts = _parts(weight, number)
    assert sum(parts.values()) == number
    assert min(parts.values()) >= (1 if len(weight) <= number else 0)
