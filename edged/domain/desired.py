"""What every charging point should be, derived from the station. The driver makes it so."""

from __future__ import annotations

from edged.domain.hardware import Capability, Desired, LockState
from edged.domain.limits import present_ma
from edged.domain.station import Connector, Station
from edged.domain.transaction import withheld


def desired(station: Station, number: int) -> Desired:
    """Energy flows only for a running, authorized transaction, on a connector that is in order, and as far as the
    charging profiles allow: a limit below what the charger can go down to is none at all (16-SC-16, 17)."""
    connector = station.connectors[number]
    running = station.running(number)
    limit_ma = present_ma(station, connector)
    permit = (
        running is not None
        and not withheld(station, running)
        and connector.plugged
        and not connector.blocked
        and not station.seized(number)
        and station.reset is None
        and limit_ma > 0
        and not _unsecured(connector)
    )
    operative = connector.changing
    if operative is None:
        operative = station.effective(number) or running is not None
    locked: bool | None = None
    if connector.can(Capability.LOCK_CONTROL):
        waiting = connector.authorization is not None and connector.plugged
        charges = station.charges(number) is not None
        kept = connector.kept_locked or connector.held_for is not None
        locked = not station.unlocking(number) and (charges or waiting or kept)
    return Desired(
        permit_charging=permit,
        current_limit_ma=limit_ma,
        locked=locked,
        operative=operative,
    )


def _unsecured(connector: Connector) -> bool:
    """A lock of ours that is sensed open: no energy begins to flow (G05.FR.01), also where the transaction began before
    there was a driver or a cable. Energy that flows already is not cut for it."""
    needed = all(connector.can(c) for c in (Capability.DETACHABLE, Capability.LOCK_CONTROL, Capability.LOCK_SENSE))
    return needed and connector.lock is LockState.UNLOCKED and connector.permitted is not True
