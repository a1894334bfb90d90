"""Training on this machine is another process: the monitor loads nothing of it, and lives on whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from driftwatch.retrain import _process
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrain.trainers import poll, step, stop
from driftwatch.retrain.trainers.local import LONGEST, environment, program
from tests.fakes import jobs
from tests.fakes.jobs import NOW, driven, new_job, runs, until

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[JobFolder]:
    made = new_job(tmp_path)
    yield made
    _process.end_all(made)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interpreter runs the fake trainer where it is asked for the real one, with the words in this file."""
    file, interpreter = tmp_path / "words", tmp_path / "python"
    interpreter.write_text(
        f'#!/bin/sh\ncase "$*" in\n"-P -m driftwatch.retrain.train "*)'
        f' exec {sys.executable} -I -S {jobs.FAKE} "$4" $(cat {file}) ;;\nesac\nexec {sys.executable} "$@"\n'
    )
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    file.write_text("")
    return file


def test_it_is_our_own_interpreter_and_nothing_of_the_folder_is_a_module(job: JobFolder):
    assert program(job) == [sys.executable, "-P", "-m", "driftwatch.retrain.train", str(job.path)]


def test_it_has_our_threads_and_devices_and_our_package(tmp_path: Path):
    own = {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "1", "PYTHONPATH": "/opt/site"}
    assert environment(own) == own | {"PYTHONPATH": f"{ROOT}{os.pathsep}/opt/site"}
    found = "import driftwatch, pathlib; print(pathlib.Path(driftwatch.__file__).parents[1])"
    (tmp_path / "driftwatch").mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", found],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment({}),
    )
    assert done.stdout.strip() == str(ROOT)


def test_a_local_job_runs_to_its_end_and_lets_others_go_first(job: JobFolder, words: Path):
    assert driven(job, "local").name == "done"
    [run] = runs(job)
    assert run.endswith(f"from step 0 nice {min(19, os.nice(0) + 10)}")


def test_a_local_job_that_is_killed_goes_on_where_it_was(job: JobFolder, words: Path):
    words.write_text("steps=400 wait=0.05")
    step(job, "local", NOW)
    until(lambda: job.progress and job.progress.step > 2)
    os.kill(int(runs(job)[0].split()[0]), signal.SIGKILL)
    assert until(lambda: poll(job, "local", NOW).name == "lost")
    words.write_text("steps=5")
    assert driven(job, "local").name == "done"
    assert len(runs(job)) == 2
    assert int(runs(job)[1].split()[4]) >= 2


def test_killing_what_trains_leaves_the_monitor_alone(job: JobFolder, words: Path):
    """It has a session and a group of its own: no signal to it is one to us."""
    words.write_text("hang")
    step(job, "local", NOW)
    pid = int(until(lambda: runs(job))[0].split()[0])
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert os.getsid(pid) != os.getsid(0)
    stop(job, "enough", NOW)
    assert until(lambda: poll(job, "local", NOW).is_over)


def test_a_local_job_that_hangs_is_over_some_day(job: JobFolder, words: Path):
    words.write_text("hang")
    step(job, "local", NOW)
    until(lambda: runs(job))
    later = NOW + LONGEST + timedelta(hours=1)
    assert step(job, "local", later).name == "running"
    state = until(lambda: state if (state := step(job, "local", later)).is_over else None)
    assert "it was not done within 7d" in state.reason
    assert len(runs(job)) == 1


def test_a_trainer_that_cannot_begin_says_why(job: JobFolder, words: Path):
    words.write_text("crash=1")
    state = driven(job, "local")
    assert state.name == "failed"
    assert "ended with code 1" in state.reason
    assert "out of patience" in state.reason


def test_what_is_started_is_our_own_trainer_and_its_reason_is_told(job: JobFolder):
    """The real one, which reads a job that has no dataset."""
    state = driven(job, "local")
    assert state.name == "failed"
    assert f"{job.path}/dataset/manifest.json" in state.reason
    assert job.result is not None
    assert job.result.outcome == "failed"


# --- what is not loaded while nothing trains -----------------------------------------------------------------------

HEAVY = ("torch", "transformers", "sentence_transformers", "datasets", "bm25s", "faiss", "peft", "ray", "mlflow")
LIGHT = {"settings", "trainer_settings", "registry", "manifests", "folders", "dataset"}
"""What says which release is in use is read with the configuration."""
WATCH = """\
service: help-centre
retriever: {kind: http, url: "http://localhost:8000/retrieve"}
sources:
  canaries: {kind: canaries, path: canaries.jsonl}
checks:
  - {name: canary recall, kind: canary, source: canaries, measure: R@10, max_drop: 0.03}
retrain:
  when: [canary recall]
  trainer: {run: [train, "{job_file}"]}
"""


def loaded_by(code: str, folder: Path) -> set[str]:
    code += "; import sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_reading_a_configuration_that_retrains_loads_its_settings_alone(tmp_path: Path):
    (tmp_path / "driftwatch.yaml").write_text(WATCH)
    (tmp_path / "canaries.jsonl").write_text('{"query_id": "c-1", "text": "how?", "relevant": ["doc-1"]}\n')
    loaded = loaded_by(
        "import driftwatch.cli, driftwatch.daemon; from driftwatch.config import load_watch;"
        " assert load_watch('driftwatch.yaml', {}).retrain",
        tmp_path,
    )
    assert {name.split(".")[2] for name in loaded if name.startswith("driftwatch.retrain.")} <= LIGHT
    assert not {name for name in loaded if name.partition(".")[0] in HEAVY}


def test_watching_a_job_loads_nothing_that_trains(tmp_path: Path):
    loaded = loaded_by("import driftwatch.retrain.trainers, driftwatch.retrain.trainers.callback", tmp_path)
    assert not {name for name in loaded if name.partition(".")[0] in (*HEAVY, "httpx", "scipy", "sqlalchemy")}
    assert not {f"driftwatch.retrain.{name}" for name in ("train", "mine", "gate", "pairs")} & loaded
