"""DataTransfer in both directions. 1.6 §4.3/5.6, 2.x P.

A site registers vendors: whose data is taken, and with what it is answered. To take data means to keep it in the
history and to say that it came; what it means is the affair of those who read it.

Invariants: every transfer that reached the other side, or may have, is one entry of the history, written when its
answer is known · what is kept is bounded, and says how long it was · at most `MAX_UNDER_WAY` questions wait.

A transfer to the CSMS whose answer the power cut took has no entry: nobody knows whether it arrived, and its requester
was told nothing either.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain.answers import TransferStatus, Undelivered
from edged.domain.commands import ReceiveData, SendData
from edged.domain.effects import Ask, DataQuestion, Keep
from edged.domain.events import DataAnswer, QuestionAnswered
from edged.domain.journal import Direction, TransferEntry
from edged.domain.pending import PendingData
from edged.domain.station import Station
from edged.domain.transition import Draft

MAX_UNDER_WAY = 4
MAX_KEPT_CHARS = 4096
MAX_ANSWER_CHARS = 64 * 1024
WAIT_S = 120.0
"""How long an answer is waited for at least; twice the CSMS's own time where that is more."""
NO_ANSWER = "NoAnswer"
"""The history's word for a transfer that may have arrived."""


def receive(draft: Draft, event: ReceiveData) -> None:
    """DataTransfer from the CSMS: kept before it is answered."""
    status, answer = _judge(draft.station, event)
    entry = TransferEntry(
        at=draft.station.stamp(draft.now),
        direction=Direction.FROM_CSMS,
        source=event.request.channel,
        vendor_id=event.vendor_id,
        message_id=event.message_id,
        data=event.data,
        data_chars=len(event.data or ""),
        status=status.value,
        answer=answer,
    )
    _note(draft, entry)
    draft.reply(event.request, status, data=answer)


def _judge(station: Station, event: ReceiveData) -> tuple[TransferStatus, str | None]:
    """Vendors and messages are compared ignoring case (1.6: both are CiStrings)."""
    vendor = station.rules.vendors.get(event.vendor_id.casefold())
    if vendor is None:
        return TransferStatus.UNKNOWN_VENDOR, None
    if vendor.messages and (event.message_id or "").casefold() not in vendor.messages:
        return TransferStatus.UNKNOWN_MESSAGE, None
    return vendor.status, vendor.answer


def send(draft: Draft, event: SendData) -> None:
    """DataTransfer to the CSMS for a local actor. Never stored for later: old data could mislead."""
    waiting = sum(isinstance(pending, PendingData) for pending in draft.station.pending.values())
    if not draft.station.link.serving:
        draft.reply(event.request, Undelivered.OFFLINE, "the CSMS is away, or has not accepted the station")
        return
    if draft.station.reset is not None:
        draft.reply(event.request, Undelivered.BUSY, "the station restarts")
        return
    if waiting >= MAX_UNDER_WAY:
        draft.reply(event.request, Undelivered.BUSY, f"{waiting} data transfers wait for their answers")
        return
    ticket = draft.ticket()
    answer_s = 2.0 * draft.station.configuration.number("MessageTimeout")
    draft.wait(
        PendingData(
            ticket=ticket,
            request=event.request,
            vendor_id=event.vendor_id,
            message_id=event.message_id,
            data=event.data,
            since=draft.station.stamp(draft.now),
            until_s=draft.now.monotonic_s + max(WAIT_S, answer_s),
        )
    )
    draft.emit(Ask(ticket, DataQuestion(event.vendor_id, event.message_id, event.data)))


def answered(draft: Draft, event: QuestionAnswered) -> None:
    """The CSMS's answer, or that there is none."""
    pending = draft.station.pending.get(event.ticket)
    if not isinstance(pending, PendingData):
        return
    if isinstance(event.answer, DataAnswer):
        draft.settle(event.ticket)
        _note(draft, _sent(pending, event.answer.status.value, event.answer.data))
        data = event.answer.data
        draft.reply(pending.request, event.answer.status, data=data and data[:MAX_ANSWER_CHARS])
        return
    _without_answer(draft, pending, event.refused or "the line went, or no answer came in time that can be read")


def refresh(draft: Draft) -> None:
    """Give up what nobody has answered for too long: a line that is up and dead leaves its questions waiting."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingData) and draft.now.monotonic_s >= pending.until_s:
            _without_answer(draft, pending, "no answer in time")


def give_up(draft: Draft, reason: str) -> None:
    """Whoever waits for the CSMS's answer is told that there is none."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingData):
            _without_answer(draft, pending, reason)


def _without_answer(draft: Draft, pending: PendingData, reason: str) -> None:
    draft.settle(pending.ticket)
    _note(draft, _sent(pending, NO_ANSWER, None))
    draft.reply(pending.request, Undelivered.NO_ANSWER, reason)


def _sent(pending: PendingData, status: str, answer: str | None) -> TransferEntry:
    return TransferEntry(
        at=pending.since,
        direction=Direction.TO_CSMS,
        source=pending.request.channel,
        vendor_id=pending.vendor_id,
        message_id=pending.message_id,
        data=pending.data,
        data_chars=len(pending.data or ""),
        status=status,
        answer=answer,
    )


def _note(draft: Draft, entry: TransferEntry) -> None:
    """Into the history, cut, and told without its data, which may be anything."""
    draft.emit(Keep(replace(entry, data=_cut(entry.data), answer=_cut(entry.answer))))
    draft.announce(
        "ocpp.data_transfer",
        None,
        direction=entry.direction.value,
        vendor_id=entry.vendor_id,
        message_id=entry.message_id,
        status=entry.status,
        data_chars=entry.data_chars,
        requested_by=entry.source,
    )


def _cut(text: str | None) -> str | None:
    return text and text[:MAX_KEPT_CHARS]
