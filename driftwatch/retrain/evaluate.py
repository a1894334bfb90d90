"""What one model gives for the questions of the gate: exact search over all passages; and what it costs to run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.embed._weights import find_weights
from driftwatch.errors import TooLittle
from driftwatch.retrain.compatible import least_versions
from driftwatch.retrain.scale import SHARD
from driftwatch.retrained import Asked, Passage, Served
from driftwatch.retrievers._exact import Block, best_of

TIMED = 20
"""Questions that are embedded one by one for the time of one; fewer where there are fewer."""
TIMES = 3
"""How often each of them is: the quickest counts, since what else the machine does only ever adds to it."""


def served(
    settings: EmbedderSettings, asked: Sequence[Asked], passages: Iterable[Passage], *, cache: Path, k: int = 100
) -> Served:
    """Ask the model of ``settings`` every question, over all ``passages``.

    Documents are ranked by their best passage, by cosine similarity, exactly. Vectors are kept in ``cache``, so that a
    second time costs the search alone; passages are read a shard at a time, and never all at once in memory.

    Args:
        settings: the model, with its prompts, length and dimension as in serving.
        asked: questions; each query_id is asked once, in whatever groups it is.
        passages: everything that the index would hold.
        cache: folder of kept vectors.
        k: documents of a ranking.

    Raises:
        TooLittle: there is no question, or no passage.
        EmbedError: the model cannot be loaded.
        MissingExtra: sentence-transformers or faiss is not installed.
    """
    texts = {each.query_id: each.text for each in asked}
    if not texts:
        raise TooLittle("there is no question to ask.", remedy="Give canaries, or keep pairs for the gate.")
    embedder, serving = TextEmbedder(settings.in_haste(), cache), TextEmbedder(settings, cache)
    try:
        queries = embedder.encode_queries(list(texts.values()))
        found = best_of(_embedded(embedder, passages), queries, k, "cosine")
        if not any(found):
            raise TooLittle("there is no passage to search.", remedy="Name the documents under 'documents'.")
        return Served(
            model=settings.model,
            rankings={name: tuple(hit.doc_id for hit in hits) for name, hits in zip(texts, found, strict=True)},
            scores={name: tuple(hit.score or 0.0 for hit in hits) for name, hits in zip(texts, found, strict=True)},
            memory_bytes=serving.weight_bytes(),
            query_ms=_query_ms(serving, list(texts.values())),
            dimension=int(queries.shape[1]),
            libraries=least_versions(find_weights(settings.model, settings.revision)),
        )
    finally:
        embedder.close()
        serving.close()


def _embedded(embedder: TextEmbedder, passages: Iterable[Passage]) -> Iterator[Block]:
    """The documents of passages, and their vectors; a shard of the same size everywhere, for the same last digits."""
    rest = iter(passages)
    while shard := list(islice(rest, SHARD)):
        yield [each.parent for each in shard], embedder.encode_documents([each.text for each in shard])


def _query_ms(embedder: TextEmbedder, texts: Sequence[str]) -> float:
    """Median over questions of the time that one takes alone, in milliseconds; nothing comes from the cache."""
    chosen = texts[:: max(1, len(texts) // TIMED)][:TIMED]
    embedder.encode_anew("query", chosen[:1])  # what is only slow once is no part of it
    return median(min(_once(embedder, text) for _ in range(TIMES)) for text in chosen)


def _once(embedder: TextEmbedder, text: str) -> float:
    began = time.perf_counter()
    embedder.encode_anew("query", [text])
    return 1000 * (time.perf_counter() - began)
