"""Who does the heavy work: this machine, and what is said where it was to be a cluster and there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import MissingExtra, RetrainError
from driftwatch.retrain._candidates import Vectors
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrain.scale import SHARD, Local, in_shards, scale_of
from driftwatch.retrain.settings import Retrain
from driftwatch.retrain.trainers.local import program
from tests.fakes.tiny_model import THINGS, tiny_model

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EmbedderSettings:
    prompts = {"query": "query : ", "document": "passage : "}
    return EmbedderSettings(model=str(tiny_model(tmp_path_factory.mktemp("model"), prompts=prompts)))


def texts(count: int) -> list[str]:
    """Of many lengths, so that what shares a batch matters."""
    rng = np.random.default_rng(0)
    return [" ".join(f"say{each}" for each in rng.integers(0, THINGS, rng.integers(1, 12))) for _ in range(count)]


def test_vectors_come_in_order_and_as_the_embedder_makes_them(model: EmbedderSettings) -> None:
    asked = texts(2 * SHARD + 10)
    with Local(model) as scale:
        found = list(scale.encode("document", in_shards(asked)))
    assert [len(each) for each in found] == [SHARD, SHARD, 10]
    embedder = TextEmbedder(model)
    for start, vectors in zip(range(0, len(asked), SHARD), found, strict=True):
        np.testing.assert_array_equal(vectors, embedder.encode_documents(asked[start : start + SHARD]))


def test_questions_and_documents_are_not_encoded_alike(model: EmbedderSettings) -> None:
    with Local(model) as scale:
        query, document = (next(iter(scale.encode(role, [texts(5)]))) for role in ("query", "document"))
    assert not np.allclose(query, document)


def test_texts_are_read_as_they_are_needed(model: EmbedderSettings) -> None:
    read = 0

    def counted() -> Iterator[str]:
        nonlocal read
        for text in texts(3 * SHARD):
            read += 1
            yield text

    with Local(model) as scale:
        next(iter(scale.encode("document", in_shards(counted()))))
    assert read == SHARD


def test_no_texts_have_no_vectors(model: EmbedderSettings) -> None:
    with Local(model) as scale:
        assert list(scale.encode("query", [])) == []


def test_vectors_are_kept_where_a_folder_is_named(model: EmbedderSettings, tmp_path: Path) -> None:
    with Local(model, tmp_path) as scale:
        first = next(iter(scale.encode("query", [texts(20)])))
    assert list(tmp_path.glob("vectors/*/young.vec"))
    with Local(model, tmp_path) as scale:
        np.testing.assert_array_equal(next(iter(scale.encode("query", [texts(20)]))), first)


def test_neighbours_are_places_and_inner_products_best_first(model: EmbedderSettings) -> None:
    documents = Vectors.of(np.eye(4, dtype=np.float32), [""] * 4)
    with Local(model) as scale:
        ids, scores = scale.neighbours(np.array([[0.5, 0.0, 1.0, 0.0]], np.float32), documents, 3)
    assert ids.tolist() == [[2, 0, 1]]
    assert scores.tolist() == [[1.0, 0.5, 0.0]]


def test_shards_are_of_one_size_but_for_the_last() -> None:
    assert [len(each) for each in in_shards(map(str, range(SHARD + 1)))] == [SHARD, 1]
    assert list(in_shards([])) == []


def test_this_machine_does_the_work_unless_something_else_is_named(model: EmbedderSettings) -> None:
    assert isinstance(scale_of(Retrain(when=("canary recall",)), model), Local)


def test_the_same_setting_says_which_program_trains(tmp_path: Path) -> None:
    here = program(JobFolder(tmp_path), Retrain(when=("canary recall",), ray="head:6379").cluster)
    assert here[1:] == ["-P", "-m", "driftwatch.retrain.train", str(tmp_path)]
    there = program(JobFolder(tmp_path), Retrain(when=("canary recall",), scale="ray", ray="head:6379").cluster)
    assert there[1:] == ["-P", "-m", "driftwatch.retrain._ray_train", "head:6379", str(tmp_path)]


def test_without_ray_it_is_said_what_to_install(model: EmbedderSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    settings = Retrain(when=("canary recall",), scale="ray", ray="127.0.0.1:6379")
    with pytest.raises(MissingExtra, match=r"'retrain: scale: ray' needs the package 'ray'.*driftwatch-rag\[ray\]"):
        scale_of(settings, model)


@pytest.mark.parametrize("address", ["ray://head:10001", "local", " ", "http://head:8265", "head", "head:"])
def test_an_address_that_would_start_a_cluster_or_has_no_node_here_is_refused(
    model: EmbedderSettings, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", object())  # the address is looked at before Ray is used
    with pytest.raises(RetrainError, match="is not 'auto', and not the host:port of a cluster"):
        scale_of(Retrain(when=("canary recall",), scale="ray", ray=address), model)


def test_ray_is_not_imported_by_who_does_not_use_it(model: EmbedderSettings) -> None:
    before = "ray" in sys.modules
    with Local(model) as scale:
        list(scale.encode("query", [["ask1"]]))
    assert ("ray" in sys.modules) is before
