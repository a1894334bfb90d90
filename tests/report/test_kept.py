"""Reports on the disk."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.errors import ReportError
from driftwatch.report.kept import Reports
from driftwatch.reported import Verdict, Week

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)


def a_week(number: int = 47, sentence: str = "all was well") -> Week:
    start = datetime.fromisocalendar(2026, number, 1).replace(tzinfo=UTC)
    end = start + timedelta(days=7)
    return Week("help-centre", f"2026-W{number}", "UTC", start, end, True, end, Verdict("ok", sentence))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    kept = reports.keep(a_week(), {"report.html": b"<html>", "report.md": b"# well"})
    assert reports.week("2026-W47") == a_week()
    assert reports.find("2026-W47") == kept == reports.list()[0]
    assert sorted(kept.files) == ["report.html", "report.json", "report.md"]
    assert kept.files["report.html"].read_bytes() == b"<html>"
    assert (kept.level, kept.sentence, kept.start, kept.end) == ("ok", "all was well", MONDAY, a_week().end)


def test_the_newest_week_is_listed_first(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    for number in (9, 47, 46):
        reports.keep(replace(a_week(max(number, 10)), name=f"2026-W{number:02d}"), {})
    assert [each.name for each in reports.list()] == ["2026-W47", "2026-W46", "2026-W09"]


def test_a_report_that_is_made_again_takes_the_place_of_the_first_with_all_its_files(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.keep(a_week(), {"picture-1.png": b"old", "report.html": b"old"})
    kept = reports.keep(a_week(sentence="it fell"), {"report.html": b"new"})
    assert sorted(kept.files) == ["report.html", "report.json"]
    assert kept.sentence == "it fell"
    assert [each.name for each in reports.folder.iterdir()] == ["2026-W47"]


def test_nothing_is_kept_is_an_empty_list(tmp_path: Path) -> None:
    assert Reports(tmp_path).list() == ()
    assert Reports(tmp_path).week("2026-W47") is None
    assert Reports(tmp_path).find("2026-W47") is None


def test_a_process_that_was_killed_while_it_replaced_a_report_leaves_the_one_before(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.keep(a_week(), {})
    (reports.folder / "2026-W47").rename(reports.folder / ".before-2026-W47")
    (reports.folder / ".draft-2026-W47").mkdir()
    assert [each.name for each in reports.list()] == ["2026-W47"]
    reports.keep(a_week(sentence="again"), {})
    assert reports.list()[0].sentence == "again"


def test_one_that_was_killed_after_it_had_replaced_it_leaves_the_new_one(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.keep(a_week(sentence="old"), {})
    (reports.folder / "2026-W47").rename(reports.folder / ".before-2026-W47")
    reports.folder.joinpath(".before-2026-W47").rename(tmp_path / "aside")
    reports.keep(a_week(sentence="new"), {})
    (tmp_path / "aside").rename(reports.folder / ".before-2026-W47")
    assert [each.sentence for each in reports.list()] == ["new"]
    assert not (reports.folder / ".before-2026-W47").exists()


def test_reports_that_are_too_old_are_let_go_of(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    for number in (43, 44, 45, 46, 47):
        reports.keep(a_week(number), {})
    gone = reports.prune(timedelta(weeks=3), MONDAY + timedelta(days=7))
    assert gone == ("2026-W44", "2026-W43")
    assert [each.name for each in reports.list()] == ["2026-W47", "2026-W46", "2026-W45"]


def test_what_somebody_else_put_there_is_left_alone(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.keep(a_week(), {})
    (reports.folder / "notes").mkdir()
    (reports.folder / "2026-W46").symlink_to(tmp_path)
    (reports.folder / "2026-W45").write_text("a file")
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    (reports.folder / "2026-W47" / "link.html").symlink_to(secret)
    assert [each.name for each in reports.list()] == ["2026-W47"]
    assert "link.html" not in reports.list()[0].files
    assert reports.find("2026-W46") is None
    assert reports.find("../2026-W47") is None


def test_a_folder_without_numbers_is_listed_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "2026-W30"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<html>")
    (folder / "summary.json").write_text("[1, 2]")
    (found,) = Reports(tmp_path).list()
    assert (found.level, found.start, list(found.files)) == ("", None, ["report.html"])
    assert Reports(tmp_path).week("2026-W30") is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"version": 7}'])
def test_numbers_that_cannot_be_read_are_an_error_that_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    reports = Reports(tmp_path)
    reports.keep(a_week(), {})
    (reports.folder / "2026-W47" / "report.json").write_bytes(content)
    with pytest.raises(ReportError, match=r"report\.json: .*--week 2026-W47 --anew"):
        reports.week("2026-W47")
    assert reports.list()[0].sentence == "all was well"


@pytest.mark.parametrize("name", ["../up.html", "a/b", ".hidden", "", "x" * 200])
def test_no_file_leaves_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReportError, match="no name of a report"):
        Reports(tmp_path).keep(a_week(), {name: b""})
    assert not (tmp_path / "reports").exists()


def test_a_week_with_a_name_of_its_own_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no name of a report"):
        Reports(tmp_path).keep(replace(a_week(), name="../../etc"), {})


def test_a_disk_that_refuses_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(ReportError, match="Make room"):
        Reports(tmp_path).keep(a_week(), {})


def test_hostile_words_are_kept_as_they_are(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.keep(a_week(sentence="<script>\u2028 \ud800 ü"), {})
    said = json.loads((reports.folder / "2026-W47" / "summary.json").read_bytes())
    assert said["sentence"] == "<script>\u2028 ? ü"
    assert os.listdir(reports.folder) == ["2026-W47"]  # noqa: PTH208 - hidden names are meant
