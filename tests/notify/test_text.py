from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.notify._text import WORD_JOINER, clean, cut, inert, units, unlinked

ANYTHING = st.text(st.characters(), max_size=300)
"""Unpaired surrogates included."""


@settings(deadline=None)
@given(ANYTHING, st.integers(1, 100))
def test_clean_text_is_one_line_of_visible_characters_within_its_limit(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert units(shown) <= limit
    shown.encode("utf-8")
    assert shown == " ".join(shown.split())
    for char in shown:
        assert unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp")
        assert unicodedata.category(char) != "Cf" or char in "\u200c\u200d"


@settings(deadline=None)
@given(ANYTHING)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text, 200)
    assert clean(once, 200) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Wie ändere ich meine Adresse?", "Wie ändere ich meine Adresse?"),
        ("東京はどこ？", "東京はどこ？"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀 ok", "👩\u200d🚀 ok"),
        ("a\u200db\u200b\u2060\ufeffc", "abc"),
        ("user\u202egnp.exe\u202c", "usergnp.exe"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07", "red bell"),
        ("\x9b31mred", "red"),
        ("two\r\n\tlines\u2028three", "two lines three"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("z" + "\u0300" * 50 + "algo", "z" + "\u0300" * 4 + "algo"),
        ("\U000e0041tag", "tag"),
        ("   ", ""),
    ],
)
def test_what_is_seen_stays_and_what_is_not_goes(text: str, shown: str) -> None:
    assert clean(text, 100) == shown


def test_a_huge_text_is_cut_without_being_read_whole() -> None:
    assert clean("x" * 50_000_000, 10) == "xxxxxxxxx…"


def test_a_cut_never_splits_a_character_and_counts_as_slack_does() -> None:
    assert cut("👍👍👍", 5) == "👍👍…"
    assert cut("👍👍👍", 6) == "👍👍👍"
    assert cut("👍👍👍", 4) == "👍…"


@pytest.mark.parametrize("address", ["https://evil.example/x", "www.evil.example", "a@evil.example", "mailto:a@b.co"])
def test_no_address_stays_in_one_piece(address: str) -> None:
    pieces = unlinked(address).split(WORD_JOINER)
    assert len(pieces) > 2
    assert unlinked(address).replace(WORD_JOINER, "") == address


@settings(deadline=None)
@given(ANYTHING)
def test_inert_text_holds_no_markup(text: str) -> None:
    shown = inert(text)
    assert "<" not in shown
    assert ">" not in shown
    assert "&" not in shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    for active in "*_~`:@#!|":
        for position, char in enumerate(shown):
            if char == active:
                assert shown[position - 1] == WORD_JOINER == shown[position + 1]
