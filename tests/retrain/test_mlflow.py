"""MLflow learns of releases: one version each, aliases that follow the link, and nothing that can be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftwatch.errors import DriftwatchError
from driftwatch.retrain.mlflow import Aliases
from driftwatch.retrain.registry import Registry
from driftwatch.retrain.telling import teller
from tests.fakes.mlflow import MlflowServer
from tests.needs import needs
from tests.retrain.test_registry import NOW, filled, manifest

needs("mlflow", reason="mlflow-skinny is not installed (extra 'mlflow')")


@pytest.fixture
def server() -> Iterator[MlflowServer]:
    with MlflowServer() as running:
        yield running


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "retrain", keep=3, disk=10**9)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate/model.safetensors").write_bytes(b"weights")
    return tmp_path / "candidate"


@pytest.fixture
def uri(server: MlflowServer) -> str:
    return server.origin


def client_of(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def tell(registry: Registry, uri: str) -> Aliases:
    aliases = Aliases(registry, uri, "help centre/eu")
    current = registry.current()
    assert current is not None
    aliases(current, registry.previous())
    return aliases


def aliased(uri: str, name: str) -> dict[str, str]:
    client = client_of(uri)
    model = client.get_registered_model(name)
    return {alias: client.get_model_version(name, version).tags["driftwatch.release"]
            for alias, version in model.aliases.items()}  # fmt: skip


def test_the_release_in_use_is_the_champion_and_the_one_before_it_previous(registry, candidate, uri):
    first, one = filled(registry, candidate, 1)
    name = tell(registry, uri).name
    assert name == "driftwatch-help-centre-eu"
    assert aliased(uri, name) == {"champion": one.release, "previous": first.release}
    (version,) = [each for each in client_of(uri).search_model_versions(f"name = '{name}'")
                  if each.tags["driftwatch.release"] == one.release]  # fmt: skip
    assert version.source == f"driftwatch://{name}/releases/{one.release}"
    assert version.tags["driftwatch.source"] == str(registry.place(one.release) / "model")
    assert version.tags["driftwatch.measure.R_10"] == "0.8000"
    assert version.current_stage == "None"


def test_told_again_nothing_is_registered_twice(registry, candidate, uri):
    filled(registry, candidate, 1)
    name = tell(registry, uri).name
    tell(registry, uri)
    assert len(client_of(uri).search_model_versions(f"name = '{name}'")) == 2


def test_after_a_rollback_the_aliases_follow(registry, candidate, uri):
    first, one, _two = filled(registry, candidate, 2)
    tell(registry, uri)
    registry.rollback(now=NOW, by="U1")
    assert aliased(uri, tell(registry, uri).name) == {"champion": one.release, "previous": first.release}


def test_a_registry_that_is_down_is_tried_again_and_said_without_its_password(registry, candidate, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    filled(registry, candidate, 1)
    down = teller(registry, mlflow="http://user:geheim@127.0.0.1:9", service="help")
    assert down.step(NOW) is True
    (left,) = down.left()
    assert left.receiver == "mlflow"
    assert "geheim" not in left.error
    assert "MLflow at http://***@127.0.0.1:9" in left.error


def test_a_registry_that_refuses_is_an_error_that_says_why(registry, candidate, server):
    filled(registry, candidate, 1)
    server.refuses = "no permission to create models"
    with pytest.raises(DriftwatchError, match="no permission to create models"):
        tell(registry, server.origin)


def test_long_values_and_odd_names_of_tags_are_taken(registry, candidate, uri):
    long = manifest(1, note="because", measures={"nDCG@10 (all)": 0.5}, approved_by="é" * 5000)
    registry.add(candidate, long)
    registry.switch(long.release)
    assert aliased(uri, tell(registry, uri).name) == {"champion": long.release}


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")  # MLflow's own tables use what SQLAlchemy 2.1 deprecates
def test_mlflows_own_registry_in_a_database_takes_versions_and_aliases(registry, candidate, tmp_path):
    first, one, two = filled(registry, candidate, 2)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    name = tell(registry, uri).name
    assert aliased(uri, name) == {"champion": two.release, "previous": one.release}
    registry.rollback(now=NOW, by="U1")
    tell(registry, uri)
    assert aliased(uri, name) == {"champion": one.release, "previous": first.release}
    versions = {
        each.tags["driftwatch.release"]: each for each in client_of(uri).search_model_versions(f"name = '{name}'")
    }
    assert set(versions) == {first.release, one.release, two.release}
    assert versions[one.release].source == str(registry.place(one.release) / "model")
