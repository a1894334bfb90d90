"""The step after training: old model against new, on what neither has seen; the cut-off anew; both side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from driftwatch.compare import Answers, compare
from driftwatch.compared import Comparison, content_of
from driftwatch.config.release import cutoff_in_use
from driftwatch.embed import EmbedderSettings
from driftwatch.retrain.dataset import read_json, read_nouns, write_json
from driftwatch.retrain.evaluate import served
from driftwatch.retrain.folders import folder_hash
from driftwatch.retrain.gate import ENOUGH, judge
from driftwatch.retrain.passages import offsets_of, passages_of
from driftwatch.retrained import Asked, Judgement, Served
from driftwatch.retraining.course import JUDGEMENT, Course, courses
from driftwatch.retraining.cutoff import CutOff, behind, fitting
from driftwatch.retraining.material import corpus_of, documents_of, retrain_of
from driftwatch.retraining.preparing import DATASET
from driftwatch.retraining.work import Refused, Work
from driftwatch.types import Query, Reply, ScoredDoc

LIVE = "live"
"""The group of sampled queries, of which nobody knows the answer: they are compared, and judge nothing."""
MOST_LIVE = 200
DEPTH = 10
IN_USE, CANDIDATE = "the model in use", "the candidate"
"""What they are called side by side."""


def judge_candidate(work: Work) -> str:
    """Judge the candidate, and write down why; what a person is told of it.

    Raises:
        Refused: it is not better, or worse for somebody, with every reason.
        DriftwatchError: something cannot be read.
    """
    path = work.course.path / JUDGEMENT
    if not path.exists():
        write_json(path, _judged(work))
    known = read_json(path)
    against = [str(each["sentence"]) for each in known["reasons"] if not each["passed"]]
    if not known["passed"]:
        raise Refused(f"the gate says no: {' '.join(against)}")
    return "the gate says yes: " + " ".join(str(each["sentence"]) for each in known["reasons"])


def _judged(work: Work) -> Mapping[str, Any]:
    settings = retrain_of(work.watch)
    judged = folder_hash(work.course.candidate)  # first: what is changed from now on was not judged
    asked = tuple(read_nouns(work.course.path / DATASET, Asked))
    live = _live(work)
    work.say("asking both models", 0, len(asked))
    old = _served(work, work.model, (*asked, *live))
    new = _served(work, candidate_model(work), (*asked, *live))
    current = cutoff_in_use(work.watch)
    cutoff = fitting(asked, old, new, current, work.now)
    old, new = behind(old, current), behind(new, cutoff.value)
    against = f"{work.model.model}@{work.model.revision or ''}"
    earlier = judged_before(work.course, against)
    judgement = judge(asked, old, new, settings.gate, settings.serving, earlier=earlier)
    judgement = _with(judgement, cutoff, known=current is not None)
    return {
        "version": 1,
        "job_id": work.course.job_id,
        "against": against,
        "candidate": judged,
        **asdict(judgement),
        "threshold": cutoff.content(),
        "comparison": content_of(side_by_side(work, asked, live, old, new)),
    }


def judged_before(course: Course, against: str) -> int:
    """How many candidates of other jobs were judged against the same model, on so many questions that the answer might
    have been yes.
    """
    others = (each for each in courses(course.path.parents[1]) if each.job_id != course.job_id and each.judged)
    known = (read_json(each.path / JUDGEMENT) for each in others)
    return sum(
        said.get("against") == against and any(each["name"] == ENOUGH and each["passed"] for each in said["reasons"])
        for said in known
    )


def _with(judgement: Judgement, cutoff: CutOff, *, known: bool) -> Judgement:
    """With what is to be said of the cut-off: a reason where the service has one, else a note."""
    if not known:
        return replace(judgement, notes=(*judgement.notes, cutoff.sentence))
    return replace(judgement, passed=judgement.passed and cutoff.found, reasons=(*judgement.reasons, cutoff.reason))


def candidate_model(work: Work) -> EmbedderSettings:
    """The model in use with the candidate in its place: asked and embedded in the same way."""
    return work.model.model_copy(update={"model": str(work.course.candidate), "revision": None})


def _served(work: Work, model: EmbedderSettings, asked: Sequence[Asked]) -> Served:
    offsets = offsets_of(work.model.model, work.model.revision)
    passages = passages_of(documents_of(corpus_of(work.watch)), retrain_of(work.watch).pairs, offsets)
    return served(model, asked, passages, cache=work.watch.state)


def _live(work: Work) -> tuple[Asked, ...]:
    """Some of the newest sampled queries whose text is kept."""
    found: dict[str, Asked] = {}
    for name, source in work.watch.sources.items():
        if source.gives == "traffic":
            since = work.now - timedelta(days=retrain_of(work.watch).pairs.days)
            for seen in work.store.traffic.recent_queries(name, since, work.now, 5 * MOST_LIVE):
                if seen.text:
                    found.setdefault(seen.text, Asked(f"{LIVE}:{seen.query_id}", seen.text, seen.lang, {}, LIVE))
    return tuple(found.values())[:MOST_LIVE]


# --- side by side -----------------------------------------------------------------------------------------------------


def side_by_side(work: Work, asked: Sequence[Asked], live: Sequence[Asked], old: Served, new: Served) -> Comparison:
    """Both models over the same questions, as `driftwatch compare` shows two retrievers."""
    known, queries = [_query(each) for each in asked], [_query(each) for each in live]
    before = Answers(IN_USE, _replies(old, asked), _replies(old, live))
    after = Answers(CANDIDATE, _replies(new, asked), _replies(new, live))
    return compare(before, after, known, queries, work.now, k=DEPTH)


def _query(asked: Asked) -> Query:
    return Query(asked.query_id, asked.text, asked.lang, asked.relevant)


def _replies(side: Served, asked: Sequence[Asked]) -> list[Reply]:
    return [Reply(_hits(side, each.query_id)) for each in asked]


def _hits(side: Served, query_id: str) -> tuple[ScoredDoc, ...] | None:
    ranking = side.rankings.get(query_id)
    if ranking is None:
        return None
    scores = side.scores.get(query_id) or (None,) * len(ranking)
    return tuple(map(ScoredDoc, ranking, scores))
