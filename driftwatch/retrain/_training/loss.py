"""Cached multiple-negatives ranking that knows which texts are no negatives, within a budget of tokens.

Imported by a training process alone: torch is loaded with this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from torch.nn.functional import cross_entropy

from driftwatch.retrain._training.guard import Guard

SCALE = 20.0
"""Cosines are multiplied by this before the softmax: what most sentence-transformers models were trained with."""


class GuardedRankingLoss(CachedMultipleNegativesRankingLoss):  # type: ignore[misc]
    """The library's gradient cache (Gao et al. 2021) around a softmax from which false negatives are left out.

    ``labels`` of a batch are the numbers of its rows. No more than ``tokens`` go through the model at once, padding
    counted, so memory is bounded by the budget and not by the batch.
    """

    def __init__(self, model: Any, guard: Guard, tokens: int, scale: float = SCALE) -> None:
        super().__init__(model, scale=scale)
        self.guard = guard
        self.tokens = tokens

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Any) -> Any:
        """The loss of one batch; its gradient comes back through the cache."""
        features = list(sentence_features)
        widest = max(each["input_ids"].shape[-1] for each in features)
        self.mini_batch_size = max(1, self.tokens // widest)
        return self.forward_cached(features, labels)

    def calculate_loss(self, reps: list[list[Any]], labels: Any = None, *, with_backward: bool = False) -> Any:
        """From the vectors of a batch, a few rows of the matrix of similarities at a time."""
        queries = torch.cat(reps[0])
        documents = torch.cat([torch.cat(column) for column in reps[1:]])
        out = torch.from_numpy(self.guard.left_out(labels.cpu().numpy())).to(queries.device)
        total = torch.zeros((), device=queries.device)
        for begin in range(0, len(queries), self.mini_batch_size):
            part = slice(begin, begin + self.mini_batch_size)
            scores = self.similarity_fct(queries[part], documents).float() * self.scale
            target = torch.arange(begin, begin + len(scores), device=queries.device)
            loss = cross_entropy(scores.masked_fill(out[part], -torch.inf), target, reduction="sum") / len(queries)
            if with_backward:
                loss.backward()
                loss = loss.detach()
            total = total + loss
        return total
