"""Reports in pages: what a command asked for and is too much for its answer. 2.x B07, B08, K09, N02, N09, O03.

One page of a report is under way at a time, the next follows its answer: however large a report is and however slow the
line, little waits. A line that breaks ends a report, for whoever asked asks again; nothing of it is kept.

Refuses to know: what the items are and how a page is worded.
"""

from __future__ import annotations

from typing import Any

from edged.domain.effects import Ask, ReportKind, ReportPage
from edged.domain.events import QuestionAnswered
from edged.domain.pending import PendingReport
from edged.domain.station import Station
from edged.domain.transition import Draft

PAGE_ITEMS = 40
_ITEMS = {ReportKind.CHARGING_PROFILES: 1, ReportKind.CUSTOMER: 1}
"""What is told in smaller pages: one group of profiles, one text a message."""
MAX_REPORTS = 8
"""Under way at a time. Who asks for more is told to come again."""


def has_room(station: Station) -> bool:
    """Whether one more report can be begun."""
    return sum(isinstance(pending, PendingReport) for pending in station.pending.values()) < MAX_REPORTS


def begin(draft: Draft, kind: ReportKind, request_id: int, items: tuple[Any, ...]) -> None:
    """Tell these items under a request's id, from the next message on. Without items a single empty page is told."""
    report = PendingReport(
        ticket=draft.ticket(),
        kind=kind,
        request_id=request_id,
        items=items,
        generated_at=draft.station.stamp(draft.now),
    )
    _send(draft, report)


def _send(draft: Draft, report: PendingReport) -> None:
    draft.wait(report)
    page = ReportPage(
        kind=report.kind,
        request_id=report.request_id,
        seq_no=report.seq_no,
        more=len(report.items) > _page_items(report),
        generated_at=report.generated_at,
        items=report.items[: _page_items(report)],
    )
    draft.emit(Ask(report.ticket, page))


def _page_items(report: PendingReport) -> int:
    return _ITEMS.get(report.kind, PAGE_ITEMS)


def answered(draft: Draft, event: QuestionAnswered) -> None:
    """A page was taken, or refused: either way the next one follows. Without an answer the report is over."""
    report = draft.station.pending.get(event.ticket)
    if not isinstance(report, PendingReport):
        return
    draft.settle(report.ticket)
    left = report.items[_page_items(report) :]
    if not left or (event.answer is None and not event.refused):
        return
    _send(
        draft,
        PendingReport(
            ticket=draft.ticket(),
            kind=report.kind,
            request_id=report.request_id,
            items=left,
            generated_at=report.generated_at,
            seq_no=report.seq_no + 1,
        ),
    )
