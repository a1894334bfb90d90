"""The daemon's own engine over recorded time, asked only where it could say something new.

The evidence of every counted check is forecast a week at a time. A look whose evidence stays within the budget, whose
windows can only be ok and whose alerts are at rest changes nothing but the ledgers, and those are folded later; at
every other look the engine does what it does in the daemon.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from driftwatch.checks import Check
from driftwatch.checks._counted import Counted
from driftwatch.checks.canary import Canary
from driftwatch.config import Watch
from driftwatch.contents import Asked
from driftwatch.engine import Engine
from driftwatch.ledgers import State
from driftwatch.replay.certain import CertainRuns
from driftwatch.replay.counting import RecordedWeighing
from driftwatch.replay.forecast import Forecast, forecast
from driftwatch.replay.looks import Group, in_time
from driftwatch.replay.reading import Progress
from driftwatch.replay.record import Record
from driftwatch.replay.remembered import Rehearsal, Remembered
from driftwatch.replay.traffic import EPOCH, PIECE
from driftwatch.types import Embedder
from driftwatch.windows import Learning, floor_hour

NEARLY = 1 - 1e-6
"""Evidence that is so much of the budget is looked at, however it was rounded."""


def play(
    watch: Watch,
    rehearsal: Rehearsal,
    record: Record,
    groups: Sequence[Group],
    progress: Progress,
    embedder: Embedder | None = None,
    *,
    every_look: bool = False,
) -> Player:
    """Every decision as the daemon would have made it; ``every_look`` asks the engine each time."""
    player = Player(watch, rehearsal, record, embedder, every_look=every_look)
    week: int | None = None
    for moment, group in in_time(list(groups)):
        if (number := (moment - EPOCH) // PIECE) != week:
            player.begin(moment)
            week = number
            progress(f"replaying {moment:%Y-%m-%d}", 0)
        player.look(group, moment)
    return player


def cannot_feed(watch: Watch, rehearsal: Rehearsal, record: Record) -> dict[str, str]:
    """Check -> why what was recorded says nothing to it, right after the baseline."""
    player = Player(watch, rehearsal, record, None, every_look=True)
    found: dict[str, str] = {}
    for check in watch.checks:
        known = record.baseline(check.source, check.needs, record.extents[check.source].end, check.aspect)
        if isinstance(known, Learning) or (
            isinstance(check, Counted) and player.ledgers.watched(check, known) is not None
        ):
            continue
        said = player.engine.judge([check], known.end + check.window)
        if all(finding.verdict == "unknown" for finding in said):
            found[check.name] = said[-1].message.rstrip(".")
    return found


class Player:
    """One engine, its ledgers and what they are forecast to hold."""

    def __init__(
        self, watch: Watch, rehearsal: Rehearsal, record: Record, embedder: Embedder | None, *, every_look: bool
    ) -> None:
        self.watch = watch
        self.store = rehearsal
        self.record = record
        self.every_look = every_look
        self.engine = Engine(watch, rehearsal, learns=False, diagnoses=False)
        record.asked = Asked(rehearsal, embedder, watch.privacy, at_once=1 << 30)
        self.engine.windows = record
        self.engine.evidence = weighing = RecordedWeighing(record, watch)
        self.ledgers = weighing.recorded
        self.counted = {check.name: check for check in watch.checks if isinstance(check, Counted)}
        self.last: dict[str, datetime] = {}
        """Check -> its last look."""
        self.ends = EPOCH
        self.asked_engine = 0
        self._forecasts: dict[str, Forecast | None] = {}
        self._learning: dict[str, tuple[date | None, int]] = {}
        """Check -> the day on which it was last asked while learning, and the queries of its window then."""
        self._runs = {name: CertainRuns(check) for name, check in self.counted.items() if isinstance(check, Canary)}
        self._doubted = {name for name, check in self.counted.items() if record.is_dense(check.source)}
        """Checks that are asked every time: what they look at changes within an hour, or they were not ok when they
        had to be."""

    @property
    def remembered(self) -> Remembered:
        """What was decided."""
        return self.store.remembered

    def begin(self, moment: datetime) -> None:
        """Begin another week: fold everything up to the last looks, and forecast anew."""
        self._fold(self.counted)
        self._forecasts.clear()
        self.ends = EPOCH + ((moment - EPOCH) // PIECE + 1) * PIECE

    def look(self, group: Group, moment: datetime) -> None:
        """Look at ``moment``, if anything could be new."""
        self.store.asked.now = moment
        due = [check for check in group.checks if isinstance(check, Counted)]
        asked = {check.name for check in group.checks if not isinstance(check, Counted)}
        if self.every_look:
            asked |= {check.name for check in due}
        else:
            asked |= {check.name for check in due if self._is_open(check, moment)}
            if due and self._may_page(due, moment):
                asked |= {check.name for check in due}
        self.last |= {check.name: moment for check in due}
        if asked:
            self._ask([check for check in group.checks if check.name in asked], moment)

    def _ask(self, checks: Sequence[Check], moment: datetime) -> None:
        """What the daemon does at a look; the evidence of all other checks is brought up to date first."""
        names = {check.name for check in checks}
        if names & self.counted.keys():
            self._fold(self.counted.keys() - names)
            self.asked_engine += 1
        sure = {name for name in names if self._was_certain(name, moment)}
        found = self.engine.tick(checks, moment).findings
        self._doubted |= {
            each.check
            for each in found
            if each.check in sure and each.verdict != "ok" and not each.learning and not self._fires(each.check)
        }

    def _was_certain(self, name: str, moment: datetime) -> bool:
        made = self._forecasts.get(name)
        if made is None or self.watch.expects(moment):
            return False
        return (
            self._runs[name].of(self.store.asked.latest(made.watched.check.source))
            if name in self._runs
            else (made.is_certain(moment))
        )

    def _fires(self, name: str) -> bool:
        return bool(self._firing(name))

    # --- what could be new -----------------------------------------------------------------------------------------

    def _is_open(self, check: Counted, moment: datetime) -> bool:
        """Whether the check itself must be asked: nothing is known, its alerts are moving, or its window is thin."""
        made = self._forecast(check, moment)
        if made is None and self._still_learns(check, moment):
            return False
        first = self.last.get(check.name, EPOCH) < self.ends - PIECE
        if made is None or first or check.name in self._doubted or not self._was_certain(check.name, moment):
            return True
        return self._moves(check, moment)

    def _still_learns(self, check: Counted, moment: datetime) -> bool:
        """Whether a look can only say that the baseline is not full, as the first look of the day did."""
        floored = any(getattr(check, name, None) is not None for name in ("at_least", "at_most"))
        if (
            check.needs == "runs"
            or floored
            or not isinstance(self.record.baseline(check.source, check.needs, moment, check.aspect), Learning)
        ):
            return False
        queries = self._queries(check, moment)
        day, known = self._learning.get(check.name, (None, 0))
        own = [each for (name, _), each in self.remembered.last_findings().items() if name == check.name]
        if day == moment.date() and queries * 2 >= known > 0 and all(each.learning for each in own):
            return True
        self._learning[check.name] = moment.date(), queries
        return False

    def _queries(self, check: Counted, moment: datetime) -> int:
        end = floor_hour(moment)
        return self.store.traffic.tallies(check.source, end - check.window, end).total("queries")

    def _moves(self, check: Counted, moment: datetime) -> bool:
        """Whether an alert of the check may change although no new evidence pages."""
        alerts = [alert for (name, _), alert in self.remembered.alerts().items() if name == check.name]
        if any(alert.state in ("pending", "blind") for alert in alerts):
            return True
        firing = [alert for alert in alerts if alert.state == "firing"]
        if any(alert.bad == 0 or alert.good or alert.unknown for alert in firing):
            return True
        if not firing:
            return any(alert.bad or alert.unknown for alert in alerts)
        account = self.ledgers.look(check, moment, self._state(check.name), self._firing(check.name))
        return account is None or any(account.recovered(alert.segment) is not False for alert in firing)

    def _may_page(self, due: Sequence[Counted], moment: datetime) -> bool:
        """Whether the evidence of all checks together passes the budget, and names one that is due."""
        for severity in {check.severity for check in due}:
            total = 0.0
            for name, check in self.counted.items():
                if check.severity == severity:
                    total += self._total(name, moment if check in due else self.last.get(name, moment))
            if total >= self.ledgers.limit(severity) * NEARLY:
                return self._pages(due, moment)
        return False

    def _total(self, name: str, moment: datetime) -> float:
        """Days of evidence that a check held at its look at ``moment``."""
        if (made := self._forecasts.get(name)) is not None:
            return made.at(moment)
        state = self._state(name)
        return state.standing.total if state is not None else 0.0

    def _pages(self, due: Sequence[Counted], moment: datetime) -> bool:
        self._fold(self.counted.keys() - {check.name for check in due})
        weighed = self.engine.evidence.weigh(due, moment, self.remembered.alerts(), self.remembered.ledgers(), {})
        return bool(weighed.decided)

    # --- ledgers ---------------------------------------------------------------------------------------------------

    def _forecast(self, check: Counted, moment: datetime) -> Forecast | None:
        """The forecast of this week, made anew when what it rests on has changed."""
        made = self._forecasts.get(check.name)
        firing = self._firing(check.name)
        if made is None or made.firing != firing or not self._still_holds(made, check, moment):
            made = forecast(self.ledgers, check, moment, self.ends, self._state(check.name), firing)
            self._forecasts[check.name] = made
        return made

    def _still_holds(self, made: Forecast, check: Counted, moment: datetime) -> bool:
        baseline = self.record.baseline(check.source, check.needs, moment, check.aspect)
        if (getattr(baseline, "start", None), getattr(baseline, "end", None)) != (
            made.baseline.start,
            made.baseline.end,
        ):
            return False
        return self.ledgers.watched(check, made.baseline) is made.watched

    def _fold(self, names: Sequence[str] | set[str] | dict[str, Counted]) -> None:
        """Bring the ledgers of these checks up to their last look, as the looks that were left out would have."""
        now = self.store.asked.now
        for name in names:
            if (last := self.last.get(name)) is None:
                continue
            self.store.asked.now = last
            account = self.ledgers.look(self.counted[name], last, self._state(name), self._firing(name))
            if account is not None:
                self.remembered.keep(name, account.state.packed())
        self.store.asked.now = now

    def _state(self, name: str) -> State | None:
        body = self.remembered.ledger(name)
        return State.unpacked(body) if body is not None else None

    def _firing(self, name: str) -> frozenset[str]:
        alerts = self.remembered.alerts()
        return frozenset(segment for (check, segment), alert in alerts.items() if check == name and alert.fired_at)
