"""Shards of texts and of vectors on a Ray cluster that is there already, by Ray Data (training: ``_ray_train``)."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import EmbedderSettings
from driftwatch.embed._model import runs_on
from driftwatch.embed._weights import find_weights
from driftwatch.errors import MissingExtra, RetrainError
from driftwatch.retrain import _ray_nodes
from driftwatch.retrain._neighbours import Neighbours, Stored
from driftwatch.retrain.scale import Closing, Role

ROUND = 256
"""Shards of texts that are given out at a time: each round loads the models anew, and its texts are held in memory."""
ANSWERS = 10.0
"""Seconds within which the address of a cluster must answer."""
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
        self._lent: tuple[Stored, list[Any]] | None = None

    def encode(self, role: Role, shards: Iterable[Sequence[str]]) -> Iterator[NDArray[np.float32]]:
        """As ``scale.Scale``, with the weights of this machine; so many shards as ``ROUND`` are read ahead."""
        self._connect()
        ray, places, rest = ray_package(), Places.on_cluster(self._settings.device), iter(shards)
        work = (self._settings_there(places), self._weights(), role, places.threads)
        while some := list(islice(rest, ROUND)):
            texts = [ray.put([text.encode("utf-8", "replace").decode() for text in shard]) for shard in some]
            for done in _over(_ray_nodes.Embed, work, texts, [len(shard) for shard in some], places):
                yield done["vector"]

    def neighbours(
        self, queries: NDArray[np.float32], documents: Stored, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As ``scale.Scale``: every node searches its shards, and the best of all are found here.

        The same ``documents``, asked about again, are not sent again.
        """
        self._connect()
        ray, places = ray_package(), Places.on_cluster("cpu")
        found = Neighbours(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
        if len(documents) and len(queries) and k > 0:
            shards = self._lend(documents, places)
            work = (ray.put(np.ascontiguousarray(queries, np.float32)), k)
            for shard in _over(_ray_nodes.Search, work, shards, [len(queries)] * len(shards), places):
                found = found.and_of(Neighbours(shard["ids"], shard["scores"]), k)
        return found.ids, found.scores

    def close(self) -> None:
        """As ``scale.Scale``."""
        self._lent = None
        if self._connected:
            ray_package().shutdown()
            self._connected = False

    def _connect(self) -> None:
        """A process has one connection: where there is one, it is used, and left to who made it."""
        if not ray_package().is_initialized():
            connect(self._address)
            self._connected = True

    def _lend(self, documents: Stored, places: Places) -> list[Any]:
        """References to shards, one for each place at least: the place of the first vector, and the vectors."""
        if self._lent is None or self._lent[0] is not documents:
            size = -(-len(documents) // places.count)
            parts = (
                (first + start, np.ascontiguousarray(block[start : start + size], np.float32))
                for first, block in documents.blocks()
                for start in range(0, len(block), size)
            )
            self._lent = documents, [ray_package().put(part) for part in parts]
        return self._lent[1]

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
        nodes = [each["Resources"] for each in ray_package().nodes() if each["Alive"]]
        threads = _threads()
        cpus = max(1, min(threads, int(max((each.get("CPU", 0) for each in nodes), default=0))))
        gpus = 0 if device in ("cpu", "mps") else int(sum(each.get("GPU", 0) for each in nodes))
        count = gpus or int(sum(each.get("CPU", 0) // cpus for each in nodes))
        if not count or (device.startswith("cuda") and not gpus):
            raise RetrainError(
                f"no node of the Ray cluster has a {'GPU' if device.startswith('cuda') else 'processor'} to work with.",
                remedy="Add one (`ray status` shows what there is), or change 'device'.",
            )
        return cls(count, cpus, min(1, gpus), threads)


def _threads() -> int:
    """As torch takes them, which need not be loaded where the environment says how many."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdigit() and int(said):
        return int(said)
    import torch

    return int(torch.get_num_threads())


def _over(
    work: type, arguments: Sequence[Any], shards: Sequence[Any], rows: Sequence[int], places: Places
) -> Iterator[_ray_nodes.Batch]:
    """What ``work`` gives for each of ``shards``, in their order; the shards of a lost node are done again by others.

    ``rows``: how many there must be of each.

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
        yield from _whole(iter(done.iter_batches(batch_size=None, batch_format="numpy")), rows)
    except ray.exceptions.RayError as error:
        raise failed(error) from None


def _whole(batches: Iterator[_ray_nodes.Batch], rows: Sequence[int]) -> Iterator[_ray_nodes.Batch]:
    """What was given for each shard, put together again where Ray Data has parted it.

    Raises:
        RetrainError: a node said why it could not, or something is missing.
    """
    for number, count in enumerate(rows):
        parts: list[_ray_nodes.Batch] = []
        while (left := count - sum(len(part["shard"]) for part in parts)) > 0:
            part = next(batches, {})
            if _ray_nodes.ERROR in part:
                raise RetrainError(str(part[_ray_nodes.ERROR][0]))
            if not part or len(part["shard"]) > left or (part["shard"] != number).any():
                raise RetrainError(f"Ray gave something else for the shard {number} of {len(rows)}.")
            parts.append(part)
        yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def connect(address: str) -> None:
    """Connect this process, quietly, and report nothing to anybody; a cluster is never started.

    Raises:
        RetrainError: there is no cluster at ``address``, or this machine is none of its nodes.
    """
    _probe(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray_package().init(address=address, include_dashboard=False, log_to_driver=False, logging_level="warning")
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise _unreachable(address, _last_line(error)) from None


def _probe(address: str) -> None:
    """Whether anybody listens there: Ray itself would go on trying.

    Raises:
        RetrainError: nobody does.
    """
    known = checked(os.environ.get("RAY_ADDRESS", "") or address) if address == "auto" else address
    if known == "auto":
        return
    host, _, port = known.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(known, _last_line(error)) from None


def _unreachable(address: str, why: str) -> RetrainError:
    return RetrainError(f"no Ray cluster can be reached at '{address}': {why}.", remedy=_REMEDY)


def checked(address: str) -> str:
    """``address``, unless it would start a cluster, or lead to one through a proxy (`ray://`), which has no node here.

    Raises:
        RetrainError: it would.
    """
    if address != "auto" and not re.fullmatch(r"[^\s/]+:\d{1,5}", address):
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
        f"the work on the Ray cluster failed: {_last_line(error)}.", remedy="`ray status` shows its nodes."
    )


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].rstrip(".")
