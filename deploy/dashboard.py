"""The panels of the Grafana dashboard, from which ``generate.py`` writes the JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HERE = 'instance=~"$instance"'
SPOKEN = f'{HERE}, language=~"$language"'
WIDTH = 24
RED, ORANGE, GREEN, BLUE = "#D55E00", "#E69F00", "#009E73", "#0072B2"
"""Of the palette of Okabe and Ito, which colour-blind people tell apart."""


@dataclass(frozen=True)
class Panel:
    """One panel: what it is called, what it asks, and in what unit it answers."""

    title: str
    about: str
    queries: Sequence[tuple[str, str]]
    """(PromQL, legend)."""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    low: float | None = 0
    high: float | None = None
    steps: Sequence[tuple[float | None, str]] = ((None, BLUE),)
    mappings: Sequence[dict[str, Any]] = ()
    options: dict[str, Any] = field(default_factory=dict)


def stat(title: str, about: str, query: str, legend: str = "", **more: Any) -> Panel:
    """One number, large."""
    shown = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    more["options"] = shown | more.get("options", {})
    return Panel(title, about, [(query, legend)], kind="stat", **{"width": 4, "height": 4, **more})


BAD = ((None, GREEN), (1, RED))
CANARY = "{{suite}} @{{k}} {{language}}"
TRAFFIC = "{{source}} {{language}}"

ROWS: dict[str, Sequence[Panel]] = {
    "Now": (
        stat(
            "Alerts firing",
            "Alerts of checks with severity page that are firing.",
            f'sum(driftwatch_alert_active{{{HERE}, state="firing", severity="page"}}) or vector(0)',
            steps=BAD,
        ),
        stat(
            "Warnings firing",
            "Alerts of checks with severity warn that are firing. They page nobody.",
            f'sum(driftwatch_alert_active{{{HERE}, state="firing", severity="warn"}}) or vector(0)',
            steps=((None, GREEN), (1, ORANGE)),
        ),
        stat(
            "Blind",
            "Checks and languages whose verdict has been unknown for too long: a fall would not be seen.",
            f'sum(driftwatch_alert_active{{{HERE}, state="blind"}}) or vector(0)',
            steps=((None, GREEN), (1, ORANGE)),
        ),
        stat(
            "Open incidents",
            "Incidents that are not resolved, over all instances chosen.",
            f"sum(driftwatch_incidents_open{{{HERE}}})",
            steps=BAD,
        ),
        stat(
            "Learning",
            "Checks whose baseline is not full yet in some language.",
            f"sum(driftwatch_check_learning{{{HERE}}})",
        ),
        stat(
            "Oldest look",
            "How long ago the check looked that has not looked for longest.",
            f"max(instance_check:driftwatch_check_last_run:age_seconds{{{HERE}}})",
            unit="s",
        ),
        Panel(
            "What fires",
            "Every alert that is firing, by check and language. Empty when nothing fires.",
            [(f'driftwatch_alert_active{{{SPOKEN}, state="firing"}} == 1', "{{check}} · {{language}}")],
            kind="state-timeline",
            width=12,
            mappings=({"type": "value", "options": {"1": {"text": "firing", "color": RED, "index": 0}}},),
            options={"showValue": "auto", "mergeValues": True, "rowHeight": 0.8, "legend": {"showLegend": False}},
        ),
        Panel(
            "Evidence against the budget",
            "How much of the budget of false alarms the evidence of each check fills; at 100 % it fires. By chance it "
            "gets there as often as `false_pages` and `false_warnings` allow.",
            [(f"instance_check_language:driftwatch_finding_evidence:ratio{{{SPOKEN}}}", "{{check}} · {{language}}")],
            unit="percentunit",
            width=12,
        ),
    ),
    "Canaries": (
        Panel(
            "Recall of canaries",
            "Share of the expected documents that were found, by suite and language, in the newest run.",
            [(f"driftwatch_canary_recall{{{SPOKEN}}}", CANARY)],
            unit="percentunit",
            high=1,
        ),
        Panel(
            "Recall against the baseline",
            "Newest run minus baseline, over the canaries that have one. Below zero is worse.",
            [(f"driftwatch_canary_recall{{{SPOKEN}}} - driftwatch_canary_baseline_recall{{{SPOKEN}}}", CANARY)],
            unit="percentunit",
            low=None,
        ),
        Panel(
            "Rank of canaries",
            "Mean reciprocal rank and nDCG of the newest run, where a check measures them.",
            [
                (f"driftwatch_canary_mrr{{{SPOKEN}}}", f"RR {CANARY}"),
                (f"driftwatch_canary_ndcg{{{SPOKEN}}}", f"nDCG {CANARY}"),
            ],
            unit="percentunit",
            high=1,
        ),
    ),
    "Scores": (
        Panel(
            "Kolmogorov-Smirnov D of scores",
            "The largest gap between the distribution of scores now and in the baseline. 0: the same.",
            [(f"driftwatch_score_drift_ks_statistic{{{SPOKEN}}}", f"{TRAFFIC} {{{{score}}}}")],
            unit="percentunit",
        ),
        Panel(
            "p-value of the scores",
            "How often days without drift differ as much. Small is news, and many small ones in a row are more.",
            [(f"driftwatch_score_drift_pvalue{{{SPOKEN}}}", f"{TRAFFIC} {{{{score}}}}")],
            high=1,
        ),
        Panel(
            "Canaries asked",
            "How many canaries are behind the numbers: few of them move in large steps.",
            [(f"driftwatch_canary_queries{{{SPOKEN}}}", "{{suite}} {{language}}")],
        ),
    ),
    "Traffic": (
        Panel(
            "Queries",
            "Queries a second that were read, by source and language.",
            [(f"instance_source_language:driftwatch_queries_observed:rate1h{{{SPOKEN}}}", TRAFFIC)],
            unit="reqps",
        ),
        Panel(
            "Empty answers",
            "Share of the queries to which nothing came back, of those of which that is known.",
            [
                (f"instance_source_language:driftwatch_retrievals_empty:ratio_rate1h{{{SPOKEN}}}", TRAFFIC),
                (f"instance_source:driftwatch_retrievals_empty:ratio_rate1h{{{HERE}}}", "{{source}} all"),
            ],
            unit="percentunit",
        ),
        Panel(
            "Failed retrievals",
            "Share of the queries whose retrieval ended in an error.",
            [
                (f"instance_source_language:driftwatch_retrievals_failed:ratio_rate1h{{{SPOKEN}}}", TRAFFIC),
                (f"instance_source:driftwatch_retrievals_failed:ratio_rate1h{{{HERE}}}", "{{source}} all"),
            ],
            unit="percentunit",
        ),
        Panel(
            "Abstentions",
            "Share of the queries that the service declined to answer, of those of which that is known.",
            [
                (f"instance_source_language:driftwatch_answers_abstained:ratio_rate1h{{{SPOKEN}}}", TRAFFIC),
                (f"instance_source:driftwatch_answers_abstained:ratio_rate1h{{{HERE}}}", "{{source}} all"),
            ],
            unit="percentunit",
        ),
        Panel(
            "Negative feedback",
            "Share of thumbs down among all feedback.",
            [
                (f"instance_source_language:driftwatch_feedback_negative:ratio_rate1h{{{SPOKEN}}}", TRAFFIC),
                (f"instance_source:driftwatch_feedback_negative:ratio_rate1h{{{HERE}}}", "{{source}} all"),
            ],
            unit="percentunit",
        ),
        Panel(
            "Languages",
            "Share of each language in the queries of a source.",
            [
                (
                    f"instance_source_language:driftwatch_queries_observed:rate1h{{{SPOKEN}}} / ignoring (language) "
                    f"group_left () (instance_source:driftwatch_queries_observed:rate1h{{{HERE}}} > 0)",
                    TRAFFIC,
                )
            ],
            unit="percentunit",
            high=1,
        ),
    ),
    "driftwatch itself": (
        Panel(
            "Looks by outcome",
            "What became of the looks of the last hour.",
            [(f"sum by (outcome) (increase(driftwatch_check_runs_total{{{HERE}}}[1h]))", "{{outcome}}")],
        ),
        Panel(
            "How long a look takes",
            "Seconds of the last look of each check, without what it shares with others.",
            [(f"driftwatch_check_duration_seconds{{{HERE}}}", "{{check}}")],
            unit="s",
        ),
        Panel(
            "Sources",
            "1 while a source gives something.",
            [(f"driftwatch_source_up{{{HERE}}}", "{{source}}")],
            high=1,
        ),
        Panel(
            "Lines that cannot be used",
            "Share of the log lines that were rejected.",
            [(f"instance_source:driftwatch_lines_rejected:ratio_rate30m{{{HERE}}}", "{{source}}")],
            unit="percentunit",
        ),
        Panel(
            "Messages waiting",
            "Messages that a receiver has not taken yet; those that a silence holds back are among them.",
            [(f"driftwatch_outbox_waiting{{{HERE}}}", "{{receiver}}")],
        ),
        Panel(
            "Messages",
            "What became of the messages of the last day.",
            [
                (
                    f"sum by (receiver, outcome) (increase(driftwatch_notifications_total{{{HERE}}}[1d]))",
                    "{{receiver}} {{outcome}}",
                )
            ],
        ),
        Panel(
            "Database",
            "Its size, and what it may take.",
            [
                (f"driftwatch_database_bytes{{{HERE}}}", "size"),
                (f"driftwatch_database_limit_bytes{{{HERE}}}", "limit"),
            ],
            unit="bytes",
        ),
        Panel(
            "Memory",
            "Resident memory of the process.",
            [(f'process_resident_memory_bytes{{{HERE}, job="driftwatch"}}', "{{instance}}")],
            unit="bytes",
        ),
        Panel(
            "Versions",
            "What runs, and what it watches.",
            [(f"driftwatch_build_info{{{HERE}}}", "{{service}} {{version}}")],
            kind="stat",
            options={"textMode": "name", "reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "none"},
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The whole, in the form that Grafana provisions from a file: no ``__inputs``, a fixed uid, and no id."""
    return {
        "id": None,
        "uid": "driftwatch",
        "title": "driftwatch",
        "description": "Did retrieval get worse? What does driftwatch say of it, and how does it do itself?",
        "tags": ["driftwatch", "retrieval"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "timezone": "",
        "time": {"from": "now-7d", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": _laid_out(),
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    asked = [
        ("instance", "Instance", "label_values(driftwatch_build_info, instance)"),
        ("language", "Language", "label_values(driftwatch_finding_verdict, language)"),
    ]
    return [
        {**source, "hide": 0, "refresh": 1, "regex": "", "multi": False, "includeAll": False},
        *(
            {
                **{"name": name, "label": label, "type": "query", "datasource": SOURCE, "definition": query},
                **{"query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "hide": 0, "regex": ""},
                **{"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}},
            }
            for name, label, query in asked
        ),
    ]


def _laid_out() -> list[dict[str, Any]]:
    """Every row with its panels side by side, as many as fit."""
    laid: list[dict[str, Any]] = []
    y = 0
    for title, panels in ROWS.items():
        laid.append({"id": len(laid) + 1, "type": "row", "title": title, "collapsed": False, "panels": []})
        laid[-1]["gridPos"] = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        x, y, tall = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y, tall = 0, y + tall, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            laid.append(_json(panel, len(laid) + 1, place))
            x, tall = x + panel.width, max(tall, panel.height)
        y += tall
    return laid


def _json(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps = [{"color": color, "value": value} for value, color in panel.steps]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "mappings": list(panel.mappings),
        "custom": {"lineWidth": 1, "fillOpacity": 0, "showPoints": "never"} if panel.kind == "timeseries" else {},
    }
    defaults |= {name: value for name, value in (("min", panel.low), ("max", panel.high)) if value is not None}
    lines = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [
            {"refId": chr(65 + n), "datasource": SOURCE, "expr": query, "legendFormat": legend, "editorMode": "code"}
            for n, (query, legend) in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": panel.options or lines,
    }
