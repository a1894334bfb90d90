"""Every metric by name, with its labels and what it means: ``docs/metrics.md`` is written from here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A counter's name has no ``_total`` here; its samples do."""

    name: str
    kind: Literal["gauge", "counter"]
    about: str
    labels: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """How its samples are called."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


CANARY_MEASURES = {
    "R": ("recall", "recall"),
    "RR": ("mrr", "mean reciprocal rank"),
    "nDCG": ("ndcg", "mean nDCG"),
    "P": ("precision", "mean precision"),
    "Success": ("success", "share of canaries with a relevant document"),
    "AP": ("average_precision", "mean average precision"),
}
"""Measure -> its part of a metric's name, and what it is."""

_SUITE = ("suite", "k", "language")
_JUDGED = ("check", "kind", "language")
_TRAFFIC = ("source", "language")
_SCORED = ("source", "score", "language")


def _gauge(name: str, about: str, *labels: str) -> Family:
    return Family(f"driftwatch_{name}", "gauge", about, labels)


def _counter(name: str, about: str, *labels: str) -> Family:
    return Family(f"driftwatch_{name}", "counter", about, labels)


def _canaries() -> Iterator[Family]:
    yield _gauge("canary_queries", "Canaries behind the newest numbers of a suite.", "suite", "language")
    for part, words in CANARY_MEASURES.values():
        yield _gauge(f"canary_{part}", f"The {words} of the newest run, in [0, 1].", *_SUITE)
        yield _gauge(f"canary_baseline_{part}", f"The {words} of the same canaries in the baseline.", *_SUITE)


RETRIEVAL = (
    *_canaries(),
    _gauge("score_drift_ks_statistic", "D of the Kolmogorov-Smirnov test against the baseline, in [0, 1].", *_SCORED),
    _gauge(
        "score_drift_pvalue", "p-value of the Kolmogorov-Smirnov test, adjusted for days that differ anyway.", *_SCORED
    ),
    _counter("queries_observed", "Queries that were read from a source.", *_TRAFFIC),
    _counter("retrievals_observed", "Queries of which it is known what came back.", *_TRAFFIC),
    _counter("retrievals_empty", "Queries to which nothing came back.", *_TRAFFIC),
    _counter("retrievals_failed", "Queries whose retrieval ended in an error.", *_TRAFFIC),
    _counter("answers_observed", "Queries of which it is known whether the service abstained.", *_TRAFFIC),
    _counter("answers_abstained", "Queries that the service declined to answer.", *_TRAFFIC),
    _counter("feedback_observed", "Queries of which anything was said.", *_TRAFFIC),
    _counter("feedback", "Queries by what was said of the answer: up, down, click, accepted.", *_TRAFFIC, "feedback"),
    _counter("languages_detected", "Queries whose language driftwatch guessed.", *_TRAFFIC),
)
"""What retrieval does."""

JUDGEMENT = (
    _gauge(
        "finding_verdict", "1 for the newest verdict (ok, warn, fail, unknown), 0 for the others.", *_JUDGED, "verdict"
    ),
    _gauge("finding_value", "What the newest look of a check found; see the page of its kind.", *_JUDGED),
    _gauge("finding_reference", "What a check finds in the baseline.", *_JUDGED),
    _gauge("finding_effect", "How far value and reference are apart, as the kind of the check measures it.", *_JUDGED),
    _gauge("finding_n", "Independent units behind the newest finding.", *_JUDGED),
    _gauge("finding_evidence_seconds", "Traffic without drift shows as much evidence once in so long.", *_JUDGED),
    _gauge("false_alarm_interval_seconds", "Evidence at which an alert fires: one false one in so long.", "severity"),
    _gauge("alert_active", "1 while an alert is pending, firing or blind.", "check", "severity", "language", "state"),
    _gauge("incidents_open", "Incidents that are not resolved."),
)
"""What driftwatch says of it."""

CHECKS = (
    _gauge("check_info", "1 for every configured check.", "check", "kind", "source", "severity"),
    _gauge("check_interval_seconds", "The longest time between two looks by the check's schedule.", "check"),
    _gauge("check_learning", "1 while the baseline of a check is not full in some segment.", "check"),
    _gauge("check_duration_seconds", "What the last look took, without what it shares with other checks.", "check"),
    _gauge("check_last_run_timestamp_seconds", "When a check last looked.", "check"),
    _gauge("check_last_success_timestamp_seconds", "When a check last could judge anything.", "check"),
    _counter(
        "check_runs",
        "Looks by outcome: success, failure, insufficient_data, skipped (`expected:`).",
        "check",
        "outcome",
    ),
)
"""How the checks do."""

SELF = (
    _gauge("source_up", "0 while a source gives nothing; absent until it was first read.", "source"),
    _counter("lines_read", "Log lines and pushed records, the rejected ones among them.", "source"),
    _counter("lines_rejected", "Log lines and pushed records that could not be used.", "source"),
    _counter(
        "notifications",
        "Alerts and weekly reports by outcome: delivered, dropped (nobody had to know), refused.",
        "receiver",
        "outcome",
    ),
    _gauge("outbox_waiting", "Messages not delivered yet.", "receiver"),
    _gauge(
        "outbox_oldest_timestamp_seconds",
        "When that happened of which a receiver has waited longest to be told; absent when none waits. What a silence "
        "holds back does not count.",
        "receiver",
    ),
    _gauge("parts_dead", "Jobs and workers that have not shown themselves for too long."),
    _gauge("leader", "1 while this process is the one that writes to the database."),
    _gauge("config_last_reload_successful", "0 after an invalid reload."),
    _gauge("database_bytes", "Size of the database."),
    _gauge("database_limit_bytes", "What the database may take (`retention: disk`)."),
    _gauge("time_seconds", "The daemon's clock."),
    _gauge("build_info", "1; the version that runs, and what it watches.", "version", "service"),
    _gauge("embedding_model_info", "1; the configured model.", "model", "revision", "dtype"),
)
"""How driftwatch itself does."""

GROUPS = {
    "What retrieval does": RETRIEVAL,
    "What driftwatch says of it": JUDGEMENT,
    "How the checks do": CHECKS,
    "How driftwatch itself does": SELF,
}
FAMILIES = {family.name.removeprefix("driftwatch_"): family for group in GROUPS.values() for family in group}
"""Name without its prefix -> the metric."""


START, END = "<!-- metrics -->", "<!-- /metrics -->"


def in_page(page: str) -> str:
    """``page`` with the tables of all metrics, one for each group, between its markers."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    tables = "\n\n".join(f"### {title}\n\n{_table(group)}" for title, group in GROUPS.items())
    return f"{before}{START}\n{tables}\n{END}{after}"


def _table(group: tuple[Family, ...]) -> str:
    rows = [
        f"| `{family.sample}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} | {family.about} |"
        for family in group
    ]
    return "\n".join(["| metric | type | labels | what it says |", "|---|---|---|---|", *rows]).replace("|  |", "| |")
