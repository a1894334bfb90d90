"""How long every page takes over a year of history: hourly findings of ten checks in twenty languages.

    python benchmarks/pages_speed.py [--folder FOLDER]

The store holds 1.8 million findings, 90 days of hourly runs of 400 canaries, 44 days of samples, a year of tallies. A
daemon's own server answers over loopback; each page is asked for eleven times, the first time after a fresh start.
Milliseconds as the client sees them, and of the processor (of client and server together), which other work on the
machine moves less. ``--folder`` keeps the store, or uses the one that is there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._report import show_and_keep
from benchmarks._year_of_findings import INCIDENT, build
from driftwatch.api import start_server
from driftwatch.config import Api, load_watch
from driftwatch.daemon import Daemon
from driftwatch.store import Store

PAGES = {
    "overview": "/",
    "incidents": "/incidents",
    "incident": f"/incidents/{INCIDENT}",
    "check, two weeks": "/checks/canary%20R@10?segment=de",
    "check, a year": "/checks/canary%20RR@10?segment=de&days=366",
    "check with distribution": "/checks/top-score%20drift?segment=de",
    "check with distribution, all": "/checks/top-score%20drift?segment=all",
    "canaries": "/canaries",
    "one canary": "/canaries/canaries/de-3",
    "index": "/index",
    "jobs": "/jobs",
    "reports": "/reports",
    "course as JSON, a year": "/v1/checks/canary%20R@10/course?segment=de&days=366",
    "metrics": "/metrics",
}
LIMITS = {"metrics": 50.0}
LIMIT = 100.0
"""Milliseconds."""
TIMES = 11


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Page -> milliseconds of the first answer and of those after it, and its size."""
    watch = load_watch(folder / "driftwatch.yaml")
    store = Store.open(watch.database)
    daemon = Daemon(watch, store)
    stop = start_server(daemon, Api(port=0))
    try:
        with httpx.Client(base_url=daemon.address, timeout=60, headers={"accept": "text/html"}) as client:
            client.get("/static/driftwatch.css")  # the server's own first request
            return {name: timed(client, path) for name, path in PAGES.items()}
    finally:
        stop()
        store.close()


def timed(client: httpx.Client, path: str) -> dict[str, float]:
    """The first answer, and the median and the slowest of the others."""
    taken, worked = [], []
    for _ in range(TIMES):
        clock, processor = time.perf_counter(), time.process_time()
        answer = client.get(path)
        taken.append(1000 * (time.perf_counter() - clock))
        worked.append(1000 * (time.process_time() - processor))
        if answer.status_code != 200:
            raise SystemExit(f"{path} was answered with {answer.status_code}")
    first, *others = taken
    return {
        "first": first,
        "median": statistics.median(others),
        "slowest": max(others),
        "first processor": worked[0],
        "processor": statistics.median(worked),
        "bytes": len(answer.content),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the store is kept, to be used again")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="driftwatch-year-") as temporary:
        folder = arguments.folder or Path(temporary)
        clock = time.perf_counter()
        if not (folder / "driftwatch.db").exists():
            build(folder, datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
        built = time.perf_counter() - clock
        found = measure(folder)
        size = (folder / "driftwatch.db").stat().st_size
    show(found, built, size)


def show(found: dict[str, dict[str, float]], built: float, size: int) -> None:
    rows = [
        {
            "page": name,
            "first, ms": f"{each['first']:.0f}",
            "median, ms": f"{each['median']:.0f}",
            "slowest, ms": f"{each['slowest']:.0f}",
            "processor first, ms": f"{each['first processor']:.0f}",
            "processor, ms": f"{each['processor']:.0f}",
            "limit, ms": f"{LIMITS.get(name, LIMIT):.0f}",
            "KB": f"{each['bytes'] / 1000:.0f}",
        }
        for name, each in found.items()
    ]
    raw: dict[str, Any] = {
        "pages": found,
        "database_bytes": size,
        "built_s": built,
        "limit_ms": LIMIT,
        "limits_ms": LIMITS,
    }
    show_and_keep("pages_speed", f"Every page over a year of history ({size / 1e6:,.0f} MB)", rows, raw)


if __name__ == "__main__":
    main()
