from __future__ import annotations

import io
import sys

import pytest

from driftwatch.notify import sample_notice
from driftwatch.notify._render import message
from driftwatch.notify.console import Console
from tests.fakes.notices import START, story, with_text

FIRED, RESOLVED = story("bbgg")


def printed(capsys: pytest.CaptureFixture[str], *notices: object, **settings: object) -> str:
    for notice in notices:
        Console(kind="console", **settings).deliver(notice, None, repeat=False)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_an_incident_reads_as_it_does_in_slack(capsys: pytest.CaptureFixture[str]) -> None:
    incident_id = FIRED.incident.incident_id
    assert printed(capsys, FIRED).splitlines() == [
        "🔴 German · canary recall is failing",
        "   Recall R@10 fell from 0.95 to 0.41 (-0.54, -0.66 to -0.42): 27 of 50 canaries lost their document",
        "   Now 0.41   Normal 0.95   Change -0.54 (-0.66 to -0.42)   p-value below 0.0001   Canaries 50",
        "   Look at these first",
        "   • Wie ändere ich meine Lieferadresse?",
        "   • Wo finde ich meine Rechnung?",
        f"   What was found, and where: driftwatch explain {incident_id}",
        "   Since 21 May 2026, 11:00 UTC · help-centre",
    ]


def test_a_resolution_says_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, RESOLVED)
    assert shown.startswith("🟢 German · canary recall is back to normal")
    assert "Began 21 May 2026, 11:00 UTC, lasted 2 h" in shown


def test_what_the_title_does_not_say_is_said_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is looked after by ana" in printed(capsys, story("bb", ack="ana")[-1])


def test_questions_are_hidden_when_they_must_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Lieferadresse" not in printed(capsys, FIRED, show_queries=False)


def test_a_terminal_gets_a_box_in_colour_and_no_markup_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, with_text(FIRED, "[bold]x[/bold] \x1b[2Jgone"), color="always")
    assert "╭" in shown
    assert "\x1b[31m" in shown or "\x1b[1;31m" in shown
    assert "[bold]x[/bold] gone" in shown
    assert "\x1b[2J" not in shown


def test_a_terminal_without_unicode_still_gets_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    Console(kind="console").deliver(FIRED, None, repeat=False)
    assert b"canary recall is failing" in raw.getvalue()


def test_what_was_printed_last_is_not_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(kind="console")
    thread = console.deliver(FIRED, None, repeat=False)
    assert capsys.readouterr().out
    assert console.deliver(FIRED, thread, repeat=False) == thread
    assert capsys.readouterr().out == ""


def test_what_has_changed_since_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(kind="console")
    thread = console.deliver(FIRED, None, repeat=False)
    capsys.readouterr()
    assert console.deliver(with_text(FIRED, "another question"), thread, repeat=False) != thread
    assert "another question" in capsys.readouterr().out


def test_the_sample_says_that_it_is_one() -> None:
    sample = sample_notice("help-centre", START)
    shown = message(sample)
    assert shown.title == "German · canary recall is failing"
    assert "This is a test and nothing is wrong" in shown.parts[0].sentence
    assert sample.at < START
