"""What was promoted counts: the model and the index of the release in use, instead of those that it replaced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.config.watch import Watch
from driftwatch.errors import ConfigError, ConfigErrors, RetrainError
from driftwatch.retrained import Manifest

if TYPE_CHECKING:
    from driftwatch.retrain.registry import Registry


def registry_of(watch: Watch) -> Registry:
    """The releases of a watch that has a `retrain:` section."""
    from driftwatch.retrain.registry import Registry  # not where there is no such section

    assert watch.retrain is not None
    settings = watch.retrain.promote
    return Registry(folder_of(watch), settings.keep, settings.disk)


def folder_of(watch: Watch) -> Path:
    """Where jobs and releases are."""
    assert watch.retrain is not None
    return watch.retrain.folder or watch.state / "retrain"


def following(watch: Watch) -> Watch:
    """``watch`` with the model and the index of the release in use.

    A release counts as long as the configuration names the model that it replaced: who writes another one there means
    that one.

    Raises:
        ConfigErrors: the releases are damaged.
    """
    if watch.retrain is None or watch.embedder is None:
        return watch
    registry = registry_of(watch)
    try:
        release = registry.current()
        if release is None or release.replaces != watch.embedder.model:
            return watch
        embedder = watch.embedder.model_copy(update={"model": registry.model(release), "revision": None})
        found = _index(watch, release, registry.place(release.release))
    except RetrainError as error:
        raise ConfigErrors([ConfigError(str(error))]) from None
    return watch.model_copy(update={"embedder": embedder, **found})


def cutoff_in_use(watch: Watch) -> float | None:
    """The score at which the service cuts off with the model that ``watch`` names; None: nobody said so.

    Raises:
        RetrainError: the releases are damaged.
    """
    assert watch.retrain is not None
    registry = registry_of(watch)
    release = registry.current()
    if release is None or release.threshold is None or watch.embedder is None:
        return watch.retrain.threshold
    return release.threshold if registry.model(release) == watch.embedder.model else watch.retrain.threshold


def _index(watch: Watch, release: Manifest, place: Path) -> dict[str, Any]:
    """The setting that reaches the index, with what the release says of it; the service's own address stays."""
    if watch.probed is None or not release.index:
        return {}
    from driftwatch.retrain.manifests import index_of

    return {"index" if watch.index is not None else "retriever": index_of(release, place, watch.probed)}
