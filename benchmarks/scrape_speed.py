"""How long a scrape of `/metrics` takes over HTTP: a year of hourly findings, 10 checks in 20 languages.

    python benchmarks/scrape_speed.py [--days 365] [--scrapes 20]

The store is written to a temporary folder: every finding of every hour with details as a check leaves them, hourly
tallies, and deliveries to two receivers. The server is the daemon's own, asked over a socket on this machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._report import show_and_keep
from driftwatch.api import start_server
from driftwatch.config import Api, Watch, load_watch
from driftwatch.daemon import Daemon
from driftwatch.metrics import exposition
from driftwatch.sampling import Batch
from driftwatch.store import Looked, Store
from driftwatch.types import TALLY_FIELDS, Alert, Finding, Transition

START, HOUR = datetime(2025, 5, 5, tzinfo=UTC), timedelta(hours=1)
LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "fi", "cs", "el", "tr", "ru", "uk"]
LANGUAGES += ["ja", "ko", "zh", "ar"]
CHECKS = (
    "  - {name: recall, kind: canary, source: canaries, measure: R@10, by: lang}\n",
    "  - {name: rank, kind: canary, source: canaries, measure: RR@10, by: lang}\n",
    "  - {name: ndcg, kind: canary, source: canaries, measure: nDCG@10, by: lang}\n",
    "  - {name: scores, kind: score_drift, source: live, by: lang}\n",
    "  - {name: mean scores, kind: score_drift, score: topk_mean, source: live, by: lang}\n",
    "  - {name: empty, kind: rate, of: empty, source: live, by: lang}\n",
    "  - {name: abstained, kind: rate, of: abstained, source: live, by: lang}\n",
    "  - {name: thumbs, kind: rate, of: negative_feedback, source: live, by: lang}\n",
    "  - {name: volume, kind: volume, source: live, by: lang}\n",
    "  - {name: clicks, kind: rate, of: no_click, source: live, by: lang}\n",
)
CONFIG = """service: assistant
database: sqlite:///driftwatch.db
languages: [{languages}]
retriever: {{kind: http, url: "http://127.0.0.1:9/retrieve"}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 1h}}
  live: {{kind: query_log, path: queries.jsonl}}
notify: [{{kind: console, name: one}}, {{kind: console, name: two}}]
checks:
{checks}"""
COUNTS = [100] * len(TALLY_FIELDS)
DETAILS = {
    "measure": "R@10",
    "asked": 40,
    "flips": [{"query_id": f"q{n}", "old_rank": 1, "new_rank": 9} for n in range(8)],
}


def watched(folder: Path) -> Watch:
    """The configuration, on the disk."""
    text = CONFIG.format(languages=", ".join(LANGUAGES), checks="".join(CHECKS))
    (folder / "driftwatch.yaml").write_text(text)
    row = {"query_id": "q", "text": "where is it", "lang": "en", "relevant": ["d"]}
    (folder / "canaries.jsonl").write_bytes(orjson.dumps(row) + b"\n")
    (folder / "queries.jsonl").touch()
    return load_watch(folder / "driftwatch.yaml")


def findings_of(watch: Watch, at: datetime, number: int) -> Iterator[Finding]:
    """One look of every check."""
    for check in watch.checks:
        for place, lang in enumerate([*LANGUAGES, "all"]):
            value = 0.9 - (number * 7 + place) % 50 / 1000
            yield Finding(
                check.name, lang, at, "ok", "as in the baseline", check.kind, check.family, 400 + place, value, 0.9,
                value - 0.9, (-0.05, 0.02), 0.03, 0.4, details=DETAILS, evidence=0.3, share=0.01,
            )  # fmt: skip


def keep_year(store: Store, watch: Watch, days: int) -> int:
    """Write ``days`` days of hourly looks, tallies and weekly alerts; how many findings that is."""
    receivers = {name: frozenset({"firing", "resolved"}) for name in ("one", "two")}
    written = 0
    for day in range(days):
        hours = [START + (24 * day + hour) * HOUR for hour in range(24)]
        found = [each for place, at in enumerate(hours) for each in findings_of(watch, at, 24 * day + place)]
        news = _news(hours[0], day) if day % 7 == 0 else []
        looked = [Looked(check.name, at, 0.1, "success") for at in hours for check in watch.checks]
        alerts = [Alert("recall", "de", "ok")] if news else []
        store.decisions.record(findings=found, alerts=alerts, transitions=news, receivers=receivers, looked=looked)
        tallies = {(int(at.timestamp()) // 3600, lang): COUNTS for at in hours for lang in LANGUAGES}
        store.traffic.ingest(Batch("live", {}, tallies, lines=48_000), LANGUAGES)
        written += len(found)
    return written


def _news(at: datetime, number: int) -> list[Transition]:
    name = f"incident-{number}"
    return [
        Transition(f"{name}-f", "recall", "de", "firing", "pending", "firing", at, name, "canaries"),
        Transition(f"{name}-r", "recall", "de", "resolved", "firing", "ok", at, name, "canaries"),
    ]


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("--days", type=int, default=365)
    reading.add_argument("--scrapes", type=int, default=20)
    asked = reading.parse_args()
    with TemporaryDirectory() as folder:
        watch = watched(Path(folder))
        store = Store.open(watch.database, lasting=False)
        began = time.perf_counter()
        written = keep_year(store, watch, asked.days)
        print(f"{written:,} findings written in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        daemon = Daemon(watch, store)
        stop = start_server(daemon, Api(port=0))
        with httpx.Client(base_url=daemon.address, timeout=60) as client:
            first, *taken = [_scrape(client) for _ in range(asked.scrapes + 1)]
            text = client.get("/metrics").text
        worked = [_work(daemon) for _ in range(asked.scrapes)]
        figures = {
            "findings": f"{written:,}",
            "database (MB)": round(store.size() / 1e6),
            "series": sum(not line.startswith("#") for line in text.splitlines()),
            "kB": round(len(text) / 1000),
            "first (ms)": round(1000 * first, 1),
            "median (ms)": round(1000 * statistics.median(taken), 1),
            "least (ms)": round(1000 * min(taken), 1),
            "processor time, median (ms)": round(1000 * statistics.median(worked), 1),
        }
        stop()
        daemon.close()
        store.close()
    show_and_keep("scrape_speed", "A scrape over a year of hourly findings", [figures], figures)


def _scrape(client: httpx.Client) -> float:
    began = time.perf_counter()
    client.get("/metrics").raise_for_status()
    return time.perf_counter() - began


def _work(daemon: Daemon) -> float:
    """Processor seconds of one scrape without the socket: what does not depend on what else the machine does."""
    began = time.thread_time()
    exposition(daemon)
    return time.thread_time() - began


if __name__ == "__main__":
    main()
