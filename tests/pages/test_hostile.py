"""Whatever a query, a document or a file says, a page holds exactly the elements that its template wrote."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.config import Watch
from driftwatch.evidence import evidence_of
from driftwatch.pages import render_canaries, render_canary, render_check, render_incident, render_overview
from driftwatch.show import safe
from driftwatch.store import Store
from driftwatch.types import Alert, Finding, Incident, Observation, Run, ScoredDoc, Transition
from tests.fakes.examples import examples
from tests.fakes.world import RECALL, START, make_world

pytestmark = pytest.mark.process

ATTACKS = [
    "<script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "</title></head><body onload=alert(1)>",
    "</style><svg/onload=alert(1)>",
    "<!--",
    "]]><![CDATA[<b>",
    "<a href='javascript:alert(1)'>x</a>",
    "&lt;b&gt; &#60;i&#62; &amp;",
    "{{ 7 * 7 }} {% raw %}",
    "../../../etc/passwd?x=<b>#\"'",
    "//evil.example/x",
    "\u202e\x00\x1b]8;;http://evil.example\x07x",
    "\u2028<plaintext>",
    "`${alert(1)}`",
]
HOSTILE = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(max_size=40),
    st.lists(st.sampled_from([*ATTACKS, "a", "<", ">", '"', "'", "&", "\n", "/", "\\"]), max_size=4).map("".join),
)


class Elements(HTMLParser):
    """What a browser would build: elements with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.odd: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def handle_pi(self, data: str) -> None:
        self.odd.append(data)

    def unknown_decl(self, data: str) -> None:
        self.odd.append(data)


@dataclass
class Site:
    """A store that is filled anew for every example."""

    watch: Watch
    store: Store
    filled: int = 0

    def incident(self, hostile: str, segment: str, message: str) -> Incident:
        """An incident of a canary whose text, documents, segment and message others wrote."""
        self.clear()
        self.filled += 1
        incident_id = f"{hostile}{self.filled}"
        seen = Observation(
            START, "canaries", f"q{hostile}", text=hostile, lang="de", hits=(ScoredDoc(hostile, 0.5),), digest="d"
        )
        self.store.canaries.add(Run(f"run-{self.filled}", "canaries", START, "suite", (seen,)))
        finding = Finding(
            "canary recall", segment, START, "fail", message, "canary", "canaries", 20, 0.4, 0.9,
            examples=(f"q{hostile}", hostile),
            details={hostile: hostile, "flips": [{"query_id": f"q{hostile}", "old_rank": 1, "new_rank": None}]},
        )  # fmt: skip
        alert = Alert("canary recall", segment, "firing", START, bad=2, fired_at=START, incident=incident_id)
        fired = Transition(
            f"key-{self.filled}", "canary recall", segment, "firing", "pending", "firing", START, incident_id,
            "canaries", actor=hostile,
        )  # fmt: skip
        receivers = {hostile: frozenset({"firing"})}
        self.store.decisions.record(findings=[finding], alerts=[alert], transitions=[fired], receivers=receivers)
        incident = self.store.decisions.incident(incident_id)
        assert incident is not None
        return incident

    def clear(self) -> None:
        """Forget everything that was decided."""
        import sqlalchemy as sa

        from driftwatch.store.tables import metadata

        with sa.create_engine(self.watch.database).begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(sa.delete(table))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    watch = make_world(tmp_path_factory.mktemp("pages"), RECALL)
    store = Store.open(watch.database)
    yield Site(watch, store)
    store.close()


def pages(site: Site, incident: Incident) -> list[str]:
    """Every page that shows something of what others wrote."""
    run = site.store.canaries.latest("canaries")
    assert run is not None
    made = [
        render_overview(site.watch, site.store, START),
        render_incident(site.watch, site.store, incident, START),
        render_check(site.watch, site.store, "canary recall", at=incident.segment),
        render_canaries(site.watch, site.store),
        render_canary(site.watch, site.store, "canaries", run.observations[0].query_id),
    ]
    return [each for each in made if each is not None]


def everywhere(test):
    # A loaded machine is no bug in a page.
    return settings(deadline=None, max_examples=examples(20))(given(HOSTILE, HOSTILE, HOSTILE)(test))


@everywhere
def test_a_page_holds_the_elements_of_its_template_and_no_other(
    site: Site, hostile: str, segment: str, message: str
) -> None:
    expected = [Elements(page).tags for page in pages(site, site.incident("plain", "de", "recall fell"))]
    found = [Elements(page) for page in pages(site, site.incident(hostile, segment, message))]
    assert [page.tags for page in found] == expected
    for page in found:
        assert page.odd == []
        assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "img", "base", "object", "embed", "style"})
        assert {names for tag, names in page.tags if tag == "script"} <= {("src", "defer")}
        attributes = {name for _, names in page.tags for name in names}
        assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in attributes)


@everywhere
def test_what_others_wrote_is_shown_and_moves_nothing(site: Site, hostile: str, segment: str, message: str) -> None:
    made = pages(site, site.incident(hostile, segment, message))
    for page in made[:3]:
        assert safe(message.replace("\0", "\ufffd")) in "".join(Elements(page).words)
    for page in made:
        assert not any(unicodedata.category(letter) in ("Cc", "Cf") for letter in page.replace("\n", ""))


@everywhere
def test_every_link_stays_on_these_pages(site: Site, hostile: str, segment: str, message: str) -> None:
    incident = site.incident(hostile, segment, message)
    for page, depth in zip(pages(site, incident), (0, 1, 1, 0, 2), strict=True):
        address = "http://127.0.0.1:9464/driftwatch/" + "x/" * depth
        for link in Elements(page.replace("../" * depth, "")).links if depth else Elements(page).links:
            reached = urlsplit(urljoin(address, link))
            assert (reached.scheme, reached.netloc) == ("http", "127.0.0.1:9464")
            assert reached.path.startswith("/driftwatch/")


@everywhere
def test_a_link_leads_to_its_incident(site: Site, hostile: str, segment: str, message: str) -> None:
    incident = site.incident(hostile, segment, message)
    (link,) = [each for each in Elements(pages(site, incident)[0]).links if each.startswith("incidents/")]
    address = urlsplit(urljoin("http://127.0.0.1:9464/driftwatch/", link))
    assert (address.query, address.fragment) == ("", "")
    assert unquote(address.path.removeprefix("/driftwatch/incidents/")) == incident.incident_id
    assert "/" not in address.path.removeprefix("/driftwatch/incidents/")


def test_evidence_says_how_many_days_and_since_when(site: Site) -> None:
    incident = site.incident("recall", "de", "recall fell")
    (member,) = incident.members
    onset = datetime(2026, 5, 4, 14, tzinfo=UTC)
    finding = replace(member.finding, evidence=240.2, share=0.3, onset=onset)
    told = dict(evidence_of(finding, site.watch, site.store).numbers)
    assert told["evidence, in days"] == "240"
    assert told["share of the budget"] == "0.3"
    assert told["since about"].startswith("2026-05-04 1")


def test_what_a_person_wrote_is_shown_without_addresses_and_numbers(site: Site) -> None:
    incident = site.incident("mail ana@example.com", "de", "recall fell")
    (evidence,) = [evidence_of(member.finding, site.watch, site.store) for member in incident.members]
    assert evidence.examples[0].text == "mail [email]"
    assert "mail [email]" in render_incident(site.watch, site.store, incident, START)
