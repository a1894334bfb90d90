"""No answer becomes a negative, the hardest of the rest do, and the same pairs in any order give the same rows."""

from __future__ import annotations

import doctest
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.errors import RetrainError, TooLittle
from driftwatch.retrain import _asked, _candidates, _choose, _guards, _miner, _neighbours
from driftwatch.retrain import mine as mining
from driftwatch.retrain._choose import allotted
from driftwatch.retrain.mine import Mined, mine
from driftwatch.retrain.settings import Mine
from driftwatch.retrained import Pair, Passage, Row

DIMENSION = 24
LOREM = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "inlet",
    "jetty",
    "knoll",
    "marsh",
    "oasis",
]


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def words_of(number: int) -> str:
    rng = np.random.default_rng(number)
    return " ".join(rng.choice(LOREM, size=12))


class World:
    """Passages around topics, a question near to each of its answers, and their vectors."""

    def __init__(self, passages: int = 300, pairs: int = 60, topics: int = 12, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(topics, DIMENSION))
        self.documents = unit(centres[np.arange(passages) % topics] + 0.6 * rng.normal(size=(passages, DIMENSION)))
        self.passages = [Passage(f"d{n}", f"d{n}", words_of(n), "en") for n in range(passages)]
        self.pairs = [Pair(f"question {n} {words_of(10_000 + n)}", f"d{n}", "en") for n in range(pairs)]
        self.queries = unit(self.documents[:pairs] + 0.1 * rng.normal(size=(pairs, DIMENSION)))
        self.place = {f"d{n}": n for n in range(passages)}

    def add(self, passage: Passage, vector: NDArray[np.float32]) -> None:
        self.place[passage.passage_id] = len(self.passages)
        self.passages.append(passage)
        self.documents = np.vstack([self.documents, unit(vector[None])])

    def ask(self, pair: Pair, like: int) -> None:
        """One more pair, with the question's vector of another."""
        self.pairs.append(pair)
        self.queries = np.vstack([self.queries, self.queries[like][None]])

    def mine(self, **changes: Any) -> Mined:
        settings = Mine(
            **{"bm25": 0.0, **{name: changes.pop(name) for name in list(changes) if name in Mine.model_fields}}
        )
        return mine(self.pairs, self.passages, self.queries, self.documents, settings, **changes)

    def ranking(self, pair: int) -> list[str]:
        """passage_ids by nearness to the question of a pair."""
        order = np.argsort(-(self.documents.astype(float) @ self.queries[pair].astype(float)))
        return [self.passages[place].passage_id for place in order]

    def score(self, pair: int, passage_id: str) -> float:
        place = self.place[passage_id]
        return float(self.documents[place].astype(float) @ self.queries[pair].astype(float))


def row_of(mined: Mined, world: World, pair: int) -> Row:
    return next(
        row
        for row in mined.rows
        if row.query == world.pairs[pair].query and row.positive.split("#")[0] == world.pairs[pair].doc_id
    )


def removed(mined: Mined, guard: str) -> int:
    return sum(each.count for each in mined.removed if each.guard == guard)


@pytest.mark.parametrize("module", [_choose, _asked, _guards, _candidates, mining])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_each_question_gets_the_hardest_passages_that_are_far_enough() -> None:
    world = World()
    mined = world.mine()
    assert len(mined.rows) == len(world.pairs)
    for pair, each in enumerate(world.pairs):
        limit = 0.95 * world.score(pair, each.doc_id) + 2e-6
        expected = [name for name in world.ranking(pair) if name != each.doc_id and world.score(pair, name) <= limit]
        row = row_of(mined, world, pair)
        assert row.negatives == tuple(expected[:4])
        assert row.bands == ("dense",) * 4
        assert row.lang == "en"


def test_a_known_answer_is_never_a_negative_however_the_question_is_spelt() -> None:
    world = World()
    hard = world.ranking(0)[1:4]
    world.ask(Pair(world.pairs[0].query.upper() + "?!", hard[0]), like=0)
    world.ask(Pair(world.pairs[0].query.replace(" ", "  "), hard[1]), like=0)
    mined = world.mine(margin=0.0)
    rows = [row for row in mined.rows if row.query.casefold().startswith("question 0 ")]
    assert {row.positive for row in rows} == {"d0", hard[0], hard[1]}
    assert all(not {"d0", hard[0], hard[1]} & set(row.negatives) for row in rows)
    assert len({row.query for row in rows}) == 1
    assert removed(mined, _guards.KNOWN) >= 3


def test_another_part_of_an_answers_document_is_never_a_negative() -> None:
    world = World()
    world.passages[0] = Passage("d0#1", "d0", words_of(0), "en")
    world.add(
        Passage("d0#2", "d0", words_of(5000), "en"),
        world.queries[0] + 0.9 * np.eye(1, DIMENSION, 3, dtype=np.float32)[0],
    )
    mined = world.mine()
    assert row_of(mined, world, 0).positive == "d0#1"
    assert "d0#2" not in row_of(mined, world, 0).negatives
    assert removed(mined, _guards.SAME_DOCUMENT) == 1


def test_the_answer_in_a_long_document_is_the_part_nearest_to_the_question() -> None:
    world = World()
    world.passages[0] = Passage("d0#1", "d0", words_of(0), "en")
    world.add(Passage("d0#2", "d0", words_of(5000), "en"), world.queries[0])
    assert row_of(world.mine(), world, 0).positive == "d0#2"


def test_a_near_duplicate_of_the_answer_is_never_a_negative() -> None:
    world = World()
    away = world.documents[0] - world.queries[0] * (world.documents[0] @ world.queries[0])
    copy = world.documents[0] + 0.55 * away  # as like the answer as a copy, and further from the question
    world.add(Passage("copy", "copy", words_of(6000), "en"), copy)
    assert unit(copy[None])[0] @ world.documents[0] > 0.97
    mined = world.mine(margin=0.0)
    assert "copy" not in row_of(mined, world, 0).negatives
    assert "copy" in row_of(world.mine(margin=0.0, near_duplicate=1.0), world, 0).negatives
    assert removed(mined, _guards.COPY) >= 1


def test_a_copy_of_any_answer_or_of_another_part_of_its_document_is_no_negative_of_the_question() -> None:
    world = World()
    other = world.ranking(0)[2]
    world.ask(Pair(world.pairs[0].query, other), like=0)
    world.passages[0] = Passage("d0#1", "d0", words_of(0), "en")
    aside = world.documents[0] + 0.9 * np.eye(1, DIMENSION, 3, dtype=np.float32)[0]
    world.add(Passage("d0#2", "d0", words_of(5000), "en"), aside)
    world.add(Passage("copy-of-a-part", "copy", words_of(5001), "en"), aside + 0.01)
    world.add(Passage("copy-of-the-other", "another", words_of(5002), "en"), world.documents[world.place[other]])
    rows = [row for row in world.mine(margin=0.0, negatives=20).rows if row.query == world.pairs[0].query]
    assert {row.positive for row in rows} == {"d0#1", other}
    assert all(not {"copy-of-a-part", "copy-of-the-other"} & set(row.negatives) for row in rows)


def test_a_passage_with_the_answers_words_is_never_a_negative() -> None:
    world = World()
    rng = np.random.default_rng(1)
    vector = world.documents[0] + 0.1 * rng.normal(size=DIMENSION).astype(np.float32)
    world.add(Passage("shouted", "shouted", words_of(0).upper() + "!!!", "en"), vector)
    world.add(Passage("longer", "longer", words_of(0) + " etc", "en"), vector)
    world.add(Passage("other", "other", words_of(77), "en"), vector)
    assert 0.8 < unit(vector[None])[0] @ world.documents[0] < 0.97
    negatives = row_of(world.mine(margin=0.0), world, 0).negatives
    assert "other" in negatives
    assert not {"shouted", "longer"} & set(negatives)
    assert removed(world.mine(margin=0.0), _guards.SAME_WORDS) >= 2


def test_a_clicked_document_is_neither_answer_nor_negative() -> None:
    world = World()
    hard = row_of(world.mine(), world, 0).negatives[0]
    mined = world.mine(clicked={world.pairs[0].query.upper(): [hard, "gone"], "something else": ["d1"]})
    assert hard not in row_of(mined, world, 0).negatives
    assert hard not in {row.positive for row in mined.rows if row.query == world.pairs[0].query}
    assert removed(mined, _guards.CLICKED) == 1


def test_what_was_said_not_to_answer_comes_first_whatever_its_score() -> None:
    world = World()
    wrong = [world.ranking(0)[-1], world.ranking(0)[1]]
    for doc_id in wrong:
        world.ask(Pair(world.pairs[0].query, doc_id, relevant=False, origin="down"), like=0)
    mined = world.mine(margin=0.5)
    row = row_of(mined, world, 0)
    assert row.negatives[:2] == (wrong[1], wrong[0])
    assert len(set(row.negatives)) == 4
    assert mined.report["said_to_be_wrong"] == 2


def test_an_answer_that_was_also_said_to_be_none_stays_an_answer_and_is_counted() -> None:
    world = World()
    world.ask(Pair(world.pairs[0].query, "d0", relevant=False, origin="down"), like=0)
    mined = world.mine()
    assert "d0" not in row_of(mined, world, 0).negatives
    assert removed(mined, _asked.BOTH) == 1


def test_a_copy_of_the_answer_that_somebody_disliked_is_no_negative() -> None:
    world = World()
    world.add(Passage("copy", "copy", words_of(0), "en"), world.documents[0])
    world.ask(Pair(world.pairs[0].query, "copy", relevant=False, origin="down"), like=0)
    assert "copy" not in row_of(world.mine(), world, 0).negatives


def test_the_margin_keeps_its_meaning_below_zero() -> None:
    world = World()
    aside = world.queries[0] - (world.queries[0] @ world.documents[0]) * world.documents[0]
    world.queries[0] = unit((unit(aside[None])[0] - 0.3 * world.documents[0])[None])[0]
    score = world.score(0, "d0")
    assert -0.4 < score < -0.2
    negatives = row_of(world.mine(margin=0.2, ranks=(1, 300)), world, 0).negatives
    assert len(negatives) == 4
    assert all(world.score(0, name) <= score * 1.2 + 2e-6 for name in negatives)


def test_only_places_within_the_window_count_and_answers_take_none() -> None:
    world = World()
    mined = world.mine(ranks=(5, 8), margin=0.0, negatives=2)
    for pair, each in enumerate(world.pairs):
        window = [name for name in world.ranking(pair) if name != each.doc_id][4:8]
        row = row_of(mined, world, pair)
        dense = [name for name, band in zip(row.negatives, row.bands, strict=True) if band == "dense"]
        assert set(dense) <= set(window)
        assert len(dense) >= 1 or removed(mined, _guards.MARGIN)


def judge_of(answers: set[str], asked: list[tuple[str, str]]) -> Any:
    def judge(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        asked.extend(pairs)
        return np.array([0.9 if text in answers else 0.5 for _, text in pairs], np.float32)

    return judge


def test_the_judge_takes_out_what_it_holds_for_an_answer() -> None:
    world = World()
    texts = {each.passage_id: each.text for each in world.passages}
    before = row_of(world.mine(), world, 0).negatives
    asked: list[tuple[str, str]] = []
    answers = {texts["d0"], texts[before[0]], texts[before[2]]}
    mined = world.mine(judge=judge_of(answers, asked))
    after = row_of(mined, world, 0).negatives
    assert after[:2] == (before[1], before[3])
    assert removed(mined, _guards.ANSWERS) >= 2
    assert mined.report["judged"] == len(asked) - len(mined.rows)


def test_the_judge_is_asked_only_about_what_the_guards_leave() -> None:
    world = World()
    asked: list[tuple[str, str]] = []
    world.mine(judge=judge_of(set(), asked), least_rows=1)
    names = {each.text: each.passage_id for each in world.passages}
    for query, text in asked:
        pair = next(place for place, each in enumerate(world.pairs) if each.query == query)
        name, answer = names[text], world.pairs[pair].doc_id
        assert name == answer or world.score(pair, name) <= 0.95 * world.score(pair, answer) + 2e-6
    assert len(asked) < 15 * len(world.pairs)


def test_the_judges_share_is_of_the_answers_score_also_below_zero() -> None:
    def judge(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        return np.full(len(pairs), -1.0, np.float32)

    with pytest.raises(TooLittle):  # nothing is further from the answer than the share asks
        World().mine(judge=judge, judge_share=0.9, bm25=0.0, least_rows=100)
    assert World().mine(judge=judge, judge_share=1.0).report["filled_at_random"] == 0


def test_negatives_that_share_words_are_looked_for_too() -> None:
    world = World()
    text = world.pairs[0].query
    world.add(Passage("words", "words", f"{text} {text}", "en"), world.documents[7])
    row = row_of(world.mine(bm25=0.25, most_uses=1000), world, 0)
    assert dict(zip(row.negatives, row.bands, strict=True))["words"] == "bm25"
    assert Counter(row.bands) == {"dense": 3, "bm25": 1}


def test_the_kinds_have_their_shares() -> None:
    mined = World(pairs=120).mine(negatives=3, bm25=0.25, random=0.3)
    bands = Counter(mined.report["bands"])
    assert bands.total() == 360
    assert bands["random"] / 360 == pytest.approx(0.3, abs=0.05)
    assert bands["bm25"] / 360 == pytest.approx(0.25, abs=0.05)


def test_the_hardest_comes_first() -> None:
    world = World()
    for row in world.mine(bm25=0.25, random=0.25).rows:
        pair = next(place for place, each in enumerate(world.pairs) if each.query == row.query)
        scores = [world.score(pair, name) for name in row.negatives]
        assert scores == sorted(scores, reverse=True)
        assert len(row.bands) == len(row.negatives) == len(set(row.negatives))


def in_two_languages(share: float) -> World:
    """A model that puts each language in a corner of its own: a question's neighbours speak its language."""
    world = World(passages=400, pairs=100)
    corner = np.eye(1, DIMENSION, 0, dtype=np.float32)[0]
    german = np.random.default_rng(2).random(400) < share
    german[:100] = False
    world.documents = unit(world.documents + np.where(german[:, None], -0.4, 0.4) * corner)
    world.queries = unit(world.queries + 0.4 * corner)
    world.passages = [
        Passage(each.passage_id, each.parent, each.text, "de" if there else "en")
        for each, there in zip(world.passages, german, strict=True)
    ]
    return world


def test_negatives_are_not_all_of_one_language_by_accident() -> None:
    world = in_two_languages(0.6)
    spoken = {each.passage_id: each.lang for each in world.passages}
    nearest = Counter(spoken[name] for pair in range(100) for name in world.ranking(pair)[1:5])
    assert nearest["de"] < 0.1 * nearest.total()
    mined = world.mine(ranks=(1, 200))
    found = Counter(mined.report["languages"])
    assert 0.2 < found["de"] / found.total() < 0.5
    both = sum(len({spoken[name] for name in row.negatives}) == 2 for row in mined.rows)
    assert both > 0.8 * len(mined.rows)


def test_a_passage_is_a_negative_only_so_often() -> None:
    world = World()
    hub = unit(world.queries.sum(axis=0)[None])[0] + world.documents[50:60].mean(axis=0)
    world.queries = unit(world.queries + hub)
    world.add(Passage("hub", "hub", words_of(9000), "en"), hub - 0.1 * world.queries.mean(axis=0))
    world.pairs = world.pairs[:60]
    for most in (3, 10):
        mined = world.mine(margin=0.0, most_uses=most)
        uses = Counter(name for row in mined.rows for name in row.negatives)
        assert max(uses.values()) == most == mined.report["most_uses"]


def test_the_order_of_the_pairs_does_not_matter() -> None:
    world = World(pairs=80)
    world.ask(Pair(world.pairs[3].query.title(), "d200", count=3), like=3)
    world.ask(Pair(world.pairs[4].query, "d201", relevant=False), like=4)
    before = world.mine(bm25=0.25, random=0.2, most_uses=4)
    order = np.random.default_rng(9).permutation(len(world.pairs))
    world.pairs, world.queries = [world.pairs[place] for place in order], world.queries[order]
    after = world.mine(bm25=0.25, random=0.2, most_uses=4)
    assert after.rows == before.rows
    assert after.report == before.report


def test_the_seed_decides_the_draws() -> None:
    world = World()
    assert world.mine(random=0.5, seed=1).rows == world.mine(random=0.5, seed=1).rows
    assert world.mine(random=0.5, seed=1).rows != world.mine(random=0.5, seed=2).rows


def test_a_block_at_a_time_gives_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    whole = world.mine(bm25=0.25, random=0.1)
    monkeypatch.setattr(_miner, "QUESTIONS", 7)
    monkeypatch.setattr(_neighbours, "BLOCK_BYTES", 4 * DIMENSION * 11)
    assert world.mine(bm25=0.25, random=0.1).rows == whole.rows


def test_vectors_may_lie_in_a_file_in_half_precision_and_of_any_length(tmp_path: Path) -> None:
    world = World()
    whole = world.mine()
    stored = np.memmap(tmp_path / "vectors", np.float16, "w+", shape=world.documents.shape)
    stored[:] = 3 * world.documents
    world.documents = stored
    found = world.mine()
    same = sum(one.negatives == other.negatives for one, other in zip(found.rows, whole.rows, strict=True))
    assert same >= 0.9 * len(whole.rows)


def test_vectors_are_asked_for_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(_candidates, "_TEXTS", 32)
    by_text = {each.text: row for each, row in zip(world.passages, world.documents, strict=True)}
    by_query = {each.query: row for each, row in zip(world.pairs, world.queries, strict=True)}
    most: list[int] = []

    def documents(texts: Sequence[str]) -> NDArray[np.float32]:
        most.append(len(texts))
        return np.stack([by_text[text] for text in texts])

    def queries(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([by_query[text] for text in texts])

    found = mine(world.pairs, world.passages, queries, documents, Mine(bm25=0.0))
    assert max(most) == 32
    assert [row.positive for row in found.rows] == [row.positive for row in world.mine().rows]
    assert found.report["negatives"] == 240


def test_others_may_search() -> None:
    world = World()
    asked: list[tuple[int, ...]] = []

    def neighbours(
        queries: NDArray[np.float32], documents: _neighbours.Stored, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        asked.append((len(queries), len(documents), k))
        scores = queries @ np.concatenate([block for _, block in documents.blocks()]).T
        order = np.argsort(-scores, axis=1)[:, :k]
        return order, np.take_along_axis(scores, order, axis=1)

    assert world.mine(neighbours=neighbours).rows == world.mine().rows
    assert asked == [(60, 300, 101)]


def test_too_few_candidates_are_filled_at_random_and_said() -> None:
    world = World()
    mined = world.mine(ranks=(1, 2))
    assert mined.report["filled_at_random"] > 0
    assert mined.report["bands"]["random"] == mined.report["filled_at_random"]
    assert mined.report["rows_with_fewer_negatives"] == 0


def test_an_answer_to_which_nothing_is_left_is_no_row() -> None:
    world = World()
    world.queries[0] = -world.documents[0]
    mined = world.mine(margin=0.99)
    assert world.pairs[0].query not in {row.query for row in mined.rows}
    assert removed(mined, mining.NONE_LEFT) >= 1


def test_too_few_rows_are_an_error_that_says_why() -> None:
    world = World(pairs=10)
    world.ask(Pair("what the corpus does not know", "gone"), like=0)
    with pytest.raises(
        TooLittle, match=r"leaves 10 rows of 11 pairs, and 20 are wanted.*1 x an answer that the corpus"
    ):
        world.mine()


def test_no_pairs_and_no_corpus_are_too_little() -> None:
    nothing = np.empty((0, DIMENSION), np.float32)
    with pytest.raises(TooLittle, match="0 rows of 0 pairs"):
        mine([], World().passages, nothing, World().documents, Mine())
    with pytest.raises(TooLittle, match="no document"):
        mine(World().pairs, [], World().queries, nothing, Mine())


def test_vectors_that_do_not_fit_are_refused() -> None:
    world = World()
    with pytest.raises(RetrainError, match="60 pairs, and 59"):
        mine(world.pairs, world.passages, world.queries[:-1], world.documents, Mine())
    with pytest.raises(RetrainError, match="300 texts"):
        mine(world.pairs, world.passages, world.queries, world.documents[:-1], Mine())
    world.documents[3, 3] = np.nan
    with pytest.raises(RetrainError, match="not finite"):
        world.mine()


def test_the_report_counts_what_there_is() -> None:
    world = World()
    mined = world.mine(bm25=0.25)
    assert mined.report["rows"] == len(mined.rows) == 60
    assert mined.report["passages"] == 300
    assert mined.report["negatives"] == sum(len(row.negatives) for row in mined.rows)
    assert mined.report["removed"] == {each.guard: each.count for each in mined.removed}
    assert all(each.examples for each in mined.removed)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_corpus_no_guard_is_passed_by(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = World(passages=200, pairs=50, topics=4, seed=seed)
    for number in range(30):
        like = int(rng.integers(0, 50))
        noise = rng.choice([0.02, 0.2]) * rng.normal(size=DIMENSION).astype(np.float32)
        world.add(Passage(f"copy-{number}", f"copy-{number}", words_of(like), "en"), world.documents[like] + noise)
    for _ in range(30):
        like, document = int(rng.integers(0, 50)), int(rng.integers(0, 200))
        world.ask(Pair(world.pairs[like].query, f"d{document}", relevant=bool(rng.random() < 0.5)), like)
    mined = world.mine(bm25=0.3, random=0.2, margin=0.02)
    place = {each.passage_id: number for number, each in enumerate(world.passages)}
    said = {(pair.query, pair.doc_id): pair.relevant for pair in world.pairs}
    asked = {pair.query: number for number, pair in enumerate(world.pairs)}
    for row in mined.rows:
        limit = 0.98 * world.score(asked[row.query], row.positive)
        for name in row.negatives:
            assert not said.get((row.query, name), False)
            for answer in {pair.doc_id for pair in world.pairs if pair.relevant and pair.query == row.query}:
                assert world.documents[place[name]] @ world.documents[place[answer]] < 0.97 + 1e-5
            assert world.passages[place[name]].text != world.passages[place[row.positive]].text or (
                world.documents[place[name]] @ world.documents[place[row.positive]] < 0.8
            )
            assert said.get((row.query, name)) is False or world.score(asked[row.query], name) <= limit + 3e-6


def test_parts_of_slots_even_out() -> None:
    draws = np.random.default_rng(0).random(4000)
    counts = Counter[str]()
    for draw in draws:
        found = allotted({"a": 0.5, "b": 0.35, "c": 0.15}, 3, float(draw))
        assert sum(found.values()) == 3
        assert all(count >= 0 for count in found.values())
        counts.update(found)
    for name, share in (("a", 0.5), ("b", 0.35), ("c", 0.15)):
        assert counts[name] / counts.total() == pytest.approx(share, abs=0.02)


def test_torch_finds_what_faiss_finds() -> None:
    pytest.importorskip("torch")
    world = World()
    vectors = _candidates.Vectors.of(world.documents, ["" for _ in world.passages])
    here = _neighbours.nearest(world.queries, vectors.blocks(), 20)
    there = _neighbours.nearest(world.queries, vectors.blocks(), 20, device="cpu:0")
    assert (here.ids == there.ids).all()
    assert (here.scores == there.scores).all()
