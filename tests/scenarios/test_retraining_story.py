"""A new product arrives, and the model does not know it: from the first complaint to another model, and back."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.config import load_watch
from driftwatch.config.release import registry_of
from driftwatch.daemon import Daemon, open_embedder
from driftwatch.retrain import _process
from driftwatch.retraining.course import STEPS, Course, courses
from driftwatch.retraining.promoting import roll_back
from driftwatch.retraining.steward import Steward
from driftwatch.store import Store
from tests.fakes.mismatch import Shop, base_model, shop, write_config, write_shop
from tests.fakes.tiny_model import tiny_model
from tests.needs import needs

needs("datasets", reason="training is not installed (extra 'retrain')")
needs("faiss", reason="faiss is not installed (extra 'embed')")
pytestmark = [pytest.mark.process, pytest.mark.timeout(1800)]

START = datetime(2026, 6, 1, tzinfo=UTC)
LAUNCH = START + timedelta(days=15)
STEP = timedelta(hours=6)
SPOILS = str(Path(__file__).parents[1] / "fakes" / "spoils.py")
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


@contextmanager
def told(folder: Path, base: Path, more: str = "") -> Iterator[Story]:
    """The story up to its first page; ``more``: further lines of the `retrain:` section."""
    write_shop(folder)
    with shop(folder, base) as service:
        watch = load_watch(write_config(folder, service.url, base, GOOD, more))
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


def test_from_a_new_product_to_a_new_model_and_back(tmp_path: Path, base: Path) -> None:
    with told(tmp_path, base) as story:
        service, store = story.shop, story.daemon.store
        story.play(LAUNCH)
        assert not store.decisions.open_incidents()
        assert service.recall(new=False) > 0.85
        story.play(START + timedelta(days=40), lambda: story.job is not None)
        assert story.job is not None, story.steward.decision(story.now, counting=True)
        (incident,) = store.decisions.open_incidents()
        assert incident.diagnosis is not None
        assert incident.diagnosis.cause == "model mismatch"
        before, old = service.recall(new=True), service.versions

        story.work(lambda: story.asks() or story.over())
        assert story.asks(), story.job.ended
        assert story.job.judgement.passed
        store.approvals.decide_by_hand(story.job.job_id, "approve", "U1", story.now)
        story.work(story.over)
        assert story.job.ended is not None
        assert story.job.ended.how == "promoted"
        assert service.versions != old
        assert service.recall(new=True) > before + 0.3
        assert service.recall(new=False) > 0.85
        story.play(story.now + timedelta(days=6), lambda: not store.decisions.open_incidents())
        assert not store.decisions.open_incidents()

        roll_back(story.daemon.watch, "U1", story.now)
        assert service.versions == old
        assert service.recall(new=True) == before


def test_a_candidate_that_is_worse_leaves_the_old_model_serving(tmp_path: Path, base: Path) -> None:
    worse = tiny_model(tmp_path / "worse", seed=5)
    run = [sys.executable, SPOILS, "{job_file}", str(worse)]
    with told(tmp_path / "story", base, f"  trainer: {{run: {json.dumps(run)}}}") as story:
        story.play(START + timedelta(days=40), lambda: story.job is not None)
        assert story.job is not None, story.steward.decision(story.now, counting=True)
        before = story.shop.versions
        story.work(story.over)
        assert story.job.ended is not None
        assert story.job.ended.how == "refused"
        assert "the gate says no" in story.job.ended.reason
        assert story.shop.versions == before
        assert not story.asks()


def test_a_job_whose_processes_are_killed_at_every_step_ends_as_one_job(tmp_path: Path, base: Path) -> None:
    killed: set[str] = set()
    with told(tmp_path, base) as story:
        story.play(START + timedelta(days=40), lambda: story.job is not None)
        job = story.job
        assert job is not None

        def kill() -> bool:
            """Each program of the job once, while it runs."""
            for folder in (*map(job.step, STEPS), job.training, *job.attempts):
                if str(folder.path) not in killed and folder.path.is_dir() and _process.is_running(folder):
                    _process.end_all(folder)
                    killed.add(str(folder.path))
            if story.asks() and job.ended is None:
                story.daemon.store.approvals.decide_by_hand(job.job_id, "approve", "U1", story.now)
            return story.over()

        story.work(kill)
        assert job.ended is not None
        assert job.ended.how == "promoted"
        assert len(killed) == 5
        assert [each.job_id for each in courses(story.steward.folder)] == [job.job_id]
        assert len(registry_of(story.daemon.watch).releases()) == 2
