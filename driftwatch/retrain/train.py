"""Train what ``job.json`` asks for, in a process of its own: ``python -m driftwatch.retrain.train JOB_FOLDER``.

The process may be killed at any instant and started again: it goes on from the last whole checkpoint, and a job that
has a ``result.json`` is finished and stays so. SIGTERM ends it after the step that runs, with a checkpoint.

Exit codes: 0 done; 1 refused or failed, and ``result.json`` says why; 75 another process has the job; 143 asked to end,
and starting it again goes on.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from driftwatch.errors import DriftwatchError, RetrainError, TooLittle
from driftwatch.retrain._alike import key
from driftwatch.retrain._training.base import Base
from driftwatch.retrain._training.progress import Progress, Stopped
from driftwatch.retrain.dataset import name_of, read_json, read_nouns, sealed, write_json
from driftwatch.retrain.leaks import HELD_OUT
from driftwatch.retrain.settings import Train
from driftwatch.retrain.strategy import Strategy, strategy_of
from driftwatch.retrained import Asked, Passage, Row

log = logging.getLogger(__name__)

DONE, FAILED, BUSY, STOPPED = 0, 1, 75, 143
RESULT = "result.json"


@dataclass(frozen=True)
class Job:
    """What ``job.json`` wants, read and checked."""

    folder: Path
    job_id: str
    base: Base
    dataset: Path
    output: Path
    data: str
    """Hash of the dataset."""
    train: Train
    strategy: Strategy | None
    """What a person was shown; None: decided by the number of rows."""

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The job in ``folder``.

        Raises:
            RetrainError: ``job.json`` is missing, of another version, or wrong, naming the field.
        """
        path = folder / "job.json"
        content = read_json(path)
        if content.get("version") != 1:
            raise RetrainError(
                f"{path}: has version {content.get('version')!r}, and this driftwatch reads version 1.",
                remedy="Start a new job.",
            )
        try:
            return cls(
                folder=folder,
                job_id=str(content["job_id"]),
                base=Base.read(content["base"]),
                dataset=Path(content["dataset"]),
                output=Path(content["output"]),
                data=str(content["data"]),
                train=Train.model_validate(content.get("train") or {}),
                strategy=Strategy.read(content["strategy"]) if content.get("strategy") else None,
            )
        except KeyError as error:
            raise RetrainError(f"{path}: there is no {error}.", remedy="Start a new job.") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ": ".join(["train", *map(str, first["loc"])])
            raise RetrainError(f"{path}: '{place}': {first['msg']}.", remedy="Start a new job.") from None
        except (TypeError, AttributeError) as error:
            raise RetrainError(f"{path}: {error}.", remedy="Start a new job.") from None


def run(
    folder: Path,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Train the job in ``folder``; what its ``result.json`` says, which is written unless it is there already.

    ``progress`` is given the job's progress before anything starts: whoever ends processes sets what it is asked by.

    Raises:
        Stopped: it was asked to end; starting it again goes on.
        RetrainError: another process has the job, or the folder holds none.
    """
    with _alone(folder):
        if (folder / RESULT).exists():
            return read_json(folder / RESULT)
        job = Job.read(folder)
        started, began = now(), clock()
        work = Progress(folder, job.job_id, now, clock)
        progress(work)
        outcome, reason, measures = _outcome(job, work)
        result = {
            "version": 1,
            "job_id": job.job_id,
            "outcome": outcome,
            "reason": reason,
            "candidate": str(job.output) if outcome == "done" else "",
            "measures": measures,
            "seconds": round(clock() - began, 3),
            "started": started.isoformat(),
            "finished": now().isoformat(),
        }
        write_json(folder / RESULT, result)
        return result


def _outcome(job: Job, progress: Progress) -> tuple[str, str, dict[str, float]]:
    """Outcome, reason and measures; whatever goes wrong is what a person reads in the result."""
    try:
        reason, measures = _train(job, progress)
    except TooLittle as error:
        return "refused", str(error), {}
    except DriftwatchError as error:
        return "failed", str(error), {}
    except (MemoryError, OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.exception("training failed")
        first = (str(error).strip().splitlines() or [""])[0]
        return "failed", f"training failed ({type(error).__name__}): {first[:300]} trainer.log has the whole of it.", {}
    return "done", reason, measures


def _train(job: Job, progress: Progress) -> tuple[str, dict[str, float]]:
    """From the dataset to the candidate; what there is to say, and the measures."""
    from driftwatch.retrain._training.candidate import write_candidate
    from driftwatch.retrain._training.data import read_texts
    from driftwatch.retrain._training.fit import fit

    data = sealed(job.dataset)
    if data != job.data:
        raise RetrainError(
            f"{job.dataset}: holds the dataset {data[:12]}, and the job is for {job.data[:12]}.",
            remedy="Start a new job.",
        )
    texts = read_texts(job.dataset)
    _refuse_leaks(job.dataset, texts.queries)
    strategy = job.strategy or strategy_of(len(texts.rows), job.train)
    if not strategy.allowed:
        raise TooLittle(strategy.why)
    log.info("%s", strategy.sentence)
    progress.stage("loading the model in use")
    tuned = load_base(job.base, job.train)
    fitted = fit(texts, tuned, strategy, job.train, job.folder / "checkpoints", progress)
    progress.stage("saving")
    about = {
        "job_id": job.job_id,
        "base": job.base.model,
        "revision": job.base.revision,
        "data": data,
        "measures": fitted.measures,
        "strategy": asdict(strategy),
        "seed": job.train.seed,
    }
    write_candidate(tuned, job.output, about)
    progress.stage("done", 1, 1)
    return fitted.sentence, fitted.measures


def load_base(base: Base, train: Train) -> Any:
    """The model to tune, in memory (``_training.base.Tuned``); of several GPUs this process sees the chosen one."""
    from driftwatch.retrain._training.base import Tuned

    return Tuned(base, train.device.partition(":")[0], max_length=train.max_length, tokens=train.tokens)


def _refuse_leaks(dataset: Path, queries: tuple[str, ...]) -> None:
    """The last look, after the leak guard's: no question of the gate is among the rows, however it is spelt, and no
    answer is of a document that is held out.

    Raises:
        RetrainError: one is.
    """
    if not (dataset / name_of(Asked)).exists():
        return
    judged = list(read_nouns(dataset, Asked))
    names = {key(asked.text): asked.query_id for asked in judged}
    held = {doc_id: asked.query_id for asked in judged for doc_id in _held_out(asked)}
    answers, passages = {row.positive for row in read_nouns(dataset, Row)}, read_nouns(dataset, Passage)
    leaks = chain(
        (names[key(query)] for query in queries if key(query) in names),
        (held[each.parent] for each in passages if each.passage_id in answers and each.parent in held),
    )
    if (found := next(leaks, None)) is not None:
        raise RetrainError(
            f"{dataset / name_of(Row)}: trains on the question '{found}' of the gate, or on its document, and the gate "
            "would then judge by what was taught.",
            remedy="Start a new job.",
        )


def _held_out(asked: Asked) -> Iterator[str]:
    """The documents that a held-out question is about; a canary may be about any."""
    return (doc_id for doc_id, relevance in asked.relevant.items() if relevance > 0 and asked.group == HELD_OUT)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the job's lock, which ends with the process however that ends.

    Raises:
        Busy: another process holds it.
        RetrainError: there is no such folder.
    """
    try:
        file = (folder / "trainer.lock").open("w")
    except OSError as error:
        raise RetrainError(f"{folder}: {error.strerror}.", remedy="Give the folder of a job.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy(f"{folder}: another process trains this job.", remedy="Wait for its result.json.") from None
        yield


class Busy(RetrainError):
    """Another process has the job."""


def surroundings(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the process sets before torch is loaded: nothing is fetched, nothing reported, and one GPU is seen.

    With several GPUs in sight the trainer would spread each batch over all of them, whoever uses them.
    """
    wanted = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    seen = [each for each in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    number = int(device.partition(":")[2] or 0)
    chosen = (seen[number] if number < len(seen) else seen[0]) if seen else str(number)
    return wanted if device == "cpu" or device == "mps" else wanted | {"CUDA_VISIBLE_DEVICES": chosen}


def main(arguments: list[str]) -> int:
    """The process."""
    if len(arguments) != 1:
        print("usage: python -m driftwatch.retrain.train JOB_FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).absolute()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    try:
        if not (folder / RESULT).exists():
            os.environ.update(surroundings(Job.read(folder).train.device, os.environ))
        result = run(folder, progress=_end_by_signal)
    except Stopped:
        print("asked to end; starting the job again goes on from its last checkpoint.", file=sys.stderr)
        return STOPPED
    except Busy as error:
        print(error, file=sys.stderr)
        return BUSY
    except DriftwatchError as error:
        print(error, file=sys.stderr)
        return FAILED
    print(f"{result.get('outcome')}: {result.get('reason')}", file=sys.stderr)
    return DONE if result.get("outcome") == "done" else FAILED


def _end_by_signal(progress: Progress) -> None:
    """SIGTERM and SIGINT end training after the step that runs, and everything else at once."""

    def asked(_number: int, _frame: Any) -> None:
        progress.asked_to_end = True
        if progress.between_steps:
            raise Stopped

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, asked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
