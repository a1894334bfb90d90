"""Functions and classes for the retriever kind `python`, shaped like those of the common frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np


@dataclass
class LangChainDocument:
    """As `langchain_core.documents.Document`."""

    page_content: str
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None


@dataclass
class LlamaNodeWithScore:
    """As `llama_index.core.schema.NodeWithScore`."""

    node: Any
    score: float | None = None

    def get_score(self) -> float:
        raise AssertionError("get_score() turns a missing score into 0.0")


@dataclass
class HaystackDocument:
    """As `haystack.Document`."""

    id: str
    content: str
    meta: dict[str, Any] = field(default_factory=dict)
    score: float | None = None


ANSWERS: dict[str, Any] = {
    "ids": ["a", "b"],
    "pairs": [("a", 0.9), ["b", 0.8]],
    "numpy pairs": [("a", np.float32(0.5)), (np.int64(7), np.float64(0.25))],
    "numbers": [1, 2],
    "uuids": [UUID(int=1)],
    "mappings": [{"id": "a", "score": 0.9}, {"doc_id": "b", "distance": 0.8}],
    "generator": (name for name in ("a", "b")),
    "langchain": [LangChainDocument("text", id="a"), LangChainDocument("text", {"id": "b", "relevance_score": 0.5})],
    "langchain with scores": [(LangChainDocument("text", id="a"), 0.9)],
    "llamaindex": [LlamaNodeWithScore(SimpleNamespace(node_id="a"), 0.9), LlamaNodeWithScore(SimpleNamespace(id_="b"))],
    "haystack": {"documents": [HaystackDocument("a", "text", score=0.9), HaystackDocument("b", "text")]},
    "abstained": {"results": [], "abstained": True, "versions": {"index": 3}},
    "a response object": SimpleNamespace(points=[SimpleNamespace(id=7, score=0.5, payload={})]),
    "nan": [("a", float("nan"))],
    "none": None,
    "text": "a",
    "a number": 3,
    "no list": {"answer": "yes"},
    "no id": [LangChainDocument("text", {"source": "faq.md", "page": 3})],
    "no id in a mapping": [{"text": "x"}],
    "empty id": [""],
    "empty": [],
}


def shaped(text: str, top_k: int) -> Any:
    """The shape that the query names."""
    return ANSWERS[text]


def counted(text: str, top_k: int) -> Iterator[str]:
    """As many ids as asked for, and one more."""
    return (f"{text}-{place}" for place in range(top_k + 1))


def raises(text: str, top_k: int) -> list[str]:
    """Fails for some queries."""
    if "bad" in text:
        raise ConnectionError("index\noffline")
    return [text]


def batched(texts: list[str], top_k: int) -> list[list[str]]:
    """All at once."""
    assert isinstance(texts, list)
    return [[f"{text}:{top_k}"] for text in texts]


def batched_with_a_bad_one(texts: list[str], top_k: int) -> list[Any]:
    """The last answer is nothing."""
    return [[text] for text in texts[:-1]] + [None]


def one_answer_too_few(texts: list[str], top_k: int) -> list[list[str]]:
    """Loses a query."""
    return [[text] for text in texts[1:]]


async def asynchronous(text: str, top_k: int) -> list[str]:
    """Runs in an event loop, always the same one."""
    import asyncio

    await asyncio.sleep(0)
    return [text, str(id(asyncio.get_running_loop()))]


class Service:
    """A method is a function, too."""

    def find(self, text: str, top_k: int) -> list[str]:
        return [f"found {text}"]


service = Service()
not_a_function = 3
