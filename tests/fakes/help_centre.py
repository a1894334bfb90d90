"""The example service for tests: its vectors are kept inside the virtual environment, so only the first run embeds."""

import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "help-centre"
CACHE_HOME = Path(sys.prefix) / "cache"
"""What tests set XDG_CACHE_HOME to."""
