from contextlib import closing
from unicodedata import category, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.engine import Engine
from driftwatch.sources._perturb import LETTERS_A_SLIP, perturbed
from driftwatch.sources.canaries import Canaries
from driftwatch.store import Store
from driftwatch.types import PERTURBED, Query
from tests.fakes.world import RECALL, START, load_watch, make_world


@pytest.mark.parametrize(
    "text",
    [
        "How do I get my money back?",
        "Wo ist mein Geld?",
        "كم نقطة تخلى عنها دفاع البانثرز؟",
        "我的钱在哪里？",
        "पैंथर्स के डिफ़ेंस ने कितने अंक दिए?",
        "ทีมแพนเทอร์ใช้ผู้เล่น",
    ],
)
def test_a_question_in_any_script_gets_one_slip_and_always_the_same(text):
    slipped = perturbed(text)
    assert slipped != text
    assert sorted(slipped) == sorted(text)
    assert perturbed(text) == slipped


def test_a_long_question_gets_more_slips():
    text = "abcdefghij " * 40
    moved = sum(one != other for one, other in zip(text, perturbed(text), strict=True))
    assert moved == 2 * (400 // LETTERS_A_SLIP)


def test_an_accent_stays_on_its_letter():
    text = normalize("NFD", "ééé éàç")
    clusters = {"é", "à", "ç"}
    slipped = normalize("NFC", perturbed(text))
    assert set(slipped) - {" "} == clusters
    assert slipped != "ééé éàç"


@pytest.mark.parametrize("text", ["", "a", "aaa", "12 34", "?!", "a b c"])
def test_where_no_two_letters_can_change_places_nothing_does(text):
    assert perturbed(text) == text


@given(st.text(max_size=200))
def test_any_text_keeps_its_characters(text):
    slipped = perturbed(text)
    assert sorted(slipped) == sorted(text)
    assert [category(one)[0] == "L" for one in slipped].count(True) == [category(one)[0] == "L" for one in text].count(
        True
    )


def test_a_run_asks_the_slip_after_the_question_and_as_a_canary_of_its_own():
    queries = (Query("q", "How do I get my money back?", "en", {"doc": 1}, digest="d"),)
    assert Canaries(path="x").askings(queries) == [(0, queries)]
    asked = Canaries(path="x", repeat=2, perturb=True).askings(queries)
    assert [attempt for attempt, _ in asked] == [0, 1, PERTURBED]
    assert asked[1][1] == queries
    (slipped,) = asked[2][1]
    assert slipped.text == perturbed(queries[0].text)
    assert (slipped.query_id, slipped.digest, slipped.relevant) == ("q", "d", {"doc": 1})


def test_answers_to_slips_are_kept_beside_the_others(tmp_path):
    make_world(tmp_path, RECALL, canaries_a_lang=2)
    path = tmp_path / "driftwatch.yaml"
    path.write_text(path.read_text().replace("path: canaries.jsonl,", "path: canaries.jsonl, perturb: true,"))
    with closing(Store.open(f"sqlite:///{tmp_path}/driftwatch.db")) as store:
        engine = Engine(load_watch(path), store)
        assert engine.observe("canaries", START).trouble == ""
        run = store.canaries.latest("canaries")
    assert run is not None
    assert [seen.attempt for seen in run.observations] == [0] * 6 + [PERTURBED] * 6
    plain, slipped = run.observations[0], run.observations[6]
    assert (plain.query_id, plain.text) == (
        slipped.query_id,
        slipped.text,
    )  # the canary; what was asked follows from it
    assert plain.hits != slipped.hits
