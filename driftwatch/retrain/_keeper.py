"""Keeps one program: what it prints in a log of bounded size, its time, and how it ended.

Runs as a file of its own with the standard library alone, so that it takes a few megabytes and imports no package of
the program's environment. It outlives who started it, and holds the lock of the job; so does the program, in case the
keeper is killed.

    python -I -S _keeper.py FOLDER LOCK START SECONDS GRACE NICE PROGRAM [ARGUMENT …]
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

LOG = "trainer.log"
MOST_LOG = 5_000_000
"""Bytes of the log; as many more are kept of what came before."""
_LOOK = 0.2
"""Seconds between two looks at whether it shall end."""
_KILLED = 5.0
"""Seconds that a killed group is waited for."""


class Log:
    """What the program prints, the latest in ``trainer.log`` and what came before in ``trainer.log.1``."""

    def __init__(self, path: Path, source: int) -> None:
        self.path = path
        self.source: int | None = source
        self.file = self._opened()

    def take(self, wait: float) -> bool:
        """Write what was printed within ``wait`` seconds; whether there was anything."""
        if self.source is None:
            time.sleep(wait)
            return False
        if not select.select([self.source], [], [], wait)[0]:
            return False
        printed = os.read(self.source, 1 << 16)
        if not printed:
            os.close(self.source)
            self.source = None
        self._write(printed)
        return bool(printed)

    def _write(self, printed: bytes) -> None:
        try:
            if self.file.tell() + len(printed) > MOST_LOG:
                self.file.close()
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                self.file = self._opened()
            self.file.write(printed)
        except OSError:
            return  # a full disk costs the log, and not the training

    def _opened(self) -> BinaryIO:
        return self.path.open("ab", buffering=0)


def keep(program: list[str], folder: Path, lock: int, seconds: float, grace: float) -> dict[str, Any]:
    """Run ``program`` until it ends, its time is over, or somebody wants it to end; how it ended."""
    asked: list[str] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.append("ended"))
    reading, writing = os.pipe()
    deadline = time.monotonic() + seconds
    try:
        child = subprocess.Popen(  # noqa: S603 - the argv that the settings name, and no shell
            program,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.STDOUT,
            cwd=folder,
            pass_fds=(lock,),
            start_new_session=True,
        )
    except OSError as error:
        return {"how": "exited", "code": 127, "words": f"{program[0]}: {error.strerror}"}
    os.close(writing)
    log = Log(folder / LOG, reading)
    why = ""
    while child.poll() is None and not why:
        log.take(_LOOK)
        why = _why(asked, folder, deadline)
    end(child, grace, log)
    while log.take(0):
        pass
    return {"how": why or "exited", "code": child.returncode, "words": ""}


def _why(asked: list[str], folder: Path, deadline: float) -> str:
    """Why the program shall end now; empty where it shall not."""
    if (folder / "stop.json").exists():
        return "stopped"
    return "timeout" if time.monotonic() > deadline else "".join(asked[:1])


def end(child: subprocess.Popen[bytes], grace: float, log: Log) -> None:
    """End the group of ``child`` with all that it started: it is asked to, and killed after ``grace`` seconds."""
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED)):
        until = time.monotonic() + wait
        lives = _signalled(child, number)
        while lives and time.monotonic() < until:
            log.take(0.05)
            lives = _signalled(child, 0)
        if not lives:
            return


def _signalled(child: subprocess.Popen[bytes], number: int) -> bool:
    """Whether any process of the group was there to get the signal."""
    child.poll()  # what nobody has asked for is still of the group
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def write(path: Path, content: dict[str, Any]) -> None:
    """One JSON object, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def main(arguments: list[str]) -> None:
    """Go on without whoever started this, and write ``exit.json`` when the program has ended."""
    folder, lock = Path(arguments[0]), int(arguments[1])
    start, seconds, grace, nice = int(arguments[2]), float(arguments[3]), float(arguments[4]), int(arguments[5])
    if os.fork():
        os._exit(0)
    os.setsid()
    os.nice(nice)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()}\n".encode(), 0)
    ended = keep(arguments[6:], folder, lock, seconds, grace)
    at = datetime.now(UTC).isoformat()
    write(folder / "exit.json", {"version": 1, "job_id": folder.name, "start": start, "at": at, **ended})


if __name__ == "__main__":
    main(sys.argv[1:])
