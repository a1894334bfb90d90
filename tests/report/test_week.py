"""What holds of every report, whatever is in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from driftwatch.report.spans import span_of
from driftwatch.report.week import build_week
from driftwatch.reported import Week
from driftwatch.reported.form import as_json, read_json
from driftwatch.store import Store
from driftwatch.types import Alert, Baseline, ExpectedChange, Finding, Observation, Run, Silence, Transition
from tests.fakes import four_weeks
from tests.fakes.batches import batch, counts, docs, hours, kept
from tests.fakes.four_weeks import BERLIN, DAY, END, HOUR, INCIDENT, LAST, LEARNT, MENDED, START
from tests.report.conftest import History

NOTHING: dict[str, tuple[()]] = {"findings": (), "alerts": (), "transitions": ()}


def week_of(store: Store, name: str = "2026-W44", now: datetime | None = None, **more: object) -> Week:
    return build_week(store, four_weeks.about(**more), span_of(name, BERLIN, now))


# --- the same store, the same bytes --------------------------------------------------------------------------------


def test_a_report_is_the_same_bytes_when_it_is_built_again(history: History) -> None:
    assert as_json(week_of(history.store)) == as_json(history.week)


def test_a_report_of_a_past_week_does_not_depend_on_when_it_is_asked_for(history: History) -> None:
    assert week_of(history.store, now=END + 300 * DAY) == week_of(history.store, now=END) == history.week


def test_a_report_comes_back_from_its_json(history: History) -> None:
    assert read_json(as_json(history.week)) == history.week


@pytest.mark.postgres
def test_postgres_gives_the_same_report_as_sqlite(history: History, postgres_url: str) -> None:
    store = Store.open(postgres_url)
    four_weeks.fill(store)
    try:
        assert as_json(week_of(store)) == as_json(history.week)
        assert as_json(week_of(store, "2026-W42")) == as_json(week_of(history.store, "2026-W42"))
    finally:
        store.close()


def test_what_happens_after_the_week_changes_nothing_of_its_report(history: History, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    history.store.backup(copy)
    store = Store.open(f"sqlite:///{copy}", lasting=False)
    later = END + DAY
    seen = Observation(later, "canaries", "en-q1", hits=docs(0.1), relevant={"x": 1})
    row = kept(0.1, "late", later, stratum="en", lang="en", hits=docs(0.1))
    store.traffic.ingest(batch(row, tallies={(hours(later), "en"): counts(queries=9, units=9, units_results_known=9)}))
    store.canaries.add(Run("late", "canaries", later, "suite", (seen,)))
    found = Finding("top-score drift", "de", later, "fail", "it fell", effect=0.9, evidence=9000.0)
    opened = Transition("late", "top-score drift", "de", "firing", "ok", "firing", later, INCIDENT, verdict="fail")
    alert = Alert("top-score drift", "de", "firing", incident=INCIDENT)
    store.decisions.record(findings=[found], alerts=[alert], transitions=[opened], receivers={"slack": frozenset()})
    store.decisions.add_silence(Silence("late", "*", "*", later + DAY, "eve", "later", later))
    store.decisions.set_baseline(Baseline(START + DAY, LEARNT, "by hand", "eve", later))
    try:
        assert as_json(week_of(store)) == as_json(history.week)
    finally:
        store.close()


def test_a_baseline_that_was_set_by_hand_counts_from_then_on(history: History, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    history.store.backup(copy)
    store = Store.open(f"sqlite:///{copy}", lasting=False)
    store.decisions.set_baseline(Baseline(LEARNT, LEARNT + 5 * DAY, "a new start", "ana", LAST + DAY))
    try:
        found = week_of(store)
        assert {(each.author, each.start) for each in found.normals} == {("ana", LEARNT)}
        assert found.scores[0].baseline != history.week.scores[0].baseline
        assert found.scores[0].now == history.week.scores[0].now
    finally:
        store.close()


def test_changes_that_were_announced_in_time_are_said_and_others_are_not(history: History, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    history.store.backup(copy)
    store = Store.open(f"sqlite:///{copy}", lasting=False)
    for number, (start, end, created) in enumerate(
        [(LAST, END + DAY, LAST), (LAST, LAST + DAY, END), (LAST - DAY, LAST, START), (END, END + DAY, LAST)]
    ):
        store.expected.add(ExpectedChange(f"c{number}", start, end, f"move {number}", "ana", created))
    try:
        found = week_of(store)
        said = [(each.name, each.until) for each in found.not_seen if "as ana announced" in each.sentence]
        assert said == [("move 0", END)]
        store.expected.add(ExpectedChange("c9", END + DAY, END + 2 * DAY, "repair", "ben", MENDED - 2 * HOUR))
        found = week_of(store)
        told = next(each for each in found.incidents if each.incident_id == INCIDENT).done
        assert ("expected", "ben", "repair") in [(each.what, each.by, each.said) for each in told]
        assert store.expected.end("c0", "ben", END + HOUR)
        assert week_of(store) == found
    finally:
        store.close()


# --- weeks with little in them ---------------------------------------------------------------------------------------


def test_an_empty_store_gives_a_report_that_says_so(sqlite_store: Store) -> None:
    found = week_of(sqlite_store)
    assert found.verdict.level == "unknown"
    assert "No check looked" in found.verdict.sentence
    assert (found.checks, found.canaries, found.scores, found.rates, found.mixes, found.topics) == ((),) * 6
    assert {each.what for each in found.not_seen} == {"never looked", "no probe", "expected"}
    assert read_json(as_json(found)) == found


def test_a_service_without_sources_or_checks_gives_a_report(sqlite_store: Store) -> None:
    found = week_of(sqlite_store, sources={}, checks=(), accepted=(), jobs={}, expected=(), retraining=())
    assert (found.not_seen, found.budgets) == ((), ())


def test_a_week_while_the_baseline_is_learnt_compares_with_nothing(history: History) -> None:
    found = week_of(history.store, "2026-W41")
    assert found.normals == ()
    assert all(each.baseline is None and each.change is None for each in found.rates)
    assert all(each.baseline is None and each.ks is None and each.ecdf.baseline == () for each in found.scores)
    assert all(each.baseline is None and each.band is None for each in found.canaries)
    assert found.flips == ()
    assert found.verdict.level == "unknown"
    assert "still being learnt" in found.verdict.sentence


def test_the_week_that_ends_the_baseline_is_said_to_be_compared_with_itself(history: History) -> None:
    found = week_of(history.store, "2026-W42")
    assert [each.overlaps for each in found.normals] == [True, True]
    assert any("belongs to the baseline" in each for each in found.verdict.reasons)
    assert [each.overlaps for each in history.week.normals] == [False, False]


def test_a_language_that_nobody_speaks_any_more_has_no_rate_and_keeps_its_place_in_the_mix(history: History) -> None:
    assert "sw" not in {each.lang for each in history.week.rates}
    (mix,) = history.week.mixes
    swahili = next(each for each in mix.shares if each.lang == "sw")
    assert swahili.baseline is not None
    assert swahili.now.k == 0 < swahili.baseline.k


def test_a_language_that_is_new_has_a_rate_and_nothing_to_compare_it_with(history: History) -> None:
    found = next(each for each in history.week.rates if (each.lang, each.of) == ("ja", "empty"))
    assert (found.baseline, found.change) == (None, None)
    assert found.now.n > 0


def test_one_session_alone_has_no_interval(sqlite_store: Store) -> None:
    at = LAST + HOUR
    row = kept(0.1, "only", at, stratum="en", lang="en", hits=docs(0.5))
    sqlite_store.traffic.ingest(batch(row, tallies={(hours(at), "en"): counts(queries=1, units=1)}))
    found = week_of(sqlite_store).scores[0]
    assert (found.now.mean.n, found.now.mean.value, found.now.mean.low) == (1, 0.5, None)
    assert (found.now.median.value, found.now.p95.value) == (0.5, 0.5)


# --- weeks that are cut ----------------------------------------------------------------------------------------------


def test_the_week_in_which_the_clocks_go_back_has_an_hour_more(history: History) -> None:
    found = week_of(history.store, "2026-W43")
    assert found.end - found.start == timedelta(hours=169)
    assert found.end == LAST
    silent = next(each for each in found.rates if (each.of, each.lang) == ("empty", "en"))
    rows = history.rows(
        "SELECT sum(units_results_known) FROM tallies WHERE lang = 'en' AND hour >= ? AND hour < ?",
        int(found.start.timestamp()) // 3600,
        int(found.end.timestamp()) // 3600,
    )
    assert silent.now.n == rows[0][0] == sum(each.rate.n for each in silent.days)


def test_no_hour_is_in_two_weeks_and_none_is_left_out(history: History) -> None:
    weeks = [week_of(history.store, f"2026-W{number}") for number in (41, 42, 43, 44)]
    assert all(earlier.end == later.start for earlier, later in pairwise(weeks))
    everything = history.rows("SELECT sum(queries) FROM tallies")[0][0]
    assert sum(mix.queries for week in weeks for mix in week.mixes) == everything


def test_a_week_that_is_not_over_ends_at_the_last_whole_hour(history: History) -> None:
    now = datetime(2026, 10, 28, 12, 34, tzinfo=UTC)
    found = week_of(history.store, now=now)
    assert (found.complete, found.seen_until) == (False, now.replace(minute=0))
    assert all(each.at < found.seen_until for each in found.checks)
    assert len(next(iter(found.rates)).days) == 3
    assert history.week.complete


# --- privacy -------------------------------------------------------------------------------------------------------


def test_no_text_of_any_query_is_in_a_report_that_shows_none(history: History) -> None:
    hidden = week_of(history.store, shows_queries=False)
    content = as_json(hidden).decode()
    for text in ("where is parcel", "question", "roaming", "script", "[email]"):
        assert text not in content.replace("new questions", "")
    assert hidden.topics[0].words == ()
    assert not hidden.shows_queries


def test_a_report_without_texts_has_the_same_numbers(history: History) -> None:
    hidden, shown = week_of(history.store, shows_queries=False), history.week
    for part in ("rates", "scores", "mixes", "canaries", "incidents", "budgets", "indexes"):
        assert getattr(hidden, part) == getattr(shown, part)
    assert [replace(each, text="") for each in shown.flips] == list(hidden.flips)


def test_no_address_is_in_a_report_that_shows_queries(history: History) -> None:
    content = as_json(history.week).decode()
    assert "[email]" in content
    assert "example.org" not in content
