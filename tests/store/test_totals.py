"""Counters that never fall, in a bounded number of languages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from driftwatch.store import Looked, Store
from driftwatch.store.maintenance import Retention
from driftwatch.store.totals import LEAD, MOST_NAMED, OTHER, UNKNOWN, most_asked, named_by
from tests.fakes.batches import DAY, HOUR, MONDAY, batch, counts, hours

LANGS = [f"{first}{second}" for first in "abcdef" for second in "abcdefgh"]


def asked(store: Store, queries: Mapping[str, int], hour: int = 0, languages: tuple[str, ...] = ()) -> None:
    """One batch of one hour."""
    at = hours(MONDAY) + hour
    store.traffic.ingest(
        batch(tallies={(at, lang): counts(queries=n, empty=n // 2) for lang, n in queries.items()}), languages
    )


def counted(store: Store) -> dict[str, int]:
    return {lang: found["queries"] for (_, lang), found in store.numbers(MONDAY).counted.items()}


def look(check: str, hour: int, outcome: str, seconds: float = 0.5) -> Looked:
    return Looked(check, MONDAY + hour * HOUR, seconds, outcome)  # type: ignore[arg-type]


def record(store: Store, *looked: Looked) -> None:
    store.decisions.record(findings=[], alerts=[], transitions=[], receivers={}, looked=looked)


# --- what was asked ------------------------------------------------------------------------------------------------


def test_what_is_counted_is_added_to_what_was(store: Store) -> None:
    asked(store, {"de": 10, "en": 4})
    asked(store, {"de": 5}, hour=1)
    found = store.numbers(MONDAY).counted["live", "de"]
    assert (found["queries"], found["empty"], found["abstained"]) == (15, 7, 0)
    assert counted(store) == {"de": 15, "en": 4}


def test_configured_languages_have_names_and_nothing_else_has(store: Store) -> None:
    asked(store, {"de": 1, "tlh": 20, "xx": 3, "und": 5}, languages=("de", "en"))
    assert counted(store) == {"de": 1, OTHER: 23, UNKNOWN: 5}


def test_a_configured_language_is_counted_without_its_region() -> None:
    assert named_by(["pt-BR", "zh-Hans", "EN"]) == {"pt", "zh", "en"}


def test_without_a_list_the_first_languages_get_names_until_there_is_no_room(store: Store) -> None:
    asked(store, {lang: 100 - place for place, lang in enumerate(LANGS)})
    found = counted(store)
    assert set(found) == {*LANGS[:MOST_NAMED], OTHER}
    assert found[OTHER] == sum(100 - place for place in range(MOST_NAMED, len(LANGS)))
    asked(store, {"zz": 1_000_000}, hour=1)
    assert "zz" not in counted(store)


def test_a_language_that_takes_a_place_leaves_every_counter_where_it_was(store: Store) -> None:
    asked(store, dict.fromkeys(LANGS[:MOST_NAMED], 100))
    asked(store, {"zz": 1000})
    before = counted(store)
    store.totals.choose_languages(MONDAY)
    assert "zz" in store.numbers(MONDAY).named
    assert counted(store) == before
    asked(store, {"zz": 7}, hour=1)
    assert counted(store) == before | {"zz": 7}


def test_a_language_that_lost_its_name_is_counted_as_another(store: Store) -> None:
    asked(store, {lang: 100 + (lang != "aa") for lang in LANGS[:MOST_NAMED]})
    asked(store, {"zz": 1000})
    store.totals.choose_languages(MONDAY)
    assert "aa" not in store.numbers(MONDAY).named
    asked(store, {"aa": 3}, hour=1)
    assert counted(store)["aa"] == 100
    assert counted(store)[OTHER] == 1003


def test_only_what_was_asked_lately_decides_who_is_named(store: Store) -> None:
    asked(store, dict.fromkeys(LANGS[:MOST_NAMED], 100), hour=48)
    asked(store, {"zz": 1000}, hour=0)
    assert "zz" not in store.totals.choose_languages(MONDAY + DAY)
    assert "zz" in store.totals.choose_languages(MONDAY)


def test_what_is_deleted_for_its_age_is_still_counted(store: Store) -> None:
    class Short:
        observations = tallies = findings = timedelta(days=1)
        disk = 2_000_000_000

    kept: Retention = Short()
    asked(store, {"de": 10})
    store.maintain(kept, MONDAY + 400 * DAY)
    assert store.traffic.first_hour("live") is None
    assert counted(store) == {"de": 10}


def test_lines_that_say_nothing_are_counted_nowhere(store: Store) -> None:
    store.traffic.ingest(batch(lines=3, rejected=3))
    assert counted(store) == {}
    assert store.numbers(MONDAY).lines == {"live": (3, 3)}


@given(
    st.sets(st.sampled_from(LANGS), max_size=8),
    st.dictionaries(st.sampled_from([*LANGS, "und"]), st.integers(0, 10_000)),
    st.integers(1, 8),
)
def test_a_choice_is_bounded_stays_as_it_is_and_no_one_outside_leads_by_much(
    named: set[str], volumes: dict[str, int], most: int
) -> None:
    chosen = most_asked(named, volumes, most)
    assert len(chosen) <= most
    assert "und" not in chosen
    assert most_asked(chosen, volumes, most) == chosen
    if len(chosen) == most:
        smallest = min(volumes.get(lang, 0) for lang in chosen)
        outside = [n for lang, n in volumes.items() if lang not in chosen and lang != "und" and lang not in named]
        assert all(n < LEAD * max(smallest, 1) for n in outside)


# --- what was looked at --------------------------------------------------------------------------------------------


def test_looks_are_counted_by_outcome_and_the_newest_is_kept(store: Store) -> None:
    record(store, look("recall", 0, "success", 0.25))
    record(store, look("recall", 1, "failure", 0.75), look("scores", 1, "insufficient_data"))
    found = store.numbers(MONDAY).looks
    assert found["recall"].outcomes == {"success": 1, "failure": 1, "insufficient_data": 0, "skipped": 0}
    assert (found["recall"].at, found["recall"].seconds) == (MONDAY + HOUR, 0.75)
    assert found["recall"].succeeded_at == MONDAY
    assert found["scores"].succeeded_at is None


def test_work_that_was_recorded_before_is_not_counted_again(store: Store) -> None:
    from driftwatch.store import CheckRun

    run = CheckRun("job", MONDAY, MONDAY, MONDAY, "done")
    for _ in range(2):
        store.decisions.record(
            findings=[], alerts=[], transitions=[], receivers={}, run=run, looked=[look("recall", 0, "success")]
        )
    assert store.numbers(MONDAY).looks["recall"].outcomes["success"] == 1


def test_counters_go_on_after_a_restart(store_url: str) -> None:
    first = Store.open(store_url)
    asked(first, {"de": 10})
    record(first, look("recall", 0, "success"))
    first.close()
    second = Store.open(store_url)
    asked(second, {"de": 1})
    record(second, look("recall", 1, "success"))
    assert counted(second) == {"de": 11}
    assert second.numbers(MONDAY).looks["recall"].outcomes["success"] == 2
    second.close()
