"""A dual run through the real engine, store and configuration: what is asked, kept, judged and told."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from driftwatch.agenda import Agenda
from driftwatch.compared import ALL
from driftwatch.config import Watch, load_watch
from driftwatch.engine import Engine
from driftwatch.errors import ConfigErrors
from driftwatch.migration import kept_comparisons
from driftwatch.store import Store
from tests.fakes.search_service import SearchService, echoes, status
from tests.fakes.world import BROKEN, START, append, log_lines, make_world

pytestmark = pytest.mark.process

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHECKS = (
    "  - {name: new is worse, kind: dual_run, source: migration, of: worse, margin: 0.2, window: 4 days, days: 2}\n",
    "  - {name: new is ready, kind: dual_run, source: migration, of: ready, margin: 0.2, window: 4 days, days: 2}\n",
)
NEW = """  migration:
    kind: dual_run
    every: 6h
    canaries: canaries
    queries: {queries}
    k: 5
    retriever: {retriever}
"""
PYTHON = '{kind: python, callable: "tests.sources.new_search:search", top_k: 5}'


@pytest.fixture(autouse=True)
def whole() -> Iterator[None]:
    yield
    BROKEN.clear()


def world(folder: Path, retriever: str, *, queries: int = 0, live: bool = False):
    """The project of ``tests.fakes.world`` with a dual run of ``retriever``."""
    extra = "  - {name: empty results, kind: rate, of: empty, source: live, window: 6h}\n" if live else ""
    make_world(folder, *([extra] if extra else []), canaries_a_lang=12)
    path = folder / "driftwatch.yaml"
    text = path.read_text().replace(
        "alerts:", NEW.replace("{queries}", str(queries)).replace("{retriever}", retriever) + "alerts:"
    )
    path.write_text(text + "".join(CHECKS))
    return load_watch(path)


@pytest.fixture
def engine_of(stores: list[Store]) -> Iterator[Callable[[Watch], Engine]]:
    """An engine of a configuration; its connections are closed when the test is over."""
    watches: list[Watch] = []

    def make(watch: Watch) -> Engine:
        watches.append(watch)
        stores.append(Store.open(watch.database))
        return Engine(watch, stores[-1])

    yield make
    for watch in watches:
        watch.sources["migration"].retriever.close()


@pytest.fixture
def service() -> Iterator[SearchService]:
    with SearchService() as running:
        yield running


def http(service: SearchService) -> str:
    return json.dumps({"kind": "http", "url": service.url, "top_k": 5, "retries": 0})


def finds(service: SearchService, *, without: frozenset[str] = frozenset()) -> None:
    """The new service answers as the one in use does, but for the languages in ``without``."""

    def act(handler, asked):
        lang, _, number = asked.body["query"].partition(" question ")
        doc_id = "doc-xx-0" if lang in without else f"doc-{lang}-{number}"
        body = json.dumps({"results": [{"id": doc_id, "score": 0.9}]}).encode()
        handler.reply(200, body, {"Content-Type": "application/json"})

    service.does(act)


def test_both_are_asked_every_canary_over_a_real_socket_and_the_comparison_is_kept(tmp_path, service, engine_of):
    finds(service)
    engine = engine_of(world(tmp_path, http(service)))
    observed = engine.observe("migration", START)
    assert (observed.count, observed.failed, observed.trouble) == (36, 0, "")
    assert len(service.asked) == 36
    (kept,) = kept_comparisons(engine.store, "migration", START, START + HOUR)
    assert kept.at == START
    assert (kept.old.name, kept.new.name) == ("retriever", "migration")
    assert kept.canaries[ALL][0].n == 36
    assert kept.canaries["de"][0].difference == 0


def test_a_new_service_that_lost_a_language_is_told_once_and_by_name(tmp_path, service, engine_of):
    finds(service, without=frozenset({"de"}))
    engine = engine_of(world(tmp_path, http(service)))
    agenda = Agenda(engine, engine.store)
    for hours in range(0, 25, 6):
        agenda.run_due(START + hours * HOUR)
    alerts = {alert.check: alert.state for alert in engine.store.decisions.alerts().values() if alert.state != "ok"}
    assert alerts == {"new is worse": "firing"}
    (incident,) = engine.store.decisions.open_incidents()
    assert "in de, which is certainly worse" in incident.members[0].finding.message
    assert [each.event for each in incident.history] == ["firing"]


def test_it_is_said_exactly_once_that_the_new_one_is_ready(tmp_path, service, engine_of):
    finds(service)
    engine = engine_of(world(tmp_path, http(service)))
    agenda = Agenda(engine, engine.store)
    events = []
    for hours in range(0, 24 * 5, 6):
        now = START + hours * HOUR
        agenda.run_due(now)
        events += engine.remind(now)
    assert events == []
    (incident,) = engine.store.decisions.open_incidents()
    assert [(each.check, each.event, each.verdict) for each in incident.history] == [("new is ready", "firing", "warn")]
    finding = incident.members[0].finding
    assert "'migration' has been at least as good as 'retriever' for 2 days on" in finding.message
    assert finding.message.endswith("canary answers: it can be switched on")


def test_until_then_nobody_is_told_anything(tmp_path, service, engine_of):
    finds(service)
    engine = engine_of(world(tmp_path, http(service)))
    agenda = Agenda(engine, engine.store)
    for hours in range(0, 43, 6):
        agenda.run_due(START + hours * HOUR)
    findings = engine.store.decisions.last_findings()
    assert findings["new is ready", "all"].message.endswith("for 1 of 2 days")
    assert engine.store.decisions.open_incidents() == []


def test_the_notice_ends_when_the_dual_run_is_taken_out(tmp_path, service, engine_of):
    finds(service)
    watch = world(tmp_path, http(service))
    engine = engine_of(watch)
    agenda = Agenda(engine, engine.store)
    for hours in range(0, 61, 6):
        agenda.run_due(START + hours * HOUR)
    assert len(engine.store.decisions.open_incidents()) == 1
    without = watch.model_copy(update={"checks": (), "sources": {"canaries": watch.sources["canaries"]}})
    ended = Engine(without, engine.store).retire(START + 3 * DAY)
    assert [(each.check, each.event) for each in ended] == [("new is ready", "resolved")]
    assert engine.store.decisions.open_incidents() == []


def test_a_new_service_that_breaks_after_it_was_ready_is_told_all_the_same(tmp_path, service, engine_of):
    finds(service)
    engine = engine_of(world(tmp_path, http(service)))
    agenda = Agenda(engine, engine.store)
    for hours in range(0, 61, 6):
        agenda.run_due(START + hours * HOUR)
    finds(service, without=frozenset({"en", "de"}))
    for hours in range(66, 100, 6):
        agenda.run_due(START + hours * HOUR)
    states = {alert.check: alert.state for alert in engine.store.decisions.alerts().values()}
    assert states["new is worse"] == "firing"
    assert states["new is ready"] == "ok"


def test_a_new_service_that_is_down_is_unknown_and_then_blind(tmp_path, service, engine_of):
    service.does(status(503))
    engine = engine_of(world(tmp_path, http(service)))
    observed = engine.observe("migration", START)
    assert "'migration' could not be asked: " in observed.trouble
    agenda = Agenda(engine, engine.store)
    for hours in range(0, 25, 6):
        agenda.run_due(START + hours * HOUR)
    states = {alert.check: alert.state for alert in engine.store.decisions.alerts().values() if alert.state != "ok"}
    assert states == {"new is worse": "blind"}


def test_sampled_live_queries_are_asked_of_both(tmp_path, service, engine_of):
    service.does(echoes())
    watch = world(tmp_path, http(service), queries=60, live=True)
    append(tmp_path, log_lines(START, 6, an_hour=20))
    engine = engine_of(watch)
    now = START + 7 * HOUR
    engine.observe("live", now)
    engine.observe("migration", now)
    (kept,) = kept_comparisons(engine.store, "migration", START, now + HOUR)
    assert kept.queries[ALL].n == 90  # at least thirty of each language
    assert {lang: each.n for lang, each in kept.queries.items() if lang != ALL} == {"de": 30, "en": 30, "fr": 30}
    assert kept.queries[ALL].overlap.value == 0.0
    assert any("not one document is named by both sides" in note for note in kept.notes)
    body = engine.store.experiments.bodies("comparisons", "migration", START, now + HOUR)[0][1]
    plain = json.loads(zlib.decompress(body))
    assert plain["differ_most"]
    assert not [each for each in plain["differ_most"] if "text" in each]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("canaries: canaries", "canaries: nothing"),
            "'migration': 'nothing' is no source that gives canary runs. Name canaries.",
        ),
        (
            ('kind: python, callable: "tests.sources', 'kind: pithon, callable: "tests.sources'),
            "there is no kind 'pithon' in retrievers. Did you mean 'python'?",
        ),
        (('search", top_k: 5}', 'search", top_kk: 5}'), "setting 'top_kk'. Did you mean 'top_k'?"),
        (("    k: 5\n", "    k: 5\n    live: canaries\n"), "'canaries' is no source that gives traffic."),
        (("of: worse, margin: 0.2", "of: worse, margin: 0.2, days: 9"), "days"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, change, said):
    world(tmp_path, PYTHON)
    path = tmp_path / "driftwatch.yaml"
    text = path.read_text()
    assert change[0] in text
    head, _, tail = text.partition("migration:")
    path.write_text(head + "migration:" + tail.replace(*change, 1))
    with pytest.raises(ConfigErrors) as caught:
        load_watch(path)
    assert said in str(caught.value)


def test_a_new_retriever_that_embeds_needs_an_embedder(tmp_path):
    with pytest.raises(ConfigErrors, match="the new retriever embeds the queries itself and needs an 'embedder'"):
        world(tmp_path, "{kind: faiss, index: new.faiss}")


def test_paths_of_the_new_retriever_are_relative_to_the_file(tmp_path):
    make_world(tmp_path)
    watch = world(tmp_path, "{kind: faiss, index: new.faiss}\n    embedder: {model: ./model, cache: vectors}")
    assert watch.sources["migration"].retriever.index == tmp_path / "new.faiss"
    assert watch.sources["migration"].embedder.model == str(tmp_path / "model")
