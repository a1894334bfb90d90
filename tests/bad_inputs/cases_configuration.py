"""What can be wrong in ``driftwatch.yaml`` and in the files of checks."""

from __future__ import annotations

from pathlib import Path

from driftwatch.config import load_watch
from tests.bad_inputs.registry import case

GOOD = "service: help-centre\n"
RETRIEVER = "retriever: {kind: http, url: 'http://127.0.0.1:8000/retrieve'}\n"
CANARIES = "sources:\n  canaries: {kind: canaries, path: canaries.jsonl, every: 1h}\n"


def said(tmp: Path, text: str | bytes, **env: str) -> str:
    """What loading ``text`` as driftwatch.yaml prints."""
    path = tmp / "driftwatch.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    load_watch(path, env)
    return "nothing"


def check(tmp: Path, settings: str) -> str:
    """What a file with one check prints."""
    (tmp / "checks").mkdir()
    (tmp / "checks" / "canaries.yaml").write_text(f"# Questions with known answers.\n- {settings}\n")
    return said(tmp, GOOD + RETRIEVER + CANARIES + "checks: checks/*.yaml\n")


@case("configuration", "there is no such file")
def missing_file(tmp: Path) -> str:
    load_watch(tmp / "driftwatch.yaml", {})
    return "nothing"


@case("configuration", "the file is empty")
def empty_file(tmp: Path) -> str:
    return said(tmp, "# nothing yet\n")


@case("configuration", "the file holds a list")
def list_file(tmp: Path) -> str:
    return said(tmp, "- service: help-centre\n")


@case("configuration", "the file is not UTF-8")
def latin_file(tmp: Path) -> str:
    return said(tmp, "service: hilfe\n# für alle\n".encode("latin-1"))


@case("configuration", "a NUL byte")
def nul_byte(tmp: Path) -> str:
    return said(tmp, "service: help\x00centre\n")


@case("configuration", "ten megabytes of YAML")
def huge_file(tmp: Path) -> str:
    return said(tmp, b"# " + b"x" * 10_000_000)


@case("configuration", "a tab in the indentation")
def tab(tmp: Path) -> str:
    return said(tmp, GOOD + "retriever:\n\tkind: http\n")


@case("configuration", "the indentation does not fit")
def indentation(tmp: Path) -> str:
    return said(tmp, "retriever:\n    kind: http\n  url: http://127.0.0.1\n")


@case("configuration", "a quote that is never closed")
def open_quote(tmp: Path) -> str:
    return said(tmp, GOOD + 'timezone: "Europe/Berlin\nlanguages: [en]\n')


@case("configuration", "`{url: ${URL}}`: a variable without quotes inside brackets")
def variable_in_brackets(tmp: Path) -> str:
    return said(tmp, GOOD + "retriever: {kind: http, url: ${URL}}\n")


@case("configuration", "the same setting twice")
def equal_keys(tmp: Path) -> str:
    return said(tmp, "service: one\nlanguages: [en]\nservice: two\n")


@case("configuration", "`!!python/object/apply:os.system`")
def python_tag(tmp: Path) -> str:
    return said(tmp, "service: !!python/object/apply:os.system ['id']\n")


@case("configuration", "aliases that unfold to a billion values")
def billion_laughs(tmp: Path) -> str:
    levels = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    return said(tmp, "a0: &a0 [lol]\n" + "".join(levels))


@case("configuration", "brackets a hundred levels deep")
def deep_nesting(tmp: Path) -> str:
    return said(tmp, "service: " + "[" * 100 + "]" * 100 + "\n")


@case("configuration", "a misspelt setting at the top")
def top_typo(tmp: Path) -> str:
    return said(tmp, GOOD + "retreiver: {kind: http}\n")


@case("configuration", "a misspelt setting of a section")
def section_typo(tmp: Path) -> str:
    return said(tmp, GOOD + "alerts: {after: 2, untill: 3}\n")


@case("configuration", "a misspelt setting of a check, in its own file")
def check_typo(tmp: Path) -> str:
    return check(tmp, "{name: canary recall, kind: canary, source: canaries, mesure: R@10}")


@case("configuration", "a misspelt kind")
def kind_typo(tmp: Path) -> str:
    return said(tmp, GOOD + "retriever: {kind: htpp, url: 'http://127.0.0.1'}\n")


@case("configuration", "no kind at all")
def no_kind(tmp: Path) -> str:
    return said(tmp, GOOD + "retriever: {url: 'http://127.0.0.1'}\n")


@case("configuration", "a kind of your own that cannot be imported")
def dotted_kind(tmp: Path) -> str:
    return said(tmp, GOOD + "retriever: {kind: 'acme.search:Index'}\n")


@case("configuration", "a setting that is needed is missing")
def missing_setting(tmp: Path) -> str:
    return check(tmp, "{name: canary recall, kind: canary}")


@case("configuration", "`service` is missing")
def missing_service(tmp: Path) -> str:
    return said(tmp, "languages: [en]\n")


@case("configuration", "a number out of range")
def out_of_range(tmp: Path) -> str:
    return check(tmp, "{name: canary recall, kind: canary, source: canaries, at_least: 90}")


@case("configuration", "a word where a number should be")
def word_for_number(tmp: Path) -> str:
    return said(tmp, GOOD + "alerts: {after: twice}\n")


@case("configuration", "a setting that may be a number or one word is neither")
def union(tmp: Path) -> str:
    return said(tmp, GOOD + "embedder: {model: intfloat/multilingual-e5-small, batch_size: lots}\n")


@case("configuration", "a choice that there is not")
def wrong_choice(tmp: Path) -> str:
    return said(tmp, GOOD + "privacy: {keep_text: redactd}\n")


@case("configuration", "a text where a list should be")
def text_for_list(tmp: Path) -> str:
    return said(tmp, GOOD + "languages: en\n")


@case("configuration", "the name of a language instead of its tag")
def language_name(tmp: Path) -> str:
    return said(tmp, GOOD + "languages: [en, german]\n")


@case("configuration", "a time zone that there is not")
def time_zone(tmp: Path) -> str:
    return said(tmp, GOOD + "timezone: Europe/Berln\n")


@case("configuration", "a measure that there is not")
def measure(tmp: Path) -> str:
    return check(tmp, "{name: canary recall, kind: canary, source: canaries, measure: Recal@10}")


@case("configuration", "a budget that is none")
def budget(tmp: Path) -> str:
    return said(tmp, GOOD + "false_pages: hardly any\n")


@case("configuration", "a baseline that ends before it begins")
def baseline(tmp: Path) -> str:
    return said(tmp, GOOD + "baseline: 2026-05-17 .. 2026-05-04\n")


@case("configuration", "a size that is none")
def size(tmp: Path) -> str:
    return said(tmp, GOOD + "retention: {disk: 2 gigs}\n")


@case("configuration", "`checks:` matches no file")
def empty_glob(tmp: Path) -> str:
    return said(tmp, GOOD + "checks: cheks/*.yaml\n")


@case("configuration", "a file of checks that holds no list")
def check_file_without_list(tmp: Path) -> str:
    (tmp / "checks.yaml").write_text("name: canary recall\nkind: canary\n")
    return said(tmp, GOOD + "checks: checks.yaml\n")


@case("configuration", "a check of a source that there is not")
def unknown_source(tmp: Path) -> str:
    return check(tmp, "{name: canary recall, kind: canary, source: canary}")


@case("configuration", "a check of traffic on a source of canaries")
def wrong_source(tmp: Path) -> str:
    return check(tmp, "{name: empty results, kind: rate, of: empty, source: canaries}")


@case("configuration", "two checks of one name")
def equal_names(tmp: Path) -> str:
    return check(
        tmp, "{name: recall, kind: canary, source: canaries}\n- {name: recall, kind: canary, source: canaries}"
    )


@case("configuration", "a window longer than the baseline")
def long_window(tmp: Path) -> str:
    return check(tmp, "{name: recall, kind: canary, source: canaries, window: 30 days}")


@case("configuration", "canaries, and no retriever to ask")
def no_retriever(tmp: Path) -> str:
    return said(tmp, GOOD + CANARIES)


@case("configuration", "a FAISS index, and no embedder")
def no_embedder(tmp: Path) -> str:
    return said(tmp, GOOD + "retriever: {kind: faiss, index: my.index}\n")


@case("configuration", "three mistakes in two files")
def several(tmp: Path) -> str:
    (tmp / "checks.yaml").write_text("- {name: recall, kind: canary, source: canaries, max_drop: none}\n")
    return said(tmp, "service:\nchecks: checks.yaml\napi: {port: 99999}\n")


@case("configuration", "`init` where there is a configuration already")
def init_twice(tmp: Path) -> str:
    from driftwatch.starter import write_starter

    (tmp / "driftwatch.yaml").write_text(GOOD)
    write_starter(tmp)
    return "nothing"


@case("schedules", "no schedule at all")
def no_schedule(tmp: Path) -> str:
    return said(tmp, GOOD + "report: {every: sometimes}\n")


@case("schedules", "a crontab of six fields")
def six_fields(tmp: Path) -> str:
    return said(tmp, GOOD + "report: {every: 0 0 8 * * 1}\n")


@case("schedules", "a weekday that there is not")
def weekday(tmp: Path) -> str:
    return said(tmp, GOOD + "report: {every: 0 8 * * 8}\n")


@case("schedules", "`@reboot`")
def reboot(tmp: Path) -> str:
    return said(tmp, GOOD + "report: {every: '@reboot'}\n")


@case("schedules", "the 30th of February")
def never(tmp: Path) -> str:
    return said(tmp, GOOD + "report: {every: 0 8 30 2 *}\n")


@case("schedules", "a day of the month and a weekday in one crontab")
def two_days(tmp: Path) -> str:
    return said(tmp, GOOD + "report: {every: 0 8 13 * 5}\n")


@case("schedules", "a window shorter than an hour on traffic")
def short_window(tmp: Path) -> str:
    text = "checks: [{name: traffic, kind: volume, source: live, window: 10m}]\n"
    return said(tmp, GOOD + "sources: {live: {kind: query_log, path: queries.jsonl}}\n" + text)


SLACK = "notify:\n  - kind: slack\n    channel: '#quality'\n"


@case("secrets", "an environment variable that is not set")
def unset_variable(tmp: Path) -> str:
    return said(tmp, GOOD + SLACK + "    token: ${SLACK_BOT_TOKEN}\n")


@case("secrets", "an environment variable that is set to nothing")
def empty_variable(tmp: Path) -> str:
    return said(tmp, GOOD + SLACK + "    token: ${SLACK_BOT_TOKEN}\n", SLACK_BOT_TOKEN="")


@case("secrets", "`${SLACK-TOKEN}`: no name of a variable")
def bad_variable(tmp: Path) -> str:
    return said(tmp, GOOD + SLACK + "    token: ${SLACK-TOKEN}\n")


@case("secrets", "a secret file that is not there")
def missing_secret_file(tmp: Path) -> str:
    return said(tmp, GOOD + SLACK + "    token_file: secrets/slack\n")


@case("secrets", "a secret file that is empty")
def empty_secret_file(tmp: Path) -> str:
    (tmp / "slack").write_text("\n")
    return said(tmp, GOOD + SLACK + "    token_file: slack\n")


@case("secrets", "a secret and its file")
def secret_twice(tmp: Path) -> str:
    (tmp / "slack").write_text("xoxb-s3cret")
    return said(tmp, GOOD + SLACK + "    token_file: slack\n    token: xoxb-s3cret\n")


@case("secrets", "a list where a secret should be (its value is not shown)")
def list_for_secret(tmp: Path) -> str:
    return said(tmp, GOOD + "api: {token: [s3cret]}\n")


@case("secrets", "a wrong value that came from the environment (shown as it is written)")
def wrong_variable(tmp: Path) -> str:
    return said(tmp, GOOD + "api:\n  port: ${PORT}\n", PORT="s3cret")


@case("secrets", "a password in an address that is wrong")
def wrong_database(tmp: Path) -> str:
    return said(tmp, GOOD + "database: mysql://driftwatch:s3cret@db/driftwatch\n")
