from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from driftwatch.embed._weights import find_weights, refuse_unsafe, weights_digest
from driftwatch.errors import EmbedError, MissingExtra

OURS = "sentence_transformers.models.Transformer"


def model(folder: Path, kind: str = OURS, weights: str = "model.safetensors", size: int = 100) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "path": "", "type": kind}]))
    (folder / "config.json").write_text('{"hidden_size": 8}')
    (folder / weights).write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    return folder


def test_a_folder_is_a_model(tmp_path: Path) -> None:
    assert find_weights(str(model(tmp_path / "mine")), None) == tmp_path / "mine"


def test_a_packaged_model_is_found_through_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("acme_model")
    module.get_model_path = lambda: model(tmp_path / "inside")
    monkeypatch.setitem(sys.modules, "acme_model", module)
    assert find_weights("packaged:acme_model", None) == tmp_path / "inside"
    shutil.rmtree(tmp_path / "inside")
    module.get_model_path = lambda: tmp_path / "inside"
    with pytest.raises(EmbedError, match="has no files at"):
        find_weights("packaged:acme_model", None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("packaged:acme_model_missing", "is not installed. pip install acme-model-missing"),
        ("packaged:json", "has no function 'get_model_path'"),
        ("/no/such/folder", "there is no model folder at '/no/such/folder'"),
        ("./models/mine", "there is no model folder at"),
    ],
)
def test_a_model_that_is_not_there_says_what_to_do(name: str, words: str) -> None:
    with pytest.raises(EmbedError, match=words.replace(".", r"\.")):
        find_weights(name, None)


def test_offline_a_model_of_the_hub_must_have_been_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface-hub is not installed")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EmbedError, match="'acme/model' at revision 'v2' is not on this machine, and HF_HUB_OFFLINE"):
        find_weights("acme/model", "v2")


def test_a_name_that_cannot_be_a_model_is_refused() -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed")
    with pytest.raises(EmbedError, match="neither a folder nor a name on the model hub"):
        find_weights("what is/this/model", None)


def test_without_the_hub_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'driftwatch-rag\[embed\]'"):
        find_weights("acme/model", None)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_pickled_weights_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EmbedError, match="has pickled weights only"):
        refuse_unsafe(model(tmp_path / "m", weights=name), "m")


def test_pickled_weights_beside_safe_ones_are_never_read(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    refuse_unsafe(folder, "m")


def test_the_weights_of_every_module_are_looked_at(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    dense = {"idx": 1, "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, dense]))
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(EmbedError, match="pickled weights only"):
        refuse_unsafe(folder, "m")


@pytest.mark.parametrize("kind", ["custom_st.Transformer", "acme--model--modeling.Pooler", ""])
def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(EmbedError, match="brings code of its own"):
        refuse_unsafe(model(tmp_path / "m", kind=kind), "m")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbedError, match="holds no model"):
        find_weights(str(tmp_path), None)
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(EmbedError, match="is not a list of modules"):
        find_weights(str(tmp_path), None)


@pytest.mark.parametrize("size", [100, 20_000_000])
def test_the_digest_names_the_content_and_not_the_place(tmp_path: Path, size: int) -> None:
    here, there = model(tmp_path / "here", size=size), tmp_path / "elsewhere"
    shutil.copytree(here, there)
    before = weights_digest(here)
    assert weights_digest(there) == before
    with (there / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x77")
    assert weights_digest(there) != before


def test_the_digest_covers_the_configuration(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    before = weights_digest(folder)
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "query: "}}')
    assert weights_digest(folder) != before
