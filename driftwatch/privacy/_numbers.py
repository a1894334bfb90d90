"""Numbers that name a person or an account: telephones, payment cards, IBANs, IPv4 addresses, long runs of digits.

Dates, years, decimals and grouped thousands are left alone.
"""

from __future__ import annotations

import re

_IBAN_LENGTHS = {
    **{"NO": 15, "BE": 16, "DK": 18, "FI": 18, "FO": 18, "GL": 18, "NL": 18, "SD": 18, "MK": 19, "SI": 19},
    **{"AT": 20, "BA": 20, "EE": 20, "KZ": 20, "LT": 20, "LU": 20, "XK": 20, "CH": 21, "HR": 21, "LI": 21, "LV": 21},
    **{"BG": 22, "BH": 22, "CR": 22, "DE": 22, "GB": 22, "GE": 22, "IE": 22, "ME": 22, "RS": 22, "AE": 23, "GI": 23},
    **{"IL": 23, "IQ": 23, "TL": 23, "AD": 24, "CZ": 24, "ES": 24, "MD": 24, "PK": 24, "RO": 24, "SA": 24, "SE": 24},
    **{"SK": 24, "TN": 24, "VG": 24, "LY": 25, "PT": 25, "ST": 25, "IS": 26, "TR": 26, "FR": 27, "GR": 27, "IT": 27},
    **{"MC": 27, "MR": 27, "SM": 27, "AL": 28, "AZ": 28, "BY": 28, "CY": 28, "DO": 28, "GT": 28, "HU": 28, "LB": 28},
    **{"PL": 28, "SV": 28, "BR": 29, "EG": 29, "PS": 29, "QA": 29, "UA": 29, "JO": 30, "KW": 30, "MU": 30, "YE": 30},
    **{"MT": 31, "SC": 31, "LC": 32, "RU": 33},
}
"""Country -> characters of its IBANs (ISO 13616 registry)."""

_RUN = re.compile(r"[+＋(]{0,2}\d(?:[ .\-/()\u00a0\u2009\u202f－]{0,3}\d)*+")
"""Digits with what people write between them; judged as a whole."""
_LONGEST_RUN = 200
_LEAST_DIGITS = 7

_IPV4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\.?\d)")
_CARD = re.compile(r"(?<!\d)[2-6](?:[ -]?\d){12,18}(?!\d)")
_HARMLESS = re.compile(
    r"""( \[[a-z]+\]
        | (?<!\d)(?<!\d[-/.])(?:\d{4}([-/.])[01]?\d\2[0-3]?\d|[0-3]?\d([-/.])[0-3]?\d\3(?:\d{4}|\d\d))(?!\d|[-/.]\d)
        | (?<![\d+(])(?<!\d[ .\-/()])(?:1\d|20)\d\d(?:[ \-/.]{1,3}(?:1\d|20)\d\d)*(?![ .\-/()]{0,3}\d)
        | (?<![\d+(])(?<!\d[ .])[1-9]\d{0,2}(?:(?:[.\u00a0\u202f\u2009]\d{3})+|(?:[ ]\d{3})+)(?![ .]?\d)
        | (?<![\d+(])(?<!\d[.\-/])(?:0|[1-9]\d?)\.\d+(?!\d|[.\-/]\d)
        )""",
    re.VERBOSE,
)
"""Dates; years and lists of years; grouped thousands; decimals; what is redacted already."""
_MOBILE = re.compile(r"[1-9]\d\d \d{3} (?!000)\d{3}")
"""Grouped like thousands, and how Spain and Poland write a telephone number."""
_AMERICAN = re.compile(r"(?:1[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}")
_LOCAL = re.compile(r"\d{3}[ .-]\d{4}|\d\d(?: \d\d){3}")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""The sum of the digits of twice a digit."""
_GROUP = re.compile(r"\d+")
_LIFETIME = 120
"""973-1048 are the years of a person, 555-1234 is a telephone."""


def without_numbers(text: str) -> str:
    """``text`` without cards, telephone numbers, IPv4 addresses and runs of seven digits or more."""
    return _RUN.sub(_run, text)


def _run(found: re.Match[str]) -> str:
    run = found[0]
    if len(run) < _LEAST_DIGITS or found.string[max(0, found.start() - 2) : found.start()] in ("0x", "0X"):
        return run
    digits = sum(map(str.isdecimal, run))
    if digits < _LEAST_DIGITS and run.count(".") < 3:
        return run
    if len(run) > _LONGEST_RUN:
        return "[number]"
    if run.count(".") >= 3:
        run = _IPV4.sub("[ip]", run)
    if digits >= 13:
        run = _CARD.sub(_card, run)
    pieces = _HARMLESS.split(run)
    return "".join(_piece(piece or "", harmless=place % 4 == 1) for place, piece in enumerate(pieces) if place % 4 < 2)


def _piece(piece: str, *, harmless: bool) -> str:
    """What a person would read as one number, between dates and the like; its outer blanks and brackets stay."""
    if len(piece) < _LEAST_DIGITS or (harmless and not _MOBILE.fullmatch(piece)):
        return piece
    core = piece.strip(" .-/\u00a0\u2009\u202f－")
    if core.startswith("(") and ")" not in core:
        core = core[1:]
    name = _name(core)
    return piece.replace(core, name) if name else piece


def _name(number: str) -> str:
    """``[phone]``, ``[number]``, or nothing when it is an ordinary number."""
    groups = _GROUP.findall(number)
    digits = sum(map(len, groups))
    if digits < _LEAST_DIGITS:
        return ""
    if len(groups) == 1 and number[0] not in "+＋(":
        return "" if number.endswith("000") else "[number]"
    if len(groups) == 2 and 0 < int(groups[1]) - int(groups[0]) < _LIFETIME:
        return ""
    dialled = number[0] in "+＋(" or int(groups[0][0]) == 0
    if (dialled and digits <= 15) or _AMERICAN.fullmatch(number) or _LOCAL.fullmatch(number):
        return "[phone]"
    listed = max(map(len, groups)) <= 2
    return "[number]" if digits >= 9 and not listed else ""


def _card(found: re.Match[str]) -> str:
    """The longest beginning of the number that is a card; what follows (expiry, check code) is left to be judged."""
    groups = re.split(r"([ -])", found[0])
    for last in range(len(groups), 0, -2):
        digits = "".join(groups[:last:2])
        if len(digits) < 13:
            break
        if _luhn(digits):
            return "[card]" + "".join(groups[last:])
    return found[0]


def _luhn(number: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(_DOUBLED[digit] for digit in digits[1::2])) % 10 == 0


def without_ibans(text: str) -> str:
    """``text`` without IBANs."""
    return _IBAN.sub(_iban, text)


def _iban(found: re.Match[str]) -> str:
    """An IBAN's number, its first four characters moved to the end, is 1 modulo 97 (ISO 7064)."""
    written = re.sub(r"[ -]", "", found[0]).upper()
    number = int("".join(str(int(sign, 36)) for sign in written[4:] + written[:4]))
    return "[iban]" if number % 97 == 1 else found[0]


def _ibans() -> re.Pattern[str]:
    """Two letters of a country, two digits, and exactly as many characters as the country's IBANs have."""
    by_length: dict[int, list[str]] = {}
    for country, length in _IBAN_LENGTHS.items():
        by_length.setdefault(length, []).append(country)
    shapes = (
        rf"(?i:(?<={'..)|(?<='.join(countries)}..))(?:[ -]?[A-Za-z0-9]){{{length - 4}}}"
        for length, countries in by_length.items()
    )
    # The pattern begins with a set of characters, which is what the engine can look for fast.
    return re.compile(rf"[A-Za-z]{{2}}[0-9]{{2}}(?<![A-Za-z0-9].{{4}})(?:{'|'.join(shapes)})(?![A-Za-z0-9])")


_IBAN = _ibans()
