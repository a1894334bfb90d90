"""What is on each page, asked over a real socket."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from driftwatch.pages import (
    Viewer,
    render_canaries,
    render_check,
    render_incidents,
    render_index,
    render_jobs,
    render_overview,
    render_reports,
)
from driftwatch.store import Store
from driftwatch.types import ExpectedChange
from tests.fakes.world import RECALL, START, make_world
from tests.fakes.year import HOSTILE, INCIDENT, JOBS, LOST, PAST_INCIDENT, served

pytestmark = pytest.mark.process

PAGES = (
    "/",
    "/incidents",
    f"/incidents/{INCIDENT}",
    f"/incidents/{PAST_INCIDENT}",
    "/checks/canary%20recall",
    "/checks/top-score%20drift?segment=de&days=91",
    "/checks/index%20integrity",
    "/canaries",
    "/canaries/canaries/de-2",
    "/index",
    "/jobs",
    *(f"/jobs/{job}" for job in JOBS),
    "/reports",
)


class Page(HTMLParser):
    """The parts of a page that tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def look(reader: httpx.Client, path: str) -> Page:
    answer = reader.get(path)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_can_be_found_one_s_way_in_without_eyes(reader: httpx.Client, path: str) -> None:
    page = look(reader, path)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert ("a", {"class": "skip", "href": "#content"}) in page.tags
    assert all(each.get("scope") in ("row", "col") for each in page.all("th"))
    assert all("aria-hidden" in each or each.get("role") == "img" for each in page.all("svg"))
    assert all(each.get("role") == "region" for each in page.all("div") if each.get("class") == "scroll")
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_takes_nothing_from_outside_and_runs_no_script_but_ours(reader: httpx.Client, path: str) -> None:
    answer = reader.get(path)
    page = Page(answer.text)
    used = [each.get("src", "") for each in page.all("script")] + [each["href"] for each in page.all("link")]
    assert all(each.lstrip("./").startswith("static/") for each in used)
    assert all(set(each) == {"src", "defer"} for each in page.all("script"))
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "unsafe-eval" not in answer.headers["content-security-policy"]
    assert HOSTILE not in answer.text
    assert not page.all("form")


def test_the_overview_begins_with_what_is_wrong(reader: httpx.Client) -> None:
    page = look(reader, "/")
    assert "One incident is open. Of 23 looks, 3 fail, 1 warns and 1 is unknown." in page.words
    cells = [each for each in page.all("a") if each.get("class", "").startswith("cell")]
    assert len(cells) == 23
    assert cells[0]["aria-label"].startswith("canary recall, all: ok")
    assert cells[1]["aria-label"].startswith("canary recall, de: fail")
    assert cells[1]["href"] == "checks/canary%20recall?segment=de"
    assert "silent: empty results" in page.words


def test_what_the_configuration_expects_stands_beside_what_was_announced(tmp_path: Path) -> None:
    later = "{from: 2026-05-04, to: 2026-05-20, reason: <b>launch}"
    more = f"expected: [{later}, {{from: 2026-01-01, to: 2026-01-02, reason: gone}}]\n"
    watch = make_world(tmp_path, RECALL, more=more)
    store = Store.open(watch.database)
    store.expected.add(ExpectedChange("c1", START, START + timedelta(days=3), "move", "ann", START))
    viewer = Viewer(name="Ana", csrf="token")
    page = Page(render_overview(watch, store, START, viewer))
    store.close()
    assert [word for word in ("<b>launch", "configuration", "move", "ann") if word not in page.words] == []
    assert "gone" not in page.words
    assert [each["action"] for each in page.all("form")] == ["logout", "expected/c1/end", "expected"]


def test_where_nothing_was_ever_looked_at_the_pages_say_so(tmp_path: Path) -> None:
    watch = make_world(tmp_path, RECALL)
    store = Store.open(watch.database)
    assert "Nothing has been looked at yet." in render_overview(watch, store, START)
    assert "Nothing has been looked at yet." in (render_check(watch, store, "canary recall") or "")
    assert "They have not been asked yet." in render_canaries(watch, store)
    assert "Nothing looks into the index" in render_index(watch, store)
    assert "No retraining is configured" in render_jobs(watch, store)
    assert "None is kept yet." in render_reports(watch)
    assert "There has never been one." in render_incidents(watch, store, START)
    store.close()


def test_a_check_shows_its_history_its_ledger_and_where_scores_lie_apart(reader: httpx.Client) -> None:
    page = look(reader, "/checks/top-score%20drift")  # the worst language is chosen
    assert "top-score drift · de" in page.words
    assert "90 days: all ledgers together, it pages" in page.words
    assert "Kolmogorov-Smirnov D = 0.4" in page.words
    assert len([each for each in page.all("svg") if each.get("role") == "img"]) == 3
    assert "min_effect" in page.words


def test_a_year_is_drawn_with_few_points_and_told_day_by_day(reader: httpx.Client) -> None:
    answer = reader.get("/checks/canary%20recall?segment=en&days=366")
    page = Page(answer.text)
    (line,) = [each["d"] for each in page.all("path") if each["class"] == "now"][:1]
    assert line.count("L") < 800
    assert page.words.count("2026-") >= 30


def test_the_examples_of_canaries_lead_to_their_pages(reader: httpx.Client) -> None:
    page = look(reader, "/checks/canary%20recall?segment=de")
    assert {"href": "../canaries/canaries/de-2"} in page.all("a")
    assert "rank 3 → not found" in page.words


def test_an_incident_tells_what_broke_what_was_measured_and_what_happened(reader: httpx.Client) -> None:
    page = look(reader, f"/incidents/{INCIDENT}")
    for said in (
        "11 of 64 stored vectors are not those of their texts",
        "Embed these documents again",
        "fresh x exact",
        "-0.32 (-0.44 to -0.20)",
        "it loses here",
        "is looked after",
        "read-only",
    ):
        assert said in page.words
    assert look(reader, f"/incidents/{PAST_INCIDENT}").words.count("sees nothing any more") == 1


def test_canaries_are_told_apart(reader: httpx.Client) -> None:
    page = look(reader, "/canaries")
    assert [word for word in ("lost 7", "fell 2", "rot 2", "flicker 1") if word not in page.words] == []
    rot = look(reader, "/canaries?state=rot")
    assert "2 canaries." in rot.words
    assert "fr" in rot.words
    assert "24 canaries" in look(reader, "/canaries?lang=de").words
    assert look(reader, "/canaries?page=9999999999&source=no&lang=%00&state=<b>").words


def test_one_canary_shows_its_rank_over_time_and_what_came_instead(reader: httpx.Client) -> None:
    page = look(reader, "/canaries/canaries/de-2")
    assert "missed now, usually 3" in page.words
    assert "Expected and not there: de-article-2" in page.words
    assert f"doc {HOSTILE}" in page.words
    assert reader.get("/canaries/canaries/no-such").status_code == 404


def test_the_index_shows_what_probes_saw(reader: httpx.Client) -> None:
    page = look(reader, "/index")
    for said in ("17.2 % (9.88 to 28.2)", "de 11 of 22", "no embedder is running", "5,210", "stored x approximate"):
        assert said in page.words


def test_a_job_in_hand_shows_how_far_it_is(reader: httpx.Client) -> None:
    page = look(reader, f"/jobs/{JOBS[2]}")
    assert "step 412 of 1200, about 18m left" in page.words
    (bar,) = page.all("progress")
    assert float(bar["value"]) == pytest.approx(34.3)
    assert bar["aria-label"]
    assert {"class": "small", "role": "status"} in page.all("p")


def test_a_job_shows_what_the_gate_said_and_what_was_asked(reader: httpx.Client) -> None:
    asks = look(reader, f"/jobs/{JOBS[1]}")
    assert "A better model for help-centre" in asks.words
    assert "5,210 documents will be embedded anew." in asks.words
    assert "no language loses (no): de loses 0.04" in look(reader, f"/jobs/{JOBS[0]}").words
    assert reader.get("/jobs/..%2f..").status_code == 404


def test_kept_reports_are_listed_and_shown_as_they_are(reader: httpx.Client) -> None:
    page = look(reader, "/reports")
    (link,) = [each["href"] for each in page.all("a") if each["href"].endswith("report.html")]
    report = reader.get(f"/{link}")
    assert "A quiet week" in report.text
    assert report.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "script-src" not in report.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["..%2f..%2fdriftwatch.yaml", "%2e%2e/driftwatch.yaml", "2026-W01/.draft", "x/report.html"]
)
def test_nothing_but_reports_is_served_from_there(reader: httpx.Client, path: str) -> None:
    assert reader.get(f"/reports/{path}").status_code == 404


def test_a_report_that_is_a_link_is_not_followed(year, reader: httpx.Client) -> None:
    folder = next((year[0].watch.state / "reports").iterdir())
    (folder / "stolen.json").symlink_to(year[0].watch.path)
    assert reader.get(f"/reports/{folder.name}/stolen.json").status_code == 404


def test_what_others_attach_to_a_report_runs_as_nobody(year, reader: httpx.Client) -> None:
    folder = next((year[0].watch.state / "reports").iterdir())
    (folder / "evidently.html").write_text("<script>1</script>")
    policy = reader.get(f"/reports/{folder.name}/evidently.html").headers["content-security-policy"]
    assert "sandbox allow-scripts;" in policy
    assert "allow-same-origin" not in policy


def test_files_of_the_pages_may_be_kept_for_ever(reader: httpx.Client) -> None:
    page = look(reader, "/")
    (sheet,) = [each["href"] for each in page.all("link") if each["rel"] == "stylesheet"]
    answer = reader.get(f"/{sheet}")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert ":root" in answer.text
    assert ":root" in reader.get(f"/{sheet}", headers={"accept-encoding": "identity"}).text
    assert reader.get("/static/secrets.yaml").status_code == 404
    assert reader.get("/").headers["cache-control"] == "no-store"


def test_the_data_of_a_chart_are_there_for_programs(reader: httpx.Client) -> None:
    course = reader.get("/v1/checks/canary%20recall/course?segment=de&days=3").json()
    assert len(course["at"]) == len(course["value"]) == len(course["evidence"]) == 73
    assert (course["reference"], course["budget"], course["verdict"][-1]) == (0.95, 90.0, "fail")
    scores = reader.get("/v1/checks/top-score%20drift/distribution?segment=de").json()
    assert 0.3 < scores["ks"]["d"] < 0.6
    assert scores["now"]["share_below"][-1] == 1.0
    ranks = reader.get("/v1/canaries/canaries/de-0").json()
    assert (ranks["rank"][0], ranks["rank"][-1], ranks["state"][-1]) == (1, None, "missed")
    assert reader.get("/v1/checks/nothing/course").status_code == 404
    assert reader.get("/v1/checks/canary%20recall/distribution").status_code == 404


def test_what_is_not_there_is_said_on_a_page_for_people(reader: httpx.Client) -> None:
    for path in ("/checks/nothing", "/incidents/nothing", "/jobs/nothing", f"/checks/{quote(HOSTILE, safe='')}"):
        answer = reader.get(path)
        assert answer.status_code == 404
        assert "Not found" in answer.text
        assert HOSTILE not in answer.text


def test_no_text_is_shown_where_none_may_be(tmp_path: Path) -> None:
    with (
        served(tmp_path, show_queries=False) as (_, address),
        httpx.Client(base_url=address, headers={"accept": "text/html"}, timeout=30) as client,
    ):
        for path in PAGES:
            text = client.get(path).text
            assert "wie tausche ich" not in text
            assert "how do I return" not in text
        assert client.get("/canaries").text.count("de-") >= LOST
