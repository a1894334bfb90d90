"""The simulated service does what the scenario says, and nothing else."""

import json
from datetime import datetime

import numpy as np
import pytest

from driftwatch.scenarios.form import DAY, HOUR, Scenario, moment_of
from driftwatch.scenarios.service import SimulatedRetriever, WordEmbedder
from driftwatch.scenarios.simulated import Simulation
from driftwatch.types import Query

pytestmark = pytest.mark.process

TWENTY = moment_of(20)


def simulated(*change: dict, **traffic: float) -> Simulation:
    given = {"checks": ["x"], "change": change, "traffic": traffic or {"en": 2000, "de": 2000}}
    return Simulation(Scenario.model_validate(given))


def logged(simulation: Simulation, day: int = 20, days: int = 1) -> list[dict]:
    start = moment_of(day)
    return [json.loads(line) for line in simulation.log(start, start + days * DAY).splitlines()]


def share(rows: list[dict], lang: str, what: str) -> float:
    """Of the rows of ``lang`` that were answered, how many are ``what``."""
    found = {
        "empty": lambda row: row["results"] == [],
        "abstained": lambda row: row.get("abstained", row.get("answer", "").startswith(("I could", "Dazu"))),
    }[what]
    mine = [found(row) for row in rows if row["lang"] == lang and "error" not in row]
    return sum(mine) / len(mine)


def recall(simulation: Simulation, day: float, lang: str = "de") -> float:
    simulation.now = moment_of(day)
    ranks = [simulation.rank(lang, number) for number in range(40)]
    return sum(rank is not None and rank < 10 for rank in ranks) / len(ranks)


def test_more_queries_find_nothing_in_the_language_that_was_named():
    simulation = simulated({"day": 20, "lang": "de", "empty": 0.5})
    usual, changed = logged(simulation, 19), logged(simulation, 20)
    assert share(usual, "de", "empty") < 0.05
    assert abs(share(changed, "de", "empty") - 0.5) < 0.1
    assert share(changed, "en", "empty") < 0.05


def test_the_assistant_says_more_often_that_it_does_not_know():
    changed = logged(simulated({"day": 20, "abstained": 0.4}), 20)
    assert abs(share(changed, "de", "abstained") - 0.4) < 0.1


def test_a_language_without_phrases_says_whether_it_knew():
    rows = logged(simulated({"day": 20, "abstained": 0.4}, fi=2000), 21)
    assert abs(share(rows, "fi", "abstained") - 0.4) < 0.1
    assert not any("answer" in row for row in rows)


def test_thumbs_turn_down():
    rows = logged(simulated({"day": 20, "negative_feedback": 0.8}), 20)
    thumbs = [row["feedback"] for row in rows if "feedback" in row]
    assert abs(thumbs.count("down") / len(thumbs) - 0.8) < 0.1


def test_nobody_asks_when_the_volume_is_zero():
    assert not logged(simulated({"day": 20, "volume": 0}), 20)


def test_a_share_of_one_language_leaves_the_number_of_queries_as_it_was():
    usual, rows = logged(simulated(), 20), logged(simulated({"day": 20, "lang": "de", "share": 0.9}), 20)
    assert abs(sum(row["lang"] == "de" for row in rows) / len(rows) - 0.9) < 0.05
    assert abs(len(rows) / len(usual) - 1) < 0.1


def mean_score(rows: list[dict], lang: str) -> float:
    return float(np.mean([row["results"][0]["score"] for row in rows if row["lang"] == lang and row.get("results")]))


def test_scores_fall_at_once_or_little_by_little():
    abrupt = simulated({"day": 20, "lang": "de", "score": 0.62})
    gradual = simulated({"day": 20, "lang": "de", "score": 0.62, "over": "10 days"})
    assert mean_score(logged(abrupt, 20), "de") == pytest.approx(0.62, abs=0.02)
    means = [mean_score(logged(gradual, day), "de") for day in (19, 25, 30, 40)]
    assert means == pytest.approx([0.72, 0.67, 0.62, 0.62], abs=0.02)
    assert mean_score(logged(gradual, 30), "en") == pytest.approx(0.72, abs=0.02)


def test_a_share_comes_little_by_little_from_what_is_usual():
    simulation = simulated({"day": 20, "lang": "de", "share": 0.9, "over": "10 days"})
    shares = []
    for day in (20, 25, 30):
        rows = logged(simulation, day)
        shares.append(sum(row["lang"] == "de" for row in rows) / len(rows))
    assert shares == pytest.approx([0.52, 0.72, 0.9], abs=0.04)


def test_a_change_that_is_over_is_over():
    simulation = simulated({"day": 20, "until": 22, "empty": 0.5})
    assert share(logged(simulation, 22), "de", "empty") < 0.05


def test_canaries_lose_their_documents_at_once_or_little_by_little():
    usual = recall(simulated(), 21)
    assert usual > 0.9
    assert recall(simulated({"day": 20, "lang": "de", "recall": 0.5}), 21) == pytest.approx(0.5 * usual, abs=0.05)
    gradual = simulated({"day": 20, "lang": "de", "recall": 0.5, "over": "10 days"})
    assert recall(gradual, 25) == pytest.approx(0.75, abs=0.08)
    assert recall(gradual, 25, "en") > 0.9


def test_a_canary_that_never_worked_does_not_begin_to_when_others_are_lost():
    simulation = simulated({"day": 20, "recall": 0.9})
    simulation.now = moment_of(21)
    assert simulation.rank("de", 0) == 10_000


def test_an_outage_leaves_canaries_and_users_without_an_answer():
    simulation = simulated({"day": 20, "until": 21, "outage": 1})
    rows = logged(simulation, 20)
    assert rows
    assert all("error" in row and "results" not in row for row in rows)
    retriever = SimulatedRetriever(kind="x", top_k=5)
    retriever.begin(simulation)
    simulation.now = TWENTY + HOUR
    down = retriever.search([Query("de-5", "")])
    simulation.now = moment_of(21) + HOUR
    up = retriever.search([Query("de-5", "")])
    assert (down[0].hits, down[0].error) == (None, "the simulated service does not answer")
    assert len(up[0].hits) == 5


def test_half_an_outage_is_half_of_the_searches():
    rows = logged(simulated({"day": 20, "outage": 0.5}), 20)
    assert sum("error" in row for row in rows) / len(rows) == pytest.approx(0.5, abs=0.05)


def test_a_silent_log_loses_its_lines_and_a_late_one_brings_them_all_at_the_end():
    usual = logged(simulated(), 20, 3)
    silent = logged(simulated({"day": 20.5, "until": 21.25, "lang": "de", "log": "silent"}), 20, 3)
    late = logged(simulated({"day": 20.5, "until": 21.25, "lang": "de", "log": "late"}), 20, 3)
    held = {row["ts"] for row in usual if row["lang"] == "de" and moment_of(20.5) <= at(row) < moment_of(21.25)}
    assert {row["ts"] for row in usual} - {row["ts"] for row in silent} == held
    assert sorted(late, key=lambda row: row["ts"]) == usual
    before = [row for row in late if row["ts"] in held]
    place = late.index(before[0])
    assert late[place : place + len(before)] == before
    assert max(map(at, late[:place])) < moment_of(21.25)


def at(row: dict) -> datetime:
    return datetime.fromisoformat(row["ts"])


def test_a_new_topic_is_far_from_everything_that_was_asked_before():
    simulation = simulated({"day": 20, "new_topic": 0.2})
    embedder = WordEmbedder()
    usual = embedder.encode_queries([row["query"] for row in logged(simulation, 19)[:1500]])
    asked = embedder.encode_queries([row["query"] for row in logged(simulation, 20)])
    nearest = (asked @ usual.T).max(axis=1)
    assert np.mean(nearest < 0.6) == pytest.approx(0.2, abs=0.05)
    again = embedder.encode_queries([row["query"] for row in logged(simulation, 18)])
    assert np.mean((again @ usual.T).max(axis=1) < 0.6) < 0.02


def test_vectors_have_length_one_and_depend_on_nothing_but_the_words():
    first, again, other = WordEmbedder().encode_queries(["refund order", "order refund", "battery fire"])
    assert np.linalg.norm(first) == pytest.approx(1)
    assert first == pytest.approx(again, abs=1e-6)
    assert abs(float(first @ other)) < 0.9
    assert WordEmbedder().encode_queries([]).shape == (0, 32)


def test_the_same_hour_brings_the_same_queries_however_the_clock_goes():
    simulation = simulated({"day": 20, "until": 20.25, "log": "late"})
    in_one = simulation.log(TWENTY, TWENTY + 12 * HOUR)
    assert in_one == b"".join(simulation.log(TWENTY + n * HOUR, TWENTY + (n + 1) * HOUR) for n in range(12))


def test_another_seed_is_another_month():
    given = {"checks": ["x"], "traffic": {"en": 100}}
    logs = [Simulation(Scenario.model_validate({**given, "seed": seed})).log(TWENTY, TWENTY + DAY) for seed in (1, 2)]
    assert logs[0] != logs[1]
