"""Folders of files: named by what they hold, copied whole, and nothing in them that leads elsewhere."""

from __future__ import annotations

import os
import shutil
from hashlib import file_digest, sha256
from pathlib import Path

from driftwatch.errors import RetrainError

UNSAFE = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".py", ".so"})
"""Endings of files that run code when they are loaded, or may; a model is weights in safetensors, and JSON."""


def folder_hash(folder: Path) -> str:
    """Names what a folder holds: SHA-256 over the names and contents of its files, in the order of their names.

    Raises:
        RetrainError: it holds a link, a file that may run code, or no file at all.
    """
    whole = sha256()
    for path in _plain_files(folder):
        whole.update(f"{path.relative_to(folder).as_posix()}\0{_file_hash(path)}\n".encode())
    return whole.hexdigest()


def check_hash(folder: Path, judged: str, *, shown: Path) -> None:
    """Raises RetrainError where ``folder`` is not what was ``judged``; empty: anything is right."""
    if judged and folder_hash(folder) != judged:
        raise RetrainError(f"{shown}: is not the model that was judged.", remedy="Let the gate judge it again.")


def copy_plain(source: Path, target: Path) -> None:
    """The files of ``source``, on the disk when this returns.

    Raises:
        RetrainError: as ``folder_hash``.
    """
    for path in _plain_files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        sync(copy)
    for folder in {target, *(path for path in target.rglob("*") if path.is_dir())}:
        sync(folder)


def _plain_files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*")) if folder.is_dir() and not folder.is_symlink() else []
    odd = [path for path in found if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if odd:
        raise RetrainError(f"{odd[0]}: is a link or no file.", remedy="A model holds files alone; train it again.")
    files = [path for path in found if path.is_file()]
    if unsafe := [path for path in files if path.suffix.lower() in UNSAFE]:
        raise RetrainError(f"{unsafe[0]}: may run code when it is loaded.", remedy="Save the model as safetensors.")
    if not files:
        raise RetrainError(f"{folder}: there is no model in it.", remedy="Train it again.")
    return files


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def size_of(place: Path) -> int:
    """Bytes of everything below ``place``."""
    return sum(path.lstat().st_size for path in place.rglob("*"))


def sync(place: Path) -> None:
    """A file is on the disk then, or what a folder calls its files: a rename is once its folder is."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
