"""A program that trains nothing: python tests/fakes/spoils.py JOB_FILE MODEL gives MODEL out as the candidate."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path


def main(job_file: Path, model: Path) -> None:
    job = json.loads(job_file.read_text())
    shutil.copytree(model, job["output"])
    result = {"version": 1, "job_id": job["job_id"], "outcome": "done", "candidate": job["output"], "measures": {}}
    (job_file.parent / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
