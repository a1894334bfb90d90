"""Figures as matplotlib draws them, made fit to stand in a page: small, themed, titled and the same every time.

In a page the colours are CSS variables, so that light, dark and print are the page's own affair; text stays text, in
the page's own font. In a PNG they are fixed. Colours are those of Okabe and Ito (2008), *Color Universal Design*:
people who see colours differently tell them apart, and nothing is said by colour alone.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from driftwatch.errors import MissingExtra
from driftwatch.show import safe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = 10.0
"""Points; a figure in a page has 72 to the inch, so that a point is a unit of its view box."""


@dataclass(frozen=True, slots=True)
class Palette:
    """What the colours of a chart are for."""

    ink: str
    """Text and marks."""
    soft: str
    """Axes, ticks and what is said beside."""
    now: str
    """This week."""
    usual: str
    """What is normal: the baseline."""
    gap: str
    """What differs, and what is bad."""
    paper: str


IN_PAGE = Palette("#010101", "#010102", "#010103", "#010104", "#010105", "#010106")
"""Marks that ``svg`` replaces by the page's own variables."""

ON_PAPER = Palette("#1c1c1c", "#5c5c5c", "#0072b2", "#6b6b6b", "#d55e00", "#ffffff")
"""For a PNG, which is looked at on white."""

_VARIABLES = {
    IN_PAGE.ink: "var(--ink,currentColor)",
    IN_PAGE.soft: "var(--soft,currentColor)",
    IN_PAGE.now: "var(--now,#0072b2)",
    IN_PAGE.usual: "var(--usual,#6b6b6b)",
    IN_PAGE.gap: "var(--gap,#d55e00)",
    IN_PAGE.paper: "var(--paper,#fff)",
}
_TAG = re.compile(r"<[^>]*>")
_COLOUR = re.compile("|".join(map(re.escape, _VARIABLES)))
_FAMILY = re.compile(r"; font-family: [^;\"]*|\bfont: [^;\"]*?(?=\d)")
_LONG = re.compile(r"(\d+\.\d\d)\d+")
_ID = re.compile(r' id="([^"]*)"')
_LINK = re.compile(r"xlink:href=\"#|url\(#")
_BLANKS = re.compile(r"\s*\n\s*")


@contextmanager
def drawing() -> Iterator[None]:
    """Everything drawn in here comes out the same, wherever and whenever; nothing in a label is markup.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtra("matplotlib", "report", "drawing the charts of a report") from None
    settings: Any = {
        "svg.hashsalt": "driftwatch",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "text.usetex": False,
        "axes.unicode_minus": True,
        "axes.formatter.use_locale": False,
        "font.family": ["DejaVu Sans"],
        "font.size": FONT,
        "path.simplify": True,
    }
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        # A name in a script that the packaged font lacks is drawn as boxes in a PNG; a page has the reader's fonts.
        warnings.filterwarnings("ignore", message="(Glyph|.*[Mm]atplotlib currently does not support).*")
        yield


def figure(width: float, height: float, paper: str = "none", dpi: float = 72) -> Figure:
    """An empty figure; ``width`` and ``height`` in points."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), dpi=dpi, facecolor=paper, edgecolor="none")


def svg(drawn: Figure, name: str, title: str, description: str) -> str:
    """``drawn`` for a page: an ``<svg>`` with a title and a description that a screen reader says.

    ``name``: letters, digits and hyphens, and only once in a page, since every id within begins with it.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    made = StringIO()
    canvas: Any = FigureCanvasSVG(drawn)
    canvas.print_svg(made, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    width, height = (round(inches * 72) for inches in drawn.get_size_inches())
    words = (
        f'<title id="{name}-title">{escape(safe(title))}</title>'
        f'<desc id="{name}-text">{escape(safe(description))}</desc>'
    )
    labels = f'role="img" aria-labelledby="{name}-title {name}-text"'
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" {labels}>{words}'
    return head + _body(made.getvalue(), name)


def png(drawn: Figure) -> bytes:
    """``drawn`` as a picture that stands alone, without a date or a name of the program in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    made = BytesIO()
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.print_png(made, metadata={"Software": None})
    return made.getvalue()


def _body(made: str, name: str) -> str:
    """What matplotlib wrote, without its head, its fonts and colours, and in half the characters."""
    body = made.partition("</style>")[2].partition("</defs>")[2]
    linked = set(re.findall(r"(?:xlink:href=\"#|url\(#)([^\")]+)", body))

    def cleaned(found: re.Match[str]) -> str:
        tag = _COLOUR.sub(lambda colour: _VARIABLES[colour[0]], found[0])
        tag = _ID.sub(lambda mark: f' id="{name}-{mark[1]}"' if mark[1] in linked else "", tag)
        tag = _LINK.sub(lambda link: ("url(#" if link[0][0] == "u" else 'href="#') + f"{name}-", tag)
        tag = _LONG.sub(r"\1", _FAMILY.sub("", tag))
        return re.sub(r' transform="rotate\(-0 [^"]*"', "", tag.replace("\n", ""))

    return _BLANKS.sub("", _TAG.sub(cleaned, body)).strip()
