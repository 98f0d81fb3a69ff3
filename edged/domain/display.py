"""Messages and costs for whoever looks at a display. 2.x O01 to O06, I01 to I06.

edged drives no display of its own: a site that has one takes from MQTT what is to be shown (`shown`, `bill`), and says
so in its configuration. Without one every message is refused: what nobody sees must not be called accepted.

Invariants: at most `MAX_MESSAGES` · a message that is over, or whose transaction is, is gone in the same step · dates
are judged only by a clock that can be trusted · costs are never made up, only repeated.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain import reporting
from edged.domain.answers import DisplayStatus, MessagesStatus, Reason, Verdict
from edged.domain.commands import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage, TellCost
from edged.domain.displays import Bill, DisplayMessage, MessagePriority, MessageState
from edged.domain.effects import RecordKind, ReportKind, TransactionRecord
from edged.domain.events import RecordDelivered
from edged.domain.station import Station, Transaction
from edged.domain.transition import Draft, drop, put
from edged.domain.types import Now, PersonalMessage, Phase

MAX_MESSAGES = 42
FORMATS = ("ASCII", "URI", "UTF8")
"""No HTML: what a CSMS sends would run in the page of whoever shows it."""
NO_DISPLAY = "this site has no display"
_CHARGING = frozenset({Phase.CHARGING, Phase.SUSPENDED_EV, Phase.SUSPENDED_EVSE})

# --- messages


def set_message(draft: Draft, event: SetDisplayMessage) -> None:
    """SetDisplayMessage: one with the same id takes the former's place (O06), a second AlwaysFront the first's."""
    station, message = draft.station, event.message
    status, detail, reason = _judge(station, message, draft.now)
    if status is not DisplayStatus.ACCEPTED:
        draft.reply(event.request, status, detail, reason=reason)
        return
    kept = {
        number: other
        for number, other in station.display_messages.items()
        if not (message.priority is MessagePriority.ALWAYS_FRONT and _same_front(message, other))
    }
    draft.update(display_messages=put(kept, message.id, message))
    draft.reply(event.request, status)


def _same_front(one: DisplayMessage, other: DisplayMessage) -> bool:
    return other.priority is MessagePriority.ALWAYS_FRONT and other.transaction_id == one.transaction_id


def _judge(station: Station, message: DisplayMessage, now: Now) -> tuple[DisplayStatus, str, str]:
    """The answer, why for people, and for machines."""
    rejected = DisplayStatus.REJECTED
    if not station.rules.has_display:
        return rejected, NO_DISPLAY, Reason.UNSUPPORTED_REQUEST
    if not station.configuration.flag("DisplayMessagesEnabled"):
        return rejected, "display messages are switched off", Reason.NOT_ENABLED
    if message.content.format not in FORMATS:
        return DisplayStatus.NOT_SUPPORTED_FORMAT, f"formats are {', '.join(FORMATS)}", Reason.UNSUPPORTED_PARAM
    if message.transaction_id is not None and _active(station, message.transaction_id) is None:
        return DisplayStatus.UNKNOWN_TRANSACTION, "no such transaction is running", Reason.TX_NOT_FOUND
    if _over(message, now) or _never(message):
        return rejected, "the message would be over already", Reason.INVALID_VALUE
    if message.id not in station.display_messages and len(station.display_messages) >= MAX_MESSAGES:
        return rejected, f"{MAX_MESSAGES} messages are there already", Reason.TOO_MANY_ELEMENTS
    return DisplayStatus.ACCEPTED, "", ""


def _active(station: Station, transaction_id: str) -> Transaction | None:
    found = station.transactions.get(transaction_id)
    return found if found is not None and found.active else None


def _over(message: DisplayMessage, now: Now) -> bool:
    return message.ends_at is not None and now.synchronized and now.utc >= message.ends_at


def _never(message: DisplayMessage) -> bool:
    return message.starts_at is not None and message.ends_at is not None and message.ends_at <= message.starts_at


def tell_messages(draft: Draft, event: GetDisplayMessages) -> None:
    """GetDisplayMessages: those that fit every given criterion, in NotifyDisplayMessages; Unknown where none does."""
    found = tuple(
        message
        for number, message in sorted(draft.station.display_messages.items())
        if (not event.ids or number in event.ids)
        and event.priority in (None, message.priority)
        and event.state in (None, message.state)
    )
    if not found or not reporting.has_room(draft.station):
        draft.reply(event.request, MessagesStatus.UNKNOWN)
        return
    draft.reply(event.request, MessagesStatus.ACCEPTED)
    reporting.begin(draft, ReportKind.DISPLAY_MESSAGES, event.request_id, found)


def clear_message(draft: Draft, event: ClearDisplayMessage) -> None:
    if event.message_id not in draft.station.display_messages:
        draft.reply(event.request, MessagesStatus.UNKNOWN)
        return
    draft.update(display_messages=drop(draft.station.display_messages, event.message_id))
    draft.reply(event.request, MessagesStatus.ACCEPTED)


def refresh(draft: Draft) -> None:
    """Forget what is over, and the bills of places where the next driver has come."""
    station = draft.station
    over = [
        number
        for number, message in station.display_messages.items()
        if _over(message, draft.now)
        or (message.transaction_id is not None and _active(station, message.transaction_id) is None)
    ]
    for number in over:
        draft.update(display_messages=drop(draft.station.display_messages, number))
    for number, bill in station.bills.items():
        connector, running = station.connectors[number], station.running(number)
        gone = running is None and connector.authorization is None and not connector.plugged
        if gone or (running is not None and bill.transaction_id not in (None, running.id)):
            draft.update(bills=drop(draft.station.bills, number))
        elif running is not None and bill.transaction_id is None:
            draft.update(bills=put(draft.station.bills, number, replace(bill, transaction_id=running.id)))


# --- what is shown


def shown(station: Station, number: int, now: Now) -> tuple[DisplayMessage, ...]:
    """What a display at a connector shows in turn: an AlwaysFront alone, else those in front, else the others. Nothing
    while they are switched off."""
    if not station.configuration.flag("DisplayMessagesEnabled"):
        return ()
    running = station.running(number)
    current = [
        message
        for _, message in sorted(station.display_messages.items())
        if _begun(message, now)
        and message.state in (None, state_of(station, number))
        and (message.transaction_id is None or (running is not None and message.transaction_id == running.id))
    ]
    for priority in MessagePriority:
        chosen = tuple(message for message in current if message.priority is priority)
        if chosen:
            return chosen
    return ()


def _begun(message: DisplayMessage, now: Now) -> bool:
    return message.starts_at is None or (now.synchronized and now.utc >= message.starts_at)


def to_begin(station: Station, now: Now) -> int:
    """How many messages are shown only later."""
    return sum(not _begun(message, now) for message in station.display_messages.values())


def state_of(station: Station, number: int) -> MessageState:
    connector = station.connectors[number]
    if connector.blocked:
        return MessageState.FAULTED
    if station.running(number) is not None and connector.phase in _CHARGING:
        return MessageState.CHARGING
    return MessageState.IDLE if station.effective(number) else MessageState.UNAVAILABLE


# --- costs


def tell_cost(draft: Draft, event: TellCost) -> None:
    """CostUpdated: the running total of a transaction (I02). There is no word for refusing it."""
    transaction = _active(draft.station, event.transaction_id)
    if transaction is not None:
        _bill(draft, transaction.connector, transaction.id, total=event.total)
    draft.reply(event.request, Verdict.ACCEPTED)


def judged(draft: Draft, number: int, message: PersonalMessage | None) -> None:
    """A driver was let in: the tariff, as the CSMS words it, else the site's own words (I01, I04)."""
    fallback = draft.station.configuration.text("TariffFallbackMessage")
    if message is None and fallback:
        message = PersonalMessage(fallback, "UTF8")
    told = draft.station.rules.has_display and draft.station.configuration.flag("TariffEnabled")
    others = drop(draft.station.bills, number)
    draft.update(bills=put(others, number, Bill(message=message)) if told and message is not None else others)


def delivered(draft: Draft, event: RecordDelivered) -> None:
    """The CSMS's answer to a TransactionEvent may bring the cost so far, and another message (I02, I03)."""
    record = event.record
    if not isinstance(record, TransactionRecord):
        return
    final = record.kind is RecordKind.ENDED
    if event.cost is None and event.message is None and not final:
        return
    _bill(draft, record.connector, record.transaction_id, total=event.cost, message=event.message, final=final)


def _bill(
    draft: Draft,
    number: int,
    transaction_id: str,
    *,
    total: float | None = None,
    message: PersonalMessage | None = None,
    final: bool = False,
) -> None:
    """Of the present driver's session only: an answer that comes late says nothing to the next one."""
    told = draft.station.rules.has_display and draft.station.configuration.flag("CostEnabled")
    if not told or number not in draft.station.connectors:
        return
    running = draft.station.running(number)
    if running is not None and running.id != transaction_id:
        return
    bill = draft.station.bills.get(number, Bill())
    if bill.transaction_id not in (None, transaction_id):
        return
    fallback = draft.station.configuration.text("TotalCostFallbackMessage")
    if final and total is None and bill.total is None and message is None and fallback:
        message = PersonalMessage(fallback, "UTF8")  # I05
    bill = replace(
        bill,
        transaction_id=transaction_id,
        total=bill.total if total is None else total,
        message=bill.message if message is None else message,
        final=final,
    )
    if bill != draft.station.bills.get(number):
        draft.update(bills=put(draft.station.bills, number, bill))
