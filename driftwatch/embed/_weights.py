"""Where a model's files are, whether they are safe to load, and a digest that names them."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from pathlib import Path

from driftwatch.errors import EmbedError, MissingExtra

_PICKLED = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_SAMPLES = 64
_SAMPLE_BYTES = 1 << 16


def find_weights(model: str, revision: str | None) -> Path:
    """The folder of a model: a package's, one on disk, or one from the hub (downloaded only if there is no copy yet).

    Raises:
        EmbedError: there is no such model, or it is not safe to load.
    """
    if model.startswith("packaged:"):
        folder = _packaged(model.removeprefix("packaged:"))
    elif Path(model).expanduser().is_dir():
        folder = Path(model).expanduser()
    else:
        folder = _from_hub(model, revision)
    refuse_unsafe(folder, model)
    return folder


def _packaged(module: str) -> Path:
    try:
        folder = Path(importlib.import_module(module).get_model_path())
    except ImportError:
        raise EmbedError(
            f"the packaged model '{module}' is not installed.", remedy=f"pip install {module.replace('_', '-')}"
        ) from None
    except AttributeError:
        raise EmbedError(
            f"the module '{module}' is no packaged model: it has no function 'get_model_path'.",
            remedy="Name the module of a model package after 'packaged:'.",
        ) from None
    if not folder.is_dir():
        raise EmbedError(f"the packaged model '{module}' has no files at {folder}.", remedy="Install it again.")
    return folder


def _from_hub(model: str, revision: str | None) -> Path:
    """The first downloaded copy wins over a newer one: an embedder that changes by itself is what we warn about."""
    if model.startswith((".", "/", "~")):
        raise EmbedError(f"there is no model folder at '{model}'.", remedy="Check the path in 'embedder: model'.")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtra("sentence-transformers", "embed", "The embedder") from None
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=_WANTED, local_files_only=True))
    except HFValidationError:
        raise EmbedError(
            f"'{model}' is neither a folder nor a name on the model hub.",
            remedy="Write it like 'intfloat/multilingual-e5-small', a path, or 'packaged:<module>'.",
        ) from None
    except LocalEntryNotFoundError:
        return _downloaded(model, revision)


def _downloaded(model: str, revision: str | None) -> Path:
    from huggingface_hub import constants, snapshot_download

    at = f" at revision '{revision}'" if revision else ""
    if constants.HF_HUB_OFFLINE:
        raise EmbedError(
            f"the model '{model}'{at} is not on this machine, and HF_HUB_OFFLINE forbids a download.",
            remedy="Download it once with HF_HUB_OFFLINE unset, or give a folder or 'packaged:<module>'.",
        )
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=_WANTED))
    except Exception as error:  # noqa: BLE001 - the hub client raises a dozen kinds; each becomes a sentence
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EmbedError(
            f"the model '{model}'{at} cannot be downloaded: {reason[:200]}",
            remedy="Check the name and the network, or give a folder or 'packaged:<module>'.",
        ) from None


def refuse_unsafe(folder: Path, model: str) -> None:
    """Stop before anything that could run code: pickled weights, and modules of the model's own.

    Older sentence-transformers run a local folder's own modules without being asked to trust them.

    Raises:
        EmbedError: with what was found.
    """
    for entry in _modules(folder, model):
        kind = str(entry.get("type", ""))
        if not kind.startswith("sentence_transformers."):
            raise EmbedError(
                f"the model '{model}' brings code of its own ({kind!r} in modules.json), which is never run.",
                remedy="Use a model made of sentence-transformers' own modules.",
            )
        _refuse_pickled(folder / str(entry.get("path", "")), model)


def _modules(folder: Path, model: str) -> list[dict[str, object]]:
    listing = folder / "modules.json"
    if not listing.is_file():
        if not (folder / "config.json").is_file():
            raise EmbedError(
                f"'{model}' holds no model: there is neither modules.json nor config.json in {folder}.",
                remedy="Give the folder that SentenceTransformer.save() wrote.",
            )
        return [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    try:
        modules = json.loads(listing.read_text("utf-8"))
    except ValueError:
        modules = None
    if not isinstance(modules, list) or not all(isinstance(entry, dict) for entry in modules):
        raise EmbedError(f"{listing} is not a list of modules.", remedy="Save or download the model again.")
    return modules


def _refuse_pickled(folder: Path, model: str) -> None:
    files = [file for file in folder.glob("*") if file.is_file()] if folder.is_dir() else []
    pickled = [file.name for file in files if file.suffix in _PICKLED]
    if pickled and not any(file.suffix == ".safetensors" for file in files):
        raise EmbedError(
            f"the model '{model}' has pickled weights only ({pickled[0]}), and loading a pickle can run any code.",
            remedy="Use a revision with .safetensors files, or save the model once with sentence-transformers 5.",
        )


def weights_digest(folder: Path) -> str:
    """16 hex digits that name the files a model is loaded from, wherever the folder lies.

    Small files count whole, large ones by their size and 64 evenly spread blocks of 64 kB: a fine-tuned copy differs
    in nearly every block, and gigabytes need not be read at each start.
    """
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(folder.rglob("*")):
        if file.suffix in {".safetensors", ".json", ".txt", ".model"} and file.is_file():
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(_sampled(file))
    return digest.hexdigest()


def _sampled(file: Path) -> bytes:
    size = file.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with file.open("rb") as stream:
        if size <= _SAMPLES * _SAMPLE_BYTES:
            digest.update(stream.read())
            return digest.digest()
        for number in range(_SAMPLES):
            stream.seek((size - _SAMPLE_BYTES) * number // (_SAMPLES - 1), os.SEEK_SET)
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.digest()
