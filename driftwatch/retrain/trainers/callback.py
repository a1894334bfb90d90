"""What a trainer elsewhere tells of itself: ``POST /v1/jobs/<id>/result`` with a bearer token."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest

import orjson
from pydantic import ValidationError

from driftwatch.errors import RetrainError
from driftwatch.retrain._job_files import DiskTrouble, Result, one_line
from driftwatch.retrain._process import started
from driftwatch.retrain.jobs import JobFolder, wrong
from driftwatch.retrain.trainer_settings import Webhook

MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Reply:
    """How to answer: an HTTP status, and a sentence."""

    status: int
    sentence: str


def accept_result(job: JobFolder, trainer: Webhook, body: bytes, token: str, now: datetime) -> Reply:
    """Take a result for a job that was asked for and is not over. Sent twice, it counts once.

    The token is looked at first: without it, nobody learns which jobs there are.
    """
    if trainer.token is None:
        return Reply(403, "callbacks are refused: `retrain: trainer: token` is not set.")
    if not compare_digest(token.encode("utf-8", "replace"), trainer.token.get_secret_value().encode()):
        return Reply(401, "that is not the token.")
    if len(body) > MOST_BYTES:
        return Reply(413, f"a result has {MOST_BYTES} bytes at most.")
    try:
        return _taken(job, _checked(job, body), trainer, now)
    except DiskTrouble as trouble:
        return Reply(503, trouble.problem)
    except RetrainError as error:
        return Reply(422, error.problem)


def _taken(job: JobFolder, result: Result, trainer: Webhook, now: datetime) -> Reply:
    begun = started(job)
    if begun is None or begun.trainer != "webhook":
        return Reply(409, "nobody was asked for this job.")
    if job.read("result.json", Result) == result:
        return Reply(200, "that was known.")
    if job.outcome or job.stopping or now >= begun.first + trainer.timeout:
        return Reply(409, "the job is over.")
    if not _kept(job, result):
        return Reply(409, "there is another result of this job.")
    return Reply(200, "taken.")


def _checked(job: JobFolder, body: bytes) -> Result:
    """The result in ``body``.

    Raises:
        RetrainError: it is none, or its candidate is none.
    """
    try:
        result = Result.model_validate(orjson.loads(body))
    except ValidationError as error:
        raise RetrainError(f"that is no result: {wrong(error)}.") from None
    except ValueError:
        raise RetrainError("that is not JSON.") from None
    if result.job_id != job.job_id:
        raise RetrainError(f"that is a result of the job {one_line(result.job_id)}.")
    if result.outcome == "done":
        job.candidate(result)
    return result


def _kept(job: JobFolder, result: Result) -> bool:
    """Write it, unless there is one: of two that arrive at once, one is the first."""
    draft = f".callback.{os.getpid()}.{threading.get_ident()}"
    job.write(draft, result)
    try:
        os.link(job.path / draft, job.path / "result.json")
    except FileExistsError:
        return job.read("result.json", Result) == result
    except OSError as error:
        raise DiskTrouble(f"{job.path}: {error.strerror}.") from None
    finally:
        (job.path / draft).unlink(missing_ok=True)
    return True
