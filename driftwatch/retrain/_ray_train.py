"""A job of training on a Ray cluster, by Ray Train.

    python -m driftwatch.retrain._ray_train ADDRESS JOB_FOLDER

does there what ``driftwatch.retrain.train`` does here, with the same files and the same exit codes.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed._weights import find_weights
from driftwatch.errors import DriftwatchError, RetrainError
from driftwatch.retrain import _ray_nodes
from driftwatch.retrain._keeper import LOG, MOST_LOG
from driftwatch.retrain._process import MOST_STARTS
from driftwatch.retrain._ray import Places, checked, connect, failed, model_files, ray_package
from driftwatch.retrain._training.candidate import ABOUT
from driftwatch.retrain._training.checkpoints import SEAL, replace_folder, unseal
from driftwatch.retrain.dataset import FILES, MANIFEST, read_json, write_json, write_whole
from driftwatch.retrain.train import BUSY, DONE, FAILED, RESULT, STOPPED, Busy, Job, _alone


def train(folder: Path) -> int:
    """Train the job in ``folder`` on the cluster that is connected; the exit code of ``driftwatch.retrain.train``.

    One process on one node trains, whatever the cluster: with several, each would see other batches, and another model
    would come out. The storage of the nodes need not be shared: what is needed is sent to the node, and progress, log,
    checkpoints and candidate come back.

    Raises:
        RetrainError: the folder holds no job, another process has it, or training was killed again and again.
    """
    folder = folder.absolute()
    with _alone(folder):
        if not (folder / RESULT).exists():
            _fit(Job.read(folder))
        return DONE if read_json(folder / RESULT).get("outcome") == "done" else FAILED


def _fit(job: Job) -> None:
    """Ray Train finds the node, and another one where that is lost."""
    import ray.train
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    places = Places.on_cluster(job.train.device)
    weights = find_weights(job.base.model, job.base.revision)
    desk = _on_this_node(Desk).remote(str(job.folder), str(weights))
    with TemporaryDirectory(prefix="driftwatch-ray-") as storage, _same_signals():
        trainer = DataParallelTrainer(  # not TorchTrainer: the process that trains loads torch, and nobody else
            _ray_nodes.train,
            train_loop_config={"desk": desk, "job": _for_a_node(job), "threads": places.threads},
            scaling_config=ray.train.ScalingConfig(
                num_workers=1,
                use_gpu=bool(places.gpus),
                resources_per_worker={"CPU": places.cpus} | ({"GPU": 1} if places.gpus else {}),
            ),
            run_config=ray.train.RunConfig(
                name=job.job_id,
                storage_path=storage,
                failure_config=ray.train.FailureConfig(max_failures=MOST_STARTS - 1),
            ),
        )
        try:
            trainer.fit()
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            raise failed(error) from None
        finally:
            ray.kill(desk)


def _for_a_node(job: Job) -> dict[str, Any]:
    """``job.json`` without what names this machine, its folders and those that it calls."""
    content = read_json(job.folder / "job.json")
    known = ("version", "job_id", "service", "data", "train", "strategy")
    of_base = ("query_prompt", "document_prompt", "max_length", "dimension")
    base = {name: content["base"].get(name) for name in of_base}
    return {name: content.get(name) for name in known} | {"base": base}


def _on_this_node(actor: type) -> Any:
    """``actor`` beside this process, where the job's folder is."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray = ray_package()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(actor).options(num_cpus=0, scheduling_strategy=here)


@contextmanager
def _same_signals() -> Iterator[None]:
    """Ray Train takes SIGINT, and does not give it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Desk:
    """On this machine, between the job's folder and the node that trains: gives out its files, and takes what is new.

    It takes nothing but progress, log, checkpoints and candidate, and writes nowhere else.
    """

    def __init__(self, folder: str, weights: str) -> None:
        self._folder, self._weights = Path(folder), Path(weights)
        self._job = Job.read(self._folder)
        self._draft = self._job.output.with_name(f".{self._job.output.name}.ray")
        shutil.rmtree(self._draft, ignore_errors=True)

    def files(self) -> dict[str, Any]:
        """What training needs, as it is now: dataset, checkpoints and base."""
        job, dataset = self._folder, self._job.dataset
        found = {f"job/dataset/{name}": dataset / name for name in (*FILES, MANIFEST) if (dataset / name).exists()}
        kept = (each for each in (job / "checkpoints").rglob("*") if each.is_file())
        found |= {f"job/{each.relative_to(job).as_posix()}": each for each in kept}
        found |= {f"model/{name}": path for name, path in model_files(self._weights)}
        return {name: ray_package().put(_ray_nodes.content(path)) for name, path in found.items()}

    def told(self, text: bytes) -> None:
        """What training printed."""
        path = self._folder / LOG
        if not path.exists() or path.stat().st_size < MOST_LOG:
            with path.open("ab") as log:
                log.write(text)

    def take(self, name: str, content: NDArray[np.uint8]) -> None:
        """One file of the job.

        Raises:
            RetrainError: it is none of those that training writes.
        """
        path = self._place(name)
        if path.name != SEAL:
            unseal(path.parent)
        write_whole(path, [content.tobytes()])

    def keep(self, names: Sequence[str]) -> None:
        """Drop the checkpoints that training has dropped."""
        wanted = {self._place(name) for name in names}
        for path in sorted((self._folder / "checkpoints").rglob("*"), reverse=True):
            if path.is_file() and path not in wanted:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()

    def done(self, result: Mapping[str, Any]) -> None:
        """The end: the candidate takes its place, naming its base as the job does, and the result says so."""
        candidate = ""
        if result.get("outcome") == "done":
            about, base = read_json(self._draft / ABOUT), self._job.base
            write_json(self._draft / ABOUT, {**about, "base": base.model, "revision": base.revision})
            replace_folder(self._draft, self._job.output)
            candidate = str(self._job.output)
        write_json(self._folder / RESULT, {**result, "job_id": self._job.job_id, "candidate": candidate})

    def _place(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        plain = bool(parts) and not any(part.startswith((".", "/")) for part in parts)
        if plain and (parts[0] == "checkpoints" or name == "progress.json"):
            return self._folder.joinpath(*parts)
        if plain and parts[0] == "candidate" and len(parts) > 1:
            return self._draft.joinpath(*parts[1:])
        raise RetrainError(f"a node of the Ray cluster sent {name!r}, which is no file of training.")


def main(arguments: list[str]) -> int:
    """The process that has the cluster train."""
    if len(arguments) != 2:
        print("usage: python -m driftwatch.retrain._ray_train ADDRESS JOB_FOLDER", file=sys.stderr)
        return 2
    try:
        connect(checked(arguments[0]))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # what it has on the cluster ends with it
        return train(Path(arguments[1]))
    except DriftwatchError as error:
        print(error, file=sys.stderr)
        return BUSY if isinstance(error, Busy) else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
