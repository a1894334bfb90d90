"""The embeddings of sampled queries: made once, some at a time, and only where a check asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from driftwatch.config import load_watch
from driftwatch.config.sections import Privacy
from driftwatch.contents import NO_EMBEDDER, Asked
from driftwatch.embed._cache import VectorCache
from driftwatch.embed._queries import QueryVectors
from driftwatch.engine import Engine
from driftwatch.errors import EmbedError
from driftwatch.scenarios.service import WordEmbedder
from driftwatch.store import Store
from driftwatch.types import Sample
from tests.fakes.batches import batch, kept

START = datetime(2026, 5, 4, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Counting(WordEmbedder):
    """Remembers what it was asked; breaks when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        if self.broken:
            raise EmbedError("the model cannot be loaded.", remedy="Download it.")
        self.asked += texts
        return super().encode_queries(texts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/driftwatch.db")
    yield opened
    opened.close()


@pytest.fixture
def model() -> Counting:
    return Counting()


def record(store: Store, texts: Sequence[str], *, day: int = 0, lang: str = "en") -> None:
    """One query every few seconds."""
    at = [START + day * DAY + timedelta(seconds=7 * place) for place in range(len(texts))]
    rows = [
        kept((place + 1) / 10_000, f"{lang}{place}", at[place], stratum=lang, lang=lang, text=text)
        for place, text in enumerate(texts)
    ]
    store.traffic.ingest(batch(*rows))


def filled(store: Store, asked: Asked, *, days: int = 1, per_day: int = 1_000) -> Sample:
    return asked.fill(store.traffic.sample("live", START, START + days * DAY), "live", per_day)


def asked_of(store: Store, model: WordEmbedder | None, at_once: int = 10_000, **privacy: object) -> Asked:
    return Asked(store, model, Privacy(**privacy), at_once=at_once)  # type: ignore[arg-type]


def test_every_text_is_embedded_once_however_often_it_was_asked_and_looked_at(store: Store, model: Counting) -> None:
    record(store, ["lost password", "late parcel", "lost password"])
    asked = asked_of(store, model)
    for _ in range(3):
        sample = filled(store, asked)
    assert sorted(model.asked) == ["late parcel", "lost password"]
    assert sample.contents is not None
    assert sample.contents.complete


def test_each_row_has_the_vector_and_the_text_of_its_own_query(store: Store, model: Counting) -> None:
    texts = [f"question about {word}" for word in ("refunds", "parcels", "cards", "shoes")]
    for day in range(3):
        record(store, texts, day=day)
    sample = filled(store, asked_of(store, model), days=3)
    part = sample.keep(np.array([False, True, False, True] * 3))
    assert part.contents is not None
    assert part.contents.texts is not None
    rows = part.rows[::-1]
    assert part.contents.texts(rows) == [texts[3], texts[1]] * 3
    expected = model.encode_queries([texts[3], texts[1]] * 3)
    assert np.allclose(part.contents.vectors(rows), expected, atol=1e-3)


def test_only_so_many_queries_of_a_day_are_embedded_and_always_the_same(store: Store, model: Counting) -> None:
    for day in range(2):
        record(store, [f"question {day} {number}" for number in range(50)], day=day)
    asked = asked_of(store, model)
    first, again = (filled(store, asked, days=2, per_day=20) for _ in range(2))
    assert len(model.asked) == 40
    assert first.contents is not None
    assert again.contents is not None
    assert np.array_equal(first.contents.embedded, again.contents.embedded)
    assert [int(first.contents.embedded[:50].sum()), int(first.contents.embedded[50:].sum())] == [20, 20]


def test_a_long_past_is_caught_up_with_over_a_few_looks(store: Store, model: Counting) -> None:
    record(store, [f"question {number}" for number in range(50)])
    asked = asked_of(store, model, at_once=20)
    done = []
    for _ in range(3):
        contents = filled(store, asked).contents
        assert contents is not None
        done.append((int(contents.embedded.sum()), contents.complete, contents.trouble))
    assert done == [(20, False, ""), (40, False, ""), (50, True, "")]


def test_nothing_more_is_embedded_when_the_daemon_is_being_stopped(store: Store, model: Counting) -> None:
    record(store, ["a question"])
    contents = filled(store, Asked(store, model, Privacy(), stopping=lambda: True)).contents
    assert contents is not None
    assert (model.asked, contents.complete) == ([], False)


def test_without_an_embedder_it_is_said_what_is_missing(store: Store) -> None:
    record(store, ["a question"])
    contents = filled(store, asked_of(store, None)).contents
    assert contents is not None
    assert (contents.trouble, contents.embedded.any()) == (NO_EMBEDDER, False)


def test_a_model_that_breaks_costs_only_what_is_not_embedded_yet(store: Store, model: Counting) -> None:
    asked = asked_of(store, model)
    record(store, ["an old question"])
    filled(store, asked)
    record(store, ["a new question"], day=1)
    model.broken = True
    contents = filled(store, asked, days=2).contents
    assert contents is not None
    assert contents.embedded.tolist() == [True, False]
    assert contents.trouble == "the model cannot be loaded. Download it."
    model.broken = False
    contents = filled(store, asked, days=2).contents
    assert contents is not None
    assert (contents.complete, contents.trouble) == (True, "")


def test_a_query_without_a_text_is_not_waited_for(store: Store, model: Counting) -> None:
    record(store, ["", "a question"])
    contents = filled(store, asked_of(store, model)).contents
    assert contents is not None
    assert (contents.embedded.tolist(), contents.complete, model.asked) == ([False, True], True, ["a question"])


def test_an_empty_sample_has_contents_too(store: Store, model: Counting) -> None:
    contents = filled(store, asked_of(store, model)).contents
    assert contents is not None
    assert contents.complete


# --- privacy -------------------------------------------------------------------------------------------------------


def test_texts_that_are_not_shown_are_not_handed_out(store: Store, model: Counting) -> None:
    record(store, ["a question"])
    for privacy in ({"show_queries": False}, {"keep_text": "hash"}):
        contents = filled(store, asked_of(store, model, **privacy)).contents
        assert contents is not None
        assert contents.texts is None


def test_where_only_hashes_are_kept_queries_are_embedded_as_they_arrive(store: Store, model: Counting) -> None:
    record(store, ["5f00c0ffee", "0badc0de"])
    asked = asked_of(store, model, keep_text="hash")
    assert asked.hear is not None
    asked.hear("5f00c0ffee", "where is my parcel")
    asked.embed_heard(10)
    contents = filled(store, asked).contents
    assert contents is not None
    assert model.asked == ["where is my parcel"]
    assert contents.embedded.tolist() == [True, False]
    assert np.allclose(contents.vectors(np.array([0])), model.encode_queries(["where is my parcel"]), atol=1e-3)
    assert "keep_text: hash" in contents.trouble


def test_no_more_texts_are_embedded_as_they_arrive_than_are_wanted(store: Store, model: Counting) -> None:
    asked = asked_of(store, model, keep_text="hash")
    assert asked.hear is not None
    for number in range(30):
        asked.hear(f"hash {number}", f"text {number}")
    asked.embed_heard(10)
    asked.embed_heard(10)
    assert len(model.asked) == 10


def test_where_texts_are_kept_nothing_is_listened_to(store: Store, model: Counting) -> None:
    assert asked_of(store, model).hear is None
    assert asked_of(store, None, keep_text="hash").hear is None


# --- on the disk ---------------------------------------------------------------------------------------------------


class OnDisk(Counting):
    """A model with a cache of its own, as the real one has."""

    cache_size = 1_000_000

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory

    def encode_queries_as(self, names: Sequence[str], texts: Sequence[str]) -> np.ndarray:
        vectors = self.encode_queries(texts)
        cache = VectorCache(self.directory, self.fingerprint, self.cache_size)
        cache.add(QueryVectors(self).keys(names), vectors.astype(np.float16))
        return vectors


def test_vectors_outlive_the_process(store: Store, tmp_path: Path) -> None:
    record(store, ["lost password", "late parcel"])
    filled(store, asked_of(store, OnDisk(tmp_path / "vectors")))
    later = OnDisk(tmp_path / "vectors")
    contents = filled(store, asked_of(store, later)).contents
    assert contents is not None
    assert (later.asked, contents.complete) == ([], True)
    assert contents.vectors(np.array([0, 1])).dtype == np.float16


def test_a_cache_that_is_too_small_says_so(tmp_path: Path) -> None:
    vectors = QueryVectors(OnDisk(tmp_path / "vectors"))
    with pytest.raises(EmbedError, match="cache of vectors is too small"):
        vectors.read(vectors.keys(["never embedded"]))


# --- from the log to the check -------------------------------------------------------------------------------------

WATCH = """\
service: x
database: sqlite:///{folder}/driftwatch.db
sources: {{live: {{kind: query_log, path: queries.jsonl}}}}
embedder: {{model: unused}}
baseline: 1 day
privacy: {{keep_text: {keep_text}, key: 0123456789abcdef}}
checks: [{{name: new topics, kind: query_drift, source: live, min_n: 20}}]
"""


@pytest.mark.parametrize("keep_text", ["full", "redacted", "hash"])
def test_the_queries_of_a_log_reach_the_check_embedded(tmp_path: Path, model: Counting, keep_text: str) -> None:
    (tmp_path / "driftwatch.yaml").write_text(WATCH.format(folder=tmp_path, keep_text=keep_text))
    at = [START + HOUR + timedelta(seconds=place) for place in range(30)]
    lines = [json.dumps({"ts": each.isoformat(), "query": f"question {place}"}) for place, each in enumerate(at)]
    (tmp_path / "queries.jsonl").write_text("\n".join(lines) + "\n")
    watch = load_watch(tmp_path / "driftwatch.yaml", {})
    opened = Store.open(watch.database)
    engine = Engine(watch, opened, embedder=model)
    engine.observe("live", START + 3 * HOUR)
    contents = engine.windows.pair(watch.checks[0], START + 3 * HOUR).current.sample.contents
    opened.close()
    assert contents is not None
    assert contents.complete
    assert contents.embedded.sum() == 30
    assert sorted(model.asked) == sorted(f"question {place}" for place in range(30))
    assert (contents.texts is None) == (keep_text == "hash")
