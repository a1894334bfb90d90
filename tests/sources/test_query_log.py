"""The source that a configuration names."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from driftwatch.plugins import find_kind
from driftwatch.sampling import Sampler
from driftwatch.sources._files import live_names
from driftwatch.sources._records import Reading
from driftwatch.sources.query_log import MOST_ROWS, QueryLog
from tests.fakes.log_writer import NOW, Follower, Writer, line


def test_it_is_the_kind_query_log():
    assert find_kind("sources", "query_log") is QueryLog
    assert QueryLog.gives == "traffic"
    assert QueryLog(name="live", path="q.jsonl").every.period == timedelta(seconds=10)


@pytest.mark.parametrize("wrong", [{"path": ""}, {"path": []}, {"path": ["a", ""]}, {"path": "q", "keep_per_day": 0}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        QueryLog(name="live", **wrong)


@pytest.mark.parametrize(
    "name",
    [
        *("queries.jsonl.1", "queries.jsonl.12.gz", "queries.jsonl-20261101", "queries.jsonl-20261101-1793525400.gz"),
        *("queries-20261101.jsonl", "queries-2026-11-01T10-00-00.000.jsonl.gz", "queries.2026-11-01.jsonl"),
        *("queries.jsonl.2026-11-01_10", "queries.jsonl.old", "queries.1.jsonl", "queries.jsonl.gz"),
    ],
)
def test_names_that_rotation_gives_are_known(name):
    assert "queries.jsonl" in set(live_names(name))


@pytest.mark.parametrize(
    "name", ["queries.jsonl", "queries.jsonl.bak", "queries-feedback.jsonl", "my-queries.jsonl", "queries.json.1"]
)
def test_other_names_are_left_alone(name):
    assert "queries.jsonl" not in set(live_names(name))


def test_a_list_of_paths_and_patterns_is_one_log(tmp_path):
    (tmp_path / "logs [1]").mkdir()
    (tmp_path / "logs [1]" / "a.jsonl").write_bytes(line(0))
    (tmp_path / "b.jsonl").write_bytes(line(1))
    (tmp_path / "b.jsonl.1").write_bytes(line(2))
    assert Follower(tmp_path, ("logs [[]1]/*.jsonl", "b.jsonl", "not-there.jsonl")).read() == 3


def test_an_absolute_pattern_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(line(0))
    assert Follower(Path("/nowhere"), f"{tmp_path}/*.jsonl").read() == 1


def test_a_base_with_brackets_is_no_pattern(tmp_path):
    base = tmp_path / "project [x]"
    base.mkdir()
    (base / "a.jsonl").write_bytes(line(0))
    assert Follower(base, "*.jsonl").read() == 1


def test_directories_that_a_pattern_hits_are_passed_over(tmp_path):
    (tmp_path / "old.jsonl").mkdir()
    (tmp_path / "new.jsonl").write_bytes(line(0))
    assert Follower(tmp_path, "*.jsonl").read() == 1


def test_a_rotated_name_that_is_a_directory_is_reported_once_and_stops_nothing(tmp_path):
    writer, follower = Writer(tmp_path / "queries.jsonl"), Follower(tmp_path)
    (tmp_path / "queries.jsonl.1").mkdir()
    writer.append(2)
    assert follower.read() == 2
    assert "is a directory" in follower.rejects[0].reason
    writer.append(1)
    assert follower.read() == 1
    assert len(follower.rejects) == 1


def test_a_rotated_file_of_another_application_is_no_part_of_the_log(tmp_path):
    (tmp_path / "queries.jsonl").write_bytes(line(0))
    (tmp_path / "other.jsonl.1").write_bytes(line(1))
    assert Follower(tmp_path).read() == 1


def test_every_batch_goes_on_from_its_own_cursor(tmp_path):
    Writer(tmp_path / "queries.jsonl").append(50)
    log = QueryLog(name="live", path="queries.jsonl")
    for batch in log.read(tmp_path, None, Sampler(100), Reading(), now=NOW, limit_bytes=700):
        rest = log.read(tmp_path, json.loads(json.dumps(batch.cursor)), Sampler(100), Reading(), now=NOW)
        done = int(next(iter(batch.cursor["files"].values()))[0]) // (len(line(0)) - 1)
        assert sum(later.lines for later in rest) == 50 - done


def test_a_batch_is_handed_over_when_it_holds_many_rows(tmp_path):
    (tmp_path / "queries.jsonl").write_bytes(b"".join(line(number) for number in range(3 * MOST_ROWS)))
    follower = Follower(tmp_path, keep=1_000_000)
    follower.read()
    assert len(follower.batches) >= 3
    assert max(len(batch.kept) for batch in follower.batches) < 2 * MOST_ROWS


def test_the_kind_of_score_of_the_source_reaches_the_rows(tmp_path):
    (tmp_path / "queries.jsonl").write_bytes(line(0))
    follower = Follower(tmp_path, score_kind="distance", stratify="lang")
    follower.read()
    (kept,) = follower.batches[0].kept
    assert (kept.observation.score_kind, kept.stratum) == ("distance", "en")


def test_without_a_time_the_clock_of_the_machine_counts(tmp_path):
    (tmp_path / "queries.jsonl").write_bytes(line(0).replace(b"2026-11-01", b"2999-01-01"))
    (batch,) = QueryLog(name="live", path="queries.jsonl").read(tmp_path, None, Sampler(10), Reading())
    assert "ahead of now" in batch.rejects[0].reason


def test_a_gzip_bomb_costs_no_memory(tmp_path):
    with gzip.open(tmp_path / "queries.jsonl.1.gz", "wb") as packed:
        for _ in range(300):
            packed.write(b"x" * 1_000_000)
        packed.write(b"\n" + line(0))
    follower = Follower(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert follower.read() == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert len(follower.rejects) == 1


def test_importing_the_source_loads_nothing_heavy():
    code = "import sys, driftwatch.sources.query_log, driftwatch.sources.push; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path.cwd())
    heavy = {"torch", "scipy", "sqlalchemy", "faiss", "transformers", "py3langid", "fastapi", "httpx"}
    assert not heavy & set(loaded.stdout.split())


@pytest.mark.slow
def test_the_reader_keeps_its_promises_of_speed_and_memory():
    benchmark = Path(__file__).parents[2] / "benchmarks" / "log_reader.py"
    done = subprocess.run([sys.executable, benchmark, "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
