"""Canaries and live queries of one kind: the better the best score, the better the rank."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from driftwatch.checks._predicted import asked, depth_of, live
from driftwatch.checks.predicted_quality import PredictedQuality
from driftwatch.stats.ir import Measure
from driftwatch.types import PERTURBED, POOLED, Sample, ScoredDoc, Window
from tests.fakes.windows import DAY, MONDAY, run, sample_window, telling, telling_canaries, telling_canary

pytestmark = pytest.mark.process

NDCG = Measure("nDCG", 10)


def check(**settings):
    return PredictedQuality(name="quality", source="live", **settings)


def tops(n, seed, lower=0.0):
    return np.random.default_rng(seed).normal(0.7, 0.1, n) - lower


def traffic(day=14, days=1, *, a_day=300, lower=0.0, lang="en", scale=1.0, unit=None, canaries=None):
    """Live queries whose best scores are ``lower`` than usual, and the canaries that were asked meanwhile."""
    scores = np.array([telling(top, 0.0, scale=scale)[1] for top in tops(a_day * days, day, lower)])
    made = sample_window(scores, day=day, days=days, unit=unit)
    sample = replace(made.sample, lang=np.full(len(scores), lang))
    asked_now = telling_canaries(day=day, days=days) if canaries is None else canaries
    return replace(made, sample=sample, canaries=asked_now)


def together(*windows):
    """Windows of the same time as one."""
    parts = [window.sample for window in windows]
    order = np.argsort(np.concatenate([part.at for part in parts]), kind="stable")
    columns = [np.concatenate(column)[order] for column in _joined(parts)]
    runs = zip(*(window.canaries.runs for window in windows), strict=True)
    merged = tuple(run([seen for each in same for seen in each.observations], same[0].at) for same in runs)
    canaries = replace(windows[0].canaries, runs=merged)
    return replace(windows[0], sample=Sample(*columns), canaries=canaries)


def _joined(parts):
    """The columns of samples, each with all of them."""
    return zip(*(_columns(part, number) for number, part in enumerate(parts)), strict=True)


def _columns(part, number):
    ids = np.array([f"{number}-{query_id}" for query_id in part.query_id])
    return ids, part.at, part.lang, part.unit + number * 1_000_000, part.weight, part.scores


def spoken(lang, canaries, shift=0.0, seed=0):
    """The same canaries in another language; with ``shift`` their ranks have nothing to do with their scores."""
    random = np.random.default_rng(seed)

    def translated(seen):
        hits = seen.hits
        if shift:
            ids = [hit.doc_id for hit in hits]
            random.shuffle(ids)
            hits = tuple(ScoredDoc(doc_id, hit.score) for doc_id, hit in zip(ids, hits, strict=True))
        return replace(seen, query_id=f"{lang}-{seen.query_id}", lang=lang, hits=hits)

    runs = tuple(replace(each, observations=tuple(map(translated, each.observations))) for each in canaries.runs)
    return replace(canaries, runs=runs)


BASELINE = traffic(day=0, days=14)


# --- the judgement -------------------------------------------------------------------------------------------------


def test_a_drop_that_the_scores_tell_of_is_a_warning_with_its_size():
    finding = check().judge(traffic(lower=0.08), BASELINE, None)
    assert finding.verdict == "warn"
    assert finding.effect < -0.05
    assert finding.interval[0] < finding.effect < finding.interval[1] < 0
    assert finding.value == pytest.approx(finding.reference + finding.effect)
    assert finding.n == 300
    assert finding.message.startswith(
        f"predicted nDCG@10 fell from {finding.reference:.2f} to {finding.value:.2f} over"
    )
    assert "lower than on any of 14 baseline days" in finding.message


def test_the_predicted_drop_is_about_the_true_one():
    truth = [
        np.mean([0 if rank is None else 1 / np.log2(rank + 1) for rank, _ in (telling(top, 0.0) for top in asked_for)])
        for asked_for in (tops(5000, 1), tops(5000, 1, lower=0.08))
    ]
    finding = check().judge(traffic(lower=0.08, a_day=2000), BASELINE, None)
    assert finding.effect == pytest.approx(truth[1] - truth[0], abs=0.04)


def test_scores_as_usual_are_ok_and_so_are_better_ones():
    assert check().judge(traffic(), BASELINE, None).verdict == "ok"
    better = check().judge(traffic(lower=-0.1), BASELINE, None)
    assert better.verdict == "ok"
    assert better.effect > 0.05


def test_a_drop_below_the_floor_is_ok_however_certain():
    current = traffic(lower=0.08, a_day=2000)
    finding = check(min_effect=0.9).judge(current, BASELINE, None)
    assert finding.p_value < current.alpha
    assert finding.verdict == "ok"
    assert not check(min_effect=0.9).past_floor(finding)
    assert check().past_floor(finding)


def test_the_queries_predicted_worst_are_the_examples():
    current = traffic(lower=0.08)
    finding = check().judge(current, BASELINE, None)
    best = dict(zip(current.sample.query_id.tolist(), current.sample.scores[:, 0].tolist(), strict=True))
    assert len(finding.examples) == 10
    assert max(best[query_id] for query_id in finding.examples) < np.quantile(list(best.values()), 0.1)


def test_the_details_say_what_the_predictors_are_worth():
    details = check().judge(traffic(), BASELINE, None).details
    assert set(details["predictors"]) == {"top", "gap_2", "gap_k", "nqc", "wig"}
    assert 0.5 < details["tau"] < 1
    assert 0.5 < details["pearson"] < 1
    assert details["canaries"] == 120
    assert 0.8 < details["trust"] <= 1
    assert details["level_interval"][0] < details["level_interval"][1]


# --- canaries put it right -----------------------------------------------------------------------------------------


def test_when_all_scores_move_and_no_rank_does_nothing_has_happened():
    def moved(window):
        runs = tuple(
            replace(each, observations=tuple(replace(o, hits=_lower(o.hits)) for o in each.observations))
            for each in window.runs
        )
        return replace(window, runs=runs)

    def _lower(hits):
        return tuple(ScoredDoc(hit.doc_id, hit.score - 0.08) for hit in hits)

    current = traffic()
    sample = replace(current.sample, scores=current.sample.scores - np.float32(0.08))
    misled = check().judge(replace(current, sample=sample), BASELINE, None)
    righted = check().judge(replace(current, sample=sample, canaries=moved(current.canaries)), BASELINE, None)
    assert misled.verdict == "warn"
    assert righted.verdict == "ok"
    assert abs(righted.effect) < 0.05 < -righted.details["predicted_change"]


def test_documents_that_are_lost_behind_good_scores_are_seen_by_the_canaries():
    def lost(window):
        runs = tuple(
            replace(each, observations=tuple(replace(o, relevant={"nowhere": 1}) for o in each.observations))
            for each in window.runs
        )
        return replace(window, runs=runs)

    current = traffic()
    finding = check().judge(replace(current, canaries=lost(current.canaries)), BASELINE, None)
    assert finding.verdict == "warn"
    assert abs(finding.details["predicted_change"]) < 0.03
    assert finding.effect == pytest.approx(-finding.reference, abs=0.1)


def test_canaries_have_the_share_of_their_language():
    english, german = traffic(a_day=100), traffic(a_day=900, lang="de", canaries=spoken("de", telling_canaries(day=14)))
    current = together(english, german)
    bad = spoken("de", telling_canaries(day=14, lower=0.2))
    worse = together(english, replace(german, canaries=bad))
    before = together(
        traffic(day=0, days=14), traffic(day=0, days=14, lang="de", canaries=spoken("de", telling_canaries(days=14)))
    )
    same, fallen = (check().judge(window, before, None) for window in (current, worse))
    # The German canaries measure less and their scores said so: live German queries are as they were.
    assert same.verdict == fallen.verdict == "ok"
    assert fallen.details["canaries"] == 240


# --- what it refuses -----------------------------------------------------------------------------------------------


def test_scores_that_predict_nothing_are_not_believed():
    baseline = traffic(day=0, days=14, canaries=spoken("en", telling_canaries(60), shift=1.0))
    finding = check().judge(traffic(lower=0.2), baseline, None)
    assert finding.verdict == "unknown"
    assert finding.message.startswith("the scores do not predict nDCG@10 here, tau = ")
    assert finding.message.endswith(" over 60 canaries")
    assert finding.learning  # a fact about the service, and no alert


def test_a_language_in_which_scores_predict_nothing_is_refused_and_the_other_is_not():
    canaries = [telling_canaries(days=14), spoken("ar", telling_canaries(days=14), shift=1.0)]
    baseline = together(
        *(traffic(day=0, days=14, lang=lang, canaries=each) for lang, each in zip(["en", "ar"], canaries, strict=True))
    )
    for lang, verdict in (("en", "ok"), ("ar", "unknown")):
        current = replace(traffic(lang=lang), canaries=replace(baseline.canaries, runs=baseline.canaries.runs[-1:]))
        part = replace(baseline, sample=baseline.sample.keep(baseline.sample.lang == lang))
        assert check().judge(current, part, None).verdict == verdict


def test_a_language_without_canaries_is_unknown():
    finding = check().judge(traffic(lang="ja"), traffic(day=0, days=14, lang="ja"), None)
    assert finding.verdict == "unknown"
    assert finding.message == "only 0 canaries in the languages of these queries; 20 are needed"


def test_a_log_with_scores_of_another_scale_is_unknown():
    finding = check().judge(traffic(scale=10), traffic(day=0, days=14, scale=10), None)
    assert finding.message == "100% of live queries score beyond every canary: the log has another scale"


def test_thin_silent_and_unlearnt_windows_are_unknown():
    assert "only 20 scored sessions" in check().judge(traffic(a_day=20), BASELINE, None).message
    thin = traffic(day=0, days=14, a_day=2)
    assert "only 28 scored sessions in the baseline" in check().judge(traffic(), thin, None).message
    assert check().judge(Window(MONDAY, MONDAY + DAY), BASELINE, None).message == "no queries in this window"
    unscored = replace(traffic(), sample=replace(traffic().sample, scores=np.full((300, 3), np.nan, np.float32)))
    assert "has no scores for any of 300" in check().judge(unscored, BASELINE, None).message
    assert check().judge(traffic(), None, None).learning
    assert check().judge(traffic(), replace(BASELINE, canaries=None), None).learning
    assert not check().judge(replace(traffic(), canaries=None), BASELINE, None).learning


def test_sessions_are_the_evidence_and_rows_are_not():
    unit = np.repeat(np.arange(30), 10)
    assert "only 30 scored sessions" in check().judge(traffic(unit=unit), BASELINE, None).message


def test_days_that_differ_take_evidence_away():
    restless = [traffic(day=day, lower=0.08 * (day % 2)).sample for day in range(14)]
    sample = Sample(*map(np.concatenate, _joined(restless)))
    baseline = replace(BASELINE, sample=sample)
    steady, unsteady = (check().judge(traffic(lower=0.14), each, None) for each in (BASELINE, baseline))
    assert unsteady.details["day_shift"] > 3 * steady.details["day_shift"]
    assert unsteady.interval[1] - unsteady.interval[0] > 2 * (steady.interval[1] - steady.interval[0])


def test_another_mix_of_languages_is_not_another_quality():
    def mixed(day, days, english, german):
        return together(
            traffic(day, days, a_day=english, canaries=telling_canaries(day=day, days=days)),
            traffic(
                day,
                days,
                a_day=german,
                lang="de",
                lower=0.15,
                canaries=spoken("de", telling_canaries(day=day, days=days, lower=0.15)),
            ),
        )

    finding = check().judge(mixed(14, 1, 50, 450), mixed(0, 14, 450, 50), None)
    assert finding.verdict == "ok"
    assert abs(finding.effect) < 0.05


def test_the_hours_of_the_day_are_no_change():
    def cyclic(day, days, hours=24):
        made = traffic(day, days, a_day=300)
        hour = (made.sample.at.astype("datetime64[h]").astype(int)) % 24
        scores = made.sample.scores + (0.1 * np.cos(2 * np.pi * hour / 24))[:, None].astype(np.float32)
        sample = replace(made.sample, scores=scores).keep(hour < hours)
        return replace(made, sample=sample, end=made.start + timedelta(hours=hours) if hours < 24 else made.end)

    night = replace(cyclic(14, 1, 6))
    finding = check().judge(night, cyclic(0, 14), None)
    assert finding.verdict == "ok"
    assert abs(finding.effect) < 0.04


# --- a prediction never pages --------------------------------------------------------------------------------------


def test_it_cannot_be_told_to_page():
    with pytest.raises(ValidationError, match="evidence and never a page"):
        check(severity="page")
    assert check().severity == check(severity="warn").severity == "warn"


def test_what_fails_is_a_warning_in_every_segment():
    for segment in ("en", POOLED):
        assert check().judge(replace(traffic(lower=0.3), segment=segment), BASELINE, None).verdict == "warn"


# --- what is read of canaries and log ------------------------------------------------------------------------------


def canaries(*seen, gone=()):
    return Window(MONDAY, MONDAY + DAY, runs=(run(seen, MONDAY, gone),))


def test_canaries_that_say_nothing_are_left_out():
    kept = telling_canary("kept", 0.7, 0)
    found = asked(
        canaries(
            kept,
            replace(kept, query_id="rotten", relevant={"gone": 1}),
            replace(kept, query_id="empty", hits=()),
            replace(kept, query_id="unasked", hits=None, error="timeout"),
            replace(kept, query_id="nonsense", relevant={}, expect_empty=True),
            replace(kept, query_id="unscored", hits=tuple(ScoredDoc(hit.doc_id) for hit in kept.hits)),
            gone={"gone"},
        ),
        NDCG,
        10,
    )
    assert [query_id for query_id, _ in found.keys] == ["kept"]


def test_a_distance_counts_the_other_way_round():
    near = telling_canary("near", 0.7, 0, scale=-1.0)
    found = asked(canaries(replace(near, score_kind="distance")), NDCG, 10)
    assert found.x == pytest.approx(asked(canaries(telling_canary("near", 0.7, 0)), NDCG, 10).x)


def test_a_canary_is_the_mean_of_its_runs():
    runs = tuple(run([telling_canary("c", top, 0)], MONDAY + number * DAY) for number, top in enumerate((0.6, 0.8)))
    found = asked(Window(MONDAY, MONDAY + 2 * DAY, runs=runs), NDCG, 10)
    one, other = (asked(Window(MONDAY, MONDAY + DAY, runs=(each,)), NDCG, 10) for each in runs)
    assert found.x == pytest.approx((one.x + other.x) / 2)
    assert found.quality == pytest.approx((one.quality + other.quality) / 2)


def test_the_answer_to_a_slip_of_the_pen_is_compared_and_not_measured():
    plain = telling_canary("c", 0.7, 0)
    slip = replace(plain, attempt=PERTURBED, hits=plain.hits[::-1])
    found = asked(canaries(plain, slip, telling_canary("d", 0.7, 0)), NDCG, 10)
    alone = asked(canaries(plain, telling_canary("d", 0.7, 0)), NDCG, 10)
    assert found.quality == pytest.approx(alone.quality)
    assert 0 < found.agreement[0] < 1
    assert np.isnan(found.agreement[1])


def test_the_agreement_is_shown_with_what_it_is_worth():
    def slipped(window):
        def twice(seen):
            firm = seen.hits if seen.hits[0].score > 0.7 else seen.hits[::-1]
            return seen, replace(seen, attempt=PERTURBED, hits=firm)

        runs = tuple(
            replace(each, observations=tuple(o for seen in each.observations for o in twice(seen)))
            for each in window.runs
        )
        return replace(window, runs=runs)

    baseline = replace(BASELINE, canaries=slipped(BASELINE.canaries))
    current = traffic(canaries=slipped(telling_canaries(day=14)))
    details = check().judge(current, baseline, None).details
    assert details["agreement"] == details["usual_agreement"]
    assert 0.5 < details["agreement"] < 1
    assert details["agreement_tau"] > 0.4
    assert "agreement" not in check().judge(traffic(), BASELINE, None).details


def test_canaries_are_read_as_deep_as_the_log_is():
    shallow = replace(traffic().sample, scores=traffic().sample.scores[:, :3])
    assert depth_of(shallow, 10) == 3
    assert depth_of(traffic().sample, 5) == 5
    assert depth_of(Sample.none(), 5) == 0


def test_a_session_counts_once_with_its_first_score():
    made = sample_window([[np.nan], [0.5], [0.9]], unit=[1, 1, 2])
    found = live(made.sample, 1)
    assert found.query_id.tolist() == ["query-1", "query-2"]
    assert found.x[:, 0] == pytest.approx([0.5, 0.9])
