"""Every cause is found from its own evidence, and from nothing less."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from driftwatch import diagnose, vector_causes
from driftwatch.case import Asked, Case, Traffic, Watched, one_language
from driftwatch.causes import causes_of, diagnosis_of
from driftwatch.diagnose import RULES
from driftwatch.types import POOLED, Cell, Contrast, Experiment, Finding, IndexFacts, Look, Probe

NOW = datetime(2026, 5, 21, 10, tzinfo=UTC)
ROOT = Path(__file__).parents[1]
CHECKS = {
    "canary recall": Watched("canary", "canaries"),
    "scores": Watched("score_drift", "scores"),
    "abstentions": Watched("rate", "rates", "abstained"),
    "empty": Watched("rate", "rates", "empty"),
    "topics": Watched("query_drift", "queries"),
    "languages": Watched("mix", "mix"),
    "traffic": Watched("volume", "volume"),
    "index integrity": Watched("integrity", "integrity"),
}


def bad(check: str, segment: str = POOLED, **more: Any) -> Finding:
    return Finding(check, segment, NOW, "fail", f"{check} is bad", CHECKS[check].kind, CHECKS[check].family, **more)


def integrity(**looks: dict[str, Any]) -> Finding:
    seen = {name.replace("_", " "): {"verdict": "fail", "n": 64, **look} for name, look in looks.items()}
    return bad("index integrity", details={"looks": seen})


def contrast(old: str, new: str, difference: float) -> Contrast:
    return Contrast(old, new, 200, difference, (difference - 0.02, difference + 0.02))


def experiment(*contrasts: Contrast, **signs: Look) -> Experiment:
    cells = tuple(Cell(name, 200, 0.8) for name in ("service", "stored x approximate", "stored x exact"))
    return Experiment(
        NOW, "R@10", cells, contrasts, signs={name.replace("_", " "): each for name, each in signs.items()}
    )


def case(*findings: Finding, **more: Any) -> Case:
    return Case(NOW, {(each.check, each.segment): each for each in findings}, CHECKS, **more)


SERVICE_LOSES = contrast("stored x approximate", "service", -0.3)
INDEX_LOSES = contrast("stored x exact", "stored x approximate", -0.3)
COARSE = (Probe("p", "index", NOW, {}, IndexFacts(settings={"kind": "IndexIVFPQ", "compressed": "yes"})),)
DE = {"de": (50, 20), "en": (150, 0)}


def vectors(kind: str, **more: Any) -> Finding:
    return integrity(stored_vectors={"bad": 20, "ids": ["d1", "d2"], "words": {"kind": kind}, **more})


CASES: dict[str, Case] = {
    "outage": case(bad("canary recall"), asked=Asked(200, failed=150, reason="timed out after 10 s")),
    "slow service": case(integrity(service={"bad": 1, "words": {"kind": "slow"}, "sentence": "It takes 4 s."})),
    "lost documents": case(integrity(missing_documents={"bad": 20, "by": DE, "ids": ["d1"]})),
    "canary rot": case(
        bad("canary recall"),
        experiment=experiment(gone=Look(200, 6, ("d1",), values={"in source": 0.0, "not in source": 6.0})),
    ),
    "leftovers": case(integrity(orphans={"bad": 4, "ids": ["d9"]})),
    "truncated vectors": case(vectors("truncated")),
    "normalisation": case(vectors("not normalised")),
    "document prompt": case(vectors("no document prompt")),
    "empty vectors": case(vectors("no vector")),
    "mixed vectors": case(vectors("other model", by=DE)),
    "stale vectors": case(vectors("other text")),
    "quantisation": case(bad("canary recall"), probes=COARSE, experiment=experiment(INDEX_LOSES)),
    "embedder moved": case(integrity(probe_strings={"bad": 40, "sentence": "They moved by 1 %."})),
    "query prompt": case(
        bad("canary recall"),
        experiment=experiment(
            SERVICE_LOSES,
            query_side=Look(200, 150, values={"as configured": 0.5, "w": 1.0}, words={"best": "w"}),
            left_out=Look(900, 300, values={"order": 0.95}),
        ),
    ),
    "filter": case(
        bad("canary recall"),
        experiment=experiment(SERVICE_LOSES, left_out=Look(900, 300, ("d1",), DE, {"order": 0.99})),
    ),
    "query side": case(bad("canary recall"), experiment=experiment(SERVICE_LOSES)),
    "index search": case(bad("canary recall"), experiment=experiment(INDEX_LOSES)),
    "displaced": case(
        bad("canary recall"), experiment=experiment(displaced=Look(200, 12, ("n1",), values={"near-duplicates": 0.9}))
    ),
    "score scale": case(
        bad("scores"),
        experiment=experiment(scores_over_time=Look(200, 0, words={"relation": "rescaled"}, values={"slope": 0.5})),
    ),
    "model mismatch": case(bad("topics"), bad("abstentions"), lasting={"topics": 9.0}, experiment=experiment()),
    "new language": case(bad("languages", details={"largest_change": "de"})),
    "new topic": case(bad("topics", "de", examples=("q1",))),
    "bot": case(bad("traffic"), traffic=Traffic(6.0, 1.5, "q1", 0.4)),
    "generator": case(bad("abstentions", "de")),
    "season": case(bad("traffic")),
    "deployment": case(bad("canary recall"), asked=Asked(200, versions={"embedder": ("1", "2")})),
}


def names(evidence: Case) -> list[str]:
    return [cause.name for cause in causes_of(RULES, evidence)]


@pytest.mark.parametrize("cause", CASES)
def test_a_cause_is_found_by_its_own_evidence_and_alone(cause: str):
    assert names(CASES[cause]) == [cause]


def test_every_cause_that_a_rule_can_name_has_a_case_here_and_a_page():
    source = "".join(Path(module.__file__ or "").read_text("utf-8") for module in (diagnose, vector_causes))
    named = set(re.findall(r'(?:Cause|of_vectors)\(\s*"([a-z ]+)"', source))
    named |= {row[0] for row in vector_causes.MADE_OTHERWISE.values()}
    assert named == set(CASES)
    pages = {path.stem.replace("-", " ") for path in (ROOT / "docs/causes").glob("*.md")} - {"README"}
    assert pages == named


@pytest.mark.parametrize("cause", CASES)
def test_the_page_of_a_cause_says_what_shows_it_what_to_do_and_what_it_is_not(cause: str):
    page = (ROOT / "docs/causes" / f"{cause.replace(' ', '-')}.md").read_text("utf-8")
    assert re.findall(r"^#+ (.*)$", page, re.M) == [cause, "What shows it", "What to do", "What it is not"]
    assert f"[{cause}]({cause.replace(' ', '-')}.md)" in (ROOT / "docs/causes/README.md").read_text("utf-8")


def test_nothing_known_names_no_cause():
    assert names(case()) == []
    assert diagnosis_of((), case(), ()).cause == "unknown"


def test_evidence_of_two_causes_names_both():
    both = case(integrity(missing_documents={"bad": 20}, probe_strings={"bad": 40}))
    assert names(both) == ["embedder moved", "lost documents"]


def test_an_embedder_that_changed_makes_every_stored_vector_look_wrong_and_hides_no_true_mixture() -> None:
    moved = {"bad": 40, "sentence": "They moved by half."}
    wrong = {"ids": ["d1"], "words": {"kind": "other model"}}
    everything = integrity(probe_strings=moved, stored_vectors={"bad": 64, **wrong})
    assert names(case(everything)) == ["embedder moved"]
    some = integrity(probe_strings=moved, stored_vectors={"bad": 7, **wrong})
    assert names(case(some)) == ["mixed vectors", "embedder moved"]


def test_what_a_cause_brings_with_it_is_not_said_again():
    mixed = replace(CASES["displaced"], findings={**CASES["displaced"].findings, **CASES["mixed vectors"].findings})
    assert names(mixed) == ["mixed vectors"]


def test_a_diagnosis_explains_the_alerts_of_its_language_and_of_the_whole_only():
    evidence = CASES["lost documents"]
    places = [("canary recall", "canaries", each) for each in ("de", "fr", POOLED)]
    told = diagnosis_of(causes_of(RULES, evidence), evidence, places)
    assert told.segment == "de"
    assert told.documents == ("d1",)
    assert told.silences == (("canary recall", POOLED), ("canary recall", "de"))


def test_half_of_the_canaries_unanswered_is_an_outage_and_fewer_are_not():
    assert names(case(asked=Asked(200, failed=60, empty=40))) == ["outage"]
    assert names(case(asked=Asked(200, failed=99))) == []


def test_documents_that_are_gone_at_the_source_too_are_not_lost():
    kept, gone, unknown = {"in source": 6.0, "not in source": 0.0}, {"in source": 0.0, "not in source": 6.0}, {}
    for n, values, cause in ((60, kept, "lost documents"), (60, gone, "canary rot"), (60, unknown, "lost documents")):
        seen = experiment(gone=Look(n, 6, values=values))
        assert names(case(bad("canary recall"), experiment=seen)) == [cause]


def test_of_documents_that_are_gone_only_those_that_the_source_has_are_lost():
    gone = Look(200, 42, ("d1", "d2"), DE, {"in source": 2.0, "not in source": 40.0})
    lost, rot = causes_of(RULES, case(bad("canary recall"), experiment=experiment(gone=gone)))
    assert (lost.name, lost.segment, lost.documents) == ("lost documents", "", ())
    assert lost.sentence.startswith("2 of 200 ")
    assert rot.sentence.startswith("40 of 200 ")


def test_a_change_of_version_is_told_with_the_day_since_when():
    asked = Asked(200, versions={"embedder": ("1", "2")}, changed_at=NOW)
    (cause,) = causes_of(RULES, case(bad("canary recall"), asked=asked))
    assert cause.sentence == "The service was changed (embedder 1 → 2; first seen 2026-05-21 10:00 UTC)."


def test_where_a_cause_was_found_that_explains_something_else_nothing_is_said_to_be_well():
    evidence = replace(CASES["lost documents"], experiment=experiment())
    told = diagnosis_of((), evidence, (), elsewhere=causes_of(RULES, evidence))
    assert told.cause == "unknown"
    assert "(lost documents) does not explain it" in told.sentence
    assert "as it should be" in diagnosis_of((), evidence, ()).sentence


def test_new_queries_in_a_new_language_are_that_before_the_mix_is_certain():
    (cause,) = causes_of(RULES, case(bad("topics"), traffic=Traffic(new_language="tr")))
    assert (cause.name, cause.segment) == ("new language", "tr")


def test_a_mix_that_one_caller_makes_is_a_bot():
    assert names(case(bad("languages"), traffic=Traffic(4.0, 1.5))) == ["bot"]


def test_an_index_that_says_it_does_not_compress_is_not_coarse():
    plain = (Probe("p", "index", NOW, {}, IndexFacts(settings={"quantization": "none"})),)
    assert names(replace(CASES["quantisation"], probes=plain)) == ["index search"]


def test_more_empty_answers_with_canaries_as_they_were_are_questions_that_no_document_answers():
    assert names(case(bad("empty"), asked=Asked(200))) == ["new topic"]
    assert names(case(bad("empty"))) == []
    assert names(case(bad("empty"), bad("canary recall"), asked=Asked(200))) == []


def test_a_change_of_version_is_no_cause_while_canaries_are_well():
    assert names(case(bad("scores"), asked=Asked(200, versions={"index": ("1", "2")}))) == []


def test_fewer_queries_with_anything_else_wrong_is_no_season():
    assert "season" not in names(case(bad("traffic"), bad("scores")))


@pytest.mark.parametrize(("since", "named"), [(0.0, False), (-0.05, False), (-0.2, True), (-0.35, True)])
def test_what_a_service_has_always_held_back_has_not_broken_now(since: float, named: bool):
    left = Look(900, 300, ("d1",), DE, {"order": 0.99})
    for name, signs in (("query side", {}), ("filter", {"left_out": left})):
        known = experiment(SERVICE_LOSES, contrast("baseline", "service", since), **signs)
        found = {cause.name for cause in causes_of(RULES, case(bad("canary recall"), experiment=known))}
        assert (name in found) is named


def test_abstentions_with_worse_canaries_are_not_the_generators():
    assert "generator" not in names(case(bad("abstentions"), bad("canary recall")))


def test_a_contrast_that_chance_explains_loses_nothing():
    doubtful = Contrast("stored x exact", "stored x approximate", 20, -0.05, (-0.12, 0.02))
    assert names(case(bad("canary recall"), experiment=experiment(doubtful))) == []


def test_one_language_must_hold_nearly_all_that_is_bad():
    assert one_language({"de": (10, 9), "en": (10, 1)}) == "de"
    assert one_language({"de": (10, 8), "en": (10, 2)}) == ""
    assert one_language({"de": (10, 9)}) == ""


def test_three_of_one_language_are_chance_where_there_are_four() -> None:
    quarter = dict.fromkeys(("en", "es", "ro"), (284, 0))
    assert one_language({"de": (284, 3), **quarter}) == ""
    assert one_language({"de": (284, 8), **quarter}) == "de"
