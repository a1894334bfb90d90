"""From the text of a YAML file to a tree of nodes, each with its line; what is no YAML is explained."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from driftwatch.errors import ConfigError

MOST_LEVELS = 50
MOST_VALUES = 50_000

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")

_COMPLAINTS = (
    ("found character '\\t'", "a tab stands in the indentation.", "Indent with spaces."),
    ("mapping values are not allowed", "a ':' stands where none can be.", "Check the indentation, or quote the text."),
    ("expected <block end>", "the indentation does not fit the lines above.", "Line it up with its neighbours."),
    ("could not find expected ':'", "a setting has no ':' after its name.", "Write 'name: value'."),
    ("unexpected end of stream", "a quote is opened and never closed.", "Close it."),
    ("expected ',' or", "a bracket is not closed or a comma is missing.", 'Close it; quote "${VAR}" inside brackets.'),
    ("unknown escape character", "an escape in double quotes is unknown.", "Use single quotes for a text with '\\'."),
    ("cannot start any token", "a text begins with a character that YAML keeps for itself.", "Put it in quotes."),
    ("expected alphabetic or numeric", "a '*' or '&' stands before no name.", "Put the text in quotes."),
    ("collections are not allowed", "a block begins on the line of other text.", "Begin it on a new line."),
    ("sequence entries are not allowed", "a '-' stands where no list can begin.", "Begin the list on a new line."),
)
"""Part of the parser's complaint -> what is wrong, and the remedy."""


@dataclass(eq=False)
class Node:
    """A scalar (``text``), a list (``items``) or a mapping (``pairs``)."""

    line: int
    kind: Literal["scalar", "list", "mapping"]
    text: str = ""
    plain: bool = False
    """Not in quotes and no block: a scalar that may be a number."""
    items: list[Node] = field(default_factory=list)
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    open: bool = False
    """Its end has not been seen yet."""


def grow(text: str, file: str) -> Node | None:
    """The tree of a document; None when it is empty.

    Raises:
        ConfigError: no YAML, or YAML with tags, several documents or too many levels.
    """
    if found := _CONTROL.search(text):
        problem = f"the character {found[0]!a} is not allowed in YAML."
        raise ConfigError(problem, file=file, line=text.count("\n", 0, found.start()) + 1, remedy="Remove it.")
    try:
        return _Tree(file).grow(text)
    except yaml.MarkedYAMLError as error:
        raise _explained(error, file) from None


def scalar(text: str) -> Any:
    """A plain scalar's value in YAML 1.2's core schema.

    >>> [scalar(text) for text in ("no", "10:30", "1e-3", "0o17", "true", "~", "2026-05-04")]
    ['no', '10:30', 0.001, 15, True, None, '2026-05-04']
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1) if text[-1] in "fFnN" else text)
    return text


def _explained(error: yaml.MarkedYAMLError, file: str) -> ConfigError:
    """The parser's complaint in words, at the line where the cause is."""
    said = error.problem or "it cannot be read"
    known = [(problem, remedy) for sign, problem, remedy in _COMPLAINTS if sign in said]
    problem, remedy = known[0] if known else (f"this is not YAML: {said}.", "Check this line and the one above.")
    mark = error.context_mark if "closed" in problem else error.problem_mark
    return ConfigError(problem, file=file, line=mark.line + 1 if mark else None, remedy=remedy)


class _Tree:
    """Builds nodes from the parser's events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.stack: list[Node] = []
        self.top: Node | None = None
        self.line = 1
        self.nodes = 0

    def grow(self, text: str) -> Node | None:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            self.line = event.start_mark.line + 1 if event.start_mark else 1
            self.take(event)
        return self.top

    def take(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent() if self.top is not None:
                raise self.error("a second document begins here.", "Keep one document a file; remove the '---'.")
            case yaml.AliasEvent():
                self.add(self.alias(event.anchor))
            case yaml.ScalarEvent():
                self.add(self.node(event, "scalar", text=event.value, plain=event.style is None))
            case yaml.SequenceStartEvent():
                self.push(self.node(event, "list", open=True))
            case yaml.MappingStartEvent():
                self.push(self.node(event, "mapping", open=True))
            case yaml.CollectionEndEvent():
                self.pop()

    def node(self, event: Any, kind: Literal["scalar", "list", "mapping"], **more: Any) -> Node:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self.error(f"the tag '{tag}' is not supported.", "Remove it; quote what should be text.")
        self.nodes += 1
        if self.nodes > MOST_VALUES:
            raise self.error(f"this holds more than {MOST_VALUES} values.", "Check that it is a configuration.")
        node = Node(self.line, kind, **more)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, name: str | None) -> Node:
        node = self.anchors.get(name or "")
        if node is None:
            raise self.error(f"'*{name}' is defined nowhere above.", f"Define '&{name}', or put the text in quotes.")
        if node.open:
            raise self.error(f"'*{name}' would hold itself.", "Remove the alias.")
        return node

    def push(self, node: Node) -> None:
        if len(self.stack) >= MOST_LEVELS:
            raise self.error(f"this is nested more than {MOST_LEVELS} levels deep.", "Flatten it.")
        self.stack.append(node)

    def pop(self) -> None:
        node = self.stack.pop()
        node.open = False
        if node.kind == "mapping":
            node.pairs = list(zip(node.items[::2], node.items[1::2], strict=True))
        self.add(node)

    def add(self, node: Node) -> None:
        if self.stack:
            self.stack[-1].items.append(node)
        else:
            self.top = node

    def error(self, problem: str, remedy: str) -> ConfigError:
        return ConfigError(problem, file=self.file, line=self.line, remedy=remedy)
