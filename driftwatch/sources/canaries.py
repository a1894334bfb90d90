"""Canaries: questions with known answers."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from driftwatch.language import primary_subtag
from driftwatch.schedule import Schedule
from driftwatch.sources import Source, _beir, _native, _trec
from driftwatch.sources._canary_lines import Place, Problems
from driftwatch.sources._perturb import perturbed
from driftwatch.sources._suites import Entry, Suite, suite
from driftwatch.types import PERTURBED, UNDETERMINED, Query


class Canaries(Source):
    """Questions with known answers, asked at every run.

    They come from driftwatch's own JSON lines (`path: canaries/*.jsonl`), from a BEIR directory (`path: scifact`), from
    its two files (`queries:` and `qrels:`), or from TREC (`topics:` and `qrels:`).
    """

    gives: ClassVar[str] = "runs"
    kind: Literal["canaries"] = "canaries"

    path: str | tuple[str, ...] | None = None
    """Files of driftwatch's own form, by name or pattern (`canaries/*.jsonl`), or BEIR directories; one or a list."""
    queries: Path | None = None
    """A `queries.jsonl` in BEIR's form; needs `qrels`."""
    topics: Path | None = None
    """TREC topics; needs `qrels`."""
    qrels: Path | None = None
    """Judgements in BEIR's or TREC's form: a file, or a directory with one for each split."""
    split: str = Field(default="test", pattern=r"^[\w.-]+$")
    """Which judgements of a directory to take."""
    lang: Annotated[str, AfterValidator(primary_subtag)] = UNDETERMINED
    """The language of the questions that do not say theirs."""
    every: Schedule = Schedule.parse("1h")
    """How often to ask them all."""
    repeat: Literal[1, 2] = 1
    """`2` asks each question twice a run, which measures the noise floor of the service."""
    perturb: bool = False
    """Ask each question once more a run, with a slip of the pen: how far the answers agree says how firm they are."""

    @model_validator(mode="after")
    def name_one_form(self) -> Canaries:
        """The files are named in exactly one of the ways."""
        forms = [name for name in ("path", "queries", "topics") if getattr(self, name)]
        if len(forms) != 1:
            found = f"has {' and '.join(forms)}" if forms else "names no files"
            raise ValueError(f"canaries {found}. Give 'path', or 'queries' with 'qrels', or 'topics' with 'qrels'.")
        if (self.qrels is None) != (forms == ["path"]):
            needs = "'qrels' stands without 'queries' or 'topics'" if self.qrels else f"'{forms[0]}' needs 'qrels'"
            raise ValueError(f"{needs}. Judgements and questions are named together.")
        return self

    def load(self, base: Path) -> Suite:
        """Read the suite as it stands now; paths are relative to ``base``.

        Raises:
            SourceError: everything that is wrong with the files, up to twenty problems, each with file and line.
        """
        problems = Problems(base)
        entries: list[Entry] = []
        notes: list[str] = []
        for found, said in self._read(base, problems):
            entries += found
            notes += said
        return suite(entries, problems, notes)

    def askings(self, queries: tuple[Query, ...]) -> list[tuple[int, tuple[Query, ...]]]:
        """(attempt, what is asked then, in the order of ``queries``), each attempt of one run once."""
        asked = [(attempt, queries) for attempt in range(self.repeat)]
        if self.perturb:
            asked.append((PERTURBED, tuple(replace(query, text=perturbed(query.text)) for query in queries)))
        return asked

    def _read(self, base: Path, problems: Problems) -> list[tuple[list[Entry], list[str]]]:
        if self.queries and self.qrels:
            return [_beir.files(base / self.queries, base / self.qrels, self.split, self.lang, problems)]
        if self.topics and self.qrels:
            return [_trec.files(base / self.topics, base / self.qrels, self.split, self.lang, problems)]
        return [
            _beir.directory(path, self.split, self.lang, problems)
            if path.is_dir()
            else (list(_native.read(path, self.lang, problems)), [])
            for path in self._paths(base, problems)
        ]

    def _paths(self, base: Path, problems: Problems) -> list[Path]:
        """What the patterns match, each once, in the order of their names."""
        patterns = (self.path,) if isinstance(self.path, str) else self.path or ()
        matched: dict[Path, None] = {}
        for pattern in patterns:
            whole = Path(glob.escape(str(base))) / Path(pattern).expanduser()
            found = sorted(glob.glob(str(whole), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            if not found:
                problems.add(Place(pattern, 0), "there is no such file.", "Check 'path' of the canaries.")
            matched |= dict.fromkeys(map(Path, found))
        return list(matched)
