"""Debian's Prometheus and promtool, where they are installed, and the rules that they are given."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from driftwatch.metrics.families import FAMILIES

MISSING = "is not installed: apt-get install prometheus"
RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
RULE_FILES = sorted(RULES.glob("*.rules.yaml"))


def groups(path: Path) -> list[dict[str, Any]]:
    """The groups of a file of rules."""
    return list(yaml.safe_load(path.read_text("utf-8"))["groups"])


def rules(kind: str) -> list[dict[str, Any]]:
    """Every rule that records, or alerts."""
    return [rule for path in RULE_FILES for group in groups(path) for rule in group["rules"] if kind in rule]


RECORDED = {rule["record"] for rule in rules("record")}
SCRAPED = {family.sample for family in FAMILIES.values()}
NAME = re.compile(r"\b(?:[a-z_]+:)?driftwatch_[a-z0-9_]+(?::[a-z0-9_]+)?")
"""How metrics of ours look in a query, scraped or recorded."""


def promtool(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """What promtool says; the test is skipped where there is none."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip(f"promtool {MISSING}")
    done = subprocess.run([program, *arguments], input=given, capture_output=True, check=False, timeout=110)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


class Prometheus:
    """A server that runs, asked over HTTP."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=10)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of a query now.

        Raises:
            AssertionError: it cannot be asked, with the reason that the server gives.
        """
        answer = self.client.get("/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        return list(answer["data"]["result"])

    def wait_for(self, query: str, seconds: float = 60) -> list[dict[str, Any]]:
        """The samples of a query as soon as there are any."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := self.ask(query):
                return found
            time.sleep(0.2)
        raise AssertionError(f"nothing came for {query}")

    def rules(self) -> dict[str, dict[str, Any]]:
        """Name -> every rule that it has read."""
        groups = self.client.get("/api/v1/rules").json()["data"]["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}


@contextmanager
def running(config: Path, folder: Path) -> Iterator[Prometheus]:
    """A server with this configuration on a port of its own, ended with the block."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip(f"prometheus {MISSING}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'series'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    found = Prometheus(f"http://127.0.0.1:{port}")
    try:
        _wait_until_ready(found, server, folder / "prometheus.log")
        yield found
    finally:
        found.client.close()
        server.terminate()
        server.wait(30)


def _wait_until_ready(found: Prometheus, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if found.client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"Prometheus does not start: {log.read_text('utf-8', 'replace')[-1000:]}")
