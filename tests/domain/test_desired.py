"""What each charging point should be, and why it is safe."""

from __future__ import annotations

import pytest

from edged.domain.commands import ResetKind, ResetStation
from edged.domain.desired import desired
from edged.domain.hardware import Capability, ChargerState, Desired
from tests.fakes.site import FULL, Site, layout


@pytest.mark.req("16-AUTH-01")
def test_a_free_connector_gives_no_energy_and_is_in_service() -> None:
    site = Site.build(1)
    assert desired(site.station, 1) == Desired(permit_charging=False, current_limit_ma=32_000, operative=True)


def test_a_running_transaction_gives_energy_up_to_what_the_installation_allows() -> None:
    site = Site.build(layouts=(layout(1, max_current_ma=16_000),))
    site.start(1, "ALICE")
    assert desired(site.station, 1) == Desired(permit_charging=True, current_limit_ma=16_000, operative=True)


@pytest.mark.parametrize("trouble", ["unplugged", "fault", "unlock", "reset", "end"])
def test_energy_stops_with_whatever_makes_it_wrong(trouble: str) -> None:
    site = Site.build(1, configuration={"StopTransactionOnEVSideDisconnect": "false"})
    site.start(1, "ALICE")
    if trouble == "unplugged":
        site.unplug(1)
    elif trouble == "fault":
        site.look(1, ChargerState.FAULTED)
    elif trouble == "unlock":
        site.unlock(1)
    elif trouble == "reset":
        site.do(ResetStation(site.ref(), ResetKind.HARD))
    else:
        site.show("ALICE", 1)
    assert not desired(site.station, 1).permit_charging


def test_a_lock_that_is_not_ours_is_left_to_the_charger() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    assert desired(site.station, 1).locked is None


def test_a_lock_that_is_ours_is_closed_for_a_driver_with_a_cable_only() -> None:
    site = Site.build(layouts=(layout(1, capabilities=FULL | {Capability.LOCK_CONTROL}),))
    assert desired(site.station, 1).locked is False
    site.show("ALICE", 1)
    site.accept()
    assert desired(site.station, 1).locked is False
    site.plug(1)
    assert desired(site.station, 1).locked is True
    site.show("ALICE", 1)
    assert desired(site.station, 1).locked is False


def test_a_connector_that_was_never_seen_since_the_start_gives_no_energy() -> None:
    site = Site.build(1, seen=False)
    assert not desired(site.station, 1).permit_charging
