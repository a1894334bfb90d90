"""A small stand-in for the laboratory's material: seeded sentences, and vectors made of the directions of words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from driftwatch.types import Document, Query
from tests.faults.material import LANGUAGES, NEW_LANGUAGE, Material, near_duplicates, rewritten
from tests.faults.service import normalised

Vectors = NDArray[np.float32]

WIDTH = 384
A_LANGUAGE = 100
"""Documents."""
CANARIES = 10
"""A language; each asks for a document of its own."""
QUESTIONS = 400
"""A language: a bot chooses among as many."""
VOCABULARY = 300
"""Words of a language."""
PROMPTED = 4.0
"""How much a prompt weighs beside the words of a text, of one each."""


class WordDirections:
    """Each word has a direction of its own, and a text is their sum; a prompt turns them all."""

    fingerprint = "words@1"

    def of(self, prompt: str, texts: Sequence[str]) -> Vectors:
        """shape (n, 384), normalised, in the order of ``texts``."""
        turn = PROMPTED * _direction(prompt) if prompt else np.zeros(WIDTH, np.float32)
        rows = [np.sum([_direction(word) for word in text.split()], axis=0) + turn for text in texts]
        return normalised(np.stack(rows)) if rows else np.empty((0, WIDTH), np.float32)


@cache
def _direction(word: str) -> Vectors:
    direction = np.random.default_rng(zlib.crc32(word.encode())).normal(size=WIDTH)
    return np.asarray(direction / np.linalg.norm(direction), np.float32)


@cache
def small_material() -> Material:
    """400 documents in four languages, 40 canaries."""
    documents = tuple(document for lang in LANGUAGES for document in _documents(lang))
    asked = {document.doc_id: document for document in documents if int(document.doc_id.split("-")[1]) < CANARIES}
    canaries = tuple(
        Query(f"asks-{doc_id}", " ".join(document.text.split()[:6]), document.lang, {doc_id: 1})
        for doc_id, document in asked.items()
    )
    return Material(
        documents=documents,
        canaries=canaries,
        questions={lang: tuple(_questions(lang, QUESTIONS)) for lang in LANGUAGES},
        new_topic=tuple(query.text for query in _questions("money", 50)),
        new_language=tuple(query.text for query in _questions(NEW_LANGUAGE, 50)),
        revised=rewritten(documents),
        copies={doc_id: near_duplicates(document.text) for doc_id, document in asked.items()},
        embedding=cast("Any", WordDirections()),
    )


def _documents(lang: str) -> list[Document]:
    chance = np.random.default_rng(zlib.crc32(lang.encode()))
    return [
        Document(f"{lang}-{place}", ". ".join(_sentence(lang, chance, 8) for _ in range(4)) + ".", lang)
        for place in range(A_LANGUAGE)
    ]


def _questions(lang: str, count: int) -> list[Query]:
    chance = np.random.default_rng(zlib.crc32(f"asked in {lang}".encode()))
    return [Query(f"{lang}-asks-{place}", _sentence(lang, chance, 6), lang) for place in range(count)]


def _sentence(lang: str, chance: np.random.Generator, words: int) -> str:
    return " ".join(f"{lang}{word}" for word in chance.integers(0, VOCABULARY, words))
