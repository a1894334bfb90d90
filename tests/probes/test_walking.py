"""Which entries a run looks at, and what it knows of a list that it did not read."""

import json

import numpy as np
import pytest
from pydantic import Field

from driftwatch.probes.contents import Several, find_keys, hashes
from driftwatch.retrievers.faiss import Faiss
from driftwatch.types import Look
from tests.fakes.indexed import Indexed, drawn

pytestmark = pytest.mark.process


class Listed(Faiss):
    """Lists a hundred entries at a time, and counts the times."""

    blocks: list[int] = Field(default_factory=list)

    def entries(self):
        for block in super().entries():
            for start in range(0, len(block), 100):
                self.blocks.append(start)
                yield block[start : start + 100]


def listed(indexed):
    """The index, 1,000 entries in ten times."""
    return Listed(kind="faiss", index=indexed.folder / "docs.faiss", ids=indexed.folder / "ids.txt")


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Listed once a day, as an index is that is not listed in a moment."""
    monkeypatch.setattr("driftwatch.probes.walking.QUICK", 0.0)
    return Indexed(tmp_path, 1000)


def test_entries_without_a_text_do_not_hold_the_walk_up(large):
    rows = [json.loads(line) for line in (large.folder / "corpus.jsonl").read_text().splitlines()]
    for row in rows[::3]:
        row["text"] = ""
    (large.folder / "corpus.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    looked = [large.look().looks["stored vectors"] for _ in range(16)]
    assert sum(look.n for look in looked) == sum(1 for row in rows if row["text"])
    assert sum(look.values["without text"] for look in looked) == len(rows[::3])


def test_a_list_that_takes_most_of_a_run_does_not_end_the_walk_with_its_first_round(large):
    large.source = large.source.model_copy(update={"documents": 500})
    looks = []
    for _ in range(8):
        index = listed(large)
        looks.append(
            large.look(index=index, service=None, embedder=None, stopping=lambda index=index: len(index.blocks) > 15)
        )
    assert looks[-1].state["walk"]["round"] >= 1
    assert sum(look.looks["finds itself"].n > 0 for look in looks[3:]) >= 3


def test_a_list_that_is_never_read_to_its_end_is_said_with_the_remedy(large):
    large.source = large.source.model_copy(update={"seconds": 1e-9})
    looks = large.look(index=listed(large), service=None).looks
    for name in ("stored vectors", "missing documents", "orphans"):
        assert looks[name].unable.endswith("could not be read within 1e-09 seconds: raise 'seconds'")


def test_new_entries_are_looked_for_only_as_long_as_there_is_time(large):
    keys = hashes(["doc-0999"])
    assert find_keys(listed(large), None, keys, 10, lambda: True) == ["doc-0999"]
    assert find_keys(listed(large), None, keys, 10, lambda: False) == []


def test_between_two_lists_a_document_that_the_source_took_down_is_not_missing(large):
    large.look()
    large.held.pop("doc-0002")
    large.texts.pop("doc-0002")
    large.write()
    for _ in range(3):
        assert large.look().looks.get("missing documents", Look()).bad == 0


def test_between_two_lists_what_canaries_expect_may_lag_and_is_well_once_it_is_back(large):
    large.look()
    large.held.pop("doc-0002")
    large.write()
    assert "missing documents" not in large.look().looks
    assert large.look().looks["missing documents"].ids == ("doc-0002",)
    large.held["doc-0002"] = large.texts["doc-0002"]
    large.write()
    look = large.look().looks["missing documents"]
    assert (look.bad, look.values["listed"]) == (0, 1)


def test_between_two_lists_and_without_a_source_the_newest_look_counts(large):
    large.look(corpus=None)
    large.held.pop("doc-0002")
    large.write()
    assert large.look(corpus=None).looks["missing documents"].bad == 1
    large.held["doc-0002"] = large.texts["doc-0002"]
    large.write()
    assert large.look(corpus=None).looks["missing documents"].bad == 0


def test_a_run_looks_at_as_many_as_it_is_told_whatever_they_are_called(tmp_path):
    indexed = Indexed(tmp_path, 900)
    indexed.texts = {f"{'https://help.example/articles/' * 3}{doc_id}": text for doc_id, text in indexed.texts.items()}
    indexed.held = dict(indexed.texts)
    indexed.write()
    indexed.source = indexed.source.model_copy(update={"documents": 600, "most_documents": 600})
    first, second = indexed.look(), indexed.look()
    assert [each.looks["stored vectors"].n for each in (first, second)] == [600, 300]
    assert len(json.dumps(second.state)) < 100_000


def test_a_document_that_was_ingested_twice_hides_no_other(large):
    ids = large.folder / "ids.txt"
    ids.write_text(ids.read_text().replace("doc-0999", "doc-0000"))
    large.source = large.source.model_copy(update={"documents": 1000, "most_documents": 1000})
    for _ in range(2):
        look = large.look().looks["stored vectors"]
        assert (look.n, look.bad, look.values["without text"]) == (998, 0, 2)


def test_documents_that_have_several_entries_are_remembered_one_by_one_up_to_a_number():
    some = Several.of(hashes(["a", "b"]))
    again = Several.read(some.dump())
    assert ["a" in again, "b" in again, "c" in again] == [True, True, False]
    most = Several.of(hashes([str(number) for number in range(1001)]))
    assert "anything" in Several.read(most.dump())
    assert "a" not in Several.read("?!")
    assert "a" not in Several.read(None)


def test_the_smallest_sample_still_asks_again_what_is_known_to_be_bad(tmp_path):
    indexed = Indexed(tmp_path, 30)
    indexed.source = indexed.source.model_copy(update={"documents": 1})
    indexed.spoil(["doc-0003"])
    while not indexed.look().looks["stored vectors"].values["known"]:
        assert len(indexed.probes) < 40, "the walk comes to each in thirty looks"
    indexed.instead.clear()
    indexed.write()
    assert indexed.look().looks["stored vectors"].values["known"] == 0


def test_suspects_that_lie_ahead_of_the_walk_do_not_stand_for_the_index(tmp_path):
    indexed = Indexed(tmp_path, 200)
    indexed.look()
    for doc_id in list(indexed.held)[::2]:
        (fresh,) = indexed.embedder.encode_documents([indexed.held[doc_id]])
        before = fresh + 0.7 * drawn(f"what {doc_id} said before")
        indexed.instead[doc_id] = (before / np.linalg.norm(before)).astype(np.float32)
    indexed.write()
    assert indexed.look().looks["stored vectors"].values["suspects"] > 40
    new = {f"doc-10{number:02}": f"topic{number % 10}: new {number}" for number in range(48)}
    indexed.texts |= new
    indexed.held |= new
    indexed.write()
    look = indexed.look().looks["stored vectors"]
    assert look.words["kind"] == "other text"
    assert look.values["displacement p50"] < 0.01


def test_what_is_known_to_be_bad_does_not_move_the_walk_past_what_lies_before_it(tmp_path):
    indexed = Indexed(tmp_path, 400)
    indexed.spoil([f"doc-{number:04}" for number in range(0, 400, 9)])
    while indexed.look().looks["stored vectors"].values["known"] < 45:
        assert len(indexed.probes) < 20
    began = indexed.probes[-1].state["walk"]["round"]
    for _ in range(14):
        indexed.look()
    assert indexed.probes[-1].state["walk"]["round"] - began <= 1 + 14 * 64 // 400
