"""What a worker has in its hands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from driftwatch.config import Watch
from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import RetrainError, TooLittle
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retraining.course import MADE, Course
from driftwatch.store import Store


class Refused(TooLittle):
    """The step says no, with its reasons; asked again, it would say the same."""


@dataclass(frozen=True)
class Work:
    """One step of one job."""

    watch: Watch
    store: Store
    course: Course
    folder: JobFolder
    """Of the step."""
    now: datetime

    @property
    def model(self) -> EmbedderSettings:
        """The model in use.

        Raises:
            RetrainError: none is configured.
        """
        if self.watch.embedder is None:
            raise RetrainError(
                f"{self.watch.path}: there is no 'embedder:' section.", remedy="Name the model that the service uses."
            )
        return self.watch.embedder

    def embedder(self, model: EmbedderSettings | None = None) -> TextEmbedder:
        """A model that embeds, its vectors kept beside the others; by default the one in use."""
        return TextEmbedder(model or self.model, self.watch.state)

    @property
    def made(self) -> Path:
        """Where the step puts what people may read."""
        return self.folder.path / MADE

    def say(self, stage: str, step: int = 0, steps: int = 0, eta_seconds: float | None = None) -> None:
        """Write down how far the step is."""
        progress = {"stage": stage, "step": step, "steps": steps, "eta_seconds": eta_seconds, "at": datetime.now(UTC)}
        write_json(self.folder.path / "progress.json", {"version": 1, "job_id": self.folder.job_id, **progress})
