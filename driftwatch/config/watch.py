"""Watch: the whole of ``driftwatch.yaml``, frozen."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from driftwatch.alerts import AlertPolicy
from driftwatch.checks import Check
from driftwatch.config.sections import (
    Api,
    BaselineSettings,
    Budget,
    DiagnosisSettings,
    Expected,
    Heartbeat,
    OpenTelemetry,
    Privacy,
    Report,
    Retention,
)
from driftwatch.config.texts import database_url, language
from driftwatch.documents import Documents
from driftwatch.embed import EmbedderSettings
from driftwatch.notify import Notifier
from driftwatch.plugins import Settings, read_secret
from driftwatch.retrain.settings import Retrain
from driftwatch.retrievers import Retriever
from driftwatch.sources import Source
from driftwatch.sources._abstention import Phrases
from driftwatch.yamlfile import Document, Where

NOT_SETTINGS = ("path", "origins")
"""The fields of ``Watch`` that driftwatch fills in itself."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written."""

    document: Document
    where: Where

    def place(self, setting: str = "") -> tuple[str, int]:
        """File and line of the whole, or of one of its settings."""
        return self.document.file, self.document.line((*self.where, setting) if setting else self.where)


class Watch(Settings):
    """The whole of `driftwatch.yaml`."""

    service: str = Field(min_length=1, max_length=100)
    """How the watched service is called in everything that is told about it."""
    database: Annotated[str, Field(repr=False)] = "sqlite:///driftwatch.db"
    """Where driftwatch keeps what it knows: `sqlite:///file` or `postgresql://…`; or `database_file`."""
    false_pages: Budget = Budget(count=1, per=timedelta(days=90))
    """How many false pages are accepted over all checks and languages together."""
    false_warnings: Budget = Budget(count=1, per=timedelta(days=14))
    """How many false warnings are accepted over all checks with `severity: warn` together."""
    languages: tuple[Annotated[str, AfterValidator(language)], ...] = ()
    """BCP 47 tags. Where a log does not name the language of a query, it is detected among these."""
    timezone: str = "UTC"
    """An IANA name such as `Europe/Berlin`; for display only, everything runs in UTC."""
    retriever: SerializeAsAny[Retriever] | None = None
    """The service under watch: how canaries are asked."""
    index: SerializeAsAny[Retriever] | None = None
    """The vector store behind the service, for experiments; without it, the retriever itself if it is one."""
    documents: Documents | None = None
    """The documents as their source has them: what the index should hold."""
    sources: dict[str, SerializeAsAny[Source]] = Field(default_factory=dict)
    """Where queries come from, by a name that checks refer to."""
    embedder: EmbedderSettings | None = None
    """The model; only a `faiss` retriever and embedding checks need one."""
    baseline: BaselineSettings = BaselineSettings(length=timedelta(days=14))
    """What normal is: learnt once (`14 days`) and then moved by hand, or given (`2026-05-04 .. 2026-05-17`)."""
    checks: tuple[SerializeAsAny[Check], ...] = ()
    """Files of checks (`checks/*.yaml`), checks, or a list of both."""
    alerts: AlertPolicy = AlertPolicy()
    """How many looks it takes to believe something."""
    diagnosis: DiagnosisSettings | None = DiagnosisSettings()
    """What may be spent on finding out what broke; `off` finds nothing out by experiment."""
    notify: tuple[SerializeAsAny[Notifier], ...] = ()
    """Who is told."""
    abstention: dict[str, Phrases] = Field(default_factory=dict)
    """How answers say that they have none, beside the shipped patterns: a YAML file, or patterns by language."""
    privacy: Privacy = Privacy()
    """What is kept of the texts that people wrote."""
    api: Api | None = Api()
    """The pages, the metrics and the push endpoint; `off` serves none of them."""
    heartbeat: Heartbeat | None = None
    """A dead-man's switch; an address, or `url` and `every`."""
    otel: OpenTelemetry | None = None
    """Spans of driftwatch's own work, for OpenTelemetry; without it, none are made."""
    retention: Retention = Retention()
    """How long things are kept, and how much disk they may take."""
    report: Report | None = Report()
    """The weekly report: when it is made, and how long it is kept; `off` makes none by itself."""
    retrain: Retrain | None = None
    """When a better model is prepared, and what it must show; without it, none is."""
    expected: tuple[Expected, ...] = ()
    """Holidays, launches, announced changes."""
    path: Path = Field(default=Path("driftwatch.yaml"), exclude=True)
    """The file itself; not a setting."""
    origins: Mapping[str, Origin] = Field(default_factory=dict, exclude=True, repr=False)
    """`retriever`, `sources.live`, `checks.0`, `notify.1`, or empty for the file -> where it was written."""

    @property
    def base(self) -> Path:
        """The directory that relative paths start from."""
        return self.path.absolute().parent

    @property
    def state(self) -> Path:
        """Where driftwatch may write: beside a SQLite database, else beside the configuration."""
        _, is_file, path = self.database.partition("sqlite:///")
        return Path(path).parent if is_file and path else self.base

    @property
    def probed(self) -> Retriever | None:
        """The index that experiments are made on; None: nothing of the service can be looked into."""
        if self.index is not None:
            return self.index
        return self.retriever if self.retriever is not None and self.retriever.capabilities else None

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone for display."""
        return zoneinfo.ZoneInfo(self.timezone)

    def expects(self, moment: datetime) -> Expected | None:
        """The window of expected difference that ``moment`` is in."""
        return next((window for window in self.expected if window.start <= moment < window.end), None)

    @model_validator(mode="before")
    @classmethod
    def read_database_file(cls, given: Any, info: ValidationInfo) -> Any:
        """``database_file`` holds the URL, as the files of secrets do."""
        if not isinstance(given, dict) or given.get("database_file") is None:
            return given
        if given.get("database") is not None:
            raise ValueError("'database' and 'database_file' are both set. Keep one of them.")
        base = (info.context or {}).get("base", Path())
        url = read_secret(base, str(given["database_file"]), "database_file")
        return {name: value for name, value in given.items() if name != "database_file"} | {"database": url}

    @field_validator("database")
    @classmethod
    def is_a_database(cls, url: str, info: ValidationInfo) -> str:
        """A relative SQLite file is made absolute."""
        return database_url(url, (info.context or {}).get("base", Path()))

    @field_validator("timezone")
    @classmethod
    def is_a_zone(cls, name: str) -> str:
        """Known to this machine."""
        if name != "UTC" and name not in zoneinfo.available_timezones():
            near = difflib.get_close_matches(name, zoneinfo.available_timezones(), n=1)
            remedy = f"Did you mean '{near[0]}'?" if near else "Write it like 'Europe/Berlin'."
            raise ValueError(f"'{name}' is not a time zone that this machine knows. {remedy}")
        return name

    @field_validator("api", "diagnosis", "report", mode="before")
    @classmethod
    def may_be_off(cls, given: Any) -> Any:
        """``api: off`` is text in YAML 1.2."""
        if given is False or (isinstance(given, str) and given.lower() == "off"):
            return None
        return {} if given is True else given

    @field_validator("heartbeat", mode="before")
    @classmethod
    def may_be_an_address(cls, given: Any) -> Any:
        """``heartbeat: https://…``."""
        return {"url": given} if isinstance(given, str) else given

    @field_serializer("database")
    def without_password(self, url: str) -> str:
        """Dumps carry no secrets."""
        return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
