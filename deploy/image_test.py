"""Builds the image without a Docker engine, runs it, and says what it weighs.

Needs root, `buildah` and `debootstrap`; nothing else, and no daemon. The base image is a small Debian with Python 3.11,
made once and kept by buildah. pip inside the build is configured as pip here is, by mounts that leave nothing behind.

    python deploy/image_test.py             the small image: build, run, stop
    python deploy/image_test.py --embed     the one with the embedder too, and how many times larger it is
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
BASE = "localhost/python:3.11-slim"
UID = 10001
SETTINGS = ("index-url", "extra-index-url", "find-links", "cert", "default-timeout", "timeout", "proxy", "trusted-host")
ENVIRONMENT = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
START_WITHIN = 60.0
STOP_WITHIN = 5.0
CANNOT = 75
"""Exit code when this machine cannot build images (EX_TEMPFAIL)."""

CONFIGURATION = """\
service: image-test
database: sqlite:////var/lib/driftwatch/driftwatch.db
sources:
  live: {{kind: query_log, path: queries.jsonl, every: 1s}}
checks:
  - {{name: traffic, kind: volume, source: live}}
api: {{port: {port}}}
notify: [{{kind: console}}]
"""


def buildah(*arguments: str, check: bool = True, quiet: bool = False) -> str:
    """Run buildah; its standard output."""
    done = subprocess.run(["buildah", *arguments], env=ENVIRONMENT, text=True, capture_output=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"buildah {' '.join(arguments[:3])} … failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    if not quiet and done.stderr.strip():
        print(done.stderr.strip()[-500:], file=sys.stderr)
    return done.stdout.strip()


def make_base(work: Path) -> None:
    """A Debian with Python 3.11 under the name that the build asks for, unless there is one already."""
    if buildah("images", "--quiet", BASE, check=False, quiet=True):
        return
    root = work / "base"
    print("making the base image …", flush=True)
    packages = "--include=python3,python3-venv,ca-certificates"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", packages, "bookworm", root], capture_output=True, text=True, check=False
    )
    if made.returncode:
        cannot(f"debootstrap failed: {made.stdout.strip().splitlines()[-1:]}")
    for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "dev"):
        shutil.rmtree(root / waste, ignore_errors=True)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, f"{root}/", "/")
    buildah("commit", "--quiet", container, BASE)
    buildah("rm", container)
    shutil.rmtree(root)


def try_base() -> None:
    """Whether containers run here at all."""
    with container_of(BASE) as container:
        tried = subprocess.run(
            ["buildah", "run", container, "--", "true"], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
    if tried.returncode:
        cannot(f"containers do not run here: {tried.stderr.strip()[-300:]}")


def cannot(why: str) -> NoReturn:
    """Stop because of this machine, not because of the image."""
    print(f"the image was not tested: {why}", file=sys.stderr)
    raise SystemExit(CANNOT)


def pip_mounts(work: Path) -> list[str]:
    """pip's settings of this machine as a mounted file, and the local folders that they name."""
    given = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, text=True, capture_output=True)
    settings: dict[str, list[str]] = {}
    for line in sorted(given.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip("'\"").replace("\\n", " ").split()
    settings["timeout"] = settings.pop("default-timeout", settings.get("timeout", ["60"]))
    kept = {name: values for name, values in settings.items() if name in SETTINGS}
    separator = "\n    "
    text = "".join(f"{name} = {separator.join(values)}\n" for name, values in kept.items())
    (work / "pip.conf").write_text(f"[global]\n{text}")
    mounts = [f"{work / 'pip.conf'}:/etc/pip.conf:ro"]
    folders = {value.removeprefix("file://").removesuffix("/simple") for values in kept.values() for value in values}
    folders = {str(Path(folder).parent) if folder.endswith(".crt") else folder for folder in folders}
    mounts += [f"{folder}:{folder}:ro" for folder in sorted({*folders, "/etc/ssl/certs"}) if Path(folder).is_dir()]
    return [argument for mount in mounts for argument in ("--volume", mount)]


def build(tag: str, extras: str, mounts: list[str]) -> str:
    """Build the Dockerfile; the image's name."""
    image = f"localhost/driftwatch:{tag}"
    print(f"building {image} with the extras {extras} …", flush=True)
    started = time.monotonic()
    arguments = ["--build-arg", f"BASE={BASE}", "--build-arg", f"EXTRAS={extras}", *mounts]
    buildah("bud", "--format", "docker", *arguments, "--tag", image, str(REPOSITORY), quiet=True)
    print(f"built in {time.monotonic() - started:.0f} s", flush=True)
    return image


@contextmanager
def container_of(image: str) -> Iterator[str]:
    """A working container of ``image``."""
    container = buildah("from", image)
    try:
        yield container
    finally:
        buildah("rm", container)


def check_configuration(image: str) -> list[str]:
    """What the image says about itself; its whole command line."""
    described = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["config"]
    assert described["User"] == f"{UID}:{UID}", described["User"]
    assert list(described["Volumes"]) == ["/var/lib/driftwatch"], described["Volumes"]
    assert described["Healthcheck"]["Test"] == ["CMD", "driftwatch", "healthcheck"], described["Healthcheck"]
    assert described["Entrypoint"][:2] == ["tini", "-g"], described["Entrypoint"]
    assert not [line for line in described["Env"] if line.startswith(("PIP_", "SSL_"))], described["Env"]
    command: list[str] = [*described["Entrypoint"], *described["Cmd"]]
    return command


def check_user(container: str) -> None:
    """Nobody in particular, who can write to the state and to nothing else."""
    assert buildah("run", container, "--", "id", "-u") == str(UID)
    for place in ("/etc/driftwatch", "/opt/venv", "/usr", "/"):
        tried = subprocess.run(
            ["buildah", "run", container, "--", "touch", f"{place}/written"],
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
        )
        assert tried.returncode, f"uid {UID} may write to {place}"


def run_and_stop(container: str, command: list[str], work: Path) -> None:
    """The daemon answers its health check, keeps its state on the volume, and ends cleanly when told to."""
    configuration, state = work / "etc", work / "state"
    configuration.mkdir()
    state.mkdir()
    os.chown(state, UID, UID)
    (configuration / "driftwatch.yaml").write_text(CONFIGURATION.format(port=free_port()))
    (configuration / "queries.jsonl").touch()
    # buildah mounts its own volume and ours in no certain order; what the image declares was checked before.
    buildah("config", "--volume", "/var/lib/driftwatch-", container)
    mounts = ["--volume", f"{configuration}:/etc/driftwatch:ro", "--volume", f"{state}:/var/lib/driftwatch"]
    with (work / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(["buildah", "run", *mounts, container, "--", *command], env=ENVIRONMENT, stderr=log)
        try:
            wait_until_healthy(container, mounts, daemon, work / "daemon.log")
            database = state / "driftwatch.db"
            assert database.stat().st_uid == UID, "the database is not on the volume, or not ours"
            stop(daemon)
        finally:
            daemon.kill()


def wait_until_healthy(container: str, mounts: list[str], daemon: subprocess.Popen[bytes], log: Path) -> None:
    """Ask `driftwatch healthcheck` as Docker would."""
    asked = ["buildah", "run", *mounts, container, "--", "driftwatch", "healthcheck"]
    unwell = subprocess.run(asked, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and daemon.poll() is None:
        unwell = subprocess.run(asked, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        if unwell.returncode == 0:
            print(unwell.stdout.strip())
            return
        time.sleep(0.5)
    raise SystemExit(f"never healthy: {unwell.stderr}\nthe daemon said:\n{log.read_text()[-3000:]}")


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """SIGTERM to tini, as `docker stop` sends it."""
    family = psutil.Process(daemon.pid).children(recursive=True)
    init = next(process for process in family if process.name() == "tini")
    inside = init.children(recursive=True)
    started = time.monotonic()
    init.send_signal(signal.SIGTERM)
    code = daemon.wait(STOP_WITHIN + 10)
    took = time.monotonic() - started
    assert code == 0, f"exit code {code} after SIGTERM"
    assert took <= STOP_WITHIN, f"{took:.1f} s to stop"
    assert not any(process.is_running() for process in inside), "something was left behind"
    print(f"stopped cleanly in {took:.1f} s")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def size(container: str) -> tuple[int, int]:
    """Bytes of the whole root file system, and of what driftwatch brought into it."""
    root = Path(buildah("mount", container))
    try:
        return disk_usage(root), disk_usage(root / "opt" / "venv")
    finally:
        buildah("umount", container)


def disk_usage(folder: Path) -> int:
    """Blocks in use, each file once."""
    total, seen = 0, set()
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                found = (Path(place) / name).lstat()
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * 512
    return total


def weigh(name: str, container: str) -> tuple[int, int]:
    """Print what an image weighs, and return it: the whole, and of it what driftwatch brought."""
    whole, ours = size(container)
    print(f"{name}: {whole / 1e6:.0f} MB, {ours / 1e6:.0f} MB of them in /opt/venv", flush=True)
    return whole, ours


def weigh_embedder(mounts: list[str], small: tuple[int, int]) -> None:
    """The image with the embedder: it works, and is far larger."""
    with container_of(build("embed", "embed,lang,postgres", mounts)) as container:
        buildah("run", container, "--", "python3", "-c", "import torch, faiss, sentence_transformers")
        large = weigh("with the embedder", container)
    whole, ours = (big / little for big, little in zip(large, small, strict=True))
    print(f"{whole:.1f} times larger as a whole, {ours:.1f} times without the base")
    assert ours >= 5, "the image without the embedder is not five times smaller"


def main() -> None:
    """Build, run, stop, weigh."""
    options = argparse.ArgumentParser(description="Builds and runs the image with buildah.")
    options.add_argument("--embed", action="store_true", help="also build the image with the embedder")
    given = options.parse_args()
    missing = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        cannot(f"it needs root and: apt-get install buildah debootstrap (missing: {', '.join(missing) or 'root'})")
    with tempfile.TemporaryDirectory(prefix="driftwatch-image-") as folder:
        work = Path(folder)
        make_base(work)
        try_base()
        mounts = pip_mounts(work)
        image = build("slim", "lang,postgres", mounts)
        command = check_configuration(image)
        with container_of(image) as container:
            check_user(container)
            run_and_stop(container, command, work)
            small = weigh("without the embedder", container)
        if given.embed:
            weigh_embedder(mounts, small)
    print("the image is as it should be")


if __name__ == "__main__":
    main()
