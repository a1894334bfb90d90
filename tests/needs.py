"""What a module of tests needs to be installed, without importing it: seconds, where none of its tests is to run."""

from __future__ import annotations

import importlib.util

import pytest


def needs(*packages: str, reason: str) -> None:
    """Skip the module that calls this where one of ``packages`` is not there."""
    if any(importlib.util.find_spec(package) is None for package in packages):
        pytest.skip(reason, allow_module_level=True)
