"""Queries that the watched service posts to driftwatch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from driftwatch.errors import RecordsRefused
from driftwatch.feedback import Votes
from driftwatch.sampling import Batch, Sampler
from driftwatch.schedule import Schedule
from driftwatch.sizes import Size, size
from driftwatch.sources import Source
from driftwatch.sources._fields import FieldMap
from driftwatch.sources._parsing import Malformed
from driftwatch.sources._records import Intake, Reading
from driftwatch.sources._results import hits
from driftwatch.sources._version1 import plain
from driftwatch.types import ScoreKind

MOST_ERRORS = 20
"""Errors told of one request."""


class Push(Source):
    """Queries that the watched service posts to `POST /v1/queries`, one JSON object each.

    A request is stored as a whole or not at all: when one record is wrong, the answer names every error by its index,
    field, value and remedy, and nothing is counted.
    """

    gives: ClassVar[str] = "traffic"
    kind: Literal["push"] = "push"

    every: Schedule = Schedule.parse("1m")
    """Not used: records are taken when they come."""
    token: SecretStr | None = Field(default=None, min_length=8)
    """What clients send as `Authorization: Bearer …`. Required unless the API is bound to this machine only."""
    keep_per_day: int = Field(default=2000, ge=1, le=1_000_000)
    """How many queries a day are kept as a sample, and as many lines with feedback; everything is counted."""
    stratify: Literal["lang"] | None = None
    """`lang` samples each language by itself, so that small ones are not lost among large ones."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Where foreign records hold the fields of the contract, as JMESPath."""
    score_kind: ScoreKind = "similarity"
    """`distance` when a lower score is better; a record may say otherwise."""
    max_body: Size = size("8 MB")
    """Larger requests are refused."""
    max_waiting: int = Field(default=4, ge=1, le=64)
    """Requests that may wait to be stored; more are told to come again."""

    @field_validator("fields")
    @classmethod
    def _compiles(cls, fields: dict[str, str]) -> dict[str, str]:
        FieldMap(fields)
        return fields

    def needs_token(self, host: str) -> bool:
        """Would anybody on the network be let in, if the API is bound to ``host``?"""
        if self.token is not None or host == "localhost":
            return False
        try:
            return not ip_address(host).is_loopback
        except ValueError:
            return True

    def batch(
        self,
        records: Sequence[Any],
        sampler: Sampler,
        reading: Reading,
        now: datetime,
        votes: Votes | None = None,
    ) -> Batch:
        """Count and sample the records of one request; without ``votes`` feedback is not kept beside the sample.

        Raises:
            RecordsRefused: some are wrong; the sampler has not moved.
        """
        stratify = self.stratify == "lang"
        intake = Intake(self.name, sampler, reading, now, stratify=stratify, score_kind=self.score_kind, votes=votes)
        checked = self._checked(records, now, intake)
        for record in checked:
            intake.add_record(record)
        intake.lines = len(checked)
        return intake.batch({})

    def _checked(self, records: Sequence[Any], now: datetime, intake: Intake) -> list[dict[str, Any]]:
        """The records as the contract has them, or every error at once."""
        translate = FieldMap(self.fields)
        checked: list[dict[str, Any]] = []
        errors: list[dict[str, str | int]] = []
        wrong = 0
        for index, record in enumerate(records):
            try:
                row = plain(translate(record), now, intake.note, strict=True)
                hits(row["results"] or [])
            except Malformed as error:
                wrong += 1
                if len(errors) < MOST_ERRORS:
                    errors.append(_told(index, error))
            else:
                checked.append(row)
        if wrong:
            raise RecordsRefused(errors, wrong, len(records))
        return checked


def _told(index: int, error: Malformed) -> dict[str, str | int]:
    return {
        "index": index,
        "field": error.field,
        "value": error.value,
        "remedy": error.remedy,
        "message": str(error),
    }
