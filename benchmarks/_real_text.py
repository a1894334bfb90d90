"""Streams of real questions: CLINC150 with out-of-scope traffic, XQuAD's languages, Stack Exchange's years."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

import numpy as np
from _corpora import ROOT, data, document_vectors, embedder, qrels, rows
from _recorded import DAY, START, WEEK, Event, Record, Stream, arrivals, results, search
from numpy.typing import NDArray

from driftwatch.yamlfile import load

Random = np.random.Generator
Vectors = NDArray[np.float32]

SHARES = (0.02, 0.05, 0.10, 0.20)
BASELINE, QUIET, AFTER = 28, 7, 21
"""Days: what normal is, a week in which nothing happens yet, and three in which it does."""

ONSET = START + (BASELINE + QUIET) * DAY
DRIFT_CHECKS = ("top-score drift", "new topics", "abstentions")


@cache
def shipped(name: str) -> Record:
    """A check as the product ships it; {} when it ships none of that name."""
    files = sorted((ROOT / "checks").glob("*.yaml"))
    found = [check for path in files for check in load(path).data if check["name"] == name]
    return dict(found[0]) if found else {}


def shipped_checks(*names: str, **changed: Any) -> list[Record]:
    """Those of them that there are, with other settings where ``changed`` says so."""
    found = [shipped(name) | changed for name in names if shipped(name)]
    return [{name: value for name, value in check.items() if value is not None} for check in found]


# --- CLINC150 ------------------------------------------------------------------------------------------------------


class Clinc:
    """Held-out questions answered from an index of the training questions, by a service that abstains at low scores."""

    def __init__(self) -> None:
        everything = rows(data("clinc150") / "queries.jsonl.gz")
        index = [row for row in everything if row["split"] == "train" and row["in_scope"]]
        documents = document_vectors([row["text"] for row in index])
        self.cut = float(np.quantile(search(documents, documents, 2)[0][:, 1], 0.05))
        """A twentieth of the training questions have no neighbour as near as this: below it the service abstains."""
        self.ids = [row["id"] for row in index]
        self.documents = documents
        self.held_out = self.answered([row for row in everything if row["split"] != "train" and row["in_scope"]])
        self.foreign = self.answered([row for row in everything if not row["in_scope"]])

    def answered(self, asked: Sequence[Record]) -> list[Record]:
        """Log lines without a time."""
        scores, found = search(self.documents, embedder().encode_queries([row["text"] for row in asked]), 5)
        return [
            {"query": row["text"], "lang": "en", "results": hits, "abstained": bool(best < self.cut), "of": row["id"]}
            for row, hits, best in zip(asked, results(self.ids, found, scores), scores[:, 0], strict=True)
        ]

    def stream(self, name: str, change: str, records: Sequence[Record], share: float = 0.0) -> Stream:
        """With the shipped checks; the last week ends with the records."""
        events = (Event(ONSET, change, DRIFT_CHECKS),) if share else ()
        last = datetime.fromisoformat(records[-1]["ts"]) - START
        return Stream(
            name, change, records, shipped_checks(*DRIFT_CHECKS, min_n=50), BASELINE * DAY,
            START + (last // DAY + 1) * DAY, events, facts={"share": share, "cut": round(self.cut, 3)},
        )  # fmt: skip


def clinc(seed: int) -> Iterator[Stream]:
    """Nulls, and out-of-scope questions in four shares, each question asked once and with repeats."""
    world = Clinc()
    random = np.random.default_rng(seed)
    days = BASELINE + QUIET + AFTER
    once = [world.held_out[row] for row in random.permutation(len(world.held_out))]
    yield world.stream("CLINC150, once each", "nothing", timed(arrivals(random, 125, days), iter(once)))
    yield world.stream("CLINC150, validation then test", "nothing", _validation_then_test(world, random, days))
    for share in SHARES:
        for name, per_day in (("once each", 105), ("with repeats", 500)):
            asked, foreign = (
                (iter(random.permutation(len(pool))) if per_day == 105 else _again(random, len(pool)))
                for pool in (world.held_out, world.foreign)
            )
            own = timed(arrivals(random, per_day, days), (world.held_out[row] for row in asked))
            others = (world.foreign[row] for row in foreign)
            mixed = intruded(random, own, others, share, ONSET)
            yield world.stream(f"CLINC150, {name}", f"{share:.0%} out of scope", mixed, share)


def clinc_year(seed: int) -> Iterator[Stream]:
    """A year in which nothing changes, with repeats."""
    world = Clinc()
    random = np.random.default_rng(seed)
    pool = (world.held_out[row] for row in _again(random, len(world.held_out)))
    yield world.stream("CLINC150, a year with repeats", "nothing", timed(arrivals(random, 500, BASELINE + 364), pool))


def _validation_then_test(world: Clinc, random: Random, days: int) -> list[Record]:
    """The baseline from one split, the rest from the other: different people wrote them."""
    parts = [[row for row in world.held_out if row["of"].startswith(split)] for split in ("val", "test")]
    first, second = ([part[row] for row in random.permutation(len(part))] for part in parts)
    times = arrivals(random, 100, days)
    edge = sum(at < START + BASELINE * DAY for at in times)
    return timed(times[:edge], iter(first)) + timed(times[edge:], iter(second))


def timed(times: Sequence[datetime], lines: Iterator[Record]) -> list[Record]:
    """One line for each time; as many as there are of both."""
    return [{"ts": at.isoformat(), **line} for at, line in zip(times, lines, strict=False)]


def intruded(
    random: Random, own: Sequence[Record], others: Iterator[Record], share: float, onset: datetime
) -> list[Record]:
    """From ``onset`` on foreign lines come on top of the own ones, a ``share`` of the whole; by time."""
    mixed = []
    for line in own:
        mixed.append(line)
        if line["ts"] >= onset.isoformat() and random.random() < share / (1 - share):
            mixed.append({"ts": line["ts"], **next(others)})
    return mixed


def _again(random: Random, count: int) -> Iterator[int]:
    while True:
        yield from random.integers(count, size=1000)


# --- XQuAD ---------------------------------------------------------------------------------------------------------


LANGUAGES = ("en", "es", "de", "ru", "zh", "ar", "tr", "vi", "ro", "el", "hi", "th")
"""From the most traffic to the least."""

PER_DAY = 1500
CANARIES = 50
"""For each language, asked daily."""


class Xquad:
    """Twelve languages, one index, an English model."""

    def __init__(self) -> None:
        source = data("xquad")
        corpus = rows(source / "corpus.jsonl.gz")
        self.ids = [row["id"] for row in corpus]
        self.langs = np.array([row["lang"] for row in corpus])
        self.vectors = document_vectors([row["text"] for row in corpus])
        self.asked = rows(source / "queries.jsonl.gz")
        self.judged = qrels(source / "qrels.tsv")
        self.of_lang = {lang: [n for n, row in enumerate(self.asked) if row["lang"] == lang] for lang in LANGUAGES}

    @cached_property
    def queries(self) -> Vectors:
        """One row a question."""
        return embedder().encode_queries([row["text"] for row in self.asked])

    def answers(self, kept: NDArray[np.bool_] | None = None) -> list[list[Record]]:
        """The results of every question, from the index with only the documents that are ``kept``."""
        rows_kept = np.arange(len(self.ids)) if kept is None else np.flatnonzero(kept)
        scores, found = search(self.vectors[rows_kept], self.queries, 10)
        return results(self.ids, rows_kept[found], scores)

    def canaries(self) -> list[int]:
        """The same questions in every language."""
        return [n for of_lang in self.of_lang.values() for n in of_lang[:: len(of_lang) // CANARIES][:CANARIES]]


XQUAD_CHECKS = ("language mix", "top-score drift", "new topics", "canary recall", "canary first rank")


def xquad(seed: int) -> Iterator[Stream]:
    """Nothing, a shift of the mix, and languages of which the index loses documents."""
    world = Xquad()
    usual = 1 / np.arange(1, len(LANGUAGES) + 1)
    usual /= usual.sum()
    everything = world.answers()
    plain = (usual, everything)
    yield _xquad(world, seed, "nothing", plain, plain, ())
    for lang, share in (("es", 0.35), ("th", 0.15)):
        shifted = _with_share(usual, LANGUAGES.index(lang), share)
        change = f"{lang} from {usual[LANGUAGES.index(lang)]:.0%} to {share:.0%} of traffic"
        yield _xquad(world, seed, change, plain, (shifted, everything), ("language mix",))
    for lang, part in (("de", 0.5), ("de", 0.2), ("vi", 0.5), ("ru", 0.5)):
        lost = np.random.default_rng(seed).random(len(world.ids)) < part
        after = (usual, world.answers(~lost | (world.langs != lang)))
        fires = ("top-score drift", "canary recall", "canary first rank")
        yield _xquad(world, seed, f"the index loses {part:.0%} of {lang}", plain, after, fires, (lang,))


World = tuple[NDArray[np.float64], list[list[Record]]]
"""The shares of the languages, and the results of every question."""


def _xquad(
    world: Xquad,
    seed: int,
    change: str,
    before: World,
    after: World,
    fires: tuple[str, ...],
    langs: tuple[str, ...] = (),
) -> Stream:
    random = np.random.default_rng([seed, 1])
    days = BASELINE + QUIET + AFTER
    records: list[Record] = []
    for at in arrivals(random, PER_DAY, days):
        shares, answers = before if at < ONSET else after
        n = random.choice(world.of_lang[LANGUAGES[random.choice(len(LANGUAGES), p=shares)]])
        row = world.asked[n]
        records.append({"ts": at.isoformat(), "query": row["text"], "lang": row["lang"], "results": answers[n][:5]})
    canaries = world.canaries()
    moments = [START + day * DAY + 6 * timedelta(hours=1) for day in range(days)]
    runs = [line for at in moments for line in _run(world, at, canaries, (before if at < ONSET else after)[1])]
    events = (Event(ONSET, change, tuple(fires), tuple(langs)),) if fires else ()
    return Stream(
        "XQuAD", change, records, _xquad_checks(), BASELINE * DAY, START + days * DAY, events,
        [_canary(world, n) for n in canaries], runs, LANGUAGES,
    )  # fmt: skip


def _xquad_checks() -> list[Record]:
    """As shipped, but without the floor: an English model never finds nine of ten in Thai."""
    return [
        {name: value for name, value in check.items() if name != "at_least"} for check in shipped_checks(*XQUAD_CHECKS)
    ]


def _canary(world: Xquad, n: int) -> Record:
    row = world.asked[n]
    relevant = list(world.judged[row["id"]])
    return {"query_id": row["id"], "text": row["text"], "lang": row["lang"], "relevant": relevant}


def _run(world: Xquad, at: datetime, canaries: Sequence[int], answers: list[list[Record]]) -> list[Record]:
    return [_canary(world, n) | {"ts": at.isoformat(), "results": answers[n]} for n in canaries]


def _with_share(shares: NDArray[np.float64], which: int, share: float) -> NDArray[np.float64]:
    """The others give way in proportion."""
    changed = shares * (1 - share) / (1 - shares[which])
    changed[which] = share
    return changed


# --- Stack Exchange ------------------------------------------------------------------------------------------------


SITES = {"ai": ("beer", 35), "beer": ("ai", 182)}
"""Site -> the site whose questions intrude, and days of baseline: about 260 questions each."""

WINDOWS = {"ai": "28d", "beer": "91d"}
"""What is judged at a look: about 45 and 40 questions, since no check says anything of fewer than twenty."""


class Site:
    """The dated questions of one site, answered from all answers that were ever given there."""

    def __init__(self, name: str) -> None:
        folder = data(f"stackexchange_{name}")
        corpus = rows(folder / "corpus.jsonl.gz")
        self.ids = [row["id"] for row in corpus]
        self.documents = document_vectors([row["text"] for row in corpus])
        self.asked = sorted(rows(folder / "queries.jsonl.gz"), key=lambda row: row["timestamp"])

    def answered(self, asked: Sequence[Record]) -> list[Record]:
        """Log lines with the time of the question."""
        scores, found = search(self.documents, embedder().encode_queries([row["text"] for row in asked]), 5)
        return [
            {"ts": row["timestamp"] + "Z", "query": row["text"], "lang": "en", "query_id": row["id"], "results": hits}
            for row, hits in zip(asked, results(self.ids, found, scores), strict=True)
        ]


def stackexchange(seed: int) -> Iterator[Stream]:
    """Each site by its own time, and with the other one's questions from two weeks after the baseline on."""
    sites = {name: Site(name) for name in SITES}
    for name, (other, days) in SITES.items():
        own = sites[name].answered(sites[name].asked)
        foreign = sites[name].answered(sites[other].asked)
        yield _site(name, own, days * DAY, 0.0, other)
        for share in SHARES[1:]:
            random = np.random.default_rng([seed, int(100 * share)])
            onset = _first(own) + days * DAY + 2 * WEEK
            strangers = ({k: v for k, v in foreign[n].items() if k != "ts"} for n in random.permutation(len(foreign)))
            mixed = intruded(random, own, strangers, share, onset)
            yield replace(_site(name, mixed, days * DAY, share, other), facts=_counted(own, mixed, onset))


def _site(name: str, records: Sequence[Record], baseline: timedelta, share: float, other: str) -> Stream:
    paced = {"every": "mon 06:00", "window": WINDOWS[name], "min_n": 20, "by": None}
    checks = shipped_checks("top-score drift", "new topics", **paced)
    change = f"{share:.0%} of questions from {other}" if share else "nothing"
    onset = _first(records) + baseline + 2 * WEEK
    events = (Event(onset, change, DRIFT_CHECKS[:2]),) if share else ()
    end = datetime.fromisoformat(records[-1]["ts"]) + DAY
    return Stream(f"stackexchange {name}", change, records, checks, baseline, end, events)


def _first(records: Sequence[Record]) -> datetime:
    return datetime.fromisoformat(records[0]["ts"]).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _counted(own: Sequence[Record], mixed: Sequence[Record], onset: datetime) -> dict[str, Any]:
    after = sum(row["ts"] >= onset.isoformat() for row in own)
    return {"own questions after the onset": after, "foreign ones": len(mixed) - len(own)}
