"""The language of a query when the log does not say.

The model (py3langid, 140 languages, in the package, offline) ranks every language it knows; the answer is the best of
the *configured* ones, if it is clear among them and plausible among all. Anything else is ``und``: nothing is guessed
silently. The numbers behind the defaults are in ``docs/decisions/0002-language-detection.md``.
"""

from __future__ import annotations

import logging
import re
import resource
import threading
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from driftwatch.errors import MissingExtra
from driftwatch.types import UNDETERMINED

log = logging.getLogger(__name__)

LEAST = 0.6
"""What the best language must hold among the configured ones; below it a query is ``und``."""

FLOOR = 0.1
"""What the best language must hold among all 140: less shows a language that is not configured, or none at all."""

CACHED = 20_000
"""Texts whose language is remembered."""

LONGEST = 200
"""Characters of a text that are looked at; more change no answer."""

_VARIETIES = {"ary": "ar", "arz": "ar", "yue": "zh", "wuu": "zh", "nn": "no", "nb": "no", "uzs": "uz"}
"""What the model tells apart and a query in its few words does not; each counts for its macrolanguage."""

_NO_LANGUAGE = "zxx"

_ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta
te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_MEANT = {
    **{"jp": "ja", "cn": "zh", "cz": "cs", "gr": "el", "dk": "da", "ua": "uk", "vn": "vi", "iw": "he", "in": "id"},
    **{"eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt"},
    **{"nld": "nl", "dut": "nl", "jpn": "ja", "zho": "zh", "chi": "zh", "kor": "ko", "rus": "ru", "pol": "pl"},
    **{"english": "en", "german": "de", "deutsch": "de", "french": "fr", "spanish": "es", "italian": "it"},
}
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8})*")

_NOISE = re.compile(
    r"""(?:[a-z][a-z0-9+.-]{1,20}://|www\.)\S+      # addresses
      | \S+@\S+                                     # e-mail
      | [A-Za-z]*\d[A-Za-z0-9.,:_-]*                # numbers, order codes, versions
      | \b[A-Z_]{2,6}\b(?=\s|$)                     # API, SSO
      | [/\\<>{}\[\]|=_~^`#*@&%$+]+                 # what is left of paths, code and markup
    """,
    re.VERBOSE,
)
_LETTER = re.compile(r"[^\W\d_]|[\u0900-\u0dff]")
"""Letters, and the vowel signs of the scripts of India, which are none to ``\\w``."""
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LETTERS = 4
_SPACELESS_LETTERS = 2


def primary_subtag(tag: str) -> str:
    """The language of a BCP 47 tag, in lower case.

    >>> primary_subtag("pt-BR"), primary_subtag("zh_Hans_CN"), primary_subtag("UND")
    ('pt', 'zh', 'und')

    Raises:
        ValueError: not a language tag, with the nearest one as the remedy.
    """
    text = tag.strip()
    found = _TAG.fullmatch(text)
    language = found.group(1).lower() if found else text.lower()
    if language in _MEANT:
        raise ValueError(f"'{tag}' is not a BCP 47 language. Did you mean '{_MEANT[language]}'?")
    if found is None or (len(language) == 2 and language not in _ISO_639_1.split()):
        raise ValueError(f"'{tag}' is not a BCP 47 language. Write it like 'en', 'de', 'pt-BR' or 'zh-Hans'.")
    return language


def words_of(text: str) -> str:
    """What of a query can show its language, or ``""`` when that is too little.

    Addresses, numbers, codes and markup say nothing; four letters are the least, two where words have no spaces.

    >>> words_of("SKU-4432 https://example.org/en/login"), words_of("wo ist Bestellung 88123?"), words_of("密码")
    ('', 'wo ist Bestellung ?', '密码')
    """
    left = text[:LONGEST]
    if left.isupper():
        left = left.lower()
    left = " ".join(_NOISE.sub(" ", left).split())
    letters = len(_LETTER.findall(left))
    if letters >= _LETTERS or (letters >= _SPACELESS_LETTERS and _SPACELESS.search(left)):
        return left
    return ""


_LOADING = threading.Lock()


class Detector:
    """Text -> the primary subtag of one of ``languages``, or ``und``.

    With no languages every language the model knows is possible, which on short queries is often ``und``. The model is
    loaded by the first text that needs it and serves every thread.

    Raises:
        ValueError: (when made) something in ``languages`` is not a language tag.
        MissingExtra: (at the first text) py3langid is not installed.
    """

    def __init__(self, languages: Iterable[str] = (), least: float = LEAST) -> None:
        self.languages = tuple(dict.fromkeys(map(primary_subtag, languages)))
        self.least = least
        self.memory = 0
        """Bytes by which loading the model made the process grow; 0 until then, and where it was loaded already."""
        self._model: Any = None
        self._counts_for: dict[str, str] = {}
        self._remembered = lru_cache(maxsize=CACHED)(self._judge)

    def __call__(self, text: str) -> str:
        return self._remembered(text[:LONGEST])

    def unsupported(self) -> tuple[str, ...]:
        """The configured languages that the model does not know: they are found only where the log names them."""
        self.load()
        return tuple(tag for tag in self.languages if tag not in self._counts_for.values())

    def load(self) -> None:
        """Load the model now instead of at the first text; does nothing the second time."""
        with _LOADING:
            if self._model is None:
                before = _resident()
                model = _model()
                self._counts_for = _counts_for(self.languages, model.labels)
                self._model = model
                self.memory = max(0, _resident() - before)
                if unknown := set(self.languages) - set(self._counts_for.values()):
                    log.warning("only the log can say that a query is in: %s", ", ".join(sorted(unknown)))
                log.info("language detection is ready: the model took %.0f MB", self.memory / 1e6)

    def _judge(self, text: str) -> str:
        """The best configured language, if it is clear among them and plausible among all."""
        if not (words := words_of(text)):
            return UNDETERMINED
        if self._model is None:
            self.load()
        held: dict[str, float] = {}
        for label, probability in self._model.rank(words):
            if (tag := self._counts_for.get(label)) is not None:
                held[tag] = held.get(tag, 0.0) + probability
        best = max(held, key=held.__getitem__, default=UNDETERMINED)
        most = held.get(best, 0.0)
        return best if most >= FLOOR and most >= self.least * sum(held.values()) else UNDETERMINED


def _counts_for(languages: tuple[str, ...], labels: Iterable[str]) -> dict[str, str]:
    """Label of the model -> the configured language it is evidence for; strangers are absent."""
    if not languages:
        return {label: _VARIETIES.get(label, label) for label in labels if label != _NO_LANGUAGE}
    of_group: dict[str, str] = {}
    for tag in languages:
        of_group.setdefault(_VARIETIES.get(tag, tag), tag)
    evidence = {label: label if label in languages else of_group.get(_VARIETIES.get(label, label)) for label in labels}
    return {label: tag for label, tag in evidence.items() if tag is not None}


@cache
def _model() -> Any:
    """The ranking model, with probabilities; one serves the whole process."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise MissingExtra("py3langid", "lang", "Telling the language of queries") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _resident() -> int:
    """Bytes of memory the process holds now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()
