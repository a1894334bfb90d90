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


# --- firing again --------------------------------------------------------------------------------------------------

DAY = timedelta(days=1)
LOOKS = tuple[str, str, Verdict, float]


def incidents_of(*looks: LOOKS, policy: AlertPolicy = AT_ONCE, warns: tuple[str, ...] = ()) -> list[str]:
    """The incident of each transition of these looks: check, segment, verdict and day; those of a day are one tick."""
    severities = {check: "warn" if check in warns else "page" for check in FAMILIES}
    alerts: dict[tuple[str, str], Alert] = {}
    named: list[str] = []
    for day in sorted({day for *_, day in looks}):
        now = NOW + day * DAY
        findings = [found(check, segment, verdict) for check, segment, verdict, at in looks if at == day]
        decision = decide(findings, alerts, lambda _: policy, FAMILIES, now, severities)
        alerts |= {(alert.check, alert.segment): alert for alert in decision.alerts}
        named += [transition.incident for transition in decision.transitions]
    return named


def recall(verdict: Verdict, day: float, segment: str = "de", check: str = "canary recall") -> LOOKS:
    return check, segment, verdict, day


def test_what_fires_again_within_the_time_reopens_its_incident_however_often():
    named = incidents_of(*(recall("fail" if day % 2 == 0 else "ok", 6 * day) for day in range(10)))
    assert len(named) == 10
    assert len(set(named)) == 1


def test_what_fires_again_later_than_that_is_a_new_incident():
    fired, resolved, late = incidents_of(recall("fail", 0), recall("ok", 1), recall("fail", 8.1))
    assert fired == resolved != late
    _, _, in_time = incidents_of(recall("fail", 0), recall("ok", 1), recall("fail", 8))
    assert in_time == fired


def test_nothing_is_reopened_where_nobody_wants_it():
    never = AT_ONCE.model_copy(update={"reopen_within": None})
    assert len(set(incidents_of(recall("fail", 0), recall("ok", 1), recall("fail", 2), policy=never))) == 2


def test_another_check_of_the_family_reopens_the_incident_of_its_segment():
    looks = (recall("fail", 0), recall("ok", 1), recall("fail", 2, check="canary rank"))
    assert len(set(incidents_of(*looks))) == 1
    assert len(set(incidents_of(*looks[:2], recall("fail", 2, check="empty results")))) == 2
    assert len(set(incidents_of(*looks[:2], recall("fail", 2, segment="fr")))) == 2


def test_a_page_does_not_reopen_what_was_a_warning():
    looks = (recall("warn", 0), recall("ok", 1), recall("fail", 2, check="canary rank"))
    assert len(set(incidents_of(*looks, warns=("canary recall",)))) == 2


def test_blindness_neither_reopens_nor_is_reopened():
    fired, _, blind = incidents_of(recall("fail", 0), recall("ok", 1), recall("unknown", 2), recall("unknown", 2.1))
    assert fired != blind
    looks = (recall("unknown", 0), recall("unknown", 0.1), recall("ok", 1), recall("fail", 2))
    blind, sighted, fired = incidents_of(*looks)
    assert blind == sighted != fired


def test_trouble_everywhere_does_not_reopen_the_incident_of_one_language():
    one = (recall("fail", 0), recall("ok", 1))
    everywhere = tuple(recall("fail", 2, segment) for segment in ("de", "fr", "all"))
    named = incidents_of(*one, *everywhere)
    assert len(set(named[2:])) == 1
    assert named[0] != named[2]


def test_one_language_reopens_the_incident_that_it_shared_with_the_others():
    everywhere = tuple(
        recall(verdict, day, each) for verdict, day in (("fail", 0), ("ok", 1)) for each in ("de", "all")
    )
    named = incidents_of(*everywhere, recall("fail", 2))
    assert len(set(named)) == 1
