"""The folder that is offered: the model as sentence-transformers saves it, and where it comes from."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftwatch.embed._weights import refuse_unsafe
from driftwatch.retrain._training.base import Tuned
from driftwatch.retrain._training.checkpoints import replace_folder
from driftwatch.retrain.dataset import write_json

ABOUT = "driftwatch_model.json"
_LIBRARIES = ("driftwatch-rag", "sentence-transformers", "transformers", "torch", "accelerate", "datasets", "peft")


def write_candidate(tuned: Tuned, folder: Path, about: Mapping[str, Any]) -> None:
    """Write the model whole, as safetensors and without a model card, which would show people's questions.

    Raises:
        EmbedError: what was written could not be loaded safely again.
    """
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    with tuned.as_it_is_saved() as model:
        model.save_pretrained(str(draft), create_model_card=False)
    write_json(draft / ABOUT, {"version": 1, **about, "versions": versions()})
    refuse_unsafe(draft, str(folder))
    replace_folder(draft, folder)


def versions() -> dict[str, str]:
    """Of the libraries that trained it, those that are installed."""
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
