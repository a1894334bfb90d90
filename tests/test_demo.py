"""The demo: its traffic, how it judges itself, and the whole of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch._demo_scenario import judge, read_scenario
from driftwatch._demo_service import help_centre
from driftwatch._demo_traffic import Crowd, read_phrases
from driftwatch.demo import run_demo
from driftwatch.errors import DriftwatchError, MissingExtra
from driftwatch.types import Transition
from tests.fakes.help_centre import CACHE_HOME, EXAMPLE

SCENARIO = read_scenario(EXAMPLE / "scenario.yaml")
CROWD = Crowd(SCENARIO, read_phrases(EXAMPLE / "traffic"))
HOUR = timedelta(hours=1)
END = SCENARIO.end_of(30)


def change(day: int, hour: int, event: str, place: str, check: str = "a check") -> Transition:
    family, segment = place.split()
    at = SCENARIO.start + timedelta(days=day - 1, hours=hour)
    return Transition(
        f"{check} {place} {event} {at}", check, segment, event, "pending", "firing", at, f"{family}-{segment}", family
    )


def as_expected() -> list[Transition]:
    places = {20: ["canaries de", "rates de"], 24: ["rates all"]}
    fired = [change(day, 22, "firing", place) for day, all_of_them in places.items() for place in all_of_them]
    over = [change(day + 4, 12, "resolved", place) for day, all_of_them in places.items() for place in all_of_them]
    return sorted(fired + over, key=lambda each: each.at)


def test_what_the_scenario_expects_is_enough():
    outcomes = judge(SCENARIO, as_expected(), END)
    assert len(outcomes) == 3
    assert all(outcome.ok and outcome.wanted for outcome in outcomes)
    assert outcomes[0].delay == timedelta(hours=16)


def test_an_incident_that_was_never_told_is_missed():
    transitions = [each for each in as_expected() if each.family != "canaries"]
    (missed,) = [outcome for outcome in judge(SCENARIO, transitions, END) if not outcome.ok]
    assert (missed.place, missed.seen) == ("canaries de", None)


def test_an_incident_told_a_day_late_is_not_as_expected():
    transitions = [each for each in as_expected() if each.family != "canaries"]
    transitions += [change(22, 0, "firing", "canaries de"), change(24, 0, "resolved", "canaries de")]
    assert not next(outcome for outcome in judge(SCENARIO, transitions, END) if outcome.place == "canaries de").ok


def test_an_alert_that_stays_after_the_repair_is_not_as_expected():
    transitions = [each for each in as_expected() if (each.event, each.family) != ("resolved", "canaries")]
    assert not next(outcome for outcome in judge(SCENARIO, transitions, END) if outcome.place == "canaries de").ok


def test_one_of_two_checks_that_stays_keeps_the_alert_open():
    transitions = [*as_expected(), change(20, 23, "firing", "rates de", check="another check")]
    transitions.sort(key=lambda each: each.at)
    assert not judge(SCENARIO, transitions, END)[1].ok


def test_an_alert_while_all_is_well_is_a_false_alarm():
    outcomes = judge(SCENARIO, [change(17, 6, "firing", "canaries fr"), *as_expected()], END)
    (false_alarm,) = [outcome for outcome in outcomes if outcome.began is None]
    assert false_alarm.place == "canaries fr"
    assert not false_alarm.ok


def test_going_blind_is_a_false_alarm_too():
    assert not all(o.ok for o in judge(SCENARIO, [change(17, 6, "blind", "volume all"), *as_expected()], END))


def test_a_symptom_may_be_seen_and_may_be_missing():
    seen = judge(
        SCENARIO,
        sorted(
            [*as_expected(), change(21, 0, "firing", "scores de"), change(24, 0, "resolved", "scores de")],
            key=lambda each: each.at,
        ),
        END,
    )
    (symptom,) = [outcome for outcome in seen if not outcome.wanted]
    assert symptom.ok


def test_a_short_demo_is_not_blamed_for_what_comes_later():
    assert judge(SCENARIO, [], SCENARIO.end_of(19)) == []


def test_the_same_month_is_played_every_time():
    first = CROWD.asks(SCENARIO.start, SCENARIO.start + 6 * HOUR)
    again = Crowd(SCENARIO, read_phrases(EXAMPLE / "traffic")).asks(SCENARIO.start, SCENARIO.start + 6 * HOUR)
    assert first == again


def test_traffic_is_in_order_and_inside_its_stretch():
    start = SCENARIO.start + 8 * HOUR
    times = [datetime.fromisoformat(row["ts"]) for row in CROWD.asks(start, start + 6 * HOUR)]
    assert times == sorted(times)
    assert start <= times[0]
    assert times[-1] < start + 6 * HOUR


def test_a_day_of_traffic_has_the_size_and_the_languages_of_the_scenario():
    asked = CROWD.asks(SCENARIO.start, SCENARIO.start + 24 * HOUR)
    share = sum(row["lang"] == "de" for row in asked) / len(asked)
    assert 0.85 < len(asked) / SCENARIO.traffic.queries_per_day < 1.15
    assert abs(share - SCENARIO.traffic.languages["de"]) < 0.05


def test_the_new_product_is_asked_about_only_after_its_launch():
    new = {text for phrases in CROWD.phrases.values() for texts in phrases.undocumented.values() for text in texts}

    def share(day: int) -> float:
        start = SCENARIO.start + timedelta(days=day - 1)
        asked = CROWD.asks(start, start + 24 * HOUR)
        return sum(row["query"] in new for row in asked) / len(asked)

    assert share(22) == 0
    assert abs(share(25) - 0.25) < 0.05


def test_a_moment_of_the_scenario_that_cannot_be_read_says_how_to_write_it(tmp_path):
    text = (EXAMPLE / "scenario.yaml").read_text("utf-8").replace("day 20 06:00", "20th, six o'clock")
    (tmp_path / "scenario.yaml").write_text(text, "utf-8")
    with pytest.raises(ValueError, match="Write it like 'day 20 06:00'"):
        read_scenario(tmp_path / "scenario.yaml")


def test_a_directory_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "driftwatch.db").write_text("precious")
    with pytest.raises(DriftwatchError, match="is not empty"):
        run_demo(tmp_path)
    assert (tmp_path / "driftwatch.db").read_text() == "precious"


def test_without_the_extra_the_demo_says_what_to_install(tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "faiss" else find(name))
    with pytest.raises(MissingExtra, match=r"pip install 'driftwatch-rag\[demo\]'"), help_centre(EXAMPLE, tmp_path):
        pass


def test_a_service_that_does_not_start_says_why(tmp_path):
    (tmp_path / "service.py").write_text("raise SystemExit('no articles here')")
    with pytest.raises(DriftwatchError, match="did not start: no articles here"), help_centre(tmp_path, tmp_path):
        pass


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_month_is_told_as_the_scenario_expects(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE_HOME))
    code = run_demo(tmp_path / "state", json=True)
    told = json.loads(capfd.readouterr().out)
    assert code == 0, told
    assert told["ok"]
    assert told["false_alarms"] == 0


@pytest.mark.model
@pytest.mark.timeout(300)
def test_a_day_of_the_demo_goes_through_log_store_and_retriever(tmp_path, capfd, monkeypatch):
    from driftwatch.store import Store

    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE_HOME))
    assert run_demo(tmp_path / "state", days=1) == 0
    assert "no false alarms" in capfd.readouterr().out
    store = Store.open(f"sqlite:///{tmp_path}/state/driftwatch.db")
    day = datetime(2026, 6, 1, tzinfo=UTC)
    logged = len((tmp_path / "state" / "queries.jsonl").read_text("utf-8").splitlines())
    assert store.traffic.tallies("live", day, day + 24 * HOUR).total("queries") == logged > 1000
    runs = store.canaries.runs("canaries", day, day + 25 * HOUR)
    assert [len(run.observations) for run in runs] == [60] * 4
    store.close()
