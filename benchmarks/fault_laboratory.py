"""The diagnosis on a service that is broken on purpose: how often it is right, and what it takes for what.

    python benchmarks/fault_laboratory.py                         # every fault, 20 seeds, FAISS and Qdrant: hours
    python benchmarks/fault_laboratory.py --seeds 1 --backend faiss --only "wrong model"
    python benchmarks/fault_laboratory.py --fresh                 # what was played before is played again

What is injected and what is expected is in docs/fault-laboratory.md. A play is right when the cause is the expected
one, the segment is the true one, every named document or canary is truly affected, and no second incident opens.
Every play is kept as it ends, beside the vectors (DRIFTWATCH_LAB_CACHE): a run that was broken off goes on where it
was. Ends with 1 when less than 95 % of the plays of any fault are right.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _report import RESULTS

from tests.faults.faults import FAULTS
from tests.faults.laboratory import BACKENDS, quiet
from tests.faults.material import cache_folder, material, missing
from tests.faults.plays import play

ROOT = Path(__file__).resolve().parent.parent
WANTED = 0.95
Row = dict[str, Any]
Key = tuple[str, str, int]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only faults whose name contains this")
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="plays at once")
    parser.add_argument("--fresh", action="store_true", help="forget the plays of these faults, seeds and backends")
    parser.add_argument("--worker", nargs=2, metavar=("BACKEND", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.worker:
        return work(given.worker[0], int(given.worker[1]), sys.stdin.read().splitlines())
    if reason := missing():
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    names = [fault.name for fault in FAULTS if given.only in fault.name]
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    wanted = {(name, backend, seed) for backend in given.backend or BACKENDS for seed in seeds for name in names}
    kept = Kept(cache_folder() / "fault_laboratory.jsonl")
    if given.fresh:
        kept.forget(wanted)
    material()  # what is not embedded yet is embedded once, not by every worker
    try:
        play_all(sorted(wanted - kept.rows.keys(), key=lambda key: (key[2], key[1])), kept, given.jobs)
    except KeyboardInterrupt:
        print("broken off: what is finished is kept", file=sys.stderr)
    rows = [kept.rows[key] for key in sorted(wanted & kept.rows.keys())]
    return report(rows, whole=len(rows) == len(wanted)) if rows else 1


# --- playing -------------------------------------------------------------------------------------------------------


class Kept:
    """Every play that has ended, a line each, the newest last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.rows = {key_of(row): row for row in map(json.loads, lines)}
        self._turn = threading.Lock()

    def add(self, row: Row) -> None:
        """One more."""
        with self._turn, self.path.open("a", encoding="utf-8") as stream:
            self.rows[key_of(row)] = row
            stream.write(json.dumps(row) + "\n")

    def forget(self, keys: Iterable[Key]) -> None:
        """Play these again."""
        for key in keys:
            self.rows.pop(key, None)
        self.path.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()), "utf-8")


def key_of(row: Row) -> Key:
    """What a play is known by."""
    return row["fault"], row["backend"], row["seed"]


def play_all(keys: Sequence[Key], kept: Kept, jobs: int) -> None:
    """Each seed of each backend in a process of its own, which plays its quiet days once."""
    batches: dict[tuple[int, str], list[str]] = defaultdict(list)
    for name, backend, seed in keys:
        batches[seed, backend].append(name)
    running: set[subprocess.Popen[str]] = set()

    def run(batch: tuple[tuple[int, str], list[str]]) -> None:
        (seed, backend), names = batch
        command = [sys.executable, __file__, "--worker", backend, str(seed)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            running.add(process)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n".join(names))
            process.stdin.close()
            for line in process.stdout:
                row = json.loads(line)
                kept.add(row)
                said = "right" if row["right"] else f"WRONG: {row['why']}"
                print(f"{backend} {seed:2d} {row['fault']}: {row['found'] or 'quiet'}, {said}", file=sys.stderr)
            running.discard(process)

    with ThreadPoolExecutor(jobs) as threads:
        try:
            list(threads.map(run, sorted(batches.items())))
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise


def work(backend: str, seed: int, names: Sequence[str]) -> int:
    """Play these faults of one seed; a line of JSON each."""
    with tempfile.TemporaryDirectory(prefix="driftwatch-laboratory-") as folder:
        lab = quiet(Path(folder), backend, seed, material())
        try:
            for fault in (each for each in FAULTS if each.name in names):
                print(json.dumps(play(lab, fault).row()), flush=True)
        finally:
            lab.close()
    return 0


# --- telling -------------------------------------------------------------------------------------------------------


def report(rows: Sequence[Row], *, whole: bool) -> int:
    """Print the tables, and keep them when everything was played; 1 when a fault is named wrongly too often."""
    by_fault: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_fault[row["fault"], row["backend"]].append(row)
    right = sum(row["right"] for row in rows)
    failing = [place for place, each in by_fault.items() if sum(row["right"] for row in each) < WANTED * len(each)]
    seeds = len({row["seed"] for row in rows})
    text = "\n".join(
        [
            "# The fault laboratory",
            "",
            f"{len(FAULTS)} faults, {seeds} seeds: {right} of {len(rows)} diagnoses are right"
            f" ({right / len(rows):.1%}); {len(failing)} of {len(by_fault)} faults are below {WANTED:.0%}."
            " `python benchmarks/fault_laboratory.py` makes this page; [what is injected and expected]"
            "(../../docs/fault-laboratory.md).",
            "",
            "## Each fault",
            "",
            *accuracy(by_fault),
            "",
            "## What is taken for what",
            "",
            *confusion(rows),
            "",
            "## What is wrong",
            "",
            *wrong(rows),
            "",
        ]
    )
    print(text)
    if whole and not failing_to_be_whole(rows):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "fault_laboratory.md").write_text(text, "utf-8")
        compact = ",\n".join(json.dumps(row) for row in rows)
        (RESULTS / "fault_laboratory.json").write_text(f"[\n{compact}\n]\n", "utf-8")
    return 1 if failing else 0


def failing_to_be_whole(rows: Sequence[Row]) -> bool:
    """Whether some fault or backend is not among them: such a page would be taken for more than it is."""
    return {(row["fault"], row["backend"]) for row in rows} != {
        (each.name, name) for each in FAULTS for name in BACKENDS
    }


def accuracy(by_fault: dict[tuple[str, str], list[Row]]) -> list[str]:
    """A line a fault and backend."""
    lines = [
        "| fault | index | right | second incidents | hours to the alert, median and latest | seconds a play |",
        "|---|---|---|---|---|---|",
    ]
    order = [fault.name for fault in FAULTS]
    for (name, backend), rows in sorted(by_fault.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        hours = [row["hours"] for row in rows if row["hours"] is not None]
        delay = f"{median(hours):.0f}, {max(hours):.0f}" if hours else "quiet"
        second = sum(row["incidents"] > 1 for row in rows)
        lines.append(
            f"| {name} | {backend} | {sum(row['right'] for row in rows)} of {len(rows)} | {second} | {delay} |"
            f" {median(row['took'] for row in rows):.1f} |"
        )
    return lines


def confusion(rows: Sequence[Row]) -> list[str]:
    """Expected against found; of two faults at once all that was named."""
    counts = Counter((" + ".join(each or "quiet" for each in row["expected"]), found_of(row)) for row in rows)
    expected = sorted({pair[0] for pair in counts})
    found = sorted({pair[1] for pair in counts})
    lines = ["| expected | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    return lines + [
        f"| {one} | " + " | ".join(str(counts[one, other] or "") for other in found) + " |" for one in expected
    ]


def found_of(row: Row) -> str:
    """What was said."""
    both = row["fault"].startswith("two:")
    return " + ".join(row["causes"]) if both and row["causes"] else row["found"] or "quiet"


def wrong(rows: Sequence[Row]) -> list[str]:
    """Each play that went wrong, and why."""
    return [
        f"- {row['fault']}, {row['backend']}, seed {row['seed']}: {row['why']}. {row['sentence']}"
        + (f" Opened: {'; '.join(row['opened'])}." if row["incidents"] > 1 else "")
        for row in rows
        if not row["right"]
    ] or ["Nothing."]


if __name__ == "__main__":
    sys.exit(main())
