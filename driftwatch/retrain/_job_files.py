"""The files of a job, each of one kind: what is wanted, how far it is, how it ended. Text in them is foreign."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from driftwatch.errors import RetrainError

Outcome = Literal["done", "failed", "refused"]
"""`refused`: the trainer would not, such as with too few rows."""

ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")


def one_line(text: str) -> str:
    """Foreign words on one line, printable, and not long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:8000]).split())
    return line if len(line) <= 1000 else line[:999] + "…"


def _is_id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError("it must be letters, digits and hyphens, and no more than 64")
    return text


JobId = Annotated[str, AfterValidator(_is_id)]
Line = Annotated[str, AfterValidator(one_line)]
Name = Annotated[str, Field(max_length=200)]


class DiskTrouble(RetrainError):
    """The disk gives or takes no file now. That says nothing of the job: it is looked at again."""


class Written(BaseModel):
    """One file of a job, version 1. What a later version adds is passed over."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    version: Literal[1] = 1
    job_id: JobId


class Base(BaseModel):
    """The model that training starts from, as it is served."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(min_length=1, max_length=4096)
    revision: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    max_length: int | None = None
    dimension: int | None = None


class Job(Written):
    """What is wanted."""

    service: Name
    base: Base
    dataset: Path
    """Inside the folder of the job, and absolute; so is ``output``."""
    output: Path
    data: Name
    """Hash of the dataset."""
    train: dict[str, Any] = Field(default_factory=dict)
    strategy: dict[str, Any] = Field(default_factory=dict)
    callback: str | None = None


class Progress(Written):
    """How far the trainer is."""

    stage: Line
    step: int = Field(default=0, ge=0)
    steps: int = Field(default=0, ge=0)
    epoch: float = 0.0
    loss: float | None = None
    measure: float | None = None
    eta_seconds: float | None = None
    at: AwareDatetime | None = None


class Result(Written):
    """How training ended."""

    outcome: Outcome
    reason: Line = ""
    candidate: str = Field(default="", max_length=4096)
    """The folder of the model; relative to that of the job, or absolute."""
    measures: dict[Name, float | None] = Field(default_factory=dict, max_length=500)
    seconds: float = 0.0
    started: AwareDatetime | None = None
    finished: AwareDatetime | None = None


class Decided(Written):
    """What has become of a job, once and for all."""

    outcome: Outcome
    reason: Line
    at: AwareDatetime
    candidate: str = ""


class Stop(Written):
    """That somebody wants it to end."""

    reason: Line
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class State:
    """What is to be said of a job now."""

    name: Literal["waiting", "running", "done", "failed", "lost"]
    """`waiting`: to be started, or asked again. `lost`: its process was killed; to be started again."""
    reason: str = ""
    progress: Progress | None = None
    starts: int = 0
    """How often its trainer was started, or asked."""

    @property
    def is_over(self) -> bool:
        """Nothing more will come of it."""
        return self.name in ("done", "failed")
