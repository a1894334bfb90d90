"""One step in a process of its own: how it ended stands in its folder, and in no exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftwatch.retrain.dataset import write_json
from driftwatch.retraining import worker
from driftwatch.retraining.worker import steps, work_on
from tests.fakes.jobs import until
from tests.fakes.workshop import NOW, Workshop, kill, questions, write_lines
from tests.retraining.conftest import Make

ROOT = Path(__file__).parents[2]


def too_few(folder: Path) -> None:
    """Labels, so that a job is refused before a model is loaded."""
    rows = [{"query": text, "doc_id": doc_id, "lang": "en"} for text, doc_id in questions()[:5]]
    write_lines(folder / "labels.jsonl", rows)


def test_every_step_of_a_job_has_a_worker() -> None:
    assert set(steps()) == {"pairs", "mine", "judge", "promote"}


def test_what_cannot_be_done_is_a_failure_with_its_reason(make: Make, tmp_path: Path) -> None:
    shop = make()
    work = shop.work(shop.begun(), "mine")
    assert work_on(work) == "failed"
    result = work.folder.result
    assert result is not None
    assert (result.job_id, result.outcome, result.candidate) == ("mine", "failed", "")
    assert "pairs.jsonl" in result.reason
    assert result.started is not None
    assert result.finished is not None


def test_too_little_is_a_refusal(shop: Workshop, tmp_path: Path) -> None:
    too_few(tmp_path)
    work = shop.work(shop.begun(), "pairs")
    assert work_on(work) == "refused"
    assert work.folder.result is not None
    assert work.folder.result.outcome == "refused"


def test_a_step_that_was_done_before_its_result_was_written_is_done_again_in_no_time(
    shop: Workshop, tmp_path: Path
) -> None:
    course = shop.begun()
    (course.path / "dataset").mkdir()
    (course.path / "dataset" / "pairs.jsonl").touch()
    work = shop.work(course, "pairs")
    assert work_on(work) == "done"
    assert work.folder.result is not None
    assert work.folder.result.candidate == "made"


def test_an_error_that_is_nobodys_purpose_leaves_no_result(shop: Workshop, candidate: Path) -> None:
    course = shop.judged(candidate)
    write_json(course.path / "judgement.json", {"passed": True})
    work = shop.work(course, "judge")
    with pytest.raises(KeyError):
        work_on(work)
    assert work.folder.result is None


def test_a_disk_that_gives_an_error_is_a_failure_with_its_reason(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker, "steps", lambda: {"pairs": full})
    work = shop.work(shop.begun(), "pairs-2")
    assert work_on(work) == "failed"
    assert work.folder.result is not None
    assert "No space left" in work.folder.result.reason


def test_a_configuration_that_cannot_be_read_at_the_moment_is_a_failure_with_its_reason(
    shop: Workshop, tmp_path: Path
) -> None:
    folder = shop.begun().step("pairs")
    folder.path.mkdir(parents=True)
    shop.watch.path.write_text("retrain: [")
    assert worker.main(shop.watch.path, folder.path, NOW) == 0
    assert folder.result is not None
    assert folder.result.outcome == "failed"
    assert "driftwatch.yaml" in folder.result.reason


@pytest.mark.process
def test_it_is_a_program_that_takes_the_configuration_the_folder_and_the_moment(shop: Workshop, tmp_path: Path) -> None:
    too_few(tmp_path)
    folder = shop.begun().step("pairs")
    folder.path.mkdir(parents=True)
    program = [sys.executable, "-P", "-m", "driftwatch.retraining.worker"]
    done = subprocess.run(
        [*program, str(shop.watch.path), str(folder.path), NOW.isoformat()],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert folder.result is not None
    assert folder.result.outcome == "refused"


@pytest.mark.process
def test_a_job_with_nothing_to_train_on_ends_by_itself_though_its_worker_was_killed(
    shop: Workshop, tmp_path: Path
) -> None:
    too_few(tmp_path)
    course = shop.begun()
    shop.steward().step(NOW)
    kill(course.step("pairs"))
    until(lambda: shop.steward().step(NOW).job == "", 60)
    assert course.ended is not None
    assert course.ended.how == "refused"
    assert "there are 5 pairs, and 20 are wanted" in course.ended.reason
    assert shop.jobs == [course.job_id]
