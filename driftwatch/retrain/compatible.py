"""Can the service load it? Which versions of which libraries a saved model needs at least, read off its files.

A model is saved in the way of the library that trained it, and a service that runs an older one cannot load it: the
modules that `modules.json` names are not there, or do not know their settings. Newer libraries load older models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SENTENCE_TRANSFORMERS, TRANSFORMERS = "sentence-transformers", "transformers"
Version = tuple[int, ...]

_OURS = "sentence_transformers."
_MODULES = (
    ("sentence_transformers.base.modules.normalize.", "6.0"),
    ("sentence_transformers.base.modules.", "5.4"),
    ("sentence_transformers.sentence_transformer.modules.", "5.4"),
    ("sentence_transformers.sparse_encoder.modules.", "5.4"),
    ("sentence_transformers.sparse_encoder.models.", "5.0"),
    ("sentence_transformers.models.Router", "5.0"),
    ("sentence_transformers.models.StaticEmbedding", "3.2"),
    ("sentence_transformers.models.", ""),
)
"""Where the modules of a saved model lie -> the first version that has them there; the first that fits, empty: any."""
_SETTINGS = {
    "embedding_dimension": "5.4",
    "pooling_mode": "5.4",
    "transformer_task": "5.4",
    "modality_config": "5.4",
    "module_output_name": "5.4",
}
"""Settings of modules, at which older versions stop -> the first version that knows them."""
_READS_NO_SETTINGS = re.compile(r"\.Normalize$")
_NEW_TOKENIZER = "TokenizersBackend"
"""The class that transformers 5 writes for a tokenizer without one of its own, and 4 does not know."""
_NAMES = {"pytorch": "torch"}
_AT_LEAST = re.compile(r">=\s*([0-9][0-9.]*)")


def least_versions(folder: Path) -> dict[str, str]:
    """Library -> the least version that loads the model in ``folder``; what its files do not say is left out."""
    about = _read(folder / "config_sentence_transformers.json", dict)
    modules = [each for each in _read(folder / "modules.json", list) if isinstance(each, dict)]
    saved_with = str(_part(about, "__version__").get("sentence_transformers", ""))
    needed = [(SENTENCE_TRANSFORMERS, version) for each in modules for version in _of_module(folder, each, saved_with)]
    if _read(folder / "tokenizer_config.json", dict).get("tokenizer_class") == _NEW_TOKENIZER:
        needed.append((TRANSFORMERS, "5.0"))
    needed += _required(_part(about, "requirements"))
    found: dict[str, str] = {}
    for library, version in needed:
        if numbers(version) > numbers(found.get(library, "")):
            found[library] = version
    return found


def cannot_load(needed: Mapping[str, str], serving: Mapping[str, str]) -> list[str]:
    """Why what is ``serving`` cannot load a model that has ``needed``, with the remedy; empty where it can.

    >>> cannot_load({"sentence-transformers": "6.0"}, {"sentence_transformers": "5.2.0"})[0][:64]
    'The service runs sentence-transformers 5.2.0, which cannot load '
    """
    runs = {named(library): version for library, version in serving.items()}
    return [
        f"The service runs {library} {runs[library]}, which cannot load a model that was saved for {least} or later. "
        f"Upgrade it there to {least}, or train with its version: 'trainer: {{run: [...]}}' in the service's own image."
        for library, least in sorted((named(library), least) for library, least in needed.items())
        if library in runs and numbers(runs[library]) < numbers(least)
    ]


def unsaid(needed: Mapping[str, str], serving: Mapping[str, str]) -> list[str]:
    """What could not be compared, since nobody said which version the service runs."""
    runs = {named(library) for library in serving}
    return [
        f"It needs {library} {least} or later; 'serving' does not say which one the service runs."
        for library, least in sorted((named(library), least) for library, least in needed.items())
        if library not in runs
    ]


def numbers(version: str) -> Version:
    """What a version is compared by; a release candidate counts as what it is a candidate of.

    >>> numbers("5.10.1") > numbers("5.9"), numbers("v6.0.0rc1") == numbers("6")
    (True, True)
    """
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    parts = [int(part) for part in found[1].split(".")] if found else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def named(library: str) -> str:
    """A library as the index of packages calls it.

    >>> named("Sentence_Transformers"), named("pytorch")
    ('sentence-transformers', 'torch')
    """
    plain = library.strip().lower()
    return _NAMES.get(plain, re.sub(r"[-_.]+", "-", plain))


def _of_module(folder: Path, module: Mapping[str, Any], saved_with: str) -> Iterator[str]:
    """The versions that one entry of `modules.json` asks for; of a place that is not known, the one that wrote it."""
    kind, path = str(module.get("type", "")), str(module.get("path", ""))
    if kind.startswith(_OURS):
        yield next((version for start, version in _MODULES if kind.startswith(start)), saved_with)
    if _READS_NO_SETTINGS.search(kind) or Path(path).is_absolute() or ".." in Path(path).parts:
        return
    settings = _read(folder / path / ("config.json" if path else "sentence_bert_config.json"), dict)
    yield from (version for name, version in _SETTINGS.items() if name in settings)


def _required(requirements: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the author of a model says that it needs: ``{"transformers": ">=5.15"}``."""
    for library, said in requirements.items():
        specifier = said.get("specifier", "") if isinstance(said, dict) else said
        yield from ((named(str(library)), version) for version in _AT_LEAST.findall(str(specifier)))


def _part(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _read(path: Path, kind: type[Any]) -> Any:
    """What a JSON file holds; empty where it is missing, or holds something else."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return kind()
    return content if isinstance(content, kind) else kind()
