"""A daemon with the HTTP retriever and no embedder idles under 150 MB; `driftwatch --help` costs under 0.25 s of CPU.

The daemon is the real one (`driftwatch run`), with every shipped check kind, a log of 20,000 lines it has read,
canaries it has asked over HTTP, an open incident it has told, its API asked for metrics, and then left alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import psutil
from _report import show_and_keep

MOST_MB = 150.0
MOST_HELP_SECONDS = 0.25
LINES = 20_000
SETTLE = 12.0
"""Seconds left alone before the memory is read."""

CONFIG = """
service: idle
database: sqlite:///driftwatch.db
baseline: 1 days
retriever: {{kind: http, url: "http://127.0.0.1:{port}/", top_k: 20}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 2s}}
  live: {{kind: query_log, path: queries.jsonl, every: 2s, stratify: lang}}
alerts: {{after: 1, until: 1}}
api: {{port: {api}}}
notify: [{{kind: webhook, name: hook, url: "http://127.0.0.1:{port}/"}}]
checks:
  - {{name: canary recall, kind: canary, source: canaries, measure: R@10, at_least: 0.9, by: lang}}
  - {{name: top-score drift, kind: score_drift, source: live, by: lang, every: 5s}}
  - {{name: empty results, kind: rate, of: empty, source: live, by: lang, every: 5s}}
  - {{name: language mix, kind: mix, source: live, every: 5s}}
  - {{name: traffic, kind: volume, source: live, every: 5s}}
"""


class Service(BaseHTTPRequestHandler):
    """Finds the document of every question but the German ones; takes every webhook."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        query = str(body.get("query", ""))
        found = "other" if query.startswith("de") else f"doc {query}"
        content = json.dumps({"results": [{"id": found, "score": 0.9}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        return


def write_project(folder: Path, port: int, api: int) -> None:
    (folder / "driftwatch.yaml").write_text(CONFIG.format(port=port, api=api))
    canaries = [
        {"query_id": f"{lang}-{n}", "text": f"{lang} {n}", "lang": lang, "relevant": [f"doc {lang} {n}"]}
        for lang in ("en", "de", "fr")
        for n in range(50)
    ]
    (folder / "canaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in canaries))
    start = datetime.now(UTC) - timedelta(days=4)
    with (folder / "queries.jsonl").open("w") as log:
        for n in range(LINES):
            results = [{"id": f"doc-{rank}", "score": 0.9 - rank / 100 - n % 7 / 50} for rank in range(20)]
            at = (start + timedelta(days=4) * n / LINES).isoformat()
            line = {"ts": at, "query": f"question {n}", "lang": ("en", "de", "fr")[n % 3], "results": results}
            log.write(json.dumps(line) + "\n")


def idle_memory() -> list[float]:
    """Resident megabytes of the daemon, read five times after it was left alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        api = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        free = api.server_port
        api.server_close()
        write_project(folder, server.server_port, free)
        with (folder / "log").open("w") as log:
            daemon = subprocess.Popen([sys.executable, "-m", "driftwatch.cli", "run"], cwd=folder, stderr=log)
        try:
            time.sleep(SETTLE)
            metrics = urlopen(f"http://127.0.0.1:{free}/metrics").read().decode()
            if 'driftwatch_alert_active{check="canary recall",segment="de",state="firing"} 1.0' not in metrics:
                raise SystemExit("the daemon did not work:\n" + (folder / "log").read_text())
            readings = []
            for _ in range(5):
                time.sleep(1)
                readings.append(psutil.Process(daemon.pid).memory_info().rss / 1e6)
        finally:
            daemon.terminate()
            daemon.wait(10)
            server.shutdown()
    return readings


def cpu_seconds(*command: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    memory = idle_memory()
    help_seconds = [cpu_seconds("-m", "driftwatch.cli", "--help") for _ in range(9)]
    bare_seconds = [cpu_seconds("-c", "pass") for _ in range(9)]
    show_and_keep(
        "idle",
        "An idle daemon, and the price of --help",
        [
            {"what": "idle daemon, resident", "measured": f"{statistics.median(memory):.0f} MB", "at most": "150 MB"},
            {"what": "driftwatch --help, CPU", "measured": f"{min(help_seconds):.3f} s", "at most": "0.25 s"},
            {"what": "a bare interpreter, CPU", "measured": f"{min(bare_seconds):.3f} s", "at most": ""},
        ],
        {"memory_mb": memory, "help_seconds": help_seconds, "bare_seconds": bare_seconds},
    )
    assert statistics.median(memory) < MOST_MB, memory
    assert statistics.median(help_seconds) < MOST_HELP_SECONDS, help_seconds


if __name__ == "__main__":
    main()
