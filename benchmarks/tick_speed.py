"""How long one tick takes: 20 languages x 12 checks over an hour of 100,000 queries.

    python benchmarks/tick_speed.py [--no-evidently]

A baseline of 14 days (24,000 simulated queries a day, 20,000 of them in the sample), then a day of 2.4 million queries
of which the sampler keeps 20,000. Every tick reads the new hour from SQLite, folds it into the ledgers of all checks,
judges every language and writes what it found. Beside it the bare ``scipy.stats.ks_2samp`` calls for the same windows
(a language's scores of 24 hours against the same hours of the week of the baseline), one for each language and check,
and Evidently's ``DataDriftPreset`` on the same columns of one window, once. Processor seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._history import keep_days
from benchmarks._report import show_and_keep
from benchmarks._traffic import LANGUAGES, Nuisance, Traffic
from driftwatch.config import load_watch
from driftwatch.engine import Engine
from driftwatch.store import Store
from driftwatch.types import Sample

BASELINE, SEED, KEPT, LOUD = 14, 7, 20_000, 2_400_000.0
HOURS = range(12, 22)
CONFIG = """\
service: simulated
database: sqlite:///driftwatch.db
languages: {languages}
sources: {{live: {{kind: query_log, path: queries.jsonl, stratify: lang, keep_per_day: 20000}}}}
baseline: 14 days
checks: {checks}
api: off
"""


def checks() -> list[dict[str, Any]]:
    """Four of scores and eight of rates, each by language."""
    scores = [
        {"kind": "score_drift", "name": f"{score} {floor}", "score": score, "min_effect": floor}
        for score in ("top1", "topk_mean")
        for floor in (0.04, 0.1)
    ]
    rates = [
        {"kind": "rate", "name": f"{of} {side}", "of": of, "side": side}
        for of in ("empty", "abstained", "negative_feedback", "no_click")
        for side in ("up", "down")
    ]
    return [{**check, "source": "live", "by": "lang"} for check in (*scores, *rates)]


def ticks(engine: Engine, start: datetime) -> list[float]:
    """Processor seconds of each tick of ``HOURS``; the first one before them reads the baseline and is not counted."""
    engine.tick(engine.watch.checks, start + timedelta(hours=HOURS.start - 1))
    spent = []
    for hour in HOURS:
        clock = time.process_time()
        engine.tick(engine.watch.checks, start + timedelta(hours=hour))
        spent.append(time.process_time() - clock)
    return spent


def columns(store: Store, start: datetime) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each language the scores of a day's window and those of the same hours of the week of the baseline."""
    end = start + timedelta(hours=HOURS.stop - 1)
    window = store.traffic.sample("live", end - timedelta(days=1), end)
    reference = store.traffic.sample("live", start - timedelta(days=BASELINE), start)
    usual = reference.keep(np.isin(_hour_of_week(reference), np.unique(_hour_of_week(window))))
    return [(_scores(window, lang), _scores(usual, lang)) for lang in LANGUAGES]


def bare_ks(pairs: list[tuple[np.ndarray, np.ndarray]], times: int) -> float:
    """Processor seconds of ``times`` calls of ``ks_2samp`` for each language."""
    from scipy.stats import ks_2samp

    clock = time.process_time()
    for _ in range(times):
        for ours, theirs in pairs:
            ks_2samp(ours, theirs)
    return time.process_time() - clock


def evidently(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Processor seconds of one report with a column for each language."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    current, reference = (
        pd.DataFrame({lang: pd.Series(pair[side]) for lang, pair in zip(LANGUAGES, pairs, strict=True)})
        for side in (0, 1)
    )
    clock = time.process_time()
    Report([DataDriftPreset()]).run(current, reference)
    return time.process_time() - clock


def _hour_of_week(sample: Sample) -> np.ndarray:
    return (sample.at.astype("datetime64[h]").astype(np.int64) + 72) % 168


def _scores(sample: Sample, lang: str) -> np.ndarray:
    scores = sample.scores[sample.lang == lang, 0].astype(np.float64)
    return scores[~np.isnan(scores)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--no-evidently", action="store_true")
    given = arguments.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "driftwatch.yaml"
        path.write_text(CONFIG.format(languages=json.dumps(list(LANGUAGES)), checks=json.dumps(checks())))
        watch = load_watch(path)
        store = Store.open(watch.database)
        keep_days(store, "live", Traffic(Nuisance(), SEED), BASELINE, seed=SEED, kept=KEPT)
        loud = Traffic(replace(Nuisance(), queries_per_day=LOUD), SEED)
        loud.day = BASELINE
        keep_days(store, "live", loud, 1, seed=SEED, kept=KEPT)
        first = store.traffic.first_hour("live")
        assert first is not None
        start = first.astimezone(UTC) + timedelta(days=BASELINE)
        spent = ticks(Engine(watch, store), start)
        pairs = columns(store, start)
        ks = bare_ks(pairs, len(checks()))
        peer = None if given.no_evidently else evidently(pairs)
        store.close()
    tick = statistics.median(spent)
    rows = [
        {
            "what": "one tick, 20 languages x 12 checks",
            "milliseconds": f"{1000 * tick:.0f}",
            "beside the calls": f"{tick / ks:.2f}",
        },
        {
            "what": f"{len(pairs) * len(checks())} bare ks_2samp calls",
            "milliseconds": f"{1000 * ks:.0f}",
            "beside the calls": "1",
        },
    ]
    if peer is not None:
        of = f"Evidently DataDriftPreset, {len(pairs)} columns, once"
        rows.append({"what": of, "milliseconds": f"{1000 * peer:.0f}", "beside the calls": f"{peer / ks:.2f}"})
    raw = {"ticks": spent, "ks_2samp": ks, "evidently": peer, "languages": len(pairs), "checks": len(checks())}
    show_and_keep("tick_speed", "One tick over an hour of 100,000 queries", rows, raw)


if __name__ == "__main__":
    main()
