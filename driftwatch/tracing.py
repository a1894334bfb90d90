"""Spans of driftwatch's own work, for OpenTelemetry. Off unless ``export`` was called; then nothing is imported either.

A span says what was done, for which configured name, and how long it took: never a text, a query, an address or the
message of an error. Exporting has a thread of its own and a queue that drops what it cannot hold: a collector that is
away costs nobody anything.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from driftwatch import __version__
from driftwatch.errors import DriftwatchError, MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger(__name__)

Fact = str | int | float | bool

ANSWER_WITHIN = 5.0
"""Seconds that the collector gets for one request."""
LAST_WORDS = 1.0
"""Seconds that the last spans get when driftwatch stops."""


class Span:
    """One piece of work while it is done, and how long it took."""

    __slots__ = ("_began", "_ended", "facts")

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        self.facts = dict(facts)
        self._began = time.perf_counter()
        self._ended: float | None = None

    def note(self, **facts: Fact) -> None:
        """Say more about it: counts and configured names only."""
        self.facts.update(facts)

    def end(self) -> None:
        """It is done."""
        self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (time.perf_counter() if self._ended is None else self._ended) - self._began


_record: Callable[[str, Span], AbstractContextManager[None]] | None = None
"""What a finished span is handed to; None: nobody."""


@contextmanager
def span(name: str, **facts: Fact) -> Iterator[Span]:
    """The work of this block; ``facts`` are counts and configured names."""
    work = Span(facts)
    try:
        if _record is None:
            yield work
        else:
            with _record(name, work):
                yield work
    finally:
        work.end()


def export(endpoint: str, headers: Mapping[str, str], service_name: str) -> Callable[[], None]:
    """Send every span to the collector at ``endpoint`` (OTLP over HTTP) from now on; returns how to stop.

    Raises:
        MissingExtra: OpenTelemetry is not installed.
    """
    global _record
    stopped = threading.Event()
    try:
        provider, exporter = _provider(f"{endpoint.rstrip('/')}{_PATH}", headers, service_name, stopped)
    except ImportError:
        raise _missing() from None
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would say with every batch what we say once
    tracer = provider.get_tracer("driftwatch", __version__)

    def record(name: str, work: Span) -> AbstractContextManager[None]:
        return _recorded(tracer, name, work)

    def stop() -> None:
        global _record
        if _record is record:
            _record = None
        stopped.set()
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(LAST_WORDS)
        if last.is_alive():
            exporter.shutdown()  # else it goes on trying, up to half a minute for all that is queued

    _record = record
    return stop


def reach(endpoint: str, headers: Mapping[str, str]) -> str:
    """Post no span at all, which every collector takes; what it says, in words.

    Raises:
        MissingExtra: OpenTelemetry is not installed.
        DriftwatchError: nobody answers there, or not as a collector does.
    """
    import httpx

    try:
        importlib.import_module("opentelemetry.sdk.trace")
        importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise _missing() from None
    url = f"{endpoint.rstrip('/')}{_PATH}"
    try:
        answer = httpx.post(url, headers={**headers, "Content-Type": "application/x-protobuf"}, timeout=ANSWER_WITHIN)
    except httpx.HTTPError as error:
        raise DriftwatchError(f"{url} cannot be reached: {type(error).__name__}.", remedy=_AWAY) from None
    if answer.status_code != 200:
        raise DriftwatchError(f"{url} answers {answer.status_code} to an empty export.", remedy=_AWAY)
    return f"{url} takes spans"


_PATH = "/v1/traces"
_AWAY = "Spans are dropped until it takes them; nothing else waits for it."


def _missing() -> MissingExtra:
    return MissingExtra("opentelemetry-exporter-otlp-proto-http", "otel", "exporting spans")


def _provider(
    endpoint: str, headers: Mapping[str, str], service_name: str, stopped: threading.Event
) -> tuple[Any, SpanExporter]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint, headers=dict(headers), timeout=ANSWER_WITHIN)
    named = Resource.create({"service.name": service_name, "service.version": __version__})
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_SaidOnce(exporter, stopped)))
    return provider, exporter


class _SaidOnce:
    """An exporter that says once that nobody takes its spans, and once that somebody does again."""

    def __init__(self, exporter: SpanExporter, stopped: threading.Event) -> None:
        self._exporter = exporter
        self._stopped = stopped
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if self._stopped.is_set():
            return result
        failed = result.name == "FAILURE"
        if failed and not self._failing:
            log.warning("the collector does not take spans; they are dropped until it does")
        if self._failing and not failed:
            log.info("the collector takes spans again")
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


@contextmanager
def _recorded(tracer: Any, name: str, work: Span) -> Iterator[None]:
    """One span of OpenTelemetry; of an error it keeps the name of its class, since messages quote what was read."""
    from opentelemetry.trace import StatusCode

    quiet = {"record_exception": False, "set_status_on_exception": False}
    with tracer.start_as_current_span(f"driftwatch.{name}", **quiet) as exported:
        try:
            yield
        except BaseException as error:
            exported.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            exported.set_attributes({f"driftwatch.{fact}": value for fact, value in work.facts.items()})
