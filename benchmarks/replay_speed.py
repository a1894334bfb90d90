"""How long a replay of a year takes, beside the bare Kolmogorov-Smirnov calls for the same windows.

    python benchmarks/replay_speed.py [--days 379]

A year of hourly looks at 20 languages by the shipped checks of a log, after 14 days of baseline: 24,000 simulated
queries a day with every nuisance and no drift, of which 2,000 are in the sample. ``scipy.stats.ks_2samp`` is called on
the same windows and references (a language's top scores of the last 24 hours against the same hours of the week of the
baseline); of its calls some weeks are timed, and the year is as many times more.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._history import keep_days
from benchmarks._report import show_and_keep
from benchmarks._traffic import LANGUAGES, Nuisance, Traffic
from driftwatch.replay.remembered import Rehearsal
from driftwatch.replay.report import Report
from driftwatch.replay.running import Request, replay
from driftwatch.store import Store

BASELINE, SEED, KS_WEEKS = 14, 20260521, 2
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CONFIG = """\
service: simulated
database: sqlite:///driftwatch.db
languages: {languages}
sources: {{live: {{kind: query_log, path: queries.jsonl, stratify: lang}}}}
baseline: 14 days
checks: {checks}
api: off
"""
CHECKS = ("scores", "empty-results", "abstentions", "feedback", "language-mix", "traffic")


def project(folder: Path) -> Path:
    """A configuration with every shipped check that judges a log alone."""
    shipped = Path(__file__).parents[1] / "checks"
    checks = json.dumps([str(shipped / f"{name}.yaml") for name in CHECKS])
    path = folder / "driftwatch.yaml"
    path.write_text(CONFIG.format(languages=json.dumps(list(LANGUAGES)), checks=checks))
    return path


def replayed(config: Path) -> tuple[float, float, Report]:
    """Seconds, seconds of processor time, and the report."""
    clock, processor = time.perf_counter(), time.process_time()
    report = replay(Request(config=config, now=datetime.now(UTC)))
    return time.perf_counter() - clock, time.process_time() - processor, report


def bare_ks(url: str, days: int) -> tuple[float, int]:
    """Seconds of ``ks_2samp`` alone over ``days`` of hourly windows, and how many calls that were."""
    from scipy.stats import ks_2samp

    store = Rehearsal(Store.open(url))
    start = store.traffic.first_hour("live")
    assert start is not None
    end = start + BASELINE * DAY
    reference = store.traffic.sample("live", start, end)
    hours = (reference.at.astype("datetime64[h]").astype(np.int64) + 72) % 168
    spent, calls = 0.0, 0
    for look in range(1, days * 24 + 1):
        now = end + look * HOUR
        window = store.traffic.sample("live", now - DAY, now)
        wanted = (np.unique(window.at.astype("datetime64[h]").astype(np.int64)) + 72) % 168
        usual = np.isin(hours, wanted)
        for lang in LANGUAGES:
            ours, theirs = (part.scores[part.lang == lang, 0] for part in (window, reference.keep(usual)))
            ours, theirs = ours[~np.isnan(ours)], theirs[~np.isnan(theirs)]
            clock = time.process_time()
            ks_2samp(ours, theirs)
            spent += time.process_time() - clock
            calls += 1
    return spent, calls


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--days", type=int, default=BASELINE + 365)
    days = arguments.parse_args().days
    with TemporaryDirectory() as folder:
        config = project(Path(folder))
        url = f"sqlite:///{folder}/driftwatch.db"
        store = Store.open(url)
        keep_days(store, "live", Traffic(Nuisance(), SEED), days, seed=SEED)
        store.close()
        wall, processor, report = replayed(config)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        weeks = min(KS_WEEKS * 7, days - BASELINE)
        spent, calls = bare_ks(url, weeks)
    ks_seconds = spent * (days - BASELINE) / weeks
    rows = [
        {"what": "replay", "seconds": f"{wall:.1f}", "processor seconds": f"{processor:.1f}", "": f"{memory:.0f} MB"},
        {
            "what": "bare ks_2samp calls of the same windows",
            "seconds": "",
            "processor seconds": f"{ks_seconds:.1f}",
            "": f"{calls} calls timed, of {calls * (days - BASELINE) // weeks}",
        },
        {"what": "replay / bare calls", "seconds": "", "processor seconds": f"{processor / ks_seconds:.2f}", "": ""},
    ]
    raw = {
        "days": days - BASELINE,
        "languages": len(LANGUAGES),
        "replay_seconds": wall,
        "replay_processor_seconds": processor,
        "ks_processor_seconds": ks_seconds,
        "ks_calls_timed": calls,
        "peak_megabytes": memory,
        "pages": report.pages.count,
        "warnings": report.warnings.count,
    }
    title = f"A replay of {days - BASELINE} days of hourly windows in {len(LANGUAGES)} languages"
    show_and_keep("replay_speed", title, rows, raw)


if __name__ == "__main__":
    main()
