"""The log reader against a bare loop of ``orjson.loads`` over the same lines, and its memory over a million lines.

The promise: at most 2.5 times the bare loop, and a peak within 100 MB of the start. Both are measured here, the two
loops alternating in one process, the memory in a process of its own.

    python benchmarks/log_reader.py              measure, print, write results/log_reader.{json,md}
    python benchmarks/log_reader.py --quick      fewer lines, nothing written
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from driftwatch.feedback import Votes
from driftwatch.observing import READ_AT_ONCE
from driftwatch.sampling import Sampler
from driftwatch.sources._records import Reading
from driftwatch.sources.query_log import QueryLog

RESULTS = Path(__file__).parent / "results"
START = datetime(2026, 5, 4, tzinfo=UTC)
PROMISED = "version 1 with lang and sessions, 100,000 queries a day"
PROMISED_RATIO = 2.5
PROMISED_MEMORY = 100e6
SENTENCES = """how do i reset my password where is the invoice for my order cancel subscription change delivery address
wie kann ich mein konto löschen warum wurde die zahlung abgelehnt comment modifier mon adresse quand arrive la
commande"""
WORDS = SENTENCES.split()
FOREIGN = {
    "ts": "@.time",
    "query": "request.q",
    "session": "user.session",
    "results": "documents[].{id: document_id, score: relevance}",
}


def lines(
    count: int, seed: int = 20261101, *, a_day: int = 100_000, lang: bool = True, foreign: bool = False
) -> Iterator[bytes]:
    """Queries in the order of their times: 1.5 a session, an eighth without results, 10 to 20 results else."""
    chance = random.Random(seed)
    session = ""
    for number in range(count):
        at = START + timedelta(days=number / a_day)
        if number == 0 or chance.random() < 1 / 1.5:
            session = f"{chance.getrandbits(64):016x}"
        query = " ".join(chance.choices(WORDS, k=chance.randint(4, 12)))
        found = [] if chance.random() < 0.125 else chance.choices(range(100_000), k=chance.randint(10, 20))
        score = chance.gauss(0.8, 0.05)
        results = [(f"doc-{doc}", round(score - 0.01 * rank, 4)) for rank, doc in enumerate(found)]
        time_text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if foreign:
            documents = [{"document_id": doc, "relevance": score} for doc, score in results]
            record = {"time": time_text, "request": {"q": query}, "user": {"session": session}, "documents": documents}
        else:
            record = {"ts": time_text, "query_id": f"q-{number:08d}", "session": session, "query": query}
            record["results"] = [{"id": doc, "score": score} for doc, score in results]
            record["abstained"] = chance.random() < 0.05
            if chance.random() < 0.2:
                record["feedback"] = chance.choice(["up", "down", "click", "none"])
        if lang:
            record["lang"] = chance.choice(["en", "en", "en", "de", "fr"])
        yield orjson.dumps(record) + b"\n"


def write(path: Path, count: int, **kind: int) -> None:
    with path.open("wb") as file:
        file.writelines(lines(count, **kind))


def bare(path: Path) -> int:
    count = 0
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)
            count += 1
    return count


def read(path: Path, fields: dict[str, str] | None = None) -> int:
    log = QueryLog(name="live", path=path.name, stratify="lang", fields=fields or {})
    sampler, votes = Sampler(log.keep_per_day), Votes(log.keep_per_day)
    now = START + timedelta(days=365)
    # As the daemon does:
    batches = log.read(path.parent, None, sampler, Reading(), now=now, limit_bytes=READ_AT_ONCE, votes=votes)
    return sum(batch.lines for batch in batches)


def seconds(work: Callable[[], int], expected: int) -> float:
    """Of processor time: both loops are one thread, and a busy machine must not decide the ratio."""
    start = time.process_time()
    assert work() == expected
    return time.process_time() - start


def compare(path: Path, count: int, rounds: int, fields: dict[str, str] | None = None) -> dict[str, Any]:
    """Seconds of the bare loop and of the reader, alternating; the ratio is the median over the rounds."""
    bare(path), read(path, fields)
    pairs = []
    for number in range(rounds):
        loops = [lambda: bare(path), lambda: read(path, fields)]
        taken = {which: seconds(loops[which], count) for which in ((0, 1) if number % 2 else (1, 0))}
        pairs.append((taken[0], taken[1]))
    ratios = [ours / theirs for theirs, ours in pairs]
    return {
        "lines": count,
        "mean_bytes": path.stat().st_size / count,
        "bare_seconds": [round(theirs, 4) for theirs, _ in pairs],
        "reader_seconds": [round(ours, 4) for _, ours in pairs],
        "ratio": round(statistics.median(ratios), 3),
        "ratio_least": round(min(ratios), 3),
        "ratio_most": round(max(ratios), 3),
        "bare_lines_a_second": round(count / statistics.median(theirs for theirs, _ in pairs)),
        "reader_lines_a_second": round(count / statistics.median(ours for _, ours in pairs)),
    }


def resident(which: str) -> int:
    """Bytes of this process in memory: now (``VmRSS``), or the most so far (``VmHWM``)."""
    found = re.search(rf"^{which}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def memory_of(path: Path) -> dict[str, float]:
    """Read a log in this process; how far the peak of its memory rose above the start."""
    before, start = resident("VmRSS"), time.perf_counter()
    count = read(path)
    rise = resident("VmHWM") - before
    return {"lines": count, "before": before, "rise": rise, "seconds": time.perf_counter() - start}


def measured_memory(path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--memory-of", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report(result: dict[str, Any]) -> str:
    rows = [
        "| log | lines | bytes a line | bare loop, lines/s | reader, lines/s | ratio (median) | least - most |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, case in result["cases"].items():
        rows.append(
            f"| {name} | {case['lines']:,} | {case['mean_bytes']:.0f} | {case['bare_lines_a_second']:,} "
            f"| {case['reader_lines_a_second']:,} | **{case['ratio']:.2f}** "
            f"| {case['ratio_least']:.2f} - {case['ratio_most']:.2f} |"
        )
    memory = result["memory"]
    rows += [
        "",
        f"Promised for the first log: a ratio of at most {PROMISED_RATIO}.",
        "",
        f"Memory: {memory['lines']:,} lines ({memory['bytes'] / 1e6:,.0f} MB) were read in {memory['seconds']:.1f} s; "
        f"the process began with {memory['before'] / 1e6:.0f} MB, "
        f"and its peak was higher by {memory['rise'] / 1e6:.0f} MB "
        f"(promised: at most {PROMISED_MEMORY / 1e6:.0f} MB).",
        "",
        f"Python {platform.python_version()}, orjson {orjson.__version__}, {os.cpu_count()} cores, "
        f"{result['rounds']} alternating rounds, seconds of processor time, seeded lines. "
        "Measured with `python benchmarks/log_reader.py`.",
    ]
    return "# The log reader\n\n" + "\n".join(rows) + "\n"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.memory_of:
        print(json.dumps(memory_of(chosen.memory_of)))
        return 0
    count, rounds, many = (100_000, 3, 100_000) if chosen.quick else (100_000, 9, 1_000_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = {}
        for title, kind, fields in (
            (PROMISED, {}, None),
            ("quiet: 1,500 queries a day, every one sampled", {"a_day": 1500}, None),
            ("without lang", {"lang": False}, None),
            ("foreign, with a field map", {"foreign": True}, FOREIGN),
        ):
            path = folder / f"{len(cases)}.jsonl"
            write(path, count, **kind)
            cases[title] = compare(path, count, rounds, fields)
        path = folder / "many.jsonl"
        write(path, many)
        memory = measured_memory(path) | {"bytes": path.stat().st_size}
    result: dict[str, Any] = {"rounds": rounds, "cases": cases, "memory": memory}
    text = report(result)
    print(text)
    if not chosen.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "log_reader.json").write_text(json.dumps(result, indent=1) + "\n")
        (RESULTS / "log_reader.md").write_text(text)
    kept = cases[PROMISED]["ratio"] <= PROMISED_RATIO and memory["rise"] <= PROMISED_MEMORY
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
