"""What a language model may cost: nothing is asked whose worst case would pass the cap, through restarts too."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.settings import Generate

_MILLION = 1_000_000
_FRAME = 200
"""Tokens that a protocol puts around two messages, at most."""


class Ledger:
    """What one job has spent, on the disk before each request: a request that a kill cut off counts as its worst.

    Raises:
        RetrainError: the file is damaged.
    """

    def __init__(self, path: Path, settings: Generate) -> None:
        self._path = path
        self._settings = settings
        self._reserved = self._beyond = 0.0
        self.spent = _read(path) if path.exists() else 0.0

    def worst(self, sent: str, tokens: int) -> float:
        """The most that a request can cost: no tokenizer makes more tokens of a text than it has bytes.

        An endpoint that counts more all the same (it adds a prompt of its own, or thoughts) is expected to do so again.
        """
        return self.price(len(sent.encode()) + _FRAME, tokens) + self._beyond

    def price(self, sent: int, received: int) -> float:
        """Of so many tokens."""
        return (sent * self._settings.input_price + received * self._settings.output_price) / _MILLION

    def reserve(self, worst: float) -> bool:
        """Whether so much may still be spent; it is set aside then."""
        if self.spent + worst > self._settings.spend:
            return False
        self._reserved = worst
        self._write()
        return True

    def settle(self, cost: float) -> None:
        """What was set aside is free again, and this was spent."""
        self.spent += cost
        self._beyond += max(0.0, cost - self._reserved)
        self._reserved = 0.0
        self._write()

    def _write(self) -> None:
        write_json(self._path, {"version": 1, "spent": self.spent, "reserved": self._reserved})


def _read(path: Path) -> float:
    found = read_json(path)
    try:
        spent, reserved = float(found["spent"]), float(found["reserved"])
        if not (isfinite(spent + reserved) and min(spent, reserved) >= 0):  # against these any price is small
            raise ValueError
        return spent + reserved
    except (KeyError, TypeError, ValueError):
        raise RetrainError(
            f"{path}: does not say what was spent: {str(found)[:80]}.",
            remedy='Write {"version": 1, "spent": <so far>, "reserved": 0} into it.',
        ) from None
