"""One slip of the pen: the same question, a letter or two out of place."""

from __future__ import annotations

from itertools import pairwise
from unicodedata import category
from zlib import crc32

LETTERS_A_SLIP = 40
"""So many letters of a question get one slip, at least one: light enough that a person hardly notices."""


def perturbed(text: str) -> str:
    """``text`` with neighbouring letters swapped; the same text gets the same slips, in any script.

    A text without two different letters in a row comes back as it is.

    >>> perturbed("How do I get my money back?")
    'How do I gte my money back?'
    """
    letters = _letters(text)
    pairs = [place for place, (one, two) in enumerate(pairwise(letters)) if one != two and one[0] == two[0] == "L"]
    seed = crc32(text.encode("utf-8", "replace"))
    slips = min(len(pairs), max(1, sum(kind == "L" for kind, _ in letters) // LETTERS_A_SLIP))
    for number in range(slips):
        # Each slip has a stretch of its own, so that two never undo each other.
        first, last = (len(pairs) * edge // slips for edge in (number, number + 1))
        place = pairs[first + seed % (last - first)]
        letters[place : place + 2] = letters[place : place + 2][::-1]
    return "".join(letter for _, letter in letters)


def _letters(text: str) -> list[tuple[str, str]]:
    """(first letter of its Unicode category, character), where an accent or a vowel sign stays with what bears it."""
    found: list[tuple[str, str]] = []
    for character in text:
        kind = category(character)[0]
        if kind == "M" and found:
            found[-1] = (found[-1][0], found[-1][1] + character)
        else:
            found.append((kind, character))
    return found
