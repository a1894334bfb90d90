"""What the index probes say of indexes that are well, how long a defect stays hidden, and what they cost.

    python benchmarks/probes.py                 # prints, and writes benchmarks/results/probes.{json,md}
    python benchmarks/probes.py --runs 70 --seeds 10

Untouched: 1,000 hourly probe runs, each judged by `integrity` over the last day, on six kinds of FAISS index and on
two Qdrant collections, of real documents (XQuAD in 12 languages, SciFact) with real vectors; in two of the streams
documents are added and change all the time, text and vector together, and in one of them the index is an hour behind
the source. Every finding that is not `ok` is counted.

Mixed: a share of the vectors is replaced by vectors of another model of the same dimension (the same vectors after a
random rotation) between two runs of a quiet index; how long until the first finding that fails, over many seeds?

A look-up table of the vectors stands for the model, so seconds a run are without embedding; how many texts a run
embeds is counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from _corpora import ROOT, data, document_vectors, rows
from _report import show_and_keep
from numpy.typing import NDArray

from driftwatch.checks.integrity import Integrity
from driftwatch.documents import Documents
from driftwatch.probes import Target
from driftwatch.probes.index import look_at
from driftwatch.retrievers import Retriever
from driftwatch.retrievers.faiss import Faiss
from driftwatch.sources.index import Index
from driftwatch.types import Finding, Probe, Query, Window

START = datetime(2026, 5, 4, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DOCUMENTS, RESERVE = 3000, 4000
"""In the index, and waiting to be added or to take the place of what changes."""
CANARIES = 120
FAISS = {
    "Flat": ("Flat", {}),
    "HNSW": ("HNSW32", {"ef_search": 64}),
    "IVF": ("IVF32,Flat", {"nprobe": 16}),
    "IVFPQ": ("IVF32,PQ96", {"nprobe": 16}),
    "PQ": ("PQ48", {}),
    "SQ8": ("SQ8", {}),
}
QDRANT: dict[str, Any] = {"Qdrant": None, "Qdrant, int8": {"scalar": {"type": "int8"}}}
CHECK = Integrity(name="index integrity", source="index")
SOURCE = Index(name="index")
Vectors = NDArray[np.float32]


class LookUp:
    """The model's own vectors, found by text."""

    fingerprint = "looked up"
    normalises = True

    def __init__(self, texts: Sequence[str], vectors: Vectors) -> None:
        self.known = dict(zip(texts, vectors, strict=True))
        self.asked = 0

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Rows in the order of the texts; what is not known (the probe strings) gets some vector of its own."""
        self.asked += len(texts)
        return np.stack([self.known[text] if text in self.known else self._invented(text) for text in texts])

    encode_queries = encode_documents

    def _invented(self, text: str) -> NDArray[np.float32]:
        drawn = np.random.default_rng(list(text.encode())).normal(size=384).astype(np.float32)
        self.known[text] = drawn / np.linalg.norm(drawn)
        return self.known[text]


class World:
    """Documents, their vectors, an index of them, and one probe run after another."""

    def __init__(self, folder: Path, material: Material, kind: str, store: Any = None) -> None:
        self.folder, self.kind, self.store = folder, kind, store
        self.ids = [f"doc-{row}" for row in range(DOCUMENTS)]
        self.texts = list(material.texts[:DOCUMENTS])
        self.langs = list(material.langs[:DOCUMENTS])
        self.vectors = material.vectors[:DOCUMENTS].copy()
        self.reserve = iter(range(DOCUMENTS, len(material.texts)))
        self.material = material
        self.embedder = LookUp(material.texts, material.vectors)
        self.canaries = tuple(
            Query(f"q{n}", self.texts[row], self.langs[row], {self.ids[row]: 1})
            for n, row in enumerate(np.linspace(0, DOCUMENTS - 1, CANARIES).astype(int).tolist())
        )
        self.write_source()
        self.write_index()
        self.index = self._retriever()
        self.probes: list[Probe] = []
        self.seconds: list[float] = []

    def look(self) -> Finding:
        """One more hour."""
        now = START + len(self.probes) * HOUR
        corpus = Documents(path="corpus.jsonl").corpus(self.folder)
        target = Target(self.index, self.index, self.embedder, corpus, canaries=self.canaries)  # type: ignore[arg-type]
        clock = time.perf_counter()
        self.probes.append(look_at(SOURCE, target, self.probes[-1] if self.probes else None, now))
        self.seconds.append(time.perf_counter() - clock)
        window = tuple(probe for probe in self.probes[-24:] if probe.at > now - DAY)
        return CHECK.judge(Window(now - DAY, now + timedelta(seconds=1), probes=window), None, None)

    def change(self, share: float, added: int) -> None:
        """Documents get other texts and their vectors, and others are added."""
        rng = np.random.default_rng(len(self.probes))
        for row in rng.choice(len(self.ids), round(share * len(self.ids)), replace=False).tolist():
            if (new := next(self.reserve, None)) is not None and self.canaries:
                self._put(row, new)
        for _ in range(added):
            if (new := next(self.reserve, None)) is not None:
                self.ids.append(f"new-{new}")
                self.texts.append("")
                self.langs.append("")
                self.vectors = np.vstack([self.vectors, self.material.vectors[new : new + 1]])
                self._put(len(self.ids) - 1, new)

    def _put(self, row: int, new: int) -> None:
        self.texts[row], self.langs[row] = self.material.texts[new], self.material.langs[new]
        self.vectors[row] = self.material.vectors[new]

    def write_source(self) -> None:
        """The documents as their source has them."""
        lines = [
            json.dumps({"id": each, "text": text, "lang": lang}, ensure_ascii=False)
            for each, text, lang in zip(self.ids, self.texts, self.langs, strict=True)
        ]
        (self.folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")

    def write_index(self) -> None:
        """The index as it is now."""
        if self.store is not None:
            if not self.store.collections:
                self.store.create("docs", 384, "Dot", quantization=QDRANT[self.kind])
            payloads = [
                {"doc_id": each, "text": text, "lang": lang}
                for each, text, lang in zip(self.ids, self.texts, self.langs, strict=True)
            ]
            self.store.upsert("docs", range(1, len(self.ids) + 1), self.vectors, payloads)
            self.store.optimize("docs")
            return
        import faiss

        index = faiss.index_factory(384, FAISS[self.kind][0], faiss.METRIC_INNER_PRODUCT)
        index.train(self.vectors)
        index.add(self.vectors)
        faiss.write_index(index, str(self.folder / "docs.faiss"))
        (self.folder / "ids.txt").write_text("".join(f"{each}\n" for each in self.ids))

    def _retriever(self) -> Retriever:
        if self.store is None:
            files = {"index": self.folder / "docs.faiss", "ids": self.folder / "ids.txt"}
            return Faiss(kind="faiss", **files, **FAISS[self.kind][1])
        from driftwatch.retrievers.qdrant import Qdrant

        return Qdrant(kind="qdrant", url=self.store.url, collection="docs", doc_key="doc_id")


class Material:
    """Real documents with their real vectors, in an order that mixes both sets."""

    def __init__(self) -> None:
        paragraphs = rows(data("xquad") / "corpus.jsonl.gz")
        abstracts = rows(data("scifact") / "corpus.jsonl.gz")
        texts = {
            " ".join(filter(None, (row.get("title"), row["text"]))): row.get("lang", "en")
            for row in (*paragraphs, *abstracts)
        }
        vectors = document_vectors(list(texts))
        order = np.random.default_rng(4).permutation(len(texts))[: DOCUMENTS + RESERVE]
        named = list(texts.items())
        self.texts = [named[row][0] for row in order]
        self.langs = [named[row][1] for row in order]
        self.vectors = vectors[order]


def streams(folder: Path, material: Material) -> Iterator[tuple[str, World, Callable[[World], Finding]]]:
    """Name, world and how an hour passes in it."""
    for kind in FAISS:
        (own := folder / kind).mkdir()
        yield f"FAISS {kind}", World(own, material, kind), World.look
    for name, hour in (("Flat, documents change", _together), ("SQ8, index an hour behind", _behind)):
        (own := folder / name.replace(" ", "-")).mkdir()
        yield f"FAISS {name}", World(own, material, name.partition(",")[0]), hour
    sys.path.append(str(ROOT))  # the tests' Qdrant is its real engine behind its protocol
    from tests.fakes.qdrant_server import QdrantServer

    for kind in QDRANT:
        (own := folder / kind).mkdir()
        with QdrantServer(folder / f"{kind}-server") as store:
            yield kind, World(own, material, kind, store), World.look


def _together(world: World) -> Finding:
    world.change(0.003, 3)
    world.write_source()
    world.write_index()
    return world.look()


def _behind(world: World) -> Finding:
    """The index holds what the source held an hour ago."""
    world.write_index()
    world.change(0.003, 3)
    world.write_source()
    return world.look()


def untouched(folder: Path, material: Material, runs: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Rows of the table, and every verdict."""
    table, verdicts = [], Counter[str]()
    for name, world, hour in streams(folder, material):
        found = [hour(world) for _ in range(runs)]
        told = Counter(finding.verdict for finding in found)
        verdicts += told
        for finding in found:
            if finding.verdict != "ok":
                print(f"{name}: {finding.at:%m-%d %H:%M} {finding.verdict}: {finding.message}")
        last = world.probes[-1].looks
        table.append(
            {
                "stream": name,
                "runs": runs,
                "not ok": runs - told["ok"],
                "recall@10": f"{last['recall of the index'].values.get('recall@10', float('nan')):.3f}",
                "documents embedded a day": round(24 * _embedded(world) / runs),
                "ms a run": round(1000 * float(np.median(world.seconds))),
                "state, bytes": len(json.dumps(world.probes[-1].state)),
            }
        )
        print(table[-1], flush=True)
    return table, dict(verdicts)


def _embedded(world: World) -> float:
    return sum(probe.looks["stored vectors"].values.get("embedded", 0.0) for probe in world.probes)


def hidden(folder: Path, material: Material, share: float, seeds: int, most: int) -> list[int | None]:
    """Hours until the first failing finding, one a seed; None: not within ``most``."""
    (own := folder / f"mixed-{share}").mkdir()
    world = World(own, material, "Flat")
    world.look()
    well, vectors = world.probes[0], world.vectors
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0].astype(np.float32)
    found: list[int | None] = []
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        hit = rng.choice(DOCUMENTS, max(1, round(share * DOCUMENTS)), replace=False)
        world.vectors = vectors.copy()
        world.vectors[hit] = vectors[hit] @ rotation
        world.write_index()
        # Where the walk stands is as good as random: each seed finds it elsewhere in its order.
        state = {**well.state, "walk": {**well.state["walk"], "round": seed, "queue": []}}
        world.probes = [Probe(well.probe_id, well.source, well.at, well.looks, well.facts, state=state)]
        hours = next((hour for hour in range(1, most + 1) if world.look().verdict == "fail"), None)
        found.append(hours)
    print(f"{share:.1%} of another model: hours {sorted(found, key=lambda hours: hours or 10**6)}", flush=True)
    return found


def delays(share: float, found: Sequence[int | None]) -> dict[str, Any]:
    """A row of the second table."""
    known = [hours for hours in found if hours is not None]
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95)) if known else (np.nan,) * 3
    return {
        "stream": f"{share:.1%} of the vectors are another model's, {len(found)} seeds",
        "found within 24 h": sum(hours <= 24 for hours in known),
        "not found": len(found) - len(known),
        "mean hours": f"{np.mean(known):.1f}" if known else "",
        "5 %, 50 %, 95 %": f"{low:.0f}, {middle:.0f}, {high:.0f} h",
        "latest": f"{max(known, default=0)} h",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="hourly probe runs of each of the ten streams")
    parser.add_argument("--seeds", type=int, default=100)
    given = parser.parse_args()
    material = Material()
    with tempfile.TemporaryDirectory() as folder:
        table, verdicts = untouched(Path(folder), material, given.runs)
        found = {share: hidden(Path(folder), material, share, given.seeds, 96) for share in (0.01, 0.001)}
    late = [delays(share, hours) for share, hours in found.items()]
    raw = {"untouched": table, "verdicts": verdicts, "hours until found": {str(share): h for share, h in found.items()}}
    columns = list(dict.fromkeys([*table[0], *late[0]]))
    title = f"The index probes: {sum(verdicts.values()):,} runs on indexes that are well, and defects that are mixed in"
    show_and_keep("probes", title, [{name: row.get(name, "") for name in columns} for row in (*table, *late)], raw)


if __name__ == "__main__":
    main()
