"""The weekly report in Slack: the pictures first, which nobody sees yet, then one message that shows them.

What Slack has taken is remembered before the next thing is asked of it, so that an attempt goes on where the one before
broke off; whether the message itself arrived is asked of the channel's history. Should Slack not show the pictures in
the message, they come as a reply below it; where it takes no files, the message comes without them and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify._slack_web import SlackSaid, SlackWeb
from driftwatch.notify._text import clean, cut
from driftwatch.notify._weekly import lock_screen, weekly_blocks
from driftwatch.reported.announced import Remembered, WeeklyNotice

EVENT_TYPE = "driftwatch_report"

PATIENCE = 3
"""How often Slack may refuse the message with its pictures, which it takes some seconds to take in."""

_WAIT = 5.0
_NO_FILES = frozenset(
    {"missing_scope", "no_permission", "not_allowed_token_type", "file_uploads_disabled", "file_type_not_allowed",
     "storage_limit_reached", "restricted_action", "unknown_method", "access_denied", "team_access_not_granted"}
)  # fmt: skip
_WITHOUT = "The pictures are in the report only: give the app the scope files:write to see them here."


class SlackWeekly:
    """One week on its way to one channel."""

    def __init__(self, web: SlackWeb, channel: str, notice: WeeklyNotice, remembered: Remembered) -> None:
        self._web = web
        self._channel = channel
        self._notice = notice
        self._remembered = remembered

    def tell(self, *, repeat: bool) -> None:
        """See it through, from where it stands."""
        place = self._remembered.get("message") or (self._find() if repeat else None)
        if place is None:
            place = self._post()
        self._remembered.keep("message", place)
        if self._remembered.get("pictures") == "below":
            self._share(place)

    def _find(self) -> str | None:
        """The message of an attempt whose reply was lost."""
        since = self._notice.announced_at.timestamp()
        found = self._web.find(self._channel, since, lambda payload: payload.get("key") == self._notice.key)
        return ":".join(found) if found else None

    def _post(self) -> str:
        files = self._upload() if self._remembered.get("pictures") is None else {}
        try:
            return self._posted(files)
        except MessageRefused:
            if not files:
                raise
            self._wait_for_pictures()
        return self._posted({})

    def _wait_for_pictures(self) -> None:
        """Slack refuses a message whose pictures it has not taken in; after some patience they come below it."""
        refused = int(self._remembered.get("refused") or 0) + 1
        self._remembered.keep("refused", str(refused))
        if refused < PATIENCE:
            raise DeliveryError("Slack has not taken in the pictures of the report yet.", retry_after=_WAIT)
        self._remembered.keep("pictures", "below")

    def _posted(self, files: Mapping[str, str]) -> str:
        note = _WITHOUT if self._remembered.get("pictures") == "none" else ""
        notice = self._notice
        channel, ts = self._web.post(
            self._channel,
            text=lock_screen(notice.announcement),
            blocks=weekly_blocks(notice, files, note),
            metadata={"event_type": EVENT_TYPE, "event_payload": {"key": notice.key, "part": "report"}},
        )
        return f"{channel}:{ts}"

    # --- pictures --------------------------------------------------------------------------------------------------

    def _upload(self) -> dict[str, str]:
        """Picture -> the id that Slack gave it; uploaded once each, and none where Slack takes no files."""
        files: dict[str, str] = {}
        for upload in self._uploads():
            name = f"file {upload['name']}"
            known = self._remembered.get(name)
            try:
                known = known or self._web.upload([upload])[0]
            except SlackSaid as said:
                if said.code not in _NO_FILES:
                    raise
                self._remembered.keep("pictures", "none")
                return {}
            self._remembered.keep(name, known)
            files[upload["name"]] = known
        return files

    def _uploads(self) -> list[dict[str, Any]]:
        return [
            {
                "name": each.file,
                "filename": self._file_name(each.file),
                "content": self._notice.pictures[each.file],
                "title": cut(clean(each.title, 250), 250),
                "alt_txt": cut(clean(each.words, 950), 950),
            }
            for each in self._notice.announcement.pictures
            if each.file in self._notice.pictures
        ]

    def _file_name(self, file: str) -> str:
        return f"{clean(self._notice.announcement.week, 20)}-{file}"

    def _share(self, place: str) -> None:
        """All of them as one reply below the message, unless it is there."""
        channel, _, ts = place.partition(":")
        uploads = self._uploads()
        names = {each["filename"] for each in uploads}
        if self._web.holds_files(channel, ts, self._notice.announced_at.timestamp(), names):
            self._remembered.keep("pictures", "shown below")
            return
        ids = self._web.upload(uploads, channel=channel, thread_ts=ts)
        self._remembered.keep("pictures", "shown below")
        self._remembered.keep("files below", " ".join(ids))
