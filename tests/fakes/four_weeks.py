"""Four weeks of one service, seeded, in every table that a report reads; the clocks go back on the Sunday of the third.

The first two weeks are the baseline. In the last one German canaries fall, scores shift, a topic is new, a log hour is
silent, a run failed and another was missed, and a message was refused. Written through the store's own doors.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from driftwatch.checks import Check
from driftwatch.checks.canary import Canary
from driftwatch.checks.integrity import Integrity
from driftwatch.checks.query_drift import QueryDrift
from driftwatch.checks.rate import Rate
from driftwatch.checks.score_drift import ScoreDrift
from driftwatch.feedback import Heard
from driftwatch.report.about import About, Accepted, Expected
from driftwatch.reported import Retraining
from driftwatch.sampling import Batch
from driftwatch.schedule import Schedule
from driftwatch.store import CheckRun, Store
from driftwatch.types import (
    TALLY_FIELDS,
    Alert,
    Baseline,
    Diagnosis,
    Finding,
    IndexFacts,
    Look,
    Observation,
    Probe,
    Run,
    ScoredDoc,
    Silence,
    Transition,
)
from tests.fakes.batches import docs, kept, vote

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 10, 4, 22, tzinfo=UTC)
"""Monday the 5th of October in Berlin."""
LEARNT = START + 14 * DAY
END = datetime(2026, 11, 1, 23, tzinfo=UTC)
"""Monday the 2nd of November: in between the clocks went back, so this is 28 days and an hour later."""
LAST = datetime(2026, 10, 25, 23, tzinfo=UTC)
"""The last week begins: 2026-W44."""
BROKE = datetime(2026, 10, 28, 6, tzinfo=UTC)
MENDED = datetime(2026, 10, 30, 18, tzinfo=UTC)
LANGS = {"en": 40, "de": 25, "fr": 12}
"""Lines an hour, about; ``sw`` is heard in the baseline only, and ``ja`` in the last week only."""
CANARIES = 12
"""Of each of the three languages."""
INCIDENT, WARNING, BLIND = "scores-de-1", "rates-fr-1", "canaries-all-1"
HOSTILE = "<script>alert(1)</script> write to jane.doe@example.org"

CHECKS: tuple[Check, ...] = (
    Canary(name="canary recall", source="canaries", measure="R@5", by="lang"),  # type: ignore[arg-type]
    ScoreDrift(name="top-score drift", source="live", by="lang"),
    ScoreDrift(name="score spread", source="live", score="topk_mean", severity="warn"),
    Rate(name="empty results", source="live", of="empty", by="lang", severity="warn"),
    Rate(name="no clicks", source="live", of="no_click"),
    QueryDrift(name="new questions", source="live"),
    Integrity(name="index integrity", source="index"),
)


def about(**more: Any) -> About:
    """The service as it is configured."""
    known: dict[str, Any] = {
        "service": "help-centre",
        "zone": BERLIN,
        "sources": {"canaries": "runs", "live": "traffic", "index": "probes", "second index": "probes"},
        "checks": CHECKS,
        "accepted": (Accepted("page", 1, 90 * DAY), Accepted("warn", 1, 14 * DAY)),
        "jobs": {"source canaries": Schedule.parse("6h"), "checks of live every 1h": Schedule.parse("1h")},
        "expected": (Expected(END - DAY, END + DAY, "a launch"), Expected(START, START + HOUR, "long ago")),
        "retraining": (
            Retraining(LAST - 9 * DAY, "job", "20261017-aa", "refused", "the gate said no"),
            Retraining(MENDED - HOUR, "promoted", "20261030-bb", "promoted", "all is well", "ana"),
            Retraining(END + DAY, "job", "20261103-cc", "begun"),
        ),
    }
    return About(**(known | more))


def fill(store: Store) -> None:
    """Write all of it."""
    store.decisions.set_baseline(Baseline(START, LEARNT, "learnt once, at the start", "driftwatch", LEARNT + HOUR))
    for batch in _batches():
        store.traffic.ingest(batch)
    for run in _runs():
        store.canaries.add(run)
    for probe in _probes():
        store.experiments.add_probe(probe)
    _decide(store)
    _work(store)


def hours() -> Iterator[datetime]:
    """Every hour of the four weeks."""
    at = START
    while at < END:
        yield at
        at += HOUR


# --- traffic -------------------------------------------------------------------------------------------------------


def _batches() -> Iterator[Batch]:
    """A day at a time, in UTC: sessions and thresholds are of UTC days."""
    chance = random.Random("traffic")
    by_day: dict[date, list[datetime]] = {}
    for at in hours():
        by_day.setdefault(at.date(), []).append(at)
    for day, its_hours in by_day.items():
        tallies = {key: row for at in its_hours if at != LAST + 30 * HOUR for key, row in _tallied(chance, at)}
        threshold = 0.5 if day.day % 2 else 1.0
        rows = tuple(_sampled(chance, its_hours, threshold))
        votes = tuple(vote(chance.random() / 2, f"v{day}-{n}", its_hours[0], line=n, lang="en") for n in range(3))
        yield Batch("live", {}, tallies, rows, {(day, "de"): threshold}, votes=votes, heard={(day, "*"): Heard(1.0, 5)})


def _tallied(chance: random.Random, at: datetime) -> Iterator[tuple[tuple[int, str], list[int]]]:
    rest = {"sw": 3} if at < LEARNT else {"ja": 5} if at >= LAST else {}
    for lang, usual in {**LANGS, **rest}.items():
        queries = chance.randint(usual // 2, 2 * usual)
        units = chance.randint(queries // 2, queries)
        bad = 0.2 if lang == "fr" and at >= LAST else 0.08
        feedback = units // 4
        row = dict.fromkeys(TALLY_FIELDS, 0)
        row |= {"queries": queries, "units": units, "detected": queries // 5, "errors": chance.randint(0, 1)}
        row |= {"units_results_known": units - 1, "units_empty": sum(chance.random() < bad for _ in range(units - 1))}
        row |= {"units_feedback_known": feedback, "units_down": chance.randint(0, feedback // 2)}
        row |= {"units_click": chance.randint(0, feedback // 3), "units_accepted": chance.randint(0, feedback // 3)}
        if lang != "fr":
            row |= {"units_abstention_known": units, "units_abstained": chance.randint(0, units // 10)}
        yield (int(at.timestamp()) // 3600, lang), [row[name] for name in TALLY_FIELDS]


def _sampled(chance: random.Random, its_hours: list[datetime], threshold: float) -> Iterator[Any]:
    """Some three an hour; sessions have up to three rows, and now and then two languages."""
    for at in its_hours:
        for n in range(chance.randint(1, 5)):
            lang = chance.choice(["en", "en", "de", "fr"])
            session = f"s{chance.randint(0, 40)}" if chance.random() < 0.6 else None
            mean = 0.6 if lang == "de" and at >= BROKE else 0.72
            first = round(chance.gauss(mean, 0.08), 3 if n % 2 else 1)
            found = docs(first, round(first - 0.1, 3), None) if chance.random() > 0.05 else ()
            name = f"{at:%d%H}-{n}"
            text = f"where is parcel {name}?" if n else HOSTILE
            below = threshold if lang == "de" else 1.0
            moment = at + timedelta(minutes=11 * n)
            priority = chance.random() * below
            yield kept(priority, name, moment, stratum=lang, lang=lang, session=session, hits=found, text=text)


# --- canaries and the index ----------------------------------------------------------------------------------------


def _runs() -> Iterator[Run]:
    """Every six hours; one was missed."""
    chance = random.Random("canaries")
    for number in range(28 * 4):
        at = START + number * 6 * HOUR + timedelta(minutes=2)
        if number == 100:
            continue
        gone = frozenset({"fr-2", "fr-2b", "fr-3", "en-1b"}) if at >= LAST + DAY else frozenset()
        asked = tuple(_answer(chance, at, number, lang, n) for lang in LANGS for n in range(CANARIES))
        late = () if at < LAST else (_answer(chance, at, number, "de", CANARIES),)  # a new canary, unknown before
        again = tuple(Observation(at, "canaries", each.query_id, hits=(), attempt=1) for each in asked[:2])
        yield Run(f"run-{number}", "canaries", at, "suite", (*asked, *late, *again), gone)


def _answer(chance: random.Random, at: datetime, number: int, lang: str, n: int) -> Observation:
    relevant = {f"{lang}-{n}": 2, f"{lang}-{n}b": 1}
    rank = 1 + n % 3
    if (lang, n) == ("en", 5) and number % 2:
        rank = 9  # comes and goes
    if lang == "de" and n < 5 and at >= BROKE:
        rank = 0 if n < 3 else 4
    if chance.random() < 0.02:
        rank = 4
    names = [f"other-{place}" for place in range(10)]
    if rank:
        names[rank - 1] = f"{lang}-{n}"
    if n % 4 == 0:
        names[7] = f"{lang}-{n}b"
    hits = tuple(ScoredDoc(name, 0.9 - place / 50) for place, name in enumerate(names))
    broken = at == LAST + 5 * HOUR + timedelta(minutes=2) and lang == "fr"
    return Observation(
        at, "canaries", f"{lang}-q{n}", f"question {n} {HOSTILE if n == 2 else ''}", lang,
        hits=None if broken else hits, relevant=relevant, digest="d1",
        error="timed out after 10 s" if broken else None, expect_empty=False,
    )  # fmt: skip


def _probes() -> Iterator[Probe]:
    for number in range(28):
        at = START + number * DAY + 3 * HOUR
        bad = 6 if BROKE <= at < MENDED else 0
        looks = {
            "stored vectors": Look(60, bad, tuple(f"de-{n}" for n in range(bad)), {"de": (20, bad), "en": (40, 0)},
                                   {"displacement p50": 0.3 if bad else 0.001}, why="6 are others" if bad else ""),
            "recall of the index": Look(64, 0, values={"recall@10": 0.981}),
            "probe strings": Look(unable="no embedder runs here"),
            "missing documents": Look(unable="off", words={"kind": "off"}),
        }  # fmt: skip
        if number == 25:
            looks["stored vectors"] = Look(unable="the index did not answer")
        facts = IndexFacts(5000 + number, 384, "cosine", settings={"efSearch": "64" if number < 23 else "32"})
        yield Probe(f"probe-{number}", "index", at, looks, facts)


# --- what was found and decided --------------------------------------------------------------------------------------


def _findings() -> Iterator[Finding]:
    chance = random.Random("findings")
    for at in hours():
        for check in CHECKS[:4]:
            segments = ("all", *LANGS) if check.by else ("all",)
            for segment in segments:
                yield _finding(chance, check, segment, at)
        if at.hour == 6:
            yield _topical(at)


def _finding(chance: random.Random, check: Check, segment: str, at: datetime) -> Finding:
    fell = check.name == "top-score drift" and segment == "de" and BROKE <= at < MENDED
    effect = round(chance.uniform(0.3, 0.4) if fell else chance.uniform(0, 0.05), 4)
    blind = check.name == "canary recall" and LAST + 4 * HOUR <= at < LAST + 9 * HOUR
    bad: Any = "fail" if fell else "warn" if check.severity == "warn" and segment == "fr" and at > BROKE else "ok"
    learning = at < LEARNT
    verdict: Any = "unknown" if blind or learning else bad
    kind, family = check.kind, check.family  # type: ignore[attr-defined]
    return Finding(
        check.name, segment, at, verdict, f"{check.name} says {effect}", kind, family, 90, 0.5 + effect, 0.5, effect,
        (effect - 0.1, effect + 0.1), p_value=0.001, learning=learning and not blind,
        evidence=round(chance.uniform(0, 3) + (150 * fell), 3), onset=BROKE - 2 * HOUR if fell else None, pages=fell,
    )  # fmt: skip


def _topical(at: datetime) -> Finding:
    share = 0.05 + at.day / 1000
    topics = [
        {"share": share, "before": 0.01, "terms": ["roaming", "spain", "sim"], "examples": [f"{at:%d}06-0", "gone"]},
        {"share": 0.02, "before": 0.0, "terms": [], "examples": [f"{at:%d}06-1"]},
    ]
    new = at >= LAST
    said = 'so many queries are new: "roaming, spain" 7.1%' if new else "queries are about what they used to be"
    details = {"topics": topics if new else [], "ks": {"d": 0.1}}
    return Finding("new questions", "all", at, "ok", said, "query_drift", "queries", 400, share, 0.0, share,
                   (0.01, 0.1), details=details)  # fmt: skip


def _decide(store: Store) -> None:
    nothing: dict[str, Any] = {"findings": (), "alerts": (), "transitions": (), "receivers": {}}
    store.decisions.record(**(nothing | {"findings": list(_findings())}))
    receivers = {"slack": frozenset({"firing", "resolved", "blind", "acknowledged"}), "pager": frozenset({"firing"})}
    for at, news, thought in _news():
        alerts = [_alert(each) for each in news if each.event != "acknowledged"]
        found = {news[0].incident: thought} if thought else {}
        store.decisions.record(
            **(nothing | {"alerts": alerts, "transitions": news, "receivers": receivers, "diagnoses": found})
        )
        _deliver(store, at)
    store.decisions.add_silence(
        Silence("s1", "top-score drift", "*", MENDED, "ben", "known", BROKE + 3 * HOUR + timedelta(minutes=5))
    )
    store.decisions.add_silence(Silence("s2", "other", "*", MENDED, "eve", "not this", BROKE + 4 * HOUR))


def _alert(news: Transition) -> Alert:
    open_now = news.after in ("firing", "blind")
    return Alert(
        news.check, news.segment, news.after, news.at, fired_at=news.at, incident=news.incident if open_now else ""
    )


def _change(check: str, segment: str, event: Any, after: Any, at: datetime, incident: str, **more: Any) -> Transition:
    family = incident.split("-", maxsplit=1)[0]
    key = f"{check}/{segment}/{event}/{at.isoformat()}"
    return Transition(key, check, segment, event, more.pop("before", "ok"), after, at, incident, family, **more)


def _news() -> Iterator[tuple[datetime, list[Transition], Diagnosis | None]]:
    """By incident; nothing else reads the order."""
    drift, fired = "top-score drift", BROKE + 2 * HOUR
    mixed = Diagnosis("mixed vectors", "6 of 60 are others.", "Embed them again.", causes=("mixed vectors",), at=fired)
    yield fired, [_change(drift, "de", "firing", "firing", fired, INCIDENT, verdict="fail")], mixed
    seen = fired + 3 * HOUR
    yield seen, [_change(drift, "de", "acknowledged", "firing", seen, INCIDENT, actor="ana", before="firing")], None
    over = fired + 20 * HOUR
    yield over, [_change(drift, "de", "resolved", "ok", over, INCIDENT, before="firing")], None
    again = fired + 30 * HOUR
    rebuilt = Diagnosis("index decay", "Exact search finds them.", "Rebuild it.", causes=("index decay",), at=again)
    yield again, [_change(drift, "de", "firing", "firing", again, INCIDENT, verdict="fail")], rebuilt
    yield MENDED, [_change(drift, "de", "resolved", "ok", MENDED, INCIDENT, before="firing")], None

    warned = BROKE + 5 * HOUR
    yield warned, [_change("empty results", "fr", "firing", "firing", warned, WARNING, verdict="warn")], None
    later = END + 2 * DAY
    yield later, [_change("empty results", "fr", "resolved", "ok", later, WARNING, before="firing")], None

    dark = LAST + 5 * HOUR
    yield dark, [_change("canary recall", "all", "blind", "blind", dark, BLIND)], None
    bright = LAST + 9 * HOUR
    yield bright, [_change("canary recall", "all", "sighted", "ok", bright, BLIND, before="blind")], None

    old = LEARNT + DAY
    yield old, [_change(drift, "en", "firing", "firing", old, "scores-en-0", verdict="fail")], None
    yield old + HOUR, [_change(drift, "en", "resolved", "ok", old + HOUR, "scores-en-0", before="firing")], None


def _deliver(store: Store, at: datetime) -> None:
    """Slack is told after two hours where it is about German; the pager refuses what it is told."""
    for receiver, after in (("slack", timedelta(minutes=1)), ("pager", timedelta(minutes=1))):
        while (delivery := store.outbox.claim(receiver, at + 3 * HOUR, HOUR)) is not None:
            slow = receiver == "slack" and delivery.transition.segment == "de"
            when = at + (2 * HOUR if slow else after)
            if receiver == "pager" and delivery.transition.incident == INCIDENT:
                store.outbox.park(delivery, "400: unknown routing key", when)
            else:
                store.outbox.done(delivery, None, when)


def _work(store: Store) -> None:
    """Every six hours the canaries, where one run is missing and one failed; every hour the checks."""
    for number in range(28 * 4):
        due = START + number * 6 * HOUR + 2 * HOUR
        if number != 100:
            status = "failed" if number == 90 else "done"
            store.decisions.record_run(CheckRun("source canaries", due, due, due + HOUR, status))
    for at in hours():
        late = at + timedelta(milliseconds=350)  # in real time jobs are noted by when they began
        store.decisions.record_run(CheckRun("checks of live every 1h", late, late, late, "done"))
