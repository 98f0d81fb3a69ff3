"""Computers as they are: a root that nobody may write to, a full disk, a clock of 1970, a disk that is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import site
from tests.packaging.machine import UNIT, Machine
from tests.packaging.outside import Outside


def test_a_root_that_is_read_only_and_a_small_partition_for_the_state(
    small: Callable[..., Machine], partition: Path, outside: Outside
):
    machine = small("--read-only", "--tmpfs=/var/log", "--tmpfs=/var/tmp", "--tmpfs=/tmp")
    machine.boot()
    machine.until(machine.is_active)
    assert machine.run("touch", "/usr/x", check=False).returncode
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    machine.cut_power()
    assert (partition / "edged.db").exists()
    machine.boot()
    machine.until(machine.is_active)
    outside.plug_in(machine)
    assert csms.wait("StopTransaction")["transactionId"] == number
    assert csms.violations() == []


def test_a_full_disk_stops_nothing_that_runs_promises_nothing_and_is_over_when_there_is_room(
    small: Callable[..., Machine], outside: Outside
):
    machine = small()
    machine.boot()
    machine.until(machine.is_active)
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    pid = machine.pid()
    site.fill(machine)
    version = taken = 0

    def refused() -> bool:
        """What there was room for when the disk was not yet full is used up at last. Smaller things may still fit."""
        nonlocal version, taken
        version += 1
        tokens = [{"idTag": f"{version:08}-{n}", "idTagInfo": {"status": "Accepted"}} for n in range(100)]
        order = {"listVersion": version, "localAuthorizationList": tokens, "updateType": "Full"}
        if csms.call("SendLocalList", order) == {"status": "Accepted"}:
            taken = version
        return taken < version and bool(site.status(machine)["stations"][0]["degraded"])

    machine.until(refused, what="a promise that cannot be kept is not given")
    assert csms.call("GetLocalListVersion", {}) == {"listVersion": taken}
    assert site.charger(machine, 1, "get")["contactor"] == "closed"
    machine.sh("rm /var/lib/edged/ballast")
    machine.until(lambda: not site.status(machine)["stations"][0]["degraded"], within_s=60.0, what="there is room")
    assert site.stop_charging(machine, csms)["transactionId"] == number
    assert machine.pid() == pid


def test_a_disk_that_is_full_at_the_start_is_told_in_a_sentence(small: Callable[..., Machine]):
    machine = small()
    machine.boot()
    machine.until(machine.is_active)
    machine.run("systemctl", "stop", UNIT)
    site.fill(machine)
    machine.run("systemctl", "start", UNIT, check=False)
    machine.until(lambda: "make room on its disk" in machine.journal("-n", "20"), what="it is told")
    assert "Traceback" not in machine.journal()
    machine.sh("rm /var/lib/edged/ballast")
    machine.until(machine.is_active, what="it serves as soon as there is room")


FAKE = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@pytest.mark.parametrize("moment", ["1970-01-02 00:00:00", "2001-01-01 00:00:00", "2037-06-01 00:00:00"])
def test_a_wrong_clock_at_boot_releases_nothing_and_the_csms_sets_it_right(
    machine: Machine, outside: Outside, moment: str
):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    machine.until(lambda: site.connector(machine, 1)["status"] == "Available")
    order = {"connectorId": 1, "expiryDate": "2036-01-01T00:00:00Z", "idTag": site.TOKEN, "reservationId": 7}
    machine.until(lambda: csms.call("ReserveNow", order) == {"status": "Accepted"}, what="the reservation is taken")
    machine.run("systemctl", "stop", UNIT)
    csms.cut()
    machine.run("apt-get", "install", "-y", "libfaketime")
    fake = f"Environment=LD_PRELOAD={FAKE} FAKETIME='@{moment}' FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1"
    machine.drop_in("clock", fake)
    machine.run("systemctl", "start", UNIT)
    station = site.status(machine)["stations"][0]
    assert not station["clock"]["synchronized"]
    assert station["clock"]["utc"] >= "2026"
    assert [one["id"] for one in station["reservations"]] == [7]
    csms.restore()
    machine.until(lambda: site.status(machine)["stations"][0]["clock"]["synchronized"], what="the CSMS tells the time")
    assert site.status(machine)["stations"][0]["clock"]["utc"] < "2037"
    assert [one["id"] for one in site.status(machine)["stations"][0]["reservations"]] == [7]
    assert csms.violations() == []
