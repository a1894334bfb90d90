"""One model over the questions of the gate: exact, documents by their best passage, with what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import EmbedError, TooLittle
from driftwatch.retrain.evaluate import served
from driftwatch.retrain.scale import SHARD
from driftwatch.retrained import Asked, Passage, Served
from tests.fakes.tiny_model import THINGS, WIDTH, tiny_model

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EmbedderSettings:
    prompts = {"query": "query : ", "document": "passage : "}
    return EmbedderSettings(model=str(tiny_model(tmp_path_factory.mktemp("model"), prompts=prompts)))


def passages(documents: int, parts: int = 3) -> list[Passage]:
    rng = np.random.default_rng(0)
    return [
        Passage(f"d{document}#{part}", f"d{document}", " ".join(f"say{n}" for n in rng.integers(0, THINGS, 4)))
        for part in range(parts)
        for document in range(documents)
    ]


ASKED = [Asked(f"q{n}", f"ask{n % THINGS} ask{(n * 7 + 1) % THINGS} and{n}", "en", {f"d{n}": 1}) for n in range(9)]


@pytest.fixture(scope="module")
def found(model: EmbedderSettings, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return served(model, ASKED, passages(120), cache=tmp_path_factory.mktemp("cache"), k=10)


def test_documents_are_ranked_by_their_best_passage(model: EmbedderSettings, found: Served) -> None:
    embedder = TextEmbedder(model.in_haste())
    every = passages(120)
    assert len(every) > SHARD
    vectors = np.concatenate(
        [embedder.encode_documents([p.text for p in every[at : at + SHARD]]) for at in range(0, len(every), SHARD)]
    )
    scores = embedder.encode_queries([each.text for each in ASKED]) @ vectors.T
    best = scores.reshape(len(ASKED), 3, 120).max(axis=1)
    for row, asked in enumerate(ASKED):
        expected = np.sort(best[row])[::-1][:10]
        assert found.scores[asked.query_id] == pytest.approx(expected, abs=1e-5)
        assert [best[row][int(doc_id[1:])] for doc_id in found.rankings[asked.query_id]] == pytest.approx(
            expected, abs=1e-5
        )
        assert len(set(found.rankings[asked.query_id])) == 10


def test_what_the_model_costs_is_measured(model: EmbedderSettings, found: Served) -> None:
    from safetensors import safe_open

    with safe_open(str(Path(model.model) / "model.safetensors"), "np") as file:
        weights = sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118 - it is no mapping
    assert found.memory_bytes == weights
    assert 0 < found.query_ms < 10_000
    assert found.dimension == WIDTH
    assert found.model == model.model


def test_the_versions_that_it_needs_are_read_off_its_files(found: Served) -> None:
    assert found.libraries["sentence-transformers"] == "6.0"


def test_a_question_in_two_groups_is_asked_once(model: EmbedderSettings, tmp_path: Path) -> None:
    twice = [*ASKED, *(Asked(each.query_id, each.text, each.lang, each.relevant, "forgetting") for each in ASKED)]
    again = served(model, twice, passages(20), cache=tmp_path, k=5)
    assert list(again.rankings) == [each.query_id for each in ASKED]


def test_passages_are_embedded_once_for_both_times(model: EmbedderSettings, tmp_path: Path) -> None:
    first = served(model, ASKED, passages(30), cache=tmp_path, k=5)
    sizes = {file: file.stat().st_size for file in tmp_path.rglob("*.vec")}
    second = served(model, ASKED, iter(passages(30)), cache=tmp_path, k=5)
    assert (first.rankings, first.scores) == (second.rankings, second.scores)
    assert sizes == {file: file.stat().st_size for file in tmp_path.rglob("*.vec")}
    assert sizes


def test_passages_are_read_a_shard_at_a_time(model: EmbedderSettings, tmp_path: Path) -> None:
    alive: list[int] = []

    def counted() -> Iterator[Passage]:
        for number in range(SHARD + 1):
            alive.append(number)
            yield Passage(str(number), str(number), f"say{number % THINGS}")
        raise RuntimeError("nothing more is read")

    with pytest.raises(RuntimeError, match="nothing more"):
        served(model, ASKED, counted(), cache=tmp_path)
    assert len(alive) == SHARD + 1
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.vec")) > 0


def test_a_dimension_that_is_cut_is_the_dimension(model: EmbedderSettings, tmp_path: Path) -> None:
    cut = model.model_copy(update={"dimension": 16})
    assert served(cut, ASKED, passages(5), cache=tmp_path, k=5).dimension == 16


def test_without_questions_or_passages_there_is_nothing_to_judge(model: EmbedderSettings, tmp_path: Path) -> None:
    with pytest.raises(TooLittle, match="no question"):
        served(model, [], passages(3), cache=tmp_path)
    with pytest.raises(TooLittle, match="no passage"):
        served(model, ASKED, [], cache=tmp_path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedError, match="there is no model folder"):
        served(EmbedderSettings(model=str(tmp_path / "none")), ASKED, passages(3), cache=tmp_path)
