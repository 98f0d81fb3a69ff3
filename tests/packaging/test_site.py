"""The main job from the package: chargers on a serial line, a CSMS at the other end of a cable, a power that goes."""

from __future__ import annotations

import pytest

from tests.packaging import site
from tests.packaging.machine import UNIT, Machine
from tests.packaging.outside import Outside

pytestmark = pytest.mark.both


def test_without_a_network_it_serves_and_with_one_it_finds_the_csms_by_itself(machine: Machine, outside: Outside):
    machine.until(lambda: all(site.connector(machine, n)["online"] for n in (1, 2)), what="the chargers answer")
    assert not site.status(machine)["stations"][0]["csms"]["connected"]
    pid = machine.pid()
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    boot = csms.wait("BootNotification")
    assert boot["chargePointSerialNumber"] if "chargePointSerialNumber" in boot else boot["chargePointModel"]
    machine.until(lambda: site.status(machine)["stations"][0]["csms"]["registration"] == "Accepted")
    assert machine.pid() == pid
    assert csms.violations() == []


def test_a_car_charges_and_the_csms_has_its_transaction(machine: Machine, outside: Outside):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    machine.until(lambda: site.charger(machine, 1, "get")["energy_wh"] > 0, what="energy is counted")
    stop = site.stop_charging(machine, csms)
    assert stop["transactionId"] == number
    assert stop["meterStop"] >= csms.received("StartTransaction")[0]["meterStart"]
    assert csms.violations() == []


def test_what_the_csms_ordered_holds_while_it_is_away(machine: Machine, outside: Outside):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    order = {"connectorId": 1, "expiryDate": "2099-01-01T00:00:00Z", "idTag": site.TOKEN, "reservationId": 7}
    machine.until(lambda: site.connector(machine, 1)["status"] == "Available")
    machine.until(lambda: csms.call("ReserveNow", order) == {"status": "Accepted"}, what="the reservation is taken")
    csms.cut()
    machine.run("systemctl", "restart", UNIT)
    assert [one["id"] for one in site.status(machine)["stations"][0]["reservations"]] == [7]
    site.charger(machine, 1, "plug_in")
    machine.until(lambda: site.connector(machine, 1)["plugged"])
    machine.run("edged", "ctl", "present_token", "connector=1", "id_token=04FFFF", check=False)
    assert site.charger(machine, 1, "get")["contactor"] == "open"


def test_the_power_goes_and_the_transaction_ends_once_and_with_its_energy(machine: Machine, outside: Outside):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    machine.cut_power()
    machine.boot()
    machine.until(machine.is_active)
    outside.plug_in(machine)
    stop = csms.wait("StopTransaction")
    assert (stop["transactionId"], stop["reason"]) == (number, "PowerLoss")
    csms.wait("BootNotification", 2)
    machine.until(lambda: site.status(machine)["stations"][0]["queued"] == 0)
    assert len(csms.received("StopTransaction")) == 1
    assert csms.violations() == []


def test_somebody_stops_the_service_for_a_while_and_the_transaction_goes_on(machine: Machine, outside: Outside):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    watch = site.ContactorWatch(machine, 1)
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "start", UNIT)
    csms.wait("BootNotification", 2)
    assert site.running(machine, 1)["csms_id"] == number
    assert watch.positions() == ["closed"]
    assert site.stop_charging(machine, csms)["transactionId"] == number
    assert csms.violations() == []


def test_the_process_is_killed_and_the_car_does_not_notice(machine: Machine, outside: Outside):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    watch = site.ContactorWatch(machine, 1)
    pid = machine.pid()
    machine.run("systemctl", "kill", "--kill-who=main", "--signal=SIGKILL", UNIT)
    machine.until(lambda: machine.is_back(pid), what="it is back")
    csms.wait("BootNotification", 2)
    assert site.running(machine, 1)["csms_id"] == number
    assert watch.positions() == ["closed"]
    assert site.stop_charging(machine, csms)["transactionId"] == number
    assert csms.violations() == []
