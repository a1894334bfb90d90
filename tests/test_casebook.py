"""The evidence of one moment, gathered from a real store, a real log and a real retriever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.case import Asked, Case, Traffic
from driftwatch.casebook import Casebook
from driftwatch.engine import Engine
from driftwatch.store import Store
from driftwatch.types import Alert, Baseline, Finding, Observation
from tests.fakes.batches import batch, counts, hours, kept
from tests.fakes.decided import EVERYTHING
from tests.fakes.probed import hourly
from tests.fakes.world import BROKEN, EMPTY, RECALL, START, make_world

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NOW = START + 10 * DAY
CANARIES_A_LANG = 3
ALL = 3 * CANARIES_A_LANG
NORMAL = Baseline(START, START + 2 * DAY, "by hand", "ann", START)
INDEX = "  index: {kind: index}\nalerts:"

Change = Callable[[Observation], Observation]


class Watched:
    """A small service that is watched, and what was recorded of it."""

    def __init__(self, folder: Path, *checks: str, more: str = "", change: Callable[[str], str] | None = None) -> None:
        self.watch = make_world(folder, *(checks or (RECALL, EMPTY)), canaries_a_lang=CANARIES_A_LANG, more=more)
        if change is not None:
            from driftwatch.config import load_watch

            self.watch.path.write_text(change(self.watch.path.read_text()))
            self.watch = load_watch(self.watch.path)
        self.store = Store.open(self.watch.database)
        self.engine = Engine(self.watch, self.store)
        self.book = Casebook(self.watch, self.store, self.engine.windows, None, lambda: False)

    def ask(self, at: datetime, change: Change = lambda seen: seen) -> None:
        """Ask every canary once; ``change`` has its way with the answers."""
        run = self.engine.observer.run_of("canaries", at)
        assert run is not None
        self.store.canaries.add(replace(run, observations=tuple(change(seen) for seen in run.observations)))

    def case(self, *findings: Finding, alerts: tuple[Alert, ...] = (), now: datetime = NOW) -> Case:
        """What is known."""
        return self.book.case(findings, {(each.check, each.segment): each for each in alerts}, now)

    def count(self, at: datetime, lang: str, units: int, queries: int) -> None:
        """So many queries in one hour."""
        self.store.traffic.ingest(
            batch(tallies={(hours(at), lang): counts(units=units, queries=queries)}),
        )

    def normal(self) -> None:
        """The baseline is the first two days, of everything."""
        self.store.decisions.set_baseline(NORMAL)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    BROKEN.clear()
    opened: list[Watched] = []

    def make(*checks: str, more: str = "", change: Callable[[str], str] | None = None) -> Watched:
        opened.append(Watched(tmp_path, *checks, more=more, change=change))
        return opened[-1]

    yield make
    for each in opened:
        each.store.close()
    BROKEN.clear()


def no_hits(seen: Observation) -> Observation:
    return replace(seen, hits=())


def found(check: str, at: datetime, message: str = "said", segment: str = "all") -> Finding:
    return Finding(check, segment, at, "fail", message, family="canaries")


# --- what the canaries say -----------------------------------------------------------------------------------------


def test_nothing_is_known_of_canaries_that_were_not_asked_lately(watched: Callable[..., Watched]) -> None:
    world = watched()
    assert world.case().asked == Asked()
    world.ask(NOW - DAY - HOUR)
    assert world.case().asked == Asked()
    world.ask(NOW)
    assert world.case().asked == Asked(n=ALL)


def test_the_newest_run_counts_with_how_many_failed_and_why_most_of_them_did(watched: Callable[..., Watched]) -> None:
    world = watched()
    world.ask(NOW - 2 * HOUR)

    def fails(seen: Observation) -> Observation:
        reasons = {"de": "timed out", "fr": "timed out", "en": "503"}
        return seen if seen.query_id == "en-0" else replace(seen, hits=None, error=reasons[seen.lang])

    world.ask(NOW - HOUR, fails)
    asked = world.case().asked
    assert (asked.n, asked.failed, asked.empty, asked.reason) == (ALL, ALL - 1, 0, "timed out")


def test_an_answer_of_nothing_counts_where_the_baseline_had_one(watched: Callable[..., Watched]) -> None:
    world = watched()
    world.normal()
    world.ask(START + HOUR, lambda seen: no_hits(seen) if seen.lang == "fr" else seen)
    world.ask(NOW, lambda seen: seen if seen.lang == "en" else no_hits(seen))
    asked = world.case().asked
    assert (asked.n, asked.failed, asked.empty) == (ALL, 0, CANARIES_A_LANG), "French never had an answer"


def test_a_second_asking_of_a_canary_is_not_counted_again(watched: Callable[..., Watched]) -> None:
    world = watched()
    run = world.engine.observer.run_of("canaries", NOW)
    assert run is not None
    again = tuple(replace(seen, attempt=1, hits=None, error="x") for seen in run.observations)
    world.store.canaries.add(replace(run, observations=run.observations + again))
    assert world.case().asked == Asked(n=ALL)


def test_versions_that_changed_within_a_week_are_named_with_the_first_run_that_said_so(
    watched: Callable[..., Watched],
) -> None:
    world = watched()
    old, new = {"index": "7", "embedder": "a", "prompt": "p"}, {"index": "8", "embedder": "a", "model": "m"}
    for days in range(6, -1, -1):
        world.ask(NOW - days * DAY, lambda seen, known=old if days > 2 else new: replace(seen, versions=known))
    asked = world.case().asked
    assert asked.versions == {"index": ("7", "8")}, "what only one of them names has not changed"
    assert asked.changed_at == NOW - 2 * DAY


def test_one_odd_answer_is_no_change_of_versions(watched: Callable[..., Watched]) -> None:
    world = watched()
    world.ask(NOW - DAY, lambda seen: replace(seen, versions={"index": "7"}))
    world.ask(NOW, lambda seen: replace(seen, versions={"index": "9" if seen.query_id == "de-1" else "7"}))
    asked = world.case().asked
    assert (asked.versions, asked.changed_at) == ({}, None)


# --- what the traffic says -----------------------------------------------------------------------------------------


def test_traffic_is_as_usual_while_there_is_no_baseline(watched: Callable[..., Watched]) -> None:
    world = watched()
    world.count(NOW - HOUR, "de", 10, 100)
    assert world.case().traffic == Traffic()


def test_rows_a_unit_are_those_of_the_last_hours_beside_those_of_the_baseline(watched: Callable[..., Watched]) -> None:
    world = watched()
    world.normal()
    world.count(START + HOUR, "de", 100, 120)
    world.count(NOW - 20 * HOUR, "de", 100, 9000)
    world.count(NOW - 2 * HOUR, "de", 10, 80)
    traffic = world.case().traffic
    assert (traffic.rows_a_unit, traffic.usual_rows_a_unit) == (8.0, 1.2)


def test_the_query_that_is_asked_most_often_is_named_with_its_share(watched: Callable[..., Watched]) -> None:
    world = watched()
    world.normal()
    world.count(START, "de", 1, 1)
    texts = ["bot"] * 6 + ["a", "b"]
    rows = [kept(n / 10, f"q{n}", NOW - HOUR + n * timedelta(seconds=1), text=text) for n, text in enumerate(texts)]
    old = [kept(0.5, f"old{n}", NOW - 2 * DAY, text="old") for n in range(9)]
    world.store.traffic.ingest(batch(*rows, *old))
    traffic = world.case().traffic
    assert traffic.loudest in {f"q{n}" for n in range(6)}
    assert traffic.loudest_share == 0.75


def test_where_no_text_is_kept_queries_are_told_apart_by_their_ids(watched: Callable[..., Watched]) -> None:
    world = watched()
    world.normal()
    world.count(START, "de", 1, 1)
    rows = [kept(n / 10, f"q{n % 2}", NOW - HOUR + n * timedelta(seconds=1)) for n in range(4)]
    world.store.traffic.ingest(batch(*rows))
    assert world.case().traffic.loudest_share == 0.5


@pytest.mark.parametrize(
    ("usual", "now", "named"),
    [
        ({"de": 1000}, {"de": 90, "es": 10}, "es"),
        ({"de": 1000}, {"de": 96, "es": 4}, ""),
        ({"de": 900, "es": 100}, {"de": 60, "es": 40}, ""),
        ({"de": 990, "es": 10}, {"de": 90, "es": 10}, "es"),
        ({"de": 1000}, {"de": 60, "und": 40}, ""),
        ({"de": 1000}, {"de": 60, "es": 10, "pt": 30}, "pt"),
        ({"de": 1000}, {}, ""),
    ],
)
def test_a_language_is_new_when_many_use_it_who_did_not(
    watched: Callable[..., Watched], usual: dict[str, int], now: dict[str, int], named: str
) -> None:
    world = watched()
    world.normal()
    for lang, units in usual.items():
        world.count(START + HOUR, lang, units, units)
    for lang, units in now.items():
        world.count(NOW - 6 * HOUR, lang, units, units)
    assert world.case().traffic.new_language == named


# --- the experiment ------------------------------------------------------------------------------------------------


def test_the_canaries_are_sent_through_what_can_be_asked_and_what_cannot_is_said(
    watched: Callable[..., Watched],
) -> None:
    world = watched()
    world.ask(NOW)
    case = world.case()
    assert case.experiment is not None
    assert case.experiment.measure == "R@5", "as the check of canaries measures"
    service = case.experiment.cell("service")
    assert service is not None
    assert (service.n, service.value) == (ALL, 1.0)
    assert any("No index was searched" in said for said in case.unseen)
    assert any("learning" in said for said in case.unseen)


def test_no_experiment_is_made_where_the_configuration_wants_none(watched: Callable[..., Watched]) -> None:
    world = watched(change=lambda text: f"diagnosis: off\n{text}")
    world.ask(NOW)
    case = world.case()
    assert case.experiment is None
    assert case.asked.n == ALL, "what was recorded is still looked at"
    assert case.unseen


def test_no_experiment_is_made_while_half_of_the_canaries_go_unanswered(watched: Callable[..., Watched]) -> None:
    world = watched()
    some = {f"{lang}-{n}" for lang in ("en", "de") for n in range(2)}
    silent: Change = lambda seen: replace(seen, hits=None, error="503") if seen.query_id in some else seen  # noqa: E731
    world.ask(NOW - HOUR, silent)
    assert world.case().experiment is not None
    some.add("fr-0")
    world.ask(NOW, silent)
    assert world.case().experiment is None


def test_no_experiment_is_made_without_canaries_to_ask(watched: Callable[..., Watched]) -> None:
    world = watched()
    (world.watch.base / "canaries.jsonl").unlink()
    case = world.case()
    assert case.experiment is None
    assert any("canaries.jsonl" in said for said in case.unseen)


def test_an_experiment_that_breaks_is_logged_and_leaves_the_case_without_one(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = watched()
    world.ask(NOW)

    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("driftwatch.probes.experiment.run", breaks)
    with caplog.at_level(logging.ERROR):
        case = world.case(found("canary recall", NOW))
    assert case.experiment is None
    assert case.unseen[-1] == "The experiment broke (ZeroDivisionError); the log says on what."
    assert "a mistake" in caplog.text
    assert case.asked.n == ALL
    assert case.findings["canary recall", "all"].message == "said"


def test_an_experiment_that_never_ends_is_not_waited_for_and_not_made_twice(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftwatch.probes import experiment

    world, gate = watched(more="diagnosis: {seconds: 0.1}\n"), threading.Event()
    world.ask(NOW)
    made, honest = [], experiment.run

    def hangs(*given: Any, **named: Any) -> Any:
        made.append(threading.current_thread())
        gate.wait(30)
        return honest(*given, **named)

    monkeypatch.setattr("driftwatch.casebook.LONGER", 0.1)
    monkeypatch.setattr(experiment, "run", hangs)
    first, second = world.case(), world.case()
    assert (first.experiment, second.experiment, len(made)) == (None, None, 1)
    assert first.unseen[-1] == "The experiment had not ended 0.1 seconds after its time was over."
    assert second.unseen[-1] == "No experiment was made: the one before has not ended."
    gate.set()
    made[0].join(30)
    monkeypatch.setattr("driftwatch.casebook.LONGER", 30.0)
    assert world.case().experiment is not None


# --- findings, probes and alerts -----------------------------------------------------------------------------------


def test_what_was_found_just_now_stands_before_what_is_stored(watched: Callable[..., Watched]) -> None:
    world = watched()
    stored = [found("canary recall", NOW - HOUR, "old"), found("empty results", NOW - HOUR, "kept")]
    gone = found("a check of last year", NOW - HOUR)
    world.store.decisions.record(
        findings=[*stored, gone], alerts=(), transitions=(), receivers={"terminal": EVERYTHING}
    )
    case = world.case(found("canary recall", NOW, "new"))
    assert {place[0]: each.message for place, each in case.findings.items()} == {
        "canary recall": "new",
        "empty results": "kept",
    }
    assert case.checks["empty results"].of == "empty"
    assert case.checks["canary recall"].family == "canaries"


def test_probes_are_those_of_the_last_day_oldest_first(watched: Callable[..., Watched]) -> None:
    world = watched(change=lambda text: text.replace("alerts:", INDEX, 1))
    for probe in hourly(NOW - 30 * HOUR, 32):
        world.store.experiments.add_probe(probe)
    times = [probe.at for probe in world.case().probes]
    assert times == [NOW - DAY + hour * HOUR for hour in range(25)]


def test_an_open_alert_has_lasted_since_its_oldest_segment_fired(watched: Callable[..., Watched]) -> None:
    world = watched()
    alerts = (
        Alert("canary recall", "de", "firing", fired_at=NOW - 3 * DAY),
        Alert("canary recall", "fr", "blind", fired_at=NOW - 1.5 * DAY),
        Alert("empty results", "all", "pending", since=NOW - 9 * DAY),
    )
    assert world.case(alerts=alerts).lasting == {"canary recall": 3.0}
