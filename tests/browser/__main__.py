"""Draws the pictures of the pages again: ``python -m tests.browser``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

if __name__ == "__main__":
    os.environ.setdefault("DRIFTWATCH_PICTURES", str(REPOSITORY / "docs" / "images"))
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(REPOSITORY / "tests" / "browser" / "test_pictures.py")]))
