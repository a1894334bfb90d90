import random

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.stats.ir import Measure, first_rank
from tests.fakes.examples import examples

DOCUMENTS = [f"d{number}" for number in range(12)]
MEASURES = ["R@1", "R@3", "R@10", "P@1", "P@5", "P@20", "Success@1", "Success@5", "AP", "AP@3", "AP@100"]
MEASURES += ["nDCG", "nDCG@1", "nDCG@3", "nDCG@10", "RR"]
CUT_RECIPROCAL_RANKS = ["RR@1", "RR@3", "RR@10"]


def random_suite(seed):
    """Runs and qrels with ties, empty results, graded and missing judgements, queries with nothing relevant.

    No negative relevance: pytrec_eval reads outside its arrays for one, and may hang.
    """
    draw = random.Random(seed)
    qrels, run = {}, {}
    for number in range(draw.randint(1, 6)):
        query_id = f"q{number}"
        judged = draw.sample(DOCUMENTS, draw.randint(1, 8))
        qrels[query_id] = {doc_id: draw.choice([0, 0, 1, 1, 2, 3]) for doc_id in judged}
        found = draw.sample(DOCUMENTS, draw.choice([0, 1, 3, 8, 12]))
        run[query_id] = {doc_id: float(draw.randint(0, 4)) for doc_id in found}
    return qrels, run


def expected(measures, qrels, run):
    parsed = {text: ir_measures.parse_measure(text) for text in measures}
    values = {(row.query_id, row.measure): row.value for row in ir_measures.iter_calc(parsed.values(), qrels, run)}
    return {(text, query_id): values[query_id, parsed[text]] for text in measures for query_id in qrels}


def ranked(scores, *, ties_by_id_descending):
    ordered = sorted(scores, reverse=ties_by_id_descending)
    return sorted(ordered, key=lambda doc_id: -scores[doc_id])


def assert_equal_to_ir_measures(seed):
    qrels, run = random_suite(seed)
    # trec_eval breaks ties by document id descending; MS MARCO's evaluation, behind RR@k, ascending.
    for measures, descending in ((MEASURES, True), (CUT_RECIPROCAL_RANKS, False)):
        for (text, query_id), value in expected(measures, qrels, run).items():
            ranking = ranked(run[query_id], ties_by_id_descending=descending)
            assert Measure.parse(text)(ranking, qrels[query_id]) == pytest.approx(value, abs=1e-12), (seed, text)


@pytest.mark.parametrize("block", range(10))
def test_measures_equal_ir_measures_on_two_thousand_random_suites(block):
    for seed in range(200 * block, 200 * block + 200):
        assert_equal_to_ir_measures(seed)


@given(st.integers(min_value=10_000))
@settings(max_examples=examples(100), deadline=None)
def test_measures_equal_ir_measures_on_any_suite(seed):
    assert_equal_to_ir_measures(seed)


@pytest.mark.parametrize("text", [*MEASURES, *CUT_RECIPROCAL_RANKS])
def test_a_query_without_results_measures_nothing(text):
    assert Measure.parse(text)([], {"d1": 1}) == 0


@pytest.mark.parametrize("text", [*MEASURES, *CUT_RECIPROCAL_RANKS])
def test_a_query_without_relevant_documents_measures_nothing(text):
    assert Measure.parse(text)(["d1"], {"d1": 0, "d2": -1}) == 0


def test_a_negative_relevance_is_not_relevant_and_takes_nothing_away():
    ranking, with_negative, without = ["d1", "d2", "d3"], {"d1": -1, "d2": 2, "d3": 1}, {"d2": 2, "d3": 1}
    for text in [*MEASURES, *CUT_RECIPROCAL_RANKS]:
        assert Measure.parse(text)(ranking, with_negative) == Measure.parse(text)(ranking, without)


def test_the_ranking_is_taken_as_the_service_gave_it():
    assert Measure.parse("RR")(["d2", "d1"], {"d1": 1}) == 0.5


def test_a_repeated_document_counts_at_its_first_place_only():
    ranking = ["d1", "d1", "d1", "d2"]
    relevant = {"d1": 1, "d2": 1}
    assert Measure.parse("R@2")(ranking, relevant) == 1
    assert Measure.parse("P@4")(ranking, relevant) == 0.5
    assert Measure.parse("nDCG@10")(ranking, relevant) == 1


@pytest.mark.parametrize("text", ["R@10", "RR@10", "RR", "nDCG@10", "P@5", "Success@5", "AP", "AP@100"])
def test_a_measure_is_its_text(text):
    measure = Measure.parse(text)
    assert str(measure) == text
    assert Measure.parse(str(measure)) == measure
    assert hash(Measure.parse(text)) == hash(measure)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("recall@10", "Did you mean 'R@10'?"),
        ("mrr", "Did you mean 'RR@10'?"),
        ("ndcg@5", "Did you mean 'nDCG@5'?"),
        ("R", "Write R@10."),
        ("R@0", "Write one of R@10"),
        ("", "Write one of R@10"),
        ("latency", "Write one of R@10"),
    ],
)
def test_a_wrong_measure_says_what_to_write(text, remedy):
    with pytest.raises(ValueError) as caught:
        Measure.parse(text)
    assert remedy in str(caught.value)


def test_the_first_rank_is_that_of_the_first_relevant_document():
    assert first_rank(["a", "a", "b", "c"], {"c": 1, "b": 2}) == 2
    assert first_rank(["a"], {"c": 1, "a": 0}) is None
