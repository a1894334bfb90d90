"""Which lines with feedback are kept: whole sessions, so many a day, whatever order they come in."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.feedback import MOST_A_DAY, HeldVotes, Votes
from driftwatch.sampling import DAYS_OPEN, Sampler, fraction
from tests.fakes.examples import examples

DAY = date(2026, 5, 4)

Said = tuple[str, int]
"""(session, line)"""


def digest(votes: Votes, session: str, day: date = DAY, stratum: str = "*") -> bytes:
    return blake2b(votes.ballot(day, stratum).salt + session.encode(), digest_size=8).digest()


class Kept:
    """What the store would hold: it adds lines, and deletes those that are not below the threshold."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.votes = Votes(most)
        self.rows: dict[tuple[date, str], dict[float, set[int]]] = {}
        self.thresholds: dict[tuple[date, str], float] = {}
        self.lines: Counter[tuple[date, str]] = Counter()

    def batch(self, said: list[Said], day: date = DAY, stratum: str = "*") -> Kept:
        for session, line in said:
            ballot = self.votes.ballot(day, stratum)
            ballot.heard += 1
            number = digest(self.votes, session, day, stratum)
            if number < ballot.limit and ballot.offer(fraction(number), line):
                self.rows.setdefault((day, stratum), {}).setdefault(fraction(number), set()).add(line)
        for key, heard in self.votes.drain().items():
            self.lines[key] += heard.lines
            least = self.thresholds[key] = min(heard.threshold, self.thresholds.get(key, 1.0))
            self.rows[key] = {each: lines for each, lines in self.rows.get(key, {}).items() if each < least}
        return self

    def restart(self) -> None:
        keys = {*self.rows, *self.thresholds}
        held = {key: HeldVotes(self.thresholds.get(key, 1.0), self.rows.get(key, {})) for key in keys}
        self.votes = Votes(self.most, held, DAY - timedelta(days=DAYS_OPEN))

    def sizes(self, stratum: str = "*", day: date = DAY) -> list[int]:
        return sorted(map(len, self.rows.get((day, stratum), {}).values()))


def a_day(sessions: int, seed: int, most: int = 4) -> list[Said]:
    chance = random.Random(seed)
    said = [(f"s{n}", line) for n in range(sessions) for line in range(chance.randint(1, most))]
    chance.shuffle(said)
    return said


def test_every_line_of_a_session_is_kept_while_there_is_room():
    assert Kept(10).batch([("a", 1), ("b", 1), ("a", 2), ("a", 3)]).sizes() == [1, 3]


def test_the_same_line_is_kept_once():
    assert Kept(10).batch([("a", 1), ("a", 1)]).sizes() == [1]


def test_a_day_that_is_full_lets_whole_sessions_go_and_counts_all_lines():
    said = a_day(300, 1)
    kept = Kept(100).batch(said)
    of_session = sorted(Counter(session for session, _ in said).values())
    assert 90 < sum(kept.sizes()) <= 100
    assert kept.lines[DAY, "*"] == len(said) > 600
    full = Counter(session for session, _ in said)
    found = {each: len(lines) for each, lines in kept.rows[DAY, "*"].items()}
    by_priority = {fraction(digest(kept.votes, session)): lines for session, lines in full.items()}
    assert found == {each: by_priority[each] for each in found}
    assert max(found) < kept.thresholds[DAY, "*"] < 1
    assert of_session[-1] == 4


def test_a_session_that_says_too_much_is_told_and_takes_no_more_room():
    kept = Kept(1000).batch([("bot", line) for line in range(5000)] + [("a", 1)])
    assert kept.sizes() == [1, MOST_A_DAY + 1]
    assert kept.lines[DAY, "*"] == 5001


def test_strata_share_the_room():
    kept = Kept(40)
    kept.batch([(f"s{n}", 0) for n in range(200)], stratum="en")
    kept.batch([(f"s{n}", 0) for n in range(10)], stratum="de")
    assert len(kept.sizes("de")) == 10
    assert len(kept.sizes("en")) == 30


def test_sessions_of_the_sample_are_kept_first():
    sampler, kept = Sampler(50), Kept(50)
    units = [f"s{n}" for n in range(400)]
    for unit in units:
        sampler.offer(DAY, "*", sampler.priority(DAY, "*", unit))
    kept.batch([(unit, 0) for unit in units])
    assert {each for each in kept.rows[DAY, "*"] if sampler.stratum(DAY, "*").holds(each)} == set(kept.rows[DAY, "*"])


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 60), max_size=6), restarts=st.sets(st.integers(0, 5)))
def test_order_batches_and_restarts_change_nothing(seed: int, cuts: list[int], restarts: set[int]):
    said = a_day(80, seed)
    whole = Kept(60).batch(sorted(said))
    parts = Kept(60)
    for number, size in enumerate([*cuts, len(said)]):
        taken, said = said[:size], said[size:]
        parts.batch(taken)
        if number in restarts:
            parts.restart()
    assert parts.rows == whole.rows
    assert parts.lines == whole.lines
    assert parts.thresholds == whole.thresholds


def test_a_day_that_is_too_old_is_counted_and_keeps_what_it_has():
    kept = Kept(10).batch([("a", 1)])
    kept.batch([("b", 1)], day=DAY + timedelta(days=DAYS_OPEN + 1))
    kept.batch([("a", 2), ("c", 1)])
    assert kept.sizes() == [1]
    assert kept.lines[DAY, "*"] == 3


@pytest.mark.parametrize("stratum", ["*", "de"])
def test_a_day_that_is_closed_by_a_later_line_of_its_batch_loses_nothing(stratum: str):
    votes = Votes(10)
    ballot = votes.ballot(DAY, stratum)
    ballot.heard += 1
    votes.ballot(DAY + timedelta(days=DAYS_OPEN + 1), stratum)
    assert votes.ballot(DAY, stratum) is ballot
    assert ballot.limit == b""
    assert votes.drain()[DAY, stratum].threshold == 1.0
    assert votes.drain() == {}


def test_after_a_restart_days_before_those_that_are_open_stay_closed():
    votes = Votes(10, {}, DAY)
    assert votes.ballot(DAY - timedelta(days=1), "*").limit == b""
    assert votes.ballot(DAY, "*").limit
