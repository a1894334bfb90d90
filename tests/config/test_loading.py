"""From files to a Watch."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.checks import Check
from driftwatch.checks.canary import Canary
from driftwatch.config import Watch, load_watch, read_watch
from driftwatch.errors import ConfigError, ConfigErrors
from driftwatch.plugins import kind_names
from driftwatch.resources import shipped
from driftwatch.schedule import Schedule
from driftwatch.sources._abstention import Phrases

CHECKS, RETRIEVERS = (", ".join(kind_names(room)) for room in ("checks", "retrievers"))

DESIGN = """\
service: help-centre
database: sqlite:////var/lib/driftwatch/driftwatch.db
false_pages: 1 per 90 days            # over all checks and languages together

retriever:                            # the service under watch
  kind: http
  url: http://localhost:8000/retrieve
  top_k: 20

sources:
  canaries:
    kind: canaries
    path: canaries/*.jsonl            # {"query_id", "text", "lang", "relevant": ["doc-7"]}
    every: 1h
  live:
    kind: query_log
    path: /var/log/assistant/queries.jsonl
    keep_per_day: 2000                # sampled per language; rates are counted over everything
    stratify: lang

embedder:                             # only embedding checks, probes and retraining need one
  model: intfloat/multilingual-e5-small
  query_prompt: "query: "
  document_prompt: "passage: "

baseline: 14 days                     # learnt once, then moved by hand; or 2026-05-04 .. 2026-05-17
checks: checks/*.yaml

alerts: {after: 2, until: 3, blind_after: 6, remind: 24h}

notify:
  - kind: slack
    channel: "#assistant-quality"
    token: ${SLACK_BOT_TOKEN}
    tell: [firing, resolved, blind, report]

report: {every: mon 08:00, keep: 52 weeks}

retrain:                              # prepares; a person switches it on
  when: [canary recall]
  gate: {measure: nDCG@10, gain: 0.01, no_language_loses: 0.02}
"""

DESIGN_CHECK = """\
# checks/canaries.yaml
# Questions with known answers. If these move, retrieval broke, not the users.
- {name: canary recall, kind: canary, source: canaries, measure: R@10, at_least: 0.90, max_drop: 0.02, by: lang}
"""

LOG = "sources: {live: {kind: 'tests.fakes.kinds:Log'}}\n"
FRESH = "{kind: 'tests.fakes.kinds:Freshness', source: live, name: %s}"


def write(tmp: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        path = tmp / name.replace("__", "/")
        path = path.with_name(path.name.replace("_yaml", ".yaml"))
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    (tmp / "driftwatch.yaml").write_text(text)
    return tmp / "driftwatch.yaml"


def watch(tmp: Path, text: str, env: dict[str, str] | None = None, **files: str) -> Watch:
    return read_watch(write(tmp, f"service: x\n{text}", **files), env or {})


def said(tmp: Path, text: str, env: dict[str, str] | None = None, **files: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        watch(tmp, text, env, **files)
    return [str(error).replace(f"{tmp}/", "") for error in caught.value.errors]


# --- the whole -----------------------------------------------------------------------------------------------------


def test_the_example_of_the_design_loads_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, DESIGN, checks__canaries_yaml=DESIGN_CHECK)
    loaded: Any = load_watch(path, {"SLACK_BOT_TOKEN": "xoxb-1"})
    assert loaded.service == "help-centre"
    assert loaded.database == "sqlite:////var/lib/driftwatch/driftwatch.db"
    assert (loaded.false_pages.count, loaded.false_pages.per) == (1, timedelta(days=90))
    assert (loaded.retriever.url, loaded.retriever.top_k) == ("http://localhost:8000/retrieve", 20)
    assert loaded.sources["canaries"].every == Schedule.parse("1h")
    assert (loaded.sources["live"].name, loaded.sources["live"].keep_per_day) == ("live", 2000)
    assert loaded.embedder.query_prompt == "query: "
    assert loaded.baseline.length == timedelta(days=14)
    assert [check.name for check in loaded.checks] == ["canary recall"]
    assert isinstance(loaded.checks[0], Canary)
    assert loaded.alerts.remind == timedelta(hours=24)
    assert loaded.notify[0].token.get_secret_value() == "xoxb-1"
    assert loaded.notify[0].name == "slack"
    assert loaded.report.keep == timedelta(weeks=52)
    assert loaded.retrain.gate.no_language_loses == 0.02


def test_the_example_needs_its_environment_variable(tmp_path: Path) -> None:
    path = write(tmp_path, DESIGN, checks__canaries_yaml=DESIGN_CHECK)
    with pytest.raises(ConfigErrors, match=r"driftwatch.yaml:34: .* needs the environment variable SLACK_BOT_TOKEN"):
        load_watch(path, {})


def test_the_example_help_centre_loads() -> None:
    loaded = load_watch(shipped("help-centre") / "driftwatch.yaml", {})
    assert loaded.checks


def test_a_service_is_all_that_is_needed(tmp_path: Path) -> None:
    loaded = watch(tmp_path, "")
    assert loaded.database == f"sqlite:///{tmp_path}/driftwatch.db"
    assert loaded.api is not None
    assert (loaded.api.host, loaded.api.port, loaded.api.is_open) == ("127.0.0.1", 9464, False)
    assert loaded.privacy.keep_text == "full"
    assert loaded.retention.disk == 2_000_000_000
    assert (loaded.base, loaded.path) == (tmp_path, tmp_path / "driftwatch.yaml")
    assert loaded.timezone == "UTC"


def test_a_section_that_is_commented_out_is_left_out(tmp_path: Path) -> None:
    loaded = watch(tmp_path, "notify:\n# - kind: console\nsources:\nchecks:\nalerts:\nretention:\nembedder:\n")
    assert loaded.model_dump() == watch(tmp_path, "").model_dump()


def test_a_service_without_a_name_is_missing(tmp_path: Path) -> None:
    (tmp_path / "driftwatch.yaml").write_text("service:\nretreiver:\n")
    with pytest.raises(ConfigErrors) as caught:
        read_watch(tmp_path / "driftwatch.yaml", {})
    assert [error.problem.split(": ", 1)[1] for error in caught.value.errors] == [
        "this file needs 'service'.",
        "this file has no setting 'retreiver'.",
    ]


def test_a_watch_never_changes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        watch(tmp_path, "").service = "y"  # type: ignore[misc]


def test_everything_that_is_wrong_is_said_at_once_by_file_and_line(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        "alerts: {after: 0}\nnotify: nobody\nchecks: [b.yaml, a.yaml]\nservce: y",
        a_yaml="- {kind: canary, name: a, source: canaries, max_drop: 2}\n",
        b_yaml="\n- {kind: canry}\n-\n",
    )
    assert found == [
        "a.yaml:1: Canary 'a': 'max_drop' must be 1 or less, not 2.",
        "b.yaml:2: there is no kind 'canry' in checks. Did you mean 'canary'?",
        "b.yaml:3: this check must be a block of settings, not empty. Write 'kind: …' and its settings.",
        "driftwatch.yaml:2: 'alerts.after' must be 1 or more, not 0.",
        "driftwatch.yaml:3: 'notify' must be a list of receivers, not 'nobody'. Begin each receiver with '- kind: …'.",
        "driftwatch.yaml:5: this file has no setting 'servce'. Did you mean 'service'?",
    ]


def test_one_error_that_is_raised_holds_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        watch(tmp_path, "alerts: {after: 0, until: 0}")
    assert str(caught.value).count("\n") == 1


def test_what_is_only_wrong_together_is_said_when_all_parts_are_right(tmp_path: Path) -> None:
    path = write(tmp_path, f"service: x\nchecks:\n- {FRESH % 'a'}\n")
    assert read_watch(path, {}).checks[0].name == "a"
    with pytest.raises(
        ConfigErrors, match=r"driftwatch.yaml:3: check 'a' judges the source 'live', which there is not"
    ):
        load_watch(path, {})


def test_what_driftwatch_fills_in_itself_is_not_offered(tmp_path: Path) -> None:
    found = said(tmp_path, "qqqq: 1")[0]
    assert "There are: abstention, alerts, api, baseline, checks, database," in found
    assert "origins" not in found


# --- checks --------------------------------------------------------------------------------------------------------


def names(checks: tuple[Check, ...]) -> list[str]:
    return [check.name for check in checks]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("more/*.yaml", ["b", "c", "a"]),
        ("[more/b.yaml, more/a.yaml]", ["a", "b", "c"]),
        ("[more/*.yaml, more/b.yaml]", ["b", "c", "a"]),
        ("'**/*a.yaml'", ["b", "c"]),
        (f"[more/b.yaml, {FRESH % 'inline'}]", ["a", "inline"]),
        (f"\n- {FRESH % 'one'}\n- {FRESH % 'two'}", ["one", "two"]),
        (FRESH % "alone", ["alone"]),
        ("[]", []),
    ],
)
def test_checks_come_from_files_from_the_list_itself_or_both(given: str, found: list[str], tmp_path: Path) -> None:
    more = {"more__a_yaml": f"- {FRESH % 'b'}\n- {FRESH % 'c'}\n", "more__b_yaml": f"- {FRESH % 'a'}\n"}
    assert names(watch(tmp_path, f"checks: {given}", **more).checks) == found


def test_absolute_patterns_and_odd_directories_work(tmp_path: Path) -> None:
    odd = tmp_path / "[a]*"
    odd.mkdir()
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "a.yaml").write_text(f"- {FRESH % 'a'}\n")
    assert names(watch(odd, f"checks: ['{tmp_path}/all/*.yaml', b.yaml]", b_yaml=f"- {FRESH % 'b'}\n").checks) == [
        "a",
        "b",
    ]


def test_a_file_of_comments_holds_no_checks(tmp_path: Path) -> None:
    assert watch(tmp_path, "checks: a.yaml", a_yaml="# later\n").checks == ()


@pytest.mark.parametrize("pattern", ["none/*.yaml", "none.yaml", "more", "''"])
def test_a_pattern_that_matches_no_file_is_an_error(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    assert "matches no file" in said(tmp_path, f"checks: [{pattern}]")[0]


def test_errors_in_a_check_file_name_the_file_the_line_and_the_check(tmp_path: Path) -> None:
    text = "# why\n\n- name: stale\n  kind: tests.fakes.kinds:Freshness\n  source: live\n  mosst: 3\n  share: 7\n"
    assert said(tmp_path, "checks: a.yaml", a_yaml=text) == [
        "a.yaml:6: Freshness 'stale' has no setting 'mosst'. Did you mean 'most'?",
        "a.yaml:7: Freshness 'stale': 'share' must be 1 or less, not 7.",
    ]


def test_a_check_file_that_is_no_yaml_is_one_error_among_the_others(tmp_path: Path) -> None:
    files = {"a_yaml": "- {", "b_yaml": "- {kind: nothing}\n", "c_yaml": "- {a: '${X}', a: 1}\n"}
    found = said(tmp_path, "checks: '?.yaml'", **files)
    assert [line.split(":")[0] for line in found] == ["a.yaml", "b.yaml", "c.yaml", "c.yaml"]


def test_check_files_take_variables_as_well(tmp_path: Path) -> None:
    loaded = watch(
        tmp_path,
        "checks: a.yaml",
        {"NAME": "fresh", "MOST": "3"},
        a_yaml=f"- {FRESH % 'x'}\n".replace("x}", "'${NAME}', most: '${MOST}'}"),
    )
    assert loaded.checks[0].name == "fresh"


# --- names ---------------------------------------------------------------------------------------------------------


def test_receivers_are_named_by_their_kind_and_numbered(tmp_path: Path) -> None:
    given = "notify: [{kind: console}, {kind: console}, {kind: console, name: console-3}, {kind: console}]"
    assert [each.name for each in watch(tmp_path, given).notify] == ["console", "console-2", "console-3", "console-4"]


def test_a_source_is_named_by_its_key_alone(tmp_path: Path) -> None:
    assert watch(tmp_path, LOG).sources["live"].name == "live"
    given = "sources:\n  live:\n    kind: tests.fakes.kinds:Log\n    name: other\n"
    assert said(tmp_path, given) == ["driftwatch.yaml:5: the source is called 'live' already. Remove 'name'."]


@pytest.mark.parametrize("name", ["a b", "-a", "ä", "a/b", "x" * 61])
def test_a_source_has_a_plain_name(name: str, tmp_path: Path) -> None:
    found = said(tmp_path, f"sources: {{'{name}': {{kind: 'tests.fakes.kinds:Log'}}}}")
    assert f"'{name}' is not the name of a source." in found[0]


# --- kinds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("retriever: 3", "'retriever' must be a block of settings, not 3. Write 'kind: …' and its settings."),
        ("retriever: {}", f"'retriever' has no 'kind'. There are: {RETRIEVERS}."),
        ("retriever: {kind: [http]}", f"'retriever': 'kind' must be text, not a list. There are: {RETRIEVERS}."),
        ("notify: [console]", "'notify[0]' must be a block of settings, not 'console'."),
        ("sources: live", "'sources' must be a block of named sources, not 'live'."),
        ("sources: {live: {kind: kanaries}}", "there is no kind 'kanaries' in sources. Did you mean 'canaries'?"),
        ("checks: [{name: a}]", f"'checks[0]' has no 'kind'. There are: {CHECKS}."),
        ("embedder: e5", "the embedder: it must be a block of settings, not 'e5'."),
        ("path: x", "this file has no setting 'path'. Remove it."),
        ("origins: x", "this file has no setting 'origins'. Remove it."),
    ],
)
def test_a_part_of_the_wrong_shape_is_refused(given: str, answer: str, tmp_path: Path) -> None:
    assert f"driftwatch.yaml:2: {answer}" in said(tmp_path, given)[0]


# --- values --------------------------------------------------------------------------------------------------------


def test_a_number_where_text_is_needed_is_the_text_as_it_was_written(tmp_path: Path) -> None:
    loaded = watch(tmp_path, f"checks: [{FRESH % '007'}]\ntimezone: UTC\n")
    assert loaded.checks[0].name == "007"


def test_a_secret_of_digits_stays_what_it_is(tmp_path: Path) -> None:
    given = "notify:\n- kind: tests.fakes.kinds:Pager\n  token: ${TOKEN}\n"
    loaded: Any = watch(tmp_path, given, {"TOKEN": "0012e3"})
    assert loaded.notify[0].token.get_secret_value() == "0012e3"


def test_relative_paths_start_from_the_directory_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    given = (
        "sources: {live: {kind: 'tests.fakes.kinds:Log', index: data/x}}\nembedder: {model: m, cache: vectors}\n"
        "notify: [{kind: 'tests.fakes.kinds:Pager', token_file: token}]\ndatabase: sqlite:///state/d.db\n"
    )
    write(tmp_path, f"service: x\n{given}")
    monkeypatch.chdir(tmp_path.parent)
    loaded: Any = read_watch(Path(tmp_path.name) / "driftwatch.yaml", {})
    monkeypatch.chdir("/")
    assert loaded.sources["live"].index == tmp_path / "data/x"
    assert loaded.embedder.cache == tmp_path / "vectors"
    assert loaded.notify[0].token.get_secret_value() == "t0ken"
    assert loaded.database == f"sqlite:///{tmp_path}/state/d.db"


def test_the_database_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgres://d:s3cret@db/d\n")
    loaded = watch(tmp_path, "database_file: url")
    assert loaded.database == "postgresql+psycopg://d:s3cret@db/d"
    assert "both set" in said(tmp_path, "database_file: url\ndatabase: sqlite:///x.db")[0]


def test_dates_of_a_baseline_are_both_inclusive(tmp_path: Path) -> None:
    baseline = watch(tmp_path, "baseline: 2026-05-04 .. 2026-05-17").baseline
    assert (baseline.start, baseline.end) == (datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 18, tzinfo=UTC))


def test_windows_of_expected_difference(tmp_path: Path) -> None:
    given = (
        "expected:\n- {from: 2026-12-24, to: 2026-12-26, reason: holidays}\n"
        "- {from: '2026-05-01 10:00+02:00', to: 2026-05-01 12:00, reason: launch}\n"
    )
    loaded = watch(tmp_path, given)
    assert loaded.expects(datetime(2026, 12, 26, 23, 59, tzinfo=UTC)) == loaded.expected[0]
    assert loaded.expects(datetime(2026, 12, 27, tzinfo=UTC)) is None
    assert loaded.expected[1].start == datetime(2026, 5, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("given", ["off", "false", "Off"])
def test_the_api_may_be_off(given: str, tmp_path: Path) -> None:
    assert watch(tmp_path, f"api: {given}").api is None


@pytest.mark.parametrize(
    ("host", "is_open"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True), ("host", True)],
)
def test_an_api_knows_whether_others_can_reach_it(host: str, is_open: bool, tmp_path: Path) -> None:
    api = watch(tmp_path, f"api: {{host: '{host}'}}").api
    assert api is not None
    assert api.is_open == is_open


def test_where_people_reach_the_pages_is_an_address_to_add_paths_to(tmp_path: Path) -> None:
    api = watch(tmp_path, "api: {public_url: 'https://example.org/driftwatch/'}").api
    assert api is not None
    assert api.public_url == "https://example.org/driftwatch"


@pytest.mark.parametrize("given", ["example.org", "javascript:alert(1)", "https://a:b@example.org", "https://x/?a=b"])
def test_what_nobody_should_follow_is_no_address_of_the_pages(given: str, tmp_path: Path) -> None:
    assert "'api.public_url': it must begin with http" in said(tmp_path, f"api: {{public_url: '{given}'}}")[0]


def test_a_heartbeat_may_be_an_address_alone(tmp_path: Path) -> None:
    heartbeat = watch(tmp_path, "heartbeat: https://example.org/s3cret").heartbeat
    assert heartbeat is not None
    assert heartbeat.url.get_secret_value() == "https://example.org/s3cret"
    assert heartbeat.every == Schedule.parse("1m")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
        ("postgres://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("sqlite:////abs/d.db", "sqlite:////abs/d.db"),
    ],
)
def test_addresses_of_databases(given: str, url: str, tmp_path: Path) -> None:
    assert watch(tmp_path, f"database: {given}").database == url


@pytest.mark.parametrize(
    "given", ["d.db", "mysql://h/d", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:/d.db"]
)
def test_what_is_no_database_is_refused(given: str, tmp_path: Path) -> None:
    assert "'database': " in said(tmp_path, f"database: '{given}'")[0]


# --- patterns of abstention ----------------------------------------------------------------------------------------


def test_patterns_of_abstention_stand_in_the_file_itself(tmp_path: Path) -> None:
    loaded = watch(tmp_path, "abstention: {en: [ring the desk], de: {says: [muss ich passen], unless: [aber hier]}}")
    assert loaded.abstention == {"en": Phrases(("ring the desk",)), "de": Phrases(("muss ich passen",), ("aber hier",))}
    assert watch(tmp_path, "").abstention == {}


def test_patterns_of_abstention_stand_in_a_file_beside_it(tmp_path: Path) -> None:
    loaded = watch(tmp_path, "abstention: patterns.yaml", patterns_yaml="pl: [nie wiem]\n")
    assert loaded.abstention == {"pl": Phrases(("nie wiem",))}


def test_what_is_wrong_with_patterns_is_said_by_file_and_line(tmp_path: Path) -> None:
    assert said(tmp_path, "abstention:\n  de:\n    - keine ahnung\n    - 'nichts ('\n  jp: [x]\nsevrice: x\n") == [
        "driftwatch.yaml:5: the pattern 'nichts (' is not a regular expression: missing ), unterminated subpattern at "
        "position 7. Put a backslash before signs that are meant literally.",
        "driftwatch.yaml:6: 'jp' is not a BCP 47 language. Did you mean 'ja'?",
        "driftwatch.yaml:7: this file has no setting 'sevrice'. Did you mean 'service'?",
    ]
    assert said(tmp_path, "abstention: p.yaml", p_yaml="de:\n- x*\n") == [
        "p.yaml:2: the pattern 'x*' matches every answer. Make it say more."
    ]
    assert said(tmp_path, "abstention: nowhere.yaml") == [
        "driftwatch.yaml:2: there is no file 'nowhere.yaml'. Write its path relative to this file."
    ]
    assert said(tmp_path, "abstention: 3") == [
        "driftwatch.yaml:2: this is no mapping of languages to patterns. Write it like: de: ['keine ahnung']."
    ]


# --- secrets -------------------------------------------------------------------------------------------------------


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    given = (
        "database: postgresql://driftwatch:s3cret@db/d\n"
        "api: {token: s3cret}\nprivacy: {key: s3cret-of-32-bytes}\nheartbeat: https://example.org/s3cret\n"
        "retriever: {kind: http, url: 'http://127.0.0.1', token: s3cret, headers: {X-Key: s3cret}}\n"
        "notify: [{kind: slack, channel: '#c', token: '${TOKEN}'}, {kind: webhook, url: 'https://example.org/s3cret'}]\n"
    )
    loaded = watch(tmp_path, given, {"TOKEN": "xoxb-s3cret"})
    for shown in (repr(loaded), str(loaded.model_dump()), loaded.model_dump_json(), repr(loaded.origins)):
        assert "s3cret" not in shown
    assert "postgresql+psycopg://driftwatch:***@db/d" in loaded.model_dump_json()


@pytest.mark.parametrize(
    "given",
    [
        "api: {token: [s3cret]}",
        "api: {port: '${S}'}",
        "api: {host: 3, port: '${S}'}",
        "timezone: ${S}",
        "privacy: {key: s3cret}",
        "privacy: {keep_text: hash, key: '${S}'}",
        "abstention: {en: ['${S} (']}",
        "abstention: {'jp': ['x'], en: '${S}'}",
        "languages: ['${S}']",
        "false_pages: ${S}",
        "retriever: {kind: '${S}'}",
        "checks: ${S}",
        "checks: ['${S}']",
        "privacy: {keep_text: '${S}'}",
        "notify: [{kind: 'tests.fakes.kinds:Pager', token: {a: s3cret}}]",
        "notify: [{kind: 'tests.fakes.kinds:Pager', token: x, headers: [{name: a, value: [s3cret]}]}]",
        "retriever: {kind: http, url: 'http://127.0.0.1', headers: {X: [s3cret]}}",
        "retriever: {kind: http, url: 'http://127.0.0.1', api_key: s3cret}",
        "heartbeat: ${S}",
        "heartbeat: ftp://s3cret",
        "notify: [{kind: webhook, url: 'ftp://x/s3cret'}]",
        "notify: [{kind: webhook, url: 'https://x', secret: s3cret}]",
        "notify: [{kind: slack, channel: '#c', token: [s3cret]}]",
        "notify: [{kind: slack, webhook_url: 'ftp://s3cret'}]",
        "sources: {push: {kind: push, token: s3cret}}",
        "retriever: {kind: http, url: 'ftp://u:s3cret@x'}",
        "languages: ['${LONG}']",
        "privacy: {keep_text: '${LONG}'}",
        "heartbeat: {url: 's3cret'}",
        "database: ${S}",
        "database: mysql://u:s3cret@h/d",
        "expected: [{from: '${S}', to: 2026-01-01, reason: x}]",
        "retention: {disk: '${S}', tallies: '${S}'}",
        "sources: {live: {kind: canaries, path: x, every: '${S}'}}",
    ],
)
def test_no_error_shows_a_secret(given: str, tmp_path: Path) -> None:
    found = "\n".join(said(tmp_path, given, {"S": "xoxb-s3cret", "LONG": "xoxb-s3cret" * 20}))
    assert found
    assert "s3cret" not in found
