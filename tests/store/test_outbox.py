from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from driftwatch.store import Delivery, Store
from driftwatch.types import Silence, Transition
from tests.fakes.batches import DAY, HOUR, MONDAY
from tests.fakes.decided import EVERYTHING, MINUTE, transition

LEASE = 5 * MINUTE


def post(store: Store, *news: Transition, held: dict[str, datetime] | None = None, to: str = "slack") -> None:
    store.decisions.record(findings=(), alerts=(), transitions=news, receivers={to: EVERYTHING}, held=held or {})


def claimed(store: Store, now: datetime = MONDAY, receiver: str = "slack") -> Delivery:
    delivery = store.outbox.claim(receiver, now, LEASE)
    assert delivery is not None
    return delivery


def events(store: Store, now: datetime = MONDAY) -> list[str]:
    """Everything that can be delivered now, delivered."""
    told = []
    while (delivery := store.outbox.claim("slack", now, LEASE)) is not None:
        told.append(f"{delivery.transition.check} {delivery.transition.event}")
        store.outbox.done(delivery, None, now)
    return told


def test_a_delivery_carries_its_transition(store: Store) -> None:
    news = transition("recall", "firing", MONDAY, family="canaries", actor="ann")
    post(store, news)
    delivery = claimed(store)
    assert (delivery.transition, delivery.receiver, delivery.attempts, delivery.repeat) == (news, "slack", 1, False)


def test_an_empty_outbox_gives_nothing(store: Store) -> None:
    assert store.outbox.claim("slack", MONDAY, LEASE) is None


def test_what_is_claimed_is_not_given_to_anybody_else(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    claimed(store)
    assert store.outbox.claim("slack", MONDAY, LEASE) is None


def test_what_is_done_is_not_given_again(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    store.outbox.done(claimed(store), None, MONDAY)
    assert store.outbox.claim("slack", MONDAY + DAY, LEASE) is None
    assert store.outbox.waiting() == {}


def test_a_claim_that_never_reported_back_is_given_again_and_says_so(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    first = claimed(store)
    again = claimed(store, MONDAY + LEASE)
    assert (again.transition, again.attempts, again.repeat) == (first.transition, 2, True)


def test_once_unsure_a_delivery_stays_a_repeat(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    claimed(store)
    store.outbox.failed(claimed(store, MONDAY + LEASE), "busy", MONDAY + HOUR)
    assert claimed(store, MONDAY + HOUR).repeat


def test_a_new_leader_takes_over_what_was_claimed_and_says_that_it_repeats(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY), transition("volume", "firing", MONDAY, "i2"))
    claimed(store)
    store.outbox.reclaim(MONDAY)
    assert claimed(store).repeat
    assert not claimed(store).repeat


def test_several_alerts_of_an_incident_at_one_moment_are_told_once(store: Store) -> None:
    together = [transition(check, "firing", MONDAY) for check in ("recall", "rr", "ndcg")]
    post(store, *together, transition("recall", "firing", MONDAY, "i2"), transition("rr", "blind", MONDAY))
    assert sorted(events(store)) == ["recall firing", "recall firing", "rr blind"]
    incident = store.decisions.incident("i1")
    assert incident is not None
    assert len(incident.history) == 4


def test_a_failure_that_reported_back_is_no_repeat(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    store.outbox.failed(claimed(store), "busy", MONDAY + MINUTE)
    assert store.outbox.claim("slack", MONDAY, LEASE) is None
    assert not claimed(store, MONDAY + MINUTE).repeat


def test_a_late_failure_does_not_release_the_claim_of_somebody_else(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    slow = claimed(store)
    claimed(store, MONDAY + LEASE)
    store.outbox.failed(slow, "timeout", MONDAY)
    assert store.outbox.claim("slack", MONDAY + LEASE + MINUTE, LEASE) is None


def test_a_late_success_counts(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    slow = claimed(store)
    second = claimed(store, MONDAY + LEASE)
    store.outbox.done(slow, "ts 1", MONDAY + LEASE)
    store.outbox.failed(second, "timeout", MONDAY + LEASE)
    assert store.outbox.waiting() == {}
    assert store.outbox.thread("slack", "i1") == "ts 1"


def test_one_incident_is_told_in_order_and_a_failing_one_does_not_hold_up_others(store: Store) -> None:
    post(
        store,
        transition("recall", "firing", MONDAY),
        transition("volume", "firing", MONDAY, "i2"),
        transition("recall", "resolved", MONDAY + MINUTE),
    )
    store.outbox.failed(claimed(store), "500", MONDAY + HOUR)
    assert events(store) == ["volume firing"]
    assert events(store, MONDAY + HOUR) == ["recall firing", "recall resolved"]


def test_a_claimed_head_holds_up_its_incident(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY), transition("recall", "resolved", MONDAY + MINUTE))
    claimed(store)
    assert store.outbox.claim("slack", MONDAY, LEASE) is None


def test_receivers_do_not_wait_for_each_other(store: Store) -> None:
    store.decisions.record(
        findings=(),
        alerts=(),
        transitions=[transition("recall", "firing", MONDAY)],
        receivers={"slack": EVERYTHING, "pager": EVERYTHING},
    )
    store.outbox.failed(claimed(store), "down", MONDAY + DAY)
    assert claimed(store, receiver="pager").transition.event == "firing"


def test_a_dropped_delivery_lets_the_next_one_go(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY), transition("recall", "resolved", MONDAY + MINUTE))
    store.outbox.dropped(claimed(store), "too long", MONDAY)
    assert claimed(store).transition.event == "resolved"


def test_what_a_receiver_refused_for_good_is_counted_and_what_was_dropped_is_not(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY), transition("empty", "firing", MONDAY, incident="i2"))
    store.outbox.park(claimed(store), "invalid_blocks", MONDAY)
    store.outbox.dropped(claimed(store), "it was over before its silence was", MONDAY)
    assert store.outbox.parked() == {"slack": 1}
    assert store.outbox.waiting() == {}
    assert store.outbox.claim("slack", MONDAY + DAY, LEASE) is None


def test_a_receiver_knows_of_an_incident_once_it_was_told_that_it_began(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY), transition("recall", "reminded", MONDAY + MINUTE))
    store.outbox.dropped(claimed(store), "too long", MONDAY)
    store.outbox.done(claimed(store), None, MONDAY)
    assert not store.outbox.told("slack", "i1")
    post(store, transition("rr", "blind", MONDAY + HOUR))
    store.outbox.done(claimed(store), None, MONDAY)
    assert store.outbox.told("slack", "i1")
    assert not store.outbox.told("slack", "i2")
    assert not store.outbox.told("pager", "i1")


def test_a_thread_is_remembered_for_each_receiver_and_incident(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY), transition("recall", "resolved", MONDAY + MINUTE))
    assert store.outbox.thread("slack", "i1") is None
    store.outbox.done(claimed(store), "C1:1.0", MONDAY)
    store.outbox.done(claimed(store), None, MONDAY)
    assert store.outbox.thread("slack", "i1") == "C1:1.0"
    assert store.outbox.thread("pager", "i1") is None


def test_how_many_wait_and_since_when(store: Store) -> None:
    held = transition("recall", "firing", MONDAY)
    post(store, held, held={held.key: MONDAY + DAY})
    post(store, transition("volume", "firing", MONDAY + HOUR, "i2"))
    assert store.outbox.waiting() == {"slack": 2}
    assert store.outbox.waiting(MONDAY) == {"slack": 1}
    assert store.outbox.oldest_waiting("slack") == MONDAY
    assert store.outbox.oldest_waiting("slack", MONDAY) == MONDAY + HOUR
    assert store.outbox.oldest_waiting("pager") is None


# --- silences ------------------------------------------------------------------------------------------------------


def test_what_a_silence_holds_back_goes_out_when_it_ends(store: Store) -> None:
    held = transition("recall", "firing", MONDAY)
    post(store, held, held={held.key: MONDAY + HOUR})
    assert events(store, MONDAY + HOUR - MINUTE) == []
    assert events(store, MONDAY + HOUR) == ["recall firing"]


def test_what_is_silenced_stands_aside_for_the_other_alerts_of_its_incident(store: Store) -> None:
    held = transition("recall", "firing", MONDAY)
    post(store, held, transition("rr", "firing", MONDAY + MINUTE), held={held.key: MONDAY + HOUR})
    assert events(store) == ["rr firing"]


def test_an_alert_is_never_told_before_its_own_silenced_beginning(store: Store) -> None:
    held = transition("recall", "firing", MONDAY)
    post(store, held, transition("recall", "resolved", MONDAY + MINUTE), held={held.key: MONDAY + HOUR})
    assert events(store) == []
    assert events(store, MONDAY + HOUR) == ["recall firing", "recall resolved"]


def silence(check: str = "recall", segment: str = "*") -> Silence:
    return Silence("s1", check, segment, MONDAY + HOUR, "ann", "deployment", MONDAY)


@pytest.mark.parametrize("made", [silence(), silence(segment="de"), silence("*", "de")])
def test_a_new_silence_holds_back_what_already_waits(store: Store, made: Silence) -> None:
    post(store, transition("recall", "firing", MONDAY))
    store.outbox.failed(claimed(store), "busy", MONDAY)
    store.decisions.add_silence(made)
    assert events(store) == []
    assert store.decisions.expire_silence("s1", MONDAY)
    assert events(store) == ["recall firing"]


@pytest.mark.parametrize("made", [silence("volume"), silence(segment="fr")])
def test_a_silence_of_something_else_holds_back_nothing(store: Store, made: Silence) -> None:
    post(store, transition("recall", "firing", MONDAY))
    store.decisions.add_silence(made)
    assert events(store) == ["recall firing"]


def test_a_silence_does_not_stop_what_is_being_told(store: Store) -> None:
    post(store, transition("recall", "firing", MONDAY))
    delivery = claimed(store)
    store.decisions.add_silence(silence())
    store.outbox.done(delivery, None, MONDAY)
    assert store.outbox.waiting() == {}


# --- chance --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_whatever_fails_or_dies_all_is_told_in_order(sqlite_store: Store, seed: int) -> None:
    chance = random.Random(seed)
    news = [transition("c", "firing", MONDAY + n * MINUTE, f"i{chance.randrange(4)}") for n in range(12)]
    post(sqlite_store, *news)
    now, told, sent = MONDAY, [], set()
    open_claims: list[Delivery] = []
    while sqlite_store.outbox.waiting():
        now += chance.random() * 2 * LEASE
        delivery = sqlite_store.outbox.claim("slack", now, LEASE)
        if delivery is None:
            continue
        open_claims.append(delivery)
        what = chance.choice(["done", "failed", "dies before", "dies after", "late"])
        if what in ("done", "dies after"):
            assert delivery.transition.key not in sent or delivery.repeat
            told.append(delivery.transition)
            sent.add(delivery.transition.key)
        if what == "done":
            sqlite_store.outbox.done(delivery, None, now)
        elif what == "failed":
            sqlite_store.outbox.failed(delivery, "500", now + chance.random() * HOUR)
        elif what == "late":
            sqlite_store.outbox.failed(chance.choice(open_claims), "500", now)
    once = list(dict.fromkeys(each.key for each in told))
    for incident in {each.incident for each in news}:
        of_it = [each.key for each in news if each.incident == incident]
        assert [key for key in once if key in of_it] == of_it


def test_two_workers_never_get_the_same_delivery(store: Store) -> None:
    post(store, *(transition("c", "firing", MONDAY, f"i{n}") for n in range(12)))

    def work(_: int) -> list[int]:
        got = []
        while (delivery := store.outbox.claim("slack", MONDAY, timedelta(hours=9))) is not None:
            got.append(delivery.delivery_id)
        return got

    with ThreadPoolExecutor(4) as workers:
        taken = [number for got in workers.map(work, range(4)) for number in got]
    assert len(taken) == len(set(taken)) == 12
