from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.errors import StoreError
from driftwatch.sampling import Reject, Sampler, Stratum
from driftwatch.store import Store
from driftwatch.types import TALLY_FIELDS, ScoredDoc
from tests.fakes.batches import DAY, HOUR, MONDAY, batch, counts, docs, hours, kept
from tests.fakes.examples import examples

MONDAY_0 = hours(MONDAY)
TODAY = MONDAY.date()


def test_what_is_counted_adds_up(store: Store) -> None:
    store.traffic.ingest(batch(tallies={(MONDAY_0, "de"): counts(queries=3, empty=1), (MONDAY_0, "fr"): counts(up=1)}))
    store.traffic.ingest(batch(tallies={(MONDAY_0, "de"): counts(queries=2), (MONDAY_0 + 1, "de"): counts(queries=9)}))
    found = store.traffic.tallies("live", MONDAY, MONDAY + HOUR)
    assert found.lang.tolist() == ["de", "fr"]
    assert found.by_lang("queries") == {"de": 5, "fr": 0}
    assert found.total("empty") == 1
    assert found.total("up") == 1


def test_tallies_are_of_the_hours_that_begin_within(store: Store) -> None:
    store.traffic.ingest(batch(tallies={(MONDAY_0 + hour, "de"): counts(queries=1) for hour in range(6)}))
    found = store.traffic.tallies("live", MONDAY + HOUR / 2, MONDAY + 3.5 * HOUR)
    assert found.hour.tolist() == [(MONDAY + n * HOUR).replace(tzinfo=None) for n in (1, 2, 3)]
    assert found.hour.dtype == np.dtype("datetime64[h]")
    assert found.counts.shape == (3, len(TALLY_FIELDS))
    assert found.counts.dtype == np.int64


def test_no_tallies_are_no_rows(store: Store) -> None:
    assert store.traffic.tallies("live", MONDAY, MONDAY + DAY).counts.shape == (0, len(TALLY_FIELDS))
    assert len(store.traffic.sample("live", MONDAY, MONDAY + DAY)) == 0
    assert store.traffic.first_hour("live") is None


def test_sources_do_not_mix(store: Store) -> None:
    store.traffic.ingest(batch(kept(0.1), tallies={(MONDAY_0, "de"): counts(queries=1)}))
    other = store.traffic.tallies("other", MONDAY, MONDAY + DAY)
    assert other.total("queries") == 0
    assert len(store.traffic.sample("other", MONDAY, MONDAY + DAY)) == 0
    assert store.traffic.strata("other", TODAY) == {}


def test_the_first_and_last_hour_are_those_counted(store: Store) -> None:
    store.traffic.ingest(batch(tallies={(MONDAY_0 + hour, "de"): counts() for hour in (5, 2, 9)}))
    assert store.traffic.first_hour("live") == MONDAY + 2 * HOUR
    assert store.traffic.last_hour("live") == MONDAY + 9 * HOUR


@settings(max_examples=examples(12), deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_split_into_batches_gives_the_same_tallies(seed: int) -> None:
    chance = random.Random(seed)
    lines = [(MONDAY_0 + chance.randrange(3), chance.choice("abc")) for _ in range(60)]
    with TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/a.db")
        while lines:
            taken, lines = lines[: (cut := chance.randrange(1, 30))], lines[cut:]
            store.traffic.ingest(batch(tallies={key: counts(queries=n) for key, n in Counter(taken).items()}))
        chance = random.Random(seed)
        expected = Counter((MONDAY_0 + chance.randrange(3), chance.choice("abc")) for _ in range(60))
        found = store.traffic.tallies("live", MONDAY, MONDAY + DAY)
        rows = zip((found.hour.astype(int)).tolist(), found.lang.tolist(), found.counts[:, 0].tolist(), strict=True)
        assert {(hour, lang): n for hour, lang, n in rows} == dict(expected)
        store.close()


def test_a_batch_that_fails_leaves_nothing_behind(store: Store) -> None:
    store.traffic.ingest(batch(cursor={"offset": 1}))
    broken = batch(
        kept(0.1), cursor={"offset": 2}, tallies={(MONDAY_0, "de"): counts(queries=1), (2**70, "de"): counts()}
    )
    with pytest.raises((StoreError, OverflowError)):
        store.traffic.ingest(broken)
    assert store.traffic.cursor("live") == {"offset": 1}
    assert store.traffic.tallies("live", MONDAY, MONDAY + DAY).total("queries") == 0
    assert len(store.traffic.sample("live", MONDAY, MONDAY + DAY)) == 0


# --- the sample ----------------------------------------------------------------------------------------------------


def test_a_sample_is_columns_ordered_by_time(store: Store) -> None:
    store.traffic.ingest(
        batch(
            kept(0.3, "late", MONDAY + HOUR, lang="de", hits=docs(0.9, 0.5)),
            kept(0.2, "early", MONDAY, lang="fr", hits=docs(0.8, 0.4)),
        )
    )
    found = store.traffic.sample("live", MONDAY, MONDAY + DAY)
    assert found.query_id.tolist() == ["early", "late"]
    assert found.lang.tolist() == ["fr", "de"]
    assert found.at.tolist() == [MONDAY.replace(tzinfo=None), (MONDAY + HOUR).replace(tzinfo=None)]
    assert found.at.dtype == np.dtype("datetime64[us]")
    np.testing.assert_array_equal(found.scores, np.array([[0.8, 0.4], [0.9, 0.5]], np.float32))
    assert found.weight.tolist() == [1.0, 1.0]
    assert found.weight.dtype == np.float64


def test_a_sample_holds_what_came_from_the_start_until_before_the_end(store: Store) -> None:
    store.traffic.ingest(batch(*(kept(n / 10, str(n), MONDAY + n * HOUR) for n in range(5))))
    assert store.traffic.sample("live", MONDAY + HOUR, MONDAY + 3 * HOUR).query_id.tolist() == ["1", "2"]


def test_short_rows_are_padded_and_distances_are_turned_around(store: Store) -> None:
    store.traffic.ingest(
        batch(
            kept(0.1, "distance", MONDAY, hits=docs(0.25, 0.5), score_kind="distance"),
            kept(0.2, "one", MONDAY + HOUR, hits=docs(0.75)),
            kept(0.3, "unscored", MONDAY + 2 * HOUR, hits=docs(None, 0.5)),
            kept(0.4, "empty", MONDAY + 3 * HOUR, hits=()),
            kept(0.5, "unknown", MONDAY + 4 * HOUR, hits=None),
        )
    )
    nan = np.nan
    np.testing.assert_array_equal(
        store.traffic.sample("live", MONDAY, MONDAY + DAY).scores,
        np.array([[-0.25, -0.5], [0.75, nan], [nan, 0.5], [nan, nan], [nan, nan]], np.float32),
    )


def test_a_falling_threshold_removes_rows_and_raises_the_weight_of_the_rest(store: Store) -> None:
    rows = [kept(priority, str(priority), stratum="de") for priority in (0.1, 0.4, 0.5)]
    store.traffic.ingest(batch(*rows, kept(0.45, "fr", stratum="fr"), thresholds={(TODAY, "de"): 1.0}))
    store.traffic.ingest(batch(thresholds={(TODAY, "de"): 0.5}))
    store.traffic.ingest(batch(kept(0.3, "0.3", stratum="de"), thresholds={(TODAY, "de"): 0.4}))
    found = store.traffic.sample("live", MONDAY, MONDAY + DAY)
    weights = dict(zip(found.query_id.tolist(), found.weight.tolist(), strict=True))
    assert weights == {"0.1": 2.5, "0.3": 2.5, "fr": 1.0}


def test_a_row_that_is_kept_and_evicted_by_one_batch_is_gone(store: Store) -> None:
    store.traffic.ingest(batch(kept(0.9), kept(0.1), thresholds={(TODAY, "*"): 0.9}))
    assert store.traffic.strata("live", TODAY) == {(TODAY, "*"): Stratum(0.9, (0.1,))}


def test_a_row_that_is_there_already_is_not_added_again(store: Store) -> None:
    store.traffic.ingest(batch(kept(0.1, "first")))
    store.traffic.ingest(batch(kept(0.1, "again"), kept(0.2, "new")))
    assert sorted(store.traffic.sample("live", MONDAY, MONDAY + DAY).query_id.tolist()) == ["first", "new"]


def test_strata_come_back_as_the_sampler_left_them(store: Store) -> None:
    yesterday = MONDAY - DAY
    store.traffic.ingest(
        batch(
            kept(0.2, stratum="de"),
            kept(0.1, stratum="de"),
            kept(0.3, at=yesterday, stratum="de"),
            thresholds={(TODAY, "de"): 0.25, (TODAY, "fr"): 1.0, (yesterday.date(), "de"): 1.0},
        )
    )
    assert store.traffic.strata("live", TODAY) == {
        (TODAY, "de"): Stratum(0.25, (0.1, 0.2)),
        (TODAY, "fr"): Stratum(1.0, ()),
    }
    assert len(store.traffic.strata("live", yesterday.date())) == 3


def test_a_sampler_goes_on_after_a_restart_as_if_there_had_been_none(store: Store) -> None:
    units = [f"session {n}" for n in range(300)]

    def offer(sampler: Sampler, some: list[str]) -> None:
        rows = []
        for unit in some:
            priority = sampler.priority(TODAY, "de", unit)
            if sampler.offer(TODAY, "de", priority):
                rows.append(kept(priority, unit, stratum="de", session=unit))
        store.traffic.ingest(batch(*rows, thresholds=sampler.drain()))

    offer(Sampler(50), units[:200])
    offer(Sampler(50, store.traffic.strata("live", TODAY)), units[200:])
    never_stopped = Sampler(50)
    for unit in units:
        never_stopped.offer(TODAY, "de", never_stopped.priority(TODAY, "de", unit))
    found = store.traffic.sample("live", MONDAY, MONDAY + DAY)
    assert len(found) == 50
    assert set(found.weight.tolist()) == {1 / never_stopped.drain()[TODAY, "de"]}


def test_rows_of_one_session_of_a_day_share_a_unit_and_others_do_not(store: Store) -> None:
    store.traffic.ingest(
        batch(
            kept(0.1, "a", MONDAY, session="s1", stratum="de"),
            kept(0.2, "b", MONDAY + HOUR, session="s1", stratum="fr"),
            kept(0.3, "c", MONDAY + 2 * HOUR, session="s2"),
            kept(0.4, "d", MONDAY + 3 * HOUR),
            kept(0.5, "d", MONDAY + 4 * HOUR),
            kept(0.1, "e", MONDAY + DAY, session="s1", stratum="de"),
        )
    )
    unit = store.traffic.sample("live", MONDAY, MONDAY + 2 * DAY).unit
    assert unit.dtype == np.int64
    assert unit[0] == unit[1]
    assert len(set(unit.tolist())) == 5


def test_a_sample_read_in_many_pieces_is_the_rows_in_their_order(store: Store) -> None:
    chance = random.Random(5)
    rows = [
        kept(
            (number + 1) / 2000,
            f"{'long ' * (number % 7)}{number}",
            MONDAY + timedelta(seconds=chance.randrange(3 * 86_400)),
            stratum=(lang := chance.choice(["de", "en", "pt"])),
            lang=lang,
            hits=docs(*(chance.random() for _ in range(chance.randrange(12)))),
        )
        for number in range(1300)
    ]
    lowered = {((MONDAY + n * DAY).date(), lang): chance.uniform(0.7, 1) for n in range(3) for lang in ("de", "en")}
    store.traffic.ingest(batch(*rows, thresholds=lowered))
    found = store.traffic.sample("live", MONDAY, MONDAY + 3 * DAY)
    expected = sorted(rows, key=lambda row: row.observation.at)
    seen = [row.observation for row in expected]
    assert found.query_id.tolist() == [each.query_id for each in seen]
    assert found.lang.tolist() == [each.lang for each in seen]
    assert found.at.tolist() == [each.at.replace(tzinfo=None) for each in seen]
    assert found.weight.tolist() == [1 / lowered.get((row.day, row.stratum), 1.0) for row in expected]
    assert len(set(found.unit.tolist())) == 1300
    for scores, each in zip(found.scores, seen, strict=True):
        np.testing.assert_array_equal(scores[: len(each.hits)], np.array([hit.score for hit in each.hits], np.float32))
        assert np.isnan(scores[len(each.hits) :]).all()


def test_without_ids_everything_else_of_a_sample_is_the_same(store: Store) -> None:
    store.traffic.ingest(batch(*(kept(n / 10, str(n), MONDAY + n * HOUR, hits=docs(n / 10)) for n in range(9))))
    whole, light = (store.traffic.sample("live", MONDAY, MONDAY + DAY, ids=ids) for ids in (True, False))
    assert set(light.query_id.tolist()) == {""}
    assert len(light) == len(whole) == 9
    for name in ("at", "lang", "unit", "weight", "scores"):
        np.testing.assert_array_equal(getattr(light, name), getattr(whole, name))


# --- what people read ----------------------------------------------------------------------------------------------


def test_an_observation_comes_back_as_it_was(store: Store) -> None:
    row = kept(
        0.1,
        "q7",
        MONDAY + timedelta(microseconds=7),
        text="wie setze ich mein Passwort zurück? 🙈",
        lang="de",
        lang_detected=True,
        session="s",
        hits=(ScoredDoc("doc-1", 0.123456789012345), ScoredDoc("doc-2", None)),
        score_kind="distance",
        abstained=True,
        feedback="down",
        versions={"index": "v7"},
        error="slow",
    )
    store.traffic.ingest(batch(row))
    assert store.traffic.observations("live", ["q7", "missing"]) == {"q7": row.observation}


def test_not_logged_and_empty_results_stay_two_things(store: Store) -> None:
    store.traffic.ingest(batch(kept(0.1, "unknown", hits=None), kept(0.2, "empty", hits=())))
    found = store.traffic.observations("live", ["unknown", "empty"])
    assert found["unknown"].hits is None
    assert found["empty"].hits == ()


def test_of_a_repeated_query_the_newest_observation_is_shown(store: Store) -> None:
    store.traffic.ingest(batch(kept(0.2, "q", MONDAY + HOUR, text="new"), kept(0.1, "q", MONDAY, text="old")))
    assert store.traffic.observations("live", ["q"])["q"].text == "new"


def test_recent_queries_are_newest_first_and_carry_their_weight(store: Store) -> None:
    store.traffic.ingest(
        batch(*(kept(n / 10, str(n), MONDAY + n * HOUR) for n in range(5)), thresholds={(TODAY, "*"): 0.5})
    )
    found = store.traffic.recent_queries("live", MONDAY, MONDAY + 4 * HOUR, 2)
    assert [(seen.query_id, seen.weight) for seen in found] == [("3", 2.0), ("2", 2.0)]


def test_text_from_a_log_cannot_make_a_write_fail(store: Store) -> None:
    hostile = "\0 \ud800 \u202e '; DROP TABLE sampled; --" + "x" * 100_000
    store.traffic.ingest(
        batch(
            kept(
                0.1,
                hostile,
                lang=hostile,
                stratum=hostile,
                text=hostile,
                session=hostile,
                hits=(ScoredDoc(hostile, 1e300),),
            ),
            tallies={(MONDAY_0, hostile): counts(queries=1)},
            thresholds={(TODAY, hostile): 0.5},
            cursor={hostile: hostile},
            rejects=(Reject(hostile, 0, hostile, hostile),),
        )
    )
    (seen,) = store.traffic.observations("live", [hostile]).values()
    assert "DROP TABLE" in seen.text
    sample = store.traffic.sample("live", MONDAY, MONDAY + DAY)
    assert sample.weight.tolist() == [2.0]
    assert sample.query_id.dtype.itemsize < 1000
    assert sample.scores.tolist() == [[float("inf")]]


# --- cursors and rejects -------------------------------------------------------------------------------------------


def test_reading_goes_on_where_the_last_batch_ended(store: Store) -> None:
    assert store.traffic.cursor("live") is None
    store.traffic.ingest(batch(cursor={"file": "a", "offset": 2**40}))
    store.traffic.ingest(batch(cursor={"file": "b", "offset": 1}))
    assert store.traffic.cursor("live") == {"file": "b", "offset": 1}


def test_all_rejects_are_counted_and_the_newest_thousand_kept(store: Store) -> None:
    store.traffic.ingest(batch(rejects=(Reject("other", 0, "why", "line"),), source="other", rejected=1))
    for start in range(0, 1500, 300):
        some = tuple(Reject("log", offset, "no ts", "{}") for offset in range(start, start + 300))
        store.traffic.ingest(batch(rejects=some, lines=400, rejected=350))
    assert store.traffic.reject_counts() == {"live": 1750, "other": 1}
    assert store.traffic.line_counts() == {"live": 2000, "other": 0}
    found = store.traffic.rejects("live", 5000)
    assert [each.offset for each in found] == list(range(1499, 499, -1))
    assert len(store.traffic.rejects("other")) == 1


def test_what_was_understood_with_a_reservation_is_counted(store: Store) -> None:
    store.traffic.ingest(batch(notes={"no offset": 2}))
    store.traffic.ingest(batch(notes={"no offset": 1, "odd": 5}))
    assert store.traffic.notes("live") == {"no offset": 3, "odd": 5}
    assert store.traffic.notes("other") == {}


def test_a_store_remembers_after_it_was_closed(store_url: str) -> None:
    first = Store.open(store_url)
    first.traffic.ingest(batch(kept(0.1), cursor={"offset": 3}))
    first.close()
    second = Store.open(store_url)
    assert second.traffic.cursor("live") == {"offset": 3}
    assert len(second.traffic.sample("live", MONDAY, MONDAY + DAY)) == 1
    second.close()


def test_a_relative_address_is_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open("sqlite:///here.db").close()
    assert (tmp_path / "here.db").exists()
