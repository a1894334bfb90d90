"""The dashboard as Grafana provisions it, and its queries against a Prometheus that scrapes a daemon."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftwatch.api import start_server
from driftwatch.config import Api
from driftwatch.daemon import Daemon
from driftwatch.store import Looked, Store
from driftwatch.types import Alert, Finding
from tests.fakes.batches import batch, counts, hours
from tests.fakes.prometheus import NAME, RECORDED, RULES, SCRAPED, Prometheus, running
from tests.fakes.world import EMPTY, RECALL, SCORES, make_world

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "driftwatch.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
UNITS = {"short", "percentunit", "s", "reqps", "bytes"}


def test_it_has_the_form_that_is_provisioned_from_a_file() -> None:
    assert DASHBOARD["id"] is None
    assert DASHBOARD["uid"] == "driftwatch"
    assert "__inputs" not in DASHBOARD
    assert "${DS_" not in json.dumps(DASHBOARD)
    source, *asked = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(each["datasource"] == chosen for each in asked)
    assert all(panel["datasource"] == chosen for panel in PANELS)
    assert all(target["datasource"] == chosen for panel in PANELS for target in panel["targets"])


def test_every_panel_says_what_it_shows_and_in_what_unit() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_no_panel_lies_on_another_or_beside_the_page() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        return {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}

    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert all(x < 24 for panel in DASHBOARD["panels"] for x, _ in cells(panel))


def test_every_metric_of_a_query_is_one_that_is_scraped_or_recorded() -> None:
    asked = [*QUERIES, *(each["definition"] for each in DASHBOARD["templating"]["list"][1:])]
    used = {name for query in asked for name in NAME.findall(query)}
    assert used - SCRAPED - RECORDED == set()


def test_colours_are_those_that_colour_blind_people_tell_apart() -> None:
    used = set(re.findall(r"#[0-9A-Fa-f]{6}", json.dumps(DASHBOARD)))
    assert used <= {"#D55E00", "#E69F00", "#009E73", "#0072B2"}


def test_the_provider_and_the_data_source_are_where_compose_mounts_them() -> None:
    provisioning = GRAFANA / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "driftwatch.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    compose = yaml.safe_load((GRAFANA.parent / "docker-compose.yaml").read_text())["services"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert provider["type"] == "file"
    home = compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/driftwatch.json"
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"


def test_the_config_map_holds_the_same_dashboard_under_the_label_that_is_looked_for() -> None:
    resource = yaml.safe_load((GRAFANA.parent / "kubernetes" / "dashboard-configmap.yaml").read_text("utf-8"))
    assert resource["kind"] == "ConfigMap"
    assert resource["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert {name: json.loads(text) for name, text in resource["data"].items()} == {"driftwatch.json": DASHBOARD}


# --- against a real Prometheus -------------------------------------------------------------------------------------


def remember(store: Store, number: int) -> None:
    """Something of everything that a panel shows."""
    now = datetime.now(UTC)
    kinds = {"canary recall": "canary", "empty results": "rate", "top-score drift": "score_drift"}
    facts: dict[str, Any] = {"n": 30, "value": 0.8, "reference": 0.9, "effect": -0.1, "statistic": 0.1, "p_value": 0.2}
    found = [
        Finding(name, lang, now, "fail", "said", kind, evidence=30.0, **facts)
        for name, kind in kinds.items()
        for lang in ("de", "all")
    ]
    looked = [Looked(name, now, 0.1, "success") for name in kinds]
    alerts = [Alert("canary recall", "de", "firing", incident="i")]
    store.decisions.record(findings=found, alerts=alerts, transitions=[], receivers={}, looked=looked)
    of = {"queries": 100, "results_known": 100, "empty": 10, "abstention_known": 50, "abstained": 5}
    tallies = {(hours(now) + number, "de"): counts(**of, feedback_known=10, down=1, up=9)}
    store.traffic.ingest(batch(tallies=tallies, lines=100, rejected=1), ("de",))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with the rules of ``deploy/``, which scrapes a daemon over a real socket every second."""
    folder = tmp_path_factory.mktemp("prometheus")
    watch = make_world(folder, RECALL, EMPTY, SCORES)
    store = Store.open(watch.database)
    daemon = Daemon(watch, store)
    daemon.leading = True
    daemon.engine.observer.trouble |= {"live": "", "canaries": ""}
    remember(store, 0)
    stop = start_server(daemon, Api(port=0))
    config = yaml.safe_load((RULES / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [daemon.address.removeprefix("http://")]}]
    config["rule_files"] = [str(_each_second(RULES / name, folder)) for name in config["rule_files"]]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    try:
        with running(folder / "prometheus.yml", folder) as server:
            server.wait_for('up{job="driftwatch"} == 1')
            remember(store, 1)
            server.wait_for("instance_source_language:driftwatch_queries_observed:rate1h > 0")
            yield server
    finally:
        stop()
        store.close()


def _each_second(rules: Path, folder: Path) -> Path:
    """The same rules, looked at every second."""
    path = folder / rules.name
    path.write_text(rules.read_text("utf-8").replace("interval: 1m", "interval: 1s"))
    return path


@pytest.mark.process
def test_every_panel_has_something_to_show(prometheus: Prometheus) -> None:
    asked = [(panel["title"], _asked(target)) for panel in PANELS for target in panel["targets"]]
    empty = [each for each in asked if "canary_mrr" not in each[1] and "canary_ndcg" not in each[1]]
    deadline = time.monotonic() + 30  # groups of rules have their turns one after the other
    while empty and time.monotonic() < deadline:
        empty = [each for each in empty if not prometheus.ask(each[1])]
        time.sleep(0.2)
    assert empty == []


def _asked(target: dict[str, Any]) -> str:
    return str(target["expr"]).replace("$instance", ".*").replace("$language", ".*")


@pytest.mark.process
def test_legends_name_labels_that_the_series_have(prometheus: Prometheus) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            for sample in prometheus.ask(target["expr"].replace("$instance", ".*").replace("$language", ".*")):
                assert wanted <= sample["metric"].keys(), panel["title"]


@pytest.mark.process
def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while (found := prometheus.rules()) and any(rule["health"] == "unknown" for rule in found.values()):
        assert datetime.now(UTC) < deadline
    assert {name: rule.get("lastError") for name, rule in found.items() if rule["health"] != "ok"} == {}
    assert {rule["name"] for rule in found.values()} >= RECORDED


@pytest.mark.process
def test_what_fires_in_driftwatch_fires_in_prometheus(prometheus: Prometheus) -> None:
    (fired,) = prometheus.wait_for('ALERTS{alertname="DriftwatchRetrievalDegraded"}')
    assert fired["metric"]["check"] == "canary recall"
    assert fired["metric"]["language"] == "de"
    assert fired["metric"]["severity"] == "critical"
