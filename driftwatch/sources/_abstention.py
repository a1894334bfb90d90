"""Whether an answer says that it has no answer.

The patterns are data: ``driftwatch/packs/abstention.yaml``, and what a user adds to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from driftwatch import yamlfile
from driftwatch.errors import ConfigError, ConfigErrors
from driftwatch.language import primary_subtag
from driftwatch.types import UNDETERMINED

HEAD = 200
"""Characters of an answer in which an abstention must begin."""

SENTENCES = 2
"""Sentences in which it must begin."""

_LONGEST = 2 * HEAD
_REACH = HEAD + 80
_SHORT_SENTENCE = 15
"""A greeting is no sentence: ``Hi Anna!``"""

_SPACELESS = frozenset({"ja", "zh", "ko", "th", "lo", "km", "my"})
_GAP = r"(?:[^.!?。！？\n]{0,60}?)"
_SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)|[。！？\n]")
_BLANKS = re.compile(r"[ \t\r\f\v\u00a0\u202f\u3000]{2,}|[\t\r\f\v\u00a0\u202f\u3000]")
_CURLY = re.compile("[‘’ʼ´`“”„«»]")
_QUOTES = str.maketrans("‘’ʼ´`“”„«»", "'''''\"\"\"\"\"")

Where = tuple[str | int, ...]
Report = Callable[[Where, str, str], None]
"""Is told the place, the problem and the remedy."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """How one language abstains: an answer ``says`` it, ``unless`` the sentence goes on to answer after all."""

    says: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def __add__(self, other: Phrases) -> Phrases:
        return Phrases(self.says + other.says, self.unless + other.unless)


Pack = Mapping[str, Phrases]


class Abstention:
    """``(answer, lang) -> bool``: does the answer say, in its first two sentences, that there is none?

    The patterns of ``lang`` and of English are tried, and every language's when it is ``und``.
    """

    def __init__(self, pack: Pack) -> None:
        self._by_lang = {lang: _Compiled.of(lang, phrases) for lang, phrases in pack.items()}
        self._all = tuple(self._by_lang.values())
        self._tried: dict[str, tuple[_Compiled, ...]] = {UNDETERMINED: self._all}

    @classmethod
    def shipped(cls) -> Abstention:
        """With the patterns driftwatch brings along."""
        return cls(shipped_pack())

    @classmethod
    def extended(cls, added: Pack) -> Abstention:
        """With the shipped patterns and ``added`` ones."""
        return cls(merged(shipped_pack(), added))

    def __call__(self, answer: str, lang: str = UNDETERMINED) -> bool:
        text = _plain(answer)
        return any(language.found_in(text) for language in self._tried.get(lang) or self._languages(lang))

    def _languages(self, lang: str) -> tuple[_Compiled, ...]:
        own = (self._by_lang.get(tag) for tag in dict.fromkeys((lang, "en")))
        found = tuple(language for language in own if language is not None)
        if len(self._tried) < 1000:
            self._tried[lang] = found
        return found


@dataclass(frozen=True, slots=True)
class _Compiled:
    says: re.Pattern[str]
    unless: re.Pattern[str] | None

    @classmethod
    def of(cls, lang: str, phrases: Phrases) -> _Compiled:
        start = "" if lang in _SPACELESS else r"(?<!\w)"
        unless = _either("", phrases.unless) if phrases.unless else None
        return cls(_either(start, phrases.says), unless)

    def found_in(self, text: str) -> bool:
        """Whether one of the first sentences says it and does not go on to answer."""
        found = self.says.search(text, 0, _REACH)
        if found is None:
            return False
        end = _end_of_head(text)
        while found is not None and found.start() < end:
            closing = _SENTENCE_END.search(text, found.end())
            rest = closing.start() if closing else len(text)
            if self.unless is None or not self.unless.search(text, found.start(), rest):
                return True
            found = self.says.search(text, max(rest, found.end()), _REACH)
        return False


def _either(start: str, patterns: tuple[str, ...]) -> re.Pattern[str]:
    together = "|".join(f"(?:{_regex(pattern)})" for pattern in patterns) or r"(?!)"
    # Answers are in lower case already; ignoring case again costs half the speed.
    flags = re.NOFLAG if together == together.lower() else re.IGNORECASE
    return re.compile(f"{start}(?:{together})", flags)


def _regex(pattern: str) -> str:
    return pattern.replace("…", _GAP)


def _plain(answer: str) -> str:
    """The beginning of an answer in lower case, with straight quotes, single blanks, and no markup."""
    text = answer[:_LONGEST]
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(_QUOTES) if _CURLY.search(text) else text)
    text = text.lower().replace("*", "")
    if "\n" in text:
        text = "\n".join(line for line in text.splitlines() if line.strip())
    return _BLANKS.sub(" ", text).lstrip("#>_-\"' ")


def _end_of_head(text: str) -> int:
    """Where the second sentence of any length ends, or the first 200 characters."""
    sentences, start = 0, 0
    for closing in _SENTENCE_END.finditer(text, 0, HEAD):
        sentences += closing.start() - start >= _SHORT_SENTENCE
        start = closing.end()
        if sentences == SENTENCES:
            return start
    return HEAD


# --- packs ---------------------------------------------------------------------------------------------------------


@cache
def shipped_pack() -> Pack:
    """The patterns of ``driftwatch/packs/abstention.yaml``."""
    return read_pack(Path(__file__).parent.parent / "packs" / "abstention.yaml")


def read_pack(path: Path) -> Pack:
    """A YAML file of patterns: ``de: [pattern, ...]`` or ``de: {says: [...], unless: [...]}``.

    Raises:
        ConfigErrors: everything that is wrong with it, each with its line.
    """
    document = yamlfile.load(path, {})
    errors: list[ConfigError] = []
    pack = pack_of(document.data, lambda where, problem, remedy: errors.append(document.error(where, problem, remedy)))
    if errors:
        raise ConfigErrors(errors)
    return pack


def merged(*packs: Pack) -> Pack:
    """All patterns of all packs."""
    languages = dict.fromkeys(lang for pack in packs for lang in pack)
    return {lang: sum((pack.get(lang, Phrases()) for pack in packs), Phrases()) for lang in languages}


def pack_of(given: Any, report: Report) -> Pack:
    """The same from a mapping that stands in another file; what is wrong is reported and left out."""
    if not isinstance(given, dict):
        report((), "this is no mapping of languages to patterns.", "Write it like: de: ['keine ahnung'].")
        return {}
    pack: dict[str, Phrases] = {}
    for tag, value in given.items():
        parts = value if isinstance(value, dict) else {"says": value}
        for part in parts.keys() - {"says", "unless"}:
            report((tag, part), f"a language has no '{part}'.", "There are: says, unless.")
        says, unless = (
            _patterns((tag,) if parts is not value else (tag, part), parts.get(part, []), report)
            for part in ("says", "unless")
        )
        try:
            lang = primary_subtag(tag)
        except ValueError as wrong:
            problem, _, remedy = str(wrong).partition(". ")
            report((tag,), f"{problem}.", remedy)
        else:
            pack[lang] = pack.get(lang, Phrases()) + Phrases(says, unless)
    return pack


def _patterns(where: Where, given: Any, report: Report) -> tuple[str, ...]:
    """The patterns of one list that are regular expressions and say something."""
    if not isinstance(given, list) or not all(isinstance(pattern, str) for pattern in given):
        report(where, "this is no list of patterns.", "Write it like: ['keine ahnung', 'weiß ich nicht'].")
        return ()
    for index, pattern in enumerate(given):
        shown = pattern if len(pattern) <= 60 else f"{pattern[:59]}…"
        try:
            if re.compile(_regex(pattern), re.IGNORECASE).match(""):
                report((*where, index), f"the pattern '{shown}' matches every answer.", "Make it say more.")
        except (re.error, RecursionError, OverflowError) as wrong:
            problem = f"the pattern '{shown}' is not a regular expression: {wrong}."
            report((*where, index), problem, "Put a backslash before signs that are meant literally.")
    return tuple(given)
