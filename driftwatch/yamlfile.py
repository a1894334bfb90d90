"""YAML without its surprises, and with line numbers.

Scalars are those of YAML 1.2's core schema: ``no`` is Norwegian, ``10:30`` is text, ``1e-3`` is a number, keys are
text. Equal keys, tags and bombs are errors. ``${VAR}``, ``${VAR:-default}`` and ``$$`` are filled in after parsing, so
that nothing in the environment can change the structure of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftwatch.errors import ConfigError, ConfigErrors
from driftwatch.yamltree import MOST_LEVELS, MOST_VALUES, Node, grow, scalar

Where = tuple[str | int, ...]
"""Keys and list positions from the top of a document to one value."""

MOST_BYTES = 1_000_000

_VARIABLE = re.compile(r"\$\$|\$\{([^{}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, repr=False)
class Document:
    """One YAML file. Its repr shows no values: some may be secrets."""

    file: str
    data: Any
    """dicts, lists and scalars only."""
    lines: Mapping[Where, int]
    """Of a setting, the line of its name."""
    texts: Mapping[Where, str]
    """The plain scalars as they were written, with their variables filled in."""
    variables: Mapping[Where, str]
    """The scalars that hold a variable, as written: ``${SLACK_BOT_TOKEN}``."""

    def line(self, where: Where) -> int:
        """The line of a value, or of the nearest thing around it that has one."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def error(self, where: Where, problem: str, remedy: str = "") -> ConfigError:
        """What is wrong at ``where``."""
        return ConfigError(problem, file=self.file, line=self.line(where), remedy=remedy)

    def __repr__(self) -> str:
        return f"Document({self.file!r})"


def load(path: Path, env: Mapping[str, str] | None = None) -> Document:
    """Read a YAML file, with variables from ``env`` (default: the environment).

    Raises:
        ConfigError: with the line and the remedy.
    """
    return parse(_read(path), str(path), os.environ if env is None else env)


def parse(text: str, file: str, env: Mapping[str, str]) -> Document:
    """Read YAML that is text already; ``file`` is what errors call it."""
    top = grow(text, file)
    flat = _Flat(file, env)
    data = None if top is None else flat.value(top, ())
    if flat.errors:
        raise ConfigErrors(flat.errors)
    return Document(file, data, flat.lines, flat.texts, flat.variables)


def show(where: Where) -> str:
    """A place in a document as a person would write it.

    >>> show(("notify", 0, "token"))
    'notify[0].token'
    """
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return shown.removeprefix(".")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name holds a NUL byte"
        raise ConfigError(f"it cannot be read: {why}.", file=path, remedy="Check the path and its owner.") from None
    if len(raw) > MOST_BYTES:
        megabytes = MOST_BYTES // 1_000_000
        raise ConfigError(f"it is larger than {megabytes} MB.", file=path, remedy="Check that it is a configuration.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"it is not UTF-8 text: byte 0x{raw[error.start]:02x}."
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(problem, file=path, line=line, remedy="Save it as UTF-8.") from None


@dataclass
class _Flat:
    """Turns nodes into plain values and remembers where each one stands."""

    file: str
    env: Mapping[str, str]
    lines: dict[Where, int] = field(default_factory=dict)
    texts: dict[Where, str] = field(default_factory=dict)
    variables: dict[Where, str] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)

    def value(self, node: Node, where: Where) -> Any:
        self.lines.setdefault(where, node.line)
        if len(self.lines) > MOST_VALUES or len(where) > MOST_LEVELS:
            problem = f"this unfolds to more than {MOST_VALUES} values or {MOST_LEVELS} levels."
            raise ConfigError(problem, file=self.file, line=node.line, remedy="Use fewer aliases ('*name').")
        if node.kind == "list":
            return [self.value(item, (*where, index)) for index, item in enumerate(node.items)]
        return self.mapping(node, where) if node.kind == "mapping" else self.scalar(node, where)

    def scalar(self, node: Node, where: Where) -> Any:
        text = _VARIABLE.sub(lambda found: self.variable(found, node.line, where), node.text)
        if "${" in node.text:
            self.variables[where] = node.text
        if not node.plain:
            return text
        self.texts[where] = text
        return scalar(text)

    def mapping(self, node: Node, where: Where) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, value in node.pairs:
            if _is_merge(key):
                continue
            name = self.key(key)
            if name in first:
                problem = f"'{name}' is set twice; the first is on line {first[name]}."
                self.report(key.line, problem, "Keep one of them.")
                continue
            first[name] = self.lines[*where, name] = key.line
            found[name] = self.value(value, (*where, name))
        for block in self.merged(node):
            for key, value in block.pairs:
                if (name := self.key(key)) not in found:
                    self.lines[*where, name] = key.line
                    found[name] = self.value(value, (*where, name))
        return found

    def merged(self, node: Node) -> Iterator[Node]:
        """The blocks that ``<<: *name`` or ``<<: [*one, *two]`` brings in; what is set beside it, or earlier, wins."""
        for key, value in node.pairs:
            for block in (value.items if value.kind == "list" else [value]) if _is_merge(key) else []:
                if block.kind == "mapping" and not any(_is_merge(inner) for inner, _ in block.pairs):
                    yield block
                else:
                    problem = "'<<' takes the alias of a block of settings that has no '<<' itself."
                    self.report(key.line, problem, "Write '<<: *name'.")

    def key(self, key: Node) -> str:
        if key.kind == "scalar" and key.text:
            return key.text
        problem = "a list, a block or nothing stands where the name of a setting should."
        remedy = "Put a name that begins with '[' or '{' in quotes."
        raise ConfigError(problem, file=self.file, line=key.line, remedy=remedy)

    def variable(self, found: re.Match[str], line: int, where: Where) -> str:
        """The text that ``$$``, ``${NAME}`` or ``${NAME:-default}`` stands for."""
        if found[0] == "$$":
            return "$"
        name, has_default, default = found[1].partition(":-")
        if not found[2] or not _NAME.fullmatch(name):
            problem = f"'{show(where)}' holds '{found[0]}', which is no variable."
            self.report(line, problem, "Write ${NAME} or ${NAME:-default}; $$ is a plain $.")
        elif value := self.env.get(name):
            return value
        elif not has_default:
            state = "is empty" if name in self.env else "is not set"
            problem = f"'{show(where)}' needs the environment variable {name}, which {state}."
            self.report(line, problem, f"Set it, or write ${{{name}:-default}}.")
        return default

    def report(self, line: int, problem: str, remedy: str) -> None:
        self.errors.append(ConfigError(problem, file=self.file, line=line, remedy=remedy))


def _is_merge(key: Node) -> bool:
    return key.plain and key.text == "<<"
