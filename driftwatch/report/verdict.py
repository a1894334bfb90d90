"""The week in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from driftwatch.checks._words import count, percent, things
from driftwatch.report.words import line
from driftwatch.reported import ALL, CanaryMeasure, Estimate, Incident, Level, Verdict, Week

MOST_REASONS = 5
MOSTLY = 0.5
"""Of the looks: when so many could not see, nothing is known."""
_LONGEST = 180


def verdict_of(week: Week) -> Verdict:
    """What is to be said of a week of which everything else is known."""
    level, sentence, told = _headline(week)
    return Verdict(level, sentence, tuple(_reasons(week, told))[:MOST_REASONS])


def _headline(week: Week) -> tuple[Level, str, Sequence[Incident]]:
    """Level, sentence, and the incident that it is about."""
    pages = [each for each in week.incidents if each.pages]
    warned = [each for each in week.incidents if not each.pages]
    if pages:
        return "fail", _incidents(pages), pages[:1]
    if not week.checks:
        return "unknown", "No check looked in this week, so nothing is known of it", ()
    if warned:
        return "warn", _incidents(warned), warned[:1]
    if any(not each.partly for each in week.rotten):
        lost = sum(not each.partly for each in week.rotten)
        return "warn", f"Nothing fired, but {things(lost, 'canary')} lost all documents from the index", ()
    looks, seen, learning = _looks(week, "all"), _looks(week, "seen"), _looks(week, "learning")
    if learning > MOSTLY * looks:
        return "unknown", "What is normal is still being learnt; nothing fired", ()
    if seen < (1 - MOSTLY) * looks:
        return (
            "unknown",
            f"Too little could be seen: {percent(1 - seen / looks)} of {count(looks)} looks saw nothing",
            (),
        )
    return "ok", f"Retrieval was as usual{_quality(week)}", ()


def _noun(incident: Incident) -> str:
    """What fired is an incident or a warning; that nothing could be seen is an alert."""
    if incident.pages:
        return "incident"
    return "alert" if all(each.verdict == "unknown" for each in incident.symptoms) else "warning"


def _incidents(found: Sequence[Incident]) -> str:
    """How many, how many are open, and what the first of them is."""
    still = sum(each.resolved is None for each in found)
    if len(found) == 1:
        stand = "still open" if still else "over by now"
    else:
        stand = f"{still or 'none'} of them still open" if still < len(found) else "all of them still open"
    nouns = {_noun(each) for each in found}
    return f"{things(len(found), nouns.pop() if len(nouns) == 1 else 'alert')}, {stand}: {_said(found[0])}"


def _said(incident: Incident) -> str:
    """What happened where, and why."""
    lead = incident.symptoms[0] if incident.symptoms else None
    where = f" in {incident.segment}" if incident.segment != ALL else ""
    said = line(lead.message, _LONGEST) if lead is not None and lead.message else f"{incident.family} fired"
    cause = f"; most likely {incident.cause}" if incident.cause not in ("", "unknown") else ""
    return f"{said}{where}{cause}"


def _looks(week: Week, which: str) -> int:
    if which == "all":
        return sum(each.looks for each in week.checks)
    if which == "learning":
        return sum(each.verdicts.get("learning", 0) for each in week.checks)
    return sum(each.verdicts.get(word, 0) for each in week.checks for word in ("ok", "warn", "fail"))


def _quality(week: Week) -> str:
    """The first measure of the first suite, in words."""
    measure = next((each for each in week.canaries if each.lang == ALL and each.now.n), None)
    if measure is None:
        return ""
    usual = f", {measure.baseline.value:.2f} in the baseline" if measure.baseline and measure.baseline.n else ""
    return f": {measure.words} is {_number(measure.now)} over {things(measure.now.n, 'canary')}{usual}"


def _number(found: Estimate) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


# --- what else matters ---------------------------------------------------------------------------------------------


def _reasons(week: Week, told: Sequence[Incident]) -> Iterator[str]:
    for incident in week.incidents:
        if incident not in told:
            stand = "still open" if incident.resolved is None else "over by now"
            noun = _noun(incident)
            yield f"also {'a' if noun == 'warning' else 'an'} {noun}, {stand}: {_said(incident)}"
    worst = min((each for each in week.canaries if _moved(each)), key=lambda each: _change(each), default=None)
    if worst is not None:
        assert worst.change is not None
        where = f" in {worst.lang}" if worst.lang != ALL else ""
        yield (
            f"{worst.words}{where} is {worst.now.value:.2f}, {worst.change.value:+.2f} against the baseline "
            f"({worst.change.low:+.2f} to {worst.change.high:+.2f}, {things(worst.change.n, 'canary')})"
        )
    if week.rotten:
        yield f"{things(len(week.rotten), 'canary')} lost documents from the index: mend or retire them"
    if week.topics:
        largest = week.topics[0]
        what = f": {', '.join(largest.words[:3])}" if largest.words else ""
        yield f"{things(len(week.topics), 'new topic')}, the largest {percent(largest.share.value or 0.0)}{what}"
    if any(each.overlaps for each in week.normals):
        yield "a part of this week belongs to the baseline, so it is partly compared with itself"
    if week.not_seen:
        yield f"{things(len(week.not_seen), 'thing')} did not run or could not see: {week.not_seen[0].sentence}"


def _moved(measure: CanaryMeasure) -> bool:
    """Whether it certainly fell."""
    return measure.change is not None and measure.change.high is not None and measure.change.high < 0


def _change(measure: CanaryMeasure) -> float:
    assert measure.change is not None
    return measure.change.value or 0.0
