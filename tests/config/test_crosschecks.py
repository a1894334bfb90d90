"""What loads and still cannot work."""

from pathlib import Path

import pytest

from driftwatch.config import Problem, problems, read_watch
from driftwatch.resources import shipped

LOG = "sources: {live: {kind: 'tests.fakes.kinds:Log'}}\n"
ASKED = "retriever: {kind: http, url: 'http://127.0.0.1:1'}\n"
BOTH = (
    f"{ASKED}sources:\n  live: {{kind: 'tests.fakes.kinds:Log'}}\n  canaries: {{kind: 'tests.fakes.kinds:Questions'}}\n"
)
CONSOLE = "notify: [{kind: console}]\n"
TOLD = "checks: [{kind: 'tests.fakes.kinds:Freshness', name: a, source: live}]\n"


def check(settings: str, kind: str = "Freshness") -> str:
    return f"- {{kind: 'tests.fakes.kinds:{kind}', {settings}}}\n"


def found(tmp: Path, text: str) -> list[Problem]:
    (tmp / "driftwatch.yaml").write_text(f"service: x\n{text}")
    return problems(read_watch(tmp / "driftwatch.yaml", {}))


def said(tmp: Path, text: str) -> list[str]:
    return [f"{one.line} {one.severity}: {one.message}" for one in found(tmp, text)]


def test_a_sound_configuration_has_no_problems(tmp_path: Path) -> None:
    text = f"{BOTH}{CONSOLE}checks:\n{check('name: a, source: live')}{check('name: b, source: canaries', 'Found')}"
    assert found(tmp_path, text) == []


def test_canaries_that_only_teach_are_not_idle(tmp_path: Path) -> None:
    assert found(tmp_path, f"{BOTH}{CONSOLE}checks: [{{kind: predicted_quality, name: a, source: live}}]\n") == []


@pytest.mark.filterwarnings("error")
def test_what_is_shipped_has_no_problems() -> None:
    assert problems(read_watch(shipped("help-centre") / "driftwatch.yaml", {})) == []


def test_a_problem_names_the_file_and_line_where_it_can_be_mended(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- kind: tests.fakes.kinds:Freshness\n  name: a\n  source: lvie\n")
    first = found(tmp_path, f"{LOG}{CONSOLE}checks: a.yaml")[0]
    assert (first.file, first.line, first.severity) == (str(tmp_path / "a.yaml"), 3, "error")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"{LOG}{CONSOLE}checks:\n{check('name: a, source: lvie')}{check('name: b, source: live')}",
            "5 error: check 'a' judges the source 'lvie', which there is not. Did you mean 'live'?",
        ),
        (
            f"{CONSOLE}checks:\n{check('name: a, source: live')}",
            "4 error: check 'a' judges the source 'live', which there is not. "
            "There is none yet: add it below 'sources'.",
        ),
        (
            f"{BOTH}{CONSOLE}checks:\n"
            f"{check('name: a, source: live', 'Found')}{check('name: b, source: canaries', 'Found')}",
            "8 error: check 'a' (tests.fakes.kinds:Found) judges canary runs, but 'live' gives traffic. Name canaries.",
        ),
        (
            f"{LOG}{CONSOLE}checks:\n{check('name: a, source: live')}{check('name: a, source: live')}",
            "6 error: a check called 'a' is there already (driftwatch.yaml:5). Give each check its own name.",
        ),
        (
            f"{LOG}{CONSOLE}checks:\n{check('name: ' + repr('  ') + ', source: live')}",
            "5 error: the name of a check is one line of at most 100 characters.",
        ),
        (
            f"{LOG}{CONSOLE}checks:\n{check('name: a, source: live, window: 30m, every: 10m')}",
            "5 error: check 'a' looks at the last 30m, but traffic is counted by the hour. "
            "Make the window whole hours.",
        ),
        (
            f"{LOG}{CONSOLE}checks:\n{check('name: a, source: live, window: 90m')}",
            "5 warning: check 'a' looks at the last 1h 30m, but traffic is counted by the hour. "
            "Make the window whole hours.",
        ),
        (
            "sources: {live: {kind: 'tests.fakes.kinds:Log', every: 7 days}}\n"
            f"{CONSOLE}checks:\n{check('name: a, source: live')}",
            "5 error: check 'a' looks at the last 1d, but 'live' is read every 7d. Make the window at least that long.",
        ),
        (
            f"{LOG}{CONSOLE}checks:\n{check('name: a, source: live, every: mon 08:00')}",
            "5 warning: check 'a' looks at the last 1d, but only every 7d: the rest is never judged. "
            "Widen it, or look more often.",
        ),
        (
            f"{LOG}{CONSOLE}retention: {{tallies: 2 days}}\nchecks:\n{check('name: a, source: live, window: 3 days')}",
            "6 error: check 'a' looks at the last 3d, but 'retention: tallies' keeps 2d. Keep more, or look at less.",
        ),
        (
            f"{LOG}{CONSOLE}baseline: 7 days\nchecks:\n{check('name: a, source: live, window: 8 days')}",
            "6 error: check 'a' looks at the last 8d, but the baseline holds only 7d. Lengthen the baseline.",
        ),
        (
            f"{LOG}{CONSOLE}{TOLD}retention: {{observations: 10 days}}\n",
            "1 error: the baseline is 14d long, but 'retention: observations' keeps 10d. Keep more.",
        ),
        (
            f"{LOG}{CONSOLE}{TOLD}baseline: 2026-05-04 .. 2026-05-06\n",
            "5 warning: a baseline of 3d does not hold every hour of the week. "
            "Seven days are the least that weekends can be compared with.",
        ),
        (
            f"sources: {{canaries: {{kind: 'tests.fakes.kinds:Questions'}}}}\n{CONSOLE}",
            "2 error: the queries of 'canaries' are asked, but there is no 'retriever' to ask. Add one.",
        ),
        (
            f"sources:\n  live:\n    kind: tests.fakes.kinds:Log\n    ask_again: true\n{CONSOLE}{TOLD}",
            "5 error: the queries of 'live' are asked, but there is no 'retriever' to ask. Add one.",
        ),
        (
            f"{LOG}{CONSOLE}{TOLD}retriever: {{kind: 'tests.fakes.kinds:Shelf'}}\n",
            "5 error: the retriever 'tests.fakes.kinds:Shelf' embeds the queries itself and needs an 'embedder'. "
            "Add one.",
        ),
        (f"{BOTH}{CONSOLE}{TOLD}", "5 warning: no check judges the source 'canaries'."),
        (
            f"{LOG}{CONSOLE}checks: [{{kind: predicted_quality, name: a, source: live, canaries: golden}}]\n",
            "4 error: check 'a' learns from 'golden', which is no source of canaries. Add a source of canaries.",
        ),
        (
            f"{BOTH}{CONSOLE}checks: [{{kind: predicted_quality, name: a, source: live, canaries: live}}]\n",
            "7 error: check 'a' learns from 'live', which is no source of canaries. Name canaries.",
        ),
        (LOG, "1 warning: there are no checks, so nothing is ever found. Write 'checks: checks/*.yaml'."),
        (
            f"{LOG}{TOLD}",
            "1 warning: nobody is told: alerts stay in the database. Write 'notify: [{kind: console}]' at least.",
        ),
        (
            f"{LOG}{TOLD}notify: []\n",
            "4 warning: nobody is told: alerts stay in the database. Write 'notify: [{kind: console}]' at least.",
        ),
        (
            f"{LOG}{TOLD}notify: [{{kind: console, tell: []}}]\n",
            "4 warning: 'console' is told nothing. Name events in 'tell'.",
        ),
        (
            f"{LOG}{TOLD}notify:\n- {{kind: webhook, url: 'https://a'}}\n- {{kind: webhook, url: 'https://a'}}\n",
            "6 warning: 'webhook-2' is the same as 'webhook': everything is told twice. Remove one.",
        ),
        (
            f"{LOG}{TOLD}notify:\n- {{kind: console, name: a}}\n- {{kind: webhook, name: a, url: 'https://a'}}\n",
            "6 error: two receivers are called 'a'. Rename one.",
        ),
        (
            f"{CONSOLE}sources:\n  live: {{kind: 'tests.fakes.kinds:Log'}}\n"
            "  more: {kind: 'tests.fakes.kinds:Log'}\n",
            "5 warning: 'more' reads the same files as 'live'.",
        ),
        (
            f"sources: {{push: {{kind: push}}}}\n{CONSOLE}api: off\n",
            "2 error: clients push to 'push' through the API, which is off. Remove 'api: off'.",
        ),
        (
            f"sources: {{push: {{kind: push}}}}\n{CONSOLE}api: {{host: 0.0.0.0}}\n",
            "2 error: '0.0.0.0' lets other machines push to 'push'. Give the source a 'token'.",
        ),
        (
            f"{LOG}{CONSOLE}{TOLD}api: {{host: '::'}}\n",
            "5 warning: the pages are open to everybody who can reach '::'. Set 'api: token'.",
        ),
        (
            f"{LOG}{CONSOLE}{TOLD}privacy: {{keep_text: hash}}\n",
            "5 warning: the texts are hashed with a key that is drawn at each start: after a restart the same query "
            "has another hash. Set 'privacy: key_file', made with `openssl rand -hex 32`.",
        ),
        (
            f"{LOG}{CONSOLE}{TOLD}retrain: {{when: [b]}}\n",
            "5 error: 'retrain: when' names the check 'b', which there is not. There are: a.",
        ),
        (
            "sources: {live: {kind: query_log, path: q.jsonl, keep_per_day: 10}}\n"
            f"{CONSOLE}checks: [{{kind: score_drift, name: a, source: live}}]\n",
            "4 error: check 'a' needs 50 queries, but 'live' keeps 10 a day. "
            "Keep more ('keep_per_day'), or widen the window.",
        ),
    ],
)
def test_each_problem_is_said_where_it_can_be_mended(text: str, problem: str, tmp_path: Path) -> None:
    assert problem in [line.replace(f"{tmp_path}/", "") for line in said(tmp_path, text)]


@pytest.mark.parametrize(
    "text",
    [
        f"{LOG}{CONSOLE}{TOLD}api: {{host: 0.0.0.0, token: s3cret}}\n",
        f"{LOG}{CONSOLE}{TOLD}privacy: {{keep_text: hash, key: 0123456789abcdef}}\n",
        f"sources: {{push: {{kind: push}}}}\n{CONSOLE}checks: [{{kind: volume, name: a, source: push}}]\n",
        "sources: {push: {kind: push, token: s3cret-token}}\napi: {host: 0.0.0.0, token: s3cret}\n"
        f"{CONSOLE}checks: [{{kind: volume, name: a, source: push}}]\n",
        f"{LOG}{TOLD}notify:\n- {{kind: webhook, url: 'https://a'}}\n- {{kind: webhook, url: 'https://b'}}\n",
        f"{LOG}{CONSOLE}checks:\n{check('name: a, source: live, every: daily 08:00')}",
    ],
)
def test_what_is_meant_so_is_no_problem(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


def test_problems_are_sorted_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(check("name: a, source: nowhere"))
    places = [(one.file, one.line) for one in found(tmp_path, "checks: a.yaml\nretrain: {when: [x]}\n")]
    assert places == sorted(places)
    assert len(places) > 2


@pytest.mark.parametrize("keep", ["redacted", "hash"])
def test_what_is_not_kept_cannot_be_asked_again(tmp_path: Path, keep: str) -> None:
    log = "sources: {live: {kind: query_log, path: q.jsonl, ask_again: true}}\n"
    found_here = said(tmp_path, f"{ASKED}{log}{CONSOLE}privacy: {{keep_text: {keep}}}\n")
    assert any("keeps no text to ask" in each for each in found_here), found_here


def test_a_check_that_compares_embeddings_needs_an_embedder(tmp_path: Path) -> None:
    asks = f"{LOG}{CONSOLE}checks:\n- name: new topics\n  kind: query_drift\n  source: live\n"
    assert said(tmp_path, asks) == [
        "6 error: check 'new topics' (query_drift) compares embeddings, but there is no 'embedder'. Add one: "
        "'embedder: {model: intfloat/multilingual-e5-small}', and install the extra 'embed'."
    ]
    assert said(tmp_path, f"{asks}embedder: {{model: e5}}\n") == []


@pytest.mark.parametrize(("every", "warns"), [("6h", False), ("24h", False), ("36h", True), ('"0 6 * * 1-5"', True)])
def test_a_dual_run_that_skips_days_is_never_ready(tmp_path: Path, every: str, warns: bool) -> None:
    text = f"""{BOTH}  migration:
    kind: dual_run
    canaries: canaries
    retriever: {{kind: http, url: 'http://127.0.0.1:2'}}
    every: {every}
{CONSOLE}checks:
{check("name: b, source: canaries", "Found")}{check("name: a, source: live")}\
- {{kind: dual_run, name: ready, source: migration, of: ready}}
"""
    line = "10 warning: check 'ready' counts days in a row, but 'migration' compares nothing on some of them"
    assert [each.startswith(line) for each in said(tmp_path, text)] == [True] * warns
