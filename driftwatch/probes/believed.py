"""What is suspected of entries and what is known to be bad, from run to run: an ingestion under way is no defect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from driftwatch.probed import MOST_IDS
from driftwatch.types import Look, Stored

AT_ONCE_SURE = 3
"""So many bad ones at once that no ingestion explains count without being asked again."""
MANY_AT_FIRST = 0.02
"""The share that counts at the first run although an ingestion might explain it."""
MOST_SUSPECTS = 100
SLOW_KINDS = ("other text", "text")
"""What an ingestion under way looks like."""


class Row(NamedTuple):
    """One entry that was looked at."""

    entry: Stored
    lang: str
    kind: str
    """What is wrong with it; empty: nothing."""
    mark: str
    """Names the text that it should be of."""


@dataclass
class Believed:
    """What is suspected and what is known to be bad, from run to run; by entry_id."""

    suspects: dict[str, tuple[str, str]] = field(default_factory=dict)
    """-> since when, ISO 8601, and the mark of its text then."""
    known: dict[str, str] = field(default_factory=dict)
    """-> doc_id."""
    tally: tuple[int, int] = (0, 0)
    """Of the walk: looked at, and bad."""

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Believed:
        """From a probe's state."""
        suspects = {each: (since, mark) for each, (since, mark) in kept.get("suspects", {}).items()}
        return cls(suspects, dict(kept.get("known", {})), tuple(kept.get("tally", (0, 0))))

    def dump(self) -> dict[str, Any]:
        """For a probe's state."""
        suspects = {each: list(suspect) for each, suspect in self.suspects.items()}
        return {"suspects": suspects, "known": self.known, "tally": list(self.tally)}

    def asked_again(self, most: int) -> list[str]:
        """Who is asked again: every suspect, and the known ones that were not asked for longest."""
        return [*self.suspects, *list(self.known)[:most]]


@dataclass(frozen=True)
class Told:
    """What a run learnt of the entries it looked at."""

    n: int
    """Looked at for the sample."""
    newly: tuple[str, ...]
    """doc_ids that count as bad from this run on."""
    mended: int
    again: int
    by: Mapping[str, tuple[int, int]]


def settle(
    believed: Believed, rows: Sequence[Row], gone: Sequence[str], now: datetime, lag: timedelta, *, at_once: bool
) -> Told:
    """Hold what was seen against what was believed, and believe it from now on.

    A single bad entry is asked again at the next run before it counts, and one that an ingestion under way explains
    only after ``lag``; several others at once count at once. ``at_once``: at the first run, where nothing was seen
    before, everything does but a few that an ingestion explains.
    """
    for entry_id in gone:
        believed.suspects.pop(entry_id, None)
        believed.known.pop(entry_id, None)
    again = [row for row in rows if row.entry.entry_id in believed.suspects or row.entry.entry_id in believed.known]
    asked = {row.entry.entry_id for row in again}
    sample = [row for row in rows if row.entry.entry_id not in asked]
    slow = _may_be_ingestion([row.kind for row in rows if row.kind and row.entry.entry_id not in believed.known])
    newly: dict[str, str] = {}
    mended = sum(_again(believed, row, now, lag if slow else timedelta(0), newly) for row in again)
    odd = [row for row in sample if row.kind]
    many = len(odd) >= max(AT_ONCE_SURE, MANY_AT_FIRST * len(sample))
    for row in odd:
        if (at_once and many) or (not slow and row.kind not in SLOW_KINDS and (at_once or len(odd) >= AT_ONCE_SURE)):
            newly[row.entry.doc_id] = row.lang
            believed.known[row.entry.entry_id] = row.entry.doc_id
        elif len(believed.suspects) < MOST_SUSPECTS:
            believed.suspects[row.entry.entry_id] = (now.isoformat(), row.mark)
    for entry_id in list(believed.known)[MOST_IDS:]:
        del believed.known[entry_id]
    return Told(len(sample), tuple(newly), mended, len(again), _by_language(sample, newly))


def mark_of(text: str) -> str:
    """A short name of a text: another text, another mark."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def _may_be_ingestion(kinds: Sequence[str]) -> bool:
    """Whether most of what is odd looks like texts that changed; a few of those look like another model's vectors."""
    slow = sum(kind in SLOW_KINDS for kind in kinds)
    return slow > 0 and slow >= len(kinds) - slow


def _again(believed: Believed, row: Row, now: datetime, lag: timedelta, newly: dict[str, str]) -> bool:
    """One entry that was asked again; whether it was known as bad and is no longer."""
    entry_id, doc_id = row.entry.entry_id, row.entry.doc_id
    was_known = believed.known.pop(entry_id, None) is not None
    since, mark = believed.suspects.pop(entry_id, (now.isoformat(), row.mark))
    if not row.kind:
        return was_known
    if was_known:
        believed.known[entry_id] = doc_id
    elif mark != row.mark:  # it changed once more: that is another wait
        believed.suspects[entry_id] = (now.isoformat(), row.mark)
    elif now - datetime.fromisoformat(since) < lag:
        believed.suspects[entry_id] = (since, mark)
    else:
        newly[doc_id] = row.lang
        believed.known[entry_id] = doc_id
    return False


def _by_language(sample: Sequence[Row], newly: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    looked = Counter(row.lang for row in sample if row.lang)
    bad = Counter(lang for lang in newly.values() if lang)
    return {lang: (max(looked[lang], bad[lang]), bad[lang]) for lang in sorted(looked | bad)}


def look_of(told: Told, believed: Believed, values: Mapping[str, float], words: Mapping[str, str], why: str) -> Look:
    """What was learnt, as a look: ``bad`` counts what is new, ``ids`` names everything that is known to be bad now."""
    names = tuple(dict.fromkeys([*told.newly, *believed.known.values()]))[:MOST_IDS]
    counted = {
        "known": float(len(believed.known)),
        "suspects": float(len(believed.suspects)),
        "asked again": float(told.again),
        "mended": float(told.mended),
    }
    return Look(max(told.n, len(told.newly)), len(told.newly), names, told.by, {**counted, **values}, words, why)
