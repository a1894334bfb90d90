"""A Qdrant in a process of its own: its engine has threads, and the laboratory forks.

python -m tests.faults.qdrant_process FOLDER        # prints its address; ends when its standard input does
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fakes.qdrant_server import QdrantServer


def main() -> None:
    """Serve until nobody is there any more."""
    with QdrantServer(Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
