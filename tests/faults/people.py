"""Who asks the watched service: hours, weekends and days differ, people ask several questions in a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from driftwatch.types import Query
from tests.faults.material import LANGUAGES, NEW_LANGUAGE, Material
from tests.faults.service import Answer, SearchedService

START = datetime(2026, 5, 4, tzinfo=UTC)
"""A Monday."""
HOUR = timedelta(hours=1)

SESSIONS_A_DAY: Mapping[str, float] = {"en": 380.0, "de": 300.0, "es": 260.0, "ro": 220.0}
BUSY = np.array([2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 9, 11, 12, 11, 10, 8, 7, 7, 6, 5, 4, 3], float)
WEEKEND = 0.6
QUERIES_A_SESSION = 1.4
DAYS_DIFFER = 0.06
"""Standard deviation of the logarithm of a day's traffic."""
POPULAR = 0.7
"""How unequal questions are: a question's weight is its rank to the power of minus this."""
SHOWN = 5
"""Documents that the generator reads."""
ABSTAINS, LOST = 0.03, 0.30
"""How often the generator says that it does not know, with the document before it and without."""
FEEDBACK, DISLIKE, DISLIKE_LOST = 0.12, 0.15, 0.55

BOT_SESSION = "crawler-7"


@dataclass(frozen=True)
class Habits:
    """What people do, and what changes about it."""

    volume: float = 1.0
    new_topic: float = 0.0
    """The share of sessions about something that no document is about."""
    new_language: float = 0.0
    """The share of sessions in a language that nobody asked in before."""
    bot: float = 0.0
    """Queries an hour of a bot, all the same."""
    bot_text: int = 0
    abstains: float = 0.0
    """How much more often the generator declines, whatever it is shown."""


class People:
    """The users of one seed; the same hour is always the same for the same habits."""

    def __init__(self, material: Material, seed: int, habits: Habits | None = None) -> None:
        self.material = material
        self.seed = seed
        self.habits = habits or Habits()
        chance = np.random.default_rng((seed, 1))
        self._popular = {lang: _weights(len(material.questions[lang]), chance) for lang in LANGUAGES}

    def change(self, **habits: Any) -> None:
        """From now on."""
        self.habits = replace(self.habits, **habits)

    def hour(self, start: datetime, service: SearchedService) -> list[dict[str, Any]]:
        """What the service logs in the hour from ``start``, in order of time."""
        asked = sorted(self._asked(start), key=lambda each: each[0])
        answers = service.answer([query.text for _, _, query in asked]) if asked else []
        chance = self._chance(start, 9)
        behaviour = service.behaviour
        return [
            _line(at, session, query, answer, behaviour.trouble, behaviour.delay, self.habits, chance)
            | {"versions": dict(behaviour.versions)}
            for (at, session, query), answer in zip(asked, answers, strict=True)
        ]

    def _asked(self, start: datetime) -> Iterator[tuple[datetime, str, Query]]:
        for place, lang in enumerate(LANGUAGES):
            chance = self._chance(start, place)
            count = int(chance.poisson(self._sessions(lang, start)))
            for session, size in enumerate(chance.geometric(1 / QUERIES_A_SESSION, count)):
                at = start + timedelta(seconds=float(chance.uniform(0, 3500)))
                topic, queries = self._session(lang, int(size), chance)
                for step, query in enumerate(queries):
                    yield at + timedelta(seconds=20.0 * step), f"{topic}-{start:%m%d%H}-{session}", query
        for step in range(int(self.habits.bot)):
            query = self.material.questions["en"][self.habits.bot_text]
            yield start + timedelta(seconds=step * 3599 / self.habits.bot), BOT_SESSION, query

    def _session(self, lang: str, size: int, chance: np.random.Generator) -> tuple[str, Sequence[Query]]:
        """What one person asks; questions that stand beside each other are about the same paragraph."""
        kind = chance.random()
        if kind < self.habits.new_topic:
            places = chance.integers(0, len(self.material.new_topic), size)
            return f"{lang}-new", [Query("", self.material.new_topic[each], "en") for each in places]
        if kind < self.habits.new_topic + self.habits.new_language:
            places = chance.integers(0, len(self.material.new_language), size)
            return NEW_LANGUAGE, [Query("", self.material.new_language[each], NEW_LANGUAGE) for each in places]
        questions = self.material.questions[lang]
        first = int(chance.choice(len(questions), p=self._popular[lang]))
        return lang, [questions[(first + step) % len(questions)] for step in range(size)]

    def _sessions(self, lang: str, start: datetime) -> float:
        day = (start - START).days
        luck = np.random.default_rng((self.seed, 3, day, LANGUAGES.index(lang))).normal(0, DAYS_DIFFER)
        weekend = WEEKEND if start.weekday() >= 5 else 1.0
        usual = SESSIONS_A_DAY[lang] * BUSY[start.hour] / BUSY.sum()
        return float(usual * weekend * np.exp(luck) * self.habits.volume)

    def _chance(self, start: datetime, more: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, 2, (start - START) // HOUR, more))


def _weights(count: int, chance: np.random.Generator) -> Any:
    weights = (1 + chance.permutation(count)) ** -POPULAR
    return weights / weights.sum()


def _line(
    at: datetime,
    session: str,
    query: Query,
    answer: Answer,
    trouble: str,
    delay: float,
    habits: Habits,
    chance: np.random.Generator,
) -> dict[str, Any]:
    line: dict[str, Any] = {"ts": at.isoformat(), "query": query.text, "lang": query.lang, "session": session}
    luck = chance.random(4)
    line["latency_ms"] = round(30 + 40 * float(luck[3]) + 1000 * delay, 1)
    if trouble in ("timeout", "error"):
        return line | {"error": "the search does not answer" if trouble == "timeout" else "HTTP 500"}
    hits = [] if trouble == "empty" else answer
    found = any(doc_id in query.relevant for doc_id, _ in hits[:SHOWN])
    line["results"] = [{"id": doc_id, "score": round(score, 6)} for doc_id, score in hits]
    line["abstained"] = bool(luck[0] < (ABSTAINS if found else LOST) + habits.abstains)
    if luck[1] < FEEDBACK:
        line["feedback"] = "down" if luck[2] < (DISLIKE if found else DISLIKE_LOST) else "up"
    return line
