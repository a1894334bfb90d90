"""Twelve languages, an English model, and one language that goes missing.

    python benchmarks/xquad.py                  # prints, and writes benchmarks/results/xquad.{json,md}
    python benchmarks/xquad.py --remove de ru   # only these, one after the other

XQuAD's 240 paragraphs in 12 languages are one index of 2,880 documents; its questions are canaries whose relevant
document is the paragraph in their own language. `Engine.observe` and `Engine.tick` run the canary check by language
over a baseline of two days. Then one language's documents are left out of the index, as a re-index that lost them
would, and the check looks again: the alerts that fire must be of that language and of no other. Each language is lost
twice: with a retriever that knows which documents it holds, and with one that, like most services, does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from _corpora import MODEL, RESULTS, data, document_vectors, embedder, qrels, rows, write_canaries, write_index
from numpy.typing import NDArray

from driftwatch.config import load_watch
from driftwatch.embed import TextEmbedder
from driftwatch.engine import Engine, Tick
from driftwatch.stats.ir import Measure
from driftwatch.store import Store
from driftwatch.types import Run

START = datetime(2026, 5, 4, tzinfo=UTC)
EVERY = timedelta(hours=12)
BASELINE_RUNS = 6
MEASURES = ("R@1", "R@10", "RR@10", "nDCG@10")
KNOWS, SILENT = "faiss", "_corpora:SilentFaiss"
CONFIG = f"""
service: xquad
database: sqlite:///driftwatch.db
baseline: 2 days
retriever: {{kind: "KIND", index: docs.faiss, ids: ids.txt, top_k: 20}}
embedder: {{model: "{MODEL}", device: cpu}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 12h}}
checks:
  - {{name: canary recall, kind: canary, source: canaries, measure: R@10, by: lang, every: 12h}}
alerts: {{after: 2, until: 2}}
notify: [{{kind: console, name: terminal}}]
"""


class World:
    """The index, the canaries and the driftwatch that watches them, in one folder."""

    def __init__(self, folder: Path, canaries_a_language: int, retriever: str) -> None:
        self.folder = folder
        folder.mkdir()
        source = data("xquad")
        self.documents = rows(source / "corpus.jsonl.gz")
        self.langs = np.array([row["lang"] for row in self.documents])
        self.vectors: NDArray[np.float32] = document_vectors([row["text"] for row in self.documents])
        self.canaries = pick(rows(source / "queries.jsonl.gz"), qrels(source / "qrels.tsv"), canaries_a_language)
        self.index_without(None)
        write_canaries(folder, self.canaries)
        (folder / "driftwatch.yaml").write_text(CONFIG.replace("KIND", retriever))
        self.embedder: TextEmbedder = embedder()
        self.now = START
        self.open()

    def open(self) -> None:
        """Start driftwatch."""
        self.watch = load_watch(self.folder / "driftwatch.yaml")
        self.store = Store.open(self.watch.database)
        self.engine = Engine(self.watch, self.store, embedder=self.embedder)

    def index_without(self, lang: str | None) -> None:
        """Write the index anew, with every document but those of one language."""
        kept = self.langs != lang
        ids = [row["id"] for row, keep in zip(self.documents, kept, strict=True) if keep]
        write_index(self.folder, self.vectors[kept], ids)

    def look(self) -> Tick:
        """Ask every canary and judge, 12 hours later."""
        self.now += EVERY
        observed = self.engine.observe("canaries", self.now)
        if observed.trouble or observed.failed:
            sys.exit(f"the run went wrong: {observed}")
        return self.engine.tick(self.watch.checks, self.now)


def pick(questions: Sequence[dict[str, Any]], judged: dict[str, dict[str, int]], count: int) -> list[dict[str, Any]]:
    """The same ``count`` questions in every language, spread evenly over the paragraphs."""
    by_lang = defaultdict(list)
    for row in questions:
        by_lang[row["lang"]].append(row)
    return [
        {"query_id": row["id"], "text": row["text"], "lang": lang, "relevant": list(judged[row["id"]])}
        for lang, asked in sorted(by_lang.items())
        for row in sorted(asked, key=lambda row: row["parallel"])[:: max(1, len(asked) // count)][:count]
    ]


def measured(run: Run) -> dict[str, dict[str, float]]:
    """Language -> measure -> mean over its canaries."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seen in run.observations:
        ranking = [hit.doc_id for hit in seen.hits or ()]
        for name in MEASURES:
            values[seen.lang][name].append(Measure.parse(name)(ranking, seen.relevant))
    return {
        lang: {name: float(np.mean(each)) for name, each in found.items()} | {"canaries": len(found[MEASURES[0]])}
        for lang, found in sorted(values.items())
    }


def learn(world: World) -> dict[str, dict[str, float]]:
    """Fill the baseline; nothing may fire while nothing has happened."""
    for _ in range(BASELINE_RUNS):
        if transitions := world.look().transitions:
            sys.exit(f"an alert without a change: {transitions}")
    run = world.store.canaries.latest("canaries")
    assert run is not None
    return measured(run)


def lose(world: World, lang: str) -> dict[str, Any]:
    """Leave one language out, look twice, and put everything back as it was."""
    world.store.close()
    shutil.copytree(world.folder, kept := world.folder.with_name("kept"))
    before = world.now
    world.open()
    world.index_without(lang)
    world.look()
    findings = {finding.segment: finding for finding in world.look().findings}
    alerts = world.store.decisions.alerts()
    fired = sorted(segment for (_, segment), alert in alerts.items() if alert.state == "firing")
    world.store.close()
    shutil.rmtree(world.folder)
    kept.rename(world.folder)
    world.now = before
    world.open()
    return {"removed": lang, "fired": fired, "message": findings[lang].message if lang in findings else ""}


def play(folder: Path, retriever: str, canaries: int, remove: Sequence[str] | None) -> dict[str, Any]:
    """The whole story with one retriever."""
    world = World(folder, canaries, retriever)
    languages = learn(world)
    losses = []
    for lang in remove or sorted(languages):
        losses.append(lose(world, lang))
        print(f"  {retriever}, without {lang}: {losses[-1]['fired']}", file=sys.stderr)
    world.store.close()
    return {"languages": languages, "losses": losses, "canaries": len(world.canaries)}


def report(found: dict[str, Any]) -> str:
    """The tables as Markdown."""
    setting = found["setting"]
    lines = [
        "# Twelve languages, an English model, and one language that goes missing",
        "",
        f"XQuAD: 2,880 paragraphs in 12 languages, {setting['canaries']} canaries, all-MiniLM-L6-v2 (English), exact"
        " search. The relevant document of a question is the paragraph in its own language."
        " `python benchmarks/xquad.py` makes this page.",
        "",
        "| language | canaries | " + " | ".join(MEASURES) + " |",
        "|---|---|" + "---|" * len(MEASURES),
    ]
    ranked = sorted(found["languages"].items(), key=lambda item: -item[1]["R@10"])
    lines += [
        f"| {lang} | {values['canaries']:.0f} | " + " | ".join(f"{values[name]:.3f}" for name in MEASURES) + " |"
        for lang, values in ranked
    ]
    for retriever, words in ((KNOWS, "knows which documents it holds"), (SILENT, "does not say what it holds")):
        lines += ["", f"Without one language's documents, when the retriever {words}:", ""]
        lines += ["| removed | alerts that fire | what the alert says |", "|---|---|---|"]
        lines += [
            f"| {loss['removed']} | {', '.join(loss['fired']) or 'none'} | {loss['message']} |"
            for loss in found["losses"][retriever]
        ]
    return "\n".join([*lines, ""])


def main() -> int:
    """Play it, write it down, and say whether each alert named its language and no other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canaries", type=int, default=200, help="for each language")
    parser.add_argument(
        "--remove", nargs="*", help="languages to lose, each in a run of its own; without it, every one"
    )
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        played = {
            retriever: play(Path(folder) / f"world-{number}", retriever, options.canaries, options.remove)
            for number, retriever in enumerate((KNOWS, SILENT))
        }
    languages = played[KNOWS]["languages"]
    losses = {retriever: found["losses"] for retriever, found in played.items()}
    setting = {"canaries": played[KNOWS]["canaries"], "seconds": round(time.monotonic() - began)}
    found = {"setting": setting, "languages": languages, "losses": losses}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "xquad.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    (RESULTS / "xquad.md").write_text(report(found))
    print(report(found))
    others = [values["R@10"] for lang, values in languages.items() if lang != "en"]
    alone = all(loss["fired"] == [loss["removed"]] for each in losses.values() for loss in each)
    holds = alone and languages["en"]["R@10"] > max(others)
    print("holds" if holds else "DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
