"""The part of MLflow's REST protocol (2.0) that a model registry needs, over a real socket.

As a real server it takes no folder as a source that is not an artifact of a run, and gives versions and aliases of one
model as MLflow's own client reads them.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.search_service import Act, Asked, SearchService, says

PREFIX = "/api/2.0/mlflow/"


class MlflowServer(SearchService):
    """A registry in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, dict[str, Any]] = {}
        self.versions: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuses = ""
        """Said instead of an answer, with the status of a missing permission."""

    def act_for(self, asked: Asked) -> Act:
        self.asked.append(asked)
        if self.refuses:
            return _error(403, "PERMISSION_DENIED", self.refuses)
        given = {**asked.params, **(asked.body or {})}
        routes = {
            ("GET", "registered-models/get"): self._model,
            ("POST", "registered-models/create"): self._make_model,
            ("POST", "registered-models/alias"): self._alias,
            ("POST", "model-versions/create"): self._make_version,
            ("GET", "model-versions/get"): self._version,
            ("GET", "model-versions/search"): self._search,
        }
        route = routes.get((asked.method, asked.path.removeprefix(PREFIX)))
        if route is None:
            return _error(404, "ENDPOINT_NOT_FOUND", f"{asked.method} {asked.path}")
        return route(given)

    def _model(self, given: dict[str, Any]) -> Act:
        if given["name"] not in self.models:
            return _error(404, "RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={given['name']} not found")
        return says({"registered_model": self.models[given["name"]]})

    def _make_model(self, given: dict[str, Any]) -> Act:
        if given["name"] in self.models:
            return _error(400, "RESOURCE_ALREADY_EXISTS", f"Registered Model (name={given['name']}) already exists")
        self.models[given["name"]] = {"name": given["name"], "tags": given.get("tags", []), "aliases": []}
        return says({"registered_model": self.models[given["name"]]})

    def _alias(self, given: dict[str, Any]) -> Act:
        aliases = self.models[given["name"]]["aliases"]
        aliases[:] = [each for each in aliases if each["alias"] != given["alias"]]
        aliases.append({"alias": given["alias"], "version": given["version"]})
        return says({})

    def _make_version(self, given: dict[str, Any]) -> Act:
        if not urlsplit(given["source"]).scheme:
            return _error(400, "INVALID_PARAMETER_VALUE", f"Invalid model version source: '{given['source']}'")
        number = str(1 + sum(name == given["name"] for name, _ in self.versions))
        made = {"version": number, "current_stage": "None", "status": "READY", "creation_timestamp": 1, **given}
        self.versions[given["name"], number] = made
        return says({"model_version": made})

    def _version(self, given: dict[str, Any]) -> Act:
        return says({"model_version": self.versions[given["name"], given["version"]]})

    def _search(self, given: dict[str, Any]) -> Act:
        wanted = re.fullmatch(r"name = '([^']*)'", given["filter"])
        assert wanted is not None
        return says({"model_versions": [each for (name, _), each in self.versions.items() if name == wanted[1]]})


def _error(code: int, kind: str, said: str) -> Act:
    return says({"error_code": kind, "message": said}, code=code)
