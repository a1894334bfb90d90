"""A user's check with a bug in it."""

from __future__ import annotations

from typing import ClassVar

from driftwatch.checks import Check
from driftwatch.types import Finding, Window


class Broken(Check):
    """Divides by zero.

    Effect: none.
    """

    needs: ClassVar[str] = "runs"
    family: ClassVar[str] = "canaries"

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        del reference, previous
        return self.finding(current, "ok", f"{1 / 0}")
