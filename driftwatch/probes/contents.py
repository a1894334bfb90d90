"""What an index holds against what its documents say: read once, in blocks, and not kept."""

from __future__ import annotations

import base64
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from driftwatch.documents import Corpus
from driftwatch.probes.sketch import Keys, Sketch, mixed
from driftwatch.retrievers import Retriever
from driftwatch.types import Look

MOST_WAITING = 500
"""Documents whose being missing is remembered from listing to listing; of more, a fair sample."""
MOST_SEVERAL = 1000
"""Documents with several entries that are remembered one by one."""
MOST_ORPHANS = 100_000
"""Entries of documents that are gone whose names are held in memory."""


@dataclass(frozen=True, eq=False)
class Listing:
    """One reading of everything that an index holds."""

    entries: int
    documents: Keys
    """Hashes of the doc_ids, sorted, each once."""
    ahead: tuple[str, ...]
    """entry_ids that come next in the walk."""
    sketch: Sketch
    several: Several
    orphans: tuple[str, ...] = ()
    """doc_ids that the source does not have."""

    def holds(self, doc_ids: Sequence[str]) -> NDArray[np.bool_]:
        """shape (n,): whether there is an entry of it."""
        return np.asarray(np.isin(hashes(doc_ids), self.documents, assume_unique=False))


@dataclass(frozen=True)
class Several:
    """The documents that have several entries: the source's text is not that of one of them."""

    keys: frozenset[int] = frozenset()
    everything: bool = False
    """Too many to be remembered one by one: any document may be one of them."""

    @classmethod
    def of(cls, keys: Keys) -> Several:
        """The documents of these hashes."""
        return cls(everything=True) if len(keys) > MOST_SEVERAL else cls(frozenset(keys.tolist()))

    def __contains__(self, doc_id: str) -> bool:
        return self.everything or (bool(self.keys) and _number(doc_id) in self.keys)

    def dump(self) -> str | bool:
        """As JSON."""
        return self.everything or base64.b64encode(np.array(sorted(self.keys), "<u8").tobytes()).decode()

    @classmethod
    def read(cls, kept: object) -> Several:
        """What ``dump`` wrote; none when it is something else."""
        if not isinstance(kept, str):
            return cls(everything=kept is True)
        try:
            return cls(frozenset(np.frombuffer(base64.b64decode(kept, validate=True), "<u8").tolist()))
        except ValueError:
            return cls()


@dataclass
class Walk:
    """Where a seeded walk through the entries stands: each comes once in a round, in an order that looks random."""

    seed: int = 0
    after: int = -1
    """The place in the order that was reached."""

    def place(self, entry_id: str) -> int:
        """Where an entry stands in the order."""
        return int(mixed(hashes([entry_id]), self.seed)[0])


def hashes(names: Sequence[str]) -> Keys:
    """shape (n,): a number for each name."""
    return np.fromiter((_number(name) for name in names), np.uint64, len(names))


def list_all(
    index: Retriever, corpus: Corpus | None, walk: Walk, wanted: int, go_on: Callable[[], bool]
) -> Listing | None:
    """Read the list of entries once, in memory that grows by eight bytes an entry; None when there was no time.

    Raises:
        RetrieverError: the index could not be asked.
    """
    sketch, documents = Sketch.empty(), [np.empty(0, np.uint64)]
    ahead: list[tuple[int, str]] = []
    orphans: dict[str, None] = {}
    entries = 0
    for block in index.entries():
        if not block:
            continue
        entry_ids, doc_ids = [entry for entry, _ in block], [doc for _, doc in block]
        entries += len(block)
        keys = hashes(entry_ids)
        documents.append(keys if entry_ids == doc_ids else hashes(doc_ids))
        sketch.add(_with_texts(doc_ids, keys, corpus))
        order = mixed(keys, walk.seed).tolist()
        ahead += [(place, entry) for place, entry in zip(order, entry_ids, strict=True) if place > walk.after]
        if len(ahead) > 4 * wanted + 4096:
            ahead = sorted(ahead)[:wanted]
        if corpus is not None and len(orphans) < MOST_ORPHANS:
            orphans |= dict.fromkeys(doc for doc in doc_ids if doc not in corpus)
        if not go_on():
            return None
    held, times = np.unique(np.concatenate(documents), return_counts=True)
    come = tuple(entry for _, entry in sorted(ahead)[:wanted])
    return Listing(entries, held, come, sketch, Several.of(held[times > 1]), tuple(orphans))


def find_keys(index: Retriever, corpus: Corpus | None, wanted: Keys, most: int, go_on: Callable[[], bool]) -> list[str]:
    """The entry_ids behind keys of a sketch, new or with a new text in the source, as far as there is time."""
    found: list[str] = []
    for block in index.entries() if len(wanted) else ():
        entry_ids, doc_ids = [entry for entry, _ in block], [doc for _, doc in block]
        inside = np.isin(_with_texts(doc_ids, hashes(entry_ids), corpus), wanted)
        found += [entry_ids[place] for place in np.flatnonzero(inside)]
        if len(found) >= most or not go_on():
            break
    return found[:most]


def tells_missing(index: Retriever) -> bool:
    """Whether the index knows which of some documents it does not hold."""
    return "ids" in index.capabilities or type(index).missing is not Retriever.missing


def _with_texts(doc_ids: Sequence[str], keys: Keys, corpus: Corpus | None) -> Keys:
    """A number for each entry that changes with the text that the source has of it."""
    if corpus is None:
        return keys
    digests = [int.from_bytes(corpus.digest(doc), "big") if doc in corpus else 0 for doc in doc_ids]
    return np.asarray(mixed(keys ^ np.array(digests, np.uint64), 1))


# --- what has been so for how long -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Waiting:
    """Since when each of some documents has not been as it should."""

    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    minutes: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    """Since the epoch."""

    def seen(self, names: Sequence[str], now: datetime, *, since: datetime | None = None) -> Waiting:
        """These are not as they should be now; the others are."""
        keys = hashes(names)
        start = dict(zip(self.keys.tolist(), self.minutes.tolist(), strict=True))
        fresh = _minute(since or now)
        kept = np.sort(keys)[:MOST_WAITING]
        return Waiting(kept, np.array([start.get(key, fresh) for key in kept.tolist()], np.uint32))

    def also(self, names: Sequence[str], now: datetime) -> Waiting:
        """These are not as they should be now; of the others nothing new is known."""
        start = dict.fromkeys(hashes(names).tolist(), _minute(now)) | dict(
            zip(self.keys.tolist(), self.minutes.tolist(), strict=True)
        )
        kept = sorted(start)[:MOST_WAITING]
        return Waiting(np.array(kept, np.uint64), np.array([start[key] for key in kept], np.uint32))

    def overdue(self, names: Sequence[str], now: datetime, lag: timedelta) -> NDArray[np.bool_]:
        """shape (n,): which of ``names`` have been so for ``lag``; False too for those that are not remembered."""
        late = self.keys[self.minutes <= max(0, _minute(now - lag))]
        return np.asarray(np.isin(hashes(names), late))

    def share_overdue(self, now: datetime, lag: timedelta) -> float:
        """Of those that are remembered."""
        return float(np.mean(self.minutes <= max(0, _minute(now - lag)))) if len(self.keys) else 0.0

    def dump(self) -> str:
        """As text."""
        return base64.b64encode(self.keys.astype("<u8").tobytes() + self.minutes.astype("<u4").tobytes()).decode()

    @classmethod
    def read(cls, text: object) -> Waiting:
        """What ``dump`` wrote; nothing when it is something else."""
        try:
            packed = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        except ValueError:
            packed = b""
        n = len(packed) // 12
        if len(packed) != 12 * n:
            return cls()
        return cls(
            np.frombuffer(packed[: 8 * n], "<u8").astype(np.uint64),
            np.frombuffer(packed[8 * n :], "<u4").astype(np.uint32),
        )


def overdue_look(
    candidates: Sequence[str],
    waiting: Waiting,
    now: datetime,
    lag: timedelta,
    sizes: Mapping[str, int],
    lang: Callable[[str], str],
    most: int,
) -> Look:
    """Those of ``candidates`` that have been so for ``lag``; ``sizes``: language -> how many were looked at.

    Where more are waiting than are remembered, their number is taken from the share of those that are.
    """
    late = waiting.overdue(candidates, now, lag)
    names = [name for name, is_late in zip(candidates, late.tolist(), strict=True) if is_late]
    whole = len(candidates) <= MOST_WAITING
    counted = names if whole else list(candidates) if waiting.share_overdue(now, lag) > 0.5 else names
    bad = Counter(lang(name) for name in counted)
    number = len(counted) if whole else round(len(candidates) * waiting.share_overdue(now, lag))
    by = {code: (size, min(bad.get(code, 0), size)) for code, size in sorted(sizes.items()) if code}
    values = {"waiting": float(len(candidates) - number), "listed": 1.0}
    return Look(sum(sizes.values()), number, tuple(names[:most]), by, values)


# --- texts -----------------------------------------------------------------------------------------------------------


def same_text(stored: str, source: str) -> bool:
    """Whether an entry's text is the document's, or a part of it; spaces and Unicode forms do not count.

    >>> same_text("two  words", "Title: two words and more"), same_text("three words", "two words")
    (True, False)
    """
    one, other = _plain(stored), _plain(source)
    return one in other or (bool(other) and other in one)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def blocks(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """``names`` in runs of ``size``."""
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // 60)
