"""Everything driftwatch raises on purpose.

::

    DriftwatchError                 one sentence for a person, and what to do about it
    ├── ConfigError                 a file the user wrote is wrong: file, line, value, remedy
    │   └── ConfigErrors            everything that is wrong with the configuration, at once
    ├── SourceError                 canaries or a log that cannot be read at all
    │   └── RecordsRefused          pushed records that are wrong, each with its place, field, value and remedy
    ├── RetrieverError              the watched service could not be asked; the reason is the message
    ├── EmbedError                  the model cannot be loaded, or does not fit what it is used with
    ├── StoreError                  the database refuses, is newer than the code, or is in use
    │   └── LeaderElsewhere         another driftwatch already writes to this database
    ├── DeliveryError               a receiver did not take a message; it will be tried again
    │   └── MessageRefused          the receiver read the message and will never take it as it is
    ├── ReportError                 a weekly report cannot be made, kept or read
    ├── RetrainError                a better model cannot be prepared, proved or switched on
    │   └── TooLittle               there is not enough to train on, or to judge by; how much there is and is needed
    └── MissingExtra                an optional package is not installed
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class DriftwatchError(Exception):
    """One sentence that says what is wrong, and a remedy."""

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}".strip())


class ConfigError(DriftwatchError):
    """A file the user wrote is wrong.

    ``str(error)`` reads ``checks/canaries.yaml:4: Canary has no setting 'mesure'. Did you mean 'measure'?``
    """

    def __init__(
        self, problem: str, *, file: str | Path | None = None, line: int | None = None, remedy: str = ""
    ) -> None:
        self.file = str(file) if file is not None else None
        self.line = line
        place = ":".join(str(part) for part in (self.file, line) if part is not None)
        super().__init__(f"{place}: {problem}" if place else problem, remedy=remedy)


class ConfigErrors(ConfigError):
    """Everything that is wrong with the configuration, by file and line; ``str`` has one problem a line."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        different = {str(error): error for error in errors}
        self.errors = tuple(sorted(different.values(), key=lambda error: (error.file or "", error.line or 0)))
        super().__init__("\n".join(str(error) for error in self.errors))


class SourceError(DriftwatchError):
    """Canaries or a log that cannot be read at all."""


class RecordsRefused(SourceError):
    """Pushed records that are wrong; none of the request was counted.

    ``errors`` are JSON objects with ``index``, ``field``, ``value``, ``remedy`` and ``message``: the first of them.
    """

    def __init__(self, errors: Iterable[dict[str, str | int]], wrong: int, sent: int) -> None:
        self.errors = tuple(errors)
        shown = "\n".join(f"record {error['index']}: {error['message']}" for error in self.errors)
        super().__init__(f"{wrong} of {sent} records are wrong; nothing was stored.\n{shown}")


class RetrieverError(DriftwatchError):
    """The watched service could not be asked."""


class EmbedError(DriftwatchError):
    """The embedding model cannot be loaded, or does not fit what it is used with."""


class StoreError(DriftwatchError):
    """The database refuses, is newer than the code, or cannot be reached."""


class LeaderElsewhere(StoreError):
    """Another driftwatch already writes to this database."""


class DeliveryError(DriftwatchError):
    """A receiver did not take a message; it stays in the outbox and is tried again.

    ``retry_after`` is what the receiver asked for, in seconds; None when it did not say.
    """

    def __init__(self, problem: str, *, retry_after: float | None = None, remedy: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(problem, remedy=remedy)


class MessageRefused(DeliveryError):
    """The receiver read the message and will never take it as it is (for example, it is too long)."""


class ReportError(DriftwatchError):
    """A weekly report cannot be made, kept or read."""


class RetrainError(DriftwatchError):
    """A better model cannot be prepared, proved or switched on."""


class TooLittle(RetrainError):
    """There is not enough to train on, or to judge by; says how much there is, and how much is needed."""


class MissingExtra(DriftwatchError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed.",
            remedy=f"pip install 'driftwatch-rag[{extra}]'",
        )
