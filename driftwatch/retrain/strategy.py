"""How a model is trained, decided by how many pairs there are, and said before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import ceil, sqrt
from typing import Any, Literal

from driftwatch.errors import RetrainError
from driftwatch.retrain.settings import Train
from driftwatch.retrained import Band

FEW = 50
"""Fewer pairs than this say more about chance than about the questions that are asked."""
ENOUGH = 500
MANY = 10_000

ALL: tuple[Band, ...] = ("dense", "bm25", "random")
GENTLE, STEEP = 2e-5, 6e-5
"""The learning rates between which a transformer is tuned without being torn from what it knew."""
_STEPS = 500
"""Optimiser steps for which ``GENTLE`` is enough; a run of fewer takes larger ones."""

Name = Literal["none", "few-shot", "contrastive", "curriculum"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is done with this many pairs, and why; or, where it is not ``allowed``, why nothing is."""

    name: Name
    why: str
    """One sentence for the person who is asked whether to begin."""
    allowed: bool
    epochs: int = 0
    """Passes over the rows, of every stage together; fewer, where the validation slice gets clearly worse."""
    learning_rate: float = 0.0
    warmup: float = 0.0
    """The share of a stage's steps in which the learning rate rises to its value."""
    patience: int = 0
    """Measurements on the validation slice, one after the other, that are clearly worse, after which a stage ends."""
    negatives: int = 0
    """Hard negatives of a row that are used, at most."""
    curriculum: tuple[tuple[Band, ...], ...] = ()
    """The stages, first to last: which bands of negatives each of them uses."""

    @property
    def sentence(self) -> str:
        """What a person is shown before the job starts."""
        if not self.allowed:
            return self.why
        stages = " then ".join("+".join(stage) for stage in self.curriculum)
        return (
            f"{self.why} {_count(self.epochs, 'epoch')} at most at a learning rate of {self.learning_rate:.1e}, up to "
            f"{_count(self.negatives, 'hard negative')} a question ({stages}); it stops early after "
            f"{_count(self.patience, 'measurement')} that {'is' if self.patience == 1 else 'are'} clearly worse."
        )

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Strategy:
        """What ``dataclasses.asdict`` made of one, as ``job.json`` has it.

        Raises:
            RetrainError: it is none.
        """
        try:
            known = {each.name: content[each.name] for each in fields(cls) if each.name in content}
            stages = tuple(tuple(stage) for stage in known.pop("curriculum", ()))
            if unknown := [band for stage in stages for band in stage if band not in ALL]:
                raise TypeError(f"there is no band {str(unknown[0])[:40]!r}")  # they are the name of a folder
            return cls(**known, curriculum=stages)
        except TypeError as error:
            raise RetrainError(f"job.json: 'strategy' is none: {error}.", remedy="Start a new job.") from None


def strategy_of(pairs: int, settings: Train) -> Strategy:
    """What to do with ``pairs`` questions that have an answer; what ``settings`` say outright is kept.

    >>> strategy_of(31, Train()).why
    'there are 31 pairs, and fewer than 50 say more about chance than about the questions: nothing is trained.'
    >>> strategy_of(900, Train()).name
    'contrastive'
    """
    if pairs < FEW:
        why = f"fewer than {FEW} say more about chance than about the questions: nothing is trained."
        return Strategy("none", f"there are {pairs} pairs, and {why}", allowed=False)
    if pairs < ENOUGH:
        why = f"{pairs} pairs are few: few-shot training with mined negatives, small steps and an early stop."
        return Strategy("few-shot", why, True, *_pace(8, GENTLE, settings), 0.1, 2, 4, (ALL,))
    if pairs <= MANY:
        why = f"{pairs} pairs are enough for supervised contrastive training with hard negatives."
        epochs = _epochs(4, settings)
        steps = epochs * ceil(pairs / settings.batch_size)
        return Strategy("contrastive", why, True, *_pace(4, rate_for(steps), settings), 0.1, 2, 4, (ALL,))
    why = f"{pairs} pairs are many: a curriculum from easy negatives to hard ones."
    stages: tuple[tuple[Band, ...], ...] = (("random",), ("bm25",), ("dense",))
    return Strategy("curriculum", why, True, *_pace(3, GENTLE, settings), 0.05, 2, 4, stages)


def rate_for(steps: int) -> float:
    """The learning rate for a run of so many optimiser steps, between ``GENTLE`` and ``STEEP``.

    Adam moves a weight by about the learning rate a step, so a short run needs larger steps to get anywhere. That it
    went too far is seen on the validation slice, and taken back by blending with the base; that it never left is not.
    """
    return min(STEEP, GENTLE * max(1.0, sqrt(_STEPS / max(1, steps))))


def refuse_unlabelled() -> RetrainError:
    """Why texts without pairs train nothing: the error to raise.

    What a retriever needs to learn is which text answers which question. Texts alone do not hold that; training on
    them (masked words, denoising) moves the vectors of every document without a measure that says whether it helped.
    """
    return RetrainError(
        "there are texts but no pairs, and no training without pairs is offered: texts alone do not say which of them "
        "answers a question, and nothing would show whether the model got better.",
        remedy="Collect feedback, label pairs ('retrain: pairs: files'), or have questions written for the documents "
        "('retrain: pairs: generate').",
    )


def _pace(epochs: int, rate: float, settings: Train) -> tuple[int, float]:
    return _epochs(epochs, settings), rate if settings.learning_rate == "auto" else settings.learning_rate


def _epochs(epochs: int, settings: Train) -> int:
    return epochs if settings.epochs == "auto" else settings.epochs


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
