from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from driftwatch.errors import StoreError
from driftwatch.store import CheckRun, Store
from driftwatch.types import Alert, Baseline, Finding, Silence
from tests.fakes.batches import DAY, HOUR, MONDAY
from tests.fakes.decided import EVERYTHING, MINUTE, alert, finding, transition

RECEIVERS = {"slack": EVERYTHING, "pager": frozenset({"firing"})}


def record(store: Store, **what: Any) -> bool:
    nothing: dict[str, Any] = {"findings": (), "alerts": (), "transitions": (), "receivers": RECEIVERS}
    return store.decisions.record(**(nothing | what))


def fire(store: Store, check: str = "recall", incident: str = "i1", at: Any = MONDAY, **more: Any) -> None:
    news = transition(check, "firing", at, incident, **more)
    record(store, alerts=[alert(check, news.segment, incident=incident)], transitions=[news])


def resolve(store: Store, check: str = "recall", incident: str = "i1", at: Any = MONDAY + HOUR) -> None:
    news = transition(check, "resolved", at, incident)
    record(store, alerts=[Alert(check, "de")], transitions=[news])


# --- findings ------------------------------------------------------------------------------------------------------


def test_a_finding_comes_back_as_it_was(store: Store) -> None:
    found = Finding(
        check="canary recall",
        segment="de",
        at=MONDAY,
        verdict="fail",
        message="recall fell",
        kind="canary",
        family="canaries",
        n=50,
        value=0.41,
        reference=0.95,
        effect=-0.54,
        interval=(-0.66, -0.42),
        statistic=27.0,
        p_value=1e-9,
        e_value=12.5,
        examples=("q1", "q2"),
        details={"flips": [["q1", 1, None]], "detected": 0.25},
        state={"ledger": 0.5},
        learning=False,
        evidence=240.5,
        share=0.3,
        onset=MONDAY - 3 * HOUR,
        pages=True,
    )
    record(store, findings=[found])
    assert store.decisions.findings() == [found]
    assert store.decisions.last_findings() == {("canary recall", "de"): found}


def test_numbers_that_are_no_numbers_do_not_break_a_finding(store: Store) -> None:
    odd = finding(
        "ks",
        MONDAY,
        n=np.int64(3),
        value=np.float32(0.5),
        effect=float("nan"),
        statistic=float("inf"),
        interval=(float("nan"), 1.0),
        details={"gap": float("nan"), "at": np.float64(0.25)},
        state={"a": float("nan"), "b": float("-inf"), "c": 1},
    )
    record(store, findings=[odd])
    (back,) = store.decisions.findings()
    assert (back.n, back.value, back.effect, back.statistic) == (3, 0.5, None, math.inf)
    assert back.interval is not None
    assert math.isnan(back.interval[0])
    assert back.details == {"gap": None, "at": 0.25}
    assert math.isnan(back.state["a"])
    assert (back.state["b"], back.state["c"]) == (-math.inf, 1.0)


def test_findings_are_chosen_and_come_newest_first(store: Store) -> None:
    record(
        store,
        findings=[
            finding(check, MONDAY + n * HOUR, segment)
            for n in range(3)
            for check, segment in (("a", "de"), ("a", "fr"), ("b", "de"))
        ],
    )
    assert [each.at for each in store.decisions.findings("a", "de")] == [MONDAY + n * HOUR for n in (2, 1, 0)]
    assert len(store.decisions.findings("a")) == 6
    assert len(store.decisions.findings(since=MONDAY + 2 * HOUR)) == 3
    assert len(store.decisions.findings(limit=4)) == 4


def test_the_last_finding_is_the_newest_even_when_an_older_one_comes_late(store: Store) -> None:
    record(store, findings=[finding("a", MONDAY + HOUR)])
    record(store, findings=[finding("a", MONDAY)])
    assert store.decisions.last_findings()["a", "de"].at == MONDAY + HOUR


def test_a_window_that_is_judged_again_keeps_what_was_found_last(store: Store) -> None:
    record(store, findings=[finding("a", MONDAY, verdict="unknown"), finding("b", MONDAY)])
    again = finding("a", MONDAY, verdict="fail", message="41 of 50 lost")
    record(store, findings=[again])
    assert store.decisions.findings("a") == [again]
    assert store.decisions.last_findings()["a", "de"] == again


# --- one tick ------------------------------------------------------------------------------------------------------


def test_a_tick_is_recorded_once_however_often_it_is_repeated(store: Store) -> None:
    run = CheckRun("canary recall", MONDAY, MONDAY, MONDAY + MINUTE, "done")
    what = {
        "findings": [finding("recall", MONDAY)],
        "alerts": [alert("recall", bad=2)],
        "transitions": [transition("recall", "firing", MONDAY)],
    }
    assert record(store, **what, run=run)
    assert not record(store, **(what | {"alerts": [alert("recall", bad=9)]}), run=run)
    assert record(store, **what)
    assert store.decisions.alerts()["recall", "de"].bad == 2
    assert len(store.decisions.findings()) == 1
    assert store.outbox.waiting() == {"slack": 1, "pager": 1}


def test_a_tick_that_fails_leaves_nothing_behind(store: Store) -> None:
    class Unwritable:
        def __str__(self) -> str:
            raise RuntimeError("died here")

    with pytest.raises(StoreError, match="not JSON"):
        record(
            store,
            findings=[finding("a", MONDAY), finding("b", MONDAY, details={"x": Unwritable()})],
            run=CheckRun("a", MONDAY, MONDAY, MONDAY, "done"),
        )
    assert store.decisions.findings() == []
    assert store.decisions.last_runs() == {}


def test_alerts_are_replaced_by_what_they_became(store: Store) -> None:
    first = alert("recall", since=MONDAY, fired_at=MONDAY, bad=2, reminded_at=MONDAY)
    record(store, alerts=[first, alert("volume", "all")])
    record(store, alerts=[Alert("recall", "de", good=3)])
    assert store.decisions.alerts() == {
        ("recall", "de"): Alert("recall", "de", good=3),
        ("volume", "all"): alert("volume", "all"),
    }


def test_only_receivers_of_an_event_are_told(store: Store) -> None:
    fire(store)
    resolve(store)
    assert store.outbox.waiting() == {"slack": 2, "pager": 1}


def test_a_tick_does_not_forget_who_acknowledged_meanwhile(store: Store) -> None:
    fire(store)
    record(
        store,
        alerts=[alert("recall", acknowledged_by="ann")],
        transitions=[transition("recall", "acknowledged", MONDAY + MINUTE, actor="ann")],
    )
    record(store, alerts=[alert("recall", bad=3)])
    assert store.decisions.alerts()["recall", "de"] == alert("recall", bad=3, acknowledged_by="ann")
    record(store, alerts=[alert("recall", incident="i2")])
    assert store.decisions.alerts()["recall", "de"].acknowledged_by == ""


def test_an_acknowledgement_does_not_undo_a_resolution(store: Store) -> None:
    fire(store)
    seen = store.decisions.alerts()["recall", "de"]
    resolve(store)
    record(
        store,
        alerts=[replace(seen, acknowledged_by="ann")],
        transitions=[transition("recall", "acknowledged", MONDAY + HOUR, actor="ann")],
    )
    assert store.decisions.alerts()["recall", "de"] == Alert("recall", "de")
    incident = store.decisions.incident("i1")
    assert incident is not None
    assert [each.event for each in incident.history] == ["firing", "resolved"]


# --- incidents -----------------------------------------------------------------------------------------------------


def test_an_incident_opens_with_its_first_alert_and_closes_with_its_last(store: Store) -> None:
    fire(store, "recall", family="canaries")
    fire(store, "rr", at=MONDAY + MINUTE, family="canaries")
    resolve(store, "recall", at=MONDAY + HOUR)
    (opened,) = store.decisions.open_incidents()
    assert (opened.family, opened.segment, opened.opened_at, opened.resolved_at) == ("canaries", "de", MONDAY, None)
    resolve(store, "rr", at=MONDAY + 2 * HOUR)
    assert store.decisions.open_incidents() == []
    closed = store.decisions.incident("i1")
    assert closed is not None
    assert closed.resolved_at == MONDAY + 2 * HOUR
    assert closed.state == "resolved"


def test_an_incident_shows_its_alerts_their_newest_findings_and_its_history(store: Store) -> None:
    record(store, findings=[finding("recall", MONDAY), finding("other", MONDAY)])
    fire(store, "recall")
    record(store, findings=[finding("recall", MONDAY + HOUR, message="newer")])
    fire(store, "rr", at=MONDAY + HOUR)
    fire(store, "volume", incident="i2", at=MONDAY + HOUR)
    incident = store.decisions.incident("i1")
    assert incident is not None
    assert [member.alert.check for member in incident.members] == ["recall", "rr"]
    newest = incident.members[0].finding
    assert newest is not None
    assert newest.message == "newer"
    assert incident.members[1].finding is None
    assert [each.check for each in incident.history] == ["recall", "rr"]


def test_a_blind_alert_keeps_its_incident_open(store: Store) -> None:
    fire(store)
    record(
        store,
        alerts=[alert("recall", state="blind")],
        transitions=[transition("recall", "blind", MONDAY + HOUR)],
    )
    (opened,) = store.decisions.open_incidents()
    assert opened.state == "blind"


def test_an_incident_that_was_blind_only_closes_when_sighted(store: Store) -> None:
    record(store, alerts=[alert("log", state="blind")], transitions=[transition("log", "blind", MONDAY)])
    record(store, alerts=[Alert("log", "de")], transitions=[transition("log", "sighted", MONDAY + HOUR)])
    assert store.decisions.open_incidents() == []


def test_an_incident_is_everywhere_once_all_queries_join_it(store: Store) -> None:
    fire(store, segment="de")
    fire(store, segment="all", at=MONDAY + HOUR)
    (opened,) = store.decisions.open_incidents()
    assert opened.segment == "all"


def test_an_incident_that_fires_again_is_open_again_and_about_what_reopened_it(store: Store) -> None:
    fire(store, segment="all")
    news = transition("recall", "resolved", MONDAY + HOUR, segment="all", after="ok")
    record(store, alerts=[Alert("recall", "all", last_incident="i1", resolved_at=MONDAY + HOUR)], transitions=[news])
    assert store.decisions.open_incidents() == []
    assert store.decisions.alerts()["recall", "all"].last_incident == "i1"
    assert store.decisions.alerts()["recall", "all"].resolved_at == MONDAY + HOUR
    fire(store, segment="de", at=MONDAY + DAY)
    fire(store, segment="fr", at=MONDAY + DAY + HOUR)
    (again,) = store.decisions.open_incidents()
    assert (again.incident_id, again.segment, again.opened_at) == ("i1", "de", MONDAY)
    assert again.openings == (MONDAY, MONDAY + DAY)


def test_recent_incidents_are_newest_first(store: Store) -> None:
    for number in range(4):
        fire(store, f"check {number}", f"i{number}", MONDAY + number * HOUR)
    assert [each.incident_id for each in store.decisions.recent_incidents(3)] == ["i3", "i2", "i1"]
    assert store.decisions.incident("i9") is None


# --- silences ------------------------------------------------------------------------------------------------------


def silence(name: str = "s1", check: str = "recall", hours: float = 8) -> Silence:
    return Silence(name, check, "*", MONDAY + hours * HOUR, "ann", "deployment", MONDAY)


def test_a_silence_holds_from_when_it_was_made_until_its_end(store: Store) -> None:
    store.decisions.add_silence(silence())
    assert store.decisions.silences(MONDAY - MINUTE) == []
    assert store.decisions.silences(MONDAY) == [silence()]
    assert store.decisions.silences(MONDAY + 8 * HOUR) == []


def test_an_expired_silence_lets_go_of_what_only_it_held_back(store: Store) -> None:
    store.decisions.add_silence(silence("short", hours=4))
    store.decisions.add_silence(silence("long", hours=8))
    held = transition("recall", "firing", MONDAY)
    record(store, transitions=[held], held={held.key: MONDAY + 8 * HOUR}, receivers={"slack": EVERYTHING})
    assert store.decisions.expire_silence("long", MONDAY + HOUR)
    assert store.outbox.claim("slack", MONDAY + HOUR, MINUTE) is None
    assert store.decisions.expire_silence("short", MONDAY + HOUR)
    assert store.outbox.claim("slack", MONDAY + HOUR, MINUTE) is not None
    assert not store.decisions.expire_silence("short", MONDAY + HOUR)
    assert not store.decisions.expire_silence("unknown", MONDAY)


# --- baselines and runs --------------------------------------------------------------------------------------------


def test_the_newest_baseline_counts_and_all_are_remembered(store: Store) -> None:
    assert store.decisions.baseline() is None
    first = Baseline(MONDAY, MONDAY + 14 * DAY, "learnt", "driftwatch", MONDAY + 14 * DAY, source="live")
    second = Baseline(MONDAY + 7 * DAY, MONDAY + 21 * DAY, "new index", "ann", MONDAY + 21 * DAY)
    store.decisions.set_baseline(first)
    store.decisions.set_baseline(second)
    assert store.decisions.baseline() == second
    assert store.decisions.baselines() == [first, second]


def test_what_was_done_last_is_known_for_each_job(store: Store) -> None:
    for job, hour in (("a", 1), ("a", 3), ("a", 2), ("b", 5)):
        due = MONDAY + hour * HOUR
        assert store.decisions.record_run(CheckRun(job, due, due, due + timedelta(seconds=1), "done"))
    assert not store.decisions.record_run(CheckRun("a", MONDAY + HOUR, MONDAY, MONDAY, "done"))
    assert store.decisions.last_runs() == {"a": MONDAY + 3 * HOUR, "b": MONDAY + 5 * HOUR}


def test_a_file_that_was_overwritten_is_a_store_error(sqlite_store: Store) -> None:
    path = sqlite_store.database.path
    assert path is not None
    sqlite_store.close()
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="no SQLite file"):
        sqlite_store.decisions.alerts()


# --- evidence ------------------------------------------------------------------------------------------------------


def test_the_evidence_of_a_check_comes_back_to_the_byte_and_the_newest_counts(store: Store) -> None:
    assert store.decisions.ledgers() == {}
    every_byte = bytes(range(256)) * 40
    record(store, ledgers={"recall": every_byte, "empty": b"old"})
    record(store, ledgers={"empty": b"new"})
    record(store)
    assert store.decisions.ledgers() == {"recall": every_byte, "empty": b"new"}


def test_evidence_is_kept_with_what_was_found_or_not_at_all(store: Store) -> None:
    due = MONDAY + HOUR
    run = CheckRun("recall", due, due, due, "done")
    assert record(store, run=run, findings=[finding("recall", due)], ledgers={"recall": b"first"})
    assert not record(store, run=run, findings=[finding("recall", due + HOUR)], ledgers={"recall": b"second"})
    assert store.decisions.ledgers() == {"recall": b"first"}


def test_evidence_is_not_kept_where_its_findings_could_not_be_written(store: Store) -> None:
    record(store, ledgers={"recall": b"first"})
    unwritable = transition("recall", "firing", MONDAY, key=None)
    with pytest.raises(Exception, match=r"(?i)null"):
        record(store, ledgers={"recall": b"second"}, transitions=[unwritable])
    assert store.decisions.ledgers() == {"recall": b"first"}
