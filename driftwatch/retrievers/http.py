"""Any search service that answers JSON."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import jmespath
from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, field_validator, model_validator

from driftwatch.errors import RetrieverError
from driftwatch.plugins import Settings
from driftwatch.retrievers import Retriever
from driftwatch.retrievers._answer import Path, Shape, Unreadable
from driftwatch.retrievers._exchange import Streak, Trouble, exchange, shown, without
from driftwatch.retrievers._lent import Lent
from driftwatch.retrievers._reached import TRIAL, describe
from driftwatch.retrievers._template import check_placeholders, filled, filled_url, substitutes
from driftwatch.schedule import Duration
from driftwatch.sizes import Size
from driftwatch.types import Embedder, Query, Reply

if TYPE_CHECKING:
    import httpx

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_HOPELESS_AFTER = 5
"""Failures in a row."""
_FIRST_WAIT, _LONGEST_BACKOFF = 0.5, 8.0
"""Seconds."""


def _jmespath(text: str) -> str:
    try:
        jmespath.compile(text)
    except (jmespath.exceptions.JMESPathError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        raise ValueError(f"{text!r} is not a JMESPath expression: {reason}") from None
    return text


Expression = Annotated[str, AfterValidator(_jmespath)]


class HeaderSecret(Settings):
    """A header that proves who is asking."""

    header: str
    """Its name, such as `X-Api-Key`."""
    value: SecretStr
    """Its value; or `value_file`."""


class Http(Retriever):
    """Asks any search service that answers JSON, one request a query.

    Sends `POST` with the body `{"query": …, "top_k": …}` unless `body` or `params` say otherwise, and recognises common
    shapes of answers. A query that gets no proper answer is a reply with the reason, never an empty result.
    """

    url: str
    """Where to ask; may hold `{query}` and the other placeholders in its path."""
    method: Literal["GET", "POST", "PUT"] | None = None
    """Without it, `GET` when there are `params` and no `body`, else `POST`."""
    body: dict[str, Any] | None = None
    """The JSON to send. `"{query}"`, `"{top_k}"`, `"{lang}"` and `"{query_id}"` stand for the values themselves."""
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """What goes behind the `?` of the URL, with the same placeholders."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Further headers; their values are never shown."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer <token>`; or `token_file`."""
    auth: HeaderSecret | None = None
    """Any other header as the proof: `{header: X-Api-Key, value: ${KEY}}`; or `value_file`."""
    hits: Expression | None = None
    """JMESPath of the list of hits, best first. Without it: `results`, `hits`, `documents`, `matches` and the like."""
    ids: Expression | None = None
    """JMESPath of the document id in one hit. Without it: `id`, `doc_id`, `_id` and the like. In an answer without a
    list of hits, that of the list of ids."""
    scores: Expression | None = None
    """JMESPath of the score in one hit. Without it: `score`, `similarity`, `distance` and the like. Beside a list of
    ids, that of the list of scores."""
    abstained: Expression | None = None
    """JMESPath that is true when the service declined to answer."""
    versions: dict[str, Expression] = Field(default_factory=dict)
    """Name -> JMESPath of what the answer says about `index`, `embedder` or `prompt`."""
    timeout: Duration = timedelta(seconds=10)
    """For one answer, to its last byte."""
    retries: int = Field(default=2, ge=0, le=10)
    """How often to ask again after a refused or broken connection, 429 or 5xx; a timeout is not asked again."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Requests at once."""
    max_body: Size = 10_000_000
    """The largest answer that is read."""

    _lent: Lent[httpx.Client] = PrivateAttr(default_factory=Lent)
    """One client, with its connections kept open between runs."""
    _stopping: Any = PrivateAttr(default_factory=threading.Event)

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise ValueError(f"{url!r} is not a web address. Write it like 'http://localhost:8000/retrieve'.")
        if parts.username or parts.password:
            raise ValueError("a password does not belong in 'url', which is shown in messages. Use 'auth' or 'token'.")
        return url

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            _check_header(name, value)
        return headers

    @model_validator(mode="after")
    def _asks_something(self) -> Http:
        check_placeholders(self.url, *self._template())
        if self.auth and self.token:
            raise ValueError("'token' and 'auth' are both set. Keep one of them.")
        if self.auth:
            _check_header(self.auth.header, self.auth.value)
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET request has no 'body'. Use 'params', or 'method: POST'.")
        return self

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """Ask every query, `concurrency` at a time."""
        del embedder
        self._stopping.clear()
        streak = Streak(_HOPELESS_AFTER)
        last_words: list[str] = []

        def ask(query: Query) -> Reply:
            if streak.is_hopeless or self._stopping.is_set():
                return Reply(None, error=last_words[-1] if last_words else "stopped before it was asked")
            try:
                return self._ask(client, query, streak)
            except Trouble as trouble:
                last_words.append(self._without_secrets(str(trouble)))
                return Reply(None, error=last_words[-1])

        with (
            self._lent.use(self._new_client) as client,
            ThreadPoolExecutor(min(self.concurrency, max(1, len(queries))), "driftwatch-http") as threads,
        ):
            return list(threads.map(ask, queries))

    def reach(self) -> str:
        """Ask once."""
        (reply,) = self.search([TRIAL])
        if reply.error is not None:
            raise RetrieverError(f"{self._shown_url}: {reply.error}.", remedy="Is the service up, and 'url' right?")
        return f"{self._shown_url} answered {describe(reply, self.score_kind)}"

    def close(self) -> None:
        """Ask nothing more, and close the connections: those in use when they have their answer, or its timeout."""
        self._stopping.set()
        self._lent.close()

    def _ask(self, client: httpx.Client, query: Query, streak: Streak) -> Reply:
        """One query, again while that may help.

        Raises:
            Trouble: the last reason why it got no answer.
        """
        for attempt in range(self.retries + 1):
            began = time.perf_counter()
            try:
                reply = self._answer(client, query)
            except Trouble as trouble:
                is_last = attempt == self.retries or not trouble.again or streak.is_failing
                if is_last or self._stopping.wait(_backoff(attempt, trouble.wait)):
                    streak.count(trouble)
                    raise
                continue
            streak.count(None)
            return Reply(
                reply.hits,
                abstained=reply.abstained,
                latency_ms=1000 * (time.perf_counter() - began),
                versions=reply.versions,
            )
        raise AssertionError("the last attempt returns or raises")

    def _answer(self, client: httpx.Client, query: Query) -> Reply:
        request = self._request(client, query)
        answer = exchange(client, request, timeout=self.timeout.total_seconds(), max_body=self.max_body)
        try:
            return self._shape.read(answer, self.top_k)
        except Unreadable as error:
            raise Trouble(str(error)) from None
        except jmespath.exceptions.JMESPathError as error:  # a function that does not exist, or does not take what came
            raise Trouble(f"a JMESPath of the settings does not fit the answer: {shown(str(error))}") from None

    def _request(self, client: httpx.Client, query: Query) -> httpx.Request:
        import httpx

        values = substitutes(query, self.top_k)
        params, body = self._template()
        try:
            return client.build_request(
                self._method,
                filled_url(self.url, values),
                params=filled(params, values) or None,
                json=filled(body, values) if body is not None else None,
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise Trouble(f"no request can be made of this query: {shown(str(error))}") from None

    @property
    def _method(self) -> str:
        return self.method or ("GET" if self.params and self.body is None else "POST")

    def _template(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Params and body, with the defaults of the method when neither is given."""
        usual = {"query": "{query}", "top_k": "{top_k}"}
        if self.params or self.body is not None or "{query}" in self.url:
            return self.params, self.body
        return (usual, None) if self._method == "GET" else ({}, usual)

    @cached_property
    def _shape(self) -> Shape:
        def path(text: str | None) -> Path | None:
            return Path(text, jmespath.compile(text).search) if text else None

        return Shape(
            path(self.hits),
            path(self.ids),
            path(self.scores),
            path(self.abstained),
            {name: Path(text, jmespath.compile(text).search) for name, text in self.versions.items()},
        )

    @cached_property
    def _shown_url(self) -> str:
        return f"{self._method} {urlsplit(self.url)._replace(query='', fragment='').geturl()}"

    def _new_client(self) -> httpx.Client:
        import httpx

        # httpx logs whole URLs at INFO, and those may hold what somebody asked.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        return httpx.Client(
            headers=self._sent_headers(),
            timeout=self.timeout.total_seconds(),
            limits=httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency),
            # Never: a redirect may lead to another host, and the credentials would go along.
            follow_redirects=False,
            # A proxy for the world outside does not know this machine's own services.
            trust_env=urlsplit(self.url).hostname not in _LOOPBACK,
        )

    def _sent_headers(self) -> dict[str, str]:
        headers = {"User-Agent": "driftwatch", "Accept": "application/json"}
        headers |= {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        if self.auth:
            headers[self.auth.header] = self.auth.value.get_secret_value()
        return headers

    def _without_secrets(self, words: str) -> str:
        """A service may repeat what it was sent; a secret in an error would travel to Slack."""
        secrets = [*self.headers.values(), self.token, self.auth.value if self.auth else None]
        return without([secret.get_secret_value() for secret in secrets if secret], words)


def _check_header(name: str, value: SecretStr) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header.")
    if not value.get_secret_value().isprintable():
        raise ValueError(f"the value of the header {name!r} has a line break or another unprintable character.")


def _backoff(attempt: int, asked: float | None) -> float:
    """Seconds until the next attempt: what the service asked for, else doubling, never two clients in step."""
    if asked is not None:
        return asked
    return float(min(_LONGEST_BACKOFF, _FIRST_WAIT * 2**attempt) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
