"""A trainer elsewhere is asked until it has the job, and gets it once; what it says is taken with care."""

from __future__ import annotations

import base64
import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from driftwatch.retrain.jobs import JobFolder, State
from driftwatch.retrain.trainer_settings import REQUEST_PLACES, Webhook
from driftwatch.retrain.trainers import poll, start, step, stop
from driftwatch.retrain.trainers._places import all_places
from driftwatch.retrain.trainers.callback import MOST_BYTES, Reply, accept_result
from tests.fakes.job_webhook import Act, JobServer
from tests.fakes.jobs import JOB_ID, MINUTE, NOW, Daemons, new_job

pytestmark = pytest.mark.process

SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes or more").decode()
TOKEN = "a token for callbacks"


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return new_job(tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with JobServer() as started:
        yield started


@pytest.fixture(scope="module")
def daemons() -> Iterator[Daemons]:
    with Daemons() as started:
        yield started


def hook(server: JobServer, **settings: Any) -> Webhook:
    return Webhook.model_validate({"url": server.url, **settings})


def after(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


# --- asking --------------------------------------------------------------------------------------------------------


def test_the_job_is_sent_with_its_id_as_the_key_and_signed(job: JobFolder, server: JobServer):
    trainer = hook(server, secret=SECRET, headers={"Authorization": "Bearer abc"})
    assert poll(job, trainer, NOW) == State("waiting", "nobody was asked yet.")
    state = step(job, trainer, NOW)
    assert (state.name, state.reason, state.starts) == ("running", "it was taken (202)", 1)
    [post] = server.posts
    assert post.json == json.loads((job.path / "job.json").read_text())
    assert post.headers["idempotency-key"] == post.headers["webhook-id"] == JOB_ID
    assert post.headers["authorization"] == "Bearer abc"
    assert post.signed_with(SECRET)


def test_without_a_secret_nothing_is_signed(job: JobFolder, server: JobServer):
    step(job, hook(server), NOW)
    assert "webhook-signature" not in server.posts[0].headers


def test_a_body_of_ones_own_has_its_places_filled(job: JobFolder, server: JobServer):
    body = {"submission_id": "{job_id}", "conf": {"job": "{job}", "at": ["{folder}/x"]}, "n": 1, "literal": "{{job}}"}
    step(job, hook(server, body=body), NOW)
    assert server.posts[0].json == {
        "submission_id": JOB_ID,
        "conf": {"job": json.loads((job.path / "job.json").read_text()), "at": [f"{job.path}/x"]},
        "n": 1,
        "literal": "{job}",
    }


def test_every_place_of_the_settings_is_filled(job: JobFolder):
    assert set(all_places(job)) == set(REQUEST_PLACES)


def test_a_job_that_was_taken_is_not_asked_for_again(job: JobFolder, server: JobServer):
    for minute in range(5):
        step(job, hook(server), NOW + minute * MINUTE)
        start(job, hook(server), NOW + minute * MINUTE)
    assert len(server.posts) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_who_is_busy_is_asked_again_later_and_later_without_waiting_for_it(
    job: JobFolder, server: JobServer, status: int
):
    server.does(*[Act(status, begins=False)] * 3)
    asked = []
    for seconds in range(0, 400, 5):
        before = len(server.posts)
        state = step(job, hook(server), after(seconds))
        if len(server.posts) > before:
            asked.append(seconds)
    assert asked == [0, 30, 90, 210]
    assert state.name == "running"
    assert server.begun == [JOB_ID]


def test_who_says_when_to_come_again_is_asked_then(job: JobFolder, server: JobServer):
    server.does(Act(429, {"Retry-After": "100"}, b"too many jobs", begins=False))
    state = step(job, hook(server), NOW)
    assert (state.name, state.reason) == ("waiting", "it answered 429: too many jobs")
    step(job, hook(server), after(99))
    assert len(server.posts) == 1
    step(job, hook(server), after(100))
    assert len(server.posts) == 2


def test_nobody_is_waited_for_longer_than_an_hour(job: JobFolder, server: JobServer):
    server.does(Act(503, {"Retry-After": "999999999999"}, begins=False))
    step(job, hook(server), NOW)
    assert step(job, hook(server), NOW + timedelta(hours=1)).name == "running"


def test_who_cannot_be_reached_is_asked_again(job: JobFolder, server: JobServer):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = Webhook.model_validate({"url": f"http://127.0.0.1:{nobody.getsockname()[1]}/secret-path"})
        state = step(job, dead, NOW)
    assert state.name == "waiting"
    assert "it could not be reached" in state.reason
    assert "secret-path" not in state.reason
    assert step(job, hook(server), after(30)).name == "running"


def test_an_answer_that_got_lost_begins_no_second_job(job: JobFolder, server: JobServer):
    server.does(Act(lose_reply=True))
    assert step(job, hook(server), NOW).name == "waiting"
    assert step(job, hook(server), after(30)).name == "running"
    assert [post.headers["idempotency-key"] for post in server.posts] == [JOB_ID, JOB_ID]
    assert server.begun == [JOB_ID]


def test_where_keys_count_for_nothing_the_status_is_asked_before_asking_again(job: JobFolder, server: JobServer):
    server.forgetful = True
    server.does(Act(lose_reply=True))
    trainer = hook(server, status_url=server.status_url)
    step(job, trainer, NOW)
    assert step(job, trainer, after(30)).name == "running"
    assert len(server.posts) == 1
    assert server.begun == [JOB_ID]


def test_a_status_that_knows_no_such_job_lets_it_be_asked_for_again(job: JobFolder, server: JobServer):
    server.does(Act(503, begins=False))
    trainer = hook(server, status_url=server.status_url)
    step(job, trainer, NOW)
    assert step(job, trainer, after(30)).name == "running"
    assert server.begun == [JOB_ID]


def test_a_conflict_means_that_the_job_is_known(job: JobFolder, server: JobServer):
    server.does(Act(409, begins=False))
    assert step(job, hook(server), NOW).name == "running"


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_a_refusal_is_not_repeated(job: JobFolder, server: JobServer, status: int):
    trainer = hook(server, headers={"Authorization": "Bearer super-secret"})
    answer = b"no: \x1b[31mBearer super-secret\n is wrong"
    server.does(Act(status, {"Location": server.url}, answer, begins=False))
    state = step(job, trainer, NOW)
    assert state.name == "failed"
    assert state.reason == f"the trainer did not take the job: it answered {status}: no: [31m*** is wrong."
    step(job, trainer, NOW + timedelta(hours=1))
    assert len(server.posts) == 1


@pytest.mark.timeout(400)  # some thirty daemons, one after the other
def test_a_daemon_that_is_killed_at_any_moment_of_asking_begins_one_job(
    tmp_path: Path, server: JobServer, daemons: Daemons
):
    for moment in range(1, 100):
        job = new_job(tmp_path, f"20261121-{moment:08x}")
        ended = daemons.step(job, {"url": server.url}, [moment])
        assert ended in ([0], [-signal.SIGKILL])
        for minute in range(3):
            state = step(job, hook(server), NOW + minute * MINUTE)
        assert state.name == "running"
        server.finish(job)
        assert step(job, hook(server), NOW + 4 * MINUTE).name == "done"
        assert server.begun.count(job.job_id) == 1
        if ended == [0]:
            break
    assert 10 < moment < 99


def test_daemons_that_race_ask_once(job: JobFolder, server: JobServer, daemons: Daemons):
    server.forgetful = True
    assert daemons.step(job, {"url": server.url}, [0] * 6) == [0] * 6
    assert step(job, hook(server), NOW).name == "running"
    assert server.begun == [JOB_ID]


def test_a_job_that_was_stopped_is_not_asked_for(job: JobFolder, server: JobServer):
    stop(job, "never mind", NOW)
    assert step(job, hook(server), NOW).reason == "it was stopped: never mind"
    assert not server.posts


def test_a_folder_that_is_not_a_job_has_failed_before_anybody_is_asked(job: JobFolder, server: JobServer):
    (job.path / "job.json").write_text("{}")
    assert step(job, hook(server), NOW).name == "failed"
    assert not server.posts


# --- learning of it ------------------------------------------------------------------------------------------------


def test_a_result_in_the_folder_is_the_outcome(job: JobFolder, server: JobServer):
    step(job, hook(server), NOW)
    server.finish(job, reason="better", measures={"nDCG@10": 0.7})
    state = step(job, hook(server), after(60))
    assert (state.name, state.reason) == ("done", "better")
    assert job.outcome is not None
    assert job.outcome.candidate == str(job.path / "candidate")


def test_a_trainer_that_refuses_has_failed_with_its_reason(job: JobFolder, server: JobServer):
    step(job, hook(server), NOW)
    server.finish(job, outcome="refused", reason="only 12 rows")
    assert step(job, hook(server), after(60)) == State("failed", "only 12 rows")
    assert job.outcome is not None
    assert job.outcome.outcome == "refused"


def test_a_result_in_the_middle_of_being_written_is_waited_for_but_not_for_ever(job: JobFolder, server: JobServer):
    step(job, hook(server), NOW)
    (job.path / "result.json").write_text('{"version": 1, "outc')
    written = (job.path / "result.json").stat().st_mtime
    soon = timedelta(seconds=written + 30 - NOW.timestamp())
    trainer = hook(server, timeout="3650 days")
    assert poll(job, trainer, NOW + soon).name == "running"
    assert poll(job, trainer, NOW + soon + MINUTE).name == "failed"


@pytest.mark.parametrize(
    ("word", "name", "reason"),
    [
        ("RUNNING", "running", "its status is 'RUNNING'"),
        ("PENDING", "running", "its status is 'PENDING', which `statuses` does not name"),
        ("SUCCEEDED", "running", "its status is 'SUCCEEDED'"),
        ("STOPPED", "failed", "the trainer says that it failed: its status is 'STOPPED'."),
        ("failed", "failed", "the trainer says that it failed: its status is 'failed'."),
        (["x"], "running", "its status is not to be had: there is no text at `status_path`"),
        (
            b"<html>",
            "running",
            "its status is not to be had: the answer is no JSON that `status_path` can be looked up",
        ),
        (b"x" * 2_000_000, "running", "its status is not to be had: its answer was too large or too slow"),
    ],
)
def test_words_of_the_status_mean_what_the_settings_say(
    job: JobFolder, server: JobServer, word: Any, name: str, reason: str
):
    trainer = hook(server, status_url=server.status_url, statuses={"SUCCEEDED": "done", "STOPPED": "failed"})
    server.status = word
    state = step(job, trainer, NOW)
    assert (state.name, state.reason[: len(reason)]) == (name, reason)


def test_the_status_is_asked_as_often_as_the_settings_say(job: JobFolder, server: JobServer):
    trainer = hook(server, status_url=server.status_url, every="2m")
    for seconds in range(0, 600, 10):
        step(job, trainer, after(seconds))
    assert len(server.asked) == 5
    assert server.asked[0].method == "GET"


def test_a_status_that_says_done_needs_a_result_soon(job: JobFolder, server: JobServer):
    trainer = hook(server, status_url=server.status_url)
    server.status = "DONE"
    assert step(job, trainer, NOW).name == "running"
    assert step(job, trainer, after(299)).name == "running"
    state = step(job, trainer, after(301))
    assert state.name == "failed"
    assert "the trainer says that it is done, but there is no result.json" in state.reason


def test_a_status_that_says_done_and_a_result_are_done(job: JobFolder, server: JobServer):
    trainer = hook(server, status_url=server.status_url)
    server.status = "done"
    step(job, trainer, NOW)
    server.finish(job)
    assert step(job, trainer, after(120)).name == "done"


def test_a_path_finds_the_job_among_others(job: JobFolder, server: JobServer):
    path = "runs[?contains(display_title, '{job_id}')] | [0].[conclusion, status][?@] | [0]"
    others = {"display_title": "retrain 20261101-ffffffff", "status": "completed", "conclusion": "failure"}
    mine = {"display_title": f"retrain {JOB_ID}", "status": "in_progress", "conclusion": None}
    trainer = hook(server, status_url=server.status_url, status_path=path, statuses={"failure": "failed"})
    server.status = json.dumps({"runs": [others, mine]}).encode()
    assert step(job, trainer, NOW).reason.startswith("its status is 'in_progress'")
    server.status = json.dumps({"runs": [others, mine | {"conclusion": "failure"}]}).encode()
    assert step(job, trainer, after(60)).name == "failed"


def test_headers_go_to_no_other_host(job: JobFolder, server: JobServer):
    headers = {"Authorization": "Bearer abc"}
    step(job, hook(server, headers=headers, status_url=server.status_url), NOW)
    elsewhere = server.status_url.replace("127.0.0.1", "localhost")
    step(job, hook(server, headers=headers, status_url=elsewhere), after(60))
    assert [asked.headers.get("authorization") for asked in server.asked] == ["Bearer abc", None]


def test_a_status_that_cannot_be_asked_ends_nothing(job: JobFolder, server: JobServer):
    trainer = hook(server, status_url="http://127.0.0.1:9/status/{job_id}")
    state = step(job, trainer, NOW)
    assert state.name == "running"
    assert "its status is not to be had: it could not be reached" in state.reason


def test_after_its_time_it_has_failed_and_what_comes_then_is_not_taken(job: JobFolder, server: JobServer):
    trainer = hook(server, timeout="1h", token=TOKEN)
    step(job, trainer, NOW)
    assert step(job, trainer, after(3599)).name == "running"
    state = step(job, trainer, after(3600))
    assert (state.name, state.reason.partition(". ")[0]) == ("failed", "there was no outcome within 1h")
    server.finish(job)
    assert step(job, trainer, after(3700)).name == "failed"


def test_who_is_never_reached_has_failed_after_its_time(job: JobFolder, server: JobServer):
    server.does(*[Act(503, begins=False)] * 50)
    for minute in range(0, 70, 5):
        state = step(job, hook(server, timeout="1h"), NOW + minute * MINUTE)
    assert state.name == "failed"
    assert "The last that was heard: it answered 503" in state.reason


# --- callbacks -----------------------------------------------------------------------------------------------------


def said(job: JobFolder, **changed: Any) -> bytes:
    result = {"version": 1, "job_id": job.job_id, "outcome": "done", "candidate": "candidate", "measures": {}}
    return json.dumps(result | changed).encode()


@pytest.fixture
def trainer(server: JobServer) -> Webhook:
    return hook(server, token=TOKEN)


@pytest.fixture
def asked(job: JobFolder, trainer: Webhook) -> JobFolder:
    """A job that a trainer elsewhere has."""
    step(job, trainer, NOW)
    (job.path / "candidate").mkdir()
    return job


def test_a_callback_is_the_outcome_and_counts_once(asked: JobFolder, trainer: Webhook):
    assert accept_result(asked, trainer, said(asked), TOKEN, after(60)) == Reply(200, "taken.")
    assert accept_result(asked, trainer, said(asked), TOKEN, after(61)) == Reply(200, "that was known.")
    assert step(asked, trainer, after(62)).name == "done"
    assert accept_result(asked, trainer, said(asked), TOKEN, after(63)).status == 200
    late = accept_result(asked, trainer, said(asked, outcome="failed", reason="no"), TOKEN, after(64))
    assert late == Reply(409, "the job is over.")
    assert step(asked, trainer, after(65)).name == "done"


def test_a_second_and_different_result_is_not_taken(asked: JobFolder, trainer: Webhook):
    accept_result(asked, trainer, said(asked), TOKEN, NOW)
    other = accept_result(asked, trainer, said(asked, outcome="failed"), TOKEN, NOW)
    assert other == Reply(409, "there is another result of this job.")
    assert asked.result is not None
    assert asked.result.outcome == "done"


def test_of_many_callbacks_at_once_one_is_taken(asked: JobFolder, trainer: Webhook):
    with ThreadPoolExecutor(8) as pool:
        bodies = [said(asked, reason=f"number {number}") for number in range(16)]
        replies = list(pool.map(lambda body: accept_result(asked, trainer, body, TOKEN, NOW), bodies))
    assert sorted(each.status for each in replies) == [200] + [409] * 15
    assert [path.name for path in asked.path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("token", ["", "another", TOKEN + " ", TOKEN.upper(), "ü", "\0"])
def test_without_the_token_nothing_is_taken_and_nothing_is_told(asked: JobFolder, trainer: Webhook, token: str):
    assert accept_result(asked, trainer, said(asked), token, NOW) == Reply(401, "that is not the token.")
    missing = JobFolder(asked.path.with_name("20261121-ffffffff"))
    assert accept_result(missing, trainer, said(missing), token, NOW).status == 401
    assert asked.result is None


@pytest.mark.parametrize("token", ["", "geheim", "fifteen letters"])
def test_a_token_that_can_be_guessed_is_none(token: str):
    with pytest.raises(ValidationError, match="shorter than 16 bytes") as raised:
        Webhook(url="http://127.0.0.1:1/jobs", token=token)
    assert not token or token not in str(raised.value)


def test_without_a_token_in_the_settings_callbacks_are_refused(asked: JobFolder, server: JobServer):
    assert accept_result(asked, hook(server), said(asked), "", NOW).status == 403


def test_a_job_that_nobody_was_asked_for_takes_no_result(job: JobFolder, trainer: Webhook):
    (job.path / "candidate").mkdir()
    assert accept_result(job, trainer, said(job), TOKEN, NOW).status == 409
    missing = JobFolder(job.path.with_name("20261121-ffffffff"))
    assert accept_result(missing, trainer, said(missing, outcome="failed"), TOKEN, NOW).status == 409
    assert not missing.path.exists()


def test_a_job_that_is_over_or_stopped_takes_no_result(asked: JobFolder, trainer: Webhook):
    assert accept_result(asked, trainer, said(asked), TOKEN, NOW + trainer.timeout).status == 409
    stop(asked, "enough", NOW)
    assert accept_result(asked, trainer, said(asked), TOKEN, NOW) == Reply(409, "the job is over.")
    assert step(asked, trainer, NOW).name == "failed"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"candidate": "/etc"}, 422),
        ({"candidate": "../.."}, 422),
        ({"candidate": "missing"}, 422),
        ({"job_id": "20261121-ffffffff"}, 422),
        ({"outcome": "promoted"}, 422),
        ({"version": "1; drop"}, 422),
        ({"reason": "x" * MOST_BYTES}, 413),
    ],
)
def test_a_hostile_callback_is_refused(asked: JobFolder, trainer: Webhook, changed: dict[str, Any], status: int):
    assert accept_result(asked, trainer, said(asked, **changed), TOKEN, NOW).status == status
    assert asked.result is None


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 60000, b'{"version": NaN}'])
def test_a_callback_that_is_no_object_is_refused(asked: JobFolder, trainer: Webhook, body: bytes):
    assert accept_result(asked, trainer, body, TOKEN, NOW).status == 422


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"url": "ftp://host/x"}, "it is not an address"),
        ({"url": "http://host/a b"}, "it is not an address"),
        ({"status_url": "status/{job_id}"}, "it is not an address"),
        ({"secret": "hunter2"}, "is not a signing secret"),
        ({"headers": {"Authorization": "a\nb"}}, "cannot be sent"),
        ({"headers": {"Webhook-Id": "x"}}, "is driftwatch's own"),
        ({"body": {"a": ["{jobs}"]}}, r"there is no place '\{jobs\}'"),
        ({"status_path": "runs[?"}, "is not a JMESPath expression"),
        ({"statuses": {"OK": "good"}}, "'running', 'done' or 'failed'"),
    ],
)
def test_settings_that_could_not_work_are_errors(settings: dict[str, Any], wrong: str):
    with pytest.raises(ValidationError, match=wrong) as caught:
        Webhook.model_validate({"url": "https://host/jobs", **settings})
    assert "hunter2" not in str(caught.value)
