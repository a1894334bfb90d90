"""The folder that a model is trained from: whole, readable again, and sealed."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json, read_nouns, seal, sealed, write_json, write_nouns
from driftwatch.retrained import Asked, Pair, Row

PAIRS = [
    Pair("how do I reset it", "doc-1", "en", origin="click", count=4, at=datetime(2026, 11, 1, 9, tzinfo=UTC)),
    Pair("wie setze ich es zurück", "doc-1", "de", relevant=False, origin="down"),
]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    assert write_nouns(tmp_path, PAIRS, Pair) == 2
    assert list(read_nouns(tmp_path, Pair)) == PAIRS


def test_rows_and_questions_keep_their_shape(tmp_path: Path) -> None:
    row = Row("q", "doc-1", ("doc-2", "doc-3#1"), ("dense", "bm25"), "en")
    asked = Asked("c-1", "q", "en", {"doc-1": 2}, "canary")
    write_nouns(tmp_path, [row], Row)
    write_nouns(tmp_path, [asked], Asked)
    assert list(read_nouns(tmp_path, Row)) == [row]
    assert list(read_nouns(tmp_path, Asked)) == [asked]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    write_nouns(tmp_path, PAIRS, Pair)
    with (tmp_path / "pairs.jsonl").open("a") as file:
        file.write('{"query": "cut o')
    with pytest.raises(RetrainError, match=r"pairs\.jsonl:3: is not a pair"):
        list(read_nouns(tmp_path, Pair))


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match="Run the step"):
        list(read_nouns(tmp_path, Row))


def test_what_breaks_while_it_is_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_nouns(tmp_path, PAIRS, Pair)

    def breaks() -> object:
        yield PAIRS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_nouns(tmp_path, breaks(), Pair)  # type: ignore[arg-type]
    assert list(read_nouns(tmp_path, Pair)) == PAIRS
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_a_sealed_dataset_is_known_again_and_a_changed_one_is_not(tmp_path: Path) -> None:
    write_nouns(tmp_path, PAIRS, Pair)
    whole = seal(tmp_path, {"seed": 3})
    assert sealed(tmp_path) == whole
    write_nouns(tmp_path, PAIRS[:1], Pair)
    with pytest.raises(RetrainError, match="not what it was"):
        sealed(tmp_path)


@pytest.mark.parametrize("harm", ["a file more", "a file less", "another hash", "no files"])
def test_a_manifest_that_was_changed_with_its_files_is_no_seal(tmp_path: Path, harm: str) -> None:
    """Who changes rows and puts their new hash in its place does not get the old name for it."""
    write_nouns(tmp_path, PAIRS, Pair)
    write_nouns(tmp_path, [Row("q", "doc-1")], Row)
    seal(tmp_path, {})
    manifest = read_json(tmp_path / "manifest.json")
    if harm == "a file more":
        write_nouns(tmp_path, [Asked("c-1", "q")], Asked)
    elif harm == "a file less":
        del manifest["files"]["rows.jsonl"]
    elif harm == "another hash":
        write_nouns(tmp_path, PAIRS[:1], Pair)
        manifest["files"]["pairs.jsonl"] = sha256((tmp_path / "pairs.jsonl").read_bytes()).hexdigest()
    else:
        manifest["files"] = None
    write_json(tmp_path / "manifest.json", manifest)
    with pytest.raises(RetrainError, match="not what it was"):
        sealed(tmp_path)


def test_the_hash_depends_on_nothing_but_the_files(tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        write_nouns(tmp_path / name, PAIRS, Pair)
        hashes.append(seal(tmp_path / name, {"made": name}))
    assert hashes[0] == hashes[1]
