from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftwatch.retraining.course import STEPS, courses
from tests.fakes.workshop import Workshop, hands_out, kill, write_project

Make = Callable[..., Workshop]


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """What a trainer hands in, as far as it is copied and never loaded."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def make(tmp_path: Path, candidate: Path) -> Iterator[Make]:
    """A project whose model is never loaded; what runs of its jobs ends with the test."""
    opened: list[Workshop] = []

    def made(more: str = "", trainer: str = "") -> Workshop:
        opened.append(Workshop.at(write_project(tmp_path, "base", f"{trainer or hands_out(candidate)}\n{more}")))
        return opened[-1]

    yield made
    for each in opened:
        for course in courses(each.steward().folder):
            for folder in (*map(course.step, STEPS), course.training, *course.attempts):
                kill(folder)
        each.store.close()


@pytest.fixture
def shop(make: Make) -> Workshop:
    return make()
