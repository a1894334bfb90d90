"""sentence-transformers' trainer on the rows of one stage: checkpoints of plain weights, an early stop, progress.

Imported by a training process alone: torch is loaded with this module.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_model, save_model
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from transformers import PrinterCallback, TrainerCallback, TrainerState

from driftwatch.retrain._training import checkpoints
from driftwatch.retrain._training.base import Tuned
from driftwatch.retrain._training.data import Texts
from driftwatch.retrain._training.guard import NOTHING, Rows
from driftwatch.retrain._training.progress import Progress, Stopped
from driftwatch.retrain._training.validation import Validation, kept_at
from driftwatch.retrain.dataset import write_array

WEIGHTS = "model.safetensors"
NDCG, KEPT = "eval_ndcg", "eval_kept"
_STEPS_UNMEASURED = 500
"""Optimiser steps after which the validation slice is measured, where an epoch has more."""
_SECONDS_UNSAVED = 300.0
"""What a kill may cost at most, beside the checkpoints that every measurement writes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, how long and in what batches a stage is trained."""

    epochs: int
    learning_rate: float
    warmup: float
    patience: int
    batch_size: int
    seed: int


def train_stage(
    tuned: Tuned,
    texts: Texts,
    rows: Rows,
    loss: Any,
    validation: Validation,
    pace: Pace,
    folder: Path,
    progress: Progress,
    seconds_unsaved: float = _SECONDS_UNSAVED,
) -> int:
    """Train in place, from the last whole checkpoint in ``folder`` where there is one; the optimiser steps taken.

    Where there is a validation, the weights are in the end the last ones that were not clearly worse on it.

    Raises:
        Stopped: the process was asked to end, and a checkpoint holds what was trained.
    """
    steps = ceil(len(rows) / pace.batch_size)
    watch = Watch(progress, pace.patience, seconds_unsaved)
    trainer = JobTrainer(
        model=tuned.model,
        args=_arguments(tuned, pace, folder, steps, measured=len(validation) > 0),
        train_dataset=_dataset(rows),
        loss=loss,
        evaluator=_Evaluator(tuned, validation, folder) if len(validation) else None,
        data_collator=_collator(tuned, texts, rows),
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    last = checkpoints.last_whole(folder)
    if last is not None and (state := _over(last, pace.patience)) is not None:
        load_model(tuned.model, str(folder / f"checkpoint-{state.best_global_step}" / WEIGHTS))
        return int(state.global_step)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if watch.ended:
        raise Stopped
    return int(trainer.state.global_step)


class JobTrainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """Keeps the weights as safetensors and nothing that names texts; a checkpoint is sealed when it is whole.

    Optimiser, schedule and random state stay as transformers writes them, which reads them back with
    ``weights_only``; its pickled arguments are not written at all.
    """

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: a model card shows rows of the training set, which are people's questions."""

    def get_batch_sampler(self, dataset: Any, **settings: Any) -> Any:
        """No question and no answer twice in a batch. A negative may be one of several rows: the guard counts it once.

        Were negatives looked at too, a batch of a small corpus would hold a dozen rows and not sixty-four, and, as an
        epoch has as many steps as full batches would need, most rows would never train.
        """
        return super().get_batch_sampler(dataset.select_columns(["anchor", "positive"]), **settings)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        load_model(self.model, str(Path(checkpoint_path) / WEIGHTS))

    def _load_best_model(self) -> None:
        """A best checkpoint that cannot be read is an error: the last weights would pass for the best ones."""
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        checkpoints.unseal(folder)
        super()._save_checkpoint(model, trial)
        checkpoints.seal(folder)


class Watch(TrainerCallback):  # type: ignore[misc]
    """Tells how far it is, stops early, saves every few minutes, and ends after the step when asked to.

    What it decides by is in the trainer's own state, so a run that was resumed decides as one that was not.
    """

    def __init__(self, progress: Progress, patience: int, seconds_unsaved: float) -> None:
        self._progress = progress
        self._patience = patience
        self._seconds = seconds_unsaved
        self._saved = time.monotonic()
        self.ended = False
        """Whether training ended because the process was asked to."""

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._tell(state)

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        self._progress.between_steps = False

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tell(state)
        self.ended = self._progress.asked_to_end
        if self.ended or time.monotonic() - self._saved >= self._seconds:
            control.should_save = True
        if self.ended:
            control.should_training_stop = True

    def on_save(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        self._progress.between_steps = True

    def on_evaluate(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tell(state)
        if _since_the_best(_measures(state, KEPT)) >= self._patience:
            control.should_training_stop = True

    def on_epoch_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        """A run that is asked to end in the middle of an epoch measures nothing: it would count when it goes on."""
        if self.ended:
            control.should_evaluate = control.should_save = False

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        self._progress.between_steps = True

    def _tell(self, state: Any) -> None:
        losses = [each["loss"] for each in state.log_history if "loss" in each]
        measures = _measures(state)
        self._progress.at(
            state.global_step,
            state.max_steps,
            state.epoch or 0.0,
            losses[-1] if losses else None,
            measures[-1] if measures else None,
        )


class _Evaluator(BaseEvaluator):  # type: ignore[misc]
    """The validation slice, as the trainer asks for it; what each question measured stays in ``folder``."""

    def __init__(self, tuned: Tuned, validation: Validation, folder: Path) -> None:
        super().__init__()
        self._tuned = tuned
        self._validation = validation
        self._folder = folder
        self.primary_metric = "ndcg"

    def __call__(self, _model: Any, *, steps: int, **_: Any) -> dict[str, float]:
        measured = self._validation.measure(self._tuned)
        write_array(self._folder / f"measured-{steps:08}.npy", measured)
        before = [each for each in sorted(self._folder.glob("measured-*.npy")) if int(each.stem[9:]) < steps]
        kept = kept_at([np.load(each, allow_pickle=False) for each in before], measured)
        return {"ndcg": float(measured.mean()), "kept": float(kept)}


class _Collator(SentenceTransformerDataCollator):  # type: ignore[misc]
    """Reads the texts that the columns of a batch name, just before they are cut into tokens."""

    texts: Mapping[str, str]

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        named = [
            {name: self.texts.get(value, "") if isinstance(value, str) else value for name, value in row.items()}
            for row in features
        ]
        found: dict[str, Any] = super().__call__(named)
        return found


def _collator(tuned: Tuned, texts: Texts, rows: Rows) -> Any:
    columns = _columns(rows.documents.shape[1])
    prompts = tuned.prompts
    said = {"anchor": prompts["query"]} | dict.fromkeys(columns, prompts["document"])
    routes = {"anchor": "query"} | dict.fromkeys(columns, "document") if tuned.routed else {}
    collator = _Collator(
        preprocess_fn=tuned.model.preprocess,
        prompts={name: prompt for name, prompt in said.items() if prompt},
        router_mapping=routes,
    )
    collator.texts = {f"q{number}": text for number, text in enumerate(texts.queries)} | {
        f"p{number}": text for number, text in enumerate(texts.passages)
    }
    return collator


def _dataset(rows: Rows) -> Any:
    """Names of texts instead of texts: each is in memory once, and what is a duplicate is decided by id."""
    columns: dict[str, Sequence[Any]] = {"anchor": [f"q{number}" for number in rows.queries]}
    for place, name in enumerate(_columns(rows.documents.shape[1])):
        columns[name] = ["" if each == NOTHING else f"p{each}" for each in rows.documents[:, place].tolist()]
    return Dataset.from_dict({**columns, "label": list(range(len(rows)))})


def _columns(width: int) -> list[str]:
    return ["positive", *(f"negative_{number}" for number in range(1, width))]


def _arguments(tuned: Tuned, pace: Pace, folder: Path, steps: int, *, measured: bool) -> Any:
    cuda = tuned.device.startswith("cuda")
    brain = cuda and torch.cuda.is_bf16_supported()
    often = "epoch" if steps <= _STEPS_UNMEASURED else "steps"
    every = steps // ceil(steps / _STEPS_UNMEASURED)
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=pace.epochs,
        per_device_train_batch_size=pace.batch_size,
        learning_rate=pace.learning_rate,
        warmup_steps=round(pace.warmup * steps * pace.epochs),
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        bf16=brain,
        fp16=cuda and not brain,
        use_cpu=tuned.device.startswith("cpu"),
        eval_strategy=often if measured else "no",
        save_strategy=often,
        eval_steps=every,
        save_steps=every,
        save_total_limit=3,
        load_best_model_at_end=measured,
        metric_for_best_model=KEPT if measured else None,
        greater_is_better=True if measured else None,
        logging_steps=max(1, steps * pace.epochs // 200),
        report_to="none",
        disable_tqdm=True,
        seed=pace.seed,
        dataloader_pin_memory=cuda,
    )


def _measures(state: Any, name: str = NDCG) -> list[float]:
    return [each[name] for each in state.log_history if name in each]


def _over(checkpoint: Path, patience: int) -> Any:
    """The state of a run that stopped early and was killed before its weights were kept; None of any other."""
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    over = state.best_global_step and _since_the_best(_measures(state, KEPT)) >= patience
    return state if over else None


def _since_the_best(measures: Sequence[float]) -> int:
    """Measurements after the first best one; 0 where there are none."""
    return len(measures) - 1 - measures.index(max(measures)) if measures else 0
