"""Writes what Kubernetes takes from what Prometheus and Grafana take, and the dashboard from its panels.

    python deploy/generate.py

``kubernetes/prometheusrule.yaml``: the two rule files in one resource. ``grafana/dashboards/driftwatch.json``: the
panels of ``dashboard.py``, as Grafana provisions them from a file. ``kubernetes/dashboard-configmap.yaml``: the same in
the form that the sidecar of kube-prometheus picks up. Tests hold all of them equal to what this writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import indent

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from dashboard import dashboard  # noqa: E402 - it lies beside this script

RULES = ("driftwatch.rules.yaml", "mixin.rules.yaml")

PROMETHEUS_RULE = """\
# Made by deploy/generate.py from deploy/prometheus: edit those files.
# If your Prometheus selects rules by a label (`release: …`), add it here.

apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: driftwatch
  labels: {app.kubernetes.io/name: driftwatch}
spec:
  groups:
"""

CONFIG_MAP = """\
# Made by deploy/generate.py: the dashboard of deploy/grafana, as the sidecar of kube-prometheus picks it up.

apiVersion: v1
kind: ConfigMap
metadata:
  name: driftwatch-dashboard
  labels: {grafana_dashboard: "1"}
data:
  driftwatch.json: |
"""


def prometheus_rule() -> str:
    """The groups of both rule files, two columns further in."""
    groups = [(HERE / "prometheus" / name).read_text("utf-8").partition("\ngroups:\n")[2] for name in RULES]
    return PROMETHEUS_RULE + "\n".join(indent(group, "  ") for group in groups)


def written() -> dict[Path, str]:
    """File -> what is to be in it."""
    shown = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    return {
        HERE / "grafana" / "dashboards" / "driftwatch.json": shown,
        HERE / "kubernetes" / "prometheusrule.yaml": prometheus_rule(),
        HERE / "kubernetes" / "dashboard-configmap.yaml": CONFIG_MAP + indent(shown, "    "),
    }


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, "utf-8")
