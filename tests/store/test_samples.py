"""One row of the sample, as it is written and read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import orjson

from driftwatch.sampling import Kept
from driftwatch.store.samples import observation_of, row_of
from driftwatch.types import Observation, ScoredDoc

AT = datetime(2026, 11, 1, 10, 30, tzinfo=UTC)
CLICKED = Observation(
    AT, "live", "q-1", "how do I pay", hits=(ScoredDoc("doc-7", 0.5),), feedback="click", feedback_doc="doc-7"
)


def body_of(seen: Observation) -> str:
    return str(row_of("live", Kept(0.5, date(2026, 11, 1), seen, "*"))["body"])


def read(body: str) -> Observation:
    return observation_of("live", AT, "q-1", "und", 1.0, body)


def test_the_document_that_was_clicked_comes_back_with_its_row() -> None:
    assert read(body_of(CLICKED)) == CLICKED


def test_a_row_from_before_documents_were_kept_still_reads() -> None:
    body = orjson.loads(body_of(CLICKED))
    assert body.pop("feedback_doc") == "doc-7"
    assert read(orjson.dumps(body).decode()) == replace(CLICKED, feedback_doc="")
