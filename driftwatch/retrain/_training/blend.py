"""Between the base and what it was tuned to: weights averaged, the share chosen on the validation slice.

Fine-tuning on a few hundred questions also forgets; the straight line between the two sets of weights mostly holds
models that answer the new questions as well and the old ones better (Wortsman et al. 2022, *Robust fine-tuning of
zero-shot models*). One forward pass over the validation slice a point, and nothing is trained twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SHARES = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
"""Of the tuned weights in the blend; the base alone (0) is no candidate."""


class Line(Protocol):
    """The models between the base and the tuned one."""

    def end(self) -> None:
        """What the model is now is where the line ends."""

    def at(self, share: float) -> None:
        """Make the model the one at ``share``; 1 is the end."""


class Weights:
    """The line through every weight of ``model``; ``base``: its weights before training, as ``state_dict`` has them."""

    def __init__(self, model: Any, base: Mapping[str, Any]) -> None:
        self._model = model
        self._base = base
        self._tuned: Mapping[str, Any] = base

    def end(self) -> None:
        self._tuned = {name: value.detach().clone() for name, value in self._model.state_dict().items()}

    def at(self, share: float) -> None:
        mix(self._model, self._base, self._tuned, share)


class Adapters:
    """The line of a model with LoRA adapters: what they add, times the share."""

    def __init__(self, tuner: Any) -> None:
        self._layers = [module for module in tuner.modules() if isinstance(getattr(module, "scaling", None), dict)]
        self._whole = [dict(layer.scaling) for layer in self._layers]

    def end(self) -> None:
        """The adapters are the end themselves, wherever the model stands."""

    def at(self, share: float) -> None:
        for layer, whole in zip(self._layers, self._whole, strict=True):
            layer.scaling.update({name: scale * share for name, scale in whole.items()})


def best_share(
    line: Line,
    measure: Callable[[], NDArray[np.float64]],
    before: NDArray[np.float64],
    shares: Sequence[float] = SHARES,
) -> tuple[float, dict[float, float]]:
    """The share of tuned weights in the best blend, and the measure at each; the model is left at the line's end.

    ``before``: what the base measures.
    """
    measured = {0.0: float(before.mean())}
    for share in shares:
        line.at(share)
        measured[share] = float(measure().mean())
    line.at(1.0)
    return choose(measured), measured


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
