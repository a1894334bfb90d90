from __future__ import annotations

import zlib
from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.store import Store
from driftwatch.store.packing import Unpacker, pack
from driftwatch.types import Observation, Run, ScoredDoc
from tests.fakes.batches import DAY, HOUR, MONDAY, answer, docs, run

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
SCORES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
HITS = st.none() | st.lists(st.builds(ScoredDoc, WORDS, SCORES), max_size=4).map(tuple)
OBSERVATIONS = st.builds(
    Observation,
    at=st.timedeltas(min_value=-DAY, max_value=DAY).map(lambda late: MONDAY + late),
    source=st.just("canaries"),
    query_id=WORDS,
    text=WORDS,
    lang=WORDS,
    lang_detected=st.booleans(),
    session=st.none() | WORDS,
    hits=HITS,
    score_kind=st.sampled_from(["similarity", "distance"]),
    relevant=st.dictionaries(WORDS, st.integers(-1, 3), max_size=3),
    expect_empty=st.booleans(),
    abstained=st.none() | st.booleans(),
    feedback=st.none() | WORDS,
    feedback_doc=WORDS,
    weight=st.floats(1, 10),
    versions=st.dictionaries(WORDS, WORDS, max_size=2),
    error=st.none() | WORDS,
    digest=WORDS,
    attempt=st.integers(0, 1),
)


@given(st.lists(OBSERVATIONS, max_size=5), st.frozensets(WORDS, max_size=3))
def test_a_run_unpacks_to_what_was_packed(asked: list[Observation], gone: frozenset[str]) -> None:
    made = run(MONDAY, *asked, gone=gone)
    assert Unpacker().run(made.run_id, made.source, made.at, made.suite, pack(made)) == made


def test_a_field_that_a_later_version_adds_takes_its_default() -> None:
    columns = orjson.loads(zlib.decompress(pack(run(MONDAY, answer("q", 0.5)))))
    del columns["digest"]
    body = zlib.compress(orjson.dumps(columns))
    assert Unpacker().run("r", "canaries", MONDAY, "s", body).observations[0].digest == ""


def test_equal_answers_of_many_runs_are_one_object() -> None:
    unpacker = Unpacker()
    first, second = (
        unpacker.run("r", "canaries", at, "s", pack(run(at, answer("q", 0.5, at=at)))) for at in (MONDAY, MONDAY + DAY)
    )
    assert first.observations[0].hits is second.observations[0].hits
    assert first.observations[0].relevant is second.observations[0].relevant


def test_runs_of_a_stretch_of_time_come_oldest_first(store: Store) -> None:
    made = [run(MONDAY + n * HOUR, answer("q", 0.5, at=MONDAY + n * HOUR)) for n in range(4)]
    for each in reversed(made):
        store.canaries.add(each)
    assert store.canaries.runs("canaries", MONDAY, MONDAY + 3 * HOUR) == tuple(made[:3])
    assert store.canaries.runs("other", MONDAY, MONDAY + DAY) == ()
    assert store.canaries.latest("canaries") == made[3]
    assert store.canaries.first_run("canaries") == MONDAY


def test_nothing_is_known_of_a_source_that_was_never_asked(store: Store) -> None:
    assert store.canaries.latest("canaries") is None
    assert store.canaries.first_run("canaries") is None
    assert store.canaries.first_seen("canaries") == {}


def test_a_run_that_is_added_again_changes_nothing(store: Store) -> None:
    first = run(MONDAY, answer("q", 0.5))
    store.canaries.add(first)
    store.canaries.add(replace(first, observations=(answer("other", 0.1),)))
    assert store.canaries.runs("canaries", MONDAY, MONDAY + DAY) == (first,)
    assert store.canaries.first_seen("canaries") == {("q", "d"): MONDAY}


def test_a_canary_that_changes_is_first_seen_again(store: Store) -> None:
    long_name = "q" * 5000
    store.canaries.add(run(MONDAY + HOUR, answer(long_name, 0.5, digest="old"), answer("b", 0.5, digest="same")))
    store.canaries.add(run(MONDAY + DAY, answer(long_name, 0.5, digest="new"), answer("b", 0.5, digest="same")))
    store.canaries.add(run(MONDAY, answer("b", 0.5, digest="same")))
    assert store.canaries.first_seen("canaries") == {
        (long_name, "old"): MONDAY + HOUR,
        (long_name, "new"): MONDAY + DAY,
        ("b", "same"): MONDAY,
    }


def test_a_run_without_canaries_is_kept(store: Store) -> None:
    empty = Run("r", "canaries", MONDAY, "suite", ())
    store.canaries.add(empty)
    assert store.canaries.latest("canaries") == empty


# --- what measures ask -----------------------------------------------------------------------------------------------


def test_answers_are_those_of_the_runs_without_their_scores(store: Store) -> None:
    seen = Observation(
        MONDAY, "canaries", "q1", "text?", "de", hits=docs(0.9, None), relevant={"doc-1": 2}, digest="d", attempt=1
    )
    failed = Observation(MONDAY, "canaries", "q2", hits=None, error="timed out", expect_empty=True)
    store.canaries.add(run(MONDAY, seen, failed, gone=frozenset({"doc-1"})))
    (found,) = store.canaries.answers("canaries", MONDAY, MONDAY + HOUR)
    assert (found.at, found.gone) == (MONDAY, {"doc-1"})
    first, second = found.answers
    assert first == ("q1", "d", "de", "text?", 1, None, False, ["doc-0", "doc-1"], {"doc-1": 2})
    assert (second.docs, second.error, second.expect_empty, second.relevant) == (None, "timed out", True, {})
    assert second.lang == "und"


def test_answers_come_in_order_and_of_the_time_that_is_asked_for(store: Store) -> None:
    times = [MONDAY + number * HOUR for number in range(60)]
    for at in reversed(times):
        store.canaries.add(run(at))
    assert [each.at for each in store.canaries.answers("canaries", times[1], times[-1])] == times[1:-1]
    assert list(store.canaries.answers("other", times[0], times[-1])) == []


def test_the_last_answers_of_each_stretch_are_those_of_its_last_run(store: Store) -> None:
    for hours in (1, 5, 30, 31, 80):
        store.canaries.add(run(MONDAY + hours * HOUR))
    edges = [MONDAY + number * DAY for number in range(5)]
    found = [each.at for each in store.canaries.last_answers("canaries", edges)]
    assert found == [MONDAY + hours * HOUR for hours in (5, 31, 80)]
