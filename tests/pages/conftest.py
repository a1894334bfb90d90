from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from driftwatch.daemon import Daemon
from tests.fakes.year import served

TOKEN = "correct-horse-battery"


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, str]]:
    """A service with a past, which is only read."""
    with served(tmp_path_factory.mktemp("year")) as made:
        yield made


@pytest.fixture
def reader(year: tuple[Daemon, str]) -> Iterator[httpx.Client]:
    """Somebody who looks at its pages."""
    with httpx.Client(base_url=year[1], headers={"accept": "text/html"}, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, str]]:
    """The same behind a token; tests act on it."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    with served(folder, token=TOKEN) as made:
        yield made
