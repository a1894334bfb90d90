"""The watch that a scenario puts to the test: the user's own checks and settings around a simulated service."""

from __future__ import annotations

import glob
import os
import re
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from driftwatch.checks import Check
from driftwatch.config import BaselineSettings, Watch, load_watch
from driftwatch.errors import ConfigError, ConfigErrors
from driftwatch.plugins import below, find_kind
from driftwatch.scenarios.form import HOUR, START, Scenario
from driftwatch.schedule import Schedule, show_duration
from driftwatch.yamlfile import Document, Where, load, show

CANARIES, LOG = "canaries.jsonl", "queries.jsonl"
"""The files of the simulated service, in the folder in which a scenario is played."""

SERVICE = "driftwatch.scenarios.service"

TAKEN = ("false_pages", "false_warnings", "alerts", "baseline", "languages", "retention", "checks")
"""What is taken from a user's configuration as it is."""
OF_A_SOURCE = ("every", "repeat", "perturb", "keep_per_day", "stratify")
"""What is taken from each of its sources."""

USUAL: dict[str, Any] = {
    "sources": {
        "canaries": {"kind": "canaries"},
        "live": {"kind": "query_log", "stratify": "lang"},
        "index": {"kind": "index"},
    },
    "retriever": {"top_k": 10},
    "embedder": {},
}
"""What is watched where the scenario names no configuration."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_watched(document: Document, scenario: Scenario) -> Watch:
    """The watch of a scenario, with a simulated service in place of the real one.

    Raises:
        ConfigErrors: everything that is wrong with the configuration and the checks, with file and line.
    """
    config = document if scenario.config is None else _config(document, scenario.config)
    if not isinstance(config.data, dict):
        return load_watch(Path(config.file), document=config)  # which says what is wrong with it
    given = USUAL | {"languages": list(scenario.traffic)} if scenario.config is None else config.data
    settings = {name: given[name] for name in TAKEN if name in given} | {
        "service": "simulated",
        "retriever": _retriever(given.get("retriever")),
        "sources": _sources(given.get("sources")),
        "embedder": None if given.get("embedder") is None else {"model": "simulated"},
        "api": "off",
        "notify": [],
    }
    if scenario.checks:
        settings["checks"] = [_pattern(document, config, place) for place in _patterns(document, scenario)]
    _importable(Path(document.file), Path(config.file))
    watch = load_watch(Path(config.file), document=replace(config, data=settings))
    return without_experiments(watch).model_copy(update={"baseline": _learnt(watch.baseline)})


def without_experiments(watch: Watch) -> Watch:
    """``watch`` without what looks into an index: a simulated service has none."""
    sources = {name: each for name, each in watch.sources.items() if each.gives in ("runs", "traffic")}
    checks = tuple(check for check in watch.checks if check.source in sources)
    return watch.model_copy(update={"sources": sources, "checks": checks, "index": None, "documents": None})


def paced(watch: Watch, scenario: Scenario) -> Watch:
    """``watch`` with no source of canaries asked, and no check looked at, more often than the clock steps."""
    sources = {name: _slower(source, scenario.step) for name, source in watch.sources.items()}
    checks = tuple(_slower_check(check, watch, scenario) for check in watch.checks)
    return watch.model_copy(update={"sources": sources, "checks": checks})


def _slower(source: Any, step: timedelta) -> Any:
    """A log is read whenever the clock steps, whatever its own rhythm; canaries have one."""
    if source.gives != "runs" or source.every.shortest_gap(START) >= step:
        return source
    return source.model_copy(update={"every": Schedule.parse(show_duration(step))})


def _slower_check(check: Check, watch: Watch, scenario: Scenario) -> Check:
    """``check`` at the scenario's pace, unless its own is slower or it goes with its canaries."""
    if scenario.every is None or (check.every is None and watch.sources[check.source].gives == "runs"):
        return check
    gap = check.every.shortest_gap(START) if check.every else HOUR
    every = Schedule.parse(show_duration(scenario.every))
    return check if gap >= scenario.every else check.model_copy(update={"every": every})


def _config(document: Document, given: str) -> Document:
    """The user's configuration; variables that only concern what is left out of it need not be set."""
    path = Path(os.path.normpath(below(Path(document.file).parent, given)))
    if not path.is_file():
        remedy = "Write its path relative to this file."
        raise ConfigErrors([document.error(("config",), f"there is no file '{given}'.", remedy)])
    names = set(_VARIABLE.findall(path.read_text("utf-8", errors="replace")))
    unset = {name for name in names if not os.environ.get(name)}
    config = load(path, os.environ | dict.fromkeys(unset, "unset"))
    wrong = [
        config.error(where, f"'{show(where)}' needs the environment variable {name}, which is not set.", "Set it.")
        for where, written in config.variables.items()
        for name in sorted(unset & set(_VARIABLE.findall(written)))
        if _is_taken(where)
    ]
    if wrong:
        raise ConfigErrors(wrong)
    return config


def _is_taken(where: Where) -> bool:
    return where[0] in TAKEN or (where[0] == "sources" and len(where) > 2 and where[2] in OF_A_SOURCE)


def _retriever(given: Any) -> dict[str, Any]:
    """The simulated one; of the real one it takes how many documents it is asked for."""
    top_k = given.get("top_k") if isinstance(given, dict) else None
    return {"kind": f"{SERVICE}:SimulatedRetriever"} | ({} if top_k is None else {"top_k": top_k})


def _sources(given: Any) -> Any:
    """Each named source with the simulated log or canaries; what is no source is left for the loader to refuse."""
    if not isinstance(given, dict):
        return given or {}
    return {name: _source(settings) for name, settings in given.items()}


def _source(given: Any) -> Any:
    try:
        gives = getattr(find_kind("sources", given["kind"]), "gives", None)
    except (ConfigError, TypeError, KeyError, AttributeError):
        return given
    taken = {name: given[name] for name in OF_A_SOURCE if name in given}
    if gives == "runs":
        return taken | {"kind": f"{SERVICE}:SimulatedCanaries", "path": CANARIES}
    if gives != "traffic":
        return given
    return {name: value for name, value in taken.items() if name != "every"} | {"kind": "query_log", "path": LOG}


def _patterns(document: Document, scenario: Scenario) -> list[Where]:
    """Where each pattern of ``checks`` stands."""
    one = isinstance(document.data["checks"], str)
    return [("checks",)] if one else [("checks", index) for index in range(len(scenario.checks))]


def _pattern(document: Document, config: Document, where: Where) -> str:
    """A pattern of the scenario, relative to the configuration."""
    given = document.data["checks"] if len(where) == 1 else document.data["checks"][where[1]]
    pattern = below(Path(document.file).parent, given)
    matched = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 - may be absolute
    if not any(Path(file).is_file() for file in matched):
        raise ConfigErrors([document.error(where, f"'{given}' matches no file.", "Write it relative to this file.")])
    return os.path.relpath(pattern, Path(config.file).parent)


def _importable(*files: Path) -> None:
    """Let modules beside these files be imported, without a trace in their folders: checks may be of the user's own."""
    sys.dont_write_bytecode = True
    for folder in dict.fromkeys(str(file.absolute().parent) for file in files):
        if folder not in sys.path:
            sys.path.append(folder)


def _learnt(baseline: BaselineSettings) -> BaselineSettings:
    """A baseline given by dates is as long in the scenario, and begins with it."""
    if baseline.start is None or baseline.end is None:
        return baseline
    return BaselineSettings(length=baseline.end - baseline.start)
