"""Each sign is proved by injecting its cause, and by leaving it out."""

from __future__ import annotations

import pytest

from driftwatch.probes import answers
from driftwatch.probes.cells import Ranking
from driftwatch.types import Flip, Query, Reply, ScoredDoc

CANARIES = tuple(
    Query(f"q{number}", f"question {number}", ("de", "en")[number % 2], {f"d{number}": 1}) for number in range(20)
)
LANGS = {f"d{number}": ("de", "en")[number % 2] for number in range(200)}


def ranking(start: int, count: int = 20, step: float = 0.02) -> Ranking:
    return tuple(ScoredDoc(f"d{start + place}", 0.9 - step * place) for place in range(count))


@pytest.fixture
def ours() -> dict[str, Ranking]:
    return {query.query_id: ranking(number * 5) for number, query in enumerate(CANARIES)}


def only(ours: dict[str, Ranking], count: int, *, without: frozenset[str] = frozenset()) -> dict[str, Ranking]:
    return {name: tuple(hit for hit in hits if hit.doc_id not in without)[:count] for name, hits in ours.items()}


# --- outage --------------------------------------------------------------------------------------------------------


def test_answers_to_everything_are_no_outage(ours: dict[str, Ranking]) -> None:
    look = answers.outage(CANARIES, {name: Reply(hits, latency_ms=20.0) for name, hits in ours.items()}, ours)
    assert (look.n, look.bad, look.why) == (20, 0, "")
    assert look.values["median ms"] == look.values["p95 ms"] == 20.0


def test_timeouts_errors_and_empty_answers_are_told_apart(ours: dict[str, Ranking]) -> None:
    replies = {name: Reply(hits) for name, hits in ours.items()}
    replies |= {
        "q0": Reply(None, error="timed out after 10s"),
        "q1": Reply(None, error="HTTP 500"),
        "q2": Reply(None, error="HTTP 500"),
        "q3": Reply(()),
    }
    look = answers.outage(CANARIES, replies, ours)
    assert look.bad == 4
    assert look.ids == ("q0", "q1", "q2", "q3")
    assert look.by == {"de": (10, 2), "en": (10, 2)}
    assert {name: look.values[name] for name in ("errors", "timeouts", "empty")} == {
        "errors": 3,
        "timeouts": 1,
        "empty": 1,
    }
    assert look.words == {"error": "HTTP 500"}
    assert "4 of 20" in look.why


def test_an_empty_answer_where_the_index_has_nothing_either_is_no_outage(ours: dict[str, Ranking]) -> None:
    look = answers.outage(CANARIES, {name: Reply(()) for name in ours}, dict.fromkeys(ours, ()))
    assert look.bad == 0


def test_a_service_that_was_not_asked_is_not_known() -> None:
    assert answers.outage(CANARIES, {}, {}).unable


# --- service ranking -----------------------------------------------------------------------------------------------


def test_a_service_that_answers_as_we_do_agrees(ours: dict[str, Ranking]) -> None:
    look = answers.service_ranking(CANARIES, only(ours, 10), ours, "stored x exact")
    assert (look.n, look.bad) == (20, 0)
    assert look.values["agree"] == look.values["overlap"] == 1.0
    assert look.words == {"against": "stored x exact"}


def test_one_other_document_of_ten_is_no_disagreement_and_two_are(ours: dict[str, Ranking]) -> None:
    service = dict(ours)
    service["q0"] = (*ours["q0"][:9], ScoredDoc("other", 0.1))
    service["q1"] = (*ours["q1"][:8], ScoredDoc("other", 0.2), ScoredDoc("another", 0.1))
    look = answers.service_ranking(CANARIES, service, ours, "stored x exact")
    assert look.ids == ("q1",)
    assert look.by == {"de": (10, 0), "en": (10, 1)}


def test_nothing_in_common_is_not_known(ours: dict[str, Ranking]) -> None:
    assert answers.service_ranking(CANARIES, {}, ours, "stored x exact").unable


# --- left out ------------------------------------------------------------------------------------------------------


def test_a_filter_on_a_language_is_seen_with_its_documents(ours: dict[str, Ranking]) -> None:
    german = frozenset(doc_id for doc_id, lang in LANGS.items() if lang == "de")
    look = answers.left_out(CANARIES, only(ours, 10, without=german), only(ours, 10), ours, LANGS)
    seen = {hit.doc_id for hits in only(ours, 10).values() for hit in hits}
    assert set(look.ids) == seen & german
    assert look.words == {"language": "de"}
    assert look.by["de"][0] == look.by["de"][1]
    assert look.by["en"][1] == 0
    assert look.values["order"] == 1.0
    assert look.values["canaries"] == 20


def test_no_filter_leaves_nothing_out(ours: dict[str, Ranking]) -> None:
    look = answers.left_out(CANARIES, only(ours, 10), only(ours, 10), ours, LANGS)
    assert (look.bad, look.why, look.values["share"]) == (0, "", 0.0)


def test_a_filter_across_languages_names_none(ours: dict[str, Ranking]) -> None:
    every_seventh = frozenset(f"d{number}" for number in range(0, 200, 7))
    look = answers.left_out(CANARIES, only(ours, 10, without=every_seventh), only(ours, 10), ours, LANGS)
    assert look.bad > 3
    assert look.words == {}


def test_a_cut_off_at_the_end_is_no_filter(ours: dict[str, Ranking]) -> None:
    assert answers.left_out(CANARIES, only(ours, 6), only(ours, 10), ours, LANGS).bad == 0


def test_what_another_order_leaves_out_is_not_blamed_on_a_filter(ours: dict[str, Ranking]) -> None:
    service = {name: tuple(reversed(hits)) for name, hits in only(ours, 20).items()}
    service = {name: hits[:10] for name, hits in service.items()}
    look = answers.left_out(CANARIES, service, only(ours, 10), ours, LANGS)
    assert look.values["order"] < 0
    assert (look.bad, look.ids, look.why) == (0, (), "")


def test_a_document_just_above_the_last_hit_is_a_tie_and_not_left_out(ours: dict[str, Ranking]) -> None:
    near = {name: (*hits[:9], ScoredDoc(f"tie-{name}", hits[9].score + 1e-4), hits[9]) for name, hits in ours.items()}  # type: ignore[operator]
    assert answers.left_out(CANARIES, only(ours, 10), near, near, LANGS).bad == 0


# --- query side ----------------------------------------------------------------------------------------------------


def test_the_query_vector_that_explains_the_answers_is_named(ours: dict[str, Ranking]) -> None:
    others = {name: ranking(number * 5 + 4) for number, name in enumerate(ours)}
    look = answers.query_side(CANARIES, others, {"as configured": ours, "without the query prompt": others})
    assert look.words == {"best": "without the query prompt"}
    assert look.bad == 19, "the first canary's own four documents are returned to nobody, and the rest is the same"
    assert look.values["without the query prompt"] == 1.0


def test_answers_that_are_as_configured_blame_no_prompt(ours: dict[str, Ranking]) -> None:
    others = {name: ranking(number * 5 + 4) for number, name in enumerate(ours)}
    look = answers.query_side(CANARIES, ours, {"as configured": ours, "without the query prompt": others})
    assert (look.bad, look.words["best"], look.why) == (0, "as configured", "")


def test_a_filter_is_not_taken_for_another_query_vector(ours: dict[str, Ranking]) -> None:
    others = {name: ranking(number * 5 + 4) for number, name in enumerate(ours)}
    service = only(ours, 10, without=frozenset(f"d{number}" for number in range(0, 200, 2)))
    look = answers.query_side(CANARIES, service, {"as configured": ours, "without the query prompt": others})
    assert look.words["best"] == "as configured"
    assert look.values["as configured"] == 1.0


def test_answers_that_no_query_vector_explains_are_explained_by_none(ours: dict[str, Ranking]) -> None:
    strange = {name: ranking(120) for name in ours}
    one, other = ({name: ranking(number * 5 + by) for number, name in enumerate(ours)} for by in (0, 1))
    look = answers.query_side(CANARIES, strange, {"as configured": one, "with the document prompt": other})
    assert (look.words["best"], look.bad) == ("none", 0)


def test_one_guess_will_do_only_where_it_explains_everything(ours: dict[str, Ranking]) -> None:
    others = {name: ranking(number * 5 + 4) for number, name in enumerate(ours)}
    alone = answers.query_side(CANARIES, ours, {"as configured": ours})
    assert (alone.bad, alone.words, alone.unable) == (0, {"best": "as configured"}, "")
    assert answers.query_side(CANARIES, others, {"as configured": ours}).unable
    assert answers.query_side(CANARIES, {}, {"as configured": ours}).unable


# --- gone ----------------------------------------------------------------------------------------------------------


def test_documents_that_are_gone_are_counted_by_language_and_looked_for_in_the_source() -> None:
    look = answers.gone(CANARIES, {"d0", "d2", "d5"}, {"d0", "d5"})
    assert (look.n, look.bad, look.ids) == (20, 3, ("d0", "d2", "d5"))
    assert look.by == {"de": (10, 2), "en": (10, 1)}
    assert look.values == {"in source": 2, "not in source": 1, "canaries": 3, "canaries without any": 3}


def test_without_a_source_nobody_knows_whether_it_still_has_them() -> None:
    assert "in source" not in answers.gone(CANARIES, {"d0"}, None).values


def test_an_index_that_holds_everything_has_lost_nothing() -> None:
    look = answers.gone(CANARIES, set(), set())
    assert (look.bad, look.why) == (0, "")


# --- displaced -----------------------------------------------------------------------------------------------------

FELL = tuple(
    Flip(f"q{number}", ("de", "en")[number % 2], f"d{number}", 1, None, ("new-1", "new-2")) for number in range(6)
)
SAME = {(flip.query_id, flip.expected): True for flip in FELL}


def test_an_unchanged_document_below_new_ones_was_displaced() -> None:
    similarity = {("new-1", flip.expected): 0.98 for flip in FELL}
    look = answers.displaced(CANARIES, FELL, SAME, {}, similarity)
    assert (look.n, look.bad, look.ids) == (20, 6, ("new-1", "new-2"))
    assert look.values == {"lost": 6, "unknown": 0, "similarity": 0.98, "near-duplicates": 1.0}
    assert look.by == {"de": (10, 3), "en": (10, 3)}


def test_a_document_whose_own_score_fell_was_not_displaced() -> None:
    assert answers.displaced(CANARIES, FELL, dict.fromkeys(SAME, False), {}, {}).bad == 0


def test_a_document_whose_stored_vector_is_wrong_was_not_displaced() -> None:
    assert answers.displaced(CANARIES, FELL, SAME, {flip.expected: False for flip in FELL}, {}).bad == 0


def test_what_rose_because_its_own_vector_is_wrong_displaces_nothing() -> None:
    assert answers.displaced(CANARIES, FELL, SAME, {"new-1": False, "new-2": False}, {}).bad == 0


def test_a_document_of_which_nothing_is_known_is_counted_as_unknown() -> None:
    look = answers.displaced(CANARIES, FELL, {}, {}, {})
    assert (look.bad, look.values["unknown"]) == (0, 6)


def test_a_document_that_rose_was_not_displaced() -> None:
    rose = [Flip("q1", "en", "d1", 5, 1), Flip("q2", "de", "d2", None, 3)]
    assert answers.displaced(CANARIES, rose, {("q1", "d1"): True, ("q2", "d2"): True}, {}, {}).bad == 0


# --- stored vectors ------------------------------------------------------------------------------------------------


def test_vectors_that_are_not_their_texts_are_named_with_what_they_are() -> None:
    found = {"d0": (0.1, "other model"), "d1": (0.2, "other model"), "d2": (0.9, "other text"), "d3": (1.0, "")}
    look = answers.stored_vectors(found, LANGS, {"displacement": 0.0}, "")
    assert (look.n, look.bad, look.ids) == (4, 3, ("d0", "d1", "d2"))
    assert look.words == {"kind": "other model"}
    assert look.by == {"de": (2, 2), "en": (2, 1)}
    assert look.values == {"displacement": 0.0, "median cosine": 0.55, "lowest cosine": 0.1}


def test_vectors_that_are_their_texts_are_as_they_should_be() -> None:
    look = answers.stored_vectors({"d0": (1.0, ""), "d1": (0.999, "")}, LANGS, {}, "")
    assert (look.bad, look.why, look.words) == (0, "", {})
