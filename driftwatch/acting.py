"""What a person does about what is wrong: the same from the command line and from the pages, and recorded the same."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from driftwatch.alerts import OPEN
from driftwatch.alerts import acknowledge as acknowledged
from driftwatch.errors import DriftwatchError
from driftwatch.types import Alert, ExpectedChange, Silence

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store

NOBODY = "somebody"
"""The author where nobody says who it is."""


def acknowledge(watch: Watch, store: Store, name: str, author: str, now: datetime) -> list[Alert]:
    """``author`` looks after every open alert that ``name`` means: an incident, a check, or check:segment.

    Raises:
        DriftwatchError: it means none, or none that is open and not acknowledged by ``author`` already.
    """
    families = {check.name: check.family for check in watch.checks}
    moved = [
        acknowledged(alert, author, now, family=families.get(alert.check, ""))
        for alert in alerts_called(store, name)
        if alert.state in OPEN
    ]
    changed = [(alert, transition) for alert, transition in moved if transition is not None]
    if not changed:
        raise DriftwatchError(f"'{name}' is not open, or is acknowledged already.", remedy="See `driftwatch alerts`.")
    store.decisions.record(
        findings=(),
        alerts=[alert for alert, _ in changed],
        transitions=[transition for _, transition in changed],
        receivers={notifier.name: frozenset(notifier.tell) for notifier in watch.notify},
    )
    return [alert for alert, _ in changed]


def alerts_called(store: Store, name: str) -> list[Alert]:
    """The alerts that ``name`` means: an incident, a check, or check:segment.

    Raises:
        DriftwatchError: it means none.
    """
    incident = store.decisions.incident(name)
    if incident is not None:
        return [member.alert for member in incident.members]
    every = store.decisions.alerts()
    chosen = [alert for (check, segment), alert in every.items() if name in (check, f"{check}:{segment}")]
    if not chosen:
        raise DriftwatchError(f"nothing is called '{name}'.", remedy="See `driftwatch alerts` for what is open.")
    return chosen


def silence(
    watch: Watch, store: Store, check: str, segment: str, until: datetime, reason: str, author: str, now: datetime
) -> Silence:
    """Tell nobody about matching alerts until then; they are recorded all the same.

    Raises:
        DriftwatchError: there is no such check, or the end is not to come.
    """
    if check != "*" and check not in {each.name for each in watch.checks}:
        names = ", ".join(each.name for each in watch.checks)
        raise DriftwatchError(f"there is no check '{check}'.", remedy=f"There are: {names}.")
    _is_to_come(until, now)
    made = Silence(_new_id(), check, segment, until, author, reason, now)
    store.decisions.add_silence(made)
    return made


def expect(store: Store, start: datetime, end: datetime, reason: str, author: str, now: datetime) -> ExpectedChange:
    """Announce a change: nothing between ``start`` and ``end`` is evidence, and findings say so.

    Raises:
        DriftwatchError: it ends before it begins, or is over already.
    """
    if end <= start:
        raise DriftwatchError("an expected change must end after it begins.", remedy="Check its beginning and end.")
    if not reason.strip():
        raise DriftwatchError("an expected change needs a reason.", remedy="Say what is going to be different.")
    _is_to_come(end, now)
    made = ExpectedChange(_new_id(), start, end, reason, author, now)
    store.expected.add(made)
    return made


def end_expected(store: Store, change_id: str, author: str, now: datetime) -> None:
    """What was announced is over, or will not be: from now on everything is evidence again.

    Raises:
        DriftwatchError: there is no such change that goes on or is to come.
    """
    if not store.expected.end(change_id, author, now):
        raise DriftwatchError(
            f"there is no expected change '{change_id}' that goes on or is to come.",
            remedy="See `driftwatch alerts`. What the configuration says under `expected:` is changed there.",
        )


def _is_to_come(moment: datetime, now: datetime) -> None:
    if moment <= now:
        raise DriftwatchError("the end is in the past.", remedy="Name a moment to come.")


def _new_id() -> str:
    return uuid.uuid4().hex[:12]
