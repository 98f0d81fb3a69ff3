"""What becomes of what was sent to the CSMS: its answer, its refusal or its silence, as core and queues hear it.

Owns what each of them means for each kind of message, in one version. Refuses to know the line and who goes next.
Invariant: whatever was sent is told of once, a durable row as delivered, failed, or given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edged.csms.doubts import Doubts
from edged.csms.items import InquiryItem, NoticeItem, QuestionItem, RowItem, StatusItem
from edged.csms.refusals import Refusals
from edged.csms.reports import Reports
from edged.domain.effects import NoticeKind
from edged.domain.events import (
    BootAnswered,
    BootFailed,
    Event,
    QuestionAnswered,
    RecordGivenUp,
    Registration,
    TokenAnswered,
)
from edged.ocpp.dialect import Dialect
from edged.ocpp.framing import LocalProtocolError
from edged.ocpp.outbox import Outbox, OutboxRow, Parked
from edged.ocpp.rpc import ErrorCode


class Outcomes:
    """One station's, in the words of `dialect`. `post` takes events to the core."""

    def __init__(
        self,
        dialect: Dialect,
        reports: Reports,
        outbox: Outbox,
        *,
        post: Callable[[Event], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self._dialect = dialect
        self._reports = reports
        self._outbox = outbox
        self._post = post
        self._monotonic = monotonic
        self.refusals = Refusals()
        self.doubts = Doubts()
        self.registration: Registration | None = None  # what the CSMS said last: the core may hear of it later

    def answered(self, item: Any, payload: Any) -> None:
        match item:
            case NoticeItem(notice=notice):
                if notice.kind is NoticeKind.HEARTBEAT:
                    self.doubts.settle()
                event = self._dialect.decode_notice_answer(notice, payload)
                if isinstance(event, BootAnswered):
                    self.registration = event.status
                if event is not None or notice.kind is NoticeKind.BOOT:
                    self._post(event or BootFailed())
            case QuestionItem(question=question):
                self._post(self._dialect.decode_authorization(question.ticket, payload))
            case InquiryItem(inquiry=inquiry):
                self._post(self._dialect.decode_question_answer(inquiry.ticket, inquiry.question, payload))
            case StatusItem():
                self._reports.acknowledged(item)
            case RowItem(row=row):
                delivered = self._dialect.decode_record_answer(row.seq, row.record, payload)
                if delivered is not None:
                    self._post(delivered)
                else:
                    self._row_failed(row, "the answer is not one that the version allows")
            case _:
                raise LocalProtocolError("an answer to something that was never asked")

    def refused(self, item: Any, code: ErrorCode) -> None:
        """A CALLERROR that is about this message, not about the station."""
        hopeless = self.refusals.refused(item.row, code) if isinstance(item, RowItem) else ""
        if hopeless:
            self._post(RecordGivenUp(item.row.seq, item.row.record, hopeless))
        else:
            self.without_answer(item, f"CALLERROR {code}")

    def without_answer(self, item: Any, refused: str = "") -> None:
        """`refused`: the CSMS's own word; "" where it said nothing, and may have done what it was asked."""
        match item:
            case NoticeItem(notice=notice):
                if notice.kind is NoticeKind.BOOT:
                    self._post(BootFailed())
            case QuestionItem(question=question):
                self._post(TokenAnswered(question.ticket, None))
            case InquiryItem(inquiry=inquiry):
                self._post(QuestionAnswered(inquiry.ticket, None, refused))
            case StatusItem():
                self._reports.failed(item)
            case RowItem(row=row):
                self._row_failed(row, refused or "no answer in time")
            case _:
                raise LocalProtocolError("a failure of something that was never asked")

    def _row_failed(self, row: OutboxRow, reason: str) -> None:
        outcome = self._outbox.failed(row.seq, self._monotonic())
        if isinstance(outcome, Parked):
            self._post(RecordGivenUp(row.seq, row.record, f"{reason}, {outcome.row.attempts} attempts"))

    def dequeued(self, seq: int) -> None:
        """The commit that forgets the row is done: it goes no more, the next of its lane may."""
        self.refusals.forget(seq)
        self.doubts.settle(seq)
        self._outbox.forget(seq)
