"""What guards take out, counted as it is taken out, for a person to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from driftwatch.privacy import redact
from driftwatch.retrained import Removed

SHOWN = 3
"""Examples of what one guard took out."""
_LONGEST = 80


class TakenOut:
    """Counts by guard, in the order in which the guards first spoke."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, guard: str, example: str = "", count: int = 1) -> None:
        """So many more; texts lose what names a person before they are kept as an example."""
        self._counts[guard] += count
        shown = self._examples.setdefault(guard, [])
        if example and len(shown) < SHOWN and (safe := redact(example)[:_LONGEST]) not in shown:
            shown.append(safe)

    def add_all(self, removed: Iterable[Removed]) -> None:
        """What others have counted."""
        for each in removed:
            self.add(each.guard, count=each.count)
            for example in each.examples:
                self.add(each.guard, example, 0)

    def all(self) -> tuple[Removed, ...]:
        """Every guard that took something out."""
        return tuple(Removed(guard, count, tuple(self._examples[guard])) for guard, count in self._counts.items())
