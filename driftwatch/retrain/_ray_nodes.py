"""What runs on the nodes of a Ray cluster: embedding a shard, searching a shard, training a job.

Nodes are given texts, vectors and models, and no settings, token or path of the machine that asks. What they are given
is written to a temporary folder, and nothing of it stays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import DriftwatchError
from driftwatch.retrain._neighbours import nearest
from driftwatch.retrain._training.checkpoints import SEAL, is_whole, seal
from driftwatch.retrain.dataset import read_json, write_json

Batch = dict[str, NDArray[Any]]
Files = Mapping[str, Any]
"""Names below a folder, each with a reference to its content (uint8)."""

ERROR = "error"
"""The column of a batch that says why there is nothing else in it."""
LOOK = 2.0
"""Seconds between two looks at what training has written."""
_MOST_SAID = 1 << 16
"""Bytes of the log that are sent at once."""
_AROUND = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "ROLE_RANK")
_OF_MANY = (*_AROUND, "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_TORCH_DEVICE")
"""What Ray Train sets for several processes that train together; one that trains alone must not see it."""
_TIED = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.executable, [sys.executable, "-P", "-m", "driftwatch.retrain.train", sys.argv[1]])
"""
"""Trains, and is killed (PR_SET_PDEATHSIG, SIGKILL) when the process that waits for it is: nobody else would end it."""


class Shards(ABC):
    """One of the processes that share the shards of a piece of work; Ray Data starts them, and again where one dies."""

    def __init__(self, shards: Sequence[Any]) -> None:
        self._shards = shards

    def __call__(self, batch: Batch) -> Batch:
        """Do the shard whose number is in ``batch``."""
        import ray

        number = int(batch["shard"][0])
        try:
            rows = self.done(ray.get(self._shards[number]))
            return rows | {"shard": np.full(len(next(iter(rows.values()))), number)}
        except DriftwatchError as error:  # Ray would bring its name and place, and lose what it says
            return {ERROR: np.array([str(error)])}

    @abstractmethod
    def done(self, shard: Any) -> Batch:
        """What comes of the shard, in rows."""


class Embed(Shards):
    """Texts to vectors, with the model loaded once; no vector is kept on the node."""

    def __init__(
        self, settings: EmbedderSettings, model: Files, role: str, threads: int, shards: Sequence[Any]
    ) -> None:
        super().__init__(shards)
        self._settings, self._model, self._role, self._threads = settings, model, role, threads

    def done(self, shard: Any) -> Batch:
        """As ``Shards``: the `vector` of each text."""
        encode = self._embedder.encode_queries if self._role == "query" else self._embedder.encode_documents
        return {"vector": encode(shard)}

    @cached_property
    def _embedder(self) -> TextEmbedder:
        """Loaded here and not in the constructor: an error of a constructor reaches nobody as it is."""
        import torch

        torch.set_num_threads(self._threads)
        with TemporaryDirectory(prefix="driftwatch-model-") as folder:
            unpack(self._model, Path(folder))
            embedder = TextEmbedder(self._settings.model_copy(update={"model": folder}))
            embedder.encode_queries(["load the model while its files are there"])
        return embedder


class Search(Shards):
    """The nearest of the documents of a shard, for every question."""

    def __init__(self, queries: Any, k: int, shards: Sequence[Any]) -> None:
        super().__init__(shards)
        self._queries, self._k = queries, k

    def done(self, shard: Any) -> Batch:
        """As ``Shards``: `ids` and `scores` of the shard's best documents, a row for each question."""
        import ray

        found = nearest(ray.get(self._queries), [shard], self._k)
        return {"ids": found.ids, "scores": found.scores}


def train(work: Mapping[str, Any]) -> None:
    """Train one job, as Ray Train has it done on a node; again after the node or its process was lost.

    ``work``: `desk` (``_ray_train.Desk``), `job` (``job.json`` without what is of another machine) and `threads`.

    Raises:
        RuntimeError: training was killed or ended without a result; Ray Train lets it begin anew.
    """
    import ray

    desk, job = work["desk"], work["job"]
    with TemporaryDirectory(prefix="driftwatch-job-") as home:
        folder = Path(home) / "job"
        unpack(ray.get(desk.files.remote()), Path(home))
        _anchor(folder / "checkpoints")
        places = {"dataset": str(folder / "dataset"), "output": str(folder / "candidate")}
        base = {**job["base"], "model": str(Path(home) / "model")}
        write_json(folder / "job.json", {**job, **places, "base": base})
        with _training(folder, work["threads"]) as process:
            _watch(process, folder, desk)
        if process.returncode < 0 or not (folder / "result.json").exists():
            raise RuntimeError(f"training ended with code {process.returncode} and no result: {_last_line(folder)}")
        _bring_back(folder, desk)


def _anchor(checkpoints: Path) -> None:
    """The trainer's state names the best checkpoint by its path, which was another one where it was written."""
    for place in checkpoints.glob("*/checkpoint-*"):
        if is_whole(place):
            state = json.loads((place / "trainer_state.json").read_text("utf-8"))
            if best := state.get("best_model_checkpoint"):
                state["best_model_checkpoint"] = str(place.with_name(Path(best).name))
                (place / "trainer_state.json").write_text(json.dumps(state), "utf-8")
                seal(place)


@contextmanager
def _training(folder: Path, threads: int) -> Iterator[subprocess.Popen[bytes]]:
    env = {name: value for name, value in os.environ.items() if name not in _OF_MANY}
    env |= {"OMP_NUM_THREADS": str(threads)}
    with (folder / "trainer.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-c", _TIED, str(folder)],
            env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _watch(process: subprocess.Popen[bytes], folder: Path, desk: Any) -> None:
    """Send what was written every few seconds until training ends, so that a lost node costs the last checkpoint."""
    sent, printed = _looks(folder), 0
    while True:
        try:
            over = process.wait(LOOK) is not None
        except subprocess.TimeoutExpired:
            over = False
        printed = _send_log(folder / "trainer.log", printed, desk)
        sent = _send_changed(folder, sent, desk)
        if over:
            return


def _send_log(log: Path, printed: int, desk: Any) -> int:
    import ray

    with log.open("rb") as file:
        file.seek(printed)
        if text := file.read():
            ray.get(desk.told.remote(text[-_MOST_SAID:]))
        return file.tell()


def _send_changed(folder: Path, sent: Mapping[str, tuple[int, int]], desk: Any) -> dict[str, tuple[int, int]]:
    """Progress and checkpoints that are new, the seal of each last; what is gone here goes there, too."""
    import ray

    there = _looks(folder)
    for name in sorted(there, key=lambda each: Path(each).name == SEAL):
        if sent.get(name) != there[name]:
            with suppress(FileNotFoundError):  # an old checkpoint goes while it is looked at
                ray.get(desk.take.remote(name, content(folder / name)))
    if set(sent) - set(there):
        ray.get(desk.keep.remote(sorted(there)))
    return there


def _looks(folder: Path) -> dict[str, tuple[int, int]]:
    """By name, size and time of every file that is worth keeping."""
    found = {}
    for path in _worth_keeping(folder):
        with suppress(FileNotFoundError):
            looks = path.stat()
            found[path.relative_to(folder).as_posix()] = (looks.st_size, looks.st_mtime_ns)
    return found


def _worth_keeping(folder: Path) -> Iterator[Path]:
    """Files that are whole: those of a checkpoint are once it is sealed, all others are put there in one go."""
    yield from (each for each in (folder / "progress.json",) if each.exists())
    for place, _, names in os.walk(folder / "checkpoints"):  # what goes while it is walked is passed over
        inside = next(
            (each for each in (Path(place), *Path(place).parents) if each.name.startswith("checkpoint-")), None
        )
        if inside is None or is_whole(inside):
            yield from (Path(place, name) for name in names if not name.startswith("."))


def _bring_back(folder: Path, desk: Any) -> None:
    """The candidate, and then the result."""
    import ray

    result = read_json(folder / "result.json")
    if result.get("outcome") == "done":
        for path in sorted(each for each in (folder / "candidate").rglob("*") if each.is_file()):
            ray.get(desk.take.remote(path.relative_to(folder).as_posix(), content(path)))
    ray.get(desk.done.remote(result))


def _last_line(folder: Path) -> str:
    lines = (folder / "trainer.log").read_text("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing.")


def content(path: Path) -> NDArray[np.uint8]:
    """A file in the form that Ray carries without copying."""
    return np.fromfile(path, np.uint8)


def unpack(files: Files, folder: Path) -> None:
    """Write ``files`` below ``folder``."""
    import ray

    for name, reference in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ray.get(reference).tofile(path)
