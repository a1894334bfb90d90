"""Is the new model better, and for nobody worse? Old against new on questions that neither has seen. Pure.

The gate says yes only where every reason passed. Each of them refuses a model that is no better, or that is worse
than is allowed, except by a chance of half of what `confidence` leaves; so whichever of them a model should be refused
for, it gets through at most so often, however many there are (Berger 1982, "Multiparameter hypothesis testing and
acceptance sampling", *Technometrics* 24: the intersection-union test). That is why nothing is corrected for the number
of languages, and why no language borrows from another: what draws it towards the others hides that it alone got worse.
What is corrected for is the number of candidates that were judged before: who knocks often enough would be let in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from driftwatch.retrain._differences import JUDGED, UNSEEN, Paired
from driftwatch.retrain.compatible import cannot_load, unsaid
from driftwatch.retrain.settings import Gate
from driftwatch.retrained import Asked, Difference, Judgement, Reason, Served
from driftwatch.show import safe
from driftwatch.stats.ir import Measure
from driftwatch.types import POOLED, UNDETERMINED

TOGETHER = "unseen"
"""The name of canaries and held-out pairs together."""
SMALL = "small languages"
"""And that of the languages with too few questions, together."""
ENOUGH = "enough evidence"
"""The name of the first reason."""
HELD_OUT = ("held-out",)
NOTHING: Mapping[str, str] = MappingProxyType({})


def judge(
    asked: Sequence[Asked],
    old: Served,
    new: Served,
    settings: Gate,
    serving: Mapping[str, str] = NOTHING,
    *,
    earlier: int = 0,
) -> Judgement:
    """Whether ``new`` may take the place of ``old``, with every reason, for and against.

    Args:
        asked: questions with known answers: canaries, held-out pairs, and what must not be forgotten.
        old: what the model in use gave for them.
        new: what the candidate gave.
        settings: what it must show.
        serving: library -> the version that the service runs.
        earlier: candidates that were judged against the same model before; see ``level``.
    """
    case = _Case(Paired.of(asked, old, new, measures(settings.measure)), settings, earlier)
    reasons = (
        _enough(case),
        _gains(case, "gain", TOGETHER, UNSEEN),
        _gains(case, "gain beyond the canaries", "held-out", HELD_OUT),
        _no_language_loses(case),
        _not_forgotten(case),
        _no_measure_falls(case),
        _ratio("memory", old.memory_bytes / 1e6, new.memory_bytes / 1e6, "MB", settings.memory),
        _ratio("latency", old.query_ms, new.query_ms, "ms", settings.latency),
        _serving(new, serving),
    )
    passed = all(reason.passed for reason in reasons)
    return Judgement(passed, reasons, tuple(case.differences()), tuple(_notes(case, old, new, serving)))


def measures(configured: str) -> tuple[Measure, ...]:
    """The configured measure, and the usual three at its cutoff; each once."""
    own = Measure.parse(configured)
    cutoff = own.cutoff or 10
    return tuple(dict.fromkeys((own, Measure("nDCG", 10), Measure("R", cutoff), Measure("RR", cutoff))))


def level(confidence: float, earlier: int) -> float:
    """What an interval must hold with, when so many candidates were judged before: of what ``confidence`` leaves, the
    k-th look spends the k-th part squared, so that all looks together spend less than 1.65 times what one does.

    >>> [round(level(0.98, earlier), 4) for earlier in (0, 1, 2)]
    [0.98, 0.995, 0.9978]
    """
    return 1 - (1 - confidence) / (earlier + 1) ** 2


@dataclass(frozen=True)
class _Case:
    """The questions with what is asked of them."""

    paired: Paired
    settings: Gate
    earlier: int = 0
    known: dict[tuple[str, str, str], Difference | None] = field(default_factory=dict)
    """(measure, group, language) -> what was found already."""

    @property
    def measure(self) -> str:
        return self.settings.measure

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Those that are known."""
        return tuple(sorted(set(self.paired.lang.tolist()) - {UNDETERMINED, POOLED, ""}))

    def judging(self, lang: str) -> tuple[str, tuple[str, ...]]:
        """The questions that a language is judged by: of the old distribution only where it has no others."""
        unseen = self.paired.rows(UNSEEN, lang).any()
        return (TOGETHER, UNSEEN) if unseen else ("forgetting", ("forgetting",))

    def few(self, lang: str) -> bool:
        """Whether a language has too few questions to be judged by itself."""
        return self.units(self.judging(lang)[1], lang) < self.settings.least_in_language

    @property
    def remembered(self) -> tuple[str, ...]:
        """The group that must not be forgotten: the canaries, where there is none of its own."""
        return ("forgetting",) if self.paired.rows(("forgetting",)).any() else ("canary",)

    def units(self, groups: Sequence[str], lang: str = POOLED) -> int:
        """How many pieces of evidence there are."""
        return self.paired.units_of(self.paired.rows(groups, lang))

    def found(self, name: str, groups: Sequence[str], lang: str = POOLED, measure: str = "") -> Difference | None:
        """The difference over some questions; None where there are none."""
        key = (measure or self.measure, name, lang)
        if key not in self.known:
            rows = self.paired.rows(groups, lang)
            self.known[key] = self.paired.difference(key[0], name, rows, self.level, lang) if rows.any() else None
        return self.known[key]

    @property
    def level(self) -> float:
        """Of every interval."""
        return level(self.settings.confidence, self.earlier)

    @cached_property
    def small(self) -> Difference | None:
        """All languages that have too few questions, together, where together they have enough."""
        few = [lang for lang in self.languages if self.few(lang)]
        rows = self.paired.rows(UNSEEN) & np.isin(self.paired.lang, few)
        if self.paired.units_of(rows) < self.settings.least_in_language:
            return None
        return self.paired.difference(self.measure, SMALL, rows, self.level)

    def differences(self) -> Iterator[Difference]:
        """Everything that is shown: each measure together, by group and by language."""
        groups = ((TOGETHER, UNSEEN), *((each, (each,)) for each in JUDGED[::-1]))
        for measure in self.paired.old:
            for name, rows in groups:
                if (found := self.found(name, rows, measure=measure)) is not None:
                    yield found
            for lang in self.languages:
                if (found := self.found(*self.judging(lang), lang, measure)) is not None:
                    yield found
        if self.small is not None:
            yield self.small


# --- what it must show ------------------------------------------------------------------------------------------------


def _enough(case: _Case) -> Reason:
    units, least = case.units(UNSEEN), case.settings.least
    questions = int(case.paired.rows(UNSEEN).sum())
    said = (
        f"{_questions(questions)} that neither model has seen, {units:,} of them different, and {least:,} are needed."
    )
    return Reason(ENOUGH, units >= least, said)


def _gains(case: _Case, name: str, group: str, groups: Sequence[str]) -> Reason:
    """At least `gain`, and certainly more than nothing."""
    found = case.found(group, groups)
    if found is None:
        return Reason(name, False, f"There are no {group} questions, so a gain cannot be seen.")
    wanted = f"; wanted: {case.settings.gain:+.3f} or more, and certainly above 0"
    different, least = case.units(groups), case.settings.least_in_language
    if different < least:  # of so few, a handful that all went well by chance looks certain
        why = f"; only {different:,} of them are different, and {least:,} are needed"
        return Reason(name, False, f"{_said(found, case)}{why}.")
    return Reason(name, found.gain >= case.settings.gain and found.low > 0, f"{_said(found, case)}{wanted}.")


def _no_language_loses(case: _Case) -> Reason:
    """Each language by its own questions alone."""
    wanted = f"no language may lose more than {case.settings.no_language_loses:.3f} {case.measure}"
    refused = [why for lang in case.languages for why in _loses(case, lang)]
    if refused:
        return Reason("no language loses", False, f"{'; '.join(refused)}: {wanted}.")
    if case.small is not None and case.small.low < -case.settings.no_language_loses:
        why = f"the {SMALL} together may lose more ({_numbers(case.small)} over {_questions(case.small.n)})"
        return Reason("no language loses", False, f"{why}: {wanted}.")
    known = [case.found(*case.judging(lang), lang) for lang in case.languages if not case.few(lang)]
    lowest = min((each for each in known if each is not None), key=lambda each: each.low, default=None)
    if lowest is None:
        return Reason("no language loses", True, f"No language has questions enough to be judged by itself: {wanted}.")
    return Reason("no language loses", True, f"The lowest is {safe(lowest.lang)}, {_numbers(lowest)}: {wanted}.")


def _loses(case: _Case, lang: str) -> Iterator[str]:
    """Why a language is not shown not to lose."""
    most = case.settings.no_language_loses
    if case.few(lang):
        if case.paired.rows(("canary",), lang).any():
            yield f"{safe(lang)} has {_few(case, lang)}, and has canaries"
        return
    found = case.found(*case.judging(lang), lang)
    if found is not None and found.low < -most:
        yield f"{safe(lang)} may lose more ({_numbers(found)} over {_questions(found.n)})"
        return
    # What was learnt of the canaries' topics must not make up for what its other questions lose.
    alone = case.found("held-out", HELD_OUT, lang)
    if alone is not None and alone.gain < -most and case.units(HELD_OUT, lang) >= case.settings.least_in_language:
        yield f"{safe(lang)} loses more on its held-out pairs ({_numbers(alone)} over {_questions(alone.n)})"


def _not_forgotten(case: _Case) -> Reason:
    found = case.found(case.remembered[0], case.remembered)
    if found is None:
        return Reason("nothing forgotten", False, "There are no canaries, so what it forgets cannot be seen.")
    wanted = f"; it may lose {case.settings.forgets:.3f} at most"
    return Reason("nothing forgotten", found.low >= -case.settings.forgets, f"{_said(found, case)}{wanted}.")


def _no_measure_falls(case: _Case) -> Reason:
    """What is bought with another measure is no gain."""
    rows, others = case.paired.rows(UNSEEN), [measure for measure in case.paired.old if measure != case.measure]
    if not rows.any():
        return Reason("no measure falls", False, "There are no questions to see it by.")
    # At the confidence as it is set: the wider an interval, the harder it is to be certainly lower.
    known = [case.paired.difference(measure, TOGETHER, rows, case.settings.confidence) for measure in others]
    worse = [each for each in known if each.high < 0]
    said = ", ".join(f"{each.measure} {_numbers(each)}" for each in (worse or known))
    if worse:
        return Reason("no measure falls", False, f"Certainly lower: {said}.")
    return Reason("no measure falls", True, f"{said}.")


def _ratio(name: str, old: float, new: float, unit: str, most: float) -> Reason:
    if not (old > 0 and new > 0):
        return Reason(name, False, f"The {name} of one of the models was not measured.")
    said = f"{new:,.3g} {unit} against {old:,.3g} {unit}, {new / old:.2f} times; {most:g} times are allowed."
    return Reason(name, new <= most * old, said)


def _serving(new: Served, serving: Mapping[str, str]) -> Reason:
    refused = cannot_load(new.libraries, serving)
    if refused:
        return Reason("serving", False, " ".join(refused))
    return Reason("serving", True, " ".join(unsaid(new.libraries, serving)) or "What the service runs can load it.")


# --- in words ---------------------------------------------------------------------------------------------------------


def _notes(case: _Case, old: Served, new: Served, serving: Mapping[str, str]) -> Iterator[str]:
    yield from case.paired.left_out
    if case.earlier:
        before = "1 candidate was" if case.earlier == 1 else f"{case.earlier:,} candidates were"
        yield f"{before} judged against this model before: intervals are at {100 * case.level:.4g} %."
    for lang in case.languages:
        if case.few(lang):
            yield f"{safe(lang)} has {_few(case, lang)}: whether it loses cannot be seen."
    unknown = int((case.paired.rows(UNSEEN) & (case.paired.lang == UNDETERMINED)).sum())
    if unknown:
        yield f"{_questions(unknown)} of no known language count only together."
    if case.remembered == ("canary",):
        yield "There is no set of the old distribution: the canaries stand in for it."
    if old.dimension and new.dimension and old.dimension != new.dimension:
        yield f"Vectors have {new.dimension} numbers instead of {old.dimension}: the index changes its size with them."
    yield from unsaid(new.libraries, serving)


def _few(case: _Case, lang: str) -> str:
    units, least = case.units(case.judging(lang)[1], lang), case.settings.least_in_language
    return f"{units:,} different {'question' if units == 1 else 'questions'} of the {least:,} that are needed"


def _said(found: Difference, case: _Case) -> str:
    """``nDCG@10 .684 to .712 over 240 questions: +0.028 (+0.009 to +0.047 at 98 %)``."""
    return (
        f"{found.measure} {found.old:.3f} to {found.new:.3f} over {_questions(found.n)}: {_numbers(found)[:-1]} "
        f"at {100 * case.level:.4g} %)"
    )


def _numbers(found: Difference) -> str:
    return f"{found.gain:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _questions(number: int) -> str:
    return "1 question" if number == 1 else f"{number:,} questions"
