"""A fault that comes back as soon as energy is offered again: a lock that jams each time it is driven.

Owns: how long such a fault is held although the charger does not report it any more, so that neither the lock's motor
nor the CSMS sees a fault a second. A fault that goes and stays away is gone at once. No version demands it.
Invariants: only blocking faults are held, and only such as the charger had reported · none is held longer than
`LONGEST_S` beyond the charger's word.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain.hardware import Fault
from edged.domain.station import Connector

SOON_S = 30.0
"""A fault that is back so soon after it had gone has never really gone."""
SHORTEST_S, LONGEST_S = 10.0, 300.0


def held(connector: Connector, reported: tuple[Fault, ...], now_s: float, *, plugged: bool, apart: Fault) -> Connector:
    """The connector with the faults that count now. `reported`: the charger's own; `apart`: ours, for its silence.
    `plugged` False: with the vehicle gone, or the charger just booted, nothing is driven again, and nothing is held."""
    before = tuple(fault for fault in connector.faults if fault.blocking and fault != apart)
    if any(fault.blocking for fault in reported):
        came_back = not before and connector.recovered_at_s is not None and now_s - connector.recovered_at_s <= SOON_S
        relapses = connector.relapses if before else connector.relapses + 1 if came_back else 0
        return replace(connector, faults=reported, relapses=relapses, held_faulty_until_s=None)
    if not before:
        return replace(connector, faults=reported)
    until_s = connector.held_faulty_until_s
    if until_s is None:
        until_s = now_s + _hold_s(connector.relapses)
    if plugged and now_s < until_s:
        return replace(connector, faults=(*before, *reported), held_faulty_until_s=until_s)
    return replace(connector, faults=reported, recovered_at_s=now_s, held_faulty_until_s=None)


def _hold_s(relapses: int) -> float:
    """Nothing the first two times, then twice as long each time."""
    return 0.0 if relapses < 2 else min(LONGEST_S, SHORTEST_S * 2.0 ** min(relapses - 2, 10))
