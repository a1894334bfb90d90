"""Which checkpoints are whole: a kill in the middle of writing or deleting one leaves a folder that is not."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json, write_json

SEAL = "whole.json"
_FOLDER = re.compile(r"checkpoint-(\d+)")


def seal(checkpoint: Path) -> None:
    """Put every file of a finished checkpoint on the disk, and write down how large each is."""
    files = {each.name: each.stat().st_size for each in sorted(checkpoint.iterdir()) if each.name != SEAL}
    for name in files:
        _onto_disk(checkpoint / name)
    write_json(checkpoint / SEAL, {"version": 1, "files": files})


def unseal(checkpoint: Path) -> None:
    """Before files of a checkpoint are written again: until the next ``seal`` it is not whole."""
    (checkpoint / SEAL).unlink(missing_ok=True)


def is_whole(checkpoint: Path) -> bool:
    """Whether every file is there in its full length."""
    try:
        files = read_json(checkpoint / SEAL).get("files")
        return isinstance(files, dict) and all((checkpoint / name).stat().st_size == files[name] for name in files)
    except (RetrainError, OSError):
        return False


def last_whole(folder: Path) -> Path | None:
    """The checkpoint to go on from; what is not whole is removed. None: there is none."""
    found = sorted(
        (int(match[1]), each)
        for each in (folder.iterdir() if folder.is_dir() else ())
        if (match := _FOLDER.fullmatch(each.name)) and each.is_dir() and not each.is_symlink()
    )
    whole = []
    for _, checkpoint in found:
        if is_whole(checkpoint):
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return whole[-1] if whole else None


def replace_folder(draft: Path, folder: Path) -> None:
    """Put ``draft`` where ``folder`` is or shall be: at every instant one of the two is there whole, or none.

    A folder cannot be swapped for another that holds something, so the old one is renamed first.
    """
    for each in draft.rglob("*"):
        if each.is_file():
            _onto_disk(each)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    draft.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _onto_disk(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
