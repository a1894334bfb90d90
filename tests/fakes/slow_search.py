"""A watched service that takes its time."""

from __future__ import annotations

import time
from pathlib import Path


def search(text: str, top_k: int) -> list[str]:
    """One document after 100 ms; leaves a file behind to say that it was asked."""
    del text, top_k
    Path("asked").touch()
    time.sleep(0.1)
    return ["doc"]
