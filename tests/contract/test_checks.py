"""What holds for every check kind, found by itself: adding a kind adds it here."""

import inspect
import json
import math
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftwatch.plugins import find_kind, kind_names
from driftwatch.types import TALLY_FIELDS, Finding, Look, Observation, Run, Sample, ScoredDoc, Tallies, Window
from tests.fakes.compared import days as shadowed
from tests.fakes.contents import World, with_contents
from tests.fakes.examples import examples
from tests.fakes.probed import hourly, probe
from tests.fakes.windows import (
    DAY,
    HOUR,
    MONDAY,
    run,
    same_hours,
    sample_window,
    steady_runs,
    tally_window,
    telling_canaries,
)

KINDS = kind_names("checks")
ROOT = Path(__file__).parents[2]
HEADINGS = [
    "What it asks",
    "What it reads",
    "How it judges",
    "What it says",
    "Settings",
    "When it is wrong",
    "What to do",
]
FLOORS = {"at_least", "at_most"}
COMPARED = {"runs", "sample", "tallies"}
"""What is judged against a baseline."""
NEEDS = COMPARED | {"probes", "comparisons"}
FAMILIES = {"canaries", "scores", "rates", "mix", "volume", "queries", "integrity", "migration"}


def checks(kind, **more):
    """The kind with its required settings, once for each value that they can take."""
    cls = find_kind("checks", kind)
    required = [name for name, field in cls.model_fields.items() if field.is_required() and name not in BASIC]
    assert len(required) <= 1
    if not required:
        return [cls(**BASIC, kind=kind, **more)]
    options = get_args(cls.model_fields[required[0]].annotation)
    assert options, f"{kind}.{required[0]} is required and not a choice: say here how to fill it"
    return [cls(**BASIC, kind=kind, **{required[0]: option}, **more) for option in options]


BASIC = {"name": "the check", "source": "live"}
EVERY = [pytest.param(check, id=f"{kind}-{n}") for kind in KINDS for n, check in enumerate(checks(kind))]
every_check = pytest.mark.parametrize("check", EVERY)
every_check_with_a_baseline = pytest.mark.parametrize(
    "check", [each for each in EVERY if each.values[0].needs in COMPARED]
)
every_check_without_one = pytest.mark.parametrize(
    "check", [each for each in EVERY if each.values[0].needs not in COMPARED]
)

BUSY = {"queries": 100, "results_known": 100, "empty": 3, "abstention_known": 100, "abstained": 4}
BUSY |= {"feedback_known": 40, "up": 20, "down": 5, "click": 10, "accepted": 5}


def normal(day, days, segment="all"):
    """A stretch of normal life with everything that any check reads."""
    start = MONDAY + day * DAY
    counted = tally_window(same_hours(BUSY, 24 * days), day=day)
    scores = np.random.default_rng(day).normal(0.7, 0.1, 400 * days)
    runs = tuple(replace(each, at=each.at + day * DAY) for each in steady_runs([1, 2, 3] * 10, days, 4))
    sampled = with_contents(sample_window(scores, day=day, days=days), World(today=day).days(days, 400))
    canaries = telling_canaries(day=day, days=days)
    found = shadowed(0.75, start=start + (days - 1) * DAY)
    counts = (sampled.sample, counted.tallies)
    looked = hourly(start + (days - 1) * DAY, 24)
    return Window(start, start + days * DAY, segment, 0.001, runs, *counts, canaries, comparisons=found, probes=looked)


REFERENCE, CURRENT = normal(0, 14), normal(14, 1)


def numbers(finding):
    interval = finding.interval or ()
    return [
        number
        for number in (finding.value, finding.reference, finding.effect, finding.statistic, finding.p_value, *interval)
        if number is not None
    ]


def assert_well_formed(check, window, finding):
    assert isinstance(finding, Finding)
    assert (finding.check, finding.segment, finding.at) == (check.name, window.segment, window.end)
    assert (finding.kind, finding.family) == (check.kind, check.family)
    assert finding.verdict in ("ok", "warn", "fail", "unknown")
    assert isinstance(finding.n, int)
    assert finding.n >= 0
    assert all(type(number) is float and math.isfinite(number) for number in numbers(finding)), finding
    assert all(type(value) is float and math.isfinite(value) for value in finding.state.values())
    assert all(type(query_id) is str for query_id in finding.examples)
    assert finding.p_value is None or 0 <= finding.p_value <= 1
    assert finding.interval is None or finding.interval[0] <= finding.interval[1]
    assert not finding.learning or finding.verdict == "unknown"
    json.dumps(dict(finding.details), allow_nan=False)
    assert_one_sentence(finding.message)


def assert_one_sentence(message):
    assert message == message.strip() != ""
    assert "\n" not in message
    assert not message.endswith(".")
    assert not re.search(r"[.!?] [^a-z]", message), message
    assert len(message) < 400
    assert "nan" not in message.lower().split()


@every_check
def test_normal_life_is_ok(check):
    finding = check.judge(CURRENT, REFERENCE, None)
    assert finding.verdict == "ok", finding.message
    assert_well_formed(check, CURRENT, finding)


@every_check
@pytest.mark.parametrize(
    "reference", [None, REFERENCE, Window(MONDAY, MONDAY + 14 * DAY)], ids=["none", "full", "empty"]
)
def test_an_empty_window_is_never_ok(check, reference):
    empty = Window(CURRENT.start, CURRENT.end)
    finding = check.judge(empty, reference, None)
    assert finding.verdict in ("unknown", "fail")
    assert_well_formed(check, empty, finding)


@every_check_with_a_baseline
def test_an_empty_baseline_is_never_ok(check):
    finding = check.judge(CURRENT, Window(MONDAY, MONDAY + 14 * DAY), None)
    assert finding.verdict == "unknown"
    assert_well_formed(check, CURRENT, finding)


@every_check_with_a_baseline
def test_without_a_baseline_it_is_learning(check):
    finding = check.judge(CURRENT, None, None)
    assert finding.learning
    assert_well_formed(check, CURRENT, finding)


@every_check_without_one
def test_what_is_found_by_experiment_is_judged_from_the_first_minute(check):
    assert check.judge(CURRENT, None, None) == check.judge(CURRENT, REFERENCE, None)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_baseline_an_absolute_floor_judges(kind):
    fields = find_kind("checks", kind).model_fields
    for name in FLOORS & set(fields):
        broken, kept = (0, 1) if name == "at_most" else (1, 0.01 if kind == "canary" else 1)
        if kind == "volume":
            broken = 10**9
        lost = replace(CURRENT, runs=(run([None] * 30, CURRENT.start),))
        assert all(check.judge(lost, None, None).verdict == "fail" for check in checks(kind, **{name: broken}))
        assert all(check.judge(CURRENT, None, None).verdict == "ok" for check in checks(kind, **{name: kept}))


@every_check
def test_a_judgement_repeats_itself_and_changes_nothing(check):
    current, reference = normal(15, 1), normal(1, 13)
    first = check.judge(current, reference, None)
    assert check.judge(current, reference, None) == first
    assert check.judge(normal(15, 1), normal(1, 13), None) == first
    assert np.array_equal(current.sample.scores, normal(15, 1).sample.scores)
    assert np.array_equal(current.tallies.counts, normal(15, 1).tallies.counts)
    assert current.runs == normal(15, 1).runs


@every_check
def test_the_segment_is_handed_through_and_not_looked_at(check):
    german = normal(14, 1, segment="de")
    finding = check.judge(german, REFERENCE, None)
    assert finding == replace(check.judge(CURRENT, REFERENCE, None), segment="de")


@pytest.mark.parametrize("kind", KINDS)
def test_a_warning_never_pages(kind):
    quiet = Window(CURRENT.start, CURRENT.end, runs=(run([None] * 30, CURRENT.start),))
    for check in checks(kind, severity="warn"):
        assert check.judge(quiet, REFERENCE, None).verdict in ("warn", "unknown")
        assert check.judge(replace(CURRENT, alpha=1.0), REFERENCE, None).verdict != "fail"


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_says_what_it_needs_and_documents_itself(kind):
    cls = find_kind("checks", kind)
    assert cls.needs in NEEDS
    assert cls.family in FAMILIES
    assert isinstance(cls.pools, bool)
    assert re.search(r"^ *Effect: \S", cls.__doc__ or "", re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_explained_in_its_class(kind):
    cls = find_kind("checks", kind)
    source = Path(inspect.getfile(cls)).read_text("utf-8")
    for name in set(cls.__annotations__) & set(cls.model_fields) - {"kind"}:
        assert re.search(rf'^    {name}: .*?\n(    [^"\n]*\n)*?    """', source, re.MULTILINE), (
            f"{name} has no sentence"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_page_with_the_same_headings(kind):
    page = ROOT / "docs" / "checks" / f"{kind}.md"
    text = page.read_text("utf-8")
    assert text.startswith(f"# {kind}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert re.search(r"<!-- settings -->.*<!-- /settings -->", text, re.DOTALL)
    sections = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(len(section.split()) >= 5 for section in sections)


# --- anything at all -----------------------------------------------------------------------------------------------

document_ids = st.sampled_from(["a", "b", "c", "d"])
scores = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))
observations = st.builds(
    Observation,
    at=st.just(CURRENT.start),
    source=st.just("live"),
    query_id=st.sampled_from([f"q{number}" for number in range(30)]),
    hits=st.one_of(st.none(), st.lists(st.builds(ScoredDoc, document_ids, scores), max_size=4).map(tuple)),
    relevant=st.dictionaries(document_ids, st.integers(-1, 3), max_size=3),
    expect_empty=st.booleans(),
    error=st.one_of(st.none(), st.text(max_size=30).filter(lambda text: "nan" not in text.lower())),
    digest=st.sampled_from(["1", "2"]),
    attempt=st.integers(0, 1),
)


@st.composite
def runs(draw):
    times = draw(st.lists(st.integers(0, 24 * 14), max_size=4, unique=True))
    return tuple(
        Run(
            str(hour),
            "live",
            MONDAY + hour * HOUR,
            "suite",
            tuple(draw(st.lists(observations, max_size=30))),
            draw(st.frozensets(document_ids)),
        )
        for hour in sorted(times)
    )


@st.composite
def samples(draw):
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, k = draw(st.sampled_from([0, 1, 3, 60, 400])), draw(st.integers(0, 3))
    vectors = World(today=n).day(n) if draw(st.booleans()) else np.tile(np.eye(1, 32), (n, 1))
    values = random.choice([np.nan, np.inf, -np.inf, 0.0, 0.5, 1e30, -3.0], (n, k)).astype(np.float32)
    if draw(st.booleans()):
        values = random.normal(draw(st.sampled_from([0.0, 0.7])), 0.1, (n, k)).astype(np.float32)
    hours = np.sort(random.integers(0, 24 * 14, n)).astype("timedelta64[h]")
    sample = Sample(
        np.array([str(number) for number in range(n)], dtype=np.str_),
        np.datetime64("2026-05-04", "us") + hours,
        random.choice(["en", "de"], n).astype(np.str_),
        random.integers(0, max(1, draw(st.sampled_from([1, 5, 400]))), n),
        random.choice([1.0, 2.5, 1e6], n),
        values,
    )
    embedded = random.random(n) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return with_contents(Window(MONDAY, MONDAY + DAY, sample=sample), vectors, embedded=embedded).sample


@st.composite
def tallies(draw):
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    n = draw(st.sampled_from([0, 1, 24, 400]))
    largest = draw(st.sampled_from([1, 20, 10_000, 10**8]))
    return Tallies(
        np.sort(np.datetime64("2026-05-04", "h") + random.integers(0, 24 * 16, n).astype("timedelta64[h]")),
        random.choice(["en", "de", "und", "x y"], n).astype(np.str_),
        random.integers(0, largest, (n, len(TALLY_FIELDS))) * random.integers(0, 2, (1, len(TALLY_FIELDS))),
    )


@st.composite
def looks(draw):
    names = ["facts", "stored_vectors", "finds_itself", "recall_of_the_index", "missing_documents", "texts", "service"]
    values = ["known", "listed", "recall@1", "recall@10", "spread", "usual recall", "latency", "usual latency"]
    found = {}
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        n = draw(st.sampled_from([0, 1, 8, 64, 10**6]))
        bad = draw(st.integers(0, n))
        numbers = draw(st.dictionaries(st.sampled_from(values), st.floats(0, 1e4), max_size=4))
        said = [{}, {"kind": "other model", "kinds": "other model: 3"}, {"error": "Timed out.  No"}]
        words = draw(st.sampled_from(said))
        unable = draw(st.sampled_from(["", "", "it cannot.  Nothing to see"]))
        found[name] = Look(n, bad, ("doc-1",) * (bad > 0), {"de": (n, bad)}, numbers, words, "it is not", unable)
    return found


@st.composite
def windows(draw):
    start = MONDAY + draw(st.integers(0, 24 * 14)) * HOUR
    length = draw(st.sampled_from([timedelta(minutes=20), HOUR, 6 * HOUR, DAY, 7 * DAY]))
    alpha = draw(st.sampled_from([1e-12, 0.001, 0.5]))
    found = draw(st.sampled_from([(), shadowed(0), shadowed(1, {"de": 40}), shadowed(8)]))
    looked = tuple(probe(start + number * HOUR, **draw(looks())) for number in range(draw(st.integers(0, 3))))
    counts = (draw(samples()), draw(tallies()))
    return Window(start, start + length, "all", alpha, draw(runs()), *counts, comparisons=found, probes=looked)


@every_check
@given(data=st.data())
@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_window_at_all_gives_a_well_formed_finding(check, data):
    current = data.draw(windows())
    reference = data.draw(st.one_of(st.none(), windows(), st.just(REFERENCE)))
    previous = check.judge(CURRENT, REFERENCE, None) if data.draw(st.booleans()) else None
    finding = check.judge(current, reference, previous)
    assert_well_formed(check, current, finding)
