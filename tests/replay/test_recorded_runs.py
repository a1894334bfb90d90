import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.errors import SourceError
from driftwatch.replay.reading import Taken
from driftwatch.replay.record import FOREVER
from driftwatch.replay.recorded_runs import read_runs
from driftwatch.store import Store
from driftwatch.types import Run, ScoredDoc

START = datetime(2026, 5, 4, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'replay.db'}")
    yield opened
    opened.close()


def answer(at: datetime, query_id: str = "q1", **more: Any) -> dict[str, Any]:
    given = {"ts": at.isoformat(), "query_id": query_id, "lang": "de", "relevant": ["doc-7"], "results": ["doc-7"]}
    return given | more


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def read(store: Store, *given: str) -> tuple[Taken, tuple[Run, ...]]:
    taken = read_runs(store, "canaries", given, NOW, lambda _what, _count: None)
    return taken, store.canaries.runs("canaries", *FOREVER)


def test_lines_become_runs(store: Store, tmp_path: Path) -> None:
    rows = [answer(START + hour * timedelta(hours=1), name) for hour in range(3) for name in ("q1", "q2")]
    taken, runs = read(store, write(tmp_path / "runs.jsonl", *rows))
    assert taken == Taken("canaries", 6)
    assert [run.at for run in runs] == [START + hour * timedelta(hours=1) for hour in range(3)]
    assert [seen.query_id for seen in runs[0].observations] == ["q1", "q2"]
    seen = runs[0].observations[0]
    assert (seen.lang, seen.relevant, seen.hits) == ("de", {"doc-7": 1}, (ScoredDoc("doc-7"),))


def test_questions_asked_one_after_the_other_are_one_run(store: Store, tmp_path: Path) -> None:
    rows = [answer(START + n * timedelta(seconds=40), f"q{n % 30}") for n in range(60)]
    _, runs = read(store, write(tmp_path / "runs.jsonl", *rows))
    assert [len(run.observations) for run in runs] == [30, 30]


def test_a_run_may_be_spread_over_a_file_for_each_language(store: Store, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for lang in ("de", "fr"):
        rows = [answer(START + hour * timedelta(hours=2), f"{lang}-1", lang=lang) for hour in range(4)]
        write(tmp_path / "runs" / f"{lang}.jsonl", *rows)
    _, runs = read(store, str(tmp_path / "runs"))
    assert [{seen.lang for seen in run.observations} for run in runs] == [{"de", "fr"}] * 4


def test_results_with_scores_grades_and_errors_are_understood(store: Store, tmp_path: Path) -> None:
    path = write(
        tmp_path / "runs.jsonl",
        answer(START, "q1", results=[{"id": "a", "score": 0.5}], relevant=[{"id": "a", "relevance": 2}]),
        answer(START, "q2", results=None, error="timed out"),
        answer(START, "q3", results=[], relevant=[], expect_empty=True),
        answer(START, "q4", relevant={"b": 3}),
    )
    _, (run,) = read(store, path)
    first, second, third, fourth = run.observations
    assert (first.hits, first.relevant) == ((ScoredDoc("a", 0.5),), {"a": 2})
    assert (second.hits, second.error) == (None, "timed out")
    assert (third.hits, third.expect_empty) == ((), True)
    assert fourth.relevant == {"b": 3}


def test_a_question_asked_twice_in_one_run_says_so(store: Store, tmp_path: Path) -> None:
    _, runs = read(store, write(tmp_path / "runs.jsonl", answer(START), answer(START, attempt=1)))
    assert [[seen.attempt for seen in run.observations] for run in runs] == [[0, 1]]


def test_lines_that_cannot_be_read_are_counted_and_said(store: Store, tmp_path: Path) -> None:
    path = write(
        tmp_path / "runs.jsonl",
        answer(START),
        "{not json",
        answer(START, "q2", ts="yesterday"),
        {"ts": START.isoformat(), "query_id": "q3", "relevant": ["a"]},
        answer(START, "q4", relevant=[]),
    )
    taken, (run,) = read(store, path)
    assert (taken.count, taken.rejected, len(run.observations)) == (5, 4, 1)
    said = "\n".join(taken.rejects).replace(f"{tmp_path}/", "")
    assert "runs.jsonl:2: this is not JSON" in said
    assert "runs.jsonl:3: 'ts' is not a time: \"yesterday\"." in said
    assert "runs.jsonl:4: it has neither 'results' nor 'error'." in said
    assert "runs.jsonl:5: 'relevant' is empty." in said


def test_nothing_that_can_be_read_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no canary run can be read"):
        read(store, write(tmp_path / "runs.jsonl", {"query_id": "q1"}))
    with pytest.raises(SourceError, match="there are no recorded runs at"):
        read(store, str(tmp_path / "nothing"))
