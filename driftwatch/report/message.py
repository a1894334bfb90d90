"""The weekly message: the verdict, the figures that matter and the incidents, for a receiver to show in its own way."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from driftwatch.report.story import dates_of
from driftwatch.report.story.incidents import cause, title
from driftwatch.report.story.parts import Story, counted, lasted, listed, text
from driftwatch.reported import Incident, Week
from driftwatch.reported.announced import Announcement, Picture

MESSAGE = "message.json"
"""The file in the folder of a week."""

MOST_INCIDENTS = 5
MOST_REASONS = 3


def announce(week: Week, story: Story, pictures: tuple[Picture, ...] = ()) -> Announcement:
    """``week`` in a message."""
    missing = list(dict.fromkeys(each.name for each in week.not_seen))
    return Announcement(
        service=story.service,
        week=story.week,
        dates=dates_of(week),
        level=week.verdict.level,
        sentence=story.sentence,
        reasons=story.reasons[:MOST_REASONS],
        facts=tuple((each.label, f"{each.figure}, {each.beside}") for each in story.facts),
        incidents=tuple(_line(each) for each in week.incidents[:MOST_INCIDENTS]),
        more_incidents=max(0, len(week.incidents) - MOST_INCIDENTS),
        not_seen=text(f"{counted(len(week.not_seen), 'gap')}: {listed(missing)}", 240) if missing else "",
        pictures=pictures,
    )


def _line(incident: Incident) -> str:
    state = {"firing": "open", "blind": "cannot see", "resolved": "over"}[incident.state]
    return text(f"{title(incident)} ({state}, {lasted(incident.seconds)}): {cause(incident)}", 240)


def as_bytes(announcement: Announcement) -> bytes:
    """As JSON."""
    return (json.dumps(asdict(announcement), indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def read_announcement(content: bytes) -> Announcement:
    """What ``as_bytes`` gave.

    Raises:
        ValueError: it is something else.
    """
    try:
        given: dict[str, Any] = json.loads(content)
        texts = {name: tuple(given[name]) for name in ("reasons", "incidents")}
        facts = tuple((str(label), str(figure)) for label, figure in given["facts"])
        pictures = tuple(Picture(**each) for each in given["pictures"])
        return Announcement(**(given | texts | {"facts": facts, "pictures": pictures}))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no weekly message: {error!r}") from None
