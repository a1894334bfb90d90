"""A fault played to its end, and whether what driftwatch said about it is right."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import orjson

from driftwatch.types import Incident
from tests.faults.faults import Fault
from tests.faults.injectors import Truth
from tests.faults.laboratory import STEP, Laboratory
from tests.faults.people import HOUR

AFTERWARDS = 12
"""Hours that go on after the first incident: symptoms that come late would open a second one."""
BEFORE = 3
"""The fault comes after up to so many quiet looks."""
UNDIAGNOSED = "(no diagnosis)"


@dataclass(frozen=True)
class Played:
    """What was said about one fault."""

    fault: str
    backend: str
    seed: int
    expected: tuple[str, ...]
    found: str
    """The cause that was named; empty: no incident opened."""
    causes: tuple[str, ...]
    right: bool
    why: str
    """What is wrong with it."""
    incidents: int
    opened: tuple[str, ...]
    """Family, segment and hours after the fault of each incident."""
    hours: float | None
    """From the fault to the first incident."""
    sentence: str
    took: float
    """Seconds."""

    def row(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)


def play(lab: Laboratory, fault: Fault) -> Played:
    """From the quiet days on, in a process of its own; the laboratory is as it was afterwards.

    Raises:
        RuntimeError: the play broke off, with the traceback.
    """
    lab.restore()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _tell(lab, fault, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read()
    os.waitpid(child, 0)
    row = orjson.loads(told) if told else {"broke": "the process died"}
    if "broke" in row:
        raise RuntimeError(f"{fault.name} ({lab.backend}, seed {lab.seed}): {row['broke']}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Played(**values)


def _tell(lab: Laboratory, fault: Fault, writing: int) -> NoReturn:
    """Play in this process, say what came of it, and be gone without any of the parent's last words."""
    try:
        lab.wake()
        told = orjson.dumps(_played(lab, fault).row())
        lab.rest()
    except BaseException:  # noqa: BLE001 - the parent raises it, with its traceback
        told = orjson.dumps({"broke": traceback.format_exc()})
    with os.fdopen(writing, "wb") as stream:
        stream.write(told)
    os._exit(0)


def _played(lab: Laboratory, fault: Fault) -> Played:
    started = time.perf_counter()
    for _ in lab.pass_time(STEP * int(lab.chance(9).integers(0, BEFORE + 1))):
        pass
    since = lab.now
    truth = fault.inject(lab)
    incidents: list[Incident] = []
    for now in lab.pass_time(fault.hours):
        incidents = lab.incidents(since)
        if incidents and "" not in fault.causes and now - incidents[0].opened_at >= AFTERWARDS * HOUR:
            break
    said = lab.diagnosis(incidents[0].incident_id) if incidents else None
    found = "" if not incidents else UNDIAGNOSED if said is None else said.cause
    why = judged(fault, truth, incidents, said)
    return Played(
        fault.name,
        lab.backend,
        lab.seed,
        fault.causes,
        found,
        tuple(said.causes) if said else (),
        not why,
        why,
        len(incidents),
        tuple(_opened(each, since) for each in incidents),
        (incidents[0].opened_at - since) / HOUR if incidents else None,
        said.sentence if said else "",
        time.perf_counter() - started,
    )


def judged(fault: Fault, truth: Truth, incidents: Sequence[Incident], said: Any) -> str:
    """What is wrong with what was said; empty when nothing is."""
    if not incidents:
        return "" if "" in fault.causes else "nothing was said"
    if said is None:
        return "no diagnosis"
    named = set(said.causes) | {said.cause}
    if fault.both and not set(fault.causes) <= named:
        return f"named {sorted(named)}"
    if said.cause not in fault.causes:
        return f"the cause is {said.cause!r}"
    if not fault.both and truth.segment != said.segment:
        return f"the segment is {said.segment!r}"
    if reason := _wrong_names(truth, said):
        return reason
    return "" if len(incidents) == 1 else "a second incident opened"


def _wrong_names(truth: Truth, said: Any) -> str:
    for what, affected, found in (
        ("document", truth.documents, said.documents),
        ("canary", truth.queries, said.queries),
    ):
        if affected and found and (wrong := [each for each in found if each not in affected]):
            return f"{len(wrong)} of {len(found)} named {what}s were not affected, such as {wrong[0]}"
    if truth.documents and not said.documents and not (truth.queries and said.queries):
        return "no document is named"
    return ""


def _opened(incident: Incident, since: Any) -> str:
    """Family, segment, hours and the checks of an incident."""
    checks = ",".join(sorted({f"{each.alert.check}[{each.alert.segment}]" for each in incident.members}))
    return f"{incident.family}/{incident.segment or '*'} +{(incident.opened_at - since) / HOUR:.0f}h: {checks}"
