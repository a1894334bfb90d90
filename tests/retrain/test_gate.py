"""The gate: better, and for nobody worse, on questions that neither model has seen; else no, with every reason."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from driftwatch.retrain._differences import Paired, units
from driftwatch.retrain.gate import judge, level, measures
from driftwatch.retrain.settings import Gate
from driftwatch.retrained import Asked, Served
from driftwatch.stats.ir import Measure

LOST, TENTH, THIRD, FIRST = 0, 10, 3, 1


def ask(name, lang="en", group="held-out", answer=None, text=""):
    return Asked(name, text, lang, {answer or f"doc of {name}": 1}, group)


def served(asked, ranks, **more):
    """What a model gives that has the answer of each question at this rank; 0: not at all."""
    rankings = {}
    for each, rank in zip(asked, ranks, strict=True):
        others = tuple(f"other {n}" for n in range(20))
        answer = next(iter(each.relevant), "none")
        rankings[each.query_id] = (*others[: rank - 1], answer, *others[rank - 1 :]) if rank else others
    cost = {"memory_bytes": 90_000_000, "query_ms": 10.0, "dimension": 384}
    return Served("model", rankings, **(cost | more))


def questions(number, lang="en", group="held-out"):
    return [ask(f"{group} {lang} {n}", lang, group) for n in range(number)]


def case(*parts):
    """Questions with the ranks of the old and the new model: (questions, old ranks, new ranks)."""
    asked = [each for part in parts for each in part[0]]
    return (
        asked,
        served(asked, [rank for _, old, _ in parts for rank in old]),
        served(asked, [rank for _, _, new in parts for rank in new]),
    )


def steady(number, group="canary", lang="en"):
    """Questions that both models answer alike."""
    return questions(number, lang, group), [FIRST] * number, [FIRST] * number


def better(number, group="held-out", lang="en", share=0.3):
    """Of the old ones a share is far down, and first with the new model."""
    far = round(share * number)
    return questions(number, lang, group), [TENTH] * far + [FIRST] * (number - far), [FIRST] * number


def worse(number, group="held-out", lang="en", share=0.3):
    asked, old, new = better(number, group, lang, share)
    return asked, new, old


def against(judgement):
    return {each.name: each.sentence for each in judgement.reasons if not each.passed}


def good():
    return case(better(300), steady(250))


def test_a_model_that_is_better_and_loses_nothing_passes():
    found = judge(*good(), Gate())
    assert found.passed
    assert not against(found)
    gain = next(each for each in found.reasons if each.name == "gain")
    assert gain.sentence == (
        "nDCG@10 0.884 to 1.000 over 550 questions: +0.116 (+0.091 to +0.144 at 98 %); "
        "wanted: +0.010 or more, and certainly above 0."
    )


def test_every_reason_against_it_is_given():
    asked, old, new = case(worse(30), worse(15, "canary", "de"))
    heavy = replace(new, memory_bytes=10**9, query_ms=99.0, libraries={"sentence-transformers": "6.0"})
    found = judge(asked, old, heavy, Gate(), {"sentence-transformers": "5.2.0"})
    assert not found.passed
    assert list(against(found)) == [each.name for each in found.reasons]
    assert len(found.reasons) == 9


def test_an_equal_model_is_refused():
    found = judge(*case(steady(300, "held-out"), steady(250)), Gate())
    assert against(found).keys() == {"gain", "gain beyond the canaries"}


def test_a_gain_that_is_certain_and_too_small_is_refused():
    found = judge(*case(better(4000, share=0.01), steady(400)), Gate())
    gain = next(each for each in found.differences if (each.measure, each.group) == ("nDCG@10", "unseen"))
    assert 0 < gain.low < gain.gain < 0.01
    assert "gain" in against(found)


def test_a_gain_that_is_large_and_uncertain_is_refused():
    few = questions(60), [LOST] * 4 + [FIRST] * 56, [FIRST] * 58 + [LOST] * 2
    found = judge(*case(few, steady(250)), Gate())
    assert "gain beyond the canaries" in against(found)
    alone = next(each for each in found.differences if each.group == "held-out")
    assert alone.gain > 0.01
    assert alone.low < 0


def test_better_on_the_canaries_alone_is_refused():
    found = judge(*case(steady(300, "held-out"), better(300, "canary")), Gate())
    assert against(found).keys() == {"gain beyond the canaries"}


def test_a_handful_of_held_out_pairs_that_all_went_well_is_no_evidence():
    """With five questions that are a coin each, all five go well one time in thirty."""
    found = judge(*case((questions(5), [LOST] * 5, [FIRST] * 5), steady(300)), Gate())
    alone = next(each for each in found.differences if each.group == "held-out")
    assert alone.low > 0
    assert "only 5 of them are different, and 20 are needed" in against(found)["gain beyond the canaries"]


def test_without_held_out_pairs_the_canaries_do_not_speak_for_them():
    found = judge(*case(better(300, "canary")), Gate())
    assert against(found) == {"gain beyond the canaries": "There are no held-out questions, so a gain cannot be seen."}


# --- again and again --------------------------------------------------------------------------------------------------


def test_who_was_refused_before_must_show_more():
    ranks = [LOST] * 34 + [FIRST] * 266, [FIRST] * 34 + [LOST] * 14 + [FIRST] * 252
    asked, old, new = case((questions(300), *ranks), steady(250))
    assert judge(asked, old, new, Gate()).passed
    again = judge(asked, old, new, Gate(), earlier=2)
    assert "gain" in against(again)
    assert "at 99.78 %" in against(again)["gain"]
    assert "2 candidates were judged against this model before: intervals are at 99.78 %." in again.notes


def test_equal_candidates_that_knock_for_years_are_hardly_ever_let_in():
    """All looks together spend less than 1.65 times what one may; without that, forty of them would spend forty."""
    spent = [(1 - level(0.98, earlier)) / 2 for earlier in range(1000)]
    assert spent[0] == pytest.approx(0.01)
    assert sum(spent) < 0.0165


def test_what_is_certainly_lower_stays_so_however_often_was_looked():
    asked = questions(400)
    ranks = [THIRD] * 200 + [TENTH] * 12 + [FIRST] * 188, [FIRST] * 200 + [LOST] * 12 + [FIRST] * 188
    for earlier in (0, 5):
        found = judge(*case((asked, *ranks), steady(250)), Gate(), earlier=earlier)
        assert "no measure falls" in against(found)


# --- how much evidence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "enough"), [(49, False), (50, True)])
def test_too_few_questions_are_refused_however_large_the_gain(number, enough):
    found = judge(*case(better(number - 20, share=1.0), better(20, "canary", share=1.0)), Gate())
    assert ("enough evidence" not in against(found)) is enough


def test_paraphrases_of_one_question_are_one_piece_of_evidence():
    asked = [ask(f"q{n}", answer=f"doc {n // 10}") for n in range(300)]
    ranks = ([TENTH] * 90 + [FIRST] * 210, [FIRST] * 300)
    once = judge(asked, served(asked, ranks[0]), served(asked, ranks[1]), Gate())
    assert "300 questions that neither model has seen, 30 of them different" in against(once)["enough evidence"]
    apart = [ask(f"q{n}") for n in range(300)]
    alone = judge(apart, served(apart, ranks[0]), served(apart, ranks[1]), Gate())
    assert once.differences[0].low < alone.differences[0].low - 0.05


def test_what_hangs_together_is_one_unit():
    asked = [
        Asked("a", "how do I reset the router in the hall", "en", {"d1": 1}),
        Asked("b", "something else", "en", {"d1": 2, "d9": 0}),  # the same answer
        Asked("c", "How do I reset the router in the hall?", "en", {"d2": 1}),  # the same words
        Asked("d", "", "en", {"d3": 1, "d4": 1}),
        Asked("e", "", "en", {"d4": 1}),  # half of the answers
        Asked("f", "", "en", {"d3": 1, "d5": 1, "d6": 1}),  # a fourth of them
        Asked("g", "wie setze ich den Router zurück", "de", {"d1": 1}, "canary"),
    ]
    one, two, three = 0, 3, 5
    assert units(asked).tolist() == [one, one, one, two, two, three, one]


def test_units_do_not_depend_on_the_order_of_questions():
    random = np.random.default_rng(3)
    asked = [
        Asked(str(n), "", "en", {f"d{doc}": 1 for doc in random.integers(0, 40, random.integers(1, 4))})
        for n in range(80)
    ]

    def together(order):
        number = dict(zip([asked[each].query_id for each in order], units([asked[e] for e in order]), strict=True))
        return {frozenset(b for b in number if number[b] == number[a]) for a in number}

    assert together(range(80)) == together(random.permutation(80))


# --- languages --------------------------------------------------------------------------------------------------------


def test_one_language_that_got_worse_is_refused_whatever_the_others_gained():
    found = judge(*case(better(800), worse(200, lang="de", share=0.15), steady(250)), Gate())
    assert against(found).keys() == {"no language loses"}
    assert "de may lose more (-0.107 (-0.1" in against(found)["no language loses"]


def test_a_language_is_judged_by_its_own_questions_alone():
    """However well the others fare, its interval is what it is."""

    def of_german(others):
        found = judge(*case(others, steady(60, "held-out", "de"), steady(250)), Gate())
        return next(each for each in found.differences if (each.lang, each.measure) == ("de", "nDCG@10"))

    assert of_german(better(800)) == of_german(worse(100))


def test_a_language_that_may_have_lost_too_much_is_refused_though_nothing_was_seen_to_be_lost():
    found = judge(*case(better(800), steady(60, "held-out", "de"), steady(250)), Gate())
    assert against(found).keys() == {"no language loses"}
    assert judge(*case(better(800), steady(200, "held-out", "de"), steady(250)), Gate()).passed


def test_what_a_language_gains_on_the_canaries_does_not_make_up_for_its_other_questions():
    german = worse(60, lang="de", share=0.05), better(400, "canary", "de", share=0.5)
    found = judge(*case(better(800), steady(250), *german), Gate())
    assert against(found).keys() == {"no language loses"}
    assert "de loses more on its held-out pairs (-0.036" in against(found)["no language loses"]


def test_a_language_of_the_old_distribution_alone_is_judged_too():
    found = judge(*case(better(300), steady(250), steady(900, "forgetting"), worse(60, "forgetting", "fr")), Gate())
    assert "fr may lose more" in against(found)["no language loses"]
    few = judge(*case(better(300), steady(250), steady(900, "forgetting"), steady(5, "forgetting", "fr")), Gate())
    assert few.passed
    assert "fr has 5 different questions of the 20 that are needed: whether it loses cannot be seen." in few.notes


def test_a_language_with_few_questions_is_said():
    found = judge(*case(better(300), steady(8, "held-out", "fr"), steady(250)), Gate())
    assert found.passed
    assert "fr has 8 different questions of the 20 that are needed: whether it loses cannot be seen." in found.notes


def test_a_language_with_few_questions_and_a_canary_is_refused():
    found = judge(*case(better(300), steady(8, "held-out", "fr"), steady(1, "canary", "fr"), steady(250)), Gate())
    assert against(found).keys() == {"no language loses"}
    assert "fr has 9 different questions of the 20 that are needed, and has canaries" in str(against(found))


def test_many_small_languages_that_got_worse_are_refused_together():
    """Each of them has too few questions to be judged by itself, and nobody watches it."""
    langs = [f"{letter}a" for letter in "bcdfghjk"]
    small = [worse(15, lang=lang, share=0.6) for lang in langs]
    found = judge(*case(better(800), steady(250), *small), Gate())
    assert against(found).keys() == {"no language loses"}
    assert "the small languages together may lose more (-0.4" in against(found)["no language loses"]
    assert [each.n for each in found.differences if each.group == "small languages"] == [120]


def test_small_languages_that_are_shown_not_to_lose_pass_together():
    small = [steady(18, "held-out", f"{letter}a") for letter in "bcdfghjklmn"]
    assert judge(*case(better(800), steady(250), *small), Gate()).passed


def test_questions_of_no_known_language_count_together():
    found = judge(*case(better(300, lang="und"), steady(250)), Gate())
    assert found.passed
    assert "300 questions of no known language count only together." in found.notes
    assert {each.lang for each in found.differences} == {"all", "en"}


# --- what is forgotten ------------------------------------------------------------------------------------------------


def test_what_was_known_must_not_be_forgotten():
    found = judge(*case(better(300), steady(250), worse(400, "forgetting", share=0.05)), Gate())
    assert against(found).keys() == {"nothing forgotten"}


def test_the_canaries_stand_in_for_a_set_of_the_old_distribution():
    found = judge(*case(better(600), worse(250, share=0.05, group="canary")), Gate())
    assert "nothing forgotten" in against(found)
    assert "There is no set of the old distribution: the canaries stand in for it." in found.notes


def test_without_canaries_nobody_knows_what_is_forgotten():
    found = judge(*case(better(300)), Gate())
    assert against(found)["nothing forgotten"] == "There are no canaries, so what it forgets cannot be seen."


def test_what_is_not_to_be_forgotten_is_no_evidence_of_a_gain():
    found = judge(*case(steady(300, "held-out"), steady(200), better(400, "forgetting")), Gate())
    assert against(found).keys() == {"gain", "gain beyond the canaries"}


# --- other measures, cost, libraries ----------------------------------------------------------------------------------


def test_a_gain_that_is_bought_with_recall_is_refused():
    asked = questions(400)
    old = [THIRD] * 200 + [TENTH] * 60 + [FIRST] * 140
    new = [FIRST] * 200 + [LOST] * 60 + [FIRST] * 140
    found = judge(*case((asked, old, new), steady(250)), Gate())
    assert against(found).keys() == {"no measure falls"}
    assert against(found)["no measure falls"].startswith("Certainly lower: R@10 -0.092 (")


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ("nDCG@10", ["nDCG@10", "R@10", "RR@10"]),
        ("R@5", ["R@5", "nDCG@10", "RR@5"]),
        ("AP", ["AP", "nDCG@10", "R@10", "RR@10"]),
    ],
)
def test_the_usual_measures_are_shown_with_the_configured_one(configured, expected):
    assert [str(each) for each in measures(configured)] == expected


@pytest.mark.parametrize(("field", "name"), [("memory_bytes", "memory"), ("query_ms", "latency")])
@pytest.mark.parametrize(("times", "passes"), [(1.5, True), (1.51, False), (0.0, False)])
def test_a_model_may_cost_so_much_more_and_must_be_measured(field, name, times, passes):
    asked, old, new = good()
    found = judge(asked, old, replace(new, **{field: getattr(old, field) * times}), Gate())
    assert (name not in against(found)) is passes


def test_a_model_that_the_service_cannot_load_is_refused():
    asked, old, new = good()
    new = replace(new, libraries={"sentence-transformers": "6.0"})
    assert judge(asked, old, new, Gate(), {"sentence-transformers": "6.2.0"}).passed
    found = judge(asked, old, new, Gate(), {"sentence_transformers": "5.2.0"})
    assert against(found).keys() == {"serving"}
    unknown = judge(asked, old, new, Gate())
    assert unknown.passed
    assert any("'serving' does not say which one the service runs" in note for note in unknown.notes)


def test_another_dimension_is_said():
    asked, old, new = good()
    found = judge(asked, old, replace(new, dimension=256), Gate())
    assert "Vectors have 256 numbers instead of 384: the index changes its size with them." in found.notes


# --- the same questions -----------------------------------------------------------------------------------------------


def test_a_question_that_one_model_could_not_be_asked_counts_for_neither():
    asked, old, new = good()
    extra = [ask("lost 1"), ask("lost 2")]
    old = replace(old, rankings=old.rankings | {"lost 1": ("doc of lost 1",)})
    new = replace(new, rankings=new.rankings | {"lost 2": ("doc of lost 2",)})
    found = judge([*asked, *extra], old, new, Gate())
    assert found.differences == judge(asked, old, new, Gate()).differences
    assert "1 question could not be asked to the old model and counts for neither." in found.notes
    assert "1 question could not be asked to the new model and counts for neither." in found.notes


def test_a_question_without_a_known_answer_counts_for_neither():
    asked, old, new = good()
    blank = Asked("blank", "", "en", {"d": 0})
    old = replace(old, rankings=old.rankings | {"blank": ()})
    new = replace(new, rankings=new.rankings | {"blank": ()})
    found = judge([*asked, blank], old, new, Gate())
    assert found.differences == judge(asked, old, new, Gate()).differences
    assert "1 question without a known answer counts for neither model." in found.notes


def test_questions_of_other_groups_judge_nothing():
    asked, old, new = good()
    live = replace(ask("live"), group="live")
    old, new = (replace(side, rankings=side.rankings | {"live": ()}) for side in (old, new))
    assert judge([*asked, live], old, new, Gate()) == judge(asked, old, new, Gate())


def test_a_question_that_was_asked_and_found_nothing_counts():
    asked, old, new = good()
    name = asked[-1].query_id
    found = judge(asked, old, replace(new, rankings=new.rankings | {name: ()}), Gate())
    assert found.differences[0].new < judge(asked, old, new, Gate()).differences[0].new


def test_the_same_question_twice_in_a_group_counts_once():
    asked, old, new = good()
    assert judge([*asked, *asked], old, new, Gate()) == judge(asked, old, new, Gate())


def test_no_question_at_all_is_refused():
    found = judge([], served([], []), served([], []), Gate())
    assert not found.passed
    assert found.differences == ()
    assert against(found).keys() >= {"enough evidence", "gain", "nothing forgotten", "no measure falls"}


def test_differences_are_those_of_the_measures_of_each_question():
    random = np.random.default_rng(5)
    asked = questions(40) + questions(40, group="canary")
    old, new = (served(asked, random.integers(0, 15, 80)) for _ in range(2))
    measure = Measure.parse("nDCG@10")
    paired = Paired.of(asked, old, new, [measure])
    found = paired.difference("nDCG@10", "unseen", paired.rows(("canary", "held-out")), 0.98)
    each = [
        measure(new.rankings[q.query_id], q.relevant) - measure(old.rankings[q.query_id], q.relevant) for q in asked
    ]
    assert found.gain == pytest.approx(math.fsum(each) / 80)
    assert found.low < found.gain < found.high


def test_names_of_languages_cannot_move_the_cursor():
    found = judge(*case(better(300), worse(60, lang="\x1b[2Jde"), steady(250)), Gate())
    assert "\x1b" not in "".join([*found.notes, *(each.sentence for each in found.reasons)])


# --- the promise ------------------------------------------------------------------------------------------------------


def test_a_model_that_is_no_better_beyond_the_canaries_hardly_ever_passes():
    """The hardest kind: everything else speaks for it. benchmarks/gate.py has all of them."""
    random = np.random.default_rng(11)
    steps = np.array([LOST, TENTH, THIRD, FIRST])
    passed = 0
    for _ in range(30):
        old, noise = random.integers(1, 4, 200), random.integers(-1, 2, 200)
        moved = np.where(random.random(200) < 0.3, np.clip(old + noise, 0, 3), old)
        swapped = random.random(200) < 0.5  # which of the two is the new one is a coin, so that none is better
        before, after = np.where(swapped, moved, old), np.where(swapped, old, moved)
        passed += judge(*case((questions(200), steps[before], steps[after]), better(250, "canary")), Gate()).passed
    assert passed <= 2
