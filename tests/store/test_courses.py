"""The course of findings is read without their details, and from an index alone."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from driftwatch.store import Store
from driftwatch.store.ranks import MISSED, ROT, UNASKED, one_a_day, spread
from driftwatch.types import Observation, ScoredDoc
from tests.fakes.batches import DAY, HOUR, MONDAY, run
from tests.fakes.decided import finding


def fill(store: Store, hours: int = 48) -> None:
    found = [
        finding(check, MONDAY + age * HOUR, segment, "ok" if age else "fail", value=float(age), evidence=age / 10)
        for check in ("recall", "scores")
        for segment in ("de", "en")
        for age in range(hours)
    ]
    blind = finding("recall", MONDAY + hours * HOUR, "fr", "unknown")
    store.decisions.record(findings=[*found, blind], alerts=(), transitions=(), receivers={})


def test_a_course_holds_everything_from_then_on_oldest_first(store: Store) -> None:
    fill(store)
    course = store.courses.course("recall", "de", MONDAY + 40 * HOUR)
    assert course.value.tolist() == [float(age) for age in range(40, 48)]
    assert course.evidence.tolist() == pytest.approx([age / 10 for age in range(40, 48)])
    assert set(course.verdict) == {"ok"}
    assert course.at[0] == int((MONDAY + 40 * HOUR).timestamp() * 1e6)
    assert len(store.courses.course("nothing", "de", MONDAY)) == 0


def test_a_glance_is_thin_and_ends_with_the_newest_of_each_series(store: Store) -> None:
    fill(store)
    glance = store.courses.glance(DAY, 4)
    assert set(glance) == {("recall", "de"), ("recall", "en"), ("recall", "fr"), ("scores", "de"), ("scores", "en")}
    assert glance["scores", "en"].value.tolist() == [27.0, 31.0, 35.0, 39.0, 43.0, 47.0]
    assert np.isnan(glance["recall", "fr"].value).all()


def test_intervals_are_those_of_the_value_and_not_of_its_change(store: Store) -> None:
    more = {"reference": 0.9, "effect": -0.3, "interval": (-0.4, -0.2)}
    found = [finding("recall", MONDAY, "de", **more), finding("recall", MONDAY + HOUR, "de")]
    store.decisions.record(findings=found, alerts=(), transitions=(), receivers={})
    ((_, low, high),) = store.courses.intervals("recall", "de", MONDAY)
    assert (low, high) == pytest.approx((0.5, 0.7))


def test_what_is_drawn_is_read_from_the_index_alone(sqlite_store: Store) -> None:
    fill(sqlite_store)
    asked: list[str] = []
    import sqlalchemy as sa

    sa.event.listen(sqlite_store.database.engine, "before_cursor_execute", lambda *event: asked.append(str(event[2])))
    sqlite_store.courses.glance(DAY, 4)
    sqlite_store.courses.course("recall", "de", MONDAY)
    queries = [each for each in asked if each.startswith("SELECT")]
    assert len(queries) == 2
    with sqlite_store.database.reading() as connection:
        for query in queries:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("1",) * query.count("?")).fetchall()
            (step,) = [row[-1] for row in plan if "findings" in row[-1] and "last_findings" not in row[-1]]
            assert "USING COVERING INDEX" in step
            assert "segment=? AND at>" in step


def test_the_newest_findings_of_a_check_are_found_without_reading_the_others(sqlite_store: Store) -> None:
    asked: list[str] = []
    import sqlalchemy as sa

    sa.event.listen(sqlite_store.database.engine, "before_cursor_execute", lambda *event: asked.append(str(event[2])))
    sqlite_store.decisions.last_findings(["recall"])
    (query,) = [each for each in asked if each.startswith("SELECT")]
    with sqlite_store.database.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("1",) * query.count("?")).fetchall()
    (step,) = [row[-1] for row in plan if row[-1].startswith("SEARCH findings")]
    assert "at=?" in step


# --- ranks ---------------------------------------------------------------------------------------------------------


def answer(query_id: str, *docs: str, **more) -> Observation:
    hits = None if more.get("error") else tuple(ScoredDoc(doc) for doc in docs)
    return Observation(MONDAY, "canaries", query_id, lang="de", hits=hits, relevant={"right": 1, "bad": 0}, **more)


def test_a_rank_is_that_of_the_first_right_document(store: Store) -> None:
    asked = [
        answer("first", "right"),
        answer("third", "a", "bad", "right"),
        answer("missed", "a", "bad"),
        answer("empty"),
        answer("broken", error="timeout"),
        answer("expected", expect_empty=True),
        answer("unwanted", "a", expect_empty=True),
    ]
    store.canaries.add(run(MONDAY, *asked, answer("first", "a", attempt=1), run_id="r1"))
    (ranks,) = store.ranks.of(["r1"])
    assert ranks.rank == {
        "first": 1, "third": 3, "missed": MISSED, "empty": MISSED, "broken": UNASKED, "expected": 1, "unwanted": MISSED,
    }  # fmt: skip
    assert ranks.lang["third"] == "de"


def test_what_has_left_the_index_is_rot_and_no_miss(store: Store) -> None:
    store.canaries.add(run(MONDAY, answer("gone", "a"), run_id="r1", gone=frozenset({"right"})))
    assert store.ranks.of(["r1"])[0].rank == {"gone": ROT}


def test_runs_are_read_once_and_given_in_order(store: Store) -> None:
    for hour in (2, 0, 1):
        store.canaries.add(run(MONDAY + hour * HOUR, answer("q", "right"), run_id=f"r{hour}"))
    first = store.ranks.of(["r2", "r0", "r1", "r1"])
    assert [each.at for each in first] == [MONDAY + hour * HOUR for hour in range(3)]
    assert store.ranks.of(["r1"])[0] is first[1]
    assert [run_id for _, run_id in store.ranks.times("canaries", MONDAY + HOUR)] == ["r1", "r2"]


def test_runs_are_picked_by_day_or_by_distance() -> None:
    times = [(MONDAY + hours * HOUR, str(hours)) for hours in (0, 5, 23, 25, 49)]
    assert one_a_day(times) == ["23", "25", "49"]
    assert spread(times, timedelta(hours=20)) == ["49", "25", "5"]
