"""What stands beside a report: the page that Evidently makes, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

EVIDENTLY = "evidently.html"
"""The file in the folder of a week."""


@dataclass(frozen=True, slots=True)
class Attached:
    """The Evidently page in one sentence."""

    sentence: str
    file: str = ""
    """Beside the report; empty where there is none."""


NOT_ASKED = Attached("No Evidently page was asked for.")
