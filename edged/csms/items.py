"""What waits for its turn to become a CALL, or is one: kinds of messages with their words. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from edged.domain.effects import Ask, AskAuthorization, NoticeKind, Notify, ReportKind, ReportPage
from edged.ocpp.dialect import StatusReport
from edged.ocpp.outbox import OutboxRow
from edged.ocpp.rpc import Request


@dataclass(frozen=True, slots=True)
class NoticeItem:
    """A perishable message. `mark`: the first record that arose after it."""

    notice: Notify
    request: Request
    mark: int

    @property
    def is_boot(self) -> bool:
        return self.notice.kind is NoticeKind.BOOT

    @property
    def triggered(self) -> bool:
        return self.notice.triggered


@dataclass(frozen=True, slots=True)
class QuestionItem:
    """A token that the CSMS is asked about."""

    question: AskAuthorization
    request: Request
    mark: int = 0
    triggered: bool = False
    is_boot: bool = False


@dataclass(frozen=True, slots=True)
class InquiryItem:
    """Something else that the CSMS is asked. `mark`: the first record that arose after it."""

    inquiry: Ask
    request: Request
    mark: int
    is_boot: bool = False

    @property
    def triggered(self) -> bool:
        """What a CSMS that has not accepted the station yet may ask for: variables, no other report (2.x B02.FR.02)."""
        question = self.inquiry.question
        return isinstance(question, ReportPage) and question.kind is ReportKind.VARIABLES


@dataclass(frozen=True, slots=True)
class StatusItem:
    """A report. `epoch`: reports of an earlier one count no more."""

    connector: int
    report: StatusReport
    request: Request
    mark: int
    epoch: int
    triggered: bool = False
    is_boot: bool = False


@dataclass(frozen=True, slots=True)
class RowItem:
    """A durable record."""

    row: OutboxRow


Item = NoticeItem | QuestionItem | InquiryItem | StatusItem
