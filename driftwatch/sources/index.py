"""The index itself, looked into on a timer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from driftwatch.schedule import Duration, Schedule, duration
from driftwatch.sources import Source

K = Annotated[int, Field(ge=1, le=1000)]


class Index(Source):
    """Looks into the index on a timer: stored vectors, approximate against exact search, what is missing from it.

    It looks at the `index:` section (or at the retriever, where that is an index itself), with the `embedder:` and the
    `documents:`. The check `integrity` judges what it sees, from the first run on.
    """

    gives: ClassVar[str] = "probes"
    kind: Literal["index"] = "index"

    every: Schedule = Schedule.parse("1h")
    """How often to look."""
    documents: int = Field(default=64, ge=1, le=10_000)
    """Entries a run whose stored vector is compared with a fresh one of the same text; every entry comes once before
    any comes twice, new ones first.
    """
    most_documents: int = Field(default=512, ge=1, le=100_000)
    """When something bad is seen, the sample of that run grows up to this many ..."""
    precision: float = Field(default=0.02, gt=0, lt=1)
    """... or until the 95 % interval of the bad share is narrower than this."""
    queries: int = Field(default=32, ge=1, le=1000)
    """Stored vectors a run, and as many canaries, that are sent through approximate and through exact search."""
    at_k: tuple[K, ...] = Field(default=(1, 10, 100), min_length=1, max_length=8)
    """Depths at which approximate and exact search are compared."""
    lag: Duration = duration("1h")
    """How long the index may lag behind the documents: what differs for a shorter time is an ingestion under way."""
    count_falls: float = Field(default=0.02, gt=0, le=1)
    """The share of its entries that an index may lose within a day while the documents stay."""
    list_every: Duration = duration("24h")
    """How often everything the index holds is listed, to find what is missing and what is left over. An index that is
    listed in a moment is listed at every run.
    """
    strings: bool = True
    """Embed about twenty fixed texts anew at every run, to see whether the embedder itself moves."""
    seconds: float = Field(default=120, gt=0, le=3600)
    """A run takes no longer than about this: what is not done by then is left for the next run."""

    @model_validator(mode="after")
    def grows(self) -> Index:
        """The largest sample is not smaller than the usual one."""
        if self.most_documents < self.documents:
            raise ValueError(
                f"'most_documents' ({self.most_documents}) is less than 'documents' ({self.documents}). Raise it."
            )
        return self
