from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from driftwatch.store import CheckRun, Store
from driftwatch.types import Baseline
from tests.fakes.batches import DAY, HOUR, MONDAY, answer, batch, counts, docs, hours, kept, run
from tests.fakes.decided import EVERYTHING, finding, transition

pytestmark = pytest.mark.process


@dataclass(frozen=True)
class Kept:
    """How long things are kept."""

    observations: timedelta = 10 * DAY
    tallies: timedelta = 30 * DAY
    findings: timedelta = 20 * DAY
    disk: int = 2_000_000_000


LONG = Kept(observations=1000 * DAY, tallies=1000 * DAY, findings=1000 * DAY)
NOW = MONDAY + 40 * DAY
ALL_TIME = (MONDAY - 100 * DAY, NOW + 100 * DAY)


def fill(store: Store) -> None:
    """A row of everything for each of forty days."""
    days = [MONDAY + day * DAY for day in range(40)]
    store.traffic.ingest(
        batch(
            *(kept(0.1, f"day {number}", at) for number, at in enumerate(days)),
            tallies={(hours(at), "de"): counts(queries=1) for at in days},
            thresholds={(at.date(), "*"): 0.5 for at in days},
        )
    )
    for at in days:
        store.canaries.add(run(at, answer("q", 0.5, at=at)))
        store.decisions.record_run(CheckRun("recall", at, at, at, "done"))
    store.decisions.record(
        findings=[
            finding(check, at, verdict=said) for at in days for check, said in (("recall", "ok"), ("volume", "fail"))
        ],
        alerts=(),
        transitions=[transition("recall", "firing", at) for at in days],
        receivers={"slack": EVERYTHING},
    )


def days_kept(store: Store) -> dict[str, list[int]]:
    """What is left, as days since the first."""
    runs = store.canaries.runs("canaries", *ALL_TIME)
    sample = store.traffic.sample("live", *ALL_TIME)
    tallies = store.traffic.tallies("live", *ALL_TIME)
    return {
        "sample": [int(name.split()[1]) for name in sample.query_id.tolist()],
        "runs": [(each.at - MONDAY) // DAY for each in runs],
        "tallies": [(hour - hours(MONDAY)) // 24 for hour in tallies.hour.astype(int).tolist()],
        "findings": sorted((each.at - MONDAY) // DAY for each in store.decisions.findings("volume")),
    }


def test_what_is_too_old_goes(store: Store) -> None:
    fill(store)
    store.maintain(Kept(), NOW)
    assert days_kept(store) == {
        "sample": list(range(30, 40)),
        "runs": list(range(30, 40)),
        "tallies": list(range(10, 40)),
        "findings": list(range(20, 40)),
    }


def test_thresholds_stay_as_long_as_their_rows(store: Store) -> None:
    fill(store)
    store.maintain(Kept(), NOW)
    strata = store.traffic.strata("live", ALL_TIME[0].date())
    assert sorted((day - MONDAY.date()).days for day, _ in strata) == list(range(30, 40))
    assert set(store.traffic.sample("live", *ALL_TIME).weight.tolist()) == {2.0}


def test_what_was_decided_is_kept_for_ever(store: Store) -> None:
    fill(store)
    store.maintain(replace(Kept(), disk=1), NOW + 10_000 * DAY)
    incident = store.decisions.incident("i1")
    assert incident is not None
    assert len(incident.history) == 40
    assert store.outbox.waiting() == {"slack": 40}
    assert store.traffic.cursor("live") is not None
    assert store.decisions.last_findings().keys() == {("recall", "de"), ("volume", "de")}
    assert store.decisions.last_runs() == {"recall": MONDAY + 39 * DAY}


def baseline(start: int, end: int, source: str = "*") -> Baseline:
    return Baseline(MONDAY + start * DAY, MONDAY + end * DAY, "why", "ann", NOW, source)


def test_what_the_baseline_was_learnt_from_is_kept(store: Store) -> None:
    fill(store)
    store.decisions.set_baseline(baseline(0, 3))
    store.decisions.set_baseline(baseline(4, 6))
    store.maintain(Kept(), NOW)
    found = days_kept(store)
    assert found["sample"] == found["runs"] == [4, 5, *range(30, 40)]
    assert found["tallies"] == [4, 5, *range(10, 40)]


def test_a_baseline_of_one_source_keeps_nothing_of_another(store: Store) -> None:
    fill(store)
    store.decisions.set_baseline(baseline(4, 6, "canaries"))
    store.maintain(Kept(), NOW)
    found = days_kept(store)
    assert found["runs"] == [4, 5, *range(30, 40)]
    assert found["sample"] == list(range(30, 40))


def test_what_a_release_brings_is_kept_beside_the_baseline(store: Store) -> None:
    fill(store)
    store.decisions.set_baseline(baseline(0, 3))
    store.decisions.set_baseline(replace(baseline(4, 6), of="questions"))
    store.maintain(Kept(), NOW)
    assert days_kept(store)["sample"] == [0, 1, 2, 4, 5, *range(30, 40)]


def test_a_canary_that_came_later_keeps_its_own_first_days(store: Store) -> None:
    fill(store)
    later = MONDAY + 8 * DAY + HOUR
    for at in (later, NOW - HOUR):
        store.canaries.add(run(at, answer("new", 0.5, at=at)))
    gone = MONDAY + 5 * DAY + HOUR
    store.canaries.add(run(gone, answer("asked no more", 0.5, at=gone)))
    store.decisions.set_baseline(baseline(0, 2))
    store.maintain(Kept(), NOW)
    assert days_kept(store)["runs"] == [0, 1, 8, 9, 10, *range(30, 40), 39]


def heavy(store: Store, days: int = 30) -> None:
    """Some 30 kB of observations a day, and as much of canaries."""
    for day in range(days):
        at = MONDAY + day * DAY
        rows = (kept(n / 100, f"day {day} {n}", at, text="x" * 1000, hits=docs(0.5)) for n in range(30))
        store.traffic.ingest(batch(*rows, thresholds={(at.date(), "*"): 1.0}))
        asked = (answer(f"q{n}", *(1 / (day * 7 + n + 1 + k) for k in range(20)), at=at) for n in range(100))
        store.canaries.add(run(at, *asked))
        store.decisions.record(
            findings=[finding("recall", at, verdict="ok"), finding("volume", at)],
            alerts=(),
            transitions=(),
            receivers={},
        )


def test_what_is_too_much_goes_oldest_observations_first(store: Store) -> None:
    heavy(store)
    store.maintain(LONG, NOW)
    before = store.size()
    cap = before - 300_000
    store.maintain(replace(LONG, disk=cap), NOW)
    assert store.size() <= cap
    found = days_kept(store)
    assert 0 < len(found["sample"]) < 900
    assert found["sample"] == sorted(found["sample"])
    assert found["sample"][-1] == 29
    assert len(found["runs"]) == 30
    assert len(store.decisions.findings()) == 60


def test_when_the_observations_are_gone_canary_runs_and_fine_findings_follow(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    heavy(store)
    for day in range(30):
        for kind in ("probes", "comparisons"):
            store.experiments.add(kind, "index", MONDAY + day * DAY, b"found", b"kept")
    store.decisions.set_baseline(baseline(2, 4))
    with caplog.at_level(logging.WARNING):
        store.maintain(replace(LONG, disk=1000), NOW)
    found = days_kept(store)
    assert set(found["sample"]) == {2, 3}
    assert found["runs"] == [2, 3]
    assert len(store.decisions.findings("volume")) == 30
    assert len(store.decisions.findings("recall")) == 1
    for kind in ("probes", "comparisons"):
        assert [at for at, _ in store.experiments.bodies(kind, "index", *ALL_TIME)] == [MONDAY + 29 * DAY]
        assert store.experiments.keepsake(kind, "index") == b"kept"
    assert "nothing is left to delete" in caplog.text


def test_space_is_given_back_to_the_disk(store: Store) -> None:
    heavy(store)
    store.maintain(LONG, NOW)
    before = store.size()
    store.maintain(replace(Kept(), observations=DAY, disk=before - 1), NOW)
    assert store.size() < before
