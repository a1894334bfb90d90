"""Benchmarks import each other by their bare names, as programs of one folder do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))
