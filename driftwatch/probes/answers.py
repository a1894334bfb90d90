"""What answers show beside how good they are: facts that tell causes apart, each a function of rankings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from driftwatch.probed import MOST_IDS
from driftwatch.probes.cells import Ranking, Rankings
from driftwatch.stats.overlap import Overlaps
from driftwatch.stats.paired import paired_bootstrap
from driftwatch.stats.qpp import kendall_tau
from driftwatch.types import Flip, Look, Query, Reply, ScoredDoc

TOP = 10
"""Ranks that are compared."""
PERSISTENCE = 0.9
AGREES = 0.9
"""Two answers are the same from this overlap on: a tie at the end is no disagreement."""
MARGIN = 0.02
"""A document is passed over when it is better than the last hit by this share of the spread of scores."""
IN_ORDER = 0.9
"""Mean Kendall's tau from which the service ranks what it returns as we do."""
EXPLAINED = 0.99
"""Overlap with the service's answers that leaves nothing for another way of making the query vector to explain."""
EXPLAINS = 0.5
"""Share of what the vector as configured leaves unexplained that another must explain; and overlap below which none
does."""


def outage(canaries: Sequence[Query], replies: Mapping[str, Reply], ours: Rankings) -> Look:
    """Canaries that the service could not answer, or answered with nothing where the index has something.

    ids: query_ids; by: language of the canary; values: `errors`, `timeouts` (errors that are), `empty`, and `median
    ms`, `p95 ms` of those that were answered; words: `error` -> the reason given most often.
    """
    asked = [query for query in canaries if query.query_id in replies]
    reasons = {each.query_id: replies[each.query_id].error or "" for each in asked if _failed(replies[each.query_id])}
    empty = {query.query_id for query in asked if not replies[query.query_id].hits and ours.get(query.query_id)}
    bad = [query for query in asked if query.query_id in reasons or query.query_id in empty]
    took = [reply.latency_ms for reply in replies.values() if reply.latency_ms is not None and not _failed(reply)]
    timeouts = sum("timed out" in reason or "timeout" in reason.lower() for reason in reasons.values())
    values = {"errors": len(reasons), "timeouts": timeouts, "empty": len(empty - reasons.keys())}
    speed = {f"{name} ms": float(np.quantile(took, at)) for name, at in (("median", 0.5), ("p95", 0.95)) if took}
    common = Counter(reasons.values()).most_common(1)
    why = f"The service gave no answer to {len(bad)} of {len(asked)} canaries." if bad else ""
    return Look(
        n=len(asked),
        bad=len(bad),
        ids=_ids(query.query_id for query in bad),
        by=_by_lang(asked, {query.query_id for query in bad}),
        values={name: float(value) for name, value in values.items()} | speed,
        words={"error": common[0][0] or "no answer"} if common else {},
        why=why,
        unable="" if asked else "the service was not asked",
    )


def service_ranking(canaries: Sequence[Query], service: Rankings, ours: Rankings, against: str) -> Look:
    """Whether the service orders documents as our own search does.

    bad: canaries whose first ten overlap by less than .9; values: `agree` (share of the others), `overlap`,
    `rank-biased overlap` (means); words: `against` -> the way of searching that it was compared with.
    """
    both = [query for query in canaries if query.query_id in service and query.query_id in ours]
    if not both:
        return Look(unable="the service and our own search have no canary in common")
    pairs = Overlaps.of(
        [_names(ours[query.query_id])[:TOP] for query in both],
        [_names(service[query.query_id])[:TOP] for query in both],
    )
    overlap = pairs.overlap(TOP)
    bad = {query.query_id for query, share in zip(both, overlap.tolist(), strict=True) if share < AGREES}
    values = {
        "agree": 1 - len(bad) / len(both),
        "overlap": float(overlap.mean()),
        "rank-biased overlap": float(pairs.rbo(PERSISTENCE).mean()),
    }
    why = f"The service answers {len(bad)} of {len(both)} canaries unlike {against}." if bad else ""
    words = {"against": against}
    return Look(len(both), len(bad), _ids(sorted(bad)), _by_lang(both, bad), values, words, why)


def left_out(
    canaries: Sequence[Query], service: Rankings, ours: Rankings, scores: Rankings, langs: Mapping[str, str]
) -> Look:
    """Documents that our search ranks well above the service's last hit and that the service never returns.

    None is blamed when the service ranks what it does return otherwise than we do: then it is no filter.

    ``ours``: the ranking that the service should give; ``scores``: a deeper one, to say where its hits stand.
    ``langs``: doc_id -> language. n: documents that our search returns; bad, ids: those left out; by: language of the
    document -> (returned by us, left out); values: `order` (how far what the service does return is in our order, mean
    Kendall's tau), `canaries` (that miss some), `share`; words: `language` -> the one that nearly all of them have
    and of which hardly anything is left.
    """
    both = [query.query_id for query in canaries if service.get(query.query_id) and ours.get(query.query_id)]
    if not both:
        return Look(unable="the service and our own search have no canary in common")
    returned = {hit.doc_id for name in both for hit in service[name]}
    seen = {hit.doc_id for name in both for hit in ours[name]}
    passed = {name: _passed_over(service[name], ours[name], scores.get(name, ours[name])) - returned for name in both}
    times = Counter(doc_id for each in passed.values() for doc_id in each)
    by = _by_document(seen, times.keys(), langs)
    order = [tau for name in both if (tau := _order(service[name], scores.get(name, ours[name]))) is not None]
    values = {
        "order": float(np.mean(order)) if order else 0.0,
        "canaries": float(sum(bool(each) for each in passed.values())),
        "share": len(times) / len(seen),
    }
    if values["order"] < IN_ORDER:
        return Look(len(seen), values=values)
    shared = _shared_language(times.keys(), by, langs)
    words = {"language": shared} if shared else {}
    named = f", all of them {shared}" if shared else ""
    why = f"The service never returns {len(times)} of {len(seen)} documents that belong there{named}." if times else ""
    ids = _ids(doc_id for doc_id, _ in sorted(times.items(), key=lambda item: (-item[1], item[0])))
    return Look(len(seen), len(times), ids, by, values, words, why)


def query_side(canaries: Sequence[Query], service: Rankings, guesses: Mapping[str, Rankings]) -> Look:
    """Which way of making the query vector explains the service's answers best.

    ``guesses``: name -> what our search finds with that vector, deep; the first is the vector as configured. Only
    documents that the service returns to anybody are compared, so that a filter explains nothing away. The first alone
    will do where it leaves nothing to explain (``EXPLAINED``). values: name -> mean overlap of the first ten
    with the service's; words: `best` -> the one that explains them: as configured, unless another explains at least
    half of what that leaves; `none` when none explains half of them. bad: canaries that the best one explains better.
    """
    configured = next(iter(guesses), "")
    both = [
        query
        for query in canaries
        if query.query_id in service and all(query.query_id in rankings for rankings in guesses.values())
    ]
    returned = {hit.doc_id for ranking in service.values() for hit in ranking}
    theirs = [_names(service[query.query_id])[:TOP] for query in both]
    overlap = {
        name: Overlaps.of([_only(rankings[query.query_id], returned) for query in both], theirs).overlap(TOP)
        for name, rankings in guesses.items()
    }
    means = {name: float(each.mean()) if both else 0.0 for name, each in overlap.items()}
    if not both or (len(guesses) < 2 and means[configured] < EXPLAINED):
        return Look(unable="there is no other way of making the query vector that could be tried")
    best = max(means, key=lambda name: means[name])
    gained = overlap[best] - overlap[configured]
    enough = means[best] - means[configured] > EXPLAINS * (1 - means[configured])
    if best != configured and not (enough and paired_bootstrap(gained)[0] > 0):
        best, gained = configured, gained * 0
    bad = {query.query_id for query, more in zip(both, gained.tolist(), strict=True) if more > 0}
    why = f"Query vectors made {best} explain the service's answers best." if best != configured else ""
    words = {"best": best if means[best] >= EXPLAINS else "none"}
    return Look(len(both), len(bad), _ids(sorted(bad)), _by_lang(both, bad), means, words, why)


def gone(canaries: Sequence[Query], missing: Collection[str], in_source: Collection[str] | None) -> Look:
    """Expected documents that the index no longer holds.

    ``in_source``: those of them that the source still has; None: nobody knows. n, bad, by: expected documents, by the
    language of the canary; values: `in source`, `not in source`, `canaries` (that lost one), `canaries without any`.
    """
    langs = {doc_id: query.lang for query in canaries for doc_id in _expected(query)}
    lost = [doc_id for doc_id in langs if doc_id in missing]
    affected = [query for query in canaries if any(doc_id in missing for doc_id in _expected(query))]
    empty = [query for query in affected if all(doc_id in missing for doc_id in _expected(query))]
    values = {"canaries": float(len(affected)), "canaries without any": float(len(empty))}
    if in_source is not None:
        still = sum(doc_id in in_source for doc_id in lost)
        values |= {"in source": float(still), "not in source": float(len(lost) - still)}
    why = f"The index no longer holds {len(lost)} of {len(langs)} expected documents." if lost else ""
    return Look(len(langs), len(lost), _ids(lost), _by_document(langs, set(lost), langs), values, {}, why)


def displaced(
    canaries: Sequence[Query],
    flips: Iterable[Flip],
    same: Mapping[tuple[str, str], bool],
    sound: Mapping[str, bool],
    similarity: Mapping[tuple[str, str], float],
) -> Look:
    """Canaries whose expected document is as it was and lost its place to documents that were not there before.

    ``canaries``: those that both answered; ``flips``: of those that measure less now, from the baseline's answers to
    our own exact search.
    ``same``: (query_id, doc_id) -> whether its score is what it was; ``sound``: doc_id -> whether its stored vector is
    that of its text. A document of which neither is known is not counted. ``similarity``: (displacer, expected) ->
    cosine of their stored vectors. bad: canaries; ids: displacers, most often first; values: `similarity` (median),
    `near-duplicates` (share of the canaries with one of .95 or more), `lost` (canaries that no longer find it),
    `unknown` (flips of which nothing is known).
    """
    fell = [flip for flip in flips if flip.old_rank and (flip.new_rank is None or flip.new_rank > flip.old_rank)]
    known = [flip for flip in fell if (flip.query_id, flip.expected) in same or flip.expected in sound]
    as_it_was = [flip for flip in known if _as_it_was(flip, same, sound)]
    pushed = [(flip, [each for each in flip.displaced_by if sound.get(each, True)]) for flip in as_it_was]
    bad = [(flip, displacers) for flip, displacers in pushed if displacers]
    times = Counter(doc_id for _, displacers in bad for doc_id in displacers)
    nearest = [
        max(close)
        for flip, displacers in bad
        if (close := [similarity[each, flip.expected] for each in displacers if (each, flip.expected) in similarity])
    ]
    values = {"lost": float(sum(flip.new_rank is None for flip, _ in bad)), "unknown": float(len(fell) - len(known))}
    if nearest:
        values["similarity"] = float(np.median(nearest))
        values["near-duplicates"] = float(np.mean(np.array(nearest) >= 0.95))
    why = f"{len(bad)} expected documents are as they were and lost their place to others." if bad else ""
    by = _by_lang(canaries, {flip.query_id for flip, _ in bad})
    return Look(len(canaries), len(bad), _ids(doc_id for doc_id, _ in times.most_common()), by, values, {}, why)


def stored_vectors(
    found: Mapping[str, tuple[float, str]], langs: Mapping[str, str], values: Mapping[str, float], kind: str
) -> Look:
    """Expected documents whose stored vector is not that of their text.

    ``found``: doc_id -> (cosine of stored and fresh vector, what it is instead; empty: nothing). values: ``values`` and
    `median cosine`, `lowest cosine`; words: `kind` -> what most of the wrong ones are, or how all of them are moved.
    """
    bad = [doc_id for doc_id, (_, wrong) in found.items() if wrong]
    kinds = Counter(wrong for _, wrong in found.values() if wrong)
    named = kinds.most_common(1)[0][0] if kinds else kind
    cosines = [cosine for cosine, _ in found.values()]
    if cosines:
        values = dict(values) | {"median cosine": float(np.median(cosines)), "lowest cosine": min(cosines)}
    why = f"{len(bad)} of {len(found)} expected documents have a vector that is not theirs: {named}." if bad else ""
    by = _by_document(found, set(bad), langs)
    return Look(len(found), len(bad), _ids(bad), by, values, {"kind": named} if named else {}, why)


def _as_it_was(flip: Flip, same: Mapping[tuple[str, str], bool], sound: Mapping[str, bool]) -> bool:
    return same.get((flip.query_id, flip.expected), True) and sound.get(flip.expected, True)


def _failed(reply: Reply) -> bool:
    return reply.hits is None or bool(reply.error)


def _names(ranking: Sequence[ScoredDoc]) -> list[str]:
    return [hit.doc_id for hit in ranking]


def _only(ranking: Ranking, returned: Collection[str]) -> list[str]:
    return [hit.doc_id for hit in ranking if hit.doc_id in returned][:TOP]


def _expected(query: Query) -> list[str]:
    return [doc_id for doc_id, relevance in query.relevant.items() if relevance > 0]


def _ids(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:MOST_IDS]


def _by_lang(canaries: Iterable[Query], bad: Collection[str]) -> dict[str, tuple[int, int]]:
    return _by_document(
        {query.query_id: "" for query in canaries}, bad, {query.query_id: query.lang for query in canaries}
    )


def _by_document(seen: Iterable[str], bad: Collection[str], langs: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for name in seen:
        lang = langs.get(name, "")
        if lang:
            total[lang] += 1
            wrong[lang] += name in bad
    return {lang: (total[lang], wrong[lang]) for lang in sorted(total)}


def _shared_language(bad: Collection[str], by: Mapping[str, tuple[int, int]], langs: Mapping[str, str]) -> str:
    """The language that nearly all of ``bad`` have, and of whose documents nearly all are bad."""
    if len(by) < 2 or not bad:
        return ""
    lang, count = Counter(langs.get(doc_id, "") for doc_id in bad).most_common(1)[0]
    return lang if lang and count >= AGREES * len(bad) and by[lang][1] >= AGREES * by[lang][0] else ""


def _passed_over(service: Ranking, ours: Ranking, scores: Ranking) -> set[str]:
    """What stands in ``ours`` clearly above the last hit of ``service`` and is not in it."""
    known = {hit.doc_id: hit.score for hit in (*scores, *ours) if hit.score is not None}
    hits = {hit.doc_id for hit in service}
    floor = min((known[doc_id] for doc_id in hits if doc_id in known), default=None)
    if floor is None or hits - known.keys():  # the last hit lies deeper than we looked
        return {hit.doc_id for hit in ours} - hits if floor is not None else set()
    margin = MARGIN * (max(known.values()) - min(known.values()))
    return {hit.doc_id for hit in ours if hit.score is not None and hit.score > floor + margin} - hits


def _order(service: Ranking, scores: Ranking) -> float | None:
    known = {hit.doc_id: hit.score for hit in scores if hit.score is not None}
    ours = [known[hit.doc_id] for hit in service if hit.doc_id in known]
    return kendall_tau(ours, -np.arange(len(ours))) if len(ours) > 2 else None
