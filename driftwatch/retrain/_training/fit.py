"""A training run from the rows to the tuned weights: every stage, then the blend with the base."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import MissingExtra, RetrainError
from driftwatch.retrain._training.base import Tuned
from driftwatch.retrain._training.blend import Adapters, Line, Weights, best_share
from driftwatch.retrain._training.data import Numbered, Split, Texts, of_bands, split
from driftwatch.retrain._training.guard import Guard, Guide, Rows
from driftwatch.retrain._training.progress import Progress
from driftwatch.retrain._training.validation import NOBODY, Validation, validation_of
from driftwatch.retrain.dataset import read_json, write_json, write_whole
from driftwatch.retrain.settings import Train
from driftwatch.retrain.strategy import Strategy
from driftwatch.retrained import Band

FINISHED = "finished.safetensors"
CATCH_UP = 2
"""Epochs over the rows that validated, at the very end."""
_KEEPS = 0.9
"""The share of its nDCG@10 that a base keeps with vectors cut to a Matryoshka dimension, if it was trained so."""


@dataclass(frozen=True)
class Fitted:
    """What came out, beside the weights that are now in the model."""

    measures: dict[str, float]
    sentence: str
    """What a person is told: better, or worse, and on how much."""


def fit(texts: Texts, tuned: Tuned, strategy: Strategy, settings: Train, folder: Path, progress: Progress) -> Fitted:
    """Train ``tuned`` in place; everything that a later start needs is in ``folder``.

    Raises:
        RetrainError: the base cannot be kept good at a dimension that the settings name.
        MissingExtra: a package that trains is not installed.
        Stopped: the process was asked to end.
    """
    parts = split(texts, settings.seed)
    validation = validation_of(texts, parts.validation, settings.seed, tuned.base.dimension)
    before = {name: value.detach().clone() for name, value in tuned.model.state_dict().items()}
    progress.stage("asking the model in use")
    asked = _ask_base(tuned, texts, validation, folder / "base.npz")
    dimensions = _dimensions(tuned, settings, validation, asked["ndcg"])
    adapters = _with_adapters(tuned, settings) if settings.lora else None
    line: Line = Weights(tuned.model, before) if adapters is None else Adapters(adapters)
    run = _Run(texts, parts, tuned, strategy, settings, folder, progress, asked, dimensions)
    steps = run.stages(validation)
    measures = {"rows": float(len(texts.rows)), "questions": float(len(validation)), "steps": float(steps)}
    if len(validation):
        measures |= _choice(line, tuned, validation, asked["ndcg"], folder / "share.json", progress)
        measures["steps"] += run.catch_up()
        line.end()
        line.at(measures["share"])
    if adapters is not None:
        adapters.merge_and_unload()
    return Fitted(measures, _sentence(measures))


def _choice(
    line: Line, tuned: Tuned, validation: Validation, before: NDArray[np.float64], kept: Path, progress: Progress
) -> dict[str, float]:
    """The share of the tuned weights, and the measures; kept, as the rows that chose it may train afterwards."""
    if not kept.exists():
        progress.stage("blending with the model in use")
        progress.raise_if_asked()
        line.end()
        share, measured = best_share(line, lambda: validation.measure(tuned), before)
        found = {"before": measured[0.0], "after": measured[share], "unblended": measured[1.0], "share": share}
        write_json(kept, found)
    return {name: float(value) for name, value in read_json(kept).items()}


@dataclass(frozen=True)
class _Run:
    """What every stage of one run shares."""

    texts: Texts
    parts: Split
    tuned: Tuned
    strategy: Strategy
    settings: Train
    folder: Path
    progress: Progress
    asked: dict[str, NDArray[Any]]
    dimensions: Sequence[int]

    def stages(self, validation: Validation) -> int:
        """Each stage goes on from the weights of the one before. Optimiser steps taken."""
        total = 0
        for number, bands in enumerate(self.strategy.curriculum):
            epochs = _share_of(self.strategy.epochs, number, len(self.strategy.curriculum))
            total += self._stage(
                f"{number + 1}-{'-'.join(bands)}",
                _title(number, self.strategy.curriculum),
                of_bands(self.parts.training, bands, self.strategy.negatives),
                validation,
                {"epochs": epochs, "seed": self.settings.seed + number},
            )
        return total

    def catch_up(self) -> int:
        """Train the rows that validated, when nothing is chosen by them any more: of a few hundred each one counts.

        As many other rows are repeated beside them, at half the learning rate. Optimiser steps taken.
        """
        rng = np.random.default_rng([self.settings.seed, 2])
        count = min(len(self.parts.validation), len(self.parts.training))
        again = [self.parts.training[place] for place in rng.permutation(len(self.parts.training))[:count]]
        bands = self.strategy.curriculum[-1]
        rows = of_bands((*self.parts.validation, *again), bands, self.strategy.negatives)
        pace = {"epochs": CATCH_UP, "learning_rate": self.strategy.learning_rate / 2, "seed": self.settings.seed}
        return self._stage("catch-up", "training what validated", rows, NOBODY, pace)

    def _stage(
        self, name: str, title: str, numbered: Sequence[Numbered], validation: Validation, pace: dict[str, Any]
    ) -> int:
        """Train, unless that was finished before: then its weights are read."""
        try:
            from safetensors.torch import load_model, save_model

            from driftwatch.retrain._training.loop import Pace, train_stage
        except ImportError as error:
            raise MissingExtra(error.name or "datasets", "retrain", "Training") from None
        place = self.folder / name
        if (place / FINISHED).exists():
            load_model(self.tuned.model, str(place / FINISHED))
            return int((place / "steps").read_text())
        rows = Rows.of(numbered)
        usual = {
            "learning_rate": self.strategy.learning_rate,
            "warmup": self.strategy.warmup,
            "patience": self.strategy.patience,
            "batch_size": self.settings.batch_size,
        }
        self.progress.stage(title)
        self.progress.raise_if_asked()
        loss = _loss(self.tuned, Guard.of(self.texts, rows, self._guide()), self.settings.tokens, self.dimensions)
        steps = train_stage(
            self.tuned, self.texts, rows, loss, validation, Pace(**(usual | pace)), place, self.progress
        )
        _finish(place, lambda path: save_model(self.tuned.model, path), steps)
        return steps

    def _guide(self) -> Guide | None:
        if self.settings.loss != "gist":
            return None
        return Guide.of(self.asked["queries"], self.asked["passages"], Rows.of(self.parts.training))


def _loss(tuned: Tuned, guard: Guard, tokens: int, dimensions: Sequence[int]) -> Any:
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    from driftwatch.retrain._training.loss import GuardedRankingLoss

    loss = GuardedRankingLoss(tuned.model, guard, tokens)
    return MatryoshkaLoss(tuned.model, loss, list(dimensions)) if dimensions else loss


def _finish(place: Path, save: Any, steps: int) -> None:
    """The stage's weights, whole, and then no checkpoints: what is left of them is of no more use."""
    write_whole(place / "steps", [str(steps).encode()])
    draft = place / f".{FINISHED}"
    save(str(draft))
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(place / FINISHED)
    for checkpoint in place.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    for measured in place.glob("measured-*.npy"):
        measured.unlink()


def _ask_base(tuned: Tuned, texts: Texts, validation: Validation, kept: Path) -> dict[str, NDArray[Any]]:
    """Vectors of every text from the model in use, and its nDCG@10 of each validation question; kept for a restart."""
    if kept.exists():
        with np.load(kept, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    found: dict[str, NDArray[Any]] = {
        "queries": tuned.encode("query", texts.queries),
        "passages": tuned.encode("document", texts.passages),
        "ndcg": validation.measure(tuned) if len(validation) else np.empty(0),
    }
    packed = io.BytesIO()
    np.savez(packed, **found)  # type: ignore[arg-type,unused-ignore]
    write_whole(kept, [packed.getvalue()])
    return found


def _dimensions(tuned: Tuned, settings: Train, validation: Validation, ndcg: NDArray[np.float64]) -> list[int]:
    """The Matryoshka dimensions to train at, the whole width among them; none where vectors are never cut.

    Raises:
        RetrainError: one is wider than the vectors, or the base is not good at it: it was not trained so.
    """
    wanted = {*settings.dimensions} | ({tuned.base.dimension} if tuned.base.dimension else set())
    if not wanted:
        return []
    width = tuned.width
    for dimension in sorted(wanted):
        if dimension > width:
            raise RetrainError(
                f"'retrain: train: dimensions' names {dimension}, and the model's vectors have {width} numbers.",
                remedy=f"Name none above {width}.",
            )
    for dimension in sorted(set(settings.dimensions) - {width}):
        _refuse_if_not_nested(tuned, validation, dimension, ndcg)
    return sorted({*wanted, width}, reverse=True)


def _refuse_if_not_nested(tuned: Tuned, validation: Validation, dimension: int, ndcg: NDArray[np.float64]) -> None:
    if not len(validation):
        raise RetrainError(
            "whether the model is good at the Matryoshka dimensions cannot be measured: no rows could be kept for "
            "validation.",
            remedy="Leave 'retrain: train: dimensions' out.",
        )
    cut, whole = float(validation.measure(tuned, dimension).mean()), float(ndcg.mean())
    if cut < _KEEPS * whole:
        raise RetrainError(
            f"the model was not trained for {dimension} dimensions: cut to them its nDCG@10 on "
            f"{len(validation)} questions is {cut:.3f}, and {whole:.3f} with all {tuned.width}. Dimensions are kept "
            "good where they are, and not made so.",
            remedy=f"Take {dimension} out of 'retrain: train: dimensions', or start from a Matryoshka model.",
        )


def _with_adapters(tuned: Tuned, settings: Train) -> Any:
    """LoRA adapters (Hu et al. 2021) on every linear layer of the transformer; only they are trained.

    Raises:
        MissingExtra: peft is not installed.
        RetrainError: the model is not built around a transformer.
    """
    try:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
    except ImportError:
        raise MissingExtra("peft", "lora", "Training with adapters ('retrain: train: lora')") from None
    import torch

    inner = getattr(tuned.model, "transformers_model", None)
    if inner is None:
        raise RetrainError(
            f"'{tuned.base.model}' is not built around a transformer, and adapters have nothing to sit on.",
            remedy="Leave 'retrain: train: lora' out.",
        )
    for weight in tuned.model.parameters():
        weight.requires_grad_(False)
    torch.manual_seed(settings.seed)
    config = LoraConfig(r=settings.lora, lora_alpha=2 * settings.lora, target_modules="all-linear")
    return LoraModel(inner, config, "default")


def _share_of(epochs: int, number: int, stages: int) -> int:
    """The epochs of one stage; what does not divide goes to the first ones, and each has one at least."""
    return max(1, epochs // stages + (number < epochs % stages))


def _title(number: int, curriculum: tuple[tuple[Band, ...], ...]) -> str:
    if len(curriculum) == 1:
        return "training"
    return f"training, stage {number + 1} of {len(curriculum)} ({', '.join(curriculum[number])})"


def _sentence(measures: dict[str, float]) -> str:
    if not measures["questions"]:
        return "no rows could be kept for validation: how good it is, the gate will say."
    before, after, questions = measures["before"], measures["after"], int(measures["questions"])
    if after > before:
        went = f"nDCG@10 went from {before:.3f} to {after:.3f}"
    else:
        went = f"it got no better: nDCG@10 went from {before:.3f} to {after:.3f}"
    return (
        f"on {questions} questions that it had not been trained on {went}; then these trained it a little, "
        "and the gate decides on questions of its own."
    )
