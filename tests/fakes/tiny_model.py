"""A random sentence-transformers model of a few kilobytes, built without a network, and a task that it can learn.

The words of questions (`ask3`) and of documents (`say3`) have nothing in common until training has shown which of them
go together: a document answers a question when it says both of the things that are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from driftwatch.retrain.dataset import seal, write_json, write_nouns
from driftwatch.retrain.settings import Train
from driftwatch.retrain.strategy import Strategy
from driftwatch.retrained import Asked, Band, Passage, Row

THINGS = 15
FILLERS = 20
WIDTH = 32


def words() -> list[str]:
    return [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", "passage", ":"),
        *(f"ask{number}" for number in range(THINGS)),
        *(f"say{number}" for number in range(THINGS)),
        *(f"and{number}" for number in range(FILLERS)),
    ]


def tiny_model(folder: Path, seed: int = 0, prompts: dict[str, str] | None = None) -> Path:
    """Two layers of 32 numbers, saved as sentence-transformers saves it; the same bytes for the same seed."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(words())}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=32,
    )
    raw = folder / "raw"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(str(raw))
    fast.save_pretrained(str(raw))
    inner = Transformer(str(raw))
    model = SentenceTransformer(modules=[inner, Pooling(WIDTH, "mean"), Normalize()], device="cpu", prompts=prompts)
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def task(seed: int = 0) -> tuple[list[Row], list[Passage]]:
    """105 questions about two things each, with the passage that says both and four that say one of them."""
    rng = np.random.default_rng(seed)
    pairs = list(combinations(range(THINGS), 2))
    passages = [Passage(f"d{a}-{b}", f"d{a}-{b}", f"say{a} say{b} {_fillers(rng)}") for a, b in pairs]
    rows = []
    for place, (a, b) in enumerate(pairs):
        near = [each for each, pair in enumerate(pairs) if len({a, b} & set(pair)) == 1]
        chosen = rng.choice(near, 4, replace=False)
        bands: tuple[Band, ...] = ("dense", "dense", "bm25", "random")
        rows.append(
            Row(
                f"ask{a} ask{b}", passages[place].passage_id, tuple(passages[each].passage_id for each in chosen), bands
            )
        )
    return rows, passages


def write_job(
    folder: Path,
    model: Path,
    train: Train,
    *,
    rows: Sequence[Row] | None = None,
    passages: Sequence[Passage] | None = None,
    asked: Sequence[Asked] = (),
    strategy: Strategy | None = None,
    **base: Any,
) -> Path:
    """A job's folder with its sealed dataset, as the trigger writes it."""
    known, said = task()
    dataset = folder / "dataset"
    write_nouns(dataset, rows if rows is not None else known, Row)
    write_nouns(dataset, passages if passages is not None else said, Passage)
    write_nouns(dataset, asked, Asked)
    write_json(
        folder / "job.json",
        {
            "version": 1,
            "job_id": "20260101T000000-0a1b2c3d",
            "service": "test",
            "base": {"model": str(model), "revision": None, **base},
            "dataset": str(dataset),
            "output": str(folder / "candidate"),
            "data": seal(dataset, {}),
            "train": train.model_dump(mode="json"),
            "strategy": asdict(strategy) if strategy else None,
            "callback": None,
        },
    )
    return folder


def _fillers(rng: np.random.Generator) -> str:
    return " ".join(f"and{number}" for number in rng.integers(0, FILLERS, 2))
