"""What stands beside a report: the page that Evidently makes in a process of its own, or why there is none.

A report is complete without it. The process has no telemetry, no home, bounded time and memory, and gets numbers and
names of languages only: no text of any query.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from driftwatch.cleaning import clean
from driftwatch.errors import MissingExtra
from driftwatch.schedule import show_duration

PAGES = ("evidently.html", "evidently-embeddings.html")
"""The files in the folder of a week."""

NOTE = "attached.json"
"""What was attached, in the folder of a week: a report that is drawn again says the same of it."""

LONGEST = timedelta(minutes=5)

_INHERITED = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL")


@dataclass(frozen=True, slots=True)
class Attached:
    """The Evidently page in one sentence."""

    sentence: str
    files: tuple[str, ...] = ()
    """Beside the report; none where there is none."""

    @property
    def note(self) -> bytes:
        """What to keep as ``NOTE``."""
        return (json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")


NOT_ASKED = Attached("No Evidently page was made.")
NOT_YET = Attached("The Evidently page is made when the week is over.")


def read_attached(files: Mapping[str, Path]) -> tuple[Attached, dict[str, bytes]]:
    """What the files of a kept report say is attached, and those of them that are; nothing where they say nothing."""
    try:
        given = json.loads(files[NOTE].read_bytes())
        names = tuple(name for name in given["files"] if name in PAGES)
        found = Attached(clean(str(given["sentence"]), 400), names)
        return found, {NOTE: found.note} | {name: files[name].read_bytes() for name in names}
    except (OSError, ValueError, LookupError, TypeError):
        return NOT_ASKED, {}


def attach(arrays: Mapping[str, object], longest: timedelta = LONGEST) -> tuple[Attached, dict[str, bytes]]:
    """Make the pages of ``DriftRows.arrays``; what goes wrong in Evidently is said and never raised."""
    found, pages = _attach(arrays, longest)
    return found, {NOTE: found.note} | pages


def _attach(arrays: Mapping[str, object], longest: timedelta) -> tuple[Attached, dict[str, bytes]]:
    for package in ("evidently", "pandas"):
        if importlib.util.find_spec(package) is None:
            return _none(str(MissingExtra(package, "report", "it"))), {}
    with tempfile.TemporaryDirectory(prefix="driftwatch-evidently-") as home:
        rows, made = Path(home) / "rows.npz", Path(home) / "made"
        made.mkdir()
        _save(rows, arrays)
        code, said = _run([sys.executable, "-m", "driftwatch.report.drift_page", str(rows), str(made)], home, longest)
        if code != 0:
            return _none(said), {}
        pages = {name: (made / name).read_bytes() for name in PAGES if (made / name).is_file()}
    return Attached(f"Evidently's drift report: {said} of the week and the baseline.", tuple(pages)), pages


def _none(why: str) -> Attached:
    return Attached(f"There is no Evidently page: {clean(why, 300).rstrip('.')}.")


def _save(path: Path, arrays: Mapping[str, object]) -> None:
    import numpy as np

    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _run(command: list[str], home: str, longest: timedelta) -> tuple[int, str]:
    """Run it; the exit code and the last line of what it said."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {"DO_NOT_TRACK": "1", "HOME": home, "TMPDIR": home, "MPLCONFIGDIR": home}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "NUMBA_CACHE_DIR": home}
    process = subprocess.Popen(  # noqa: S603  our own module, by our own interpreter
        command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        out, errors = process.communicate(timeout=longest.total_seconds())
    except subprocess.TimeoutExpired:
        _end(process)
        return 1, f"it was not ready within {show_duration(longest)}"
    if process.returncode == 0:
        return 0, _last_line(out)
    if process.returncode < 0:
        return 1, f"its process was ended by signal {-process.returncode}"
    return 1, _last_line(errors)


def _end(process: subprocess.Popen[str]) -> None:
    """End it and all that it started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
