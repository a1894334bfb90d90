"""Ways of searching, measured and paired."""

from __future__ import annotations

import pytest

from driftwatch.probes.cells import (
    BASELINE,
    FRESH_APPROXIMATE,
    FRESH_EXACT,
    OF_THE_POOL,
    SERVICE,
    STORED_APPROXIMATE,
    STORED_EXACT,
    Way,
    cell_of,
    certainly_worse,
    contrast_of,
    flips_of,
    oriented,
    verdict_of,
)
from driftwatch.stats.ir import Measure
from driftwatch.types import Contrast, Query, ScoredDoc

R2 = Measure.parse("R@2")
CANARIES = tuple(Query(f"q{number:02}", "?", ("de", "en")[number % 2], {"x": 1}) for number in range(40))


def way(name: str, *found: str, but: dict[str, str] | None = None) -> Way:
    """The ranking ``found`` for every canary, another for those of ``but``; letters are documents."""
    rankings = {query.query_id: "".join(found) for query in CANARIES} | (but or {})
    return Way(name, {key: tuple(ScoredDoc(letter) for letter in letters) for key, letters in rankings.items()})


def difference(old: str, new: str, low: float, high: float) -> Contrast:
    return Contrast(old, new, 40, (low + high) / 2, (low, high))


def test_a_cell_is_the_mean_of_the_measure_over_all_and_by_language() -> None:
    found = cell_of(way(SERVICE, "xab", but={"q00": "abx", "q01": "axb"}), CANARIES, R2)
    assert (found.n, found.value) == (40, 39 / 40)
    assert found.by == {"de": (20, 0.95), "en": (20, 1.0)}


def test_a_canary_that_was_not_answered_is_left_out_and_never_a_zero() -> None:
    answers = {name: hits for name, hits in way(SERVICE, "x").rankings.items() if name != "q00"}
    found = cell_of(Way(SERVICE, answers), CANARIES, R2)
    assert (found.n, found.value) == (39, 1.0)


def test_a_cell_without_any_answer_says_why() -> None:
    found = cell_of(Way(SERVICE, unable="the service is down"), CANARIES, R2)
    assert (found.value, found.unable) == (None, "the service is down")


def test_a_contrast_is_new_minus_old_paired_by_canary() -> None:
    lost = {f"q{number:02}": "abx" for number in range(0, 40, 2)}
    found = contrast_of(way("old", "xab"), way("new", "xab", but=lost), CANARIES, R2)
    assert found is not None
    assert (found.n, found.difference) == (40, -0.5)
    assert found.interval[0] < -0.5 < found.interval[1] < 0
    assert found.by["de"][:2] == (20, -1.0)
    assert found.by["en"][:2] == (20, 0.0)
    assert certainly_worse(found)
    assert [flip.query_id for flip in found.flips] == sorted(lost)


def test_ways_that_answered_no_canary_in_common_are_not_compared() -> None:
    assert contrast_of(way("old", "x"), Way("new"), CANARIES, R2) is None


def test_a_flip_says_what_stands_above_now_and_did_not_before() -> None:
    (flip,) = flips_of(way("old", "axb"), way("new", "axb", but={"q03": "canbx"}), CANARIES)
    assert (flip.query_id, flip.expected, flip.old_rank, flip.new_rank) == ("q03", "x", 2, 5)
    assert flip.displaced_by == ("c", "n", "b")


def test_what_is_lost_is_displaced_by_all_that_is_new_and_stands_before_what_only_fell() -> None:
    flips = flips_of(way("old", "xab"), way("new", "xab", but={"q01": "axb", "q02": "cab"}), CANARIES)
    assert [(flip.query_id, flip.old_rank, flip.new_rank) for flip in flips] == [("q02", 1, None), ("q01", 1, 2)]
    assert flips[0].displaced_by == ("c", "a", "b")


def test_distances_are_turned_about() -> None:
    assert oriented([ScoredDoc("a", 0.25), ScoredDoc("b")], "distance") == (ScoredDoc("a", -0.25), ScoredDoc("b"))


CELLS = [
    cell_of(way(name, "x"), CANARIES, R2)
    for name in (SERVICE, STORED_APPROXIMATE, STORED_EXACT, FRESH_EXACT, FRESH_APPROXIMATE)
]
FINE = (-0.02, 0.02)
LOSS = (-0.3, -0.1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (STORED_APPROXIMATE, SERVICE, "What stands between the index and its users loses 0.200"),
        (STORED_EXACT, STORED_APPROXIMATE, "Approximate search loses 0.200"),
        (FRESH_EXACT, STORED_EXACT, "The stored vectors lose 0.200"),
    ],
)
def test_the_verdict_names_the_step_that_loses(old: str, new: str, said: str) -> None:
    pairs = [(STORED_APPROXIMATE, SERVICE), (STORED_EXACT, STORED_APPROXIMATE), (FRESH_EXACT, STORED_EXACT)]
    contrasts = [difference(*pair, *(LOSS if pair == (old, new) else FINE)) for pair in pairs]
    verdict = verdict_of(R2, CELLS, contrasts)
    assert verdict.startswith(said)
    assert "[0.100, 0.300]" in verdict


def test_the_step_that_loses_most_is_named_first() -> None:
    contrasts = [difference(STORED_EXACT, STORED_APPROXIMATE, -0.2, -0.1), difference(FRESH_EXACT, STORED_EXACT, *LOSS)]
    verdict = verdict_of(R2, CELLS, contrasts)
    assert verdict.index("stored vectors") < verdict.index("approximate search")


@pytest.mark.parametrize(("loss", "said"), [(FINE, "would mend it"), (LOSS, "would lose as much")])
def test_where_the_graph_loses_it_is_said_whether_a_new_one_would(loss: tuple[float, float], said: str) -> None:
    contrasts = [
        difference(STORED_EXACT, STORED_APPROXIMATE, *LOSS),
        difference(FRESH_EXACT, FRESH_APPROXIMATE, *loss),
    ]
    assert said in verdict_of(R2, CELLS, contrasts)


def test_a_graph_of_fewer_documents_says_nothing_about_a_new_one() -> None:
    contrasts = [difference(STORED_EXACT, STORED_APPROXIMATE, *LOSS), difference(FRESH_EXACT, FRESH_APPROXIMATE, *FINE)]
    cells = [*CELLS, cell_of(way(OF_THE_POOL, "x"), CANARIES, R2)]
    assert "anew" not in verdict_of(R2, cells, contrasts)


def test_when_no_step_loses_all_are_equally_good_or_with_the_baseline_equally_bad() -> None:
    steps = [difference(STORED_APPROXIMATE, SERVICE, *FINE)]
    assert verdict_of(R2, CELLS, steps) == "All ways of searching are equally good: R@2 1.000."
    worse = verdict_of(R2, CELLS, [*steps, difference(BASELINE, SERVICE, *LOSS)])
    assert "equally bad" in worse
    assert "0.200 of R@2" in worse


def test_what_was_not_looked_at_is_said() -> None:
    silent = cell_of(Way(SERVICE, unable="timed out"), CANARIES, R2)
    assert verdict_of(R2, [silent, *CELLS[1:]], []).endswith("Not looked at: service.")
    assert verdict_of(R2, [silent], []) == "Nothing could be compared."
