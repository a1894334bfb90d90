"""A program that trains is started once, whatever dies; how it ends is written down, and all of it ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from driftwatch.errors import RetrainError
from driftwatch.retrain import _keeper, _process
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrain.trainer_settings import COMMAND_PLACES, Command
from driftwatch.retrain.trainers import poll, start, step, stop
from driftwatch.retrain.trainers._places import places
from driftwatch.retrain.trainers.command import environment
from tests.fakes import jobs
from tests.fakes.jobs import MINUTE, NOW, Daemons, driven, fake_command, gone, lives, new_job, runs, until

pytestmark = pytest.mark.process

AN_HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def daemons() -> Iterator[Daemons]:
    with Daemons() as started:
        yield started


@pytest.fixture
def job(tmp_path: Path) -> Iterator[JobFolder]:
    made = new_job(tmp_path)
    yield made
    _process.end_all(made)


def words(**settings: Any) -> Command:
    return Command.model_validate({"run": ["true"], **settings})


def pid_of_trainer(job: JobFolder) -> int:
    return int(until(lambda: runs(job))[0].split()[0])


def pid_of_keeper(job: JobFolder) -> int:
    return int(until(lambda: (job.path / "job.lock").read_text()).split()[-1])


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)


# --- how it ends ---------------------------------------------------------------------------------------------------


def test_a_program_that_writes_a_result_is_done(job: JobFolder):
    state = driven(job, fake_command())
    assert (state.name, state.progress.step) == ("done", 3)
    assert job.outcome is not None
    assert job.outcome.candidate == str(job.path / "candidate")
    assert len(runs(job)) == 1


def test_an_exit_without_a_result_says_so(job: JobFolder):
    state = driven(job, fake_command("silent"))
    assert state.name == "failed"
    assert "ended with code 0, but wrote no result.json" in state.reason
    assert "Its log ends: training " in state.reason


def test_the_code_and_the_last_lines_are_told_without_addresses(job: JobFolder):
    state = driven(job, fake_command("crash=3"))
    assert state.name == "failed"
    assert "ended with code 3" in state.reason
    assert "CUDA error: out of patience" in state.reason
    assert "someone@example.com" not in state.reason
    assert len(runs(job)) == 1, "what fails by itself would fail again"


def test_a_result_that_says_failed_gives_its_reason(job: JobFolder):
    assert driven(job, fake_command("fail")).reason == "the loss is not a number"


def test_a_result_that_says_done_is_not_believed_when_the_program_failed_after_it(job: JobFolder):
    state = driven(job, fake_command("code=9"))
    assert (state.name, state.reason) == ("failed", "its result says done, but its program ended with code 9.")


def test_a_candidate_outside_of_the_folder_has_failed(job: JobFolder):
    state = driven(job, fake_command("outside"))
    assert state.name == "failed"
    assert "not inside the folder of the job" in state.reason


def test_a_program_that_is_not_there_is_named(job: JobFolder):
    state = driven(job, words(run=["no-such-trainer", "{job_id}"]))
    assert state.name == "failed"
    assert "no-such-trainer: No such file or directory" in state.reason


def test_what_was_decided_is_said_again_and_nothing_is_started(job: JobFolder):
    driven(job, fake_command("silent"))
    jobs_before = sorted(each.name for each in job.path.iterdir())
    start(job, fake_command(), NOW)
    assert step(job, fake_command(), NOW).name == "failed"
    assert sorted(each.name for each in job.path.iterdir()) == jobs_before


# --- what it is given ----------------------------------------------------------------------------------------------

SHOW = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('seen.json', 'w'))"


def seen(job: JobFolder, trainer: Command) -> tuple[list[str], dict[str, str]]:
    driven(job, trainer)
    arguments, environ = json.loads((job.path / "seen.json").read_text())
    return arguments, environ


def test_places_are_filled_and_no_shell_reads_them(job: JobFolder):
    given = ["{job_file}", "{job_id}", "{folder}/{{x}}", "{dataset}", "{output}", "$(touch pwned); `id` > x", "a b"]
    arguments, _ = seen(job, words(run=[sys.executable, "-c", SHOW, *given]))
    at = str(job.path)
    assert arguments == [
        f"{at}/job.json",
        job.job_id,
        f"{at}/{{x}}",
        f"{at}/dataset",
        f"{at}/candidate",
        "$(touch pwned); `id` > x",
        "a b",
    ]
    assert not (job.path / "pwned").exists()


def test_every_place_of_the_settings_is_filled(job: JobFolder):
    assert set(places(job)) == set(COMMAND_PLACES)


def test_an_unknown_place_is_an_error_of_the_configuration():
    with pytest.raises(ValidationError, match=r"there is no place '\{jobid\}'.*job_id"):
        words(run=["train", "{jobid}"])


def test_only_named_variables_reach_the_program(job: JobFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    monkeypatch.setenv("KUBECONFIG", "/etc/kube")
    _, environ = seen(job, words(run=[sys.executable, "-c", SHOW], env=["KUBECONFIG"]))
    assert environ["KUBECONFIG"] == "/etc/kube"
    assert environ["PATH"] == os.environ["PATH"]
    assert environ["DRIFTWATCH_JOB"] == str(job.path)
    assert "SLACK_BOT_TOKEN" not in environ
    assert "PYTHONPATH" not in environ


def test_the_locale_and_the_home_are_always_there():
    own = {
        "PATH": "/bin",
        "HOME": "/root",
        "LANG": "C",
        "LC_ALL": "C.UTF-8",
        "AWS_SECRET_ACCESS_KEY": "x",
        "TOKEN": "y",
    }
    assert environment(own, ("TOKEN", "ABSENT")) == {k: v for k, v in own.items() if k != "AWS_SECRET_ACCESS_KEY"}


# --- ending it -----------------------------------------------------------------------------------------------------


def test_after_its_time_it_is_ended_with_everything_it_started(job: JobFolder):
    trainer = fake_command("hang", "family", timeout="2s")
    state = driven(job, trainer)
    assert (state.name, state.reason.partition(". ")[0]) == ("failed", "it was not done within 2s, and was ended")
    assert gone(int(runs(job)[0].split()[0]))
    assert gone(int(runs(job)[1].split()[1]))


def test_what_is_deaf_to_asking_is_killed(job: JobFolder):
    program = [sys.executable, str(jobs.FAKE), str(job.path), "deaf", "family"]
    hurry = timedelta(seconds=1.5)
    _process.launch(job, program, dict(os.environ), trainer="command", timeout=hurry, now=NOW, grace=0.3)
    pid = pid_of_trainer(job)
    child = int(until(lambda: runs(job)[1:])[0].split()[1])
    state = until(lambda: state if (state := _process.poll(job, hurry, NOW)).is_over else None)
    assert "it was not done within 1.5s" in state.reason
    assert not lives(pid)
    assert not lives(child)


def test_what_a_program_leaves_behind_ends_with_it(job: JobFolder):
    assert driven(job, fake_command("family")).name == "done"
    assert gone(int(runs(job)[1].split()[1]))


def test_a_job_is_stopped_from_anywhere(job: JobFolder):
    trainer = fake_command("hang", "family")
    step(job, trainer, NOW)
    pid = pid_of_trainer(job)
    stop(job, "the wrong data", NOW)
    stop(job, "again", NOW)
    children = until(lambda: runs(job)[1:])
    state = until(lambda: state if (state := poll(job, trainer, NOW)).is_over else None)
    assert (state.name, state.reason) == ("failed", "it was stopped: the wrong data")
    assert gone(pid)
    assert gone(int(children[0].split()[1]))


def test_a_job_that_was_stopped_before_it_began_never_begins(job: JobFolder):
    stop(job, "never mind", NOW)
    start(job, fake_command(), NOW)
    assert step(job, fake_command(), NOW).reason == "it was stopped: never mind"
    assert not runs(job)


# --- kills ---------------------------------------------------------------------------------------------------------


def test_a_killed_program_goes_on_with_the_same_job_where_it_was(job: JobFolder):
    trainer = fake_command("steps=3", "killed=2")
    state = driven(job, trainer)
    assert state.name == "done"
    assert [line.split()[1:5] for line in runs(job)] == [[job.job_id, "from", "step", str(n)] for n in range(3)]


def test_a_program_that_is_killed_each_time_has_failed_with_its_last_lines(job: JobFolder):
    state = driven(job, fake_command("steps=99", "killed=99"))
    assert state.name == "failed"
    assert f"its process was killed {_process.MOST_STARTS} times" in state.reason
    assert "Its log ends: " in state.reason
    assert len(runs(job)) == _process.MOST_STARTS


def test_a_killed_program_is_lost_until_it_is_started_again(job: JobFolder):
    trainer = fake_command("steps=500", "wait=0.05")
    step(job, trainer, NOW)
    pid = pid_of_trainer(job)
    until(lambda: job.progress)
    assert poll(job, trainer, NOW).name == "running"
    killed(pid)
    state = until(lambda: state if (state := poll(job, trainer, NOW)).name == "lost" else None)
    assert state.reason == "its process was killed, and is started again."
    assert len(runs(job)) == 1, "looking starts nothing"
    until(lambda: step(job, trainer, NOW).name == "running")
    assert until(lambda: len(runs(job)) == 2)
    stop(job, "enough", NOW)


def test_a_shell_that_tells_of_a_kill_is_started_again(job: JobFolder):
    script = f'{sys.executable} {jobs.FAKE} "$1" killed=1; exit $?'
    assert driven(job, words(run=["sh", "-c", script, "sh", "{folder}"])).name == "done"
    assert len(runs(job)) == 2


def test_a_keeper_that_goes_down_with_the_machine_lets_the_job_be_started_again(job: JobFolder):
    trainer = fake_command("steps=50", "wait=0.05")
    step(job, trainer, NOW)
    pid = pid_of_trainer(job)
    os.kill(pid_of_keeper(job), signal.SIGTERM)
    assert gone(pid)
    assert until(lambda: poll(job, trainer, NOW).name == "lost")
    assert driven(job, trainer).name == "done"
    assert len(runs(job)) == 2
    assert "TWICE" not in runs(job)


def test_a_program_whose_keeper_was_killed_still_counts_as_running(job: JobFolder):
    trainer = fake_command("hang")
    step(job, trainer, NOW)
    pid = pid_of_trainer(job)
    killed(pid_of_keeper(job))
    for _ in range(3):
        assert step(job, trainer, NOW).name == "running"
    assert lives(pid)
    assert len(runs(job)) == 1
    assert poll(job, trainer, NOW + trainer.timeout + MINUTE).name == "running"
    poll(job, trainer, NOW + trainer.timeout + 3 * MINUTE)
    assert gone(pid), "its time is over, and nobody keeps it"
    state = until(lambda: state if (state := poll(job, trainer, NOW + 2 * trainer.timeout)).is_over else None)
    assert "it was not done within 12h" in state.reason


def test_a_program_whose_keeper_was_killed_may_still_be_done(job: JobFolder):
    trainer = fake_command("steps=30", "wait=0.05")
    step(job, trainer, NOW)
    until(lambda: job.progress)
    killed(pid_of_keeper(job))
    assert driven(job, trainer).name == "done"
    assert len(runs(job)) == 1


@pytest.mark.parametrize("milliseconds", [0, 10, 30, 60, 100, 200])
def test_a_keeper_that_is_killed_at_any_moment_leaves_one_program_at_a_time(job: JobFolder, milliseconds: int):
    trainer = fake_command("steps=5", "wait=0.02")
    step(job, trainer, NOW)
    keeper = pid_of_keeper(job)
    time.sleep(milliseconds / 1000)
    with suppress(ProcessLookupError):
        os.kill(keeper, signal.SIGKILL)
    assert driven(job, trainer).name == "done"
    assert "TWICE" not in runs(job)
    assert len(runs(job)) <= 2


def test_when_all_is_killed_at_once_it_goes_on_where_it_was(job: JobFolder):
    trainer = fake_command("steps=60", "wait=0.02")
    step(job, trainer, NOW)
    until(lambda: job.progress and job.progress.step > 2)
    _process.end_all(job)
    assert driven(job, trainer).name == "done"
    assert [line.split()[4] == "0" for line in runs(job)] == [True, False]


def test_a_disk_that_gives_nothing_says_nothing_of_the_job(job: JobFolder):
    """Every file descriptor is in use: that is an error for a person, and no failure of the trainer."""
    step(job, fake_command("hang"), NOW)
    pid_of_trainer(job)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(RetrainError, match="Too many open files"):
            poll(job, fake_command("hang"), NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert poll(job, fake_command("hang"), NOW).name == "running"


def test_a_number_that_is_somebody_elses_by_now_fools_nobody(job: JobFolder):
    """The lock is free, so that nothing runs, though the process of that number does; and it is left in peace."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        _process_wrote_and_died(job, other.pid)
        assert poll(job, fake_command(), NOW).name == "lost"
        stop(job, "enough", NOW)
        assert poll(job, fake_command(), NOW + AN_HOUR).name == "failed"
        _process.end_all(job)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def _process_wrote_and_died(job: JobFolder, pid: int) -> None:
    begun = _process.Started(job_id=job.job_id, trainer="command", start=1, first=NOW, at=NOW)
    job.write("started.json", begun)
    (job.path / "job.lock").write_text(f"process {pid}\n")


# --- who starts it -------------------------------------------------------------------------------------------------


@pytest.mark.timeout(400)  # some thirty daemons, one after the other
def test_a_daemon_that_is_killed_at_any_moment_of_starting_leaves_one_job(tmp_path: Path, daemons: Daemons):
    trainer = fake_command("wait=0.02")
    for moment in range(1, 100):
        job = new_job(tmp_path, f"20261121-{moment:08x}")
        ended = daemons.step(job, {"run": list(trainer.run)}, [moment])
        assert ended in ([0], [-signal.SIGKILL])
        assert driven(job, trainer).name == "done", moment
        assert len(runs(job)) == 1, (moment, runs(job))
        if ended == [0]:
            break
    assert 10 < moment < 99, "it was not killed at every moment"


def test_daemons_that_race_start_one_job(job: JobFolder, daemons: Daemons):
    trainer = fake_command("steps=20", "wait=0.02")
    for _ in range(3):
        assert daemons.step(job, {"run": list(trainer.run)}, [0] * 6) == [0] * 6
    assert driven(job, trainer).name == "done"
    assert len(runs(job)) == 1


def test_daemons_that_race_after_a_kill_start_it_once_more(job: JobFolder, daemons: Daemons):
    trainer = fake_command("steps=20", "wait=0.02", "killed=1")
    step(job, trainer, NOW)
    until(lambda: poll(job, trainer, NOW).name == "lost")
    assert daemons.step(job, {"run": list(trainer.run)}, [0] * 6) == [0] * 6
    assert driven(job, trainer).name == "done"
    assert len(runs(job)) == 2


def test_the_job_outlives_who_started_it_and_is_adopted(job: JobFolder, daemons: Daemons):
    trainer = fake_command("steps=40", "wait=0.02")
    assert daemons.step(job, {"run": list(trainer.run)}, [0]) == [0]
    assert len(until(lambda: runs(job))) == 1
    state = poll(job, trainer, NOW)
    assert (state.name, state.starts) == ("running", 1)
    assert driven(job, trainer).name == "done"
    assert len(runs(job)) == 1


def test_another_trainer_in_the_settings_starts_no_second_job(job: JobFolder):
    step(job, fake_command("hang"), NOW)
    pid = pid_of_trainer(job)
    assert step(job, "local", NOW).name == "running"
    killed(pid)
    state = until(lambda: state if (state := step(job, "local", NOW)).is_over else None)
    assert state.reason == "it was started by `trainer: command`, and the trainer is another one since."
    assert len(runs(job)) == 1


# --- what it costs -------------------------------------------------------------------------------------------------


def test_the_log_is_bounded_and_keeps_the_end(job: JobFolder):
    driven(job, fake_command(f"loud={3 * _keeper.MOST_LOG}"))
    logs = [job.path / "trainer.log", job.path / "trainer.log.1"]
    assert all(path.stat().st_size <= _keeper.MOST_LOG for path in logs)
    assert logs[0].read_text().splitlines()[-1].startswith("training 20261121-0a1b2c3d")


def test_keeping_a_job_takes_a_few_megabytes_and_no_child_of_ours(job: JobFolder):
    step(job, fake_command("hang"), NOW)
    pid_of_trainer(job)
    keeper = psutil.Process(pid_of_keeper(job))
    assert keeper.memory_info().rss < 25e6
    assert keeper.pid not in [each.pid for each in psutil.Process().children(recursive=True)]
    stop(job, "enough", NOW)
    until(lambda: poll(job, fake_command("hang"), NOW).is_over)


def test_a_full_disk_costs_the_log_and_not_the_training(tmp_path: Path):
    reading, writing = os.pipe()
    log = _keeper.Log(Path("/dev/full"), reading)
    os.write(writing, b"x" * 100)
    assert log.take(1)
    os.close(writing)
    assert not log.take(1)
    with suppress(OSError):
        log.file.close()
