"""The looks that are taken at a sample of entries: their vectors and their texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.probed import OFF
from driftwatch.probes.believed import Believed, Row, look_of, settle
from driftwatch.probes.stored import Read, Reader, joined, judged, kinds_in_words, numbers_of
from driftwatch.probes.strings import TEXTS
from driftwatch.probes.vectors import VectorsSeen
from driftwatch.probes.walking import Chosen
from driftwatch.stats.proportion import wilson
from driftwatch.types import Look, Stored

if TYPE_CHECKING:
    from driftwatch.probes.index import Run

STEP = 64
"""Entries by which a sample grows."""
ALL_UNIT = 0.95
"""The share of vectors of length 1 from which on they are all meant to be."""
FEWEST_ALIKE = 0.5
"""Stored texts are comparable with the source's when at least this share of them is alike."""


@dataclass
class Sampled:
    """What was read for the sample."""

    sample: list[Stored] = field(default_factory=list)
    langs: dict[str, str] = field(default_factory=dict)

    def lang_of(self, entry: Stored) -> str:
        """The language of an entry; empty: not known."""
        return self.langs.get(entry.entry_id, entry.lang)


def look(run: Run, chosen: Chosen, found: Sampled) -> None:
    """Read the entries, compare what is to be compared, and hand on what was read in ``found``.

    Raises:
        DriftwatchError: the index, the source or the model could not be asked.
    """
    index = run.target.index
    assert index is not None
    if chosen.unable or "vectors" not in index.capabilities:
        why = chosen.unable or f"'{index.kind}' cannot give stored vectors"
        run.looks |= {"stored vectors": Look(unable=why), "texts": Look(unable=why)}
        return
    reader = Reader(index, run.target.embedder, run.target.corpus, chosen.several, run.go_on)
    parts = reader.read([*chosen.again, *chosen.first, *chosen.walk])
    comparing = Comparing(run, reader, chosen)
    parts = comparing.grow(parts)
    read = joined(parts)
    # Those without a text too: the walk would come to them again and again, and one day to nothing else.
    chosen.used([each for each in read.asked if each in comparing.walked])
    by_id = {each.entry_id: (each, lang) for each, lang in zip(read.entries, read.langs, strict=True)}
    order = dict.fromkeys([*chosen.walk, *chosen.first, *comparing.walked])
    found.sample += [by_id[each][0] for each in order if each in by_id]
    found.langs |= {entry_id: lang for entry_id, (_, lang) in by_id.items()}
    _texts(run, read)
    if run.target.embedder is None:
        run.looks["stored vectors"] = Look(unable="no embedder is configured", words={"kind": OFF})
    elif not read.entries:
        run.looks["stored vectors"] = Look(unable=_nothing_to_compare(read, chosen))
    else:
        comparing.tell(read)


class Comparing:
    """The sample's vectors against fresh ones, growing while something bad is seen and its share is not known well."""

    def __init__(self, run: Run, reader: Reader, chosen: Chosen) -> None:
        self.run, self.reader, self.chosen = run, reader, chosen
        self.walked = dict.fromkeys(chosen.walk)
        """What the walk came to in this run, in its order. A suspect that it has yet to come to is not among them: what
        is asked again is chosen for what it was, and says nothing of the rest.
        """
        self.believed = Believed.read(run.former.get("vectors", {}))
        embedder = run.target.embedder
        self.reference: NDArray[np.float32] = (
            embedder.encode_documents(TEXTS) if embedder is not None else np.empty((0, 0), np.float32)
        )
        self.unit = run.former.get("vectors", {}).get("unit")
        self.normalised = were_unit(run.former)

    def grow(self, parts: list[Read]) -> list[Read]:
        """``parts``, and more of the walk while that is worth it; the rest of the known ones when some are mended."""
        if self.run.target.embedder is None:
            return parts
        further, looked = list(self.chosen.further), len(self.chosen.first) + len(self.chosen.walk)
        rest = list(self.chosen.known)
        while self.run.go_on() and any(part.entries for part in parts):
            seen, read = self.see(joined(parts))
            if rest and self._any_mended(seen, read):
                parts = [*parts, *self.reader.read(rest[:STEP])]
                rest = rest[STEP:]
            elif further and looked < self.run.settings.most_documents and self._is_worth_it(seen, read):
                step = further[: min(STEP, self.run.settings.most_documents - looked)]
                self.walked |= dict.fromkeys(step)
                known = {*read.asked}
                parts = [*parts, *self.reader.read([each for each in step if each not in known])]
                further, looked = further[len(step) :], looked + len(step)
            else:
                break
        return parts

    def see(self, read: Read) -> tuple[VectorsSeen, Read]:
        """What the vectors are."""
        assert self.run.target.embedder is not None
        fair = np.array([each.entry_id in self.walked for each in read.entries], dtype=bool)
        seen, embedded = judged(read, self.run.target.embedder, self.reference, self.run.facts, self.normalised, fair)
        self.reader.embedded += embedded
        return seen, read

    def tell(self, read: Read) -> None:
        """The look, and what the next run goes on with."""
        run = self.run
        seen, _ = self.see(read)
        n, bad = self._tallied(seen, read)
        rows = list(map(Row, read.entries, read.langs, seen.kinds, read.marks))
        told = settle(self.believed, rows, read.gone, run.now, run.settings.lag, at_once=run.is_first)
        self.believed.tally = (n, bad) if self.believed.known or self.believed.suspects else (0, 0)
        unit = seen.unit if self.unit is None and len(seen.cosines) else self.unit
        run.state["vectors"] = self.believed.dump() | {"usual": self._usual(seen), "unit": unit}
        counts = {
            "embedded": self.reader.embedded,
            "without text": read.without_text,
            "without vector": read.without_vector,
        }
        values = numbers_of(seen) | {name: float(count) for name, count in counts.items()}
        if (usual := run.former.get("vectors", {}).get("usual")) is not None:
            values["usual displacement"] = float(usual[0])
        run.looks["stored vectors"] = look_of(
            told, self.believed, values, kinds_in_words(seen), _why(seen, self.believed)
        )

    def _any_mended(self, seen: VectorsSeen, read: Read) -> bool:
        pairs = zip(read.entries, seen.kinds, strict=True)
        well = (each.entry_id for each, kind in pairs if not kind)
        return any(entry_id in self.believed.known for entry_id in (*well, *read.gone))

    def _is_worth_it(self, seen: VectorsSeen, read: Read) -> bool:
        """Whether something bad was seen, and the 95 % interval of its share is still wide."""
        n, bad = self._tallied(seen, read)
        new = any(
            kind and each.entry_id not in self.believed.known and each.entry_id not in self.believed.suspects
            for each, kind in zip(read.entries, seen.kinds, strict=True)
        )
        if not (bad and new):
            return False
        low, high = wilson(bad, n)
        return high - low > self.run.settings.precision

    def _tallied(self, seen: VectorsSeen, read: Read) -> tuple[int, int]:
        """(looked at, bad) of the walk, this run and those before it."""
        kinds = [kind for each, kind in zip(read.entries, seen.kinds, strict=True) if each.entry_id in self.walked]
        return self.believed.tally[0] + len(kinds), self.believed.tally[1] + sum(map(bool, kinds))

    def _usual(self, seen: VectorsSeen) -> list[float]:
        """[mean displacement of the first runs, runs]."""
        mean, runs = self.run.former.get("vectors", {}).get("usual") or (0.0, 0)
        if runs >= 24 or seen.bad.mean() > 0.5:
            return [mean, runs]
        return [(mean * runs + seen.displacement) / (runs + 1), runs + 1]


def were_unit(state: Mapping[str, Any]) -> bool | None:
    """Whether stored vectors had length 1 when the index was first looked into; None: not known."""
    unit = state.get("vectors", {}).get("unit")
    return None if unit is None else bool(unit >= ALL_UNIT)


def _texts(run: Run, read: Read) -> None:
    """The stored texts against the source's."""
    if run.target.corpus is None:
        run.looks["texts"] = run.target.without_corpus
        return
    each = zip(read.entries, read.langs, read.differs, read.marks, strict=True)
    rows = [Row(entry, lang, "text" * differs, mark) for entry, lang, differs, mark in each if differs is not None]
    if not rows:
        run.looks["texts"] = Look(unable="the index gives no texts" if read.asked else "no entry could be read")
        return
    alike = bool(run.former.get("texts alike")) or sum(not row.kind for row in rows) >= FEWEST_ALIKE * len(rows)
    if not alike:
        run.looks["texts"] = Look(unable="stored texts are not made as the source's are: none could be compared")
        return
    run.state["texts alike"] = True
    believed = Believed.read(run.former.get("texts", {}))
    told = settle(believed, rows, read.gone, run.now, run.settings.lag, at_once=run.is_first)
    run.state["texts"] = believed.dump()
    why = f"{len(believed.known)} stored texts are not those of their documents" if believed.known else ""
    run.looks["texts"] = look_of(told, believed, {}, {}, why)


def _why(seen: VectorsSeen, believed: Believed) -> str:
    if believed.known:
        return f"{len(believed.known)} stored vectors do not belong to their texts ({seen.kind or 'other text'})"
    if seen.kind in ("moved", "other model") and seen.displacement:
        return f"all stored vectors are {100 * seen.displacement:.2g}% away from fresh ones"
    return ""


def _nothing_to_compare(read: Read, chosen: Chosen) -> str:
    if not read.asked and chosen.unlisted:
        return chosen.unlisted
    if read.without_text and chosen.several.everything:
        return "documents have several entries, and the index does not give their texts"
    if read.without_text:
        return "neither the index nor 'documents' has the texts of the entries"
    return "no entry that was read has a vector" if read.without_vector else "no entry could be read"
