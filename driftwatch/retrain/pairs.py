"""Questions with known answers: what users said of answers, what labelled files say, and both together."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from driftwatch.feedback import MOST_A_DAY
from driftwatch.retrain import _files
from driftwatch.retrain._removed import TakenOut
from driftwatch.retrain.settings import PairSettings
from driftwatch.retrained import Origin, Pair, Removed
from driftwatch.types import UNDETERMINED, Observation

LIKED: tuple[Origin, ...] = ("accepted", "up", "click")
"""What says that a document answers the question, the strongest first."""
DISLIKED: Origin = "down"

_HASH = re.compile(r"[0-9a-f]{32}")
_PART = re.compile(r"(.+)#\d+", re.DOTALL)
_TRUST: Mapping[Origin, int] = {"file": 0, "accepted": 1, "up": 1, "click": 1, "down": 1, "generated": 2}
"""Whom to believe where they contradict each other, the lowest first."""

Key = tuple[str, str]
"""(the question as ``same_text`` has it, doc_id)"""


@dataclass(frozen=True)
class Collected:
    """Pairs, each question and document once, and what was left out on the way."""

    pairs: tuple[Pair, ...]
    removed: tuple[Removed, ...]
    counts: Mapping[str, int]
    """Origin -> pairs."""
    clicked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Question -> doc_ids that somebody liked or clicked for it and that are no pair: no negatives either."""

    @classmethod
    def of(cls, pairs: Iterable[Pair], out: TakenOut, clicked: Iterable[Key] = ()) -> Collected:
        """With the pairs counted."""
        kept = tuple(pairs)
        liked: defaultdict[str, set[str]] = defaultdict(set)
        for query, doc_id in clicked:
            liked[query].add(doc_id)
        counts: Counter[str] = Counter(pair.origin for pair in kept)
        return cls(kept, out.all(), dict(counts), {query: frozenset(found) for query, found in liked.items()})


def same_text(text: str) -> str:
    """What two texts have in common that differ only in case, width, composition or blanks.

    >>> same_text("  Ｈow do  I PAY? ") == same_text("how do i pay?")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def document_of(doc_id: str, known: Container[str]) -> str | None:
    """The document of the corpus that an answer names, itself or one of its passages; None where there is none.

    >>> document_of("doc-7#2", {"doc-7"}), document_of("doc-7#2", {"doc-7#2"}), document_of("doc-8", {"doc-7"})
    ('doc-7', 'doc-7#2', None)
    """
    if doc_id in known:
        return doc_id
    part = _PART.fullmatch(doc_id)
    return part[1] if part and part[1] in known else None


# --- the log -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Vote:
    """What one session said once of one document."""

    at: datetime
    session: tuple[str, ...]
    query: str
    """As ``same_text`` has it."""
    spelling: str
    lang: str
    doc_id: str
    kind: Origin

    @property
    def key(self) -> Key:
        return self.query, self.doc_id


@dataclass(slots=True)
class _Stance:
    """What one session thinks of one pair: the last it said."""

    likes: bool
    kinds: set[Origin]
    at: datetime


def from_log(observations: Iterable[Observation], settings: PairSettings, known: Container[str]) -> Collected:
    """Pairs of which enough sessions said the same; ``known`` holds the doc_ids of the corpus.

    A session has one voice for a question and a document, however often and on however many days it says so, and it is
    the last thing it said. Without a session, one text a day is one. Of a pair that some like and some do not, the
    larger number counts, and a tie removes it. Observations may come in any order.
    """
    out = TakenOut()
    votes = sorted(_people(observations, known, out), key=lambda vote: (vote.at, vote.session, vote.key, vote.kind))
    spelled, lang = _spelled(votes), _languages(votes)
    pairs, clicked = [], []
    for (query, doc_id), stances in sorted(_stances(votes).items()):
        said = _decided(stances, settings)
        if isinstance(said, str):
            out.add(said, f"{spelled[query]} -> {doc_id}")
            clicked += [(spelled[query], doc_id)] * any(each.likes for each in stances)
            continue
        origin, heard = said
        pairs.append(
            Pair(
                query=spelled[query],
                doc_id=doc_id,
                lang=lang.get(query, UNDETERMINED),
                relevant=origin != DISLIKED,
                origin=origin,
                count=len(heard),
                at=max(each.at for each in heard),
            )
        )
    return Collected.of(pairs, out, clicked)


def _people(observations: Iterable[Observation], known: Container[str], out: TakenOut) -> list[_Vote]:
    """Every vote that can be understood, but not those of sessions that say more than a person does."""
    a_day: Counter[tuple[tuple[str, ...], date]] = Counter()
    votes = []
    for seen in observations:
        if seen.feedback not in (*LIKED, DISLIKED):
            continue
        if seen.session:
            a_day[_session(seen), seen.at.date()] += 1
        if (vote := _vote(seen, known, out)) is not None:
            votes.append(vote)
    programs = {session for (session, _), count in a_day.items() if count > MOST_A_DAY}
    for session in sorted(programs):
        out.add(f"sessions with more than {MOST_A_DAY} feedbacks a day", session[-1])
    return [vote for vote in votes if vote.session not in programs]


def _session(seen: Observation) -> tuple[str, ...]:
    if seen.session:
        return seen.source, seen.session
    return seen.source, seen.at.date().isoformat(), same_text(seen.text)


def _vote(seen: Observation, known: Container[str], out: TakenOut) -> _Vote | None:
    kind: Any = seen.feedback
    query = same_text(seen.text)
    if not query or _HASH.fullmatch(seen.text):
        out.add("feedback on queries whose text was not kept")
        return None
    if not (named := seen.feedback_doc or _spoken_of(seen)):
        out.add("clicks that name no document" if kind == "click" else "feedback on answers without a document", query)
        return None
    doc_id = document_of(named, known)
    if doc_id is None:
        out.add("feedback on documents that the corpus does not hold", named)
        return None
    return _Vote(seen.at, _session(seen), query, " ".join(seen.text.split()), seen.lang, doc_id, kind)


def _spoken_of(seen: Observation) -> str:
    """What feedback without a document is about: the first hit. A click may be on any of them, and who was given no
    answer speaks of none.
    """
    return seen.hits[0].doc_id if seen.hits and seen.feedback != "click" and not seen.abstained else ""


def _stances(votes: Sequence[_Vote]) -> dict[Key, list[_Stance]]:
    """Pair -> what each session thinks of it; ``votes`` are the oldest first."""
    found: dict[Key, dict[tuple[str, ...], _Stance]] = defaultdict(dict)
    for vote in votes:
        likes = vote.kind != DISLIKED
        stance = found[vote.key].get(vote.session)
        if stance is None or stance.likes != likes:
            stance = found[vote.key][vote.session] = _Stance(likes, set(), vote.at)
        stance.kinds.add(vote.kind)
        stance.at = vote.at
    return {key: list(sessions.values()) for key, sessions in found.items()}


def _decided(stances: Sequence[_Stance], settings: PairSettings) -> tuple[Origin, list[_Stance]] | str:
    """What a pair counts as and the sessions that said so; or why it counts as nothing."""
    likes = [each for each in stances if each.likes]
    dislikes = [each for each in stances if not each.likes]
    if len(likes) == len(dislikes):
        return "pairs that as many sessions dislike as like"
    heard, kinds = (likes, LIKED) if len(likes) > len(dislikes) else (dislikes, (DISLIKED,))
    for kind in kinds:
        if sum(kind in each.kinds for each in heard) >= getattr(settings, kind):
            return kind, heard
    return "pairs that too few sessions spoke of"


def _spelled(votes: Iterable[_Vote]) -> dict[str, str]:
    """Question -> how most sessions write it; the first in the alphabet among equals."""
    written = {(vote.query, vote.spelling, vote.session) for vote in votes}
    return _commonest((query, spelling) for query, spelling, _ in written)


def _languages(votes: Iterable[_Vote]) -> dict[str, str]:
    """Question -> the language that most sessions asked it in, of those that are known."""
    spoken = {(vote.query, vote.lang, vote.session) for vote in votes if vote.lang != UNDETERMINED}
    return _commonest((query, lang) for query, lang, _ in spoken)


def _commonest(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for (about, what), _ in sorted(Counter(said).items(), key=lambda each: (-each[1], each[0])):
        found.setdefault(about, what)
    return found


# --- files, and everything together ----------------------------------------------------------------------------------


def from_files(patterns: Sequence[str], base: Path, known: Container[str]) -> Collected:
    """Pairs of labelled files; ``patterns`` are relative to ``base``, ``known`` holds the doc_ids of the corpus.

    Raises:
        RetrainError: everything that is wrong with the files, each with file, line, value and remedy.
    """
    out = TakenOut()
    pairs: dict[Key, Pair] = {}
    for pair in _files.read(patterns, base, same_text):
        doc_id = document_of(pair.doc_id, known)
        if doc_id is None:
            out.add("labels of documents that the corpus does not hold", pair.doc_id)
            continue
        key = same_text(pair.query), doc_id
        if key not in pairs or (pair.relevant and not pairs[key].relevant):  # one passage that answers is enough
            pairs[key] = replace(pair, doc_id=doc_id)
    return Collected.of(pairs.values(), out)


def joined(*collected: Collected) -> Collected:
    """Each question and document once. Files are believed before users, and users before a language model.

    Where two of the same kind contradict each other, the larger number of sessions counts, and a tie removes both.
    A question is spelled as who is believed first spells it.
    """
    out = TakenOut()
    groups: dict[Key, list[Pair]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for each in collected:
        out.add_all(each.removed)
    for pair in sorted((pair for each in collected for pair in each.pairs), key=lambda pair: _TRUST[pair.origin]):
        query = same_text(pair.query)
        groups[query, pair.doc_id].append(replace(pair, query=spelled.setdefault(query, pair.query)))
    clicked = {
        (same_text(query), doc_id): query
        for each in collected
        for query, found in each.clicked.items()
        for doc_id in found
    }
    pairs = []
    for key, said in groups.items():
        agreed = _agreed(said, out)
        if agreed is None:
            clicked[key] = said[0].query
        else:
            pairs.append(agreed)
            clicked.pop(key, None)
    liked = ((spelled.get(query, spelling), doc_id) for (query, doc_id), spelling in clicked.items())
    return Collected.of(pairs, out, liked)


def _agreed(pairs: Sequence[Pair], out: TakenOut) -> Pair | None:
    """What counts of all that is said of one question and document; the most believed come first."""
    heard = [pair for pair in pairs if _TRUST[pair.origin] == _TRUST[pairs[0].origin]]
    balance = sum(pair.count if pair.relevant else -pair.count for pair in heard)
    said = [pair for pair in heard if pair.relevant == (balance > 0)]
    against = [pair for pair in pairs if pair.relevant != (balance > 0)]
    example = f"{pairs[0].query} -> {pairs[0].doc_id}"
    if not balance:
        out.add("pairs that are said to be right as often as wrong", example, len(pairs))
        return None
    if against:
        out.add("pairs that others contradict who count for more", example, len(against))
    times = [pair.at for pair in said if pair.at is not None]
    count = 1 if said[0].origin == "file" else sum(pair.count for pair in said)
    return replace(said[0], count=count, at=max(times, default=None))
