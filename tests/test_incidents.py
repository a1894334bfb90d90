"""Which alerts share an incident, and what a tick decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from driftwatch.alerts import AlertPolicy
from driftwatch.incidents import decide, held_back, reminders, retired
from driftwatch.types import Alert, Finding, Silence, Verdict

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
AT_ONCE = AlertPolicy(after=1, until=1, blind_after=2)
FAMILIES = {"canary recall": "canaries", "canary rank": "canaries", "empty results": "rates"}


def found(check: str, segment: str, verdict: Verdict) -> Finding:
    return Finding(check, segment, NOW, verdict, "said", family=FAMILIES[check])


def decided(findings: list[Finding], alerts: dict[tuple[str, str], Alert] | None = None, at: datetime = NOW):
    return decide(findings, alerts or {}, lambda _: AT_ONCE, FAMILIES, at)


def test_two_checks_of_one_family_and_segment_share_an_incident():
    decision = decided([found("canary recall", "de", "fail"), found("canary rank", "de", "fail")])
    assert len({transition.incident for transition in decision.transitions}) == 1


def test_two_languages_are_two_incidents():
    decision = decided([found("canary recall", "de", "fail"), found("canary recall", "fr", "fail")])
    assert len({transition.incident for transition in decision.transitions}) == 2


def test_two_families_are_two_incidents():
    decision = decided([found("canary recall", "de", "fail"), found("empty results", "de", "fail")])
    assert len({transition.incident for transition in decision.transitions}) == 2


def test_when_everything_fails_the_languages_join_the_pooled_incident():
    findings = [found("canary recall", segment, "fail") for segment in ("de", "fr", "all")]
    (incident,) = {transition.incident for transition in decided(findings).transitions}
    assert incident.startswith("canaries-all-")


def test_when_nothing_can_be_seen_the_languages_join_the_pooled_incident():
    findings = [found("canary recall", segment, "unknown") for segment in ("de", "fr", "all")]
    blind_soon = {(alert.check, alert.segment): alert for alert in decided(findings).alerts}
    transitions = decided(findings, blind_soon, NOW + timedelta(hours=1)).transitions
    (incident,) = {transition.incident for transition in transitions}
    assert {transition.event for transition in transitions} == {"blind"}
    assert transitions[0].segment == "all"
    assert incident.startswith("canaries-all-")


def test_a_language_that_fails_where_the_rest_cannot_be_seen_is_an_incident_of_its_own():
    decision = decided([found("canary recall", "de", "fail"), found("canary recall", "all", "unknown")])
    assert decision.transitions[0].incident.startswith("canaries-de-")


def test_a_later_alert_of_the_same_family_and_segment_joins_the_open_incident():
    first = decided([found("canary recall", "de", "fail")])
    alerts = {(alert.check, alert.segment): alert for alert in first.alerts}
    later = decided([found("canary rank", "de", "fail")], alerts, NOW + timedelta(hours=3))
    assert later.transitions[0].incident == first.transitions[0].incident


def test_a_tick_without_news_changes_nothing():
    assert decided([]).alerts == ()
    assert decided([]).transitions == ()


def test_a_silenced_alert_is_not_reminded_of():
    open_alert = Alert("canary recall", "de", "firing", since=NOW, fired_at=NOW, incident="canaries-de-1")
    alerts = {("canary recall", "de"): open_alert}
    later = NOW + timedelta(hours=25)
    silence = Silence("s", "canary recall", "*", later + timedelta(hours=1), "ann", "launch", NOW)
    assert reminders(alerts, lambda _: AlertPolicy(), FAMILIES, [], later).transitions
    assert not reminders(alerts, lambda _: AlertPolicy(), FAMILIES, [silence], later).transitions


def test_what_a_silence_covers_is_held_until_the_last_of_them_ends():
    transitions = decided([found("canary recall", "de", "fail")]).transitions
    ends = [NOW + timedelta(hours=1), NOW + timedelta(hours=2)]
    silences = [Silence(str(end), "canary recall", "de", end, "ann", "launch", NOW) for end in ends]
    assert held_back(transitions, silences, NOW) == {transitions[0].key: ends[1]}
    assert held_back(transitions, silences, ends[1]) == {}


def test_the_alert_of_a_check_that_is_gone_is_resolved_by_the_configuration():
    alerts = {("old", "de"): Alert("old", "de", "firing", since=NOW, fired_at=NOW, incident="canaries-de-1")}
    decision = retired(alerts, FAMILIES, NOW)
    assert [(each.event, each.actor) for each in decision.transitions] == [("resolved", "configuration")]
    assert decision.alerts[0].state == "ok"


def test_a_pending_alert_of_a_check_that_is_gone_ends_without_a_word():
    decision = retired({("old", "de"): Alert("old", "de", "pending", bad=1)}, FAMILIES, NOW)
    assert decision.transitions == ()
    assert decision.alerts[0].state == "ok"


def test_an_incident_is_not_repeated_while_one_of_its_alerts_was_heard_of_lately():
    day = timedelta(hours=24)
    old = Alert("canary recall", "de", "firing", since=NOW, fired_at=NOW, incident="canaries-de-1")
    young = Alert("canary rank", "de", "firing", since=NOW + day / 2, fired_at=NOW + day / 2, incident="canaries-de-1")
    alerts = {(alert.check, alert.segment): alert for alert in (old, young)}
    assert not reminders(alerts, lambda _: AlertPolicy(), FAMILIES, [], NOW + day).transitions
    told = reminders(alerts, lambda _: AlertPolicy(), FAMILIES, [], NOW + 1.5 * day).transitions
    assert [each.check for each in told] == ["canary recall", "canary rank"]


def test_the_pooled_alert_speaks_for_the_languages_that_fire_with_it():
    findings = [found("canary recall", segment, "fail") for segment in ("de", "fr", "all")]
    assert decided(findings).transitions[0].segment == "all"
