from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from driftwatch.retraining.course import STEPS, courses
from tests.fakes.tiny_model import THINGS
from tests.fakes.workshop import OLD_THINGS, Workshop, hands_out, kill, known_model, write_index, write_project

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


@dataclass(frozen=True)
class Models:
    """Folders of models that can be loaded."""

    base: Path
    good: Path
    bad: Path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """One in use that knows the old things, one that knows the new ones too, and one that forgot most of them."""
    pytest.importorskip("sentence_transformers", reason="models cannot be loaded (extra 'embed')")
    folder = tmp_path_factory.mktemp("models")
    base, good, bad = ((folder / name, things) for name, things in (("base", OLD_THINGS), ("good", THINGS), ("bad", 3)))
    return Models(known_model(*base), known_model(*good), known_model(*bad, seed=7))


@pytest.fixture
def real(tmp_path: Path, models: Models) -> Iterator[Callable[..., Workshop]]:
    """A project with a model that can be loaded, and an index that it made."""
    opened: list[Workshop] = []

    def made(more: str = "") -> Workshop:
        if not (tmp_path / "index").exists():
            write_index(tmp_path, models.base)
        opened.append(Workshop.at(write_project(tmp_path, models.base, more)))
        return opened[-1]

    yield made
    for each in opened:
        for retriever in (each.watch.index, each.watch.retriever):
            if retriever is not None:
                retriever.close()
        each.store.close()
