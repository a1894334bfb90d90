"""Evidently's page, made in a process of its own: ``python -m driftwatch.report.drift_page ROWS.npz FOLDER``.

It costs some hundred megabytes and many seconds of imports, and what goes wrong in it must go wrong in nothing else.
Its last line of output is what it made, or its last line of errors what went wrong.
"""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

PAGE, VECTORS_PAGE = "evidently.html", "evidently-embeddings.html"

MEMORY = 8 << 30
"""Bytes of addresses that the process may take; of memory it uses a tenth."""

SECONDS = 600
"""Of its processor: it may have to end by itself, when who waited for it was killed."""

DIMENSIONS = 32
"""Principal components of the embeddings that are compared: every further one costs a second and says less."""

_ACTIVE = re.compile(r"[^\w .:()/+-]")
"""Evidently writes names into a script as they are."""


def make(rows: Path, folder: Path) -> str:
    """Write the pages; returns what is in them.

    Raises:
        ImportError: Evidently or pandas is missing, or they do not fit each other.
        ValueError: there is nothing to compare.
    """
    with np.load(rows, allow_pickle=False) as given:
        arrays = {name: given[name] for name in given.files}
    now, usual = _frames(arrays)
    _compared(now, usual).save_html(str(folder / PAGE))
    said = f"{now.shape[1]} columns of {len(now) + len(usual):,} sampled queries"
    vectors = arrays["now_vectors"], arrays["usual_vectors"]
    if not all(map(len, vectors)) or vectors[0].shape[1] != vectors[1].shape[1]:
        return said
    _embedded(*vectors).save_html(str(folder / VECTORS_PAGE))
    return f"{said}, and the embeddings of {sum(map(len, vectors)):,}"


def _frames(arrays: dict[str, NDArray[Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Week and baseline, without columns that one of them has no value in: Evidently breaks on those."""
    import pandas as pd

    found = []
    for side in ("now", "usual"):
        columns = {name.partition("/")[2]: column for name, column in arrays.items() if name.startswith(f"{side}/")}
        found.append(pd.DataFrame({name: _harmless(column) for name, column in columns.items()}))
    now, usual = found
    kept = [
        name for name in now.columns if name in usual.columns and now[name].notna().any() and usual[name].notna().any()
    ]
    if not kept:
        raise ValueError("no column has a value both in the week and in the baseline")
    return now[kept], usual[kept]


def _harmless(column: NDArray[Any]) -> Any:
    """Numbers as they are; of names, what no page can take for anything else."""
    if column.dtype.kind == "f":
        return column
    names, where = np.unique(column, return_inverse=True)
    clean = np.array([_ACTIVE.sub("_", str(name))[:40] or "_" for name in names], dtype=object)
    return clean[where]


def _compared(now: pd.DataFrame, usual: pd.DataFrame) -> Any:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift
    from evidently.presets import DataDriftPreset

    numbers = [name for name in now.columns if now[name].dtype.kind == "f"]
    names = [name for name in now.columns if name not in numbers]
    kinds = DataDefinition(numerical_columns=numbers, categorical_columns=names)
    shown = [ValueDrift(column=name) for name in now.columns]
    return Report([DataDriftPreset(), *shown]).run(
        Dataset.from_pandas(now, data_definition=kinds), Dataset.from_pandas(usual, data_definition=kinds)
    )


def _embedded(now: NDArray[np.float32], usual: NDArray[np.float32]) -> Any:
    """A classifier that tells the week's vectors from the baseline's, and a map of both."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics.embeddings import EmbeddingsDrift, ModelDriftMethod

    names = [f"component {number + 1}" for number in range(min(DIMENSIONS, now.shape[1]))]
    kinds = DataDefinition(numerical_columns=names, embeddings={"queries": names})
    both = np.concatenate([now, usual]).astype(np.float64)
    _, _, axes = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    reduced = pd.DataFrame((both - both.mean(axis=0)) @ axes[: len(names)].T, columns=names[: len(axes)])
    return Report([EmbeddingsDrift(embeddings_name="queries", drift_method=ModelDriftMethod())]).run(
        Dataset.from_pandas(reduced[: len(now)].reset_index(drop=True), data_definition=kinds),
        Dataset.from_pandas(reduced[len(now) :].reset_index(drop=True), data_definition=kinds),
    )


def _bounded() -> None:
    """Ask the system to end this process rather than the machine."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Make the pages of the rows that the arguments name."""
    if sys.platform != "win32":
        _bounded()
    warnings.simplefilter("ignore")  # what its libraries say of one another concerns nobody here
    try:
        print(make(Path(sys.argv[1]), Path(sys.argv[2])))
    except MemoryError:
        print(f"it needs more than {MEMORY >> 30} GiB of memory", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001  whatever it is, it is said in the report and nothing else is touched
        print(f"{type(error).__name__}: {error}".replace("\n", " ")[:300], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
