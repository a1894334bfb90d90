"""What did not run in the week, and what could not see."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from driftwatch.checks._words import count, percent, things
from driftwatch.report.about import About
from driftwatch.report.spans import Span
from driftwatch.report.words import line
from driftwatch.reported import CanarySource, Checked, Incident, Index, NotSeen, Rate
from driftwatch.store import Store
from driftwatch.types import Tallies

LATE = timedelta(hours=1)
"""After so long a receiver should have been told."""
_HOUR = timedelta(hours=1)


def not_seen(
    store: Store,
    about: About,
    span: Span,
    checked: Sequence[Checked],
    incidents: Sequence[Incident],
    suites: Sequence[CanarySource],
    indexes: Sequence[Index],
) -> Iterator[NotSeen]:
    """What matters most first; the hours of the logs are told by ``quiet_hours``."""
    yield from _blind(incidents)
    yield from _never_looked(about, checked)
    yield from _jobs(store, about, span)
    yield from _by_verdict(checked, "unknown")
    for why in about.unread:
        yield NotSeen("run failed", "retraining", f"its history could not be read: {line(why)}")
    yield from _unasked(suites)
    yield from _no_probe(about, indexes)
    yield from _feedback(store, about, span)
    yield from _deliveries(store, span)
    yield from _by_verdict(checked, "learning")
    yield from _expected(store, about, span)


def quiet_hours(source: str, now: Tallies, baseline: Tallies | None, span: Span, first: datetime) -> Iterator[NotSeen]:
    """The hours without any query, of those in which the baseline had some; what the log says it could not retrieve."""
    begin = max(span.start, first)
    hours = np.arange(*(np.datetime64(each.replace(tzinfo=None), "h") for each in (begin, span.until)))
    if baseline is not None and len(baseline.hour):
        used = np.unique((baseline.hour.astype(np.int64)) % 168)
        hours = hours[np.isin(hours.astype(np.int64) % 168, used)]
    silent = int((~np.isin(hours, now.hour)).sum())
    if silent:
        said = f"no query came in {things(silent, 'hour')} of {count(len(hours))} in which some were to be expected"
        yield NotSeen("no traffic", source, said, share=Rate(silent, len(hours)))
    errors, queries = now.total("errors"), now.total("queries")
    if errors:
        said = f"the log reports {things(errors, 'failed retrieval')} among {count(queries)} queries"
        yield NotSeen("unasked", source, said, share=Rate(errors, queries))


def _expected(store: Store, about: About, span: Span) -> Iterator[NotSeen]:
    """The windows in which nothing was evidence: configured, and announced before the week was over."""
    for each in about.expected:
        if each.start < span.until and each.end > span.start:
            said = f"nothing is judged while this is expected: {each.reason}"
            yield NotSeen("expected", each.reason, said, since=each.start, until=each.end)
    for change in store.expected.changes(since=span.start):
        if change.created < span.until and change.start < min(change.end, span.until):
            reason = line(change.reason)
            said = f"nothing was judged while this was expected, as {line(change.author)} announced: {reason}"
            # It may be ended later than the week: that is not this week's business.
            yield NotSeen("expected", reason, said, since=change.start, until=min(change.end, span.until))


# --- checks --------------------------------------------------------------------------------------------------------


def _blind(incidents: Sequence[Incident]) -> Iterator[NotSeen]:
    for incident in incidents:
        for each in incident.symptoms:
            if each.verdict == "unknown":
                state = "is blind" if each.state == "blind" else "was blind"
                said = f"{state}: {line(each.message)}"
                yield NotSeen("blind", each.check, said, (each.segment,), None, incident.opened, incident.resolved)


def _never_looked(about: About, checked: Sequence[Checked]) -> Iterator[NotSeen]:
    seen = {each.check for each in checked}
    for check in about.checks:
        if check.name not in seen:
            yield NotSeen("never looked", check.name, f"this check of '{check.source}' did not look once")


def _by_verdict(checked: Sequence[Checked], word: str) -> Iterator[NotSeen]:
    """The looks of each check that ended so; segments in which the last one did are named first."""
    names = list(dict.fromkeys(each.check for each in checked if each.verdicts.get(word)))
    found = []
    for name in names:
        parts = [each for each in checked if each.check == name and each.verdicts.get(word)]
        parts.sort(key=lambda each: (each.last != word, -each.verdicts[word], each.segment))
        k, n = sum(each.verdicts[word] for each in parts), sum(each.looks for each in parts)
        saying = parts[0].message if parts[0].last == word else "for a part of the week"
        said = f"{things(k, 'look')} of {count(n)} ended {word}: {line(saying)}"
        found.append(NotSeen(word, name, said, tuple(each.segment for each in parts), Rate(k, n)))  # type: ignore[arg-type]
    yield from sorted(found, key=lambda each: (-(each.share.value or 0.0) if each.share else 0.0, each.name))


# --- work ----------------------------------------------------------------------------------------------------------


def _jobs(store: Store, about: About, span: Span) -> Iterator[NotSeen]:
    """Due times after which nobody did the work before the next one, as far back as runs are kept; what failed."""
    ran: dict[str, list[tuple[datetime, str]]] = {}
    for each in store.history.ran(span.start, span.until):
        ran.setdefault(each.job, []).append((each.due, each.status))
    first = store.history.first_runs()
    for job, schedule in sorted(about.jobs.items()):
        due = _due(schedule.next_after, max(span.start, first.get(job, span.until)), span.until)
        done = [at for at, _ in ran.get(job, ())]
        missed = [at for at, until in pairwise([*due, span.until]) if bisect_left(done, until) == bisect_left(done, at)]
        if missed:
            verb = "was" if len(missed) == 1 else "were"
            said = f"{things(len(missed), 'run')} of {count(len(due))} {verb} missed"
            yield NotSeen("run missed", job, said, (), Rate(len(missed), len(due)), missed[0])
    for job, runs in sorted(ran.items()):
        failed = [at for at, status in runs if status != "done"]
        if failed:
            said = f"{things(len(failed), 'run')} of {count(len(runs))} failed"
            yield NotSeen("run failed", job, said, (), Rate(len(failed), len(runs)), failed[0])


def _due(next_after: Callable[[datetime], datetime], start: datetime, end: datetime) -> list[datetime]:
    """The due times in [start, end)."""
    found = []
    due = next_after(start - timedelta(microseconds=1))
    while due < end:
        found.append(due)
        due = next_after(due)
    return found


def _unasked(suites: Sequence[CanarySource]) -> Iterator[NotSeen]:
    for suite in suites:
        missed = suite.asked.n - suite.asked.k
        if missed:
            why = next(iter(suite.unasked), "their documents are gone")
            said = f"{things(missed, 'canary')} of {count(suite.asked.n)} asked could not be judged: {line(why)}"
            yield NotSeen("unasked", suite.source, said, share=Rate(missed, suite.asked.n))


def _no_probe(about: About, indexes: Sequence[Index]) -> Iterator[NotSeen]:
    probed = {each.source: each for each in indexes}
    for name in sorted(name for name, gives in about.sources.items() if gives == "probes"):
        if name not in probed:
            yield NotSeen("no probe", name, "the index was not looked into")
            continue
        for look in probed[name].looked:
            if look.unable:
                runs = probed[name].runs
                said = f"'{look.name}' could not be looked at: {line(look.unable)}"
                yield NotSeen("no probe", name, said, share=Rate(runs - look.runs, runs))


def _feedback(store: Store, about: About, span: Span) -> Iterator[NotSeen]:
    first, last = span.start.date(), (span.until - _HOUR).date()
    for name in sorted(name for name, gives in about.sources.items() if gives == "traffic"):
        unkept, heard = store.history.feedback_lines(name, first, last)
        if unkept:
            share = percent(unkept / heard)
            said = f"{count(unkept)} of {things(heard, 'line')} with feedback ({share}) are counted, but not kept"
            yield NotSeen("feedback not kept", name, said, share=Rate(unkept, heard))


def _deliveries(store: Store, span: Span) -> Iterator[NotSeen]:
    told = store.history.told(span.start, span.until)
    sent = Counter(each.receiver for each in told)
    for receiver in sorted(sent):
        mine = [each for each in told if each.receiver == receiver]
        parked = [each for each in mine if each.state == "parked"]
        if parked:
            said = f"refused {things(len(parked), 'message')} of {len(mine)}: {line(parked[-1].outcome)}"
            yield NotSeen("delivery parked", receiver, said, (), Rate(len(parked), len(mine)), parked[0].at)
        late = [each for each in mine if not each.held and (each.finished or span.until) - each.at > LATE]
        if late:
            said = f"was told {things(len(late), 'thing')} of {len(mine)} more than an hour late, or not yet"
            yield NotSeen("delivery late", receiver, said, (), Rate(len(late), len(mine)), late[0].at)
