"""Writes docs/fault-laboratory.md anew.

python -m tests.faults
"""

from __future__ import annotations

from tests.faults.page import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
