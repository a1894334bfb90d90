"""Faults of the laboratory, each played once on each index; `benchmarks/fault_laboratory.py` plays all seeds.

Three of them, one of vectors, one of documents and one of the search, are played by `make test`, the others by
`make promises`. All need the packaged model and the data sets that DRIFTWATCH_DATA points at: where these are missing,
as they are on the machines of continuous integration, every play is skipped and says so. The first run embeds the
texts, which takes minutes; the vectors are kept below the folder for temporary files.
"""

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
QUICK = {"wrong model, 10 %", "a language is lost", "half of the links"}
"""Played by `make test`."""
PLAYS = [pytest.param(fault, id=fault.name, marks=() if fault.name in QUICK else pytest.mark.slow) for fault in FAULTS]


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
@pytest.mark.timeout(1800)  # the first one embeds the texts, and plays the quiet days
@pytest.mark.parametrize("fault", PLAYS)
def test_the_diagnosis_names_what_was_broken(lab: Laboratory, fault: Fault) -> None:
    played = play(lab, fault)
    assert played.right, f"{played.why}: {played.sentence} {played.opened}"


def test_the_page_shows_the_faults_as_they_are() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tests.faults writes it anew"


def test_what_is_played_by_every_test_run_is_in_the_table() -> None:
    assert {fault.name for fault in FAULTS} >= QUICK
