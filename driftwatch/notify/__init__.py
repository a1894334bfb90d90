"""Who is told, and how."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import field_validator

from driftwatch.errors import MessageRefused
from driftwatch.notify._sample import sample_notice as sample_notice
from driftwatch.plugins import Kind
from driftwatch.reported.announced import Remembered, WeeklyNotice
from driftwatch.types import Event, Notice

AFTERWARDS = timedelta(minutes=5)
"""For how long an end is repeated to receivers that forget: a member of a cluster may have missed it."""


class Notifier(Kind):
    """The settings that every receiver has."""

    room: ClassVar[str] = "notify"

    name: str = ""
    """How the receiver is called in logs and in the outbox. Default: its kind, numbered when there are several."""
    tell: tuple[Event | Literal["report"], ...] = (
        "firing",
        "resolved",
        "blind",
        "sighted",
        "reminded",
        "acknowledged",
        "explained",
    )
    """Which events it is told; with `report` the weekly report as well."""

    @field_validator("tell")
    @classmethod
    def _can_be_told(cls, tell: tuple[str, ...]) -> tuple[str, ...]:
        if "report" in tell and cls.announce is Notifier.announce:
            raise ValueError("this kind of receiver takes no weekly report. Remove 'report' from its 'tell'.")
        return tell

    @abstractmethod
    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        """Send one notice; returns what this receiver calls the incident's message (Slack: channel and ts).

        ``thread`` is what an earlier delivery about the same incident returned. ``repeat`` is True when an earlier
        attempt at this very notice may have arrived without our learning of it.

        Raises:
            DeliveryError: not taken; try again, after ``retry_after`` seconds when the receiver said so.
            MessageRefused: never to be taken as it is.
        """

    @property
    def again_every(self) -> timedelta | None:
        """How often it has to be told again of what is open, else takes it to be over; None: it remembers."""
        return None

    def tell_again(self, notices: Sequence[Notice], now: datetime) -> None:
        """Say how things stand to a receiver that forgets, for which ``again_every`` is set.

        ``notices``: one for each incident that it was told of and that is open, or was over less than five minutes ago.
        Raises DeliveryError; what was not taken is said the next time.
        """

    def announce(self, notice: WeeklyNotice, remembered: Remembered, *, repeat: bool) -> None:  # noqa: ARG002
        """Tell of one week. ``remembered``: what this receiver has of it already; ``repeat``: an attempt came before.

        Raises:
            DeliveryError: not taken; try again, after ``retry_after`` seconds when the receiver said so.
            MessageRefused: never to be taken as it is.
        """
        raise MessageRefused(f"a receiver of the kind '{type(self).__name__}' takes no weekly report.")

    def reach(self) -> str:
        """Check address and credentials without telling anybody anything; for `validate`. Raises DeliveryError."""
        return "not checked"

    def close(self) -> None:
        """Let go of connections."""
