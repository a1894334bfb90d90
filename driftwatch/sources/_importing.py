"""One evaluation set, in whichever form it is, as a suite of canaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from driftwatch.errors import SourceError
from driftwatch.sources import _beir, _csv, _ragas, _trec
from driftwatch.sources._canary_lines import Place, Problems
from driftwatch.sources._suites import Entry, Suite, suite
from driftwatch.types import UNDETERMINED

Form = Literal["beir", "trec", "ragas", "csv"]
FORMS: tuple[Form, ...] = get_args(Form)
_TABLES = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Where an evaluation set lies, and how to read it."""

    path: Path
    """A BEIR directory, a `queries.jsonl`, TREC topics, or a file of Ragas samples or of a table."""
    form: Form
    qrels: Path | None = None
    split: str = "test"
    lang: str = UNDETERMINED
    """Of the questions that do not say theirs."""
    columns: _csv.Columns = field(default_factory=_csv.Columns)
    match: _ragas.Match | None = None
    """Finds documents by their text; None: no documents are configured."""

    def load(self, base: Path) -> Suite:
        """Everything in it; files are named relative to ``base``.

        Raises:
            SourceError: everything that is wrong, up to twenty problems, each with file and line; or no canary at all.
        """
        problems = Problems(base)
        entries, notes = self._read(problems)
        return suite(entries, problems, notes)

    def _read(self, problems: Problems) -> tuple[list[Entry], list[str]]:
        if self.form == "csv":
            return _csv.read(self.path, self.columns, self.lang, problems)
        if self.form == "ragas":
            return _ragas.read(self.path, self.lang, self.match, problems)
        if self.form == "beir" and self.path.is_dir() and self.qrels is None:
            return _beir.directory(self.path, self.split, self.lang, problems)
        if self.qrels is None:
            remedy = "Name the judgements with --qrels."
            problems.add(Place(problems.name(self.path), 0), "there are only questions in this file.", remedy)
            return [], []
        if self.form == "beir":
            queries = self.path / "queries.jsonl" if self.path.is_dir() else self.path
            return _beir.files(queries, self.qrels, self.split, self.lang, problems)
        return _trec.files(self.path, self.qrels, self.split, self.lang, problems)


def form_of(path: Path, qrels: Path | None) -> Form:
    """What ``path`` most likely is: a directory is BEIR's, a table with Ragas' columns is Ragas', and so on.

    Raises:
        SourceError: there is no such file.
    """
    if path.is_dir():
        return "beir"
    start = _start(path)
    if path.name.removesuffix(".gz").endswith(_TABLES) and qrels is None:
        return "ragas" if _ragas.QUESTION in start.partition("\n")[0] else "csv"
    if qrels is None and _ragas.QUESTION in start:
        return "ragas"
    return "beir" if start.lstrip().startswith("{") else "trec"


def _start(path: Path) -> str:
    """The first characters of a file, packed or not."""
    import gzip
    import zlib

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(1 << 16).decode("utf-8-sig", "replace")
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise SourceError(f"{path}: the file cannot be read: {why}.", remedy="Check its path.") from None
