"""Texts that a reader would call the same are found, exactly and at any length of the lists."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.retrain import _alike
from driftwatch.retrain._alike import alike, alike_among, containing, key, overlap, plain

SENTENCE = "how do I reset the router after a power cut when nothing else helps tell me please now"
WORDS = SENTENCE.split()


def pieces(text: str) -> set[str]:
    padded = f" {plain(text)} "
    return {padded[place : place + 3] for place in range(len(padded) - 2)} if plain(text) else set()


def jaccard(one: str, other: str) -> float:
    ours, theirs = pieces(one), pieces(other)
    return len(ours & theirs) / max(1, len(ours | theirs))


def sentences(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    found = [" ".join(rng.choice(WORDS, size=rng.integers(1, 9))) for _ in range(count)]
    return [text + text[-1] * int(rng.integers(0, 2)) for text in found]


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(_alike).failed == 0
    assert doctest.testmod(_alike).attempted > 0


@pytest.mark.parametrize(
    "written",
    [
        "HOW DO I RESET MY PASSWORD",
        "how   do\tI\nreset my password",
        "how do I reset my password?!…",
        "how do I re\u00adset my pass\u200bword",
        "\u202ahow do I reset my password\u202c",
        "ｈｏｗ ｄｏ Ｉ ｒｅｓｅｔ ｍｙ ｐａｓｓｗｏｒｄ",
        "𝐡𝐨𝐰 𝐝𝐨 𝐈 𝐫𝐞𝐬𝐞𝐭 𝐦𝐲 𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝",
        "hоw dо I rеsеt my pаsswоrd",
        "hów dö I rësêt my pàsswōrd",
        "h\u0336o\u0336w\u0336 do I reset my password",
        "how%20do%20I%20reset%20my%20password",
        "how do I reset my p&#97;ssword",
        "how do I reset my p@ssw0rd",
        "h o w d o I r e s e t m y p a s s w o r d",
        "ʜᴏᴡ ᴅᴏ I ʀᴇꜱᴇᴛ ᴍʏ ᴘᴀꜱꜱᴡᴏʀᴅ",
        "how-do-I-reset-my-password 🔑",
    ],
)
def test_what_a_reader_reads_the_same_has_the_same_key(written: str) -> None:
    assert key(written) == key("how do I reset my password")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("version 10", "version 11"),
        ("กา", "กี"),
        ("हिन्दी", "हन्द"),
        ("パリはどこ", "ハリはとこ"),
        ("?", "!"),
        ("👍", "👎"),
        ("пить", "петь"),
    ],
)
def test_what_a_reader_reads_otherwise_has_another_key(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_case_does_not_count_in_any_script() -> None:
    for text in ("Где Мой Заказ", "Πού Είναι Η Παραγγελία", "Wo ist die STRASSE", "Քանի ՕՐ"):
        assert key(text.upper()) == key(text.lower())


@given(st.text(max_size=40))
def test_a_plain_text_is_plain(text: str) -> None:
    once = plain(text)
    assert once == " ".join(once.split())
    assert not any(sign in once for sign in "?.,;:_-/()\u200b")


def test_alike_finds_what_comparing_each_with_each_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_alike, "BLOCK", 16)
    monkeypatch.setattr(_alike, "_AT_ONCE", 7)
    left, right = sentences(90, 1), [*sentences(60, 2), "", "?"]
    for share in (0.3, 0.6, 0.8, 1.0):
        expected = {
            (i, j) for i, one in enumerate(left) for j, other in enumerate(right) if jaccard(one, other) >= share - 1e-9
        }
        assert set(alike(left, right, share)) == expected
    assert expected


def test_among_one_list_each_two_are_named_once() -> None:
    texts = sentences(120, 3)
    expected = {
        (i, j) for i, one in enumerate(texts) for j, other in enumerate(texts[:i]) if jaccard(one, other) >= 0.7 - 1e-9
    }
    assert expected
    assert sorted(alike_among(texts, 0.7)) == sorted(expected)


def test_nothing_is_like_nothing() -> None:
    assert list(alike([], ["a question"], 0.5)) == []
    assert list(alike(["a question"], [], 0.5)) == []
    assert list(alike(["", "?!"], ["", "?!"], 0.5)) == []
    assert list(alike(["xyz"], ["?"], 0.5)) == []


def test_overlap_is_the_jaccard_index() -> None:
    for one, other in zip(sentences(30, 4), sentences(30, 5), strict=True):
        assert overlap(plain(one), plain(other)) == pytest.approx(jaccard(one, other))


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("hello, please tell me: how do I reset my PIN? thanks", "How do I reset my pin"),
        ("h-o-w d-o I r-e-s-e-t my p-i-n or what", "how do I reset my pin"),
        ("请问我如何重置我的密码谢谢", "如何重置我的密码"),
        ("ช่วยบอกวิธีรีเซ็ตรหัสผ่านหน่อย", "วิธีรีเซ็ตรหัสผ่าน"),
    ],
)
def test_a_question_is_found_inside_another(text: str, inside: str) -> None:
    assert list(containing(["something else", text], [inside])) == [(1, 0)]


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("how do I reset my pinball machine", "how do I reset my pin"),
        ("which invoice number is meant", "invoice"),
        ("what is it for", "what is it"),
        ("如何重置", "重置"),
    ],
)
def test_what_says_too_little_or_ends_within_a_word_is_not(text: str, inside: str) -> None:
    assert list(containing([text], [inside])) == []
