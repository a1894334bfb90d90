"""The example service: it serves what was promoted, model, index and cut-off together."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes.help_centre import EXAMPLE

faiss = pytest.importorskip("faiss", reason="faiss is not installed (extra 'embed')")


@pytest.fixture(scope="module")
def service() -> Any:
    spec = importlib.util.spec_from_file_location("help_centre_service", EXAMPLE / "service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their annotations up there
    spec.loader.exec_module(module)
    return module


def _release(releases: Path, name: str, threshold: float | None) -> None:
    folder = releases / "releases" / name
    (folder / "model").mkdir(parents=True)
    flat = faiss.IndexFlatIP(4)
    flat.add(np.eye(2, 4, dtype=np.float32))
    faiss.write_index(flat, str(folder / "articles.faiss"))
    (folder / "ids.txt").write_text("en-b\nen-a\n")
    index = {"kind": "faiss", "index": str(folder / "articles.faiss"), "ids": str(folder / "ids.txt")}
    (folder / "manifest.json").write_text(
        json.dumps({"model": "model", "index": index, "threshold": threshold, "job": "20260101-00000000"})
    )
    _link(releases, name).replace(releases / "current")


def test_without_a_release_the_packaged_model_serves(service: Any, tmp_path: Path) -> None:
    assert service.in_use(None) == service.in_use(tmp_path) == service.Release()


def test_model_index_and_cut_off_come_from_one_manifest(service: Any, tmp_path: Path) -> None:
    _release(tmp_path, "first", 0.3)
    found = service.in_use(tmp_path)
    assert (found.name, found.threshold) == ("first", 0.3)
    assert found.model == tmp_path / "releases" / "first" / "model"
    articles = [service.Article("en-a", "A", "a"), service.Article("en-b", "B", "b")]
    index = service.Index.read(articles, found)
    hits = index.search(np.array([[1, 0.5, 0, 0]], np.float32), 2)[0]
    assert [(hit.article.doc_id, hit.score) for hit in hits] == [("en-b", 1.0), ("en-a", 0.5)]


def test_a_switch_is_seen_and_so_is_its_way_back(service: Any, tmp_path: Path) -> None:
    _release(tmp_path, "first", None)
    before = service.in_use(tmp_path)
    _release(tmp_path, "second", 0.5)
    assert service.in_use(tmp_path) != before
    _link(tmp_path, "first").replace(tmp_path / "current")
    assert service.in_use(tmp_path) == before
    assert before.threshold == service.THRESHOLD


def _link(releases: Path, name: str) -> Path:
    link = releases / "next"
    link.symlink_to(Path("releases") / name)
    return link
