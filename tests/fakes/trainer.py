"""A program that behaves as a trainer, without training: python tests/fakes/trainer.py FOLDER [WORD …]

Reads job.json, counts its steps in progress.json, keeps a checkpoint, goes on from it when it is started again, and
writes result.json. Each start is a line of runs.txt; two that run at once are told there by `TWICE`. Words:

    steps=N wait=SECONDS   how long it takes
    fail                   writes a result that says so, and ends with code 1
    crash=CODE             prints something, and ends with that code and no result
    silent                 ends with code 0 and no result
    hang                   never ends
    deaf                   does not end on SIGTERM
    family                 starts a program of its own that outlives it
    killed=N               kills itself with SIGKILL in its first N starts, after one step
    code=CODE              writes a result that says done, and ends with that code
    outside                names a candidate that is not in the folder
    loud=BYTES             prints so many
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def put(path: Path, content: object) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def note(folder: Path, line: str) -> None:
    with (folder / "runs.txt").open("a") as file:
        file.write(f"{line}\n")


def main(folder: Path, words: dict[str, str]) -> int:
    job = json.loads((folder / "job.json").read_text())
    alone = (folder / "alone.lock").open("w")
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(folder, "TWICE")
    checkpoint = folder / "checkpoints" / "step"
    begun = int(checkpoint.read_text()) if checkpoint.exists() else 0
    note(folder, f"{os.getpid()} {job['job_id']} from step {begun} nice {os.nice(0)}")
    starts = len((folder / "runs.txt").read_text().splitlines())
    if "deaf" in words:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "family" in words:
        child = subprocess.Popen(["sleep", "300"])
        note(folder, f"child {child.pid}")
    if "loud" in words:
        sys.stdout.write("x" * 79 + "\n")
        sys.stdout.write(("y" * 79 + "\n") * (int(words["loud"]) // 80))
    print(f"training {job['job_id']} for someone@example.com", flush=True)
    steps = int(words.get("steps", "3"))
    for step in range(begun, steps):
        put(
            folder / "progress.json",
            {"version": 1, "job_id": job["job_id"], "stage": "train", "step": step + 1, "steps": steps, "loss": 0.5},
        )
        checkpoint.parent.mkdir(exist_ok=True)
        put(checkpoint, step + 1)
        if starts <= int(words.get("killed", "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(words.get("wait", "0.01")))
    while "hang" in words or "deaf" in words:
        time.sleep(0.05)
    return finish(folder, job, words)


def finish(folder: Path, job: dict[str, str], words: dict[str, str]) -> int:
    if "crash" in words:
        print("CUDA error: out of patience", flush=True)
        return int(words["crash"])
    if "silent" in words:
        return 0
    candidate = Path("/etc") if "outside" in words else Path(job["output"])
    if "outside" not in words:
        candidate.mkdir(exist_ok=True)
        (candidate / "model.safetensors").write_bytes(b"weights")
    result = {"version": 1, "job_id": job["job_id"], "outcome": "done", "reason": "", "candidate": str(candidate)}
    if "fail" in words:
        result |= {"outcome": "failed", "reason": "the loss is not a number"}
    put(folder / "result.json", result | {"measures": {"nDCG@10": 0.7}, "seconds": 1.5})
    return 1 if "fail" in words else int(words.get("code", "0"))


if __name__ == "__main__":
    given = dict(word.partition("=")[::2] for word in sys.argv[2:])
    sys.exit(main(Path(sys.argv[1]), given))
