"""The house keeps its shape: import layers, file and function sizes, and what is loaded when."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "driftwatch"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "versions" not in path.parts)
HEAVY = ("torch", "faiss", "transformers", "sentence_transformers", "evidently", "pandas", "matplotlib", "slack_sdk",
         "fastapi")  # fmt: skip


def functions() -> list[tuple[str, int]]:
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                found.append((f"{path.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1))
    return found


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_rooms_import_only_what_lies_below_them():
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed: pip install 'driftwatch-rag[dev]'")
    done = subprocess.run([lint, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines(path: Path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_functions_are_short():
    lengths = sorted(length for _, length in functions())
    assert statistics.median(lengths) <= 9
    assert lengths[int(0.9 * len(lengths))] <= 35, [each for each in functions() if each[1] > 35]


@pytest.mark.parametrize(
    "judge", ["types", "stats", "checks", "budget", "alerts", "incidents"], ids=lambda judge: f"driftwatch.{judge}"
)
def test_what_judges_loads_no_database_network_model_or_yaml(judge: str):
    loaded = loaded_by(f"import driftwatch.{judge}")
    assert not loaded & {*HEAVY, "sqlalchemy", "httpx", "requests", "yaml", "uvicorn"}


def test_the_command_line_loads_nothing_heavy():
    loaded = loaded_by("import driftwatch.cli")
    assert not loaded & {*HEAVY, "numpy", "scipy", "sqlalchemy", "httpx", "apscheduler", "pydantic"}


def test_the_daemon_module_loads_no_model():
    loaded = loaded_by("import driftwatch.daemon, driftwatch.api")
    assert not loaded & {"torch", "faiss", "transformers", "sentence_transformers", "evidently", "pandas", "slack_sdk"}


@pytest.mark.parametrize("room", ["checks", "sources", "retrievers", "notify"])
def test_kinds_of_a_room_do_not_know_each_other(room: str):
    kinds = {path.stem for path in (PACKAGE / room).glob("*.py") if not path.stem.startswith("_")}
    for path in (PACKAGE / room).glob("*.py"):
        imported = {
            alias
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in [node.module]
        }
        assert not {f"driftwatch.{room}.{kind}" for kind in kinds if kind != path.stem} & imported, path


def test_every_kind_has_its_page():
    from driftwatch.plugins import ROOMS, kind_names

    for room in ROOMS:
        for kind in kind_names(room):
            assert (ROOT / "docs" / room / f"{kind}.md").exists(), f"docs/{room}/{kind}.md is missing"


def test_nothing_is_left_unfinished():
    marks = ("TODO", "FIXME", "XXX", "NotImplementedError")
    for path in [*FILES, *(ROOT / "examples").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        text = path.read_text("utf-8")
        assert not [mark for mark in marks if mark in text], path
