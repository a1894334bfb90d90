"""A trainer elsewhere is told where its result can be posted to, where somebody would take it there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftwatch.config.sections import Api
from driftwatch.retrain.strategy import strategy_of
from driftwatch.retrain.trainer_settings import Webhook
from driftwatch.retraining.material import retrain_of
from driftwatch.retraining.preparing import _spec
from tests.fakes.workshop import Workshop, write_project

URL = "https://train.example.com/jobs"
TOKEN = "a token for callbacks"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "base").mkdir()
    shop = Workshop.at(write_project(tmp_path, tmp_path / "base"))
    yield shop
    shop.store.close()


def asked(shop: Workshop, trainer: object, public_url: str = "https://watch.example.com/drift") -> object:
    """The `callback` of a job with these settings."""
    retrain = retrain_of(shop.watch).model_copy(update={"trainer": trainer})
    watch = shop.watch.model_copy(update={"retrain": retrain, "api": Api(public_url=public_url)})
    course = shop.begun()
    work = Workshop(watch, shop.store).work(course, "mine")
    spec = _spec(work, retrain, strategy_of(600, retrain.train), "9f86d0")
    return str(spec["callback"]).replace(course.job_id, "<id>") if spec["callback"] else spec["callback"]


def test_the_address_is_that_of_the_job_under_the_public_one(shop: Workshop) -> None:
    trainer = Webhook(url=URL, token=TOKEN)
    assert asked(shop, trainer) == "https://watch.example.com/drift/v1/jobs/<id>/result"


def test_no_address_is_given_where_no_result_would_be_taken_or_nobody_knows_it(shop: Workshop) -> None:
    assert asked(shop, Webhook(url=URL)) is None
    assert asked(shop, "local") is None
    assert asked(shop, Webhook(url=URL, token=TOKEN), public_url="") is None
