"""The model itself: where it runs, what its vectors are called, and how it is loaded."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from driftwatch.embed._weights import weights_digest
from driftwatch.errors import EmbedError, MissingExtra

if TYPE_CHECKING:
    from driftwatch.embed import EmbedderSettings

log = logging.getLogger(__name__)

_LIBRARIES = ("sentence-transformers", "transformers", "torch")
_GPU_NODES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
_CPU_BATCH = 32
_MATRIX_UNITS = "amx_bf16"
"""How Linux calls a processor's units for products of bfloat16 matrices."""
_LENGTHS = 16
"""On the processor texts are padded to a multiple of so many tokens: the kernels of each length stay in memory."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, and how many texts it is given at once."""

    model: Any
    batch_size: int


def runs_on(device: str, dtype: str) -> tuple[str, str]:
    """Device and dtype with every ``auto`` decided."""
    if device == "auto":
        device = _best_device()
    if dtype == "auto":
        dtype = "float32" if device.startswith("cpu") else "float16"
    return device, dtype


def _best_device() -> str:
    if not _may_have_gpu():
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _may_have_gpu() -> bool:
    """False only when surely not: asking torch costs two seconds and 200 MB that an idle daemon need not spend."""
    if _version("torch").endswith("+cpu"):
        return False
    return sys.platform != "linux" or any(Path(node).exists() for node in _GPU_NODES)


def quick_dtype(settings: EmbedderSettings) -> Literal["auto", "float32", "float16", "bfloat16"]:
    """What texts are read in where speed counts for more than the last digits.

    The settings' own; where they leave it open, bfloat16 on a processor with matrix units for it: a text takes less
    than half of the time, and the cosine of two vectors moves by some .001.
    """
    if settings.dtype == "auto" and runs_on(settings.device, "auto")[0] == "cpu" and _has_matrix_units():
        return "bfloat16"
    return settings.dtype


@cache
def _has_matrix_units() -> bool:
    try:
        return _MATRIX_UNITS in Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
    except OSError:
        return False


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtra(library, "embed", "The embedder") from None


def vector_fingerprint(settings: EmbedderSettings, weights: Path, dtype: str) -> str:
    """``all-MiniLM-L6-v2@1f0c…``: equal fingerprints mean equal vectors. Nothing of it depends on where files lie."""
    parts = {
        "weights": weights_digest(weights),
        "libraries": {library: _version(library).partition("+")[0] for library in _LIBRARIES},
        "dtype": dtype,
        "prompts": [settings.query_prompt, settings.document_prompt],
        "max_length": settings.max_length,
        "dimension": settings.dimension,
    }
    digest = hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{_short_name(settings.model)}@{digest}"


def _short_name(model: str) -> str:
    name = model.removeprefix("packaged:").rstrip("/").rpartition("/")[2]
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)[:60] or "model"


def load_to_read(settings: EmbedderSettings, weights: Path, device: str, dtype: str) -> Loaded:
    """As ``load``, for a model that only reads: what it is set to is nothing to train with, or to be saved."""
    loaded = load(settings, weights, device, dtype)
    if device == "cpu":
        _pad_to_few_lengths(loaded.model)
    return loaded


def load(settings: EmbedderSettings, weights: Path, device: str, dtype: str) -> Loaded:
    """Load the weights from ``weights``; nothing is fetched and no code of the model's own is run.

    Raises:
        EmbedError: the files cannot be loaded or the settings do not fit the model.
        MissingExtra: sentence-transformers is not installed.
    """
    log.info("loading %s on %s as %s", settings.model, device, dtype)
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise MissingExtra(error.name or "sentence-transformers", "embed", "The embedder") from None
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call,unused-ignore]
    try:
        model = SentenceTransformer(
            os.fspath(weights),
            device=device,
            truncate_dim=settings.dimension,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
        model.to(dtype=getattr(torch, dtype))
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, AttributeError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EmbedError(
            f"the model '{settings.model}' cannot be loaded: {reason[:300]}",
            remedy="Check 'embedder: model' and 'device', or download the model again.",
        ) from None
    _fit(settings, model)
    return Loaded(model, _first_batch_size(settings, model, device))


def _fit(settings: EmbedderSettings, model: Any) -> None:
    width = own_dimension(model)
    if settings.dimension and width and settings.dimension > width:
        raise EmbedError(
            f"'dimension: {settings.dimension}' is more than the {width} numbers that '{settings.model}' gives.",
            remedy=f"Leave 'dimension' out, or set it to at most {width}.",
        )
    if settings.max_length:
        model.max_seq_length = settings.max_length


def _pad_to_few_lengths(model: Any) -> None:
    """Where the library can (from 6.0), and where a text that is cut ends at a multiple all the same."""
    first = next(iter(model.children()), None)
    known = getattr(first, "processing_kwargs", None)
    if isinstance(known, dict) and (model.max_seq_length or 1) % _LENGTHS == 0:
        of_text = {"pad_to_multiple_of": _LENGTHS, **known.get("text", {})}
        first.processing_kwargs = {**known, "text": of_text}  # type: ignore[union-attr]


def own_dimension(model: Any) -> int | None:
    """Width of the model's vectors before they are cut; None when the model does not say."""
    for module in reversed(list(model.children())):
        for name in ("get_embedding_dimension", "get_sentence_embedding_dimension"):
            if callable(getattr(module, name, None)):
                width = getattr(module, name)()
                return int(width) if width else None
    return None


def _first_batch_size(settings: EmbedderSettings, model: Any, device: str) -> int:
    if settings.batch_size != "auto":
        return settings.batch_size
    if not device.startswith("cuda"):
        return _CPU_BATCH
    import torch

    free, _total = torch.cuda.mem_get_info(torch.device(device))
    return batch_that_fits(free, tokens=model.max_seq_length or 512, width=own_dimension(model) or 1024)


def batch_that_fits(free_bytes: int, *, tokens: int, width: int) -> int:
    """A power of two from 16 to 1024 that should fit; an optimistic guess is halved when it turns out wrong.

    A rule of thumb: a text takes about 40 float16 activations for each token and each number of its vector.
    """
    texts = free_bytes // (tokens * width * 2 * 40)
    return int(min(1024, max(16, 1 << max(0, texts.bit_length() - 1))))
