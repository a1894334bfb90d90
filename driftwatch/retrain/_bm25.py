"""Passages that share words with a question, the most telling words first: BM25 over the words that are asked for."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import MissingExtra

_WORD = re.compile(r"[\w\u0900-\u109f\u1780-\u17ff]+")
"""Vowel signs of the scripts of India and South-East Asia are no letters to ``\\w``, and would tear words apart."""
_PLAIN = re.compile(r"[0-9a-z]+")
_WITHOUT_BLANKS = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Signs of scripts that write without blanks, or with endings on every word: cut into twos."""


class Words:
    """The passages by the words that some question has; other words count in the length of a passage only."""

    def __init__(self, texts: Iterable[str], questions: Iterable[str]) -> None:
        """Read ``texts`` once.

        Raises:
            MissingExtra: bm25s is not installed.
        """
        self._numbers: dict[str, int] = {}
        for question in questions:
            for word in words(question):
                self._numbers.setdefault(word, len(self._numbers) + 1)
        self._index = _index(_Read(texts, self._numbers))

    def best(self, questions: Sequence[str], count: int) -> NDArray[np.int64]:
        """Places of the ``count`` best passages, shape (n, count), best first; -1 where no more share a word.

        Of equally good ones the first comes first. ``questions`` are among those that were named at the beginning.
        """
        found = np.full((len(questions), count), -1, np.int64)
        for row, question in enumerate(questions):
            numbers = sorted({self._numbers[word] for word in words(question) if word in self._numbers})
            if numbers and self._index is not None:
                best = _best(self._index.get_scores(numbers), count)
                found[row, : len(best)] = best
        return found


def words(text: str) -> list[str]:
    """In lower case and one form; of scripts without blanks, each two neighbours.

    >>> words("Wo ist die 2. Straße?"), words("火车票 ok")
    (['wo', 'ist', 'die', '2', 'strasse'], ['火车', '车票', 'ok'])
    """
    if text.isascii():
        return _PLAIN.findall(text.lower())
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    found = _WORD.findall(text)
    return found if not _WITHOUT_BLANKS.search(text) else [part for word in found for part in _parts(word)]


def _parts(word: str) -> Iterator[str]:
    if not _WITHOUT_BLANKS.search(word) or len(word) < 3:
        yield word
    else:
        yield from (word[place : place + 2] for place in range(len(word) - 1))


class _Read:
    """The words of each passage as numbers, in four bytes a word; a word that nobody asks for is number 0."""

    def __init__(self, texts: Iterable[str], numbers: dict[str, int]) -> None:
        self.vocab = {"": 0} | numbers
        self._flat = array("i")
        self._ends = array("q", [0])
        for text in texts:
            self._flat.extend(list(map(numbers.get, words(text), repeat(0))))
            self._ends.append(len(self._flat))

    @property
    def ids(self) -> _Read:
        """By this name bm25s asks for the numbers: passage after passage, as lists that are gone after each."""
        return self

    @property
    def has_words(self) -> bool:
        return len(self._flat) > 0

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[list[int]]:
        for place in range(len(self)):
            yield self._flat[self._ends[place] : self._ends[place + 1]].tolist()


def _index(read: _Read) -> Any:
    """bm25s over them; None where there is not one word."""
    try:
        from bm25s import BM25
    except ImportError:
        raise MissingExtra("bm25s", "retrain", "Looking for negatives by their words") from None
    if not read.has_words:
        return None
    index = BM25(csc_backend="scipy", backend="numpy")
    index.index(read, create_empty_token=False, show_progress=False)
    return index


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the largest that are above zero, the first of equal ones first."""
    there = np.flatnonzero(scores > 0)
    if len(there) > count:
        least = np.partition(scores[there], len(there) - count)[len(there) - count]
        there = there[scores[there] >= least]
    order = np.lexsort((there, -scores[there]))
    return there[order][:count]
