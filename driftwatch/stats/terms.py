"""What a group of texts speaks of that others do not: its distinctive terms.

Log-odds over their standard error (Monroe, Colaresi and Quinn 2008, *Fightin' words*, section 3.3) of how many texts
hold a term: a word that one person repeats counts once, and what all texts have in common has no weight. Languages
without spaces are read as pairs and triples of letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LONGEST_TEXT = 400
"""Characters of a text that are read: what it is about is said by then."""
LONGEST_TERM = 30
MOST_TERMS = 40_000
"""Terms of a background that are remembered: the commonest."""
CERTAIN, LIFT = 1.96, 2.0
"""The z, and how many times the usual share of the texts, from which a term is distinctive."""
FEWEST_TEXTS = 3
"""A term is shown only when so many texts hold it: what one person wrote is not repeated to others."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""Thai, Lao, Burmese, Khmer, kana and Han."""


@dataclass(frozen=True, slots=True)
class Background:
    """How many texts hold a term."""

    texts: int
    terms: Mapping[str, int]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Background:
        """Count the terms of ``texts``; memory stays bounded however many there are."""
        counts: Counter[str] = Counter()
        number = 0
        for text in texts:
            number += 1
            counts.update(terms_of(text))
            if len(counts) > 4 * MOST_TERMS:
                counts = Counter(dict(counts.most_common(2 * MOST_TERMS)))
        return cls(number, dict(counts.most_common(MOST_TERMS)))


def terms_of(text: str) -> set[str]:
    """The terms of a text, each once; numbers are none.

    >>> sorted(terms_of("Where's my parcel 4711?"))
    ['my', 'parcel', "where's"]
    >>> sorted(terms_of("返品したい"))
    ['した', 'したい', 'たい', '品し', '品した', '返品', '返品し']
    """
    return set(_terms(unicodedata.normalize("NFKC", text[:LONGEST_TEXT]).casefold()))


def _terms(text: str) -> Iterator[str]:
    for word in _WORD.findall(_NO_SPACES.sub(" ", text)):
        if not word.isdigit() and 1 < len(word) <= LONGEST_TERM:
            yield word
    for run in _NO_SPACES.findall(text):
        for length in (2, 3):
            yield from (run[at : at + length] for at in range(len(run) - length + 1))


def distinctive(texts: Sequence[str], background: Background, most: int = 5) -> list[str]:
    """The terms that ``texts`` hold far oftener than ``background``, the most distinctive first.

    Only terms of at least ``FEWEST_TEXTS`` texts and a tenth of them; a part of a better term is left out.
    """
    counts = Counter(term for text in texts for term in terms_of(text))
    least = max(FEWEST_TEXTS, len(texts) / 10)
    often = [term for term, count in counts.items() if count >= least]
    if not often:
        return []
    here = np.array([counts[term] for term in often], float)
    there = np.array([background.terms.get(term, 0) for term in often], float)
    z = _log_odds(here, len(texts), there, background.texts)
    lift = (here / len(texts)) * (background.texts + 1) / (there + 1)
    # A word of every third text is distinctive of nothing, however certain it is that it came oftener.
    value = z * np.log((background.texts + 1) / (there + 1))
    places = sorted(range(len(often)), key=lambda place: (-value[place], often[place]))
    ranked = [often[place] for place in places if z[place] >= CERTAIN and lift[place] >= LIFT]
    return _without_parts(ranked, most)


def _log_odds(here: Floats, texts: int, there: Floats, others: int) -> Floats:
    """z of the difference of log-odds, each count with half a text more (Haldane 1956, Anscombe 1956)."""
    inside = np.log((here + 0.5) / (texts - here + 0.5))
    outside = np.log((there + 0.5) / (others - there + 0.5))
    return np.asarray((inside - outside) / np.sqrt(1 / (here + 0.5) + 1 / (there + 0.5)))


def _without_parts(ranked: Sequence[str], most: int) -> list[str]:
    """Of letters that overlap only the best: neither parts of a term nor what a term is a part of."""
    kept: list[str] = []
    for term in ranked:
        part = _NO_SPACES.fullmatch(term) and any(term in other or other in term for other in kept)
        if not part:
            kept.append(term)
        if len(kept) == most:
            break
    return kept
