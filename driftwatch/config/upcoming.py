"""What is due next, for a person to read."""

from __future__ import annotations

from datetime import datetime

from driftwatch.checks import Check
from driftwatch.config.watch import Watch
from driftwatch.schedule import Schedule

HOURLY = Schedule.parse("1h")


def schedule_of(check: Check, watch: Watch) -> Schedule:
    """How often ``check`` looks: its own ``every``, else with each reading of what is asked, else hourly."""
    if check.every is not None:
        return check.every
    source = watch.sources.get(check.source)
    return source.every if source is not None and source.gives != "traffic" else HOURLY


def remembered(watch: Watch) -> dict[str, Schedule]:
    """What is asked of the service, and every group of checks of one source and rhythm: name of the job -> when."""
    jobs = {f"source {name}": each.every for name, each in watch.sources.items() if each.gives != "traffic"}
    for check in watch.checks:
        if check.every is not None or watch.sources[check.source].gives == "traffic":
            jobs[job_of(check.source, schedule_of(check, watch))] = schedule_of(check, watch)
    return jobs


def job_of(source: str, every: Schedule | str) -> str:
    """How the looks at ``source`` in one rhythm are called."""
    return f"checks of {source} every {every}"


def agenda(watch: Watch, now: datetime, count: int = 3) -> list[tuple[str, str, list[datetime]]]:
    """(what is done, how often, the next ``count`` times): sources that are read, checks, report, heartbeat."""
    read = [(name, each) for name, each in watch.sources.items() if each.gives != "traffic" or hasattr(each, "read")]
    jobs = [(f"source {name}", source.every) for name, source in read]
    jobs += [(check.name, schedule_of(check, watch)) for check in watch.checks]
    if watch.report is not None:
        jobs.append(("report", watch.report.every))
    if watch.heartbeat is not None:
        jobs.append(("heartbeat", watch.heartbeat.every))
    return [(name, str(schedule), schedule.next_runs(now, count)) for name, schedule in jobs]
