"""The sections of ``driftwatch.yaml`` that are no kinds: fields are the YAML, their texts the documentation."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from driftwatch.config.texts import budget, first_moment, last_moment, loopback, period
from driftwatch.plugins import Settings
from driftwatch.privacy import SHORTEST_KEY, KeepText
from driftwatch.schedule import Duration, Schedule, duration
from driftwatch.sizes import Size


class Budget(Settings):
    """How many false pages are accepted: `1 per 90 days`."""

    count: float = Field(gt=0)
    """False pages ..."""
    per: Duration
    """... in so much time, over all checks and languages together."""

    @model_validator(mode="before")
    @classmethod
    def read_text(cls, given: Any) -> Any:
        """``1 per 90 days``."""
        return given if isinstance(given, dict) else budget(given)

    def __str__(self) -> str:
        return f"{self.count:g} per {self.per / timedelta(days=1):g} days"


class BaselineSettings(Settings):
    """What normal is: the first stretch of recorded time (`14 days`), or `2026-05-04 .. 2026-05-17`."""

    length: Duration | None = None
    """Learnt once, from the first recorded moment on, for so long."""
    start: datetime | None = None
    """The first moment of a baseline given by date, UTC."""
    end: datetime | None = None
    """The moment after its last one, UTC."""

    @model_validator(mode="before")
    @classmethod
    def read_text(cls, given: Any) -> Any:
        """``14 days``, or two dates, both inclusive."""
        return given if isinstance(given, dict) else period(given)


class Privacy(Settings):
    """What is kept of the texts that people wrote."""

    keep_text: KeepText = "full"
    """What the database keeps of a query: the text, the text without addresses and numbers, or only its hash."""
    key: SecretStr | None = None
    """The key of the hashes (HMAC-SHA-256). Without one it is drawn at each start, and every hash changes."""
    show_queries: bool = True
    """Whether notices and pages show example queries (redacted in any case)."""

    @field_validator("key")
    @classmethod
    def is_long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        """What can be guessed keeps nothing secret."""
        if key is not None and len(key.get_secret_value().encode()) < SHORTEST_KEY:
            raise ValueError(f"it is shorter than {SHORTEST_KEY} bytes. Make one with `openssl rand -hex 32`.")
        return key


class Api(Settings):
    """The pages, the metrics and the push endpoint; `api: off` serves none of them."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on."""
    port: int = Field(default=9464, ge=0, le=65535)
    """The port; 0 takes any free one."""
    token: SecretStr | None = None
    """What people log in with on the pages, and programs send as a bearer token; without one, the pages are open to
    whoever reaches them, and read-only. `/healthz`, `/readyz` and `/metrics` stay open; pushes have their own token.
    """
    public_url: str = ""
    """Where people reach the pages, such as `https://driftwatch.example.org`. Without it, notices carry no link."""

    @field_validator("public_url")
    @classmethod
    def is_an_address(cls, url: str) -> str:
        """It is posted to channels, so nothing in it may be secret; paths of pages are added to it."""
        if url and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
            raise ValueError("it must begin with http:// or https:// and hold no password, '?' or '#'.")
        return url.rstrip("/")

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach it."""
        return not loopback(self.host)


class Heartbeat(Settings):
    """A dead-man's switch that is called as long as driftwatch lives."""

    url: SecretStr
    """Called with GET. A secret: who knows it can keep the switch quiet."""
    every: Schedule = Schedule.parse("1m")
    """How often."""

    @field_validator("url")
    @classmethod
    def is_http(cls, url: SecretStr) -> SecretStr:
        """Only the scheme is checked here; `validate` calls nothing."""
        if not re.match(r"https?://[^\s/]", url.get_secret_value()):
            raise ValueError("it must be an address that begins with http:// or https://.")
        return url


class Retention(Settings):
    """How long things are kept, and how much disk they may take."""

    observations: Duration = duration("90 days")
    """Sampled queries and canary runs."""
    tallies: Duration = duration("2 years")
    """Hourly counts."""
    findings: Duration = duration("1 year")
    """Findings, alerts and what was told about them."""
    disk: Size = Field(default=2_000_000_000, ge=10_000_000)
    """The most the database may take; the oldest observations go first."""


class DiagnosisSettings(Settings):
    """The experiment that is made when something fires, to find out what broke; `diagnosis: off` makes none."""

    documents: int = Field(default=500, ge=10, le=100_000)
    """Documents that are embedded anew for it, at most; vectors are kept, so a second one costs less."""
    seconds: float = Field(default=30, gt=0, le=600)
    """After so long nothing more of it is begun: the alert waits for it."""


class Report(Settings):
    """The weekly report: made by itself, kept below the state's `reports/`, and shown by `driftwatch report`."""

    every: Schedule = Schedule.parse("mon 08:00")
    """When, in UTC. It is of the last week that is over in `timezone`."""
    keep: Duration = duration("52 weeks")
    """How long reports are kept."""
    evidently: bool = True
    """Whether a page by Evidently stands beside it; needs the extra `report`, and is left out where that is missing."""


class OpenTelemetry(Settings):
    """Where spans of driftwatch's own work go; needs the extra `otel`."""

    endpoint: str = "http://127.0.0.1:4318"
    """The collector; spans are posted to `/v1/traces` below it."""
    protocol: Literal["http/protobuf"] = "http/protobuf"
    """How it is spoken to."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Sent with every request, such as `authorization: "Bearer ${OTLP_TOKEN}"`. Their values are secrets."""
    service_name: str = Field(default="driftwatch", min_length=1)
    """How driftwatch is called in traces (`service.name`)."""

    @property
    def secrets(self) -> dict[str, str]:
        """The headers as they are sent."""
        return {name: value.get_secret_value() for name, value in self.headers.items()}

    @field_validator("endpoint")
    @classmethod
    def is_http(cls, endpoint: str) -> str:
        """A password would be written into logs by others; it belongs into ``headers``."""
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", endpoint):
            raise ValueError("it must begin with http:// or https:// and hold no password, '?' or '#'.")
        return endpoint.rstrip("/").removesuffix("/v1/traces")

    @field_validator("headers")
    @classmethod
    def are_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        """What HTTP does not allow would only fail when the first span is sent."""
        for name, value in headers.items():
            said = value.get_secret_value()
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or re.search(r"[\r\n\0]", said):
                raise ValueError(f"'{name}' is no header: its name or its value holds what HTTP does not allow.")
        return headers


class Expected(Settings):
    """A stretch of time in which things are expected to be different."""

    start: Annotated[datetime, BeforeValidator(first_moment)] = Field(alias="from")
    """A date, or a date and time (UTC unless it says otherwise)."""
    end: Annotated[datetime, BeforeValidator(last_moment)] = Field(alias="to")
    """A date (its whole day belongs to it), or a date and time."""
    reason: str = Field(min_length=1)
    """Why; shown beside whatever happens in it."""

    @model_validator(mode="after")
    def ends_after_it_starts(self) -> Expected:
        """Both ends are known here."""
        if self.end <= self.start:
            raise ValueError("'to' must be later than 'from'.")
        return self
