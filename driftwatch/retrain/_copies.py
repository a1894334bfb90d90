"""Documents that share their text under different names: reprints, and parts that were cut so that they overlap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from driftwatch.retrain._alike import plain

END = 48
"""Letters of a beginning or an end that are looked for: some eight words, which two texts do not share by chance."""
MANY = 3
"""A beginning or an end that more documents hold is a heading or a footer, and no copy."""


def sharing(texts: Mapping[str, Iterable[str]], some: Collection[str], others: Collection[str]) -> set[str]:
    """The ``others`` that share text with one of ``some``: one begins or ends in the midst of the other, or both are
    the same short text. Only letters and digits count.

    ``texts``: doc_id -> its passages, in order; documents without any share nothing.
    """
    known = {doc_id: _letters(texts[doc_id]) for doc_id in {*some, *others} if doc_id in texts}
    holding: defaultdict[str, set[str]] = defaultdict(set)
    ends: defaultdict[str, set[str]] = defaultdict(set)
    for doc_id, passages in known.items():
        for end in _ends(passages):
            ends[end].add(doc_id)
    for doc_id, passages in known.items():
        for piece in _pieces(passages):
            if piece in ends:
                holding[piece].add(doc_id)
    first, found = set(some), set[str]()
    for end, owners in ends.items():
        if len(holding[end]) <= MANY:
            # One of the two must own the end: two documents that quote a third are no copies of each other.
            pairs = ((owner, other) for owner in owners for other in holding[end] if owner != other)
            found |= {each for pair in pairs if first & {*pair} for each in pair}
    return found & set(others)


def _letters(passages: Iterable[str]) -> list[str]:
    found = (plain(text).replace(" ", "") for text in passages)
    return [each for each in found if each]


def _ends(passages: list[str]) -> Iterator[str]:
    """The beginning of the first passage and the end of the last; a short text is its own."""
    if passages:
        yield passages[0][:END]
        yield passages[-1][-END:]


def _pieces(passages: list[str]) -> Iterator[str]:
    """Everything as long as an end, and what is shorter whole."""
    for letters in passages:
        if len(letters) <= END:
            yield letters
        for start in range(len(letters) - END + 1):
            yield letters[start : start + END]
