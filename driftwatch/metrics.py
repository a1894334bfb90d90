"""driftwatch's own state for Prometheus, read from the store at each scrape: nothing is kept twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from driftwatch import __version__
from driftwatch.types import Finding

if TYPE_CHECKING:
    from driftwatch.daemon import Daemon

VERDICTS = ("ok", "warn", "fail", "unknown")


class Collector:
    """One scrape of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def collect(self) -> Iterator[Metric]:
        """Every metric family, with bounded labels: checks and segments of the configuration, never texts."""
        yield self._build()
        yield from self._findings()
        yield self._alerts()
        yield from self._outbox()
        yield self._rejects()
        yield self._trouble()
        yield from self._self()

    def _build(self) -> Metric:
        family = GaugeMetricFamily("driftwatch_build_info", "The version that runs.", labels=["version", "service"])
        family.add_metric([__version__, self.daemon.watch.service], 1)
        return family

    def _findings(self) -> Iterator[Metric]:
        names = ("value", "reference", "effect", "statistic", "n")
        labels = ["check", "kind", "segment"]
        numbers = {
            name: GaugeMetricFamily(f"driftwatch_finding_{name}", f"The {name} of the newest finding.", labels=labels)
            for name in names
        }
        verdict = GaugeMetricFamily(
            "driftwatch_finding_verdict", "1 for the newest verdict, 0 for the others.", labels=[*labels, "verdict"]
        )
        at = GaugeMetricFamily("driftwatch_check_last_run_timestamp_seconds", "End of the last window.", labels=labels)
        for finding in self._newest():
            where = [finding.check, finding.kind, finding.segment]
            for name in names:
                if (number := getattr(finding, name)) is not None:
                    numbers[name].add_metric(where, number)
            for each in VERDICTS:
                verdict.add_metric([*where, each], float(finding.verdict == each))
            at.add_metric(where, finding.at.timestamp())
        yield from numbers.values()
        yield verdict
        yield at

    def _newest(self) -> list[Finding]:
        """The newest finding of what is watched now, so that no stale series stays for ever."""
        watched = {check.name for check in self.daemon.watch.checks}
        return [each for each in self.daemon.store.decisions.last_findings().values() if each.check in watched]

    def _alerts(self) -> Metric:
        family = GaugeMetricFamily(
            "driftwatch_alert_active", "1 while an alert is in this state.", labels=["check", "segment", "state"]
        )
        for alert in self.daemon.store.decisions.alerts().values():
            for state in ("pending", "firing", "blind"):
                family.add_metric([alert.check, alert.segment, state], float(alert.state == state))
        return family

    def _outbox(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("driftwatch_outbox_waiting", "Messages not delivered yet.", labels=["receiver"])
        oldest = GaugeMetricFamily(
            "driftwatch_outbox_oldest_timestamp_seconds", "The oldest undelivered message.", labels=["receiver"]
        )
        parked = GaugeMetricFamily(
            "driftwatch_outbox_parked", "Messages that the receiver refused for good.", labels=["receiver"]
        )
        outbox = self.daemon.store.outbox
        waits, refused = outbox.waiting(), outbox.parked()
        for notifier in self.daemon.notifiers:
            waiting.add_metric([notifier.name], waits.get(notifier.name, 0))
            parked.add_metric([notifier.name], refused.get(notifier.name, 0))
            if (since := outbox.oldest_waiting(notifier.name)) is not None:
                oldest.add_metric([notifier.name], since.timestamp())
        yield waiting
        yield parked
        yield oldest

    def _rejects(self) -> Metric:
        family = CounterMetricFamily(
            "driftwatch_lines_rejected", "Log lines that could not be used.", labels=["source"]
        )
        for source, count in self.daemon.store.traffic.reject_counts().items():
            family.add_metric([source], count)
        return family

    def _trouble(self) -> Metric:
        family = GaugeMetricFamily("driftwatch_source_up", "0 while a source gives nothing.", labels=["source"])
        trouble = self.daemon.engine.observer.trouble
        for source in self.daemon.watch.sources:
            family.add_metric([source], float(not trouble.get(source)))
        return family

    def _self(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("driftwatch_database_bytes", "Size of the database.", value=self.daemon.store.size())
        yield GaugeMetricFamily(
            "driftwatch_config_last_reload_successful", "0 after an invalid reload.", value=not self.daemon.reload_error
        )
        yield GaugeMetricFamily(
            "driftwatch_start_time_seconds", "When the daemon started.", value=self.daemon.started.timestamp()
        )
        yield GaugeMetricFamily("driftwatch_time_seconds", "The daemon's clock.", value=datetime.now(UTC).timestamp())


def exposition(daemon: Daemon) -> bytes:
    """The text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(daemon))
    return generate_latest(registry)
