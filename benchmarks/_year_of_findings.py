"""A store as a daemon leaves it after a year: hourly findings of ten checks in twenty languages, and what goes with it.

Nothing is judged: findings are drawn, with details as long as real ones. Canary runs and sampled queries are kept as
long as a daemon keeps them by default (90 days).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from driftwatch.config import Watch, load_watch
from driftwatch.sampling import Batch, Kept
from driftwatch.store import Store
from driftwatch.types import (
    TALLY_FIELDS,
    Alert,
    Baseline,
    Diagnosis,
    Finding,
    Observation,
    Probe,
    Run,
    ScoredDoc,
    Transition,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LANGS = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hu", "it", "lt", "nl", "pl", "pt", "ro", "sv",
    "tr",
)  # fmt: skip
KEPT_DAYS, A_DAY, CANARIES = 90, 2000, 20
INCIDENT = "canaries-de-000001"
DETAILS = {
    "canary": {"measure": "R@10", "asked": 20, "flips": [], "lost": 0, "gained": 0, "lower": 0, "mcnemar_p": 1.0,
               "sign_flip_p": 0.43, "own_rate_p": 0.31, "flaky": 0, "learning": 0, "never_found": 1,
               "baseline_days": 14, "value_of_all": 0.94},
    "score_drift": {"current": {"mean": 0.79, "median": 0.8, "p05": 0.68, "p95": 0.9},
                    "reference": {"mean": 0.79, "median": 0.8, "p05": 0.68, "p95": 0.9},
                    "ks": {"d": 0.031, "p_value": 0.61, "at": 0.79, "direction": "lower"}, "wasserstein": 0.0031,
                    "day_shift": 0.02, "effective_n": 96.3, "reference_n": 1350, "blind_below": 0.09,
                    "median_change": {"change": 0.001, "interval": [-0.01, 0.012]}, "larger_than_days": [4, 14]},
    "rate": {"hits": 2, "of": "empty", "share_of_languages_detected": 0.0, "sessions": 96, "interval": [0.0, 0.1]},
}  # fmt: skip
CONFIG = """\
service: year
database: sqlite:///driftwatch.db
languages: [{langs}]
retriever: {{kind: http, url: "http://127.0.0.1:9/retrieve"}}
index: {{kind: faiss, index: index/docs.faiss, ids: index/ids.txt}}
embedder: {{model: a-model, device: cpu}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 1h}}
  live: {{kind: query_log, path: queries.jsonl, stratify: lang, keep_per_day: {a_day}}}
  index: {{kind: index, every: 1h}}
api: off
checks:
{checks}
"""
KINDS = {
    **{f"canary {name}": ("canary", "canaries", f"measure: {name}") for name in ("R@10", "RR@10", "nDCG@10", "P@5")},
    "top-score drift": ("score_drift", "scores", "score: top1"),
    "mean-score drift": ("score_drift", "scores", "score: topk_mean"),
    **{f"rate {of}": ("rate", "rates", f"of: {of}") for of in ("empty", "abstained", "negative_feedback", "no_click")},
}
"""Check -> (kind, family, its setting)."""


def build(folder: Path, end: datetime, days: int = 365) -> Watch:
    """Write the project and the store of ``days`` days up to ``end``."""
    watch = _project(folder)
    store = Store.open(watch.database, lasting=False)
    store.decisions.set_baseline(Baseline(end - 40 * DAY, end - 26 * DAY, "learnt", "driftwatch", end))
    for day in range(days, 0, -1):
        findings = list(_findings(end - day * DAY, day))
        store.decisions.record(findings=findings, alerts=(), transitions=(), receivers={})
    _traffic(store, end, days)
    _canaries(store, end)
    for hour in range(KEPT_DAYS * 24, -1, -1):
        store.experiments.add_probe(Probe(f"index@{hour}", "index", end - hour * HOUR, _looks(hour)))
    _incidents(store, end)
    store.close()
    return watch


def _project(folder: Path) -> Watch:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "canaries.jsonl").write_text('{"query_id": "q", "text": "q", "lang": "de", "relevant": ["d"]}\n')
    (folder / "queries.jsonl").touch()
    checks = "\n".join(
        f"  - {{name: {name}, kind: {kind}, {more}, by: lang, source: {'canaries' if kind == 'canary' else 'live'}}}"
        for name, (kind, _, more) in KINDS.items()
    )
    text = CONFIG.format(langs=", ".join(f"'{lang}'" for lang in LANGS), a_day=A_DAY, checks=checks)
    (folder / "driftwatch.yaml").write_text(text)
    return load_watch(folder / "driftwatch.yaml")


def _findings(start: datetime, day: int) -> Iterator[Finding]:
    chance = random.Random(day)
    for hour in range(1, 25):
        at = start + hour * HOUR
        for check, (kind, family, _) in KINDS.items():
            for segment in ("all", *LANGS):
                value = 0.9 + chance.gauss(0, 0.02)
                bad = segment == "de" and family == "canaries" and day == 1
                yield Finding(
                    check, segment, at, "fail" if bad else "ok",
                    f"{check} is {value:.2f} over 20 canaries, 0.90 in the baseline", kind, family, 20, value, 0.9,
                    value - 0.9, (value - 0.95, value - 0.85), 0.03, 0.4, details=DETAILS[kind],
                    evidence=abs(chance.gauss(0, 3)), share=0.02,
                )  # fmt: skip


def _traffic(store: Store, end: datetime, days: int) -> None:
    chance = np.random.default_rng(3)
    row = [80 if name in ("queries", "units", "answered") else 0 for name in TALLY_FIELDS]
    number = int(end.timestamp()) // 3600
    tallies = {(number - hour, lang): row for hour in range(1, days * 24 + 1) for lang in LANGS}
    store.traffic.ingest(Batch("live", {}, tallies))
    for day in range(44, 0, -1):
        kept = [_asked(end - day * DAY, place, chance) for place in range(A_DAY)]
        store.traffic.ingest(Batch("live", {}, {}, tuple(kept)))


def _asked(start: datetime, place: int, chance: np.random.Generator) -> Kept:
    lang = LANGS[place % len(LANGS)]
    at = start + place * (DAY / A_DAY)
    hits = tuple(ScoredDoc(f"d{place}-{n}", float(score)) for n, score in enumerate(chance.normal(0.8, 0.05, 10)))
    seen = Observation(at, "live", f"q{at.timestamp():.0f}-{place}", f"a question {place}", lang, hits=hits)
    return Kept(place / A_DAY, at.date(), seen, lang)


def _canaries(store: Store, end: datetime) -> None:
    chance = random.Random(5)
    asked = [(f"{lang}-{n}", lang) for lang in LANGS for n in range(CANARIES)]
    for hour in range(KEPT_DAYS * 24, -1, -1):
        at = end - hour * HOUR
        seen = tuple(
            Observation(at, "canaries", name, f"question {name}", lang, hits=_hits(name, chance), digest="d",
                        relevant={f"{name}-doc": 1})
            for name, lang in asked
        )  # fmt: skip
        store.canaries.add(Run(f"c@{hour}", "canaries", at, "suite", seen))


def _hits(name: str, chance: random.Random) -> tuple[ScoredDoc, ...]:
    rank = 0 if chance.random() < 0.97 else chance.randrange(1, 10)
    docs = [f"{name}-other-{n}" for n in range(10)]
    docs[rank] = f"{name}-doc"
    return tuple(ScoredDoc(doc, 0.9 - 0.01 * n) for n, doc in enumerate(docs))


def _looks(hour: int) -> dict[str, object]:
    from driftwatch.types import Look

    names = ("stored vectors", "finds itself", "recall of the index", "missing documents", "orphans", "texts")
    return {name: Look(64, int(hour % 40 == 0), by=dict.fromkeys(LANGS, (3, 0))) for name in names}


def _incidents(store: Store, end: datetime) -> None:
    """One open incident, and one a week that is over."""
    for week in range(51, -1, -1):
        at, name = end - week * 7 * DAY - HOUR, INCIDENT if not week else f"rates-fr-{week:06}"
        place = ("canary R@10", "de") if not week else ("rate empty", "fr")
        fired = Transition(f"{name}/1", *place, "firing", "pending", "firing", at, name, "canaries")
        over = Transition(f"{name}/2", *place, "resolved", "firing", "ok", at + HOUR, name, "canaries")
        alert = Alert(*place, "firing", at, 2, fired_at=at, incident=name)
        thought = {name: Diagnosis("mixed vectors", "11 of 64 are off.", "Embed anew.", "de", at=at)}
        store.decisions.record(findings=(), alerts=[alert], transitions=[fired], receivers={}, diagnoses=thought)
        if week:
            well = Alert(*place, "ok", last_incident=name)
            store.decisions.record(findings=(), alerts=[well], transitions=[over], receivers={})
