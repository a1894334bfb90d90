"""Draws docs/images/slack-incident.png: the blocks of an incident, as the renderer makes them, in Slack's look.

Run it from the root of the repository, with Chromium installed: ``python docs/images/slack_incident.py``
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

from driftwatch.alerts import AlertPolicy, acknowledge, advance, incident_key
from driftwatch.notify._blocks import incident_blocks, news_blocks
from driftwatch.notify._render import message, news
from driftwatch.types import Alert, Finding, Incident, Member, Notice, Transition

PICTURE = Path(__file__).with_name("slack-incident.png")
WIDTH, HEIGHT = 860, 696
BEGAN = datetime(2026, 5, 21, 10, 0, tzinfo=UTC)

QUESTIONS = {
    "de-03": "Wie ändere ich meine Lieferadresse?",
    "de-11": "Wo finde ich meine Rechnung?",
    "de-17": "Kann ich zwei Gutscheine zusammen einlösen?",
    "de-24": "Mein Passwort funktioniert nicht mehr",
}
BROKEN = Finding(
    check="canary recall",
    segment="de",
    at=BEGAN,
    verdict="fail",
    message="recall R@10 fell from 0.95 to 0.41: 27 of 50 canaries lost their document",
    kind="canary",
    family="canaries",
    n=50,
    value=0.41,
    reference=0.95,
    effect=-0.54,
    interval=(-0.66, -0.42),
    p_value=1.5e-8,
    examples=tuple(QUESTIONS),
)


def notices() -> list[Notice]:
    """Fired at ten, acknowledged a quarter past."""
    policy, alert = AlertPolicy(), Alert("canary recall", "de")
    history: list[Transition] = []
    for hour in (1, 0):
        at = BEGAN - timedelta(hours=hour)
        name = incident_key("canaries", "de", at)
        alert, fired = advance(alert, replace(BROKEN, at=at), policy, at, incident=name)
    alert, known = acknowledge(alert, "Ana", BEGAN + timedelta(minutes=14), family="canaries")
    assert fired is not None
    assert known is not None
    history = [fired, known]
    incident = Incident(fired.incident, "canaries", "de", BEGAN, None, (Member(alert, BROKEN),), tuple(history))
    return [
        Notice(each.key, "help-centre", each.event, each.at, incident, each, QUESTIONS, finding=BROKEN)
        for each in history
    ]


# --- blocks as HTML ------------------------------------------------------------------------------------------------


def html_of(block: dict[str, Any]) -> str:
    """One block."""
    match block["type"]:
        case "header":
            return f"<h1>{escape(block['text']['text'])}</h1>"
        case "section" if "fields" in block:
            return (
                "<div class=fields>" + "".join(f"<div>{own(each['text'])}</div>" for each in block["fields"]) + "</div>"
            )
        case "section":
            return f"<p>{own(block['text']['text'])}</p>"
        case "context":
            return "<p class=context>" + "".join(f"<span>{text_of(each)}</span>" for each in block["elements"]) + "</p>"
        case _:
            return "".join(map(rich, block["elements"]))


def text_of(element: dict[str, Any]) -> str:
    """A text object."""
    return own(element["text"]) if element["type"] == "mrkdwn" else escape(element["text"])


def own(mrkdwn: str) -> str:
    """Our own markup: bold labels, and times as a reader in UTC sees them."""
    dated = re.sub(r"<!date\^\d+\^[^|]*\|(\d+ \w+) \d+, ([\d:]+) UTC>", r"\1 at \2", mrkdwn)
    called = re.sub(r"&lt;@(\w+)&gt;", "<span class=mention>@on-call</span>", escape(dated))
    return re.sub(r"\*([^*]+)\*", r"<b>\1</b>", called).replace("\n", "<br>")


def rich(element: dict[str, Any]) -> str:
    """A section or a list of a rich_text block."""
    if element["type"] == "rich_text_list":
        return "<ul>" + "".join(f"<li>{inline(item)}</li>" for item in element["elements"]) + "</ul>"
    return f"<p>{inline(element)}</p>"


def inline(section: dict[str, Any]) -> str:
    """The elements of a section."""
    shown = []
    for each in section["elements"]:
        style, text = each.get("style") or {}, escape(each["text"])
        tag = "code" if style.get("code") else "b" if style.get("bold") else "span"
        shown.append(f"<{tag}>{text}</{tag}>")
    return "".join(shown)


STYLE = """
* { box-sizing: border-box; margin: 0; }
body { background: #fff; color: #1d1c1d; font: 15px/1.46 "Lato", "Liberation Sans", Arial, sans-serif; }
.channel { border-bottom: 1px solid #e4e4e4; padding: 13px 20px 12px; font-weight: 900; font-size: 17px; }
.channel small { color: #616061; font-weight: 400; font-size: 13px; margin-left: 10px; }
.message { display: flex; padding: 14px 20px 0; gap: 10px; }
.message.reply { padding: 10px 20px 0 66px; }
.avatar { width: 36px; height: 36px; border-radius: 6px; background: #14323b; flex: none; }
.reply .avatar { width: 24px; height: 24px; }
.avatar svg { width: 100%; height: 100%; display: block; }
.body { flex: 1; }
.who { font-weight: 900; } .who small { color: #616061; font-weight: 400; font-size: 12px; margin-left: 6px; }
.who i { font: 700 10px/1 "Liberation Sans", Arial; background: #e8e8e8; color: #454447; border-radius: 2px;
  padding: 1px 3px; margin-left: 5px; vertical-align: 1px; }
h1 { font-size: 18px; font-weight: 900; margin: 6px 0 4px; }
h1, .reply p { font-family: "Liberation Sans", "Noto Color Emoji", sans-serif; }
p { margin: 5px 0; }
.fields { display: grid; grid-template-columns: 230px 1fr; row-gap: 8px; margin: 9px 0 10px; }
ul { margin: 1px 0 9px; padding-left: 24px; } li { padding-left: 3px; }
code { font: 12.5px "Liberation Mono", monospace; color: #c01343; background: #f7f7f8; border: 1px solid #dddddf;
  border-radius: 3px; padding: 1px 4px 2px; }
.mention { background: #fdf3cf; color: #1264a3; border-radius: 3px; padding: 0 3px 1px; }
.context { color: #616061; font-size: 13px; margin-top: 7px; } .context span { margin-right: 14px; }
.replies { margin: 12px 20px 0 66px; color: #616061; font-size: 13px; display: flex; align-items: center; gap: 10px; }
.replies b { color: #1264a3; } .replies::after { content: ""; flex: 1; border-top: 1px solid #e4e4e4; }
.reply { font-size: 14px; } .reply p { margin: 2px 0; } .reply .who { font-size: 14px; }
"""
AVATAR = (
    '<div class=avatar><svg viewBox="0 0 36 36"><path d="M6 13 C11 13 12 23 17 23 S 24 11 30 11" fill="none"'
    ' stroke="#7fd6c2" stroke-width="3" stroke-linecap="round"/><circle cx="30" cy="11" r="3" fill="#f4b740"/>'
    "</svg></div>"
)


def posted(blocks: list[dict[str, Any]], at: datetime, *, reply: bool = False) -> str:
    """One message of the bot."""
    head = f"<div class=who>driftwatch<i>APP</i><small>{at:%H:%M}</small></div>"
    shown = "".join(map(html_of, blocks))
    return f"<div class='message{' reply' if reply else ''}'>{AVATAR}<div class=body>{head}{shown}</div></div>"


def page() -> str:
    """The channel, with the incident and what its thread says."""
    fired, known = notices()
    incident = posted(incident_blocks(message(known), ["U0ONCALL"]), fired.at)
    thread = "".join(posted(news_blocks(news(each))[:-1], each.at, reply=True) for each in (fired, known))
    head = (
        "<div class=channel># assistant-quality<small>What driftwatch sees of the help-centre assistant</small></div>"
    )
    replies = "<div class=replies><b>2 replies</b></div>"
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{head}{incident}{replies}{thread}"


def main() -> None:
    """Write the picture at twice its size, for sharp screens."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "incident.html")
        source.write_text(page(), "utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=2"]
        options += ["--disable-background-networking", f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={PICTURE}"]
        subprocess.run(["chromium", *options, source.as_uri()], check=True, capture_output=True)  # noqa: S603, S607


if __name__ == "__main__":
    main()
