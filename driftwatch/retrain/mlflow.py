"""An MLflow registry that learns of releases: each is a version of a registered model, and aliases follow the link.

`champion` is the release in use, `previous` the one before it. No stages (MLflow gave them up), and no flavour: what is
registered is a source and its tags, so nothing is pickled, and nobody who loads it runs code of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from driftwatch.errors import DriftwatchError, MissingExtra
from driftwatch.retrain.registry import Registry
from driftwatch.retrained import Manifest

IN_USE, BEFORE = "champion", "previous"
TAG = "driftwatch.release"
_MOST = 200
"""Characters of a tag and of an error."""


@dataclass(frozen=True)
class Aliases:
    """A receiver of releases (``telling.Tell``)."""

    registry: Registry
    uri: str
    """Of the MLflow registry, such as `https://mlflow.internal` or `sqlite:///mlflow.db`."""
    service: str = ""

    @property
    def name(self) -> str:
        """Of the registered model."""
        return re.sub(r"[^\w.-]+", "-", f"driftwatch-{self.service or 'embedder'}")

    def __call__(self, current: Manifest, previous: Manifest | None) -> None:
        """Register what is not registered yet, and move the aliases; again changes nothing.

        Raises:
            DriftwatchError: MLflow cannot be reached or refuses.
            MissingExtra: mlflow-skinny is not installed.
        """
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise MissingExtra("mlflow-skinny", "mlflow", "The registry 'promote: mlflow'") from None
        try:
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self._registered(client)
            if previous is not None:
                client.set_registered_model_alias(self.name, BEFORE, self._version(client, previous))
            client.set_registered_model_alias(self.name, IN_USE, self._version(client, current))
        except (MlflowException, OSError) as error:
            said = _without_password(" ".join(str(error).split()))[:_MOST].rstrip(".")
            raise DriftwatchError(f"MLflow at {_without_password(self.uri)}: {said}.", remedy=_REMEDY) from None

    def _registered(self, client: Any) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_registered_model(self.name, {"driftwatch": "embedder"}, "Made and switched by driftwatch.")

    def _version(self, client: Any, manifest: Manifest) -> str:
        """The version of a release, registered now where it was not."""
        for known in client.search_model_versions(f"name = '{self.name}'"):
            if known.tags.get(TAG) == manifest.release:
                return str(known.version)
        made = client.create_model_version(
            self.name,
            source=self._source(manifest),
            tags=_tags(manifest) | {"driftwatch.source": self.registry.model(manifest)[:_MOST]},
            description=manifest.note,
            await_creation_for=0,
        )
        return str(made.version)

    def _source(self, manifest: Manifest) -> str:
        """The model's folder; on a server, which takes no folder that is not its own, an address that names it."""
        if self.uri.startswith(("http://", "https://")):
            return f"driftwatch://{self.name}/releases/{manifest.release}"
        return self.registry.model(manifest)


_REMEDY = "The release is in use all the same; it will be tried again."


def _tags(manifest: Manifest) -> dict[str, str]:
    known = {
        TAG: manifest.release,
        "driftwatch.base": manifest.base,
        "driftwatch.revision": manifest.revision,
        "driftwatch.data": manifest.data,
        "driftwatch.job": manifest.job,
        "driftwatch.fingerprint": manifest.fingerprint,
        "driftwatch.approved_by": manifest.approved_by,
        "driftwatch.threshold": "" if manifest.threshold is None else f"{manifest.threshold:g}",
        **{f"driftwatch.measure.{name}": f"{value:.4f}" for name, value in manifest.measures.items()},
    }
    return {re.sub(r"[^\w. -]", "_", name): value[:_MOST] for name, value in known.items() if value}


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//***@", text)
