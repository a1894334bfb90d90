"""What a trainer elsewhere says of its job, over a real socket: taken from who has the token, for jobs that wait."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from driftwatch.api import MOST_OF_A_RESULT, start_server
from driftwatch.config import Api
from driftwatch.daemon import Daemon
from driftwatch.retrain import _process
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.trainers import callback
from driftwatch.retraining.course import Course
from tests.fakes.workshop import Workshop, spec
from tests.fakes.world import RECALL, make_world
from tests.retraining.conftest import Make

pytestmark = pytest.mark.process

TOKEN = "the trainer's own token"
ELSEWHERE = f"  trainer: {{url: 'http://127.0.0.1:9/train', token: {json.dumps(TOKEN)}}}"


@pytest.fixture
def elsewhere(make: Make) -> Workshop:
    return make(trainer=ELSEWHERE)


@pytest.fixture
def client(elsewhere: Workshop) -> Iterator[httpx.Client]:
    yield from asked(Daemon(elsewhere.watch, elsewhere.store))


def asked(daemon: Daemon) -> Iterator[httpx.Client]:
    stop = start_server(daemon, Api(port=0))
    with httpx.Client(base_url=daemon.address, timeout=10, trust_env=False) as made:
        yield made
    stop()
    daemon.close()


def sent(shop: Workshop) -> Course:
    """A job that somebody elsewhere was asked to train, just now."""
    course = shop.done(shop.begun(), "pairs", "mine")
    write_json(course.path / "job.json", spec(course))
    (course.path / "candidate").mkdir()
    now = _now()
    begun = _process.Started(job_id=course.job_id, trainer="webhook", start=1, first=now, at=now)
    course.training.write("started.json", begun)
    return course


def _now() -> Any:
    from driftwatch.show import now_utc

    return now_utc()


def post(client: httpx.Client, job_id: str, token: str = TOKEN, **changed: Any) -> httpx.Response:
    body = {"version": 1, "job_id": job_id, "outcome": "done", "candidate": "candidate", **changed}
    return client.post(f"/v1/jobs/{job_id}/result", json=body, headers={"Authorization": f"Bearer {token}"})


def test_a_result_is_taken_once_and_the_job_goes_on(client: httpx.Client, elsewhere: Workshop) -> None:
    course = sent(elsewhere)
    assert post(client, course.job_id).json() == {"said": "taken."}
    assert post(client, course.job_id).json() == {"said": "that was known."}
    assert elsewhere.steward().go_on(course, _now(), "train").doing == "train"
    assert course.training.outcome is not None
    assert course.training.outcome.outcome == "done"


def test_who_has_not_the_token_learns_not_even_which_jobs_there_are(client: httpx.Client, elsewhere: Workshop) -> None:
    course = sent(elsewhere)
    wrong = ["x", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "ü"]
    answers = [
        client.post(f"/v1/jobs/{job}/result", content=b"{}", headers={"Authorization": f"Bearer {token}".encode()})
        for token in wrong
        for job in (course.job_id, "20261121-ffffffff")
    ]
    assert {each.status_code for each in answers} == {401}
    assert len({each.content for each in answers}) == 1
    assert client.post(f"/v1/jobs/{course.job_id}/result", content=b"{}").status_code == 401
    assert course.training.result is None


def test_tokens_are_compared_in_a_time_that_tells_nothing() -> None:
    tree = ast.parse(inspect.getsource(callback.accept_result))
    calls = [each.func.id for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]
    assert calls.count("compare_digest") == 1
    compared = [
        ast.unparse(each) for each in ast.walk(tree) if isinstance(each, ast.Compare) and "token" in ast.unparse(each)
    ]
    assert compared == ["trainer.token is None"]


@pytest.mark.parametrize("job", ["20261121-ffffffff", "x", "a" * 64])
def test_a_job_that_nobody_was_asked_for_takes_no_result(client: httpx.Client, job: str) -> None:
    answer = post(client, job, outcome="failed")
    assert answer.status_code == 409
    assert answer.json()["error"] == "nobody was asked for this job."


@pytest.mark.parametrize("job", ["-", "--", "-20261121", "%2e%2e", "a" * 65, "a_b", "ä", "..%5c", "%00"])
def test_what_is_no_id_of_a_job_is_no_error_of_ours(client: httpx.Client, elsewhere: Workshop, job: str) -> None:
    answer = client.post(f"/v1/jobs/{job}/result", content=b"{}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 404
    assert not (elsewhere.steward().folder / "jobs").exists()


def test_too_much_is_not_read(client: httpx.Client, elsewhere: Workshop) -> None:
    course = sent(elsewhere)
    assert post(client, course.job_id, reason="x" * MOST_OF_A_RESULT).status_code == 413
    assert course.training.result is None


def test_a_candidate_outside_of_the_job_is_refused(client: httpx.Client, elsewhere: Workshop) -> None:
    course = sent(elsewhere)
    assert post(client, course.job_id, candidate="/etc").status_code == 422
    assert post(client, course.job_id, candidate="../..").status_code == 422
    assert course.training.result is None


def test_where_training_is_local_nobody_may_hand_anything_in(shop: Workshop) -> None:
    for client in asked(Daemon(shop.watch, shop.store)):
        answer = post(client, "20261121-ffffffff")
        assert (answer.status_code, answer.json()["error"]) == (
            403,
            "results are taken where `retrain: trainer:` is a webhook.",
        )


def test_where_nothing_is_retrained_there_is_nothing_to_hand_in(tmp_path: Any) -> None:
    from driftwatch.store import Store

    watch = make_world(tmp_path, RECALL)
    store = Store.open(watch.database)
    try:
        for client in asked(Daemon(watch, store)):
            assert post(client, "20261121-ffffffff").status_code == 404
    finally:
        store.close()
