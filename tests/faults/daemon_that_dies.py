"""The real daemon, killed with SIGKILL at one chosen write or send.

Points are counted over every statement that changes the database, both sides of every commit, and both sides of every
delivery. ``DIE_AT=0`` only counts. The count so far is kept in the file ``POINTS``, so that whoever started us knows
how far we came.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

from driftwatch import cli
from driftwatch.notify import Notifier
from driftwatch.plugins import find_kind

DIE_AT = int(os.environ["DIE_AT"])
POINTS = Path(os.environ["POINTS"])
CHANGES = ("INSERT", "UPDATE", "DELETE")

lock = threading.Lock()
count = 0


def point(name: str) -> None:
    """One place at which the process may die."""
    global count
    with lock:
        count += 1
        with POINTS.open("a") as file:
            file.write(f"{count} {name}\n")
        if count == DIE_AT:
            os.kill(os.getpid(), signal.SIGKILL)


@event.listens_for(Engine, "before_cursor_execute")
def before_change(_conn, _cursor, statement: str, *_rest) -> None:
    words = statement.split()
    if words and words[0].upper() in CHANGES:
        point("before " + " ".join(words[:3]))


@event.listens_for(Engine, "commit")
def before_commit(_conn) -> None:
    point("before commit")


def around(cls: type[Notifier]) -> None:
    """Points before and after the receiver has been told."""
    deliver = cls.deliver

    def delivered(self, notice, thread, *, repeat):
        point(f"before telling {self.name} {notice.event}")
        told = deliver(self, notice, thread, repeat=repeat)
        point(f"after telling {self.name} {notice.event}")
        return told

    cls.deliver = delivered  # type: ignore[method-assign]


for kind in ("webhook", "slack"):
    around(find_kind("notify", kind))  # type: ignore[arg-type]

if __name__ == "__main__":
    cli.main()
