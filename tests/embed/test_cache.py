from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.embed._cache import VectorCache, text_key

WIDTH = 8
RECORD = 16 + 4 + 2 * WIDTH


def keys(*texts: str) -> list[bytes]:
    return [text_key("query", text) for text in texts]


def rows(count: int, first: float = 0.0) -> NDArray[np.float16]:
    return (np.arange(count * WIDTH, dtype=np.float16).reshape(count, WIDTH) + np.float16(first)).astype(np.float16)


def cache(folder: Path, fingerprint: str = "model@1", max_bytes: int = 10**6) -> VectorCache:
    return VectorCache(folder, fingerprint, max_bytes)


def many(count: int, start: int = 0) -> tuple[list[bytes], NDArray[np.float16]]:
    vectors = np.full((count, WIDTH), 1, np.float16) * np.arange(count, dtype=np.float16)[:, None]
    return keys(*(f"text {start + number}" for number in range(count))), vectors


def known(store: VectorCache, names: Sequence[str]) -> list[str]:
    found = store.get(keys(*names))
    return [name for name in names if text_key("query", name) in found]


def test_vectors_come_back_as_they_went_in(tmp_path: Path) -> None:
    cache(tmp_path).add(keys("a", "b", "c"), rows(3))
    found = cache(tmp_path).get(keys("c", "a", "unknown"))
    assert set(found) == set(keys("a", "c"))
    assert np.array_equal(found[keys("c")[0]], rows(3)[2])


def test_what_one_cache_writes_another_open_one_sees(tmp_path: Path) -> None:
    reader, writer = cache(tmp_path), cache(tmp_path)
    assert reader.get(keys("a")) == {}
    writer.add(keys("a"), rows(1))
    writer.add(keys("b"), rows(1))
    assert len(reader.get(keys("a", "b"))) == 2


def test_a_query_and_a_document_of_the_same_text_are_two_things() -> None:
    assert text_key("query", "a") != text_key("document", "a")
    assert text_key("query", "\ud800") != text_key("query", "?")


def test_fingerprints_do_not_share_vectors(tmp_path: Path) -> None:
    cache(tmp_path, "model@1").add(keys("a"), rows(1))
    assert cache(tmp_path, "model@2").get(keys("a")) == {}


def test_the_newest_of_two_equal_keys_counts(tmp_path: Path) -> None:
    store = cache(tmp_path)
    store.add(keys("a"), rows(1))
    store.add(keys("a"), rows(1, first=50))
    assert store.get(keys("a"))[keys("a")[0]][0] == 50


@pytest.mark.parametrize("torn", [1, 15, 17, RECORD - 1])
def test_a_torn_tail_is_dropped_and_written_over(tmp_path: Path, torn: int) -> None:
    cache(tmp_path).add(keys("a", "b"), rows(2))
    path = tmp_path / "model@1" / "young.vec"
    path.write_bytes(path.read_bytes()[: -RECORD + torn])
    assert known(cache(tmp_path), ["a", "b"]) == ["a"]
    cache(tmp_path).add(keys("c"), rows(1, first=9))
    assert known(cache(tmp_path), ["a", "b", "c"]) == ["a", "c"]
    assert (path.stat().st_size - 16) % RECORD == 0


def test_a_damaged_vector_is_not_read(tmp_path: Path) -> None:
    cache(tmp_path).add(keys("a", "b"), rows(2))
    path = tmp_path / "model@1" / "young.vec"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)
    assert known(cache(tmp_path), ["a", "b"]) == ["a"]


def test_blocks_that_a_power_cut_left_empty_are_not_read(tmp_path: Path) -> None:
    cache(tmp_path).add(keys("a"), rows(1))
    path = tmp_path / "model@1" / "young.vec"
    with path.open("ab") as stream:
        stream.write(bytes(RECORD))
    store = cache(tmp_path)
    assert known(store, ["a"]) == ["a"]
    assert store.get([bytes(16)]) == {}


@pytest.mark.parametrize("content", [b"", b"x", b"something else entirely, and longer than a header"])
def test_a_file_that_is_not_ours_is_started_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model@1" / "young.vec"
    path.parent.mkdir()
    path.write_bytes(content)
    store = cache(tmp_path)
    assert store.get(keys("a")) == {}
    store.add(keys("a"), rows(1))
    assert known(store, ["a"]) == ["a"]


def test_it_never_grows_beyond_its_limit_and_keeps_what_is_used(tmp_path: Path) -> None:
    limit = 40 * RECORD
    store = cache(tmp_path, max_bytes=limit)
    store.add(keys("used"), rows(1))
    for start in range(0, 400, 10):
        store.add(*many(10, start))
        assert known(store, ["used"]) == ["used"]
        assert sum(file.stat().st_size for file in tmp_path.rglob("*.vec")) <= limit + 12 * RECORD
    assert known(store, ["text 0"]) == []
    assert known(store, ["text 399"]) == ["text 399"]


def test_old_fingerprints_make_room(tmp_path: Path) -> None:
    limit = 40 * RECORD
    for number in range(6):
        cache(tmp_path, f"model@{number}", limit).add(*many(15))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left[-1] == "model@5"
    assert len(left) <= 3


def test_folders_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.vec").write_bytes(bytes(10**6))
    cache(tmp_path, max_bytes=100)
    assert (tmp_path / "photos" / "cat.vec").exists()


def test_a_disk_that_refuses_costs_the_cache_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        cache(tmp_path / "file").add(keys("a"), rows(1))
    assert "vectors are not kept" in caplog.text


WRITER = """
import sys, numpy as np
from pathlib import Path
from driftwatch.embed._cache import VectorCache, text_key
store = VectorCache(Path(sys.argv[1]), "model@1", 10**7)
for number in range(200):
    store.add([text_key("query", f"{sys.argv[2]} {number}")], np.full((1, 8), number, np.float16))
"""


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name]) for name in ("left", "right")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = cache(tmp_path).get(keys(*(f"{name} {number}" for name in ("left", "right") for number in range(200))))
    assert len(found) == 400
    assert all(found[text_key("query", f"left {number}")][0] == number for number in range(200))


def test_lookups_do_not_confuse_keys_with_the_same_beginning(tmp_path: Path) -> None:
    one, other = b"same----" + b"A" * 8, b"same----" + b"B" * 8
    store = cache(tmp_path)
    store.add([one], rows(1))
    assert store.get([other]) == {}
    assert set(store.get([one])) == {one}
