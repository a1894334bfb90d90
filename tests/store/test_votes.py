"""Lines with feedback: kept once, let go by sessions, by age and by size, and completed by their queries."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from driftwatch.errors import StoreError
from driftwatch.feedback import Heard, HeldVotes, Vote
from driftwatch.store import Store
from driftwatch.store.tables import feedback_days
from driftwatch.types import Observation
from tests.fakes.batches import DAY, HOUR, MONDAY, batch, counts, docs, kept, vote
from tests.store.test_maintenance import ALL_TIME, NOW, Kept, baseline
from tests.store.test_schema import _insert, at_revision

TODAY = MONDAY.date()
MINUTE = timedelta(minutes=1)


def heard(lines: int, threshold: float = 1.0, stratum: str = "*", day: int = 0) -> dict[object, Heard]:
    return {((MONDAY + day * DAY).date(), stratum): Heard(threshold, lines)}


def said(store: Store, source: str = "live") -> list[Observation]:
    return list(store.traffic.with_feedback(source, *ALL_TIME))


def names(store: Store) -> list[str]:
    return [seen.query_id for seen in said(store)]


def ingest(store: Store, *votes: Vote, **more: object) -> None:
    store.traffic.ingest(batch(votes=votes, **more))


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_users_said_is_found_oldest_first(store: Store) -> None:
    ingest(store, *(vote(n / 10, str(n), MONDAY + (3 - n) * HOUR) for n in range(3)))
    found = store.traffic.with_feedback("live", MONDAY, MONDAY + 3 * HOUR)
    assert [seen.query_id for seen in found] == ["2", "1"]
    assert said(store, "other") == []


def test_a_line_comes_back_as_it_was(store: Store) -> None:
    line = vote(0.1, "q7", MONDAY + MINUTE, text="wie? 🙈", lang="de", session="s", hits=docs(0.5, None),
                feedback="down", feedback_doc="doc-9", abstained=False, versions={"index": "v7"})  # fmt: skip
    ingest(store, line)
    assert said(store) == [line.observation]


def test_hostile_text_cannot_make_a_write_fail(store: Store) -> None:
    hostile = "\0 \ud800 '; DROP TABLE feedback; --" + "x" * 100_000
    ingest(store, vote(0.1, hostile, text=hostile, session=hostile, stratum=hostile, lang=hostile, feedback_doc="d"),
           heard=heard(1, 0.9, hostile))  # fmt: skip
    assert [seen.text[-9:] for seen in said(store)] == ["x" * 9]


def test_a_session_may_have_many_lines_and_each_is_there_once(store: Store) -> None:
    ingest(store, vote(0.1, "a", line=1), vote(0.1, "b", line=2), vote(0.2, "c", line=1), heard=heard(3))
    ingest(store, vote(0.1, "again", line=1), vote(0.1, "d", line=3), heard=heard(2))
    assert sorted(names(store)) == ["a", "b", "c", "d"]


def test_a_falling_threshold_lets_whole_sessions_go(store: Store) -> None:
    ingest(store, vote(0.1, "a"), vote(0.5, "b", line=1), vote(0.5, "b", line=2), vote(0.5, "de", stratum="de"),
           vote(0.6, "tuesday", MONDAY + DAY), heard=heard(4))  # fmt: skip
    ingest(store, vote(0.3, "c"), heard=heard(9, 0.5))
    ingest(store, heard=heard(1, 0.9))  # a threshold only falls
    assert sorted(names(store)) == ["a", "c", "de", "tuesday"]
    assert store.traffic.votes("live", TODAY)[TODAY, "*"].threshold == 0.5


def test_a_batch_that_fails_leaves_no_line_behind(store: Store) -> None:
    broken = batch(votes=(vote(0.1),), heard=heard(1), tallies={(2**70, "de"): counts()})
    with pytest.raises((StoreError, OverflowError)):
        store.traffic.ingest(broken)
    assert said(store) == []
    assert store.traffic.unkept_feedback("live", *ALL_TIME) == 0


def test_reading_goes_on_with_what_is_kept(store: Store) -> None:
    ingest(store, vote(0.1, line=5), vote(0.1, line=-(2**63)), vote(0.2, line=5, stratum="de"),
           vote(0.3, at=MONDAY - DAY), heard=heard(7, 0.7) | heard(1, stratum="fr"))  # fmt: skip
    found = store.traffic.votes("live", TODAY)
    assert {key: (each.threshold, {p: sorted(lines) for p, lines in each.lines.items()})
            for key, each in found.items()} == {
        (TODAY, "*"): (0.7, {0.1: [-(2**63), 5]}),
        (TODAY, "de"): (1.0, {0.2: [5]}),
        (TODAY, "fr"): (1.0, {}),
    }  # fmt: skip
    assert isinstance(found[TODAY, "*"], HeldVotes)
    assert store.traffic.votes("other", TODAY) == {}


def test_what_is_not_kept_is_known_day_by_day(store: Store) -> None:
    ingest(store, vote(0.1), heard=heard(8, 0.5) | heard(3, stratum="de") | heard(5, day=1))
    ingest(store, *(vote(0.1, at=MONDAY + DAY + HOUR, line=line) for line in range(5)), heard=heard(2))
    assert store.traffic.unkept_feedback("live", MONDAY - DAY, MONDAY + 2 * DAY) == 8 + 3 + 2 - 1
    assert store.traffic.unkept_feedback("live", MONDAY, MONDAY + 2 * DAY) == 0
    assert store.traffic.unkept_feedback("live", MONDAY - DAY, MONDAY + HOUR) == 12
    assert store.traffic.unkept_feedback("other", MONDAY - DAY, MONDAY + DAY) == 0


# --- which query a line speaks of ------------------------------------------------------------------------------------


def completed(store: Store, *rows: object, **line: object) -> Observation:
    """A line that names no query, one hour after these were sampled."""
    store.traffic.ingest(batch(*rows, votes=[vote(0.1, "q", MONDAY + HOUR, **{"hits": None, **line})]))  # type: ignore
    return next(seen for seen in said(store) if seen.at == MONDAY + HOUR)


def test_a_line_that_names_its_query_only_has_its_text_and_hits(store: Store) -> None:
    asked = kept(0.1, "q", text="how?", lang="de", session="s", hits=docs(0.5, 0.4), abstained=False)
    seen = completed(store, asked, kept(0.2, "other", text="what?", hits=docs(0.9)))
    assert (seen.text, seen.lang, seen.session, seen.abstained) == ("how?", "de", "s", False)
    assert seen.hits == asked.observation.hits
    assert seen.at == MONDAY + HOUR


def test_a_line_with_its_text_has_the_hits_of_its_query(store: Store) -> None:
    assert completed(store, kept(0.1, "q", text="how?", hits=docs(0.5)), text="how?").hits == docs(0.5)


def test_what_a_line_says_itself_stays(store: Store) -> None:
    seen = completed(
        store,
        kept(0.1, "q", text="how?", lang="de", hits=docs(0.5), abstained=True),
        lang="en",
        hits=(),
        abstained=False,
    )
    assert (seen.text, seen.lang, seen.hits, seen.abstained) == ("how?", "en", (), False)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"session": "another"}, {"session": "s"}),
        ({"text": "what?"}, {"text": "how?"}),
        ({"text": ""}, {}),
    ],
)
def test_another_query_of_the_same_id_is_another(store: Store, asked: dict[str, str], line: dict[str, str]) -> None:
    seen = completed(store, kept(0.1, "q", **{"text": "how?", "hits": docs(0.5), **asked}), **line)
    assert (seen.text, seen.hits) == (line.get("text", ""), None)


def test_of_a_query_that_was_asked_twice_it_is_the_last_before(store: Store) -> None:
    rows = [kept(n / 10, "q", MONDAY + n * 25 * MINUTE, text=f"asked {n}", hits=docs(0.5)) for n in range(4)]
    assert completed(store, *rows).text == "asked 2"


def test_a_query_may_be_known_from_another_line_with_feedback(store: Store) -> None:
    ingest(store, vote(0.1, "q", text="how?", hits=docs(0.5), feedback="click", line=7))
    seen = completed(store)
    assert (seen.text, seen.hits, seen.feedback) == ("how?", docs(0.5), "up")


def test_lines_are_completed_in_every_part_that_is_read(store: Store) -> None:
    rows = [kept((n + 1) / 2000, f"q{n}", text=f"how {n}?", hits=docs(0.5)) for n in range(1100)]
    votes = [vote((n + 1) / 2000, f"q{n}", MONDAY + n * MINUTE) for n in range(1100)]
    store.traffic.ingest(batch(*rows, votes=tuple(votes)))
    assert [seen.text for seen in said(store)] == [f"how {n}?" for n in range(1100)]


# --- how long --------------------------------------------------------------------------------------------------------


def fill(store: Store, text: str = "") -> None:
    for day in range(40):
        at = MONDAY + day * DAY
        ingest(store, vote(0.1, str(day), at, text=text), heard=heard(2, day=day))


def test_what_is_too_old_goes_also_when_a_baseline_was_learnt_then(store: Store) -> None:
    fill(store)
    store.decisions.set_baseline(baseline(0, 3))
    store.maintain(Kept(), NOW)
    assert names(store) == [str(day) for day in range(30, 40)]
    with store.database.reading() as connection:
        days = connection.execute(sa.select(feedback_days.c.day)).scalars().all()
    assert sorted((day - TODAY).days for day in days) == list(range(30, 40))
    assert store.traffic.unkept_feedback("live", *ALL_TIME) == 10


def test_above_the_disk_cap_the_oldest_goes_first_together_with_the_sample(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for day in range(42):
        at = MONDAY + day * DAY
        text = random.Random(day).randbytes(10_000).hex()
        row, line = kept(0.1, str(day), at, text=text), vote(0.1, str(day), at, text=text)
        store.traffic.ingest(batch(row, votes=(line,), heard=heard(1, day=day)))
    for part in (0.95, 0.7):  # the first time, Postgres also gives back what earlier tests have left
        store.maintain(Kept(observations=1000 * DAY, disk=int(store.size() * part)), NOW)
    feedback = [int(name) for name in names(store)]
    sample = [int(name) for name in store.traffic.sample("live", *ALL_TIME).query_id.tolist()]
    for left in (feedback, sample):
        assert left == list(range(left[0], 42))
        assert 0 < left[0] < 35
    assert abs(feedback[0] - sample[0]) <= 7
    with caplog.at_level(logging.WARNING):
        store.maintain(Kept(observations=1000 * DAY, disk=1), NOW)
    assert said(store) == []


# --- older databases -------------------------------------------------------------------------------------------------


def test_feedback_that_was_in_the_sample_before_is_taken_over(empty_url: str) -> None:
    body = '{"text":"%s","feedback":%s,"feedback_doc":"","hits":null}'
    lines = {"up": ("how?", '"up"'), "silent": ("what?", "null"), "none": ("who?", '"none"'),
             "lying": ('{\\"feedback\\":\\"click\\"}', "null")}  # fmt: skip
    with at_revision("0008", empty_url) as database:
        for number, (name, (text, feedback)) in enumerate(lines.items()):
            _insert(database, "sampled", source="live", at=number, day=20_000, stratum="de", priority=number / 8,
                    lang="de", query_id=name, query_hash=7, unit=number, scores=b"",
                    body=body % (text, feedback))  # fmt: skip
    store = Store.open(empty_url)
    (seen,) = store.traffic.with_feedback("live", MONDAY - 100_000 * DAY, NOW)
    assert (seen.query_id, seen.text, seen.feedback, seen.lang) == ("up", "how?", "up", "de")
    assert store.traffic.unkept_feedback("live", MONDAY - 100_000 * DAY, NOW) == 0
    assert len(store.traffic.recent_queries("live", MONDAY - 100_000 * DAY, NOW, 9)) == 4
    store.close()


def test_a_database_of_before_goes_on(tmp_path: Path) -> None:
    with at_revision("0008", f"sqlite:///{tmp_path}/old.db"):
        store = Store.open(f"sqlite:///{tmp_path}/old.db")
        ingest(store, vote(0.1), heard=heard(1))
        assert names(store) == ["q"]
        store.close()
