"""Uploads of diagnostics and of the security log. 1.6 §5.9 and whitepaper N01, 2.x N01.

Refuses to know: what is in a log and how it is sent. Invariants: one upload at a time, the newest order's · Uploading
is told once, and its end once, unless a newer order takes its place in a version without a word for that · an upload
goes on after a restart.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from edged.domain.answers import FileStatus, Reason
from edged.domain.commands import GetLog
from edged.domain.effects import Abandon, Commission, LogRecord
from edged.domain.events import JobDone
from edged.domain.files import LogKind, LogOrder, LogUpload, UploadStatus
from edged.domain.jobs import Cause, Failed, SendLog
from edged.domain.location import usable
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.types import Now

MAX_FILENAME_CHARS: Final = 255
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]+")
_ENDINGS: Final = {LogKind.DIAGNOSTICS: "diagnostics{}.tar.gz", LogKind.SECURITY: "security{}.log"}
_FAILURES: Final = {
    Cause.REFUSED: UploadStatus.PERMISSION_DENIED,
    Cause.BAD_REQUEST: UploadStatus.BAD_MESSAGE,
    Cause.UNSUPPORTED: UploadStatus.NOT_SUPPORTED,
}


def order(draft: Draft, event: GetLog) -> None:
    """Accepted with the file's name; Rejected where the address is none of a file or no time lies in between."""
    wanted = event.order
    if not usable(draft.station, wanted.location):
        draft.reply(
            event.request, FileStatus.REJECTED, "the location is no address of a file", reason=Reason.INVALID_URL
        )
        return
    if wanted.oldest is not None and wanted.latest is not None and wanted.oldest > wanted.latest:
        draft.reply(event.request, FileStatus.REJECTED, "there is nothing between these times", reason=Reason.NOT_FOUND)
        return
    canceled = _cancel(draft)
    wanted = replace(wanted, filename=filename(draft.station, wanted, draft.now))
    status = FileStatus.ACCEPTED_CANCELED if canceled else FileStatus.ACCEPTED
    draft.reply(event.request, status, data=wanted.filename)
    draft.update(upload=LogUpload(order=wanted))
    _advance(draft, UploadStatus.UPLOADING)


def filename(station: Station, order: LogOrder, now: Now) -> str:
    """Of characters that every server takes; says whose, what, when and for which request."""
    whose = _UNSAFE.sub("-", station.identity.id)[:64]
    when = now.utc.strftime("%Y%m%dT%H%M%SZ")
    named = "" if order.request_id is None else f"-{abs(order.request_id)}"
    return f"{whose}_{when}_{_ENDINGS[order.kind].format(named)}"[-MAX_FILENAME_CHARS:]


def _cancel(draft: Draft) -> bool:
    """The newer order wins (N01.FR.11); the older one's end is told where there is a word for it (2.x N01.FR.20)."""
    current = draft.station.upload
    if current is None or current.status is not UploadStatus.UPLOADING:
        return False
    if current.ticket is not None:
        draft.emit(Abandon(current.ticket))
    _advance(draft, UploadStatus.CANCELED, "a newer order took its place")
    return True


def refresh(draft: Draft) -> None:
    """Commission the upload where nobody is at it in this run."""
    upload = draft.station.upload
    if upload is None or upload.status is not UploadStatus.UPLOADING or upload.ticket is not None:
        return
    if draft.station.reset is None:
        ticket = draft.ticket()
        draft.update(upload=replace(upload, ticket=ticket))
        draft.emit(Commission(ticket, SendLog(upload.order)))


def done(draft: Draft, event: JobDone) -> None:
    upload = draft.station.upload
    if upload is None or upload.ticket != event.ticket:
        return
    if isinstance(event.outcome, Failed):
        status = _FAILURES.get(event.outcome.cause, UploadStatus.UPLOAD_FAILURE)
        _advance(draft, status, event.outcome.reason)
    else:
        _advance(draft, UploadStatus.UPLOADED)


def _advance(draft: Draft, status: UploadStatus, reason: str = "") -> None:
    upload = draft.station.upload
    assert upload is not None
    draft.update(upload=replace(upload, status=status, ticket=None))
    if status in draft.station.policy.upload_statuses:
        draft.enqueue(LogRecord(status, upload.order.kind, upload.order.request_id))
    detail = {"reason": reason} if reason else {}
    draft.announce("log.status", None, status=status.value, file=upload.order.filename, **detail)


def shown(station: Station, *, named: bool) -> tuple[UploadStatus, int | None]:
    """What a triggered notification says: Uploading while it is so, otherwise Idle without a request id (N01.FR.12).
    `named` False: of an upload that has no request id."""
    upload = station.upload
    if upload is None or upload.status is not UploadStatus.UPLOADING:
        return UploadStatus.IDLE, None
    if (upload.order.request_id is not None) is not named:
        return UploadStatus.IDLE, None
    return upload.status, upload.order.request_id
