"""The model that is tuned: loaded safely, in full precision, and asked exactly as the service asks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import EmbedderSettings
from driftwatch.embed._model import load, own_dimension, runs_on
from driftwatch.embed._weights import find_weights
from driftwatch.errors import RetrainError

Role = Literal["query", "document"]
_DOCUMENTS = ("document", "passage", "corpus")
"""Names under which a model keeps its prompt for documents, in the order in which encoding looks for them."""


@dataclass(frozen=True)
class Base:
    """What a job says of the model in use."""

    model: str
    """As in `embedder: model`."""
    revision: str | None = None
    query_prompt: str | None = None
    """None: the model's own, if it has one."""
    document_prompt: str | None = None
    max_length: int | None = None
    """Tokens of a text that the service reads; None: what the model was made for."""
    dimension: int | None = None
    """Numbers of a vector that the service keeps; None: all."""

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Base:
        """The `base` of ``job.json``.

        Raises:
            RetrainError: it names no model.
        """
        if not isinstance(content.get("model"), str) or not content["model"]:
            raise RetrainError("job.json: 'base: model' names no model.", remedy="Start a new job.")
        known = ("model", "revision", "query_prompt", "document_prompt", "max_length", "dimension")
        return cls(**{name: content[name] for name in known if name in content})


class Tuned:
    """A model in memory with everything that reading a text needs.

    Raises:
        EmbedError: there is no such model on this machine, or it is unsafe to load.
        MissingExtra: sentence-transformers is not installed.
    """

    def __init__(self, base: Base, device: str, *, max_length: int | None, tokens: int) -> None:
        settings = EmbedderSettings(model=base.model, revision=base.revision)
        self.base = base
        self.weights = find_weights(base.model, base.revision)
        self.stored = stored_precision(self.weights)
        self.device = runs_on(device, "float32")[0]
        self.model: Any = load(settings, self.weights, self.device, "float32").model
        self.own_length: int | None = self.model.max_seq_length
        """What the model is saved with: that the service reads less is the service's setting."""
        self.model.max_seq_length = _shortest(max_length, base.max_length or self.own_length)
        self._batch = max(1, tokens // (self.model.max_seq_length or 512))

    @property
    def width(self) -> int:
        """Numbers of a whole vector."""
        return own_dimension(self.model) or len(self.encode("query", ["width"])[0])

    @property
    def prompts(self) -> dict[Role, str]:
        """What stands before a question and before a document, as serving resolves it; empty: nothing."""
        own: dict[str, str] = getattr(self.model, "prompts", None) or {}
        default = own.get(getattr(self.model, "default_prompt_name", None) or "", "")
        document = next((own[name] for name in _DOCUMENTS if name in own), default)
        said = self.base.query_prompt, self.base.document_prompt
        return {
            "query": own.get("query", default) if said[0] is None else said[0],
            "document": document if said[1] is None else said[1],
        }

    @property
    def routed(self) -> bool:
        """Whether questions and documents go different ways through the model."""
        return any(type(module).__name__ == "Router" for module in self.model.children())

    def encode(self, role: Role, texts: Sequence[str], dimension: int | None = None) -> NDArray[np.float32]:
        """shape (n, dimension), rows of length 1; no more tokens at once than the budget."""
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        prompt = self.base.query_prompt if role == "query" else self.base.document_prompt
        found = encode(
            list(texts),
            prompt=prompt,
            batch_size=self._batch,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
            truncate_dim=dimension,
        )
        return np.asarray(found, np.float32)

    @contextmanager
    def as_it_is_saved(self) -> Iterator[Any]:
        """The model with its own length and in the precision of the base's files, so that it is no larger than that."""
        import torch

        trained_at = self.model.max_seq_length
        self.model.max_seq_length = self.own_length
        self.model.to(dtype=getattr(torch, self.stored))
        try:
            yield self.model
        finally:
            self.model.to(dtype=torch.float32)
            self.model.max_seq_length = trained_at


def stored_precision(weights: Path) -> str:
    """`float32`, `float16` or `bfloat16`: how the files keep a model's weights."""
    from safetensors import safe_open

    kinds = {"F16": "float16", "BF16": "bfloat16"}
    for file in sorted(weights.rglob("*.safetensors")):
        with safe_open(str(file), framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is not a mapping
                kind = tensors.get_slice(name).get_dtype()
                if kind.startswith(("F", "BF")):
                    return kinds.get(kind, "float32")
    return "float32"


def _shortest(*lengths: int | None) -> int | None:
    known = [each for each in lengths if each]
    return min(known) if known else None
