import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from driftwatch.stats.terms import LONGEST_TERM, MOST_TERMS, Background, distinctive, terms_of

ASKED = [
    "how do I reset my password",
    "where is my parcel",
    "I want my money back",
    "my parcel is late",
    "help me please",
]
USUAL = Background.of(ASKED * 60)


def test_what_only_the_group_speaks_of_is_its_name():
    texts = ["how do I pay with bitcoin", "is a bitcoin wallet accepted", "bitcoin wallet please", "my bitcoin is late"]
    assert distinctive(texts * 5, USUAL)[:2] == ["bitcoin", "wallet"]


def test_words_of_every_text_name_nothing():
    assert distinctive(ASKED * 4, USUAL) == []


def test_a_term_that_hardly_anybody_used_is_not_repeated():
    texts = ["call Melinda Grobschmied about bitcoin"] * 2 + ["what is bitcoin", "bitcoin please"]
    assert distinctive(texts, USUAL) == ["bitcoin"]


def test_a_word_that_is_repeated_in_one_text_counts_once():
    assert distinctive(["spam " * 50, "bitcoin", "bitcoin now", "a bitcoin"], USUAL) == ["bitcoin"]


def test_a_language_without_spaces_is_named_by_its_letters():
    usual = Background.of(["荷物はどこですか", "パスワードを忘れました", "荷物が届きません"] * 50)
    found = distinctive(["暗号資産で払えますか", "暗号資産の口座", "暗号資産はどこですか"] * 4, usual)
    assert found[0] in "暗号資産"
    assert not any(a != b and (a in b or b in a) for a in found for b in found)


def test_accents_case_and_width_make_no_difference():
    assert terms_of("CAFÉ") == terms_of("cafe\u0301") == terms_of("café")
    assert terms_of("\uff21\uff22\uff23") == {"abc"}


def test_numbers_are_no_terms():
    assert terms_of("4711 12.5 €7") == set()


def test_the_memory_of_a_background_is_bounded():
    background = Background.of(f"word{number} common" for number in range(6 * MOST_TERMS))
    assert len(background.terms) == MOST_TERMS
    assert background.terms["common"] == background.texts == 6 * MOST_TERMS


@given(st.lists(st.text(max_size=80), min_size=1, max_size=12))
def test_a_term_is_a_word_and_nothing_that_does_anything(texts):
    for term in distinctive(texts * 4, USUAL):
        assert 1 < len(term) <= LONGEST_TERM
        kinds = {unicodedata.category(letter)[0] for letter in term if letter not in "'’"}
        assert kinds <= {"L", "N", "M"}
