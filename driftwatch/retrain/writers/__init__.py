"""A new index beside the old one: of the same kind, with the same parameters, with other vectors.

The old index is only read. What a writer makes carries the name of the release in its own, so that nothing else is ever
written to or removed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain.manifests import NAME, STORES, check_name
from driftwatch.retrained import Passage

if TYPE_CHECKING:
    from driftwatch.retrievers import Retriever


class Writer(Protocol):
    """One new index. Every method may be called again after a kill, and does what is left to do."""

    def begin(self, dimension: int) -> None:
        """Make the index for vectors of ``dimension`` numbers, unless it is there."""

    def write(self, number: int, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> None:
        """Put the shard ``number`` into it; written again it is there once. vectors: shape (passages, dimension)."""

    def finish(self) -> Mapping[str, Any]:
        """Build what searches need; the settings that reach the new index, files relative to the release's folder."""

    def discard(self) -> None:
        """Remove the new index, whatever there is of it."""


def writer_for(index: Retriever, release: str, place: Path) -> Writer:
    """What makes an index like ``index`` for ``release``; files go into the folder ``place``.

    Raises:
        RetrainError: driftwatch cannot write into this kind of index.
    """
    if index.kind not in STORES:
        raise RetrainError(
            f"the index is of the kind '{index.kind}', which driftwatch cannot build anew.",
            remedy=f"Set 'index:' to the store behind the service; it can be: {', '.join(STORES)}.",
        )
    check_name(release)
    module = import_module(f"driftwatch.retrain.writers.{index.kind}")
    writer: Writer = module.Writing(index, release, place)
    return writer


def new_name(old: str, release: str, most: int) -> str:
    """`<old>__<release>`, in at most ``most`` bytes; of an ``old`` that is such a name itself, the first part.

    >>> new_name("docs", "20260504T120000Z-1aafbb77", 63)
    'docs__20260504T120000Z-1aafbb77'
    """
    stem = re.sub(f"__{NAME.pattern}$", "", old)
    return f"{_cut(stem, most - len(release) - 2)}__{release}"


def _cut(stem: str, most: int) -> str:
    """Two long names that begin alike stay two names."""
    if len(stem.encode()) <= most:
        return stem
    digest = blake2b(stem.encode(), digest_size=4).hexdigest()
    return f"{stem.encode()[: most - 9].decode('utf-8', 'ignore')}_{digest}"


@dataclass(frozen=True)
class Old:
    """An entry of the old index."""

    entry_id: str
    doc_id: str
    text: str | None
    carried: Any
    """What else it holds: a payload, metadata, other vectors."""


@dataclass(frozen=True)
class Placed:
    """A passage, and what of the old index goes with it."""

    passage: Passage
    entry_id: str | None
    """The entry that it takes the place of; None: it is new."""
    like: Old | None
    """The entry whose other contents are copied; None: the old index does not hold the document."""


def by_name(passages: Sequence[Passage], olds: Iterable[Old]) -> tuple[list[Placed], list[Passage]]:
    """Those that are called as an entry of the old index is, and the rest."""
    known = {old.entry_id: old for old in olds}
    found = [
        Placed(passage, old.entry_id, old)
        for passage in passages
        if (old := known.get(passage.passage_id)) is not None and old.doc_id == passage.parent
    ]
    placed = {each.passage.passage_id for each in found}
    return found, [passage for passage in passages if passage.passage_id not in placed]


def by_document(passages: Sequence[Passage], olds: Iterable[Old]) -> list[Placed]:
    """Each takes the place of the entry with its document and text; without one, it is like the document's first.

    All passages of a document come in one call, and all of its entries, so that no entry is taken twice.
    """
    of: dict[str, list[Old]] = defaultdict(list)
    for old in sorted(olds, key=lambda old: (len(old.entry_id), old.entry_id)):
        of[old.doc_id].append(old)
    taken: set[str] = set()
    placed = []
    for passage in passages:
        entries = of.get(passage.parent, [])
        same = next((old for old in entries if old.text == passage.text and old.entry_id not in taken), None)
        if same is not None:
            taken.add(same.entry_id)
        like = same or next(iter(entries), None)
        placed.append(Placed(passage, same.entry_id if same else None, like))
    return placed
