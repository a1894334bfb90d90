"""What was promoted counts, until somebody writes another model into the configuration."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftwatch.config import Watch, load_watch
from driftwatch.config.release import registry_of
from driftwatch.errors import ConfigErrors
from driftwatch.retrained import Manifest

CONFIG = """
service: shop
database: sqlite:///state.db
baseline: 14 days
api: off
embedder: {model: acme/small, revision: abc, query_prompt: "query: "}
index: {kind: faiss, index: old.faiss, ids: old.txt, ef_search: 40}
retriever: {kind: http, url: "http://localhost:1/search"}
sources: {canaries: {kind: canaries, path: canaries.jsonl}}
checks:
  - {name: recall, kind: canary, source: canaries, measure: R@10, at_least: 0.5}
retrain: {when: [recall]}
"""


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    (tmp_path / "driftwatch.yaml").write_text(CONFIG)
    return load_watch(tmp_path / "driftwatch.yaml")


def _promote(watch: Watch, replaces: str = "acme/small") -> str:
    candidate = watch.base / "candidate"
    candidate.mkdir()
    (candidate / "modules.json").write_text("[]")
    registry = registry_of(watch)
    manifest = Manifest(
        "20261121T120000Z-aaaaaaaa",
        datetime(2026, 11, 21, 12, tzinfo=UTC),
        "model",
        index={"kind": "faiss", "index": "index/new.faiss", "ids": "index/new.txt", "ef_search": 40},
        replaces=replaces,
    )
    registry.add(candidate, manifest)
    registry.switch(manifest.release)
    return str(registry.place(manifest.release) / "model")


def test_before_anything_was_promoted_the_configuration_counts(watch: Watch) -> None:
    assert watch.embedder is not None
    assert watch.embedder.model == "acme/small"


def test_model_and_index_of_the_release_count_and_other_settings_stay(watch: Watch) -> None:
    model = _promote(watch)
    after = load_watch(watch.path)
    assert after.embedder is not None
    assert (after.embedder.model, after.embedder.revision) == (model, None)
    assert after.embedder.query_prompt == "query: "
    assert after.index is not None
    assert after.index.model_dump()["index"] == Path(model).parent / "index" / "new.faiss"
    assert after.index.model_dump()["ef_search"] == 40
    assert after.retriever is not None
    assert watch.retriever is not None
    assert after.retriever.model_dump() == watch.retriever.model_dump()


def test_a_model_that_somebody_wrote_since_counts_more(watch: Watch) -> None:
    _promote(watch)
    watch.path.write_text(CONFIG.replace("acme/small", "acme/large"))
    after = load_watch(watch.path)
    assert after.embedder is not None
    assert after.embedder.model == "acme/large"
    assert after.index is not None
    assert after.index.model_dump()["index"] == watch.base / "old.faiss"


def test_a_rollback_to_what_was_adopted_leaves_the_configuration_as_it_is(watch: Watch) -> None:
    registry = registry_of(watch)
    registry.adopt(Manifest("20261101T120000Z-00000000", datetime(2026, 11, 1, tzinfo=UTC), "acme/small"))
    _promote(watch)
    registry.rollback(now=datetime(2026, 11, 22, tzinfo=UTC), by="ada")
    assert load_watch(watch.path).model_dump() == watch.model_dump()


def test_a_damaged_registry_is_said_and_not_passed_over(watch: Watch) -> None:
    _promote(watch)
    (registry_of(watch).folder / "current" / "manifest.json").write_text("{")
    with pytest.raises(ConfigErrors, match=r"manifest\.json"):
        load_watch(watch.path)
