"""The whole corpus embedded anew, into a new index beside the old one.

Two passes over the documents: the first embeds what has no vector yet, the second writes them all into the new index in
the order of the documents, a shard at a time, with what has changed since the first. Killed anywhere, the next call
goes on, and ends with the same index as one that was never killed. Memory holds one shard, and what is read ahead.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from heapq import nsmallest
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.kept import KeptVectors, Keys, keys_of
from driftwatch.retrain.scale import SHARD
from driftwatch.retrain.writers import Writer
from driftwatch.retrained import Passage
from driftwatch.types import Embedder

Encode = Callable[[Iterable[Sequence[str]]], Iterator[NDArray[np.float32]]]
"""The vectors of each shard of texts, in order, as ``Scale.encode``; it may read shards ahead."""

WRITTEN = "written.json"
AT_ONCE = SHARD
"""Texts that are embedded in one go: between them it is asked whether to stop."""
_SLICE = 1.0
"""Seconds that are waited without asking."""


class Passages(Protocol):
    """The texts of an index, to be read more than once; all passages of a document come one after the other."""

    def __len__(self) -> int:
        """How many, as far as known: for the progress alone."""

    def __iter__(self) -> Iterator[Passage]:
        """Each of them, in an order that stays the same; no two have the same passage_id."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    stage: Literal["embed", "write", "build"]
    done: int
    total: int
    """Passages."""
    eta_seconds: float | None = None
    """Until the end of this stage; None: not known yet."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A finished index."""

    index: Mapping[str, Any]
    """Settings of the `index:` section that reach it."""
    count: int
    """Passages in it."""
    corpus: str
    """Hash of all that were written, in their order; of the same documents it is the same."""
    dimension: int


@dataclass
class _Way:
    """What accompanies the work: when to stop, how fast to go, whom to tell."""

    rate: float
    stopping: Callable[[], bool]
    tell: Callable[[Progress], None]
    clock: Callable[[], float]
    wait: Callable[[float], None]
    began: float = 0.0
    sent: int = 0
    embedded: int = 0

    def may_go_on(self) -> bool:
        """Waits until ``rate`` allows more; False: it is time to stop."""
        while self.rate and (ahead := self.began + self.sent / self.rate - self.clock()) > 0:
            if self.stopping():
                return False
            self.wait(min(ahead, _SLICE))
        return not self.stopping()

    def embedding(self, done: int, total: int) -> None:
        """Tell how far it is, and how long the rest takes at the pace so far."""
        total = max(done, total)
        left = (self.clock() - self.began) / self.embedded * (total - done) if self.embedded else None
        self.tell(Progress("embed", done, total, left))


def rebuild(
    documents: Passages,
    embedder: Embedder,
    writer: Writer,
    work: Path,
    *,
    shard: int,
    encode: Encode | None = None,
    rate: float = 0.0,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Rebuilt | None:
    """Embed ``documents`` with ``embedder``, at most ``rate`` a second, and write them with ``writer``; None: stopped.

    ``encode``: who embeds them instead, to the vectors that ``embedder`` gives; it may read ahead at the same rate.
    ``work`` is where it is kept how far it is; it may go once the index is in use.

    Raises:
        RetrainError: there are no documents, a vector is none, or the disk is full.
    """
    way = _Way(rate, stopping, progress, clock, wait)
    kept = KeptVectors.opened(work, embedder.fingerprint)
    encode = encode or partial(map, embedder.encode_documents)
    corpus = _embed(documents, encode, kept, shard, way)
    if corpus is None:
        return None
    state = _State.read(work / WRITTEN, embedder.fingerprint, shard)
    if state.whole and state.written != corpus.name:
        state = state.anew()
    if not state.whole:
        state = _write(documents, encode, kept, writer, state, way)
    if not state.whole:
        return None
    if state.index is None:
        way.tell(Progress("build", state.count, state.count))
        state = state.said(index=writer.finish())
    assert state.index is not None
    return Rebuilt(state.index, state.count, state.written, kept.dimension)


def sample(documents: Passages, work: Path, embedder: Embedder, most: int) -> list[tuple[Passage, NDArray[np.float32]]]:
    """Up to ``most`` passages with the vectors that were made of them, the same ones each time; those whose text has
    changed since are left out.
    """
    kept = KeptVectors.opened(work, embedder.fingerprint)
    drawn = nsmallest(most, documents, key=lambda each: blake2b(each.passage_id.encode(), digest_size=8).digest())
    known = kept.has(keys_of([each.text for each in drawn])).tolist()
    drawn = [each for each, there in zip(drawn, known, strict=True) if there]
    return list(zip(drawn, kept.vectors(keys_of([each.text for each in drawn])), strict=True))


def shards(documents: Passages, size: int) -> Iterator[list[Passage]]:
    """Pieces of about ``size`` passages; a document is never cut."""
    piece: list[Passage] = []
    for passage in documents:
        if len(piece) >= size and passage.parent != piece[-1].parent:
            yield piece
            piece = []
        piece.append(passage)
    if piece:
        yield piece


# --- the first pass --------------------------------------------------------------------------------------------------


@dataclass
class _Corpus:
    """What was read in one pass."""

    hashed: Any = field(default_factory=lambda: blake2b(digest_size=16))
    count: int = 0

    def read(self, passages: Sequence[Passage]) -> None:
        for each in passages:
            for part in (each.passage_id, each.parent, each.text):
                encoded = part.encode("utf-8", "replace")
                self.hashed.update(len(encoded).to_bytes(8, "big") + encoded)
        self.count += len(passages)

    @property
    def name(self) -> str:
        return str(self.hashed.hexdigest())

    def check(self) -> None:
        """Raises RetrainError where there was nothing to read."""
        if self.count == 0:
            raise RetrainError("there are no documents to embed.", remedy="Check 'index' and 'documents'.")


@dataclass(frozen=True)
class _Shard:
    """Texts that are embedded in one go."""

    passages: Sequence[Passage]
    keys: Keys
    read: int
    """Passages of the corpus that have a vector once these have one."""


@dataclass
class _Reading:
    """The first pass over the documents: what has no vector yet, in shards, and what was read."""

    documents: Passages
    size: int
    kept: KeptVectors
    way: _Way
    corpus: _Corpus = field(default_factory=_Corpus)
    out: deque[_Shard] = field(default_factory=deque)
    """Shards whose vectors have not come yet."""
    asked: set[bytes] = field(default_factory=set)
    """Texts that are not kept yet, and need not be asked for again."""
    stopped: bool = False

    def texts(self) -> Iterator[list[str]]:
        """Each shard when it may be embedded; it is in ``out`` then."""
        for piece in shards(self.documents, self.size):
            for shard in self._new(piece):
                if not self.way.may_go_on():
                    self.stopped = True
                    return
                self.way.sent += len(shard.passages)
                self.out.append(shard)
                self.asked.update(shard.keys.tolist())
                yield [each.text for each in shard.passages]
            self.corpus.read(piece)

    def _new(self, piece: Sequence[Passage]) -> Iterator[_Shard]:
        keys = keys_of([each.text for each in piece])
        asked = np.array([key in self.asked for key in keys.tolist()], bool)
        new = np.flatnonzero(~(self.kept.has(keys) | asked))
        rows = np.sort(new[np.unique(keys[new], return_index=True)[1]])
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            read = self.corpus.count + start + len(some)
            yield _Shard([piece[row] for row in some.tolist()], keys[some], read)


def _embed(documents: Passages, encode: Encode, kept: KeptVectors, size: int, way: _Way) -> _Corpus | None:
    """Every text has a vector then; None: stopped. Once there are ``size`` vectors, they are kept."""
    reading, total = _Reading(documents, size, kept, way), len(documents)
    way.began = way.clock()
    waiting: list[tuple[Keys, NDArray[np.float32]]] = []
    for vectors in encode(reading.texts()):
        shard = reading.out.popleft()
        waiting.append((shard.keys, _numbers(shard, vectors)))
        way.embedded += len(vectors)
        way.embedding(shard.read, total)
        if sum(len(keys) for keys, _ in waiting) >= size:
            _keep(waiting, reading, total)
    _keep(waiting, reading, total)
    if reading.stopped:
        return None
    reading.corpus.check()
    way.embedding(reading.corpus.count, total)
    return reading.corpus


def _numbers(shard: _Shard, vectors: NDArray[Any]) -> NDArray[np.float32]:
    """The vectors of a shard, shape (texts, dimension).

    Raises:
        RetrainError: one of them is none.
    """
    made = np.asarray(vectors, dtype=np.float32)
    if (odd := np.flatnonzero(~np.isfinite(made).all(axis=1))).size:
        named = shard.passages[int(odd[0])].passage_id
        raise RetrainError(f"the new model gives no numbers for '{named}'.", remedy="It must not be promoted.")
    return made


def _keep(waiting: list[tuple[Keys, NDArray[np.float32]]], reading: _Reading, total: int) -> None:
    """All that wait, as one piece."""
    if waiting:
        keys, vectors = (np.concatenate(each) for each in zip(*waiting, strict=True))
        _check_room(reading.kept, vectors, total)
        reading.kept.add(keys, vectors)
        reading.asked.difference_update(keys.tolist())
        waiting.clear()


def _check_room(kept: KeptVectors, vectors: NDArray[np.float32], total: int) -> None:
    """Raises RetrainError where the first piece shows that the disk cannot hold all."""
    needed = max(total, len(vectors)) * vectors.shape[1] * vectors.itemsize
    if kept.count == 0 and needed > (free := shutil.disk_usage(kept.folder).free):
        raise RetrainError(
            f"{kept.folder}: {needed // 10**6} MB of vectors, and {free // 10**6} MB are free.", remedy="Make room."
        )


# --- the second pass -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """How much is in the new index."""

    path: Path
    how: tuple[str, int]
    """Fingerprint of the model, size of a shard."""
    shards: int = -1
    """Those that are in it; -1: nothing is, or nobody knows what."""
    written: str = ""
    """Hash of the passages in them."""
    count: int = 0
    """Of these passages."""
    whole: bool = False
    """All are in it, so that it takes no more."""
    index: Mapping[str, Any] | None = None
    """Once it can be searched."""

    @classmethod
    def read(cls, path: Path, fingerprint: str, shard: int) -> _State:
        known = read_json(path) if path.exists() else {}
        state = cls(path, (fingerprint, shard))
        made_by, size = known.get("how", ("", 0))
        if made_by != fingerprint or (size != shard and not known["whole"]):
            return state
        return replace(state, **{name: known[name] for name in ("shards", "written", "count", "whole", "index")})

    def anew(self) -> _State:
        """Nothing of what there is counts."""
        return _State(self.path, self.how)

    def said(self, **changed: Any) -> _State:
        """With what has changed; it is on disk then."""
        state = replace(self, **changed)
        write_json(self.path, {"version": 2, **{name: value for name, value in vars(state).items() if name != "path"}})
        return state


def _write(documents: Passages, encode: Encode, kept: KeptVectors, writer: Writer, state: _State, way: _Way) -> _State:
    """Everything is in the index then; without ``whole``: stopped.

    Shards that were written before stay, if they are what the documents still begin with.
    """
    if state.shards < 0:
        writer.discard()
        state = state.said(shards=0)
    corpus, total, before, number = _Corpus(), len(documents), state.shards, -1
    writer.begin(kept.dimension)
    for number, piece in enumerate(shards(documents, state.how[1])):
        corpus.read(piece)
        if number < before:
            if number + 1 == before and corpus.name != state.written:
                break
            continue
        if way.stopping() or not _late(piece, encode, kept, way):
            return state
        writer.write(number, piece, kept.vectors(keys_of([each.text for each in piece])))
        state = state.said(shards=number + 1, written=corpus.name, count=corpus.count)
        way.tell(Progress("write", corpus.count, max(total, corpus.count)))
    corpus.check()
    if corpus.name != state.written:  # what was written before is not what the documents begin with
        return _write(documents, encode, kept, writer, state.anew(), way)
    return state.said(whole=True)


def _late(piece: Sequence[Passage], encode: Encode, kept: KeptVectors, way: _Way) -> bool:
    """Embed what has changed since the first pass; False: stopped."""
    if kept.has(keys_of([each.text for each in piece])).all():
        return True
    quiet = replace(way, tell=lambda _: None, sent=0, embedded=0)
    return _embed(piece, encode, kept, len(piece), quiet) is not None
