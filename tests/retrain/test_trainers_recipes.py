"""What docs/retrain/trainers.md shows works as it stands there."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jmespath
import orjson
import pytest
import yaml

from driftwatch.config import load_watch
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrain.trainer_settings import Command, Webhook
from driftwatch.retrain.trainers._places import all_places
from driftwatch.retrievers._template import filled
from tests.fakes import jobs
from tests.fakes.jobs import JOB_ID, driven, new_job, runs

PAGE = (Path(__file__).parents[2] / "docs" / "retrain" / "trainers.md").read_text("utf-8")
SECRETS = {
    "TRAIN_SIGNING_SECRET": "whsec_dHdlbnR5LWZvdXIgYnl0ZXMgb3IgbW9yZQ==",
    "TRAIN_CALLBACK_TOKEN": "callback-callback",
    "AIRFLOW_TOKEN": "airflow",
    "PREFECT_API_KEY": "prefect",
    "GITHUB_TOKEN": "github",
}
BEFORE = """\
service: help-centre
retriever: {kind: http, url: "http://localhost:8000/retrieve"}
sources:
  canaries: {kind: canaries, path: canaries.jsonl}
checks:
  - {name: canary recall, kind: canary, source: canaries, measure: R@10, max_drop: 0.03}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def recipe(heading: str, folder: Path) -> Any:
    """The trainer under this heading, read as a configuration is."""
    below = PAGE[PAGE.index(f"# {heading}\n") :]
    found = re.search(r"```yaml\n(.*?)```", below, re.DOTALL)
    assert found
    return loaded(found[1], folder)


def loaded(block: str, folder: Path) -> Any:
    (folder / "canaries.jsonl").write_text('{"query_id": "c-1", "text": "how?", "relevant": ["doc-1"]}\n')
    (folder / "driftwatch.yaml").write_text(BEFORE + block)
    retrain = load_watch(folder / "driftwatch.yaml", SECRETS).retrain
    assert retrain
    return retrain.trainer


def sent(trainer: Webhook, folder: Path) -> tuple[JobFolder, Any]:
    """The body that the recipe asks with."""
    job = new_job(folder)
    return job, json.loads(orjson.dumps(filled(trainer.body, all_places(job))))


def words(trainer: Webhook, answer: Any) -> str:
    """What the recipe makes of an answer to its status."""
    found = jmespath.search(trainer.status_path.replace("{job_id}", JOB_ID), answer)
    return {"running": "running", "done": "done", "failed": "failed", **trainer.statuses}.get(found, "")


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_every_yaml_of_the_page_is_a_configuration(number: int, tmp_path: Path):
    assert loaded(blocks("yaml")[number], tmp_path)


def test_the_page_has_a_recipe_for_each():
    assert len(blocks("yaml")) == 8


def test_ray_knows_the_job_by_its_id(tmp_path: Path):
    trainer = recipe("Ray", tmp_path)
    job, body = sent(trainer, tmp_path)
    assert body["submission_id"] == JOB_ID
    assert body["entrypoint"] == f"python -P -m driftwatch.retrain.train '{job.path}'"
    assert [words(trainer, {"status": word}) for word in ("PENDING", "SUCCEEDED", "STOPPED")] == [
        "running",
        "done",
        "failed",
    ]


def test_ray_has_these_words_for_how_a_job_is_doing(tmp_path: Path):
    pytest.importorskip("ray", reason="the package 'ray' is not installed")
    from ray.job_submission import JobStatus

    assert set(recipe("Ray", tmp_path).statuses) == {str(each) for each in JobStatus}


def test_airflow_is_given_a_run_with_the_id_of_the_job(tmp_path: Path):
    trainer = recipe("Airflow 3", tmp_path)
    job, body = sent(trainer, tmp_path)
    assert (body["dag_run_id"], body["logical_date"], body["conf"]["folder"]) == (JOB_ID, None, str(job.path))
    assert body["conf"]["job"]["job_id"] == JOB_ID
    assert [words(trainer, {"state": word}) for word in ("queued", "running", "success", "failed")] == [
        "running",
        "running",
        "done",
        "failed",
    ]


def test_prefect_is_given_the_id_as_its_key(tmp_path: Path):
    _, body = sent(recipe("Prefect", tmp_path), tmp_path)
    assert body["idempotency_key"] == JOB_ID


def test_github_gets_few_keys_and_its_run_is_found_by_name(tmp_path: Path):
    trainer = recipe("GitHub", tmp_path)
    _, body = sent(trainer, tmp_path)
    assert set(body) == {"event_type", "client_payload"}
    assert len(body["event_type"]) <= 100
    assert len(body["client_payload"]) <= 10
    assert body["client_payload"]["job"]["job_id"] == JOB_ID
    named = {"display_title": f"retrain {JOB_ID}"}
    answers: list[dict[str, Any]] = [
        {"workflow_runs": []},
        {"workflow_runs": [{"display_title": "retrain other", "status": "completed", "conclusion": "failure"}]},
        {"workflow_runs": [named | {"status": "in_progress", "conclusion": None}]},
        {"workflow_runs": [named | {"status": "completed", "conclusion": "success"}]},
        {"workflow_runs": [named | {"status": "completed", "conclusion": "timed_out"}]},
    ]
    assert [words(trainer, each) for each in answers] == ["", "", "running", "done", "failed"]


def test_the_workflow_of_github_is_named_by_the_job_and_waits_for_its_like():
    [workflow] = [yaml.safe_load(block) for block in blocks("yml")]
    assert "client_payload.job.job_id" in workflow["run-name"]
    assert "client_payload.job.job_id" in workflow["concurrency"]
    assert workflow[True] == {"repository_dispatch": {"types": ["driftwatch-retrain"]}}


@pytest.mark.process
def test_the_script_for_kubernetes_applies_one_job_and_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Against a kubectl that runs the fake trainer when a Job is applied that it does not know."""
    [script] = blocks("sh")
    bin_, trainer = tmp_path / "bin", recipe("Kubernetes", tmp_path)
    assert isinstance(trainer, Command)
    bin_.mkdir()
    run = bin_ / "train-on-kubernetes.sh"
    run.write_text(script)
    fake = bin_ / "kubectl"
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase $1 in\n'
        f"apply) cat > {tmp_path}/new.yaml; cmp -s {tmp_path}/new.yaml {tmp_path}/job.yaml && exit\n"
        f"  mv {tmp_path}/new.yaml {tmp_path}/job.yaml;"
        f' {sys.executable} -I -S {jobs.FAKE} "$DRIFTWATCH_JOB" >/dev/null;;\n'
        "get) echo 'SuccessCriteriaMet Complete';;\nlogs) echo trained;;\nesac\n"
    )
    for each in (run, fake):
        each.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    job = new_job(tmp_path)
    given = trainer.model_copy(update={"run": (str(run), *trainer.run[1:])})
    assert driven(job, given).name == "done"
    assert len(runs(job)) == 1
    manifest = yaml.safe_load((tmp_path / "job.yaml").read_text())
    assert (manifest["kind"], manifest["metadata"]["name"]) == ("Job", f"driftwatch-{JOB_ID}")
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["activeDeadlineSeconds"] < trainer.timeout.total_seconds()
    assert manifest["spec"]["ttlSecondsAfterFinished"] > 0
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == str(job.path)
