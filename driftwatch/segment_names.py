"""What a segment is called: the English name of the language behind a BCP 47 tag."""

from __future__ import annotations

import re

from driftwatch.cleaning import clean
from driftwatch.types import POOLED, UNDETERMINED

_NAMES = """
af Afrikaans|am Amharic|ar Arabic|as Assamese|az Azerbaijani|be Belarusian|bg Bulgarian|bn Bengali|bs Bosnian
ca Catalan|cs Czech|cy Welsh|da Danish|de German|el Greek|en English|eo Esperanto|es Spanish|et Estonian|eu Basque
fa Persian|fi Finnish|fil Filipino|fr French|ga Irish|gl Galician|gu Gujarati|ha Hausa|he Hebrew|hi Hindi|hr Croatian
hu Hungarian|hy Armenian|id Indonesian|ig Igbo|is Icelandic|it Italian|ja Japanese|jv Javanese|ka Georgian|kk Kazakh
km Khmer|kn Kannada|ko Korean|ku Kurdish|ky Kyrgyz|la Latin|lb Luxembourgish|lo Lao|lt Lithuanian|lv Latvian
mg Malagasy|mk Macedonian|ml Malayalam|mn Mongolian|mr Marathi|ms Malay|mt Maltese|my Burmese|nb Norwegian Bokmål
ne Nepali|nl Dutch|nn Norwegian Nynorsk|no Norwegian|or Odia|pa Punjabi|pl Polish|ps Pashto|pt Portuguese|ro Romanian
ru Russian|sd Sindhi|si Sinhala|sk Slovak|sl Slovenian|so Somali|sq Albanian|sr Serbian|sv Swedish|sw Swahili|ta Tamil
te Telugu|tg Tajik|th Thai|tk Turkmen|tl Tagalog|tr Turkish|tt Tatar|ug Uyghur|uk Ukrainian|ur Urdu|uz Uzbek
vi Vietnamese|xh Xhosa|yi Yiddish|yo Yoruba|yue Cantonese|zh Chinese|zu Zulu
"""
LANGUAGES = {tag: name for tag, _, name in (entry.partition(" ") for entry in re.split(r"[|\n]", _NAMES) if entry)}
"""Primary language subtag -> English name."""

_SCRIPTS = {"hans": "Simplified", "hant": "Traditional", "latn": "Latin", "cyrl": "Cyrillic", "arab": "Arabic"}


def segment_name(segment: str, *, rest: bool = False) -> str:
    """What a person calls a segment; ``rest``: other segments were judged by themselves.

    >>> segment_name("de"), segment_name("pt-BR"), segment_name("zh-Hans"), segment_name("all")
    ('German', 'Portuguese (BR)', 'Chinese (Simplified)', 'All languages')
    """
    if segment == POOLED:
        return "All other traffic" if rest else "All languages"
    if segment == UNDETERMINED:
        return "Unknown language"
    primary, *subtags = segment.replace("_", "-").split("-")
    if primary.lower() not in LANGUAGES:
        return clean(segment, 35) or "Unnamed segment"
    shown = clean(", ".join(_SCRIPTS.get(tag.lower(), tag) for tag in subtags), 35)
    return LANGUAGES[primary.lower()] + (f" ({shown})" if shown else "")
