"""The Kubernetes and Compose files keep the promises that deploy/README.md makes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from driftwatch.config import load_watch, problems

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
MANIFESTS = ("sidecar", "standalone")


def documents(name: str) -> dict[str, dict]:
    """Kind -> document."""
    found = yaml.safe_load_all((DEPLOY / "kubernetes" / f"{name}.yaml").read_text("utf-8"))
    return {document["kind"]: document for document in found}


def pod(name: str) -> dict:
    return documents(name)["Deployment"]["spec"]["template"]["spec"]


def driftwatch_container(name: str) -> dict:
    containers = [*pod(name).get("initContainers", ()), *pod(name)["containers"]]
    (found,) = [container for container in containers if container["name"] == "driftwatch"]
    return found


def test_the_sidecar_is_a_native_one():
    (sidecar,) = pod("sidecar")["initContainers"]
    assert sidecar["restartPolicy"] == "Always"


def test_the_sidecar_can_never_take_the_service_out_of_rotation():
    assert not {"readinessProbe", "startupProbe"} & driftwatch_container("sidecar").keys()


@pytest.mark.parametrize("name", MANIFESTS)
def test_liveness_is_about_driftwatch_itself_and_generous(name):
    probe = driftwatch_container(name)["livenessProbe"]
    assert probe["httpGet"]["path"] == "/healthz"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 180


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_container_runs_as_nobody_in_particular_and_writes_only_to_its_volume(name):
    security = driftwatch_container(name)["securityContext"]
    assert security["runAsUser"] == 10001
    assert security["runAsNonRoot"] is True
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    writable = {m["mountPath"] for m in driftwatch_container(name)["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/driftwatch", "/tmp"}
    assert pod(name)["securityContext"]["fsGroup"] == 10001


@pytest.mark.parametrize("name", MANIFESTS)
def test_memory_is_limited_and_every_mount_has_its_volume(name):
    assert driftwatch_container(name)["resources"]["limits"]["memory"]
    volumes = {volume["name"] for volume in pod(name)["volumes"]}
    containers = [*pod(name).get("initContainers", ()), *pod(name)["containers"]]
    assert {mount["name"] for container in containers for mount in container["volumeMounts"]} == volumes


@pytest.mark.parametrize("name", MANIFESTS)
def test_two_driftwatches_never_share_a_state(name):
    deployment = documents(name)["Deployment"]["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_configuration_in_a_manifest_is_one_that_driftwatch_takes(name, tmp_path):
    for file, text in documents(name)["ConfigMap"]["data"].items():
        for secret in re.findall(r"/run/secrets/driftwatch/([a-z-]+)", text):
            (tmp_path / secret).write_text("xoxb-0-secret" if secret == "slack-token" else "a-long-secret-0123456789")
        (tmp_path / file).write_text(text.replace("/run/secrets/driftwatch/", f"{tmp_path}/"), "utf-8")
    watch = load_watch(tmp_path / "driftwatch.yaml", {})
    assert [problem for problem in problems(watch) if problem.severity == "error"] == []


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text("utf-8"))


def test_compose_publishes_on_loopback_only():
    ports = [port for service in compose()["services"].values() for port in service["ports"]]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_never_makes_the_service_wait_for_driftwatch():
    assert all("depends_on" not in service for service in compose()["services"].values())
    assert compose()["services"]["driftwatch"]["healthcheck"]["test"] == ["CMD", "driftwatch", "healthcheck"]


def test_compose_mounts_files_that_exist():
    sources = [
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service["volumes"]
        if volume.startswith(".")
    ]
    assert sources
    assert [source for source in sources if not (DEPLOY / source).exists()] == []


def test_compose_takes_images_of_others_by_their_version():
    images = {name: service["image"] for name, service in compose()["services"].items() if "image" in service}
    assert images.keys() == {"prometheus", "grafana"}
    assert [image for image in images.values() if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []


def test_every_volume_of_compose_is_declared():
    named = {
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service["volumes"]
        if not volume.startswith(".")
    }
    assert named == compose()["volumes"].keys()


def test_prometheus_of_compose_finds_its_files_and_driftwatch():
    services = compose()["services"]
    mounts = dict(volume.split(":")[:2] for volume in services["prometheus"]["volumes"])
    (config,) = [each for each in services["prometheus"]["command"] if each.startswith("--config.file=")]
    folder, _, name = config.removeprefix("--config.file=").rpartition("/")
    assert mounts["./prometheus"] == folder
    settings = yaml.safe_load((DEPLOY / "prometheus" / name).read_text("utf-8"))
    ((target,),) = [each["targets"] for each in settings["scrape_configs"][0]["static_configs"]]
    host, _, port = target.partition(":")
    assert host in services
    assert services[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert [name for name in settings["rule_files"] if not (DEPLOY / "prometheus" / name).exists()] == []


def test_nobody_can_log_in_to_grafana_of_compose_with_a_password_that_everybody_knows():
    environment = compose()["services"]["grafana"]["environment"]
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_the_configuration_of_compose_is_one_that_driftwatch_takes(tmp_path):
    (tmp_path / "driftwatch.yaml").write_text((DEPLOY / "compose" / "driftwatch.yaml").read_text("utf-8"), "utf-8")
    for folder in ("checks", "canaries"):
        (tmp_path / folder).symlink_to(REPOSITORY / "examples" / "help-centre" / folder)
    watch = load_watch(tmp_path / "driftwatch.yaml", {})
    assert [problem for problem in problems(watch) if problem.severity == "error"] == []


def test_the_image_test_says_what_it_needs():
    shown = subprocess.run(
        [sys.executable, DEPLOY / "image_test.py"],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 75
    assert "apt-get install buildah debootstrap" in shown.stderr
