"""The Evidently page: made beside the report, and never in its way."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from driftwatch.report import attached
from driftwatch.report.attached import NOT_ASKED, NOTE, PAGES, Attached, attach, read_attached
from driftwatch.report.drift_rows import MOST_ROWS, DriftRows, drift_rows
from driftwatch.types import Sample

HOSTILE = "en</script><script>alert(1)</script>"


def sampled(n: int, seed: int, *, scores: bool = True, lang: str = "de") -> Sample:
    random = np.random.default_rng(seed)
    found = np.sort(random.normal(0.6, 0.1, (n, 3)).astype(np.float32), axis=1)[:, ::-1]
    return Sample(
        query_id=np.full(n, ""),
        at=np.datetime64("2026-11-16T00:00", "us") + np.arange(n) * np.timedelta64(60, "s"),
        lang=np.where(np.arange(n) % 3 > 0, lang, HOSTILE),
        unit=np.arange(n, dtype=np.int64),
        weight=np.ones(n),
        scores=found if scores else np.full((n, 3), np.nan, np.float32),
    )


@pytest.fixture
def evidently() -> Iterator[None]:
    if importlib.util.find_spec("evidently") is None:
        pytest.skip("evidently is not installed: pip install 'driftwatch-rag[report]'")
    return


def test_rows_are_drawn_evenly_and_the_same_every_time() -> None:
    now, usual = [("live", sampled(15_000, 1)), ("push", sampled(4_000, 2))], [("live", sampled(900, 3))]
    rows, again = drift_rows(now, usual, 7), drift_rows(now, usual, 7)
    assert len(rows.now["best score"]) == MOST_ROWS // 2
    assert len(rows.usual["best score"]) == 900
    assert rows.arrays.keys() == again.arrays.keys()
    assert all(np.array_equal(rows.arrays[name], again.arrays[name], equal_nan=rows.arrays[name].dtype.kind == "f")
               for name in rows.arrays)  # fmt: skip
    assert 0.7 < np.mean(rows.now["source"] == "live") < 0.9


def test_a_row_without_scores_has_none_and_no_results() -> None:
    rows = drift_rows([("live", sampled(10, 1, scores=False))], [], 0)
    assert np.isnan(rows.now["best score"]).all()
    assert np.isnan(rows.now["results with a score"]).all()
    assert rows.usual == {}


@pytest.mark.process
def test_the_page_is_made_without_columns_that_are_empty_and_names_in_it_are_no_script(evidently: None) -> None:
    rows = drift_rows([("live", sampled(120, 1, scores=False))], [("live", sampled(130, 2))], 0)
    random = np.random.default_rng(3)
    vectors = [random.normal(size=(60, 40)).astype(np.float32) for _ in range(2)]
    found, files = attach(DriftRows(rows.now, rows.usual, *vectors).arrays)
    assert found.files == PAGES
    assert "3 columns of 250 sampled queries, and the embeddings of 120" in found.sentence
    page = files[PAGES[0]].decode()
    assert "alert(1)</script>" not in page
    assert "hour of the day" in page
    assert files.keys() == {NOTE, *PAGES}


@pytest.mark.process
def test_what_goes_wrong_in_it_is_a_sentence(evidently: None) -> None:
    found, files = attach(drift_rows([], [], 0).arrays)
    assert found == Attached(
        "There is no Evidently page: ValueError: no column has a value both in the week and in the baseline."
    )
    assert files == {NOTE: found.note}


@pytest.mark.process
def test_it_is_ended_when_it_takes_too_long(evidently: None) -> None:
    rows = drift_rows([("live", sampled(100, 1))], [("live", sampled(100, 2))], 0)
    found, _ = attach(rows.arrays, timedelta(milliseconds=50))
    assert found.sentence == "There is no Evidently page: it was not ready within 0.05s."


def test_without_the_package_the_report_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached.importlib.util, "find_spec", lambda _: None)
    found, _ = attach({})
    assert "evidently" in found.sentence
    assert "pip install 'driftwatch-rag[report]'" in found.sentence
    assert not found.files


def test_a_report_that_is_drawn_again_says_the_same_of_what_is_attached(tmp_path: Path) -> None:
    files = {NOTE: tmp_path / NOTE, PAGES[0]: tmp_path / PAGES[0]}
    assert read_attached(files) == (NOT_ASKED, {})
    note = Attached("Evidently's drift report: 5 columns.", PAGES[:1])
    files[NOTE].write_bytes(note.note)
    files[PAGES[0]].write_text("a page")
    assert read_attached(files) == (note, {NOTE: note.note, PAGES[0]: b"a page"})
    files[NOTE].write_text('{"sentence": "x", "files": ["../../etc/passwd"]}')
    assert read_attached(files)[0].files == ()
    files[NOTE].write_text("[]")
    assert read_attached(files) == (NOT_ASKED, {})
