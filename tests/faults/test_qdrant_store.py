"""The laboratory's Qdrant holds what it is told to hold, asked over its own protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("qdrant_edge", reason="qdrant-edge-py is not installed (extra 'test')")

from tests.faults import injectors
from tests.faults.injectors import Truth
from tests.faults.laboratory import Laboratory, furnished
from tests.faults.material import QUERY_PROMPT
from tests.faults.qdrant_store import NAME
from tests.faults.small import WIDTH, small_material
from tests.faults.stores import Build, Entries

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def furniture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Laboratory, Entries]]:
    """One server for all, as to start one takes a second, and what it held at first."""
    lab = furnished(tmp_path_factory.mktemp("qdrant"), "qdrant", 3, small_material())
    yield lab, lab.entries
    lab.close()


@pytest.fixture
def lab(furniture: tuple[Laboratory, Entries]) -> Laboratory:
    """As it was furnished, whatever another test made of it."""
    lab, entries = furniture
    lab.index(entries, Build())
    return lab


def asked(lab: Laboratory, method: str, path: str = "", body: Any = None) -> Any:
    url = f"{lab.store.setting()['url']}/collections/{NAME}{path}"
    answer = httpx.request(method, url, json=body, trust_env=False)
    answer.raise_for_status()
    return answer.json()["result"]


def held(lab: Laboratory) -> dict[str, NDArray[np.float32]]:
    """doc_id -> its vector in the collection."""
    points = asked(lab, "POST", "/points/scroll", {"limit": 10_000, "with_vector": True})["points"]
    return {each["payload"]["doc_id"]: np.asarray(each["vector"], np.float32) for each in points}


def test_lost_documents_are_gone_from_the_collection(lab: Laboratory) -> None:
    before = held(lab)
    truth = injectors.documents_lost(lab)
    assert before.keys() - held(lab).keys() == truth.documents
    assert truth.documents


def test_vectors_of_another_model_stand_where_the_first_models_stood(lab: Laboratory) -> None:
    before = held(lab)
    truth = injectors.wrong_model(0.1)(lab)
    after = held(lab)
    assert {each for each in before if float(before[each] @ after[each]) < 0.999} == truth.documents
    assert before.keys() == after.keys()


def test_truncated_vectors_need_a_new_collection(lab: Laboratory) -> None:
    assert asked(lab, "GET")["config"]["params"]["vectors"]["size"] == WIDTH
    injectors.truncated(lab)
    assert asked(lab, "GET")["config"]["params"]["vectors"]["size"] == 96
    assert asked(lab, "GET")["points_count"] == len(lab.entries)


@pytest.mark.parametrize("injected", [injectors.half_of_the_links, injectors.tiny_ef, injectors.tiny_nprobe])
def test_a_graph_that_is_built_carelessly_finds_less_of_the_same_vectors(
    lab: Laboratory, injected: Callable[[Laboratory], Truth]
) -> None:
    before, recall = held(lab), _found(lab)
    injected(lab)
    after = held(lab)
    assert recall > 0.95
    assert _found(lab) < 0.95 * recall
    assert all(np.array_equal(before[each], after[each]) for each in before)


def _found(lab: Laboratory) -> float:
    vectors = lab.material.encoded(QUERY_PROMPT, [query.text for query in lab.material.canaries])
    best = np.argsort(-(vectors @ lab.entries.vectors.T), axis=1)[:, :10]
    hits = lab.store.search(vectors, 10)
    wanted = [{lab.entries.ids[row] for row in rows} for rows in best]
    return float(
        np.mean([len(want & {doc_id for doc_id, _ in one}) / 10 for want, one in zip(wanted, hits, strict=True)])
    )


def test_quantised_vectors_rank_otherwise(lab: Laboratory) -> None:
    recall = _found(lab)
    injectors.quantised(lab)
    assert asked(lab, "GET")["config"]["quantization_config"] == {"product": {"compression": "x64"}}
    assert _found(lab) < recall


def test_what_another_process_changed_is_written_again(lab: Laboratory) -> None:
    before = held(lab)
    asked(lab, "DELETE")
    lab.store.restore()
    assert held(lab).keys() == before.keys()
