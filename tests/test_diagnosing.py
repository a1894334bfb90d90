"""One cause is one incident, whatever checks see it; a second cause later is another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from driftwatch.alerts import AlertPolicy
from driftwatch.causes import Cause
from driftwatch.diagnosing import NEW, Diagnosing, Plan, home_of, is_news, unexplained
from driftwatch.engine import Engine
from driftwatch.incidents import Decision, decide, explained
from driftwatch.notify._render import message, news
from driftwatch.store import Store
from driftwatch.types import Alert, Diagnosis, Finding, Incident, Member, Notice, Transition, Verdict
from tests.fakes.world import BROKEN, EMPTY, RECALL, START, append, log_lines, make_world

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
AT_ONCE = AlertPolicy(after=1, until=1, blind_after=2)
FAMILIES = {"canary recall": "canaries", "empty results": "rates", "traffic": "volume"}
RECALL_ALL, EMPTY_ALL = ("canary recall", "all"), ("empty results", "all")
LOST = Cause("lost documents", "They are gone.", "Ingest them.")


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    BROKEN.clear()
    yield
    BROKEN.clear()


def found(check: str, segment: str = "all", verdict: Verdict = "fail") -> Finding:
    return Finding(check, segment, NOW, verdict, "said", family=FAMILIES[check])


def decided(findings: list[Finding], together, alerts=None, at: datetime = NOW):
    return decide(findings, alerts or {}, lambda _: AT_ONCE, FAMILIES, at, None, together)


def diagnosis(*causes: str, at: datetime = NOW) -> Diagnosis:
    return Diagnosis(causes[0], "because", "do", causes=causes, at=at)


def incident(opened: datetime, known: Diagnosis | None, check: str = "canary recall") -> Incident:
    alert = Alert(check, "all", "firing", opened, fired_at=opened, incident=f"i-{opened.hour}")
    history = (Transition("k", check, "all", "firing", "ok", "firing", opened, alert.incident, FAMILIES[check]),)
    members = (Member(alert, found(check)),)
    return Incident(alert.incident, FAMILIES[check], "all", opened, None, members, history, known)


# --- incidents -----------------------------------------------------------------------------------------------------


def test_alerts_of_one_cause_that_open_together_share_an_incident():
    both = [found("canary recall"), found("empty results")]
    assert len({each.incident for each in decided(both, {}).transitions}) == 2
    assert len({each.incident for each in decided(both, {RECALL_ALL: NEW, EMPTY_ALL: NEW}).transitions}) == 1


def test_a_symptom_that_comes_later_joins_the_incident_of_its_cause():
    first = decided([found("canary recall")], {RECALL_ALL: NEW})
    (opened,) = {each.incident for each in first.transitions}
    alerts = {(each.check, each.segment): each for each in first.alerts}
    later = decided([found("empty results")], {EMPTY_ALL: opened}, alerts, NOW + 5 * HOUR)
    assert [each.incident for each in later.transitions] == [opened]


def test_an_alert_that_the_cause_does_not_explain_opens_an_incident_of_its_own():
    decision = decided([found("canary recall"), found("traffic")], {RECALL_ALL: NEW})
    assert len({each.incident for each in decision.transitions}) == 2
    plan = Plan({RECALL_ALL: NEW}, {NEW: replace(diagnosis("lost documents"), silences=(RECALL_ALL,))})
    ((name, told),) = plan.written(decision).items()
    assert name.startswith("canaries-")
    assert told.cause == "lost documents"


def test_another_cause_after_a_day_opens_an_incident_of_its_own_in_the_same_place_too():
    first = decided([found("canary recall")], {RECALL_ALL: NEW})
    alerts = {(each.check, each.segment): each for each in first.alerts}
    two = {**FAMILIES, "canary rank": "canaries"}
    rank = replace(found("canary recall"), check="canary rank")
    later = decide([rank], alerts, lambda _: AT_ONCE, two, NOW + 50 * HOUR, None, {("canary rank", "all"): NEW})
    assert later.transitions[0].incident != first.transitions[0].incident
    unknown = decide([rank], alerts, lambda _: AT_ONCE, two, NOW + 50 * HOUR, None, {})
    assert unknown.transitions[0].incident == first.transitions[0].incident


def test_an_incident_keeps_its_cause_when_an_alert_joins_that_nothing_explains():
    joined = decided([found("canary recall")], {}).transitions[0].incident
    plan = Plan({}, {NEW: diagnosis("unknown")}, {joined: diagnosis("lost documents")})
    assert plan.written(decided([found("canary recall")], {})) == {}
    assert set(replace(plan, known={}).written(decided([found("canary recall")], {}))) == {joined}


# --- where a cause belongs -----------------------------------------------------------------------------------------


def test_a_cause_belongs_to_the_incident_that_has_it_already():
    known = incident(NOW - 80 * HOUR, diagnosis("lost documents"))
    other = incident(NOW - HOUR, diagnosis("outage"))
    assert home_of(LOST, [other, known], NOW) == known.incident_id


def test_a_drift_that_turns_out_to_last_belongs_to_the_incident_that_it_began_with():
    lasting = Cause("model mismatch", "It does not fit.", "Train.", grows_from=frozenset({"new topic"}))
    passing = incident(NOW - 8 * DAY, diagnosis("new topic"), "empty results")
    other = incident(NOW - HOUR, diagnosis("outage"))
    assert home_of(lasting, [other, passing], NOW) == passing.incident_id
    assert home_of(lasting, [other], NOW) == other.incident_id
    assert home_of(lasting, [incident(NOW - 8 * DAY, diagnosis("outage"))], NOW) == NEW


@pytest.mark.parametrize(
    ("cause", "after", "wanted"),
    [
        ("unknown", HOUR / 2, False),
        ("unknown", HOUR, True),
        ("new topic", 23 * HOUR, False),
        ("new topic", 24 * HOUR, True),
        ("new language", 24 * HOUR, True),
        ("outage", 30 * 24 * HOUR, False),
    ],
)
def test_an_open_incident_is_looked_at_again_as_long_as_its_cause_may_become_another(
    cause: str, after: timedelta, wanted: bool
):
    diagnosing = Diagnosing(None)  # type: ignore[arg-type] - nothing is looked up
    assert diagnosing.wanted(Decision((), ()), [incident(NOW - after, diagnosis(cause))], NOW) is wanted


def test_a_cause_that_is_found_late_belongs_to_the_incident_that_nobody_could_explain():
    assert home_of(LOST, [incident(NOW - 80 * HOUR, diagnosis("unknown"))], NOW) == "i-2"
    assert home_of(LOST, [incident(NOW - 80 * HOUR, None, "traffic")], NOW) == NEW


def test_a_second_cause_within_a_day_is_told_with_the_first_and_later_opens_its_own():
    assert home_of(LOST, [incident(NOW - 5 * HOUR, diagnosis("outage"))], NOW) == "i-5"
    assert home_of(LOST, [incident(NOW - 25 * HOUR, diagnosis("outage"))], NOW) == NEW


def test_what_else_goes_wrong_while_nobody_knows_the_cause_waits_with_it():
    dark = incident(NOW - 5 * HOUR, diagnosis("unknown"))
    assert unexplained([dark], NOW) == dark.incident_id
    assert unexplained([dark], NOW + 25 * HOUR) == ""
    assert unexplained([incident(NOW - HOUR, diagnosis("outage"))], NOW) == ""
    assert unexplained([incident(NOW - HOUR, None, "traffic")], NOW) == ""


def test_only_another_cause_is_news():
    assert is_news(diagnosis("outage"), None)
    assert is_news(diagnosis("outage"), diagnosis("unknown"))
    assert is_news(diagnosis("outage", "filter"), diagnosis("outage"))
    assert not is_news(diagnosis("outage"), diagnosis("outage", "filter"))
    assert not is_news(diagnosis("unknown"), diagnosis("outage"))


def test_an_incident_of_which_another_thing_is_thought_is_told_once():
    alert = Alert("canary recall", "all", "firing", NOW - HOUR, fired_at=NOW - HOUR, incident="i")
    alerts = {RECALL_ALL: alert}
    (said,) = explained(alerts, ["i"], [], FAMILIES, NOW)
    assert (said.event, said.before, said.after, said.incident) == ("explained", "firing", "firing", "i")
    assert explained(alerts, ["i"], ["i"], FAMILIES, NOW) == ()


# --- what is told --------------------------------------------------------------------------------------------------


def test_a_notice_names_cause_documents_and_the_next_step_without_what_they_could_carry():
    hostile = Diagnosis(
        "lost documents",
        "<!channel> 20 of 64",
        "Ingest *them*.",
        "de",
        ("doc <@U1>", "\x1b[31m9"),
        causes=("x",),
        at=NOW,
    )
    opened = replace(incident(NOW, hostile))
    notice = Notice("k", "help", "firing", NOW, opened, opened.history[0])
    why = message(notice).why
    assert why is not None
    assert why.cause == "Most likely lost documents, in German"
    assert "\x1b" not in "".join(why.documents)
    told = news(replace(notice, event="explained", transition=replace(opened.history[0], event="explained")))
    assert told.title == why.cause


# --- the whole story -----------------------------------------------------------------------------------------------


def play(engine: Engine, at: datetime) -> None:
    for name in engine.watch.sources:
        engine.observe(name, at)
    engine.tick(engine.watch.checks, at)


def broken_world(tmp_path: Path) -> tuple[Engine, datetime]:
    watch = make_world(tmp_path, RECALL, EMPTY)
    engine = Engine(watch, Store.open(watch.database))
    for look in range(9):
        play(engine, START + look * 6 * HOUR)
        append(tmp_path, log_lines(START + look * 6 * HOUR, 6))
    return engine, START + 54 * HOUR


def test_a_service_that_is_down_is_one_incident_with_an_outage_as_its_cause(tmp_path: Path):
    engine, now = broken_world(tmp_path)
    BROKEN.add("down")
    for look in range(6):
        append(tmp_path, log_lines(now + look * 6 * HOUR, 6, empty=1.0))
        play(engine, now + look * 6 * HOUR)
    (opened,) = engine.store.decisions.open_incidents()
    assert opened.diagnosis is not None
    assert opened.diagnosis.cause == "outage"
    assert "the index is rebuilding" in opened.diagnosis.sentence
    assert len({each.check for each in opened.history}) == 2
    engine.store.close()


def test_a_cause_is_told_once_in_an_incident_however_often_the_evidence_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine, now = broken_world(tmp_path)
    turn = {"en": "filter", "de": "query side", "fr": "filter"}
    for look, (lang, cause) in enumerate(turn.items()):
        BROKEN.add(lang)
        rule = partial(lambda name, _: Cause(name, "because", "do", "en", families=frozenset({"canaries"})), cause)
        monkeypatch.setattr("driftwatch.diagnosing.RULES", (rule,))
        play(engine, now + look * 3 * HOUR)
        play(engine, now + (look * 3 + 1) * HOUR)
    english = [
        each for each in engine.store.decisions.open_incidents() if "en" in {m.alert.segment for m in each.members}
    ]
    (incident,) = english
    assert [each.event for each in incident.history].count("explained") == 1
    assert [each.cause for each in engine.store.diagnoses.history(incident.incident_id)] == list(turn.values())
    assert incident.suspected == ("filter", "query side")
    engine.store.close()


def test_a_diagnosis_that_breaks_is_tried_again_an_hour_later_and_not_at_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine, _ = broken_world(tmp_path)
    monkeypatch.setattr("driftwatch.diagnosing.RULES", (lambda _: 1 / 0,))
    diagnosing, dark, quiet = engine.diagnosing, [incident(NOW - 2 * HOUR, None)], Decision((), ())
    assert diagnosing is not None
    assert diagnosing.wanted(quiet, dark, NOW)
    assert diagnosing.plan([], {}, dark, NOW) == Plan()
    assert not diagnosing.wanted(quiet, dark, NOW + HOUR / 2)
    assert diagnosing.wanted(quiet, dark, NOW + HOUR)
    engine.store.close()


def test_a_diagnosis_that_breaks_holds_no_alert_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    engine, now = broken_world(tmp_path)
    assert engine.diagnosing is not None
    monkeypatch.setattr(engine.diagnosing.casebook, "store", None)
    BROKEN.update(("en", "de", "fr"))
    for look in range(3):
        play(engine, now + look * 6 * HOUR)
    assert engine.store.decisions.open_incidents()
    engine.store.close()
