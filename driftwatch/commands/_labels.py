"""Judged scores from a file that a person made."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from driftwatch.errors import SourceError
from driftwatch.threshold.material import Label
from driftwatch.types import UNDETERMINED

NEEDED = ("query_id", "score", "relevant")
WORDS = {"true": True, "yes": True, "false": False, "no": False}
REMEDY = "Each row needs query_id, score and relevant; lang and weight may be given."


def read_labels(path: Path) -> tuple[Label, ...]:
    """Rows of a JSON-lines (``.jsonl``) or CSV file (any other), one judged score each.

    Raises:
        SourceError: it cannot be read, or a row is wrong, with its line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _json_rows(file, path) if path.suffix == ".jsonl" else _csv_rows(file, path)
            labels = tuple(_label(row, f"{path}:{line}") for line, row in rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read: {error}.", remedy="Name a UTF-8 file of labels.") from None
    if not labels:
        raise SourceError(f"{path} holds no labels.", remedy=REMEDY)
    return labels


def _json_rows(file: Any, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, text in enumerate(file, 1):
        if text.isspace():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            raise SourceError(f"{path}:{line}: this is no JSON.", remedy=REMEDY) from None
        if not isinstance(row, dict):
            raise SourceError(f"{path}:{line}: this is no JSON object.", remedy=REMEDY)
        yield line, row


def _csv_rows(file: Any, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(file)
    if missing := [name for name in NEEDED if name not in (reader.fieldnames or ())]:
        raise SourceError(f"{path}:1: there is no column '{missing[0]}'.", remedy=REMEDY)
    for row in reader:
        yield reader.line_num, row


def _label(row: Mapping[str, Any], place: str) -> Label:
    for name in NEEDED:
        if row.get(name) is None:
            raise SourceError(f"{place}: '{name}' is missing.", remedy=REMEDY)
    if str(row["relevant"]).isspace() or row["relevant"] == "":
        raise SourceError(f"{place}: 'relevant' is empty.", remedy="Write true or false, or delete the row.")
    given = row.get("weight")
    weight = 1.0 if given is None or given == "" else _number(given, "weight", place)
    if weight <= 0:
        raise SourceError(f"{place}: 'weight' is {weight:g}.", remedy="Write a number above 0.")
    return Label(
        query_id=str(row["query_id"]),
        score=_number(row["score"], "score", place),
        relevant=_judgement(row["relevant"], place),
        lang=str(row.get("lang") or UNDETERMINED),
        weight=weight,
    )


def _number(given: Any, name: str, place: str) -> float:
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SourceError(f"{place}: '{name}' is {str(given)[:60]!r}.", remedy="Write a number.")
    return number


def _judgement(given: Any, place: str) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().lower()
    if word in WORDS:
        return WORDS[word]
    return _number(given, "relevant", place) > 0
