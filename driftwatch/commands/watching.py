"""`check` and `healthcheck`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.commands import opened, say
from driftwatch.errors import ConfigError, DriftwatchError
from driftwatch.show import findings_table, now_utc

if TYPE_CHECKING:
    from driftwatch.checks import Check
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Finding, Probe, Run

EXIT = {"ok": 0, "fail": 1, "warn": 2, "unknown": 3}


def check(config: Path, names: tuple[str, ...], *, record: bool, json: bool) -> int:
    """Look once and print the findings; the worst of them is the exit code."""
    with opened(config) as (watch, store):
        checks = chosen(watch, names, config)
        findings = _recorded(watch, store, checks) if record else _looked(watch, store, checks)
    say(json, {"service": watch.service, "findings": findings}, findings_table(findings))
    return exit_code(findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """1 when anything fails, else 2 when anything warns, else 3 when anything is unknown, else 0."""
    verdicts = {finding.verdict for finding in findings}
    return next((EXIT[verdict] for verdict in ("fail", "warn", "unknown") if verdict in verdicts), 0 if findings else 3)


def chosen(watch: Watch, names: tuple[str, ...], config: Path) -> list[Check]:
    """The checks of these names; all of them when none is named."""
    known = {check.name: check for check in watch.checks}
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no check '{name}'.", file=config, remedy=f"There are: {', '.join(known)}.")
    return [known[name] for name in names] if names else list(watch.checks)


def _looked(watch: Watch, store: Store, checks: list[Check]) -> list[Finding]:
    """Ask the canaries and the index, judge those answers and the log as stored, and write nothing."""
    from driftwatch.daemon import open_embedder
    from driftwatch.engine import Engine

    now = now_utc()
    engine = Engine(watch, store, embedder=open_embedder(watch), learns=False, diagnoses=False)
    fresh: dict[str, Run | Probe] = {}
    for name in {check.source for check in checks if check.needs == "probes"}:
        _progress(f"looking into the index ({name}) …")
        fresh[name] = engine.observer.probe_of(name, now)
    for name in {check.source for check in checks if check.needs == "runs"}:
        _progress(f"asking the canaries of {name} …")
        run = engine.observer.run_of(name, now)
        if run is not None:
            fresh[name] = run
    return engine.judge(checks, now, fresh)


def _recorded(watch: Watch, store: Store, checks: list[Check]) -> list[Finding]:
    """Do for once what the daemon does: read, judge, record, tell."""
    from driftwatch.daemon import Daemon, open_embedder
    from driftwatch.store import leader

    now = now_utc()
    with ExitStack() as stack:
        stack.enter_context(leader(store))
        store.outbox.reclaim(now)
        daemon = Daemon(watch, store, embedder=open_embedder(watch))
        for name in {check.source for check in checks}:
            _progress(f"reading {name} …")
            daemon.engine.observe(name, now)
        findings = daemon.engine.tick(checks, now).findings
        daemon.deliver(now)
    return list(findings)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


def healthcheck(config: Path, url: str) -> int:
    """Ask the daemon's /healthz; 0 when it is well. Loads as little as it can: it runs every half minute."""
    import json
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    address = url or _address(config)
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"'{address}' is not an http:// address.")
    try:
        with urlopen(Request(f"{address.rstrip('/')}/healthz"), timeout=4) as answer:  # noqa: S310 the scheme is checked
            health = json.load(answer)
    except (URLError, TimeoutError, ValueError, OSError) as error:
        sys.stderr.write(f"unhealthy: {address} does not answer well: {error}\n")
        return 1
    sys.stdout.write(f"healthy: {health.get('service', '')}\n")
    return 0


def _address(config: Path) -> str:
    from driftwatch.config import load_watch

    watch = load_watch(config)
    if watch.api is None:
        raise DriftwatchError("the configuration says `api: off`, so there is nothing to ask.", remedy="Set `api:`.")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(watch.api.host, watch.api.host)  # noqa: S104 not a bind
    return f"http://{host}:{watch.api.port}"
