"""`canaries import` and `canaries export`: evaluation sets in, and what the canaries were answered out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from driftwatch.commands import opened, say
from driftwatch.commands._files import refuse_existing, write_lines, write_whole
from driftwatch.errors import DriftwatchError, SourceError
from driftwatch.language import primary_subtag
from driftwatch.sources._csv import Columns
from driftwatch.sources._importing import FORMS, EvaluationSet, Form, form_of
from driftwatch.sources._native import written
from driftwatch.types import Query, Run

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.documents import Corpus
    from driftwatch.sources._ragas import Match

SHOWN = 5
"""Ids of a list, in a sentence."""


# --- import --------------------------------------------------------------------------------------------------------


def evaluation_set(
    path: Path, form: str, qrels: Path | None, split: str, lang: str, columns: tuple[str, ...]
) -> EvaluationSet:
    """What is to be read; ``form`` may be `auto`.

    Raises:
        DriftwatchError: there is no such form, no such language, or no such file.
    """
    if form not in ("auto", *FORMS):
        raise DriftwatchError(f"there is no form '{form}'.", remedy=f"There are: auto, {', '.join(FORMS)}.")
    try:
        spoken = primary_subtag(lang)
    except ValueError as error:
        raise DriftwatchError(f"--lang: {error}") from None
    found = form_of(path, qrels)
    return EvaluationSet(path, found if form == "auto" else cast("Form", form), qrels, split, spoken, Columns(*columns))


def import_set(config: Path | None, given: EvaluationSet, out: Path, *, json: bool) -> None:
    """Read an evaluation set and write it as driftwatch's own canaries; ``config`` is None where there is none yet."""
    refuse_existing(out)
    watch = _watch(config)
    if given.form == "ragas" and watch is not None and watch.documents is not None:
        given = replace(given, match=matching(watch.documents.corpus(watch.base)))
    suite = given.load(Path.cwd())
    kept = [query for query in suite.queries if query.expect_empty or _positives(query)]
    without = [query.query_id for query in suite.queries if not query.expect_empty and not _positives(query)]
    if not kept:
        raise SourceError("no question names a relevant document.", remedy="Canaries need known answers.")
    content = {
        "out": str(out),
        "form": given.form,
        "written": len(kept),
        "languages": dict(sorted(Counter(query.lang for query in kept).items())),
        "without_relevant": without,
        **_missing(kept, watch, given.path),
        "notes": list(suite.notes),
    }
    write_lines(out, map(written, kept))
    say(json, content, *_sentences(content))


def matching(corpus: Corpus) -> Match:
    """Finds documents by their whole text, whitespace aside; the texts themselves are not kept in memory."""
    by_text: dict[int, list[str]] = {}
    ids = corpus.ids
    for start in range(0, len(ids), 1000):
        for doc_id, document in corpus.get(ids[start : start + 1000]).items():
            by_text.setdefault(hash(_plain(document.text)), []).append(doc_id)

    def find(text: str) -> tuple[str, ...]:
        candidates = by_text.get(hash(_plain(text)), [])
        return tuple(each for each, found in corpus.get(candidates).items() if _plain(found.text) == _plain(text))

    return find


def _plain(text: str) -> str:
    return " ".join(text.split())


def _watch(config: Path | None) -> Watch | None:
    from driftwatch.config import load_watch

    return load_watch(config) if config is not None else None


def _missing_from_documents(watch: Watch | None, path: Path, wanted: Iterable[str]) -> list[str] | None:
    """Of the documents of the configuration, else of those of the BEIR directory; None: there are neither."""
    from driftwatch.documents import Documents

    if watch is not None and watch.documents is not None:
        return sorted(watch.documents.lacking(watch.base, wanted))
    own = path / "corpus.jsonl"
    return sorted(Documents(path=own.name).lacking(path, wanted)) if own.is_file() else None


def _positives(query: Query) -> list[str]:
    return [doc_id for doc_id, relevance in query.relevant.items() if relevance > 0]


def _missing(kept: Sequence[Query], watch: Watch | None, path: Path) -> dict[str, Any]:
    """Documents that canaries ask for and that the index, or the corpus, does not hold; None: nobody could look."""
    wanted = sorted({doc_id for query in kept for doc_id in _positives(query)})
    gone, trouble = _missing_from_index(watch, wanted)
    rotten = [query.query_id for query in kept if gone and _positives(query) and gone.issuperset(_positives(query))]
    return {
        "missing_from_index": None if gone is None else sorted(gone),
        "index_trouble": trouble,
        "without_a_document_in_the_index": rotten,
        "missing_from_corpus": _missing_from_documents(watch, path, wanted),
    }


def _missing_from_index(watch: Watch | None, wanted: Sequence[str]) -> tuple[frozenset[str] | None, str]:
    from driftwatch.retrievers import Retriever

    for retriever in (watch.index, watch.retriever) if watch is not None else ():
        if retriever is None or type(retriever).missing is Retriever.missing:
            continue
        try:
            return retriever.missing(wanted), ""
        except DriftwatchError as error:
            return None, str(error)
    return None, ""


def _sentences(content: dict[str, Any]) -> Iterable[str]:
    languages = ", ".join(f"{lang} {count}" for lang, count in content["languages"].items())
    yield f"{content['written']} canaries in {content['out']} ({languages})"
    if content["without_relevant"]:
        yield f"left out, because they name no relevant document: {_some(content['without_relevant'])}"
    if content["missing_from_index"]:
        yield f"the index does not hold {_some(content['missing_from_index'])}"
    if rotten := content["without_a_document_in_the_index"]:
        yield f"in quarantine from the start, all their documents missing: {_some(rotten)}"
    if content["missing_from_index"] is None:
        yield f"the index was not looked at{': ' + content['index_trouble'] if content['index_trouble'] else ''}"
    if content["missing_from_corpus"]:
        yield f"the documents do not hold {_some(content['missing_from_corpus'])}"
    yield from content["notes"]


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


# --- export --------------------------------------------------------------------------------------------------------


def export(config: Path, source: str, directory: Path, *, json: bool) -> None:
    """Write the newest run of a source as `run.trec` and `qrels.trec`, for `trec_eval` and its kin."""
    with opened(config) as (watch, store):
        names = [name for name, each in watch.sources.items() if each.gives == "runs"]
        name = source or next(iter(names), "")
        newest = store.canaries.latest(name) if name in names else None
    if newest is None:
        remedy = f"There are: {', '.join(names)}." if name not in names else "`driftwatch run` asks them."
        raise DriftwatchError(f"the canaries '{name}' have not been asked.", remedy=remedy)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DriftwatchError(f"{directory} cannot be made: {error.strerror}.", remedy="Name another folder.") from None
    files = {"run.trec": list(_run_lines(newest)), "qrels.trec": list(_qrels_lines(newest))}
    for file in files:
        refuse_existing(directory / file)
    for file, lines in files.items():
        write_whole(directory / file, "".join(f"{line}\n" for line in lines).encode())
    content = {"run": newest.run_id, "at": newest.at, "files": [str(directory / file) for file in files]}
    say(json, content, f"{len(files['run.trec'])} answers and {len(files['qrels.trec'])} judgements in {directory}")


def _run_lines(run: Run) -> Iterable[str]:
    """``query Q0 document rank score driftwatch``, each document once."""
    for seen in run.observations:
        if not seen.attempt:
            first: dict[str, float | None] = {}
            sign = -1 if seen.score_kind == "distance" else 1
            for hit in seen.hits or ():
                first.setdefault(hit.doc_id, None if hit.score is None else sign * hit.score)
            for rank, (doc_id, score) in enumerate(zip(first, _in_order(list(first.values())), strict=True), 1):
                yield f"{_word(seen.query_id)} Q0 {_word(doc_id)} {rank} {score!r} driftwatch"


def _in_order(scores: list[float | None]) -> list[float]:
    """These where they say the order by themselves, else one over the rank: ``trec_eval`` reads no ranks."""
    known = [score for score in scores if score is not None and isfinite(score)]
    read = np.array(known, np.float32)  # as it does
    if len(known) == len(scores) and (read[1:] < read[:-1]).all():
        return known
    return [1 / rank for rank in range(1, len(scores) + 1)]


def _qrels_lines(run: Run) -> Iterable[str]:
    for seen in run.observations:
        if not seen.attempt:
            yield from (f"{_word(seen.query_id)} 0 {_word(doc)} {grade}" for doc, grade in seen.relevant.items())


def _word(name: str) -> str:
    """TREC's columns are separated by blanks.

    Raises:
        DriftwatchError: the id has some.
    """
    if not name or len(name.split()) != 1 or name != name.strip():
        raise DriftwatchError(f"the id '{name}' holds a blank, which TREC's form cannot.", remedy="Rename it.")
    return name
