"""Adaptive threshold sampling: what is kept, with which probability, and that nothing else decides it."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.sampling import DAYS_OPEN, Sampler, SeenUnits, Stratum, fraction
from tests.fakes.examples import examples

DAY = date(2026, 11, 1)
Offer = tuple[date, str, str]


def keep(sampler: Sampler, offers: list[Offer]) -> dict[tuple[date, str, float], str]:
    """Every row that is in the sample at the end, by the unit it came from."""
    rows = {}
    for day, lang, unit in offers:
        priority = sampler.priority(day, lang, unit)
        if sampler.offer(day, lang, priority):
            rows[day, lang, priority] = unit
    return {key: unit for key, unit in rows.items() if sampler.stratum(key[0], key[1]).holds(key[2])}


def stream(count: int, seed: int, share: dict[str, float] | None = None) -> list[Offer]:
    chance = random.Random(seed)
    share = share or {"en": 0.7, "de": 0.25, "fr": 0.05}
    langs = chance.choices(list(share), weights=list(share.values()), k=count)
    return [(DAY, lang, f"{seed}-{number}") for number, lang in enumerate(langs)]


def test_the_same_unit_draws_the_same_priority_on_every_machine():
    assert Sampler(10).priority(DAY, "de", "session-1") == 0.409697566480821


def test_a_unit_draws_another_priority_on_another_day_and_in_another_language():
    sampler = Sampler(10)
    drawn = {sampler.priority(day, lang, "s") for day in (DAY, DAY + timedelta(days=1)) for lang in ("de", "en")}
    assert len(drawn) == 4


def test_priorities_are_uniform():
    layer = Sampler(1).stratum(DAY, "en")
    drawn = [layer.priority(f"unit {number}") for number in range(20_000)]
    tenths = Counter(int(priority * 10) for priority in drawn)
    # 2000 expected in each; 5 standard deviations are 212.
    assert all(abs(tenths[tenth] - 2000) < 212 for tenth in range(10))


def test_a_day_that_fits_is_kept_whole():
    sampler = Sampler(100)
    assert len(keep(sampler, stream(100, 1))) == 100
    assert set(sampler.drain().values()) == {1.0}


def test_keep_per_day_holds_after_every_single_row():
    sampler = Sampler(50)
    for day, lang, unit in stream(2000, 2):
        sampler.offer(day, lang, sampler.priority(day, lang, unit))
        assert sum(sampler.stratum(DAY, name).size for name in ("en", "de", "fr")) <= 50


def test_a_full_day_stays_full():
    assert len(keep(Sampler(50), stream(2000, 3))) == 50


def test_a_small_language_keeps_everything_while_large_ones_shrink_to_its_size():
    sampler = Sampler(90)
    rows = keep(sampler, stream(3000, 4, {"en": 0.9, "de": 0.095, "fr": 0.005}))
    kept = Counter(lang for _, lang, _ in rows)
    thresholds = sampler.drain()
    assert thresholds[DAY, "fr"] == 1.0
    assert abs(kept["en"] - kept["de"]) <= 1
    assert thresholds[DAY, "en"] < thresholds[DAY, "de"] < 1


def test_the_first_row_of_a_unit_is_its_only_row():
    sampler = Sampler(10)
    priority = sampler.priority(DAY, "de", "one session")
    assert sampler.offer(DAY, "de", priority)
    assert not sampler.offer(DAY, "de", priority)


def test_a_row_that_left_never_comes_back():
    sampler = Sampler(5)
    offers = stream(200, 5)
    kept = keep(sampler, offers)
    assert keep(sampler, offers) == {}
    assert len(kept) == 5


def test_the_weighted_number_of_rows_is_unbiased():
    """Of 400 samples of 600 rows each: the mean of the estimates against its own standard error."""
    sizes = Counter(lang for _, lang, _ in stream(600, 0))
    estimates: dict[str, list[float]] = {lang: [] for lang in sizes}
    for repeat in range(400):
        sampler = Sampler(30)
        offers = [(day, lang, f"{repeat} {unit}") for day, lang, unit in stream(600, 0)]
        rows = Counter(lang for _, lang, _ in keep(sampler, offers))
        thresholds = sampler.drain()
        for lang in sizes:
            estimates[lang].append(rows[lang] / thresholds[DAY, lang])
    for lang, size in sizes.items():
        mean = sum(estimates[lang]) / len(estimates[lang])
        spread = (sum((it - mean) ** 2 for it in estimates[lang]) / (len(estimates[lang]) - 1)) ** 0.5
        assert abs(mean - size) < 4 * spread / len(estimates[lang]) ** 0.5 + 1e-9, lang


def test_a_weighted_total_of_a_value_that_depends_on_the_row_is_unbiased():
    values = {unit: (number % 7) ** 2 for number, (_, _, unit) in enumerate(stream(500, 0))}
    estimates = []
    for repeat in range(400):
        sampler = Sampler(40)
        rows = keep(sampler, [(day, lang, f"{repeat} {unit}") for day, lang, unit in stream(500, 0)])
        thresholds = sampler.drain()
        estimates.append(
            sum(values[unit.split(" ")[1]] / thresholds[day, lang] for (day, lang, _), unit in rows.items())
        )
    mean = sum(estimates) / len(estimates)
    error = (sum((it - mean) ** 2 for it in estimates) / (len(estimates) - 1) / len(estimates)) ** 0.5
    assert abs(mean - sum(values.values())) < 4 * error


def test_a_row_is_kept_with_the_probability_that_its_threshold_says():
    """Over many samples, the share of kept rows of a stratum is the mean of its thresholds."""
    kept = thresholds = 0.0
    for repeat in range(300):
        sampler = Sampler(20)
        offers = [(DAY, "en", f"{repeat} {number}") for number in range(100)]
        kept += len(keep(sampler, offers)) / 100
        thresholds += sampler.drain()[DAY, "en"]
    assert kept / 300 == pytest.approx(0.2)
    # The threshold is the 21st of 100 uniform order statistics: mean 21 / 101.
    assert thresholds / 300 == pytest.approx(21 / 101, abs=0.01)


@settings(max_examples=examples(60), deadline=None)
@given(
    offers=st.lists(
        st.tuples(st.sampled_from([DAY, DAY + timedelta(days=1)]), st.sampled_from(["de", "en"]), st.integers(0, 60)),
        max_size=120,
    ),
    cuts=st.sets(st.integers(0, 120), max_size=5),
    capacity=st.integers(1, 20),
)
def test_a_restart_anywhere_gives_the_same_sample(offers, cuts, capacity):
    """The store holds thresholds and priorities; a sampler made of them goes on as if nothing had happened."""
    named = [(day, lang, str(unit)) for day, lang, unit in offers]
    whole = Sampler(capacity)
    expected = keep(whole, named)

    stored: dict[tuple[date, str], tuple[float, set[float]]] = {}
    sampler = Sampler(capacity)
    for place, (day, lang, unit) in enumerate(named):
        if place in cuts:
            commit(stored, sampler.drain())
            sampler = Sampler(capacity, {key: Stratum(it[0], tuple(it[1])) for key, it in stored.items()})
        priority = sampler.priority(day, lang, unit)
        if sampler.offer(day, lang, priority):
            stored.setdefault((day, lang), (1.0, set()))[1].add(priority)
    commit(stored, sampler.drain())
    assert {(*key, priority) for key, (_, rows) in stored.items() for priority in rows} == set(expected)


def commit(stored: dict[tuple[date, str], tuple[float, set[float]]], thresholds: dict[tuple[date, str], float]) -> None:
    """What the store does with the thresholds of a batch."""
    for key, threshold in thresholds.items():
        rows = stored.get(key, (1.0, set()))[1]
        stored[key] = (threshold, {priority for priority in rows if priority < threshold})


def test_drain_tells_each_change_once():
    sampler = Sampler(1)
    for unit in "abcdef":
        sampler.offer(DAY, "*", sampler.priority(DAY, "*", unit))
    assert set(sampler.drain()) == {(DAY, "*")}
    assert sampler.drain() == {}


def test_a_day_too_old_to_change_keeps_nothing():
    sampler = Sampler(10)
    sampler.stratum(DAY, "*")
    old = DAY - timedelta(days=DAYS_OPEN + 1)
    assert sampler.stratum(old, "*").closed
    assert not sampler.offer(old, "*", 0.0)
    assert sampler.offer(DAY - timedelta(days=DAYS_OPEN), "*", 0.0)


def test_a_day_that_was_closed_still_tells_its_last_threshold():
    sampler = Sampler(1)
    layer = sampler.stratum(DAY, "*")
    for unit in "abcdef":
        sampler.offer(DAY, "*", layer.priority(unit))
    threshold = layer.threshold
    sampler.stratum(DAY + timedelta(days=DAYS_OPEN + 1), "*")
    assert layer.closed
    assert not bytes(8) < layer.limit
    assert sampler.drain()[DAY, "*"] == threshold < 1


def test_memory_does_not_grow_with_time():
    sampler = Sampler(5)
    for number in range(400):
        day = DAY + timedelta(days=number)
        sampler.offer(day, "en", sampler.priority(day, "en", "x"))
    assert len(sampler._days) == len(sampler._rows) == DAYS_OPEN + 1


def test_more_languages_than_rows_still_fit():
    sampler = Sampler(3)
    rows = keep(sampler, [(DAY, f"l{number}", "x") for number in range(50)])
    assert len(rows) <= 3


def test_a_digest_is_below_the_limit_exactly_where_its_priority_is_below_the_threshold():
    for threshold in (0.3, 2.0**-53, 0.0, 1.0):
        layer = Sampler(1000, {(DAY, "de"): Stratum(threshold, ())}).stratum(DAY, "de")
        digests = [blake2b(str(number).encode(), digest_size=8).digest() for number in range(3000)]
        for digest in [*digests, bytes(8), b"\xff" * 8, layer.limit[:8]]:
            assert (digest < layer.limit) == (fraction(digest) < threshold)


def test_a_lowered_setting_shrinks_a_restored_day():
    stored = {(DAY, "*"): Stratum(1.0, tuple(number / 100 for number in range(50)))}
    sampler = Sampler(10, stored)
    sampler.offer(DAY, "*", 0.001)
    assert sampler.stratum(DAY, "*").size == 10


# --- units that were seen ------------------------------------------------------------------------------------------


def digests_of(units: list[int]) -> np.ndarray:
    """As the reader makes them."""
    return np.array([int.from_bytes(blake2b(str(n).encode(), digest_size=8).digest(), "big") for n in units], "u8")


def firsts(seen: SeenUnits, units: list[int], flags: list[int]) -> list[int]:
    return seen.first(digests_of(units), np.array(flags, dtype=np.int64)).tolist()


def test_of_each_unit_the_first_row_that_carries_a_flag_is_new():
    seen = SeenUnits()
    assert firsts(seen, [7, 7, 8, 7], [1, 3, 1, 7]) == [1, 2, 1, 4]
    assert firsts(seen, [8, 7, 9], [9, 15, 15]) == [8, 8, 15]
    assert seen.size == 3


@settings(max_examples=examples(60))
@given(
    rows=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 15)), max_size=1500),
    cuts=st.lists(st.integers(1, 700), max_size=5),
)
def test_flags_are_new_as_a_dictionary_says_however_rows_are_cut(rows, cuts):
    known: dict[int, int] = {}
    expected = []
    for unit, flags in rows:
        expected.append(flags & ~known.get(unit, 0))
        known[unit] = known.get(unit, 0) | flags
    seen, found, rest = SeenUnits(), [], rows
    for cut in [*cuts, len(rows)]:
        part, rest = rest[:cut], rest[cut:]
        found += firsts(seen, [unit for unit, _ in part], [flags for _, flags in part])
    assert found == expected
    assert seen.size == len(known)


def test_units_of_colliding_digests_stay_apart():
    """All of them want the same place in the table, and the last ones wrap around its end."""
    digests = (np.arange(1, 400, dtype=np.uint64) << np.uint64(40)) | np.uint64(0xFFFFF0)
    seen = SeenUnits()
    once = np.ones(len(digests), dtype=np.int64)
    assert seen.first(digests, once).tolist() == [1] * 399
    assert seen.first(digests, once).tolist() == [0] * 399
    assert seen.size == 399


def test_beyond_what_it_holds_a_day_goes_on_with_units_chosen_by_their_digests():
    seen, counted = SeenUnits(most_slots=1 << 12), []
    for start in range(0, 64_000, 500):
        units = list(range(start, start + 500))
        counted += [unit for unit, new in zip(units, firsts(seen, units, [1] * 500), strict=True) if new]
        assert seen.size <= 1 << 11
    assert counted[:1000] == list(range(1000))
    last = len([unit for unit in counted if unit >= 48_000])
    share = 2.0 ** round(np.log2(last / 16_000))
    assert share <= 1 / 16
    assert abs(last - 16_000 * share) < 5 * (16_000 * share) ** 0.5
    assert not any(firsts(seen, counted, [1] * len(counted)))


def test_units_are_forgotten_with_their_day_and_those_of_another_day_are_others():
    sampler = Sampler(10)
    monday, tuesday = sampler.stratum(DAY, "en").seen, sampler.stratum(DAY + timedelta(days=1), "de").seen
    assert sampler.stratum(DAY, "de").seen is monday is not tuesday
    assert firsts(monday, [1], [1]) == firsts(tuesday, [1], [1]) == [1]
    sampler.stratum(DAY + timedelta(days=DAYS_OPEN + 1), "en")
    assert sampler.stratum(DAY, "en").seen is not monday
    assert sampler.stratum(DAY + timedelta(days=1), "en").seen is tuesday
