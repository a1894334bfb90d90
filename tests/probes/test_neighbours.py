import pytest

from driftwatch.probes.neighbours import Searched, finds_itself, judged_at, recall, recall_of
from driftwatch.types import ScoredDoc


def ranking(names, scores=None):
    scores = scores or [1 - 0.01 * place for place in range(len(names))]
    return tuple(map(ScoredDoc, names, scores))


def searched(approximate, exact=None, names=("a",), own=(True,), langs=("de",)):
    return Searched(names, langs, own, tuple(approximate), None if exact is None else tuple(exact))


@pytest.mark.parametrize(
    ("found", "share"), [("abcd", 1.0), ("badc", 1.0), ("abxy", 0.5), ("", 0.0), ("xyzw", 0.0), ("ab", 0.5)]
)
def test_recall_is_the_share_of_the_nearest(found, share):
    low = [0.1] * len(found)
    assert recall_of(ranking(found, low), ranking("abcd"), 4) == share


def test_what_is_as_near_as_the_last_counts_as_it():
    exact = ranking("abc", [0.9, 0.5, 0.5])
    assert recall_of(ranking("abx", [0.9, 0.5, 0.5]), exact, 3) == 1
    assert recall_of(ranking("axy", [0.9, 0.4, 0.4]), exact, 3) == pytest.approx(1 / 3)
    near = ranking("abc", [0.1, 0.2, 0.2])
    assert recall_of(ranking("abx", [0.1, 0.2, 0.2]), near, 3, "distance") == 1
    assert recall_of(ranking("abx", [0.1, 0.2, 0.3]), near, 3, "distance") == pytest.approx(2 / 3)


def test_a_vector_finds_itself_also_beside_its_copies():
    assert finds_itself(searched([ranking("ab")]), fair=True).bad == 0
    assert finds_itself(searched([ranking("ba", [0.9, 0.9])]), fair=True).bad == 0
    look = finds_itself(searched([ranking("ba", [0.9, 0.5])]), fair=True)
    assert (look.n, look.bad, look.ids, look.by) == (1, 1, ("a",), {"de": (1, 1)})
    assert finds_itself(searched([()]), fair=True).bad == 1


def test_where_a_longer_vector_may_come_first_only_the_exact_search_knows():
    lost = ranking("ba", [0.9, 0.5])
    assert finds_itself(searched([lost], [lost], langs=("",)), fair=False).unable == "no stored vector could be read"
    assert finds_itself(searched([lost], [ranking("ab")]), fair=False).bad == 1
    assert finds_itself(searched([lost]), fair=False).unable


def test_the_look_at_recall_has_every_depth():
    exact = ranking([str(n) for n in range(20)])
    half = (*exact[:3], *ranking([f"x{n}" for n in range(17)], [0.0] * 17))
    look = recall(searched([exact, half], [exact, exact], ("q", "r"), (False, False), ("de", "en")), (1, 10))
    assert look.values["recall@1"] == 1
    assert look.values["recall@10"] == pytest.approx(0.65)
    assert look.values["recall of canaries"] == pytest.approx(0.65)
    assert (look.n, look.bad, look.ids, look.by) == (2, 1, ("r",), {"de": (1, 0), "en": (1, 1)})


def test_without_exact_search_there_is_no_recall():
    assert recall(searched([ranking("ab")]), (10,)).unable
    assert recall(searched([], [], (), (), ()), (10,)).unable


def test_the_depth_that_is_judged_is_ten_or_the_nearest():
    assert [judged_at(depths) for depths in ((1, 10, 100), (1, 5), (50, 20))] == [10, 5, 20]
