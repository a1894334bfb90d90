"""What the index in use holds, as passages: the new index is to hold the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from driftwatch.documents import Corpus
from driftwatch.errors import RetrainError
from driftwatch.retrained import Passage
from driftwatch.retrievers import Retriever

_FETCHED = 500
"""Entries whose texts are fetched at once."""


@dataclass(frozen=True)
class Held:
    """Every entry of ``index`` as a passage of that name, in the index's own order; texts are read when they are asked
    for.

    Texts are the index's own where it keeps them, else those of ``corpus``. Where neither has one, reading raises
    RetrainError: an index that lacks a document must not come of it.
    """

    index: Retriever
    corpus: Corpus | None = None

    def __len__(self) -> int:
        return self.index.facts().count or 0

    def __iter__(self) -> Iterator[Passage]:
        from_corpus: set[str] = set()
        for block in self.index.entries():
            for start in range(0, len(block), _FETCHED):
                yield from self._passages(block[start : start + _FETCHED], from_corpus)

    def _passages(self, entries: Sequence[tuple[str, str]], from_corpus: set[str]) -> Iterator[Passage]:
        texts = self._stored([entry_id for entry_id, _ in entries])
        lacking = list(dict.fromkeys(doc_id for entry_id, doc_id in entries if entry_id not in texts))
        documents = self.corpus.get(lacking) if self.corpus is not None and lacking else {}
        for entry_id, doc_id in entries:
            text, lang = texts.get(entry_id, ("", ""))
            if entry_id not in texts:
                if doc_id not in documents or doc_id in from_corpus:
                    raise _unknown(entry_id, doc_id, several=doc_id in from_corpus)
                from_corpus.add(doc_id)
                text, lang = documents[doc_id].text, documents[doc_id].lang
            yield Passage(entry_id, doc_id, text, lang)

    def _stored(self, entry_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """entry_id -> text and language, of those that have a text."""
        if "texts" not in self.index.capabilities:
            return {}
        found = self.index.stored(entry_ids, vectors=False, texts=True)
        return {entry_id: (each.text, each.lang) for entry_id, each in found.items() if each.text}


def _unknown(entry_id: str, doc_id: str, *, several: bool) -> RetrainError:
    if several:
        return RetrainError(
            f"the document '{doc_id}' has several entries in the index, and nobody knows which text is whose.",
            remedy="Let the index keep its texts, or give the passages as they were cut.",
        )
    return RetrainError(
        f"the text of the entry '{entry_id}' (document '{doc_id}') is neither in the index nor in 'documents'.",
        remedy="Add it to the files of 'documents', or delete the entry.",
    )
