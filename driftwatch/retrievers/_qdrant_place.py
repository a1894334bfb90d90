"""Where a collection of Qdrant is, and what its client's errors mean for a person."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from driftwatch.errors import DriftwatchError, MissingExtra, RetrieverError
from driftwatch.retrievers._exchange import shown
from driftwatch.retrievers._lent import Lent

_MOST = 300
"""Characters of what a server says that are shown."""


class Place:
    """A server or a folder, reached when it is first asked."""

    def __init__(self, url: str | None, path: Path | None, key: str | None, collection: str, timeout: float) -> None:
        self.url, self.path, self.key, self.timeout = url, path, key, timeout
        self.shown = f"the collection '{collection}' " + (f"in {path}" if path else f"at {url}")
        self._lent: Lent[Any] = Lent()
        self._turn = threading.RLock() if path else nullcontext()
        """The local mode is not made for several threads."""

    @contextmanager
    def asking(self) -> Iterator[Any]:
        """The client, while it is asked.

        Raises:
            RetrieverError: whatever went wrong, naming the place and the collection, never the key.
            MissingExtra: qdrant-client is not installed.
        """
        try:
            import qdrant_client  # noqa: F401
            from qdrant_client.common.client_exceptions import QdrantException
            from qdrant_client.http.exceptions import ApiException
        except ImportError:
            raise MissingExtra("qdrant-client", "qdrant", "The retriever 'qdrant'") from None
        with self._turn:
            try:
                with self._lent.use(self._opened) as client:
                    yield client
            except (ApiException, QdrantException) as error:
                raise self._told(error) from None
            except DriftwatchError:
                raise
            except Exception as error:  # a damaged folder raises anything; a person reads it here
                if self.path:
                    raise self._told_of_folder(error) from None
                if not isinstance(error, ValueError | AssertionError | RuntimeError | OSError):
                    raise  # those are the client's own, of odd answers; others are ours
                raise self._unanswered(error) from None

    def close(self) -> None:
        """Let go of connections, and of the folder once nobody reads it."""
        with self._turn:
            self._lent.close()

    def _opened(self) -> Any:
        return self._folder(self.path) if self.path else self._server()

    def _server(self) -> Any:
        from qdrant_client import QdrantClient

        # The key goes as a header of ours: as 'api_key' it would mean HTTPS, or a warning.
        return QdrantClient(
            url=self.url,
            timeout=max(1, round(self.timeout + 0.499)),
            headers={"api-key": self.key} if self.key else None,
            check_compatibility=False,
            trust_env=urlsplit(self.url or "").hostname not in ("localhost", "127.0.0.1", "::1"),
        )

    def _folder(self, path: Path) -> Any:
        from qdrant_client import QdrantClient

        if not (path / "meta.json").is_file():  # the client would make one
            raise RetrieverError(
                f"there is no Qdrant collection in {path}: it has no meta.json.", remedy="Check 'path'."
            )
        return QdrantClient(path=str(path), force_disable_check_same_thread=True)

    def _told(self, error: Exception) -> RetrieverError:
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        if isinstance(error, UnexpectedResponse):
            said = self._said(error.content)
            remedies = {
                401: "Check 'api_key'.",
                403: "Check 'api_key': may it read this collection?",
                404: "Check 'collection' and 'url'.",
            }
            code = error.status_code or 0
            what = f"status {code}" + (f": {said}" if said else "")
            stop = "" if what.endswith(("!", "?")) else "."
            return RetrieverError(
                f"{self.shown}: {what}{stop}", remedy=remedies.get(code, "See the log of the server.")
            )
        if isinstance(error, ResponseHandlingException):
            return self._unanswered(error.source)
        return RetrieverError(
            f"{self.shown}: the server has too much to do ({self._clean(str(error))}).", remedy="Ask less often."
        )

    def _unanswered(self, error: Exception) -> RetrieverError:
        """Why there is no answer, or none that is Qdrant's."""
        import httpx

        if isinstance(error, httpx.TimeoutException):
            remedy = "Is the server busy? Otherwise raise 'timeout'."
            return RetrieverError(f"{self.shown}: timed out after {self.timeout:g}s.", remedy=remedy)
        if isinstance(error, httpx.ConnectError):
            why = "connection refused" if _refused(error) else self._clean(str(error))
            return RetrieverError(f"{self.shown}: {why}.", remedy="Is the server up, and 'url' right?")
        if isinstance(error, httpx.TransportError):
            why = f"the connection broke ({type(error).__name__})"
            return RetrieverError(f"{self.shown}: {why}.", remedy="See the log of the server.")
        return RetrieverError(
            f"{self.shown}: answered what is not Qdrant's ({type(error).__name__}).", remedy="Is 'url' right?"
        )

    def _told_of_folder(self, error: Exception) -> RetrieverError:
        said = self._clean(str(error)) or type(error).__name__
        if "already accessed" in said:
            return RetrieverError(
                f"{self.shown}: another process has the folder open.",
                remedy="Only one can: run a Qdrant server, and set 'url'.",
            )
        if "not found" in said:
            return RetrieverError(f"{self.shown}: {said}.", remedy="Check 'collection' and 'path'.")
        return RetrieverError(f"{self.shown}: {said}.", remedy="Was it written by this version of qdrant-client?")

    def _said(self, content: bytes) -> str:
        """The reason in an answer that is an error."""
        try:
            said = str(orjson.loads(content)["status"]["error"])
        except (ValueError, KeyError, TypeError):
            said = content[: 4 * _MOST].decode("utf-8", "replace")
        return self._clean(said)

    def _clean(self, said: str) -> str:
        return shown(said.replace(self.key, "***") if self.key else said, _MOST).rstrip(".")


def _refused(error: BaseException | None) -> bool:
    """Whether one of the errors behind ``error`` is a refused connection."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
