"""What a CSMS may have started again: the service, the computer, and neither of them for ever."""

from __future__ import annotations

from tests.packaging import site
from tests.packaging.machine import Machine
from tests.packaging.outside import Csms, Outside


def online(machine: Machine, outside: Outside) -> Csms:
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    machine.until(lambda: site.status(machine)["stations"][0]["csms"]["registration"] == "Accepted")
    return csms


def reboot_by(csms: Csms, machine: Machine, outside: Outside, *, boots: int) -> None:
    """A Hard reset, and everything as it was, after so many BootNotifications."""
    assert csms.call("Reset", {"type": "Hard"}) == {"status": "Accepted"}
    machine.has_restarted()
    machine.until(machine.is_active)
    outside.plug_in(machine)
    csms.wait("BootNotification", boots)
    machine.until(lambda: site.status(machine)["stations"][0]["csms"]["registration"] == "Accepted")


def test_a_soft_reset_starts_the_service_again_and_nothing_else(machine: Machine, outside: Outside):
    csms = online(machine, outside)
    pid = machine.pid()
    assert csms.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
    machine.until(lambda: machine.is_back(pid), what="the service is back")
    csms.wait("BootNotification", 2)
    assert machine.show("NRestarts") == "1"
    assert csms.violations() == []


def test_a_hard_reset_restarts_the_computer_once_and_its_transaction_ends(machine: Machine, outside: Outside):
    csms = online(machine, outside)
    number = site.start_charging(machine, csms)
    reboot_by(csms, machine, outside, boots=2)
    stop = csms.wait("StopTransaction")
    assert (stop["transactionId"], stop["reason"]) == (number, "HardReset")
    assert machine.sh("ls /run/edged/reboot-request 2>/dev/null", check=False) == ""
    assert machine.show("NRestarts") == "0"
    assert csms.violations() == []


def test_the_third_hard_reset_in_an_hour_is_refused_and_the_site_stays_up(machine: Machine, outside: Outside):
    csms = online(machine, outside)
    reboot_by(csms, machine, outside, boots=2)
    reboot_by(csms, machine, outside, boots=3)
    pid = machine.pid()
    assert csms.call("Reset", {"type": "Hard"}) == {"status": "Rejected"}
    number = site.start_charging(machine, csms)
    assert machine.pid() == pid
    assert site.stop_charging(machine, csms)["transactionId"] == number
