"""A project that retrains: articles, canaries, labels, an index, and models of which is known what they know.

Documents say two things each (`say3 say7`), questions ask for both (`ask3 ask7`). A model finds the things that it
knows, and no others. Nothing here trains: the trainer is a program that hands out a model that was there before.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from driftwatch.config import Watch, load_watch
from driftwatch.retrain import _process
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.folders import folder_hash
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retraining.course import Course, Step, courses
from driftwatch.retraining.steward import Steward
from driftwatch.retraining.work import Work
from driftwatch.store import Store
from driftwatch.types import Alert, Diagnosis, Finding, Transition
from tests.fakes.tiny_model import THINGS, WIDTH, task, words

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INCIDENT = "canaries-en-abc"
OLD_THINGS = 10
SPOILS = Path(__file__).with_name("spoils.py")

CONFIG = """
service: shop
database: sqlite:///driftwatch.db
baseline: 14 days
languages: [en]
api: off
retriever: {{kind: http, url: "http://127.0.0.1:9/retrieve"}}
index: {{kind: faiss, index: index/docs.faiss, ids: index/ids.txt}}
documents: {{path: articles.jsonl}}
embedder: {{model: {model}, device: cpu}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 12h}}
  live: {{kind: query_log, path: queries.jsonl, every: 1h}}
notify: [{{kind: console, name: terminal}}]
checks:
  - {{name: recall, kind: canary, source: canaries, measure: R@5, at_least: 0.8, max_drop: 0.1}}
retrain:
  when: [recall]
  windows: 2
  window: 1 day
  cool_down: 7 days
  least_pairs: 20
  pairs: {{files: [labels.jsonl]}}
  mine: {{negatives: 2, least_rows: 20}}
  gate: {{least: 20, least_in_language: 5, no_language_loses: 0.15, forgets: 0.15, latency: 1000, memory: 3}}
{more}
"""


def known_model(folder: Path, things: int, seed: int = 0) -> Path:
    """A sentence-transformers model in which the first ``things`` mean the same asked and said, and no others."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(words())}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    weights = np.random.default_rng(seed).normal(scale=0.02, size=(len(vocabulary), WIDTH)).astype(np.float32)
    for thing in range(THINGS):
        weights[vocabulary[f"say{thing}"], thing] += 1
        weights[vocabulary[f"ask{thing}"], thing if thing < things else WIDTH - 1 - thing] += 1
    modules = [StaticEmbedding(tokenizer, embedding_weights=weights), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def questions() -> list[tuple[str, str]]:
    """(text, the document that answers it), one of each pair of things."""
    rows, _ = task()
    return [(row.query, row.positive) for row in rows]


def write_project(folder: Path, model: Path | str, more: str = "") -> Path:
    """Everything but the index; ``more``: further lines, at the end of the `retrain:` section."""
    _, passages = task()
    asked = questions()
    canaries = [
        {"query_id": f"c{number}", "text": text, "lang": "en", "relevant": [doc_id]}
        for number, (text, doc_id) in enumerate(asked)
        if number % 5 == 0
    ]
    labels = [
        {"query": text, "doc_id": doc_id, "lang": "en"} for number, (text, doc_id) in enumerate(asked) if number % 5
    ]
    write_lines(folder / "articles.jsonl", [{"id": each.parent, "text": each.text} for each in passages])
    write_lines(folder / "canaries.jsonl", canaries)
    write_lines(folder / "labels.jsonl", labels)
    (folder / "queries.jsonl").touch()
    path = folder / "driftwatch.yaml"
    path.write_text(CONFIG.format(model=model, more=more).lstrip())
    return path


def write_index(folder: Path, model: Path) -> None:
    """Every article by ``model``, as the service has it."""
    import faiss

    from driftwatch.embed import EmbedderSettings, TextEmbedder

    _, passages = task()
    vectors = TextEmbedder(EmbedderSettings(model=str(model), device="cpu")).encode_documents(
        [each.text for each in passages]
    )
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    (folder / "index").mkdir()
    faiss.write_index(index, str(folder / "index" / "docs.faiss"))
    (folder / "index" / "ids.txt").write_text("".join(f"{each.parent}\n" for each in passages))


def hands_out(model: Path | str) -> str:
    """The line of the configuration by which a trainer gives ``model`` out as its candidate."""
    return f"  trainer: {{run: {json.dumps([sys.executable, str(SPOILS), '{job_file}', str(model)])}}}"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@dataclass
class Workshop:
    """One project, its store, and jobs that are as far as a test wants them."""

    watch: Watch
    store: Store

    @classmethod
    def at(cls, config: Path) -> Workshop:
        watch = load_watch(config)
        return cls(watch, Store.open(watch.database))

    def steward(self) -> Steward:
        """Another daemon: it knows nothing but the disk and the store."""
        return Steward(self.watch, self.store)

    @property
    def jobs(self) -> list[str]:
        return [each.job_id for each in courses(self.steward().folder)]

    def work(self, course: Course, step: str, now: datetime = NOW) -> Work:
        """What the worker of a step has in its hands."""
        return Work(self.watch, self.store, course, JobFolder(course.path / "steps" / step), now)

    def fire(self, days: int = 4, since: datetime = NOW - 4 * DAY, cause: str = "model mismatch") -> None:
        """The check fires since then, and each day since shows the drift anew."""
        looks = [
            Finding(
                "recall", "en", since + n * DAY, "fail", "it fell", "canary", "canaries", 20, 0.4, 0.9,
                effect=-0.5, interval=(-0.6, -0.4),
            )
            for n in range(days + 1)
        ]  # fmt: skip
        alert = Alert("recall", "en", "firing", since, bad=2, fired_at=since, incident=INCIDENT)
        fired = Transition("k1", "recall", "en", "firing", "pending", "firing", since, INCIDENT, "canaries")
        thought = {INCIDENT: Diagnosis(cause, "it does not fit", "train", at=since)}
        self.store.decisions.record(
            findings=looks, alerts=[alert], transitions=[fired], receivers={}, diagnoses=thought
        )

    # --- a job that is as far as that ------------------------------------------------------------------------------

    def begun(self, now: datetime = NOW) -> Course:
        """It was begun, and nothing was done."""
        return self.steward().begin(now, ["It lasts."], INCIDENT)

    def done(self, course: Course, *steps: Step) -> Course:
        """These steps were done."""
        for step in steps:
            decide(course.step(step))
        return course

    def trained(self, candidate: Path, now: datetime = NOW) -> Course:
        """The trainer has handed in a copy of ``candidate``."""
        course = self.done(self.begun(now), "pairs", "mine")
        write_json(course.path / "job.json", spec(course))
        for source in candidate.rglob("*"):
            if source.is_file():
                target = course.path / "candidate" / source.relative_to(candidate)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
        decide(course.training, candidate="candidate")
        return course

    def judged(self, candidate: Path, *, passed: bool = True, now: datetime = NOW) -> Course:
        """The gate has spoken."""
        course = self.trained(candidate, now)
        write_json(course.path / "judgement.json", judgement(course, passed=passed))
        if passed:
            return self.done(course, "judge")
        decide(course.step("judge"), "refused", "the gate says no: it is worse.")
        return course

    def asked(self, candidate: Path, now: datetime = NOW) -> Course:
        """Somebody was asked."""
        course = self.judged(candidate, now=now)
        self.steward().go_on(course, now)
        return course

    def approved(self, candidate: Path, now: datetime = NOW) -> Course:
        """Somebody said yes."""
        course = self.asked(candidate, now)
        self.store.approvals.decide_by_hand(course.job_id, "approve", "U1", now)
        return course


def decide(folder: JobFolder, outcome: str = "done", reason: str = "", candidate: str = "made") -> None:
    """The program of a step ended so, and that was written down."""
    (folder.path / candidate).mkdir(parents=True, exist_ok=True)
    said = {"version": 1, "job_id": folder.job_id, "outcome": outcome, "reason": reason, "at": NOW}
    write_json(folder.path / "outcome.json", {**said, "candidate": candidate if outcome == "done" else ""})


def kill(folder: JobFolder) -> None:
    """As the machine does that goes down: with its keeper."""
    _process.end_all(folder)


def spec(course: Course) -> dict[str, Any]:
    """What job.json says."""
    return {
        "version": 1,
        "job_id": course.job_id,
        "service": "shop",
        "base": {"model": "base", "revision": None},
        "dataset": str(course.path / "dataset"),
        "output": str(course.path / "candidate"),
        "data": "9f86d0",
        "train": {},
        "strategy": {},
        "callback": None,
    }


def judgement(course: Course, *, passed: bool = True) -> dict[str, Any]:
    """What the gate and the comparison said of the candidate."""
    figures = {"measure": "nDCG@10", "n": 40, "old": 0.5, "new": 0.8, "low": 0.2, "high": 0.4}
    share = {"value": 0.4, "low": 0.3, "high": 0.5}
    far = {
        "query_id": "canaries:c7", "lang": "en", "asked_as": "canary", "alike": 0.0, "old": ["d0-1"], "new": ["d3-4"],
        "old_rank": None, "new_rank": 1,
    }  # fmt: skip
    return {
        "version": 1,
        "job_id": course.job_id,
        "candidate": folder_hash(course.path / "candidate"),
        "passed": passed,
        "reasons": [{"name": "gain", "passed": passed, "sentence": "nDCG@10 rises by 0.300."}],
        "differences": [{**figures, "group": "unseen", "lang": "all"}],
        "notes": [],
        "threshold": {"value": 0.7},
        "comparison": {
            "version": 1,
            "at": NOW.isoformat(),
            "old": {"name": "the model in use", "asked": 40, "empty": 0, "unasked": {}, "latency_ms": None},
            "new": {"name": "the candidate", "asked": 40, "empty": 0, "unasked": {}, "latency_ms": None},
            "k": 10,
            "canaries": {"all": [{**figures, "better": 12, "worse": 1}]},
            "queries": {"all": {"n": 200, "overlap": share, "jaccard": share, "rbo": share, "top1": share}},
            "differ_most": [far],
            "notes": [],
            "paired": {"query_ids": [], "langs": [], "old": {}, "new": {}},
        },
    }  # fmt: skip
