"""Runs the functions of docs/integrations.md, each where its library is installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from driftwatch.retrievers.python import Python
from driftwatch.types import Query, Reply

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"
TEXTS = {"doc-parcel": "where is my parcel", "doc-refund": "how do refunds work", "doc-tax": "income tax rates"}

pytestmark = [
    pytest.mark.filterwarnings("default"),  # warnings of these libraries at import are their own affair
    pytest.mark.timeout(300),
]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page's function for a heading, with the user's ``app`` beside it, asked through the retriever."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def ask(heading: str, text: str, app: dict[str, Any], **settings: Any) -> Reply:
        (tmp_path / "watched.py").write_text(example(heading))
        module = ModuleType("app")
        module.__dict__.update(app)
        monkeypatch.setitem(sys.modules, "app", module)
        monkeypatch.delitem(sys.modules, "watched", raising=False)
        retriever = Python(kind="python", callable="watched:find", pythonpath=(tmp_path,), top_k=2, **settings)
        (reply,) = retriever.search([Query("q1", text)])
        return reply

    yield ask
    sys.modules.pop("watched", None)


def example(heading: str) -> str:
    """The first Python block under a heading of the page."""
    found = re.search(rf"^## {heading}$.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found, f"there is no example under '{heading}'"
    return found[1]


def bag_of_letters(text: str) -> list[float]:
    """A vector that tells these texts apart."""
    return [float(text.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]


@pytest.mark.parametrize("heading", ["LangChain", "LlamaIndex", "Haystack"])
def test_each_example_is_a_function_of_three_lines(heading: str) -> None:
    lines = [line for line in example(heading).splitlines() if line and not line.startswith("#")]
    assert len(lines) == 3


def test_langchain(watched: Any) -> None:
    pytest.importorskip("langchain_core", reason="langchain-core is not installed")
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Letters(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [bag_of_letters(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return bag_of_letters(text)

    store = InMemoryVectorStore(Letters())
    store.add_documents(
        [Document(text, id=doc_id, metadata={"source": f"{doc_id}.md"}) for doc_id, text in TEXTS.items()]
    )
    reply = watched("LangChain", "where is my parcel", {"store": store})
    assert reply.error is None
    assert reply.hits[0].doc_id == "doc-parcel"
    assert reply.hits[0].score == pytest.approx(1.0)
    elsewhere = watched("LangChain", "where is my parcel", {"store": store}, id_path="metadata.source")
    assert elsewhere.hits[0].doc_id == "doc-parcel.md"


def test_langchain_documents_of_a_retriever_have_no_scores() -> None:
    pytest.importorskip("langchain_core", reason="langchain-core is not installed")
    from langchain_core.documents import Document

    from driftwatch.retrievers._shapes import read_hit

    hit = read_hit(Document("text", id="a"), 1)
    assert (hit.doc_id, hit.score) == ("a", None)


def test_llamaindex(watched: Any) -> None:
    pytest.importorskip("llama_index.core", reason="llama-index-core is not installed")
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    class Letters(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return bag_of_letters(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return bag_of_letters(text)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return bag_of_letters(query)

    nodes = [
        TextNode(
            text=text,
            id_=doc_id,
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"source of {doc_id}")},
        )
        for doc_id, text in TEXTS.items()
    ]
    index = VectorStoreIndex(nodes=nodes, embed_model=Letters())
    reply = watched("LlamaIndex", "how do refunds work", {"index": index})
    assert reply.error is None
    assert reply.hits[0].doc_id == "doc-refund"
    assert reply.hits[0].score == pytest.approx(1.0)
    source = watched("LlamaIndex", "how do refunds work", {"index": index}, id_path="node.ref_doc_id")
    assert source.hits[0].doc_id == "source of doc-refund"


def test_a_llamaindex_node_without_a_score_has_none() -> None:
    pytest.importorskip("llama_index.core", reason="llama-index-core is not installed")
    from llama_index.core.schema import NodeWithScore, TextNode

    from driftwatch.retrievers._shapes import read_hit

    hit = read_hit(NodeWithScore(node=TextNode(text="x", id_="a")), 1)
    assert (hit.doc_id, hit.score) == ("a", None)


def test_haystack(watched: Any) -> None:
    pytest.importorskip("haystack", reason="haystack-ai is not installed")
    from haystack import Document
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore()
    store.write_documents(
        [Document(id=doc_id, content=text, meta={"doc_id": f"my {doc_id}"}) for doc_id, text in TEXTS.items()]
    )
    retriever = InMemoryBM25Retriever(document_store=store)
    reply = watched("Haystack", "income tax", {"retriever": retriever})
    assert reply.error is None
    assert reply.hits[0].doc_id == "doc-tax"
    assert reply.hits[0].score > 0
    own = watched("Haystack", "income tax", {"retriever": retriever}, id_path="meta.doc_id")
    assert own.hits[0].doc_id == "my doc-tax"
