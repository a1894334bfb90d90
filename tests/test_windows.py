"""Which recorded time a check judges, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from driftwatch.checks import Check
from driftwatch.checks.predicted_quality import PredictedQuality
from driftwatch.store import Store
from driftwatch.types import Baseline, Window
from driftwatch.windows import Learning, Windows, hour_of_week, matching_hours
from tests.fakes.batches import answer, batch, counts, hours, kept, run
from tests.fakes.world import EMPTY, RECALL, SCORES, START, load_watch, make_world

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
GIVEN = "baseline: 2026-05-04 .. 2026-05-05"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/driftwatch.db")
    yield opened
    opened.close()


def windows(folder: Path, store: Store, *, baseline: str = "baseline: 2 days", learns: bool = True) -> Windows:
    make_world(folder, RECALL, EMPTY, SCORES)
    path = folder / "driftwatch.yaml"
    path.write_text(path.read_text().replace("baseline: 2 days", baseline))
    return Windows(store, load_watch(path), learns=learns)


def check(made: Windows, name: str) -> Check:
    return next(each for each in made.watch.checks if each.name == name)


def fill(store: Store, days: int, *langs: str) -> None:
    """One query an hour of each language, and a canary run every six hours."""
    moments = [START + hour * HOUR for hour in range(24 * days)]
    asked = [(at, lang) for at in moments for lang in langs]
    tallies = {(hours(at), lang): counts(queries=1, results_known=1) for at, lang in asked}
    rows = [kept(place / 1000, f"{lang}-{hours(at)}", at, lang=lang) for place, (at, lang) in enumerate(asked)]
    store.traffic.ingest(batch(*rows, tallies=tallies))
    for at in moments[::6]:
        store.canaries.add(run(at, *(answer(f"{lang}-1", 0.9, at=at, lang=lang) for lang in langs)))


def hours_in(window: Window | None) -> list[int]:
    """Hours since the start of the story of which a window holds counts."""
    assert window is not None
    start = np.datetime64(START.replace(tzinfo=None), "h")
    return sorted({int((hour - start).astype(int)) for hour in window.tallies.hour})


# --- hours of the week ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "hour"),
    [
        ("2026-05-04T00", 0),
        ("2026-05-04T23", 23),
        ("2026-05-05T00", 24),
        ("2026-05-10T23", 167),
        ("2026-05-11T00", 0),
        ("1970-01-01T00", 72),
        ("1969-12-31T23", 71),
        ("2024-02-29T13", 3 * 24 + 13),
    ],
)
@pytest.mark.parametrize("precision", ["h", "us"])
def test_the_week_begins_on_monday_at_midnight_in_utc(moment: str, hour: int, precision: str):
    assert hour_of_week(np.array([moment], dtype=f"datetime64[{precision}]")).tolist() == [hour]


def span(start: datetime, end: datetime) -> Baseline:
    return Baseline(start, end, "", "", end)


FORTNIGHT = span(START - 14 * DAY, START)


def test_a_window_is_compared_with_its_own_hours_of_the_week():
    monday_morning = matching_hours(START + 6 * HOUR, START + 9 * HOUR, FORTNIGHT)
    assert monday_morning == {6, 7, 8}
    over_the_week_end = matching_hours(START + 7 * DAY - HOUR, START + 7 * DAY + HOUR, FORTNIGHT)
    assert over_the_week_end == {167, 0}


def test_hours_of_the_week_that_the_baseline_never_saw_are_compared_with_the_same_hours_of_the_day():
    monday_and_tuesday = span(START, START + 2 * DAY)
    saturday_morning = START + 5 * DAY + 8 * HOUR
    assert matching_hours(saturday_morning, saturday_morning + HOUR, monday_and_tuesday) == {8, 32}


def test_an_hour_of_the_day_that_the_baseline_never_saw_has_nothing_to_be_compared_with():
    one_morning = span(START + 8 * HOUR, START + 10 * HOUR)
    assert matching_hours(START + 20 * HOUR, START + 21 * HOUR, one_morning) == frozenset()


# --- windows of traffic --------------------------------------------------------------------------------------------


def test_traffic_is_judged_up_to_the_last_whole_hour(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 3, "de")
    current = made.pair(check(made, "empty results"), START + 2 * DAY + timedelta(minutes=50)).current
    assert (current.start, current.end) == (START + 2 * DAY - 6 * HOUR, START + 2 * DAY)
    assert hours_in(current) == [42, 43, 44, 45, 46, 47]


def test_the_reference_holds_the_matching_hours_of_the_baseline_only(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 10, "de")
    pair = made.pair(check(made, "empty results"), START + 7 * DAY + 12 * HOUR)
    assert hours_in(pair.reference) == [6, 7, 8, 9, 10, 11]
    assert pair.reference is not None
    assert len(pair.reference.sample) == 0, "a rate needs no sample"


def test_a_sample_comes_with_its_counts(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 8, "de")
    pair = made.pair(check(made, "top-score drift"), START + 8 * DAY)
    assert pair.reference is not None
    assert hours_in(pair.reference) == list(range(24))
    assert len(pair.reference.sample) == 24
    assert len(pair.current.sample) == 24


def test_a_window_of_a_week_is_compared_with_the_whole_baseline(tmp_path: Path, store: Store):
    made = windows(tmp_path, store, baseline="baseline: 7 days")
    fill(store, 9, "de")
    weekly = check(made, "empty results").model_copy(update={"window": 7 * DAY})
    assert hours_in(made.pair(weekly, START + 9 * DAY).reference) == list(range(7 * 24))


# --- windows of canary runs ----------------------------------------------------------------------------------------


def test_a_run_at_the_very_moment_of_the_look_belongs_to_it(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 1, "de")
    current = made.pair(check(made, "canary recall"), START + 6 * HOUR).current
    assert [each.at for each in current.runs] == [START, START + 6 * HOUR]


def test_runs_of_a_source_that_has_stopped_do_not_speak_of_now(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    store.canaries.add(run(START, answer("de-1", 0.9)))
    recall = check(made, "canary recall")
    assert made.pair(recall, START + 18 * HOUR).current.runs
    assert made.pair(recall, START + 19 * HOUR).current.runs == ()


def test_a_short_window_still_holds_the_last_run(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    store.canaries.add(run(START, answer("de-1", 0.9)))
    short = check(made, "canary recall").model_copy(update={"window": HOUR})
    assert made.pair(short, START + 9 * HOUR).current.runs
    assert made.pair(short, START + 10 * HOUR).current.runs == ()


def test_a_fresh_run_is_judged_instead_of_what_is_stored(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 1, "de")
    fresh = run(START + 7 * HOUR, answer("de-1", 0.1))
    assert made.pair(check(made, "canary recall"), START + 7 * HOUR, fresh).current.runs == (fresh,)


# --- parts ---------------------------------------------------------------------------------------------------------


def test_a_segment_and_the_rest_are_the_whole(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 1, "de", "en", "fr")
    whole = made.pair(check(made, "top-score drift"), START + DAY).current
    german, rest = made.segment(whole, "de", 0.01), made.rest(whole, ["de"], 0.01)
    assert (german.segment, rest.segment, german.alpha) == ("de", "all", 0.01)
    assert set(german.sample.lang) == set(german.tallies.lang) == {"de"}
    assert set(rest.sample.lang) == set(rest.tallies.lang) == {"en", "fr"}
    assert len(german.sample) + len(rest.sample) == len(whole.sample) == 72
    assert made.rest(whole, [], 0.01).tallies.total("queries") == 72


def test_parts_of_canary_runs_hold_the_canaries_of_their_language(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 1, "de", "en")
    whole = made.pair(check(made, "canary recall"), START).current
    ((german,), (rest,)) = (
        [seen.query_id for seen in part.runs[0].observations]
        for part in (made.segment(whole, "de", 0.01), made.rest(whole, ["de"], 0.01))
    )
    assert (german, rest) == ("de-1", "en-1")


def test_a_part_is_made_once(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 1, "de", "en")
    whole = made.pair(check(made, "canary recall"), START).current
    assert made.segment(whole, "de", 0.01) is made.segment(whole, "de", 0.01)
    assert made.segment(whole, "de", 0.02) is not made.segment(whole, "de", 0.01)


# --- the baseline --------------------------------------------------------------------------------------------------


def test_the_baseline_is_learnt_once_from_the_first_moment_on(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 3, "de")
    learning = made.baseline("live", "tallies", START + DAY)
    assert isinstance(learning, Learning)
    assert str(learning) == "1 of 2 days"
    learnt = made.baseline("live", "tallies", START + 2 * DAY)
    assert isinstance(learnt, Baseline)
    assert (learnt.start, learnt.end, learnt.source) == (START, START + 2 * DAY, "live")
    assert store.decisions.baselines() == [learnt]
    assert made.baseline("live", "tallies", START + 30 * DAY) == learnt


def test_a_check_that_learns_from_canaries_is_given_one_run_a_day_of_all_languages(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    quality = PredictedQuality(name="quality", source="live", by="lang")
    fill(store, 3, "de", "en")
    pair = made.pair(quality, START + 3 * DAY)
    assert pair.reference is not None
    assert pair.reference.canaries is not None
    assert pair.current.canaries is not None
    assert [each.at for each in pair.reference.canaries.runs] == [START + hour * HOUR for hour in (18, 42)]
    assert [each.at for each in pair.current.canaries.runs] == [START + 66 * HOUR]
    german = made.segment(pair.reference, "de", 0.001)
    assert german.canaries is pair.reference.canaries
    assert len(german.canaries.runs[0].observations) == 2
    assert made.pair(quality, START + 3 * DAY).reference is pair.reference


def test_what_canaries_teach_is_not_known_before_their_baseline_is_full(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    quality = PredictedQuality(name="quality", source="live", canaries="canaries")
    fill(store, 3, "de")
    late = datetime(2026, 5, 20, tzinfo=UTC)
    store.decisions.set_baseline(Baseline(START, START + DAY, "by hand", "ana", late, "live"))
    early = made.pair(quality, START + DAY)
    assert early.reference is not None
    assert early.reference.canaries is None
    assert early.current.canaries is not None
    full = made.pair(quality, START + 3 * DAY)
    assert full.reference is not None
    assert full.reference.canaries is not None
    assert made.pair(check(made, "top-score drift"), START + 3 * DAY).current.canaries is None


def test_a_source_without_anything_has_learnt_nothing(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    learning = made.baseline("live", "tallies", START + 30 * DAY)
    assert str(learning) == "0 of 2 days"
    pair = made.pair(check(made, "empty results"), START)
    assert (pair.reference, pair.progress) == (None, "0 of 2 days")


def test_a_window_of_a_source_is_filling_until_so_much_has_been_recorded(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    empty, recall, scores = check(made, "empty results"), check(made, "canary recall"), check(made, "top-score drift")
    assert not made.pair(scores, START + DAY / 2).filling  # a log that never said anything is no young log
    fill(store, 2, "de")
    assert (empty.window, scores.window) == (6 * HOUR, DAY)
    assert [made.pair(empty, START + hour * HOUR).filling for hour in (1, 5, 6)] == [True, True, False]
    assert [made.pair(scores, START + hour * HOUR).filling for hour in (6, 23, 24)] == [True, True, False]
    assert not made.pair(recall, START + HOUR).filling


def test_who_only_looks_learns_nothing(tmp_path: Path, store: Store):
    made = windows(tmp_path, store, learns=False)
    fill(store, 3, "de")
    assert isinstance(made.baseline("live", "tallies", START + 2 * DAY), Baseline)
    assert store.decisions.baselines() == []


def test_a_baseline_set_by_hand_takes_the_place_of_the_learnt_one_of_its_source_only(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 5, "de")
    now = START + 5 * DAY
    learnt = {name: made.baseline(name, needs, now) for name, needs in (("live", "tallies"), ("canaries", "runs"))}
    by_hand = Baseline(START + 3 * DAY, START + 4 * DAY, "new index", "ana", now, "live")
    store.decisions.set_baseline(by_hand)
    made.begin()
    assert made.baseline("live", "tallies", now) == by_hand
    assert made.baseline("canaries", "runs", now) == learnt["canaries"]
    assert hours_in(made.pair(check(made, "empty results"), now).reference) == list(range(90, 96))


def test_a_baseline_set_by_hand_for_everything_holds_for_every_source(tmp_path: Path, store: Store):
    made = windows(tmp_path, store)
    fill(store, 5, "de")
    now = START + 5 * DAY
    made.baseline("live", "tallies", now)
    by_hand = Baseline(START + 3 * DAY, START + 4 * DAY, "new index", "ana", now)
    store.decisions.set_baseline(by_hand)
    made.begin()
    assert made.baseline("live", "tallies", now) == by_hand
    assert made.baseline("canaries", "runs", now) == by_hand


def test_a_baseline_given_by_date_holds_from_its_end_on(tmp_path: Path, store: Store):
    made = windows(tmp_path, store, baseline=GIVEN)
    assert str(made.baseline("live", "tallies", START + DAY)) == "1 of 2 days"
    given = made.baseline("live", "tallies", datetime(2026, 5, 6, tzinfo=UTC))
    assert isinstance(given, Baseline)
    assert (given.start, given.end) == (START, START + 2 * DAY)
    assert store.decisions.baselines() == []


def test_what_a_release_brings_holds_for_its_aspect_alone_and_is_learnt_before_it_is_used(
    tmp_path: Path, store: Store
) -> None:
    made = windows(tmp_path, store)
    fill(store, 6, "de")
    now, release = START + 5 * DAY, START + 4 * DAY
    usual = made.baseline("live", "sample", now)
    assert isinstance(usual, Baseline)
    own = Baseline(release, release + 2 * DAY, "a release", "U1", release, "live", "scores")
    store.decisions.set_baseline(own)
    made.begin()
    assert made.baseline("live", "sample", now, "questions") == made.baseline("live", "sample", now) == usual
    assert made.baseline("live", "sample", now, "scores") == Learning(DAY, 2 * DAY)
    assert made.baseline("live", "sample", release + 2 * DAY, "scores") == own


def test_a_baseline_that_a_person_sets_later_counts_for_everything(tmp_path: Path, store: Store) -> None:
    made = windows(tmp_path, store)
    own = Baseline(START, START + DAY, "a release", "U1", START + DAY, "live", "scores")
    by_hand = Baseline(START + DAY, START + 2 * DAY, "by hand", "me", START + 2 * DAY)
    for each in (own, by_hand):
        store.decisions.set_baseline(each)
    assert made.baseline("live", "sample", START + 3 * DAY, "scores") == by_hand
