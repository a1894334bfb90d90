"""A function of the user's own, which also covers LangChain, LlamaIndex and Haystack."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationInfo, field_validator

from driftwatch.errors import RetrieverError
from driftwatch.plugins import below
from driftwatch.retrievers import Retriever
from driftwatch.retrievers._reached import TRIAL, describe
from driftwatch.retrievers._shapes import Unrecognised, read_reply
from driftwatch.types import Embedder, Query, Reply

_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Python(Retriever):
    """Calls a Python function in driftwatch's own process: `function(text, top_k)` for each query.

    It may return ids, `(id, score)` pairs, mappings, or the documents of LangChain, LlamaIndex and Haystack, best
    first; an `async` function works as well. What it raises is the reply's reason. It cannot be timed out: a function
    that never returns stops the monitor's canaries, so let its client have a timeout of its own.
    """

    callable: str
    """`module:function`; dots behind the colon reach into objects."""
    batch: bool = False
    """Call `function(texts, top_k)` once with all queries; it returns one list of hits a query."""
    id_path: str | None = None
    """Where a hit's document id is, in dots over keys and attributes: `metadata.source`, `node.ref_doc_id`."""
    pythonpath: tuple[Path, ...] = ()
    """Folders to import from, relative to the YAML file."""

    _loop: Any = PrivateAttr(default=None)
    _turn: Any = PrivateAttr(default_factory=threading.Lock)

    @field_validator("callable")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} names no function. Write it like 'acme.search:find'.")
        return name

    @field_validator("pythonpath", mode="before")
    @classmethod
    def _below_the_yaml(cls, folders: Any, info: ValidationInfo) -> Any:
        base = (info.context or {}).get("base", Path())
        folders = [folders] if isinstance(folders, str | Path) else folders
        return tuple(below(base, str(folder)) for folder in folders) if isinstance(folders, list | tuple) else folders

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """Call the function for every query, or once for all of them."""
        del embedder
        function = self._function
        with self._turn:
            if self.batch:
                return self._ask_all(function, queries)
            return [self._ask(function, query) for query in queries]

    def reach(self) -> str:
        """Call the function once."""
        (reply,) = self.search([TRIAL])
        if reply.error is not None:
            raise RetrieverError(f"{self.callable}: {reply.error}.", remedy="Try the function in a Python shell.")
        return f"{self.callable} answered {describe(reply, self.score_kind)}"

    def close(self) -> None:
        """Close the event loop that an `async` function ran in."""
        with self._turn:
            if self._loop is not None:
                self._loop.close()
            self._loop = None

    @cached_property
    def _function(self) -> Callable[..., Any]:
        sys.path[:0] = [str(folder) for folder in self.pythonpath if str(folder) not in sys.path]
        module, _, name = self.callable.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception as error:  # noqa: BLE001 - a user's module may raise anything; it becomes one sentence
            raise RetrieverError(
                f"'{self.callable}' cannot be imported: {_named(error)}.",
                remedy="Check 'callable', install its packages here, or add its folder to 'pythonpath'.",
            ) from None
        if not callable(found):
            raise RetrieverError(f"'{self.callable}' is no function.", remedy="Name a function after the colon.")
        function: Callable[..., Any] = found
        return function

    def _ask(self, function: Callable[..., Any], query: Query) -> Reply:
        began = time.perf_counter()
        try:
            reply = read_reply(self._called(function, query.text), self.top_k, self.id_path)
        except Unrecognised as error:
            return Reply(None, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises is the reply's reason
            return Reply(None, error=_named(error))
        return _timed(reply, began, 1)

    def _ask_all(self, function: Callable[..., Any], queries: Sequence[Query]) -> list[Reply]:
        began = time.perf_counter()
        try:
            answers = list(self._called(function, [query.text for query in queries]))
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises is the reason of every reply
            return [Reply(None, error=_named(error))] * len(queries)
        if len(answers) != len(queries):
            words = f"it returned {len(answers)} answers to {len(queries)} queries"
            return [Reply(None, error=words)] * len(queries)
        return [_timed(self._read(answer), began, len(queries)) for answer in answers]

    def _read(self, answer: Any) -> Reply:
        try:
            return read_reply(answer, self.top_k, self.id_path)
        except Exception as error:  # noqa: BLE001 - reading a foreign object's attributes may raise anything
            return Reply(None, error=str(error) if isinstance(error, Unrecognised) else _named(error))

    def _called(self, function: Callable[..., Any], asked: str | list[str]) -> Any:
        answer = function(asked, self.top_k)
        if not inspect.isawaitable(answer):
            return answer
        if self._loop is None:  # one loop for life: async clients are bound to the loop they first ran in
            self._loop = asyncio.Runner()
        return self._loop.run(_awaited(answer))


async def _awaited(answer: Any) -> Any:
    return await answer


def _timed(reply: Reply, began: float, queries: int) -> Reply:
    took = 1000 * (time.perf_counter() - began) / queries
    return Reply(reply.hits, reply.error, reply.abstained, took, reply.versions)


def _named(error: Exception) -> str:
    """``ValueError: what it says``, on one printable line."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return f"{type(error).__name__}: {' '.join(words.split())[:300]}".removesuffix(": ")
