"""Files that a verb writes for a person: whole or not at all, and never over another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from driftwatch.errors import DriftwatchError
from driftwatch.show import as_json


def refuse_existing(path: Path) -> None:
    """Raises DriftwatchError when there is something at ``path``, or no folder for it."""
    if path.exists():
        raise DriftwatchError(f"{path} exists already, and nothing is written over it.", remedy="Name another file.")
    if not path.absolute().parent.is_dir():
        raise DriftwatchError(f"the folder {path.parent} does not exist.", remedy="Make it, or name another file.")


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """One JSON object a line."""
    write_whole(path, b"".join(as_json(row, indent=False) for row in rows))


def write_whole(path: Path, content: bytes) -> None:
    """All of ``content``, or nothing.

    Raises:
        DriftwatchError: there is a file already, or it cannot be written.
    """
    refuse_existing(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644 & ~_umask())  # noqa: PTH101 - mkstemp makes it private
            os.replace(name, path)  # noqa: PTH105
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DriftwatchError(f"{path} cannot be written: {error.strerror}.", remedy="Check its folder.") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
