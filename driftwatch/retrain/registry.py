"""Releases in a folder, and the one that is in use: a link that is replaced in one step.

::

    releases/<release>/manifest.json    what it is: base, data, measures, index, threshold
    releases/<release>/model/           as sentence-transformers saves it
    releases/<release>/index/           where the index is files
    current -> releases/<release>       the only thing that a switch changes
    history.json                        the line of releases in use, which says what a rollback leads back to

The history is written before the link, and is read by where the link stands in it: so there is no moment at which a
killed process leaves a release in use that has lost the one before it.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from driftwatch.errors import RetrainError
from driftwatch.retrain._job_files import ID
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.folders import check_hash, copy_plain, size_of, sync
from driftwatch.retrain.manifests import NAME, check_name, read_manifest, write_manifest
from driftwatch.retrained import Manifest

CURRENT = "current"
HISTORY = "history.json"
MODEL = "model"
_RELEASES = "releases"
_JOBS = "jobs"
_RESULT = "result.json"
_BEGUN, _ENDED = "wanted.json", "ended.json"
_STAYS = (_BEGUN, _ENDED, "judgement.json")
"""When a job was begun, how it ended, and what the gate said: what the next one must wait for, and how often the gate
was asked before, whatever the disk has room for.
"""


@dataclass(frozen=True)
class Registry:
    """The releases in ``folder``, of which ``keep`` are kept, and no more than ``disk`` bytes of them and of jobs."""

    folder: Path
    keep: int
    disk: int

    # --- what is there -------------------------------------------------------------------------------------------

    def place(self, release: str) -> Path:
        """The folder of a release."""
        return self.folder / _RELEASES / check_name(release)

    def manifest(self, release: str) -> Manifest:
        """What a release says of itself.

        Raises:
            RetrainError: there is no such release, or its manifest is damaged.
        """
        return read_manifest(self.place(release))

    def releases(self) -> tuple[Manifest, ...]:
        """Every release, the oldest first.

        Raises:
            RetrainError: a manifest is damaged.
        """
        return tuple(map(self.manifest, self._names()))

    def current(self) -> Manifest | None:
        """The release in use; None while there is none.

        Raises:
            RetrainError: the link leads anywhere else, or the release is damaged.
        """
        name = self._linked()
        return None if name is None else self.manifest(name)

    def previous(self) -> Manifest | None:
        """The release that a rollback leads back to; None: there is none."""
        name = self._before(self._linked())
        return None if name is None else self.manifest(name)

    def model(self, manifest: Manifest) -> str:
        """What the model of a release is loaded by: its folder, or the name of a model that is not ours."""
        place = self.place(manifest.release)
        ours = place / manifest.model
        if not ours.is_dir():
            return manifest.model
        if not ours.resolve().is_relative_to(place.resolve()):
            raise RetrainError(f"{ours}: leads out of the release.", remedy="Remove the folder.")
        return str(ours)

    def rolled_back(self, release: str) -> Mapping[str, Any] | None:
        """Who went back from ``release``, and when; None: nobody did since it was last switched on."""
        found = self._history()["rolled_back"].get(release)
        return found if isinstance(found, dict) and self._linked() != release else None

    # --- what changes --------------------------------------------------------------------------------------------

    def add(self, candidate: Path, manifest: Manifest, judged: str = "") -> Path:
        """A release with the model of ``candidate``: all of it, or nothing; added again it stays as it is.

        Raises:
            RetrainError: the candidate holds links or has no files; or what was copied is not what was ``judged``
                (its ``folder_hash`` then).
        """
        place = self.place(manifest.release)
        with self._alone():
            if not place.exists():
                draft = self._draft(manifest.release)
                copy_plain(candidate, draft / MODEL)
                check_hash(draft / MODEL, judged, shown=candidate)
                write_manifest(draft, manifest)
                draft.replace(place)
                sync(place.parent)
        return place

    def adopt(self, manifest: Manifest) -> Path:
        """What was in use before there were releases, as the first of them: a manifest without files, switched on."""
        place = self.place(manifest.release)
        with self._alone():
            if (linked := self._linked()) is not None:
                return self.place(linked)
            if not place.exists():
                draft = self._draft(manifest.release)
                write_manifest(draft, manifest)
                draft.replace(place)
                sync(place.parent)
            self._link(manifest.release)
        return place

    def amend(self, release: str, **changes: Any) -> Manifest:
        """Say more of a release that is not in use: its index once it is built, its threshold.

        Raises:
            RetrainError: it is in use, and whoever serves it has read what it says.
        """
        with self._alone():
            manifest = self.manifest(release)
            changed = replace(manifest, **changes)
            if changed != manifest:
                if self._linked() == release:
                    raise RetrainError(f"the release {release} is in use.", remedy="Promote a new one.")
                write_manifest(self.place(release), changed)
        return changed

    def switch(self, release: str, *, instead_of: str = "") -> None:
        """Use ``release`` from now on, with its model, its index and its threshold at once; again changes nothing.

        ``instead_of``: only where that one is in use, and nobody went back from ``release`` since.

        Raises:
            RetrainError: there is no such release, or it has a model of its own and no index that was built with it, or
                another one than ``instead_of`` is in use.
        """
        manifest = self.manifest(release)
        if self.model(manifest) != manifest.model and not manifest.index:
            raise RetrainError(
                f"the release {release} has no index that was built with its model.",
                remedy="Promote it: that embeds the documents anew first.",
            )
        with self._alone():
            if (linked := self._linked()) != release:
                history = self._history()
                if instead_of and (linked != instead_of or release in history["rolled_back"]):
                    raise RetrainError(f"in use is {linked} meanwhile, so {release} is not switched on.")
                history["line"] = [*self._line_to(self._linked()), release]
                history["rolled_back"].pop(release, None)
                write_json(self.folder / HISTORY, history)
                self._link(release)

    def rollback(self, *, now: datetime, by: str, reason: str = "", leave: str = "") -> Manifest:
        """Use the release before again, in one step; the release that is in use then.

        Where ``leave`` names the release to go back from, this changes nothing once somebody has.

        Raises:
            RetrainError: there is none before, or ``leave`` is not in use and nobody went back from it.
        """
        with self._alone():
            left = self._linked()
            if leave and leave != left:
                if left is None or not self.rolled_back(leave):
                    raise RetrainError(f"the release {leave} is not in use.", remedy=f"In use is: {left or 'none'}.")
                return self.manifest(left)
            name = self._before(left)
            if left is None or name is None:
                raise RetrainError("there is no release to go back to.", remedy="See the releases in 'releases'.")
            manifest = self.manifest(name)
            history = self._history()
            history["rolled_back"][left] = {"at": now.isoformat(), "by": by, "reason": reason, "to": name}
            write_json(self.folder / HISTORY, history)
            self._link(name)
        return manifest

    def prune(self, busy: Collection[str] = (), let_go: Callable[[Manifest], None] = lambda _: None) -> tuple[str, ...]:
        """Remove releases beyond ``keep``, and of releases and jobs what ``disk`` has no room for, the oldest first.

        Never what is in use, the one before it, what is ``busy`` (names of releases and jobs), or a job without an
        outcome. ``let_go`` is called with each release before its folder goes, to remove its index from a store; where
        that fails, the folder stays.
        """
        with self._alone():
            self._sweep()
            never = {*busy, self._linked(), self._before(self._linked())}
            gone = self._surplus(never)
            for place in gone:
                if place.parent.name == _RELEASES:
                    let_go(read_manifest(place))
                _drop(place)
            return tuple(place.name for place in gone)

    def tidy(self, busy: Collection[str] = ()) -> tuple[str, ...]:
        """Remove jobs alone, as ``prune`` does: most of them end without a release, and nobody would come to it."""
        with self._alone():
            self._sweep()
            gone = self._surplus({*busy, *self._names()})
            for place in gone:
                _drop(place)
            return tuple(place.name for place in gone)

    # --- how -----------------------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        folder = self.folder / _RELEASES
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(each.name for each in found if NAME.fullmatch(each.name) and not each.is_symlink())

    def _jobs(self) -> list[Path]:
        folder = self.folder / _JOBS
        found = folder.iterdir() if folder.is_dir() else ()
        return [each for each in found if ID.fullmatch(each.name) and each.is_dir() and not each.is_symlink()]

    def _surplus(self, never: Collection[str | None]) -> list[Path]:
        """What goes: releases beyond ``keep``, then whatever is oldest, until the rest has room."""
        places = [self.place(name) for name in self._names()]
        gone = [place for place in places[: -self.keep] if place.name not in never]
        left = sorted({*places, *self._jobs()} - {*gone}, key=lambda place: (place.name, place.parent.name))
        over = sum(map(size_of, left)) - self.disk
        for place in left:
            if over > 0 and _is_over(place) and place.name not in never:
                over -= size_of(place)
                gone.append(place)
        return gone

    def _sweep(self) -> None:
        """What a killed process left half written or half removed."""
        for folder in (self.folder / _RELEASES, self.folder / _JOBS):
            for left in [*folder.glob(".draft-*"), *folder.glob(".dropped-*")]:
                shutil.rmtree(left)

    def _linked(self) -> str | None:
        link = self.folder / CURRENT
        if not link.is_symlink():
            if link.exists():
                raise RetrainError(f"{link}: is not a link.", remedy="Move it away: driftwatch makes its own.")
            return None
        target = link.readlink()
        if target.parts != (_RELEASES, target.name) or not NAME.fullmatch(target.name):
            raise RetrainError(f"{link}: leads to {target}, which is no release.", remedy="Remove the link.")
        return target.name

    def _link(self, release: str) -> None:
        draft = self.folder / f".{CURRENT}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(Path(_RELEASES, release))
        draft.replace(self.folder / CURRENT)
        sync(self.folder)

    def _history(self) -> dict[str, Any]:
        path = self.folder / HISTORY
        if not path.exists():
            return {"version": 1, "line": [], "rolled_back": {}}
        history = read_json(path)
        line, back = history.get("line"), history.get("rolled_back")
        if not isinstance(line, list) or not isinstance(back, dict) or not all(isinstance(each, str) for each in line):
            raise RetrainError(f"{path}: is not the history of a registry.", remedy="Remove it: rollback needs one.")
        return history

    def _line_to(self, release: str | None) -> list[str]:
        """The releases that were in use up to ``release``, the oldest first, as far as they are still there."""
        if release is None:
            return []
        line = self._history()["line"]
        end = len(line) - line[::-1].index(release) if release in line else 0
        there = set(self._names())
        return [name for name in line[: max(0, end - 1)] if name in there] + [release]

    def _before(self, release: str | None) -> str | None:
        line = [name for name in self._line_to(release) if name != release]
        return line[-1] if line else None

    def _draft(self, release: str) -> Path:
        draft = self.folder / _RELEASES / f".draft-{release}"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(parents=True)
        return draft

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time; a killed one lets go by itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_over(place: Path) -> bool:
    """Whether a release or a job may go as far as the job itself is concerned, and there is anything left of it."""
    if place.parent.name == _RELEASES:
        return True
    if not (place / _BEGUN).is_file():
        return (place / _RESULT).is_file()
    return (place / _ENDED).is_file() and any(each.name not in _STAYS for each in place.iterdir())


def _drop(place: Path) -> None:
    """A release or a job goes; of a job that was begun stays what the next one must know."""
    if place.parent.name == _JOBS and (place / _BEGUN).is_file():
        for each in place.iterdir():
            if each.name not in _STAYS:
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        return
    dropped = place.with_name(f".dropped-{place.name}")
    place.replace(dropped)
    shutil.rmtree(dropped)
