"""What a 1.6 CSMS answers to our messages.

Read leniently: a field too many, or one that we do not need, is no reason to stop booting or to send a transaction
again.

Refuses to know: what follows from an answer. Every payload is hostile; what cannot be read is None or left out.
"""

from __future__ import annotations

from typing import Any, Final

from edged.dialects.times import parse_time
from edged.dialects.v16.outbound import MAX_ID_TAG_CHARS
from edged.domain.configuration import DAY_S
from edged.domain.effects import NoticeKind, Notify, Record, RecordKind, TransactionRecord
from edged.domain.events import BootAnswered, BootFailed, Event, RecordDelivered, Registration, TimeTold, TokenAnswered
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo

_INTEGER_LIMIT: Final = 2**63
_JUDGEMENTS: Final = {
    status.value.casefold(): status
    for status in (
        AuthorizationStatus.ACCEPTED,
        AuthorizationStatus.BLOCKED,
        AuthorizationStatus.CONCURRENT_TX,
        AuthorizationStatus.EXPIRED,
        AuthorizationStatus.INVALID,
    )
}
_REGISTRATIONS: Final = {status.value.casefold(): status for status in Registration if status is not Registration.NONE}


def decode_record_answer(seq: int, record: Record, payload: Any) -> RecordDelivered | None:
    """None, and so one more try, only for what is no object, and for a start without a readable transactionId.

    Any integer is a reference, 0 and negatives too (16-TX-02). A start whose idTagInfo cannot be read is delivered
    without a judgement: sending it again would make a second transaction of it.
    """
    if not isinstance(payload, dict):
        return None
    info = _info(payload.get("idTagInfo"))
    if not isinstance(record, TransactionRecord) or record.kind is RecordKind.UPDATED:
        return RecordDelivered(seq, record)
    if record.kind is RecordKind.ENDED:
        return RecordDelivered(seq, record, info=info)
    reference = _integer(payload.get("transactionId"))
    if reference is None:
        return None
    return RecordDelivered(seq, record, external_ref=reference, info=info)


def decode_authorization(ticket: str, payload: Any) -> TokenAnswered:
    """An answer that cannot be read is no answer: the offline rules decide."""
    return TokenAnswered(ticket, _info(payload.get("idTagInfo")) if isinstance(payload, dict) else None)


def decode_notice_answer(notice: Notify, payload: Any) -> Event | None:
    """BootNotification and Heartbeat tell something."""
    if notice.kind is NoticeKind.BOOT:
        return _booted(payload)
    if notice.kind is NoticeKind.HEARTBEAT and isinstance(payload, dict):
        moment = parse_time(payload.get("currentTime"))
        return TimeTold(moment) if moment is not None else None
    return None


def _booted(payload: Any) -> BootAnswered | BootFailed:
    """An interval is at most a day: so long a station may be silent (16-J-40)."""
    if not isinstance(payload, dict):
        return BootFailed()
    word = payload.get("status")
    status = _REGISTRATIONS.get(word.casefold()) if isinstance(word, str) else None
    if status is None:
        return BootFailed()
    interval_s = min(max(_integer(payload.get("interval")) or 0, 0), DAY_S)
    return BootAnswered(status, parse_time(payload.get("currentTime")), interval_s)


def _info(value: Any) -> IdTokenInfo | None:
    """idTagInfo; None where there is no judgement in it. A word that 1.6 does not have is a no."""
    word = value.get("status") if isinstance(value, dict) else None
    if not isinstance(word, str):
        return None
    parent = value.get("parentIdTag")
    named = isinstance(parent, str) and 0 < len(parent) <= MAX_ID_TAG_CHARS
    return IdTokenInfo(
        status=_JUDGEMENTS.get(word.casefold(), AuthorizationStatus.INVALID),
        group=IdToken(parent) if named else None,
        expires_at=parse_time(value.get("expiryDate")),
    )


def _integer(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        return None
    return value
