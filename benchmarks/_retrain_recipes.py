"""Three ways from the same pairs to a tuned model, and two controls: what `benchmarks/retrain.py` compares."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.embed._weights import find_weights
from driftwatch.retrain.dataset import read_json, seal, write_json, write_nouns
from driftwatch.retrain.mine import mine
from driftwatch.retrain.settings import Mine, Train
from driftwatch.retrain.strategy import Strategy, rate_for, strategy_of
from driftwatch.retrain.train import run
from driftwatch.retrained import Pair, Passage, Row

PUBLISHED_RATE = 2e-5
"""The learning rate of sentence-transformers' own training examples."""
RECIPES = ("plain", "mined", "ours")
CONTROLS = ("plain-fast", "mined-fast")
"""The library's two recipes at the learning rate that ours uses: what of the difference is only that."""


@dataclass(frozen=True)
class Budget:
    """What every recipe is given."""

    model: str
    device: str
    batch: int
    epochs: int
    tokens: int
    """Of a text in training; the models are judged at their full length."""
    negatives: int

    @property
    def train(self) -> Train:
        """As the `retrain: train:` section would say it."""
        return Train(epochs=self.epochs, batch_size=self.batch, max_length=self.tokens, device=self.device, tokens=8192)

    def rate(self, pairs: int) -> float:
        """The learning rate that ours chooses for so many pairs."""
        return rate_for(self.epochs * -(-pairs // self.batch))


@dataclass(frozen=True)
class Task:
    """Pairs to learn from and the corpus they are from."""

    queries: Mapping[str, str]
    """query_id -> text, of the training split alone."""
    qrels: Mapping[str, Mapping[str, int]]
    """query_id -> doc_id -> relevance, of the training split alone."""
    corpus: Mapping[str, str]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(query_id, doc_id) of every positive."""
        return [(query, each) for query, found in self.qrels.items() for each, grade in found.items() if grade > 0]


def tune(recipe: str, task: Task, budget: Budget, seed: int, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Train by one recipe in ``folder``; where the model is, and what is to be said of the run."""
    if recipe == "ours":
        return _ours(task, budget, seed, folder)
    rate = budget.rate(len(task.pairs)) if recipe.endswith("-fast") else PUBLISHED_RATE
    rows = _plain_rows(task) if recipe.startswith("plain") else _mined_rows(task, budget, folder.parent)
    return _library(rows, budget, rate, seed, folder)


def _ours(task: Task, budget: Budget, seed: int, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Our mining and our trainer, as a job; a job that was stopped goes on."""
    if not (folder / "job.json").exists():
        embedder = TextEmbedder(EmbedderSettings(model=budget.model, device=budget.device), folder.parent)
        passages = [Passage(doc_id, doc_id, text, "en") for doc_id, text in task.corpus.items()]
        pairs = [Pair(task.queries[query], doc_id, "en", query_id=query) for query, doc_id in task.pairs]
        settings = Mine(negatives=budget.negatives, seed=seed)
        mined = mine(pairs, passages, embedder.encode_queries, embedder.encode_documents, settings)
        embedder.close()
        _write_job(folder, mined.rows, passages, budget, seed)
        write_json(folder / "mined.json", dict(mined.report))
    result = run(folder)
    if result["outcome"] != "done":
        sys.exit(f"ours ended as {result['outcome']}: {result['reason']}")
    return folder / "candidate", {"mined": read_json(folder / "mined.json"), "measures": result["measures"]}


def _write_job(folder: Path, rows: Sequence[Row], passages: Sequence[Passage], budget: Budget, seed: int) -> None:
    strategy: Strategy = strategy_of(len(rows), budget.train)
    write_nouns(folder / "dataset", rows, Row)
    write_nouns(folder / "dataset", passages, Passage)
    write_json(
        folder / "job.json",
        {
            "version": 1,
            "job_id": f"benchmark-{seed}",
            "service": "benchmark",
            "base": {"model": budget.model},
            "dataset": str(folder / "dataset"),
            "output": str(folder / "candidate"),
            "data": seal(folder / "dataset", {}),
            "train": budget.train.model_copy(update={"seed": seed}).model_dump(mode="json"),
            "strategy": asdict(strategy),
            "callback": None,
        },
    )


def _plain_rows(task: Task) -> dict[str, list[str]]:
    return {
        "anchor": [task.queries[query] for query, _ in task.pairs],
        "positive": [task.corpus[doc_id] for _, doc_id in task.pairs],
    }


def _mined_rows(task: Task, budget: Budget, kept: Path) -> dict[str, list[str]]:
    """What the library's miner finds with the margin that its documentation recommends; the same for every seed."""
    file = kept / f"mined-by-the-library-{budget.negatives}.json"
    if not file.exists():
        from datasets import Dataset
        from sentence_transformers.util import mine_hard_negatives

        found = mine_hard_negatives(
            Dataset.from_dict(_plain_rows(task)),
            _model(budget),
            corpus=list(task.corpus.values()),
            range_max=100,
            relative_margin=0.05,
            num_negatives=budget.negatives,
            sampling_strategy="top",
            output_format="n-tuple",
            batch_size=32,
            use_faiss=True,
            verbose=False,
        )
        if not len(found):
            sys.exit("the library's miner finds no row with negatives enough: its margin leaves none.")
        write_json(file, {name: list(found[name]) for name in found.column_names})
    return read_json(file)


def _library(
    rows: Mapping[str, list[str]], budget: Budget, rate: float, seed: int, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The sentence-transformers trainer with multiple-negatives ranking, as its documentation shows it.

    With negatives the loss is the cached one, which computes the same in bounded memory.
    """
    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )

    model = _model(budget)
    length, model.max_seq_length = model.max_seq_length, min(budget.tokens, model.max_seq_length)
    cached = len(rows) > 2
    loss = (
        CachedMultipleNegativesRankingLoss(model, mini_batch_size=32) if cached else MultipleNegativesRankingLoss(model)
    )
    steps = -(-len(rows["anchor"]) // budget.batch) * budget.epochs
    cuda = str(model.device).startswith("cuda")
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(folder / "run"),
            num_train_epochs=budget.epochs,
            per_device_train_batch_size=budget.batch,
            learning_rate=rate,
            warmup_steps=round(0.1 * steps),
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            bf16=cuda,
            use_cpu=not cuda,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            dataloader_pin_memory=cuda,
        ),
        train_dataset=Dataset.from_dict(dict(rows)),
        loss=loss,
    )
    trainer.train()
    model.max_seq_length = length
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    if cuda:
        torch.cuda.empty_cache()
    return folder / "model", {"rows": len(rows["anchor"]), "steps": trainer.state.global_step, "learning_rate": rate}


def _model(budget: Budget) -> Any:
    from sentence_transformers import SentenceTransformer

    device = None if budget.device == "auto" else budget.device
    weights = os.fspath(find_weights(budget.model, None))
    return SentenceTransformer(
        weights, device=device, local_files_only=True, model_kwargs={"use_safetensors": True, "dtype": "float32"}
    )
