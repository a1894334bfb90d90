"""One step of one job, in a process of its own: ``python -m driftwatch.retraining.worker CONFIG FOLDER NOW``.

How it ended stands in the step's ``result.json``. Killed anywhere it is started again, and goes on with what is there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from driftwatch.config import load_watch
from driftwatch.errors import DriftwatchError, TooLittle
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retraining.course import MADE, Course
from driftwatch.retraining.work import Work
from driftwatch.store import Store


def steps() -> Mapping[str, Callable[[Work], str]]:
    """Step -> what does it, and says in a sentence what it did."""
    from driftwatch.retraining.judging import judge_candidate
    from driftwatch.retraining.preparing import collect, mine_rows
    from driftwatch.retraining.promoting import promote

    return {"pairs": collect, "mine": mine_rows, "judge": judge_candidate, "promote": promote}


def work_on(work: Work) -> str:
    """Do the step that the folder is named after, and write down how it ended; the outcome."""
    return _ended(work.folder, lambda: _done(work))


def main(config: Path, folder: Path, now: datetime) -> int:
    """Do one step; whatever is not its own error ends the process, and is seen in its log."""
    place = JobFolder(folder)

    def work() -> str:
        with ExitStack() as stack:
            watch = load_watch(config)
            store = Store.open(watch.database)
            stack.callback(store.close)
            return _done(Work(watch, store, Course(folder.parents[1]), place, now))

    _ended(place, work)
    return 0


def _done(work: Work) -> str:
    work.made.mkdir(parents=True, exist_ok=True)
    return steps()[work.folder.job_id.partition("-")[0]](work)


def _ended(folder: JobFolder, work: Callable[[], str]) -> str:
    """Do it, and write down how it ended; the outcome. What failed may be out of reach only now, as a disk may be."""
    outcome, reason = "done", ""
    started = datetime.now(UTC)
    try:
        reason = work()
    except TooLittle as error:
        outcome, reason = "refused", str(error)
    except (DriftwatchError, OSError) as error:
        outcome, reason = "failed", str(error)
    times = {"started": started, "finished": datetime.now(UTC)}
    content = {"outcome": outcome, "reason": reason, "candidate": MADE if outcome == "done" else "", **times}
    write_json(folder.path / "result.json", {"version": 1, "job_id": folder.job_id, **content})
    return outcome


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])))
