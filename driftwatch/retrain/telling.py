"""Telling others which release is in use: the service by a program, MLflow by aliases.

What is told follows the link and not the story that led to it: whoever has not been told of the release in use yet, is;
after a promotion, after a rollback, and after a kill in the middle of either. So a program may be run twice for one
release, never not at all.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from driftwatch.errors import DriftwatchError
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.manifests import FILE
from driftwatch.retrain.registry import Registry
from driftwatch.retrained import Manifest

STATE = "told.json"
LOG = "told.log"
TIMEOUT = timedelta(minutes=5)
"""A program that takes longer is ended, with everything that it started."""
_AGAIN = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""How long to wait after a first failure, a second one ..."""
_SAID = 400
"""Characters of a program's last words that are shown; all of them are in the log."""
_KEPT = 100_000
"""Bytes of them that are kept."""
ENVIRONMENT = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME"})
"""What a program sees of driftwatch's own environment, which holds tokens and keys."""

Tell = Callable[[Manifest, Manifest | None], None]
"""Tells one receiver of the release in use and the one before it; raises DriftwatchError where that fails."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One receiver that does not know of the release in use yet."""

    receiver: str
    tries: int = 0
    error: str = ""
    """Why the last try failed; empty: there was none."""
    again_at: datetime | None = None

    @property
    def said(self) -> str:
        """For a person."""
        return f"'{self.receiver}' has not been told yet" + (f": {self.error}" if self.error else "")


@dataclass(frozen=True)
class Teller:
    """Receivers by name; which release each was told of is in ``told.json`` beside the link."""

    registry: Registry
    receivers: Mapping[str, Tell]

    def left(self) -> tuple[Telling, ...]:
        """Who is left to tell; tells nobody."""
        current = self.registry.current()
        known = self._known()
        return tuple(
            _telling(name, known.get(name, {}), current.release)
            for name in self.receivers
            if current is not None and (known.get(name, {}).get("told") != current.release)
        )

    def step(self, now: datetime) -> bool:
        """Tell one receiver, where one is due; whether one was."""
        current = self.registry.current()
        due = [each for each in self.left() if each.again_at is None or each.again_at <= now]
        if current is None or not due:
            return False
        one = due[0]
        said: dict[str, Any] = {"told": current.release}
        try:
            self.receivers[one.receiver](current, self.registry.previous())
        except DriftwatchError as error:
            again_at = now + _AGAIN[min(one.tries, len(_AGAIN) - 1)]
            said = {
                "failed": current.release,
                "tries": one.tries + 1,
                "error": str(error),
                "again_at": again_at.isoformat(),
            }
        write_json(self.registry.folder / STATE, {"version": 1, "receivers": {**self._known(), one.receiver: said}})
        return True

    def _known(self) -> dict[str, Any]:
        path = self.registry.folder / STATE
        return dict(read_json(path).get("receivers", {})) if path.exists() else {}


def _telling(name: str, known: Mapping[str, Any], release: str) -> Telling:
    if known.get("failed") != release:
        return Telling(name)
    return Telling(name, known["tries"], known["error"], datetime.fromisoformat(known["again_at"]))


def teller(registry: Registry, run: Sequence[str] = (), mlflow: str = "", service: str = "") -> Teller:
    """The receivers that the settings `promote: run` and `promote: mlflow` name."""
    receivers: dict[str, Tell] = {}
    if run:
        receivers["run"] = Hook(registry, tuple(run))
    if mlflow:
        from driftwatch.retrain.mlflow import Aliases

        receivers["mlflow"] = Aliases(registry, mlflow, service)
    return Teller(registry, receivers)


@dataclass(frozen=True)
class Hook:
    """The program that tells the service, without a shell. In its environment are DRIFTWATCH_RELEASE,
    DRIFTWATCH_MODEL, DRIFTWATCH_MANIFEST and DRIFTWATCH_PREVIOUS.
    """

    registry: Registry
    run: tuple[str, ...]
    timeout: timedelta = TIMEOUT

    def __call__(self, current: Manifest, previous: Manifest | None) -> None:
        """Run it and wait.

        Raises:
            DriftwatchError: it cannot be started, it failed, or it took too long; with its last words.
        """
        told = {
            "DRIFTWATCH_RELEASE": current.release,
            "DRIFTWATCH_MODEL": self.registry.model(current),
            "DRIFTWATCH_MANIFEST": str(self.registry.place(current.release) / FILE),
            "DRIFTWATCH_PREVIOUS": previous.release if previous else "",
        }
        env = {name: value for name, value in os.environ.items() if name in ENVIRONMENT} | told
        log = self.registry.folder / LOG
        try:
            with log.open("wb") as output:
                code = _ended(self.run, env, output.fileno(), self.timeout.total_seconds())
        except OSError as error:
            raise DriftwatchError(f"'{self.run[0]}' cannot be run: {error.strerror}.", remedy=_REMEDY) from None
        said = _last_words(log)
        if code is None:
            raise DriftwatchError(f"'{self.run[0]}' took longer than {self.timeout}{said}.", remedy=_REMEDY)
        if code != 0:
            raise DriftwatchError(f"'{self.run[0]}' ended with {code}{said}.", remedy=_REMEDY)


_REMEDY = "The release is in use all the same: see 'promote: run', or tell the service by hand."


def _ended(run: Sequence[str], env: Mapping[str, str], output: int, timeout: float) -> int | None:
    """The code that it ended with; None: it had to be killed, and with it what it started."""
    process = subprocess.Popen(  # noqa: S603 - the user's own program, as an argv
        list(run), env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_words(log: Path) -> str:
    """As ``: what it said``, printable; the log is cut to its end."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _KEPT))
        end = file.read()
    if log.stat().st_size > _KEPT:
        log.write_bytes(end)
    words = " ".join(end.decode("utf-8", "replace").split())[-_SAID:]
    printable = "".join(letter if letter.isprintable() else "?" for letter in words).rstrip(".")
    return f": {printable}" if printable else ""
