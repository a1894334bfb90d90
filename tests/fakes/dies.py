"""A story that is played again and again, each time in a process that is killed with SIGKILL at its n-th write.

python -m tests.fakes.dies tests.retrain.test_registry:switching FOLDER

``switching(folder)`` prepares ``folder``, and returns what is then played under fire. It dies at its write 0 in the
folder ``0``, at write 1 in ``1``, and so on, until it comes to its end once. A write is a file below the folder that is
opened for writing, moved, linked or removed, and every call of ``write()``. Printed are the names of the folders.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Story = Callable[[Path], Callable[[], object]]
WRITES = frozenset({"os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "os.link", "shutil.rmtree"})
MOST = 400
ROOT = Path(__file__).parents[2]

_left = [10**9]


def write() -> None:
    """One more; the process may not survive it."""
    _left[0] -= 1
    if _left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    """A part whose every call may be the last thing that happens."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any) -> Any:
            write()
            done = getattr(self.part, name)(*given)
            write()
            return done

        return call


def killed(story: str, folder: Path, *imports: str, step: int = 1) -> list[Path]:
    """The folders in which the story died, and, last, the one in which it came to its end.

    ``imports`` are modules that are loaded once, and not in each process anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fakes.dies", story, str(folder), str(step), *imports]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [folder / name for name in done.stdout.split()]


def _main(named: str, folder: Path, step: int) -> None:
    module, _, name = named.partition(":")
    story: Story = getattr(importlib.import_module(module), name)
    for writes in range(0, MOST, step):
        if _ends(story, folder / str(writes), writes):
            return
    raise SystemExit(f"it did not come to its end in {MOST} writes")


def _ends(story: Story, folder: Path, writes: int) -> bool:
    """Whether it came to its end before the write at which it dies."""
    pid = os.fork()
    if pid == 0:
        folder.mkdir(parents=True, exist_ok=True)
        play = story(folder)
        _left[0] = writes
        sys.addaudithook(_hook(str(folder)))
        play()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), f"{folder}: {status}"
    print(folder.name, flush=True)
    return status == 0


def _hook(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (opened or event in WRITES) and folder in str(arguments):
            write()

    return heard


if __name__ == "__main__":
    for each in sys.argv[4:]:
        importlib.import_module(each)
    _main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
