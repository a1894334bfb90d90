"""The same work on a real Ray cluster of two nodes on this machine: the same vectors, neighbours and model."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import RetrainError
from driftwatch.retrain import _process
from driftwatch.retrain._candidates import Vectors
from driftwatch.retrain.dataset import read_json
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrain.mine import mine
from driftwatch.retrain.rebuild import rebuild
from driftwatch.retrain.scale import SHARD, Local, Scale, in_shards, scale_of
from driftwatch.retrain.settings import Mine, Retrain, Train
from driftwatch.retrain.strategy import Strategy
from driftwatch.retrain.train import DONE, FAILED
from driftwatch.retrain.trainers import local, step
from driftwatch.retrained import Pair, Passage
from driftwatch.retraining.preparing import vectors_of
from tests.fakes.jobs import NOW, new_job, until
from tests.fakes.tiny_model import THINGS, task, tiny_model, write_job
from tests.needs import needs

needs("ray", reason="Ray is not installed (extra 'ray')")
needs("datasets", reason="training is not installed (extra 'retrain')")
pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,  # nodes take their time, and must not wait for other tests
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("default"),  # Ray's own, of which there are many
]

LOOPBACK = "127.0.0.2"
"""Ray takes 127.0.0.1 for a name of the machine, and would look for the cluster at its outer address."""
TRAIN = Train(epochs=3, learning_rate=1e-2, batch_size=16, device="cpu")
LONG = Strategy("contrastive", "a long one", True, 60, 1e-3, 0.1, 60, 4, (("dense", "bm25", "random"),))


SURROUNDINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # at Ray's own 15, nodes wait for whatever else the machine does
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one processor each; nothing of them can be reached from elsewhere."""
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in SURROUNDINGS.items():
            patched.setenv(name, value)
        started = Cluster(initialize_head=True, head_node_args=node())
        try:
            started.add_node(**node())
            yield started
        finally:
            started.shutdown()


def node() -> dict[str, Any]:
    return {
        "num_cpus": 1,
        "include_dashboard": False,
        "include_log_monitor": False,
        "no_monitor": True,
        "node_ip_address": LOOPBACK,
        "object_store_memory": 200 << 20,
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EmbedderSettings:
    prompts = {"query": "query : ", "document": "passage : "}
    return EmbedderSettings(model=str(tiny_model(tmp_path_factory.mktemp("tiny"), prompts=prompts)), device="cpu")


@pytest.fixture(scope="module")
def scale(cluster: Any, model: EmbedderSettings) -> Iterator[Scale]:
    """By the one setting."""
    settings = Retrain(when=("canary recall",), scale="ray", ray=cluster.address)
    with scale_of(settings, model) as there:
        yield there


def texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(f"say{each}" for each in rng.integers(0, THINGS, rng.integers(1, 12))) for _ in range(count)]


def at_work(node: Any) -> list[psutil.Process]:
    """The processes of a node that do the shards."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    found = []
    for each in raylet.children(recursive=True):
        try:
            if each.cmdline()[:1] and each.cmdline()[0].startswith("ray::MapWorker"):
                found.append(each)
        except psutil.Error:
            continue
    return found


def encoded(scale: Scale, role: Any, asked: list[str]) -> np.ndarray:
    return np.concatenate(list(scale.encode(role, in_shards(asked))))


def stored(documents: np.ndarray) -> Vectors:
    return Vectors.of(documents, [""] * len(documents))


def test_the_vectors_are_the_same_bit_for_bit(scale: Scale, model: EmbedderSettings) -> None:
    asked = [*texts(2 * SHARD + 7), "a lone surrogate \ud800", ""]
    with Local(model) as here:
        for role in ("query", "document"):
            there = list(scale.encode(role, in_shards(asked)))
            assert [len(each) for each in there] == [SHARD, SHARD, 9]
            assert there[0].dtype == np.float32
            np.testing.assert_array_equal(np.concatenate(there), encoded(here, role, asked))


def test_no_texts_have_no_vectors(scale: Scale) -> None:
    assert list(scale.encode("document", iter(()))) == []


def test_the_neighbours_are_the_same_bit_for_bit(scale: Scale, model: EmbedderSettings) -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((900, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows[rng.integers(0, 300, 900)]  # copies, in both halves
    queries, documents = rows[:50], stored(rows)
    with Local(model) as here:
        ids, scores = here.neighbours(queries, documents, 20)
    for _ in range(2):  # the second time the vectors are there already
        found = scale.neighbours(queries, documents, 20)
        np.testing.assert_array_equal(ids, found[0])
        np.testing.assert_array_equal(scores, found[1])
    assert scale.neighbours(queries, stored(rows[:3]), 20)[0].shape == (50, 3)
    assert scale.neighbours(queries, stored(rows[:0]), 20)[0].shape == (50, 0)


def test_the_mined_rows_are_the_same(scale: Scale, model: EmbedderSettings) -> None:
    """As `driftwatch retrain mine` mines them: embedded and searched there, chosen here."""
    rows, passages = task()
    pairs = [Pair(row.query, row.positive) for row in rows]
    settings = Mine(seed=3, random=0.2, margin=0.0, near_duplicate=1.0, least_rows=50)
    found = []
    with Local(model) as here:
        for each in (here, scale):
            vectors = vectors_of(each, pairs, passages)
            found.append(mine(pairs, passages, *vectors, settings, neighbours=each.neighbours))
    assert found[0].rows == found[1].rows
    assert found[0].report == found[1].report
    assert found[0].report["bands"]["dense"] > 100


def test_the_corpus_embedded_anew_is_the_same(scale: Scale, model: EmbedderSettings, tmp_path: Path) -> None:
    """Killed or not: a second start finds the same shards."""
    asked = texts(3 * SHARD)
    passages = [Passage(str(number), str(number), text) for number, text in enumerate(asked)]
    embedder, made = TextEmbedder(model), []
    for name, encode in (("here", None), ("there", partial(scale.encode, "document"))):
        writer = Rows()
        done = rebuild(passages, embedder, writer, tmp_path / name, shard=2 * SHARD - 40, encode=encode)
        made.append((done, writer.rows))
    assert made[0][0] == made[1][0]
    np.testing.assert_array_equal(made[0][1], made[1][1])
    assert len(made[0][1]) == len(passages)


class Rows:
    """An index that is nothing but its vectors."""

    rows: np.ndarray

    def begin(self, dimension: int) -> None:
        self.rows = np.empty((0, dimension), np.float32)

    def write(self, number: int, passages: Any, vectors: np.ndarray) -> None:
        self.rows = np.concatenate([self.rows, vectors])

    def finish(self) -> dict[str, str]:
        return {"kind": "rows"}

    def discard(self) -> None:
        self.begin(0)


def test_the_shards_of_a_process_that_dies_are_done_again(scale: Scale, model: EmbedderSettings, cluster: Any) -> None:
    asked = texts(60 * SHARD)
    with Local(model) as here:
        whole = encoded(here, "document", asked)
    (second,) = cluster.worker_nodes
    vectors = scale.encode("document", in_shards(asked))
    found = [next(vectors)]
    assert at_work(cluster.head_node), "both nodes were to work"
    (victim,) = at_work(second)
    victim.send_signal(signal.SIGKILL)
    found.extend(vectors)
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_what_a_node_cannot_do_is_said_in_its_words(scale: Scale, model: EmbedderSettings, cluster: Any) -> None:
    settings = Retrain(when=("canary recall",), scale="ray", ray=cluster.address)
    next(iter(scale.encode("query", [["ask1"]])))
    wide = scale_of(settings, model.model_copy(update={"dimension": 999}))
    with pytest.raises(RetrainError, match="'dimension: 999' is more than the 32 numbers"):
        list(wide.encode("query", [["ask1"]]))
    wide.close()
    assert scale.neighbours(np.ones((1, 2), np.float32), stored(np.eye(2, dtype=np.float32)), 1)[0].shape == (1, 1), (
        "the connection is the other one's, and stays"
    )


def trained(folder: Path, cluster: str = "") -> int:
    """The exit code of the process that `trainer: local` starts, by the one setting."""
    return subprocess.run(words(folder, cluster), env=local.environment(os.environ), check=False).returncode


def words(folder: Path, cluster: str = "") -> list[str]:
    return local.program(JobFolder(folder), cluster)


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(str(folder / "candidate" / "model.safetensors"))


def furthest(one: Path, other: Path) -> float:
    """The largest difference of any weight."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)


def test_the_same_seed_trains_the_same_model(cluster: Any, model: EmbedderSettings, tmp_path: Path) -> None:
    here, there = (write_job(tmp_path / name, Path(model.model), TRAIN) for name in ("here", "there"))
    assert trained(there, cluster.address) == DONE
    assert trained(here) == DONE
    assert (there / "candidate/model.safetensors").read_bytes() == (here / "candidate/model.safetensors").read_bytes()
    one, other = (read_json(folder / "result.json") for folder in (here, there))
    assert one["measures"] == other["measures"]
    assert other["candidate"] == str(there / "candidate")
    assert read_json(there / "candidate/driftwatch_model.json") == read_json(here / "candidate/driftwatch_model.json")
    assert read_json(there / "progress.json")["stage"] == "done"
    assert "done: " in (there / "trainer.log").read_text()
    names = [{each.relative_to(folder) for each in folder.rglob("*")} for folder in (here, there)]
    assert names[1] - names[0] == {Path("trainer.log")}
    assert trained(there, cluster.address) == DONE, "what is done is not done again"


def test_a_job_that_is_refused_says_so_here(cluster: Any, model: EmbedderSettings, tmp_path: Path) -> None:
    folder = write_job(tmp_path, Path(model.model), TRAIN, rows=task()[0][:30])
    assert trained(folder, cluster.address) == FAILED
    result = read_json(folder / "result.json")
    assert (result["outcome"], result["candidate"]) == ("refused", "")
    assert "there are 30 pairs" in result["reason"]
    assert not (folder / "candidate").exists()


def test_training_that_is_killed_goes_on_from_the_last_checkpoint(
    cluster: Any, model: EmbedderSettings, tmp_path: Path
) -> None:
    here, there = (write_job(tmp_path / name, Path(model.model), TRAIN, strategy=LONG) for name in ("here", "there"))
    with subprocess.Popen(words(there, cluster.address), env=local.environment(os.environ)) as working:
        try:
            wait_for(lambda: list((there / "checkpoints").glob("*/checkpoint-*/whole.json")), working)
            (process,) = trainers()
            process.send_signal(signal.SIGKILL)
            wait_for(lambda: [each for each in trainers() if each.pid != process.pid], working)
            assert working.wait(200) == DONE
        finally:
            working.kill()
    assert trained(here) == DONE
    assert furthest(here, there) < 1e-5


def trainers() -> list[psutil.Process]:
    """The processes that train on the nodes."""
    found = []
    for each in psutil.process_iter():
        try:
            said = each.cmdline()
            if "driftwatch.retrain.train" in said and "driftwatch-job-" in said[-1]:
                found.append(each)
        except psutil.Error:
            continue
    return found


def wait_for(condition: Callable[[], object], working: subprocess.Popen[bytes], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert working.poll() is None, "it ended by itself"
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_shards_of_a_lost_node_are_done_again(scale: Scale, model: EmbedderSettings, cluster: Any) -> None:
    asked = texts(60 * SHARD)
    with Local(model) as here:
        whole = encoded(here, "document", asked)
    third = cluster.add_node(**node())
    (second,) = (each for each in cluster.worker_nodes if each is not third)
    vectors = scale.encode("document", in_shards(asked))
    found = [next(vectors)]
    lost = second if at_work(second) else third
    assert at_work(lost)
    cluster.remove_node(lost, allow_graceful=False)
    found.extend(vectors)
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_an_address_where_there_is_no_cluster_is_named(model: EmbedderSettings, tmp_path: Path) -> None:
    """In a process of its own: this one is connected."""
    env = local.environment(os.environ)
    ended = subprocess.run(
        words(tmp_path, "127.0.0.1:1"), env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == FAILED
    assert "no Ray cluster can be reached at '127.0.0.1:1': " in ended.stderr
    assert "ray start --head" in ended.stderr


def test_a_local_job_is_trained_where_the_setting_says(tmp_path: Path) -> None:
    """And one that finds no cluster there has failed, and says so."""
    job = new_job(tmp_path)
    try:
        assert until(lambda: step(job, "local", NOW, "127.0.0.1:1").is_over, 200)
        assert "no Ray cluster can be reached at '[ip]:1'" in step(job, "local", NOW, "127.0.0.1:1").reason
    finally:
        _process.end_all(job)
