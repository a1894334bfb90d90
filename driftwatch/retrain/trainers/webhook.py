"""`trainer: {url: …}`: a request that starts training elsewhere, and what is learnt of it afterwards.

A request whose answer was lost is sent again with the same ``Idempotency-Key``, the id of the job, unless the status
already knows the job. The outcome comes as ``result.json``: from whoever sees the folder, or by the callback.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

import jmespath
import orjson
from pydantic import AwareDatetime

from driftwatch.errors import RetrainError
from driftwatch.retrain._job_files import DiskTrouble, Line, Result, State, Written, one_line
from driftwatch.retrain._process import Started, locked, started
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrain.trainer_settings import Webhook
from driftwatch.retrain.trainers._http import Answer, Unreached, ask
from driftwatch.retrain.trainers._places import all_places
from driftwatch.retrievers._exchange import without
from driftwatch.retrievers._template import filled
from driftwatch.schedule import show_duration
from driftwatch.signing import signature

_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
_KNOWN_ALREADY = 409
_AGAIN = frozenset({408, 425, 429})
"""And every 5xx."""
_RESULT_WITHIN = timedelta(minutes=5)
"""After the status says done, until there must be a result: a callback may come later than the status."""

_WRITTEN_WITHIN = 60.0
"""Seconds that a result may take to be written, by a trainer that does not write it whole."""


class Request(Written):
    """What was asked of a trainer elsewhere, and how that stands."""

    tries: int = 0
    next: AwareDatetime | None = None
    """When to try again; None: at once."""
    taken: AwareDatetime | None = None
    """Since when it is known that the other side has the job."""
    refused: bool = False
    """It will not take the job however often it is asked."""
    words: Line = ""
    """What came of the last try, or of the last look at the status."""
    looked: AwareDatetime | None = None
    done: AwareDatetime | None = None
    """Since when its status says so."""
    failed: bool = False


def start(job: JobFolder, trainer: Webhook, now: datetime) -> None:
    """Ask for training, once and where it is due again.

    Raises:
        RetrainError: the folder holds no job.
    """
    with locked(job) as lock:
        if lock is None or job.outcome or job.stopping or (job.path / "result.json").exists():
            return
        request = _request(job)
        begun = started(job)
        if request.taken or request.refused or (request.next and now < request.next) or _is_late(begun, trainer, now):
            return
        if begun is None:
            job.write("started.json", Started(job_id=job.job_id, trainer="webhook", start=1, first=now, at=now))
        tried = request.model_copy(update={"tries": request.tries + 1})
        job.write(
            "request.json", tried
        )  # before it is sent: else a crash would make the second try look like the first
        job.write("request.json", _asked(job, trainer, tried, now))


def poll(job: JobFolder, trainer: Webhook, now: datetime) -> State:
    """How it stands, asking the status where that is due.

    Raises:
        RetrainError: what was written of the job cannot be read.
    """
    begun, request = started(job), _request(job)
    if stop := job.stopping:
        return job.decide("failed", f"it was stopped: {stop.reason}", now)
    if (result := _result(job, now)) is not None:
        return job.conclude(result, now)
    if begun is None:
        return State("waiting", "nobody was asked yet.")
    if request.taken and not request.failed:
        request = _looked(job, trainer, request, now)
    if wrong := _wrong(request, now) or (_is_late(begun, trainer, now) and _too_late(trainer, request)):
        return job.decide("failed", wrong, now)
    return State("running" if request.taken else "waiting", request.words, job.progress, request.tries)


def _result(job: JobFolder, now: datetime) -> Result | None:
    """The result; one that cannot be read may be in the middle of being written, as long as it is new."""
    try:
        return job.result
    except DiskTrouble:
        raise
    except RetrainError:
        with suppress(OSError):
            if now.timestamp() < (job.path / "result.json").stat().st_mtime + _WRITTEN_WITHIN:
                return None
        raise


def _request(job: JobFolder) -> Request:
    return job.read("request.json", Request) or Request(job_id=job.job_id)


def _is_late(begun: Started | None, trainer: Webhook, now: datetime) -> bool:
    return begun is not None and now >= begun.first + trainer.timeout


def _too_late(trainer: Webhook, request: Request) -> str:
    last = f" The last that was heard: {request.words}." if request.words else ""
    return f"there was no outcome within {show_duration(trainer.timeout)}.{last}"


def _wrong(request: Request, now: datetime) -> str:
    """Why nothing will come of it; empty where something may."""
    if request.refused:
        return f"the trainer did not take the job: {request.words}."
    if request.failed:
        return f"the trainer says that it failed: {request.words}."
    if request.done and now >= request.done + _RESULT_WITHIN:
        return (
            "the trainer says that it is done, but there is no result.json in the folder of the job, and none came by"
            " callback. Let it write there, or call back."
        )
    return ""


# --- asking for it -------------------------------------------------------------------------------------------------


def _asked(job: JobFolder, trainer: Webhook, request: Request, now: datetime) -> Request:
    """Send the request, unless an earlier one arrived after all."""
    if request.tries > 1 and trainer.status_url and _word(job, trainer)[0]:
        return request.model_copy(update={"taken": now, "words": "an earlier request had arrived"})
    try:
        answer = _sent(job, trainer)
    except Unreached as trouble:
        return _again(request, _harmless(trainer, str(trouble)), None, now)
    said = _harmless(trainer, answer.said)
    if answer.status in _AGAIN or answer.status >= 500:
        return _again(request, said, answer.retry_after, now)
    if 200 <= answer.status < 300 or answer.status == _KNOWN_ALREADY:
        return request.model_copy(update={"taken": now, "words": f"it was taken ({answer.status})"})
    return request.model_copy(update={"refused": True, "words": said})


def _again(request: Request, words: str, wait: float | None, now: datetime) -> Request:
    """Later: as long as the other side asks for, else twice as long each time."""
    doubled = _FIRST_WAIT * 2 ** min(request.tries - 1, 10)
    later = min(timedelta(seconds=min(wait, 1e6)) if wait is not None else doubled, _LONGEST_WAIT)
    return request.model_copy(update={"next": now + later, "words": words})


def _sent(job: JobFolder, trainer: Webhook) -> Answer:
    values = all_places(job)
    content = orjson.dumps(values["job"] if trainer.body is None else filled(trainer.body, values))
    at = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": job.job_id,
        "webhook-id": job.job_id,
        "webhook-timestamp": str(at),
    }
    if trainer.secret is not None:
        headers["webhook-signature"] = signature(trainer.secret.get_secret_value(), job.job_id, at, content)
    return ask("POST", trainer.url.get_secret_value(), {**_own_headers(trainer), **headers}, content)


def _own_headers(trainer: Webhook) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in trainer.headers.items()}


def _harmless(trainer: Webhook, words: str) -> str:
    """Without the secrets that the other side repeats."""
    secrets = (trainer.url, trainer.status_url, trainer.token, trainer.secret, *trainer.headers.values())
    return without((each.get_secret_value() for each in secrets if each), words)


# --- learning of it ------------------------------------------------------------------------------------------------


def _looked(job: JobFolder, trainer: Webhook, request: Request, now: datetime) -> Request:
    """With what the status says, where it is time to ask for it."""
    if trainer.status_url is None or (request.looked and now < request.looked + trainer.every):
        return request
    word, trouble = _word(job, trainer)
    meaning = _meaning(trainer, word)
    looked = request.model_copy(
        update={
            "looked": now,
            "words": trouble or f"its status is {word!r}" + ("" if meaning else ", which `statuses` does not name"),
            "done": (request.done or now) if meaning == "done" else None,
            "failed": meaning == "failed",
        }
    )
    job.write("request.json", looked)
    return looked


def _word(job: JobFolder, trainer: Webhook) -> tuple[str, str]:
    """The status in the other side's words, or else why there is none."""
    assert trainer.status_url is not None
    url = trainer.status_url.get_secret_value().replace("{job_id}", quote(job.job_id, safe=""))
    headers = _own_headers(trainer) if _origin(url) == _origin(trainer.url.get_secret_value()) else {}
    try:
        answer = ask("GET", url, headers)
        if not 200 <= answer.status < 300:
            return "", f"its status is not to be had: {_harmless(trainer, answer.said)}"
        found = jmespath.search(trainer.status_path.replace("{job_id}", job.job_id), orjson.loads(answer.content))
    except Unreached as trouble:
        return "", f"its status is not to be had: {_harmless(trainer, str(trouble))}"
    except (ValueError, jmespath.exceptions.JMESPathError):
        return "", "its status is not to be had: the answer is no JSON that `status_path` can be looked up in"
    if not isinstance(found, str) or not found:
        return "", "its status is not to be had: there is no text at `status_path`"
    return one_line(found)[:100], ""


def _meaning(trainer: Webhook, word: str) -> str:
    known: dict[str, str] = {"running": "running", "done": "done", "failed": "failed", **trainer.statuses}
    return known.get(word, known.get(word.lower(), ""))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
