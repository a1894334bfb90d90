"""What stored probes mean, look by look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.alerts import AlertPolicy, advance
from driftwatch.checks.integrity import Integrity
from driftwatch.types import Alert, Look, Window
from tests.fakes.probed import WELL, hourly, probe

START = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
CHECK = Integrity(name="index integrity", source="index")


def judge(probes, check=CHECK):
    return check.judge(Window(START, START + 24 * HOUR, probes=tuple(probes)), None, None)


def wrong(bad, known, **more):
    """A look at stored vectors of which some are bad."""
    values = {"known": float(known), "displacement p50": 0.0004, "asked again": 0.0}
    ids = tuple(f"doc-{n}" for n in range(known))
    given = {"n": 64, "bad": bad, "ids": ids, "values": values, "words": {"kind": "other model"}} | more
    return Look(**given)


def test_all_is_well():
    finding = judge(hourly(START, 24))
    assert (finding.verdict, finding.pages) == ("ok", False)
    assert finding.message == (
        "the index holds what it should: 1,536 stored vectors belong to their texts, "
        "search finds 98% of the 10 nearest, 5,000 of 5,000 documents are there"
    )
    assert finding.n == 24 * 64


def test_wrong_vectors_are_a_share_of_everything_that_was_looked_at():
    probes = [*hourly(START, 20), probe(START + 20 * HOUR, stored_vectors=wrong(5, 5))]
    finding = judge(probes)
    seen = finding.details["looks"]["stored vectors"]
    assert (finding.verdict, finding.pages) == ("fail", True)
    assert (seen["n"], seen["bad"], seen["words"]["kind"]) == (21 * 64, 5, "other model")
    assert finding.examples == tuple(f"doc-{n}" for n in range(5))
    assert finding.value == pytest.approx(5 / (21 * 64))
    assert finding.interval[0] < finding.value < finding.interval[1]


def test_one_known_wrong_vector_fails_and_a_suspected_one_does_not():
    last = START + 20 * HOUR
    suspected = wrong(0, 0, values={"known": 0.0, "suspects": 1.0, "displacement p50": 0.0})
    assert judge([*hourly(START, 20), probe(last, stored_vectors=suspected)]).verdict == "ok"
    assert judge([*hourly(START, 20), probe(last, stored_vectors=wrong(1, 1))]).verdict == "fail"


def test_what_is_mended_is_over_at_once():
    mended = wrong(0, 0, values={"known": 0.0, "mended": 5.0, "displacement p50": 0.0004})
    probes = [
        *hourly(START, 20),
        probe(START + 20 * HOUR, stored_vectors=wrong(5, 5)),
        probe(START + 21 * HOUR, stored_vectors=mended),
    ]
    assert judge(probes).verdict == "ok"


def test_a_share_that_is_allowed_is_allowed():
    probes = [probe(START, stored_vectors=wrong(1, 1))]
    assert judge(probes, CHECK.model_copy(update={"foreign": 0.05})).verdict == "ok"
    assert judge(probes).verdict == "fail"


@pytest.mark.parametrize(
    ("apart", "usual", "compressed", "verdict"),
    [
        (0.0004, None, 0, "ok"),
        (0.01, None, 0, "fail"),
        (0.01, 0.01, 0, "fail"),
        (0.4, 0.4, 1, "ok"),
        (0.4, None, 1, "ok"),
        (0.7, 0.4, 1, "fail"),
    ],
)
def test_all_vectors_together_may_not_move(apart, usual, compressed, verdict):
    values = {"known": 0.0, "displacement p50": apart, "compressed": float(compressed)}
    values |= {} if usual is None else {"usual displacement": usual}
    look = Look(64, values=values, words={"kind": "moved"})
    finding = judge([probe(START, stored_vectors=look)])
    assert finding.verdict == verdict
    if verdict == "fail":
        seen = finding.details["looks"]["stored vectors"]
        assert seen["bad"] == seen["n"]
        assert seen["words"]["kind"] == "moved"


def recall(at_10, *, spread=0.05, n=64, **more):
    values = {"recall@1": 1.0, "recall@10": at_10, "recall@100": at_10, "spread": spread, **more}
    return Look(n, values=values)


def test_a_recall_below_the_floor_fails_at_once():
    finding = judge([*hourly(START, 20), probe(START + 20 * HOUR, recall_of_the_index=recall(0.6, spread=0.2))])
    assert finding.verdict == "fail"
    assert finding.message.startswith("approximate search finds 60% of the 10 nearest, and 90% is the floor")
    assert finding.pages


def test_a_recall_that_a_few_queries_make_low_is_no_finding():
    assert judge([probe(START, recall_of_the_index=recall(0.88, spread=0.15, n=16))]).verdict == "ok"


def test_a_recall_that_fell_is_held_against_the_days_before():
    usual = {"usual recall": 0.999, "error of usual recall": 0.001}
    falling = [probe(START + n * HOUR, recall_of_the_index=recall(0.92, spread=0.05, **usual)) for n in range(6)]
    finding = judge(falling)
    assert finding.verdict == "fail"
    assert "found 99.9% before" in finding.message
    assert judge([probe(START, recall_of_the_index=recall(0.98, **usual))]).verdict == "ok"


def test_vectors_that_do_not_find_themselves():
    look = Look(32, 12, tuple(f"doc-{n}" for n in range(12)))
    assert judge([*hourly(START, 20), probe(START + 20 * HOUR, finds_itself=look)]).verdict == "fail"
    assert judge([*hourly(START, 20), probe(START + 20 * HOUR, finds_itself=Look(32, 1, ("doc-1",)))]).verdict == "ok"


def test_missing_documents_stay_missing_until_the_next_listing():
    lost = Look(5000, 120, ("doc-1",), {"de": (2500, 120), "en": (2500, 0)}, {"listed": 1.0})
    unlisted = {name: look for name, look in WELL.items() if name not in ("missing documents", "orphans")}
    later = [replace(each, looks=unlisted) for each in hourly(START + HOUR, 5)]
    finding = judge([probe(START, missing_documents=lost), *later])
    assert finding.verdict == "fail"
    assert finding.details["looks"]["missing documents"]["by"] == {"de": [2500, 120], "en": [2500, 0]}
    assert judge([probe(START, missing_documents=lost), *later, probe(START + 9 * HOUR)]).verdict == "ok"


def test_leftovers_and_old_texts_are_findings():
    assert judge([probe(START, orphans=Look(5000, 3, ("x",), values={"listed": 1.0}))]).verdict == "fail"
    texts = Look(64, 2, ("a", "b"), values={"known": 2.0})
    assert judge([probe(START, texts=texts)]).message.startswith("2 of 64 stored texts are not those")


def test_facts_that_changed_are_told_as_they_were_seen():
    why = "the index is not what it was: its dimension changed (384 -> 768)"
    look = Look(5, 1, words={"dimension": "384 -> 768"}, why=why)
    finding = judge([*hourly(START, 3), probe(START + 3 * HOUR, facts=look)])
    assert (finding.verdict, finding.message, finding.pages) == ("fail", why, True)


def test_an_embedder_that_moves_is_a_finding_and_one_odd_text_is_not():
    why = "the embedder gives other vectors than at the first run"
    assert judge([probe(START, probe_strings=Look(40, 40, why=why))]).message == why
    assert judge([probe(START, probe_strings=Look(40, 2, why=why))]).verdict == "ok"


def test_a_service_that_does_not_answer_or_is_slow():
    silent = Look(8, 8, ("q1",), words={"error": "Timed out. Try again."})
    finding = judge([probe(START, service=silent)])
    assert "answers 8 of 8 canaries with an error or with nothing" in finding.message
    assert not finding.pages
    slow = Look(8, values={"latency": 2400.0, "usual latency": 60.0})
    finding = judge([probe(START, service=slow)])
    assert finding.message == "the service takes 2,400 ms, and usually 60 ms"
    assert finding.details["looks"]["service"]["words"]["kind"] == "slow"
    assert judge([probe(START, service=Look(8, values={"latency": 300.0, "usual latency": 60.0}))]).verdict == "ok"


def test_the_worst_look_is_told_with_how_many_more():
    lost = Look(5000, 120, ("doc-1",), values={"listed": 1.0})
    finding = judge([probe(START, missing_documents=lost, stored_vectors=wrong(4, 4))])
    assert "stored vectors do not belong" in finding.message
    assert finding.message.endswith("; and 1 other look found something")
    failing = [name for name, seen in finding.details["looks"].items() if seen["verdict"] == "fail"]
    assert failing == ["stored vectors", "missing documents"]


def test_what_could_not_be_looked_at_is_never_ok():
    unable = {name: Look(unable="no connection") for name in WELL}
    finding = judge([replace(probe(START), looks=unable)])
    assert (finding.verdict, finding.message) == ("unknown", "nothing could be looked at: no connection")
    assert judge([]).verdict == "unknown"
    partly = judge([replace(probe(START), looks=WELL | {"texts": Look(unable="the index gives no texts")})])
    assert partly.verdict == "ok"
    assert partly.message.endswith("not looked at: texts")


def test_a_warning_never_pages():
    check = CHECK.model_copy(update={"severity": "warn"})
    finding = judge([*hourly(START, 3), probe(START + 3 * HOUR, stored_vectors=wrong(9, 9))], check)
    assert (finding.verdict, finding.pages) == ("warn", False)


def test_a_certain_defect_fires_at_once_and_an_uncertain_one_waits_for_a_second_look():
    certain = judge([*hourly(START, 3), probe(START + 3 * HOUR, stored_vectors=wrong(9, 9))])
    alert = Alert("index integrity", "all")
    assert advance(alert, certain, AlertPolicy(), START, incident="1")[0].state == "firing"
    first = judge([probe(START, orphans=Look(5000, 1, ("x",), values={"listed": 1.0}))])
    assert advance(alert, first, AlertPolicy(), START, incident="1")[0].state == "pending"


# --- what cannot be seen any more ----------------------------------------------------------------------------------

BROKEN = Look(unable="the model cannot be loaded")
EVERY_VECTOR = wrong(100, 100, n=100)


def after(looks, previous):
    """What is said of a day of ``looks`` at the stored vectors."""
    probes = [probe(START + n * HOUR, stored_vectors=look) for n, look in enumerate(looks)]
    return CHECK.judge(Window(START, START + 24 * HOUR, probes=tuple(probes)), None, previous)


def test_what_was_wrong_and_cannot_be_seen_any_more_is_unknown_until_it_is_seen_again():
    finding = after([EVERY_VECTOR], None)
    alert, _ = advance(Alert(CHECK.name, "all"), finding, AlertPolicy(), START, incident="i")
    assert alert.state == "firing"
    for _ in range(30):
        finding = after([BROKEN] * 24, finding)
        alert, _ = advance(alert, finding, AlertPolicy(), START, incident="i")
    assert (finding.verdict, alert.state) == ("unknown", "blind")
    assert "100 of 100 stored vectors do not belong to their texts" in finding.message
    assert finding.message.endswith("now it cannot be (the model cannot be loaded)")
    finding = CHECK.judge(Window(START, START + HOUR), None, finding)
    assert after([BROKEN], finding).verdict == "unknown", "nor by not looking at all"
    assert after([WELL["stored vectors"]], finding).verdict == "ok"


def test_what_the_configuration_no_longer_asks_for_is_over():
    finding = after([EVERY_VECTOR], None)
    off = Look(unable="no embedder is configured", words={"kind": "off"})
    assert after([off], finding).verdict == "ok"


def test_what_could_never_be_seen_and_was_never_wrong_is_not_held_against_the_rest():
    finding = after([BROKEN], None)
    assert after([BROKEN], finding).verdict == "ok"
    assert "not looked at: stored vectors" in finding.message


def test_an_index_of_which_everything_is_known_to_be_wrong_stays_wrong():
    """Nothing is left to be looked at for the sample: every entry is one that is asked again."""
    known = wrong(0, 60, n=0, values={"known": 60.0, "asked again": 32.0})
    finding = after([known] * 24, None)
    assert finding.verdict == "fail"
    assert finding.message.startswith("60 of 60 stored vectors")


def test_what_the_newest_look_could_not_see_is_named_although_an_earlier_one_did():
    finding = after([WELL["stored vectors"], BROKEN], None)
    assert finding.verdict == "ok"
    assert finding.message.endswith("not looked at: stored vectors")
