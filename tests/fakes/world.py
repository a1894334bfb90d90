"""A small watched service in one folder: canaries, a log, a retriever that a test can break, and a configuration."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftwatch.config import Watch, load_watch

START = datetime(2026, 5, 4, tzinfo=UTC)
"""A Monday."""

BROKEN: set[str] = set()
"""Languages whose documents the retriever no longer finds; ``down`` makes every question an error."""

CONFIG = """
service: help-centre
database: sqlite:///driftwatch.db
baseline: 2 days
languages: [en, de, fr]
retriever: {kind: python, callable: "tests.fakes.world:search", top_k: 5}
sources:
  canaries: {kind: canaries, path: canaries.jsonl, every: 6h}
{live}alerts: {after: 2, until: 2, blind_after: 3}
api: off
notify: [{kind: console, name: terminal}]
checks:
"""
LIVE = "  live: {kind: query_log, path: queries.jsonl, every: 10s, keep_per_day: 300, stratify: lang}\n"
RECALL = "  - {name: canary recall, kind: canary, source: canaries, measure: R@5, at_least: 0.8, by: lang}\n"
EMPTY = "  - {name: empty results, kind: rate, of: empty, source: live, by: lang, window: 6h, every: 6h}\n"
SCORES = "  - {name: top-score drift, kind: score_drift, source: live, by: lang, window: 24h, every: 6h}\n"


def search(text: str, top_k: int) -> list[tuple[str, float]]:
    """Finds ``doc-<lang>-<n>`` for ``<lang> question <n>``, unless that language or the whole service is broken."""
    if "down" in BROKEN:
        raise ConnectionError("the index is rebuilding")
    lang, _, number = text.partition(" question ")
    if lang in BROKEN:
        return [("doc-xx-0", 0.2)]
    return [(f"doc-{lang}-{number}", 0.9), ("doc-xx-0", 0.1)][:top_k]


def search_that_finds_nothing(text: str, top_k: int) -> list[tuple[str, float]]:
    """An index that lost all its documents, for a daemon in a process of its own."""
    return []


def make_world(folder: Path, *checks: str, canaries_a_lang: int = 20, more: str = "") -> Watch:
    """Write the project and read its configuration."""
    rows = [
        {"query_id": f"{lang}-{n}", "text": f"{lang} question {n}", "lang": lang, "relevant": [f"doc-{lang}-{n}"]}
        for lang in ("en", "de", "fr")
        for n in range(canaries_a_lang)
    ]
    (folder / "canaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").touch()
    live = LIVE if "source: live" in "".join(checks) else ""
    text = CONFIG.lstrip().replace("{live}", live) + "".join(checks) + more
    (folder / "driftwatch.yaml").write_text(text)
    return load_watch(folder / "driftwatch.yaml")


def log_lines(
    start: datetime,
    hours: int,
    *,
    an_hour: int = 60,
    empty: float = 0.02,
    lower: float = 0.0,
    langs: Iterable[str] = ("en", "de", "fr"),
    seed: int = 7,
) -> list[str]:
    """Queries of ``hours`` hours, the same number for each language."""
    chance = random.Random(f"{seed}-{start.isoformat()}")
    lines = []
    for hour in range(hours):
        for lang in langs:
            for n in range(an_hour):
                at = start + timedelta(hours=hour, seconds=3600 * n / an_hour)
                score = chance.gauss(0.8 - lower, 0.05)
                found = [] if chance.random() < empty else [{"id": f"doc-{lang}-{n}", "score": score}]
                query = f"{lang} question {chance.randrange(10**9)}"
                lines.append(json.dumps({"ts": at.isoformat(), "query": query, "lang": lang, "results": found}))
    return lines


def append(folder: Path, lines: Iterable[str]) -> None:
    """As the watched service does."""
    with (folder / "queries.jsonl").open("a") as log:
        log.write("".join(line + "\n" for line in lines))
