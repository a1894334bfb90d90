"""Which of the candidates that are left become a question's negatives: by kind, by language, none too often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import floor
from typing import NamedTuple, TypeVar

from driftwatch.retrained import Band

Name = TypeVar("Name", bound=str)


class Candidate(NamedTuple):
    """A passage that no guard minds."""

    place: int
    score: float
    """Its cosine with the question."""
    lang: str
    band: Band


@dataclass(frozen=True, slots=True)
class Choice:
    """How many are chosen, of what."""

    slots: int
    bands: Mapping[Band, float]
    """Shares of the kinds; they need not add up to 1."""
    languages: Mapping[str, float]
    """Shares of the languages in the corpus."""
    most_uses: int
    """A passage that is a negative of so many questions is left to others."""


def chosen(
    lists: Mapping[Band, Sequence[Candidate]], choice: Choice, uses: Counter[int], draw: tuple[float, float]
) -> list[Candidate]:
    """Up to ``choice.slots`` of ``lists``, each of which has its best first; ``draw``: two numbers in [0, 1).

    Each kind and each language has its part of the slots, in fractions that even out over the questions (systematic
    sampling). A language's part is midway between its share of the corpus and its share of these candidates: the first
    alone would take passages that have nothing to do with the question, the second only the language which the model
    in use prefers. Slots that a kind or a language cannot fill go to the others, the hardest first.
    """
    by_band = allotted(choice.bands, choice.slots, draw[0])
    by_lang = allotted(_language_shares(lists, choice.languages), choice.slots, draw[1])
    found: dict[int, Candidate] = {}
    for strict in (True, False):
        for band in choice.bands:
            room = by_band[band] if strict else choice.slots
            for each in lists.get(band, ()):
                if len(found) == choice.slots or room == 0:
                    break
                if each.place in found or uses[each.place] >= choice.most_uses or (strict and not by_lang[each.lang]):
                    continue
                found[each.place] = each
                by_lang[each.lang] -= strict
                room -= 1
    return list(found.values())


def allotted(shares: Mapping[Name, float], slots: int, draw: float) -> dict[Name, int]:
    """How many of ``slots`` each has: its share of them rounded down or up, up as often as its fraction says.

    >>> [allotted({"dense": 0.75, "bm25": 0.25}, 2, draw) for draw in (0.1, 0.6)]
    [{'dense': 1, 'bm25': 1}, {'dense': 2, 'bm25': 0}]
    """
    if len(shares) == 1:
        return dict.fromkeys(shares, slots)
    whole = sum(shares.values())
    found: dict[Name, int] = {}
    before, upto = 0, draw
    for number, (name, share) in enumerate(shares.items(), 1):
        upto += slots * share / whole
        end = slots if number == len(shares) else min(slots, floor(upto))
        found[name] = end - before
        before = end
    return found


def drawn(seed: int, *names: str) -> tuple[float, float]:
    """Two numbers in [0, 1) that the seed and the names decide, and nothing else."""
    digest = blake2b("\n".join((str(seed), *names)).encode("utf-8", "replace"), digest_size=12).digest()
    return int.from_bytes(digest[:6], "big") / 2**48, int.from_bytes(digest[6:], "big") / 2**48


def _language_shares(lists: Mapping[Band, Sequence[Candidate]], corpus: Mapping[str, float]) -> dict[str, float]:
    """Of the languages that the candidates have, in their order by name."""
    if len(corpus) == 1:
        return dict(corpus)
    here = Counter(each.lang for found in lists.values() for each in found)
    of_corpus = sum(corpus[lang] for lang in here)
    return {lang: here[lang] / here.total() + corpus[lang] / of_corpus for lang in sorted(here)}
