"""Each fault of the laboratory is played once on each index; `benchmarks/fault_laboratory.py` plays all seeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS, Fault
from tests.faults.laboratory import BACKENDS, Laboratory, quiet
from tests.faults.material import material, missing
from tests.faults.page import PAGE, page
from tests.faults.plays import play

SEED = 3


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BACKENDS])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A laboratory after its quiet days."""
    if reason := missing():
        pytest.skip(reason)
    own = quiet(Path(tmp_path_factory.mktemp(request.param)), request.param, SEED, material())
    yield own
    own.close()


@pytest.mark.process
@pytest.mark.model
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_diagnosis_names_what_was_broken(lab: Laboratory, fault: Fault) -> None:
    played = play(lab, fault)
    assert played.right, f"{played.why}: {played.sentence} {played.opened}"


def test_the_page_shows_the_faults_as_they_are() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tests.faults writes it anew"
