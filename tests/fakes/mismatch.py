"""The example service with a model of our own, and users who begin to ask about a product that the model never saw.

Documents say two things each (`say3 say7`), questions ask for both (`ask7 ask3`). The base was trained on the things
below ``NEW``; documents about the others are there from the start, and nothing finds them.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from driftwatch.retrain.settings import Train
from tests.fakes.help_centre import EXAMPLE
from tests.fakes.tiny_model import task, tiny_model, write_job

NEW = 10
TITLE = "and0"
THRESHOLD = 0.7
A_DAY = 400
SHARE = 0.4
"""Of the questions are about the new product, once it is there."""

CONFIG = """
service: shop
database: sqlite:///driftwatch.db
languages: [en]
api: off
retriever:
  kind: http
  url: "{url}/retrieve"
  top_k: 10
  versions: {{index: versions.index, embedder: versions.embedder}}
index: {{kind: faiss, index: index/articles.faiss, ids: index/ids.txt}}
documents: {{path: articles/en.jsonl, text: [title, text], join: ". "}}
embedder: {{model: {base}, device: cpu}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 12h}}
  live: {{kind: query_log, path: queries.jsonl, every: 1h}}
baseline: 14 days
checks:
  - {{name: canary recall, kind: canary, source: canaries, measure: R@5, at_least: 0.8, max_drop: 0.1}}
  - {{name: empty results, kind: rate, source: live, of: empty, min_effect: 0.05, every: 6h}}
  - {{name: new topics, kind: query_drift, source: live, every: 6h}}
alerts: {{after: 2, until: 3}}
retrain:
  when: [empty results]
  threshold: {threshold}
  windows: 2
  window: 1 day
  cool_down: 7 days
  pairs: {{accepted: 1}}
  mine: {{negatives: 3, least_rows: 20}}
  train: {train}
  gate:
    measure: nDCG@10
    gain: 0.01
    no_language_loses: 0.15
    forgets: 0.2
    least: 20
    least_in_language: 5
    latency: 20
{more}
"""


@dataclass
class Shop:
    """The running service and the files around it."""

    folder: Path
    url: str
    client: httpx.Client
    launched: bool = False
    """Whether the new product is on sale."""

    def replay(self, start: datetime, end: datetime) -> None:
        """People ask in ``[start, end)``."""
        asked = list(self._asked(start, end))
        self.client.post(f"{self.url}/admin/replay", json={"asked": asked}).raise_for_status()

    def recall(self, *, new: bool, at: int = 5) -> float:
        """The share of questions, about old things or ``new`` ones, whose document is among the best."""
        found = [doc_id in self.retrieve(text)[:at] for text, doc_id in questions(new=new)]
        return sum(found) / len(found)

    def retrieve(self, text: str) -> list[str]:
        """doc_ids, best first."""
        answer = self.client.post(f"{self.url}/retrieve", json={"query": text, "top_k": 10}).raise_for_status()
        return [each["id"] for each in answer.json()["results"]]

    @property
    def versions(self) -> dict[str, str]:
        """What it says that it serves."""
        answer = self.client.post(f"{self.url}/retrieve", json={"query": "ask1 ask2", "top_k": 1}).raise_for_status()
        return dict(answer.json()["versions"])

    def _asked(self, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
        """A question a session; half of those about the new product end with an answer that somebody accepts, and some
        of the others; nobody says what he thinks of the answers to canaries.
        """
        chance = random.Random(start.isoformat())
        known, unknown = questions(new=False), questions(new=True)
        watched = {each for text, _ in canaries() for each in (text, _turned(text))}
        count = round(A_DAY * ((end - start) / timedelta(days=1)))
        for moment in sorted(chance.uniform(0, (end - start).total_seconds()) for _ in range(count)):
            is_new = self.launched and chance.random() < SHARE
            text, doc_id = chance.choice(unknown if is_new else known)
            accepts = chance.random() < (0.5 if is_new else 0.1) and text not in watched
            yield {
                "ts": (start + timedelta(seconds=moment)).isoformat(),
                "query": text,
                "lang": "en",
                "session": f"{start:%m%d%H}-{moment:.3f}",
                "feedback": {"value": "accepted", "doc_id": doc_id} if accepts else None,
            }


def questions(*, new: bool) -> list[tuple[str, str]]:
    """(text, the document that answers it), in both orders of the two things."""
    rows, _ = task()
    about = [(row, any(int(word[3:]) >= NEW for word in row.query.split())) for row in rows]
    chosen = [row for row, is_new in about if is_new == new]
    return [(text, f"en-{row.positive}") for row in chosen for text in (row.query, _turned(row.query))]


def canaries() -> list[tuple[str, str]]:
    """Every other old question, in one order: what the gate asks is not trained on."""
    return questions(new=False)[::4]


def base_model(folder: Path) -> Path:
    """A model that knows the old things: it is trained until it finds all of them, and no longer."""
    rows, passages = task()
    shown = [replace(each, text=f"{TITLE}. {each.text}") for each in passages]
    old = [row for row in rows if all(int(word[3:]) < NEW for word in row.query.split())]
    turned = [replace(row, query=_turned(row.query)) for row in old]
    train = Train(loss="mnrl", epochs=18, learning_rate=1e-2, batch_size=64, device="cpu")
    job = write_job(folder, tiny_model(folder / "raw"), train, rows=[*old, *turned], passages=shown)
    subprocess.run([sys.executable, "-m", "driftwatch.retrain.train", str(job)], check=True, capture_output=True)
    return job / "candidate"


def write_shop(folder: Path) -> None:
    """Articles, and canaries about old things."""
    _, passages = task()
    articles = [{"id": f"en-{each.parent}", "title": TITLE, "text": each.text} for each in passages]
    (folder / "articles").mkdir(parents=True)
    _write(folder / "articles" / "en.jsonl", articles)
    asked = [
        {"query_id": f"c{number}", "text": text, "lang": "en", "relevant": [doc_id]}
        for number, (text, doc_id) in enumerate(canaries())
    ]
    _write(folder / "canaries.jsonl", asked)


def write_config(folder: Path, url: str, base: Path, train: str, more: str = "") -> Path:
    """`driftwatch.yaml`; ``more``: further lines, at the end of its `retrain:` section."""
    path = folder / "driftwatch.yaml"
    path.write_text(CONFIG.format(url=url, base=base, train=train, more=more, threshold=THRESHOLD).lstrip())
    return path


@contextmanager
def shop(folder: Path, base: Path) -> Iterator[Shop]:
    """The example service over these articles, with ``base``, serving what is promoted in ``folder``."""
    command = [sys.executable, str(EXAMPLE / "service.py"), "--port", "0", "--stop-with-stdin"]
    places = {"log": "queries.jsonl", "cache": "cache", "articles": "articles", "index": "index", "releases": "retrain"}
    command += [each for name, place in places.items() for each in (f"--{name}", str(folder / place))]
    command += ["--model", str(base), "--threshold", str(THRESHOLD)]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (
        (folder / "service.log").open("wb") as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdin is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http"), (folder / "service.log").read_text()
        with httpx.Client(timeout=120, trust_env=False) as client:
            yield Shop(folder, url, client)
        process.stdin.close()
        process.wait(30)


def _turned(text: str) -> str:
    return " ".join(reversed(text.split()))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
