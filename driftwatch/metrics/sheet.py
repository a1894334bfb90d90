"""One scrape while it is filled in."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from driftwatch.metrics.families import FAMILIES


class Sheet:
    """The samples of one scrape; the first one of each series counts."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[tuple[str, ...], float]] = {}

    def put(self, name: str, value: float | None, *labels: str) -> None:
        """One sample of the family ``name``, its labels in order; nothing where there is no value."""
        if value is not None:
            self._samples.setdefault(name, {}).setdefault(labels, value)

    def metrics(self) -> Iterator[Metric]:
        """Every family that has samples, as Prometheus's own client has it."""
        for name, samples in self._samples.items():
            family = FAMILIES[name]
            metric = Metric(family.name, family.about, family.kind)
            metric.samples = [
                Sample(family.sample, dict(zip(family.labels, labels, strict=True)), value, None, None)
                for labels, value in samples.items()
            ]
            yield metric
