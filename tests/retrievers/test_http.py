from __future__ import annotations

import gc
import logging
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from driftwatch.errors import RetrieverError
from driftwatch.retrievers._exchange import retry_after
from driftwatch.retrievers.http import Http
from driftwatch.types import Query, Reply, ScoredDoc
from tests.fakes.search_service import (
    Act,
    SearchService,
    answers,
    drip,
    echoes,
    hang,
    html,
    huge,
    redirect,
    reset,
    says,
    sends,
    slowly,
    status,
)

pytestmark = pytest.mark.process

HOSTILE = 'a "quoted" {top_k} {query} \\ \n </script> ünï 日本語 {"x": 1}'


opened: list[Http] = []


@pytest.fixture
def service() -> Iterator[SearchService]:
    with SearchService() as running:
        yield running
    while opened:
        opened.pop().close()


def http(service: SearchService, **settings: Any) -> Http:
    opened.append(Http(kind="http", **{"url": service.url, "retries": 0, **settings}))
    return opened[-1]


def ask(retriever: Http, text: str = "where is my parcel", lang: str = "en") -> Reply:
    (reply,) = retriever.search([Query("q1", text, lang)])
    return reply


def queries(count: int) -> list[Query]:
    return [Query(f"q{number}", f"text {number}") for number in range(count)]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- what is sent -----------------------------------------------------------------------------------------------


def test_without_a_template_the_query_and_top_k_are_posted(service: SearchService) -> None:
    service.does(answers("doc-1", "doc-2"))
    reply = ask(http(service, top_k=7))
    assert reply.hits == (ScoredDoc("doc-1", 0.9), ScoredDoc("doc-2", 0.8))
    assert service.asked[0].method == "POST"
    assert service.asked[0].body == {"query": "where is my parcel", "top_k": 7}


def test_a_body_template_keeps_values_as_values(service: SearchService) -> None:
    body = {"q": {"text": "{query}", "size": "{top_k}"}, "tags": ["lang:{lang}", "{{query}}"], "rerank": True}
    ask(http(service, body=body, top_k=3), HOSTILE, "de")
    assert service.asked[0].body == {
        "q": {"text": HOSTILE, "size": 3},
        "tags": ["lang:de", "{query}"],
        "rerank": True,
    }


def test_params_make_it_a_get_request_and_are_escaped(service: SearchService) -> None:
    ask(http(service, params={"q": "{query}", "k": "{top_k}", "lang": "{lang}"}), "a&b=c #d", "fr")
    assert service.asked[0].method == "GET"
    assert service.asked[0].params == {"q": "a&b=c #d", "k": "20", "lang": "fr"}


def test_a_get_without_params_sends_the_usual_ones(service: SearchService) -> None:
    ask(http(service, method="GET"), "x")
    assert service.asked[0].params == {"query": "x", "top_k": "20"}


def test_a_query_in_the_path_cannot_leave_its_place(service: SearchService) -> None:
    ask(http(service, url=service.origin + "/find/{query}/now", method="GET"), "../admin?x=1")
    assert service.asked[0].path == "/find/..%2Fadmin%3Fx%3D1/now"


def test_the_token_is_sent_as_a_bearer(service: SearchService) -> None:
    ask(http(service, token="s3cret"))
    assert service.asked[0].headers["authorization"] == "Bearer s3cret"


def test_another_header_can_be_the_proof(service: SearchService) -> None:
    ask(http(service, auth={"header": "X-Api-Key", "value": "k3y"}, headers={"X-Tenant": "acme"}))
    assert service.asked[0].headers["x-api-key"] == "k3y"
    assert service.asked[0].headers["x-tenant"] == "acme"


def test_the_secret_of_a_header_may_lie_in_a_file(service: SearchService, tmp_path: Any) -> None:
    (tmp_path / "key").write_text("from-file\n")
    ask(http(service, auth={"header": "X-Api-Key", "value_file": str(tmp_path / "key")}))
    assert service.asked[0].headers["x-api-key"] == "from-file"


# --- what is understood -----------------------------------------------------------------------------------------

ONE = (ScoredDoc("a", 0.5),)


@pytest.mark.parametrize(
    "answer",
    [
        {"results": [{"id": "a", "score": 0.5}]},
        {"hits": [{"doc_id": "a", "similarity": 0.5}]},
        {"documents": [{"id": "a", "score": 0.5, "content": "text"}]},
        {"matches": [{"id": "a", "score": 0.5, "values": []}], "namespace": ""},
        {"took": 3, "hits": {"total": {"value": 1}, "hits": [{"_id": "a", "_score": 0.5, "_source": {}}]}},
        {"result": {"points": [{"id": "a", "score": 0.5, "payload": {}}]}, "status": "ok"},
        {"result": [{"id": "a", "score": 0.5}]},
        {"response": {"docs": [{"id": "a", "score": 0.5}]}},
        {"data": {"items": [{"documentId": "a", "relevance_score": 0.5}]}},
        {"results": [{"document": {"id": "a", "text": "…"}, "score": 0.5}]},
        {"results": [{"metadata": {"doc_id": "a"}, "distance": 0.5}]},
        [{"id": "a", "score": "0.5"}],
    ],
)
def test_common_shapes_are_recognised(service: SearchService, answer: Any) -> None:
    service.does(says(answer))
    assert ask(http(service)).hits == ONE


def test_an_empty_list_is_an_empty_result_and_no_error(service: SearchService) -> None:
    service.does(says({"results": []}))
    assert ask(http(service)) == Reply((), latency_ms=pytest.approx(0, abs=10_000))  # type: ignore[arg-type]


def test_whole_numbers_are_ids_too(service: SearchService) -> None:
    service.does(says({"results": [7, 8]}))
    assert ask(http(service)).hits == (ScoredDoc("7"), ScoredDoc("8"))


def test_paths_say_where_hits_ids_and_scores_are(service: SearchService) -> None:
    service.does(says({"out": [{"key": {"doc": "a"}, "values": {"cos": 0.5}, "id": "not-this"}]}))
    assert ask(http(service, hits="out", ids="key.doc", scores="values.cos")).hits == ONE


def test_ids_and_scores_may_be_two_lists_side_by_side(service: SearchService) -> None:
    service.does(says({"ids": [["a", "b"]], "distances": [[0.1, 0.2]], "documents": [["text", "text"]]}))
    reply = ask(http(service, ids="ids[0]", scores="distances[0]", score_kind="distance"))
    assert reply.hits == (ScoredDoc("a", 0.1), ScoredDoc("b", 0.2))


def test_no_more_than_top_k_hits_are_taken(service: SearchService) -> None:
    service.does(answers("a", "b", "c"))
    assert len(ask(http(service, top_k=2)).hits or ()) == 2


def test_abstention_and_versions_are_read(service: SearchService) -> None:
    service.does(says({"results": [], "status": "refused", "build": {"index": 42}}))
    reply = ask(http(service, abstained="status == 'refused'", versions={"index": "build.index", "prompt": "nope"}))
    assert reply.abstained is True
    assert reply.versions == {"index": "42"}


# --- what goes wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "settings", "words"),
    [
        (html(), {}, "answered HTML instead of JSON (status 200, starts '<html>')"),
        (sends(b"OK"), {}, "answered what is not JSON (status 200, starts 'OK')"),
        (sends(b'{"results": [{"id": "a"'), {}, "answered what is not JSON (status 200, starts '{\"results\":')"),
        (sends(b"\xff\xfe\x00"), {}, "answered what is not JSON"),
        (sends(b'{"results": [{"id": "a", "score": NaN}]}'), {}, "answered what is not JSON"),
        (sends(b""), {}, "answered nothing at all (status 200)"),
        (status(500, "index\n not loaded"), {}, "status 500: index not loaded"),
        (html(502), {}, "status 502: HTML that starts '<html>'"),
        (status(401), {}, "status 401. Check 'token' or 'auth'"),
        (status(404, "no such route"), {}, "status 404: no such route"),
        (redirect("https://sso.example/login?q=private"), {}, "redirect (307) to https://sso.example/login. Set 'url'"),
        (redirect("https://sso.example:99999/login"), {}, "redirect (307) to what is no address. Set 'url'"),
        (redirect("https://[sso/login"), {}, "redirect (307) to what is no address. Set 'url'"),
        (says([{"id": None}]), {"ids": "join('-', [id])"}, "a JMESPath of the settings does not fit the answer"),
        (says([{"id": "a"}]), {"hits": "first(@)"}, "does not fit the answer: Unknown function: first()"),
        (status(429, "wait", headers={"Retry-After": "\u00b2"}), {"retries": 0}, "status 429: wait"),
        (says({"took": 3, "answer": "x"}), {}, "no list of hits that is recognised; it has keys: took, answer"),
        (says({"results": None}), {}, "no list of hits that is recognised; it has keys: results"),
        (says({"a": 1, "b": 2}), {"hits": "hits"}, "the answer has no list at 'hits'; it has keys: a, b"),
        (says({"hits": {"x": 1}}), {"hits": "hits"}, "no list at 'hits' (there is an object); it has keys: hits"),
        (says("fine"), {}, "it is 'fine'. Set 'hits'"),
        (says({"results": [{"id": "a"}, {"text": "x"}]}), {}, "hit 2 has no id (looked for id, doc_id, _id"),
        (says({"results": [{"id": "a"}]}), {"hits": "results", "ids": "key"}, "hit 1 has no id at 'key'; it has keys:"),
        (says({"results": [{"id": {"x": 1}}]}), {}, "the id of hit 1 is an object"),
        (says({"results": [{"id": "a", "score": "high"}]}), {}, "the score of hit 1 is 'high', not a number"),
        (says({"results": [{"id": "a", "score": True}]}), {}, "the score of hit 1 is True, not a number"),
        (says({"i": ["a", "b"], "s": [1]}), {"ids": "i", "scores": "s"}, "the answer has 2 ids and 1 scores"),
        (says({"results": [], "no": "yes"}), {"abstained": "no"}, "'no' is 'yes', not true or false"),
        (huge(50_000), {"max_body": "10 kB"}, "the answer is larger than 0.01 MB"),
        (reset(), {}, "the connection broke before the answer was complete"),
        (hang(), {"timeout": "0.2s"}, "timed out after 0.2s"),
        (drip(0.02), {"timeout": "0.2s"}, "timed out after 0.2s"),
        (slowly(1, answers("a")), {"timeout": "0.2s"}, "timed out after 0.2s"),
    ],
)
def test_a_query_without_a_proper_answer_is_not_asked_and_says_why(
    service: SearchService, act: Act, settings: dict[str, Any], words: str
) -> None:
    service.does(act)
    reply = ask(http(service, **settings))
    assert reply.hits is None
    assert words in (reply.error or "")


def test_a_service_that_is_down_is_named(service: SearchService) -> None:
    port = closed_port()
    reply = ask(http(service, url=f"http://127.0.0.1:{port}/retrieve"))
    assert reply.error == f"connection refused at http://127.0.0.1:{port}"


def test_a_host_that_does_not_exist_is_named(service: SearchService) -> None:
    reply = ask(http(service, url="http://search.invalid/retrieve"))
    assert "search.invalid" in (reply.error or "")
    assert reply.hits is None


def test_a_host_that_can_be_none_is_named(service: SearchService) -> None:
    replies = http(service, url="http://search..internal/retrieve").search(queries(3))
    assert {reply.error for reply in replies} == {"the host name 'search..internal' cannot be resolved"}


def test_a_flaky_service_is_asked_again(service: SearchService) -> None:
    service.does(status(503), reset(), answers("a"))
    assert ask(http(service, retries=2)).hits == (ScoredDoc("a", 0.9),)
    assert len(service.asked) == 3


def test_a_wrong_question_is_not_repeated(service: SearchService) -> None:
    service.does(status(400, "bad filter"))
    assert ask(http(service, retries=5)).error == "status 400: bad filter"
    assert len(service.asked) == 1


def test_a_busy_service_is_waited_for_as_long_as_it_asks(service: SearchService) -> None:
    service.does(status(429, headers={"Retry-After": "1"}), answers("a"))
    began = time.monotonic()
    assert ask(http(service, retries=1)).hits
    assert 1 <= time.monotonic() - began < 3


def test_a_service_that_asks_for_an_hour_is_not_waited_for(service: SearchService) -> None:
    service.does(status(429, "slow down", headers={"Retry-After": "3600"}))
    assert ask(http(service, retries=5)).error == "status 429: slow down (asks to be left alone for 3600s)"
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Sat, 21 Nov 2026 10:00:30 GMT", 30.0), ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0), ("soon", None)],
)
def test_retry_after_is_read_as_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(header, datetime(2026, 11, 21, 10, tzinfo=UTC)) == seconds


def test_a_dead_service_costs_seconds_for_hundreds_of_queries() -> None:
    retriever = Http(kind="http", url=f"http://127.0.0.1:{closed_port()}/", retries=2)
    began = time.monotonic()
    replies = retriever.search(queries(500))
    retriever.close()
    assert time.monotonic() - began < 8
    assert len(replies) == 500
    assert {reply.error for reply in replies} == {f"connection refused at {retriever.url.rstrip('/')}"}


def test_a_hanging_service_is_given_up(service: SearchService) -> None:
    service.does(hang())
    retriever = http(service, timeout="0.2s", retries=2)
    began = time.monotonic()
    replies = retriever.search(queries(300))
    assert time.monotonic() - began < 3
    assert {reply.error for reply in replies} == {"timed out after 0.2s"}
    assert len(service.asked) < 15


def test_a_service_that_fails_each_query_is_still_asked_each_of_them_once(service: SearchService) -> None:
    service.does(status(500, "boom"))
    retriever = http(service, retries=1)
    assert all(reply.error == "status 500: boom" for reply in retriever.search(queries(60)))
    assert 60 <= len(service.asked) <= 75


def test_one_bad_query_does_not_spoil_the_others(service: SearchService) -> None:
    service.does(answers("a"), status(400), answers("b"))
    replies = http(service, concurrency=1).search(queries(3))
    assert [reply.error for reply in replies] == [None, "status 400", None]


def test_replies_keep_the_order_of_the_queries(service: SearchService) -> None:
    service.does(slowly(0.15, echoes()), echoes())
    replies = http(service, concurrency=8).search(queries(40))
    assert [reply.hits[0].doc_id for reply in replies if reply.hits] == [f"text {number}" for number in range(40)]


def test_connections_are_kept_open_between_runs(service: SearchService) -> None:
    retriever = http(service, concurrency=1)
    retriever.search(queries(5))
    retriever.search(queries(5))
    assert service.connections == 1


def test_closing_stops_what_is_being_asked(service: SearchService) -> None:
    service.does(status(503, headers={"Retry-After": "20"}))
    retriever = http(service, retries=5, timeout="1s")  # so long may take what is under way
    done: list[list[Reply]] = []
    thread = threading.Thread(target=lambda: done.append(retriever.search(queries(20))))
    thread.start()
    while not service.asked:
        time.sleep(0.01)
    began = time.monotonic()
    retriever.close()
    thread.join(15)
    assert time.monotonic() - began < 10, "it waited out its retries, 20 s each"
    assert all(reply.hits is None for reply in done[0])


def test_a_client_that_is_closed_while_others_connect_leaves_nothing_open(service: SearchService) -> None:
    """That it leaves something is a matter of chance: without ``Lent``, one time in twenty."""
    gc.collect()
    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(40):
            before = len(service.asked)
            retriever = http(service, retries=0)
            thread = threading.Thread(target=retriever.search, args=[queries(20)])
            thread.start()
            while len(service.asked) == before:
                pass
            retriever.close()
            thread.join()
        opened.clear()
        del retriever, thread
        gc.collect()
    assert unclosed == []


# --- secrets ----------------------------------------------------------------------------------------------------


def test_credentials_are_not_carried_to_another_host(service: SearchService) -> None:
    with SearchService() as other:
        service.does(redirect(other.url))
        reply = ask(http(service, token="s3cret"))
        assert other.asked == []
    assert "redirect" in (reply.error or "")


def test_a_secret_that_the_service_repeats_is_hidden(service: SearchService) -> None:
    service.does(status(403, "the key k3y-123 and the token s3cret are unknown"))
    reply = ask(http(service, token="s3cret", headers={"X-Key": "k3y-123"}))
    assert reply.error == "status 403: the key *** and the token *** are unknown. Check 'token' or 'auth'"


@pytest.mark.parametrize("before", [100, 140, 150])
def test_a_secret_that_is_cut_off_is_hidden_as_well(service: SearchService, before: int) -> None:
    secret = "sk-0123456789-abcdefghij-0123456789-abcdefghij"
    service.does(status(400, f"{'x' * before} {secret} and so on, {'y' * 100}"))
    error = ask(http(service, token=secret)).error or ""
    assert "***" in error
    assert "sk-0" not in error


def test_secrets_and_queries_do_not_reach_the_log(service: SearchService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    retriever = http(service, token="s3cret", params={"q": "{query}"})
    ask(retriever, "my private question")
    assert "s3cret" not in caplog.text + repr(retriever)
    assert "private" not in caplog.text


# --- reach ------------------------------------------------------------------------------------------------------


def test_reach_says_what_answered(service: SearchService) -> None:
    service.does(answers("a", "b"))
    said = http(service).reach()
    assert said.startswith(f"POST {service.url} answered 2 documents in ")


def test_reach_notices_scores_that_run_the_other_way(service: SearchService) -> None:
    service.does(answers("a", "b"))
    assert "is this 'score_kind: similarity'?" in http(service, score_kind="distance").reach()


def test_reach_notices_that_there_are_no_scores(service: SearchService) -> None:
    service.does(says({"results": ["a"]}))
    assert http(service).reach().endswith("without scores")


def test_reach_raises_with_the_reason(service: SearchService) -> None:
    service.does(html())
    with pytest.raises(RetrieverError, match="HTML instead of JSON"):
        http(service).reach()


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "localhost:8000/retrieve"}, "is not a web address"),
        ({"url": "http://localhost:99999/"}, "is not a web address"),
        ({"url": "http://me:pw@localhost/"}, "a password does not belong in 'url'"),
        ({"body": {"q": "{qurey}"}}, "Did you mean '{query}'?"),
        ({"body": {"q": "static"}}, "the query is not sent"),
        ({"params": {"q": "{query}"}, "method": "GET", "body": {}}, "a GET request has no 'body'"),
        ({"hits": "results[*"}, "is not a JMESPath expression"),
        ({"hits": ""}, "is not a JMESPath expression"),
        ({"headers": {"X Key": "v"}}, "is not the name of a header"),
        ({"headers": {"X-Key": "v\r\nHost: evil"}}, "has a line break"),
        ({"token": "a", "auth": {"header": "X", "value": "b"}}, "'token' and 'auth' are both set"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"timeout": "soon"}, "is not a length of time"),
        ({"max_body": "big"}, "is not a size"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Http(kind="http", **{"url": "http://localhost/", **settings})
    assert words in str(caught.value)
