"""Simulated embeddings of sampled questions: topics that wax and wane, and one that nobody asked about before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TopicNuisance:
    """Sixty topics by Zipf whose popularity varies from day to day; unit vectors as a sentence embedder makes them.

    Two questions of one topic have a cosine of about .7, of different topics about .35 (such models put everything into
    a cone), of different languages .05 less.
    """

    dimensions: int = 768
    topics: int = 60
    zipf: float = 0.8
    sampled_per_day: int = 2000
    languages: int = 20
    popularity_effect: float = 0.20
    """Deviation of the logarithm of a topic's popularity."""
    popularity_lag: float = 0.5
    weekend_effect: float = 0.30
    """Some topics are asked at work, others at home."""

    def doubled(self, name: str | None = None) -> Self:
        """The same questions with one nuisance of ``DOUBLES`` twice as large; with all of them without a name."""
        names = DOUBLES if name is None else (name,)
        return replace(self, **{field: 2 * getattr(self, field) for each in names for field in DOUBLES[each]})


DOUBLES = {"topics": ("popularity_effect", "weekend_effect")}


@dataclass(frozen=True, slots=True)
class NewTopic:
    """From ``start_day`` on a share of the questions is about something new."""

    start_day: int
    size: float = 0.05
    how: Literal["far", "near"] = "far"
    """far: a direction of its own. near: as similar to a known topic as its own questions are to each other."""


class Questions:
    """Embeddings of a day's sampled questions, day after day."""

    def __init__(self, nuisance: TopicNuisance, seed: int, new: NewTopic | None = None) -> None:
        self.nuisance, self.new, self.day = nuisance, new, 0
        self._random = random = np.random.default_rng(seed)
        cone, fresh = self._directions(2)
        topics = self._directions(nuisance.topics)
        # The last two are new: one far from all others, one near to a known topic.
        about = np.vstack([topics, fresh, 0.7 * topics[7] + 0.714 * fresh])
        self._about = (0.57 * cone + 0.59 * about).astype(np.float32)
        self._languages = (0.22 * self._directions(nuisance.languages)).astype(np.float32)
        self._base = -nuisance.zipf * np.log(np.arange(1, nuisance.topics + 1))
        self._home = nuisance.weekend_effect * random.standard_normal(nuisance.topics)
        self._popularity = random.standard_normal(nuisance.topics)
        share = 1 / np.arange(1, nuisance.languages + 1)
        self._language_share = share / share.sum()

    def days(self, count: int) -> Iterator[Vectors]:
        """Unit vectors of the next days, shape (sampled_per_day, dimensions) each."""
        for _ in range(count):
            yield self._next()

    def _directions(self, count: int) -> NDArray[np.float64]:
        found = self._random.standard_normal((count, self.nuisance.dimensions))
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def _next(self) -> Vectors:
        given, random = self.nuisance, self._random
        lag = given.popularity_lag
        self._popularity = lag * self._popularity + (1 - lag**2) ** 0.5 * random.standard_normal(given.topics)
        weight = np.exp(self._base + given.popularity_effect * self._popularity + self._home * (self.day % 7 >= 5))
        topic = random.choice(given.topics, given.sampled_per_day, p=weight / weight.sum())
        language = random.choice(given.languages, given.sampled_per_day, p=self._language_share)
        if self.new is not None:
            fresh = random.random(len(topic)) < self.new.size * (self.day >= self.new.start_day)
            topic[fresh] = given.topics + (self.new.how == "near")
        self.day += 1
        vectors = random.standard_normal((given.sampled_per_day, given.dimensions), dtype=np.float32)
        vectors *= np.float32(0.52 / given.dimensions**0.5)
        vectors += self._about[topic]
        vectors += self._languages[language]
        vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
        return vectors
