"""Windows of sampled queries whose texts and embeddings are made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from driftwatch.types import Contents, Window
from tests.fakes.windows import sample_window

WIDTH = 32


def with_contents(
    window: Window,
    vectors: np.ndarray,
    *,
    texts: Sequence[str] | None = None,
    embedded: np.ndarray | None = None,
    trouble: str = "",
) -> Window:
    """``window`` with these embeddings of its sample, a row each."""
    half = np.asarray(vectors, np.float16)
    everything = np.ones(len(half), bool)
    contents = Contents(
        window.sample,
        everything,
        everything if embedded is None else embedded,
        lambda rows: half[rows],
        None if texts is None else lambda rows: [texts[row] for row in rows],
        trouble,
    )
    return replace(window, sample=replace(window.sample, contents=contents))


def asked_window(
    vectors: np.ndarray,
    *,
    day: int = 14,
    days: int = 1,
    lang: Sequence[str] | None = None,
    unit: Sequence[int] | None = None,
    texts: Sequence[str] | None = None,
    alpha: float = 0.001,
) -> Window:
    """A window of sampled queries with these embeddings, spread evenly over its days."""
    numbers = np.arange(len(vectors)) + 10**6 * day
    units = (numbers * 2_654_435_761) % 2**31 if unit is None else np.asarray(unit)
    window = sample_window(np.full(len(vectors), 0.7), day=day, days=days, unit=units, alpha=alpha)
    sample = replace(window.sample, query_id=np.array([f"d{day}-{number}" for number in range(len(vectors))], np.str_))
    if lang is not None:
        sample = replace(sample, lang=np.asarray(lang, np.str_))
    return with_contents(replace(window, sample=sample), vectors, texts=texts)


class World:
    """People who ask about topics, some more popular than others and each day a little differently."""

    def __init__(
        self, topics: int = 60, width: int = WIDTH, spread: float = 0.6, seed: int = 1, today: int | None = None
    ) -> None:
        """``today``: the luck of the days to come; without it, it goes on from the topics' own ``seed``."""
        self.random = np.random.default_rng(seed)
        self.width = width
        self.spread = spread
        fields = directions(self.random, topics // 6 + 1, width)
        self.topics = normalised(fields[np.arange(topics) % len(fields)] + 0.8 * directions(self.random, topics, width))
        self.popular = self.random.dirichlet(np.full(topics, 0.8))
        if today is not None:
            self.random = np.random.default_rng(today)

    def topic_near(self, distance: float) -> np.ndarray:
        """A topic that nobody asked about yet: so far from its nearest old one, between 0 and 1."""
        return normalised((1 - distance) * self.topics[0] + distance * directions(self.random, 1, self.width)[0])

    def day(self, n: int, *, restless: float = 300.0, new: float = 0.0, topic: np.ndarray | None = None) -> np.ndarray:
        """``n`` queries of one day; the popularity of topics varies as a Dirichlet of ``restless`` units."""
        popular = self.random.dirichlet(self.popular * restless + 1e-6)
        centres = self.topics[self.random.choice(len(self.topics), n, p=popular)]
        if topic is not None:
            centres = np.where(self.random.random(n)[:, None] < new, topic, centres)
        return normalised(centres + self.spread * directions(self.random, n, self.width))

    def days(self, days: int, n: int, **more: float) -> np.ndarray:
        """``n`` queries of each of so many days, one day after the other."""
        return np.concatenate([self.day(n, **more) for _ in range(days)])  # type: ignore[arg-type]


def directions(random: np.random.Generator, n: int, width: int) -> np.ndarray:
    return normalised(random.normal(size=(n, width)))


def normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
