"""A cross-encoder that reads a question and a passage together, and says how well the one answers the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed._weights import find_weights
from driftwatch.errors import MissingExtra, RetrainError

Judge = Callable[[Sequence[tuple[str, str]]], NDArray[np.float32]]
"""(question, passage) -> a score each, higher where it answers better."""

_BATCH = 16
_UNLOADABLE = (OSError, ValueError, RuntimeError, KeyError, ImportError, AttributeError, TypeError)
"""What the libraries raise for files that are no model, or another one than they say."""


def load_judge(model: str, device: str = "cpu", max_length: int | None = None) -> Judge:
    """The judge that ``mine`` asks, with scores in [0, 1]: a folder, or the name of a model that is on this machine.

    No code of the model's own is run, and no pickled weights are read.

    Raises:
        EmbedError: there is no such model, or it is not safe to load.
        RetrainError: it is no cross-encoder with one score.
        MissingExtra: sentence-transformers is not installed.
    """
    loaded = _load(model, device, max_length)

    def judge(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        if not pairs:
            return np.empty(0, np.float32)
        longest_first = sorted(range(len(pairs)), key=lambda place: -sum(map(len, pairs[place])))
        given = [pairs[place] for place in longest_first]
        scores = np.empty(len(pairs), np.float32)
        scores[longest_first] = loaded.predict(given, batch_size=_BATCH, show_progress_bar=False)
        return scores

    return judge


def _load(model: str, device: str, max_length: int | None) -> Any:
    folder = find_weights(model, None)
    try:
        import torch
        from safetensors import SafetensorError
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise MissingExtra(error.name or "sentence-transformers", "retrain", "A judge of negatives") from None
    try:
        loaded = CrossEncoder(
            os.fspath(folder),
            device=device,
            max_length=max_length,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
            activation_fn=torch.nn.Sigmoid(),  # what the model's files name is not imported
        )
    except (*_UNLOADABLE, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RetrainError(
            f"the cross-encoder '{model}' cannot be loaded: {reason[:300]}", remedy="Check 'mine: cross_encoder'."
        ) from None
    if loaded.num_labels != 1:
        raise RetrainError(
            f"the cross-encoder '{model}' gives {loaded.num_labels} scores for a passage, and one is wanted.",
            remedy="Name one that was trained to rank in 'mine: cross_encoder'.",
        )
    return loaded
