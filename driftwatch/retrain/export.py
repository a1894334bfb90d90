"""A model as one ONNX file, from token ids to vectors of length 1, published only where it agrees with the original.

``<out>/model.onnx`` holds the transformer, its pooling and what follows; beside it lie the tokenizer's files and
``onnx.json``: names of inputs and output, the length in tokens, the prompts, and how far its vectors are from torch's.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import MissingExtra, RetrainError
from driftwatch.retrain._training.base import Base, Tuned
from driftwatch.retrain._training.checkpoints import replace_folder
from driftwatch.retrain.dataset import write_json

Precision = Literal["fp32", "int8"]

TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-4, "int8": 0.05}
"""The largest cosine distance that any of the texts may be away from torch's vector."""
FILE = "model.onnx"
ABOUT = "onnx.json"
OUTPUT = "sentence_embedding"
_OPSET = 17
_AT_ONCE = 8
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json")
SAMPLES = (
    "How do I reset my password?",
    "refund",
    "The invoice of March lists the same order twice; which of the two amounts was charged?",
    "Vitamin D supplementation did not reduce the incidence of fractures in the elderly.",
    "Wie kündige ich mein Abonnement zum Monatsende?",
    "¿Dónde encuentro mi número de pedido?",
    "La batterie ne charge plus depuis la mise à jour 4.2.1.",
    "パスワードを忘れました",
    "error 0x80070005: access denied",
    "SELECT name FROM users WHERE id = 7",
    "",
    "A longer text that is cut where the model stops reading: " + "the parcel was left with a neighbour, " * 60,
)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the vectors of an export are from those of the model."""

    precision: Precision
    texts: int
    worst: float
    """The largest cosine distance of a text."""
    mean: float
    tolerance: float
    """What ``worst`` may be."""
    bytes: int
    """Size of the file."""

    @property
    def holds(self) -> bool:
        """Whether it may be published."""
        return self.worst <= self.tolerance


def onnx(model_folder: Path, out: Path, precision: Precision = "fp32", texts: Sequence[str] = SAMPLES) -> Parity:
    """Write the model in ``model_folder`` to the folder ``out``, whole or not at all; how well it agrees.

    ``int8`` quantises the weights of matrix products and of the token embeddings, and activations as they come
    (dynamically): smaller and faster on a processor, and not the same vectors. An index that was built with one of
    them is asked with that one.

    Raises:
        RetrainError: the export is further away than its tolerance, or the model cannot be exported.
        MissingExtra: onnx or onnxruntime is not installed.
        EmbedError: the model cannot be loaded safely.
    """
    _needs_packages()
    tuned = Tuned(Base(str(model_folder)), "cpu", max_length=None, tokens=1 << 14)
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        inputs = _write(tuned, draft / FILE)
        if precision == "int8":
            _quantise(draft / FILE)
        parity = _parity(tuned, draft / FILE, inputs, precision, texts)
        if not parity.holds:
            raise RetrainError(
                f"the {precision} export of {model_folder} is not the same model: of {parity.texts} texts the worst is "
                f"{parity.worst:.2g} away by cosine, and {parity.tolerance:.2g} is allowed (mean {parity.mean:.2g}).",
                remedy="Serve the model as it is" + (", or export it as fp32." if precision == "int8" else "."),
            )
        _describe(tuned, draft, inputs, parity)
        replace_folder(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return parity


def embed(folder: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """shape (n, dimension): what the export in ``folder`` gives, with its own tokenizer and without torch.

    The prompts are not added; ``onnx.json`` names them.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    from tokenizers import Tokenizer

    about = json.loads((folder / ABOUT).read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_length"])
    tokenizer.enable_padding(pad_id=about["pad"]["id"], pad_token=about["pad"]["token"])

    def tokens(batch: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        read = tokenizer.encode_batch(list(batch))
        found = {
            "input_ids": [each.ids for each in read],
            "attention_mask": [each.attention_mask for each in read],
            "token_type_ids": [each.type_ids for each in read],
        }
        return {name: np.array(value, np.int64) for name, value in found.items()}

    return _run(folder / FILE, about["inputs"], tokens, texts)


def _needs_packages() -> None:
    for package in ("onnx", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise MissingExtra(package, "onnx", "The export to ONNX") from None


def _write(tuned: Tuned, file: Path) -> list[str]:
    """Trace the model on two texts of different length, so that both sizes stay free; the names of its inputs."""
    import torch

    model = tuned.model.eval()
    inner = getattr(model, "transformers_model", None)
    if inner is not None and hasattr(inner, "set_attn_implementation"):
        inner.set_attn_implementation("eager")  # the fused kernels have no counterpart in ONNX that keeps sizes free
    features = model.preprocess([SAMPLES[0], SAMPLES[2]])
    inputs = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in features]

    class Whole(torch.nn.Module):  # type: ignore[misc]
        """Tensors in, one tensor out."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            found = self.model(dict(zip(inputs, tensors, strict=True)))[OUTPUT]
            return torch.nn.functional.normalize(found, dim=-1)

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer; whether it traced right is measured below
        try:
            torch.onnx.export(
                Whole(),
                tuple(features[name] for name in inputs),
                str(file),
                input_names=inputs,
                output_names=[OUTPUT],
                dynamic_axes={name: {0: "texts", 1: "tokens"} for name in inputs} | {OUTPUT: {0: "texts"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RetrainError(
                f"{tuned.base.model} cannot be exported to ONNX: {reason[:300]}", remedy="Serve the model as it is."
            ) from None
    return inputs


def _quantise(file: Path) -> None:
    """Weights as 8-bit integers, a scale a column; 7 bits are used, as products of 8 overflow without VNNI."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = file.with_suffix(".whole")
    file.replace(whole)
    quantize_dynamic(
        str(whole),
        str(file),
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )
    whole.unlink()


def _parity(tuned: Tuned, file: Path, inputs: Sequence[str], precision: Precision, texts: Sequence[str]) -> Parity:
    def tokens(batch: Sequence[str]) -> dict[str, Any]:
        return {name: value.numpy() for name, value in tuned.model.preprocess(list(batch)).items() if name in inputs}

    theirs = tuned.model.encode(list(texts), prompt="", show_progress_bar=False, normalize_embeddings=True)
    ours = _run(file, inputs, tokens, texts)
    distances = np.maximum(0.0, 1.0 - np.einsum("nd,nd->n", ours.astype(np.float64), theirs.astype(np.float64)))
    return Parity(
        precision,
        len(texts),
        float(distances.max()),
        float(distances.mean()),
        TOLERANCE[precision],
        file.stat().st_size,
    )


def _run(file: Path, inputs: Sequence[str], tokens: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    """A few texts at a time; what is no number anywhere stays so and fails every comparison."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnxruntime", "onnx", "A model in ONNX") from None
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    parts = []
    for start in range(0, len(texts), _AT_ONCE):
        read = tokens(texts[start : start + _AT_ONCE])
        parts.append(session.run([OUTPUT], {name: read[name] for name in inputs})[0])
    return np.concatenate(parts).astype(np.float32)


def _describe(tuned: Tuned, folder: Path, inputs: Sequence[str], parity: Parity) -> None:
    tuned.model.tokenizer.save_pretrained(str(folder))
    for each in folder.iterdir():
        if each.name not in (FILE, *_TOKENIZER):
            each.unlink()
    write_json(
        folder / ABOUT,
        {
            "version": 1,
            "inputs": list(inputs),
            "output": OUTPUT,
            "max_length": tuned.own_length,
            "pad": {"id": tuned.model.tokenizer.pad_token_id, "token": tuned.model.tokenizer.pad_token},
            "prompts": tuned.prompts,
            "parity": asdict(parity),
        },
    )
