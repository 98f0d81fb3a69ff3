"""What becomes of durable records: taken by the CSMS, with its word on the driver, or given up. 2.x E05, E13, E14.

Invariant: what the CSMS says of a driver counts while that driver is the one who charges, and not after.
"""

from __future__ import annotations

from edged.domain import authorization, transaction
from edged.domain.answers import TransactionState, Verdict
from edged.domain.commands import GetTransactionStatus
from edged.domain.effects import RecordKind, TransactionRecord
from edged.domain.events import RecordDelivered, RecordGivenUp
from edged.domain.transition import Draft
from edged.domain.types import AuthorizationStatus, IdTokenInfo


def delivered(draft: Draft, event: RecordDelivered) -> None:
    """A record was processed. A start's answer names the transaction and judges the token (16-TX-02, 03, 06)."""
    record = event.record
    if isinstance(record, TransactionRecord):
        found = draft.station.transactions.get(record.transaction_id)
        if found is not None and record.kind is RecordKind.STARTED:
            named = found.external_ref if event.external_ref is None else event.external_ref
            draft.transact(found.id, external_ref=named, start_told=True)
        if event.info is not None and record.id_token is not None:
            authorization.remember(draft, record.id_token, event.info)
            _judged(draft, record, event.info)
    draft.dequeue(event.seq, record)


def given_up(draft: Draft, event: RecordGivenUp) -> None:
    """A record is dropped for good. Without its start a transaction goes on under -1 (16-TX-04)."""
    record = event.record
    if isinstance(record, TransactionRecord) and record.kind is RecordKind.STARTED:
        found = draft.station.transactions.get(record.transaction_id)
        if found is not None and found.external_ref is None:
            draft.transact(found.id, external_ref=-1)
    draft.announce("ocpp.message_dropped", None, seq=event.seq, reason=event.reason)
    draft.dequeue(event.seq, record)


def _judged(draft: Draft, record: TransactionRecord, info: IdTokenInfo) -> None:
    """The driver's token only: one that stopped the transaction is judged in vain."""
    running = draft.station.transactions.get(record.transaction_id)
    if running is None or not running.active or running.halted is not None or record.id_token != running.id_token:
        return
    connector = draft.station.connectors.get(running.connector)
    here = authorization.at_evse(info, connector.layout.evse_id if connector is not None else None)
    if here.status is not AuthorizationStatus.ACCEPTED:
        transaction.distrust(draft, running)
    elif info.group is not None and running.group is None:
        draft.transact(running.id, group=info.group)


def tell_state(draft: Draft, event: GetTransactionStatus) -> None:
    """Whether a transaction goes on and whether records of it, or of any, wait for the CSMS (E14)."""
    transactions = draft.station.transactions
    if event.transaction_id is None:
        state = TransactionState(ongoing=None, queued=any(one.queued > 0 for one in transactions.values()))
    else:
        found = transactions.get(event.transaction_id)
        state = TransactionState(
            ongoing=found is not None and found.active, queued=found is not None and found.queued > 0
        )
    draft.reply(event.request, Verdict.ACCEPTED, data=state)
