"""Weeks to draw: a bad one with everything in it, a quiet one, and one in which every text is hostile."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from driftwatch.reported import (
    Budget,
    CanaryMeasure,
    CanarySource,
    Checked,
    DayRate,
    DayValue,
    Deed,
    Ecdf,
    Estimate,
    Example,
    Flicker,
    Flip,
    Incident,
    Index,
    Looked,
    Mix,
    Normal,
    NotSeen,
    Rate,
    Rates,
    Retraining,
    Rotten,
    Scores,
    Shape,
    Share,
    Symptom,
    Topic,
    Verdict,
    Week,
)

MONDAY = datetime(2026, 11, 15, 23, tzinfo=UTC)
FIRST = date(2026, 11, 16)
LANGUAGES = ("de", "en", "fr", "it", "es", "nl", "pl", "pt", "sv", "da", "fi", "cs", "hu", "ro", "el", "tr", "ja", "ko",
             "zh-Hans", "ar")  # fmt: skip


def at(days: float) -> datetime:
    return MONDAY + timedelta(days=days)


def rate(k: int, n: int) -> Rate:
    if not n:
        return Rate(0, 0)
    share, width = k / n, 1.96 * math.sqrt(max(k / n * (1 - k / n), 1 / n / n) / n)
    return Rate(k, n, max(0.0, share - width), min(1.0, share + width))


def estimate(value: float, n: int, width: float) -> Estimate:
    return Estimate(n, value, value - width, value + width)


def measured(lang: str, place: int, name: str, words: str, usual: float, drop: float) -> CanaryMeasure:
    n = 400 if lang == "all" else 12 + place * 3 % 40
    wobble = [0.006 * math.sin(1.7 * day + place) for day in range(28)]
    values = [usual + wobble[day] - (drop * min(1.0, (day - 22) / 1.5) if day > 22 else 0) for day in range(28)]
    days = tuple(
        DayValue(FIRST + timedelta(days=day - 21), 0 if day == 9 else n, None if day == 9 else values[day])
        for day in range(28)
    )
    now = sum(values[21:]) / 7
    return CanaryMeasure(
        source="canaries",
        measure=name,
        words=words,
        lang=lang,
        now=estimate(now, n, 0.02),
        baseline=estimate(usual, n, 0.011),
        band=(usual - 0.02, min(1.0, usual + 0.02)),
        change=estimate(now - usual, n, 0.013),
        days=days,
    )


def scored(lang: str, place: int, score: Any, shift: float) -> Scores:
    grid = tuple(0.2 + 0.7 * step / 80 for step in range(81))

    def share(at: float, middle: float) -> float:
        return 1 / (1 + math.exp(-(at - middle) * 18))

    now = tuple(share(each, 0.6 - shift) for each in grid)
    usual = tuple(share(each, 0.6) for each in grid)
    gaps = [abs(a - b) for a, b in zip(now, usual, strict=True)]
    n = 300 + 17 * place

    def shape(middle: float, n: int) -> Shape:
        return Shape(estimate(middle, n, 0.01), estimate(middle + 0.001, n, 0.012), estimate(middle + 0.17, n, 0.02))

    return Scores(
        source="live",
        score=score,
        segment=lang,
        now=shape(0.6 - shift, n),
        baseline=shape(0.6, 4 * n + 1),
        ecdf=Ecdf(grid, now, usual),
        ks=max(gaps),
        p_value=10.0 ** (-60 * max(gaps) - 0.3),
        gap_at=grid[gaps.index(max(gaps))],
        gap=(now[gaps.index(max(gaps))], usual[gaps.index(max(gaps))]),
        direction="lower" if shift > 0 else "same",
        wasserstein=shift + 0.001,
    )


def rated(of: Any, words: str, lang: str, place: int, base: float, more: float) -> Rates:
    n = 900 + 31 * place
    days = tuple(
        DayRate(FIRST + timedelta(days=day), rate(round((base + more * (day > 2)) * n / 7) + day % 2, n // 7))
        for day in range(7)
    )
    now, usual = rate(round((base + more) * n), n), rate(round(base * 4 * n), 4 * n)
    assert now.value is not None
    assert usual.value is not None
    return Rates("live", of, words, lang, now, usual, estimate(now.value - usual.value, n, 0.008), days)


def bad_week(languages: int = 6) -> Week:
    """German broke on Thursday, by a model that was changed under the index."""
    spoken = LANGUAGES[:languages]
    every = ("all", *spoken)
    canaries = tuple(
        measured(
            lang, place, name, words, usual - 0.004 * place, 0.31 if lang == "de" else 0.05 if lang == "all" else 0
        )
        for name, words, usual in (("R@10", "recall@10", 0.94), ("RR@10", "reciprocal rank@10", 0.81))
        for place, lang in enumerate(every)
    )
    scores = tuple(
        scored(lang, place, score, 0.12 if lang == "de" else 0.02 if lang == "all" else 0.004)
        for score in ("top1", "topk_mean")
        for place, lang in enumerate(every)
    )
    rates = tuple(
        rated(of, words, lang, place, base, 0.05 if lang == "de" else 0.004)
        for of, words, base in (("empty", "empty results", 0.02), ("abstained", "abstentions", 0.06),
                                ("negative_feedback", "thumbs down", 0.011))
        for place, lang in enumerate(every)
    )  # fmt: skip
    queries = 21_840
    shares = tuple(Share(lang, rate(400 + 1000 // (1 + place), 4200), rate(1700 + 4000 // (1 + place), 17_100))
                   for place, lang in enumerate(spoken))  # fmt: skip
    return Week(
        service="help-centre",
        name="2026-W47",
        timezone="Europe/Berlin",
        start=MONDAY,
        end=at(7),
        complete=True,
        seen_until=at(7),
        verdict=Verdict(
            "fail",
            "German retrieval broke on Thursday and is still broken; everything else is as usual",
            ("German recall@10 fell from 0.94 to 0.63 within two days",
             "German scores are lower than usual: D 0.51 at 0.54",
             "Two checks could not see for a part of the week"),
        ),
        normals=(Normal("*", "", at(-35), at(-21), "learnt at the start", "driftwatch", False),
                 Normal("live", "scores", at(-20), at(-13), "model v2 in use", "jane", False)),
        checks=tuple(
            Checked(name, kind, family, "canaries", lang, 168, {"ok": 150 - place, "fail": 12 + place, "unknown": 6},
                    "fail" if lang == "de" else "ok", at(6.9), f"Recall R@10 of {lang} is where it usually is",
                    41 + place, 0.9 - place / 100, 0.94, -0.011, -0.02, 0.002)
            for name, kind, family in (("canary recall", "canary", "canaries"),
                                       ("score drift", "score_drift", "scores"))
            for place, lang in enumerate(every)
        ),
        incidents=(
            Incident(
                "inc-7f3a", "canaries", "de", at(3.1), at(3.4), None, 311_040.0, 1, "firing", True, "mixed vectors",
                ("mixed vectors", "corpus changed"),
                "212 of 400 German documents have vectors that the present model would not make.",
                "Embed the German part of the index again with the model that asks.",
                (Symptom("canary recall", "de", "firing", "canary", "canaries", "fail",
                         "Recall R@10 fell from 0.94 to 0.63 in German.", at(5.2), 61, 0.63, 0.94, -0.31, -0.36, -0.25,
                         2.1e-7, 4200.0),
                 Symptom("score drift", "de", "firing", "score_drift", "scores", "fail",
                         "Scores are lower than usual.", at(5.3), 812, 0.48, 0.6, 0.512, 0.47, 0.55, 1.2e-31, 913.0)),
                (Deed(at(3.4), "opened"), Deed(at(3.42), "diagnosed", "", "mixed vectors"),
                 Deed(at(3.6), "acknowledged", "jane"), Deed(at(4), "silenced", "jane", "re-embedding tonight")),
            ),
            Incident(
                "inc-2b11", "rates", "fr", at(0.9), at(1.2), at(1.9), 60_480.0, 2, "resolved", False, "unknown", (), "",
                "", (Symptom("empty results", "fr", "ok", "rate", "rates", "warn", "More empty results.", at(1.4), 330,
                             0.07, 0.02, 0.05, 0.021, 0.084, 0.0004, 33.0),),
                (Deed(at(1.2), "opened"), Deed(at(1.9), "repaired")),
            ),
        ),
        canary_sources=(CanarySource("canaries", 412, 168, rate(68_900, 69_216), {"timeout": 290, "HTTP 503": 26}),),
        canaries=canaries,
        flips=tuple(
            Flip("canaries", f"de-{number}", "de", f"Wie kündige ich meinen Vertrag {number}?", "R@10", 1 + number,
                 None if number % 2 else 14, 1.0, 0.0, Rate(80 + number, 168, 0.4, 0.55))
            for number in range(5)
        ),
        rotten=(Rotten("canaries", "en-9", "en", "Where is the price list?", ("doc-77", "doc-78"), True),),
        flickering=(Flicker("canaries", "it-4", "it", "Come cambio la password?", "R@10", 31, rate(44, 168)),),
        scores=scores,
        rates=rates,
        mixes=(Mix("live", queries, 91_300, 14.0, rate(320, queries), shares, 0.031),),
        topics=(
            Topic("new questions", "de", ("sepa", "mandat"), rate(61, 812), 0.004, at(2), at(6), 5,
                  (Example("q-1", "SEPA Mandat ändern [iban]"), Example("q-2", "neues Mandat"))),
        ),
        indexes=(
            Index("index", 14, (
                Looked("stored vectors", at(6.5), rate(212, 400), rate(219, 400),
                       {"de": rate(212, 220), "en": rate(0, 180)}, ("doc-1", "doc-2"), {"displacement p50": 0.31},
                       "Stored vectors are not those of the present model", "", 14,
                       tuple(DayRate(FIRST + timedelta(days=day), rate(53 * max(0, day - 2), 400))
                             for day in range(7))),
                Looked("finds itself", at(6.5), rate(1, 400), rate(2, 400), runs=14),
                Looked("orphans", at(6.5), Rate(0, 0), Rate(0, 0), unable="The index does not list what it holds"),
            ), 120_400, 119_900, 384, "cosine", "acme/mini-lm v2", {"ef_search": "64"},
                ("settings ef_search 64, before 128",)),
        ),
        retraining=(
            Retraining(at(5), "job", "job-12", "done", "recall of German", "driftwatch"),
            Retraining(at(-9), "promoted", "job-11", "approve", "", "jane", False),
        ),
        budgets=(Budget("page", 1, 90, 90.0, 1, 3, 4200.0, "canary recall", "de", at(5.2)),
                 Budget("warn", 6, 90, 15.0, 1, 4, 33.0, "empty results", "fr", at(1.4))),
        not_seen=(
            NotSeen("unknown", "abstentions", "The service says of too few answers whether it abstained.", ("el", "tr"),
                    Rate(24, 168)),
            NotSeen("run missed", "source canaries", "Runs were due while driftwatch was down.", (), Rate(3, 168)),
            NotSeen("expected", "launch", "A launch was announced for this time.", since=at(2), until=at(2.5)),
        ),
    )  # fmt: skip


def quiet_week() -> Week:
    """Nothing happened, and everything could be seen."""
    week = bad_week(2)
    kept = [each for each in week.canaries if each.lang != "de"]
    return replace(
        week,
        verdict=Verdict("ok", "Retrieval is as good as usual in every language"),
        incidents=(),
        canaries=tuple(kept),
        scores=tuple(each for each in week.scores if each.segment == "en"),
        flips=(),
        rotten=(),
        flickering=(),
        not_seen=(),
        topics=(),
    )


EMPTY = Week(
    service="help-centre",
    name="2026-W47",
    timezone="UTC",
    start=datetime(2026, 11, 16, tzinfo=UTC),
    end=datetime(2026, 11, 23, tzinfo=UTC),
    complete=False,
    seen_until=datetime(2026, 11, 18, tzinfo=UTC),
    verdict=Verdict("unknown", "Nothing was seen"),
)

HOSTILE = (
    "<script>alert({})</script><img src=x onerror=alert(1)>\"'`</svg></title>]]>$\\alpha${{x}}|"
    "[a](javascript:b)*_#\u202e\x1b[31m"
)


def hostile_week() -> Week:
    """A bad week in which every text that somebody else can write is an attack, each with its own number."""
    number = count()
    kept = {"timezone", "name", "measure", "score", "of", "direction", "level", "state", "severity", "what", "last"}

    def spoilt(part: Any, name: str = "") -> Any:
        if is_dataclass(part) and not isinstance(part, type):
            return type(part)(**{each.name: spoilt(getattr(part, each.name), each.name) for each in fields(part)})
        if isinstance(part, tuple):
            return tuple(spoilt(each, name) for each in part)
        if isinstance(part, dict):
            return {HOSTILE.replace("{}", str(next(number))) if name != "verdicts" else key: spoilt(value)
                    for key, value in part.items()}  # fmt: skip
        return HOSTILE.replace("{}", str(next(number))) if isinstance(part, str) and name not in kept else part

    week = bad_week(2)
    return replace(spoilt(week), name=week.name)
