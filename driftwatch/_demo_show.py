"""What the demo shows: a progress bar on a terminal, quiet lines elsewhere, and a table at the end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch._demo_scenario import Outcome, Scenario
from driftwatch.schedule import show_duration
from driftwatch.show import as_json

if TYPE_CHECKING:
    from rich.table import Table

Advance = Callable[..., None]


class Screen:
    """Where the story is told; with ``json``, only its outcome."""

    def __init__(self, json: bool) -> None:
        from rich.console import Console

        self.json = json
        self.console = Console(highlight=False, soft_wrap=True, quiet=json)

    def opening(self, scenario: Scenario, state: Path, days: int) -> None:
        """What is about to happen."""
        self.console.print(
            f"{min(days, scenario.days)} days of an example help centre in time lapse, "
            f"watched by driftwatch. Its state is in {state}",
            markup=False,
        )

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """A bar; off a terminal, nothing moves."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        shown = not self.json and sys.stdout.isatty()
        with Progress(
            *columns, TimeElapsedColumn(), console=self.console, disable=not shown, transient=True
        ) as progress:
            task = progress.add_task(what, total=total)

            def advance(count: int, what: str | None = None) -> None:
                progress.update(task, advance=count, description=what)

            yield advance

    def event(self, when: str, what: str) -> None:
        """Something happens to the service; driftwatch is not told."""
        self.console.print(f"\n[bold]{when}[/bold]  {what}")

    def closing(self, scenario: Scenario, outcomes: list[Outcome], state: Path, seconds: float) -> None:
        """What was to be noticed, and what was."""
        if self.json:
            sys.stdout.buffer.write(as_json(_content(outcomes, state, seconds)))
            sys.stdout.buffer.flush()
            return
        false_alarms = sum(outcome.began is None for outcome in outcomes)
        self.console.print("\nWhat happened, and when driftwatch said so\n")
        for table in _tables(scenario, outcomes):
            self.console.print(table)
        good = all(outcome.ok for outcome in outcomes)
        self.console.print(
            f"{'Everything was noticed' if good else 'NOT as the scenario expects'}; "
            f"{false_alarms or 'no'} false alarm{'' if false_alarms == 1 else 's'}. {seconds:.0f} seconds."
        )
        self.console.print(f"Look around: cd {state} && {_program()} alerts", markup=False)


def _tables(scenario: Scenario, outcomes: list[Outcome]) -> Iterator[Table]:
    """One for each thing that happened, named after it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for trouble, group in groupby(outcomes, key=lambda outcome: outcome.trouble):
        table = Table("alert", "told", "after", "over", "", title=trouble, title_justify="left", box=SIMPLE_HEAD)
        for outcome in group:
            table.add_row(*_cells(scenario, outcome))
        yield table


def _cells(scenario: Scenario, outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.place,
        scenario.day(outcome.seen) if outcome.seen else "never",
        show_duration(outcome.delay) if outcome.delay else "",
        scenario.day(outcome.over) if outcome.over else "",
        _mark(outcome),
    )


def _program() -> str:
    """How to call driftwatch from anywhere: its name if the shell finds it, else the program that runs now."""
    return "driftwatch" if shutil.which("driftwatch") else str(Path(sys.argv[0]).absolute())


def _mark(outcome: Outcome) -> str:
    if outcome.began is None:
        return "false alarm"
    if not outcome.ok:
        return "missed" if outcome.seen is None else "late"
    return "as expected" if outcome.wanted else "a symptom"


def _content(outcomes: list[Outcome], state: Path, seconds: float) -> dict[str, object]:
    """What ``--json`` prints."""
    return {
        "ok": all(outcome.ok for outcome in outcomes),
        "false_alarms": sum(outcome.began is None for outcome in outcomes),
        "outcomes": [
            {
                **asdict(outcome),
                "delay_hours": outcome.delay.total_seconds() / 3600 if outcome.delay else None,
            }
            for outcome in outcomes
        ],
        "state": str(state),
        "seconds": round(seconds, 1),
    }
