"""Plays several scenarios, in this process or in several at once."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from driftwatch.scenarios.form import START
from driftwatch.scenarios.outcomes import Outcome, outcomes
from driftwatch.scenarios.play import Beginning, Played, Stage, begin, likeness, play, shared_until
from driftwatch.scenarios.reading import Script, read_script

T = TypeVar("T")

Advance = Callable[[int], None]
"""Called with how many looks were made since it was called last."""

BLINK = 0.2
"""Seconds between two looks at how far the other processes are."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one scenario."""

    file: str
    looks: int
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Everything held, and nothing else was said."""
        return all(each.held for each in self.outcomes)


def play_all(scripts: Sequence[Script], advance: Advance, *, jobs: int = 1) -> Iterator[Result]:
    """Play every scenario, in a folder that is gone afterwards; the results come in the order of ``scripts``."""
    with tempfile.TemporaryDirectory(prefix="driftwatch-test-") as folder:
        playing = _one_by_one if min(jobs, len(scripts)) == 1 else _at_once
        yield from playing(scripts, Path(folder), advance, jobs)


def looks_of(scripts: Sequence[Script]) -> int:
    """How many looks it takes to play them all."""
    shared = shared_until(scripts)
    starts = [shared.get(likeness(script), START) for script in scripts]
    apart = sum(_steps(script, start, script.scenario.end) for script, start in zip(scripts, starts, strict=True))
    first = {likeness(script): script for script in scripts}
    return apart + sum(_steps(first[key], START, end) for key, end in shared.items())


def _steps(script: Script, start: datetime, end: datetime) -> int:
    return -((start - end) // script.scenario.step)


def _one_by_one(scripts: Sequence[Script], folder: Path, advance: Advance, _jobs: int) -> Iterator[Result]:
    stage = Stage(folder, scripts, lambda: advance(1))
    for script in scripts:
        yield _result(stage.play(script))


def _result(played: Played) -> Result:
    return Result(played.script.file, len(played.looks), tuple(outcomes(played)))


# --- in several processes --------------------------------------------------------------------------------------------


def _at_once(scripts: Sequence[Script], folder: Path, advance: Advance, jobs: int) -> Iterator[Result]:
    """First what several scenarios share, then each to its end."""
    shared = shared_until(scripts)
    first = {likeness(script): script for script in reversed(scripts)}
    with _pool(min(jobs, len(scripts))) as (pool, looks):
        watching = _Watching(looks, advance)
        begun = {key: pool.submit(_begin, _address(first[key]), end, folder) for key, end in shared.items()}
        alone = {
            index: pool.submit(_play, _address(script), folder, None)
            for index, script in enumerate(scripts)
            if likeness(script) not in shared
        }
        beginnings = {key: watching.result(future) for key, future in begun.items()}
        others = {
            index: pool.submit(_play, _address(script), folder, beginnings[likeness(script)])
            for index, script in enumerate(scripts)
            if index not in alone
        }
        futures = alone | others
        yield from (watching.result(futures[index]) for index in range(len(scripts)))


@contextmanager
def _pool(jobs: int) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Fresh processes and the number of looks that they have made; they end with us."""
    context = multiprocessing.get_context("spawn")
    looks = context.Value("Q", 0)
    level = logging.getLogger("driftwatch").level
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare, initargs=(looks, level))
    try:
        yield pool, looks
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Watching:
    """Waits for results and says meanwhile how many looks were made."""

    def __init__(self, looks: Any, advance: Advance) -> None:
        self.looks = looks
        self.advance = advance
        self.told = 0

    def result(self, future: Future[T]) -> T:
        """The result when it is there."""
        while not wait([future], timeout=BLINK).done:
            self._tell()
        self._tell()
        return future.result()

    def _tell(self) -> None:
        made = int(self.looks.value)
        self.advance(made - self.told)
        self.told = made


Address = tuple[Path, timedelta | None]
"""A scenario's file and how often to look: every process reads it for itself."""

_LOOKS: list[Any] = []


def _address(script: Script) -> Address:
    return Path(script.file), script.scenario.every


def _prepare(looks: Any, level: int) -> None:
    """Begin a process."""
    _LOOKS.append(looks)
    logging.getLogger("driftwatch").setLevel(level)


def _looked() -> None:
    with _LOOKS[-1].get_lock():
        _LOOKS[-1].value += 1


def _begin(address: Address, end: datetime, folder: Path) -> Beginning:
    path, every = address
    return begin(read_script(path, every=every), end, folder, _looked)


def _play(address: Address, folder: Path, beginning: Beginning | None) -> Result:
    path, every = address
    return _result(play(read_script(path, every=every), folder, beginning, _looked))
