"""The message of a question: whatever was asked, it fits, pings nobody and says how things stand."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftwatch.approval import Click, Question, new_question
from driftwatch.errors import DeliveryError
from driftwatch.notify._slack_question import APPROVE, REJECT, Asking, AskInSlack, message, question_blocks
from driftwatch.notify._text import WORD_JOINER
from driftwatch.store import Store
from tests.fakes.examples import examples
from tests.fakes.slack import CHANNEL_NAME, TOKEN, reply_lost, says, texts_of, units, wrong_with
from tests.fakes.slack_socket import APP_TOKEN, FakeSlackSocket
from tests.notify.test_hostile import HOSTILE, TEXT, walk

ASKED = datetime(2026, 5, 4, 10, tzinfo=UTC)
LATER = ASKED + timedelta(hours=1)
ANA = "U012ANA"


def question(title: str = "Switch?", sentences: tuple[str, ...] = ("gain: yes.",), **more: Any) -> Question:
    made = new_question("job-1", title, sentences, documents=12_000, now=ASKED, expires=timedelta(days=7))
    return replace(made, **more)


def in_every_state(asked: Question, name: str) -> list[Question]:
    known = {"decided_by": ANA, "decided_name": name, "decided_at": LATER}
    return [asked, *(replace(asked, state=state, **known) for state in ("approved", "rejected", "expired"))]


def plain(asked: Question) -> str:
    return "\n".join(texts_of(question_blocks(asked))).replace(WORD_JOINER, "")


def buttons(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for block in blocks if block["type"] == "actions" for each in block["elements"]]


def assert_harmless(said: dict[str, Any]) -> None:
    blocks = said["blocks"]
    assert wrong_with(said) is None
    assert len(blocks) <= 6
    assert sum(map(units, texts_of(blocks))) <= 12_000
    assert units(json.dumps(blocks, ensure_ascii=False)) <= 13_200
    for node in walk(blocks):
        assert node.get("type") in (
            None, "header", "rich_text", "rich_text_list", "rich_text_section", "text", "context", "actions", "button",
            "plain_text",
        )  # fmt: skip
        assert node.get("type") != "plain_text" or node["emoji"] is False
    for shown in texts_of(blocks):
        assert 1 <= units(shown) <= 3000
        assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in shown)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]", shown)
        assert not re.search(r"\w[.:@/]+\w", shown)
    assert not re.search("[<>]|&(?!amp;|lt;|gt;)", said["text"])
    assert not re.search(r"\w[.:@/]\w|:\w+:", said["text"])


def everywhere(test: Any) -> Any:
    for text in HOSTILE:
        test = example(text, [text] * 40, text)(test)
    strategy = given(TEXT, st.lists(TEXT, max_size=60), TEXT)
    return settings(deadline=None, max_examples=examples(60))(strategy(test))


@everywhere
def test_no_title_sentence_or_name_pings_links_or_breaks_the_message(
    title: str, sentences: list[str], name: str
) -> None:
    for asked in in_every_state(question(title, tuple(sentences)), name):
        assert_harmless(message(replace(asked, job_id=f"job {name}")))


@everywhere
def test_the_buttons_hold_the_nonce_and_are_gone_when_it_is_decided(
    title: str, sentences: list[str], name: str
) -> None:
    asked, *ended = in_every_state(question(title, tuple(sentences)), name)
    approve, reject = buttons(question_blocks(asked))
    assert (approve["action_id"], reject["action_id"]) == (APPROVE, REJECT)
    assert {approve["value"], reject["value"]} == {asked.nonce}
    for each in (approve, reject):
        assert units(each["confirm"]["title"]["text"]) <= 100
        assert units(each["confirm"]["text"]["text"]) <= 300
    for each in ended:
        assert asked.nonce not in json.dumps(message(each))
    without = message(asked)
    without["blocks"] = without["blocks"][:-1]
    assert asked.nonce not in json.dumps(without)


@everywhere
def test_what_it_costs_is_always_said(title: str, sentences: list[str], name: str) -> None:
    asked = question(title, tuple(sentences))
    assert "12,000 documents will be embedded anew." in plain(asked)
    assert "12,000 documents" in buttons(question_blocks(asked))[0]["confirm"]["text"]["text"]


def test_what_does_not_fit_is_counted() -> None:
    asked = question(sentences=tuple(f"Sentence {n}: {'word ' * 100}" for n in range(60)))
    shown = [line for line in plain(asked).splitlines() if line.startswith("Sentence")]
    assert 10 <= len(shown) < 60
    assert f"{60 - len(shown)} more: see" in plain(asked)


def test_a_usual_question_is_shown_whole_and_in_order() -> None:
    sentences = ("gain: nDCG@10 rises by 0.041.", "no language loses: fr -0.004.")
    listed = plain(question("Switch help-centre to a new model?", sentences)).splitlines()
    assert listed[0].endswith("Switch help-centre to a new model?")
    assert listed[1:4] == [*sentences, "12,000 documents will be embedded anew."]
    assert "without an answer until 2026-05-11, 10:00 UTC it is no" in listed[4]


@pytest.mark.parametrize(
    ("state", "says_"),
    [
        ("approved", "Approved by ana (U012ANA) on 2026-05-04, 11:00 UTC."),
        ("rejected", "Rejected by ana (U012ANA) on 2026-05-04, 11:00 UTC: the model in use stays."),
        ("expired", "Nobody decided until 2026-05-11, 10:00 UTC: the model in use stays."),
    ],
)
def test_a_decided_message_says_who_and_when(state: str, says_: str) -> None:
    known = {} if state == "expired" else {"decided_by": ANA, "decided_name": "ana"}
    ended = question(state=state, decided_at=LATER, **known)
    assert says_ in plain(ended)


def test_no_hash_or_name_in_the_metadata_gives_the_nonce_away() -> None:
    asked = question()
    payload = message(asked)["metadata"]["event_payload"]
    assert payload == {"question": asked.key, "job": "job-1"}


# --- telling, against a real server -------------------------------------------------------------------------------


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlackSocket]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlackSocket() as slack:
        yield slack


def asker(slack: FakeSlackSocket, store: Store) -> AskInSlack:
    asking = Asking(f"#{CHANNEL_NAME}", (ANA,), TOKEN, APP_TOKEN, slack.base_url, timedelta(seconds=2))
    return AskInSlack(asking, store)


def approve(store: Store, asked: Question, now: datetime = LATER) -> None:
    assert store.approvals.answer(Click("c1", asked.nonce, "approve", ANA, "ana"), {ANA}, now).decision.accepted


@pytest.mark.process
def test_a_question_is_posted_once_and_then_changed_in_place(slack: FakeSlackSocket, sqlite_store: Store) -> None:
    asked = sqlite_store.approvals.ask(question())
    telling = asker(slack, sqlite_store)
    assert telling.tell(LATER)
    assert not telling.tell(LATER)
    approve(sqlite_store, asked)
    assert telling.tell(LATER)
    assert not telling.tell(LATER)
    (posted,) = slack.messages
    assert posted.edits == 1
    assert not buttons(posted.blocks)


@pytest.mark.process
@pytest.mark.parametrize("decided", [False, True])
def test_a_message_whose_reply_was_lost_is_found_after_a_restart(
    slack: FakeSlackSocket, sqlite_store: Store, decided: bool
) -> None:
    asked = sqlite_store.approvals.ask(question(asked_at=datetime.now(UTC)))
    slack.script("chat.postMessage", reply_lost())
    with pytest.raises(DeliveryError):
        asker(slack, sqlite_store).tell(LATER)
    if decided:
        approve(sqlite_store, asked)
    telling = asker(slack, sqlite_store)
    assert telling.tell(LATER) == 1
    (posted,) = slack.messages
    assert bool(buttons(posted.blocks)) is not decided
    assert sqlite_store.approvals.of("job-1").ts == posted.ts  # type: ignore[union-attr]


@pytest.mark.process
def test_a_question_that_was_decided_before_it_was_posted_is_not_posted(
    slack: FakeSlackSocket, sqlite_store: Store
) -> None:
    approve(sqlite_store, sqlite_store.approvals.ask(question()))
    telling = asker(slack, sqlite_store)
    assert telling.tell(LATER)
    assert not telling.tell(LATER)
    assert slack.messages == []
    assert sqlite_store.approvals.unfinished() == ()


@pytest.mark.process
def test_a_message_that_somebody_deleted_is_not_posted_again(slack: FakeSlackSocket, sqlite_store: Store) -> None:
    asked = sqlite_store.approvals.ask(question())
    telling = asker(slack, sqlite_store)
    assert telling.tell(LATER)
    slack.delete(slack.messages[0].ts)
    approve(sqlite_store, asked)
    assert telling.tell(LATER)
    assert slack.messages == []
    assert sqlite_store.approvals.unfinished() == ()


@pytest.mark.process
def test_a_channel_that_is_gone_is_given_up_a_week_after_the_decision(
    slack: FakeSlackSocket, sqlite_store: Store
) -> None:
    asked = sqlite_store.approvals.ask(question())
    telling = asker(slack, sqlite_store)
    assert telling.tell(LATER)
    approve(sqlite_store, asked)
    slack.outage(says("is_archived"))
    with pytest.raises(DeliveryError, match="is_archived"):
        telling.tell(LATER + timedelta(days=7))
    assert telling.tell(LATER + timedelta(days=8))
    assert sqlite_store.approvals.unfinished() == ()


@pytest.mark.process
def test_a_message_that_cannot_be_changed_holds_up_no_question(slack: FakeSlackSocket, sqlite_store: Store) -> None:
    old = sqlite_store.approvals.ask(question())
    telling = asker(slack, sqlite_store)
    assert telling.tell(LATER)
    approve(sqlite_store, old)
    new = sqlite_store.approvals.ask(question("Another?", job_id="job-2", asked_at=LATER))
    slack.script("chat.update", says("is_archived"))
    with pytest.raises(DeliveryError, match="is_archived"):
        telling.tell(LATER)
    assert [each.job_id for each in sqlite_store.approvals.unfinished() if each.shown != each.state] == ["job-1"]
    assert slack.messages[-1].metadata["event_payload"]["question"] == new.key
    assert telling.tell(LATER) == 1


@pytest.mark.process
@pytest.mark.parametrize("hostile", HOSTILE[:6])
def test_what_is_whispered_holds_no_markup(slack: FakeSlackSocket, sqlite_store: Store, hostile: str) -> None:
    asker(slack, sqlite_store).whisper("C0QUALITY99", ANA, f"Approved by {hostile}.")
    (whispered,) = slack.whispers
    assert whispered["user"] == ANA
    assert not re.search(r"[<>]|\w[.:@/]\w", whispered["text"])
