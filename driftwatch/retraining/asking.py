"""Slack's buttons, heard as long as a question is open, and not a moment longer."""

from __future__ import annotations

from driftwatch.config import Watch
from driftwatch.notify._slack_question import Asking
from driftwatch.notify._slack_socket import Beat, Listener
from driftwatch.retrain.settings import Approve
from driftwatch.store import Store


class Ears:
    """The listener of one watch, there while it is needed."""

    def __init__(self, watch: Watch, store: Store) -> None:
        self.store = store
        approve = watch.retrain.approve if watch.retrain is not None else None
        self.asking = None if approve is None else _asking(approve)
        self.listener: Listener | None = None

    def prick(self) -> None:
        """Listen if anybody is asked something, else do not."""
        if self.asking is None:
            return
        if self.store.approvals.unfinished():
            self.listener = self.listener or Listener(self.asking, self.store)
            self.listener.start()
        else:
            self.close()

    @property
    def beat(self) -> Beat | None:
        """How the listener is; None while nobody listens."""
        return self.listener.beat if self.listener is not None else None

    def close(self) -> None:
        """Stop listening."""
        if self.listener is not None:
            self.listener.stop()
            self.listener = None


def _asking(approve: Approve) -> Asking:
    token, app_token = approve.token.get_secret_value(), approve.app_token.get_secret_value()
    return Asking(approve.channel, approve.users, token, app_token, approve.base_url)
