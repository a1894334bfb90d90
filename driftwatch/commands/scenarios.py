"""`test`: scenario files as unit tests of checks."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.commands import say
from driftwatch.errors import ConfigError, ConfigErrors, DriftwatchError
from driftwatch.show import quiet_logs, safe

if TYPE_CHECKING:
    from driftwatch.scenarios.reading import Script
    from driftwatch.scenarios.together import Result

HELD, NOT_HELD = "held", "not held"


def run(files: Sequence[Path], looks: str, *, jobs: int, json: bool) -> int:
    """Play every file and print what held and what did not; 0 when everything held, else 1."""
    from driftwatch.scenarios.together import looks_of, play_all

    scripts = _read(files, _every(looks))
    results, started = [], time.monotonic()
    # What sources and checks complain of is what is tested, and is in the findings.
    with quiet_logs(logging.CRITICAL), _ends_politely() as end_if_told, _progress(looks_of(scripts)) as advance:

        def looked(count: int) -> None:
            end_if_told()
            advance(count)

        for result in play_all(scripts, looked, jobs=jobs):
            results.append(result)
            if not json:
                _show(result)
    seconds = time.monotonic() - started
    say(json, _content(results, seconds), _summary(results, seconds))
    return 0 if all(result.ok for result in results) else 1


def _every(looks: str) -> timedelta | None:
    from driftwatch.scenarios.form import whole_steps
    from driftwatch.schedule import duration

    try:
        return whole_steps(duration(looks)) if looks else None
    except ValueError as error:
        raise DriftwatchError(f"--looks {looks}: {error}") from None


def _read(files: Sequence[Path], every: timedelta | None) -> list[Script]:
    """Every scenario; what is wrong with any of them is said at once."""
    from driftwatch.scenarios.reading import read_script

    scripts: list[Script] = []
    wrong: list[ConfigError] = []
    for file in dict.fromkeys(files):
        try:
            scripts.append(read_script(file, every=every))
        except ConfigErrors as error:
            wrong += error.errors
        except ConfigError as error:
            wrong.append(error)
    if wrong:
        raise ConfigErrors(wrong)
    return scripts


@contextmanager
def _ends_politely() -> Iterator[Callable[[], None]]:
    """Gives what ends the run once SIGTERM has come: called between two looks, so that nothing is cut in the middle.

    An exception that a signal raises wherever the program happens to be may come out of a library as another one.
    """
    came: list[int] = []

    def end_if_told() -> None:
        if came:
            sys.exit(128 + came[0])

    before = signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    try:
        yield end_if_told
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(looks: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; off a terminal, nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} looks"))
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty(), transient=True
    ) as progress:
        task = progress.add_task("playing", total=looks)
        yield lambda count: progress.advance(task, count)


def _show(result: Result) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for each in result.outcomes:
        verdict = Text(f"{HELD if each.held else NOT_HELD:<8}", style="green" if each.held else "red")
        console.print(verdict, Text(safe(f"{each.line}: {each.sentence}")))


def _summary(results: Sequence[Result], seconds: float) -> str:
    every = [each for result in results for each in result.outcomes]
    missed = sum(not each.held for each in every)
    held = f"{len(every) - missed} held, {missed or 'none'} not held"
    files = "1 scenario" if len(results) == 1 else f"{len(results)} scenarios"
    return f"{files}: {held}; {sum(result.looks for result in results)} looks in {seconds:.0f} s"


def _content(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    return {
        "ok": all(result.ok for result in results),
        "seconds": round(seconds, 1),
        "scenarios": [
            {
                "file": result.file,
                "ok": result.ok,
                "looks": result.looks,
                "outcomes": [each.content() for each in result.outcomes],
            }
            for result in results
        ],
    }
