"""What can be wrong in a query log, and in records that are pushed."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from driftwatch.sampling import Sampler
from driftwatch.sources._records import Reading
from driftwatch.sources.push import Push
from driftwatch.sources.query_log import QueryLog
from tests.bad_inputs.registry import case

NOW = datetime(2026, 11, 2, tzinfo=UTC)
GOOD = b'{"ts": "2026-11-01T09:30:00Z", "query": "how do I reset my password"}\n'


def read(tmp: Path, **settings: Any) -> str:
    """What is quarantined when the log is read, by file and offset."""
    log = QueryLog(name="live", path="queries.jsonl", **settings)
    batches = log.read(tmp, None, Sampler(10), Reading(), now=NOW)
    rejects = [reject for batch in batches for reject in batch.rejects]
    return "\n".join(f"{Path(reject.file).name}, byte {reject.offset}: {reject.reason}" for reject in rejects)


def line(tmp: Path, data: bytes, **settings: Any) -> str:
    """What is said of one line after a good one."""
    (tmp / "queries.jsonl").write_bytes(GOOD + data + b"\n")
    return read(tmp, **settings)


def push(*records: object) -> str:
    Push(name="live").batch(records, Sampler(10), Reading(), NOW)
    return "nothing"


@case("logs", "a log line that is no JSON")
def no_json(tmp: Path) -> str:
    return line(tmp, b"2026-11-01 09:30:00 INFO started")


@case("logs", "a line that was cut off")
def cut_off(tmp: Path) -> str:
    return line(tmp, GOOD[:40])


@case("logs", "a line that is not UTF-8")
def not_utf8(tmp: Path) -> str:
    return line(tmp, '{"ts": "2026-11-01T09:30:00Z", "query": "geöffnet"}'.encode("latin-1"))


@case("logs", "a line that holds a list")
def a_list(tmp: Path) -> str:
    return line(tmp, b"[1, 2]")


@case("logs", "a line of ten megabytes")
def ten_megabytes(tmp: Path) -> str:
    return line(tmp, b'{"query": "' + b"x" * 10_000_000 + b'"}')


@case("logs", "a line nested a hundred thousand deep")
def nested(tmp: Path) -> str:
    return line(tmp, b"[" * 100_000)


@case("logs", "a line without `ts`")
def no_time(tmp: Path) -> str:
    return line(tmp, b'{"query": "x"}')


@case("logs", "a time that is none")
def bad_time(tmp: Path) -> str:
    return line(tmp, b'{"ts": "2026-11-31T09:30:00Z", "query": "x"}')


@case("logs", "a clock in the next year")
def future(tmp: Path) -> str:
    return line(tmp, b'{"ts": "2027-11-01T09:30:00Z", "query": "x"}')


@case("logs", "a clock that was never set")
def never_set(tmp: Path) -> str:
    return line(tmp, b'{"ts": 0, "query": "x"}')


@case("logs", "a line without `query`")
def no_query(tmp: Path) -> str:
    return line(tmp, b'{"ts": "2026-11-01T09:30:00Z"}')


@case("logs", "`results` that are a text")
def text_results(tmp: Path) -> str:
    return line(tmp, b'{"ts": "2026-11-01T09:30:00Z", "query": "x", "results": "doc-7"}')


@case("logs", "a field map that does not fit a line")
def map_that_does_not_fit(tmp: Path) -> str:
    return line(tmp, b'{"ts": "2026-11-01T09:30:00Z", "words": 7}', fields={"query": "join(' ', words)"}).splitlines()[
        -1
    ]


@case("logs", "a log that was truncated before it was read to its end")
def truncated(tmp: Path) -> str:
    (tmp / "queries.jsonl").write_bytes(GOOD * 3)
    log = QueryLog(name="live", path="queries.jsonl")
    (first,) = log.read(tmp, None, Sampler(10), Reading(), now=NOW)
    os.truncate(tmp / "queries.jsonl", 0)
    (second,) = log.read(tmp, first.cursor, Sampler(10), Reading(), now=NOW)
    return second.rejects[0].reason


@case("logs", "a rotated gzip file that is damaged")
def damaged_gzip(tmp: Path) -> str:
    whole = gzip.compress(b"".join(GOOD.replace(b"how", str(n).encode()) for n in range(9999)), mtime=0)
    (tmp / "queries.jsonl.1.gz").write_bytes(whole[:200])
    os.utime(tmp / "queries.jsonl.1.gz", (1, 1))
    return read(tmp).partition(": ")[2]


@case("logs", "a directory in place of the log")
def directory(tmp: Path) -> str:
    (tmp / "queries.jsonl").mkdir()
    return read(tmp)


@case("logs", "a pipe in place of the log")
def pipe(tmp: Path) -> str:
    os.mkfifo(tmp / "queries.jsonl")
    return read(tmp)


@case("logs", "a field map with a field that there is not")
def unknown_field(tmp: Path) -> str:
    return settings_error(fields={"quary": "q"})


@case("logs", "a field map that is not JMESPath")
def no_jmespath(tmp: Path) -> str:
    return settings_error(fields={"query": "input.value-text"})


@case("logs", "a field map that calls a function that there is not")
def unknown_function(tmp: Path) -> str:
    return settings_error(fields={"query": "form_json(input)"})


def settings_error(**settings: Any) -> str:
    try:
        QueryLog(name="live", path="queries.jsonl", **settings)
    except ValidationError as error:
        return str(error.errors()[0]["ctx"]["error"])
    return "nothing"


@case("pushes", "a record without `query` among good ones")
def pushed_without_query(tmp: Path) -> str:
    return push({"ts": "2026-11-01T09:30:00Z", "query": "x"}, {"ts": "2026-11-01T09:30:00Z"})


@case("pushes", "several wrong records")
def pushed_wrong(tmp: Path) -> str:
    good = {"ts": "2026-11-01T09:30:00Z", "query": "x"}
    return push(
        good | {"lang": "English"},
        good | {"feedback": "meh"},
        good | {"results": [{"id": "doc-7", "score": "high"}]},
        good | {"score_kind": "cosine"},
        7,
    )


@case("pushes", "half of a surrogate pair")
def pushed_surrogate(tmp: Path) -> str:
    return push({"ts": "2026-11-01T09:30:00Z", "query": "\ud83d"})
