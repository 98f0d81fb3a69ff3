"""Transactions: when one starts, what stops its energy, and how it ends. 1.6 §4.8/4.10, 2.x E01 to E12.

Invariants: one transaction an EVSE · each ends exactly once, with a cause · a start and an end are records in the
commit that makes them true · an ended transaction is kept until the CSMS has processed its last record · whose
authorization is over gets no energy, however long the transaction goes on.
"""

from __future__ import annotations

from edged.domain import charging_profile, energy_register, metering, reservation
from edged.domain.charging import ChargingProfile
from edged.domain.effects import RecordKind, Sample, SampleContext, StopReason, TransactionRecord
from edged.domain.hardware import WITHOUT_WORD, Capability, LockState, Measurand
from edged.domain.places import in_order
from edged.domain.policy import StartPoint, StopPoint, Trigger
from edged.domain.station import Authorization, Connector, Ending, Halt, Station, Transaction
from edged.domain.transition import Draft, put
from edged.domain.types import IdToken, Phase, Stamp, same_group

SETTLE_S = 10.0
"""How long a charger may take to offer energy before it is said to withhold it."""
LOCK_PROOF_S = 1.0
EV_SIDE = "EV side disconnected"
WITH_AUTHORIZATION = frozenset({StopPoint.AUTHORIZED, StopPoint.POWER_PATH_CLOSED, StopPoint.ENERGY_TRANSFER})
"""The stop points that are reached when nobody is authorized any more (C15.FR.04): no energy, no path for it."""
WITH_CABLE = frozenset({StopPoint.EV_CONNECTED, StopPoint.POWER_PATH_CLOSED, StopPoint.ENERGY_TRANSFER})
"""Those that are reached when the cable is pulled."""
LEAVING = frozenset({StopReason.EV_DISCONNECTED, StopReason.UNLOCK_COMMAND})
"""What ends a transaction that somebody has stopped before: the cause is who stopped it (F04.FR.03)."""

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
    """All prerequisites hold: a start point of the version, a charger in order, the cable locked where known. A plug
    that comes and goes while the CSMS is away fills no disk: without a driver nothing starts where there is no room."""
    waiting, room = connector.authorization, station.queued < metering.MAX_QUEUED
    reached = {
        StartPoint.AUTHORIZED: waiting is not None,
        StartPoint.EV_CONNECTED: connector.plugged and not connector.spent and (waiting is not None or room),
        StartPoint.POWER_PATH_CLOSED: waiting is not None and connector.plugged,
    }
    return (
        any(reached[point] for point in start_points(station))
        and connector.online
        and connector.held_for is None
        and in_order(station, connector)
        and station.reset is None
        and not station.seized(connector.number)
        and all(sibling.transaction_id is None for sibling in station.siblings(connector.number))
        and _lock_proven(connector)
    )


def _lock_proven(connector: Connector) -> bool:
    """A socket whose lock we drive is locked before energy flows: sensed, or no complaint one look later (TC_024). An
    empty one has nothing to lock."""
    waiting, drives = connector.authorization, connector.can(Capability.LOCK_CONTROL)
    if waiting is None or not connector.plugged or not (drives and connector.can(Capability.DETACHABLE)):
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
    interval_s = station.configuration.number("MeterValueSampleInterval")
    if reservation_id is not None:  # used up by now, whatever rule was in force when its driver was let in
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
        connected=connector.plugged,
        told_at=at,
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
        preparing_until_s=None if connector.plugged else plug_until_s(draft),
        settling_until_s=draft.now.monotonic_s + SETTLE_S,
        energy_kept_wh=connector.energy_wh if connector.energy_wh is not None else connector.energy_kept_wh,
    )
    charging_profile.adopt(draft, transaction, waiting.profile if waiting is not None else None)
    _write(draft, transaction, RecordKind.STARTED, _last_of(connector, waiting))
    draft.announce("transaction.started", number, transaction_id=transaction_id, id_token=transaction.id_token)


def plug_until_s(draft: Draft) -> float | None:
    """Until when a driver has to plug in."""
    timeout_s = draft.station.configuration.number("ConnectionTimeOut")
    return draft.now.monotonic_s + timeout_s if timeout_s > 0 else None


def _last_of(connector: Connector, waiting: Authorization | None) -> Trigger:
    """What came last of all that the start needed; a remote start is always named (F02.FR.21)."""
    if waiting is None:
        return Trigger.CABLE_PLUGGED_IN
    if waiting.remote:
        return Trigger.REMOTE_START
    plugged_at_s = connector.plugged_at_s if connector.plugged else None
    later = plugged_at_s is not None and plugged_at_s > waiting.since_s
    return Trigger.CABLE_PLUGGED_IN if later else Trigger.AUTHORIZED


def authorize(
    draft: Draft,
    running: Transaction,
    *,
    token: IdToken,
    group: IdToken | None,
    reservation_id: int | None,
    remote: bool,
    remote_start_id: int | None,
    profile: ChargingProfile | None,
) -> None:
    """A transaction that began with the plug gets its driver (E02.FR.01, F01.FR.19)."""
    driver = {"id_token": token, "reservation_id": reservation_id, "remote_start_id": remote_start_id}
    draft.transact(running.id, group=group, **driver)
    draft.change(running.connector, note="", settling_until_s=draft.now.monotonic_s + SETTLE_S)
    charging_profile.adopt(draft, running, profile)
    trigger = Trigger.REMOTE_START if remote else Trigger.AUTHORIZED
    metering.update(draft, running.connector, trigger, told=driver)


def plugged_in(draft: Draft, running: Transaction) -> None:
    """The vehicle of a running transaction has come, or has come back (E03, E10)."""
    draft.change(running.connector, note="", preparing_until_s=None, settling_until_s=draft.now.monotonic_s + SETTLE_S)
    if not running.connected:
        draft.transact(running.id, connected=True)
    metering.update(draft, running.connector, Trigger.CABLE_PLUGGED_IN)


def _register(connector: Connector) -> float:
    """The register for a start or an end; a charger without a meter counts from 0."""
    if connector.energy_wh is not None:
        return connector.energy_wh
    return connector.energy_kept_wh or 0.0


def _write(
    draft: Draft, transaction: Transaction, kind: RecordKind, trigger: Trigger, phase: Phase | None = None
) -> None:
    """A start or an end. `phase`: where the connector stands then; None: what follows from it."""
    ending = transaction.ending
    connector = draft.station.connectors.get(transaction.connector)
    samples = transaction.samples if ending is not None else metering.begin(draft, transaction.connector)
    if phase is None:
        phase = connector.phase if connector is not None and ending is None else Phase.FINISHING
    draft.enqueue(
        TransactionRecord(
            kind=kind,
            transaction_id=transaction.id,
            connector=transaction.connector,
            trigger=trigger,
            seq_no=transaction.seq_no,
            at=ending.at if ending is not None else transaction.started,
            offline=not draft.station.link.serving or interrupted(transaction),
            phase=phase,
            plugged=connector is None or connector.plugged,
            id_token=ending.id_token if ending is not None else transaction.id_token,
            reservation_id=transaction.reservation_id,
            remote_start_id=transaction.remote_start_id,
            meter_wh=ending.meter_wh if ending is not None else transaction.meter_start_wh,
            reason=ending.reason if ending is not None else None,
            samples=samples,
        )
    )


# --- stop and end


def stop(draft: Draft, number: int, reason: StopReason, trigger: Trigger, *, id_token: IdToken | None = None) -> None:
    """The authorization of a connector's transaction is over, for good. Where that is a stop point it ends; else it
    gets no more energy, its cable may go, and it ends at its stop point with this reason (E06, F03, F04)."""
    running = draft.station.running(number)
    if running is None or running.halted is not None:
        return
    connector = draft.station.connectors[number]
    if not connector.plugged or stop_points(draft.station) & WITH_AUTHORIZATION:
        end(draft, number, reason, trigger, id_token=id_token)
        return
    draft.transact(running.id, halted=Halt(reason=reason, id_token=id_token))
    draft.change(number, held_for=_held_for(draft.station, connector, running, reason))
    metering.update(draft, number, trigger, told={"id_token": id_token})


def distrust(draft: Draft, running: Transaction) -> None:
    """The CSMS does not accept the token of a running transaction: its authorization is over, or it may go on for as
    much energy as the site gives away (E05, C15)."""
    if draft.station.configuration.flag("StopTransactionOnInvalidId"):
        stop(draft, running.connector, StopReason.DEAUTHORIZED, Trigger.DEAUTHORIZED)
    elif not running.deauthorized:  # a second refusal gives no second allowance
        register_wh = _register(draft.station.connectors[running.connector])
        draft.transact(running.id, deauthorized=True, deauthorized_at_wh=register_wh)


def cable_gone(draft: Draft, running: Transaction) -> None:
    """The vehicle has left a running transaction. It ends where that is a stop point, where it ends the authorization
    (StopTxOnEVSideDisconnect, E09) and where there is none; else it waits for its vehicle to come back, which a fixed
    cable does in time or not at all (E10.FR.02)."""
    station, number = draft.station, running.connector
    over = station.charges(number) is None or stop_points(station) & WITH_CABLE
    if over or station.configuration.flag("StopTransactionOnEVSideDisconnect"):
        note = EV_SIDE if station.charges(number) is not None else ""
        end(draft, number, StopReason.EV_DISCONNECTED, Trigger.EV_COMMUNICATION_LOST, note=note)
        return
    fixed = not station.connectors[number].can(Capability.DETACHABLE)
    hurried = fixed and station.policy.times_out_unplugged
    draft.change(number, note=EV_SIDE, preparing_until_s=plug_until_s(draft) if hurried else None)
    metering.update(draft, number, Trigger.EV_COMMUNICATION_LOST)


def follow_energy(draft: Draft, number: int, phase: Phase) -> None:
    """Energy that has begun to flow and stops ends the transaction where that is a stop point (E06.FR.07). A charger
    that says nothing of it is not believed to have stopped."""
    running = draft.station.running(number)
    if running is None or StopPoint.ENERGY_TRANSFER not in stop_points(draft.station):
        return
    connector = draft.station.connectors[number]
    if phase is Phase.CHARGING and not connector.blocked:
        if not running.energized:
            draft.transact(running.id, energized=True)
    elif running.energized and (connector.blocked or connector.state not in WITHOUT_WORD):
        reason = StopReason.STOPPED_BY_EV if phase is Phase.SUSPENDED_EV else StopReason.OTHER
        trigger = Trigger.ABNORMAL_CONDITION if connector.blocked else Trigger.CHARGING_STATE_CHANGED
        end(draft, number, reason, trigger, phase=phase)


def end(
    draft: Draft,
    number: int,
    reason: StopReason,
    trigger: Trigger,
    *,
    id_token: IdToken | None = None,
    note: str = "",
    phase: Phase | None = None,
) -> None:
    """End the running transaction of a connector, with the register as it is now. `phase`: what the CSMS is told of
    the connector, None: that its session is over."""
    transaction = draft.station.running(number)
    if transaction is None:
        return
    if interrupted(transaction):
        end_lost(draft, transaction, StopReason.POWER_LOSS)
        return
    if transaction.halted is not None and reason in LEAVING:
        reason = transaction.halted.reason
    connector = draft.station.connectors[number]
    meter_wh = max(_register(connector), transaction.meter_start_wh, transaction.kept_meter_wh)
    samples = (*transaction.samples, *_end_samples(draft, transaction, connector, meter_wh))
    ending = Ending(at=draft.station.stamp(draft.now), meter_wh=meter_wh, reason=reason, id_token=id_token)
    draft.change(
        number,
        transaction_id=None,
        authorization=None,
        spent=transaction.connected,
        held_for=_held_for(draft.station, connector, transaction, reason),
        note=note,
        settling_until_s=None,
        energy_kept_wh=connector.energy_wh if connector.energy_wh is not None else connector.energy_kept_wh,
    )
    _close(draft, transaction, ending, trigger, samples, phase)


def _end_samples(draft: Draft, transaction: Transaction, connector: Connector, meter_wh: float) -> tuple[Sample, ...]:
    """What the charger says of the end. Where it has said nothing since the daemon began, what was kept says it."""
    if connector.energy_wh is None and Measurand.ENERGY in connector.layout.measurands:
        return metering.lost_end(draft.station, meter_wh, _last_known(draft, transaction))
    return metering.edge_samples(draft.station, connector.number, SampleContext.END, draft.now)


def _last_known(draft: Draft, transaction: Transaction) -> Stamp:
    """Until when something is known of it, or was told."""
    at, told_at = transaction.kept_at, transaction.told_at
    if told_at is not None and draft.station.true_time(told_at) > draft.station.true_time(at):
        return told_at
    return at


def end_lost(draft: Draft, transaction: Transaction, reason: StopReason) -> None:
    """End a transaction that a power cut interrupted, with what is known of it (16-TX-11): not before what was kept of
    it last, and with the register as it was found, where that can be its own."""
    at = _last_known(draft, transaction)
    connector = draft.station.connectors.get(transaction.connector)
    meter_wh = transaction.kept_meter_wh
    if connector is not None and connector.transaction_id == transaction.id:
        meter_wh = _found_wh(connector, transaction)
        kept_wh = connector.energy_wh if connector.energy_wh is not None else connector.energy_kept_wh
        draft.change(transaction.connector, transaction_id=None, spent=transaction.connected, energy_kept_wh=kept_wh)
    ending = Ending(at=at, meter_wh=meter_wh, reason=reason)
    samples = (*transaction.samples, *metering.lost_end(draft.station, meter_wh, at))
    _close(draft, transaction, ending, Trigger.ABNORMAL_CONDITION, samples)


def _found_wh(connector: Connector, transaction: Transaction) -> float:
    """The register behind a power cut: what has flowed since the disk saw it last belongs to the transaction; what
    cannot have flowed in that time does not, for the charger may have charged others without us."""
    kept_wh = transaction.kept_meter_wh
    if connector.energy_wh is None:
        return kept_wh
    most_wh = kept_wh + energy_register.in_time_wh(connector, metering.UNKEPT_S)
    return connector.energy_wh if kept_wh <= connector.energy_wh <= most_wh else kept_wh


def interrupted(transaction: Transaction) -> bool:
    """Whether a power cut has ended it and its charger's register is still looked for."""
    return transaction.halted is not None and transaction.halted.reason is StopReason.POWER_LOSS


def _close(
    draft: Draft,
    transaction: Transaction,
    ending: Ending,
    trigger: Trigger,
    samples: tuple[Sample, ...],
    phase: Phase | None = None,
) -> None:
    closed = draft.transact(transaction.id, ending=ending, seq_no=transaction.seq_no + 1, samples=samples)
    _write(draft, closed, RecordKind.ENDED, trigger, phase)
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
    """Whose token must be shown before a socket lets the cable go (16-TX-03, 16-TX-10, E05.FR.11). Where there never
    was a cable nobody could fetch one; and what was let go since the driver was stopped is not held again."""
    if not (connector.can(Capability.DETACHABLE) and connector.can(Capability.LOCK_CONTROL)):
        return None
    if not transaction.connected:
        return None
    if transaction.halted is not None:
        return connector.held_for
    if reason is StopReason.DEAUTHORIZED and transaction.id_token is not None:
        return transaction.id_token
    unlocks = station.configuration.flag("UnlockConnectorOnEVSideDisconnect")
    if reason is StopReason.EV_DISCONNECTED and not unlocks:
        return transaction.id_token
    return None


# --- queries


def withheld(station: Station, transaction: Transaction) -> bool:
    """Whether a transaction gets no energy: nobody is authorized, or an invalid token's has used what it may still use
    (MaxEnergyOnInvalidId, Wh)."""
    if transaction.id_token is None or transaction.halted is not None:
        return True
    if not transaction.deauthorized:
        return False
    connector = station.connectors[transaction.connector]
    allowed_wh = station.configuration.number("MaxEnergyOnInvalidId")
    return _register(connector) - (transaction.deauthorized_at_wh or 0.0) >= allowed_wh


def belongs(transaction: Transaction, token: IdToken, group: IdToken | None) -> bool:
    """Whether a token may stop the transaction: the starter's, or one of its group (16-AUTH-10). One without a driver
    is nobody's."""
    if transaction.id_token is None:
        return False
    return transaction.id_token.matches(token) or same_group(transaction.group, group)
