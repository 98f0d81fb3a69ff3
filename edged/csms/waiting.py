"""What waits to become a CALL, and who goes first. Perishable things only; the durable ones are the outbox's.

Order: the boot, questions about tokens, then reports and live records in the order in which they arose, then the
backlog of an offline time lane by lane. Invariant: never more than `MAX_WAITING`, reports apart, of which the reporter
hands out few.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from edged.csms.items import InquiryItem, Item, NoticeItem, QuestionItem, RowItem, StatusItem
from edged.domain.effects import Lane, Notify
from edged.domain.events import Registration
from edged.ocpp.outbox import Outbox

MAX_WAITING = 128


class Waiting:
    """`choose` takes the next one out. Truthy while something waits."""

    def __init__(self, outbox: Outbox, monotonic: Callable[[], float]) -> None:
        self._outbox = outbox
        self._monotonic = monotonic
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def push(self, item: Item) -> bool:
        """False: there is too much already, a CSMS that answers nothing does not fill the memory."""
        if len(self._items) >= MAX_WAITING:
            return False
        self._items.append(item)
        return True

    def report(self, item: StatusItem) -> None:
        self._items.append(item)

    def has(self, notice: Notify) -> bool:
        return any(isinstance(item, NoticeItem) and item.notice == notice for item in self._items)

    def inquiries(self) -> list[InquiryItem]:
        return [item for item in self._items if isinstance(item, InquiryItem)]

    def clear(self) -> None:
        self._items.clear()

    def drop_reports(self) -> None:
        self._items = deque(item for item in self._items if not isinstance(item, StatusItem))

    def choose(self, *, serving: bool, registration: Registration, live_from: int) -> Item | RowItem | None:
        """The next message. `live_from`: the first durable record that is no backlog."""
        urgent = next((it for it in self._items if it.is_boot or (serving and isinstance(it, QuestionItem))), None)
        if urgent is not None:
            self._items.remove(urgent)
            return urgent
        if not serving:
            return self._triggered(registration)
        now_s = self._monotonic()
        row = self._outbox.next(now_s, Lane.TRANSACTION.value)
        if self._items:
            first = self._items[0]
            if row is not None and live_from <= row.seq < first.mark:
                return RowItem(row)
            return self._items.popleft()
        for lane in (Lane.SECURITY, Lane.NOTICE):
            row = row or self._outbox.next(now_s, lane.value)
        return None if row is None else RowItem(row)

    def _triggered(self, registration: Registration) -> Item | None:
        """While Pending, only what the CSMS has asked for (16-BOOT-05)."""
        if registration is not Registration.PENDING:
            return None
        for item in self._items:
            if item.triggered:
                self._items.remove(item)
                return item
        return None
