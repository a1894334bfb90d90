"""How long a canary run takes beside the bare `model.encode` and `index.search` it is made of.

    python benchmarks/canary_speed.py            # prints, and writes benchmarks/results/canary_speed.{json,md}

The real path is `Engine.observe`: the suite is read from its file, the queries are embedded (or found in the cache),
the index on disk is checked for changes and searched, and every answer is written to SQLite. The bare alternative has
its texts, its model and its index in memory and throws its answers away. Both share one loaded model and one kind of
index; loading either is no part of any figure. Repetitions alternate, so that a busy machine troubles both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from _corpora import MODEL, RESULTS, data, document_vectors, embedder, qrels, rows, write_canaries, write_index

from driftwatch.config import load_watch
from driftwatch.embed import TextEmbedder
from driftwatch.engine import Engine
from driftwatch.store import Store

FIRST_AT_MOST, REPEATED_AT_MOST = 1.10, 1.20
START = datetime(2026, 5, 4, tzinfo=UTC)
CONFIG = f"""
service: scifact
database: sqlite:///driftwatch.db
retriever: {{kind: faiss, index: docs.faiss, ids: ids.txt, top_k: 20}}
embedder: {{model: "{MODEL}", device: cpu}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 1h}}
checks:
  - {{name: canary recall, kind: canary, source: canaries, measure: R@10, at_least: 0.5}}
notify: [{{kind: console, name: terminal}}]
"""


def prepare(folder: Path, canaries: int, filler: int) -> None:
    """SciFact's claims as canaries over its abstracts, which lie among random vectors."""
    source = data("scifact")
    documents = rows(source / "corpus.jsonl.gz")
    real = document_vectors([f"{row['title']} {row['text']}" for row in documents])
    noise = np.random.default_rng(1).normal(size=(filler, real.shape[1])).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    ids = [str(row["id"]) for row in documents] + [f"filler-{number}" for number in range(filler)]
    write_index(folder, np.vstack([real, noise]), ids)
    judged = qrels(source / "qrels_train.tsv") | qrels(source / "qrels_test.tsv")
    claims = [row for row in rows(source / "queries.jsonl") if row["id"] in judged][:canaries]
    write_canaries(
        folder,
        [
            {"query_id": row["id"], "text": row["text"], "lang": "en", "relevant": list(judged[row["id"]])}
            for row in claims
        ],
    )
    (folder / "driftwatch.yaml").write_text(CONFIG)


class Bench:
    """Both alternatives over one prepared folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.watch = load_watch(folder / "driftwatch.yaml")
        self.texts = [row["text"] for row in rows(folder / "canaries.jsonl")]
        self.index = faiss.read_index(str(folder / "docs.faiss"))
        warm = embedder()
        warm.encode_queries([f"load the model {time.time()}"])
        self.loaded = warm._loaded
        assert self.loaded is not None
        assert self.watch.retriever is not None
        self.watch.retriever.reach()
        self.now = START
        self.vectors = self.encode()

    def encode(self) -> Any:
        """The bare half of a first run."""
        model = self.loaded.model  # type: ignore[union-attr]
        return model.encode(self.texts, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)

    def bare_first(self) -> float:
        """Seconds of encoding and searching."""
        began = time.perf_counter()
        self.index.search(self.encode(), 20)
        return time.perf_counter() - began

    def bare_repeated(self) -> float:
        """Seconds of searching alone."""
        began = time.perf_counter()
        self.index.search(self.vectors, 20)
        return time.perf_counter() - began

    @contextmanager
    def fresh(self) -> Iterator[Engine]:
        """An engine with a new database and an empty cache."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            store = Store.open(f"sqlite:///{scratch}/driftwatch.db")
            assert self.watch.embedder is not None
            model = TextEmbedder(self.watch.embedder, Path(scratch))
            model._loaded = self.loaded
            try:
                yield Engine(self.watch, store, embedder=model)
            finally:
                store.close()

    def observe(self, engine: Engine) -> float:
        """Seconds of one canary run."""
        self.now += timedelta(hours=1)
        began = time.perf_counter()
        observed = engine.observe("canaries", self.now)
        took = time.perf_counter() - began
        if observed.failed or observed.count != len(self.texts):
            sys.exit(f"the run went wrong: {observed}")
        return took


def measure(bench: Bench, repetitions: int) -> dict[str, Any]:
    """Alternating repetitions, after one that warms both up and is not counted; a repeated run is measured thrice."""
    raw: dict[str, dict[str, list[float]]] = {part: {"bare": [], "real": []} for part in ("first", "repeated")}

    def alternate(part: str, bare: Callable[[], float], real: Callable[[], float], counts: bool) -> None:
        order = [("bare", bare), ("real", real)]
        for side, run in order if len(raw[part]["bare"]) % 2 else order[::-1]:
            seconds = run()
            if counts:
                raw[part][side].append(seconds)

    for repetition in range(repetitions + 1):
        with bench.fresh() as engine:
            again = partial(bench.observe, engine)
            alternate("first", bench.bare_first, again, repetition > 0)
            for _ in range(3):
                alternate("repeated", bench.bare_repeated, again, repetition > 0)
        print(f"  {repetition} of {repetitions}", file=sys.stderr)
    return {"raw_seconds": raw, **{part: summary(sides["bare"], sides["real"]) for part, sides in raw.items()}}


def summary(bare: list[float], real: list[float]) -> dict[str, float]:
    """Medians, their ratio, and the ratio of the quickest ones, which a busy machine troubles least."""
    return {
        "bare": statistics.median(bare),
        "real": statistics.median(real),
        "ratio": statistics.median(real) / statistics.median(bare),
        "ratio_of_quickest": min(real) / min(bare),
    }


def report(found: dict[str, Any]) -> str:
    """The table as Markdown."""
    setting = found["setting"]
    limits = {"first": FIRST_AT_MOST, "repeated": REPEATED_AT_MOST}
    bare = {"first": "`model.encode` + `index.search`", "repeated": "`index.search`"}
    lines = [
        "# The speed of a canary run",
        "",
        f"{setting['canaries']} canaries over {setting['vectors']:,} vectors of 384 numbers (SciFact's 5,183 abstracts"
        " among random ones, so that a search costs what it costs in a real index), all-MiniLM-L6-v2,"
        f" {setting['threads']} threads on {setting['processors']} processors, Python {setting['python']};"
        f" medians of {setting['repetitions']}"
        f" alternating repetitions, at a load of {setting['load_average'][1]}."
        " `python benchmarks/canary_speed.py` makes this page.",
        "",
        "| run | through driftwatch | bare alternative | its time | ratio | of the quickest | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for part in ("first", "repeated"):
        each = found[part]
        lines.append(
            f"| {part} | {each['real']:.3f} s | {bare[part]} | {each['bare']:.3f} s | {each['ratio']:.3f}"
            f" | {each['ratio_of_quickest']:.3f} | {limits[part]:.2f} |"
        )
    lines += ["", "Every repetition is in `canary_speed.json`.", ""]
    return "\n".join(lines)


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canaries", type=int, default=600)
    parser.add_argument("--filler", type=int, default=200_000, help="random vectors around the real ones")
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.canaries, options.filler)
        bench = Bench(Path(folder))
        found = measure(bench, options.repetitions)
        found["setting"] = {
            "canaries": len(bench.texts),
            "vectors": bench.index.ntotal,
            "repetitions": options.repetitions,
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "threads": faiss.omp_get_max_threads(),
            "load_average": [round(load, 1) for load in os.getloadavg()],
        }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "canary_speed.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "canary_speed.md").write_text(report(found))
    print(report(found))
    if found["setting"]["load_average"][1] > (os.cpu_count() or 1) + 1:
        print("the machine was too busy with other things to say whether it holds")
        return 2
    holds = found["first"]["ratio"] <= FIRST_AT_MOST and found["repeated"]["ratio"] <= REPEATED_AT_MOST
    print("holds" if holds else "DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
