"""From files to a ``Watch``; everything that is wrong with them is reported at once."""

from __future__ import annotations

import copy
import glob
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from driftwatch import yamlfile
from driftwatch.config.crosschecks import problems
from driftwatch.config.release import following
from driftwatch.config.sentences import Complaint, at, complaints, place, shown
from driftwatch.config.watch import NOT_SETTINGS, Origin, Watch
from driftwatch.documents import Documents
from driftwatch.embed import EmbedderSettings
from driftwatch.errors import ConfigError, ConfigErrors
from driftwatch.plugins import Settings, below, find_kind, kind_names
from driftwatch.retrievers import Retriever
from driftwatch.sources._abstention import Pack, pack_of, read_pack
from driftwatch.yamlfile import Document, Where, show

M = TypeVar("M", bound=BaseModel)

_THIS = {"checks": "this check", "retrievers": "this retriever"}
"""How an entry of a list, or the whole of a file, is called."""
_CREDENTIALS = re.compile(r"(://)[^/\s@'\"]*@")
_SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


def load_watch(path: Path, env: Mapping[str, str] | None = None, *, document: Document | None = None) -> Watch:
    """Read the configuration; what comes back can work. A model and an index that were promoted are in it already.

    ``document`` is what to take for the content of the file, where it was read and changed already.

    Raises:
        ConfigErrors: everything that is wrong, by file and line; also what only shows when the parts are compared.
    """
    watch = following(_Loader(Path(path), env, document).watch())
    wrong = [problem for problem in problems(watch) if problem.severity == "error"]
    if wrong:
        raise ConfigErrors(ConfigError(one.message, file=one.file, line=one.line) for one in wrong)
    return watch


def read_watch(path: Path, env: Mapping[str, str] | None = None) -> Watch:
    """Read the configuration, each part for itself."""
    return _Loader(Path(path), env).watch()


def load_retriever(path: Path, env: Mapping[str, str] | None = None) -> tuple[Retriever, EmbedderSettings | None]:
    """Read a file that holds one retriever, `kind: …` and its settings, and perhaps an `embedder:` of its own.

    Raises:
        ConfigErrors: everything that is wrong, by file and line.
    """
    return _Loader(Path(path), env).one_retriever()


class _Loader:
    """Collects what is wrong while it builds one ``Watch``."""

    def __init__(self, path: Path, env: Mapping[str, str] | None, document: Document | None = None) -> None:
        self.path = path
        self.env = env
        self.document = document
        self.errors: list[ConfigError] = []
        self.origins: dict[str, Origin] = {}

    def watch(self) -> Watch:
        try:
            document = self.document or yamlfile.load(self.path, self.env)
        except ConfigErrors:
            raise
        except ConfigError as error:
            raise ConfigErrors([self._first_aid(error)]) from None
        self.origins[""] = Origin(document, ())
        given = self._settings(document)
        parts = {
            "retriever": self._retriever(document, "retriever", given.pop("retriever", None)),
            "index": self._retriever(document, "index", given.pop("index", None)),
            "documents": self._section(Documents, document, "documents", given.pop("documents", None)),
            "sources": self._sources(document, given.pop("sources", {})),
            "embedder": self._section(EmbedderSettings, document, "embedder", given.pop("embedder", None)),
            "checks": self._checks(document, given.pop("checks", [])),
            "notify": self._notify(document, given.pop("notify", [])),
            "abstention": self._abstention(document, given.pop("abstention", {})),
        }
        watch = self._validated(Watch, given, document, (), "", **parts, path=self.path, origins=self.origins)
        if self.errors or watch is None:
            raise ConfigErrors(self.errors)
        return watch

    def one_retriever(self) -> tuple[Retriever, EmbedderSettings | None]:
        """The retriever that a file holds at its top, or below `retriever:`, and its own embedder."""
        document = yamlfile.load(self.path, self.env)
        if not isinstance(given := document.data, dict):
            raise ConfigErrors([document.error((), "it holds no retriever.", "Write 'kind: …' and its settings.")])
        embedder = self._section(EmbedderSettings, document, "embedder", given.get("embedder"))
        where: Where = ("retriever",) if "retriever" in given else ()
        own = given["retriever"] if where else {name: each for name, each in given.items() if name != "embedder"}
        for name in sorted(set(given) - {"retriever", "embedder"}) if where else ():
            self._report(document, (name,), f"a file with one retriever has no setting '{name}'.", "Remove it.")
        retriever = self._kind("retrievers", document, where, own)
        if self.errors:
            raise ConfigErrors(self.errors)
        return retriever, embedder

    def _first_aid(self, error: ConfigError) -> ConfigError:
        if self.path.exists():
            return error
        return ConfigError("there is no such file.", file=self.path, remedy="`driftwatch init` writes one.")

    def _settings(self, document: Document) -> dict[str, Any]:
        if not isinstance(document.data, dict):
            what = "it is empty." if document.data is None else "it does not hold settings like 'service: my-service'."
            raise ConfigErrors([document.error((), what, "`driftwatch init` writes one to begin with.")])
        given = dict(document.data)
        for name in NOT_SETTINGS:
            if given.pop(name, None) is not None:
                self._report(document, (name,), f"this file has no setting '{name}'.", "Remove it.")
        # A section whose settings are all commented out is left out, not wrong.
        return {name: value for name, value in given.items() if value is not None or name not in Watch.model_fields}

    def _retriever(self, document: Document, name: str, given: Any) -> Any:
        if given is None:
            return None
        self.origins[name] = Origin(document, (name,))
        return self._kind("retrievers", document, (name,), given)

    def _sources(self, document: Document, given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            problem = f"'sources' must be a block of named sources, not {shown(given)}."
            self._report(document, ("sources",), problem, "Write 'live:' below it, and 'kind: …' below that.")
            return {}
        built = {name: self._source(document, name, settings) for name, settings in given.items()}
        return {name: source for name, source in built.items() if source is not None}

    def _source(self, document: Document, name: str, given: Any) -> Any:
        where = ("sources", name)
        self.origins[f"sources.{name}"] = Origin(document, where)
        if not _SOURCE_NAME.fullmatch(name):
            remedy = "Use letters, digits, '-', '_' and '.', at most 60 of them."
            self._report(document, where, f"'{name}' is not the name of a source.", remedy)
        if isinstance(given, dict) and "name" in given:
            self._report(document, (*where, "name"), f"the source is called '{name}' already.", "Remove 'name'.")
            return None
        return self._kind("sources", document, where, given, name=name)

    def _section(self, settings: type[Settings], document: Document, name: str, given: Any) -> Any:
        if given is None:
            return None
        self.origins[name] = Origin(document, (name,))
        return self._validated(settings, given, document, (name,), f"the {name}")

    def _abstention(self, document: Document, given: Any) -> Pack:
        """Patterns by language, or the file that holds them."""
        where: Where = ("abstention",)
        if not isinstance(given, str):
            return pack_of(given, lambda inside, *said: self._report(document, (*where, *inside), *said))
        path = below(self.path.parent, given)
        if not path.is_file():
            self._report(document, where, f"there is no file '{given}'.", "Write its path relative to this file.")
            return {}
        try:
            return read_pack(path)
        except ConfigError as error:
            self.errors += error.errors if isinstance(error, ConfigErrors) else [error]
            return {}

    def _notify(self, document: Document, given: Any) -> list[Any]:
        if not isinstance(given, list):
            problem = f"'notify' must be a list of receivers, not {shown(given)}."
            self._report(document, ("notify",), problem, "Begin each receiver with '- kind: …'.")
            return []
        taken = {one["name"] for one in given if isinstance(one, dict) and isinstance(one.get("name"), str)}
        count: Counter[str] = Counter()
        built = []
        for index, settings in enumerate(given):
            self.origins[f"notify.{index}"] = Origin(document, ("notify", index))
            more = {}
            if isinstance(settings, dict) and settings.get("name") is None:
                more["name"] = _free_name(str(settings.get("kind")), count, taken)
            built.append(self._kind("notify", document, ("notify", index), settings, **more))
        return [one for one in built if one is not None]

    def _checks(self, document: Document, given: Any) -> list[Any]:
        found: list[Any] = []
        seen: set[str] = set()
        entries = given if isinstance(given, list) else [given]
        for index, entry in enumerate(entries):
            where: Where = ("checks", index) if isinstance(given, list) else ("checks",)
            if isinstance(entry, str):
                for file in self._files(document, where, entry, seen):
                    found += self._checks_of(file)
            else:
                found += self._check(document, where, entry)
        for index, (_, origin) in enumerate(found):
            self.origins[f"checks.{index}"] = origin
        return [check for check, _ in found]

    def _files(self, document: Document, where: Where, pattern: str, seen: set[str]) -> list[Path]:
        """The files that ``pattern`` matches and that no earlier pattern matched."""
        matched = sorted(glob.glob(pattern, root_dir=self._base, recursive=True))  # noqa: PTH207 - may be absolute
        files = [file for file in matched if (self._base / file).is_file()]
        if not files:
            problem = f"'{pattern}' matches no file."
            self._report(document, where, problem, "Write it relative to this file; `driftwatch init` writes checks.")
        new = [file for file in files if file not in seen]
        seen.update(new)
        return [self.path.parent / file for file in new]

    def _checks_of(self, path: Path) -> list[tuple[Any, Origin]]:
        try:
            document = yamlfile.load(path, self.env)
        except ConfigError as error:
            self.errors += error.errors if isinstance(error, ConfigErrors) else [error]
            return []
        if not isinstance(document.data, list | None):
            problem = f"a file of checks holds a list, not {shown(document.data)}."
            self._report(document, (), problem, "Begin each check with '- '.")
            return []
        return [
            pair for index, entry in enumerate(document.data or []) for pair in self._check(document, (index,), entry)
        ]

    def _check(self, document: Document, where: Where, given: Any) -> list[tuple[Any, Origin]]:
        check = self._kind("checks", document, where, given)
        return [] if check is None else [(check, Origin(document, where))]

    def _kind(self, room: str, document: Document, where: Where, given: Any, **more: Any) -> Any:
        """The object that ``given`` describes; None when it is wrong, which is then reported."""
        what = f"'{show(where)}'" if where and isinstance(where[0], str) else _THIS.get(room, "this file")
        if not isinstance(given, dict):
            problem = f"{what} must be a block of settings, not {shown(given)}."
            return self._report(document, where, problem, "Write 'kind: …' and its settings.")
        if not isinstance(kind := given.get("kind"), str):
            problem = f"{what} has no 'kind'." if kind is None else f"{what}: 'kind' must be text, not {shown(kind)}."
            return self._report(document, where, problem, f"There are: {', '.join(kind_names(room))}.")
        try:
            cls = find_kind(room, kind)
        except ConfigError as error:
            return self._report(document, (*where, "kind"), error.problem, error.remedy)
        for field, inner in cls.nested.items():
            if given.get(field) is not None:
                self.origins[f"{show(where)}.{field}"] = Origin(document, (*where, field))
                more[field] = self._kind(inner, document, (*where, field), given[field])
                if more[field] is None:
                    return None
        name = given.get("name") or more.get("name")
        label = f"{cls.__name__} '{name}'" if isinstance(name, str) and room != "notify" else cls.__name__
        return self._validated(cls, given, document, where, label, **more)

    def _validated(
        self, cls: type[M], given: Any, document: Document, where: Where, label: str, **more: Any
    ) -> M | None:
        """``given`` as a ``cls``; a number where text is needed is the text as it was written."""
        base = Path(document.file).absolute().parent
        for texts_tried in (False, True):
            settings = {**given, **more} if isinstance(given, dict) else given
            try:
                return cls.model_validate(settings, context={"base": base})
            except ValidationError as error:
                rewritten = None if texts_tried else _with_texts(error, given, document, where)
                if rewritten is None:
                    self._complain(complaints(cls, label, error, settings), document, where)
                    return None
                given = rewritten
        return None

    def _complain(self, found: list[Complaint], document: Document, where: Where) -> None:
        for one in found:
            full = (*where, *one.where)
            self._report(document, full, one.problem, one.remedy)

    def _report(self, document: Document, where: Where, problem: str, remedy: str = "") -> None:
        """Note an error, without passwords in addresses and without what came from the environment."""
        texts = [_CREDENTIALS.sub(r"\1***@", _without_variables(text, document, where)) for text in (problem, remedy)]
        self.errors.append(document.error(where, *texts))

    @property
    def _base(self) -> Path:
        return self.path.absolute().parent


def _with_texts(error: ValidationError, given: Any, document: Document, where: Where) -> Any:
    """``given`` with plain numbers as they were written wherever text is needed; None when there are none."""
    rewritten = copy.deepcopy(given)
    changed = False
    for one in error.errors(include_url=False, include_input=False):
        inside, _ = place(one["loc"], given)
        value = at(given, inside)
        text = document.texts.get((*where, *inside))
        if one["type"] != "string_type" or not inside or text is None or type(value) not in (int, float):
            continue
        at(rewritten, inside[:-1])[inside[-1]] = text
        changed = True
    return rewritten if changed else None


def _without_variables(message: str, document: Document, where: Where) -> str:
    """``message`` with ``${VAR}`` as it was written in place of what it stands for."""
    for variable, written in document.variables.items():
        value = str(at(document.data, variable))
        if value and (variable[: len(where)] == where or len(value) > 5):
            for form in (repr(value), shown(value), value):
                message = message.replace(form, written if form == value else f"'{written}'")
    return message


def _free_name(kind: str, count: Counter[str], taken: set[str]) -> str:
    """``slack``, then ``slack-2``, past the names that are given by hand."""
    while True:
        count[kind] += 1
        name = kind if count[kind] == 1 else f"{kind}-{count[kind]}"
        if name not in taken:
            return name
