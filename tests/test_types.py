"""The columns that checks read: sums and selections are those of the rows."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from driftwatch.types import (
    TALLY_FIELDS,
    Alert,
    Finding,
    Incident,
    Member,
    Observation,
    Query,
    Sample,
    Tallies,
    Transition,
)

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def tallies(*rows: tuple[int, str, int, int]) -> Tallies:
    """(hour, language, queries, empty) a row."""
    counts = np.zeros((len(rows), len(TALLY_FIELDS)), np.int64)
    for row, (_, _, queries, empty) in zip(counts, rows, strict=True):
        row[TALLY_FIELDS.index("queries")], row[TALLY_FIELDS.index("empty")] = queries, empty
    hours = np.array([hour for hour, *_ in rows], "datetime64[h]")
    return Tallies(hours, np.array([lang for _, lang, *_ in rows]), counts)


def sample(*query_ids: str) -> Sample:
    """Rows in this order, each with one score."""
    n = len(query_ids)
    return Sample(
        np.array(query_ids),
        np.arange(n).astype("datetime64[us]"),
        np.full(n, "en"),
        np.arange(n),
        np.ones(n),
        np.linspace(1, 0, n, dtype=np.float32).reshape(n, 1),
    )


DAY = tallies((0, "en", 10, 1), (0, "de", 5, 0), (1, "en", 7, 2))

_ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["en", "de", "und"]), st.integers(0, 1000), st.integers(0, 10))
)


def test_a_total_is_the_sum_of_its_column() -> None:
    assert DAY.total("queries") == 22
    assert DAY.total("empty") == 3
    assert DAY.total("errors") == 0


def test_a_column_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError, match="querys"):
        DAY.total("querys")


def test_hours_are_summed_over_languages() -> None:
    assert DAY.by_hour("queries") == {np.datetime64(0, "h"): 15, np.datetime64(1, "h"): 7}


def test_languages_are_summed_over_hours() -> None:
    assert DAY.by_lang("queries") == {"de": 5, "en": 17}
    assert all(type(lang) is str and type(count) is int for lang, count in DAY.by_lang("queries").items())


@given(_ROWS)
def test_however_rows_are_grouped_the_total_is_the_same(rows: list[tuple[int, str, int, int]]) -> None:
    found = tallies(*rows) if rows else Tallies.none()
    for column in ("queries", "empty"):
        assert sum(found.by_hour(column).values()) == sum(found.by_lang(column).values()) == found.total(column)


@given(_ROWS.filter(bool), st.randoms())
def test_what_is_kept_and_what_is_left_out_make_the_whole(
    rows: list[tuple[int, str, int, int]], random: object
) -> None:
    found = tallies(*rows)
    mask = np.array([random.random() < 0.5 for _ in rows])  # type: ignore[attr-defined]
    kept, rest = found.keep(mask), found.keep(~mask)
    assert kept.total("queries") + rest.total("queries") == found.total("queries")
    assert len(kept.hour) == len(kept.lang) == len(kept.counts) == mask.sum()


def test_large_counts_are_exact() -> None:
    count = 2**52 + 1
    assert tallies((0, "en", count, 0)).total("queries") == count
    assert tallies((0, "en", count, 0)).by_lang("queries") == {"en": count}


def test_no_tallies_are_zero_of_everything() -> None:
    nothing = Tallies.none()
    assert [nothing.total(column) for column in TALLY_FIELDS] == [0] * len(TALLY_FIELDS)
    assert nothing.by_hour("queries") == nothing.by_lang("queries") == {}
    assert nothing.keep(np.empty(0, bool)).total("queries") == 0


def test_a_sample_is_as_long_as_its_rows() -> None:
    assert (len(sample("a", "b", "c")), len(Sample.none())) == (3, 0)


def test_rows_of_a_sample_are_kept_whole() -> None:
    kept = sample("a", "b", "c").keep(np.array([True, False, True]))
    assert kept.query_id.tolist() == ["a", "c"]
    assert kept.scores.tolist() == [[1.0], [0.0]]
    columns = [getattr(kept, field.name) for field in dataclasses.fields(kept) if field.init]
    assert [len(column) for column in columns if column is not None] == [2] * 6


def test_a_part_of_a_part_is_a_part_of_the_whole() -> None:
    whole = sample("a", "b", "c", "d")
    part = whole.keep(np.array([True, False, True, True])).keep(np.array([False, True, True]))
    assert len(part) == 2
    assert part.part_of is whole
    assert part.query_id.tolist() == ["c", "d"]
    assert part.unit.tolist() == [2, 3]


def test_a_column_of_the_rows_of_a_part_is_made_once_for_the_whole() -> None:
    made: list[int] = []

    def doubled(rows: Sample) -> NDArray[np.int64]:
        made.append(len(rows))
        return rows.unit * 2

    whole = sample("a", "b", "c")
    first, last = whole.keep(np.array([True, False, False])), whole.keep(np.array([False, False, True]))
    assert first.column("doubled", doubled).tolist() == [0]
    assert last.column("doubled", doubled).tolist() == [4]
    assert whole.column("doubled", doubled).tolist() == [0, 2, 4]
    assert made == [3]


def test_what_is_made_of_rows_is_made_once() -> None:
    whole, made = sample("a"), iter("xy")
    assert [whole.once("letter", lambda: next(made)) for _ in range(2)] == ["x", "x"]
    assert whole.once("other", lambda: next(made)) == "y"


def test_languages_of_a_part_are_named_as_those_of_the_whole() -> None:
    whole = dataclasses.replace(sample("a", "b", "c"), lang=np.array(["pt", "de", "pt"]))
    names, code = whole.keep(np.array([True, False, True])).languages()
    assert [names[place] for place in code] == ["pt", "pt"]


def test_a_sample_has_no_other_columns() -> None:
    with pytest.raises(AttributeError):
        _ = sample("a").answer


def test_an_empty_sample_can_be_selected_from() -> None:
    assert len(Sample.none().keep(np.empty(0, bool))) == 0


def test_nouns_never_change() -> None:
    for noun in (Query("q", "x"), Observation(NOW, "live", "q"), Finding("c", "all", NOW, "ok", "fine"), DAY):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(noun, dataclasses.fields(noun)[0].name, "other")


@pytest.mark.parametrize(
    ("states", "resolved", "state"),
    [
        (["ok", "firing"], False, "firing"),
        (["blind", "firing"], False, "firing"),
        (["blind", "ok"], False, "blind"),
        (["firing"], True, "resolved"),
    ],
)
def test_an_incident_is_as_bad_as_its_worst_alert(states: list[str], resolved: bool, state: str) -> None:
    members = tuple(Member(Alert(f"check {n}", "all", each), None) for n, each in enumerate(states))  # type: ignore[arg-type]
    assert Incident("i1", "canaries", "all", NOW, NOW if resolved else None, members, ()).state == state


def changes(*told: tuple[int, str, str]) -> Incident:
    """(hour, check, the state it went to) a transition."""
    history = tuple(
        Transition(f"{hour}{check}", check, "de", "firing", "ok", after, NOW + timedelta(hours=hour), "i")  # type: ignore[arg-type]
        for hour, check, after in told
    )
    return Incident("i", "canaries", "de", NOW, None, (), history)


def test_an_incident_opens_again_when_all_of_its_alerts_had_been_over() -> None:
    told = [
        (0, "a", "firing"),
        (1, "b", "firing"),
        (2, "a", "ok"),
        (3, "b", "blind"),
        (4, "b", "ok"),
        (9, "a", "firing"),
    ]
    assert [(at - NOW) / timedelta(hours=1) for at in changes(*told).openings] == [0, 9]
    assert len(changes(*told[:5]).openings) == 1


def test_an_incident_whose_alerts_take_turns_at_one_look_was_never_over() -> None:
    assert changes((0, "a", "firing"), (5, "a", "ok"), (5, "b", "firing")).openings == (NOW,)
    assert changes().openings == (NOW,)
