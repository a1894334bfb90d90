"""`init`, `validate`, `kinds` and `notify test`: setting driftwatch up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from driftwatch.commands import say
from driftwatch.errors import ConfigError, DriftwatchError, MissingExtra
from driftwatch.plugins import ROOMS, find_kind, kind_names
from driftwatch.show import at, now_utc, table

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.config.sections import OpenTelemetry, Report


@dataclass(frozen=True, slots=True)
class Reached:
    """One thing that `validate` looked at."""

    what: str
    state: Literal["ok", "warn", "fail"]
    said: str


def init(directory: Path, *, force: bool) -> None:
    """Write the starter files and say what to do next."""
    from driftwatch.starter import write_starter

    written = write_starter(directory, force=force)
    lines = [f"wrote {path}" for path in written]
    say(False, {}, *lines, "", f"Next: edit {directory / 'driftwatch.yaml'}, then run `driftwatch validate`.")


def validate(config: Path, *, offline: bool, json: bool) -> int:
    """Print what is wrong, what was reached and when each job runs next; 0 when nothing is wrong."""
    from driftwatch.config import agenda, load_watch, problems

    watch = load_watch(config)
    now = now_utc()
    found = problems(watch)
    reached = [] if offline else list(_reach_all(watch))
    jobs = agenda(watch, now)
    failed = any(each.severity == "error" for each in found) or any(each.state == "fail" for each in reached)
    content = {
        "ok": not failed,
        "problems": [asdict(each) for each in found],
        "reached": reached,
        "jobs": [{"name": name, "every": every, "next": runs} for name, every, runs in jobs],
    }
    lines = [f"{each.file}:{each.line}: {each.severity}: {each.message}" for each in found]
    shown = table("", ("", "state", "found"), [(each.what, each.state, each.said) for each in reached])
    say(json, content, *lines, *([shown] if reached else []), _jobs_table(watch, jobs), _verdict(watch, failed))
    return 3 if failed else 0


def _verdict(watch: Watch, failed: bool) -> str:
    return f"{watch.path} cannot work as it is." if failed else f"{watch.path} is good. Next: `driftwatch run`."


def _jobs_table(watch: Watch, jobs: list[Any]) -> Any:
    rows = []
    for name, every, runs in jobs:
        rows.append((name, every, *(at(run) for run in runs)))
        if watch.timezone != "UTC":
            rows.append(("", "", *(at(run, watch.timezone) for run in runs)))
    return table("", ("job", "every", "next", "then", "then"), rows)


def _reach_all(watch: Watch) -> Iterator[Reached]:
    yield _reached("database", lambda: _database(watch))
    if (retriever := watch.retriever) is not None:
        yield _reached(f"retriever ({retriever.kind})", retriever.reach)
    if (index := watch.index) is not None:
        yield _reached(f"index ({index.kind})", index.reach)
    if (documents := watch.documents) is not None:
        yield _reached("documents", lambda: f"{len(documents.corpus(watch.base))} documents")
    for name, source in watch.sources.items():
        yield _reached(f"source {name}", lambda source=source: _source(watch, source))  # type: ignore[misc]
    if watch.embedder is not None:
        yield Reached("embedder", "ok", f"{watch.embedder.model}, loaded when something is embedded")
    for notifier in watch.notify:
        yield _reached(f"notify {notifier.name}", notifier.reach)
    if watch.otel is not None:
        yield _collector(watch.otel)
    if watch.report is not None:
        yield _reporting(watch.report)
    if (retrain := watch.retrain) is not None:
        where = "on this machine" if retrain.trainer == "local" else "elsewhere"
        yield Reached("retrain", "ok", f"prepared when {', '.join(retrain.when)} asks for it, and trained {where}")


def _reporting(report: Report) -> Reached:
    """Without matplotlib a report is complete, in tables."""
    if find_spec("matplotlib") is None:
        return Reached("report", "warn", str(MissingExtra("matplotlib", "report", "Drawing the charts of a report")))
    return Reached("report", "ok", f"made {report.every}, kept for {report.keep.days} days")


def _reached(what: str, look: Callable[[], str]) -> Reached:
    try:
        return Reached(what, "ok", look())
    except DriftwatchError as error:
        return Reached(what, "fail", str(error))


def _collector(otel: OpenTelemetry) -> Reached:
    """A collector that is away is no reason not to start."""
    from driftwatch import tracing

    try:
        return Reached("otel", "ok", tracing.reach(otel.endpoint, otel.secrets))
    except MissingExtra as error:
        return Reached("otel", "fail", str(error))
    except DriftwatchError as error:
        return Reached("otel", "warn", str(error))


def _database(watch: Watch) -> str:
    from driftwatch.store import Store

    return Store.probe(watch.database)


def _source(watch: Watch, source: Any) -> str:
    if source.gives == "runs":
        suite = source.load(watch.base)
        return "; ".join([f"{len(suite.queries)} canaries", *suite.notes])
    if source.gives == "probes":
        able = sorted(watch.probed.capabilities) if watch.probed else []
        return f"the index can: {', '.join(able)}" if able else "nothing of this index can be looked into"
    if source.gives == "comparisons":
        return f"the new retriever: {source.retriever.reach()}"
    return str(source.reach(watch.base)) if hasattr(source, "reach") else "fed by clients"


def kinds(kind: str, *, json: bool) -> None:
    """Print every kind, or one kind's settings."""
    from driftwatch.settings_docs import settings_of

    if not kind:
        rows = [(room, name, _sentence(find_kind(room, name))) for room in ROOMS for name in kind_names(room)]
        content = [{"room": room, "kind": name, "about": about} for room, name, about in rows]
        say(json, {"kinds": content}, table("", ("room", "kind", "what it is"), rows))
        return
    room = next((room for room in ROOMS if kind in kind_names(room)), None)
    if room is None:
        every = ", ".join(name for room in ROOMS for name in kind_names(room))
        raise ConfigError(f"there is no kind '{kind}'.", remedy=f"There are: {every}.")
    cls = find_kind(room, kind)
    settings = settings_of(cls)
    rows4 = [(each.name, each.type, each.default, each.about) for each in settings]
    content2 = {"room": room, "kind": kind, "about": cls.__doc__, "settings": [asdict(each) for each in settings]}
    say(json, content2, f"{room}/{kind}: {_sentence(cls)}", table("", ("setting", "type", "default", "about"), rows4))


def _sentence(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n")[0]


def notify_test(config: Path, names: tuple[str, ...], *, json: bool) -> int:
    """Send a sample incident to each receiver and say how it went."""
    from driftwatch.config import load_watch
    from driftwatch.notify import sample_notice

    watch = load_watch(config)
    unknown = set(names) - {notifier.name for notifier in watch.notify}
    if unknown:
        every = ", ".join(notifier.name for notifier in watch.notify)
        raise ConfigError(f"there is no receiver '{min(unknown)}'.", file=config, remedy=f"There are: {every}.")
    notice = sample_notice(watch.service, now_utc())

    def send(notifier: Any) -> str:
        notifier.deliver(notice, None, repeat=False)
        return "sent"

    told = [n for n in watch.notify if not names or n.name in names]
    results = [_reached(notifier.name, lambda notifier=notifier: send(notifier)) for notifier in told]  # type: ignore[misc]
    say(json, {"results": results}, table("", ("receiver", "state", ""), [(r.what, r.state, r.said) for r in results]))
    return 3 if any(result.state == "fail" for result in results) or not results else 0
