"""What the places in a command or a request stand for: ``{job_id}`` and the like."""

from __future__ import annotations

from typing import Any

from driftwatch.retrain.jobs import JobFolder


def places(job: JobFolder) -> dict[str, str]:
    """What may stand in a command.

    Raises:
        RetrainError: there is no job in the folder.
    """
    wanted = job.job
    return {
        "job_id": job.job_id,
        "job_file": str(job.path / "job.json"),
        "folder": str(job.path),
        "dataset": str(wanted.dataset),
        "output": str(wanted.output),
    }


def all_places(job: JobFolder) -> dict[str, Any]:
    """What may stand in the body of a request: the job itself too, as an object."""
    wanted = job.job
    more = {"job": wanted.model_dump(mode="json"), "service": wanted.service, "callback": wanted.callback or ""}
    return {**places(job), **more}
