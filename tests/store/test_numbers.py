"""What a scrape reads from the store."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from driftwatch.store import Store
from driftwatch.types import Alert, Finding, Silence, Transition
from tests.fakes.batches import HOUR, MONDAY

NOBODY: dict[str, frozenset[str]] = {}


def finding(check: str, segment: str, hour: int, value: float | None = 0.9) -> Finding:
    return Finding(check, segment, MONDAY + hour * HOUR, "ok", "as usual", "canary", "canaries", 20, value, 0.9)


def found(store: Store, *findings: Finding) -> None:
    store.decisions.record(findings=findings, alerts=[], transitions=[], receivers=NOBODY)


def fired(name: str, hour: int = 0) -> Transition:
    at = MONDAY + hour * HOUR
    return Transition(f"{name}-{hour}", name, "de", "firing", "pending", "firing", at, f"incident-{name}", "canaries")


def told(store: Store, *news: Transition) -> None:
    store.decisions.record(
        findings=[],
        alerts=[Alert(each.check, each.segment, "firing", incident=each.incident) for each in news],
        transitions=news,
        receivers={"slack": frozenset({"firing"})},
    )


def test_of_each_check_there_is_what_its_last_look_found(store: Store) -> None:
    found(store, finding("recall", "de", 0), finding("recall", "fi", 0), finding("scores", "de", 0))
    found(store, finding("recall", "de", 1, value=None))
    newest = {(each.check, each.segment): each.value for each in store.numbers(MONDAY).newest}
    assert newest == {("recall", "de"): None, ("scores", "de"): 0.9}


def test_alerts_that_are_over_are_no_news(store: Store) -> None:
    alerts = [Alert("recall", "de", "blind"), Alert("recall", "en", "ok")]
    store.decisions.record(findings=[], alerts=alerts, transitions=[], receivers=NOBODY)
    assert [(each.segment, each.state) for each in store.numbers(MONDAY).alerts] == [("de", "blind")]


def test_deliveries_are_counted_by_what_became_of_them(store: Store) -> None:
    told(store, fired("a"), fired("b"), fired("c"))
    now, lease = MONDAY + HOUR, timedelta(minutes=2)
    done, refused = store.outbox.claim("slack", now, lease), store.outbox.claim("slack", now, lease)
    assert done is not None
    assert refused is not None
    store.outbox.done(done, "thread", now)
    store.outbox.park(refused, "invalid_blocks", now)
    numbers = store.numbers(now)
    assert numbers.deliveries == {("slack", "done"): 1, ("slack", "parked"): 1, ("slack", "waiting"): 1}
    assert numbers.open_incidents == 3


def test_who_waits_longest_is_known_without_what_a_silence_holds_back(store: Store) -> None:
    told(store, fired("silenced", 0), fired("waiting", 2))
    until = MONDAY + 10 * HOUR
    store.decisions.add_silence(Silence("s", "silenced", "*", until, "ann", "deployment", MONDAY))
    assert store.numbers(MONDAY + 3 * HOUR).waiting_since == {"slack": MONDAY + 2 * HOUR}
    assert store.numbers(until).waiting_since == {"slack": MONDAY}


def test_weekly_reports_are_messages_too(store: Store) -> None:
    told(store, fired("a", 5))
    store.weekly.announce("2026-W18", ["slack", "mail"], MONDAY + 2 * HOUR)
    numbers = store.numbers(MONDAY)
    assert numbers.deliveries == {("slack", "waiting"): 2, ("mail", "waiting"): 1}
    assert numbers.waiting_since == {"slack": MONDAY + 2 * HOUR, "mail": MONDAY + 2 * HOUR}


def test_a_year_of_findings_is_not_read_for_it(sqlite_store: Store) -> None:
    """Every query finds its rows by a key: none reads a table that grows with time from end to end."""
    seen: list[str] = []
    sa.event.listen(
        sqlite_store.database.engine,
        "before_cursor_execute",
        lambda _c, _u, sql, values, *_: seen.append((sql, values)),
    )
    sqlite_store.numbers(MONDAY)
    queries = [(sql, values) for sql, values in seen if sql.startswith("SELECT")]
    assert len(queries) <= 11
    with sqlite_store.database.reading() as connection:
        plans = [
            row[3] for sql, values in queries for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        ]
    scanned = {plan.split()[1] for plan in plans if plan.startswith("SCAN")}
    assert not scanned & {"findings", "tallies", "sampled", "transitions", "runs"}, plans
