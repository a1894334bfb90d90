"""Every injector changes what it says and nothing else; measured in the index file, the corpus and the answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.faults import injectors
from tests.faults.faults import FAULTS, Fault, named
from tests.faults.injectors import Truth
from tests.faults.laboratory import Laboratory, furnished
from tests.faults.material import DOCUMENT_PROMPT, LANGUAGES, NEW_LANGUAGE, QUERY_PROMPT
from tests.faults.people import BOT_SESSION, HOUR, START
from tests.faults.service import WatchingEmbedder
from tests.faults.small import A_LANGUAGE, WIDTH, small_material

pytestmark = pytest.mark.process

Vectors = NDArray[np.float32]
Open = Callable[..., Laboratory]

DOCUMENTS = A_LANGUAGE * len(LANGUAGES)
ODD, EVEN = 3, 2


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """A small laboratory of any seed, its index a FAISS file."""

    def opened(seed: int = ODD) -> Laboratory:
        return furnished(tmp_path / f"seed-{seed}", "faiss", seed, small_material())

    return opened


def in_file(lab: Laboratory) -> Any:
    """The index as everybody else reads it."""
    return faiss.read_index(str(lab.folder / "store" / "docs.faiss"))


def held(lab: Laboratory) -> dict[str, Vectors]:
    """doc_id -> its vector in the file."""
    index = in_file(lab)
    ids = (lab.folder / "store" / "ids.txt").read_text().splitlines()
    return dict(zip(ids, index.reconstruct_n(0, index.ntotal), strict=True))


def published(lab: Laboratory) -> dict[str, str]:
    """doc_id -> its text at the source."""
    rows = map(json.loads, (lab.folder / "corpus.jsonl").read_text().splitlines())
    return {row["id"]: row["text"] for row in rows}


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Keys that are in one only, or whose values differ."""
    return {
        key
        for key in before | after
        if key not in before or key not in after or not np.array_equal(before[key], after[key])
    }


def found(lab: Laboratory) -> float:
    """The share of the truly best ten of each canary that the file's own search finds."""
    asked = lab.material.encoded(QUERY_PROMPT, [query.text for query in lab.material.canaries])
    best = np.argsort(-(asked @ lab.entries.vectors.T), axis=1)[:, :10]
    _, rows = in_file(lab).search(asked, 10)
    return float(np.mean([len(set(one) & set(other)) / 10 for one, other in zip(best, rows, strict=True)]))


def answers(lab: Laboratory) -> list[list[tuple[str, float]]]:
    """What the service answers to each canary."""
    return lab.service.answer([query.text for query in lab.material.canaries])


def a_day(lab: Laboratory) -> list[dict[str, Any]]:
    """What the service logs on a Monday."""
    return [line for each in range(24) for line in lab.people.hour(START + each * HOUR, lab.service)]


def sessions(lines: list[dict[str, Any]]) -> Counter[str]:
    """Where sessions are about: the beginning of their names."""
    return Counter(name.rsplit("-", 2)[0] for name in {line["session"] for line in lines})


# --- vectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [EVEN, ODD])
@pytest.mark.parametrize(("share", "count"), [(1.0, DOCUMENTS), (0.1, DOCUMENTS // 10), (0.01, DOCUMENTS // 100)])
def test_a_wrong_model_changes_its_share_of_the_vectors(opened: Open, seed: int, share: float, count: int) -> None:
    lab = opened(seed)
    before, texts = held(lab), published(lab)
    truth = injectors.wrong_model(share)(lab)
    changed = differing(before, held(lab))
    assert len(changed) == count
    assert truth == Truth(frozenset(changed))
    assert published(lab) == texts


@pytest.mark.parametrize("seed", [EVEN, ODD])
def test_another_models_vectors_are_of_length_one_and_unlike_the_first_models(opened: Open, seed: int) -> None:
    lab = opened(seed)
    before = np.stack(list(held(lab).values()))
    injectors.wrong_model(1.0)(lab)
    after = np.stack(list(held(lab).values()))
    assert np.linalg.norm(after, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs((before * after).sum(axis=1)).max() < 0.4


def test_a_lost_query_prompt_is_lost_by_the_service_alone(opened: Open) -> None:
    lab = opened()
    before = held(lab)
    injectors.no_query_prompt(lab)
    asked = [query.text for query in lab.material.canaries]
    assert np.array_equal(lab.service.behaviour.encoder.queries(asked), lab.material.encoded("", asked))
    assert np.array_equal(lab.watching.queries(asked), lab.material.encoded(QUERY_PROMPT, asked))
    assert not differing(before, held(lab))


def test_a_lost_document_prompt_is_lost_by_every_document(opened: Open) -> None:
    lab = opened()
    truth = injectors.no_document_prompt(lab)
    texts = published(lab)
    bare = dict(zip(texts, lab.material.encoded("", list(texts.values())), strict=True))
    assert not differing(bare, held(lab))
    assert truth.documents == set(texts)


def test_lost_normalisation_changes_lengths_and_no_direction(opened: Open) -> None:
    lab = opened()
    before = np.stack(list(held(lab).values()))
    injectors.no_normalisation(lab)
    after = np.stack(list(held(lab).values()))
    lengths = np.linalg.norm(after, axis=1)
    assert np.log(lengths).std() == pytest.approx(0.25, abs=0.03)
    assert after / lengths[:, None] == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize(("seed", "dimension"), [(3, 96), (1, 128), (2, 192)])
def test_truncation_shortens_the_index_and_the_services_queries(opened: Open, seed: int, dimension: int) -> None:
    lab = opened(seed)
    before = np.stack(list(held(lab).values()))[:, :dimension]
    injectors.truncated(lab)
    after = np.stack(list(held(lab).values()))
    assert after == pytest.approx(before / np.linalg.norm(before, axis=1, keepdims=True), abs=1e-5)
    assert lab.service.behaviour.encoder.queries(["a", "b"]).shape == (2, dimension)
    assert lab.watching.queries(["a"]).shape == (1, WIDTH)
    assert all(len(hits) == 10 for hits in answers(lab))


def test_stale_vectors_are_those_of_an_eighth_of_the_documents_whose_text_is_another(opened: Open) -> None:
    lab = opened()
    before, texts = held(lab), published(lab)
    truth = injectors.stale_vectors(lab)
    assert not differing(before, held(lab))
    assert truth.documents == differing(texts, published(lab))
    assert len(truth.documents) == DOCUMENTS // 8
    one = sorted(truth.documents)[0]
    fresh = lab.material.encoded(DOCUMENT_PROMPT, [published(lab)[one]])[0]
    assert fresh @ before[one] < 0.9


def test_a_library_update_moves_every_fresh_vector_by_one_percent(opened: Open) -> None:
    lab = opened()
    before, watching = held(lab), WatchingEmbedder(lab.watching)
    injectors.embedder_moved(lab)
    after = WatchingEmbedder(lab.watching)
    asked = [query.text for query in lab.material.canaries]
    moves = np.linalg.norm(after.encode_queries(asked) - watching.encode_queries(asked), axis=1)
    assert moves == pytest.approx(0.01, abs=0.002)
    assert np.array_equal(lab.service.behaviour.encoder.queries(asked), after.encode_queries(asked))
    assert after.fingerprint != watching.fingerprint
    assert not differing(before, held(lab))


# --- the index -----------------------------------------------------------------------------------------------------


def test_half_of_the_links_are_cut_from_the_file(opened: Open) -> None:
    lab = opened()
    before, links = held(lab), _links(in_file(lab))
    injectors.half_of_the_links(lab)
    assert _links(in_file(lab)) / links == pytest.approx(0.5, abs=0.05)
    assert not differing(before, held(lab))


def _links(index: Any) -> int:
    return int((faiss.vector_to_array(index.hnsw.neighbors) >= 0).sum())


@pytest.mark.parametrize("injected", [injectors.half_of_the_links, injectors.tiny_ef, injectors.tiny_nprobe])
def test_a_search_that_is_broken_finds_less_of_the_same_vectors(
    opened: Open, injected: Callable[[Laboratory], Truth]
) -> None:
    lab = opened()
    before, recall = held(lab), found(lab)
    injected(lab)
    assert recall > 0.95
    assert found(lab) < 0.9 * recall
    assert not differing(before, held(lab))


def test_tiny_settings_of_the_search_stand_in_the_file(opened: Open) -> None:
    lab = opened()
    injectors.tiny_ef(lab)
    assert in_file(lab).hnsw.efSearch == 1
    injectors.tiny_nprobe(lab)
    assert in_file(lab).nprobe == 1


def test_quantisation_makes_the_index_lossy(opened: Open) -> None:
    lab = opened()
    before = np.stack(list(held(lab).values()))
    injectors.quantised(lab)
    after = np.stack(list(held(lab).values()))
    assert in_file(lab).code_size == 8
    assert np.linalg.norm(after - before, axis=1).mean() > 0.1
    assert found(lab) < 0.9


# --- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "lang"), list(enumerate(LANGUAGES)))
def test_a_lost_language_is_gone_from_the_index_and_not_from_the_source(opened: Open, seed: int, lang: str) -> None:
    lab = opened(seed)
    before, texts = held(lab), published(lab)
    truth = injectors.language_lost(lab)
    assert differing(before, held(lab)) == truth.documents == {each for each in texts if each.startswith(f"{lang}-")}
    assert truth.segment == lang
    assert published(lab) == texts


def test_lost_documents_are_gone_from_the_index_and_not_from_the_source(opened: Open) -> None:
    lab = opened()
    before, texts = held(lab), published(lab)
    truth = injectors.documents_lost(lab)
    after = held(lab)
    assert before.keys() - after.keys() == differing(before, after) == truth.documents
    assert len(truth.documents) == pytest.approx(0.05 * DOCUMENTS, rel=0.5)
    assert published(lab) == texts


def test_near_duplicates_are_added_and_stand_beside_what_they_copy(opened: Open) -> None:
    lab = opened()
    before, texts = held(lab), published(lab)
    truth = injectors.displaced(lab)
    after, source = held(lab), published(lab)
    added = after.keys() - before.keys()
    copied = {each.rsplit("-copy", 1)[0] for each in added}
    assert differing(before, after) == added == source.keys() - texts.keys()
    assert len(copied) == round(0.6 * len(lab.material.copies))
    assert truth.documents == added | copied
    assert min(float(after[each] @ before[each.rsplit("-copy", 1)[0]]) for each in added) > 0.8


def test_what_is_published_anew_has_another_id_and_nothing_else(opened: Open) -> None:
    lab = opened()
    before, texts = held(lab), published(lab)
    truth = injectors.republished(lab)
    after, source = held(lab), published(lab)
    gone = before.keys() - after.keys()
    assert gone == texts.keys() - source.keys() == truth.documents
    assert len(gone) == len(lab.material.copies) // 4
    assert all(
        np.array_equal(after[f"{each}-v2"], before[each]) and source[f"{each}-v2"] == texts[each] for each in gone
    )
    assert truth.queries == {f"asks-{each}" for each in gone}


# --- the service ---------------------------------------------------------------------------------------------------


def test_a_filter_hides_a_third_of_the_documents_and_keeps_the_order_of_the_others(opened: Open) -> None:
    lab = opened()
    before, ranked = held(lab), answers(lab)
    truth = injectors.filtered(lab)
    assert len(truth.documents) == DOCUMENTS // 3
    assert any(doc_id in truth.documents for hits in ranked for doc_id, _ in hits)
    for was, now in zip(ranked, answers(lab), strict=True):
        left = [hit for hit in was if hit[0] not in truth.documents]
        assert now[: len(left)] == left
        assert len(now) == 10
    assert not differing(before, held(lab))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rescaled_scores_keep_their_order(opened: Open, seed: int) -> None:
    lab = opened(seed)
    before = answers(lab)
    injectors.rescaled(lab)
    for was, now in zip(before, answers(lab), strict=True):
        scores = [score for _, score in now]
        assert [doc_id for doc_id, _ in now] == [doc_id for doc_id, _ in was]
        assert scores == sorted(scores, reverse=True)
        assert all(score != other for score, (_, other) in zip(scores, was, strict=True))


def test_an_outage_is_felt_by_whoever_asks(opened: Open) -> None:
    lab = opened()
    lab.service.start()
    try:
        assert len(_asked(lab).json()["results"]) == 10
        injectors.trouble("error")(lab)
        assert _asked(lab).status_code == 500
        injectors.trouble("empty")(lab)
        assert _asked(lab).json()["results"] == []
        injectors.trouble("timeout")(lab)
        with pytest.raises(httpx.ReadTimeout):
            _asked(lab, timeout=0.2)
    finally:
        lab.service.stop()


@pytest.mark.parametrize("kind", ["timeout", "error", "empty"])
def test_an_outage_is_logged_as_what_it_is(opened: Open, kind: str) -> None:
    lab = opened()
    injectors.trouble(kind)(lab)
    lines = lab.people.hour(START.replace(hour=9), lab.service)
    assert lines
    assert all("error" not in line and line["results"] == [] for line in lines) == (kind == "empty")
    assert all("error" in line and "results" not in line for line in lines) == (kind != "empty")


def test_a_slow_answer_is_the_same_and_late(opened: Open) -> None:
    lab = opened()
    lab.service.start()
    try:
        before = _asked(lab)
        injectors.slow(lab)
        after = _asked(lab)
    finally:
        lab.service.stop()
    assert after.json() == before.json()
    assert after.elapsed.total_seconds() >= 0.6


def _asked(lab: Laboratory, timeout: float = 10) -> httpx.Response:
    body = {"query": lab.material.canaries[0].text, "top_k": 10}
    return httpx.post(lab.service.url, json=body, timeout=timeout, trust_env=False)


# --- people --------------------------------------------------------------------------------------------------------


def test_one_session_in_six_is_about_a_new_topic(opened: Open) -> None:
    lab = opened()
    named("a new topic").inject(lab)
    counts = sessions(a_day(lab))
    new = sum(count for place, count in counts.items() if place.endswith("-new"))
    assert new / counts.total() == pytest.approx(0.16, abs=0.04)


def test_one_session_in_five_is_in_a_new_language(opened: Open) -> None:
    lab = opened()
    truth = named("a new language").inject(lab)
    lines = a_day(lab)
    assert sum(line["lang"] == NEW_LANGUAGE for line in lines) / len(lines) == pytest.approx(0.2, abs=0.04)
    assert truth.segment == NEW_LANGUAGE


@pytest.mark.parametrize(("seed", "an_hour"), [(3, 60), (1, 120), (2, 400)])
def test_a_bot_asks_one_thing_again_and_again(opened: Open, seed: int, an_hour: int) -> None:
    lab = opened(seed)
    injectors.bot(lab)
    asked = [line["query"] for line in lab.people.hour(START, lab.service) if line["session"] == BOT_SESSION]
    assert Counter(asked).most_common() == [(asked[0], an_hour)]


def test_a_holiday_takes_more_than_half_of_the_traffic_away(opened: Open) -> None:
    lab = opened()
    before = len(a_day(lab))
    named("a holiday week").inject(lab)
    assert len(a_day(lab)) / before == pytest.approx(0.42, abs=0.05)


def test_a_generator_that_abstains_more_is_shown_what_it_was_shown(opened: Open) -> None:
    lab = opened()
    before = a_day(lab)
    named("the generator abstains").inject(lab)
    after = a_day(lab)
    assert [line["results"] for line in after] == [line["results"] for line in before]
    more = sum(line["abstained"] for line in after) - sum(line["abstained"] for line in before)
    assert more / len(before) == pytest.approx(0.2, abs=0.03)


# --- all of them ---------------------------------------------------------------------------------------------------


def test_two_at_once_are_both_there_and_both_told(opened: Open) -> None:
    lab = opened()
    before, scores = held(lab), answers(lab)
    truth = named("two: a language lost, scores rescaled").inject(lab)
    assert before.keys() - held(lab).keys() == truth.documents
    assert truth.segment
    assert max(score for hits in answers(lab) for _, score in hits) != max(
        score for hits in scores for _, score in hits
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_changes_something_and_affects_only_what_there_is(opened: Open, fault: Fault) -> None:
    lab = opened()
    before, known = _everything(lab), published(lab).keys()
    truth = fault.inject(lab)
    assert _everything(lab) != before
    assert truth.documents <= known | published(lab).keys()
    assert truth.queries <= {query.query_id for query in lab.material.canaries}
    assert truth.segment in {"", NEW_LANGUAGE, *LANGUAGES}


def _everything(lab: Laboratory) -> tuple[Any, ...]:
    files = [lab.folder / "store" / "docs.faiss", lab.folder / "store" / "ids.txt", lab.folder / "corpus.jsonl"]
    return (*(file.read_bytes() for file in files), lab.service.behaviour, lab.people.habits, lab.watching)


def test_no_two_faults_have_one_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
