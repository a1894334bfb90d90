"""A simulated service and its users: a log, canaries and a retriever that do what a scenario says.

Nothing is simpler than it is in life where that would make a check's work easier: hours, weekends and days differ, days
differ by more than chance, users ask several questions in a row, some canaries never worked and some work now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson

from driftwatch.scenarios.form import DAY, HOUR, START, Change, Scenario
from driftwatch.scenarios.phrases import ANSWERS, new_question, question

BUSY = np.array([2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 9, 11, 12, 11, 10, 8, 7, 7, 6, 5, 4, 3], dtype=float)
"""How busy each hour of the day is, in UTC."""
WEEKEND = 0.55
"""Of a weekday."""
DAYS_DIFFER = {"volume": 0.08, "empty": 0.10, "abstained": 0.10, "negative_feedback": 0.08, "score": 0.004}
"""Standard deviation from day to day beyond chance: of the logarithm, or of the score itself."""
USUAL = {"empty": 0.02, "abstained": 0.05, "negative_feedback": 0.2, "score": 0.72, "volume": 1.0}
"""Levels that differ from day to day."""
STEADY = {"recall": 1.0, "outage": 0.0, "new_topic": 0.0}
"""Levels that do not."""
QUERIES_A_SESSION = 1.4
FEEDBACK = 0.12
"""The share of queries that get a thumb."""
CANARIES = 40
FEW_CANARIES = 12
"""Of the languages with little traffic."""
FEW_QUERIES = 200
NEVER_FOUND, FLAKY, FLAKY_FOUND = 1, 2, 0.9
"""In the languages with many canaries: how many never find their document, how many only sometimes, and how often."""
NOT_FOUND = 10_000
"""A rank below every list."""
JUST_BEFORE = timedelta(microseconds=1)
"""A look is about what was until then: what changes at midnight is seen by the next one."""
FOUND = 3
"""Documents in a log line."""


class Simulation:
    """The watched service and everybody who uses it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now = START
        self.langs = list(scenario.traffic)
        self.suites = {lang: FEW_CANARIES if scenario.traffic[lang] < FEW_QUERIES else CANARIES for lang in self.langs}

    # --- the canaries ----------------------------------------------------------------------------------------------

    def canaries(self) -> bytes:
        """The file of canaries."""
        rows = [
            {"query_id": f"{lang}-{n}", "text": f"{lang} question {n}", "lang": lang, "relevant": [f"doc-{lang}-{n}"]}
            for lang, size in self.suites.items()
            for n in range(size)
        ]
        return b"".join(orjson.dumps(row) + b"\n" for row in rows)

    def rank(self, lang: str, number: int) -> int | None:
        """At which rank (from 0) a canary finds its document now; None when it is not answered."""
        if self._fails(lang, number):
            return None
        return number**2 % 3 if self._finds(lang, number) else NOT_FOUND

    def _fails(self, lang: str, number: int) -> bool:
        outage = self._level("outage", lang, self.now - JUST_BEFORE)
        return outage > 0 and self._chance(lang, self.now, number, 1).random() < outage

    def _finds(self, lang: str, number: int) -> bool:
        size = self.suites[lang]
        if (number + 0.5) / size >= self._level("recall", lang, self.now - JUST_BEFORE):
            return False
        if size == FEW_CANARIES or number >= NEVER_FOUND + FLAKY:
            return True
        return number >= NEVER_FOUND and bool(self._chance(lang, self.now, number).random() < FLAKY_FOUND)

    # --- the traffic -----------------------------------------------------------------------------------------------

    def log(self, start: datetime, end: datetime) -> bytes:
        """The lines that are logged in ``[start, end)``, whole hours, in order of time but for those that come late."""
        hours = [start + hour * HOUR for hour in range((end - start) // HOUR)]
        return b"".join(line + b"\n" for hour in hours for line in (*self._late(hour), *self._in_time(hour)))

    def _in_time(self, hour: datetime) -> list[bytes]:
        return self._lines(hour, [lang for lang in self.langs if self._log(lang, hour) is None])

    def _late(self, hour: datetime) -> Iterator[bytes]:
        """What was held back until now."""
        for change in self.scenario.change:
            if change.log == "late" and change.end is not None and hour - HOUR < change.end <= hour:
                for place in range((change.end - change.start) // HOUR):
                    held = change.start + place * HOUR
                    yield from self._lines(held, [lang for lang in self.langs if self._log(lang, held) is change])

    def _log(self, lang: str, hour: datetime) -> Change | None:
        """The change that keeps ``lang`` from being logged in this hour."""
        return next((each for each in self.scenario.change if each.log and each.holds(hour, lang)), None)

    def _lines(self, hour: datetime, langs: list[str]) -> list[bytes]:
        asked = [query for lang in langs for query in self._hour(lang, hour)]
        return [orjson.dumps(query) for query in sorted(asked, key=lambda query: str(query["ts"]))]

    def _hour(self, lang: str, hour: datetime) -> Iterator[dict[str, Any]]:
        """The queries of one language in one hour."""
        chance = self._chance(lang, hour)
        sizes = chance.geometric(1 / QUERIES_A_SESSION, chance.poisson(self._expected(lang, hour) / QUERIES_A_SESSION))
        session, n = np.repeat(np.arange(len(sizes)), sizes), int(sizes.sum())
        seconds = chance.uniform(0, 3599, len(sizes))[session]
        scores = chance.normal(0, 0.04, len(sizes))[session] + chance.normal(self._today("score", lang, hour), 0.05, n)
        empty, abstained = (chance.random(n) < self._today(level, lang, hour) for level in ("empty", "abstained"))
        thumbs = np.where(chance.random(n) < self._today("negative_feedback", lang, hour), "down", "up")
        tells = chance.random(n) < FEEDBACK
        texts, failed = self._texts(lang, hour, session), self._failed(lang, hour, n)
        for place in range(n):
            query: dict[str, Any] = {
                "ts": (hour + timedelta(seconds=float(seconds[place]))).isoformat(),
                "query": texts[place],
                "lang": lang,
                "session": f"{lang}-{hour:%m%d%H}-{session[place]}",
            }
            if failed[place]:
                yield {**query, "error": "the search does not answer"}
                continue
            query["results"] = [] if empty[place] else _results(float(scores[place]), place)
            query |= _answer(lang, bool(abstained[place]))
            yield {**query, "feedback": str(thumbs[place])} if tells[place] else query

    def _texts(self, lang: str, hour: datetime, session: Any) -> list[str]:
        """What is asked, a query each; the questions of a session are about one thing."""
        chance = self._chance(lang, hour, 2)
        new = chance.random(int(session.max(initial=-1)) + 1) < self._level("new_topic", lang, hour)
        topics = chance.integers(0, 1 << 30, len(new))
        return [
            (new_question if new[one] else question)(int(topics[one]), chance) + f" {hour:%m%d%H}{one}{place}"
            for place, one in enumerate(session)
        ]

    def _failed(self, lang: str, hour: datetime, n: int) -> Any:
        """Which of ``n`` searches fail."""
        return self._chance(lang, hour, 3).random(n) < self._level("outage", lang, hour)

    def _expected(self, lang: str, hour: datetime) -> float:
        """How many queries of ``lang`` this hour brings on average."""
        usual = self.scenario.traffic
        shares = {each: self._share(each, hour) for each in self.langs}
        fixed = {each: share for each, share in shares.items() if share is not None}
        if lang in fixed:
            a_day = fixed[lang] * sum(usual.values())
        else:
            free = sum(count for each, count in usual.items() if each not in fixed)
            a_day = usual[lang] * (1 - sum(fixed.values())) * sum(usual.values()) / free
        weekend = WEEKEND if hour.weekday() >= 5 else 1
        return float(a_day * BUSY[hour.hour] / BUSY.sum() * weekend * self._today("volume", lang, hour))

    def _share(self, lang: str, hour: datetime) -> float | None:
        """The share of ``lang`` where a change says it."""
        if not any(each.share is not None and each.holds(hour, lang) for each in self.scenario.change):
            return None
        return self._level("share", lang, hour)

    def _today(self, level: str, lang: str, hour: datetime) -> float:
        """A level as it is on this day: days differ."""
        mean = self._level(level, lang, hour)
        day = (hour - START) // DAY
        places = (self.scenario.seed, day, self.langs.index(lang), sorted(USUAL).index(level))
        luck = float(np.random.default_rng(places).normal(0, DAYS_DIFFER[level]))
        return mean + luck if level == "score" else float(mean * np.exp(luck))

    def _level(self, level: str, lang: str, moment: datetime) -> float:
        """What is usual, moved by every change in force, one after the other."""
        value = (STEADY | USUAL).get(level)
        if value is None:  # a share
            value = self.scenario.traffic[lang] / sum(self.scenario.traffic.values())
        for change in self.scenario.change:
            target = getattr(change, level)
            if target is not None and change.holds(moment, lang):
                value = change.reached(value, target, moment)
        return value

    def _chance(self, lang: str, moment: datetime, *more: int) -> np.random.Generator:
        hour = (moment - START) // HOUR
        return np.random.default_rng((self.scenario.seed, hour, self.langs.index(lang), *more, 1000))


def _answer(lang: str, abstained: bool) -> dict[str, Any]:
    """What the assistant says, or only whether it knew."""
    return {"answer": ANSWERS[lang][abstained]} if lang in ANSWERS else {"abstained": abstained}


def _results(best: float, number: int) -> list[dict[str, Any]]:
    return [{"id": f"doc-{number + place}", "score": round(best - 0.03 * place, 4)} for place in range(FOUND)]
