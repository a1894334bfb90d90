"""The heavy work of retraining on a Ray cluster that is there already: Ray Data for shards, Ray Train for training."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import EmbedderSettings
from driftwatch.embed._model import runs_on
from driftwatch.embed._weights import find_weights
from driftwatch.errors import MissingExtra, RetrainError
from driftwatch.retrain import _ray_nodes
from driftwatch.retrain._neighbours import BLOCK_BYTES, Neighbours
from driftwatch.retrain.scale import SHARD, Closing, Role, in_shards

_BLOCKS = 8
"""Of vectors, in one shard at most: what a node must hold."""
_REMEDY = (
    "Start one with `ray start --head`, let this machine join it with `ray start --address=<host:port>`, and write "
    "that address into 'retrain: ray'."
)


class Ray(Closing):
    """A cluster at ``address``: `auto`, or `host:port` as `ray start` says it. This machine must be one of its nodes.

    It is connected to when it is first needed, and left by ``close``.

    Raises:
        MissingExtra: Ray is not installed.
        RetrainError: that is no such address; (at first use) there is no cluster, or none of its nodes can do the work.
    """

    def __init__(self, address: str, settings: EmbedderSettings) -> None:
        ray_package()
        self._address = checked(address)
        self._settings = settings
        self._connected = False

    def encode(self, role: Role, texts: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """As ``scale.Scale``: in the shards that ``scale.Local`` would make, with the weights of this machine."""
        self._connect()
        ray = ray_package()
        shards = [ray.put([text.encode("utf-8", "replace").decode() for text in shard]) for shard in in_shards(texts)]
        if not shards:
            return
        places = Places.on_cluster(self._settings.device)
        work = (self._settings_there(places), self._weights(), role, places.threads, SHARD)
        expected = 0
        for batch in _over(_ray_nodes.Embed, work, shards, places):
            if batch["place"][0] != expected:
                raise RetrainError(f"Ray gave the vector of text {batch['place'][0]} in place of {expected}.")
            expected += len(batch["place"])
            yield batch["vector"]

    def neighbours(
        self, queries: NDArray[np.float32], documents: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As ``scale.Scale``: every node searches its shards, and the best of all are found here."""
        self._connect()
        ray, places = ray_package(), Places.on_cluster("cpu")
        most = max(1, _BLOCKS * BLOCK_BYTES // max(1, 4 * documents.shape[1]))
        size = max(1, min(most, -(-len(documents) // places.count)))
        shards = [
            ray.put(np.ascontiguousarray(documents[start : start + size], np.float32))
            for start in range(0, len(documents), size)
        ]
        found = Neighbours(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
        if shards and len(queries) and k > 0:
            asked = ray.put(np.ascontiguousarray(queries, np.float32))
            for shard in _whole_shards(_over(_ray_nodes.Search, (asked, k, size), shards, places), len(queries)):
                found = found.and_of(shard, k)
        return found.ids, found.scores

    def train(self, folder: Path) -> int:
        """As ``scale.Scale``."""
        from driftwatch.retrain._ray_train import train

        self._connect()
        return train(folder)

    def close(self) -> None:
        """As ``scale.Scale``."""
        if self._connected:
            ray_package().shutdown()
            self._connected = False

    def _connect(self) -> None:
        if not self._connected:
            connect(self._address)
            self._connected = True

    def _settings_there(self, places: Places) -> EmbedderSettings:
        """As here, down to the dtype that `auto` means here: it decides what the vectors are."""
        dtype = runs_on(self._settings.device, self._settings.dtype)[1]
        device = "cuda" if places.gpus else "cpu"
        return self._settings.model_copy(update={"device": device, "dtype": dtype, "cache": None, "revision": None})

    def _weights(self) -> dict[str, Any]:
        """The files of the model, for every node: it needs no copy, no hub and no token of its own."""
        folder = find_weights(self._settings.model, self._settings.revision)
        return {name: ray_package().put(_ray_nodes.content(path)) for name, path in model_files(folder)}


@dataclass(frozen=True)
class Places:
    """Where on the cluster work can be done at once."""

    count: int
    cpus: int
    """Of each of them."""
    gpus: int
    """1, or 0 where the processor does the work."""
    threads: int
    """As many as this machine would compute with: the last digits of a sum depend on how it is shared out."""

    @classmethod
    def on_cluster(cls, device: str) -> Places:
        """Where the nodes that are there now could work as ``device`` wants.

        Raises:
            RetrainError: none of them could.
        """
        import torch

        nodes = [each["Resources"] for each in ray_package().nodes() if each["Alive"]]
        threads = torch.get_num_threads()
        cpus = max(1, min(threads, int(max((each.get("CPU", 0) for each in nodes), default=0))))
        gpus = 0 if device in ("cpu", "mps") else int(sum(each.get("GPU", 0) for each in nodes))
        count = gpus or int(sum(each.get("CPU", 0) // cpus for each in nodes))
        if not count or (device.startswith("cuda") and not gpus):
            raise RetrainError(
                f"no node of the Ray cluster has a {'GPU' if device.startswith('cuda') else 'processor'} to work with.",
                remedy="Add one (`ray status` shows what there is), or change 'device'.",
            )
        return cls(count, cpus, min(1, gpus), threads)


def _over(work: type, arguments: Sequence[Any], shards: Sequence[Any], places: Places) -> Iterator[_ray_nodes.Batch]:
    """What ``work`` gives for each of ``shards``, in their order; the shards of a lost node are done again by others.

    Raises:
        RetrainError: a shard cannot be done, and why.
    """
    import ray.data

    context = ray.data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    with ray.data.DataContext.current(context):
        numbers = ray.data.from_items([{"shard": each} for each in range(len(shards))], override_num_blocks=len(shards))
        done = numbers.map_batches(
            work,
            fn_constructor_args=(*arguments, shards),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=min(places.count, len(shards))),
            **({"num_gpus": 1} if places.gpus else {"num_cpus": places.cpus}),
        )
    try:
        for batch in done.iter_batches(batch_size=None, batch_format="numpy"):
            if _ray_nodes.ERROR in batch:
                raise RetrainError(str(batch[_ray_nodes.ERROR][0]))
            yield batch
    except ray.exceptions.RayError as error:
        raise failed(error) from None


def _whole_shards(batches: Iterator[_ray_nodes.Batch], questions: int) -> Iterator[Neighbours]:
    """Ray Data may part what a node gave for a shard: put together again."""
    parts: list[_ray_nodes.Batch] = []
    for batch in batches:
        parts.append(batch)
        if sum(len(each["ids"]) for each in parts) == questions:
            yield Neighbours(*(np.concatenate([each[name] for each in parts]) for name in ("ids", "scores")))
            parts = []


def connect(address: str) -> None:
    """Connect this process, quietly, and report nothing to anybody; a cluster is never started.

    Raises:
        RetrainError: there is no cluster at ``address``, or this machine is none of its nodes.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray_package().init(address=address, include_dashboard=False, log_to_driver=False, logging_level="warning")
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise RetrainError(
            f"no Ray cluster can be reached at '{address}': {_last_line(error)}", remedy=_REMEDY
        ) from None


def checked(address: str) -> str:
    """``address``, unless it would start a cluster, or lead to one through a proxy (`ray://`), which has no node here.

    Raises:
        RetrainError: it would.
    """
    if "://" in address or address.strip() in ("", "local"):
        raise RetrainError(
            f"'retrain: ray: {address}' is not 'auto', and not the host:port of a cluster.", remedy=_REMEDY
        )
    return address


def ray_package() -> Any:
    """Ray, imported when it is needed.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray", "'retrain: scale: ray'") from None
    return ray


def model_files(folder: Path) -> list[tuple[str, Path]]:
    """The files that a model is loaded from, by name; not the pickled weights that may lie beside them."""
    wanted = (".safetensors", ".json", ".txt", ".model", ".jinja")
    found = (each for each in sorted(folder.rglob("*")) if each.suffix in wanted and each.is_file())
    return [(each.relative_to(folder).as_posix(), each) for each in found]


def failed(error: BaseException) -> RetrainError:
    """What Ray says of work that could not be done, in one line."""
    return RetrainError(
        f"the work on the Ray cluster failed: {_last_line(error)}", remedy="`ray status` shows its nodes."
    )


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
