"""`/metrics`: what a scrape says of a daemon, in both formats."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from driftwatch.config import load_watch
from driftwatch.daemon import Daemon
from driftwatch.metrics import exposition
from driftwatch.metrics.collector import COUNTERS, longest_gap
from driftwatch.metrics.families import FAMILIES, in_page
from driftwatch.schedule import Schedule
from driftwatch.store import Looked, Store
from driftwatch.types import Alert, Finding
from tests.fakes.batches import batch, counts, hours
from tests.fakes.world import EMPTY, RECALL, SCORES, START, make_world

ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)
RANK = RECALL.replace("canary recall", "canary rank").replace("R@5", "RR@5")
HOSTILE = 'a"b\\nd{e="f"} 1 # TYPE x counter <script>'

Sample = tuple[str, frozenset[tuple[str, str]]]
Make = Callable[..., Daemon]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[Daemon] = []

    def made(*checks: str, change: tuple[str, str] = ("", ""), more: str = "") -> Daemon:
        path = make_world(tmp_path, *(checks or (RECALL, EMPTY, SCORES)), more=more).path
        path.write_text(path.read_text().replace(*change))
        watch = load_watch(path)
        opened.append(Daemon(watch, Store.open(watch.database)))
        return opened[-1]

    yield made
    for daemon in opened:
        daemon.store.close()


@pytest.fixture
def daemon(make: Make) -> Daemon:
    return make()


def found(daemon: Daemon, check: str, segment: str, verdict: str = "ok", hour: int = 0, **more: object) -> Finding:
    kind = next(each.kind for each in daemon.watch.checks if each.name == check)
    facts = {"kind": kind, "n": 20, "value": 0.8, "reference": 0.9, "effect": -0.1, **more}
    return Finding(check, segment, START + hour * HOUR, verdict, "said", **facts)  # type: ignore[arg-type]


def record(daemon: Daemon, *findings: Finding, alerts: tuple[Alert, ...] = (), looked: tuple[Looked, ...] = ()) -> None:
    daemon.store.decisions.record(findings=findings, alerts=alerts, transitions=[], receivers={}, looked=looked)


def asked(
    daemon: Daemon, source: str = "live", languages: tuple[str, ...] = ("en", "de", "fr"), **queries: int
) -> None:
    tallies = {(hours(START), lang): counts(queries=n, results_known=n, empty=1, up=1) for lang, n in queries.items()}
    daemon.store.traffic.ingest(batch(tallies=tallies, source=source, lines=9, rejected=2), languages)


def scrape(daemon: Daemon) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Metric -> labels -> value."""
    samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in plain(exposition(daemon)[0].decode()):
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            assert labels not in samples.get(sample.name, {}), f"{sample.name} has one series twice"
            samples.setdefault(sample.name.removeprefix("driftwatch_"), {})[labels] = sample.value
    return samples


def counted(samples: dict[frozenset[tuple[str, str]], float], *names: str) -> dict[tuple[str, ...], float]:
    """Those of them that are above zero."""
    return {labels: value for labels, value in of(samples, *names).items() if value}


def of(samples: dict[frozenset[tuple[str, str]], float], *names: str) -> dict[tuple[str, ...], float]:
    """The values by these labels alone."""
    return {tuple(dict(labels)[name] for name in names): value for labels, value in samples.items()}


# --- what is said --------------------------------------------------------------------------------------------------


def test_canaries_have_their_measure_their_baseline_and_how_many_they_are(make: Make) -> None:
    daemon = make(RECALL, RANK)
    record(daemon, found(daemon, "canary recall", "de"), found(daemon, "canary rank", "de", value=0.5, reference=None))
    said = scrape(daemon)
    assert of(said["canary_recall"], "suite", "k", "language") == {("canaries", "5", "de"): 0.8}
    assert of(said["canary_baseline_recall"], "suite", "k", "language") == {("canaries", "5", "de"): 0.9}
    assert of(said["canary_mrr"], "suite", "k", "language") == {("canaries", "5", "de"): 0.5}
    assert of(said["canary_queries"], "suite", "language") == {("canaries", "de"): 20}
    assert "canary_baseline_mrr" not in said


def test_of_two_checks_of_one_measure_the_first_in_the_configuration_is_the_series(make: Make) -> None:
    again = RECALL.replace("canary recall", "again")
    daemon = make(RECALL, again)
    record(
        daemon,
        found(daemon, "canary recall", "de", value=0.7),
        found(daemon, "again", "de", value=0.6),
    )
    said = scrape(daemon)
    assert of(said["canary_recall"], "language") == {("de",): 0.7}
    assert len(said["finding_value"]) == 2


def test_scores_have_the_statistic_of_kolmogorov_and_smirnov(daemon: Daemon) -> None:
    record(daemon, found(daemon, "top-score drift", "de", statistic=0.12, p_value=0.03, evidence=2.0))
    said = scrape(daemon)
    assert of(said["score_drift_ks_statistic"], "source", "score", "language") == {("live", "top1", "de"): 0.12}
    assert of(said["score_drift_pvalue"], "source", "score", "language") == {("live", "top1", "de"): 0.03}
    assert of(said["finding_evidence_seconds"], "check", "language") == {("top-score drift", "de"): 172_800}


def test_shares_are_counters_and_their_denominators(daemon: Daemon) -> None:
    asked(daemon, de=10, en=4)
    asked(daemon, de=5)
    said = scrape(daemon)
    assert counted(said["queries_observed_total"], "source", "language") == {("live", "de"): 15, ("live", "en"): 4}
    assert counted(said["retrievals_empty_total"], "language") == {("de",): 2, ("en",): 1}
    assert counted(said["retrievals_observed_total"], "language") == {("de",): 15, ("en",): 4}
    assert of(said["feedback_total"], "language", "feedback")["de", "up"] == 2
    assert of(said["lines_read_total"], "source") == {("live",): 18}
    assert of(said["lines_rejected_total"], "source") == {("live",): 4}


def test_every_named_language_is_counted_from_zero_on(daemon: Daemon) -> None:
    said = of(scrape(daemon)["queries_observed_total"], "source", "language")
    assert said == {("live", lang): 0 for lang in ("de", "en", "fr", "other", "unknown")}
    assert of(scrape(daemon)["lines_rejected_total"], "source") == {("live",): 0}


def test_a_verdict_is_one_of_four(daemon: Daemon) -> None:
    record(daemon, found(daemon, "canary recall", "de", "fail"))
    verdicts = of(scrape(daemon)["finding_verdict"], "verdict")
    assert verdicts == {("ok",): 0, ("warn",): 0, ("fail",): 1, ("unknown",): 0}


def test_an_alert_is_on_in_one_state_and_carries_its_severity(daemon: Daemon) -> None:
    record(daemon, found(daemon, "canary recall", "de"), alerts=(Alert("canary recall", "de", "firing"),))
    states = of(scrape(daemon)["alert_active"], "check", "severity", "language", "state")
    expected = {"pending": 0, "firing": 1, "blind": 0}
    assert states == {("canary recall", "page", "de", state): on for state, on in expected.items()}


def test_every_configured_check_is_there_before_it_ever_looked(daemon: Daemon) -> None:
    said = scrape(daemon)
    assert of(said["check_info"], "check", "kind", "source", "severity").keys() == {
        ("canary recall", "canary", "canaries", "page"),
        ("empty results", "rate", "live", "page"),
        ("top-score drift", "score_drift", "live", "page"),
    }
    assert of(said["check_interval_seconds"], "check")["canary recall",] == 6 * 3600
    assert set(said["check_runs_total"].values()) == {0}
    assert len(said["check_runs_total"]) == 3 * 4
    assert "check_last_run_timestamp_seconds" not in said


def test_looks_are_timed_and_counted_by_outcome(daemon: Daemon) -> None:
    record(daemon, looked=(Looked("canary recall", START, 0.25, "success"),))
    record(daemon, looked=(Looked("canary recall", START + HOUR, 0.5, "failure"),))
    said = scrape(daemon)
    runs = of(said["check_runs_total"], "check", "outcome")
    assert (runs["canary recall", "success"], runs["canary recall", "failure"]) == (1, 1)
    assert said["check_duration_seconds"] == {frozenset({("check", "canary recall")}): 0.5}
    assert set(said["check_last_run_timestamp_seconds"].values()) == {(START + HOUR).timestamp()}
    assert set(said["check_last_success_timestamp_seconds"].values()) == {START.timestamp()}


def test_a_source_that_was_never_read_is_neither_up_nor_down(daemon: Daemon) -> None:
    daemon.engine.observer.trouble["live"] = "no such file"
    assert of(scrape(daemon)["source_up"], "source") == {("live",): 0}
    daemon.engine.observer.trouble["live"] = ""
    assert of(scrape(daemon)["source_up"], "source") == {("live",): 1}


def test_a_baseline_that_is_not_full_is_said(daemon: Daemon) -> None:
    record(daemon, found(daemon, "canary recall", "de", "unknown", learning=True))
    assert of(scrape(daemon)["check_learning"], "check")["canary recall",] == 1


def test_what_runs_and_how_it_does_is_said(make: Make) -> None:
    daemon = make(RECALL, more="embedder: {model: intfloat/multilingual-e5-small, revision: abc, dtype: float32}\n")
    daemon.leading, daemon.reload_error = True, "driftwatch.yaml:3: no"
    said = scrape(daemon)
    assert of(said["build_info"], "service") == {("help-centre",): 1}
    model = ("intfloat/multilingual-e5-small", "abc", "float32")
    assert of(said["embedding_model_info"], "model", "revision", "dtype") == {model: 1}
    plain_numbers = ("leader", "config_last_reload_successful", "parts_dead", "database_limit_bytes")
    assert [list(said[name].values()) for name in plain_numbers] == [[1], [0], [0], [2e9]]
    assert next(iter(said["database_bytes"].values())) == daemon.store.size()
    assert next(iter(said["process_resident_memory_bytes"].values())) > 1e6


@pytest.mark.parametrize(
    ("schedule", "longest"),
    [("90s", 90), ("1h", 3600), ("daily 03:10", 86_400), ("mon 08:00", 604_800), ("0 9-17 * * mon-fri", 64 * 3600)],
)
def test_the_interval_of_a_check_is_its_longest(schedule: str, longest: float) -> None:
    assert longest_gap(Schedule.parse(schedule)) == longest


# --- what is not said ----------------------------------------------------------------------------------------------


def test_of_what_is_not_watched_any_more_there_is_no_series(daemon: Daemon) -> None:
    gone = Finding("old check", "de", START, "fail", "said", "canary")
    record(
        daemon,
        gone,
        alerts=(Alert("old check", "de", "firing"),),
        looked=(Looked("old check", START, 1.0, "success"),),
    )
    asked(daemon, "old source", de=5)
    asked(daemon, languages=("it",), it=5)  # of a configuration before this one
    text = exposition(daemon)[0].decode()
    assert "old" not in text
    assert 'language="it"' not in text


def test_a_language_that_is_not_judged_any_more_keeps_only_its_open_alert(daemon: Daemon) -> None:
    record(daemon, found(daemon, "canary recall", "de"), found(daemon, "canary recall", "fr"))
    alerts = (Alert("canary recall", "fr", "blind"),)
    record(daemon, found(daemon, "canary recall", "de", hour=1), alerts=alerts)
    said = scrape(daemon)
    assert of(said["canary_recall"], "language") == {("de",): 0.8}
    assert of(said["alert_active"], "language", "state")["fr", "blind"] == 1


def test_nothing_is_said_of_a_number_that_nobody_measured(daemon: Daemon) -> None:
    record(daemon, found(daemon, "canary recall", "de", "unknown", value=None, reference=None, effect=None))
    said = scrape(daemon)
    assert not {"canary_recall", "canary_queries", "finding_value", "finding_effect"} & said.keys()


def test_counters_bring_no_created_series(daemon: Daemon) -> None:
    asked(daemon, de=5)
    assert b"_created" not in exposition(daemon)[0]
    assert b"_created" not in exposition(daemon, "application/openmetrics-text; version=1.0.0")[0]


# --- languages -----------------------------------------------------------------------------------------------------


def test_languages_outside_the_list_are_one_and_its_worst_is_said(daemon: Daemon) -> None:
    record(
        daemon,
        found(daemon, "canary recall", "it"),
        found(daemon, "canary recall", "xx", "fail"),
        found(daemon, "canary recall", "yy", "unknown"),
        found(daemon, "canary recall", "all"),
        alerts=(Alert("canary recall", "it", "pending"), Alert("canary recall", "xx", "firing")),
    )
    asked(daemon, de=5, it=3, xx=2, und=1)
    said = scrape(daemon)
    assert of(said["finding_verdict"], "language", "verdict")["other", "fail"] == 1
    assert of(said["canary_recall"], "language") == {("all",): 0.8}
    states = of(said["alert_active"], "language", "state")
    assert (states["other", "firing"], states["other", "pending"], states["all", "firing"]) == (1, 1, 0)
    queries = counted(said["queries_observed_total"], "language")
    assert queries == {("de",): 5, ("other",): 5, ("unknown",): 1}


def test_without_a_list_labels_stay_few_whatever_a_log_says(make: Make) -> None:
    daemon = make(change=("languages: [en, de, fr]\n", ""))
    langs = [f"{first}{second}" for first in "abcdefghij" for second in "abcdefghij"]
    asked(daemon, languages=(), **{lang: 100 - place for place, lang in enumerate(langs)})
    record(daemon, *(found(daemon, "empty results", lang) for lang in langs))
    said = scrape(daemon)
    assert len(of(said["queries_observed_total"], "language")) == 22
    assert of(said["queries_observed_total"], "language")["other",] == sum(range(1, 81))
    assert len(of(said["finding_verdict"], "language")) == 21


def test_where_nobody_asks_the_languages_of_the_canaries_have_names(make: Make) -> None:
    daemon = make(change=("languages: [en, de, fr]\n", ""))
    record(daemon, *(found(daemon, "canary recall", lang) for lang in ("fi", "et", "all")))
    assert of(scrape(daemon)["canary_recall"], "language").keys() == {("fi",), ("et",), ("all",)}


def test_a_segment_that_is_no_language_gets_no_label_of_its_own(make: Make) -> None:
    daemon = make(change=("languages: [en, de, fr]\n", ""))
    record(daemon, *(found(daemon, "canary recall", segment) for segment in ("fi", HOSTILE, "x" * 500, "DE", "")))
    assert of(scrape(daemon)["finding_verdict"], "language").keys() == {("fi",), ("other",)}


# --- the two formats -----------------------------------------------------------------------------------------------


def full(make: Make) -> Daemon:
    """A daemon that has something to say of everything."""
    daemon = make(RECALL, RANK, EMPTY, SCORES, more="embedder: {model: m}\n")
    checks = [each.name for each in daemon.watch.checks]
    record(
        daemon,
        *(
            found(daemon, check, lang, statistic=0.1, p_value=0.2, evidence=1.0)
            for check in checks
            for lang in ("de", "all")
        ),
        alerts=(Alert("canary recall", "de", "firing"),),
        looked=tuple(Looked(check, START, 0.1, "success") for check in checks),
    )
    asked(daemon, de=5, und=3)
    daemon.engine.observer.trouble["live"] = ""
    return daemon


def test_openmetrics_is_answered_to_who_asks_for_it(make: Make) -> None:
    daemon = full(make)
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    text, content_type = exposition(daemon, prometheus)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
    names = {family.name for family in openmetrics(text.decode())}
    same = {family.name for family in plain(exposition(daemon)[0].decode())}
    assert names == same


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=x", "application/openmetrics-text;version=\r\nx", "é" * 999]
)
def test_everybody_else_gets_the_text_format(daemon: Daemon, accept: str) -> None:
    text, content_type = exposition(daemon, accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"driftwatch_build_info" in text


def test_names_from_the_configuration_are_written_so_that_they_end_nothing(make: Make) -> None:
    daemon = make(RECALL.replace("canary recall", json.dumps(HOSTILE)))
    daemon.store.decisions.record(
        findings=[Finding(HOSTILE, "de", START, "ok", "said", "canary", value=1.0)],
        alerts=[],
        transitions=[],
        receivers={},
    )
    assert of(scrape(daemon)["finding_value"], "check", "language") == {(HOSTILE, "de"): 1}


def test_promtool_finds_nothing_to_complain_about(make: Make) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    text, _ = exposition(full(make))
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


# --- the documentation ---------------------------------------------------------------------------------------------


def test_the_page_of_metrics_has_every_one_of_them() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert in_page(page) == page, "run `python -m driftwatch.metrics`"
    assert [family.sample for family in FAMILIES.values() if f"| `{family.sample}` |" not in page] == []


def test_every_series_of_a_scrape_is_documented_with_its_labels(make: Make) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    for name, samples in scrape(full(make)).items():
        if name.startswith("process_"):
            assert f"`{name}`" in page
            continue
        family = FAMILIES[name.removesuffix("_total")]
        assert {frozenset(dict(labels)) for labels in samples} == {frozenset(family.labels)}


def test_every_counter_of_traffic_is_a_column_that_is_counted() -> None:
    from driftwatch.store.tables_totals import COUNTED

    assert set(COUNTERS.values()) <= set(COUNTED)
    assert COUNTERS.keys() <= FAMILIES.keys()
