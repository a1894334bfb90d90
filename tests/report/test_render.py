"""The report that people read: complete, self-contained, the same to the byte, and no text in it is markup."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from driftwatch.report.attached import Attached
from driftwatch.report.message import MESSAGE, announce, read_announcement
from driftwatch.report.pictures import chosen
from driftwatch.report.render import JSON, MARKDOWN, PAGE, render, text
from driftwatch.report.story import story_of
from driftwatch.report.story.parts import chance, figure, per_cent, whole
from driftwatch.reported import Ecdf, Incident, Rate, Week
from driftwatch.reported.form import read_json
from tests.fakes.weeks import EMPTY, bad_week, hostile_week, quiet_week

pytest.importorskip("matplotlib", reason="pip install 'driftwatch-rag[report]'")

VOID = {"meta", "br", "hr", "img", "link", "input", "circle", "path", "use", "rect"}


class Page(HTMLParser):
    """Elements, texts and how they nest; refuses a page whose elements do not close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]

    @property
    def said(self) -> str:
        return " ".join(self.texts)


@pytest.fixture(scope="module")
def bad() -> dict[str, bytes]:
    return render(bad_week(3), Attached("Evidently's drift report: 5 columns.", ("evidently.html",)))


@pytest.fixture(scope="module")
def page(bad: dict[str, bytes]) -> Page:
    return Page(bad[PAGE].decode())


# --- every number --------------------------------------------------------------------------------------------------


def shown(part: Any, name: str = "", inside: type | None = None) -> Iterator[str]:
    """Every number of a week, as the report writes it."""
    if isinstance(part, Ecdf):
        return
    if is_dataclass(part) and not isinstance(part, type):
        for each in fields(part):
            yield from shown(getattr(part, each.name), each.name, type(part))
    elif isinstance(part, tuple):
        for each in part:
            yield from shown(each, name, inside)
    elif isinstance(part, dict):
        for value in part.values():
            yield from shown(value, name, inside)
    elif isinstance(part, bool) or part is None or isinstance(part, str | datetime | date):
        return
    elif isinstance(part, int):
        yield whole(part)
    else:
        yield written(part, name, inside)


def written(value: float, name: str, inside: type | None) -> str:
    if name == "p_value":
        return chance(value)
    if inside is Rate or name in ("before", "gap"):
        return per_cent(value)
    return figure(value)


def numbers(week: Week) -> set[str]:
    """Without what is said in another way: a change of a rate in per cent, a duration in words, the version."""
    stripped = replace(
        week,
        rates=tuple(replace(each, change=None) for each in week.rates),
        incidents=tuple(replace(each, seconds=0.0, openings=2) for each in week.incidents),
        version=0,
    )
    found = set(shown(stripped)) | {
        per_cent(value)
        for each in week.rates
        if each.change is not None
        for value in (each.change.value, each.change.low, each.change.high)
    }
    return found - {"0"}


@pytest.mark.parametrize("form", [PAGE, MARKDOWN])
def test_every_number_of_the_week_is_in_the_page_and_in_the_markdown(bad: dict[str, bytes], form: str) -> None:
    said = Page(bad[form].decode()).said if form == PAGE else bad[form].decode().replace("\\", "")
    missing = [each for each in sorted(numbers(bad_week(3))) if each not in said]
    assert not missing


def test_a_number_that_is_missing_would_be_found(bad: dict[str, bytes]) -> None:
    week = bad_week(3)
    other = replace(week, flips=(replace(week.flips[0], new=0.123456, new_rank=98_765),))
    said = Page(bad[PAGE].decode()).said
    assert [each for each in sorted(numbers(other)) if each not in said] == ["0.123", "98,765"]


def test_what_a_chart_draws_is_in_the_page_as_a_table_too(bad: dict[str, bytes], page: Page) -> None:
    week = bad_week(3)
    tables = re.findall(r"<details class=\"data\">.*?</details>", bad[PAGE].decode(), re.DOTALL)
    for each in week.scores:
        rows = [f"<td class=\"f\">{per_cent(now)}</td><td class=\"f\">{per_cent(then)}</td>"
                for now, then in zip(each.ecdf.now, each.ecdf.baseline, strict=True)]  # fmt: skip
        assert any(all(row in table for row in rows) for table in tables)
    drawn = [day for each in week.canaries for day in each.days if day.n]
    assert all(any(f"{figure(day.value)} ({day.n})" in table for table in tables) for day in drawn)
    daily = [day for each in week.rates for day in each.days]
    assert all(any(f"{day.rate.k} of {day.rate.n}" in table for table in tables) for day in daily)
    charts = [each for each in page.all("svg") if each["class"] == "chart"]
    assert len(charts) == 2 * 4 + 2 * 4 + 3 + 1


def test_the_json_is_the_week(bad: dict[str, bytes]) -> None:
    assert read_json(bad[JSON]) == bad_week(3)


# --- the page ------------------------------------------------------------------------------------------------------


def test_drawn_again_it_is_the_same_to_the_byte_in_another_process_too(bad: dict[str, bytes]) -> None:
    code = (
        "import hashlib; from driftwatch.report.render import render; from driftwatch.report.attached import Attached;"
        "from tests.fakes.weeks import bad_week;"
        "files = render(bad_week(3), Attached(\"Evidently's drift report: 5 columns.\", ('evidently.html',)));"
        "digests = [f'{name} {hashlib.sha256(files[name]).hexdigest()}' for name in sorted(files)];"
        "print(*digests, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == [f"{name} {hashlib.sha256(bad[name]).hexdigest()}" for name in sorted(bad)]


def test_the_page_needs_nothing_from_outside_and_no_script(bad: dict[str, bytes], page: Page) -> None:
    assert not page.all("script")
    assert not page.all("link")
    source = bad[PAGE].decode()
    assert "default-src 'none'" in source
    links = {each["href"] for each in page.all("a")}
    assert {link for link in links if link and not link.startswith("#")} == {
        "evidently.html",
        "report.json",
        "report.md",
    }
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", source)


def test_it_can_be_read_in_the_dark_printed_and_on_a_phone(bad: dict[str, bytes], page: Page) -> None:
    source = bad[PAGE].decode()
    for rule in ("prefers-color-scheme: dark", "@media print", "@page", "max-width: 34rem", "break-before: page"):
        assert rule in source
    charts = re.findall(r"<svg class=\"chart\".*?</svg>", source, re.DOTALL)
    assert charts
    for chart in charts:
        assert not re.search(r"(?:fill|stroke): #", chart), "a colour that no theme can change"
        assert "var(--ink,currentColor)" in chart
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")


def test_every_chart_has_a_title_and_a_description_and_no_two_elements_share_an_id(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    for chart in page.all("svg"):
        assert chart["role"] == "img"
        assert chart.get("aria-label") or set((chart["aria-labelledby"] or "").split()) <= set(ids)
    assert all(each["role"] == "region" and each["aria-label"] for each in page.all("div") if "tabindex" in each)


def test_the_verdict_comes_first_then_what_changed_then_what_could_not_be_seen(page: Page) -> None:
    places = [page.said.index(each) for each in ("German retrieval broke on Thursday", "mixed vectors",
              "Runs were due while driftwatch was down", "Recall@10 of canaries")]  # fmt: skip
    assert places == sorted(places)


def test_the_largest_gap_is_drawn_at_its_place() -> None:
    from driftwatch.report import charts
    from driftwatch.report.canvas import ON_PAPER, drawing, figure

    (found,) = [each for each in bad_week(3).scores if each.segment == "de" and each.score == "top1"]
    with drawing():
        axes = figure(300, 200).add_axes((0.1, 0.1, 0.8, 0.8))
        charts.ecdf(axes, found, ON_PAPER)
    gap = [line for line in axes.lines if line.get_color() == ON_PAPER.gap]
    assert found.gap is not None
    assert list(gap[0].get_xdata()) == [found.gap_at] * 2
    assert list(gap[0].get_ydata()) == sorted(found.gap)
    assert [text.get_text() for text in axes.texts] == [f"D = {found.ks:.3f}"]
    solid, dashed = axes.lines[1], axes.lines[0]
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")


def test_a_sparkline_has_a_gap_where_nothing_was_measured_and_is_left_out_where_there_is_no_line() -> None:
    from driftwatch.report.charts import sparkline

    drawn = sparkline((0.2, 0.4, None, 0.3, 0.2), '5 days "<b>')
    assert 'd="M2.0 14.0L17.0 2.0M47.0 8.0L62.0 14.0"' in drawn
    assert "&quot;&lt;b&gt;" in drawn
    assert sparkline((0.2, None), "") == ""


def test_days_without_a_run_are_a_gap_in_the_line_and_the_band_is_the_usual_day() -> None:
    from driftwatch.report import charts
    from driftwatch.report.canvas import ON_PAPER, drawing, figure

    each = bad_week(3).canaries[0]
    with drawing():
        axes = figure(300, 200).add_axes((0.1, 0.1, 0.8, 0.8))
        charts.trend(axes, each, (0.5, 1.0), date(2026, 11, 16), [date(2026, 11, 19)], ON_PAPER)
    (line,) = [line for line in axes.lines if line.get_color() == ON_PAPER.now]
    assert sum(value != value for value in line.get_ydata()) == 1
    band = [patch for patch in axes.patches if patch.get_facecolor()[3] == 0.2]
    assert each.band is not None
    assert (band[0].get_y(), band[0].get_y() + band[0].get_height()) == pytest.approx(each.band)


# --- weeks that are different --------------------------------------------------------------------------------------


def test_a_week_in_which_nothing_was_seen_says_so_and_draws_nothing() -> None:
    files = render(EMPTY)
    said = Page(files[PAGE].decode()).said
    assert "Not enough was seen" in said
    assert "The week was not over: this covers what there was until 2026-11-18 00:00 UTC" in said
    assert "No canaries are asked." in said
    assert not [name for name in files if name.endswith(".png")]


def test_a_quiet_week_says_that_all_is_well() -> None:
    said = Page(render(quiet_week())[PAGE].decode()).said
    assert "All is well" in said
    assert "No incident was open in this week." in said
    assert "Every check ran and could see." in said


def test_texts_of_queries_are_left_out_where_they_are_not_shown() -> None:
    week = bad_week(2)
    flips = tuple(replace(each, text="") for each in week.flips)
    topics = tuple(replace(each, words=(), examples=()) for each in week.topics)
    said = Page(render(replace(week, flips=flips, topics=topics, shows_queries=False))[PAGE].decode()).said
    assert "de-0 of canaries" in said
    assert "“Wie" not in said
    assert "Texts of queries are not shown" in said


def test_without_matplotlib_the_report_is_complete_but_for_its_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    files = render(bad_week(2))
    page = Page(files[PAGE].decode())
    assert {each["class"] for each in page.all("svg")} == {"spark"}
    assert "pip install 'driftwatch-rag[report]'" in page.said
    assert set(files) == {PAGE, MARKDOWN, JSON, MESSAGE}
    assert read_announcement(files[MESSAGE]).pictures == ()


# --- hostile text --------------------------------------------------------------------------------------------------


def test_hostile_text_in_every_field_stays_text() -> None:
    files = render(hostile_week(), Attached("<script>alert(1)</script>"))
    page = Page(files[PAGE].decode())
    assert not page.all("script")
    assert not page.all("img")
    assert "alert(" in page.said
    assert {name for name, attributes in page.seen if any(each.startswith("on") for each in attributes)} == set()
    assert all(not (each.get("href") or "").startswith("javascript") for each in page.all("a"))
    assert "\u202e" not in page.said
    assert "\x1b" not in page.said
    markdown = files[MARKDOWN].decode()
    assert "<script" not in markdown
    assert not re.search(r"(?<!\\)\]\(", markdown)
    for head, line, row in re.findall(r"^(\|.*)\n(\|[-:| ]+\|)\n(\|.*)$", markdown, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", each)) for each in (head, line, row)}) == 1


def test_a_formula_in_a_name_is_drawn_as_it_is_written() -> None:
    week = replace(bad_week(2), mixes=tuple(
        replace(each, shares=tuple(replace(share, lang="$\\frac{x") for share in each.shares))
        for each in bad_week(2).mixes
    ))  # fmt: skip
    assert "$\\frac{x" in render(week)[PAGE].decode()


def test_a_script_without_glyphs_in_the_packaged_font_is_drawn_without_a_warning() -> None:
    week = bad_week(2)
    names = tuple(replace(each, lang="日本語") for each in week.rates)
    assert render(replace(week, rates=names, incidents=(), canaries=(), scores=()))[PAGE]


# --- the message and its pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("families", "wanted"),
    [
        ([("rates", True)], ["rates", "canaries"]),
        ([("scores", False), ("rates", True)], ["rates", "scores"]),
        ([("canaries", True), ("canaries", True)], ["canaries", "scores"]),
        ([], ["canaries", "scores"]),
        ([("integrity", True)], ["canaries", "scores"]),
    ],
)
def test_the_two_pictures_are_of_what_happened_pages_first(families: list[tuple[str, bool]], wanted: list[str]) -> None:
    week = bad_week(2)
    first: Incident = week.incidents[0]
    incidents = tuple(replace(first, family=family, pages=pages) for family, pages in families)
    assert chosen(replace(week, incidents=incidents))[:2] == wanted


def test_the_message_comes_with_two_pictures_in_words(bad: dict[str, bytes]) -> None:
    told = read_announcement(bad[MESSAGE])
    assert [each.file for each in told.pictures] == ["picture-1.png", "picture-2.png"]
    assert all(bad[each.file].startswith(b"\x89PNG") for each in told.pictures)
    assert all(len(bad[each.file]) < 300_000 for each in told.pictures)
    assert told.pictures[0].title == "Canary recall@10: German 0.730, usually 0.936"
    assert "German 0.730" in told.pictures[0].words
    assert told.incidents[0].startswith("German: canary recall, score drift (open")
    assert json.loads(bad[MESSAGE])["level"] == "fail"


def test_a_message_that_is_none_is_refused() -> None:
    week = bad_week(2)
    assert read_announcement(render(EMPTY)[MESSAGE]).level == "unknown"
    assert announce(week, story_of(week)).more_incidents == 0
    for broken in (b"{}", b"[]", b"nothing", b'{"service": 1}'):
        with pytest.raises(ValueError, match=r"message|Expecting"):
            read_announcement(broken)


def test_markdown_is_made_without_drawing_anything() -> None:
    code = (
        "import sys; from driftwatch.report.render import text; from tests.fakes.weeks import bad_week;"
        "text(bad_week(2)); print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert text(bad_week(2)).startswith("# help-centre: 16 to 22 November 2026 (2026-W47)")


@pytest.mark.process
def test_twenty_languages_are_drawn_in_8_seconds_and_200_mb() -> None:
    code = (
        "import re, time; from pathlib import Path;"
        "from driftwatch.report.render import render; from tests.fakes.weeks import bad_week;"
        "start = time.process_time(); render(bad_week(20));"
        # of this program alone: ru_maxrss begins with what its parent had
        "most = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text());"
        "print(time.process_time() - start, int(most.group(1)) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 8
    assert megabytes < 200
