"""What was thought to have broken is kept with what was decided, and the newest counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.store import CheckRun, Store
from driftwatch.types import Cell, Contrast, Diagnosis, Experiment, Flip, Look
from tests.fakes.batches import DAY, HOUR, MONDAY
from tests.fakes.decided import EVERYTHING, alert, finding, transition
from tests.store.test_experiments import HOSTILE
from tests.store.test_maintenance import NOW, Kept

WHOLE = Diagnosis(
    cause="mixed vectors",
    sentence="17 of 64 stored vectors are not those of their texts.",
    action="Embed these again.",
    segment="de",
    documents=("doc-1", "doc <2>"),
    queries=("q1",),
    silences=(("canary recall", "all"), ("canary recall", "de")),
    beside=("The service filters.",),
    causes=("mixed vectors", "filter"),
    unseen=("Nothing was compared with the baseline.",),
    at=MONDAY + timedelta(microseconds=7),
    experiment=Experiment(
        MONDAY,
        "R@10",
        cells=(Cell("service", 20, 0.6, {"de": (20, 0.6)}), Cell("fresh x exact", 0, None, unable="no embedder")),
        contrasts=(Contrast("baseline", "service", 20, -0.3, (-0.5, -0.1), {"de": (20, -0.3, -0.5, -0.1)}),),
        notes=("The index was searched exactly.",),
        verdict="What stands between the index and its users loses.",
    ),
)


def fire(store: Store, diagnosis: Diagnosis | None = WHOLE, incident: str = "i1", **more) -> bool:
    at = more.pop("at", MONDAY)
    return store.decisions.record(
        findings=[finding("canary recall", at)],
        alerts=[alert("canary recall", incident=incident)],
        transitions=[transition("canary recall", more.pop("event", "firing"), at, incident)],
        receivers={"slack": EVERYTHING | {"explained"}},
        diagnoses={incident: diagnosis} if diagnosis else None,
        **more,
    )


def test_a_diagnosis_with_every_field_comes_back_as_it_was(store: Store) -> None:
    fire(store)
    assert store.diagnoses.of("i1") == WHOLE
    assert store.diagnoses.history("i1") == (WHOLE,)
    assert store.diagnoses.of("i2") is None
    assert store.diagnoses.history("i2") == ()


def test_of_an_experiment_the_measures_are_kept_and_no_single_query(store: Store) -> None:
    assert WHOLE.experiment is not None
    (contrast,) = WHOLE.experiment.contrasts
    flip = Flip("q1", "de", "doc-1", 1, None)
    whole = replace(WHOLE.experiment, contrasts=(replace(contrast, flips=(flip,)),), signs={"displaced": Look(3, 1)})
    assert whole.measured == WHOLE.experiment


def test_an_incident_carries_what_is_thought_of_it(store: Store) -> None:
    fire(store)
    fire(store, None, "i2")
    thought = {each.incident_id: each.diagnosis for each in store.decisions.open_incidents()}
    assert thought == {"i1": WHOLE, "i2": None}


def test_the_newest_counts_even_when_an_older_one_is_written_later(store: Store) -> None:
    later = replace(WHOLE, cause="outage", at=MONDAY + 3 * HOUR)
    between = replace(WHOLE, cause="filter", at=MONDAY + 2 * HOUR)
    for each in (WHOLE, later, between):
        store.decisions.record(findings=(), alerts=(), transitions=(), receivers={}, diagnoses={"i1": each})
    assert store.diagnoses.of("i1") == later
    assert [each.cause for each in store.diagnoses.history("i1")] == ["mixed vectors", "filter", "outage"]


def test_another_thought_of_the_same_moment_takes_the_place_of_the_first(store: Store) -> None:
    for cause in ("unknown", "outage"):
        found = {"i1": replace(WHOLE, cause=cause)}
        store.decisions.record(findings=(), alerts=(), transitions=(), receivers={}, diagnoses=found)
    assert [each.cause for each in store.diagnoses.history("i1")] == ["outage"]


def test_alert_transition_and_diagnosis_are_written_together(store: Store) -> None:
    run = CheckRun("recall", MONDAY, MONDAY, MONDAY, "done")
    assert fire(store, run=run)
    assert not fire(store, replace(WHOLE, cause="outage", at=MONDAY + HOUR), run=run, at=MONDAY + HOUR)
    assert store.diagnoses.history("i1") == (WHOLE,)
    assert store.outbox.waiting() == {"slack": 1}


def test_where_the_diagnosis_cannot_be_written_nothing_is(store: Store) -> None:
    with pytest.raises(AssertionError):
        fire(store, replace(WHOLE, at=None))
    assert store.decisions.alerts() == {}
    assert store.decisions.findings() == []
    assert store.outbox.waiting() == {}


def test_where_the_transition_cannot_be_written_the_diagnosis_is_not(store: Store) -> None:
    unwritable = transition("canary recall", "firing", MONDAY, key=None)
    with pytest.raises(Exception, match=r"(?i)null"):
        store.decisions.record(findings=(), alerts=(), transitions=[unwritable], receivers={}, diagnoses={"i1": WHOLE})
    assert store.diagnoses.of("i1") is None


def test_an_incident_that_is_explained_stays_open_and_is_told_once(store: Store) -> None:
    fire(store)
    fire(store, replace(WHOLE, cause="filter", at=MONDAY + HOUR), at=MONDAY + HOUR, event="explained")
    fire(store, replace(WHOLE, cause="filter", at=MONDAY + HOUR), at=MONDAY + HOUR, event="explained")
    incident = store.decisions.incident("i1")
    assert incident is not None
    assert (incident.state, incident.openings) == ("firing", (MONDAY,))
    assert [each.event for each in incident.history] == ["firing", "explained"]
    assert incident.diagnosis is not None
    assert incident.diagnosis.cause == "filter"
    assert store.outbox.waiting() == {"slack": 2}


def test_whatever_documents_are_called_the_diagnosis_is_kept(store: Store) -> None:
    for hour, text in enumerate(HOSTILE):
        at = MONDAY + hour * HOUR
        hostile = Diagnosis(text, text, text, text, (text,), (text,), ((text, text),), (text,), (text,), (text,), at)
        store.decisions.record(findings=(), alerts=(), transitions=(), receivers={}, diagnoses={"i1": hostile})
        found = store.diagnoses.of("i1")
        readable = text.encode("utf-8", "replace").decode()
        assert found is not None
        assert (found.cause, found.documents, found.silences) == (readable, (readable,), ((readable, readable),))


def test_diagnoses_stay_as_long_as_their_incidents(store: Store) -> None:
    fire(store)
    store.maintain(Kept(observations=DAY, tallies=DAY, findings=DAY), NOW)
    incident = store.decisions.incident("i1")
    assert incident is not None
    assert incident.diagnosis == WHOLE
