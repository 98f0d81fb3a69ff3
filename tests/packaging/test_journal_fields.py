"""What journalctl finds of a site by what it was about: the package's daemon, a real journald."""

from __future__ import annotations

import json

from tests.packaging import site
from tests.packaging.machine import UNIT, Machine
from tests.packaging.outside import Outside

Entries = list[dict[str, str]]


def found(machine: Machine, *matches: str) -> Entries:
    """The entries of the daemon with all of these fields, in their order."""
    machine.run("journalctl", "--sync")
    return [json.loads(line) for line in machine.journal("-o", "json", *matches).splitlines()]


def said(entries: Entries) -> list[str]:
    return [entry["MESSAGE"] for entry in entries]


def test_a_cars_visit_is_found_by_its_connector_its_transaction_and_the_messages_about_it(
    machine: Machine, outside: Outside
):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    machine.until(lambda: site.connector(machine, 2)["status"] == "Available")
    order = {"connectorId": 2, "expiryDate": "2099-01-01T00:00:00Z", "idTag": site.TOKEN, "reservationId": 7}
    machine.until(lambda: csms.call("ReserveNow", order) == {"status": "Accepted"}, what="the reservation is taken")
    site.start_charging(machine, csms, 2)
    site.stop_charging(machine, csms, 2)

    of_connector = found(machine, "EDGED_CONNECTOR=2")
    kinds = [entry["MESSAGE"].partition(" connector 2: ")[2].partition(" ")[0] for entry in of_connector]
    visit = [kind for kind in kinds if kind.startswith(("reservation.", "transaction."))]
    while visit[0] == "reservation.rejected":  # one that has only just come has not confirmed that it withholds
        visit.pop(0)
    assert visit == ["reservation.made", "reservation.used", "transaction.started", "transaction.ended"]
    for entry in of_connector:
        assert entry["EDGED_STATION"] == site.STATION
        assert entry["SYSLOG_IDENTIFIER"] == "edged"
        assert entry["_TRANSPORT"] == "journal"
        assert entry["_SYSTEMD_UNIT"] == UNIT
        assert entry["CODE_FILE"].startswith("/usr/lib/edged/")

    transaction = next(entry["EDGED_TRANSACTION"] for entry in of_connector if "EDGED_TRANSACTION" in entry)
    assert [kind for kind in visit if "transaction" in kind] == [
        words.partition(": ")[2].partition(": ")[2].partition(" ")[0]
        for words in said(found(machine, f"EDGED_TRANSACTION={transaction}"))
        if "transaction." in words
    ]
    made = next(entry for entry in of_connector if "reservation.made" in entry["MESSAGE"])
    assert said(found(machine, f"EDGED_MESSAGE_ID={made['EDGED_MESSAGE_ID']}")) == [made["MESSAGE"]]
    assert not any("transaction." in words for words in said(found(machine, "EDGED_CONNECTOR=1")))
    assert site.TOKEN not in " ".join(said(found(machine)))


def test_every_entry_of_the_daemon_says_in_which_run_it_was_made(machine: Machine):
    machine.run("systemctl", "restart", UNIT)
    machine.until(machine.is_active)
    runs = [entry["EDGED_RUN"] for entry in found(machine) if "EDGED_RUN" in entry]
    assert len(set(runs)) == 2
    assert runs == sorted(runs, key=runs.index)
    assert said(found(machine, f"EDGED_RUN={runs[-1]}"))


def test_a_line_that_is_lost_is_found_by_its_name_and_is_a_warning(machine: Machine):
    machine.until(lambda: all(site.connector(machine, n)["online"] for n in (1, 2)), what="the chargers answer")
    machine.run("systemctl", "stop", "chargers.service")
    machine.until(lambda: not site.connector(machine, 1)["online"], what="the line is missed")
    warnings = found(machine, "--priority=warning", f"EDGED_BUS={site.YARD}")
    assert warnings
    assert {entry["PRIORITY"] for entry in warnings} == {"4"}
    lost = [entry for entry in found(machine, "EDGED_CHARGER=left") if "is lost" in entry["MESSAGE"]]
    assert [(entry["EDGED_STATION"], entry["EDGED_CONNECTOR"]) for entry in lost] == [(site.STATION, "1")]


def test_a_journal_that_is_restarted_is_told_what_happens_next_with_its_fields(machine: Machine):
    machine.until(lambda: all(site.connector(machine, n)["online"] for n in (1, 2)), what="the chargers answer")
    pid = machine.pid()
    machine.run("systemctl", "restart", "systemd-journald")
    machine.run("edged", "ctl", "change_availability", "connector=2", "type=Inoperative", "--id", "order-7")
    (words,) = said(found(machine, "EDGED_COMMAND=order-7", "EDGED_CONNECTOR=2"))
    assert "connector.availability" in words
    assert machine.pid() == pid
