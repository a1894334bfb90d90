"""The same work on a real Ray cluster of two nodes on this machine: the same vectors, neighbours and model."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from driftwatch.embed import EmbedderSettings
from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json
from driftwatch.retrain.scale import SHARD, Local, Scale, scale_of
from driftwatch.retrain.settings import Retrain, Train
from driftwatch.retrain.strategy import Strategy
from driftwatch.retrain.train import DONE, FAILED
from tests.fakes.tiny_model import THINGS, task, tiny_model, write_job

pytest.importorskip("ray", reason="Ray is not installed (extra 'ray')")
pytest.importorskip("datasets", reason="training is not installed (extra 'retrain')")
pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("default"),  # Ray's own, of which there are many
]

LOOPBACK = "127.0.0.2"
"""Ray takes 127.0.0.1 for a name of the machine, and would look for the cluster at its outer address."""
TRAIN = Train(epochs=3, learning_rate=1e-2, batch_size=16, device="cpu")
LONG = Strategy("contrastive", "a long one", True, 60, 1e-3, 0.1, 60, 4, (("dense", "bm25", "random"),))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one processor each; nothing of them can be reached from elsewhere."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    started = Cluster(initialize_head=True, head_node_args=node())
    started.add_node(**node())
    yield started
    started.shutdown()


def node() -> dict[str, Any]:
    return {"num_cpus": 1, "include_dashboard": False, "node_ip_address": LOOPBACK}


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
    return np.concatenate(list(scale.encode(role, asked)))


def test_the_vectors_are_the_same_bit_for_bit(scale: Scale, model: EmbedderSettings) -> None:
    asked = [*texts(3 * SHARD + 7), "a lone surrogate \ud800", ""]
    with Local(model) as here:
        for role in ("query", "document"):
            there = encoded(scale, role, asked)
            assert there.dtype == np.float32
            np.testing.assert_array_equal(there, encoded(here, role, asked))


def test_no_texts_have_no_vectors(scale: Scale) -> None:
    assert list(scale.encode("document", iter(()))) == []


def test_the_neighbours_are_the_same_bit_for_bit(scale: Scale, model: EmbedderSettings) -> None:
    rng = np.random.default_rng(1)
    documents = rng.standard_normal((900, 32)).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    documents = documents[rng.integers(0, 300, 900)]  # copies, in both halves
    queries = documents[:50]
    with Local(model) as here:
        ids, scores = here.neighbours(queries, documents, 20)
        np.testing.assert_array_equal(ids, scale.neighbours(queries, documents, 20)[0])
        np.testing.assert_array_equal(scores, scale.neighbours(queries, documents, 20)[1])
    assert scale.neighbours(queries, documents[:3], 20)[0].shape == (50, 3)
    assert scale.neighbours(queries, documents[:0], 20)[0].shape == (50, 0)


def test_the_shards_of_a_process_that_dies_are_done_again(scale: Scale, model: EmbedderSettings, cluster: Any) -> None:
    asked = texts(60 * SHARD)
    with Local(model) as here:
        whole = encoded(here, "document", asked)
    (second,) = cluster.worker_nodes
    vectors = scale.encode("document", asked)
    found = [next(vectors)]
    assert at_work(cluster.head_node), "both nodes were to work"
    (victim,) = at_work(second)
    victim.send_signal(signal.SIGKILL)
    found.extend(vectors)
    np.testing.assert_array_equal(np.concatenate(found), whole)
    assert sum(map(len, found[:1])) < len(asked) // 2, "it was killed when nearly everything was done"


def test_what_a_node_cannot_do_is_said_in_its_words(scale: Scale, model: EmbedderSettings, cluster: Any) -> None:
    settings = Retrain(when=("canary recall",), scale="ray", ray=cluster.address)
    wide = scale_of(settings, model.model_copy(update={"dimension": 999}))
    next(iter(scale.encode("query", ["ask1"])))
    wide._connected = True  # type: ignore[attr-defined]  # one process has one connection
    with pytest.raises(RetrainError, match="'dimension: 999' is more than the 32 numbers"):
        list(wide.encode("query", ["ask1"]))


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(str(folder / "candidate" / "model.safetensors"))


def furthest(one: Path, other: Path) -> float:
    """The largest difference of any weight."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)


def test_the_same_seed_trains_the_same_model(scale: Scale, model: EmbedderSettings, tmp_path: Path) -> None:
    here, there = (write_job(tmp_path / name, Path(model.model), TRAIN) for name in ("here", "there"))
    with Local(model) as local:
        assert local.train(here) == DONE
    assert scale.train(there) == DONE
    assert (there / "candidate/model.safetensors").read_bytes() == (here / "candidate/model.safetensors").read_bytes()
    one, other = (read_json(folder / "result.json") for folder in (here, there))
    assert one["measures"] == other["measures"]
    assert other["candidate"] == str(there / "candidate")
    assert read_json(there / "candidate/driftwatch_model.json") == read_json(here / "candidate/driftwatch_model.json")
    assert read_json(there / "progress.json")["stage"] == "done"
    assert "done: " in (there / "trainer.log").read_text()
    names = [{each.relative_to(folder) for each in folder.rglob("*")} for folder in (here, there)]
    assert names[1] - names[0] == {Path("trainer.log")}
    assert scale.train(there) == DONE, "what is done is not done again"


def test_a_job_that_is_refused_says_so_here(scale: Scale, model: EmbedderSettings, tmp_path: Path) -> None:
    folder = write_job(tmp_path, Path(model.model), TRAIN, rows=task()[0][:30])
    assert scale.train(folder) == FAILED
    result = read_json(folder / "result.json")
    assert (result["outcome"], result["candidate"]) == ("refused", "")
    assert "there are 30 pairs" in result["reason"]
    assert not (folder / "candidate").exists()


def test_training_that_is_killed_goes_on_from_the_last_checkpoint(
    scale: Scale, model: EmbedderSettings, tmp_path: Path
) -> None:
    here, there = (write_job(tmp_path / name, Path(model.model), TRAIN, strategy=LONG) for name in ("here", "there"))
    codes: list[int] = []
    working = threading.Thread(target=lambda: codes.append(scale.train(there)))
    working.start()
    wait_for(lambda: list((there / "checkpoints").glob("*/checkpoint-*/whole.json")), working)
    (process,) = trainers()
    process.send_signal(signal.SIGKILL)
    wait_for(lambda: [each for each in trainers() if each.pid != process.pid], working)
    working.join(200)
    assert codes == [DONE]
    with Local(model) as local:
        assert local.train(here) == DONE
    assert furthest(here, there) < 1e-5


def trainers() -> list[psutil.Process]:
    """The processes that train on the nodes."""
    found = []
    for each in psutil.process_iter():
        try:
            words = each.cmdline()
            if "driftwatch.retrain.train" in words and "driftwatch-job-" in words[-1]:
                found.append(each)
        except psutil.Error:
            continue
    return found


def wait_for(condition: Callable[[], object], working: threading.Thread, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert working.is_alive(), "it ended by itself"
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_shards_of_a_lost_node_are_done_again(scale: Scale, model: EmbedderSettings, cluster: Any) -> None:
    asked = texts(60 * SHARD)
    with Local(model) as here:
        whole = encoded(here, "document", asked)
    third = cluster.add_node(**node())
    (second,) = (each for each in cluster.worker_nodes if each is not third)
    vectors = scale.encode("document", asked)
    found = [next(vectors)]
    lost = second if at_work(second) else third
    assert at_work(lost)
    cluster.remove_node(lost, allow_graceful=False)
    found.extend(vectors)
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_an_address_where_there_is_no_cluster_is_named(model: EmbedderSettings, tmp_path: Path) -> None:
    """In a process of its own: this one is connected."""
    import subprocess
    import sys

    words = [sys.executable, "-P", "-m", "driftwatch.retrain._ray_train", "127.0.0.1:1", str(tmp_path)]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
        "RAY_gcs_rpc_server_connect_timeout_s": "1",
    }
    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == FAILED
    assert "no Ray cluster can be reached at '127.0.0.1:1'" in ended.stderr
