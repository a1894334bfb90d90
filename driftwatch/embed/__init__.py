"""Text to vectors with any sentence-transformers model: batched, cached on disk, named by a fingerprint.

Everything heavy waits: the fingerprint and cached vectors need no model, so a repeated canary run loads none.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from driftwatch.embed._batches import encode_in_batches, that_fit_the_cache
from driftwatch.embed._cache import VectorCache, text_key
from driftwatch.embed._model import Loaded, load_to_read, quick_dtype, runs_on, vector_fingerprint
from driftwatch.embed._queries import QueryVectors
from driftwatch.embed._weights import find_weights
from driftwatch.errors import EmbedError
from driftwatch.plugins import Settings, below
from driftwatch.sizes import Size

__all__ = ["EmbedderSettings", "QueryVectors", "TextEmbedder"]

Role = Literal["query", "document"]


class EmbedderSettings(Settings):
    """The `embedder:` section. Changing anything here but `device`, `batch_size` and the cache makes other vectors."""

    model_config = ConfigDict(protected_namespaces=())

    model: str = Field(min_length=1)
    """A name on the model hub, a folder, or `packaged:<module>` for a model that is installed as a Python package."""
    revision: str | None = None
    """A branch, tag or commit on the hub. Without one, the copy that was downloaded first stays in use."""
    query_prompt: str | None = None
    """Put before each query. Without one, the model's own prompt for queries, if it has one."""
    document_prompt: str | None = None
    """Put before each document. Without one, the model's own prompt for documents, if it has one."""
    device: str = "auto"
    """`auto` takes CUDA, else Apple's MPS, else the processor; or `cpu`, `cuda`, `cuda:1`, `mps`."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """`auto` is float16 on a GPU and float32 on the processor."""
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """`auto` starts from the free memory of the GPU (32 on the processor) and halves when memory runs out."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a text that are read; without it, what the model was made for."""
    dimension: int | None = Field(default=None, ge=1)
    """Keep only this many numbers of a vector (for models trained so); without it, all."""
    cache: Path | None = None
    """Folder of cached vectors; without it, `vectors` beside `driftwatch.yaml`."""
    cache_size: Size = 1_000_000_000
    """Most that the cache may take on disk; the longest unused vectors go first."""

    def in_haste(self) -> Self:
        """For work in which speed counts for more than the last digits: mining, and two models side by side."""
        return self.model_copy(update={"dtype": quick_dtype(self)})

    @field_validator("model")
    @classmethod
    def _folder_below_the_yaml(cls, model: str, info: ValidationInfo) -> str:
        folder = below((info.context or {}).get("base", Path()), model)
        return str(folder) if model.startswith((".", "~/")) or folder.is_dir() else model


class TextEmbedder:
    """A ``types.Embedder``. Safe to share between threads: one of them at a time has the model.

    Where the settings name no cache, it is the folder ``vectors`` in ``cache_dir``; with neither, nothing is kept on
    disk. Every vector is rounded to float16 and normalised again, so that it is the same fresh or from the cache.

    Raises:
        EmbedError: (at first use) there is no such model, it is unsafe to load, or not even one text fits in memory.
        MissingExtra: (at first use) sentence-transformers is not installed.
    """

    def __init__(self, settings: EmbedderSettings, cache_dir: Path | None = None) -> None:
        self._settings = settings
        self._directory = settings.cache or (cache_dir / "vectors" if cache_dir else None)
        self._model_lock = threading.Lock()
        self._loaded: Loaded | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Names the weights, library versions, dtype, prompts, length and dimension; needs no model in memory."""
        return vector_fingerprint(self._settings, self._weights, self._place[1])

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """shape (n, dimension), float32, L2-normalised, in the order of ``texts``."""
        return self._encode("query", texts)

    def encode_queries_as(self, names: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
        """As ``encode_queries``, with the vectors kept under ``names``: for texts of which nothing else is kept."""
        return self._encode("query", texts, names)

    @property
    def directory(self) -> Path | None:
        """Where vectors are kept; None: nowhere."""
        return self._directory

    @property
    def cache_size(self) -> int:
        """Bytes that they may take."""
        return self._settings.cache_size

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """shape (n, dimension), float32, L2-normalised, in the order of ``texts``."""
        return self._encode("document", texts)

    def encode_as(self, prompt: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """As ``encode_documents``, with ``prompt`` before each text instead of the settings' own; empty: with none."""
        return self._encode("document", texts, prompt=prompt)

    def encode_anew(self, role: Role, texts: Sequence[str]) -> NDArray[np.float32]:
        """As ``encode_queries`` or ``encode_documents``, by the model itself: no vector is read from the cache."""
        return self._encode(role, texts, anew=True)

    @cached_property
    def normalises(self) -> bool:
        """Whether the model's own last step makes its vectors of length 1; ``encode_documents`` always does."""
        try:
            modules = json.loads((self._weights / "modules.json").read_text("utf-8"))
            return any(str(each["type"]).endswith(".Normalize") for each in modules)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def weight_bytes(self) -> int:
        """Memory of the model's weights where it runs; it is loaded for that."""
        with self._model_lock:
            if self._loaded is None:
                self._loaded = load_to_read(self._settings, self._weights, *self._place)
            return sum(each.numel() * each.element_size() for each in self._loaded.model.parameters())

    def close(self) -> None:
        """Let go of the model and the cache; both come back when they are needed."""
        with self._model_lock:
            self._loaded = None
            self.__dict__.pop("_cache", None)

    @cached_property
    def _weights(self) -> Path:
        return find_weights(self._settings.model, self._settings.revision)

    @cached_property
    def _place(self) -> tuple[str, str]:
        """Device and dtype."""
        return runs_on(self._settings.device, self._settings.dtype)

    @cached_property
    def _cache(self) -> VectorCache | None:
        if self._directory is None:
            return None
        return VectorCache(self._directory, self.fingerprint, self._settings.cache_size)

    def _encode(
        self,
        role: Role,
        texts: Sequence[str],
        names: Sequence[str] | None = None,
        *,
        prompt: str | None = None,
        anew: bool = False,
    ) -> NDArray[np.float32]:
        if isinstance(texts, str):
            raise TypeError("encode takes a list of texts, not one text")
        if not texts:
            return np.empty((0, 0), np.float32)
        kept_as = role if prompt is None else f"{role} {prompt}"
        keys = [text_key(kept_as, name) for name in names or texts]
        known = self._cache.get(keys) if self._cache and not anew else {}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            with self._model_lock:
                known |= self._encode_fresh(role, missing, prompt, keep=not anew)
        return normalised(np.stack([known[key] for key in keys]))

    def _encode_fresh(
        self, role: Role, missing: dict[bytes, str], prompt: str | None, *, keep: bool
    ) -> dict[bytes, NDArray[np.float16]]:
        """Ask the model, longest texts first, and write each finished batch to the cache where it is to be kept."""
        if self._loaded is None:
            self._loaded = load_to_read(self._settings, self._weights, *self._place)
        fresh: dict[bytes, NDArray[np.float16]] = {}
        keys = sorted(missing, key=lambda key: len(missing[key]), reverse=True)
        done = 0
        for vectors in encode_in_batches(
            lambda batch, size: self._ask_model(role, batch, size, prompt),
            [missing[key] for key in keys],
            self._loaded.batch_size,
        ):
            rows = keys[done : done + len(vectors)]
            half = normalised(vectors).astype(np.float16)
            fresh |= dict(zip(rows, half, strict=True))
            if self._cache and keep:
                self._cache.add(rows, half)
            done += len(vectors)
        return fresh

    def _ask_model(
        self, role: Role, texts: Sequence[str], batch_size: int, instead: str | None = None
    ) -> NDArray[np.float32]:
        """``instead``: put before each text in place of the settings' own prompt."""
        assert self._loaded is not None
        model: Any = self._loaded.model
        encode = model.encode_query if role == "query" else model.encode_document
        own = self._settings.query_prompt if role == "query" else self._settings.document_prompt
        if self._settings.batch_size == "auto" and self._place[0] == "cpu":
            batch_size = that_fit_the_cache(texts, batch_size)
        vectors = encode(
            [_encodable(text) for text in texts],
            prompt=own if instead is None else instead,
            batch_size=batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        array = np.asarray(vectors, dtype=np.float32)
        if not np.isfinite(array).all():
            raise EmbedError(
                f"the model '{self._settings.model}' answers with numbers that are not finite.",
                remedy="In float16 some models overflow: set 'dtype: float32'.",
            )
        return array


def _encodable(text: str) -> str:
    """A lone surrogate, which JSON can carry, would stop the tokenizer."""
    return text.encode("utf-8", "replace").decode()


def normalised(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of length 1 as float32; a row of zeros stays one."""
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
