"""Small kinds of every room, as a user's own module would hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from driftwatch.checks import Check
from driftwatch.notify import Notifier
from driftwatch.plugins import Settings
from driftwatch.retrievers import Retriever
from driftwatch.schedule import Duration, Schedule, duration
from driftwatch.sources import Source
from driftwatch.types import Finding, Notice, Reply, Window


class Questions(Source):
    """Canaries that are asked."""

    gives: ClassVar[str] = "runs"
    path: str = "canaries/*.jsonl"
    every: Schedule = Schedule.parse("1h")


class Log(Source):
    """Traffic."""

    gives: ClassVar[str] = "traffic"
    path: str | list[str] = "queries.jsonl"
    every: Schedule = Schedule.parse("10s")
    ask_again: bool = False
    index: Path | None = None


class Freshness(Check):
    """Looks at what a log holds."""

    needs: ClassVar[Any] = "tallies"
    family: ClassVar[str] = "rates"
    most: Annotated[int, Field(ge=1)] | Literal["any"] = "any"
    share: float = Field(default=0.5, gt=0, le=1)

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        return self.finding(current, "ok", "fresh")


class Found(Freshness):
    """Looks at canary runs."""

    needs: ClassVar[Any] = "runs"


class Header(Settings):
    name: str
    value: SecretStr


class Pager(Notifier):
    """Tells nobody."""

    token: SecretStr
    headers: tuple[Header, ...] = ()
    wait: Duration = duration("10s")
    where: Header | list[int] | None = None

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        return None


class Shelf(Retriever):
    """Finds nothing."""

    needs_embedder: ClassVar[bool] = True
    index: Path | None = None

    def search(self, queries: Any, embedder: Any = None) -> list[Reply]:
        return [Reply(hits=()) for _ in queries]

    def reach(self) -> str:
        return "nothing"


class NotAKind:
    """Has nothing to do with driftwatch."""
