"""What the demo's users ask: the same month every time, since every hour has a seed of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from driftwatch._demo_scenario import Scenario, Trouble
from driftwatch.yamlfile import load

HOURS = (1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 9, 8, 9, 9, 9, 8, 8, 9, 10, 9, 6, 4, 2)
"""How busy each hour of the day is, in UTC."""


@dataclass(frozen=True)
class Phrases:
    """What people of one language type."""

    ways: list[str]
    asks: dict[str, list[str]]
    chatter: list[str]
    undocumented: dict[str, list[str]]

    @cached_property
    def everything(self) -> list[str]:
        """Every distinct question."""
        usual = [way.format(x=ask) for asks in self.asks.values() for ask in asks for way in self.ways]
        return [*usual, *self.chatter, *(text for texts in self.undocumented.values() for text in texts)]

    @cached_property
    def topics(self) -> list[str]:
        """Every topic, the most popular first."""
        return list(self.asks)


def read_phrases(folder: Path) -> dict[str, Phrases]:
    """Language -> phrases."""
    return {file.stem: Phrases(**load(file).data) for file in sorted(folder.glob("*.yaml"))}


class Crowd:
    """Everybody who uses the help centre."""

    def __init__(self, scenario: Scenario, phrases: dict[str, Phrases]) -> None:
        self.scenario = scenario
        self.phrases = {lang: phrases[lang] for lang in scenario.traffic.languages}

    def asks(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """What is asked in ``[start, end)``, in order of time, as the service's replay takes it."""
        hours = (end - start) // timedelta(hours=1)
        asked = [row for hour in range(hours) for row in self._hour(start + timedelta(hours=hour))]
        return sorted(asked, key=lambda row: str(row["ts"]))

    def _hour(self, hour: datetime) -> Iterator[dict[str, Any]]:
        traffic = self.scenario.traffic
        chance = random.Random(f"{self.scenario.seed} {hour:%Y-%m-%dT%H}")  # noqa: S311 - a simulation
        expected = traffic.queries_per_day * HOURS[hour.hour] / sum(HOURS) * (1 - traffic.follow_up)
        expected *= traffic.weekend if hour.weekday() >= 5 else 1
        for number in range(_poisson(chance, expected)):
            yield from self._session(chance, hour, f"{hour:%m%d%H}-{number}")

    def _session(self, chance: random.Random, hour: datetime, session: str) -> Iterator[dict[str, Any]]:
        """One user with one question, or a few."""
        traffic = self.scenario.traffic
        (lang,) = chance.choices(list(traffic.languages), list(traffic.languages.values()))
        moment = hour + timedelta(seconds=chance.uniform(0, 3500))
        while moment < hour + timedelta(hours=1):
            yield {
                "ts": moment.isoformat(),
                "query": self._question(chance, lang, moment),
                "lang": lang,
                "session": session,
            }
            if chance.random() >= traffic.follow_up:
                return
            moment += timedelta(seconds=chance.uniform(10, 90))

    def _question(self, chance: random.Random, lang: str, moment: datetime) -> str:
        phrases = self.phrases[lang]
        new = self._launch(moment)
        if new and chance.random() < new.share:
            return chance.choice(phrases.undocumented[new.ask_about])
        if chance.random() < self.scenario.traffic.chatter:
            return chance.choice(phrases.chatter)
        popularity = [1 / (place + 10) for place in range(len(phrases.topics))]
        (topic,) = chance.choices(phrases.topics, popularity)
        return chance.choice(phrases.ways).format(x=chance.choice(phrases.asks[topic]))

    def _launch(self, moment: datetime) -> Trouble | None:
        """The incident that makes people ask about something new at ``moment``."""
        since = moment - self.scenario.start
        return next((t for t in self.scenario.incidents if t.ask_about and t.start <= since < t.end), None)


def _poisson(chance: random.Random, expected: float) -> int:
    """How many independent things happen when ``expected`` do on average: waiting times until one unit is full."""
    count, waited = 0, chance.expovariate(1)
    while waited < expected:
        count, waited = count + 1, waited + chance.expovariate(1)
    return count
