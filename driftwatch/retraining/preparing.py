"""The first steps of a job: pairs, what may train of them, what must not be taken for the answers; a sealed dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from driftwatch.config.release import registry_of
from driftwatch.documents import Corpus
from driftwatch.errors import TooLittle
from driftwatch.retrain._candidates import in_half
from driftwatch.retrain._judge import load_judge
from driftwatch.retrain._neighbours import blocks_of, nearest
from driftwatch.retrain.dataset import MANIFEST, name_of, read_json, read_nouns, seal, sealed, write_json, write_nouns
from driftwatch.retrain.generated import generate
from driftwatch.retrain.jobs import write_job
from driftwatch.retrain.leaks import guarded
from driftwatch.retrain.mine import Mined, mine
from driftwatch.retrain.pairs import Collected, from_files, from_log, joined
from driftwatch.retrain.passages import offsets_of, passages_of
from driftwatch.retrain.scale import Scale, in_shards, scale_of
from driftwatch.retrain.settings import Retrain
from driftwatch.retrain.split import Split, split
from driftwatch.retrain.strategy import Strategy, refuse_unlabelled, strategy_of
from driftwatch.retrain.trainer_settings import Webhook
from driftwatch.retrained import Asked, Pair, Passage, Removed, Row
from driftwatch.retraining.course import CANDIDATE
from driftwatch.retraining.material import (
    canaries,
    corpus_of,
    documents_of,
    questions,
    remembered,
    retrain_of,
    said,
    unkept,
)
from driftwatch.retraining.work import Work

DATASET = "dataset"
CLICKED = "clicked.json"
ASKED_FOR = 10
"""Documents that are looked through for the one that a question was written for."""


def collect(work: Work) -> str:
    """Write the pairs that may train and the questions that the gate asks; what was left out is in the report.

    Raises:
        TooLittle: fewer pairs than are wanted.
        DriftwatchError: something cannot be read.
    """
    registry_of(work.watch).tidy({work.course.job_id})
    dataset = work.course.path / DATASET
    if (dataset / name_of(Pair)).exists():
        return "the pairs were collected."
    settings, corpus = retrain_of(work.watch), corpus_of(work.watch)
    work.say("collecting pairs")
    collected = collected_of(work, settings, corpus)
    divided = split(collected.pairs, settings.leaks, settings.mine.seed)
    if not divided.held_out:
        raise TooLittle(
            "no question that people asked can be held out (those of a language model judge nothing), so the gate "
            "would have nothing to see a gain by.",
            remedy="Collect feedback on more documents, or label pairs ('retrain: pairs: files').",
        )
    judged = (*canaries(work.watch), *remembered(work.watch), *questions(divided.held_out))
    work.say("keeping the gate's questions out")
    named = {each.doc_id for each in collected.pairs} | {doc_id for each in judged for doc_id in each.relevant}
    texts: dict[str, list[str]] = defaultdict(list)
    for passage in _passages(work, settings, corpus):
        if passage.parent in named:
            texts[passage.parent].append(passage.text)
    kept = guarded(divided.train, judged, texts, work.embedder().encode_queries, settings.leaks)
    write_nouns(dataset, judged, Asked)
    write_json(dataset / CLICKED, {query: sorted(docs) for query, docs in collected.clicked.items()})
    write_json(work.made / "report.json", _report(collected, divided, kept.removed, judged))
    write_nouns(dataset, kept.pairs, Pair)  # last: with it, the step is done
    return f"{len(kept.pairs)} pairs to train on, {len(judged)} questions to judge by."


def collected_of(work: Work, settings: Retrain, corpus: Corpus) -> Collected:
    """Every pair there is.

    Raises:
        TooLittle: fewer of them say what answers a question than are wanted.
    """
    collected = joined(
        from_log(said(work.watch, work.store, work.now), settings.pairs, corpus),
        unkept(work.watch, work.store, work.now),
        from_files(settings.pairs.files, work.watch.base, corpus),
        *_written(work, settings, corpus),
    )
    found = sum(pair.relevant for pair in collected.pairs)
    if not found:
        raise TooLittle(str(refuse_unlabelled()))
    if found < settings.least_pairs:
        raise TooLittle(f"there are {found} pairs, and {settings.least_pairs} are wanted (`retrain: least_pairs`).")
    return collected


def _written(work: Work, settings: Retrain, corpus: Corpus) -> Iterator[Collected]:
    """Questions that a language model writes, where one is named; each finds its document by the model in use."""
    if settings.pairs.generate is None:
        return
    embedder, passages = work.embedder(work.model.in_haste()), _passages(work, settings, corpus)
    vectors = embedder.encode_documents([each.text for each in passages])

    def retrieve(texts: Sequence[str]) -> list[tuple[str, ...]]:
        found = nearest(embedder.encode_queries(texts), blocks_of(vectors), ASKED_FOR)
        return [tuple(passages[row].parent for row in rows) for rows in found.ids.tolist()]

    work.say("having questions written", 0, settings.pairs.generate.documents)
    yield generate(
        documents_of(corpus),
        settings.pairs.generate,
        work.course.path.parents[1] / "written",
        retrieve,
        languages=work.watch.languages,
        seed=settings.mine.seed,
        ledger=work.course.path / "spent.json",
    ).collected


def mine_rows(work: Work) -> str:
    """Write the rows and seal the dataset; then the job is ready to be trained.

    Raises:
        TooLittle: too few rows are left, or the strategy says no.
        DriftwatchError: something cannot be read.
    """
    dataset = work.course.path / DATASET
    if (work.course.path / "job.json").exists():
        return "the rows were mined."
    settings = retrain_of(work.watch)
    if (dataset / MANIFEST).exists():  # killed after that: what is sealed counts, whatever the documents say by now
        return _wanted(work, settings, sum(1 for _ in read_nouns(dataset, Row)))
    pairs = tuple(read_nouns(dataset, Pair))
    passages = tuple(_passages(work, settings, corpus_of(work.watch)))
    work.say("mining", 0, len(pairs))
    with scale_of(settings, work.model.in_haste(), work.watch.state) as scale:
        mined = mine(
            pairs,
            passages,
            *vectors_of(scale, pairs, passages),
            settings.mine,
            clicked=read_json(dataset / CLICKED),
            judge=load_judge(settings.mine.cross_encoder) if settings.mine.cross_encoder else None,
            neighbours=scale.neighbours,
        )
    strategy = strategy_of(len(mined.rows), settings.train)
    if not strategy.allowed:
        raise TooLittle(strategy.why)
    report = {"mined": mined.report, "removed": [asdict(each) for each in mined.removed]}
    write_json(work.made / "report.json", report)
    _seal(work, settings, mined, passages)
    return _wanted(work, settings, len(mined.rows))


def vectors_of(
    scale: Scale, pairs: Sequence[Pair], passages: Sequence[Passage]
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Of the question of each pair, and of each passage; by whoever does the work, in the same shards."""
    asked = {query: place for place, query in enumerate(dict.fromkeys(each.query for each in pairs))}
    questions = in_half(scale.encode("query", in_shards(asked)), len(asked))
    documents = in_half(scale.encode("document", in_shards(each.text for each in passages)), len(passages))
    return questions[[asked[each.query] for each in pairs]], documents


def _seal(work: Work, settings: Retrain, mined: Mined, passages: Sequence[Passage]) -> None:
    """Rows and the passages that they name; the manifest comes last."""
    dataset = work.course.path / DATASET
    named = {name for row in mined.rows for name in (row.positive, *row.negatives)}
    write_nouns(dataset, (each for each in passages if each.passage_id in named), Passage)
    write_nouns(dataset, mined.rows, Row)
    seal(dataset, {"seed": settings.mine.seed})


def _wanted(work: Work, settings: Retrain, rows: int) -> str:
    """Write down what is wanted of the trainer; what a person is told of it."""
    strategy = strategy_of(rows, settings.train)
    write_job(work.course.path, _spec(work, settings, strategy, sealed(work.course.path / DATASET)))
    return f"{rows} rows: {strategy.sentence}"


def _spec(work: Work, settings: Retrain, strategy: Strategy, data: str) -> Mapping[str, object]:
    model = work.model
    base = ("model", "revision", "query_prompt", "document_prompt", "max_length", "dimension")
    return {
        "version": 1,
        "job_id": work.course.job_id,
        "service": work.watch.service,
        "base": {name: getattr(model, name) for name in base},
        "dataset": str(work.course.path / DATASET),
        "output": str(work.course.path / CANDIDATE),
        "data": data,
        "train": settings.train.model_dump(mode="json"),
        "strategy": asdict(strategy),
        "callback": _callback(work, settings),
    }


def _callback(work: Work, settings: Retrain) -> str | None:
    """Where the result can be posted to; None where nobody would take it, or nobody knows how we are reached."""
    api, trainer = work.watch.api, settings.trainer
    if api is None or not api.public_url or not isinstance(trainer, Webhook) or trainer.token is None:
        return None
    return f"{api.public_url}/v1/jobs/{work.course.job_id}/result"


def _passages(work: Work, settings: Retrain, corpus: Corpus) -> Sequence[Passage]:
    offsets = offsets_of(work.model.model, work.model.revision)
    return tuple(passages_of(documents_of(corpus), settings.pairs, offsets))


def _report(
    collected: Collected, divided: Split, guards: Sequence[Removed], judged: Sequence[Asked]
) -> Mapping[str, object]:
    removed = (*collected.removed, *divided.removed, *guards)
    groups = [each.group for each in judged]
    return {
        "pairs": dict(collected.counts),
        "trained": len(divided.train),
        "held_out": len(divided.held_out),
        "judged": {group: groups.count(group) for group in sorted(set(groups))},
        "removed": [asdict(each) for each in removed],
    }
