"""The corpus embedded anew: nothing twice, nothing lost, and killed anywhere the same index in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from driftwatch.documents import Documents
from driftwatch.errors import RetrainError
from driftwatch.retrain.held import Held
from driftwatch.retrain.kept import KeptVectors, keys_of
from driftwatch.retrain.rebuild import AT_ONCE, Progress, Rebuilt, rebuild, sample, shards
from driftwatch.retrained import Passage
from driftwatch.retrievers.faiss import Faiss
from tests.fakes.dies import Dying, killed
from tests.fakes.rebuilt import WIDTH, Model, corpus_file, faiss_index, passages

RELEASE = "20260504T120000Z-1aafbb77"


class Memory:
    """A writer that keeps everything in memory, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.rows: dict[str, np.ndarray] = {}

    def begin(self, dimension: int) -> None:
        self.calls.append(f"begin {dimension}")

    def write(self, number: int, passages: Sequence[Passage], vectors: np.ndarray) -> None:
        self.calls.append(f"write {number}")
        self.rows |= {each.passage_id: row for each, row in zip(passages, vectors, strict=True)}

    def finish(self) -> dict[str, str]:
        self.calls.append("finish")
        return {"kind": "faiss", "index": "index/docs.faiss"}

    def discard(self) -> None:
        self.calls.append("discard")
        self.rows.clear()


def stopping_after(calls: int) -> Callable[[], bool]:
    left = iter([False] * calls)
    return lambda: next(left, True)


class Counting:
    """Never stops; how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return False


def test_every_passage_gets_the_new_models_vector(tmp_path):
    writer, model, corpus = Memory(), Model(), passages()
    done = rebuild(corpus, model, writer, tmp_path, shard=25)
    assert isinstance(done, Rebuilt)
    assert (done.count, done.dimension, done.index["index"]) == (len(corpus), WIDTH, "index/docs.faiss")
    assert set(writer.rows) == {each.passage_id for each in corpus}
    for each in corpus:
        np.testing.assert_array_equal(writer.rows[each.passage_id], model.encode_documents([each.text])[0])


def test_a_document_is_never_cut_between_shards():
    corpus = passages(40)
    pieces = list(shards(corpus, 11))
    assert [each for piece in pieces for each in piece] == corpus
    owners = [{each.parent for each in piece} for piece in pieces]
    assert not any(a & b for a, b in pairwise(owners))
    assert {len(piece) for piece in pieces[:-1]} <= {11, 12}


def test_a_finished_index_is_not_built_again(tmp_path):
    first = rebuild(passages(), Model(), Memory(), tmp_path, shard=25)
    writer, model = Memory(), Model()
    assert rebuild(passages(), model, writer, tmp_path, shard=25) == first
    assert (writer.calls, model.embedded) == ([], [])


def test_only_texts_that_changed_are_embedded_again(tmp_path):
    rebuild(passages(), Model(), Memory(), tmp_path, shard=25)
    writer, model = Memory(), Model()
    changed = [Passage("doc-new", "doc-new", "a new one"), *passages(changed=frozenset({7, 90}))]
    done = rebuild(changed, model, writer, tmp_path, shard=25)
    assert done is not None
    assert sorted(model.embedded) == ["a new one", "another text 0 of document 7", "another text 0 of document 90",
                                      "another text 1 of document 90"]  # fmt: skip
    assert writer.calls[0] == "discard"
    assert len(writer.rows) == len(changed)


def test_another_model_embeds_everything_again(tmp_path):
    rebuild(passages(), Model(), Memory(), tmp_path, shard=25)
    model = Model("newer")
    rebuild(passages(), model, Memory(), tmp_path, shard=25)
    assert len(model.embedded) == len(passages())
    assert len(list((tmp_path / "vectors").iterdir())) == 1


def test_a_text_that_comes_twice_is_embedded_once(tmp_path):
    corpus = [Passage(f"doc-{number}", f"doc-{number}", "the same") for number in range(30)]
    writer, model = Memory(), Model()
    rebuild(corpus, model, writer, tmp_path, shard=10)
    assert model.embedded == ["the same"]
    assert len(writer.rows) == 30


def test_who_reads_ahead_is_given_the_same_shards(tmp_path):
    """As a cluster does: all texts are asked for before there is a vector of any."""
    corpus = [*passages(), *(Passage(f"again-{each.passage_id}", f"again-{each.parent}", each.text)
                             for each in passages()), Passage("last", "last", "a last one")]  # fmt: skip
    made = []
    for name in ("here", "ahead"):
        model, writer, asked = Model(), Memory(), list[int]()

        def encode(shards, model=model, asked=asked):
            asked += map(len, shards := list(shards))
            return map(model.encode_documents, shards)

        done = rebuild(corpus, model, writer, tmp_path / name, shard=25, encode=encode if name == "ahead" else None)
        made.append((done, model.embedded, {each: row.tolist() for each, row in writer.rows.items()}))
    assert made[0] == made[1]
    assert len(asked) > 3
    assert sum(asked) == len(passages()) + 1


def test_who_reads_ahead_is_told_to_stop_and_loses_nothing(tmp_path):
    model = Model()

    def encode(shards):
        return map(model.encode_documents, list(shards))

    assert rebuild(passages(), model, Memory(), tmp_path, shard=25, stopping=stopping_after(2), encode=encode) is None
    assert rebuild(passages(), model, Memory(), tmp_path, shard=25, encode=encode) is not None
    assert sorted(model.embedded) == sorted(each.text for each in passages())


def test_told_to_stop_it_stops_and_goes_on_later(tmp_path):
    stopped, again, whole = Model(), Model(), Memory()
    assert rebuild(passages(), stopped, whole, tmp_path, shard=25, stopping=stopping_after(2)) is None
    assert rebuild(passages(), again, whole, tmp_path, shard=25) is not None
    assert sorted(stopped.embedded + again.embedded) == sorted(each.text for each in passages())


def test_it_stops_while_it_writes_and_writes_no_shard_again(tmp_path):
    rebuild(passages(), Model(), Memory(), tmp_path, shard=25, stopping=stopping_after(6))
    writer = Memory()
    assert rebuild(passages(), Model(), writer, tmp_path, shard=25, stopping=stopping_after(2)) is None
    assert writer.calls == ["begin 24", "write 0", "write 1"]
    rebuild(passages(), Model(), writer, tmp_path, shard=25)
    assert writer.calls[3:] == ["begin 24", "write 2", "write 3", "write 4", "write 5", "finish"]


def test_the_rate_is_kept_and_the_progress_says_how_long_it_takes(tmp_path):
    time, told = [0.0], list[Progress]()

    def wait(seconds: float) -> None:
        time[0] += seconds

    corpus = [Passage(str(number), str(number), f"text {number}") for number in range(4 * AT_ONCE)]
    settings = {"shard": 2 * AT_ONCE, "rate": 100.0, "clock": lambda: time[0], "wait": wait}
    rebuild(corpus, Model(), Memory(), tmp_path, progress=told.append, **settings)
    assert time[0] == pytest.approx(3 * AT_ONCE / 100)
    embedding = [each for each in told if each.stage == "embed"]
    assert [each.done for each in embedding][-1] == len(corpus)
    halfway = next(each for each in embedding if each.done == 3 * AT_ONCE)
    assert halfway.eta_seconds == pytest.approx(AT_ONCE * 2 / 3 / 100)
    assert told[-1].stage == "build"


def test_waiting_for_the_rate_does_not_keep_it_from_stopping(tmp_path):
    slept = list[float]()
    corpus = [Passage(str(number), str(number), f"text {number}") for number in range(2 * AT_ONCE)]
    done = rebuild(corpus, Model(), Memory(), tmp_path, shard=10**4, rate=0.001, stopping=stopping_after(3),
                   clock=lambda: sum(slept), wait=slept.append)  # fmt: skip
    assert done is None
    assert sum(slept) <= 3


def test_a_vector_of_no_numbers_is_an_error_that_names_the_passage(tmp_path):
    class Broken(Model):
        def encode_documents(self, texts):
            rows = super().encode_documents(texts)
            rows[3] = np.nan
            return rows

    with pytest.raises(RetrainError, match="no numbers for 'doc-002'"):
        rebuild(passages(), Broken(), Memory(), tmp_path, shard=25)


def test_no_documents_are_an_error(tmp_path):
    with pytest.raises(RetrainError, match="no documents to embed"):
        rebuild([], Model(), Memory(), tmp_path, shard=25)


class Changing(list):
    """A corpus that is another one each time it is read; the last stays."""

    def __init__(self, *readings: Sequence[Passage]) -> None:
        super().__init__(readings[0])
        self.left = list(readings)

    def __iter__(self):
        return iter(self.left.pop(0) if len(self.left) > 1 else self.left[0])


def holds(writer: Memory, corpus: Sequence[Passage]) -> bool:
    """Whether that is what is in it, each with the vector of its text."""
    vectors = {each.passage_id: Model().encode_documents([each.text])[0].tolist() for each in corpus}
    return {name: row.tolist() for name, row in writer.rows.items()} == vectors


def test_what_changes_between_the_passes_is_embedded_and_the_index_is_what_was_read_last(tmp_path):
    """Deleted, changed and added: an index that is written to all the time must not keep it from ever being built."""
    later = [*passages(changed=frozenset({7, 90}))[3:], Passage("doc-new", "doc-new", "a new one")]
    writer, model = Memory(), Model()
    done = rebuild(Changing(passages(), later), model, writer, tmp_path, shard=25)
    assert holds(writer, later)
    assert len(model.embedded) == len(passages()) + 4
    again = rebuild(later, Model(), writer, tmp_path, shard=25)
    assert (again, done.count) == (done, len(later))
    assert rebuild(passages(), Model(), Memory(), tmp_path, shard=25).corpus != done.corpus


@pytest.mark.parametrize("stops_after", [1, 2, 3])
@pytest.mark.parametrize(
    ("later", "rewritten"),
    [
        (passages(121), False),
        (passages(changed=frozenset({119})), False),
        (passages(changed=frozenset({0})), True),
        (passages()[2:], True),
        (passages(5), True),
    ],
    ids=["added", "changed-at-the-end", "changed-at-the-beginning", "deleted", "hardly-any-left"],
)
def test_stopped_while_it_writes_it_goes_on_only_where_what_is_written_still_holds(
    tmp_path, later, rewritten, stops_after
):
    writer = Memory()
    rebuild(passages(), Model(), Memory(), tmp_path / "counted", shard=25, stopping=(told := Counting()))
    embedding = told.asked - 6  # it is asked before each shard that is written, too
    told = stopping_after(embedding + stops_after)
    assert rebuild(passages(), Model(), writer, tmp_path / "work", shard=25, stopping=told) is None
    assert len(writer.calls) == 2 + stops_after
    done = rebuild(later, Model(), writer, tmp_path / "work", shard=25)
    assert holds(writer, later)
    assert done.count == len(later)
    assert ("discard" in writer.calls[2 + stops_after :]) == rewritten


def test_killed_while_the_store_builds_it_a_changed_corpus_is_written_anew(tmp_path):
    class Killed(Memory):
        def finish(self):
            super().finish()
            raise KeyboardInterrupt

    writer = Killed()
    with pytest.raises(KeyboardInterrupt):
        rebuild(passages(), Model(), writer, tmp_path, shard=25)
    again = Memory()
    assert rebuild(passages(), Model(), again, tmp_path, shard=25) is not None
    assert again.calls == ["finish"]
    (tmp_path / "written.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        rebuild(passages(), Model(), writer, tmp_path, shard=25)
    rebuild(passages(121), Model(), again, tmp_path, shard=25)
    assert again.calls[1] == "discard"
    assert holds(again, passages(121))


def test_documents_that_are_all_gone_when_they_are_written_are_an_error(tmp_path):
    with pytest.raises(RetrainError, match="no documents to embed"):
        rebuild(Changing(passages(), []), Model(), Memory(), tmp_path, shard=25)


def test_memory_holds_one_shard_of_texts_and_vectors(tmp_path):
    asked = list[int]()

    class Watching(Memory):
        def write(self, number, passages, vectors):
            asked.append(len(vectors))

    rebuild(passages(), Model(), Watching(), tmp_path, shard=10)
    assert max(asked) <= 11


def test_the_sample_for_the_check_is_the_same_each_time(tmp_path):
    model = Model()
    rebuild(passages(), model, Memory(), tmp_path, shard=25)
    first = sample(passages(), tmp_path, model, 20)
    again = sample(passages()[::-1], tmp_path, model, 20)
    assert [passage for passage, _ in first] == [passage for passage, _ in again]
    np.testing.assert_array_equal(first[0][1], model.encode_documents([first[0][0].text])[0])


def test_a_piece_counts_once_its_keys_are_there(tmp_path):
    kept = KeptVectors.opened(tmp_path, "m")
    kept.add(keys_of(["a"]), np.ones((1, 4), np.float32))
    kept._path(1, ".keys").unlink()
    again = KeptVectors.opened(tmp_path, "m")
    assert not again.has(keys_of(["a"])).any()
    again.add(keys_of(["b"]), np.zeros((1, 4), np.float32))
    assert again.vectors(keys_of(["b", "b"])).tolist() == [[0] * 4] * 2


# --- what the index in use holds -----------------------------------------------------------------------------------


def test_passages_of_a_faiss_index_have_the_texts_of_the_documents(tmp_path):
    corpus = [each for each in passages() if each.passage_id == each.parent]
    index = faiss_index(tmp_path / "old", corpus)
    documents = Documents(path=str(corpus_file(tmp_path / "corpus.jsonl", corpus)))
    held = Held(index, documents.corpus(tmp_path))
    assert len(held) == len(corpus)
    assert [(each.passage_id, each.parent, each.text) for each in held] == [
        (each.parent, each.parent, each.text) for each in corpus
    ]


def test_an_entry_without_a_text_is_an_error_and_never_left_out(tmp_path):
    corpus = [each for each in passages() if each.passage_id == each.parent]
    index = faiss_index(tmp_path / "old", corpus)
    documents = Documents(path=str(corpus_file(tmp_path / "corpus.jsonl", corpus[:-1])))
    with pytest.raises(RetrainError, match="text of the entry 'doc-119'"):
        list(Held(index, documents.corpus(tmp_path)))


def test_a_document_with_several_entries_and_no_texts_is_an_error(tmp_path):
    index = faiss_index(tmp_path / "old", passages())
    documents = Documents(path=str(corpus_file(tmp_path / "corpus.jsonl", passages())))
    with pytest.raises(RetrainError, match="'doc-000' has several entries"):
        list(Held(index, documents.corpus(tmp_path)))


# --- killed --------------------------------------------------------------------------------------------------------


def _again(folder: Path) -> Callable[[], Rebuilt | None]:
    from driftwatch.retrain.writers import writer_for

    old = Faiss(kind="faiss", index=folder / "old/docs.faiss", ids=folder / "old/ids.txt")
    writer = Dying(writer_for(old, RELEASE, folder / "release/index"))
    return lambda: rebuild(passages(), Model(), writer, folder / "work", shard=70)


def story(folder: Path) -> Callable[[], Rebuilt | None]:
    faiss_index(folder / "old", passages())
    return _again(folder)


@pytest.mark.process
def test_killed_at_any_write_it_ends_with_the_index_of_one_that_was_not(tmp_path, monkeypatch):
    import faiss

    folders = killed("tests.retrain.test_rebuild:story", tmp_path, "faiss", "faiss.contrib.factory_tools")
    wanted = (folders[-1] / "release/index/docs.faiss").read_bytes()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # several threads link a graph in whatever order they come
    try:
        for folder in folders[:-1]:
            done = _again(folder)()
            assert done is not None
            assert (folder / "release/index/docs.faiss").read_bytes() == wanted
            assert (folder / "release/index/ids.txt").read_text() == (folder / "old/ids.txt").read_text()
            assert not list((folder / "release/index").glob(".parts*"))
    finally:
        faiss.omp_set_num_threads(threads)
    assert len(folders) > 20
