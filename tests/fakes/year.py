"""A service with a past, small and telling: what its daemon would have written in 30 days, and a server of its pages.

Three languages. In German the canaries fell a day ago, because a part of the index was embedded with another model: one
incident with a diagnosis and its experiment, acknowledged, with a symptom beside it. In French two documents are gone
(rot), in English one canary comes and goes (flicker), and nine days ago the service was down. One alert is silenced,
one model is in training, and another was judged and refused. Hostile words stand wherever somebody else may write.

::

    with served(folder, token="s3cret") as (daemon, address):
        ...  # a browser, or httpx
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftwatch.api import start_server
from driftwatch.config import Api, Watch, load_watch
from driftwatch.daemon import Daemon
from driftwatch.store import Store
from driftwatch.types import (
    Alert,
    Baseline,
    Cell,
    Contrast,
    Diagnosis,
    Experiment,
    Finding,
    IndexFacts,
    Look,
    Observation,
    Probe,
    Run,
    ScoredDoc,
    Silence,
    Transition,
    Verdict,
)
from tests.fakes.year_jobs import JOBS, write_jobs

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LANGS = ("en", "de", "fr")
CANARIES = 24
"""Of each language."""
BROKE = 26
"""Hours ago, in German ..."""
LOST = 9
"""... so many canaries lost their documents."""
INCIDENT = "canaries-de-3f9a1c"
PAST_INCIDENT = "canaries-all-77b0e2"
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
"""In a query, a document id, a reason, and the name of who acknowledged."""

CONFIG = """
service: help-centre
database: sqlite:///driftwatch.db
languages: [en, de, fr]
timezone: UTC
retriever: {kind: http, url: "http://127.0.0.1:9/retrieve", top_k: 10}
index: {kind: faiss, index: index/docs.faiss, ids: index/ids.txt}
documents: {path: articles.jsonl}
embedder: {model: intfloat/multilingual-e5-small, device: cpu}
sources:
  canaries: {kind: canaries, path: canaries.jsonl, every: 1h}
  live: {kind: query_log, path: queries.jsonl, every: 1m, keep_per_day: 600, stratify: lang}
  index: {kind: index, every: 1h}
notify: [{kind: console, name: terminal}]
privacy: {show_queries: SHOWN}
api: off
checks:
  - {name: canary recall, kind: canary, source: canaries, measure: R@10, at_least: 0.8, by: lang}
  - {name: canary first rank, kind: canary, source: canaries, measure: RR@10, max_drop: 0.05, severity: warn, by: lang}
  - {name: top-score drift, kind: score_drift, source: live, by: lang}
  - {name: empty results, kind: rate, of: empty, source: live, by: lang}
  - {name: abstentions, kind: rate, of: abstained, source: live, by: lang}
  - {name: language mix, kind: mix, source: live, severity: warn}
  - {name: traffic, kind: volume, source: live, by: lang}
  - {name: index integrity, kind: integrity, source: index}
retrain:
  when: [canary recall]
  pairs: {files: [labels.jsonl]}
"""
CHECKS: dict[str, tuple[str, str, float, float]] = {
    "canary recall": ("canary", "canaries", 0.95, 0.012),
    "canary first rank": ("canary", "canaries", 0.82, 0.02),
    "top-score drift": ("score_drift", "scores", 0.79, 0.004),
    "empty results": ("rate", "rates", 0.021, 0.004),
    "traffic": ("volume", "volume", 1.0, 0.06),
}
"""Check -> (kind, family, what it usually is, by how much it varies)."""
FELL = {"canary recall": -0.33, "canary first rank": -0.29, "top-score drift": -0.055}


@contextmanager
def served(folder: Path, *, token: str | None = None, show_queries: bool = True) -> Iterator[tuple[Daemon, str]]:
    """Build the store in ``folder``, and serve its pages on a free port: the daemon, and its address."""
    watch = build(folder, show_queries=show_queries)
    store = Store.open(watch.database)
    daemon = Daemon(watch, store)
    stop = start_server(daemon, Api(port=0, token=token))
    try:
        yield daemon, daemon.address
    finally:
        stop()
        daemon.close()
        store.close()


def build(folder: Path, now: datetime | None = None, *, show_queries: bool = True) -> Watch:
    """Write the project and fill its database with 30 days up to ``now``, by default this hour."""
    now = now or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    watch = _project(folder, now, show_queries)
    store = Store.open(watch.database, lasting=False)
    start = now - 30 * DAY
    store.decisions.set_baseline(Baseline(start, start + 14 * DAY, "learnt once, at the start", "driftwatch", now))
    Daemon(watch, store).engine.observe("live", now)
    for run in _runs(now):
        store.canaries.add(run)
    for probe in _probes(now):
        store.experiments.add_probe(probe)
    _decide(store, now)
    silence = Silence("5il3nce00001", "empty results", "fr", now + 6 * HOUR, "ben", f"new filter {HOSTILE}", now - HOUR)
    store.decisions.add_silence(silence)
    write_jobs(watch, store, now)
    _write_report(watch, now)
    store.close()
    return watch


# --- the project and its log -------------------------------------------------------------------------------------


def _project(folder: Path, now: datetime, show_queries: bool) -> Watch:
    folder.mkdir(parents=True, exist_ok=True)
    canaries = [
        {"query_id": f"{lang}-{n}", "text": _asked(lang, n), "lang": lang, "relevant": [f"{lang}-article-{n}"]}
        for lang in LANGS
        for n in range(CANARIES)
    ]
    _lines(folder / "canaries.jsonl", canaries)
    _lines(folder / "articles.jsonl", [{"id": "en-article-1", "text": "How to send something back"}])
    _lines(folder / "labels.jsonl", [{"query": "where is it", "doc_id": "en-article-1", "lang": "en"}])
    _lines(folder / "queries.jsonl", _queries(now))
    path = folder / "driftwatch.yaml"
    path.write_text(CONFIG.lstrip().replace("SHOWN", str(show_queries).lower()))
    return load_watch(path)


def _asked(lang: str, n: int) -> str:
    words = {"en": "how do I return order", "de": "wie tausche ich das Gerät um, Modell", "fr": "où est mon colis"}
    return f"{words[lang]} {n}?" if (lang, n) != ("de", 2) else f"Umtausch {HOSTILE}"


def _queries(now: datetime) -> Iterator[dict[str, object]]:
    """30 days of live queries, a dozen an hour; the scores of German ones are lower since it broke."""
    chance = random.Random("queries")
    for hour in range(30 * 24, 0, -1):
        for n in range(12):
            lang = chance.choices(LANGS, (0.5, 0.35, 0.15))[0]
            at = now - hour * HOUR + n * timedelta(minutes=5)
            score = chance.gauss(0.79, 0.06) - (0.07 if lang == "de" and hour <= BROKE else 0)
            found = [] if chance.random() < 0.02 else [{"id": f"{lang}-article-{n}", "score": round(score, 4)}]
            text = f"{_asked(lang, n)} ({hour})" if (hour, n) != (1, 1) else HOSTILE
            yield {"ts": at.isoformat(), "query": text, "lang": lang, "session": f"s{hour}-{n}", "results": found}


def _lines(path: Path, rows: object) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))  # type: ignore[attr-defined]


# --- canaries and the index --------------------------------------------------------------------------------------


def _runs(now: datetime) -> Iterator[Run]:
    """Every six hours, and every hour of the last two days."""
    ages = sorted({*range(0, 30 * 24, 6), *range(48)}, reverse=True)
    for age in ages:
        at = now - age * HOUR
        gone = frozenset({"fr-article-4", "fr-article-5"}) if age < 100 else frozenset()
        seen = tuple(_answer(at, lang, n, age) for lang in LANGS for n in range(CANARIES))
        yield Run(f"canaries@{at.isoformat()}", "canaries", at, "suite-1", seen, gone)


def _answer(at: datetime, lang: str, n: int, age: int) -> Observation:
    rank = 1 + n % 3
    if (lang, n) == ("en", 3) and age // 6 % 2:
        rank = 0  # comes and goes
    if lang == "de" and age < BROKE and n < LOST:
        rank = 0 if n < 7 else 8
    if lang == "fr" and n in (4, 5) and age < 100:
        rank = 0
    names = [f"{lang}-other-{n}-{place}" for place in range(10)]
    if lang == "de" and n == 2:
        names[0] = f"doc {HOSTILE}"
    if rank:
        names[rank - 1] = f"{lang}-article-{n}"
    hits = tuple(ScoredDoc(name, round(0.86 - 0.02 * place, 3)) for place, name in enumerate(names))
    relevant = {f"{lang}-article-{n}": 1}
    return Observation(at, "canaries", f"{lang}-{n}", _asked(lang, n), lang, hits=hits, relevant=relevant, digest="d")


def _probes(now: datetime) -> Iterator[Probe]:
    for age in sorted({*range(0, 14 * 24, 12), *range(36)}, reverse=True):
        at, broken = now - age * HOUR, age < BROKE
        bad = (11 if broken else 0) + (age % 5 == 0)
        looks = {
            "facts": Look(5, values={"count": 5210.0}),
            "stored vectors": Look(
                64,
                11 if broken else 0,
                tuple(f"de-article-{n}" for n in range(11)) if broken else (),
                by={"de": (22, 11 if broken else 0), "en": (32, 0), "fr": (10, 0)},
                values={"displacement p50": 0.31 if broken else 0.0004},
                words={"kind": "foreign"} if broken else {},
                why="11 of 64 stored vectors are not those of their texts" if broken else "",
            ),
            "finds itself": Look(32),
            "recall of the index": Look(64, values={"recall@1": 1.0, "recall@10": 0.98, "recall@100": 0.95}),
            "missing documents": Look(5210, 2 if age < 100 else 0, ("fr-article-4", "fr-article-5")),
            "orphans": Look(5210),
            "texts": Look(64, bad - (11 if broken else 0)),
            "probe strings": Look(unable="no embedder is running in this example"),
            "service": Look(8, values={"latency": 41.0, "usual latency": 38.0}),
        }
        facts = IndexFacts(5210, 384, "cosine", "f1" if not broken else "f2", {"kind": "HNSW", "M": "32"}, "e5-small")
        yield Probe(f"index@{at.isoformat()}", "index", at, looks, facts, "e5-small@1", 2.1)


# --- what was found and decided -----------------------------------------------------------------------------------


def _findings(now: datetime) -> Iterator[Finding]:
    for age in range(30 * 24, -1, -1):
        for check in CHECKS:
            for segment in ("all", *LANGS):
                yield _finding(check, segment, now - age * HOUR, age)
    mixed = "28 % more in fr than in the baseline: a total variation of 0.04 over 288 queries"
    for age in range(30 * 4, -1, -1):
        at = now - age * 6 * HOUR
        yield Finding("language mix", "all", at, "ok", mixed, "mix", "mix", 288, 0.04, None, 0.04)
        yield Finding("abstentions", "all", at, "unknown", "the log does not say who abstained", "rate", "rates")
        looked = "11 of 64 stored vectors are not those of their texts (de)"
        broken = age * 6 < BROKE
        said = looked if broken else "all 5,210 documents are where they should be"
        verdict: Verdict = "fail" if broken else "ok"
        share = 11 / 64 if broken else 0.0
        yield Finding("index integrity", "all", at, verdict, said, "integrity", "integrity", 64, share, effect=share)


def _finding(check: str, segment: str, at: datetime, age: int) -> Finding:
    kind, family, usual, spread = CHECKS[check]
    chance = random.Random(f"{check}{segment}{age}")
    fell = FELL.get(check, 0.0) if age < BROKE and segment == "de" else 0.0
    fell += FELL.get(check, 0.0) / 3 if age < BROKE and segment == "all" else 0.0
    down = 214 <= age <= 220 and family == "canaries"
    value = min(1.0 if family == "canaries" else 9.9, usual + fell + chance.gauss(0, spread))
    verdict: Verdict = "ok" if not fell else "warn" if check == "canary first rank" else "fail"
    verdict = "ok" if segment == "all" else verdict
    message = f"{check} is {value:.2f}, {usual:.2f} in the baseline"
    if verdict != "ok":
        message = f"{check} fell from {usual:.2f} to {value:.2f} ({fell:+.2f}, {fell - 0.1:+.2f} to {fell + 0.1:+.2f})"
    if down:
        return Finding(check, segment, at, "unknown", "24 of 24 canaries could not be asked: no answer", kind, family)
    evidence = 0.4 + chance.random() + (0 if verdict == "ok" else min(400.0, 3 * math.exp((BROKE - age) / 5)))
    details: dict[str, object] = {"measure": "R@10", "evidence": {"days": evidence, "budget": 90.0}}
    examples: tuple[str, ...] = ()
    if family == "canaries" and verdict != "ok":
        examples = tuple(f"de-{n}" for n in range(LOST))
        ranks = [(f"de-{n}", 1 + n % 3, None if n < 7 else 8) for n in range(LOST)]
        details["flips"] = [{"query_id": name, "old_rank": old, "new_rank": new} for name, old, new in ranks]
    if family == "scores":
        details["ks"] = {
            "d": 0.42 if fell else 0.03,
            "p_value": 1e-9 if fell else 0.6,
            "at": 0.74,
            "direction": "lower",
        }
    return Finding(
        check, segment, at, verdict, message, kind, family, CANARIES, value, usual, value - usual,
        (value - usual - 0.06, value - usual + 0.06), 0.42 if family == "scores" and fell else None,
        1e-9 if fell else 0.4, examples=examples, details=details, evidence=evidence, share=0.1,
        onset=at - (BROKE - age) * HOUR if verdict != "ok" else None, pages=verdict == "fail" and age == BROKE - 1,
    )  # fmt: skip


def _decide(store: Store, now: datetime) -> None:
    began, past = now - (BROKE - 1) * HOUR, now - 220 * HOUR
    members = ("canary recall", "top-score drift")
    news = [_change(check, "de", "firing", "pending", "firing", began, INCIDENT) for check in members]
    told = began + timedelta(minutes=20)
    taken = _change("canary recall", "de", "acknowledged", "firing", "firing", told, INCIDENT, f"ana {HOSTILE}")
    over = [
        _change("canary recall", "all", "blind", "ok", "blind", past, PAST_INCIDENT),
        _change("canary recall", "all", "resolved", "blind", "ok", past + 7 * HOUR, PAST_INCIDENT),
    ]
    firing = [Alert(check, "de", "firing", began, 25, fired_at=began, incident=INCIDENT) for check in members]
    warned = Alert("canary first rank", "de", "pending", began, 1)
    store.decisions.record(findings=list(_findings(now)), alerts=(), transitions=(), receivers={})
    blind = Alert("canary recall", "all", "blind", past, unknown=6, incident=PAST_INCIDENT)
    store.decisions.record(findings=(), alerts=[blind], transitions=over[:1], receivers={})
    well = Alert("canary recall", "all", "ok", last_incident=PAST_INCIDENT)
    store.decisions.record(findings=(), alerts=[well], transitions=over[1:], receivers={})
    thought = {INCIDENT: _diagnosis(began)}
    receivers = {"terminal": frozenset({"firing"})}
    alerts = [*firing, warned]
    store.decisions.record(findings=(), alerts=alerts, transitions=news, receivers=receivers, diagnoses=thought)
    store.decisions.record(findings=(), alerts=firing[:1], transitions=[taken], receivers=receivers)


def _change(check: str, segment: str, event, before, after, at, incident: str, actor: str = "") -> Transition:  # type: ignore[no-untyped-def]
    key = f"{check}/{segment}/{event}/{at.isoformat()}"
    family = "scores" if "score" in check else "canaries"
    return Transition(key, check, segment, event, before, after, at, incident, family, actor, "fail")


def _diagnosis(at: datetime) -> Diagnosis:
    values = {"service": 0.62, "stored x approximate": 0.62, "stored x exact": 0.63, "fresh x exact": 0.95}
    langs = {"en": (24, 0.96), "fr": (22, 0.94)}
    cells = tuple(Cell(name, 70, value, {"de": (24, value), **langs}) for name, value in values.items())
    contrasts = (
        Contrast("baseline", "service", 70, -0.11, (-0.17, -0.06), {"de": (24, -0.33, -0.5, -0.17)}),
        Contrast("stored x approximate", "service", 70, 0.0, (-0.02, 0.02)),
        Contrast("stored x exact", "stored x approximate", 70, -0.01, (-0.03, 0.01)),
        Contrast("fresh x exact", "stored x exact", 70, -0.32, (-0.44, -0.2), {"de": (24, -0.32, -0.5, -0.16)}),
    )
    verdict = "The stored vectors lose: the same documents, embedded anew, are found."
    return Diagnosis(
        cause="mixed vectors",
        sentence="11 of 64 stored vectors are not those of their texts; all of them are German.",
        action="Embed these documents again with the model in use, and find out which job wrote them.",
        segment="de",
        documents=(*(f"de-article-{n}" for n in range(11)), f"doc {HOSTILE}"),
        queries=tuple(f"de-{n}" for n in range(LOST)),
        silences=(("canary recall", "de"), ("top-score drift", "de")),
        beside=("2 documents that canaries ask for are gone from the index (fr).",),
        causes=("mixed vectors", "canary rot"),
        unseen=("The probe strings could not be embedded.",),
        at=at,
        experiment=Experiment(at, "R@10", cells, contrasts, ("500 documents were embedded anew.",), verdict=verdict),
    )


def _write_report(watch: Watch, now: datetime) -> None:
    """A kept report, as any program may have left it there."""
    year, week, _ = (now - 7 * DAY).isocalendar()
    folder = watch.state / "reports" / f"{year}-W{week:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text("<!doctype html><html lang=en><title>A week</title><h1>A quiet week</h1>")
    (folder / "report.md").write_text("# A quiet week\n")


__all__ = ["CANARIES", "HOSTILE", "INCIDENT", "JOBS", "LANGS", "LOST", "PAST_INCIDENT", "build", "served"]
