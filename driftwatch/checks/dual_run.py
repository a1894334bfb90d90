"""Is the retriever that may replace the one in use worse, and has it been at least as good for long enough?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from itertools import groupby
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from driftwatch.checks import Check
from driftwatch.checks._paired import languages, measured, needed, pooled
from driftwatch.checks._words import language, percent, shorten, things
from driftwatch.compared import ALL, Comparison, Measured, Paired, Side
from driftwatch.schedule import Duration, duration, show_duration
from driftwatch.types import Finding, Window

DAY = timedelta(days=1)
EXAMPLES = 10


class DualRun(Check):
    """Two retrievers, asked the same canaries during a migration, paired by canary.

    Effect: mean change of the measure over the canaries, new retriever minus old; negative is worse.
    """

    kind: Literal["dual_run"] = "dual_run"
    needs: ClassVar[Literal["runs", "sample", "tallies", "probes", "comparisons"]] = "comparisons"
    family: ClassVar[str] = "migration"
    pools: ClassVar[bool] = False

    of: Literal["worse", "ready"]
    """`worse` fails when the new retriever certainly finds less. `ready` says, once, that it has been at least as good
    for so many days.
    """
    margin: float = Field(default=0.01, gt=0, lt=1)
    """A measure may be lower by this much: less is as good as equal."""
    days: int = Field(default=7, ge=1, le=90)
    """For how many days in a row it must have been at least as good."""
    min_queries: int = Field(default=10, ge=1)
    """With fewer canaries than this that both answered, nothing is said; languages with fewer are not judged alone."""
    max_unasked: float = Field(default=0.2, ge=0, lt=1)
    """When more than this share could not be asked of a side, nothing is said."""
    severity: Literal["page", "warn"] = "warn"
    """`warn` pages nobody: no user is asked the new retriever. What is `ready` never pages."""
    window: Duration = duration("15 days")
    """How far back it looks; longer than `days`."""

    @model_validator(mode="after")
    def sees_enough(self) -> DualRun:
        """The window holds the days that are to be counted."""
        if self.window <= self.days * DAY:
            seen = show_duration(self.window)
            raise ValueError(f"'window' ({seen}) must be longer than 'days' ({self.days}). Widen it.")
        return self

    @property
    def reminds(self) -> bool:
        """That something is ready is said once."""
        return self.of != "ready"

    def past_floor(self, finding: Finding) -> bool:
        """Lower by more than the margin."""
        return self.of == "worse" and finding.effect is not None and finding.effect < -self.margin

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the comparisons of the window; needs no baseline."""
        del reference, previous
        if not current.comparisons:
            return self._silent(current, "nothing was compared in this window", 0)
        newest = current.comparisons[-1]
        lately = [each for each in current.comparisons if newest.at - each.at < DAY]
        if missed := self._unasked(lately):
            return self._silent(current, missed, newest.same)
        if newest.same < self.min_queries:
            why = f"both answered {things(newest.same, 'canary')}; {self.min_queries} are needed to judge"
            return self._silent(current, why, newest.same)
        return self._worse(current, lately) if self.of == "worse" else self._ready(current, lately)

    def _silent(self, current: Window, why: str, n: int) -> Finding:
        """Only `worse` is blind without an answer: two alerts would say the same."""
        return self.unknown(current, why, n=n, learning=self.of == "ready")

    def _unasked(self, comparisons: Sequence[Comparison]) -> str:
        """Why too few could be asked; empty when enough were."""
        for sides in ([each.new for each in comparisons], [each.old for each in comparisons]):
            asked, failed = sum(side.asked for side in sides), sum(side.failed for side in sides)
            if failed > self.max_unasked * asked:
                return f"{failed} of {things(asked, 'question')} could not be asked of '{_of(sides)}': {_reason(sides)}"
        return ""

    # --- worse -----------------------------------------------------------------------------------------------------

    def _worse(self, current: Window, lately: Sequence[Comparison]) -> Finding:
        """The newest day, at the error budget of this look shared by everything that is compared."""
        paired, newest = pooled(lately), lately[-1]
        places = [ALL, *self._judged_alone(paired)]
        level = 1 - 2 * current.alpha / (len(places) * max(1, len(paired.old)))
        certain = [
            (shown, lang)
            for lang in places
            for shown, sure in zip(measured(paired, lang), measured(paired, lang, level), strict=True)
            if sure.high < -self.margin
        ]
        if not certain:
            first = measured(paired)[0]
            said = f"{_compared(newest, first)}{_likeness(newest)}"
            return self.finding(current, "ok", said, **_facts(paired, first))
        worst, lang = min(certain, key=lambda each: each[0].difference)
        said = f"{_compared(newest, worst)}{_within(lang)}, which is certainly worse{_also(certain, worst, lang)}"
        return self.finding(current, "fail", said, examples=_lost(paired, worst, lang), **_facts(paired, worst))

    def _judged_alone(self, paired: Paired) -> list[str]:
        return [lang for lang, n in languages(paired).items() if n >= self.min_queries]

    # --- ready -----------------------------------------------------------------------------------------------------

    def _ready(self, current: Window, lately: Sequence[Comparison]) -> Finding:
        newest, paired = lately[-1], pooled(lately)
        first = measured(paired)[0]
        if first.n < (wanted := needed(self.margin)):
            why = (
                f"that '{newest.new.name}' is at least as good cannot be shown with {things(first.n, 'canary')}: a "
                f"margin of {self.margin:g} needs {wanted}"
            )
            return self.unknown(current, why, learning=True, **_facts(paired, first))
        streak = self._streak(current.comparisons)
        lower = self._lower(pooled(streak)) if streak else self._lower(paired)
        done = newest.at - streak[0].at if streak else timedelta(0)
        facts = _facts(pooled(streak) if streak else paired, first)
        if lower:
            measure, lang = lower
            said = (
                f"{_compared(newest, measure)}{_within(lang)}: not shown to be at least as good within {self.margin:g}"
            )
            return self.finding(current, "ok", said, **facts)
        names = f"'{newest.new.name}' has been at least as good as '{newest.old.name}' for"
        if done < self.days * DAY:
            return self.finding(current, "ok", f"{names} {done // DAY} of {things(self.days, 'day')}", **facts)
        answers = sum(each.same for each in streak)
        said = f"{names} {things(self.days, 'day')} on {things(answers, 'canary answer')}: it can be switched on"
        return self.finding(current, "warn", said, **facts)

    def _streak(self, comparisons: Sequence[Comparison]) -> list[Comparison]:
        """The comparisons of the last days in a row, each of which shows it at least as good."""
        streak: list[Comparison] = []
        later: date | None = None
        for day, group in groupby(reversed(comparisons), lambda each: each.at.date()):
            found = list(group)[::-1]
            if later is not None and later - day > DAY:
                break
            if self._unasked(found) or self._lower(pooled(found)):
                break
            streak, later = [*found, *streak], day
        return streak

    def _lower(self, paired: Paired) -> tuple[Measured, str] | None:
        """The first measure that is not shown to be at least as good, and its language; None: every one is.

        A language with too few canaries to show anything must at least not measure less.
        """
        enough = needed(self.margin)
        for lang in (ALL, *languages(paired)):
            for each in measured(paired, lang):
                bound = each.low if each.n >= enough or lang == ALL else each.difference
                if not bound > -self.margin:
                    return each, lang
        return None if paired.query_ids else (Measured("R@10", 0, 0.0, 0.0, -1.0, 1.0, 0, 0), ALL)


# --- words ---------------------------------------------------------------------------------------------------------


def _compared(newest: Comparison, each: Measured) -> str:
    """``R@10 of 'new' is 0.81, of 'retriever' 0.93 (-0.12, -0.18 to -0.06) over 120 canaries``."""
    change = f"({each.difference:+.3f}, {each.low:+.3f} to {each.high:+.3f})"
    sides = f"of '{newest.new.name}' is {each.new:.3f}, of '{newest.old.name}' {each.old:.3f}"
    return f"{each.measure} {sides} {change} over {things(each.n, 'canary')}"


def _within(lang: str) -> str:
    return "" if lang == ALL else f" in {language(lang)}"


def _also(certain: Sequence[tuple[Measured, str]], worst: Measured, lang: str) -> str:
    """Where else it is worse."""
    others = [language(each) for _, each in certain if each not in (ALL, lang)]
    others = list(dict.fromkeys(others))
    measures = list(dict.fromkeys(each.measure for each, at in certain if at == lang and each.measure != worst.measure))
    parts = [*(f"so is {name}" for name in measures[:1]), *([f"so are {', '.join(others[:5])}"] if others else [])]
    return "".join(f"; {part}" for part in parts)


def _likeness(newest: Comparison) -> str:
    agreement = newest.queries.get(ALL)
    if agreement is None:
        return ""
    share = percent(agreement.overlap.value)
    return f"; they share {share} of the first {newest.k} documents of {things(agreement.n, 'sampled query')}"


def _facts(paired: Paired, shown: Measured) -> dict[str, Any]:
    return {
        "n": shown.n,
        "value": shown.new,
        "reference": shown.old,
        "effect": shown.difference,
        "interval": (shown.low, shown.high),
        "details": {
            "measure": shown.measure,
            "by_language": {
                lang: [asdict(each) | {"difference": each.difference} for each in measured(paired, lang)]
                for lang in (ALL, *languages(paired))
            },
        },
    }


def _lost(paired: Paired, worst: Measured, lang: str) -> tuple[str, ...]:
    """The canaries that lose most."""
    old, new = paired.old[worst.measure], paired.new[worst.measure]
    rows = [row for row in range(len(old)) if new[row] < old[row] and lang in (ALL, paired.langs[row])]
    return tuple(paired.query_ids[row] for row in sorted(rows, key=lambda row: new[row] - old[row])[:EXAMPLES])


def _of(sides: Sequence[Side]) -> str:
    return sides[-1].name


def _reason(sides: Sequence[Side]) -> str:
    reasons = [(count, reason) for side in sides for reason, count in side.unasked.items()]
    return shorten(max(reasons)[1]) if reasons else shorten("")
