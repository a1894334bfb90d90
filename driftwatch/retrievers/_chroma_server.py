"""A collection on a Chroma server, asked over its own protocol (version 2, as of Chroma 1.0).

Chroma's own client waits for an answer without end, and asks before it can be told not to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrieverError
from driftwatch.retrievers._chroma import Answer
from driftwatch.retrievers._exchange import Trouble, exchange, without
from driftwatch.retrievers._lent import Lent

if TYPE_CHECKING:
    import httpx

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LARGEST = 500_000_000
"""Bytes of an answer: a page of vectors as JSON is some tens of millions."""


@dataclass
class Server:
    """A server with the collection to ask for."""

    host: str
    port: int
    ssl: bool
    token: str | None
    token_header: str
    tenant: str
    database: str
    name: str
    timeout: float
    """Seconds."""
    _lent: Lent[httpx.Client] = field(default_factory=Lent)

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.ssl else 'http'}://{host}:{self.port}"

    @property
    def shown(self) -> str:
        return f"the collection '{self.name}' at {self.origin}"

    @contextmanager
    def opened(self) -> Iterator[ServerCollection]:
        """The collection as the server has it now.

        Raises:
            RetrieverError: the server cannot be reached or refuses, or there is no such collection.
        """
        described = self.ask("GET", f"collections/{quote(self.name, safe='')}")
        unlike = RetrieverError(f"{self.origin} does not answer as Chroma does.", remedy="Check 'host' and 'port'.")
        if not isinstance(described, dict) or not isinstance(described.get("id"), str):
            raise unlike
        try:
            yield ServerCollection(self, described)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # of answers that lack something
            raise unlike from error

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON that a path below the database answers."""
        base = f"/api/v2/tenants/{quote(self.tenant, safe='')}/databases/{quote(self.database, safe='')}"
        try:
            with self._lent.use(self._connected) as client:
                request = client.build_request(method, f"{self.origin}{base}/{path}", json=body)
                return exchange(client, request, timeout=self.timeout, max_body=_LARGEST)
        except Trouble as trouble:
            words = str(trouble).replace("'token' or 'auth'", "'token'").replace("Set 'url'", "Set 'host' and 'ssl'")
            words = words.partition(". Ask for less, or raise")[0]  # there is no such setting here
            words = without([self.token or ""], words)  # a server may repeat what it was sent
            raise RetrieverError(f"{self.shown}: {words}.", remedy=_remedy(words)) from None

    def close(self) -> None:
        """Close the connections, once nobody asks by them."""
        self._lent.close()

    def _connected(self) -> httpx.Client:
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request at INFO
        headers = {"User-Agent": "driftwatch", "Accept": "application/json"}
        if self.token:
            scheme = "" if self.token_header.startswith("X-") else "Bearer "
            headers[self.token_header] = f"{scheme}{self.token}"
        return httpx.Client(
            headers=headers,
            timeout=self.timeout,
            follow_redirects=False,  # never: a redirect may lead to another host, and the token would go along
            trust_env=self.host not in _LOOPBACK,  # a proxy does not know this machine's own services
        )


@dataclass(frozen=True)
class ServerCollection:
    """One collection on a server."""

    server: Server
    described: Mapping[str, Any]

    def count(self) -> int:
        return int(self._ask("count"))

    def get(
        self,
        *,
        include: Sequence[str],
        ids: Sequence[str] | None = None,
        where: Mapping[Any, Any] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Answer:
        asked = {"ids": ids, "where": where, "limit": limit, "offset": offset, "include": list(include)}
        found: Answer = self._ask("get", {name: value for name, value in asked.items() if value is not None})
        return found

    def query(self, vectors: NDArray[np.float32], n_results: int, include: Sequence[str]) -> Answer:
        asked = {"query_embeddings": vectors.tolist(), "n_results": n_results, "include": list(include)}
        found: Answer = self._ask("query", asked)
        return found

    def _ask(self, what: str, body: Mapping[str, Any] | None = None) -> Any:
        path = f"collections/{quote(self.described['id'], safe='')}/{what}"
        return self.server.ask("GET" if body is None else "POST", path, body)


def _remedy(words: str) -> str:
    if "refused" in words or "resolved" in words or "timed out" in words:
        return "Is the server up, and 'host' and 'port' right?"
    return "Check 'collection', 'tenant' and 'database'." if "status 404" in words else ""
