"""The files that come with driftwatch: its check definitions and the example help centre."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parent
_IN_REPOSITORY = {"checks": "checks", "help-centre": "examples/help-centre"}


def shipped(name: Literal["checks", "help-centre"]) -> Path:
    """The directory of that name in the wheel, else in the repository.

    Raises:
        FileNotFoundError: in neither; the installation is broken.
    """
    for directory in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / _IN_REPOSITORY[name]):
        if directory.is_dir():
            return directory
    raise FileNotFoundError(f"{_PACKAGE} was installed without '{name}'. Install driftwatch-rag again.")
