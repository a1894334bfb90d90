from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.plugins import find_kind, kind_names
from driftwatch.settings_docs import in_page

DOCS = Path(__file__).parents[2] / "docs"
HEADINGS = ["What it is", "How to set it up", "What it says", "What it never does", "Settings", "When it is wrong"]


@pytest.mark.parametrize("kind", kind_names("notify"))
def test_every_receiver_has_a_page_with_the_same_headings_and_its_settings_as_they_are(kind: str) -> None:
    page = (DOCS / "notify" / f"{kind}.md").read_text("utf-8")
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == HEADINGS
    assert page == in_page(page, find_kind("notify", kind)), "run `python -m driftwatch.settings_docs`"


def test_the_page_about_alerts_shows_the_diagram_of_the_code() -> None:
    source = (DOCS.parent / "driftwatch" / "alerts.py").read_text("utf-8")
    diagram = [line.strip() for line in source.splitlines() if "──▶" in line]
    page = (DOCS / "alerts.md").read_text("utf-8")
    assert len(diagram) == 4
    assert all(line in page for line in diagram)


def test_the_picture_of_the_incident_is_there() -> None:
    assert (DOCS / "images" / "slack-incident.png").read_bytes().startswith(b"\x89PNG")
