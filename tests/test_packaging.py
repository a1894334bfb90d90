"""What is installed is what is in the repository."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
PINS = dict(
    line.split("==")
    for line in (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted() -> set[str]:
    """The packages that pyproject.toml names, in the core and in every extra."""
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    names = {plain(re.split(r"[\[<>=!~; ]", line)[0]) for line in (*PROJECT["dependencies"], *extras)}
    return names - {PROJECT["name"]}


def test_every_package_that_is_named_is_pinned_for_ci():
    assert wanted() - {plain(name) for name in PINS} == set()


def test_torch_is_pinned_without_a_build_so_that_each_machine_gets_its_own():
    assert re.fullmatch(r"[\d.]+", PINS["torch"])


def test_the_core_brings_no_model_library():
    assert not {"torch", "transformers", "sentence-transformers", "faiss-cpu", "pandas", "evidently"} & {
        plain(re.split(r"[\[<>=]", line)[0]) for line in PROJECT["dependencies"]
    }


def test_make_help_names_every_target():
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    shown = subprocess.run(["make", "-C", REPOSITORY, "help"], capture_output=True, text=True, check=True).stdout
    assert phony == set(re.findall(r"^  make ([a-z-]+)", shown, re.MULTILINE))


def test_ci_runs_exactly_the_tests_that_a_person_runs():
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text("utf-8")


def test_the_ci_script_is_valid_bash():
    subprocess.run(["bash", "-n", REPOSITORY / ".ci" / "run"], check=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_wheel_carries_the_shipped_checks_and_the_example(tmp_path):
    import sys
    import zipfile

    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", tmp_path, REPOSITORY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    here = [
        ("checks", "driftwatch/_shipped/checks"),
        ("examples/help-centre", "driftwatch/_shipped/help-centre"),
        ("driftwatch/migrations/versions", "driftwatch/migrations/versions"),
        ("driftwatch/packs", "driftwatch/packs"),
        ("driftwatch/templates", "driftwatch/templates"),
    ]
    for source, target in here:
        files = [path for path in (REPOSITORY / source).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert files, source
        assert [path.name for path in files if f"{target}/{path.relative_to(REPOSITORY / source)}" not in names] == []
