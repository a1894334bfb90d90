"""What `--json` and the API print."""

from __future__ import annotations

import json

import pytest

from driftwatch.show import as_json
from driftwatch.types import Reply, ScoredDoc


@pytest.mark.parametrize("doc_id", ["a", "half a pair \ud800"])
def test_a_retrieved_document_is_an_object_with_its_fields(doc_id: str) -> None:
    (hit,) = json.loads(as_json({"reply": Reply((ScoredDoc(doc_id, 0.5),))}))["reply"]["hits"]
    assert hit == {"doc_id": doc_id.encode("utf-8", "replace").decode(), "score": 0.5}
