"""While no retraining runs, a daemon carries nothing of it: no module that trains, and next to no memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftwatch.config.release import registry_of
from driftwatch.retraining.course import courses
from tests.fakes.workshop import NOW, Workshop
from tests.fakes.world import EMPTY, RECALL, make_world
from tests.retraining.conftest import Make

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
SECTION = """retrain:
  when: [canary recall]
  approve: {users: [U024BE7LH], channel: '#search', token: xoxb-1, app_token: xapp-1}
documents: {path: articles.jsonl}
embedder: {model: some/model}
"""
READ = {"driftwatch.retrain", "driftwatch.retrain.settings", "driftwatch.retrain.trainer_settings"}
"""What the section of the configuration is, and nothing that acts by it."""
TRAINS = {
    *("torch", "transformers", "sentence_transformers", "datasets", "accelerate", "peft", "bm25s", "ray", "mlflow"),
    *("faiss", "onnx", "onnxruntime", "slack_sdk", "pyarrow", "pandas"),
}
WORKS = {
    f"driftwatch.retrain.{name}"
    for name in ("pairs", "leaks", "mine", "train", "gate", "evaluate", "generated", "export", "mlflow", "_ray")
} | {f"driftwatch.retraining.{name}" for name in ("preparing", "judging", "promoting", "worker", "work")}

TOLERANCE = 6.0
"""MB that a section of retraining may cost a daemon that does not retrain; its own modules are two of them."""

RUNS = """
import json, sys, threading, time
from datetime import UTC, datetime
from pathlib import Path
from driftwatch.service import serve

def begin(daemon):
    threading.Thread(target=look, args=[daemon], daemon=True).start()

def look(daemon):
    agenda = daemon.agenda
    until = time.monotonic() + 60
    while any(agenda.is_due(job, datetime.now(UTC)) for job in agenda.jobs) and time.monotonic() < until:
        time.sleep(0.1)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
    names = [job.name for job in agenda.jobs if not agenda.is_due(job, datetime.now(UTC))]
    print(json.dumps({"ran": names, "modules": sorted(sys.modules), "resident": resident}), flush=True)
    daemon.stop.set()

sys.exit(serve(Path("driftwatch.yaml"), begin))
"""


def idle(folder: Path, more: str) -> tuple[set[str], float, list[str]]:
    """Modules, resident MB and jobs of `driftwatch run` that has done each of them."""
    folder.mkdir()
    make_world(folder, RECALL, EMPTY, more=more)
    (folder / "articles.jsonl").write_text('{"id": "d", "text": "t"}\n')
    done = subprocess.run(
        [sys.executable, "-c", RUNS],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_ARENA_MAX": "2"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"source canaries", "remind"} <= set(found["ran"]), done.stderr
    return set(found["modules"]), found["resident"], found["ran"]


def own(modules: set[str]) -> set[str]:
    return {
        each for each in modules if each.split(".")[:2] in (["driftwatch", "retrain"], ["driftwatch", "retraining"])
    }


@pytest.mark.timeout(240)
def test_without_the_section_nothing_of_it_is_imported_and_with_it_nothing_that_trains(tmp_path: Path) -> None:
    without, plain, ran = idle(tmp_path / "without", "")
    assert "retrain" not in ran
    assert own(without) == READ
    assert without & TRAINS == set()
    assert not any("_slack_socket" in each for each in without)
    having, weighed, ran = idle(tmp_path / "with", SECTION)
    assert "retrain" in ran
    assert "driftwatch.retraining.steward" in having
    assert having & (TRAINS | WORKS) == set()
    print(f"resident without the section {plain:.1f} MB, with it {weighed:.1f} MB")
    assert weighed - plain < TOLERANCE


def test_looking_at_a_job_that_is_over_or_waits_for_a_person_imports_nothing_either(
    make: Make, candidate: Path
) -> None:
    shop = make()
    shop.judged(candidate, passed=False, now=NOW)
    course = next(courses(shop.steward().folder))
    course.end("refused", "no.", NOW)
    assert looked(shop) == {"pairs"}  # they are counted for `status`, from labels and feedback
    assert registry_of(shop.watch).current() is None


def looked(shop: Workshop) -> set[str]:
    """What of the parts that work is imported by looking at how things stand."""
    code = (
        "import json, sys; from pathlib import Path; from driftwatch.commands import retrain;"
        "retrain.status(Path('driftwatch.yaml'), json=True); print(); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=shop.watch.base,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert modules & TRAINS == set()
    return {each.rpartition(".")[2] for each in modules & WORKS}
