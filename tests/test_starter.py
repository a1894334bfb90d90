import json
from pathlib import Path
from typing import Any

import pytest

from driftwatch.config import load_watch, problems
from driftwatch.errors import ConfigError, ConfigErrors
from driftwatch.resources import shipped
from driftwatch.starter import NEED_MORE, write_starter


def test_the_starter_loads_and_has_no_problems(tmp_path: Path) -> None:
    written = write_starter(tmp_path / "new" / "deeper")
    watch = load_watch(written[0], {})
    assert problems(watch) == []
    assert watch.notify[0].kind == "console"


def test_the_starter_holds_three_canaries_that_can_be_asked(tmp_path: Path) -> None:
    watch: Any = load_watch(write_starter(tmp_path)[0], {})
    suite = watch.sources["canaries"].load(watch.base)
    assert len(suite.queries) == 3
    assert [query.expect_empty for query in suite.queries].count(True) == 1


def test_the_starter_is_about_a_dozen_lines_and_the_rest_teaches(tmp_path: Path) -> None:
    lines = write_starter(tmp_path)[0].read_text().splitlines()
    effective = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    assert 10 <= len(effective) <= 14
    assert all("#" in line for line in lines if line.endswith(".yaml"))


def test_the_starter_brings_every_shipped_check(tmp_path: Path) -> None:
    write_starter(tmp_path)
    for path in shipped("checks").glob("*.yaml"):
        written = f"{path.name}.off" if path.name in NEED_MORE else path.name
        assert (tmp_path / "checks" / written).read_text() == path.read_text()


def test_a_check_that_needs_a_model_waits_for_one(tmp_path: Path) -> None:
    configuration = write_starter(tmp_path)[0]
    for name in NEED_MORE:
        (tmp_path / "checks" / f"{name}.off").rename(tmp_path / "checks" / name)
    with pytest.raises(ConfigErrors, match="compares embeddings, but there is no 'embedder'"):
        load_watch(configuration, {})
    written = configuration.read_text().replace("# embedder: {model: …}", "embedder: {model: e5} #")
    configuration.write_text(written.replace("  # index: {kind: index}", "  index: {kind: index} #"))
    assert {"new topics", "index integrity"} <= {check.name for check in load_watch(configuration, {}).checks}


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "driftwatch.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="is there already") as caught:
        write_starter(tmp_path)
    assert "--force" in caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["driftwatch.yaml"]
    assert (tmp_path / "driftwatch.yaml").read_text() == "mine"


def test_force_writes_over(tmp_path: Path) -> None:
    (tmp_path / "driftwatch.yaml").write_text("mine")
    write_starter(tmp_path, force=True)
    assert load_watch(tmp_path / "driftwatch.yaml", {}).service == "my-assistant"


def test_a_directory_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="it cannot be written: Not a directory"):
        write_starter(tmp_path / "file" / "deeper")


# --- the shipped checks --------------------------------------------------------------------------------------------


def test_the_shipped_checks_cover_the_questions_of_the_design(tmp_path: Path) -> None:
    watch = load_watch(write_starter(tmp_path)[0], {})
    assert {check.name for check in watch.checks} == {
        "canary recall",
        "canary first rank",
        "top-score drift",
        "predicted quality",
        "empty results",
        "abstentions",
        "negative feedback",
        "language mix",
        "traffic",
    }


@pytest.mark.parametrize("path", sorted(shipped("checks").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_file_begins_with_its_question(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert "?" in first


def test_the_canaries_are_json_lines(tmp_path: Path) -> None:
    write_starter(tmp_path)
    lines = (tmp_path / "canaries" / "examples.jsonl").read_text().splitlines()
    assert [json.loads(line)["query_id"] for line in lines] == ["en-password", "en-refund", "en-nonsense"]
