"""Rows and texts of a sealed dataset, and the slice of its rows that validates and never trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_nouns
from driftwatch.retrained import Band, Passage, Row

SHARE = 0.1
"""Of the rows, for validation ..."""
LEAST, MOST = 16, 400
"""... but no fewer and no more than this, and never more than ``CEILING`` of them."""
CEILING = 0.25
_UNNAMED: tuple[Band, ...] = ("dense",)
"""Negatives that come without a band count as the hardest."""
POOL = 1000
"""Passages that a validation question is searched among, at most."""


@dataclass(frozen=True)
class Texts:
    """Every question and every passage once, by number; rows name them."""

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    parents: NDArray[np.int64]
    """shape (passages,): a number for the document that each passage is from."""
    rows: tuple[Numbered, ...]

    def known(self) -> dict[int, frozenset[int]]:
        """Question -> the documents that answer it, from every row, those that only validate among them."""
        found: dict[int, set[int]] = {}
        for row in self.rows:
            found.setdefault(row.query, set()).add(int(self.parents[row.positive]))
        return {query: frozenset(parents) for query, parents in found.items()}


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row by the numbers of its texts."""

    query: int
    positive: int
    negatives: tuple[int, ...]
    """The hardest first."""
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Split:
    """Which rows train and which validate; no question and no answer's document is in both."""

    training: tuple[Numbered, ...]
    validation: tuple[Numbered, ...]


def read_texts(folder: Path) -> Texts:
    """The rows of the dataset in ``folder``, with the texts that they name.

    Raises:
        RetrainError: a file is missing or damaged, or a row names a passage that is not there.
    """
    rows = list(read_nouns(folder, Row))
    wanted = {name for row in rows for name in (row.positive, *row.negatives)}
    found = {each.passage_id: each for each in read_nouns(folder, Passage) if each.passage_id in wanted}
    lost = sorted(wanted - found.keys())
    if lost:
        raise RetrainError(
            f"{folder / 'rows.jsonl'}: names the passage '{lost[0]}', which passages.jsonl does not have "
            f"({len(lost)} such).",
            remedy="Start a new job.",
        )
    return numbered(rows, [found[name] for name in sorted(found)])


def numbered(rows: Sequence[Row], passages: Sequence[Passage]) -> Texts:
    """Number the texts in the order in which they come; equal questions are one."""
    queries = {text: number for number, text in enumerate(dict.fromkeys(row.query for row in rows))}
    places = {passage.passage_id: number for number, passage in enumerate(passages)}
    parents = {name: number for number, name in enumerate(dict.fromkeys(each.parent for each in passages))}
    return Texts(
        queries=tuple(queries),
        passages=tuple(passage.text for passage in passages),
        parents=np.array([parents[passage.parent] for passage in passages], np.int64),
        rows=tuple(
            Numbered(
                queries[row.query],
                places[row.positive],
                tuple(places[name] for name in row.negatives),
                row.bands or _UNNAMED * len(row.negatives),
            )
            for row in rows
        ),
    )


def split(texts: Texts, seed: int) -> Split:
    """Keep whole groups of rows for validation until there are enough.

    Rows that share a question or an answer's document are one group, so that a question is never validated whose
    answer was trained under other words. Which groups are kept depends on their texts and ``seed`` alone, not on the
    order of the rows. Nothing is kept where the rows hang together too much to be parted.
    """
    groups = _groups(texts)
    wanted = min(max(LEAST, round(SHARE * len(texts.rows))), MOST, int(CEILING * len(texts.rows)))
    kept: set[int] = set()
    for group in sorted(groups, key=lambda group: _lot(texts, group, seed)):
        if len(kept) + len(group) <= wanted:
            kept.update(group)
    rows = list(enumerate(texts.rows))
    return Split(
        tuple(row for number, row in rows if number not in kept), tuple(row for number, row in rows if number in kept)
    )


def of_bands(rows: Iterable[Numbered], bands: Sequence[Band], most: int) -> tuple[Numbered, ...]:
    """The rows with their negatives of these bands alone, the first ``most`` of them; rows without any stay."""
    kept = []
    for row in rows:
        pairs = [pair for pair in zip(row.negatives, row.bands, strict=True) if pair[1] in bands][:most]
        kept.append(
            Numbered(row.query, row.positive, tuple(each for each, _ in pairs), tuple(band for _, band in pairs))
        )
    return tuple(kept)


def pool(texts: Texts, validation: Sequence[Numbered], seed: int, most: int = POOL) -> NDArray[np.int64]:
    """Passages among which the validation questions are searched: theirs, with their hard negatives, then others.

    Searching the whole corpus after every epoch would take longer than the epoch. What is missing are passages that
    nobody found near a question, so ranks are a little better than in serving, for every model alike.
    """
    own = [each for row in validation for each in (row.positive, *row.negatives)]
    others = np.random.default_rng([seed, 1]).permutation(len(texts.passages))
    chosen = list(dict.fromkeys([*own, *others.tolist()]))
    return np.array(sorted(chosen[: max(most, len(set(own)))]), np.int64)


def _groups(texts: Texts) -> list[list[int]]:
    """Numbers of the rows that hang together by a question or by an answer's document."""
    leader: dict[tuple[str, int], tuple[str, int]] = {}
    find = _finder(leader)
    for row in texts.rows:
        leader[find(("question", row.query))] = find(("document", int(texts.parents[row.positive])))
    groups: dict[tuple[str, int], list[int]] = {}
    for number, row in enumerate(texts.rows):
        groups.setdefault(find(("question", row.query)), []).append(number)
    return list(groups.values())


def _finder(leader: dict[tuple[str, int], tuple[str, int]]) -> Callable[[tuple[str, int]], tuple[str, int]]:
    """Who leads the set that something is in; paths are halved on the way (Tarjan 1975)."""

    def find(node: tuple[str, int]) -> tuple[str, int]:
        leader.setdefault(node, node)
        while leader[node] != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    return find


def _lot(texts: Texts, group: Sequence[int], seed: int) -> bytes:
    first = min(texts.queries[texts.rows[number].query] for number in group)
    return blake2b(f"{seed}\0{first}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
