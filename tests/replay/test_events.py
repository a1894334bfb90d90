from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.errors import ConfigError
from driftwatch.replay.events import LASTS, MarkedEvent, read_events

AT = datetime(2026, 5, 20, 14, tzinfo=UTC)


def events(tmp_path: Path, text: str, name: str = "events.yaml") -> tuple[MarkedEvent, ...]:
    (tmp_path / name).write_text(text)
    return read_events(tmp_path / name, ["canary recall", "traffic"])


def test_a_list_in_yaml_is_read_oldest_first(tmp_path: Path) -> None:
    text = (
        "- {at: 2026-06-01, name: launch}\n"
        "- {at: '2026-05-20T14:00', name: rebuild, check: canary recall, segment: fr, until: 2026-05-22}\n"
    )
    first, second = events(tmp_path, text)
    assert first == MarkedEvent(AT, "rebuild", "canary recall", "fr", datetime(2026, 5, 23, tzinfo=UTC))
    assert second == MarkedEvent(datetime(2026, 6, 1, tzinfo=UTC), "launch")


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    first = '{"at": "2026-05-20T16:00:00+02:00", "name": "rebuild", "segment": "fr"}'
    text = f'\n{first}\n\n{{"at": "2026-06-01", "name": "launch"}}\n'
    assert [event.at for event in events(tmp_path, text, "events.jsonl")] == [AT, datetime(2026, 6, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {at: 2026-06-01, name: a}\n- {name: b}\n", "events.yaml:2: the event has no 'at'."),
        ("- {at: 2026-06-01, name: a}\n\n- {at: soon, name: b}\n", "events.yaml:3: 'at': 'soon' is not a date."),
        ("- at: 2026-06-01\n  name: a\n  check: canary recal\n", "events.yaml:3: there is no check 'canary recal'."),
        ("- at: 2026-06-01\n  nam: a\n", "events.yaml:2: an event has no 'nam'."),
        ("- {at: 2026-06-01, name: a, until: 2026-05-01}\n", "events.yaml:1: 'until' is not later than 'at'."),
        ("at: 2026-06-01\n", "events.yaml:1: a file of events holds a list."),
        ("- just text\n", "events.yaml:1: an event is a block of settings."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        events(tmp_path, text)
    assert said in str(caught.value).replace(f"{tmp_path}/", "")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        events(tmp_path, '{"name": "x"}\n{"at": "2026-06-01", "name": "y"}\n{"at": "x", "name": "z"}\n', "events.jsonl")
    assert "events.jsonl:1:" in str(caught.value)
    assert "events.jsonl:3:" in str(caught.value)


def test_an_event_covers_its_check_its_segment_and_everything_until_it_is_over() -> None:
    event = MarkedEvent(AT, "rebuild", "canary recall", "fr")
    later = AT + timedelta(hours=1)
    assert event.covers("canary recall", "fr", later)
    assert event.covers("canary recall", "all", later)
    assert not event.covers("canary recall", "de", later)
    assert not event.covers("traffic", "fr", later)
    assert not event.covers("canary recall", "fr", AT - timedelta(seconds=1))
    assert not event.covers("canary recall", "fr", AT + LASTS)
    assert MarkedEvent(AT, "something").covers("traffic", "de", AT)
