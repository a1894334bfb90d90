"""What reports ask of the store, in SQLite and in Postgres."""

from __future__ import annotations

from datetime import timedelta

from driftwatch.feedback import Heard
from driftwatch.store import CheckRun, Store
from driftwatch.store.history import Counted
from driftwatch.types import Alert, Diagnosis, Silence
from tests.fakes.batches import DAY, HOUR, MONDAY, batch, vote
from tests.fakes.decided import EVERYTHING, alert, finding, transition
from tests.store.test_decisions import record

WEEK = (MONDAY, MONDAY + 7 * DAY)


def test_looks_are_counted_by_verdict_within_the_time_and_no_other(store: Store) -> None:
    looks = [
        finding("recall", MONDAY - HOUR),
        finding("recall", MONDAY),
        finding("recall", MONDAY + HOUR, verdict="ok"),
        finding("recall", MONDAY + 2 * HOUR, verdict="ok"),
        finding("recall", MONDAY + 3 * HOUR, verdict="unknown", learning=True),
        finding("recall", WEEK[1]),
    ]
    record(store, findings=looks)
    assert store.history.counted(*WEEK) == [
        Counted("recall", "de", "fail", False, 1),
        Counted("recall", "de", "ok", False, 2),
        Counted("recall", "de", "unknown", True, 1),
    ]


def test_the_last_look_of_each_check_and_segment_is_the_newest_before_the_end(store: Store) -> None:
    looks = [
        finding("recall", MONDAY + hours * HOUR, segment, message=f"{segment} {hours}")
        for hours in (1, 5, 24 * 8)
        for segment in ("de", "fr")
    ]
    record(store, findings=looks)
    assert [(each.segment, each.message) for each in store.history.last_looks(*WEEK)] == [
        ("de", "de 5"),
        ("fr", "fr 5"),
    ]


def test_the_strongest_finding_is_that_of_the_largest_effect_whatever_its_sign(store: Store) -> None:
    effects = {0: ("fail", -0.2), 1: ("fail", -0.5), 2: ("ok", -0.9), 3: ("unknown", 0.8), 4: ("warn", 0.3)}
    record(
        store,
        findings=[
            finding("recall", MONDAY + hours * HOUR, verdict=verdict, effect=effect)
            for hours, (verdict, effect) in effects.items()
        ],
    )
    found = store.history.strongest("recall", "de", *WEEK)
    assert found is not None
    assert (found.effect, found.at) == (-0.5, MONDAY + HOUR)
    unknown = store.history.strongest("recall", "de", MONDAY + 3 * HOUR, MONDAY + 4 * HOUR)
    assert unknown is not None
    assert unknown.verdict == "unknown"
    assert store.history.strongest("recall", "fr", *WEEK) is None


def test_the_most_evidence_is_sought_among_the_checks_of_one_budget(store: Store) -> None:
    looks = [
        finding("recall", MONDAY, evidence=5.0),
        finding("scores", MONDAY, evidence=50.0),
        finding("recall", MONDAY + HOUR, evidence=7.0),
        finding("recall", MONDAY + 2 * HOUR),
    ]
    record(store, findings=looks)
    found = store.history.most_evidence({"recall"}, *WEEK)
    assert found is not None
    assert (found.evidence, found.at) == (7.0, MONDAY + HOUR)
    assert store.history.most_evidence({"nobody"}, *WEEK) is None
    assert store.history.most_evidence(set(), *WEEK) is None


def test_only_findings_that_name_a_topic_are_read_for_topics(store: Store) -> None:
    topics = [{"share": 0.1, "terms": ['say "topics":[{']}]
    looks = [
        finding("new", MONDAY, details={"topics": topics}),
        finding("new", MONDAY + HOUR, details={"topics": []}),
        finding("other", MONDAY, details={"topics": topics}),
        finding("new", MONDAY + 2 * HOUR, details={"note": 'topics":[{'}),
    ]
    record(store, findings=looks)
    assert [(look.at, told) for look, told in store.history.with_topics({"new"}, *WEEK)] == [(MONDAY, topics)]


def test_an_incident_is_what_it_was_at_the_end(store: Store) -> None:
    fired, later = transition("recall", "firing", MONDAY), transition("recall", "resolved", WEEK[1] + HOUR, after="ok")
    thoughts = [Diagnosis("mixed vectors", "", "", at=MONDAY), Diagnosis("outage", "", "", at=WEEK[1])]
    record(store, alerts=[alert("recall")], transitions=[fired], diagnoses={"i1": thoughts[0]})
    record(store, alerts=[Alert("recall", "de")], transitions=[later], diagnoses={"i1": thoughts[1]})
    (found,) = store.history.incidents(*WEEK)
    assert [each.event for each in found.transitions] == ["firing"]
    assert [each.cause for each in found.diagnoses] == ["mixed vectors"]
    (after,) = store.history.incidents(WEEK[1], WEEK[1] + DAY)
    assert [each.event for each in after.transitions] == ["firing", "resolved"]
    assert store.history.incidents(WEEK[1] + DAY, WEEK[1] + 2 * DAY) == []
    assert store.history.incidents(MONDAY - DAY, MONDAY) == []


def test_more_incidents_than_one_statement_takes_are_read(store: Store) -> None:
    news = [transition("recall", "firing", MONDAY, f"i{number}", f"s{number}") for number in range(501)]
    alerts = [alert("recall", f"s{number}", incident=f"i{number}") for number in range(501)]
    record(store, alerts=alerts, transitions=news, receivers={})
    found = store.history.incidents(*WEEK)
    assert len(found) == 501
    assert all(len(each.transitions) == 1 for each in found)


def test_silences_are_those_that_had_been_made_by_then(store: Store) -> None:
    for number, made in enumerate((MONDAY, WEEK[1])):
        store.decisions.add_silence(Silence(f"s{number}", "*", "*", made + DAY, "ana", "why", made))
    assert [each.silence_id for each in store.history.silences(WEEK[1])] == ["s0"]


def test_work_is_known_by_its_due_time_and_status(store: Store) -> None:
    for hours, status in ((-1, "done"), (1, "done"), (2, "failed")):
        due = MONDAY + hours * HOUR
        store.decisions.record_run(CheckRun("job", due, due, due, status))
    assert [(each.due, each.status) for each in store.history.ran(*WEEK)] == [
        (MONDAY + HOUR, "done"),
        (MONDAY + 2 * HOUR, "failed"),
    ]
    assert store.history.first_runs() == {"job": MONDAY - HOUR}


def test_what_was_told_after_the_end_was_not_told_yet(store: Store) -> None:
    record(store, alerts=[alert("recall")], transitions=[transition("recall", "firing", MONDAY)])
    for receiver, when in (("slack", MONDAY + HOUR), ("pager", WEEK[1] + HOUR)):
        delivery = store.outbox.claim(receiver, MONDAY + HOUR, HOUR)
        assert delivery is not None
        store.outbox.park(delivery, "refused", when)
    told = {each.receiver: (each.state, each.finished, each.outcome) for each in store.history.told(*WEEK)}
    assert told == {"slack": ("parked", MONDAY + HOUR, "refused"), "pager": ("waiting", None, "")}


def test_what_a_silence_holds_back_is_not_late(store: Store) -> None:
    news = transition("recall", "firing", MONDAY)
    until = {news.key: MONDAY + DAY}
    record(store, alerts=[alert("recall")], transitions=[news], receivers={"slack": EVERYTHING}, held=until)
    assert [each.held for each in store.history.told(*WEEK)] == [True]


def test_feedback_lines_are_counted_by_day(store: Store) -> None:
    for days in range(3):
        at = MONDAY + days * DAY
        kept = tuple(vote(0.1 * (1 + n), f"v{days}{n}", at, line=n) for n in range(2))
        store.traffic.ingest(batch(votes=kept, heard={(at.date(), "*"): Heard(1.0, 6)}))
    first = MONDAY.date()
    assert store.history.feedback_lines("live", first, first + timedelta(days=1)) == (8, 12)
    assert store.history.feedback_lines("live", first + timedelta(days=9), first + timedelta(days=9)) == (0, 0)
    assert store.history.feedback_lines("other", first, first) == (0, 0)


def test_nothing_is_known_of_an_empty_store(store: Store) -> None:
    history = store.history
    assert (history.counted(*WEEK), history.last_looks(*WEEK), history.incidents(*WEEK)) == ([], [], [])
    assert (history.ran(*WEEK), history.told(*WEEK), history.asked(WEEK[1])) == ([], [], [])
