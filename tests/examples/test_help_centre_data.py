"""Articles, canaries and traffic of the example fit together."""

import json

import pytest

from driftwatch._demo_scenario import read_scenario
from driftwatch._demo_traffic import read_phrases
from driftwatch.config import load_watch, problems
from tests.fakes.help_centre import EXAMPLE

LANGUAGES = ("en", "de", "fr")
PHRASES = read_phrases(EXAMPLE / "traffic")


def rows(folder: str, lang: str) -> list[dict]:
    return [json.loads(line) for line in (EXAMPLE / folder / f"{lang}.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_topic_that_people_ask_about_has_an_article(lang):
    articles = {row["id"].removeprefix(f"{lang}-") for row in rows("articles", lang)}
    assert set(PHRASES[lang].asks) == articles
    assert len(articles) == 40


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_canary_names_articles_that_exist(lang):
    articles = {row["id"] for row in rows("articles", lang)}
    canaries = rows("canaries", lang)
    assert len(canaries) >= 15
    assert {doc_id for row in canaries for doc_id in row["relevant"]} <= articles


@pytest.mark.parametrize("lang", LANGUAGES)
def test_canaries_are_not_simply_the_traffic(lang):
    asked = {text.casefold() for text in PHRASES[lang].everything}
    assert not [row["text"] for row in rows("canaries", lang) if row["text"].casefold() in asked]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_there_are_several_hundred_ways_to_ask(lang):
    assert len(set(PHRASES[lang].everything)) == len(PHRASES[lang].everything) > 500


def test_nobody_documented_the_new_product():
    texts = " ".join(row["text"] for lang in LANGUAGES for row in rows("articles", lang))
    assert "Fern" not in texts


def test_the_configuration_is_one_that_driftwatch_takes_without_a_remark():
    watch = load_watch(EXAMPLE / "driftwatch.yaml", {})
    assert [problem for problem in problems(watch) if problem.severity == "error"] == []
    assert watch.service == "help-centre"


def test_the_scenario_is_readable():
    scenario = read_scenario(EXAMPLE / "scenario.yaml")
    assert scenario.days == 30
    assert len(scenario.incidents) == 2
