"""What loads and still cannot work, or hardly: found by comparing the parts of a ``Watch`` with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from driftwatch.checks import Check
from driftwatch.config.sentences import nearest
from driftwatch.config.upcoming import schedule_of
from driftwatch.config.watch import Watch
from driftwatch.schedule import show_duration
from driftwatch.sources import Source

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)

_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
"""Any Monday: gaps between runs are measured from here, so that the answer does not depend on the day."""


Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """``error``: it cannot work. ``warning``: it works, and hardly as it was meant."""

    severity: Severity
    message: str
    file: str
    line: int


Finding = tuple[Severity, str, str, str]
"""Severity, message, origin (``checks.0``, or empty for the file itself) and setting."""


def problems(watch: Watch) -> list[Problem]:
    """Everything that the comparison shows, by file and line."""
    found = [_located(watch, *finding) for rule in _RULES for finding in rule(watch)]
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.file, problem.line, problem.severity))


def _located(watch: Watch, severity: Severity, message: str, origin: str, setting: str) -> Problem:
    known = watch.origins.get(origin)
    return Problem(severity, message, *(known.place(setting) if known else (str(watch.path), 1)))


def _checks(watch: Watch) -> Iterator[tuple[str, Check, Source | None]]:
    """(origin, check, its source)."""
    for index, check in enumerate(watch.checks):
        yield f"checks.{index}", check, watch.sources.get(check.source)


def _unknown_sources(watch: Watch) -> Iterator[Finding]:
    for origin, check, source in _checks(watch):
        if source is None:
            remedy = nearest(check.source, watch.sources) or "There is none yet: add it below 'sources'."
            yield (
                "error",
                f"check '{check.name}' judges the source '{check.source}', which there is not. {remedy}",
                origin,
                "source",
            )


_GIVEN = {
    "runs": "canary runs",
    "traffic": "traffic",
    "probes": "looks into the index",
    "comparisons": "comparisons of two retrievers",
}


def _judged_by(check: Check) -> str:
    """What the source of ``check`` must give."""
    return "traffic" if check.needs in ("sample", "tallies") else check.needs


def _wrong_sources(watch: Watch) -> Iterator[Finding]:
    """A check of canary runs on a log, or the reverse."""
    for origin, check, source in _checks(watch):
        if source is None or (wanted := _judged_by(check)) == source.gives:
            continue
        needed, given = _GIVEN[wanted], _GIVEN.get(source.gives, source.gives)
        fitting = [name for name, each in watch.sources.items() if each.gives == wanted]
        remedy = f"Name {' or '.join(fitting)}." if fitting else f"Add a source that gives {needed}."
        message = f"check '{check.name}' ({check.kind}) judges {needed}, but '{check.source}' gives {given}. {remedy}"
        yield "error", message, origin, "source"


def _untaught(watch: Watch) -> Iterator[Finding]:
    """A check that learns from canaries which there are not."""
    for origin, check, _ in _checks(watch):
        if not check.learns_from or getattr(watch.sources.get(check.learns_from), "gives", "") == "runs":
            continue
        known = [name for name, each in watch.sources.items() if each.gives == "runs"]
        remedy = f"Name {' or '.join(known)}." if known else "Add a source of canaries."
        message = f"check '{check.name}' learns from '{check.learns_from}', which is no source of canaries. {remedy}"
        yield "error", message, origin, "canaries"


def _equal_names(watch: Watch) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for origin, check, _ in _checks(watch):
        if not check.name.strip() or not check.name.isprintable() or len(check.name) > 100:
            yield "error", "the name of a check is one line of at most 100 characters.", origin, "name"
        elif check.name in first:
            file, line = watch.origins[first[check.name]].place() if first[check.name] in watch.origins else ("", 0)
            message = f"a check called '{check.name}' is there already ({file}:{line}). Give each check its own name."
            yield "error", message, origin, "name"
        first.setdefault(check.name, origin)


def _short_windows(watch: Watch) -> Iterator[Finding]:
    """A window of traffic must hold something each time, and nothing should fall between two windows."""
    for origin, check, source in _checks(watch):
        if source is None or _judged_by(check) != "traffic":
            continue
        looks = f"check '{check.name}' looks at the last {show_duration(check.window)}, but"
        if check.window < HOUR or check.window % HOUR:
            severity: Severity = "error" if check.window < HOUR else "warning"
            yield severity, f"{looks} traffic is counted by the hour. Make the window whole hours.", origin, "window"
        if (gap := source.every.shortest_gap(_MONDAY)) > check.window:
            message = f"{looks} '{source.name}' is read every {show_duration(gap)}. Make the window at least that long."
            yield "error", message, origin, "window"
        if (gap := schedule_of(check, watch).shortest_gap(_MONDAY)) > check.window:
            message = (
                f"{looks} only every {show_duration(gap)}: the rest is never judged. Widen it, or look more often."
            )
            yield "warning", message, origin, "every" if check.every else "window"


def _thin_samples(watch: Watch) -> Iterator[Finding]:
    """A sample that can never hold as many queries as the check wants."""
    for origin, check, source in _checks(watch):
        wanted, kept = getattr(check, "min_n", 0), getattr(source, "keep_per_day", None)
        days = max(1, -(-check.window // timedelta(days=1)))
        if check.needs == "sample" and kept is not None and kept * days < wanted:
            message = f"check '{check.name}' needs {wanted} queries, but '{check.source}' keeps {kept} a day."
            yield "error", f"{message} Keep more ('keep_per_day'), or widen the window.", origin, "min_n"


def _short_memory(watch: Watch) -> Iterator[Finding]:
    """What is compared must be kept, and the baseline must hold a window."""
    length = _baseline_length(watch)
    for origin, check, _ in _checks(watch):
        setting = "tallies" if check.needs == "tallies" else "observations"
        kept = getattr(watch.retention, setting)
        if check.window > kept:
            message = (
                f"check '{check.name}' looks at the last {show_duration(check.window)}, but 'retention: {setting}'"
            )
            yield "error", f"{message} keeps {show_duration(kept)}. Keep more, or look at less.", origin, "window"
        if length < check.window and check.needs in ("runs", "sample", "tallies"):
            message = (
                f"check '{check.name}' looks at the last {show_duration(check.window)}, but the baseline holds only"
            )
            yield "error", f"{message} {show_duration(length)}. Lengthen the baseline.", origin, "window"
    if length > watch.retention.observations:
        message = f"the baseline is {show_duration(length)} long, but 'retention: observations' keeps"
        yield "error", f"{message} {show_duration(watch.retention.observations)}. Keep more.", "", "baseline"
    if watch.checks and length < WEEK:
        message = f"a baseline of {show_duration(length)} does not hold every hour of the week."
        yield "warning", f"{message} Seven days are the least that weekends can be compared with.", "", "baseline"


def _baseline_length(watch: Watch) -> timedelta:
    given = watch.baseline
    if given.length is not None:
        return given.length
    assert given.start is not None
    assert given.end is not None
    return given.end - given.start


def _nobody_to_ask(watch: Watch) -> Iterator[Finding]:
    """Canaries need a retriever, and some retrievers an embedder."""
    for name, source in watch.sources.items():
        asks_again = getattr(source, "ask_again", False)
        if watch.retriever is None and (source.gives == "runs" or asks_again):
            message = f"the queries of '{name}' are asked, but there is no 'retriever' to ask. Add one."
            yield "error", message, f"sources.{name}", "ask_again" if asks_again else ""
        if asks_again and watch.privacy.keep_text != "full":
            message = f"'{name}' is asked again, but 'keep_text: {watch.privacy.keep_text}' keeps no text to ask."
            yield "error", f"{message} Write 'keep_text: full', or remove 'ask_again'.", f"sources.{name}", "ask_again"
        if source.gives == "probes" and watch.probed is None and watch.retriever is None:
            message = f"'{name}' looks into the index, but there is neither an 'index' nor a 'retriever'. Add one."
            yield "error", message, f"sources.{name}", ""
    for section, retriever in (("retriever", watch.retriever), ("index", watch.index)):
        if retriever is not None and retriever.needs_embedder and watch.embedder is None:
            message = f"the retriever '{retriever.kind}' embeds the queries itself and needs an 'embedder'. Add one."
            yield "error", message, section, ""
    if watch.index is not None and not watch.index.capabilities:
        message = f"nothing can be looked into through '{watch.index.kind}'. Name a vector store, or leave 'index' out."
        yield "error", message, "index", "kind"


def _lonely_dual_runs(watch: Watch) -> Iterator[Finding]:
    """What a dual run names must be there."""
    for name, source in watch.sources.items():
        if source.gives != "comparisons":
            continue
        origin, new = f"sources.{name}", getattr(source, "retriever", None)
        if watch.retriever is None:
            message = f"'{name}' compares with the 'retriever' in use, which there is not. Add one."
            yield "error", message, origin, ""
        for setting, gives in (("canaries", "runs"), ("live", "traffic")):
            named = getattr(source, setting)
            known = [each for each, other in watch.sources.items() if other.gives == gives]
            if named and named not in known:
                remedy = f"Name {' or '.join(known)}." if known else f"Add a source that gives {_GIVEN[gives]}."
                yield "error", f"'{name}': '{named}' is no source that gives {_GIVEN[gives]}. {remedy}", origin, setting
            elif setting == "live" and not named and len(known) > 1 and getattr(source, "queries", False):
                message = (
                    f"'{name}' cannot tell which queries to ask: there are {', '.join(known)}. Name one as 'live'."
                )
                yield "error", message, origin, setting
        if (
            getattr(new, "needs_embedder", False)
            and watch.embedder is None
            and getattr(source, "embedder", None) is None
        ):
            message = f"'{name}': the new retriever embeds the queries itself and needs an 'embedder'. Add one."
            yield "error", message, origin, "retriever"


def _never_ready(watch: Watch) -> Iterator[Finding]:
    """A dual run that compares nothing on some days, and a check that counts days in a row."""
    for _, check, source in _checks(watch):
        if source is None or source.gives != "comparisons" or getattr(check, "of", "") != "ready":
            continue
        starts = [_MONDAY + number * DAY for number in range(14)]
        if any(source.every.next_after(start - timedelta(microseconds=1)) >= start + DAY for start in starts):
            message = (
                f"check '{check.name}' counts days in a row, but '{source.name}' compares nothing on some of them, and "
                "the count begins again. Compare at least once a day."
            )
            yield "warning", message, f"sources.{source.name}", "every"


def _nothing_to_embed_with(watch: Watch) -> Iterator[Finding]:
    for origin, check, _ in _checks(watch):
        if check.embeds and watch.embedder is None:
            message = f"check '{check.name}' ({check.kind}) compares embeddings, but there is no 'embedder'. Add one:"
            remedy = "'embedder: {model: intfloat/multilingual-e5-small}', and install the extra 'embed'."
            yield "error", f"{message} {remedy}", origin, "kind"


def _idle_parts(watch: Watch) -> Iterator[Finding]:
    judged = {name for check in watch.checks for name in (check.source, check.learns_from)}
    judged |= {getattr(source, part, "") for source in watch.sources.values() for part in ("canaries", "live")}
    if not watch.checks:
        yield "warning", "there are no checks, so nothing is ever found. Write 'checks: checks/*.yaml'.", "", "checks"
    for name in watch.sources if watch.checks else ():
        if name not in judged:
            yield "warning", f"no check judges the source '{name}'.", f"sources.{name}", ""
    if not watch.notify:
        message = "nobody is told: alerts stay in the database. Write 'notify: [{kind: console}]' at least."
        yield "warning", message, "", "notify"
    for index, receiver in enumerate(watch.notify):
        if not receiver.tell:
            yield "warning", f"'{receiver.name}' is told nothing. Name events in 'tell'.", f"notify.{index}", "tell"


def _twins(watch: Watch) -> Iterator[Finding]:
    """Receivers and logs that are there twice: everything would be told, or counted, twice."""
    for index, receiver in enumerate(watch.notify):
        for earlier in watch.notify[:index]:
            if earlier.name == receiver.name:
                yield "error", f"two receivers are called '{receiver.name}'. Rename one.", f"notify.{index}", "name"
            elif _but_name(earlier) == _but_name(receiver):
                message = f"'{receiver.name}' is the same as '{earlier.name}': everything is told twice. Remove one."
                yield "warning", message, f"notify.{index}", ""
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for name, source in watch.sources.items():
        if source.gives == "traffic" and getattr(source, "path", None):
            paths[str(getattr(source, "path", None))].append(name)
    for names in paths.values():
        for name in names[1:]:
            yield "warning", f"'{name}' reads the same files as '{names[0]}'.", f"sources.{name}", "path"


def _but_name(receiver: Any) -> dict[str, Any]:
    return {name: getattr(receiver, name) for name in type(receiver).model_fields if name != "name"}


def _open_doors(watch: Watch) -> Iterator[Finding]:
    """What other machines can reach needs a token, and what is pushed needs somewhere to arrive."""
    for name, source in watch.sources.items():
        if source.kind != "push":
            continue
        if watch.api is None:
            message = f"clients push to '{name}' through the API, which is off. Remove 'api: off'."
            yield "error", message, f"sources.{name}", "kind"
        elif watch.api.is_open and getattr(source, "token", None) is None:
            message = f"'{watch.api.host}' lets other machines push to '{name}'. Give the source a 'token'."
            yield "error", message, f"sources.{name}", "token"
    if watch.api is not None and watch.api.is_open and watch.api.token is None:
        message = f"the pages are open to everybody who can reach '{watch.api.host}'. Set 'api: token'."
        yield "warning", message, "", "api"


def _forgotten_key(watch: Watch) -> Iterator[Finding]:
    if watch.privacy.keep_text == "hash" and watch.privacy.key is None:
        message = "the texts are hashed with a key that is drawn at each start: after a restart the same query has"
        remedy = "another hash. Set 'privacy: key_file', made with `openssl rand -hex 32`."
        yield "warning", f"{message} {remedy}", "", "privacy"


def _unheard_events(watch: Watch) -> Iterator[Finding]:
    names = [check.name for check in watch.checks]
    for name in watch.retrain.when if watch.retrain else ():
        if name not in names:
            message = f"'retrain: when' names the check '{name}', which there is not. {nearest(name, names)}".strip()
            yield "error", message, "", "retrain"


_RULES: tuple[Callable[[Watch], Iterator[Finding]], ...] = (
    _unknown_sources,
    _wrong_sources,
    _untaught,
    _equal_names,
    _short_windows,
    _thin_samples,
    _short_memory,
    _nobody_to_ask,
    _lonely_dual_runs,
    _never_ready,
    _nothing_to_embed_with,
    _idle_parts,
    _twins,
    _open_doors,
    _forgotten_key,
    _unheard_events,
)
