"""How often a service would say that it has no answer, were its cut-off another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.calibration import FOLDS, Calibration
from driftwatch.stats.cutoff import Floats
from driftwatch.stats.matching import Share, share_where

FEWEST = 10
"""Queries without anything kept from which it is known what the service says then."""
FEWEST_LEARNT = 50
"""Queries with something kept from which it can be learnt what it says at a score."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the service said, and the best score it had."""

    score: Floats
    """shape (n,): minus infinity where nothing was retrieved."""
    abstained: Floats
    """shape (n,): 0 or 1."""
    unit: NDArray[np.int64]
    weight: Floats
    lang: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Abstention:
    """The predicted rate at a cut-off."""

    share: Share
    when_empty: float
    """How often it abstains when nothing is kept ..."""
    assumed: bool
    """... which is taken to be always, where too few such queries were seen."""
    modelled: float
    """The share of queries about which the service was never asked with these documents: below the old cut-off."""


def abstention(answers: Answers, cutoff: float, current: float | None) -> dict[str, Abstention]:
    """The predicted rate of each language, and of all together under an empty name.

    Where the cut-off rises nothing need be modelled: who keeps his documents does what he did, and who loses them does
    what those do who have none. Where it falls below the ``current`` one, what queries in between will do is read off
    the relation of the flag to the best score above it, a logistic one.
    """
    was_kept = answers.score >= (current if current is not None else -np.inf)
    was_kept &= np.isfinite(answers.score)
    stays = answers.score >= cutoff
    without = ~was_kept
    known = int(without.sum()) >= FEWEST
    when_empty = float(np.average(answers.abstained[without], weights=answers.weight[without])) if known else 1.0
    says = np.where(stays, answers.abstained, when_empty)
    between = stays & without
    if between.any():
        says[between] = _modelled(answers, was_kept, between)
    names = {"": np.ones(len(says), bool)} | {name: answers.lang == name for name in np.unique(answers.lang).tolist()}
    return {
        name: Abstention(
            share_where(says[rows], answers.unit[rows], answers.weight[rows]),
            when_empty,
            not known,
            float(np.average(between[rows], weights=answers.weight[rows])),
        )
        for name, rows in names.items()
    }


def _modelled(answers: Answers, seen: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> Floats:
    if int(seen.sum()) < FEWEST_LEARNT:
        mean = float(np.average(answers.abstained[seen], weights=answers.weight[seen])) if seen.any() else 0.0
        return np.full(int(wanted.sum()), mean)
    x, fold = answers.score[seen, None], np.unique(answers.unit[seen], return_inverse=True)[1] % FOLDS
    learnt = Calibration.fit(x, answers.abstained[seen], answers.lang[seen], fold.astype(np.int64))
    return learnt.predict(answers.score[wanted, None], answers.lang[wanted])
