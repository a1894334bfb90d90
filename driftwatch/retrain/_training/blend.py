"""Between the base and what it was tuned to: weights averaged, the share chosen on the validation slice.

Fine-tuning on a few hundred questions also forgets; the straight line between the two sets of weights mostly holds
models that answer the new questions as well and the old ones better (Wortsman et al. 2022, *Robust fine-tuning of
zero-shot models*). One forward pass over the validation slice a point, and nothing is trained twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARES = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
"""Of the tuned weights in the blend; the base alone (0) is no candidate."""


def blend(
    model: Any,
    base: Mapping[str, Any],
    measure: Callable[[], NDArray[np.float64]],
    before: NDArray[np.float64],
    shares: Sequence[float] = SHARES,
) -> tuple[float, dict[float, float]]:
    """Leave the best blend in ``model``; its share of tuned weights, and the measure at each share.

    ``base``: the weights before training, by name, as ``state_dict`` has them. ``before``: what the base measures.
    """
    tuned = {name: value.detach().clone() for name, value in model.state_dict().items()}
    measured = {0.0: float(before.mean())}
    for share in shares:
        mix(model, base, tuned, share)
        measured[share] = float(measure().mean())
    best = choose(measured)
    mix(model, base, tuned, best)
    return best, measured


def choose(measured: Mapping[float, float]) -> float:
    """The share above 0 that is best on a parabola through the measures.

    A slice of a hundred questions measures each share with an error larger than the steps between neighbours. The
    measures of one line hang together, so a curve through all of them errs less than the largest of them does. Of
    equals the smaller share: it forgets less.
    """
    shares = np.array(sorted(measured))
    values = np.array([measured[share] for share in shares])
    curve = np.polyval(np.polyfit(shares, values, min(2, len(shares) - 1)), shares)
    candidates = [(round(float(value), 9), -float(share)) for share, value in zip(shares, curve, strict=True) if share]
    return -max(candidates)[1]


def mix(model: Any, base: Mapping[str, Any], tuned: Mapping[str, Any], share: float) -> None:
    """Give ``model`` the weights ``base + share * (tuned - base)``; whole numbers are the tuned one's."""
    import torch

    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point() and share != 1.0:
                value.copy_(torch.lerp(base[name].to(value.device), tuned[name], share))
            else:
                value.copy_(tuned[name])
