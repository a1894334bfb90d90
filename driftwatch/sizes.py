"""How much: ``2 GB``, ``500 MB``, ``8 MiB``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"": 1, "b": 1} | {
    letter + ending: base**power
    for power, letter in enumerate("kmgt", start=1)
    for ending, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([a-z]*)")


def size(given: Any) -> int:
    """Read a number of bytes; a plain number is bytes.

    >>> size("2 GB"), size("8 MiB")
    (2000000000, 8388608)

    Raises:
        ValueError: not a size, or nothing at all.
    """
    match = _SIZE.fullmatch(str(given).strip().lower())
    if match is None or match[2] not in _UNITS or isinstance(given, bool):
        raise ValueError(f"{given!r} is not a size. Write it like '500 MB' or '2 GB'.")
    count = int(float(match[1]) * _UNITS[match[2]])
    if count <= 0:
        raise ValueError(f"{given!r} is no space at all. Write a size above zero, such as '2 GB'.")
    return count


def show_size(count: int) -> str:
    """A size that ``size`` reads back, to three digits.

    >>> show_size(2_000_000_000)
    '2 GB'
    """
    for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "k")):
        shown = count / 1000**power
        if shown >= 0.9995:  # what rounds to 1000 of a unit is 1 of the next
            return f"{shown:.3g} {letter}B" if shown < 999.5 else f"{shown:.0f} {letter}B"
    return f"{count} B"


Size = Annotated[int, BeforeValidator(size), PlainSerializer(show_size)]
