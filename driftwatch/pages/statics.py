"""The files that pages refer to: ours, and the chart library where it is installed. Nothing else is ever served."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path

LIBRARY = "plotly.min.js"
TYPES = {
    "driftwatch.css": "text/css; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    LIBRARY: "text/javascript; charset=utf-8",
}
"""Name -> what it is."""


@cache
def content(name: str) -> bytes | None:
    """One file, compressed by gzip; None: there is none of that name."""
    if name not in TYPES:
        return None
    if name == LIBRARY:
        path = _library()
        return None if path is None else gzip.compress(path.read_bytes(), 6, mtime=0)
    return gzip.compress((files("driftwatch") / "pages" / "static" / name).read_bytes(), 9, mtime=0)


@cache
def styles_version() -> str:
    """Changes with what the pages look like, so that browsers may keep the files for ever."""
    ours = [name for name in sorted(TYPES) if name != LIBRARY]
    return hashlib.sha256(b"".join(content(name) or b"" for name in ours)).hexdigest()[:10]


@cache
def plotly_version() -> str:
    """Of the chart library; empty: it is not installed, and charts stay as they are drawn here."""
    return metadata.version("plotly") if _library() is not None else ""


@cache
def _library() -> Path | None:
    found = importlib.util.find_spec("plotly")  # found, not imported: only its script is wanted
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(folder) / "package_data" / LIBRARY
        if path.is_file():
            return path
    return None
