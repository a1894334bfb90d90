"""The folder that a model is trained from: JSON lines, each file whole or not there, and a manifest that names them.

``pairs.jsonl``, ``passages.jsonl``, ``rows.jsonl``, ``asked.jsonl``, and ``manifest.json`` with the hash of each.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain.folders import sync
from driftwatch.retrained import Asked, Pair, Passage, Row

FILES = {"pairs.jsonl": Pair, "passages.jsonl": Passage, "rows.jsonl": Row, "asked.jsonl": Asked}
MANIFEST = "manifest.json"
_ANEW = "Start a new job."

Noun = TypeVar("Noun", Pair, Passage, Row, Asked)


def write_nouns(folder: Path, nouns: Iterable[Noun], noun: type[Noun]) -> int:
    """Write the file of ``noun`` whole; how many there were."""
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for each in nouns:
            count += 1
            yield orjson.dumps(asdict(each), option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)

    write_whole(folder / name_of(noun), lines())
    return count


def read_nouns(folder: Path, noun: type[Noun]) -> Iterator[Noun]:
    """What ``write_nouns`` wrote.

    Raises:
        RetrainError: the file is missing or damaged, naming file and line.
    """
    path = folder / name_of(noun)
    known = {each.name for each in fields(noun)}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield noun(
                        **{name: _plain(name, value) for name, value in orjson.loads(line).items() if name in known}
                    )
                except (ValueError, TypeError, AttributeError) as error:
                    raise RetrainError(
                        f"{path}:{number}: is not a {noun.__name__.lower()}: {error}.", remedy=_ANEW
                    ) from None
    except OSError as error:
        raise RetrainError(f"{path}: {error.strerror}.", remedy="Run the step that writes it first.") from None


def name_of(noun: type[Any]) -> str:
    """The file that holds things of this kind."""
    return next(name for name, each in FILES.items() if each is noun)


def seal(folder: Path, about: dict[str, Any]) -> str:
    """Write the manifest over the files that are there; the hash of the whole dataset, which nothing but its files
    decides.
    """
    hashes = {name: _hash(folder / name) for name in FILES if (folder / name).exists()}
    write_json(folder / MANIFEST, {"version": 1, "hash": _whole(hashes), "files": hashes, **about})
    return _whole(hashes)


def sealed(folder: Path) -> str:
    """The hash of a dataset whose files are what its manifest says.

    Raises:
        RetrainError: there is no manifest, or a file is another than it was.
    """
    manifest = read_json(folder / MANIFEST)
    files = manifest.get("files")
    there = {name: _hash(folder / name) for name in FILES if (folder / name).exists()}
    names = [name for name in FILES if not isinstance(files, dict) or files.get(name) != there.get(name)]
    if names or manifest.get("hash") != _whole(there):
        changed = next(iter(names), MANIFEST)
        raise RetrainError(f"{folder / changed}: is not what it was when the dataset was sealed.", remedy=_ANEW)
    return _whole(there)


def write_json(path: Path, content: Any) -> None:
    """One JSON object, whole or not at all."""
    write_whole(
        path, [orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)]
    )


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        RetrainError: it is missing, or is none.
    """
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise RetrainError(f"{path}: {error.strerror}.", remedy="Run the step that writes it first.") from None
    except ValueError as error:
        raise RetrainError(f"{path}: is not JSON: {error}.", remedy="Remove it, and run its step again.") from None
    if not isinstance(content, dict):
        raise RetrainError(f"{path}: is not a JSON object.", remedy="Remove it, and run its step again.")
    return content


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """``parts`` one after the other: the file is there with all of them and on the disk, or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_array(path: Path, array: NDArray[Any]) -> None:
    """One array as ``numpy.load`` reads it, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_whole(path, [buffer.getvalue()])


def _plain(name: str, value: Any) -> Any:
    """Lists are tuples, and ``at`` is a moment."""
    if name == "at" and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if isinstance(value, list) else value


def _whole(hashes: dict[str, str]) -> str:
    return sha256(orjson.dumps(hashes, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _hash(path: Path) -> str:
    digest = sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise RetrainError(f"{path}: {error.strerror}.", remedy=_ANEW) from None
    return digest.hexdigest()
