"""The last step of a job: a release of the candidate, the corpus embedded anew, and the switch, once approved."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from driftwatch.compare import Answers, compare
from driftwatch.compared import ALL, content_of
from driftwatch.config import Watch
from driftwatch.config.release import registry_of
from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import RetrainError
from driftwatch.retrain import promote as promotion
from driftwatch.retrain._job_files import one_line
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.folders import check_hash
from driftwatch.retrain.held import Held
from driftwatch.retrain.manifests import in_use, index_of, release_name
from driftwatch.retrain.passages import offsets_of, passages_of
from driftwatch.retrain.promote import Means
from driftwatch.retrain.rebuild import Encode, Passages, Progress
from driftwatch.retrain.scale import scale_of
from driftwatch.retrained import Manifest
from driftwatch.retraining.course import JUDGEMENT, Course
from driftwatch.retraining.material import corpus_of, documents_of, retrain_of, teller_of
from driftwatch.retraining.work import Refused, Work
from driftwatch.retrievers import Retriever
from driftwatch.targets import target_of
from driftwatch.types import Query, Reply

_SAID = 100
"""Of what a foreign file says: things, and letters of each."""


def promote(work: Work) -> str:
    """Go on until the model is in use, or something must be waited for; how it stands.

    Raises:
        Refused: the candidate is not the one that was judged, and that somebody approved.
        RetrainError: a step cannot be done; it can be tried again.
    """
    _check_unchanged(work.course)
    means = _means(work)
    begun = promotion.begin(
        work.course.path,
        _manifest(work),
        candidate=work.course.candidate,
        judged=_judged(work.course),
        judgement=work.course.judgement,
        registry=means.registry,
        now=work.now,
    )
    clock = time.monotonic()  # embedding takes hours, and the dual run begins after that

    def now() -> datetime:
        return work.now + timedelta(seconds=time.monotonic() - clock)

    while promotion.advance(work.course.path, means, now()):
        work.say((promotion.read(work.course.path) or begun).stage)
    known = promotion.read(work.course.path) or begun
    return f"{known.release}: {known.stage}. {known.waiting}".strip()


def _check_unchanged(course: Course) -> None:
    """Before anything is done; once it is a release, its files are looked at there."""
    if promotion.read(course.path) is None:
        candidate = course.candidate
        try:
            check_hash(candidate, _judged(course), shown=candidate)
        except RetrainError as error:
            raise Refused(error.problem, remedy="Start a new job.") from None


def roll_back(watch: Watch, by: str, now: datetime, leave: str = "") -> tuple[Manifest, str]:
    """The release before is in use again; it, and who could not be told yet. ``leave``: as ``Registry.rollback``.

    Raises:
        RetrainError: there is none before, or another release than ``leave`` is in use.
    """
    told = teller_of(watch)
    manifest = promotion.roll_back(told.registry, told, now=now, by=by, leave=leave)
    return manifest, " ".join(f"{each.said}." for each in told.left())


# --- what it is done with ---------------------------------------------------------------------------------------------


def _means(work: Work) -> Means:
    watch = work.watch
    if watch.probed is None:
        raise RetrainError(
            f"{watch.path}: there is no 'index:' section.", remedy="A new model needs a new index: name the store."
        )
    settings = retrain_of(watch)
    return Means(
        registry=registry_of(watch),
        settings=settings.promote,
        index=watch.probed,
        documents=lambda index: _documents(work, index),
        embedder=lambda _, model: TextEmbedder(_with(work.model, model)),  # what it keeps is kept by the rebuild
        teller=teller_of(watch),
        in_use=lambda: _adopted(work),
        compare=lambda manifest: _dual_run(work, manifest),
        progress=lambda progress: _tell(work, progress),
        encode=lambda model: _elsewhere(work, _with(work.model, model)),
    )


def _elsewhere(work: Work, model: EmbedderSettings) -> Encode | None:
    """A cluster that embeds the corpus; None: this machine does, with the embedder."""
    settings = retrain_of(work.watch)

    def encode(shards: Iterable[Sequence[str]]) -> Iterator[NDArray[Any]]:
        with scale_of(settings, model) as scale:
            yield from scale.encode("document", shards)

    return encode if settings.cluster else None


def _adopted(work: Work) -> Manifest:
    """What the configuration names, as a release to go back to."""
    model = work.model
    return in_use(
        model.model,
        work.watch.probed,
        work.now,
        revision=model.revision or "",
        threshold=retrain_of(work.watch).threshold,
    )


def _with(model: EmbedderSettings, name: str) -> EmbedderSettings:
    return model.model_copy(update={"model": name, "revision": None, "cache": None})


def _tell(work: Work, progress: Progress) -> None:
    work.say(progress.stage, progress.done, progress.total, progress.eta_seconds)


def _documents(work: Work, index: Retriever) -> Passages:
    """What the index in use holds, or, where it cannot be listed, the documents of the source, cut as for training."""
    if {"ids", "facts"} <= index.capabilities:
        return Held(index, corpus_of(work.watch) if work.watch.documents is not None else None)
    corpus, model = corpus_of(work.watch), work.model
    return tuple(
        passages_of(documents_of(corpus), retrain_of(work.watch).pairs, offsets_of(model.model, model.revision))
    )


def _manifest(work: Work) -> Manifest:
    """The release as it is added; the same for every start of the same job."""
    known = promotion.read(work.course.path)
    if known is not None:
        return known.manifest
    said, training = read_json(work.course.path / JUDGEMENT), work.course.training
    question = work.store.approvals.of(work.course.job_id)
    wanted = training.job
    return Manifest(
        release=release_name(work.now, _judged(work.course)),
        created=work.now,
        model="model",
        base=wanted.base.model,
        revision=wanted.base.revision or "",
        data=wanted.data,
        threshold=said["threshold"]["value"],
        measures=_measures(work.course),
        versions=_versions(work.course.candidate),
        job=work.course.job_id,
        approved_by=question.decided_by if question is not None and question.state == "approved" else "",
        replaces=_replaced(work),
    )


def _measures(course: Course) -> Mapping[str, float]:
    return {f"{each.measure} {each.group}": each.new for each in course.judgement.differences if each.lang == "all"}


def _versions(candidate: Path) -> Mapping[str, str]:
    """As far as the trainer says so; nothing rests on them."""
    path = candidate / "driftwatch_model.json"
    said = read_json(path).get("versions") if path.exists() else None
    some = islice(said.items(), _SAID) if isinstance(said, dict) else ()
    return {one_line(str(name))[:_SAID]: one_line(str(each))[:_SAID] for name, each in some}


def _judged(course: Course) -> str:
    return str(read_json(course.path / JUDGEMENT)["candidate"])


def _replaced(work: Work) -> str:
    """The model that the configuration names itself, whatever was promoted since."""
    registry = registry_of(work.watch)
    current = registry.current()
    if current is None or not current.replaces or registry.model(current) != work.model.model:
        return work.model.model
    return current.replaces


# --- the dual run -----------------------------------------------------------------------------------------------------


def _dual_run(work: Work, manifest: Manifest) -> str:
    """Both indexes, each with its own model, over the canaries; why not to switch, or empty."""
    watch, registry = work.watch, registry_of(work.watch)
    assert watch.probed is not None
    new = index_of(manifest, registry.place(manifest.release), watch.probed)
    canaries = target_of(watch, work.store, work.embedder(), now=work.now).canaries
    model = work.embedder(_with(work.model, registry.model(manifest)))
    before = Answers("in use", _asked(watch.probed, work.embedder(), canaries), ())
    after = Answers(manifest.release, _asked(new, model, canaries), ())
    found = compare(before, after, canaries, (), work.now)
    write_json(work.made / "dual-run.json", content_of(found))
    worse = [each for each in found.canaries.get(ALL, ()) if each.high < 0]
    return "; ".join(f"{each.measure} of the canaries falls by {-each.difference:.3f}" for each in worse)


def _asked(index: Retriever, embedder: TextEmbedder, canaries: Sequence[Query]) -> list[Reply]:
    """As the service asks it."""
    vectors = embedder.encode_queries([each.text for each in canaries])
    return [Reply(hits) for hits in index.search_vectors(vectors, index.top_k)]
