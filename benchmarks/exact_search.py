"""What exact search costs beside the bare blocked matrix product and top-k that it is made of, and its memory.

    python benchmarks/exact_search.py            # prints, and writes benchmarks/results/exact_search.{json,md}
    python benchmarks/exact_search.py --work     # seconds of one processor: says something on a busy machine too

Each way is timed in turn with two bare alternatives over the same vectors in memory, in which nothing has a name:
FAISS's own blocked product and top-k (`faiss.knn`), and torch's `queries @ block.T` with `topk`, block by block. The
limit holds against the quicker of the two. Repetitions alternate, so that a busy machine troubles all alike. Memory is
the most that is taken above what there was before the search (the index itself not counted), by the kernel's
high-water mark, in a process of its own, also over an index three times as large.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from _report import show_and_keep

from driftwatch.retrievers._exact import BLOCK_BYTES, best_of
from driftwatch.retrievers.faiss import Faiss

AT_MOST = 1.3
MEMORY_AT_MOST = 256
"""MB above what there was before the search."""
TOP_K = 20
PAGE = 1000
"""Entries of one block, as a store is asked for them."""
SPECS = {"faiss Flat": "Flat", "faiss IVF": "IVF256,Flat", "faiss HNSW": "HNSW8,Flat", "faiss SQ8": "SQ8"}
WAYS = (*SPECS, "best_of, whole", "best_of, pages", "best_of, cosine")


class Bench:
    """Vectors, queries and indexes on disk."""

    def __init__(self, folder: Path, size: int, dimension: int, queries: int) -> None:
        self.folder = folder
        rng = np.random.default_rng(3)
        self.vectors = rng.normal(size=(size, dimension)).astype(np.float32)
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)
        self.queries = rng.normal(size=(queries, dimension)).astype(np.float32)
        self.names = [f"doc-{row}" for row in range(size)]
        self.opened: dict[str, Faiss] = {}

    def write(self, way: str) -> None:
        """The index of a way, built little, since its graph is not what is searched."""
        index = faiss.index_factory(self.vectors.shape[1], SPECS[way], faiss.METRIC_INNER_PRODUCT)
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = 8
        index.train(self.vectors[:20_000])
        index.add(self.vectors)
        faiss.write_index(index, str(self.file(way)))
        self.file(way).with_suffix(".txt").write_text("\n".join(self.names))

    def file(self, way: str) -> Path:
        return self.folder / f"{way.replace(' ', '-')}.faiss"

    def open(self, way: str) -> None:
        """Read the index: no part of any figure."""
        file = self.file(way)
        self.opened[way] = Faiss(kind="faiss", index=file, ids=file.with_suffix(".txt"), top_k=TOP_K)
        self.opened[way].reach()

    def search(self, way: str) -> Any:
        """One exact search of all queries."""
        if way in SPECS:
            return self.opened[way].search_vectors(self.queries, TOP_K, exact=True)
        metric = "cosine" if way.endswith("cosine") else "dot"
        blocks = self.pages() if way.endswith("pages") else [(self.names, self.vectors)]
        return best_of(blocks, self.queries, TOP_K, metric)  # type: ignore[arg-type]

    def pages(self) -> Iterator[tuple[list[str], Any]]:
        """As a store gives them."""
        for start in range(0, len(self.vectors), PAGE):
            yield self.names[start : start + PAGE], self.vectors[start : start + PAGE]

    def bare_faiss(self) -> Any:
        """`faiss.knn`."""
        return faiss.knn(self.queries, self.vectors, TOP_K, faiss.METRIC_INNER_PRODUCT)

    def bare_torch(self) -> Any:
        """Block by block, the best of each block and then of all."""
        queries, vectors = torch.from_numpy(self.queries), torch.from_numpy(self.vectors)
        step = 8192
        found = [
            torch.topk(queries @ vectors[start : start + step].T, TOP_K, dim=1)
            for start in range(0, len(vectors), step)
        ]
        return torch.topk(torch.cat([each.values for each in found], dim=1), TOP_K, dim=1)


def seconds(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Of one run."""
    began = clock()
    run()
    return clock() - began


def measure(bench: Bench, repetitions: int, *, work: bool) -> dict[str, list[float]]:
    """Seconds by way: each way between the bare ones, the first round not counted."""
    clock = time.process_time if work else time.perf_counter
    if work:
        faiss.omp_set_num_threads(1)
        torch.set_num_threads(1)
    raw: dict[str, list[float]] = {name: [] for name in ("faiss.knn", "torch", *WAYS)}
    runs: dict[str, Callable[[], Any]] = {"faiss.knn": bench.bare_faiss, "torch": bench.bare_torch}
    runs |= {way: lambda way=way: bench.search(way) for way in WAYS}  # type: ignore[misc]
    for repetition in range(repetitions + 1):
        order = list(runs) if repetition % 2 else list(runs)[::-1]
        for name in order:
            took = seconds(runs[name], clock)
            if repetition:
                raw[name].append(took)
        print(f"  {repetition} of {repetitions}", file=sys.stderr)
    return raw


def agree(bench: Bench) -> None:
    """Every way finds what the bare one finds; what compresses its vectors finds most of it."""
    _, rows = bench.bare_faiss()
    wanted = [[bench.names[row] for row in found] for found in rows.tolist()]
    for way in WAYS:
        found = [[hit.doc_id for hit in hits] for hits in bench.search(way)]
        shared = np.mean([len(set(one) & set(other)) / TOP_K for one, other in zip(found, wanted, strict=True)])
        if shared < (0.9 if "SQ8" in way else 0.9999):
            sys.exit(f"{way} finds {shared:.4f} of what it should")


def memory(options: argparse.Namespace, way: str, size: int) -> float:
    """MB above what there was before the search, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", way, "--size", str(size), "--dimension", str(options.dimension)]
    done = subprocess.run([*command, "--queries", str(options.queries)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def memory_here(options: argparse.Namespace) -> float:
    """The same, in this process: the kernel's high-water mark is set back before the search."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.size, options.dimension, options.queries)
        if options.memory_of in SPECS:
            bench.write(options.memory_of)
            bench.open(options.memory_of)
        bench.queries, few = bench.queries[:1].repeat(32, axis=0), bench.queries
        bench.search(options.memory_of)  # threads and buffers of the libraries
        bench.queries = few
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        bench.search(options.memory_of)
        return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--work", action="store_true", help="processor time of one thread instead of the clock's")
    parser.add_argument("--memory-of", choices=WAYS, help="only the memory of this way, in MB")
    options = parser.parse_args()
    if options.memory_of:
        print(memory_here(options))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.size, options.dimension, options.queries)
        for way in SPECS:
            bench.write(way)
            bench.open(way)
        agree(bench)
        raw = measure(bench, options.repetitions, work=options.work)
    busy = not options.work and os.getloadavg()[0] > (os.cpu_count() or 1) + 1
    return report(
        options,
        raw,
        {way: (memory(options, way, options.size), memory(options, way, 3 * options.size)) for way in WAYS},
        busy=busy,
    )


def report(
    options: argparse.Namespace, raw: dict[str, list[float]], most: dict[str, tuple[float, float]], *, busy: bool
) -> int:
    """Write the page; 0: it holds, 1: it does not, 2: nobody can say."""
    medians = {name: statistics.median(each) for name, each in raw.items()}
    bare = min(("faiss.knn", "torch"), key=lambda name: medians[name])
    ratios = {way: medians[way] / medians[bare] for way in WAYS}
    quickest = {way: min(raw[way]) / min(raw["faiss.knn"] + raw["torch"]) for way in WAYS}
    rows = [
        {
            "way": f"bare: {name}",
            "seconds": f"{medians[name]:.3f}",
            "ratio": "",
            "of the quickest": "",
            "at most": "",
            "MB above start": "",
            "MB, three times the index": "",
        }
        for name in ("faiss.knn", "torch")
    ]
    rows += [
        {
            "way": way,
            "seconds": f"{medians[way]:.3f}",
            "ratio": f"{ratios[way]:.3f}",
            "of the quickest": f"{quickest[way]:.3f}",
            "at most": f"{AT_MOST}" if "SQ8" not in way else "",
            "MB above start": f"{most[way][0]:.0f}",
            "MB, three times the index": f"{most[way][1]:.0f}",
        }
        for way in WAYS
    ]
    title = (
        f"Exact search: {options.queries:,} queries over {options.size:,} x {options.dimension}, best {TOP_K}, "
        f"blocks of {BLOCK_BYTES >> 20} MB; {'processor time of one thread' if options.work else 'all threads'}"
    )
    settings = {name: value for name, value in vars(options).items() if name != "memory_of"}
    show_and_keep(
        "exact_search",
        title,
        rows,
        {"seconds": raw, "ratios": ratios, "quickest": quickest, "bare": bare, "megabytes": most, **settings},
    )
    if busy:
        print("the machine was too busy with other things to say whether it holds")
        return 2
    holds = (
        all(ratios[way] <= AT_MOST for way in WAYS if "SQ8" not in way)
        and max(max(each) for each in most.values()) <= MEMORY_AT_MOST
    )
    print("holds" if holds else "DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
