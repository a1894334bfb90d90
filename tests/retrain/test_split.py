"""What is held out shares no question and no document with what trains, and is like it otherwise."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.retrain._alike import alike, key
from driftwatch.retrain.settings import Leaks
from driftwatch.retrain.split import BETWEEN, SAYS_NOTHING, WRITTEN, Split, split
from driftwatch.retrained import Pair

START = datetime(2026, 1, 1, tzinfo=UTC)
TOPICS = ["router", "invoice", "password", "delivery", "warranty", "printer", "battery", "license", "backup", "payment"]


def question(number: int) -> str:
    return f"{TOPICS[number % 10]} {number * 7919 % 10007} {'abcdefghij'[number % 10] * 6} {number}"


def pairs_of(count: int, lang: str = "en", documents: int = 0, first: int = 0) -> list[Pair]:
    """Each document has about two questions."""
    documents = documents or count // 2
    return [Pair(question(first + n), f"{lang}-{n % documents}", lang) for n in range(count)]


def share(result: Split, lang: str = "") -> float:
    sides = [sum(pair.lang == lang or not lang for pair in side) for side in (result.train, result.held_out)]
    return sides[1] / sum(sides)


def straddles(result: Split, words: float = 0.8) -> bool:
    trained, kept = result.train, [pair for pair in result.held_out if pair.relevant]
    documents = {pair.doc_id for pair in trained if pair.relevant} & {pair.doc_id for pair in kept}
    questions = {key(pair.query) for pair in trained} & {key(pair.query) for pair in result.held_out}
    near = list(alike([pair.query for pair in trained], [pair.query for pair in kept], words))
    return bool(documents or questions or near)


def test_a_fifth_is_held_out_and_nothing_is_on_both_sides() -> None:
    pairs = pairs_of(400)
    result = split(pairs, Leaks(), seed=1)
    assert share(result) == pytest.approx(0.2, abs=0.01)
    assert not straddles(result)
    assert Counter(result.train) + Counter(result.held_out) == Counter(pairs)


@pytest.mark.parametrize("wanted", [0.05, 0.35, 0.5])
def test_the_share_is_the_settings(wanted: float) -> None:
    assert share(split(pairs_of(400), Leaks(held_out=wanted), seed=1)) == pytest.approx(wanted, abs=0.01)


def test_a_document_takes_all_its_questions_along_through_others() -> None:
    chain = [Pair(question(n // 2), f"chain-{(n + 1) // 2}") for n in range(40)]
    result = split(chain + pairs_of(400, first=100), Leaks(), seed=3)
    assert not straddles(result)
    assert len({pair in result.held_out for pair in chain}) == 1


def test_questions_that_are_spelt_alike_stay_together() -> None:
    alike_ones = [Pair(f"how do I change the paper of printer model {n}", f"printer-{n}") for n in range(30)]
    result = split(alike_ones + pairs_of(300), Leaks(), seed=2)
    assert len({pair in result.held_out for pair in alike_ones}) == 1
    assert not straddles(result)


def test_the_same_question_in_other_dress_stays_together() -> None:
    for seed in range(6):
        twins = [Pair("Where is my ORDER?", "a"), Pair("wh\u200bere is my order", "b")]
        result = split(twins + pairs_of(60), Leaks(), seed)
        assert len({pair in result.held_out for pair in twins}) == 1


def test_each_language_has_its_share() -> None:
    pairs = pairs_of(600, "en") + pairs_of(200, "de", first=600) + pairs_of(100, "fr", first=800)
    result = split(pairs, Leaks(), seed=4)
    for lang in ("en", "de", "fr"):
        assert share(result, lang) == pytest.approx(0.2, abs=0.03)


def test_small_languages_share_one_share() -> None:
    small = [pair for n in range(10) for pair in pairs_of(8, f"x{n}", first=1000 + 8 * n)]
    result = split(pairs_of(300) + small, Leaks(), seed=4)
    assert sum(pair.lang != "en" for pair in result.held_out) == pytest.approx(16, abs=1)


def test_of_the_newest_half_is_held_out_and_half_trains() -> None:
    pairs = [
        Pair(question(n), f"doc-{n // 2}", at=START + timedelta(hours=n // 2))
        for n in np.random.default_rng(1).permutation(1000).tolist()
    ]
    result = split(pairs, Leaks(), seed=5)
    newest = START + timedelta(hours=300)
    assert all(pair.at is not None and pair.at >= newest for pair in result.held_out)
    assert share(result) == pytest.approx(0.2, abs=0.01)
    trained = [pair for pair in result.train if pair.at is not None and pair.at >= newest]
    assert len(trained) == pytest.approx(200, abs=10)


def test_pairs_without_a_time_are_held_out_as_often() -> None:
    timed = [Pair(question(n), f"doc-{n // 2}", at=START + timedelta(hours=n)) for n in range(400)]
    result = split(timed + pairs_of(600, first=400), Leaks(), seed=6)
    held = Counter(pair.at is None for pair in result.held_out)
    assert held[True] > held[False] > 20
    assert share(result) == pytest.approx(0.2, abs=0.01)


def test_one_group_that_is_nearly_everything_is_cut_and_the_report_says_so() -> None:
    rng = np.random.default_rng(7)
    pairs = [
        Pair(question(n), f"doc-{place % 200}")
        for n in range(600)
        for place in (n // 3, n // 3 + int(rng.integers(1, 3)))
    ]
    result = split(pairs, Leaks(), seed=8)
    assert not straddles(result)
    assert share(result) == pytest.approx(0.2, abs=0.05)
    (removed,) = result.removed
    assert removed.guard == BETWEEN
    assert 0 < removed.count < 0.2 * len(pairs)
    assert len(result.train) + len(result.held_out) + removed.count == len(pairs)


def test_what_was_said_not_to_answer_goes_with_its_question_and_ties_nothing() -> None:
    pairs = pairs_of(300)
    downs = [Pair(pair.query, "hated", relevant=False, origin="down") for pair in pairs]
    result = split(pairs + downs, Leaks(), seed=9)
    assert not straddles(result)
    assert share(result) == pytest.approx(0.2, abs=0.01)


def test_a_question_that_only_has_wrong_answers_trains() -> None:
    lonely = Pair("what nobody answers at all", "hated", relevant=False)
    assert lonely in split([*pairs_of(100), lonely], Leaks(), seed=1).train


def test_a_question_without_words_is_left_out() -> None:
    result = split([*pairs_of(100), Pair("?!", "doc-1"), Pair("", "doc-2")], Leaks(), seed=1)
    assert [(each.guard, each.count) for each in result.removed] == [(SAYS_NOTHING, 2)]
    assert len(result.train) + len(result.held_out) == 100


def test_the_order_of_the_pairs_does_not_matter_and_the_seed_does() -> None:
    pairs = pairs_of(200) + pairs_of(100, "de", first=300)
    result = split(pairs, Leaks(), seed=1)
    shuffled = [pairs[place] for place in np.random.default_rng(0).permutation(len(pairs))]
    assert set(split(shuffled, Leaks(), seed=1).held_out) == set(result.held_out)
    assert set(split(pairs, Leaks(), seed=2).held_out) != set(result.held_out)
    assert list(result.train) == [pair for pair in pairs if pair in set(result.train)]


def written(number: int, doc_id: str) -> Pair:
    return Pair(question(number), doc_id, "en", origin="generated")


def test_what_a_language_model_wrote_judges_nothing_and_trains_on_nothing_that_is_held_out() -> None:
    people = pairs_of(200)
    machine = [written(5000 + n, f"en-{n % 120}") for n in range(240)]  # of 20 documents that nobody asked about
    result = split(people + machine, Leaks(), seed=3)
    assert {pair.origin for pair in result.held_out} == {"file"}
    assert not straddles(result)
    assert [each.guard for each in result.removed] == [WRITTEN]
    held = {pair.doc_id for pair in result.held_out}
    assert result.removed[0].count == sum(pair.doc_id in held for pair in machine) > 0
    assert result.held_out == split(people, Leaks(), seed=3).held_out


def test_a_written_question_that_is_spelt_like_one_that_is_held_out_does_not_train() -> None:
    people = pairs_of(200)
    held = split(people, Leaks(), seed=3).held_out[0]
    sneaked = Pair(f"{held.query}?!", "another document", origin="generated")
    result = split([*people, sneaked], Leaks(), seed=3)
    assert sneaked not in (*result.train, *result.held_out)


def test_questions_of_a_language_model_alone_leave_nothing_to_judge_by() -> None:
    machine = [written(n, f"doc-{n // 3}") for n in range(90)]
    assert split(machine, Leaks(), seed=0) == Split(tuple(machine), (), ())


def test_nothing_parts_into_nothing() -> None:
    assert split([], Leaks(), seed=0) == Split((), (), ())


def test_one_document_is_not_cut() -> None:
    pairs = [Pair(question(n), "doc-1") for n in range(40)]
    assert split(pairs, Leaks(), seed=0) == Split(tuple(pairs), (), ())


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20), st.sampled_from(["en", "de"])), max_size=60),
    st.integers(0, 5),
)
def test_whatever_the_graph_nothing_straddles_and_nothing_is_lost(drawn: list[tuple[int, int, str]], seed: int) -> None:
    pairs = [Pair(question(asked), f"doc-{document}", lang) for asked, document, lang in drawn]
    result = split(pairs, Leaks(held_out=0.3), seed)
    assert not straddles(result)
    assert len(result.train) + len(result.held_out) + sum(each.count for each in result.removed) == len(pairs)
