"""A message as Slack blocks.

What anybody else wrote goes into ``plain_text`` and ``rich_text`` only, where Slack reads no markup; ``mrkdwn`` holds
our own labels, figures and times, and the ids that the configuration lists as `mention`. The parts are bounded so that
the whole stays within 45 blocks, 2900 characters a text and 12,000 in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from driftwatch.notify._render import ICONS, Message, News, Part, moment
from driftwatch.notify._text import cut, inert, unlinked
from driftwatch.notify._why import Why

Block = dict[str, Any]

_BROADCASTS = ("here", "channel", "everyone")


def incident_blocks(message: Message, mention: Sequence[str] = ()) -> list[Block]:
    """The one message of an incident, as it stands; ``mention`` are the ids to call."""
    blocks = [_header(f"{ICONS[message.tone]} {message.title}")]
    if mention:
        blocks.append(_section(" ".join(map(_mention, mention))))
    if message.why is not None:
        blocks.append(_why(message.why))
    for part in message.parts:
        blocks += _part_blocks(part)
    if message.more:
        blocks.append(_rich(_line(_text(f"Also: {message.more}"))))
    if message.examples:
        blocks.append(_examples(message.examples))
    blocks.append(_rich(_way_on(message)))
    blocks.append(_context(_times(message), *_plain_facts(message)))
    return blocks


def news_blocks(news: News, mention: Sequence[str] = ()) -> list[Block]:
    """One transition, for the thread of its incident."""
    line = [_text(f"{news.icon} "), _text(news.title, bold=True)]
    blocks = [_rich(_line(*line))]
    if news.sentence:
        blocks.append(_rich(_line(_text(news.sentence))))
    if mention:
        blocks.append(_section(" ".join(map(_mention, mention))))
    blocks.append(_context(_date(news.at)))
    return blocks


def fallback(title: str, sentence: str) -> str:
    """What a phone's lock screen and a screen reader get; Slack reads markup here, so none is left in it."""
    return inert(cut(f"{title}: {sentence}" if sentence else title, 300))


def _part_blocks(part: Part) -> list[Block]:
    lines = [_line(_text(part.heading, bold=True))] if part.heading else []
    blocks = [_rich(*lines, _line(_text(part.sentence)))]
    if part.numbers:
        fields = [_mrkdwn(f"*{label}*\n{shown}") for label, shown in part.numbers]
        blocks.append({"type": "section", "fields": fields})
    return blocks


def _why(told: Why) -> Block:
    lines = [_line(_text(told.cause, bold=True)), _line(_text(told.sentence)), _line(_text(f"Next: {told.action}"))]
    if told.documents:
        more = f" and {told.more} more" if told.more else ""
        lines.append(_line(_text(f"Documents: {', '.join(told.documents)}{more}")))
    lines += [_line(_text(f"Beside it: {sentence}")) for sentence in told.beside]
    return _rich(*lines)


def _examples(examples: Iterable[str]) -> Block:
    items = {"type": "rich_text_list", "style": "bullet", "elements": [_line(_text(each)) for each in examples]}
    return _rich(_line(_text("Look at these first", bold=True)), items)


def _way_on(message: Message) -> Block:
    elements = [_text("What was found, and where: "), _text(message.command, code=True)]
    if message.url:
        elements += [_text("  or  "), {"type": "link", "url": message.url, "text": "read more"}]
    return _line(*elements)


def _times(message: Message) -> Block:
    began = _date(message.openings[-1])["text"]
    times = len(message.openings)
    again = f", {times} times since {_date(message.opened_at)['text']}" if times > 1 else ""
    return _mrkdwn((f"Began {began}, lasted {message.lasted}" if message.lasted else f"Since {began}") + again)


def _plain_facts(message: Message) -> list[Block]:
    facts = [message.service]
    if message.acknowledged_by:
        facts.append(f"Looked after by {message.acknowledged_by}")
    return [_plain(fact) for fact in facts if fact]


def _mention(who: str) -> str:
    if who in _BROADCASTS:
        return f"<!{who}>"
    return f"<!subteam^{who}>" if who.startswith("S") else f"<@{who}>"


def _date(at: datetime) -> Block:
    """The reader's own time; our UTC text where a client cannot tell it."""
    return _mrkdwn(f"<!date^{int(at.timestamp())}^{{date_short_pretty}} at {{time}}|{moment(at)}>")


def _header(text: str) -> Block:
    return {"type": "header", "text": _plain(text, 150)}


def _section(mrkdwn: str) -> Block:
    return {"type": "section", "text": _mrkdwn(mrkdwn)}


def _context(*elements: Block) -> Block:
    return {"type": "context", "elements": list(elements)}


def _plain(text: str, limit: int = 300) -> Block:
    return {"type": "plain_text", "text": cut(unlinked(text), limit), "emoji": False}


def _mrkdwn(own: str) -> Block:
    return {"type": "mrkdwn", "text": own}


def _rich(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def _line(*elements: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(elements)}


def _text(text: str, **style: bool) -> Block:
    # Slack refuses an empty text element.
    element: Block = {"type": "text", "text": unlinked(text) or " "}
    return element | {"style": style} if style else element
