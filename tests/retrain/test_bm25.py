"""Passages that share words with a question are found, in any script, the same as a plain sum over words finds."""

from __future__ import annotations

import doctest
from collections import Counter
from math import log

import numpy as np
import pytest

from driftwatch.retrain import _bm25
from driftwatch.retrain._bm25 import Words, words

TEXTS = [
    "The router loses its connection after a power cut.",
    "Invoices are sent on the first day of a month.",
    "Reset the router: hold the button for ten seconds. The router restarts.",
    "Wie wird der Router zurückgesetzt? Halten Sie die Taste gedrückt.",
    "火车票可以在网上购买",
    "",
]


def plainly(question: str, texts: list[str]) -> list[float]:
    """BM25 as Lucene has it, term by term."""
    documents = [Counter(words(text)) for text in texts]
    length = sum(each.total() for each in documents) / len(documents)
    scores = []
    for each in documents:
        score = 0.0
        for word in set(words(question)):
            holding = sum(word in other for other in documents)
            idf = log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            score += idf * each[word] / (each[word] + 1.5 * (0.25 + 0.75 * each.total() / length)) if holding else 0.0
        scores.append(score)
    return scores


def best(question: str, texts: list[str] = TEXTS, count: int = 3) -> list[int]:
    return [int(place) for place in Words(texts, [question]).best([question], count)[0]]


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(_bm25).failed == 0
    assert doctest.testmod(_bm25).attempted > 0


def test_the_passage_with_the_most_telling_words_comes_first() -> None:
    assert best("how do I reset the router") == [2, 0, 1]


def test_it_is_the_plain_sum_over_the_words_of_a_question() -> None:
    rng = np.random.default_rng(5)
    vocabulary = [f"w{n}" for n in range(40)]
    texts = [" ".join(rng.choice(vocabulary, size=rng.integers(1, 30), p=None)) for _ in range(60)]
    questions = [" ".join(rng.choice(vocabulary, size=4, replace=False)) for _ in range(10)]
    found = Words(texts, questions).best(questions, 8)
    for question, places in zip(questions, found, strict=True):
        scores = plainly(question, texts)
        order = sorted(range(len(texts)), key=lambda place: (-round(scores[place], 5), place))[:8]
        assert [round(scores[place], 4) for place in places] == [round(scores[place], 4) for place in order]


def test_case_accents_of_width_and_signs_do_not_matter() -> None:
    assert best("ＲＯＵＴＥＲ zurückgesetzt!") == best("router ZURÜCKGESETZT") == [3, 2, 0]


def test_scripts_without_blanks_are_found_by_twos() -> None:
    assert best("如何购买火车票")[0] == 4
    assert best("어떻게 비밀번호를", ["비밀번호 변경", "요금"])[0] == 0
    assert best("วิธีรีเซ็ตรหัสผ่าน", ["เปลี่ยนรหัสผ่าน", "ค่าบริการ"])[0] == 0
    assert best("पासवर्ड कैसे बदलें", ["पासवर्ड बदलना", "बिल"])[0] == 0


def test_what_shares_no_word_is_not_named() -> None:
    assert best("pineapple") == [-1, -1, -1]
    assert best("invoices pineapple") == [1, -1, -1]
    assert best("?!") == [-1, -1, -1]


def test_of_equally_good_passages_the_first_come_first() -> None:
    assert best("alpha", ["alpha beta"] * 7, count=3) == [0, 1, 2]


def test_there_may_be_no_words_at_all() -> None:
    assert best("router", ["", "?"]) == [-1, -1, -1]


def test_a_question_that_was_not_named_at_first_finds_only_words_that_were() -> None:
    index = Words(TEXTS, ["router"])
    assert index.best(["router invoices"], 2).tolist() == index.best(["router"], 2).tolist()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from driftwatch.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtra, match="retrain"):
        Words(TEXTS, ["router"])
