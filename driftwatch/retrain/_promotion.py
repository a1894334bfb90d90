"""How far a promotion is: ``promotion.json`` in the folder of its job, and nothing in the memory of who drives it."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.manifests import content_of, manifest_of
from driftwatch.retrain.registry import Registry
from driftwatch.retrained import Manifest, Reason

Stage = Literal["approved", "added", "rebuilt", "checked", "compared", "switched", "told", "refused", "rolled back"]
OVER: frozenset[Stage] = frozenset({"told", "refused", "rolled back"})
FILE = "promotion.json"
WORK = "rebuild"
"""The folder of the vectors that are made, until it is over."""
_LOOK = 0.05
"""Seconds between two looks whether somebody else has let go."""


@dataclass(frozen=True)
class Promotion:
    """How far one is; what ``promotion.json`` holds."""

    manifest: Manifest
    """As the release is added; its index is said in the release itself."""
    candidate: str
    judged: str
    """The candidate's ``folder_hash`` when the gate judged it."""
    stage: Stage = "approved"
    at: Mapping[str, str] = field(default_factory=dict)
    """Stage -> when it was reached."""
    instead_of: str = ""
    """The release that is in use until the switch; where another one is, this one was not judged against it."""
    count: int = 0
    """Passages in the new index."""
    corpus: str = ""
    """Hash of them."""
    dimension: int = 0
    caught_up: int = 0
    """How often the documents changed after the new index was built, and were caught up with."""
    reasons: tuple[Reason, ...] = ()
    """What the look at the new index said."""
    waiting: str = ""
    """Why the last step did nothing, or why it is over."""
    notes: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        return self.manifest.release


def read(folder: Path) -> Promotion | None:
    """The promotion of a job; None: there is none.

    Raises:
        RetrainError: its file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    content = read_json(path)
    try:
        manifest = manifest_of(path, content.pop("manifest"))
        content["reasons"] = tuple(Reason(**each) for each in content["reasons"])
        content["notes"] = tuple(content["notes"])
        del content["version"]
        return Promotion(manifest, **content)
    except (KeyError, TypeError, AttributeError) as error:
        raise RetrainError(f"{path}: is not a promotion: {error}.", remedy="Remove it, and promote again.") from None


def moved(folder: Path, promotion: Promotion, stage: Stage, now: datetime) -> Promotion:
    """It has reached ``stage``; said on disk, and returned."""
    at_stage = replace(promotion, stage=stage, at={**promotion.at, stage: now.isoformat()})
    write(folder, at_stage)
    return at_stage


def write(folder: Path, promotion: Promotion) -> None:
    """``promotion.json``, whole or as it was."""
    content: dict[str, Any] = asdict(promotion)
    write_json(folder / FILE, {"version": 1, **content, "manifest": content_of(promotion.manifest)})


def check_alone(registry: Registry) -> None:
    """Raises RetrainError where another promotion is not over: two would be built from the same index in use."""
    for other in sorted(registry.folder.glob(f"jobs/*/{FILE}")):
        if (there := read(other.parent)) is not None and there.stage not in OVER:
            raise RetrainError(
                f"the release {there.release} is being promoted ({there.stage}).", remedy="One after the other."
            )


def give_up(folder: Path, registry: Registry, why: str, now: datetime, *, patience: float = 0.0) -> Promotion | None:
    """End a promotion with which nobody goes on, so that it keeps no other one from beginning; as it stands then.

    What is in use stays in use, and is told of all the same. ``patience``: seconds to wait for whoever is at it.

    Raises:
        RetrainError: somebody is at it.
    """
    if read(folder) is None:
        return None
    with alone(folder, patience):
        known = read(folder)
        if known is None or known.stage in OVER:
            return known
        shutil.rmtree(folder / WORK, ignore_errors=True)
        current = registry.current()
        if current is not None and current.release == known.release:
            return moved(folder, replace(known, waiting="", notes=(*known.notes, why)), "told", now)
        return moved(folder, replace(known, waiting=why), "refused", now)


@contextmanager
def alone(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """One process at a time; a killed one lets go by itself. ``patience``: seconds to wait for another one.

    Raises:
        RetrainError: another one does.
    """
    if not folder.is_dir():
        raise RetrainError(f"{folder}: there is no such job.", remedy="See the folders in 'jobs'.")
    deadline = time.monotonic() + patience
    with (folder / ".promoting").open("a") as lock:
        while not _locked(lock.fileno()):
            if time.monotonic() >= deadline:
                raise RetrainError(f"{folder.name}: another process is at it at the moment.", remedy="Wait for it.")
            time.sleep(_LOOK)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
