"""How long the weekly report takes over a year of hourly checks in 20 languages, and how much memory.

    python benchmarks/report_speed.py            # prints, and writes benchmarks/results/report_speed.{json,md}
    python benchmarks/report_speed.py --keep DIR # leaves the store there, and finds it there again

The store is what a daemon leaves after a year by its own rules: findings, tallies, transitions and incidents of all of
it, the sample, the canary runs and the probes of 90 days and of the baseline. The numbers alone, and the numbers with
their drawing, are each made in a process of its own, which starts with nothing: seconds and peak memory are those of
the whole process, imports and all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

SECONDS_AT_MOST, BYTES_AT_MOST = 20.0, 300.0
"""Of the whole report, drawn; megabytes."""
OUR_SECONDS, OUR_MEGABYTES = 5.0, 150.0
"""What the numbers alone are to take of it."""
RESULTS = Path(__file__).parent / "results"
LANGS = tuple("en de fr es it pt nl pl cs sv da fi no hu ro tr el ru ja ko".split())  # noqa: SIM905 - twenty in a line
CANARIES = 20
"""Of each language."""
START = datetime(2025, 11, 24, tzinfo=UTC)
DAYS, BASELINE, KEPT_DAYS, KEPT = 364, 14, 90, 2000
NOW = START + timedelta(days=DAYS)
WEEK = "2026-W47"
HOUR = timedelta(hours=1)
CONFIG = f"""\
service: simulated
database: sqlite:///driftwatch.db
languages: [{", ".join(LANGS)}]
timezone: Europe/Berlin
retriever: {{kind: http, url: "http://127.0.0.1:9/", top_k: 10}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 1h}}
  live: {{kind: query_log, path: queries.jsonl, stratify: lang, keep_per_day: {KEPT}}}
api: off
checks:
  - {{name: canary recall, kind: canary, source: canaries, measure: R@10, by: lang}}
  - {{name: canary rank, kind: canary, source: canaries, measure: RR@10, by: lang, severity: warn}}
  - {{name: top-score drift, kind: score_drift, source: live, by: lang}}
  - {{name: empty results, kind: rate, of: empty, source: live, by: lang}}
  - {{name: abstentions, kind: rate, of: abstained, source: live, by: lang}}
  - {{name: traffic, kind: volume, source: live, by: lang}}
  - {{name: language mix, kind: mix, source: live, severity: warn}}
"""
CHECKS = {
    "canary recall": ("canary", "canaries"),
    "canary rank": ("canary", "canaries"),
    "top-score drift": ("score_drift", "scores"),
    "empty results": ("rate", "rates"),
    "abstentions": ("rate", "rates"),
    "traffic": ("volume", "volume"),
}
DETAILS = json.dumps({"ks": {"d": 0.03, "p_value": 0.4, "at": 0.71, "direction": "lower"}, "detected_share": 0.1,
                      "current": {"mean": 0.7, "median": 0.71, "p05": 0.5, "p95": 0.9}, "blind_below": 0.04,
                      "reference": {"mean": 0.7, "median": 0.71, "p05": 0.5, "p95": 0.9}, "day_shift": 0.01,
                      "larger_than_days": [3, 14], "wasserstein": 0.003, "effective_n": 3120.5})  # fmt: skip


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


# --- the store -----------------------------------------------------------------------------------------------------


def build(folder: Path) -> None:
    """A year, written as rows: a daemon would need a day for it."""
    from driftwatch.config import load_watch
    from driftwatch.store import Store
    from driftwatch.types import Baseline

    (folder / "driftwatch.yaml").write_text(CONFIG)
    _write_canaries(folder)
    store = Store.open(load_watch(folder / "driftwatch.yaml").database, lasting=False)
    learnt = START + timedelta(days=BASELINE)
    store.decisions.set_baseline(Baseline(START, learnt, "learnt once, at the start", "driftwatch", learnt))
    _decide(store)
    store.close()
    connection = sqlite3.connect(folder / "driftwatch.db")
    connection.execute("PRAGMA synchronous = OFF")
    for table, columns, rows in (
        ("findings", FINDING, _findings()),
        ("tallies", None, _tallies(connection)),
        ("sampled", SAMPLED, _sampled()),
        ("canary_runs", ("run_id", "source", "at", "suite", "body"), _runs()),
        ("runs", ("check", "scheduled_for", "started", "finished", "status"), _worked()),
    ):
        with connection:
            names = columns or [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            marks, quoted = ", ".join("?" * len(names)), ", ".join(f'"{name}"' for name in names)
            connection.executemany(f"INSERT INTO {table} ({quoted}) VALUES ({marks})", rows)
    connection.close()


FINDING = ("check", "segment", "at", "verdict", "message", "kind", "family", "n", "value", "reference", "effect", "low",
           "high", "examples", "details", "state", "learning", "evidence", "share", "pages")  # fmt: skip
SAMPLED = ("source", "at", "day", "stratum", "priority", "lang", "query_id", "query_hash", "unit", "scores", "body")


def _write_canaries(folder: Path) -> None:
    rows = [
        {"query_id": f"{lang}-{n}", "text": f"question {n}", "lang": lang, "relevant": [f"{lang}-doc-{n}"]}
        for lang in LANGS
        for n in range(CANARIES)
    ]
    (folder / "canaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _hours(first_day: int, last_day: int) -> Iterator[datetime]:
    at, end = START + timedelta(days=first_day), START + timedelta(days=last_day)
    while at < end:
        yield at
        at += HOUR


def _kept_hours() -> Iterator[datetime]:
    """Those of the baseline, and those of the last 90 days."""
    yield from _hours(0, BASELINE)
    yield from _hours(DAYS - KEPT_DAYS, DAYS)


def _findings() -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)
    segments = ("all", *LANGS)
    for at in _hours(0, DAYS):
        learning = at < START + timedelta(days=BASELINE)
        for check, (kind, family) in CHECKS.items():
            for segment in segments:
                effect = chance.uniform(-0.02, 0.02)
                verdict = "unknown" if learning else "fail" if chance.random() < 0.001 else "ok"
                said = f"{check} in {segment} is {0.9 + effect:.2f} over 20 canaries, 0.90 in the baseline"
                yield (check, segment, micros(at), verdict, said, kind, family, 20, 0.9 + effect, 0.9, effect,
                       effect - 0.05, effect + 0.05, "[]", DETAILS, "{}", learning, chance.random(), 0.01,
                       False)  # fmt: skip


def _tallies(connection: sqlite3.Connection) -> Iterator[tuple[int | str, ...]]:
    chance = random.Random(2)
    names = [row[1] for row in connection.execute("PRAGMA table_info(tallies)")]
    for at in _hours(0, DAYS):
        for place, lang in enumerate(LANGS):
            queries = max(5, 400 // (1 + place)) + chance.randint(0, 20)
            counts = {name: queries for name in names if name.endswith("known") or name in ("queries", "units")}
            counts |= {
                "units_empty": chance.randint(0, queries // 20),
                "units_abstained": chance.randint(0, queries // 15),
            }
            counts |= {"units_down": chance.randint(0, queries // 25)}
            key: dict[str, int | str] = {"source": "live", "hour": int(at.timestamp()) // 3600, "lang": lang}
            yield tuple({**dict.fromkeys(names, 0), **counts, **key}[name] for name in names)


def _sampled() -> Iterator[tuple[Any, ...]]:
    chance = random.Random(3)
    bodies = [
        json.dumps({"text": f"where is my parcel {n}?", "lang_detected": False, "session": f"s{n}",
                    "score_kind": "similarity", "hits": [[f"doc-{n}-{k}", 0.9 - k / 50] for k in range(10)]})
        for n in range(50)
    ]  # fmt: skip
    weights = [1 / (1 + place) for place in range(len(LANGS))]
    an_hour = KEPT // 24
    for at in _kept_hours():
        day = int(at.timestamp()) // 86_400
        for n, lang in enumerate(chance.choices(LANGS, weights, k=an_hour)):
            first = chance.gauss(0.72, 0.08)
            scores = array("f", [first - 0.02 * k for k in range(10)]).tobytes()
            moment = micros(at) + n * 40_000_000
            yield ("live", moment, day, lang, chance.random(), lang, f"q{moment}", n, chance.getrandbits(62), scores,
                   bodies[n % 50])  # fmt: skip


def _runs() -> Iterator[tuple[Any, ...]]:
    """Two dozen different runs, over and over: most runs answer as the one before."""
    from driftwatch.store.packing import pack
    from driftwatch.types import Observation, Run, ScoredDoc

    chance = random.Random(4)
    at = START

    def asked(lang: str, n: int) -> Observation:
        names = [f"{lang}-doc-{n}" if k == n % 4 and chance.random() > 0.03 else f"other-{n}-{k}" for k in range(10)]
        hits = tuple(ScoredDoc(name, 0.9 - k / 50 + chance.random() / 1000) for k, name in enumerate(names))
        relevant = {f"{lang}-doc-{n}": 1}
        return Observation(
            at, "canaries", f"{lang}-{n}", f"question {n}", lang, hits=hits, relevant=relevant, digest="d"
        )

    bodies = [
        pack(Run("r", "canaries", at, "suite", tuple(asked(lang, n) for lang in LANGS for n in range(CANARIES))))
        for _ in range(24)
    ]
    for number, moment in enumerate(_kept_hours()):
        yield f"run-{moment.isoformat()}", "canaries", micros(moment), "suite", bodies[number % 24]


def _worked() -> Iterator[tuple[Any, ...]]:
    for at in _hours(DAYS - 30, DAYS):
        for job in ("source canaries", "checks of live every 1h"):
            yield job, micros(at), micros(at), micros(at), "done"


def _decide(store: Any) -> None:
    """Two incidents a month."""
    from driftwatch.types import Alert, Transition

    nothing: dict[str, Any] = {"findings": (), "receivers": {"slack": frozenset({"firing", "resolved"})}}
    for number in range(24):
        lang, at = LANGS[number % 20], START + timedelta(days=20 + 14 * number)
        for event, after, when in (("firing", "firing", at), ("resolved", "ok", at + timedelta(days=2))):
            key, name = f"{number}/{event}", f"canaries-{lang}-{number}"
            news = Transition(key, "canary recall", lang, event, "ok", after, when, name, "canaries", verdict="fail")
            alert = Alert("canary recall", lang, after, incident=name if after == "firing" else "")
            store.decisions.record(**nothing, alerts=[alert], transitions=[news])


# --- one report, in a process of its own -----------------------------------------------------------------------------


def make(folder: Path, *, drawn: bool) -> None:
    """Print seconds of the clock and of the processor, peak megabytes, and bytes of what was made."""
    clock = time.monotonic()
    from driftwatch.config import load_watch
    from driftwatch.report.spans import span_of
    from driftwatch.report.week import build_week
    from driftwatch.reported.form import as_json
    from driftwatch.reporting import about_of
    from driftwatch.store import Store

    watch = load_watch(folder / "driftwatch.yaml")
    store = Store.open(watch.database)
    week = build_week(store, about_of(watch), span_of(WEEK, watch.zone, NOW))
    if drawn:
        from driftwatch.report.render import render

        made = sum(map(len, render(week).values()))
    else:
        made = len(as_json(week))
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"seconds": time.monotonic() - clock, "processor": used.ru_utime + used.ru_stime}
    print(json.dumps({**found, "megabytes": used.ru_maxrss / 1024, "bytes": made, "checks": len(week.checks)}))


def measure(folder: Path, what: str) -> dict[str, float]:
    """One process."""
    command = [sys.executable, __file__, "--make", what, "--keep", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(found: dict[str, Any]) -> str:
    """As Markdown."""
    setting = found["setting"]
    lines = [
        "# The weekly report over a year of hourly checks in 20 languages",
        "",
        f"{len(CHECKS)} checks by language ({len(CHECKS) * (len(LANGS) + 1)} findings an hour, "
        f"{setting['findings']:,} in the store), {len(LANGS) * CANARIES} canaries asked every hour, {KEPT:,} sampled "
        f"queries a day; {setting['database']:.0f} MB. Each figure is of a whole process that starts with nothing, "
        f"median of {setting['repetitions']}, on {setting['processors']} processors, Python {setting['python']}, at a "
        f"load of {setting['load_average'][0]}: other work was on the machine, so the processor's own seconds say more "
        "than those of the clock. `python benchmarks/report_speed.py` makes this page.",
        "",
        "| what | seconds of the clock | of the processor | at most | peak memory | at most |",
        "|---|---|---|---|---|---|",
    ]
    limits = {"numbers": (OUR_SECONDS, OUR_MEGABYTES), "drawn": (SECONDS_AT_MOST, BYTES_AT_MOST)}
    words = {"numbers": "the numbers, as JSON", "drawn": "the numbers and everything that is drawn of them"}
    for name, each in found["parts"].items():
        most = limits[name]
        lines.append(
            f"| {words[name]} | {each['seconds']:.1f} | {each['processor']:.1f} | {most[0]:.0f} s | "
            f"{each['megabytes']:.0f} MB | {most[1]:.0f} MB |"
        )
    return "\n".join([*lines, ""])


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="the folder of the store")
    parser.add_argument("--make", choices=["numbers", "drawn"], help=argparse.SUPPRESS)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", choices=["numbers", "drawn"])
    given = parser.parse_args()
    if given.make:
        make(given.keep, drawn=given.make == "drawn")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        if not (folder / "driftwatch.db").exists():
            build(folder)
        parts = {}
        for what in [given.only] if given.only else ["numbers", "drawn"]:
            runs = [measure(folder, what) for _ in range(given.repetitions)]
            parts[what] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        connection = sqlite3.connect(folder / "driftwatch.db")
        setting = {
            "findings": connection.execute("SELECT count(*) FROM findings").fetchone()[0],
            "database": (folder / "driftwatch.db").stat().st_size / 1e6,
            "repetitions": given.repetitions,
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": [round(load, 1) for load in os.getloadavg()],
        }
        connection.close()
    found = {"parts": parts, "setting": setting}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "report_speed.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "report_speed.md").write_text(report(found))
    print(report(found))
    whole = parts.get("drawn", parts.get("numbers", {}))
    holds = whole["processor"] <= SECONDS_AT_MOST and whole["megabytes"] <= BYTES_AT_MOST
    print("holds" if holds else "DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
