"""A migration under way: the retriever in use and the one that may replace it, asked the same on a timer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SerializeAsAny

from driftwatch.embed import EmbedderSettings
from driftwatch.plugins import Kind
from driftwatch.schedule import Schedule
from driftwatch.sources import Source

K = Annotated[int, Field(ge=1, le=1000)]


class DualRun(Source):
    """Asks the `retriever:` in use and a new one the same canaries and sampled queries, and keeps what they answer.

    The users notice nothing: only driftwatch asks the new one. The check `dual_run` says when it is worse, and when it
    has been at least as good for long enough; `driftwatch compare --trend` prints the days.
    """

    gives: ClassVar[str] = "comparisons"
    nested: ClassVar[Mapping[str, str]] = {"retriever": "retrievers"}
    kind: Literal["dual_run"] = "dual_run"

    retriever: SerializeAsAny[Kind]
    """The new retriever: `kind: …` and its settings, as below `retriever:` at the top."""
    embedder: EmbedderSettings | None = None
    """The new embedding model, where it is another one. Default: the `embedder:` of the file."""
    canaries: str
    """The source of the canaries that both are asked."""
    queries: int = Field(default=200, ge=0, le=100_000)
    """How many sampled live queries both are asked at each run; 0: none."""
    live: str = ""
    """The source of those queries. Default: the only one that gives traffic."""
    k: K = 10
    """How many documents count."""
    every: Schedule = Schedule.parse("6h")
    """How often to ask both."""
