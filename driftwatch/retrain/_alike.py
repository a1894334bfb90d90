"""Texts that a reader would call the same, told by their letters, whatever was done to case, blanks and signs."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
_COMPARED = 1 << 25
"""Texts that are compared with all others in one go, and comparisons."""
_IN_COMMON = 4
"""Rare pieces that two texts must have in common to be compared: fewer cost more comparisons, more cost more pieces."""
_AT_ONCE = 1 << 17
"""Candidates that are looked at closely in one go."""
_WORDS_TO_TELL = 3
_LETTERS_TO_TELL = 12
_SIGNS_TO_TELL = 6
"""A question shorter than this says too little to be looked for inside others: words and letters; in scripts without
blanks between words, signs."""

_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝвнкмтαβεηικμνορτυχωγζօոսɑɡıłøđᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxijshdqwbhkmtabenikmvoptuxwyzonuagilodabcdefghijklmnoprstuvwyz",
)
"""Letters of other scripts that look like Latin ones (after Unicode TS 39, confusables), lower case."""
_FILLERS = dict.fromkeys([0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0, 0x0640, *range(0xFE00, 0xFE10)])
"""Signs without a shape of their own that are no format characters by name."""
_SIGNS_FOR_LETTERS = str.maketrans("013457@$", "oieastas")
_MARKED_UP_TO = 0x0750
"""Scripts before this (Latin, Greek, Cyrillic, Hebrew, Arabic) are read without their marks; in Thai or Hindi a mark is
a vowel."""
_BLANKS = str.maketrans(dict.fromkeys((chr(code) for code in range(128) if not chr(code).isalnum()), " "))
_ESCAPED = re.compile(r"%[0-9a-fA-F]{2}")
_SIGN_IN_WORD = re.compile(r"(?<=[^\W_])[@$](?=[^\W_])")
_LETTERS_AND_DIGITS = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d_])\w+")


def plain(text: str) -> str:
    r"""The words of a text in lower case with one blank between them: nothing but letters and digits counts.

    Compatibility forms (NFKC), accents, look-alikes of other scripts, digits in place of letters, signs that are not
    seen, punctuation and what HTML and URLs write for a sign are all undone.

    >>> plain("  How do I R\u200be-set my Ｐ\u0430ssw0rd?? ")
    'how do i re set my password'
    """
    if "&" in text:
        text = html.unescape(text)
    if "%" in text and _ESCAPED.search(text):
        text = unquote(text, errors="replace")
    text = text.lower() if text.isascii() else _folded(text)
    if "@" in text or "$" in text:
        text = _SIGN_IN_WORD.sub(lambda sign: sign[0].translate(_SIGNS_FOR_LETTERS), text)
    words = text.translate(_BLANKS)
    if any(map(str.isdigit, words)):
        words = _LETTERS_AND_DIGITS.sub(lambda word: word[0].translate(_SIGNS_FOR_LETTERS), words)
    return " ".join(words.split())


def key(text: str) -> str:
    """Equal for texts that differ in nothing that a reader would see; blanks do not count either."""
    return plain(text).replace(" ", "") or text.strip().casefold()


def _folded(text: str) -> str:
    """In lower case, without accents, and in Latin letters where they look so."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_FILLERS)
    kept: list[str] = []
    base = ""
    for sign in unicodedata.normalize("NFD", text):
        kind = unicodedata.category(sign)
        if kind[0] == "M":
            if base and ord(base) >= _MARKED_UP_TO:
                kept.append(sign)
        elif sign.isalnum():
            kept.append(sign)
            base = sign
        elif kind != "Cf":
            kept.append(sign if sign in "@$" else " ")
    return unicodedata.normalize("NFC", "".join(kept)).translate(_LOOKALIKES)


def containing(texts: Sequence[str], asked: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(place in ``texts``, place in ``asked``) where a text holds all of another's words, whatever stands around them.

    What is asked in fewer than three words or twelve letters (six signs, in scripts that write without blanks) is not
    looked for: it would be found in questions that have nothing to do with it.
    """
    heads: dict[int, dict[str, list[tuple[int, str]]]] = {}
    for place, words in enumerate(map(plain, asked)):
        letters = words.replace(" ", "")
        length = _SIGNS_TO_TELL if _without_blanks(words) else _LETTERS_TO_TELL
        if len(letters) >= length and (length == _SIGNS_TO_TELL or words.count(" ") + 1 >= _WORDS_TO_TELL):
            heads.setdefault(length, {}).setdefault(letters[:length], []).append((place, letters))
    for place, words in enumerate(map(plain, texts)):
        letters = words.replace(" ", "")
        ends = _ends(words)
        for length, by_head in heads.items():
            for start in range(len(letters) - length + 1):
                for which, wanted in by_head.get(letters[start : start + length], ()):
                    whole = length == _SIGNS_TO_TELL or (start in ends and start + len(wanted) in ends)
                    if whole and letters.startswith(wanted, start):
                        yield place, which


def _without_blanks(words: str) -> bool:
    """Whether most of it is in a script that writes without blanks: Thai, Lao, Khmer, Chinese, Japanese."""
    return 2 * sum(
        "\u0e00" <= sign <= "\u0eff" or "\u1780" <= sign <= "\u17ff" or sign >= "\u2e80" for sign in words
    ) > len(words)


def _ends(words: str) -> set[int]:
    """Places between two words, counted in letters; the beginning and the end are such, too."""
    ends, place = {0}, 0
    for word in words.split():
        place += len(word)
        ends.add(place)
    return ends


def alike(left: Sequence[str], right: Sequence[str], share: float) -> Iterator[tuple[int, int]]:
    """(place in ``left``, place in ``right``) of texts whose three-letter pieces overlap by ``share`` (Jaccard).

    Exact, and a block at a time: two sets that overlap so much share some of their rarest pieces, so only texts that do
    are compared (Wang, Li and Feng 2012, "Can we beat the prefix filtering?", SIGMOD, section 3: the l-prefix scheme).
    """
    if not len(left) or not len(right):
        return
    known = _Pieces.of(list(map(plain, right)))
    whole, rarest = known.matrix(), known.rarest(share).T
    block = min(BLOCK, max(64, _COMPARED // len(right)))
    for start in range(0, len(left), block):
        asked = known.read(list(map(plain, left[start : start + block])))
        ours = asked.matrix()
        for row, column in _candidates(asked, known, (asked.rarest(share) @ rarest).tocoo(), share):
            both = np.asarray(ours[row].multiply(whole[column]).sum(axis=1)).ravel()
            near = both >= share * (asked.sizes[row] + known.sizes[column] - both) - 1e-9
            yield from zip((row[near] + start).tolist(), column[near].tolist(), strict=True)


def _candidates(
    asked: _Pieces, known: _Pieces, common: Any, share: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Texts with enough rare pieces in ``common``, and not too different in length, some at a time."""
    rows, columns = common.coords
    small = np.minimum(asked.sizes[rows], known.sizes[columns])
    needed = np.minimum(_IN_COMMON, np.ceil(share * small - 1e-9))
    near = (common.data >= needed) & (small >= share * np.maximum(asked.sizes[rows], known.sizes[columns]) - 1e-9)
    rows, columns = rows[near], columns[near]
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE], columns[start : start + _AT_ONCE]


def alike_among(texts: Sequence[str], share: float) -> Iterator[tuple[int, int]]:
    """As ``alike`` of a list with itself, each two once, the later one first."""
    return ((one, other) for one, other in alike(texts, texts, share) if other < one)


def overlap(one: str, other: str) -> float:
    """Jaccard index of the three-letter pieces of two texts that are ``plain`` already; in [0, 1]."""
    pieces, others = _codes(one), _codes(other)
    both = len(np.intersect1d(pieces, others, assume_unique=True))
    return both / max(1, len(pieces) + len(others) - both)


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The three-letter pieces of texts, each text's rarest first."""

    codes: NDArray[np.int64]
    """Every piece of the texts on the right, in order."""
    numbers: NDArray[np.int64]
    """Of each of them: how common it is, the rarest first."""
    owners: NDArray[np.int64]
    pieces: NDArray[np.int64]
    """The text and the number of each piece that both sides know, in this order."""
    sizes: NDArray[np.int64]
    """Different pieces of each text, with those that the right side does not know."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Pieces:
        """Of the texts on the right."""
        owners, found = _all_codes(texts)
        codes, number, counts = np.unique(found, return_inverse=True, return_counts=True)
        numbers = np.empty(len(codes), np.int64)
        numbers[np.argsort(counts, kind="stable")] = np.arange(len(codes))
        return cls(codes, numbers, *_in_order(owners, numbers[number], len(codes)), _sizes(owners, len(texts)))

    def read(self, texts: Sequence[str]) -> _Pieces:
        """Of texts on the left."""
        owners, found = _all_codes(texts)
        place = np.minimum(np.searchsorted(self.codes, found), max(0, len(self.codes) - 1))
        there = self.codes[place] == found if len(self.codes) else np.zeros(len(found), bool)
        ordered = _in_order(owners[there], self.numbers[place[there]] if there.any() else found[:0], len(self.codes))
        return _Pieces(self.codes, self.numbers, *ordered, _sizes(owners, len(texts)))

    def matrix(self, kept: NDArray[np.bool_] | None = None) -> Any:
        """shape (texts, pieces), sparse, of ones."""
        from scipy.sparse import csr_array

        owners, pieces = (self.owners, self.pieces) if kept is None else (self.owners[kept], self.pieces[kept])
        starts = np.searchsorted(owners, np.arange(len(self.sizes) + 1))
        return csr_array((np.ones(len(pieces), np.int32), pieces, starts), shape=(len(self.sizes), len(self.codes)))

    def rarest(self, share: float) -> Any:
        """The same with so few of the rarest pieces that texts which overlap by ``share`` must have some in common.

        Pieces that the right side does not know are the rarest of all, and take their places.
        """
        first = np.searchsorted(self.owners, np.arange(len(self.sizes)))
        known = np.searchsorted(self.owners, np.arange(len(self.sizes)), side="right") - first
        places = self.sizes - np.ceil(share * self.sizes - 1e-9).astype(np.int64) + _IN_COMMON - (self.sizes - known)
        return self.matrix(np.arange(len(self.owners)) - first[self.owners] < places[self.owners])


def _codes(text: str) -> NDArray[np.int64]:
    """The different three-letter pieces of one text, each as a number, in order."""
    return np.unique(_all_codes([text])[1])


def _all_codes(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(place of the text, number of the piece), each piece of a text once; an empty text has none."""
    padded = [f" {text} " if text else "" for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    signs = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    pieces = np.maximum(0, lengths - 2)
    owners = np.repeat(np.arange(len(padded)), pieces)
    before = (np.cumsum(lengths) - lengths) - (np.cumsum(pieces) - pieces)
    first = np.arange(len(owners)) + np.repeat(before, pieces)
    codes = (signs[first] << 42) | (signs[first + 1] << 21) | signs[first + 2]
    order = np.lexsort((codes, owners))
    owners, codes = owners[order], codes[order]
    new = np.ones(len(codes), bool)
    new[1:] = (codes[1:] != codes[:-1]) | (owners[1:] != owners[:-1])
    return owners[new], codes[new]


def _in_order(
    owners: NDArray[np.int64], numbers: NDArray[np.int64], different: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted by text and then by number."""
    joined = np.sort(owners * max(1, different) + numbers)
    return joined // max(1, different), joined % max(1, different)


def _sizes(owners: NDArray[np.int64], texts: int) -> NDArray[np.int64]:
    return np.bincount(owners, minlength=texts).astype(np.int64)
