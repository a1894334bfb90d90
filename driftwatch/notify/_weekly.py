"""The weekly report as a message: Slack's blocks, which a terminal shows as well, and a webhook's body.

What anybody else wrote goes into ``plain_text`` and ``rich_text`` only, where Slack reads no markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from driftwatch.notify._blocks import Block, fallback
from driftwatch.notify._text import clean, cut, unlinked
from driftwatch.reported.announced import Announcement, Picture, WeeklyNotice

ICONS = {"ok": "🟢", "warn": "🟠", "fail": "🔴", "unknown": "⚪"}
MOST_FACTS = 8
MOST_LINES = 5

_WORDS, _TITLE, _LINE = 1900, 300, 300
_LEVELS = {"ok": "All is well", "warn": "Needs a look", "fail": "Something broke", "unknown": "Not enough was seen"}


def title(told: Announcement) -> str:
    """What the message is about, in one line."""
    return f"{clean(told.service, 60)}: the week of {clean(told.dates, 60)}"


def sentence(told: Announcement) -> str:
    """The verdict in one sentence."""
    return f"{_LEVELS[told.level]}. {clean(told.sentence, _LINE)}."


def lock_screen(told: Announcement) -> str:
    """What a phone's lock screen and a screen reader get."""
    return fallback(title(told), sentence(told))


def weekly_blocks(notice: WeeklyNotice, files: Mapping[str, str], note: str = "") -> list[Block]:
    """The message; ``files``: picture -> Slack's id of it, for those that are shown; ``note``: our own last line."""
    told = notice.announcement
    blocks: list[Block] = [
        {"type": "header", "text": _plain(f"{ICONS[told.level]} {title(told)}", 150)},
        _rich(_section(_text(sentence(told), bold=True))),
    ]
    if told.reasons:
        blocks.append(_rich(_list(told.reasons)))
    if told.facts:
        fields = [_plain(f"{clean(label, 60)}\n{clean(shown, 120)}") for label, shown in told.facts[:MOST_FACTS]]
        blocks.append({"type": "section", "fields": fields})
    blocks += _incidents(told)
    if told.not_seen:
        blocks.append(_rich(_section(_text("Not seen: ", bold=True), _text(clean(told.not_seen, _LINE)))))
    blocks += [_image(each, files[each.file]) for each in told.pictures if each.file in files]
    if notice.url:
        link = {"type": "link", "url": notice.url, "text": "Read the whole report"}
        blocks.append(_rich(_section(link)))
    blocks.append({"type": "context", "elements": [_plain(each) for each in (clean(told.week, 20), note) if each]})
    return blocks


def _incidents(told: Announcement) -> list[Block]:
    if not told.incidents:
        return []
    lines = [*told.incidents[:MOST_LINES]]
    if told.more_incidents:
        lines.append(f"and {told.more_incidents} more")
    return [_rich(_section(_text("What changed", bold=True)), _list(lines))]


def _image(picture: Picture, file: str) -> Block:
    return {
        "type": "image",
        "slack_file": {"id": file},
        "alt_text": cut(unlinked(clean(picture.words, _WORDS)), 2000) or "A chart",
        "title": _plain(clean(picture.title, _TITLE)),
    }


def weekly_body(notice: WeeklyNotice, receiver: str) -> dict[str, Any]:
    """A webhook's body: Alertmanager's, version 4, without alerts; the report is under ``driftwatch``."""
    told = notice.announcement
    service = clean(told.service, 200)
    return {
        "version": "4",
        "groupKey": f"driftwatch:{service}:report:{clean(told.week, 20)}",
        "truncatedAlerts": 0,
        "status": "resolved",
        "receiver": clean(receiver, 200),
        "groupLabels": {"service": service, "report": clean(told.week, 20)},
        "commonLabels": {"service": service},
        "commonAnnotations": {"summary": f"{title(told)}. {sentence(told)}"},
        "externalURL": notice.url,
        "alerts": [],
        "driftwatch": {
            "key": notice.key,
            "event": "report",
            "week": clean(told.week, 20),
            "dates": clean(told.dates, 60),
            "level": told.level,
            "sentence": clean(told.sentence, _LINE),
            "reasons": [clean(each, _LINE) for each in told.reasons],
            "facts": {clean(label, 60): clean(shown, 120) for label, shown in told.facts},
            "incidents": [clean(each, _LINE) for each in told.incidents],
            "more_incidents": told.more_incidents,
            "not_seen": clean(told.not_seen, _LINE),
            "pictures": [
                {"title": clean(each.title, _TITLE), "words": clean(each.words, _WORDS)} for each in told.pictures
            ],
            "url": notice.url,
        },
    }


def _plain(text: str, limit: int = 300) -> Block:
    return {"type": "plain_text", "text": cut(unlinked(text), limit) or "–", "emoji": False}


def _rich(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def _section(*elements: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(elements)}


def _list(lines: Sequence[str]) -> Block:
    items = [_section(_text(clean(each, _LINE))) for each in lines[: MOST_LINES + 1]]
    return {"type": "rich_text_list", "style": "bullet", "elements": items}


def _text(text: str, **style: bool) -> Block:
    element: Block = {"type": "text", "text": unlinked(text) or " "}
    return element | {"style": style} if style else element
