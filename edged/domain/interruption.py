"""What becomes of transactions over the end of a run: interrupted by the power, or missed by the daemon. 16-TX-11.

Owns: who goes on, who ends and with which register, and which numbers are never given again. Refuses to know: how much
of a run the disk may lack (`metering.UNKEPT_MAX`, `UNKEPT_S` bound it).

Invariants: no number of a record is given twice, whatever the last run told and did not keep · what the power has
interrupted gets no more energy · its end says the register as it is found, where that can be its own.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from edged.domain import metering
from edged.domain.effects import StopReason
from edged.domain.hardware import Measurand
from edged.domain.station import Halt, Station, Transaction
from edged.domain.transaction import end_lost, interrupted, plug_until_s
from edged.domain.transition import Draft
from edged.domain.types import Stamp

FIND_S = 60.0
"""How long after a start the register is looked for of a charger whose transaction the power has ended."""


def doubt(draft: Draft) -> None:
    """The last run ended without a word: it may have told records that the disk never saw. None of their numbers is
    given again, for a CSMS takes the second for a repetition of the first; and what is told of an end will not be
    before them."""
    draft.update(next_seq=draft.station.next_seq + metering.UNKEPT_MAX)
    for transaction in tuple(draft.station.transactions.values()):
        if transaction.active:
            told_at = _told_until(draft, transaction.told_at or transaction.started)
            draft.transact(transaction.id, seq_no=transaction.seq_no + metering.UNKEPT_MAX, told_at=told_at)


def _told_until(draft: Draft, kept: Stamp) -> Stamp:
    """Until when something may have been told that the disk never saw; as early as can be."""
    station = draft.station
    latest = replace(kept, utc=kept.utc + timedelta(seconds=metering.UNKEPT_S))
    earliest = min(latest, station.stamp(draft.now), key=station.true_time)
    return max(kept, earliest, key=station.true_time)


def recover(draft: Draft, *, continued: bool) -> None:
    """After a start of the daemon: what the power interrupted gets no more energy and ends, with the first look at its
    charger's register where it has one; what only the daemon missed goes on.

    A connector with a transaction or a finished session had its plug in: the first look at the charger tells whether
    it still has.
    """
    for number, connector in draft.station.connectors.items():
        running = draft.station.running(number)
        if connector.spent or (running is not None and running.connected):
            draft.change(number, plugged=True)
        elif running is not None:
            draft.change(number, preparing_until_s=plug_until_s(draft))
    for transaction in tuple(draft.station.transactions.values()):
        if not transaction.active:
            continue
        running = draft.station.running(transaction.connector)
        there = running is not None and running.id == transaction.id
        if not continued and there and _has_register(draft.station, transaction):
            draft.transact(transaction.id, halted=Halt(reason=StopReason.POWER_LOSS))
        elif not continued:
            end_lost(draft, transaction, StopReason.POWER_LOSS)
        elif not there:  # its connector is gone, or another one's
            end_lost(draft, transaction, StopReason.OTHER)


def _has_register(station: Station, transaction: Transaction) -> bool:
    """Whether energy can have flowed into it that its charger knows of."""
    return transaction.connected and Measurand.ENERGY in station.connectors[transaction.connector].layout.measurands


def end_when_found(draft: Draft, number: int) -> None:
    """End what the power has interrupted: its register is found, or was looked for in vain."""
    running = draft.station.running(number)
    if running is None or not interrupted(running):
        return
    waited_s = draft.now.monotonic_s - draft.station.boot.started_s
    if draft.station.connectors[number].energy_wh is not None or waited_s >= FIND_S:
        end_lost(draft, running, StopReason.POWER_LOSS)
