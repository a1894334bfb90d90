"""``/metrics``: the numbers that Prometheus takes, under the names of ``families``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from driftwatch.metrics.collector import Collector

if TYPE_CHECKING:
    from driftwatch.daemon import Daemon

__all__ = ["exposition"]

_KNOWN = "application/openmetrics-text; version=1.0.0"
_ASKED = re.compile(r"application/openmetrics-text\s*;[^,]*version=1\.0\.0\b")
"""The client would repeat whatever version it is asked for, and breaks on what is none."""


def exposition(daemon: Daemon, accept: str = "") -> tuple[bytes, str]:
    """One scrape, and its content type: OpenMetrics where ``accept`` asks for it, else the text format of Prometheus.

    The registry is made for each scrape, so nothing is left of what is not watched any more; the client's counters, and
    the ``_created`` series that they bring, are not used.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(daemon))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(_KNOWN if _ASKED.search(accept) else "")
    return encode(registry), content_type
