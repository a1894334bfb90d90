"""A new product arrives, and the model does not know it: from the first complaint to another model, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("datasets", reason="training is not installed (extra 'retrain')")
pytest.importorskip("faiss", reason="faiss is not installed (extra 'embed')")

from driftwatch.config import load_watch
from driftwatch.daemon import Daemon, open_embedder
from driftwatch.retraining.course import Course, courses
from driftwatch.retraining.steward import Steward
from driftwatch.store import Store
from tests.fakes.mismatch import Shop, base_model, shop, write_config, write_shop

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

START = datetime(2026, 6, 1, tzinfo=UTC)
LAUNCH = START + timedelta(days=15)
STEP = timedelta(hours=6)
GOOD = "{loss: mnrl, epochs: 30, learning_rate: 0.01, batch_size: 16, device: cpu}"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_model(tmp_path_factory.mktemp("base"))


class Story:
    """Simulated time over a real service, a real store and real processes."""

    def __init__(self, daemon: Daemon, shop: Shop) -> None:
        self.daemon, self.shop = daemon, shop
        self.now = START

    def play(self, until: datetime, done: Callable[[], bool] = lambda: False) -> None:
        """Let people ask and the daemon look, until then or until ``done``."""
        while self.now < until and not done():
            after = self.now + STEP
            self.shop.launched = self.now >= LAUNCH
            self.shop.replay(self.now, after)
            self.now = after
            self.daemon.run_due(self.now)

    def work(self, done: Callable[[], bool], seconds: float = 300) -> None:
        """Let the processes of a job work in real time, while hardly any passes."""
        began = time.monotonic()
        while not done():
            assert time.monotonic() - began < seconds, self.steward.step(self.now)
            self.now += timedelta(minutes=1)
            self.daemon.run_due(self.now)
            time.sleep(0.2)

    @property
    def steward(self) -> Steward:
        assert self.daemon.retraining is not None
        return self.daemon.retraining

    @property
    def job(self) -> Course | None:
        return next(iter(courses(self.steward.folder)), None)

    def asks(self) -> bool:
        """Whether a person is asked."""
        return self.job is not None and self.daemon.store.approvals.of(self.job.job_id) is not None

    def over(self) -> bool:
        return self.job is not None and self.job.ended is not None


@pytest.fixture
def story(tmp_path: Path, base: Path, request: pytest.FixtureRequest) -> Iterator[Story]:
    train = getattr(request, "param", GOOD)
    write_shop(tmp_path)
    with shop(tmp_path, base) as service:
        watch = load_watch(write_config(tmp_path, service.url, base, train))
        store = Store.open(watch.database)
        daemon = Daemon(watch, store, embedder=open_embedder(watch))
        try:
            yield Story(daemon, service)
        finally:
            daemon.close()
            for retriever in (daemon.watch.retriever, daemon.watch.index):
                if retriever is not None:
                    retriever.close()
            store.close()


def test_from_a_new_product_to_a_new_model_and_back(story: Story) -> None:
    service, daemon = story.shop, story.daemon
    story.play(LAUNCH)
    assert not daemon.store.decisions.open_incidents()
    assert service.recall(new=False) > 0.9
    story.play(START + timedelta(days=40), lambda: story.job is not None)
    assert story.job is not None, story.steward.decision(story.now, counting=True)
    (incident,) = daemon.store.decisions.open_incidents()
    assert incident.diagnosis is not None
    assert incident.diagnosis.cause == "model mismatch"
    before = service.recall(new=True)

    story.work(lambda: story.asks() or story.over())
    assert story.asks(), story.job.ended
    assert story.job.judgement.passed
    old = service.versions
    daemon.store.approvals.decide_by_hand(story.job.job_id, "approve", "U1", story.now)
    story.work(story.over)
    ended = story.job.ended
    assert ended is not None
    assert ended.how == "promoted"
    assert service.versions != old
    assert service.recall(new=True) > before + 0.3
    assert service.recall(new=False) > 0.9

    story.play(story.now + timedelta(days=5), lambda: not daemon.store.decisions.open_incidents())
    assert not daemon.store.decisions.open_incidents()
