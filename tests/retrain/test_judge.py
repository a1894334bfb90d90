"""A cross-encoder is loaded from safe files only, and scores each question with each passage in [0, 1]."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from driftwatch.errors import EmbedError, RetrainError
from driftwatch.retrain._judge import load_judge
from tests.needs import needs

needs("sentence_transformers", reason="sentence-transformers is not installed (extra 'embed')")
pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("default::DeprecationWarning")]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "router", "reset", "invoice", "how", "do", "i", "the", "button"]


def saved(folder: Path, labels: int = 1) -> Path:
    """A cross-encoder of two small layers with random weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=labels,
    )
    folder.mkdir()
    (folder / "words.txt").write_text("\n".join(WORDS))
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "words.txt"), model_max_length=64).save_pretrained(folder)
    return folder


def test_each_pair_has_a_score_in_its_own_place(tmp_path: Path) -> None:
    judge = load_judge(str(saved(tmp_path / "judge")))
    pairs = [("how do i reset", "the router button"), ("invoice", "the invoice"), ("reset the router", "invoice " * 40)]
    scores = judge(pairs)
    assert scores.shape == (3,)
    assert ((scores > 0) & (scores < 1)).all()
    for pair, score in zip(pairs, scores, strict=True):
        assert judge([pair])[0] == pytest.approx(score, abs=1e-5)
    assert len(np.unique(scores.round(6))) == 3
    assert judge([]).shape == (0,)


def test_what_the_configuration_names_as_activation_is_not_imported(tmp_path: Path) -> None:
    folder = saved(tmp_path / "judge")
    config = json.loads((folder / "config.json").read_text())
    config["sentence_transformers"] = {"activation_fn": "antigravity.geohash"}
    (folder / "config.json").write_text(json.dumps(config))
    scores = load_judge(str(folder))([("reset", "router")])
    assert 0 < scores[0] < 1


def test_a_model_with_more_than_one_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match="gives 3 scores"):
        load_judge(str(saved(tmp_path / "judge", labels=3)))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "judge")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EmbedError, match="pickle"):
        load_judge(str(folder))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "judge")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(RetrainError, match="cannot be loaded"):
        load_judge(str(folder))


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmbedError, match="no model folder"):
        load_judge(str(tmp_path / "nowhere"))
