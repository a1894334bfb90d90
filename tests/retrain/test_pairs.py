"""What users said becomes pairs, only where enough of them said it and nobody says more than once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.errors import RetrainError
from driftwatch.privacy import hashed
from driftwatch.retrain._removed import TakenOut
from driftwatch.retrain.pairs import MOST_A_DAY, Collected, document_of, from_files, from_log, joined, same_text
from driftwatch.retrain.settings import PairSettings
from driftwatch.retrained import Pair, Removed
from driftwatch.types import Observation, ScoredDoc

AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
ONE = PairSettings(click=1)
KNOWN = frozenset({"doc-1", "doc-2", "doc-7"})
PAY = "how do I pay"


def said(
    feedback: str | None, session: str | None = "s", doc: str = "doc-7", text: str = PAY, at: datetime = AT, **more: Any
) -> Observation:
    """What one session said once; nothing was retrieved unless ``more`` says so."""
    return Observation(at, "live", "q", text, session=session, feedback=feedback, feedback_doc=doc, **more)


def collect(*observed: Observation, settings: PairSettings = ONE) -> Collected:
    return from_log(observed, settings, KNOWN)


def only(*observed: Observation, settings: PairSettings = ONE) -> Pair:
    (pair,) = collect(*observed, settings=settings).pairs
    return pair


def removed(*observed: Observation, settings: PairSettings = ONE) -> dict[str, int]:
    return {each.guard: each.count for each in collect(*observed, settings=settings).removed}


# --- what a pair is made of ----------------------------------------------------------------------------------------


def test_a_pair_says_what_was_asked_and_answered_by_whom_and_when():
    pair = only(said("click", "a", lang="en"), said("click", "b", at=AT + DAY, lang="en"))
    assert pair == Pair(PAY, "doc-7", "en", True, "click", 2, AT + DAY)


@pytest.mark.parametrize(("kind", "relevant"), [("accepted", True), ("click", True), ("up", True), ("down", False)])
def test_every_kind_of_feedback_becomes_a_pair_of_its_origin(kind, relevant):
    found = collect(said(kind))
    assert [(pair.origin, pair.relevant) for pair in found.pairs] == [(kind, relevant)]
    assert found.counts == {kind: 1}


@pytest.mark.parametrize("kind", [None, "none"])
def test_who_says_nothing_says_nothing(kind):
    assert collect(said(kind)) == Collected((), (), {})


def test_the_strongest_thing_that_enough_sessions_said_names_the_pair():
    clicks = [said("click", f"s{number}") for number in range(5)]
    assert only(*clicks, said("up", "s1"), said("accepted", "s2")).origin == "accepted"
    assert only(*clicks, said("up", "s1")).origin == "up"
    assert only(*clicks, said("accepted", "s2"), settings=PairSettings(accepted=2, click=5)).origin == "click"


def test_the_count_is_of_sessions_whatever_they_said():
    assert only(said("click", "a"), said("up", "b"), said("accepted", "b"), said("up", "c")).count == 3


def test_spellings_of_one_question_are_one_and_the_commonest_is_kept():
    pair = only(
        said("click", "a", text="How do I\tpay?"),
        said("click", "b", text="how  do I pay?"),
        said("click", "c", text=" how do I pay?"),
        said("click", "d", text="ＨＯＷ do I pay?"),
    )
    assert (pair.query, pair.count) == ("how do I pay?", 4)


def test_one_session_does_not_make_its_spelling_the_commonest():
    loud = [said("click", "a", text="HOW DO I PAY", doc=doc) for doc in ("doc-1", "doc-2", "doc-7")]
    found = collect(*loud, said("click", "b"), said("click", "c"))
    assert {pair.query for pair in found.pairs} == {PAY}


def test_a_question_has_the_language_that_most_know_of_it():
    pair = only(said("click", "a"), said("click", "b"), said("click", "c", lang="de"), said("click", "d", lang="de"))
    assert pair.lang == "de"
    assert only(said("click", lang="und")).lang == "und"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Straße", "STRASSE", True),
        ("café", "cafe\u0301", True),
        ("ｐａｙ", "pay", True),
        ("a \u00a0b\u3000c", "A B C", True),
        ("İstanbul", "i̇stanbul", True),
        ("pay", "pay?", False),
        ("résumé", "resume", False),
    ],
)
def test_what_one_question_is(one, other, same):
    assert (same_text(one) == same_text(other)) is same


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    assert same_text(same_text(text)) == same_text(text)


# --- how many must say so ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["accepted", "click", "up", "down"])
def test_fewer_sessions_than_the_minimum_make_no_pair(kind):
    settings = PairSettings(**{kind: 3})
    two = [said(kind, "a"), said(kind, "b")]
    assert removed(*two, settings=settings) == {"pairs that too few sessions spoke of": 1}
    assert only(*two, said(kind, "c"), settings=settings).count == 3


def test_sessions_that_said_another_thing_do_not_help_over_a_minimum():
    observed = [said("click", "a"), said("click", "b"), said("up", "c")]
    assert collect(*observed, settings=PairSettings(click=3, up=2)).pairs == ()


def test_a_session_has_one_voice_however_often_it_speaks():
    observed = [said("click", at=AT + n * timedelta(hours=30)) for n in range(5)]
    assert only(*observed).count == 1


def test_a_session_may_speak_of_several_documents():
    found = collect(said("click", doc="doc-1"), said("click", doc="doc-2"))
    assert [(pair.doc_id, pair.count) for pair in found.pairs] == [("doc-1", 1), ("doc-2", 1)]


def test_sessions_of_two_sources_are_two():
    assert only(said("click"), replace(said("click"), source="other")).count == 2


def test_without_sessions_one_text_a_day_is_one():
    same_day = [said("click", None), said("click", None, at=AT + timedelta(hours=2), text="How do I  PAY")]
    assert only(*same_day).count == 1
    assert only(*same_day, said("click", None, at=AT + DAY)).count == 2


def test_a_session_that_says_more_than_a_person_does_is_left_out():
    program = [said("up", "robot", text=f"question {number}") for number in range(MOST_A_DAY + 1)]
    found = collect(*program, said("click", "person"))
    assert [(pair.origin, pair.count) for pair in found.pairs] == [("click", 1)]
    assert found.removed == (Removed("sessions with more than 50 feedbacks a day", 1, ("robot",)),)
    assert len(collect(*program[1:]).pairs) == MOST_A_DAY


def test_a_busy_session_is_left_out_on_its_quiet_days_too():
    program = [said("up", "robot", text=f"question {number}") for number in range(MOST_A_DAY + 1)]
    assert collect(*program, said("up", "robot", at=AT + 5 * DAY)).pairs == ()


def test_feedback_that_says_nothing_of_a_document_still_makes_a_session_busy():
    program = [said("click", "robot", doc="", text=f"question {number}") for number in range(MOST_A_DAY)]
    assert collect(*program, said("up", "robot")).pairs == ()


# --- who contradicts whom ------------------------------------------------------------------------------------------


def test_the_larger_number_of_sessions_counts():
    assert only(said("click", "a"), said("click", "b"), said("down", "c")).relevant
    assert only(said("down", "a"), said("down", "b"), said("accepted", "c")).count == 2
    assert only(said("down", "a"), said("down", "b"), said("accepted", "c")).origin == "down"


def test_a_tie_removes_both():
    assert removed(said("accepted", "a"), said("down", "b")) == {"pairs that as many sessions dislike as like": 1}


def test_those_who_are_more_must_still_be_enough():
    observed = [said("click", "a"), said("click", "b"), said("down", "c")]
    assert removed(*observed, settings=PairSettings(click=3)) == {"pairs that too few sessions spoke of": 1}


def test_a_session_that_changes_its_mind_means_the_last_it_said():
    clicked, disliked = said("click"), said("down", at=AT + DAY)
    for observed in ((clicked, disliked), (disliked, clicked)):
        assert only(*observed).origin == "down"
    assert only(clicked, disliked, said("up", at=AT + 2 * DAY), settings=PairSettings()).origin == "up"
    assert collect(clicked, disliked, said("click", at=AT + 2 * DAY), settings=PairSettings()).pairs == ()


VOTES = st.lists(
    st.builds(
        said,
        st.sampled_from(["accepted", "click", "up", "down", "none"]),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["doc-1", "doc-2", "gone", ""]),
        st.sampled_from(["pay", "Pay", "refund", ""]),
        st.integers(0, 5).map(lambda hours: AT + hours * timedelta(hours=7)),
    ),
    max_size=30,
)


@given(VOTES, st.randoms(use_true_random=False))
def test_the_order_in_which_observations_come_changes_nothing(observed, chance):
    observed = [replace(each, at=each.at + n * timedelta(seconds=1)) for n, each in enumerate(observed)]
    shuffled = list(observed)
    chance.shuffle(shuffled)
    assert collect(*observed).pairs == collect(*shuffled).pairs


@given(VOTES)
def test_each_question_and_document_is_there_once_and_counts_no_more_than_its_sessions(observed):
    found = collect(*observed)
    keys = [(same_text(pair.query), pair.doc_id) for pair in found.pairs]
    assert len(set(keys)) == len(keys)
    assert all(1 <= pair.count <= 3 + 2 * 3 for pair in found.pairs)
    assert sum(found.counts.values()) == len(found.pairs)


def test_what_somebody_liked_and_is_no_pair_is_no_negative_either():
    few = [said("click", "a", text="Pay"), said("click", "b", text="pay", doc="doc-1"), said("click", "c", text="pay")]
    torn = [said("up", "a", text="pay", doc="doc-2"), said("down", "b", text="pay", doc="doc-2")]
    lost = [said("down", "a", text="ship"), said("down", "b", text="ship"), said("click", "c", text="ship")]
    found = collect(*few, *torn, *lost, settings=PairSettings(click=3))
    assert found.clicked == {"pay": frozenset({"doc-7", "doc-1", "doc-2"})}
    assert [(pair.query, pair.relevant) for pair in found.pairs] == [("ship", False)]


def test_what_nobody_liked_often_enough_was_not_clicked():
    assert collect(said("down"), settings=PairSettings(down=2)).clicked == {}


# --- of what feedback speaks ---------------------------------------------------------------------------------------


HITS = (ScoredDoc("doc-1", 0.9), ScoredDoc("doc-2", 0.8))


@pytest.mark.parametrize("kind", ["accepted", "up", "down"])
def test_feedback_without_a_document_speaks_of_the_first_hit_only(kind):
    found = collect(said(kind, doc="", hits=HITS))
    assert [pair.doc_id for pair in found.pairs] == ["doc-1"]


def test_a_click_without_a_document_says_nothing():
    assert removed(said("click", doc="", hits=HITS)) == {"clicks that name no document": 1}


@pytest.mark.parametrize("hits", [None, (), (ScoredDoc("", 0.5),)])
def test_feedback_on_an_answer_of_which_no_document_is_known_says_nothing(hits):
    assert removed(said("up", doc="", hits=hits)) == {"feedback on answers without a document": 1}


def test_who_was_given_no_answer_speaks_of_no_document():
    declined = said("down", doc="", hits=HITS, abstained=True)
    assert removed(declined) == {"feedback on answers without a document": 1}
    assert only(replace(declined, abstained=False)).doc_id == "doc-1"
    assert only(replace(declined, feedback_doc="doc-2")).doc_id == "doc-2"


def test_documents_that_the_corpus_does_not_hold_are_removed_and_counted():
    found = collect(said("up", doc="gone"), said("up", "t", doc="gone"), said("up"))
    assert [pair.doc_id for pair in found.pairs] == ["doc-7"]
    assert found.removed == (Removed("feedback on documents that the corpus does not hold", 2, ("gone",)),)


def test_a_passage_stands_for_its_document():
    assert only(said("up", doc="doc-7#2")).doc_id == "doc-7"
    assert document_of("doc-7#two", KNOWN) is None
    assert document_of("a#1#2", {"a", "a#1"}) == "a#1"


@pytest.mark.parametrize("text", ["", "  ", hashed("how do I pay", b"k" * 32)])
def test_queries_whose_text_was_not_kept_are_removed_and_counted(text):
    assert removed(said("up", text=text)) == {"feedback on queries whose text was not kept": 1}


def test_examples_of_what_was_removed_name_nobody():
    found = collect(said("click", doc="", text="why was jane@example.org charged"))
    assert found.removed[0].examples == ("why was [email] charged",)


def test_a_few_examples_are_enough_and_long_ones_are_cut():
    found = collect(*(said("up", doc=f"gone {number} {'x' * 200}") for number in range(9)))
    assert [len(example) for example in found.removed[0].examples] == [80, 80, 80]
    assert found.removed[0].count == 9


# --- files and logs together ---------------------------------------------------------------------------------------


def collected(*pairs: Pair) -> Collected:
    return Collected.of(pairs, TakenOut())


def test_what_is_joined_is_there_once_and_counted():
    together = joined(
        collected(Pair("Pay", "doc-1"), Pair("refund", "doc-2")),
        collected(Pair("pay", "doc-1", origin="click", count=3, at=AT), Pair("ship", "doc-1", origin="up")),
        collected(Pair("PAY", "doc-1", origin="generated"), Pair("PAY", "doc-2", origin="generated")),
    )
    assert [(pair.query, pair.doc_id, pair.origin) for pair in together.pairs] == [
        ("Pay", "doc-1", "file"),
        ("refund", "doc-2", "file"),
        ("ship", "doc-1", "up"),
        ("Pay", "doc-2", "generated"),
    ]
    assert together.counts == {"file": 2, "up": 1, "generated": 1}


def test_files_are_believed_before_users_and_users_before_a_language_model():
    wrong = Pair("pay", "doc-1", relevant=False)
    liked = Pair("pay", "doc-1", origin="click", count=99)
    guessed = Pair("pay", "doc-1", origin="generated")
    together = joined(collected(guessed), collected(liked), collected(wrong))
    assert together.pairs == (wrong,)
    assert [(each.guard, each.count) for each in together.removed] == [
        ("pairs that others contradict who count for more", 2)
    ]
    disliked = replace(liked, relevant=False, origin="down")
    assert joined(collected(guessed), collected(disliked)).pairs == (disliked,)


def test_two_logs_add_up_their_sessions():
    one = Pair("pay", "doc-1", origin="click", count=3, at=AT)
    other = replace(one, count=4, at=AT + DAY)
    assert joined(collected(one), collected(other)).pairs == (replace(one, count=7, at=AT + DAY),)
    down = replace(one, relevant=False, origin="down", count=3)
    assert joined(collected(one), collected(down)).pairs == ()
    assert joined(collected(one), collected(replace(down, count=4))).pairs[0].origin == "down"


def test_what_was_removed_before_is_still_said():
    one = Collected((), (Removed("a guard", 2, ("x", "y")),), {})
    other = Collected((), (Removed("a guard", 3, ("y", "z", "w")), Removed("another", 1)), {})
    assert joined(one, other).removed == (Removed("a guard", 5, ("x", "y", "z")), Removed("another", 1, ()))


def test_what_was_clicked_is_joined_and_a_pair_is_no_longer_among_it():
    log = Collected((), (), {}, {"PAY": frozenset({"doc-1", "doc-2"}), "ship": frozenset({"doc-1"})})
    other = Collected((), (), {}, {"pay": frozenset({"doc-7"})})
    file = collected(Pair("Pay", "doc-1"))
    assert joined(log, other, file).clicked == {"Pay": frozenset({"doc-2", "doc-7"}), "ship": frozenset({"doc-1"})}
    torn = joined(collected(Pair("pay", "doc-1")), collected(Pair("pay", "doc-1", relevant=False)))
    assert (torn.pairs, torn.clicked) == ((), {"pay": frozenset({"doc-1"})})


def test_joining_nothing_is_nothing():
    assert joined() == Collected((), (), {})


def test_labels_of_documents_that_the_corpus_does_not_hold_are_counted(tmp_path):
    write(tmp_path / "a.jsonl", {"query": "pay", "doc_ids": ["doc-1", "gone"]})
    found = from_files(["a.jsonl"], tmp_path, KNOWN)
    assert found.pairs == (Pair("pay", "doc-1"),)
    assert found.removed == (Removed("labels of documents that the corpus does not hold", 1, ("gone",)),)


def test_one_passage_that_answers_is_enough_for_its_document(tmp_path):
    write(
        tmp_path / "a.jsonl",
        {"query": "pay", "doc_id": "doc-1#1", "relevant": False},
        {"query": "pay", "doc_id": "doc-1#2"},
        {"query": "pay", "doc_id": "doc-1#3", "relevant": False},
    )
    assert from_files(["a.jsonl"], tmp_path, KNOWN).pairs == (Pair("pay", "doc-1"),)


def test_what_is_wrong_with_a_file_is_a_retrain_error(tmp_path):
    write(tmp_path / "a.jsonl", {"query": "pay"})
    with pytest.raises(RetrainError, match=r"a.jsonl:1: the pair names no document"):
        from_files(["a.jsonl"], tmp_path, KNOWN)


def write(path: Path, *rows: Any) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
