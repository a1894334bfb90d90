"""The rules, their unit tests, their runbooks, and the forms of them that Kubernetes takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fakes.prometheus import NAME, RECORDED, RULE_FILES, RULES, SCRAPED, groups, promtool, rules

KUBERNETES = RULES.parent / "kubernetes"
DOCS = RULES.parents[1] / "docs"


def fired_in(path: Path) -> set[str]:
    """The alerts that a file of unit tests expects to fire at some time."""
    asked = [
        each for test in yaml.safe_load(path.read_text("utf-8"))["tests"] for each in test.get("alert_rule_test", ())
    ]
    return {each["alertname"] for each in asked if each["exp_alerts"]}


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", *RULE_FILES)
    assert done.returncode == 0, done.stderr


@pytest.mark.process
@pytest.mark.parametrize("path", sorted(RULES.glob("*_test.yaml")), ids=lambda path: path.stem)
def test_what_fires_when_is_as_its_unit_tests_say(path: Path) -> None:
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_configuration_of_compose() -> None:
    done = promtool("check", "config", RULES / "prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_every_alert_has_a_unit_test_in_which_it_fires() -> None:
    alerts = {rule["alert"] for rule in rules("alert")}
    assert {name for path in RULES.glob("*_test.yaml") for name in fired_in(path)} == alerts


def test_every_metric_of_a_rule_is_one_that_is_scraped_or_recorded() -> None:
    used = {name for kind in ("record", "alert") for rule in rules(kind) for name in NAME.findall(rule["expr"])}
    assert used - SCRAPED - RECORDED == set()
    assert used


def test_names_are_those_of_the_field() -> None:
    assert [name for name in RECORDED if not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name)] == []
    names = [rule["alert"] for rule in rules("alert")]
    assert [name for name in names if not re.fullmatch(r"Driftwatch([A-Z][a-z]+)+", name)] == []
    assert len(set(names)) == len(names)


def test_a_ratio_is_a_division_and_never_a_mean() -> None:
    for rule in rules("record"):
        if ":ratio" in rule["record"]:
            assert "/" in rule["expr"]
        assert "avg" not in rule["expr"]


def test_every_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do() -> None:
    page = (DOCS / "runbooks.md").read_text("utf-8")
    titles = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    for rule in rules("alert"):
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description", "runbook"} <= rule["annotations"].keys()
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
    assert titles == [rule["alert"] for rule in rules("alert")], "docs/runbooks.md has the alerts in their order"


def test_what_is_generated_is_up_to_date() -> None:
    code = (
        "import sys; sys.path.insert(0, 'deploy'); from generate import written;"
        "print([str(path) for path, text in written().items() if path.read_text('utf-8') != text])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=DOCS.parent)
    assert done.stdout.strip() == "[]", "run `python deploy/generate.py`"


def test_the_rules_of_kubernetes_are_the_same(tmp_path: Path) -> None:
    resource = yaml.safe_load((KUBERNETES / "prometheusrule.yaml").read_text("utf-8"))
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["spec"]["groups"] == [
        group for name in ("driftwatch", "mixin") for group in groups(RULES / f"{name}.rules.yaml")
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(resource["spec"]))
    assert promtool("check", "rules", tmp_path / "rules.yaml").returncode == 0


def test_the_pod_monitor_finds_the_pods_and_names_the_job_that_the_rules_expect() -> None:
    monitor = yaml.safe_load((KUBERNETES / "podmonitor.yaml").read_text("utf-8"))
    (selected,) = monitor["spec"]["selector"]["matchExpressions"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for name in ("sidecar", "standalone"):
        documents = yaml.safe_load_all((KUBERNETES / f"{name}.yaml").read_text("utf-8"))
        (template,) = [each["spec"]["template"] for each in documents if each["kind"] == "Deployment"]
        assert template["metadata"]["labels"][selected["key"]] in selected["values"]
        containers = [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]
        ports = [port["name"] for container in containers for port in container.get("ports", ())]
        assert endpoint["port"] in ports
    assert endpoint["path"] == "/metrics"
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "driftwatch"}]
    config = yaml.safe_load((RULES / "prometheus.yml").read_text("utf-8"))
    assert [each["job_name"] for each in config["scrape_configs"]] == ["driftwatch"]
    assert sorted(config["rule_files"]) == [path.name for path in RULE_FILES]
