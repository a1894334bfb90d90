"""What is replayed: the checks of a configuration, or the shipped ones where there is none."""

from __future__ import annotations

import glob
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from driftwatch import yamlfile
from driftwatch.checks import Check
from driftwatch.config import BaselineSettings, Watch
from driftwatch.errors import ConfigError, DriftwatchError
from driftwatch.plugins import find_kind
from driftwatch.resources import shipped
from driftwatch.schedule import Schedule, show_duration
from driftwatch.sources import Source
from driftwatch.sources.canaries import Canaries
from driftwatch.sources.query_log import QueryLog
from driftwatch.types import Baseline

LIVE, CANARIES = "live", "canaries"
"""What the sources of the shipped checks are called."""


def shipped_watch() -> Watch:
    """A watch with the shipped checks, for a log without a configuration."""
    checks = [
        find_kind("checks", given["kind"]).model_validate(given)
        for file in sorted(shipped("checks").glob("*.yaml"))
        for given in yamlfile.load(file, {}).data
    ]
    return Watch(service="replay", checks=tuple(each for each in checks if isinstance(each, Check)))


def with_logs(watch: Watch, logs: Sequence[str], fields: Mapping[str, str], name: str = "") -> tuple[Watch, str]:
    """``watch`` reading ``logs`` in place of its own log, and the name of that source.

    Raises:
        DriftwatchError: a file is not there, or it is not clear which source it belongs to.
    """
    paths = tuple(str(path) for given in logs for path in _files(given))
    name = name or _only(watch, "traffic", LIVE)
    own = watch.sources.get(name)
    settings: dict[str, Any] = {"stratify": "lang"}
    if own is not None:
        # A push source takes the same records as a log and has most of the same settings.
        kept = ("keep_per_day", "stratify", "fields", "score_kind", "max_line")
        settings = {field: getattr(own, field) for field in kept if hasattr(own, field)}
    settings["fields"] = {**settings.get("fields", {}), **fields}
    try:
        source = QueryLog(name=name, path=paths, **settings)
    except ValidationError as error:
        said = "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in error.errors())
        raise DriftwatchError(said, remedy="Write --field NAME=WHERE, such as --field ts=time.") from None
    return _with_source(watch, name, source), name


def with_runs(watch: Watch, name: str = "") -> tuple[Watch, str]:
    """``watch`` with a source for recorded canary runs, and its name."""
    name = name or _only(watch, "runs", CANARIES)
    source = watch.sources.get(name) or Canaries(name=name, path="recorded.jsonl")
    return _with_source(watch, name, source), name


RECORDED = ("runs", "sample", "tallies")
"""What a record holds."""

PAST = {
    "probes": "an index cannot be looked into as it was",
    "comparisons": "two retrievers cannot be asked as they were",
}
"""Why what a check needs is in no record."""


def only_sources(watch: Watch, names: Sequence[str]) -> tuple[Watch, dict[str, str]]:
    """``watch`` with the checks of these sources; check -> why it is left out."""
    kept = tuple(check for check in watch.checks if check.source in names and check.needs in RECORDED)
    left = {
        each.name: PAST.get(each.needs, f"nothing was recorded of '{each.source}'")
        for each in watch.checks
        if each not in kept
    }
    if not kept:
        raise DriftwatchError(
            "no check judges what was given.", remedy="Give a log (--log), recorded canary runs (--canaries), or both."
        )
    return watch.model_copy(update={"checks": kept}), left


def at_pace(watch: Watch, every: str) -> Watch:
    """``watch`` with every check looking as often as ``every`` says."""
    try:
        schedule = Schedule.parse(every)
    except ValueError as error:
        raise DriftwatchError(f"--every: {error}") from None
    return watch.model_copy(update={"checks": tuple(_paced(check, schedule) for check in watch.checks)})


def at_least(watch: Watch, paces: Mapping[str, timedelta], given: Collection[str]) -> Watch:
    """``watch`` with windows that hold a step of a slow record, and canaries asked at the pace of the runs given."""
    checks = tuple(
        check.model_copy(update={"window": max(check.window, paces.get(check.source, timedelta(0)))})
        for check in watch.checks
    )
    sources = {
        name: source.model_copy(update={"every": Schedule.parse(show_duration(paces[name]))})
        if name in given and source.gives == "runs"
        else source
        for name, source in watch.sources.items()
    }
    return watch.model_copy(update={"checks": checks, "sources": sources})


def _paced(check: Check, schedule: Schedule) -> Check:
    """A window at least as long as the time between two looks: nothing falls between them."""
    gap = schedule.period or timedelta(0)
    return check.model_copy(update={"every": schedule, "window": max(check.window, gap)})


def baseline_settings(text: str) -> BaselineSettings:
    """What ``--baseline`` says: `14 days`, or two dates.

    Raises:
        DriftwatchError: it says neither.
    """
    try:
        return BaselineSettings.model_validate(text)
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise DriftwatchError(f"--baseline: {said}") from None


def first_days(settings: BaselineSettings, start: datetime, end: datetime, source: str) -> tuple[Baseline, str]:
    """The baseline of a record of [start, end), and what is odd about it (empty: nothing).

    Raises:
        DriftwatchError: the dates given lie outside the record, or leave nothing to judge.
    """
    if settings.start is not None and settings.end is not None:
        if settings.start >= end or settings.end <= start:
            raise DriftwatchError(
                f"the baseline ({settings.start:%Y-%m-%d} to {settings.end:%Y-%m-%d}) holds nothing of what was "
                f"recorded of '{source}' ({start:%Y-%m-%d} to {end:%Y-%m-%d}).",
                remedy="Give another one with --baseline, such as '14 days'.",
            )
        return _baseline(settings.start, settings.end, "given by date", source), ""
    assert settings.length is not None
    if start + settings.length < end:
        return _baseline(start, start + settings.length, "the first days of the record", source), ""
    half = start + _whole((end - start) / 2)
    odd = (
        f"what was recorded of '{source}' is no longer than the baseline ({show_duration(settings.length)}): its first "
        "half is the baseline, and what is said here is weaker for it"
    )
    return _baseline(start, half, "the first half of the record", source), odd


def _whole(length: timedelta) -> timedelta:
    """Down to whole days, or to whole hours where it is less than a day, and never nothing."""
    unit = timedelta(days=1) if length >= timedelta(days=1) else timedelta(hours=1)
    return max(length // unit, 1) * unit


def _baseline(start: datetime, end: datetime, reason: str, source: str) -> Baseline:
    return Baseline(start, end, reason, "replay", end, source)


def _with_source(watch: Watch, name: str, source: Source) -> Watch:
    return watch.model_copy(update={"sources": {**watch.sources, name: source}})


def _only(watch: Watch, gives: str, otherwise: str) -> str:
    """The one source that gives this; ``otherwise`` when there is none."""
    names = [name for name, source in watch.sources.items() if source.gives == gives]
    if len(names) > 1:
        remedy = f"Name one with --source: {', '.join(names)}."
        raise ConfigError("several sources could have been recorded here.", file=watch.path, remedy=remedy)
    return names[0] if names else otherwise


def _files(given: str) -> list[Path]:
    """A file, or those that a pattern matches."""
    path = Path(given)
    if path.is_dir():
        raise DriftwatchError(f"{given} is a directory.", remedy=f"Name a file, or write '{given}/*.jsonl'.")
    found = [path] if path.exists() else sorted(map(Path, glob.glob(given, recursive=True)))  # noqa: PTH207 - absolute
    if not found:
        raise DriftwatchError(f"there is no log '{given}'.", remedy="Check the path.")
    return [each.absolute() for each in found]
