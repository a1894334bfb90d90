"""What the daemon does for retraining, a light step at a time: may a job begin, how far is it, who must be asked.

Nothing here embeds, trains or imports what does. Every step reads the folder of the job and the store, so it does not
matter which daemon takes it, or how often, or when the last one was killed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from driftwatch.approval import Question
from driftwatch.config import Watch
from driftwatch.config.release import folder_of, registry_of
from driftwatch.errors import RetrainError
from driftwatch.retrain import _process, trainers
from driftwatch.retrain import promote as promotion
from driftwatch.retrain._job_files import DiskTrouble
from driftwatch.retrain._promotion import alone
from driftwatch.retrain.jobs import JobFolder, State, job_folder, new_job_id
from driftwatch.retrain.promote import Promotion
from driftwatch.retrain.registry import CURRENT
from driftwatch.retrain.settings import Retrain
from driftwatch.retrain.trainer_settings import Webhook
from driftwatch.retrain.trainers.local import NICE, environment
from driftwatch.retrain.trigger import Decision, Evidence, Firing, decide
from driftwatch.retraining.course import STEPS, Course, End, Step, courses, open_course
from driftwatch.retraining.material import corpus_of, retrain_of, said, teller_of
from driftwatch.retraining.normal import keep_normal
from driftwatch.retraining.question import question_of
from driftwatch.store import Store
from driftwatch.types import Alert, Finding

MOST_FINDINGS = 20_000
"""Of one alert: a look an hour for more than two years."""

MOST_FAILURES = 5
"""Of one step, or of the switch."""
AGAIN = timedelta(minutes=10)
"""After a first failure; twice as long after the second, and so on."""

UNASKED = timedelta(days=30)
"""How long an answer is waited for where nobody is asked in Slack."""

RECENT = timedelta(hours=1)
"""How long a count of pairs is good for: it reads the feedback of months."""

BEGUN_WITHIN = 10.0
"""Seconds to wait for somebody else who begins a job or a switch."""

ENDED_WITHIN = 5.0
"""Seconds in which a process that was killed must have let go."""

LONGEST_STEP = timedelta(days=3)
"""A step that takes longer has lost its way."""


@dataclass(frozen=True, slots=True)
class Stand:
    """How things stand after a step of the steward."""

    job: str
    """Empty: no job is under way."""
    doing: str
    """`nothing`, a step, `train`, `ask`, or how the job ended."""
    sentence: str
    """What is waited for; empty where a step is done and no other was begun."""


class Steward:
    """Drives the jobs of one watch."""

    def __init__(self, watch: Watch, store: Store, released: Callable[[], None] = lambda: None) -> None:
        self.watch = watch
        self.store = store
        self.released = released
        """Called when another release is in use, whoever switched it on."""
        self._in_use = self._linked()
        self._normal_for: str | None = None
        """The release whose baselines are known to be set."""
        self._telling: threading.Thread | None = None
        self._counted: tuple[datetime, int] | None = None
        """When pairs were counted last, and how many there were."""

    @property
    def settings(self) -> Retrain:
        """The section of the configuration."""
        return retrain_of(self.watch)

    @property
    def folder(self) -> Path:
        """Where jobs and releases are."""
        return folder_of(self.watch)

    def step(self, now: datetime) -> Stand:
        """Do what is due of the job that is under way; without one, see whether one may begin.

        Raises:
            DriftwatchError: a file of the job cannot be read or written; the next step tries again.
        """
        if (linked := self._linked()) != self._in_use:
            self._in_use = linked
            self.released()
        if linked != self._normal_for:
            keep_normal(self.watch, self.store, now)
            self._normal_for = linked
        course = open_course(self.folder)
        if course is None or not course.attempts:  # a switch tells by itself
            self._tell(now)
        if course is not None:
            return self.go_on(course, now)
        decision = self.decision(now)
        if not decision.start:
            against = " ".join(reason.sentence for reason in decision.reasons if not reason.passed)
            return Stand("", "nothing", against)
        return self.go_on(self.begin(now, [reason.sentence for reason in decision.reasons], self._incident()), now)

    def _linked(self) -> str:
        link = self.folder / CURRENT
        return str(link.readlink()) if link.is_symlink() else ""

    def _tell(self, now: datetime) -> None:
        """Tell who could not be told of the release in use, after a rollback; a program may take minutes for it."""
        if self._telling is None or not self._telling.is_alive():
            told = teller_of(self.watch)
            if any(each.again_at is None or each.again_at <= now for each in told.left()):
                self._telling = threading.Thread(target=told.step, args=[now], name="tell of a release", daemon=True)
                self._telling.start()

    # --- may one begin? ---------------------------------------------------------------------------------------------

    def decision(self, now: datetime, *, counting: bool = False) -> Decision:
        """Whether a job may begin, with every reason; pairs are counted where nothing else speaks against one, or where
        ``counting``.
        """
        firings, jobs = tuple(self._firings(now)), tuple(each.as_past() for each in courses(self.folder))
        rest = decide(Evidence(firings, self.settings.least_pairs, jobs), self.settings, now)
        if not (rest.start or counting):
            return rest
        if counting or self._counted is None or not now - RECENT < self._counted[0] <= now:
            self._counted = now, self.pairs(now)
        return decide(Evidence(firings, self._counted[1], jobs), self.settings, now)

    def begin(self, now: datetime, reasons: list[str], incident: str = "") -> Course:
        """Begin a job; the same incident on the same day is the same job, and one that is not over is not joined by
        another: that is the one, whoever began it in this very moment.
        """
        job_id = new_job_id(now, [self.watch.service, incident])
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.folder, BEGUN_WITHIN):
            if (there := open_course(self.folder)) is not None:
                return there
            course = Course(job_folder(self.folder, job_id).path)
            course.begin(now, incident, reasons)
            return course

    def pairs(self, now: datetime) -> int:
        """How many pairs there are, before any guard has looked at them."""
        from driftwatch.retrain.pairs import from_files, from_log, joined

        corpus, settings = corpus_of(self.watch), self.settings.pairs
        found = joined(
            from_log(said(self.watch, self.store, now), settings, corpus),
            from_files(settings.files, self.watch.base, corpus),
        )
        return sum(pair.relevant for pair in found.pairs)

    def _firings(self, now: datetime) -> Iterator[Firing]:
        checks = {check.name: check for check in self.watch.checks if check.name in self.settings.when}
        for (name, _), alert in sorted(self.store.decisions.alerts().items()):
            if name in checks and alert.fired_at is not None:
                diagnoses = self.store.diagnoses.history(alert.incident)
                firing = Firing.of(alert, self._findings(alert, now), checks[name], diagnoses)
                if firing is not None:
                    yield firing

    def _findings(self, alert: Alert, now: datetime) -> list[Finding]:
        assert alert.fired_at is not None
        found = self.store.decisions.findings(alert.check, alert.segment, alert.fired_at, MOST_FINDINGS)
        return [each for each in found if each.at <= now]

    def _incident(self) -> str:
        alerts = self.store.decisions.alerts()
        firing = [each for (name, _), each in sorted(alerts.items()) if name in self.settings.when and each.fired_at]
        return firing[0].incident if firing else ""

    # --- how far is it? ---------------------------------------------------------------------------------------------

    def go_on(self, course: Course, now: datetime, until: str = "") -> Stand:
        """Do what is due of one job; ``until``: the last of its steps that is begun."""
        for name, take in (
            ("pairs", self._pairs),
            ("mine", self._mine),
            ("train", self._train),
            ("judge", self._judge),
            ("ask", self._ask),
            ("promote", self._promote),
        ):
            waiting = "" if course.ended else take(course, now)
            if (ended := course.ended) is not None:
                return Stand(course.job_id, ended.how, ended.reason)
            if waiting or name == until:
                return Stand(course.job_id, name, waiting)
        ended = course.end("promoted", "its model is in use.", now)
        return Stand(course.job_id, ended.how, ended.reason)

    def _pairs(self, course: Course, now: datetime) -> str:
        return self._over(course, self._worked(course, "pairs", course.began, now), now)

    def _mine(self, course: Course, now: datetime) -> str:
        return self._over(course, self._worked(course, "mine", course.began, now), now)

    def _train(self, course: Course, now: datetime) -> str:
        wanted = self.settings
        return self._over(course, trainers.step(course.training, wanted.trainer, now, wanted.cluster), now)

    def _judge(self, course: Course, now: datetime) -> str:
        return self._over(course, self._worked(course, "judge", now, now), now)

    def _promote(self, course: Course, now: datetime) -> str:
        """Go on with the switch where it is due; it may have to wait, and what fails is tried again."""
        attempts = course.attempts
        if attempts and not (state := self._polled(attempts[-1], now)).is_over:
            self._launch(attempts[-1], now, now)
            return _waits(state)
        known = promotion.read(course.path)
        if known is not None and known.stage in promotion.OVER:
            if known.stage != "told":
                course.end("refused" if known.stage == "refused" else "rolled back", known.waiting, now)
            return ""
        failures = [each.outcome for each in attempts if each.outcome and each.outcome.outcome != "done"]
        is_refused = any(each.outcome == "refused" for each in failures)
        if is_refused or len(failures) >= MOST_FAILURES:
            self._end(course, "refused" if is_refused else "failed", failures[-1].reason, now)
            return ""
        due = self._due(known, failures[-1].at if failures else None, len(failures))
        if due is None or due <= now:
            self._launch(course.attempt(len(attempts) + 1), now, now)
            return "it is being switched on."
        return f"it goes on {due:%Y-%m-%d %H:%M} UTC: {known.waiting if known else 'it failed'}."

    def _due(self, known: Promotion | None, failed: datetime | None, failures: int) -> datetime | None:
        """When a promotion that waits may go on; None: at once."""
        times = [] if failed is None else [failed + AGAIN * failures]
        if known is not None and known.stage == "checked" and self.settings.promote.dual_run is not None:
            times.append(datetime.fromisoformat(known.at["checked"]) + self.settings.promote.dual_run)
        if known is not None and known.stage == "switched":
            times += [each.again_at for each in teller_of(self.watch).left() if each.again_at is not None]
        return max(times, default=None)

    def _worked(self, course: Course, name: Step, moment: datetime, now: datetime) -> State:
        """How a step is doing, once it has been started where that is due."""
        folder = course.step(name)
        state = self._polled(folder, now)
        if (due := again_at(course, name)) is not None:
            if now < due:
                return State("waiting", f"it is tried again {due:%Y-%m-%d %H:%M} UTC, since it failed: {state.reason}")
            folder = course.another(name)
        elif state.name not in ("waiting", "lost"):
            return state
        self._launch(folder, moment, now)
        return self._polled(folder, now)

    def hurry(self, course: Course, now: datetime) -> None:
        """Try at once what failed and waits to be tried again."""
        for name in STEPS:
            if course.ended is None and again_at(course, name) is not None:
                self._launch(course.another(name), now if name == "judge" else course.began, now)

    @staticmethod
    def _polled(folder: JobFolder, now: datetime) -> State:
        """How a step is doing; one that wrote nonsense has failed."""
        folder.path.mkdir(parents=True, exist_ok=True)
        if (decided := folder.outcome) is not None:
            return folder.decide(decided.outcome, decided.reason, now)
        try:
            return _process.poll(folder, LONGEST_STEP, now)
        except DiskTrouble:
            raise
        except RetrainError as error:
            return folder.decide("failed", str(error), now)

    def _launch(self, folder: JobFolder, moment: datetime, now: datetime) -> None:
        """Start the worker of a step, unless it runs or has ended; ``moment``: what it takes for now."""
        folder.path.mkdir(parents=True, exist_ok=True)
        program = [sys.executable, "-P", "-m", "driftwatch.retraining.worker"]
        arguments = [str(self.watch.path.absolute()), str(folder.path), moment.isoformat()]
        _process.launch(
            folder,
            [*program, *arguments],
            environment(os.environ),
            trainer="local",
            timeout=LONGEST_STEP,
            now=now,
            nice=NICE,
        )

    @staticmethod
    def _over(course: Course, state: State, now: datetime) -> str:
        """What is waited for; empty where a step is done. One that is not well ends the job."""
        if not state.is_over:
            return _waits(state)
        if state.name == "failed":
            course.end("refused" if _was_refused(course) else "failed", state.reason, now)
        return ""

    def stop(self, course: Course, why: str, now: datetime) -> None:
        """End a job, and what runs of it."""
        for folder in (*map(course.step, STEPS), course.training, *course.attempts):
            if folder.path.is_dir():
                folder.stop(why, now)
                _process.end_all(folder)
        self._end(course, "rejected", why, now, patience=ENDED_WITHIN)

    def _end(self, course: Course, how: End, why: str, now: datetime, *, patience: float = 0.0) -> None:
        """End a job with whose switch nobody goes on, so that it is in the way of no other; what is in use stays so."""
        left = promotion.give_up(course.path, registry_of(self.watch), why, now, patience=patience)
        course.end("promoted" if left is not None and left.stage == "told" else how, why, now)

    def told(self, job_id: str, body: bytes, token: str, now: datetime) -> tuple[int, str]:
        """What a trainer elsewhere says of its job: an HTTP status, and a sentence for it."""
        from driftwatch.retrain.trainers.callback import accept_result

        if not isinstance(trainer := self.settings.trainer, Webhook):
            return 403, "results are taken where `retrain: trainer:` is a webhook."
        try:
            job = job_folder(self.folder, job_id)
        except RetrainError as error:
            return 404, error.problem
        reply = accept_result(job, trainer, body, token, now)
        return reply.status, reply.sentence

    # --- a person ---------------------------------------------------------------------------------------------------

    def _ask(self, course: Course, now: datetime) -> str:
        """Ask once; what is waited for, or empty where somebody said yes. A no ends the job."""
        asked = self.store.approvals.of(course.job_id) or self._asked(course, now)
        self.store.approvals.expire_open(now)
        question = self.store.approvals.of(course.job_id) or asked
        if question.state == "approved":
            return ""
        if question.state == "open":
            return f"somebody must say yes or no until {question.expires_at:%Y-%m-%d %H:%M} UTC."
        said = f"by {question.decided_by}" if question.decided_by else "since nobody answered"
        course.end("rejected" if question.state == "rejected" else "expired", f"it was {question.state} {said}.", now)
        return ""

    def _asked(self, course: Course, now: datetime) -> Question:
        approve = self.settings.approve
        expires, documents = approve.expires if approve else UNASKED, len(corpus_of(self.watch))
        return self.store.approvals.ask(question_of(course, self.watch.service, documents, now, expires))


def again_at(course: Course, name: Step) -> datetime | None:
    """When a step that said itself that it failed is tried again: what it needs may be out of reach for a while.

    None: it did not fail, or too often, or was stopped or killed, or would not: that is for good.
    """
    tries = course.tries(name)
    try:
        outcome, said = tries[-1].outcome, tries[-1].result
    except RetrainError:
        return None
    if outcome is None or said is None or {outcome.outcome, said.outcome} != {"failed"} or len(tries) >= MOST_FAILURES:
        return None
    return None if tries[-1].stopping else outcome.at + AGAIN * len(tries)


def _waits(state: State) -> str:
    progress = state.progress
    far = f": {progress.stage}, {progress.step} of {progress.steps}" if progress else ""
    return f"{state.name}{far}. {state.reason}".strip()


def _was_refused(course: Course) -> bool:
    """Whether a step, or the trainer, said that it would not."""
    folders = (course.step("pairs"), course.step("mine"), course.training, course.step("judge"))
    return any(each.outcome is not None and each.outcome.outcome == "refused" for each in folders)
