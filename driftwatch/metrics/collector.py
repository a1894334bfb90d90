"""driftwatch's state for Prometheus, read from the store at each scrape: nothing is kept twice, or lost by a restart.

There are only series of what is configured and judged now; labels are names from the configuration and a bounded
number of languages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from driftwatch import __version__
from driftwatch.config import schedule_of
from driftwatch.metrics.families import CANARY_MEASURES
from driftwatch.metrics.languages import NAMELESS, segment_label, shown_languages
from driftwatch.metrics.sheet import Sheet
from driftwatch.schedule import Schedule
from driftwatch.stats.ir import Measure
from driftwatch.store.numbers import Newest, Numbers
from driftwatch.store.tables_totals import COUNTED, OUTCOMES
from driftwatch.store.totals import named_by

if TYPE_CHECKING:
    from driftwatch.checks import Check
    from driftwatch.config import Watch
    from driftwatch.daemon import Daemon

Place = tuple[str, str]
"""Check, and the label of its segment."""

VERDICTS = ("ok", "warn", "fail", "unknown")
WORST = ("ok", "unknown", "warn", "fail")
"""From good to bad."""
STATES = ("pending", "firing", "blind")
DELIVERED = {"delivered": "done", "dropped": "dropped", "refused": "parked"}
"""Outcome of a notification -> the state of its delivery in the store."""
FEEDBACK = ("up", "down", "click", "accepted")
COUNTERS = {
    "queries_observed": "queries",
    "retrievals_observed": "results_known",
    "retrievals_empty": "empty",
    "retrievals_failed": "errors",
    "answers_observed": "abstention_known",
    "answers_abstained": "abstained",
    "feedback_observed": "feedback_known",
    "languages_detected": "detected",
}
"""Metric -> column of the totals."""

NOTHING = dict.fromkeys(COUNTED, 0)
DAY = 86_400
FEWEST_RUNS, MOST_RUNS = 15, 800

_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


class Collector:
    """Every metric of one daemon, as one look at its store."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def collect(self) -> Iterator[Metric]:
        """Every family that has anything to say.

        Raises:
            StoreError: the database cannot be reached: then nothing is true of driftwatch but that it is not well.
        """
        watch = self.daemon.watch
        numbers = self.daemon.store.numbers(datetime.now(UTC))
        shown = shown_languages(watch.languages, numbers)
        checks = {check.name: check for check in watch.checks}
        judged = _judged(numbers.newest, checks, shown)
        sheet = Sheet()
        _put_traffic(sheet, watch, numbers)
        _put_findings(sheet, judged, checks)
        _put_alerts(sheet, judged, checks, numbers, shown)
        _put_checks(sheet, self.daemon, numbers)
        _put_sources(sheet, self.daemon)
        _put_outbox(sheet, self.daemon, numbers)
        _put_self(sheet, self.daemon)
        yield from sheet.metrics()


def _judged(newest: Iterable[Newest], checks: Mapping[str, Check], shown: Collection[str]) -> dict[Place, Newest]:
    """(check, language) -> what was found last, in the order of the configuration; of several languages under one label
    the worst.
    """
    order = {name: number for number, name in enumerate(checks)}
    judged: dict[Place, Newest] = {}
    for each in sorted((each for each in newest if each.check in order), key=lambda each: order[each.check]):
        place = (each.check, segment_label(each.segment, shown))
        known = judged.get(place)
        if known is None or WORST.index(each.verdict) > WORST.index(known.verdict):
            judged[place] = each
    return judged


# --- what retrieval does, and what driftwatch says of it -----------------------------------------------------------


def _put_traffic(sheet: Sheet, watch: Watch, numbers: Numbers) -> None:
    """Every counter of every language that is named, from zero on: what begins with its first value has no rise."""
    languages = sorted((named_by(watch.languages) or numbers.named) | NAMELESS)
    for source in (name for name, each in watch.sources.items() if each.gives == "traffic"):
        for language in languages:
            counts = numbers.counted.get((source, language), NOTHING)
            for name, column in COUNTERS.items():
                sheet.put(name, counts[column], source, language)
            for said in FEEDBACK:
                sheet.put("feedback", counts[said], source, language, said)
        lines, rejected = numbers.lines.get(source, (0, 0))
        sheet.put("lines_read", lines, source)
        sheet.put("lines_rejected", rejected, source)


def _put_findings(sheet: Sheet, judged: Mapping[Place, Newest], checks: Mapping[str, Check]) -> None:
    for (name, language), found in judged.items():
        check = checks[name]
        where = (name, check.kind, language)
        for verdict in VERDICTS:
            sheet.put("finding_verdict", float(found.verdict == verdict), *where, verdict)
        if language in NAMELESS:
            continue
        for number in ("value", "reference", "effect", "n"):
            sheet.put(f"finding_{number}", getattr(found, number), *where)
        sheet.put("finding_evidence_seconds", None if found.evidence is None else DAY * found.evidence, *where)
        measure = getattr(check, "measure", None)
        if isinstance(measure, Measure) and check.needs == "runs":
            _put_canaries(sheet, found, check.source, measure, language)
        if check.kind == "score_drift":
            scored = (check.source, str(getattr(check, "score", "")), language)
            sheet.put("score_drift_ks_statistic", found.statistic, *scored)
            sheet.put("score_drift_pvalue", found.p_value, *scored)


def _put_canaries(sheet: Sheet, found: Newest, suite: str, measure: Measure, language: str) -> None:
    part, _ = CANARY_MEASURES[measure.name]
    where = (suite, "" if measure.cutoff is None else str(measure.cutoff), language)
    sheet.put(f"canary_{part}", found.value, *where)
    sheet.put(f"canary_baseline_{part}", found.reference, *where)
    if found.value is not None:
        sheet.put("canary_queries", found.n, suite, language)


def _put_alerts(
    sheet: Sheet,
    judged: Iterable[Place],
    checks: Mapping[str, Check],
    numbers: Numbers,
    shown: Collection[str],
) -> None:
    """Also of a language that is not judged any more, as long as its alert is open."""
    active = {
        (alert.check, segment_label(alert.segment, shown), alert.state)
        for alert in numbers.alerts
        if alert.check in checks
    }
    for check, language in dict.fromkeys([*judged, *((check, language) for check, language, _ in sorted(active))]):
        for state in STATES:
            on = float((check, language, state) in active)
            sheet.put("alert_active", on, check, checks[check].severity, language, state)
    sheet.put("incidents_open", numbers.open_incidents)


# --- how the checks do ---------------------------------------------------------------------------------------------


def _put_checks(sheet: Sheet, daemon: Daemon, numbers: Numbers) -> None:
    learning = {each.check for each in numbers.newest if each.learning}
    for check in daemon.watch.checks:
        name = check.name
        sheet.put("check_info", 1, name, check.kind, check.source, check.severity)
        sheet.put("check_interval_seconds", longest_gap(schedule_of(check, daemon.watch)), name)
        sheet.put("check_learning", float(name in learning), name)
        last = numbers.looks.get(name)
        for outcome in OUTCOMES:
            sheet.put("check_runs", last.outcomes[outcome] if last else 0, name, outcome)
        if last is None:
            continue
        sheet.put("check_duration_seconds", last.seconds, name)
        sheet.put("check_last_run_timestamp_seconds", last.at.timestamp(), name)
        if last.succeeded_at is not None:
            sheet.put("check_last_success_timestamp_seconds", last.succeeded_at.timestamp(), name)
    for severity in ("page", "warn"):
        sheet.put("false_alarm_interval_seconds", DAY * daemon.engine.evidence.ledgers.limit(severity), severity)


@cache
def longest_gap(schedule: Schedule) -> float:
    """Seconds between two of the times of ``schedule``, at most.

    >>> longest_gap(Schedule.parse("0 9-17 * * mon-fri")) / 3600
    64.0
    """
    if schedule.period is not None:
        return schedule.period.total_seconds()
    return max((later - earlier).total_seconds() for earlier, later in pairwise(_runs(schedule)))


def _runs(schedule: Schedule) -> Iterator[datetime]:
    """So many that a weekend is among them, however often it is due on the other days."""
    moment = _MONDAY
    for number in range(MOST_RUNS):
        moment = schedule.next_after(moment)
        yield moment
        if number >= FEWEST_RUNS and moment > _MONDAY + timedelta(days=8):
            return


# --- how driftwatch itself does ------------------------------------------------------------------------------------


def _put_sources(sheet: Sheet, daemon: Daemon) -> None:
    trouble = dict(daemon.engine.observer.trouble)
    for source in daemon.watch.sources:
        if source in trouble:
            sheet.put("source_up", float(not trouble[source]), source)


def _put_outbox(sheet: Sheet, daemon: Daemon, numbers: Numbers) -> None:
    for notifier in daemon.notifiers:
        name = notifier.name
        for outcome, state in DELIVERED.items():
            sheet.put("notifications", numbers.deliveries.get((name, state), 0), name, outcome)
        sheet.put("outbox_waiting", numbers.deliveries.get((name, "waiting"), 0), name)
        if (since := numbers.waiting_since.get(name)) is not None:
            sheet.put("outbox_oldest_timestamp_seconds", since.timestamp(), name)


def _put_self(sheet: Sheet, daemon: Daemon) -> None:
    watch = daemon.watch
    sheet.put("parts_dead", len(daemon.pulse.dead()))
    sheet.put("leader", float(daemon.leading))
    sheet.put("config_last_reload_successful", float(not daemon.reload_error))
    sheet.put("database_bytes", daemon.store.size())
    sheet.put("database_limit_bytes", watch.retention.disk)
    sheet.put("time_seconds", datetime.now(UTC).timestamp())
    sheet.put("build_info", 1, __version__, watch.service)
    if watch.embedder is not None:
        model = watch.embedder
        sheet.put("embedding_model_info", 1, model.model, model.revision or "", model.dtype)
