from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.notify._languages import segment_name
from driftwatch.notify._render import figure, message, moment, news, numbers, pages, reopens
from driftwatch.types import Alert, Member
from tests.fakes.notices import HOUR, START, finding, notice, story


def test_a_firing_incident_names_language_check_and_numbers() -> None:
    shown = message(story("bb")[0])
    assert shown.title == "German · canary recall is failing"
    assert shown.tone == "bad"
    assert shown.parts[0].sentence.startswith("Recall R@10 fell from 0.95 to 0.41")
    assert shown.parts[0].numbers == (
        ("Now", "0.41"),
        ("Normal", "0.95"),
        ("Change", "-0.54 (-0.66 to -0.42)"),
        ("p-value", "below 0.0001"),
        ("Canaries", "50"),
    )
    assert shown.examples == ("Wie ändere ich meine Lieferadresse?", "Wo finde ich meine Rechnung?")
    assert shown.command == f"driftwatch explain {story('bb')[0].incident.incident_id}"
    assert shown.opened_at == START + HOUR
    assert shown.lasted == ""


def test_a_resolved_incident_says_how_long_it_lasted_and_shows_no_questions() -> None:
    shown = message(story("bbggg")[1])
    assert (shown.title, shown.tone) == ("German · canary recall is back to normal", "good")
    assert shown.lasted == "2 h"
    assert shown.examples == ()


def test_blindness_has_words_of_its_own_for_its_beginning_and_its_end() -> None:
    blind, sighted = story("uug")
    assert (message(blind).title, message(blind).tone) == ("German · canary recall cannot be judged", "blind")
    assert message(sighted).title == "German · canary recall can be judged again"
    assert news(sighted).title == "German · canary recall can be judged again after 1 h"


def test_a_warning_looks_like_one_and_pages_nobody() -> None:
    shown = story("ww")[0]
    assert message(shown).tone == "warn"
    assert not pages(shown)


def test_only_the_first_firing_of_an_incident_that_still_fires_pages() -> None:
    fired, resolved = story("bbgg")
    assert pages(fired)
    assert not pages(resolved)
    late = replace(fired, incident=resolved.incident)
    assert not pages(late)
    blind_first = story("uubb")
    assert [each.event for each in blind_first if pages(each)] == ["firing"]


def test_a_second_check_that_joins_the_incident_does_not_page_again() -> None:
    first, second = story("bb")[0], story("bb", check="canary nDCG")[0]
    members = [(each.incident.members[0].alert, each.finding) for each in (first, second)]
    joined = notice(members, second.transition, (first.transition, second.transition), START)
    assert message(joined).title == "German · canary recall and 1 more are failing"
    assert not pages(joined)


def test_a_page_that_joins_what_was_only_a_warning_pages() -> None:
    warned, paged = story("ww", check="canary rank")[0], story("bb")[0]
    members = [(each.incident.members[0].alert, each.finding) for each in (warned, paged)]
    history = (warned.transition, paged.transition)
    assert pages(notice(members, paged.transition, history, START))
    assert not pages(notice(members, warned.transition, history, START))


def test_who_looks_after_it_is_named() -> None:
    told = story("bb", ack="ana")[-1]
    assert message(told).acknowledged_by == "ana"
    assert news(told).title == "German · canary recall is looked after by ana"


def test_a_reminder_says_for_how_long() -> None:
    fired = story("bb")[0]
    reminder = replace(fired.transition, event="reminded", before="firing", at=fired.at + timedelta(hours=25))
    assert news(replace(fired, transition=reminder)).title == (
        "German · canary recall is still failing, for 1 day 1 h now"
    )


def test_seeing_again_what_was_failing_says_that_it_is_not_over() -> None:
    sighted = story("bbuub")[-1]
    assert news(sighted).title == "German · canary recall can be judged again after 1 h and has not recovered"


def test_several_checks_of_one_incident_are_counted_and_shown_worst_first() -> None:
    fired = story("bb")[0]
    blind = (Alert("canary nDCG", "de", "blind"), finding("u", check="canary nDCG"))
    worst = (fired.incident.members[0].alert, fired.incident.members[0].finding)
    one = message(notice([blind, worst], fired.transition, fired.incident.history, START))
    assert one.title == "German · canary recall is failing"
    assert [part.heading for part in one.parts] == ["canary recall", "canary nDCG"]
    many = [(replace(worst[0], check=f"check {number}"), worst[1]) for number in range(6)]
    shown = message(notice(many, fired.transition, fired.incident.history, START))
    assert shown.title == "German · check 0 and 5 more are failing"
    assert len(shown.parts) == 3
    assert shown.more == "check 3, check 4, check 5"


def test_an_alert_of_another_segment_is_named_with_it() -> None:
    fired = story("bb", segment="all")[0]
    member = fired.incident.members[0]
    german = (replace(member.alert, segment="de"), member.finding)
    shown = message(notice([(member.alert, member.finding), german], fired.transition, (fired.transition,), START))
    assert [part.heading for part in shown.parts] == ["canary recall", "German · canary recall"]


def test_news_tells_what_was_found_then_and_not_what_is_found_now() -> None:
    fired = story("bb")[0]
    alert = fired.incident.members[0].alert
    incident = replace(fired.incident, members=(Member(alert, finding("g")),))
    told = news(replace(fired, incident=incident))
    assert told.sentence.startswith("Recall R@10 fell")


def test_an_incident_whose_findings_are_gone_is_still_told() -> None:
    fired = story("bb")[0]
    bare = replace(fired, finding=None, incident=replace(fired.incident, members=()))
    assert message(bare).title == "German · canaries cannot be judged"
    assert news(bare).sentence == ""


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("de", "German"),
        ("pt-BR", "Portuguese (BR)"),
        ("zh-Hant-TW", "Chinese (Traditional, TW)"),
        ("fil", "Filipino"),
        ("all", "All languages"),
        ("und", "Unknown language"),
        ("tlh", "tlh"),
        ("premium customers", "premium customers"),
        ("", "Unnamed segment"),
    ],
)
def test_segments_are_called_by_their_english_names(segment: str, name: str) -> None:
    assert segment_name(segment) == name


def test_what_is_left_when_languages_fail_by_themselves_is_the_other_traffic() -> None:
    fired = story("bb", segment="all", details={"without": ["de"]})[0]
    assert message(fired).title == "All other traffic · canary recall is failing"


def test_the_ks_statistic_is_shown_with_scores() -> None:
    found = replace(finding("b"), kind="score_drift", family="scores", statistic=0.2345, p_value=0.00321, n=12345)
    assert dict(numbers(found))["KS statistic D"] == "0.234"
    assert dict(numbers(found))["p-value"] == "0.0032"
    assert dict(numbers(found))["Sessions"] == "12,345"


def test_evidence_is_shown_in_days_with_its_onset_instead_of_a_p_value() -> None:
    found = replace(finding("b"), evidence=412.3, onset=START + HOUR)
    shown = dict(numbers(found))
    assert (shown["Evidence"], shown["Since about"]) == ("412 days", moment(START + HOUR))
    assert "p-value" not in shown
    midnight = replace(found, onset=START.replace(hour=0))
    assert dict(numbers(midnight))["Since about"] == f"{START.day} {START:%b %Y}"
    assert dict(numbers(replace(found, evidence=1e9)))["Evidence"] == "more than 10,000 days"


def test_when_the_evidence_was_told_and_starts_again_it_is_not_shown() -> None:
    shown = dict(numbers(replace(finding("b"), evidence=0.0)))
    assert "Evidence" not in shown
    assert "p-value" in shown


def test_what_is_not_a_number_is_not_shown() -> None:
    nan = float("nan")
    odd = replace(finding("b"), value=nan, reference=float("inf"), effect=nan, interval=(nan, nan), p_value=nan, n=0)
    odd = replace(odd, evidence=nan, share=nan)
    assert numbers(odd) == ()
    assert figure(float("-inf")) == ""


def test_an_incident_whose_last_looks_were_good_is_recovering() -> None:
    fired = story("bb")[0]
    (member,) = fired.incident.members
    assert member.finding is not None
    better = Member(member.alert, replace(member.finding, verdict="ok", message="Recall R@10 is 0.95"))
    shown = message(replace(fired, incident=replace(fired.incident, members=(better,))))
    assert (shown.title, shown.tone) == ("German · canary recall is recovering", "warn")


def test_what_fires_again_says_how_often_and_since_when_and_does_not_page_again() -> None:
    told = story("bbggbbggbb", reopens=True)
    assert [each.event for each in told] == ["firing", "resolved"] * 2 + ["firing"]
    assert len({each.incident.incident_id for each in told}) == 1
    assert [pages(each) for each in told] == [True, False, False, False, False]
    assert [reopens(each) for each in told] == [False, False, True, False, True]
    assert message(told[0]).title == "German · canary recall is failing"
    assert message(told[4]).title == "German · canary recall is failing again"
    assert news(told[4]).title == ("German · canary recall is failing again, 3 times since 21 May 2026, 11:00 UTC")
    assert news(told[3]).title == "German · canary recall is back to normal after 2 h"
    assert message(told[3]).lasted == "2 h"
    assert message(told[4]).openings == tuple(START + hour * HOUR for hour in (1, 5, 9))


def test_who_looked_after_it_the_time_before_is_not_said_of_what_fires_again() -> None:
    first = story("bb", ack="ana")
    again = story("bbggbb", reopens=True)[-1]
    history = (*again.incident.history[:1], first[-1].transition, *again.incident.history[1:])
    told = replace(again, incident=replace(again.incident, history=history))
    assert message(first[-1]).acknowledged_by == "ana"
    assert message(told).acknowledged_by == ""


def test_a_reminder_of_what_fires_again_counts_from_then() -> None:
    again = story("bbggbb", reopens=True)[-1]
    later = replace(again.transition, key="later", event="reminded", at=START + 29 * HOUR)
    told = replace(again, transition=later, event="reminded")
    assert news(told).title == "German · canary recall is still failing, for 1 day now"
