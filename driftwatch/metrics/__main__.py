"""``python -m driftwatch.metrics [PAGE]`` rewrites the tables of ``docs/metrics.md``."""

import sys
from pathlib import Path

from driftwatch.metrics.families import in_page

page = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/metrics.md")
page.write_text(in_page(page.read_text("utf-8")), "utf-8")
