"""How a benchmark shows its table and keeps its raw numbers."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def show_and_keep(name: str, title: str, rows: Sequence[Mapping[str, object]], raw: Mapping[str, Any]) -> None:
    """Print a Markdown table and write it, with every number behind it, to ``results/<name>.md`` and ``.json``."""
    columns = list(rows[0])
    lines = [
        f"# {title}",
        "",
        f"{os.cpu_count()} processors, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}."
        f" `python benchmarks/{name}.py` makes this page.",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows),
    ]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(json.dumps(raw, indent=2) + "\n")
