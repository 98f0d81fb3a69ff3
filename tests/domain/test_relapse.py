"""A fault that comes back whenever energy is offered again is held longer and longer; any other is gone at once."""

from __future__ import annotations

from dataclasses import replace

from edged.domain.hardware import ChargerState, Fault, FaultCode
from edged.domain.relapse import LONGEST_S, SOON_S, held
from edged.domain.station import Connector
from tests.fakes.site import Site

JAM = Fault(FaultCode.CONNECTOR_LOCK, info="the lock jams")
WARNING = Fault(FaultCode.WEAK_SIGNAL, blocking=False)
SILENT = Fault(FaultCode.INTERNAL, info="silent")


def connector() -> Connector:
    return Site.build().station.connectors[1]


def seen(before: Connector, now_s: float, *faults: Fault, plugged: bool = True) -> Connector:
    return held(before, faults, now_s, plugged=plugged, apart=SILENT)


def test_a_fault_that_goes_is_gone_at_once() -> None:
    jammed = seen(connector(), 0.0, JAM, WARNING)
    assert jammed.blocked
    assert seen(jammed, 1.0, WARNING).faults == (WARNING,)


def test_a_fault_that_comes_back_each_second_is_held_longer_and_longer() -> None:
    one, times, now_s = connector(), 0, 0.0
    was_blocked = False
    while now_s < 3600.0:
        one = seen(one, now_s, *(() if was_blocked else (JAM,)))  # it jams whenever energy is offered
        times += one.blocked and not was_blocked
        was_blocked = one.blocked
        now_s += 1.0
    assert times <= 20
    assert one.relapses > 5


def test_no_fault_is_held_beyond_the_bound() -> None:
    one = replace(seen(connector(), 0.0, JAM), relapses=1000)
    assert seen(seen(one, 1.0), 1.0 + LONGEST_S - 0.1).blocked
    assert not seen(seen(one, 1.0), 1.0 + LONGEST_S).blocked


def test_a_fault_that_stayed_away_for_a_while_begins_anew() -> None:
    one = replace(seen(connector(), 0.0, JAM), relapses=5)
    gone = seen(seen(one, 1.0), 1000.0)
    assert seen(gone, 1000.0 + SOON_S + 1.0, JAM).relapses == 0


def test_nothing_is_held_once_the_vehicle_has_gone() -> None:
    one = replace(seen(connector(), 0.0, JAM), relapses=5)
    assert not seen(one, 1.0, plugged=False).blocked


def test_a_charger_that_answers_again_is_not_held_for_its_silence() -> None:
    one = replace(connector(), faults=(SILENT,), relapses=5)
    assert not seen(one, 1.0).blocked


def test_a_charger_that_has_booted_is_believed_at_once() -> None:
    site = Site.build(1)
    for _ in range(8):  # it jams whenever energy is offered, and is held for it by now
        site.look(1, ChargerState.FAULTED, plugged=True, faults=(JAM,))
        site.advance(1)
        site.look(1, ChargerState.CONNECTED, plugged=True)
        site.advance(1)
    assert site.connector(1).blocked
    site.look(1, ChargerState.CONNECTED, plugged=True, booted=True)
    assert not site.connector(1).blocked
