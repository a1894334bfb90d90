"""The HTTP side: health for the orchestrator, metrics for Prometheus, pushed queries, and pages for a person.

Bound to 127.0.0.1 unless told otherwise. Everything that a query, a document or a client wrote is hostile: pages are
escaped by their templates and carry a policy that runs no script but our own.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool

from driftwatch.api_forms import POLICY, Pages, to_login, wants_html
from driftwatch.api_pages import add_pages
from driftwatch.config import Api
from driftwatch.errors import DriftwatchError, RecordsRefused, SourceError
from driftwatch.metrics import exposition
from driftwatch.pages.rendering import warm_up
from driftwatch.pages.session import Sessions
from driftwatch.show import as_json
from driftwatch.sources import Source

if TYPE_CHECKING:
    from driftwatch.daemon import Daemon

OPEN_PATHS = re.compile(r"/(healthz|readyz|metrics|login|static/[a-z.]+|v1/queries|v1/jobs/[0-9A-Za-z-]{1,64}/result)")
"""Reached without the API token; /v1/queries has the token of its source, and a result that of the trainer."""
MOST_OF_A_RESULT = 1 << 16
"""Bytes."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none at all, browsers would not say where a form comes from
    "Cache-Control": "no-store",
}
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", ""})


def create_app(daemon: Daemon, settings: Api) -> FastAPI:
    """The application of one daemon."""
    app = FastAPI(title="driftwatch", docs_url=None, redoc_url=None, openapi_url=None)
    sessions = Sessions(settings.token.get_secret_value()) if settings.token is not None else None
    shown = Pages(daemon, settings, sessions)
    app.middleware("http")(_guard(settings, shown))
    _add_health(app, daemon)
    _add_views(app, daemon)
    _add_push(app, daemon)
    _add_trainer(app, daemon)
    add_pages(app, shown)
    return app


Next = Callable[[Request], Awaitable[Response]]


def _guard(settings: Api, shown: Pages) -> Callable[[Request, Next], Awaitable[Response]]:
    async def guard(request: Request, call_next: Next) -> Response:
        if is_loopback(settings.host) and _host_name(request) not in LOCAL_NAMES:
            # A web page can make a browser call 127.0.0.1 under a name of its own (DNS rebinding).
            return problem(421, "this server answers to localhost only")
        request.state.bearer = settings.token is not None and bearer_is(request, settings.token)
        response = await (call_next(request) if _may(request, settings, shown) else _turned_away(request))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return guard


def _may(request: Request, settings: Api, shown: Pages) -> bool:
    """Whether a request needs no token, brings it, or comes from somebody who has logged in."""
    if settings.token is None or request.state.bearer or OPEN_PATHS.fullmatch(request.url.path):
        return True
    return shown.session(request) is not None


async def _turned_away(request: Request) -> Response:
    if request.method == "GET" and wants_html(request):
        return to_login(request)
    return problem(401, "send the API token as 'Authorization: Bearer …'", {"WWW-Authenticate": "Bearer"})


def _host_name(request: Request) -> str:
    host = request.headers.get("host", "")
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bearer_is(request: Request, secret: SecretStr | None) -> bool:
    """Whether the request carries ``secret``, compared in constant time; without a secret everybody may."""
    if secret is None:
        return True
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    return hmac.compare_digest(given, secret.get_secret_value().encode())


def problem(status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """An error answer: JSON with one sentence."""
    body = orjson.dumps({"error": message, **more})
    return Response(body, status, headers={**HEADERS, **(headers or {})}, media_type="application/json")


def _json(content: object, status: int = 200) -> Response:
    return Response(as_json(content), status, media_type="application/json")


def _add_health(app: FastAPI, daemon: Daemon) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        health = daemon.health()
        return _json(health, 503 if health["dead"] else 200)

    @app.get("/readyz")
    def readyz() -> Response:
        daemon.store.decisions.last_runs()
        return _json({"ready": True})

    @app.get("/metrics")
    def metrics(request: Request) -> Response:
        text, content_type = exposition(daemon, request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})


def _add_views(app: FastAPI, daemon: Daemon) -> None:
    @app.get("/v1/alerts")
    def alerts() -> Response:
        return _json({"alerts": list(daemon.store.decisions.alerts().values())})

    @app.get("/v1/findings")
    def findings() -> Response:
        return _json({"findings": list(daemon.store.decisions.last_findings().values())})

    @app.get("/v1/incidents/{incident_id}")
    def incident(incident_id: str) -> Response:
        found = daemon.store.decisions.incident(incident_id)
        return _json(found) if found else problem(404, "there is no such incident")


def _add_push(app: FastAPI, daemon: Daemon) -> None:
    waiting: dict[str, int] = {}

    @app.post("/v1/queries")
    async def queries(request: Request, source: str = "") -> Response:
        target = _push_source(daemon, source)
        if target is None:
            return problem(404, "there is no source of kind 'push' of that name", sources=sorted(_push_sources(daemon)))
        if not bearer_is(request, target.token):
            return problem(
                401, "send the token of this source as 'Authorization: Bearer …'", {"WWW-Authenticate": "Bearer"}
            )
        if not request.headers.get("content-type", "").startswith(("application/json", "application/x-ndjson")):
            return problem(415, "send application/json (one list) or application/x-ndjson (one object a line)")
        if waiting.get(target.name, 0) >= target.max_waiting:
            return problem(503, "too many requests are waiting to be stored", {"Retry-After": "1"})
        waiting[target.name] = waiting.get(target.name, 0) + 1
        try:
            return await _store(daemon, target, request)
        finally:
            waiting[target.name] -= 1


def _add_trainer(app: FastAPI, daemon: Daemon) -> None:
    @app.post("/v1/jobs/{job_id}/result")
    async def result(request: Request, job_id: str) -> Response:
        if daemon.retraining is None:
            return problem(404, "no retraining is configured")
        body = await _body(request, MOST_OF_A_RESULT)
        if body is None:
            return problem(413, f"a result has {MOST_OF_A_RESULT} bytes at most")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        status, said = await run_in_threadpool(daemon.retraining.told, job_id, body, token, datetime.now(UTC))
        return _json({"said": said}) if status == 200 else problem(status, said)


async def _store(daemon: Daemon, target: Any, request: Request) -> Response:
    """Count and sample the posted queries; 200 is said only after they are in the database."""
    body = await _body(request, target.max_body)
    if body is None:
        return problem(413, f"the body is larger than {target.max_body:,} bytes; send fewer queries at once")
    try:
        records = _records(body, request.headers["content-type"])
        batch = await run_in_threadpool(daemon.engine.observer.push, target.name, records, datetime.now(UTC))
    except orjson.JSONDecodeError as error:
        return problem(400, f"the body is not JSON: {error}")
    except RecordsRefused as error:
        return problem(422, str(error), errors=error.errors)
    except SourceError as error:
        return problem(422, str(error))
    return _json({"stored": batch.lines})


async def _body(request: Request, limit: int) -> bytes | None:
    """The body, or None as soon as it is larger than ``limit`` bytes, whatever Content-Length says."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


def _records(body: bytes, content_type: str) -> list[Any]:
    if content_type.startswith("application/x-ndjson"):
        return [orjson.loads(line) for line in body.splitlines() if line.strip()]
    parsed = orjson.loads(body)
    return parsed if isinstance(parsed, list) else [parsed]


def _push_sources(daemon: Daemon) -> dict[str, Source]:
    return {name: source for name, source in daemon.watch.sources.items() if hasattr(source, "batch")}


def _push_source(daemon: Daemon, name: str) -> Any:
    sources = _push_sources(daemon)
    return sources.get(name) if name else next(iter(sources.values()), None)


def start_server(daemon: Daemon, settings: Api) -> Callable[[], None]:
    """Serve in a thread; returns how to stop. ``daemon.address`` is where it listens.

    Raises:
        DriftwatchError: the address cannot be bound.
    """
    listener = _bind(settings.host, settings.port)
    daemon.address = "http://{}:{}".format(*listener.getsockname()[:2])
    config = uvicorn.Config(
        create_app(daemon, settings), log_level="warning", access_log=False, limit_concurrency=64, timeout_keep_alive=5
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        warm_up()
        server.run(sockets=[listener])

    thread = threading.Thread(target=serve, name="http", daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(2)

    return stop


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise DriftwatchError(
            f"the API cannot listen on {host}:{port}: {error.strerror}.",
            remedy="Set another `api: {port: …}`, or `api: off`.",
        ) from None
    return listener
