"""A release's manifest as a file, and the index that it names. Nothing in such a file is believed unseen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrained import Manifest

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from driftwatch.retrievers import Retriever

FILE = "manifest.json"
VERSION = 1
STORES = ("faiss", "qdrant", "pgvector", "chroma")
"""The kinds of index that a manifest may name; a dotted kind would import what somebody wrote into a file."""
NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
"""Of a release: when it was made, and eight digits of a hash of what it is made of."""
_PLACES = ("kind", "url", "host", "port", "path", "ssl", "tenant", "database")
"""Settings that say where an index is. Where they differ, no secret of the configuration goes there."""


def release_name(now: datetime, whole: str) -> str:
    """`<UTC stamp>-<hash>` of what the release is made of.

    >>> release_name(datetime(2026, 5, 4, 12, 0, tzinfo=UTC), "the hash of a candidate")
    '20260504T120000Z-a5ee3c1d'
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{sha256(whole.encode()).hexdigest()[:8]}"


def check_name(release: str) -> str:
    """``release``, where it is the name of one.

    Raises:
        RetrainError: it is not, and might lead out of the folder.
    """
    if not NAME.fullmatch(release):
        raise RetrainError(
            f"{release[:80]!r} is not the name of a release.", remedy="They look like '20260504T120000Z-1a2b3c4d'."
        )
    return release


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """``manifest.json`` in ``folder``, whole or as it was."""
    write_json(folder / FILE, content_of(manifest))


def content_of(manifest: Manifest) -> dict[str, Any]:
    """What is written of it."""
    check_name(manifest.release)
    return {"version": VERSION, **asdict(manifest)}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the release that ``folder`` is.

    Raises:
        RetrainError: it is missing, damaged, of a newer version, or of another release; names file and value.
    """
    path = folder / FILE
    manifest = manifest_of(path, read_json(path))
    if manifest.release != folder.name:
        raise RetrainError(f"{path}: is of the release {manifest.release[:80]!r}.", remedy="Remove the folder.")
    return manifest


def manifest_of(path: Path, content: dict[str, Any]) -> Manifest:
    """What ``content_of`` gave, read from ``path``.

    Raises:
        RetrainError: it is damaged or of a newer version; names file and value.
    """
    if content.pop("version", None) != VERSION:
        raise RetrainError(f"{path}: is not a manifest of version {VERSION}.", remedy="Is this driftwatch too old?")
    manifest = _typed(path, content)
    if manifest.created.tzinfo is None:
        raise RetrainError(f"{path}: 'created' names no time zone.", remedy="Remove the folder.")
    if manifest.index and manifest.index.get("kind") not in STORES:
        kind = str(manifest.index.get("kind"))[:80]
        raise RetrainError(f"{path}: {kind!r} is no index that driftwatch can build.", remedy="Remove the folder.")
    return manifest


def in_use(
    model: str,
    index: Retriever | None,
    now: datetime,
    *,
    revision: str = "",
    fingerprint: str = "",
    threshold: float | None = None,
    note: str = "",
) -> Manifest:
    """What the configuration names, as the release that a rollback leads back to; it holds no files.

    ``threshold``: the cut-off that the service has now; None: it keeps its own.
    """
    settings = {} if index is None else settings_of(index)
    name = release_name(now, f"{model}\0{revision}\0{sorted(settings.items())}")
    return Manifest(
        name,
        now,
        model,
        revision=revision,
        fingerprint=fingerprint,
        index=settings,
        threshold=threshold,
        note=note,
    )


def settings_of(index: Retriever) -> dict[str, Any]:
    """The settings of ``index`` as they may be written down: without secrets, and without what nobody set."""
    from driftwatch.plugins import secret_fields

    kept = index.model_dump(mode="json", exclude_defaults=True, exclude=set(secret_fields(type(index))))
    return {"kind": index.kind, **kept}


def index_of(manifest: Manifest, folder: Path, configured: Retriever | None = None) -> Retriever:
    """The index of a release: files are relative to its ``folder``, secrets are those of the ``configured`` index, as
    long as both are in the same place.

    Raises:
        RetrainError: the release has no index, or its settings are none.
    """
    from pydantic import ValidationError

    from driftwatch.plugins import find_kind, secret_fields

    kind = str(manifest.index.get("kind"))
    if kind not in STORES:
        raise RetrainError(f"the release {manifest.release} has no index.", remedy="Promote it again.")
    settings = dict(manifest.index)
    cls = find_kind("retrievers", kind)
    if configured is not None and _same_place(settings, configured):
        secrets = {name: getattr(configured, name) for name in secret_fields(cls)}
        settings |= {name: secret for name, secret in secrets.items() if secret is not None}
    try:
        index: Any = cls.model_validate(settings, context={"base": folder})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise RetrainError(
            f"{folder / FILE}: 'index: {where}': {first['msg']}.", remedy="Is the index still configured?"
        ) from None
    return index  # type: ignore[no-any-return]


def _same_place(settings: Mapping[str, Any], configured: Retriever) -> bool:
    there = settings_of(configured)
    return all(settings.get(name) == there.get(name) for name in _PLACES)


def _typed(path: Path, content: dict[str, Any]) -> Manifest:
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RetrainError(f"{path}: '{where}': {first['msg']}.", remedy="Remove the folder.") from None


@cache
def _adapter() -> TypeAdapter[Manifest]:
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)
