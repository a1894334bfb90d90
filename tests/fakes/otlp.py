"""An OTLP/HTTP collector: it parses the protobuf that it is posted, and answers as the protocol says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeCollector:
    """Listens on a port of its own; ``status`` is what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.came = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, enough: Callable[[], bool], seconds: float = 20) -> bool:
        """Until ``enough()``, looked at after every request."""
        with self.came:
            return self.came.wait_for(enough, seconds)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest.FromString(body)
        with self.came:
            self.requests.append((path, headers))
            if self.status == 200:
                for each in request.resource_spans:
                    self.resources.append({one.key: value_of(one.value) for one in each.resource.attributes})
                    self.spans += [span for scope in each.scope_spans for span in scope.spans]
            self.came.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Type"] != "application/x-protobuf":
                    self.send_error(415)
                    return
                collector.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(collector.status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")  # an empty ExportTraceServiceResponse has no bytes
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def value_of(value: Any) -> Any:
    """What an ``AnyValue`` holds."""
    return getattr(value, value.WhichOneof("value"))


def facts_of(span: Any) -> dict[str, Any]:
    """The attributes of a span."""
    return {one.key: value_of(one.value) for one in span.attributes}
