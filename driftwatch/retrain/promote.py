"""From a candidate that was judged and approved to the release in use, a step at a time.

::

    approved    somebody said yes to what the gate judged         nothing is changed yet
    added       the model is copied into a release                releases/<release>/model
    rebuilt     the corpus is embedded anew                       a new index beside the old one
    checked     the new index holds everything and finds it       else: refused, and the new index goes
    compared    the dual run is over, or none was wanted          else: refused
    switched    model, index and threshold are in use together    current -> releases/<release>
    told        the service and MLflow know                       old releases beyond `keep` go

Each stage is in ``promotion.json`` before the next begins, and every step may be done twice: killed anywhere, it goes
on, with no second index and no second switch. A rollback meanwhile wins.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from driftwatch.errors import DriftwatchError, RetrainError
from driftwatch.retrain._promotion import (
    FILE,
    OVER,
    WORK,
    Promotion,
    Stage,
    alone,
    check_alone,
    give_up,
    moved,
    read,
    write,
)
from driftwatch.retrain.checked import LOOKED_AT, check_index
from driftwatch.retrain.folders import check_hash
from driftwatch.retrain.manifests import index_of, settings_of
from driftwatch.retrain.rebuild import Encode, Passages, Progress, rebuild, sample
from driftwatch.retrain.registry import Registry
from driftwatch.retrain.settings import Promote
from driftwatch.retrain.telling import Teller
from driftwatch.retrain.writers import Writer, writer_for
from driftwatch.retrained import Judgement, Manifest
from driftwatch.retrievers import Retriever
from driftwatch.types import Embedder

__all__ = ["FILE", "OVER", "Means", "Promotion", "Stage", "advance", "begin", "give_up", "read", "roll_back"]

_CATCH_UPS = 2
"""How often documents that changed meanwhile are caught up with; after that, the switch waits no longer."""
_PATIENCE = 10.0
"""Seconds that a promotion waits for another one that begins in this very moment."""


@dataclass(frozen=True)
class Means:
    """What a promotion is done with."""

    registry: Registry
    settings: Promote
    index: Retriever
    """As the configuration has it, with its secrets."""
    documents: Callable[[Retriever], Passages]
    """What the new index is to hold, given the index in use: ``held.Held``, or passages as they were cut."""
    embedder: Callable[[Manifest, str], Embedder]
    """The embedder with the model of a release, which is the folder that is given; as it will serve."""
    teller: Teller
    in_use: Callable[[], Manifest]
    """What the configuration has, as a release: asked once, before the first of ours (``manifests.in_use``)."""
    compare: Callable[[Manifest], str] = lambda _: ""
    """After the dual run: why not to switch; empty: nothing speaks against it."""
    stopping: Callable[[], bool] = lambda: False
    progress: Callable[[Progress], None] = lambda _: None
    encode: Callable[[str], Encode | None] = lambda _: None
    """Who embeds the corpus with the model in a folder; None: the embedder does."""


def begin(
    folder: Path,
    manifest: Manifest,
    *,
    candidate: Path,
    judged: str,
    judgement: Judgement,
    registry: Registry,
    now: datetime,
) -> Promotion:
    """Write down that a candidate is to be promoted; ``folder`` is its job's. Begun again, it is what it was.

    Raises:
        RetrainError: the gate said no, nobody approved, the candidate is not what was judged, or another promotion is
            not over.
    """
    if (known := read(folder)) is not None:
        if known.release != manifest.release or known.judged != judged:
            raise RetrainError(f"{folder / FILE}: the job is promoted already, as {known.release}.")
        return known
    _check(manifest, judged, judgement)
    check_hash(candidate, judged, shown=candidate)
    with alone(registry.folder, _PATIENCE):
        check_alone(registry)
        return moved(folder, Promotion(manifest, str(candidate.absolute()), judged), "approved", now)


def advance(folder: Path, means: Means, now: datetime) -> bool:
    """Do the next step of the promotion in ``folder``; whether there was one. Where none was, ``waiting`` says why.

    Raises:
        RetrainError: it is advanced elsewhere at the moment, or a step cannot be done; it can be tried again.
    """
    with alone(folder):
        known = read(folder)
        if known is None or known.stage in OVER:
            return False
        step = _STEPS[known.stage]
        after = _overtaken(known, means) or step(known, folder, means, now)
        if after.stage in OVER:
            shutil.rmtree(folder / WORK, ignore_errors=True)
        if after.stage != known.stage:
            moved(folder, replace(after, waiting="" if after.stage not in OVER else after.waiting), after.stage, now)
            return True
        if after != known:
            write(folder, after)
        return False


def roll_back(
    registry: Registry, teller: Teller, *, now: datetime, by: str, reason: str = "", leave: str = ""
) -> Manifest:
    """Use the release before again: model, index and threshold in one step; then tell who must know. Who could not be
    told is in ``teller.left()``, and is tried again by ``teller.step``. ``leave``: as ``Registry.rollback``.

    Raises:
        RetrainError: there is no release before, nobody says who goes back, or another release than ``leave`` is used.
    """
    if not by.strip():
        raise RetrainError("nobody says who goes back.", remedy="Name somebody.")
    manifest = registry.rollback(now=now, by=by, reason=reason, leave=leave)
    while teller.step(now):
        pass
    return manifest


# --- the steps -------------------------------------------------------------------------------------------------------


def _add(known: Promotion, folder: Path, means: Means, now: datetime) -> Promotion:
    del folder, now
    registry = means.registry
    if registry.current() is None:
        _writer(known, means, means.index)  # what cannot be built anew is said now, and not adopted
        registry.adopt(means.in_use())
    registry.add(Path(known.candidate), known.manifest, known.judged)
    current = registry.current()
    return replace(known, stage="added", instead_of=current.release if current else "")


def _rebuild(known: Promotion, folder: Path, means: Means, now: datetime) -> Promotion:
    del now
    registry = means.registry
    model = registry.model(known.manifest)
    embedder = means.embedder(known.manifest, model)
    old = _index_in_use(means)
    done = rebuild(
        means.documents(old),
        embedder,
        _writer(known, means, old),
        folder / WORK,
        shard=means.settings.shard,
        encode=means.encode(model),
        rate=means.settings.rate,
        stopping=means.stopping,
        progress=means.progress,
    )
    if done is None:
        return replace(known, waiting="it was told to stop, and goes on where it was")
    registry.amend(known.release, index=done.index, fingerprint=embedder.fingerprint)
    return replace(known, stage="rebuilt", waiting="", count=done.count, corpus=done.corpus, dimension=done.dimension)


def _check_it(known: Promotion, folder: Path, means: Means, now: datetime) -> Promotion:
    del now
    old, new = _index_in_use(means), _new_index(known, means)
    embedder = means.embedder(known.manifest, means.registry.model(known.manifest))
    sampled = sample(means.documents(old), folder / WORK, embedder, LOOKED_AT)
    old.close()
    try:
        checked = check_index(new, old, sampled, known.count, known.dimension)
    finally:
        new.close()
    known = replace(known, reasons=checked.reasons, waiting=checked.waiting)
    if checked.waiting:
        return known
    if checked.passed:
        return replace(known, stage="checked")
    failed = "; ".join(reason.sentence for reason in checked.reasons if not reason.passed)
    return _refused(known, means, f"the new index must not be used: {failed}")


def _compare(known: Promotion, folder: Path, means: Means, now: datetime) -> Promotion:
    del folder
    lasts = means.settings.dual_run
    if lasts is None or "compared" in known.at:  # a second time, after documents were caught up with
        return replace(known, stage="compared")
    until = datetime.fromisoformat(known.at["checked"]) + lasts
    if now < until:
        return replace(known, waiting=f"old and new are both asked until {until.isoformat(timespec='minutes')}")
    if against := means.compare(means.registry.manifest(known.release)):
        return _refused(known, means, against)
    return replace(known, stage="compared")


def _switch(known: Promotion, folder: Path, means: Means, now: datetime) -> Promotion:
    registry = means.registry
    if registry.rolled_back(known.release):
        return _gone_back(known, means)
    current = registry.current()
    if current is None or current.release != known.release:
        caught = _caught_up(known, folder, means, now)
        if caught.stage != known.stage or caught.waiting:
            return caught
        known = caught
        registry.switch(known.release, instead_of=known.instead_of)
    return replace(known, stage="switched")


def _tell(known: Promotion, folder: Path, means: Means, now: datetime) -> Promotion:
    current = means.registry.current()
    if current is None or current.release != known.release:
        return _gone_back(known, means)
    while means.teller.step(now):
        pass
    if left := means.teller.left():
        return replace(known, waiting="; ".join(each.said for each in left))
    return replace(known, stage="told", notes=(*known.notes, *_pruned(means, folder.name)))


_STEPS: Mapping[str, Callable[[Promotion, Path, Means, datetime], Promotion]] = {
    "approved": _add,
    "added": _rebuild,
    "rebuilt": _check_it,
    "checked": _compare,
    "compared": _switch,
    "switched": _tell,
}


# --- how -------------------------------------------------------------------------------------------------------------


def _check(manifest: Manifest, judged: str, judgement: Judgement) -> None:
    if not judgement.passed or not judgement.reasons:
        why = "; ".join(reason.sentence for reason in judgement.reasons if not reason.passed)
        raise RetrainError(
            f"the gate said no{': ' + why if why else ''}.", remedy="A candidate that it refused is never promoted."
        )
    if not manifest.approved_by.strip():
        raise RetrainError("nobody approved it.", remedy="Name who did.")
    if not judged.strip():
        raise RetrainError("nobody knows which files were judged.", remedy="Let the gate judge the candidate again.")


def _caught_up(known: Promotion, folder: Path, means: Means, now: datetime) -> Promotion:
    """Back to `rebuilt` where documents have changed since, with the new index made of what they are now."""
    if known.caught_up >= _CATCH_UPS:
        note = "documents may have changed since the new index was built: they changed each time that it was"
        return replace(known, waiting="", notes=(*known.notes, note))
    after = _rebuild(known, folder, means, now)
    if after.waiting or after.corpus == known.corpus:
        return replace(after, stage=known.stage)
    return replace(after, caught_up=known.caught_up + 1)


def _index_in_use(means: Means) -> Retriever:
    """The index of the release in use; the configured one where there is none of ours."""
    current = means.registry.current()
    if current is None or not current.index:
        return means.index
    found = index_of(current, means.registry.place(current.release), means.index)
    return means.index if settings_of(found) == settings_of(means.index) else found


def _new_index(known: Promotion, means: Means) -> Retriever:
    place = means.registry.place(known.release)
    return index_of(means.registry.manifest(known.release), place, means.index)


def _writer(known: Promotion, means: Means, old: Retriever) -> Writer:
    return writer_for(old, known.release, means.registry.place(known.release) / "index")


def _overtaken(known: Promotion, means: Means) -> Promotion | None:
    """Where another release is in use than the one that this is to follow: it was not judged against that one."""
    current = means.registry.current()
    if not known.instead_of or known.stage == "switched" or current is None:
        return None
    if current.release in (known.release, known.instead_of):
        return None
    who = means.registry.rolled_back(known.instead_of)
    why = f"{who['by']} went back from {known.instead_of}" if who else f"{current.release} is in use meanwhile"
    ended = _refused(known, means, f"{why}, and it was not judged against what is in use now")
    return replace(ended, stage="rolled back") if who else ended


def _refused(known: Promotion, means: Means, why: str) -> Promotion:
    _writer(known, means, _index_in_use(means)).discard()
    return replace(known, stage="refused", waiting=why)


def _gone_back(known: Promotion, means: Means) -> Promotion:
    who = means.registry.rolled_back(known.release) or {}
    reason = f": {who['reason']}" if who.get("reason") else ""
    return replace(known, stage="rolled back", waiting=f"{who.get('by') or 'somebody'} went back{reason}")


def _pruned(means: Means, job: str) -> list[str]:
    """Old releases go, with their indexes; what cannot be removed is said, and is no reason to stop."""

    def let_go(manifest: Manifest) -> None:
        place = means.registry.place(manifest.release)
        index = index_of(manifest, place, means.index) if manifest.index else means.index  # begun, and never finished
        writer_for(index, manifest.release, place / "index").discard()
        index.close()

    try:
        return [f"the release {name} was removed" for name in means.registry.prune({job}, let_go)]
    except (DriftwatchError, OSError) as error:
        return [f"old releases could not be removed: {error}"]
