"""Canaries from TREC topics: ``id<TAB>text``, the classic ``<top><num><title>``, or ``<topic number="1"><query>``."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from driftwatch.sources import _qrels
from driftwatch.sources._beir import unasked
from driftwatch.sources._canary_lines import Place, Problems, lines
from driftwatch.sources._suites import Entry, canary

_TAG = re.compile(r"<(/?)([a-z]+)([^<>]{0,200})>", re.IGNORECASE)
_NUMBER = re.compile(r"""\bnumber\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_LABEL = {"num": re.compile(r"\s*Number\s*:", re.IGNORECASE), "title": re.compile(r"\s*Topic\s*:", re.IGNORECASE)}
_HEADINGS = ("id", "_id", "qid", "query_id", "query-id", "topic", "topic_id")

Topic = tuple[Place, str, str]


def files(topics: Path, qrels: Path, split: str, lang: str, problems: Problems) -> tuple[list[Entry], list[str]]:
    """The judged topics, and notes; ``qrels`` is a file, or a directory with one for each split."""
    judgements = qrels if qrels.is_file() else _qrels.find(qrels, split, problems)
    if judgements is None:
        return [], []
    judged = _qrels.read(judgements, problems)
    entries = []
    for place, number, text in read(topics, problems):
        if not number or not text:
            what = f"the topic '{number}' has no title." if number else "a topic has no number."
            problems.add(place, what, "Write <num> and <title> in each <top>, or id<TAB>text on each line.")
        elif number in judged:
            entries.append(Entry(canary(number, text, lang, judged[number]), place))
    return entries, unasked(judged, entries, problems.name(topics))


def read(path: Path, problems: Problems) -> Iterator[Topic]:
    """Place, number and title of each topic, whichever of the three forms the file has."""
    rows = lines(path, problems)
    first = next(rows, None)
    if first is None:
        return
    if first[1].lstrip().startswith("<"):
        yield from _tagged(first, rows)
    else:
        yield from _tabbed(first, rows, problems)


def _tabbed(first: tuple[Place, str], rows: Iterator[tuple[Place, str]], problems: Problems) -> Iterator[Topic]:
    heading = first[1].partition("\t")[0].strip().lower() in _HEADINGS
    for place, line in rows if heading else _chain(first, rows):
        number, tab, text = line.partition("\t")
        if tab:
            yield place, number.strip(), text.strip()
        else:
            problems.add(place, "there is no tab between a topic's id and its text.", "Write id<TAB>text.")


def _tagged(first: tuple[Place, str], rows: Iterator[tuple[Place, str]]) -> Iterator[Topic]:
    """Fields run to the next tag, over as many lines as they take."""
    fields: dict[str, list[str]] = {}
    start, field = first[0], ""
    for place, line in _chain(first, rows):
        end = 0
        for tag in [*_TAG.finditer(line), None]:
            if field in ("num", "title"):
                fields.setdefault(field, []).append(line[end : tag.start() if tag else len(line)])
            if tag is None:
                break
            closing, name, rest = tag[1] == "/", tag[2].lower(), tag[3]
            end, field = tag.end(), ""
            if name in ("top", "topic"):
                if fields:
                    yield _topic(start, fields)
                number = _NUMBER.search(rest)
                start, fields = place, {} if closing else {"num": [number[1]] if number else []}
            elif not closing:
                field = "title" if name == "query" else name
    if fields:
        yield _topic(start, fields)


def _topic(start: Place, fields: dict[str, list[str]]) -> Topic:
    number, title = (
        " ".join(html.unescape(_LABEL[name].sub("", " ".join(fields.get(name, [])), count=1)).split())
        for name in ("num", "title")
    )
    return start, number, title


def _chain(first: tuple[Place, str], rows: Iterator[tuple[Place, str]]) -> Iterator[tuple[Place, str]]:
    yield first
    yield from rows
