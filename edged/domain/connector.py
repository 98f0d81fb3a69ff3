"""One connector: from what the charger reports to facts, and from facts to a phase. 1.6 §4.9.

Invariants: a phase follows from facts alone · a charger that is silent for longer than the grace time is a fault, and
stops being one with its next word · unplugging ends the session that it belonged to.
"""

from __future__ import annotations

from edged.domain import energy_register, fault_memory, interruption, metering, relapse, transaction
from edged.domain.effects import StopReason
from edged.domain.events import ChargerLost, ConnectorObserved, PresentToken
from edged.domain.hardware import (
    WITHOUT_VEHICLE,
    WITHOUT_WORD,
    ChargerState,
    Fault,
    FaultCode,
    LockState,
    Observation,
    Quality,
)
from edged.domain.limits import current_ma
from edged.domain.places import shown_reserved
from edged.domain.policy import Trigger
from edged.domain.session import present
from edged.domain.station import Connector, Station, Transaction
from edged.domain.transition import Draft
from edged.domain.types import IdToken, Now, Phase

OFFLINE_GRACE_S = 30.0
BOOT_GRACE_S = 120.0
SILENT = Fault(FaultCode.OTHER, vendor_code="offline", info="charger does not answer")
UNSPECIFIED = Fault(FaultCode.OTHER, info="charger reports a fault")
JAMMED = Fault(FaultCode.CONNECTOR_LOCK, info="connector lock jammed")
TOKEN_MAX_CHARS = 36
DELIVERING = frozenset({Phase.CHARGING, Phase.SUSPENDED_EV, Phase.SUSPENDED_EVSE})
BESIDE = frozenset({Trigger.METER_VALUE_PERIODIC, Trigger.METER_VALUE_CLOCK, Trigger.TRIGGER})
"""Records that say nothing of why a phase was entered."""


# --- what is observed


def observed(draft: Draft, event: ConnectorObserved) -> None:
    """Take one poll's snapshot over into facts, and draw the consequences of a plug and of a token.

    What is stale or bad changes no fact. A token is a happening, not a reading: it counts with whatever it came.
    """
    connector = draft.station.connectors.get(event.connector)
    if connector is None:
        return
    if event.observation.quality is Quality.GOOD:
        _look(draft, connector, event)
    token = event.observation.token
    if not token:
        return
    if len(token) > TOKEN_MAX_CHARS or not token.isprintable():
        draft.announce("transaction.rejected", event.connector, reason="the reader gave no possible token")
        return
    present(draft, PresentToken(IdToken(token), event.connector))


def _look(draft: Draft, connector: Connector, event: ConnectorObserved) -> None:
    before, before_plugged, before_blocked = connector, connector.plugged, connector.blocked
    if connector.offline_since_s is not None:
        draft.announce("connector.link", event.connector, online=True, reason="")
    seen = event.observation
    energy, turned = energy_register.read(connector, seen.meter, seen.read_at)
    plugged = _plugged(connector, seen)
    driven = plugged and not seen.booted  # what has just booted has let go of whatever it had driven
    judged = relapse.held(connector, _faults(connector, seen), draft.now.monotonic_s, plugged=driven, apart=SILENT)
    connector = draft.change(
        event.connector,
        **_facts(connector, seen),
        **energy,
        faults=judged.faults,
        relapses=judged.relapses,
        recovered_at_s=judged.recovered_at_s,
        held_faulty_until_s=judged.held_faulty_until_s,
    )
    fault_memory.seen(draft, connector.number, before)
    if turned is not None:
        draft.announce(
            "connector.meter_turned",
            event.connector,
            turn=turned.turn,
            before_wh=turned.before_wh,
            after_wh=turned.after_wh,
            reported_wh=connector.energy_wh,
        )
    if connector.blocked and not before_blocked:
        metering.update(draft, connector.number, Trigger.ABNORMAL_CONDITION)
    if before_plugged and not connector.plugged:
        _unplugged(draft, connector)
    elif connector.plugged and not before_plugged:
        _plugged_in(draft, connector)
    elif not connector.plugged and connector.spent and not connector.cable_kept:
        draft.change(connector.number, spent=False, note="")


def _facts(connector: Connector, seen: Observation) -> dict[str, object]:
    return {
        "capabilities": connector.layout.capabilities if seen.capabilities is None else seen.capabilities,
        "online": True,
        "offline_since_s": None,
        "state": seen.state,
        "plugged": _plugged(connector, seen),
        "lock": seen.lock,
        "permitted": seen.permit_charging,
        "limit_ma": seen.current_limit_ma,
        "reported_operative": seen.operative,
        "observed_at_s": seen.read_at.monotonic_s,
        "observed_at": seen.read_at.utc,
        "meter": seen.meter,
    }


def _plugged(connector: Connector, seen: Observation) -> bool:
    """What the charger senses, else what its state says, else what was known (out of service says nothing)."""
    if seen.plugged is not None:
        return seen.plugged
    if seen.state in WITHOUT_WORD:
        return connector.plugged
    return seen.state not in WITHOUT_VEHICLE


def _faults(connector: Connector, seen: Observation) -> tuple[Fault, ...]:
    faults = seen.faults
    if seen.state is ChargerState.FAULTED and not any(fault.blocking for fault in faults):
        faults = (UNSPECIFIED, *faults)
    if seen.lock is LockState.JAMMED and not any(fault.code is FaultCode.CONNECTOR_LOCK for fault in faults):
        faults = (*faults, JAMMED)
    return faults


def _plugged_in(draft: Draft, connector: Connector) -> None:
    draft.change(connector.number, plugged_at_s=draft.now.monotonic_s)
    running = draft.station.running(connector.number)
    if running is not None:
        transaction.plugged_in(draft, running)
        return
    draft.change(connector.number, spent=False, note="")


def _unplugged(draft: Draft, connector: Connector) -> None:
    """The car has gone. A transaction ends, unless the site says that it waits (16-ST-03); a driver who was let in
    but never charged has left."""
    running = draft.station.running(connector.number)
    if running is not None:
        transaction.cable_gone(draft, running)
        return
    kept = connector.cable_kept
    draft.change(connector.number, authorization=None, spent=connector.spent and kept, note="")


def lost(draft: Draft, event: ChargerLost) -> None:
    """The charger stopped answering: facts stay as they were, but nothing is measured any more."""
    connector = draft.station.connectors.get(event.connector)
    if connector is None or (not connector.online and connector.offline_since_s is not None):
        return
    draft.change(
        event.connector,
        online=False,
        offline_since_s=draft.now.monotonic_s,
        meter=metering.blank(connector.meter),
    )
    draft.announce("connector.link", event.connector, online=False, reason=event.reason)


# --- what follows at every step


def note_silence(draft: Draft) -> None:
    """Chargers that have been silent for too long are faulted, before anything is derived from them."""
    for number in draft.station.connectors:
        _note_silence(draft, number)


def begin_and_end(draft: Draft) -> None:
    """Who has waited for too long goes; whose energy is over ends; who may start starts. Then it is known who shares
    the station's limit."""
    for number in draft.station.connectors:
        interruption.end_when_found(draft, number)
        _time_out(draft, number)
        phase = phase_of(draft.station, draft.station.connectors[number], draft.now)
        transaction.follow_energy(draft, number, phase)
        if transaction.may_start(draft.station, draft.station.connectors[number]):
            transaction.start(draft, number)


def refresh(draft: Draft) -> None:
    """Bring every connector's phase up to date: what may flow is known by now."""
    for number in draft.station.connectors:
        _enter_phase(draft, number)


def _note_silence(draft: Draft, number: int) -> None:
    connector = draft.station.connectors[number]
    if connector.online or SILENT in connector.faults:
        return
    never = connector.observed_at_s is None
    since_s = draft.station.boot.started_s if never or connector.offline_since_s is None else connector.offline_since_s
    if draft.now.monotonic_s - since_s >= (BOOT_GRACE_S if never else OFFLINE_GRACE_S):
        if not connector.blocked:
            metering.update(draft, number, Trigger.ABNORMAL_CONDITION)
        draft.change(number, faults=(SILENT, *connector.faults))


def _time_out(draft: Draft, number: int) -> None:
    """ConnectionTimeOut: back to where the connector came from, Finishing with a cable in it (E3.20, 16-TX-12)."""
    connector = draft.station.connectors[number]
    until_s = connector.preparing_until_s
    if connector.phase is not Phase.PREPARING or until_s is None or draft.now.monotonic_s < until_s:
        return
    if connector.transaction_id is not None:
        if not connector.plugged:
            transaction.end(draft, number, StopReason.TIMEOUT, Trigger.EV_CONNECT_TIMEOUT)
        return
    if connector.authorization is None and shown_reserved(draft.station, number):
        return
    draft.change(number, authorization=None, spent=connector.plugged, preparing_until_s=None)


def phase_of(station: Station, connector: Connector, now: Now) -> Phase:
    """The phase that the facts give."""
    if station.running(connector.number) is not None:
        return _charging_phase(station, connector, now)
    if connector.authorization is not None:
        return Phase.PREPARING
    if connector.spent or connector.held_for is not None:
        return Phase.FINISHING
    return Phase.PREPARING if connector.plugged else Phase.IDLE


def _charging_phase(station: Station, connector: Connector, now: Now) -> Phase:
    running = station.running(connector.number)
    if running is not None and running.halted is not None:
        return Phase.FINISHING
    if not connector.plugged:
        return Phase.SUSPENDED_EV if connector.preparing_until_s is None else Phase.PREPARING
    if running is not None and running.id_token is None:
        return Phase.PREPARING
    withheld = running is not None and transaction.withheld(station, running)
    if withheld or current_ma(connector) == 0:
        return Phase.SUSPENDED_EVSE
    match connector.state:
        case ChargerState.CHARGING:
            return Phase.CHARGING
        case ChargerState.UNKNOWN | ChargerState.FAULTED | ChargerState.UNAVAILABLE:
            reached = connector.phase if connector.phase in DELIVERING else Phase.SUSPENDED_EVSE
        case ChargerState.CONNECTED_READY | ChargerState.SUSPENDED_EV | ChargerState.FINISHING:
            reached = Phase.SUSPENDED_EV
        case _:
            reached = Phase.SUSPENDED_EVSE
    settling = connector.settling_until_s is not None and now.monotonic_s < connector.settling_until_s
    return Phase.PREPARING if settling and connector.phase is Phase.PREPARING else reached


def _enter_phase(draft: Draft, number: int) -> None:
    connector = draft.station.connectors[number]
    phase = phase_of(draft.station, connector, draft.now)
    entered = phase is not connector.phase or connector.phase_since is None
    if entered:
        connector = draft.change(number, phase=phase, phase_since=draft.now.utc)
    until_s = _preparing_until_s(draft.station, connector, draft.now)
    if until_s != connector.preparing_until_s:
        draft.change(number, preparing_until_s=until_s)
    _tell(draft, number)


def _tell(draft: Draft, number: int) -> None:
    """Tell the CSMS of a phase, once the charger was heard. What this step has told already, for a better reason, is
    told as the step leaves it, and not twice (E02.FR.17)."""
    running, connector = draft.station.running(number), draft.station.connectors[number]
    if running is None or Trigger.CHARGING_STATE_CHANGED not in draft.station.policy.update_triggers:
        return
    phase = _seen(draft.station, running, connector, draft.now)
    news = phase is not running.told_phase and connector.observed_at_s is not None
    written = draft.written(running.id)
    if written is not None and written.trigger not in BESIDE:
        draft.transact(running.id, told_phase=phase)
        draft.amend(running.id, phase=phase, plugged=connector.plugged)
    elif news:
        draft.transact(running.id, told_phase=phase)
        metering.update(draft, number, _why(draft.station, running, connector))


def _seen(station: Station, running: Transaction, connector: Connector, now: Now) -> Phase:
    """Where the CSMS sees the connector: one that says that it cannot charge does not, whatever it did before; one
    whose vehicle has just come, or come back, has it connected and no more."""
    phase = connector.phase
    if connector.blocked and connector.online and phase in (Phase.CHARGING, Phase.SUSPENDED_EV):
        return Phase.SUSPENDED_EVSE
    if phase is not Phase.SUSPENDED_EVSE or transaction.withheld(station, running) or current_ma(connector) == 0:
        return phase
    new = connector.plugged_at_s is not None and now.monotonic_s < connector.plugged_at_s + transaction.SETTLE_S
    return Phase.PREPARING if new else phase


def _why(station: Station, running: Transaction, connector: Connector) -> Trigger:
    """An allowance that is used up is a better reason than the state that follows from it."""
    spent = running.deauthorized and connector.phase is Phase.SUSPENDED_EVSE and transaction.withheld(station, running)
    allowed = station.configuration.number("MaxEnergyOnInvalidId") > 0
    return Trigger.ENERGY_LIMIT_REACHED if spent and allowed else Trigger.CHARGING_STATE_CHANGED


def _preparing_until_s(station: Station, connector: Connector, now: Now) -> float | None:
    """When Preparing ends by itself. Not while the connector is shown as Reserved (16-RES-15), whose driver may come
    until the reservation ends: the time counts from then. A shorter ConnectionTimeOut holds at once."""
    timeout_s = station.configuration.number("ConnectionTimeOut")
    if connector.phase is not Phase.PREPARING or timeout_s == 0:
        return None
    if connector.transaction_id is not None:
        return None if connector.plugged else connector.preparing_until_s
    if connector.authorization is None and shown_reserved(station, connector.number):
        return None
    longest_s = now.monotonic_s + timeout_s
    return longest_s if connector.preparing_until_s is None else min(connector.preparing_until_s, longest_s)
