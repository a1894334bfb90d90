"""Whatever a query, a log line or a file holds: no message pings, links, breaks or lies."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftwatch.notify._blocks import Block, fallback, incident_blocks, news_blocks
from driftwatch.notify._render import message, news
from driftwatch.notify._terminal import lines, plain
from driftwatch.notify._text import WORD_JOINER
from driftwatch.notify.alertmanager import Alertmanager, alerts_of
from driftwatch.notify.pagerduty import PagerDuty, events_of
from driftwatch.notify.webhook import body
from tests.fakes.examples import examples
from tests.fakes.notices import story, with_text
from tests.fakes.slack import texts_of, units, wrong_with

NOTICES = [*story("bb"), *story("bbgg")[1:], *story("uug"), *story("bb", ack="x")[1:]]
HOSTILE = [
    "<!channel> <!here> <@U012AB3CD> <!subteam^S012AB> @here @channel #general",
    "<https://evil.example|click> https://evil.example www.evil.example a@evil.example",
    "*bold* _it_ ~no~ `code` ```block``` :x: :skull: > quote",
    "&lt;!channel&gt; &amp;amp; &#60;!here&#62;",
    "\x00\x07\x1b[31m\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\ \x9b2J \r\n\t\u2028\u2029",
    "\u202e\u2066gnp.exe\u2069 \u200b\u200d\u2060\ufeff\u00ad",
    "\ud800 \udfff \ufffe \U0010ffff \ue000",
    "A" * 200_000,
    "👩‍👩‍👧‍👦" * 5_000,
    "\\" * 5_000 + '"' * 5_000,
    "<!date^0^{date}|https://evil.example>",
    "[bold]rich[/bold] [link=https://evil.example]x[/link]",
    "a\u0300\u0301" * 3000,
    "",
    " ",
]
PIECES = st.sampled_from([*HOSTILE[:7], "<!", "<@", "|", ">", "&", "`", "\n", "{", "%s", "\\u0000", "://"])
TEXT = st.one_of(st.text(st.characters(), max_size=400), st.lists(PIECES, max_size=12).map("".join))

OWN_MARKUP = re.compile(
    r"(?:Since |Began )?<!date\^\d+\^\{date_short_pretty\} at \{time\}\|\d{1,2} \w{3} \d{4}, \d\d:\d\d UTC>"
    r"(?:, lasted [\w ]+)?"
    r"|\*(?:Now|Normal|Change|KS statistic D|p-value|Evidence|Canaries|Sessions|Queries)\*\n[-+0-9.,e() a-z]+"
    r"|\*Since about\*\n\d{1,2} \w{3} \d{4}(?:, \d\d:\d\d UTC)?"
    r"|<!here> <@U012AB3CD> <!subteam\^S012AB>"
)


def walk(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for each in node for found in walk(each)]
    if isinstance(node, dict):
        return [node] + [found for each in node.values() for found in walk(each)]
    return []


def assert_harmless(blocks: list[Block], text: str) -> None:
    assert wrong_with({"text": text, "blocks": blocks}) is None
    assert len(blocks) <= 45
    assert sum(map(units, texts_of(blocks))) <= 12_000
    assert len(json.dumps(blocks, ensure_ascii=False)) <= 13_200
    for node in walk(blocks):
        assert node.get("type") not in (
            "user",
            "usergroup",
            "broadcast",
            "channel",
            "link",
            "emoji",
            "image",
            "markdown",
        )
        if node.get("type") == "mrkdwn":
            assert OWN_MARKUP.fullmatch(node["text"]), node["text"]
        elif node.get("type") == "plain_text":
            assert node["emoji"] is False
    for shown in texts_of(blocks):
        assert units(shown) <= 2900
        assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in shown.replace("\n", ""))
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]", shown)
        assert not re.search(r"\w[.:@/]+\w", shown) or OWN_MARKUP.fullmatch(shown) or ours(shown)
    assert not re.search("[<>]|&(?!amp;|lt;|gt;)", text)
    assert not re.search(r"\w[.:@/]\w|:\w+:", text)


def ours(shown: str) -> bool:
    return shown.startswith("driftwatch explain ")


def everywhere(test: Any) -> Any:
    for text in HOSTILE:
        test = example(text)(test)
    # A loaded machine is no bug in the text.
    return settings(deadline=None, max_examples=examples(60))(given(TEXT)(test))


@everywhere
def test_slack_text_cannot_ping_link_or_break_blocks(hostile: str) -> None:
    for each in NOTICES:
        attacked = with_text(each, hostile)
        shown, told = message(attacked), news(attacked)
        assert_harmless(incident_blocks(shown, ("here", "U012AB3CD", "S012AB")), fallback(shown.title, hostile[:300]))
        assert_harmless(news_blocks(told), fallback(told.title, told.sentence))


@everywhere
def test_a_webhook_body_is_always_valid_json_of_the_same_shape(hostile: str) -> None:
    for each in NOTICES:
        sent = body(with_text(each, hostile), hostile)
        read = json.loads(json.dumps(sent, allow_nan=False).encode("ascii"))
        assert read == sent
        json.dumps(read, ensure_ascii=False).encode("utf-8")
        assert set(read) == set(body(each, "x"))
        assert all(isinstance(value, str) for alert in read["alerts"] for value in alert["labels"].values())


@everywhere
def test_what_alertmanager_and_pagerduty_hand_on_is_bounded_and_carries_no_markup(hostile: str) -> None:
    prom = Alertmanager(kind="alertmanager", urls=("http://prom",), show_queries=True)
    pager = PagerDuty(kind="pagerduty", routing_key="0" * 32, show_queries=True)  # type: ignore[arg-type]
    for each in NOTICES:
        attacked = with_text(each, hostile)
        for alert in alerts_of(attacked, each.at, prom):
            assert not set("<>") & set("".join(alert["annotations"].values()) + alert["labels"].get("segment", ""))
            assert len(json.dumps(alert, allow_nan=False).encode("ascii")) < 60_000
        for event in events_of(attacked, "key", pager, known=True):
            payload = event.get("payload", {"summary": "x", "custom_details": {}})
            assert 0 < len(payload["summary"]) <= 1024
            assert not set("<>") & set(json.dumps([payload["summary"], payload["custom_details"]], ensure_ascii=False))
            assert len(json.dumps(event, allow_nan=False).encode("ascii")) < 100_000


@everywhere
def test_the_console_prints_no_control_characters(hostile: str) -> None:
    for each in NOTICES:
        printed = plain(lines(incident_blocks(message(with_text(each, hostile))), 80))
        assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in printed.replace("\n", ""))
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", printed)
        assert all(len(line) <= 90 for line in printed.splitlines())


def test_nothing_but_the_configured_ids_can_call_somebody() -> None:
    shown = message(with_text(NOTICES[0], "<!channel>"))
    calling = [node for node in walk(incident_blocks(shown, ("U012AB3CD",))) if "<@" in str(node.get("text"))]
    assert [node["text"] for node in calling if node["type"] == "mrkdwn"] == ["<@U012AB3CD>"]
    assert not any(
        "<!" in str(node.get("text", ""))
        for node in walk(incident_blocks(shown))
        if node.get("type") == "mrkdwn" and not OWN_MARKUP.fullmatch(node["text"])
    )


@pytest.mark.parametrize("hostile", HOSTILE[:3])
def test_what_was_asked_can_still_be_read(hostile: str) -> None:
    shown = message(with_text(NOTICES[0], hostile))
    listed = [text.replace(WORD_JOINER, "") for text in texts_of(incident_blocks(shown))]
    assert hostile in listed
