"""A simulated service and its users: a log, canaries and a retriever that do what a scenario says.

Nothing is simpler than it is in life where that would make a check's work easier: hours, weekends and days differ, days
differ by more than chance, users ask several questions in a row, some canaries never worked and some work now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson

from tests.scenarios.form import DAY, HOUR, START, Scenario

BUSY = np.array([2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 9, 11, 12, 11, 10, 8, 7, 7, 6, 5, 4, 3], dtype=float)
"""How busy each hour of the day is, in UTC."""
WEEKEND = 0.55
"""Of a weekday."""
DAYS_DIFFER = {"volume": 0.08, "empty": 0.10, "abstained": 0.10, "negative_feedback": 0.08, "score": 0.004}
"""Standard deviation from day to day beyond chance: of the logarithm, or of the score itself."""
USUAL = {"empty": 0.02, "abstained": 0.05, "negative_feedback": 0.2, "score": 0.72, "volume": 1.0}
QUERIES_A_SESSION = 1.4
FEEDBACK = 0.12
"""The share of queries that get a thumb."""
CANARIES = 40
FEW_CANARIES = 12
"""Of the languages with little traffic."""
FEW_QUERIES = 200
NEVER_FOUND, FLAKY, FLAKY_FOUND = 1, 2, 0.9
"""In the languages with many canaries: how many never find their document, how many only sometimes, and how often."""
JUST_BEFORE = timedelta(microseconds=1)
"""A look is about what was until then: what changes at midnight is seen by the next one."""
FOUND = 3
"""Documents in a log line."""

ANSWERS = {
    "en": ("You can change that in your account settings.", "I could not find any information about that."),
    "de": ("Das ändern Sie in den Einstellungen.", "Dazu liegen mir leider keine Informationen vor."),
    "fr": ("Vous pouvez le modifier dans les paramètres.", "Je ne dispose d'aucune information à ce sujet."),
    "es": ("Puede cambiarlo en la configuración.", "No tengo información sobre eso."),
}
"""Language -> what the assistant says, and what it says when it does not know."""


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

    def search(self, text: str, top_k: int) -> list[tuple[str, float]]:
        """What the retriever finds now for ``<lang> question <n>``."""
        lang, _, number = text.partition(" question ")
        rank = int(number) ** 2 % 3 if self._finds(lang, int(number)) else top_k
        names = [f"other-{lang}-{place}" for place in range(top_k)]
        names[rank:rank] = [f"doc-{lang}-{number}"]
        return [(name, 0.9 - 0.02 * place) for place, name in enumerate(names[:top_k])]

    def _finds(self, lang: str, number: int) -> bool:
        recall, size = self._level("recall", lang, self.now - JUST_BEFORE), self.suites[lang]
        if recall is not None:
            return (number + 0.5) / size < recall
        if size == FEW_CANARIES or number >= NEVER_FOUND + FLAKY:
            return True
        return number >= NEVER_FOUND and self._chance(lang, self.now, number).random() < FLAKY_FOUND

    # --- the traffic -----------------------------------------------------------------------------------------------

    def log(self, start: datetime, end: datetime) -> bytes:
        """The log lines of ``[start, end)``, whole hours, in order of time."""
        lines: list[bytes] = []
        for hour in range((end - start) // HOUR):
            at = start + hour * HOUR
            asked = [query for lang in self.langs for query in self._hour(lang, at)]
            lines += [orjson.dumps(query) for query in sorted(asked, key=lambda query: str(query["ts"]))]
        return b"".join(line + b"\n" for line in lines)

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
        for place in range(n):
            query: dict[str, Any] = {
                "ts": (hour + timedelta(seconds=float(seconds[place]))).isoformat(),
                "query": f"{lang} question {hour:%m%d%H}-{session[place]}-{place}",
                "lang": lang,
                "session": f"{lang}-{hour:%m%d%H}-{session[place]}",
                "results": [] if empty[place] else _results(float(scores[place]), place),
                "answer": ANSWERS[lang][int(abstained[place])],
            }
            yield {**query, "feedback": str(thumbs[place])} if tells[place] else query

    def _expected(self, lang: str, hour: datetime) -> float:
        """How many queries of ``lang`` this hour brings on average."""
        usual = self.scenario.traffic
        shares = {each: self._level("share", each, hour) for each in self.langs}
        fixed = {each: share for each, share in shares.items() if share is not None}
        if lang in fixed:
            a_day = fixed[lang] * sum(usual.values())
        else:
            free = sum(count for each, count in usual.items() if each not in fixed)
            a_day = usual[lang] * (1 - sum(fixed.values())) * sum(usual.values()) / free
        weekend = WEEKEND if hour.weekday() >= 5 else 1
        return float(a_day * BUSY[hour.hour] / BUSY.sum() * weekend * self._today("volume", lang, hour))

    def _today(self, level: str, lang: str, hour: datetime) -> float:
        """A level as it is on this day: days differ."""
        mean = self._level(level, lang, hour)
        assert mean is not None
        day = (hour - START) // DAY
        places = (self.scenario.seed, day, self.langs.index(lang), sorted(USUAL).index(level))
        luck = float(np.random.default_rng(places).normal(0, DAYS_DIFFER[level]))
        return mean + luck if level == "score" else float(mean * np.exp(luck))

    def _level(self, level: str, lang: str, moment: datetime) -> float | None:
        """What the last change in force says, else what is usual."""
        said = [getattr(change, level) for change in self.scenario.change if change.holds(moment, lang)]
        return next((value for value in reversed(said) if value is not None), USUAL.get(level))

    def _chance(self, lang: str, moment: datetime, *more: int) -> np.random.Generator:
        hour = (moment - START) // HOUR
        return np.random.default_rng((self.scenario.seed, hour, self.langs.index(lang), *more, 1000))

    # --- as the retriever of a project -----------------------------------------------------------------------------

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Be the service that ``search`` of this module asks."""
        _ANSWERING.append(self)
        try:
            yield
        finally:
            _ANSWERING.remove(self)


_ANSWERING: list[Simulation] = []


def search(text: str, top_k: int) -> list[tuple[str, float]]:
    """What the simulated service finds: `callable` of the retriever kind `python`."""
    return _ANSWERING[-1].search(text, top_k)


def _results(best: float, number: int) -> list[dict[str, Any]]:
    return [{"id": f"doc-{number + place}", "score": round(best - 0.03 * place, 4)} for place in range(FOUND)]
