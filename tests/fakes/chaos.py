"""What goes on around a daemon that runs for long: a service that writes its log, logrotate, and the process itself."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from driftwatch.cli import main; main()")
NONSENSE = (b"not json", b"[1, 2]", b'{"query": "no time"}', b'{"ts": "yesterday", "query": "when"}', b'{"ts": 1')
MOST_ROTATED = 40


class LogWriter(threading.Thread):
    """A watched service that never stops writing, and the logrotate beside it."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.chance = random.Random(seed)
        self.valid = self.invalid = 0
        """Complete lines written."""
        self.rotations = dict.fromkeys(("renamed", "truncated", "compressed"), 0)
        self.trouble: Exception | None = None
        self.ending = threading.Event()
        self._log = path.open("ab")
        now = datetime.now(UTC)
        self._put(b"".join(self._line(now - timedelta(minutes=minute)) for minute in range(600)))

    def run(self) -> None:
        try:
            while not self.ending.wait(0.05):
                self._write(self.chance.randrange(5, 25))
                if self.chance.random() < 0.02:
                    self._rotate()
        except Exception as error:  # noqa: BLE001 - a thread's error would be seen by nobody; the test asks for it
            self.trouble = error

    def stop(self) -> None:
        """Write no more, once the last line is whole."""
        self.ending.set()
        self.join()
        self._log.close()

    def _write(self, count: int) -> None:
        content = b"".join(self._line() for _ in range(count))
        cut = self.chance.randrange(len(content)) if self.chance.random() < 0.2 else 0
        self._put(content[:cut])
        if cut:
            self.ending.wait(self.chance.choice((0.01, 0.1, 1.2)))
        self._put(content[cut:])

    def _put(self, content: bytes) -> None:
        self._log.write(content)
        self._log.flush()

    def _line(self, at: datetime | None = None) -> bytes:
        if self.chance.random() < 0.01:
            self.invalid += 1
            return self.chance.choice(NONSENSE) + b"\n"
        self.valid += 1
        lang = self.chance.choice(("en", "de", "fr"))
        found = [{"id": f"doc-{lang}-1", "score": 0.5}] if self.chance.random() < 0.95 else []
        asked = f"{lang} question {self.valid} – grüße"
        record = {"ts": (at or datetime.now(UTC)).isoformat(), "query": asked, "lang": lang, "results": found}
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"

    # --- rotation --------------------------------------------------------------------------------------------------

    def _rotate(self) -> None:
        way = self.chance.choice((self._rename, self._copy_truncate, self._compress))
        way()

    def _rename(self) -> None:
        """The service goes on in the renamed file until it is told."""
        self._move_up()
        self.path.rename(self._rotated(1))
        for _ in range(self.chance.randrange(4)):
            self._write(5)
        self._log.close()
        self._log = self.path.open("ab")
        self.rotations["renamed"] += 1

    def _copy_truncate(self) -> None:
        self._move_up()
        shutil.copy2(self.path, self._rotated(1))
        os.truncate(self.path, 0)
        if self.chance.random() < 0.3:
            # A writer that does not append leaves a hole where the old lines were.
            hole = self._log.tell()
            self._log.close()
            self._log = self.path.open("r+b")
            self._log.seek(hole)
        self.rotations["truncated"] += 1

    def _compress(self) -> None:
        """As ``gzip`` does: the new file grows beside the old one, which goes when it is complete."""
        plain = [self._rotated(number) for number in range(1, MOST_ROTATED) if self._rotated(number).exists()]
        if not plain:
            return
        old = self.chance.choice(plain)
        new = old.with_name(old.name + ".gz")
        with old.open("rb") as source, gzip.open(new, "wb") as packed:
            while piece := source.read(1 << 16):
                packed.write(piece)
                packed.flush()
        stat = old.stat()
        os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        old.unlink()
        self.rotations["compressed"] += 1

    def _move_up(self) -> None:
        for number in range(MOST_ROTATED, 0, -1):
            for ending in ("", ".gz"):
                if (old := self._rotated(number, ending)).exists():
                    old.rename(self._rotated(number + 1, ending))
        for ending in ("", ".gz"):
            self._rotated(MOST_ROTATED + 1, ending).unlink(missing_ok=True)

    def _rotated(self, number: int, ending: str = "") -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{ending}")


class DaemonProcess:
    """`driftwatch run`, started and ended again and again."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log = config.with_name("daemon.log")
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it and wait until it watches."""
        before = self.said().count("watching ")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*COMMAND, "run", "--config", str(self.config)], cwd=ROOT, stderr=log)
        self.starts += 1
        deadline = time.monotonic() + 60
        while self.said().count("watching ") == before:
            assert self.process.poll() is None, self.said()[-3000:]
            assert time.monotonic() < deadline, "it never started"
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def terminate(self) -> float:
        """SIGTERM; seconds until it was gone."""
        assert self.process is not None
        begun = time.monotonic()
        self.send(signal.SIGTERM)
        assert self.process.wait(15) == 0, self.said()[-3000:]
        return time.monotonic() - begun

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def size(self) -> tuple[int, int, int]:
        """Resident bytes, open descriptors, threads."""
        assert self.process is not None
        process = psutil.Process(self.process.pid)
        return process.memory_info().rss, process.num_fds(), process.num_threads()

    def __enter__(self) -> DaemonProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


def verb(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run another verb of driftwatch beside the daemon."""
    return subprocess.run(
        [*COMMAND, *words, "--config", str(config)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


@contextmanager
def writing(path: Path, seed: int) -> Iterator[LogWriter]:
    writer = LogWriter(path, seed)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()
