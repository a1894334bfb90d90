"""Two jobs of retraining as their folders are half way through, and at the end; nothing here trains."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from driftwatch.approval import new_question
from driftwatch.config import Watch
from driftwatch.config.release import folder_of
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.jobs import job_folder, write_job
from driftwatch.retrained import Difference, Judgement, Reason
from driftwatch.retraining.course import JUDGEMENT, Course
from driftwatch.store import Store

JOBS = ("20261101-0a1b2c3d", "20261121-5e6f7a8b", "20261122-9c0d1e2f")
"""Refused by the gate; waiting for a person; in training."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def write_jobs(watch: Watch, store: Store, now: datetime) -> None:
    """Both of them, and the question that one of them asked."""
    refused, asking, running = (Course(job_folder(folder_of(watch), job).path) for job in JOBS)
    _prepared(refused, now - 20 * DAY)
    _trained(refused, now - 20 * DAY + 2 * HOUR)
    _judged(refused, now - 20 * DAY + 3 * HOUR, passed=False)
    refused.end("refused", "the gate said no: de loses 0.04 of nDCG@10.", now - 20 * DAY + 3 * HOUR)
    _prepared(asking, now - DAY)
    _trained(asking, now - DAY + 2 * HOUR)
    _judged(asking, now - DAY + 3 * HOUR, passed=True)
    sentences = ("nDCG@10 0.71 to 0.78 (+0.04 to +0.10) on 210 questions.", "No language loses.")
    question = new_question(
        JOBS[1], "A better model for help-centre", sentences, documents=5210, now=now - 20 * HOUR, expires=7 * DAY,
        nonce="0" * 64,
    )  # fmt: skip
    store.approvals.ask(question)
    _prepared(running, now - 2 * HOUR)
    _job(running, now)
    write_progress(running, now, 412, 1200)


def write_progress(course: Course, now: datetime, step: int, steps: int) -> None:
    """As the trainer does, about every second."""
    progress = {"stage": "training", "step": step, "steps": steps, "epoch": round(step / 600, 2), "loss": 0.412}
    more = {"measure": 0.74, "eta_seconds": (steps - step) * 1.4, "at": now.isoformat()}
    content = {"version": 1, "job_id": course.job_id, **progress, **more}
    write_json(course.path / "progress.json", content)


def _prepared(course: Course, at: datetime) -> None:
    """Begun, its pairs collected and mined."""
    course.path.mkdir(parents=True, exist_ok=True)
    course.begin(at, "canaries-de-3f9a1c", ["The model no longer fits: 9 days of evidence."])
    for minutes, name, said in (
        (4, "pairs", "1,240 pairs of 3 languages; 31 were too near to a canary."),
        (20, "mine", "4,960 negatives for 1,240 rows."),
    ):
        folder = course.step(name)  # type: ignore[arg-type]
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / "made").mkdir(exist_ok=True)
        folder.decide("done", said, at + minutes * MINUTE, "made")


def _job(course: Course, at: datetime) -> None:
    for name in ("dataset", "candidate"):
        (course.path / name).mkdir(exist_ok=True)
    spec = {
        "version": 1, "job_id": course.job_id, "service": "help-centre", "data": "9f86d0",
        "base": {"model": "intfloat/multilingual-e5-small"},
        "dataset": str(course.path / "dataset"), "output": str(course.path / "candidate"), "train": {"epochs": 2},
    }  # fmt: skip
    write_job(course.path, spec)
    write_json(course.path / "started.json", {"version": 1, "job_id": course.job_id, "at": at.isoformat()})


def _trained(course: Course, at: datetime) -> None:
    _job(course, at)
    write_progress(course, at, 1200, 1200)
    course.training.decide("done", "1,200 steps in 31 minutes; nDCG@10 0.78 on what was held out.", at, "candidate")


def _judged(course: Course, at: datetime, *, passed: bool) -> None:
    folder = course.step("judge")
    (folder.path / "made").mkdir(parents=True, exist_ok=True)
    folder.decide("done", "the gate says yes." if passed else "the gate says no.", at, "made")
    reasons = (
        Reason("gain", True, "nDCG@10 0.71 to 0.78 on 210 held-out questions: at least +0.01 is certain."),
        Reason("no language loses", passed, "no language loses." if passed else "de loses 0.04 of nDCG@10."),
    )
    differences = (
        Difference("nDCG@10", "held-out", "all", 210, 0.71, 0.78, 0.04, 0.10),
        Difference("nDCG@10", "held-out", "de", 70, 0.70, 0.77 if passed else 0.66, -0.07, 0.11),
        Difference("R@10", "canary", "all", 72, 0.95, 0.96, -0.02, 0.04),
    )
    judgement = Judgement(passed, reasons, differences, ("The cut-off moves from 0.42 to 0.45.",))
    content = {"version": 1, "job_id": course.job_id, "against": "e5-small@", "candidate": "x", **asdict(judgement)}
    write_json(course.path / JUDGEMENT, content)
