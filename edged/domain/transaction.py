"""Transactions: when one starts, how it ends, and what the CSMS's answers mean. 1.6 §4.8/4.10.

Invariants: one transaction an EVSE · each ends exactly once, with a cause · a start and an end are records in the
commit that makes them true · an ended transaction is kept until the CSMS has processed its last record.
"""

from __future__ import annotations

from edged.domain import authorization, charging_profile, metering, reservation
from edged.domain.effects import RecordKind, Sample, SampleContext, StopReason, TransactionRecord
from edged.domain.events import RecordDelivered, RecordGivenUp
from edged.domain.hardware import Capability, LockState
from edged.domain.places import in_order
from edged.domain.policy import ReservationUse, StartPoint, StopPoint, Trigger
from edged.domain.station import Connector, Ending, Station, Transaction
from edged.domain.transition import Draft, put
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Phase, same_group

SETTLE_S = 10.0
LOCK_PROOF_S = 1.0

# --- start


def start_points(station: Station) -> frozenset[StartPoint]:
    """What starts a transaction: the version's rule, or the configured one (2.x E01)."""
    if station.policy.start_points is not None:
        return station.policy.start_points
    return frozenset(StartPoint(word) for word in station.configuration.items("TxStartPoint"))


def stop_points(station: Station) -> frozenset[StopPoint]:
    """What ends a transaction: the version's rule, or the configured one (2.x E06)."""
    if station.policy.stop_points is not None:
        return station.policy.stop_points
    return frozenset(StopPoint(word) for word in station.configuration.items("TxStopPoint"))


def may_start(station: Station, connector: Connector) -> bool:
    """All prerequisites hold: a start point of the version, a charger in order, the cable locked where known."""
    waiting = connector.authorization
    reached = {
        StartPoint.AUTHORIZED: waiting is not None,
        StartPoint.EV_CONNECTED: connector.plugged and not connector.spent,
        StartPoint.POWER_PATH_CLOSED: waiting is not None and connector.plugged,
        StartPoint.ENERGY_TRANSFER: False,
    }
    return (
        any(reached[point] for point in start_points(station))
        and connector.online
        and in_order(station, connector)
        and station.reset is None
        and not station.unlocking(connector.number)
        and all(sibling.transaction_id is None for sibling in station.siblings(connector.number))
        and _lock_proven(connector)
    )


def _lock_proven(connector: Connector) -> bool:
    """A socket whose lock we drive is locked before energy flows: sensed, or no complaint one look later (TC_024)."""
    waiting = connector.authorization
    if waiting is None or not (connector.can(Capability.DETACHABLE) and connector.can(Capability.LOCK_CONTROL)):
        return True
    if connector.can(Capability.LOCK_SENSE):
        return connector.lock is LockState.LOCKED
    return connector.observed_at_s is not None and connector.observed_at_s >= waiting.since_s + LOCK_PROOF_S


def start(draft: Draft, number: int) -> None:
    """Begin a transaction on a connector for which `may_start` holds."""
    station = draft.station
    connector = station.connectors[number]
    waiting = connector.authorization
    at = station.stamp(draft.now)
    meter_wh = _register(connector)
    transaction_id = draft.new_id()
    reservation_id = waiting.reservation_id if waiting is not None else None
    timeout_s = station.configuration.number("ConnectionTimeOut")
    plug_until_s = draft.now.monotonic_s + timeout_s if timeout_s > 0 and not connector.plugged else None
    interval_s = station.configuration.number("MeterValueSampleInterval")
    if reservation_id is not None and station.policy.reservation_used is ReservationUse.TRANSACTION_STARTED:
        reservation.use(draft, reservation_id, number)
    transaction = Transaction(
        id=transaction_id,
        connector=number,
        id_token=waiting.id_token if waiting is not None else None,
        group=waiting.group if waiting is not None else None,
        started=at,
        meter_start_wh=meter_wh,
        reservation_id=reservation_id,
        remote_start_id=waiting.remote_start_id if waiting is not None else None,
        kept_meter_wh=meter_wh,
        kept_at=at,
        samples=metering.edge_samples(station, number, SampleContext.BEGIN, draft.now),
        next_sample_at_s=draft.now.monotonic_s + interval_s if interval_s > 0 else None,
    )
    draft.update(transactions=put(draft.station.transactions, transaction_id, transaction))
    draft.change(
        number,
        transaction_id=transaction_id,
        authorization=None,
        spent=False,
        held_for=None,
        note="",
        preparing_until_s=plug_until_s,
        settling_until_s=draft.now.monotonic_s + SETTLE_S,
        energy_kept_wh=connector.energy_wh if connector.energy_wh is not None else connector.energy_kept_wh,
    )
    charging_profile.adopt(draft, transaction, waiting.profile if waiting is not None else None)
    remote = waiting is not None and waiting.remote
    local = Trigger.AUTHORIZED if waiting is not None else Trigger.CABLE_PLUGGED_IN
    _write(draft, transaction, RecordKind.STARTED, Trigger.REMOTE_START if remote else local)
    draft.announce("transaction.started", number, transaction_id=transaction_id, id_token=transaction.id_token)


def _register(connector: Connector) -> float:
    """The register for a start or an end; a charger without a meter counts from 0."""
    if connector.energy_wh is not None:
        return connector.energy_wh
    return connector.energy_kept_wh or 0.0


def _write(draft: Draft, transaction: Transaction, kind: RecordKind, trigger: Trigger) -> None:
    ending = transaction.ending
    connector = draft.station.connectors.get(transaction.connector)
    draft.enqueue(
        TransactionRecord(
            kind=kind,
            transaction_id=transaction.id,
            connector=transaction.connector,
            trigger=trigger,
            seq_no=transaction.seq_no,
            at=ending.at if ending is not None else transaction.started,
            offline=not draft.station.link.serving,
            phase=connector.phase if connector is not None else Phase.FINISHING,
            id_token=ending.id_token if ending is not None else transaction.id_token,
            reservation_id=transaction.reservation_id,
            remote_start_id=transaction.remote_start_id,
            meter_wh=ending.meter_wh if ending is not None else transaction.meter_start_wh,
            reason=ending.reason if ending is not None else None,
            samples=transaction.samples if ending is not None else (),
        )
    )


# --- end


def end(
    draft: Draft,
    number: int,
    reason: StopReason,
    trigger: Trigger,
    *,
    id_token: IdToken | None = None,
    note: str = "",
) -> None:
    """End the running transaction of a connector, with the register as it is now."""
    transaction = draft.station.running(number)
    if transaction is None:
        return
    connector = draft.station.connectors[number]
    meter_wh = max(_register(connector), transaction.meter_start_wh, transaction.kept_meter_wh)
    samples = (*transaction.samples, *metering.edge_samples(draft.station, number, SampleContext.END, draft.now))
    ending = Ending(at=draft.station.stamp(draft.now), meter_wh=meter_wh, reason=reason, id_token=id_token)
    draft.change(
        number,
        transaction_id=None,
        authorization=None,
        spent=True,
        held_for=_held_for(draft.station, connector, transaction, reason),
        note=note,
        settling_until_s=None,
        energy_kept_wh=connector.energy_wh if connector.energy_wh is not None else connector.energy_kept_wh,
    )
    _close(draft, transaction, ending, trigger, samples)


def end_lost(draft: Draft, transaction: Transaction, reason: StopReason) -> None:
    """End a transaction that a power cut interrupted, with what was kept of it (16-TX-11)."""
    ending = Ending(at=transaction.kept_at, meter_wh=transaction.kept_meter_wh, reason=reason)
    connector = draft.station.connectors.get(transaction.connector)
    if connector is not None and connector.transaction_id == transaction.id:
        draft.change(transaction.connector, transaction_id=None, spent=True)
    _close(draft, transaction, ending, Trigger.ABNORMAL_CONDITION, transaction.samples)


def _close(
    draft: Draft, transaction: Transaction, ending: Ending, trigger: Trigger, samples: tuple[Sample, ...]
) -> None:
    closed = draft.transact(transaction.id, ending=ending, seq_no=transaction.seq_no + 1, samples=samples)
    _write(draft, closed, RecordKind.ENDED, trigger)
    draft.transact(transaction.id, samples=())
    charging_profile.forget(draft, transaction.id)
    draft.announce(
        "transaction.ended",
        transaction.connector,
        transaction_id=transaction.id,
        reason=ending.reason,
        energy_wh=round(ending.meter_wh - transaction.meter_start_wh, 3),
    )


def _held_for(station: Station, connector: Connector, transaction: Transaction, reason: StopReason) -> IdToken | None:
    """Whose token must be shown before a socket lets the cable go (16-TX-03, 16-TX-10)."""
    if not (connector.can(Capability.DETACHABLE) and connector.can(Capability.LOCK_CONTROL)):
        return None
    if reason is StopReason.DEAUTHORIZED and transaction.id_token is not None:
        return transaction.id_token
    unlocks = station.configuration.flag("UnlockConnectorOnEVSideDisconnect")
    if reason is StopReason.EV_DISCONNECTED and not unlocks:
        return transaction.id_token
    return None


# --- the CSMS's answers


def delivered(draft: Draft, event: RecordDelivered) -> None:
    """A record was processed. A start's answer names the transaction and judges the token (16-TX-02, 03, 06)."""
    record = event.record
    if isinstance(record, TransactionRecord):
        transaction = draft.station.transactions.get(record.transaction_id)
        if transaction is not None and record.kind is RecordKind.STARTED and event.external_ref is not None:
            draft.transact(transaction.id, external_ref=event.external_ref)
        if event.info is not None and record.id_token is not None:
            authorization.remember(draft, record.id_token, event.info)
        if event.info is not None and record.kind is not RecordKind.ENDED:
            _judged(draft, record.transaction_id, event.info)
    draft.dequeue(event.seq, record)


def given_up(draft: Draft, event: RecordGivenUp) -> None:
    """A record is dropped for good. Without its start a transaction goes on under -1 (16-TX-04)."""
    record = event.record
    if isinstance(record, TransactionRecord) and record.kind is RecordKind.STARTED:
        transaction = draft.station.transactions.get(record.transaction_id)
        if transaction is not None and transaction.external_ref is None:
            draft.transact(transaction.id, external_ref=-1)
    draft.announce("ocpp.message_dropped", None, seq=event.seq, reason=event.reason)
    draft.dequeue(event.seq, record)


def _judged(draft: Draft, transaction_id: str, info: IdTokenInfo) -> None:
    transaction = draft.station.transactions.get(transaction_id)
    if transaction is None or not transaction.active or transaction.id_token is None:
        return
    if info.status is AuthorizationStatus.ACCEPTED:
        if info.group is not None and transaction.group is None:
            draft.transact(transaction_id, group=info.group)
        return
    if draft.station.configuration.flag("StopTransactionOnInvalidId"):
        end(draft, transaction.connector, StopReason.DEAUTHORIZED, Trigger.DEAUTHORIZED)
        return
    if not transaction.deauthorized:  # a second refusal gives no second allowance
        register_wh = _register(draft.station.connectors[transaction.connector])
        draft.transact(transaction_id, deauthorized=True, deauthorized_at_wh=register_wh)


def withheld(station: Station, transaction: Transaction) -> bool:
    """Whether an invalid token's transaction has used what it may still use (MaxEnergyOnInvalidId, Wh)."""
    if not transaction.deauthorized:
        return False
    connector = station.connectors[transaction.connector]
    allowed_wh = station.configuration.number("MaxEnergyOnInvalidId")
    return _register(connector) - (transaction.deauthorized_at_wh or 0.0) >= allowed_wh


def belongs(transaction: Transaction, token: IdToken, group: IdToken | None) -> bool:
    """Whether a token may stop the transaction: the starter's, or one of its group (16-AUTH-10)."""
    if transaction.id_token is None or transaction.id_token.matches(token):
        return True
    return same_group(transaction.group, group)


def recover(draft: Draft, *, continued: bool) -> None:
    """After a start of the daemon: what the power interrupted ends now; what only the daemon missed goes on.

    A connector with a transaction or a finished session had its plug in: the first look at the charger tells whether
    it still has.
    """
    for number, connector in draft.station.connectors.items():
        if connector.spent or connector.transaction_id is not None:
            draft.change(number, plugged=True)
    for transaction in tuple(draft.station.transactions.values()):
        if not transaction.active:
            continue
        if not continued:
            end_lost(draft, transaction, StopReason.POWER_LOSS)
            continue
        running = draft.station.running(transaction.connector)
        if running is None or running.id != transaction.id:  # its connector is gone, or another one's
            end_lost(draft, transaction, StopReason.OTHER)
