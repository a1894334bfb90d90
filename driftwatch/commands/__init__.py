"""What the verbs do: each reads the configuration, does one thing and prints one result."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.show import as_json, harmless

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.config import Watch
    from driftwatch.store import Store


def say(json: bool, content: object, *shown: Table | str) -> None:
    """Print ``content`` as JSON, or ``shown`` for a person; what they quote cannot move the terminal."""
    if json:
        sys.stdout.buffer.write(as_json(content))
        sys.stdout.buffer.flush()
        return
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    for each in shown:
        console.print(harmless(each) if isinstance(each, str) else each, markup=False)


@contextmanager
def opened(config: Path) -> Iterator[tuple[Watch, Store]]:
    """The configuration and its database."""
    from driftwatch.config import load_watch
    from driftwatch.store import Store

    watch = load_watch(config)
    store = Store.open(watch.database)
    try:
        yield watch, store
    finally:
        store.close()


def plain(model: Any) -> dict[str, Any]:
    """The settings of a kind as JSON, without its secrets."""
    dumped: dict[str, Any] = model.model_dump(mode="json")
    return dumped
