"""The signs of an experiment: what its answers and vectors show, put together for the functions that judge them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from driftwatch.errors import DriftwatchError
from driftwatch.probes import answers, scores
from driftwatch.probes.bench import DEEP, NO_INDEX, Bench
from driftwatch.probes.cells import Way, fell, flips_of
from driftwatch.probes.contents import tells_missing
from driftwatch.probes.pool import Pool, Vectors
from driftwatch.probes.vectors import VectorsSeen, aligned, cosines_of, matching
from driftwatch.stats.ir import Measure
from driftwatch.types import Embedder, Flip, Look

RECALL = 0.9
"""Overlap of approximate with exact search from which on the deeper exact one stands for what the service searches."""
TRIED = 64
"""Documents that are embedded with other prompts."""

Encode = Callable[[Sequence[str]], Vectors]


def signs_of(bench: Bench, measure: Measure) -> dict[str, Look]:
    """Every sign by its name; one that cannot be looked at says why."""
    return {
        "outage": answers.outage(bench.canaries, bench.replies, _ours(bench).rankings),
        "service ranking": _service_ranking(bench),
        "service scores": _service_scores(bench),
        "scores over time": _scores_over_time(bench),
        "left out": _left_out(bench),
        "query side": _query_side(bench),
        "gone": _gone(bench),
        "displaced": _displaced(bench, measure),
        "stored vectors": _stored_vectors(bench),
    }


def _ours(bench: Bench) -> Way:
    """Our own search as the service searches; exact where that is all there is."""
    return bench.approximate if bench.approximate.rankings else bench.exact


def _unable(bench: Bench) -> str:
    """Why the service cannot be held against our own search; empty when it can."""
    ours = _ours(bench)
    return bench.service.unable or ("" if ours.rankings else ours.unable)


def _service_ranking(bench: Bench) -> Look:
    if unable := _unable(bench):
        return Look(unable=unable)
    ours = _ours(bench)
    return answers.service_ranking(bench.canaries, bench.service.rankings, ours.rankings, ours.name)


def _service_scores(bench: Bench) -> Look:
    if unable := _unable(bench):
        return Look(unable=unable)
    known = bench.deep.rankings or bench.approximate.rankings
    return scores.compare_scores(scores.Scores.of(known, bench.service.rankings), "the similarities that are stored")


def _scores_over_time(bench: Bench) -> Look:
    if not bench.before.rankings or bench.service.unable:
        return Look(unable=bench.before.unable or bench.service.unable)
    pairs = scores.Scores.of(bench.before.rankings, bench.service.rankings)
    return scores.compare_scores(pairs, "what they were")


def _left_out(bench: Bench) -> Look:
    if unable := _unable(bench):
        return Look(unable=unable)
    ours = _ours(bench).rankings
    return answers.left_out(bench.canaries, bench.service.rankings, ours, bench.deep.rankings or ours, _langs(bench))


def _query_side(bench: Bench) -> Look:
    if unable := _unable(bench):
        return Look(unable=unable)
    exact = _index_finds(bench) >= RECALL
    configured = bench.deep if exact else bench.approximate
    guesses = {"as configured": configured.rankings}
    alone = answers.query_side(bench.canaries, bench.service.rankings, guesses)
    if not alone.unable:
        return alone  # embedding the queries in other ways would tell no more
    for name, encode in _other_ways(bench.target.embedder).items():
        depth = max(bench.depth, DEEP) if exact else bench.depth
        found = bench.searched(name, bench.encoded(encode), depth, exact=exact)
        if found.rankings:
            guesses[name] = found.rankings
    return answers.query_side(bench.canaries, bench.service.rankings, guesses)


def _index_finds(bench: Bench) -> float:
    """How much of our exact search our approximate search finds; 1 where only the former is there, else 0."""
    if not bench.approximate.rankings or not bench.exact.rankings:
        return float(bool(bench.exact.rankings))
    found = answers.service_ranking(bench.canaries, bench.approximate.rankings, bench.exact.rankings, "")
    return found.values.get("overlap", 0.0)


def _other_ways(embedder: Embedder | None) -> dict[str, Encode]:
    """Ways to make a query vector that a service may have taken by mistake."""
    if embedder is None:
        return {}
    ways: dict[str, Encode] = {"with the document prompt": embedder.encode_documents}
    encode_as = getattr(embedder, "encode_as", None)
    return ways | ({"without the query prompt": partial(encode_as, "")} if encode_as is not None else {})


def _gone(bench: Bench) -> Look:
    index, corpus = bench.target.index, bench.target.corpus
    if index is None:
        return Look(unable=NO_INDEX)
    if not tells_missing(index):
        return Look(unable=f"'{index.kind}' cannot say what it no longer holds")
    try:
        missing = index.missing(bench.expected)
    except DriftwatchError as error:
        return Look(unable=str(error))
    in_source = None if corpus is None else {doc_id for doc_id in missing if doc_id in corpus}
    return answers.gone(bench.canaries, missing, in_source)


def _displaced(bench: Bench, measure: Measure) -> Look:
    """From the baseline's answers to our own exact search: what it shows is in the index, whatever the service does."""
    if not bench.before.rankings or not bench.deep.rankings:
        return Look(unable=bench.before.unable or bench.deep.unable)
    both = [
        query
        for query in bench.canaries
        if query.query_id in bench.before.rankings and query.query_id in bench.deep.rankings
    ]
    worse = [query for query in both if fell(bench.before, bench.exact, query, measure)]
    flips = flips_of(bench.before, bench.exact, worse)
    same = scores.unchanged(bench.before.rankings, bench.deep.rankings)
    return answers.displaced(both, flips, same, _sound(bench), _similarity(bench.pool, flips))


def _stored_vectors(bench: Bench) -> Look:
    """Expected documents among all that were embedded anew; what else a wrong vector may be is tried on some."""
    pool, seen = bench.pool, bench.seen
    if isinstance(seen, str) or isinstance(pool, str):
        return Look(unable=str(seen))
    rows = [pool.rows[doc_id] for doc_id in bench.expected if doc_id in pool.rows]
    kinds = dict(zip(rows, _kinds(bench, pool, seen, rows), strict=True))
    langs = {doc_id: query.lang for query in bench.canaries for doc_id in query.relevant}
    return answers.stored_vectors(
        {str(pool.doc_ids[row]): (float(seen.cosines[row]), kinds[row]) for row in rows},
        langs,
        {
            "displacement": seen.displacement,
            "looked at": float(len(seen.bad)),
            "wrong": float(seen.bad.sum()),
        },
        seen.kind,
    )


def _kinds(bench: Bench, pool: Pool, seen: VectorsSeen, rows: list[int]) -> list[str]:
    """What each row is instead of the vector of its text; empty where it is that."""
    off = [row for row in rows if seen.off[row]][:TRIED]
    of_all = seen.kind if seen.kind in ("moved", "other model") and not seen.bad.any() else ""
    found = {row: seen.kinds[row] or (of_all if seen.off[row] else "") for row in rows}
    assert pool.stored is not None
    stored, fresh = aligned(pool.stored[off], pool.fresh[off])[:2] if off else (pool.stored[:0], pool.fresh[:0])
    variants = _variants(bench, [pool.texts[row] for row in off])
    named = {name: cosines_of(*aligned(stored, vectors)) for name, vectors in variants.items()}
    for row, name in zip(off, matching(cosines_of(stored, fresh), named).tolist(), strict=True):
        found[row] = name or found[row]
    return [found[row] for row in rows]


def _variants(bench: Bench, texts: list[str]) -> dict[str, Vectors]:
    """The texts of documents, embedded in ways that may have been taken by mistake."""
    embedder = bench.target.embedder
    if embedder is None or not texts or not bench.clock.goes_on():
        return {}
    ways: dict[str, Encode] = {"query prompt": embedder.encode_queries}
    if (encode_as := getattr(embedder, "encode_as", None)) is not None:
        ways["no document prompt"] = partial(encode_as, "")
    try:
        return {name: encode(texts) for name, encode in ways.items()}
    except DriftwatchError as error:
        bench.notes.append(f"Stored vectors were not compared with other prompts: {error}")
        return {}


def _sound(bench: Bench) -> dict[str, bool]:
    """doc_id -> whether its stored vector is that of its text."""
    pool, seen = bench.pool, bench.seen
    if isinstance(seen, str) or isinstance(pool, str):
        return {}
    wrong = seen.bad if seen.compressed else seen.off
    return {doc_id: not wrong[row] for doc_id, row in pool.rows.items()}


def _similarity(pool: Pool | str, flips: tuple[Flip, ...]) -> dict[tuple[str, str], float]:
    """(displacer, expected) -> cosine of their stored vectors."""
    if isinstance(pool, str) or pool.stored is None:
        return {}
    unit, rows = _unit(pool.stored), pool.rows
    return {
        (other, flip.expected): float(unit[rows[other]] @ unit[rows[flip.expected]])
        for flip in flips
        if flip.expected in rows
        for other in flip.displaced_by
        if other in rows
    }


def _langs(bench: Bench) -> Mapping[str, str]:
    """doc_id -> language: as index or source say, else that of the canaries that expect it."""
    guessed = {doc_id: query.lang for query in bench.canaries for doc_id in query.relevant}
    corpus = bench.target.corpus
    seen = {hit.doc_id for ranking in _ours(bench).rankings.values() for hit in ranking}
    said = {doc_id: lang for doc_id in seen if corpus is not None and (lang := corpus.lang(doc_id))}
    return guessed | said | ({} if isinstance(bench.pool, str) else dict(bench.pool.langs))


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
