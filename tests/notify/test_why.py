"""What most likely broke, as every receiver is told it: bounded, clean, and one message that stays up to date."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.alerts import AlertPolicy, advance
from driftwatch.delivery import DeliveryContext, deliver_one, shortened
from driftwatch.incidents import explained
from driftwatch.notify._blocks import fallback, incident_blocks, news_blocks
from driftwatch.notify._render import MOST_PARTS, message, news
from driftwatch.notify._terminal import lines, plain
from driftwatch.notify._why import MOST_NAMED, why
from driftwatch.notify.slack import Slack
from driftwatch.notify.webhook import Webhook, body
from driftwatch.store import Store
from driftwatch.types import Alert, Diagnosis, Member, Notice, Silence
from tests.fakes.notices import HOUR, START, TEXTS, finding, story, with_text
from tests.fakes.slack import CHANNEL_NAME, TOKEN, FakeSlack, says
from tests.fakes.webhook import FakeWebhook
from tests.notify.test_hostile import HOSTILE, assert_harmless, everywhere

pytestmark = pytest.mark.process

DOCUMENTS = tuple(f"doc-{n}" for n in range(17))
MIXED = Diagnosis(
    cause="mixed vectors",
    sentence="17 of 64 stored vectors are not those of their texts.",
    action="Embed these documents again.",
    segment="de",
    documents=DOCUMENTS,
    queries=("q1",),
    silences=(("canary recall", "de"),),
    beside=("The service filters.",),
    causes=("mixed vectors", "filter"),
    at=START,
)
UNKNOWN = Diagnosis("unknown", "No known cause fits.", "Look at the examples.", at=START)
ALL = frozenset({"firing", "resolved", "blind", "sighted", "reminded", "acknowledged", "explained"})
CONTEXT = DeliveryContext(service="help-centre", texts=lambda _: TEXTS)


def diagnosed(told: Notice, diagnosis: Diagnosis | None) -> Notice:
    return replace(told, incident=replace(told.incident, diagnosis=diagnosis))


def as_explained(told: Notice) -> Notice:
    return replace(told, event="explained", transition=replace(told.transition, event="explained"))


def hostile_diagnosis(text: str) -> Diagnosis:
    many = (text, "b" + text) * 300
    return Diagnosis(text, text, text, text, many, many, ((text, text),), many, many, many, START)


def largest(told: Notice) -> Notice:
    """As many alerts as an incident may have, each with all of its figures."""
    (member,) = told.incident.members
    several = tuple(
        Member(replace(member.alert, check=f"{member.alert.check}{n}"), member.finding) for n in range(MOST_PARTS + 9)
    )
    return replace(told, incident=replace(told.incident, members=several))


# --- words ---------------------------------------------------------------------------------------------------------


def test_nothing_is_said_where_no_cause_is_known() -> None:
    assert why(None) is None
    assert why(UNKNOWN) is None


def test_the_first_documents_are_named_and_the_others_counted() -> None:
    told = why(MIXED)
    assert told is not None
    assert told.cause == "Most likely mixed vectors, in German"
    assert told.documents == DOCUMENTS[:MOST_NAMED]
    assert told.more == 17 - MOST_NAMED
    everywhere_else = why(replace(MIXED, segment="", documents=()))
    assert everywhere_else is not None
    assert (everywhere_else.cause, everywhere_else.documents, everywhere_else.more) == (
        "Most likely mixed vectors",
        (),
        0,
    )


def test_a_document_whose_name_cannot_be_shown_is_counted_all_the_same() -> None:
    told = why(replace(MIXED, documents=("\x00\u202e", "a", "\u200b")))
    assert told is not None
    assert (told.documents, told.more) == (("a",), 2)


def test_the_diagnosis_stands_in_the_message_with_what_to_do_next() -> None:
    (told,) = story("bb")
    printed = plain(lines(incident_blocks(message(diagnosed(told, MIXED))), 200))
    for part in (
        "Most likely mixed vectors, in German",
        "17 of 64 stored vectors",
        "Next: Embed these documents again.",
        "Documents: doc-0, doc-1, doc-2, doc-3, doc-4 and 12 more",
        "Beside it: The service filters.",
    ):
        assert part in printed
    assert "Most likely" not in plain(lines(incident_blocks(message(diagnosed(told, UNKNOWN))), 200))


def test_that_another_thing_is_thought_is_one_line_of_news() -> None:
    (told,) = story("bb")
    said = news(as_explained(diagnosed(told, MIXED)))
    assert said.title == "Most likely mixed vectors, in German"
    assert said.sentence == f"{MIXED.sentence} {MIXED.action}"
    assert news(as_explained(told)).title == "No cause that is known fits"


# --- whatever documents are called ---------------------------------------------------------------------------------


@everywhere
def test_a_diagnosis_can_neither_ping_nor_link_nor_break_the_blocks(hostile: str) -> None:
    (told,) = story("bb")
    for each in (told, largest(told), as_explained(told)):
        attacked = diagnosed(with_text(each, hostile), hostile_diagnosis(hostile))
        shown, said = message(attacked), news(attacked)
        head = fallback(shown.title, shown.why.cause if shown.why else "")
        assert_harmless(incident_blocks(shown, ("here", "U012AB3CD", "S012AB")), head)
        assert_harmless(news_blocks(said), fallback(said.title, said.sentence))
        assert len(plain(lines(incident_blocks(shown), 80))) < 20_000


@everywhere
def test_a_webhook_body_with_a_diagnosis_is_valid_json_and_bounded(hostile: str) -> None:
    (told,) = story("bb")
    sent = body(diagnosed(told, hostile_diagnosis(hostile)), "hook")
    read = json.loads(json.dumps(sent, allow_nan=False).encode("ascii"))
    json.dumps(read, ensure_ascii=False).encode("utf-8")
    diagnosis = read["driftwatch"]["diagnosis"]
    assert set(diagnosis) == {"causes", "segment", "cause", "sentence", "action", "documents", "more", "beside"}
    assert len(json.dumps(diagnosis)) < 40_000


def test_slack_takes_the_largest_message_there_can_be() -> None:
    (told,) = story("bb")
    with FakeSlack() as slack:
        notifier = receiver(slack, mention=("here",))
        for hostile in HOSTILE:
            attacked = diagnosed(with_text(largest(told), hostile), hostile_diagnosis(hostile))
            assert notifier.deliver(replace(attacked, service="help-centre"), None, repeat=False)
        assert len(slack.messages) == 2 * len(HOSTILE)


# --- delivered -----------------------------------------------------------------------------------------------------


def receiver(slack: FakeSlack, **more: Any) -> Slack:
    settings = {"channel": f"#{CHANNEL_NAME}", "token": TOKEN, "base_url": slack.base_url, "timeout": "2s"} | more
    return Slack(kind="slack", name="quality", **settings)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    return sqlite_store


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


def record(store: Store, alert: Alert, transitions: Any, receivers: Mapping[str, frozenset[str]], **more: Any) -> None:
    store.decisions.record(
        findings=more.pop("findings", ()), alerts=[alert], transitions=transitions, receivers=receivers, **more
    )


def fire(store: Store, receivers: Mapping[str, frozenset[str]], diagnosis: Diagnosis | None) -> Alert:
    """An alert that fires, with what is thought of it."""
    found = finding("b", START)
    policy = AlertPolicy(after=1, until=1, blind_after=2)
    alert, fired = advance(Alert("canary recall", "de"), found, policy, START, incident="i1")
    assert fired is not None
    thought = {"i1": diagnosis} if diagnosis else None
    record(store, alert, [fired], receivers, findings=[found], diagnoses=thought)
    return alert


def think_again(store: Store, alert: Alert, receivers: Mapping[str, frozenset[str]]) -> str:
    """An hour later the cause is known; the key of what is told."""
    at = START + HOUR
    (told,) = explained({("canary recall", "de"): alert}, ["i1"], [], {"canary recall": "canaries"}, at)
    record(store, alert, [told], receivers, diagnoses={"i1": replace(MIXED, at=at)})
    return told.key


def deliver_all(store: Store, notifier: Any) -> None:
    now = START + 2 * HOUR
    while deliver_one(store, notifier, now, CONTEXT):
        pass


def test_a_cause_that_is_found_later_is_told_once_updates_the_message_and_calls_nobody(
    store: Store, slack: FakeSlack
) -> None:
    notifier, receivers = receiver(slack, mention=("here", "U012AB3CD")), {"quality": ALL}
    alert = fire(store, receivers, UNKNOWN)
    deliver_all(store, notifier)
    (head,) = slack.heads()
    assert "Most likely" not in head.said
    called = json.dumps([each.blocks for each in slack.messages]).count("<!here>")
    key = think_again(store, alert, receivers)
    deliver_all(store, notifier)
    (head,) = slack.heads()
    assert "Most likely mixed vectors, in German" in head.said
    assert "Most likely mixed vectors" in head.text
    assert head.edits == 1
    replies = [each for each in slack.thread(head.ts) if each.key == key]
    assert len(replies) == 1
    assert "Embed these documents again." in replies[0].said
    assert "<!here>" not in json.dumps(replies[0].blocks) + replies[0].text
    assert json.dumps([each.blocks for each in slack.messages]).count("<!here>") == called
    deliver_all(store, notifier)
    assert len(slack.messages) == 3
    assert store.outbox.waiting() == {}


def test_a_receiver_that_knows_nothing_of_the_incident_is_not_told_its_cause(store: Store, slack: FakeSlack) -> None:
    alert = fire(store, {}, UNKNOWN)
    think_again(store, alert, {"quality": ALL})
    deliver_all(store, receiver(slack))
    assert slack.messages == []
    assert store.outbox.waiting() == {}


def test_a_receiver_that_does_not_want_causes_told_sees_them_in_the_next_message(
    store: Store, slack: FakeSlack
) -> None:
    few = {"quality": ALL - {"explained"}}
    alert = fire(store, few, UNKNOWN)
    think_again(store, alert, few)
    assert store.outbox.waiting() == {"quality": 1}
    deliver_all(store, receiver(slack))
    assert "Most likely mixed vectors" in slack.heads()[0].said


def test_a_webhook_carries_the_diagnosis_and_the_event(store: Store) -> None:
    receivers = {"pager": ALL}
    alert = fire(store, receivers, UNKNOWN)
    with FakeWebhook() as hook:
        notifier = Webhook(kind="webhook", name="pager", url=hook.url)
        deliver_all(store, notifier)
        think_again(store, alert, receivers)
        deliver_all(store, notifier)
        first, second = (each.json["driftwatch"] for each in hook.received)
    assert (first["event"], first["diagnosis"]) == ("firing", None)
    assert (second["event"], second["state"], second["title"]) == ("explained", "firing", second["diagnosis"]["cause"])
    assert second["diagnosis"] == {
        "causes": ["mixed vectors", "filter"],
        "segment": "de",
        "cause": "Most likely mixed vectors, in German",
        "sentence": MIXED.sentence,
        "action": MIXED.action,
        "documents": list(DOCUMENTS[:MOST_NAMED]),
        "more": 12,
        "beside": list(MIXED.beside),
    }


def test_a_message_that_was_refused_is_sent_again_with_the_cause_and_without_documents(
    store: Store, slack: FakeSlack
) -> None:
    fire(store, {"quality": ALL}, MIXED)
    slack.script("chat.postMessage", says("msg_blocks_too_long"))
    deliver_all(store, receiver(slack))
    (head,) = slack.heads()
    assert "Most likely mixed vectors, in German" in head.said
    assert "doc-0" not in head.said
    assert "filters" not in head.said
    assert store.outbox.waiting() == {}


@everywhere
def test_the_shortest_form_is_short_whatever_documents_are_called(hostile: str) -> None:
    (told,) = story("bb")
    short = shortened(diagnosed(told, hostile_diagnosis(hostile)))
    assert short.incident.diagnosis is not None
    assert short.incident.diagnosis.documents == ()
    assert sum(map(len, (short.incident.diagnosis.cause, short.incident.diagnosis.sentence))) <= 200


def test_a_silence_holds_what_is_thought_back_as_it_holds_the_alert(store: Store, slack: FakeSlack) -> None:
    alert = fire(store, {"quality": ALL}, UNKNOWN)
    deliver_all(store, receiver(slack))
    silence = Silence("s", "canary recall", "*", START + timedelta(days=1), "ann", "re-index", START + HOUR / 2)
    store.decisions.add_silence(silence)
    think_again(store, alert, {"quality": ALL})
    deliver_all(store, receiver(slack))
    assert len(slack.messages) == 2
    assert store.outbox.waiting() == {"quality": 1}


# --- the page and `explain` ----------------------------------------------------------------------------------------


Opened = Callable[[Diagnosis], tuple[Path, Store]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """A project with one incident, of which this is thought."""
    from tests.fakes.world import RECALL, make_world

    stores: list[Store] = []

    def make(diagnosis: Diagnosis) -> tuple[Path, Store]:
        watch = make_world(tmp_path, RECALL)
        stores.append(Store.open(watch.database))
        fire(stores[-1], {}, UNKNOWN)
        record(stores[-1], Alert("x", "all"), [], {}, diagnoses={"i1": replace(diagnosis, at=START + HOUR)})
        return tmp_path / "driftwatch.yaml", stores[-1]

    yield make
    for each in stores:
        each.close()


def explain(config: Path, *words: str) -> str:
    from typer.testing import CliRunner

    from driftwatch.cli import app

    done = CliRunner().invoke(app, ["explain", "i1", "--config", str(config), *words], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_explain_prints_what_broke_and_every_thought_is_in_its_json(opened: Opened) -> None:
    config, _ = opened(replace(MIXED, unseen=("Nothing was listed.",)))
    printed = explain(config)
    for part in ("mixed vectors", MIXED.sentence, MIXED.action, "doc-16", "q1", "canary recall:de", "filters"):
        assert part in printed
    assert "Nothing was listed." in printed
    assert "No known cause fits" not in printed, "only what is thought now"
    (found,) = json.loads(explain(config, "--json"))["diagnoses"]
    assert found["incident"] == "i1"
    assert [each["cause"] for each in found["history"]] == ["unknown", "mixed vectors"]
    assert found["history"][1]["documents"] == list(DOCUMENTS)


def test_explain_prints_no_control_characters_and_no_markup(opened: Opened) -> None:
    config, _ = opened(hostile_diagnosis("\x1b]8;;http://evil.example\x07[bold red]x\u202e<b>"))
    printed = explain(config)
    assert "[bold red]" in printed
    assert not set(printed) & {"\x1b", "\x07", "\u202e"}


ATTACK = "<script>alert(1)</script>\" onmouseover='x' \u202e\x1b[31m</td></tr></table>"


def test_the_page_of_an_incident_shows_its_diagnosis_escaped(opened: Opened) -> None:
    from driftwatch.config import load_watch
    from driftwatch.pages import render_incident

    everywhere = {"documents": (ATTACK,), "queries": (ATTACK,), "beside": (ATTACK,), "unseen": (ATTACK,)}
    config, store = opened(replace(MIXED, sentence=ATTACK, **everywhere))
    incident = store.decisions.incident("i1")
    assert incident is not None
    page = render_incident(load_watch(config), store, incident, incident.opened_at)
    assert "mixed vectors, de</h1>" in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert "<script" not in page
    assert "onmouseover='x'" not in page
    assert not set(page) & {"\u202e", "\x1b"}
    assert page.count("</table>") == page.count("<table")
