"""The experiment on real FAISS indexes: each cause is injected, and the step and the sign that show it are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from driftwatch.errors import EmbedError, RetrieverError
from driftwatch.probes import Target
from driftwatch.probes.cells import certainly_worse
from driftwatch.probes.experiment import run
from driftwatch.stats.ir import Measure
from driftwatch.types import Experiment, IndexFacts, Query, Reply, ScoredDoc
from tests.fakes.small_index import WIDTH, Rows, SmallIndex, SmallService, Topics, small_canaries, small_rows, unit

pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'embed')")

pytestmark = pytest.mark.process

NOW = datetime(2026, 5, 4, tzinfo=UTC)
R10 = Measure.parse("R@10")
CANARIES = small_canaries()
STEPS = {
    ("stored x approximate", "service"),
    ("stored x exact", "stored x approximate"),
    ("fresh x exact", "stored x exact"),
}


@pytest.fixture(scope="module")
def embedder() -> Topics:
    return Topics("query", "passage", scatter=0.8)


@pytest.fixture
def rows(embedder: Topics) -> Rows:
    return small_rows(embedder)


@pytest.fixture(scope="module")
def before(embedder: Topics) -> dict[str, tuple[ScoredDoc, ...]]:
    replies = SmallIndex.of(small_rows(embedder)).search(CANARIES, embedder)
    return {query.query_id: reply.hits or () for query, reply in zip(CANARIES, replies, strict=True)}


Made = Callable[..., Experiment]


@pytest.fixture
def made(embedder: Topics, before: dict[str, tuple[ScoredDoc, ...]], rows: Rows) -> Made:
    """The experiment on an index and a service, both sound unless a test says otherwise."""

    def make(index: SmallIndex | None = None, service: Any = None, **given: Any) -> Experiment:
        index = index or SmallIndex.of(rows)
        kept = {name: given.pop(name) for name in ("documents", "seconds", "seed") if name in given}
        target = Target(index, service or SmallService.of(index), embedder, canaries=CANARIES, before=before)
        return run(replace(target, **given), measure=R10, now=NOW, **kept)

    return make


def losing(found: Experiment) -> set[tuple[str, str]]:
    return {(each.old, each.new) for each in found.contrasts if certainly_worse(each)} & STEPS


def telling(found: Experiment) -> set[str]:
    return {name for name, look in found.signs.items() if look.bad}


def changed(index: SmallIndex, change: Callable[[Query, tuple[ScoredDoc, ...]], Sequence[ScoredDoc]]) -> SmallService:
    return SmallService.of(index, lambda query, reply: replace(reply, hits=tuple(change(query, reply.hits or ()))))


# --- nothing is wrong ----------------------------------------------------------------------------------------------


def test_a_sound_service_loses_at_no_step_and_shows_no_sign(made: Made) -> None:
    found = made()
    assert losing(found) == set()
    assert telling(found) == set()
    assert found.notes == ()
    assert [cell.n for cell in found.cells] == [60] * 6
    assert {cell.value for cell in found.cells} == {found.cells[0].value}
    assert all(look.unable == "" for look in found.signs.values())
    assert found.verdict.startswith("All ways of searching are equally good: R@10 0.9")


def test_the_same_seed_finds_the_same(made: Made) -> None:
    assert made(documents=150, seed=3) == made(documents=150, seed=3)


def test_it_asks_for_as_many_documents_as_the_service_gives(made: Made, rows: Rows) -> None:
    index = SmallIndex.of(rows)
    found = made(
        index, SmallService.of(index, lambda _query, reply: replace(reply, hits=(reply.hits or ())[:3]), top_k=3)
    )
    assert losing(found) == set()


# --- each step -----------------------------------------------------------------------------------------------------


def test_vectors_of_another_model_lose_between_fresh_and_stored(made: Made, rows: Rows) -> None:
    wrong = np.arange(0, 150, 5)
    rows.vectors[wrong] = unit(np.random.default_rng(1).normal(size=(len(wrong), WIDTH)).astype(np.float32))
    found = made(SmallIndex.of(rows))
    assert losing(found) == {("fresh x exact", "stored x exact")}
    look = found.signs["stored vectors"]
    assert (look.bad, look.words["kind"]) == (30, "other model")
    assert set(look.ids) == {rows.doc_ids[row] for row in wrong}
    assert found.signs["displaced"].bad == 0
    assert found.verdict.startswith("The stored vectors lose 0.")


@pytest.mark.parametrize(("prompt", "kind"), [("", "no document prompt"), ("query", "query prompt")])
def test_documents_embedded_with_another_prompt_are_told_apart(made: Made, prompt: str, kind: str) -> None:
    found = made(SmallIndex.of(small_rows(Topics("query", prompt, scatter=0.8))))
    assert (found.signs["stored vectors"].bad, found.signs["stored vectors"].words["kind"]) == (60, kind)
    assert found.signs["displaced"].bad == 0
    assert found.signs["query side"].bad == 0


def test_a_search_that_is_too_narrow_loses_between_exact_and_approximate_and_a_rebuild_mends_it(
    made: Made, rows: Rows
) -> None:
    found = made(SmallIndex.of(rows, "HNSW2,Flat", ef=1))
    assert losing(found) == {("stored x exact", "stored x approximate")}
    assert telling(found) == set()
    assert "an index built anew would mend it" in found.verdict


class Quantised(SmallIndex):
    """Says that it compares codes first."""

    def facts(self) -> IndexFacts:
        said = super().facts()
        return replace(said, settings={**said.settings, "quantization": "product x16"})


def test_nothing_is_said_of_building_anew_what_cannot_be_built_the_same_way(made: Made, rows: Rows) -> None:
    found = made(Quantised.of(rows, "HNSW2,Flat", ef=1))
    assert losing(found) == {("stored x exact", "stored x approximate")}
    rebuilt = found.cell("fresh x approximate")
    assert rebuilt is not None
    assert "coarser form" in rebuilt.unable
    assert "anew" not in found.verdict


def test_a_filter_loses_between_index_and_service_and_its_documents_are_named(made: Made, rows: Rows) -> None:
    index = SmallIndex.of(rows)
    found = made(index, changed(index, lambda _, hits: [hit for hit in hits if not hit.doc_id.startswith("de-")]))
    assert losing(found) == {("stored x approximate", "service")}
    assert telling(found) == {"left out", "service ranking"}
    look = found.signs["left out"]
    assert look.words == {"language": "de"}
    assert all(doc_id.startswith("de-") for doc_id in look.ids)
    assert found.signs["query side"].words == {"best": "as configured"}


@pytest.mark.parametrize(
    ("prompt", "best"), [("", "without the query prompt"), ("passage", "with the document prompt")]
)
def test_a_service_that_embeds_queries_otherwise_is_explained_by_how(
    made: Made, rows: Rows, prompt: str, best: str
) -> None:
    index = SmallIndex.of(rows)
    found = made(index, Elsewhere.of(index, Topics(prompt, "passage", scatter=0.8)))
    look = found.signs["query side"]
    assert look.words == {"best": best}
    assert look.values[best] == pytest.approx(1.0)
    assert found.signs["left out"].bad == 0
    assert found.signs["service scores"].words["relation"] == "different"


class Elsewhere(SmallService):
    """A service with an embedder of its own."""

    @classmethod
    def of(cls, index: SmallIndex, embedder: Any, **settings: Any) -> Elsewhere:  # type: ignore[override]
        made = cls(kind="small-service", **settings)
        made._index, made._change = index, embedder
        return made

    def search(self, queries: Sequence[Query], embedder: Any = None) -> list[Reply]:
        replies: list[Reply] = self._index.search(queries, self._change)
        return replies


def test_scores_on_another_scale_lose_nothing_and_are_told(made: Made, rows: Rows) -> None:
    index = SmallIndex.of(rows)
    rescaled = changed(index, lambda _, hits: [ScoredDoc(hit.doc_id, 0.5 + 0.5 * (hit.score or 0)) for hit in hits])
    found = made(index, rescaled)
    assert losing(found) == set()
    for name in ("service scores", "scores over time"):
        look = found.signs[name]
        assert (look.words["relation"], round(look.values["slope"], 3)) == ("rescaled", 0.5)


# --- all ways alike ------------------------------------------------------------------------------------------------


def test_documents_that_are_gone_are_missed_by_every_way_alike(made: Made, rows: Rows) -> None:
    found = made(SmallIndex.of(rows.keep(lambda doc_id: not doc_id.startswith("de-"))))
    assert losing(found) == set()
    look = found.signs["gone"]
    assert (look.bad, look.by) == (20, {"de": (20, 20), "en": (20, 0), "fr": (20, 0)})
    assert telling(found) == {"gone"}
    assert "equally bad" in found.verdict
    contrast = found.contrast("baseline", "service")
    assert contrast is not None
    assert {flip.lang for flip in contrast.flips if flip.new_rank is None} == {"de"}


def test_new_near_duplicates_displace_what_was_expected(
    embedder: Topics, rows: Rows, before: dict[str, tuple[ScoredDoc, ...]]
) -> None:
    rng = np.random.default_rng(3)
    for topic in range(0, 60, 3):
        query = embedder.encode_queries([CANARIES[topic].text])[0]
        for copy in range(12):
            noise = 0.02 * rng.normal(size=WIDTH).astype(np.float32)
            vector = unit((rows.vectors[5 * topic] + 0.1 * query + noise)[None])[0]
            rows.add(f"new-{topic}-{copy}", vector, f"vector {len(rows.texts)}", "de")
    knowing = Knowing(embedder, rows)
    index = SmallIndex.of(rows)
    found = run(Target(index, SmallService.of(index), knowing, canaries=CANARIES, before=before), measure=R10, now=NOW)
    assert losing(found) == set()
    look = found.signs["displaced"]
    contrast = found.contrast("baseline", "service")
    assert contrast is not None
    assert look.bad == sum((flip.new_rank or 99) > 10 >= (flip.old_rank or 99) for flip in contrast.flips)
    assert look.by["de"][1] >= 18
    assert all(doc_id.startswith("new-") for doc_id in look.ids)
    assert look.values["near-duplicates"] > 0.4
    assert found.signs["stored vectors"].bad == 0


class Knowing(Topics):
    """Embeds `vector 7` as row 7 of what an index holds."""

    def __init__(self, like: Topics, rows: Rows) -> None:
        super().__init__(*like.prompts, scatter=like.scatter)
        self.rows = rows

    def encode_documents(self, texts: Sequence[str]) -> Any:
        plain = super().encode_documents(texts)
        for place, text in enumerate(texts):
            if text.startswith("vector "):
                plain[place] = self.rows.vectors[int(text.split()[1])]
        return plain


# --- a pool --------------------------------------------------------------------------------------------------------


def test_a_large_index_is_embedded_anew_in_part_and_compared_among_the_same_documents(
    made: Made, rows: Rows, embedder: Topics
) -> None:
    embedder.embedded.clear()
    wrong = np.arange(0, 150, 5)
    rows.vectors[wrong] = unit(np.random.default_rng(1).normal(size=(len(wrong), WIDTH)).astype(np.float32))
    found = made(SmallIndex.of(rows), documents=120)
    contrast = found.contrast("fresh x exact", "stored x exact")
    assert contrast is not None
    same, fresh = found.cell("stored x exact, same documents"), found.cell("fresh x exact")
    assert same is not None
    assert fresh is not None
    assert contrast.difference == pytest.approx((same.value or 0) - (fresh.value or 0))
    assert losing(found) == {("fresh x exact", "stored x exact")}
    assert "120 of 300 entries" in found.notes[0]
    assert len(embedder.embedded) < 300, "documents, and the queries as documents"


def test_a_pool_of_a_sound_index_shows_nothing(made: Made) -> None:
    found = made(documents=100)
    assert losing(found) == set()
    assert telling(found) == set()


# --- what cannot be looked at --------------------------------------------------------------------------------------


def test_a_service_that_is_down_is_an_outage_and_the_rest_goes_on(made: Made, rows: Rows) -> None:
    index = SmallIndex.of(rows)
    down = SmallService.of(index, lambda _query, _reply: Reply(None, error="timed out after 1s"))
    found = made(index, down)
    assert (found.signs["outage"].bad, found.signs["outage"].values["timeouts"]) == (60, 60)
    service = found.cell("service")
    assert service is not None
    assert (service.value, service.unable) == (None, "timed out after 1s")
    assert found.cells[1].n == found.cells[3].n == 60
    assert found.verdict.endswith("Not looked at: service.")


class Dead(SmallIndex):
    """An index that nobody can reach any more."""

    def search_vectors(self, *_given: Any, **_settings: Any) -> Any:
        raise RetrieverError("the index is not reached.")

    stored = facts = missing = search_vectors

    def entries(self) -> Any:
        raise RetrieverError("the index is not reached.")


def test_a_dead_index_is_said_in_its_cells(made: Made, rows: Rows) -> None:
    alive = SmallIndex.of(rows)
    found = made(Dead.of(rows), SmallService.of(alive))
    unable = {cell.name: cell.unable for cell in found.cells if cell.value is None}
    assert len(unable) == 5
    assert set(unable.values()) == {"the index is not reached."}
    assert found.verdict.startswith("Only one way of searching could be looked at")


@pytest.mark.parametrize("missing", ["index", "service", "embedder"])
def test_what_is_not_configured_is_said_and_nothing_is_raised(made: Made, missing: str, before: Any) -> None:
    found = made(**{missing: None}) if missing == "embedder" else _without(missing, before)
    assert any(cell.unable for cell in found.cells)
    assert found.verdict


def _without(missing: str, before: Any) -> Experiment:
    embedder = Topics("query", "passage", scatter=0.8)
    index = SmallIndex.of(small_rows(embedder))
    target = Target(index, SmallService.of(index), embedder, canaries=CANARIES, before=before)
    return run(replace(target, **{missing: None}), measure=R10, now=NOW)


def test_an_index_that_lists_nothing_cannot_be_embedded_anew(made: Made, rows: Rows) -> None:
    index = SmallIndex.of(rows)
    found = made(index.only("by vector", "exact", "vectors", "texts"))
    assert {cell.name for cell in found.cells if cell.unable} == {
        "fresh x exact",
        "fresh x approximate",
        "stored x exact, same documents",
    }
    assert losing(found) == set()


def test_without_stored_vectors_a_whole_index_is_compared_all_the_same(made: Made, rows: Rows) -> None:
    index = SmallIndex.of(rows)
    found = made(index.only("by vector", "exact", "texts", "ids"))
    assert found.contrast("fresh x exact", "stored x exact") is not None
    assert found.signs["stored vectors"].unable == "the index does not give its vectors"


def test_an_embedder_that_does_not_load_is_a_note(made: Made) -> None:
    class Broken(Topics):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            raise EmbedError("there is no such model.")

    found = made(service=Elsewhere.of(SmallIndex.of(small_rows(Topics())), Topics()), embedder=Broken())
    assert "The queries could not be embedded: there is no such model." in found.notes


def test_when_it_is_stopped_it_leaves_off_and_says_so(made: Made) -> None:
    found = made(stopping=lambda: True)
    assert all(cell.value is None for cell in found.cells if cell.name != "baseline")
    assert any("it was being stopped" in note for note in found.notes)


def test_when_time_is_over_it_leaves_off_and_says_so(made: Made) -> None:
    found = made(seconds=0.0)
    assert any("0 seconds were over" in note for note in found.notes)
    assert found.verdict == "Nothing could be compared."


def test_canaries_that_expect_nothing_are_left_aside(made: Made) -> None:
    found = made(canaries=(*CANARIES, Query("empty", "?", "de", {}, expect_empty=True)))
    assert found.cells[0].n == 60
    assert "1 canaries expect no document and were left aside." in found.notes


def test_without_any_canary_nothing_is_compared(made: Made) -> None:
    assert made(canaries=()).verdict == "Nothing could be compared."
