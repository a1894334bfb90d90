"""Tests of the training process: it learns, it is the same twice, and nothing that stops it costs a job."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import RetrainError
from driftwatch.retrain._training.progress import Progress, Stopped
from driftwatch.retrain._training.validation import Validation
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.settings import Train
from driftwatch.retrain.strategy import Strategy
from driftwatch.retrain.train import BUSY, DONE, FAILED, Busy, main, run, surroundings
from driftwatch.retrained import Asked, Row
from tests.fakes.tiny_model import task, tiny_model, write_job
from tests.needs import needs

needs("datasets", "sentence_transformers", reason="training is not installed (extra 'retrain')")
pytestmark = pytest.mark.process

TRAIN = Train(epochs=10, learning_rate=1e-2, batch_size=16, device="cpu")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def trained(model, tmp_path_factory):
    """A job that ran through without a pause, and its result."""
    folder = write_job(tmp_path_factory.mktemp("whole"), model, TRAIN)
    return folder, run(folder)


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(str(folder / "candidate" / "model.safetensors"))


def same(left: Path, right: Path, tolerance: float = 0.0) -> bool:
    one, other = weights(left), weights(right)
    return one.keys() == other.keys() and all(np.abs(one[name] - other[name]).max() <= tolerance for name in one)


class StopAt:
    """Asks the process to end when its progress was written so many times; a second passes at every look."""

    def __init__(self, writes: int) -> None:
        self.left = writes
        self.seconds = 0.0
        self.progress: Progress | None = None

    def clock(self) -> float:
        self.seconds += 1.0
        return self.seconds

    def now(self) -> datetime:
        self.left -= 1
        if self.left == 0 and self.progress is not None:
            self.progress.asked_to_end = True
        return NOW

    def take(self, progress: Progress) -> None:
        self.progress = progress


def test_it_learns_what_the_base_does_not_know(trained):
    _, result = trained
    assert result["outcome"] == "done"
    assert result["measures"]["before"] < 0.3
    assert result["measures"]["after"] > 0.6
    assert "questions that it had not been trained on" in result["reason"]


def test_what_validated_trains_when_nothing_is_chosen_by_it_any_more(trained):
    folder, result = trained
    chosen = read_json(folder / "checkpoints" / "share.json")
    assert chosen["after"] == result["measures"]["after"]
    stages = {name: folder / "checkpoints" / name / "steps" for name in ("1-dense-bm25-random", "catch-up")}
    assert int(stages["catch-up"].read_text()) == 4  # 16 that validated and 16 again, two epochs in batches of 16
    assert stages["catch-up"].stat().st_mtime_ns >= (folder / "checkpoints" / "share.json").stat().st_mtime_ns
    assert result["measures"]["steps"] == sum(int(each.read_text()) for each in stages.values())


def embedded(state: Mapping[str, Any]) -> Any:
    """The weights of the words, which every step moves."""
    return next(value for name, value in state.items() if name.endswith("word_embeddings.weight"))


WOBBLES = np.tile([0.2, -0.2], 8)
GOOD, LUCKY, BAD = np.full(16, 0.8), 0.7 + 0.5 * WOBBLES + np.repeat([0.1, 0.0], 8), np.zeros(16)


@pytest.mark.parametrize(
    ("measured", "kept", "epochs"),
    [
        ([LUCKY, GOOD - WOBBLES, GOOD - 0.05, LUCKY - 0.06], 4, 4),
        ([GOOD, BAD, BAD, GOOD], 1, 3),
        ([GOOD, BAD, GOOD + WOBBLES - 0.01, BAD], 3, 4),
    ],
    ids=["wobbles", "falls", "falls-and-comes-back"],
)
def test_the_last_epoch_is_kept_unless_it_is_clearly_worse(model, tmp_path, monkeypatch, measured, kept, epochs):
    """The luckiest of a few epochs on a few questions is not the best of them."""
    seen = []
    script = iter([np.full(16, 0.5), *measured])

    def measure(_validation, tuned, dimension=None):
        assert dimension is None
        seen.append(embedded(tuned.model.state_dict()).numpy().copy())
        return next(script, np.full(16, 0.7))

    monkeypatch.setattr(Validation, "measure", measure)
    monkeypatch.setattr("driftwatch.retrain._training.fit.best_share", lambda *_: (1.0, {0.0: 0.5, 1.0: 0.7}))
    monkeypatch.setattr("driftwatch.retrain._training.fit._Run.catch_up", lambda _: 0)
    folder = write_job(tmp_path, model, TRAIN.model_copy(update={"epochs": 4}))
    assert run(folder)["outcome"] == "done"
    assert len(seen) == 1 + epochs
    np.testing.assert_array_equal(embedded(weights(folder)), seen[kept])
    assert not list((folder / "checkpoints").rglob("measured-*"))


def test_the_candidate_serves_like_any_model(trained):
    folder, _ = trained
    rows, passages = task()
    embedder = TextEmbedder(EmbedderSettings(model=str(folder / "candidate"), device="cpu"))
    scores = (
        embedder.encode_queries([row.query for row in rows])
        @ embedder.encode_documents([passage.text for passage in passages]).T
    )
    assert np.mean(scores.argmax(1) == np.arange(len(rows))) > 0.5


def test_the_candidate_says_where_it_comes_from_and_shows_no_questions(trained, model):
    folder, _ = trained
    about = read_json(folder / "candidate" / "driftwatch_model.json")
    assert about["base"] == str(model)
    assert about["data"] == read_json(folder / "job.json")["data"]
    assert about["versions"]["sentence-transformers"]
    held = b"".join(
        file.read_bytes()
        for file in (folder / "candidate").rglob("*")
        if file.is_file() and not file.name.startswith("tokenizer")
    )
    assert b"ask3 ask4" not in held
    assert not list((folder / "candidate").rglob("*.bin"))


def test_progress_ends_at_done(trained):
    folder, _ = trained
    progress = read_json(folder / "progress.json")
    assert (progress["stage"], progress["version"]) == ("done", 1)


def test_the_same_seed_gives_the_same_weights(trained, model, tmp_path):
    again = write_job(tmp_path, model, TRAIN)
    run(again)
    assert same(again, trained[0])


def test_another_seed_gives_other_weights(trained, model, tmp_path):
    other = write_job(tmp_path, model, TRAIN.model_copy(update={"seed": 1}))
    run(other)
    assert not same(other, trained[0], 1e-3)


def test_a_finished_job_stays_finished(trained):
    folder, result = trained
    before = (folder / "candidate" / "model.safetensors").stat().st_mtime_ns
    assert run(folder, now=lambda: NOW) == result
    assert (folder / "candidate" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("writes", [5, 9])
def test_a_run_that_was_asked_to_end_goes_on_to_the_same_weights(trained, model, tmp_path, writes):
    folder = write_job(tmp_path, model, TRAIN)
    stop = StopAt(writes)
    with pytest.raises(Stopped):
        run(folder, now=stop.now, clock=stop.clock, progress=stop.take)
    assert not (folder / "result.json").exists()
    step = read_json(folder / "progress.json")["step"]
    assert list((folder / "checkpoints").glob(f"*/checkpoint-{step}/whole.json"))
    run(folder)
    assert same(folder, trained[0])


def test_a_checkpoint_that_was_cut_off_is_not_gone_on_from(trained, model, tmp_path):
    folder = write_job(tmp_path, model, TRAIN)
    stop = StopAt(9)
    with pytest.raises(Stopped):
        run(folder, now=stop.now, clock=stop.clock, progress=stop.take)
    last = max((folder / "checkpoints").glob("*/checkpoint-*"), key=lambda each: int(each.name.partition("-")[2]))
    with (last / "optimizer.pt").open("r+b") as file:
        file.truncate(100)
    run(folder)
    assert same(folder, trained[0])


def start(folder: Path) -> subprocess.Popen[bytes]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    return subprocess.Popen(
        [sys.executable, "-m", "driftwatch.retrain.train", str(folder)], cwd=ROOT, env=env, stderr=subprocess.DEVNULL
    )


def wait_for(condition, process, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended by itself"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.timeout(600)
def test_a_killed_job_goes_on_and_ends_once(model, tmp_path):
    folder, undisturbed = write_job(tmp_path / "killed", model, TRAIN), write_job(tmp_path / "whole", model, TRAIN)
    with start(undisturbed) as process:  # as the other one: threads are not the same in this process
        assert process.wait(300) == DONE
    with start(folder) as process:
        try:
            wait_for(lambda: list((folder / "checkpoints").glob("*/checkpoint-*/whole.json")), process)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    with start(folder) as process:
        assert process.wait(300) == DONE
    result = (folder / "result.json").read_bytes()
    assert same(folder, undisturbed)
    assert main([str(folder)]) == DONE
    assert (folder / "result.json").read_bytes() == result


def test_two_processes_never_train_one_job(model, tmp_path):
    folder = write_job(tmp_path, model, TRAIN)
    with (folder / "trainer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another process"):
            run(folder)
        assert main([str(folder)]) == BUSY
    assert not (folder / "result.json").exists()


def test_no_more_tokens_than_the_budget_go_through_the_model_at_once(model, tmp_path, monkeypatch):
    from transformers import BertModel

    sizes = []
    forward = BertModel.forward

    def counted(self, input_ids=None, *args, **kwargs):
        sizes.append(input_ids.numel())
        return forward(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(BertModel, "forward", counted)
    run(write_job(tmp_path, model, TRAIN.model_copy(update={"epochs": 1, "batch_size": 64, "tokens": 256})))
    assert 150 < max(sizes) <= 256  # a whole batch would be 384


def test_adapters_are_merged_and_leave_no_trace(trained, model, tmp_path):
    pytest.importorskip("peft", reason="adapters are not installed (extra 'lora')")
    folder = write_job(tmp_path, model, TRAIN.model_copy(update={"lora": 8, "learning_rate": 3e-2}))
    result = run(folder)
    assert result["measures"]["after"] > result["measures"]["before"]
    assert weights(folder).keys() == weights(trained[0]).keys()
    assert not list((folder / "candidate").rglob("adapter*"))


def test_a_run_with_adapters_goes_on_to_the_same_weights(model, tmp_path):
    pytest.importorskip("peft", reason="adapters are not installed (extra 'lora')")
    train = TRAIN.model_copy(update={"lora": 8, "learning_rate": 3e-2, "epochs": 3})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    stop = StopAt(7)
    run(write_job(whole, model, train))
    with pytest.raises(Stopped):
        run(write_job(broken, model, train), now=stop.now, clock=stop.clock, progress=stop.take)
    run(broken)
    assert same(whole, broken)


def test_a_curriculum_goes_from_stage_to_stage_and_keeps_finished_ones(model, tmp_path):
    bands = (("random",), ("bm25",), ("dense",))
    strategy = Strategy("curriculum", "a test.", True, 6, 1e-2, 0.1, 2, 4, bands)
    folder, whole = tmp_path / "broken", tmp_path / "whole"
    stop = StopAt(22)
    with pytest.raises(Stopped):
        run(write_job(folder, model, TRAIN, strategy=strategy), now=stop.now, clock=stop.clock, progress=stop.take)
    stages = sorted(each.parent.name for each in (folder / "checkpoints").glob("*/finished.safetensors"))
    assert stages
    assert stages == ["1-random", "2-bm25", "3-dense"][: len(stages)]
    run(folder)
    run(write_job(whole, model, TRAIN, strategy=strategy))
    assert same(folder, whole)
    assert read_json(whole / "result.json")["measures"]["after"] > 0.5


def test_rows_without_the_negatives_of_a_stage_still_train(model, tmp_path):
    rows, _ = task()
    bare = [Row(row.query, row.positive) if number % 3 == 0 else row for number, row in enumerate(rows)]
    result = run(write_job(tmp_path, model, TRAIN, rows=bare))
    assert result["measures"]["after"] > 0.5


def test_a_plain_ranking_loss_learns_too(model, tmp_path):
    result = run(write_job(tmp_path, model, TRAIN.model_copy(update={"loss": "mnrl"})))
    assert result["measures"]["after"] > 0.5


def test_a_base_in_half_precision_gives_a_candidate_of_its_size(model, tmp_path):
    from safetensors.numpy import load_file, save_file

    half = tmp_path / "half"
    subprocess.run(["cp", "-r", str(model), str(half)], check=True)
    file = half / "model.safetensors"
    save_file({name: value.astype(np.float16) for name, value in load_file(str(file)).items()}, str(file))
    folder = write_job(tmp_path / "job", half, TRAIN.model_copy(update={"epochs": 2}))
    assert run(folder)["outcome"] == "done"
    assert {value.dtype for value in weights(folder).values()} == {np.dtype(np.float16)}


def test_prompts_stand_before_the_texts_as_in_serving(model, tmp_path, monkeypatch):
    from transformers import BertModel

    seen = []
    forward = BertModel.forward

    def kept(self, input_ids=None, *args, **kwargs):
        seen.append((self.training, input_ids[:, 1].tolist()))
        return forward(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(BertModel, "forward", kept)
    train = TRAIN.model_copy(update={"epochs": 1})
    run(write_job(tmp_path, model, train, query_prompt="query : ", document_prompt="passage : "))
    first = {token for training, tokens in seen if training for token in tokens}
    assert first == {5, 6}


def test_a_text_is_cut_in_training_and_the_candidate_keeps_its_own_length(model, tmp_path):
    folder = write_job(tmp_path, model, TRAIN.model_copy(update={"epochs": 1, "max_length": 16}), max_length=20)
    assert run(folder)["outcome"] == "done"
    kept = json.loads((folder / "candidate" / "tokenizer_config.json").read_text())
    assert kept["model_max_length"] == 32


def test_dimensions_that_the_base_is_not_good_at_are_refused(trained, tmp_path):
    folder = write_job(tmp_path, trained[0] / "candidate", TRAIN.model_copy(update={"epochs": 1, "dimensions": (2,)}))
    result = run(folder)
    assert result["outcome"] == "failed"
    assert "was not trained for 2 dimensions" in result["reason"]


def test_dimensions_that_the_base_is_good_at_are_trained(trained, tmp_path):
    folder = write_job(tmp_path, trained[0] / "candidate", TRAIN.model_copy(update={"epochs": 1, "dimensions": (30,)}))
    assert run(folder)["outcome"] == "done"


def test_a_dimension_wider_than_the_vectors_is_refused(model, tmp_path):
    result = run(write_job(tmp_path, model, TRAIN.model_copy(update={"dimensions": (64,)})))
    assert "have 32 numbers" in result["reason"]


def test_too_few_rows_are_refused_before_anything_is_loaded(tmp_path):
    rows, _ = task()
    result = run(write_job(tmp_path, tmp_path / "no such model", TRAIN, rows=rows[:30]))
    assert result["outcome"] == "refused"
    assert "30 pairs" in result["reason"]


def test_a_question_of_the_gate_never_trains(tmp_path):
    asked = [Asked("canary-7", " ASK0  ask1 ", relevant={"d0-1": 1}, group="canary")]
    result = run(write_job(tmp_path, tmp_path / "no such model", TRAIN, asked=asked))
    assert result["outcome"] == "failed"
    assert "canary-7" in result["reason"]


@pytest.mark.parametrize("spelt", ["Ask0-ask1?!", "as\u200bk0 ask1", "\u0430sk0 ask1"])
def test_nor_does_it_however_it_is_spelt(tmp_path, spelt):
    result = run(write_job(tmp_path, tmp_path / "no such model", TRAIN, asked=[Asked("canary-7", spelt)]))
    assert "trains on the question 'canary-7' of the gate" in result["reason"]


def test_no_document_of_a_held_out_question_trains(tmp_path):
    asked = Asked("held-out:3", "another question", "en", {"d0-1": 1, "d0-2": 0}, "held-out")
    result = run(write_job(tmp_path / "a", tmp_path / "no such model", TRAIN, asked=[asked]))
    assert "'held-out:3' of the gate, or on its document" in result["reason"]
    canary = replace(asked, group="canary")  # may be about a document that trains
    result = run(write_job(tmp_path / "b", tmp_path / "no such model", TRAIN, asked=[canary]))
    assert "there is no model folder" in result["reason"]


def test_a_dataset_that_was_changed_is_refused(tmp_path):
    folder = write_job(tmp_path, tmp_path / "no such model", TRAIN)
    with (folder / "dataset" / "rows.jsonl").open("a") as file:
        file.write("\n")
    assert "is not what it was" in run(folder)["reason"]


def test_another_dataset_than_the_job_was_for_is_refused(tmp_path):
    folder = write_job(tmp_path, tmp_path / "no such model", TRAIN)
    write_json(folder / "job.json", read_json(folder / "job.json") | {"data": "0" * 64})
    assert "the job is for 000000000000" in run(folder)["reason"]


def test_a_base_that_is_not_there_fails_with_the_reason(tmp_path):
    result = run(write_job(tmp_path, tmp_path / "no such model", TRAIN))
    assert result["outcome"] == "failed"
    assert "there is no model folder" in result["reason"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"version": 2}, "version 2"), ({"base": {}}, "names no model"), ({"train": {"epochs": -1.5}}, "epochs")],
)
def test_a_job_that_cannot_be_read_says_what_is_wrong(tmp_path, changes, words):
    folder = write_job(tmp_path, tmp_path / "model", TRAIN)
    write_json(folder / "job.json", read_json(folder / "job.json") | changes)
    with pytest.raises(RetrainError, match=words):
        run(folder)


def test_a_folder_without_a_job_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) == FAILED
    assert "job.json" in capsys.readouterr().err


def test_one_gpu_is_seen_and_nothing_is_fetched():
    assert surroundings("cuda:1", {"CUDA_VISIBLE_DEVICES": "4,7"})["CUDA_VISIBLE_DEVICES"] == "7"
    assert surroundings("auto", {})["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in surroundings("cpu", {})
    assert surroundings("cpu", {})["HF_HUB_OFFLINE"] == "1"
