from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from driftwatch.errors import DriftwatchError
from driftwatch.stats.cutoff import Aim
from driftwatch.threshold import Label, Material, Wanted, changes_of, recalibrate
from driftwatch.types import Finding, IndexFacts, Observation, ScoredDoc
from tests.fakes.batches import DAY, MONDAY
from tests.fakes.scored import CHANGE, NEW, OLD, as_distance, canaries, live

BEFORE = live(MONDAY, 14, cut=0.55)
AFTER = live(CHANGE, 7, slope=0.5, intercept=0.2, seed=2, versions=NEW)
CANARIES_BEFORE = canaries(CHANGE - DAY)
CANARIES_AFTER = canaries(CHANGE + DAY, slope=0.5, intercept=0.2, versions=NEW)
FEW = {"resamples": 60}


def whole(**more) -> Material:
    given = {
        "canaries": CANARIES_AFTER,
        "canaries_before": CANARIES_BEFORE,
        "before": BEFORE,
        "after": AFTER,
        "changes": changes_of([*BEFORE, *AFTER]),
    }
    return Material(**{**given, **more})


def finding(kind: str, verdict: str = "fail") -> Finding:
    return Finding("new topics", "all", CHANGE, verdict, "8 % of the queries are about parking", kind)


def test_labels_decide_where_there_are_enough():
    found = recalibrate(whole(), Wanted(**FEW))
    assert found.method == "labels"
    assert found.value == pytest.approx(0.5 * 0.58 + 0.2, abs=0.03)
    assert found.judged == {"canaries": 120}
    assert found.labelled is not None
    assert found.labelled.held_out is not None
    assert found.labelled.held_out > 0.9


def test_a_canary_that_should_find_nothing_has_no_relevant_hit():
    found = recalibrate(whole(), Wanted(**FEW))
    assert found.labelled is not None
    assert found.labelled.n == 1200
    wrong = [replace(seen, expect_empty=True) for seen in CANARIES_AFTER]
    assert recalibrate(whole(canaries=wrong, canaries_before=()), Wanted(current=0.55, **FEW)).method == "same share"


def test_a_second_asking_and_a_failed_one_are_no_labels():
    more = [
        *CANARIES_AFTER,
        *(replace(seen, attempt=1) for seen in CANARIES_AFTER),
        Observation(CHANGE, "canaries", "lost", hits=None, relevant={"x": 1}, error="timeout"),
    ]
    assert recalibrate(whole(canaries=more), Wanted(**FEW)).judged == {"canaries": 120}


def test_without_labels_the_same_documents_say_what_the_old_one_is_called_now():
    unjudged = [replace(seen, relevant={}, expect_empty=False) for seen in CANARIES_AFTER]
    found = recalibrate(whole(canaries=unjudged), Wanted(current=0.55, **FEW))
    assert found.method == "same documents"
    assert found.value == pytest.approx(0.5 * 0.55 + 0.2, abs=0.003)
    assert found.scale is not None
    assert found.scale.slope == pytest.approx(0.5)


def test_a_canary_that_was_rewritten_says_nothing_of_the_scale():
    rewritten = [replace(seen, relevant={}, expect_empty=False, digest="other") for seen in CANARIES_AFTER]
    found = recalibrate(whole(canaries=rewritten), Wanted(current=0.55, **FEW))
    assert found.scale is None
    assert found.method == "same share"


def test_without_canaries_the_same_share_is_kept():
    found = recalibrate(whole(canaries=(), canaries_before=()), Wanted(current=0.55, decides="answers", **FEW))
    assert found.method == "same share"
    low, high = found.interval
    assert low is not None
    assert high is not None
    assert low <= 0.5 * 0.55 + 0.2 <= high
    assert found.value == pytest.approx(0.475, abs=0.01)


def test_where_ranks_changed_the_same_documents_do_not_decide():
    shaken = canaries(CHANGE + DAY, slope=0.5, intercept=0.2, noise=0.03, versions=NEW)
    unjudged = [replace(seen, relevant={}, expect_empty=False) for seen in shaken]
    found = recalibrate(whole(canaries=unjudged), Wanted(current=0.55, **FEW))
    assert found.method == "same share"
    assert any("Ranks changed" in warning for warning in found.warnings)
    assert "ranks" in [reason.what for reason in found.reasons]


def test_a_distance_is_a_similarity_the_other_way_round():
    near = recalibrate(whole(), Wanted(current=0.5, **FEW))
    far = recalibrate(
        Material(
            canaries=as_distance(CANARIES_AFTER),
            canaries_before=as_distance(CANARIES_BEFORE),
            before=as_distance(BEFORE),
            after=as_distance(AFTER),
            changes=changes_of([*BEFORE, *AFTER]),
        ),
        Wanted(current=-0.5, **FEW),
    )
    assert far.score_kind == "distance"
    assert far.sign == -1
    assert (far.value, far.interval, far.labelled, far.matched, far.mapped) == (
        near.value,
        near.interval,
        near.labelled,
        near.matched,
        near.mapped,
    )
    assert far.still_good == near.still_good
    assert far.empty == near.empty
    assert any("-0.5 kept" in reason.sentence for reason in far.reasons)


def test_similarities_and_distances_do_not_mix():
    with pytest.raises(DriftwatchError, match="some scores are similarities and some are distances"):
        recalibrate(whole(after=as_distance(AFTER)), Wanted(**FEW))


def test_the_share_without_anything_kept_is_predicted_by_language():
    found = recalibrate(whole(), Wanted(current=0.55, **FEW))
    assert found.value is not None
    top = np.array([max(hit.score or 0 for hit in seen.hits or ()) for seen in AFTER])
    assert found.empty is not None
    assert found.empty.value == pytest.approx((top < found.value).mean())
    assert found.empty.low < found.empty.value < found.empty.high
    assert set(found.by) == {"en", "de", "fr"}
    german = np.array([seen.lang == "de" for seen in AFTER])
    assert found.by["de"].empty is not None
    assert found.by["de"].empty.value == pytest.approx((top[german] < found.value).mean())
    assert found.empty_before is not None


def test_abstentions_are_predicted_where_the_service_says():
    unjudged = [replace(seen, relevant={}, expect_empty=False) for seen in CANARIES_AFTER]
    said = [replace(seen, abstained=max(hit.score or 0 for hit in seen.hits or ()) < 0.475) for seen in AFTER]
    found = recalibrate(whole(canaries=unjudged, after=said), Wanted(current=0.55, **FEW))
    assert found.abstained is not None
    silent = [replace(seen, abstained=None) for seen in AFTER]
    assert recalibrate(whole(after=silent), Wanted(current=0.55, **FEW)).abstained is None


def test_each_language_says_what_it_would_want_alone():
    random = np.random.default_rng(1)
    labels = [
        Label(f"{lang}-{q}", float(random.normal(0.4 + lower + 0.2 * (d == 0), 0.05)), d == 0, lang)
        for lang, lower in (("en", 0.0), ("fi", -0.15))
        for q in range(80)
        for d in range(6)
    ]
    labels += [Label("is-1", 0.7, True, "is"), Label("is-1", 0.2, False, "is")]
    found = recalibrate(Material(labels=labels), Wanted(**FEW))
    english, finnish = found.by["en"].alone, found.by["fi"].alone
    assert english is not None
    assert finnish is not None
    assert english.value is not None
    assert finnish.value is not None
    assert english.value - finnish.value == pytest.approx(0.15, abs=0.04)
    assert found.by["fi"].at_common is not None
    assert finnish.measured is not None
    assert found.by["fi"].at_common.value < finnish.measured.value
    assert found.by["is"].alone is None
    assert "20 of each are needed" in found.by["is"].why


def test_answers_are_judged_by_their_best_score_and_by_feedback():
    praised = [replace(seen, feedback="up" if number % 2 else "down") for number, seen in enumerate(AFTER)]
    found = recalibrate(whole(after=praised), Wanted(decides="answers", **FEW))
    assert found.judged == {"canaries": 120, "feedback": 210}
    assert found.labelled is not None
    assert found.labelled.n == 120 + 420


def test_labels_of_documents_become_labels_of_answers():
    labels = [Label(f"q{n // 2}", 0.2 + 0.1 * (n % 2), bool(n % 4 == 0)) for n in range(200)]
    found = recalibrate(Material(labels=labels), Wanted(decides="answers", **FEW))
    assert found.labelled is not None
    assert found.labelled.n == 100
    assert found.labelled.measured is not None
    assert found.labelled.measured.precision == 0.5


def test_what_made_the_old_one_wrong_is_ordered_by_evidence():
    facts = (
        IndexFacts(count=5000, metric="cosine", dimension=384, model="mini-1", settings={"M": "16"}),
        IndexFacts(count=9000, metric="dot", dimension=256, model="mini-2", settings={"M": "16", "quantization": "pq"}),
    )
    found = recalibrate(
        whole(facts=facts, findings=[finding("query_drift"), finding("volume"), finding("mix", "ok")]),
        Wanted(current=0.55, decides="answers", **FEW),
    )
    assert [reason.what for reason in found.reasons] == [
        "scale",
        "kept",
        "embedder",
        "model",
        "metric",
        "dimension",
        "compression",
        "growth",
        "queries",
    ]
    sentences = {reason.what: reason.sentence for reason in found.reasons}
    assert "0.5 × what they did + 0.2, and the old 0.55 is now called 0.47" in sentences["scale"]
    assert sentences["embedder"].startswith("embedder went from mini-1 to mini-2 on 2026-05-18 00:00 UTC")
    assert sentences["metric"] == "The index says that its metric is dot; it was cosine."
    assert "quantization was none and is pq" in sentences["compression"]
    assert "grew from 5,000 to 9,000" in sentences["growth"]
    assert "parking" in sentences["queries"]


def test_nothing_is_blamed_when_nothing_changed():
    same = live(CHANGE, 7, seed=3)
    found = recalibrate(
        whole(canaries=canaries(CHANGE + DAY), after=same, changes=changes_of([*BEFORE, *same])),
        Wanted(current=0.6, **FEW),
    )
    assert found.reasons == ()
    assert found.scale is not None
    assert found.scale.unmoved
    assert found.still_good


def test_other_questions_are_warned_of():
    found = recalibrate(
        whole(canaries=(), canaries_before=(), findings=[finding("query_drift")]), Wanted(current=0.55, **FEW)
    )
    assert any("People ask other things" in warning for warning in found.warnings)
    french = live(CHANGE, 7, slope=0.5, intercept=0.2, seed=2, versions=NEW, langs=("fr",))
    found = recalibrate(whole(canaries=(), canaries_before=(), after=french), Wanted(current=0.55, **FEW))
    assert any("People ask other things" in warning for warning in found.warnings)
    assert any("other languages" in reason.sentence for reason in found.reasons)


def test_where_only_the_share_moved_labels_are_asked_for():
    unjudged = [replace(seen, relevant={}, expect_empty=False) for seen in canaries(CHANGE + DAY)]
    grown = live(CHANGE, 7, intercept=0.1, seed=2)
    found = recalibrate(whole(canaries=unjudged, after=grown), Wanted(current=0.55, decides="answers", **FEW))
    assert found.method == "same documents"
    assert found.value == pytest.approx(0.55, abs=0.003)
    assert any("only labels can say" in warning for warning in found.warnings)


def test_what_the_cut_off_dropped_is_asked_for():
    dropped = [replace(seen, hits=tuple(hit for hit in seen.hits or () if (hit.score or 0) >= 0.55)) for seen in AFTER]
    found = recalibrate(
        whole(canaries=(), canaries_before=(), after=dropped), Wanted(current=0.55, decides="answers", **FEW)
    )
    assert found.value is None
    assert any("log what the cut-off drops" in warning for warning in found.warnings)


def test_too_little_says_how_much_is_needed():
    with pytest.raises(DriftwatchError) as failed:
        recalibrate(Material(), Wanted(current=0.5))
    assert "20 of each are needed" in str(failed.value)
    assert "100 of each are needed" in str(failed.value)
    assert "--labels" in failed.value.remedy
    with pytest.raises(DriftwatchError, match="neither --current nor --keep"):
        recalibrate(whole(canaries=(), canaries_before=()), Wanted())


def test_a_share_to_keep_needs_no_old_cut_off():
    found = recalibrate(Material(after=AFTER), Wanted(keep=0.8, decides="answers", **FEW))
    assert found.method == "same share"
    assert found.empty is not None
    assert found.empty.value == pytest.approx(0.2, abs=0.01)


def test_few_days_are_compared_with_such_days():
    """On weekends people ask what scores lower; a weekend after the change is no change of the scale."""

    def weekly(observed: list[Observation]) -> list[Observation]:
        return [
            replace(seen, hits=tuple(ScoredDoc(h.doc_id, (h.score or 0) - 0.2) for h in seen.hits or ()))
            if seen.at.weekday() >= 5
            else seen
            for seen in observed
        ]

    weekend = CHANGE + timedelta(days=5)
    material = Material(before=weekly(BEFORE), after=weekly(live(weekend, 2, a_day=300, seed=9)))
    found = recalibrate(material, Wanted(current=0.45, decides="answers", **FEW))
    assert found.value == pytest.approx(0.45, abs=0.015)


def test_versions_that_changed_are_found_with_their_time():
    seen = [Observation(MONDAY + n * DAY, "live", f"q{n}", versions=OLD if n < 5 else NEW) for n in range(10)]
    (change,) = changes_of(reversed(seen))
    assert (change.what, change.before, change.after, change.at) == ("embedder", "mini-1", "mini-2", MONDAY + 5 * DAY)
    assert changes_of(seen[:5]) == ()


def test_a_roll_out_ends_when_the_old_version_is_last_seen():
    order = [OLD, OLD, NEW, OLD, NEW, NEW]
    seen = [Observation(MONDAY + n * DAY, "live", f"q{n}", versions=each) for n, each in enumerate(order)]
    (change,) = changes_of(seen)
    assert change.at == MONDAY + 4 * DAY


def test_two_sources_that_call_one_model_by_two_names_saw_no_change():
    live_says = [Observation(MONDAY + n * DAY, "live", f"q{n}", versions={"embedder": "mini"}) for n in range(4)]
    service_says = [
        Observation(MONDAY + n * DAY, "canaries", f"c{n}", versions={"embedder": "org/mini"}) for n in range(4)
    ]
    assert changes_of([*live_says, *service_says]) == ()


def test_a_roll_out_that_two_sources_see_ends_when_neither_sees_the_old_version():
    seen = [Observation(MONDAY + n * DAY, "live", f"q{n}", versions=OLD if n < 5 else NEW) for n in range(10)]
    seen += [
        Observation(MONDAY + n * DAY, "canaries", f"c{n}", versions=OLD if n < 7 else NEW) for n in range(0, 10, 2)
    ]
    (change,) = changes_of(seen)
    assert change.at == MONDAY + 7 * DAY


def test_scores_are_what_the_person_says_where_the_log_does_not():
    unsaid = {
        name: [replace(seen, score_kind="similarity") for seen in as_distance(part)]
        for name, part in (
            ("canaries", CANARIES_AFTER),
            ("canaries_before", CANARIES_BEFORE),
            ("before", BEFORE),
            ("after", AFTER),
        )
    }
    near = recalibrate(whole(changes=()), Wanted(current=0.5, **FEW))
    far = recalibrate(Material(**unsaid), Wanted(current=-0.5, score_kind="distance", **FEW))
    assert (far.value, far.interval, far.matched, far.empty) == (near.value, near.interval, near.matched, near.empty)


def test_where_the_old_cut_off_dropped_nothing_that_was_logged_no_share_says_what_to_keep():
    def logged(observed: list[Observation]) -> list[Observation]:
        return [
            replace(seen, hits=tuple(hit for hit in seen.hits or () if (hit.score or 0) >= 0.5)) for seen in observed
        ]

    material = Material(before=logged(BEFORE), after=logged(live(CHANGE, 7, intercept=-0.05, seed=2)))
    with pytest.raises(DriftwatchError, match="kept all that was logged before the change: log what it drops"):
        recalibrate(material, Wanted(current=0.5, **FEW))


def test_a_share_that_is_wanted_is_not_what_the_old_cut_off_kept():
    found = recalibrate(whole(canaries=(), canaries_before=()), Wanted(current=0.55, keep=0.8, **FEW))
    assert found.matched is not None
    assert found.matched.share == 0.8
    assert not [reason for reason in found.reasons if reason.what == "kept"]


def test_a_wanted_precision_that_cannot_be_reached_proposes_nothing():
    random = np.random.default_rng(3)
    labels = [Label(f"q{n // 5}", float(random.random()), bool(random.random() < 0.2)) for n in range(500)]
    found = recalibrate(Material(labels=labels), Wanted(Aim("precision", 0.95), **FEW))
    assert found.value is None
    assert found.method is None
    assert found.warnings[0].startswith("What is wanted cannot be reached: the most is 0.")
