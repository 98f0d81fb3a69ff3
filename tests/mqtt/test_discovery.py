"""Home Assistant's device documents: which entities there are, what they read, and how they go."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edged.domain.hardware import Capability, Measurand
from edged.domain.station import Station
from edged.mqtt.announcer import PARTING_S, Announcer
from edged.mqtt.discovery import of_gateway, of_station
from edged.mqtt.entity import Discovery
from edged.mqtt.events import KINDS, category_of
from edged.mqtt.names import Names
from edged.mqtt.options import CommandOptions
from edged.mqtt.outbox import Outbox

NAMES = Names("edged", "gw1")
EVERYTHING = CommandOptions(actors={"homeassistant": frozenset({"*"})})
CONNECTOR = "homeassistant/device/edged-gw1/cs1-1/config"
STATION = "homeassistant/device/edged-gw1/cs1-station/config"
GATEWAY = "homeassistant/device/edged-gw1/gateway/config"


def discovery(commands: CommandOptions = EVERYTHING) -> Discovery:
    return Discovery(prefix="homeassistant", names=NAMES, version="0.1.0", commands=commands)


def told(station: Station, commands: CommandOptions = EVERYTHING) -> dict:
    devices = {**of_gateway(["cs1"], discovery(commands)), **of_station(station, discovery(commands))}
    return {topic: json.loads(device.document().body) for topic, device in devices.items()}


def able(station: Station, *capabilities: Capability) -> Station:
    connectors = {n: replace(c, capabilities=frozenset(capabilities)) for n, c in station.connectors.items()}
    return replace(station, connectors=connectors)


def test_there_is_one_document_for_the_gateway_one_for_each_station_and_one_for_each_connector(site):
    documents = told(site.station)
    assert set(documents) == {GATEWAY, STATION, CONNECTOR, CONNECTOR.replace("-1/", "-2/")}
    assert documents[CONNECTOR]["dev"]["via_device"] == documents[STATION]["dev"]["ids"][0]
    assert documents[STATION]["dev"]["via_device"] == documents[GATEWAY]["dev"]["ids"][0]
    assert documents[CONNECTOR]["dev"]["ids"] == ["edged-gw1-cs1-1"]


def test_every_document_is_as_the_contract_has_it(site, contract):
    for topic, body in told(site.station).items():
        contract.check(topic, json.dumps(body).encode())


def test_a_connector_is_there_while_the_gateway_and_its_charger_are(site):
    head = told(site.station)[CONNECTOR]
    assert head["avty"] == [{"t": NAMES.status}, {"t": NAMES.of_connector("cs1", 1, "link")}]
    assert head["avty_mode"] == "all"


def test_no_two_entities_have_one_id_not_even_of_stations_that_are_named_like_connectors(site):
    ids = []
    devices = {}
    for name in ("cs1", "cs1-1", "cs1-station", "cs1-1-station"):
        station = replace(site.station, identity=replace(site.station.identity, id=name))
        devices |= of_station(station, discovery())
    for device in devices.values():
        ids += [part["uniq_id"] for part in json.loads(device.document().body)["cmps"].values()]
    assert len(ids) == len(set(ids))
    assert len(devices) == len({device.id for device in devices.values()}) == 12


def test_every_topic_that_an_entity_reads_is_one_that_the_mirror_shows(site, contract):
    for body in told(able(site.station, *Capability)).values():
        for part in body["cmps"].values():
            for name in ("stat_t", "cmd_t", "json_attr_t"):
                if name in part:
                    flags = contract.flags_of(part[name])
                    passing = name == "cmd_t" or part["p"] == "event"
                    assert flags.retain != passing, part
                    assert flags.retain or flags.qos == 1, f"the contract does not know {part[name]}"


def test_what_a_connector_cannot_do_is_not_offered(site):
    parts = told(able(site.station))[CONNECTOR]["cmps"]
    assert not {"limit", "available_current", "unlock", "locked", "lock"} & parts.keys()
    parts = told(able(site.station, *Capability))[CONNECTOR]["cmps"]
    assert {"limit", "available_current", "unlock", "locked", "lock"} <= parts.keys()


def test_what_home_assistant_may_not_send_is_not_offered(site):
    station = able(site.station, *Capability)
    parts = told(station, CommandOptions(actors={"homeassistant": frozenset({"set_limit"})}))[CONNECTOR]["cmps"]
    assert {name for name, part in parts.items() if "cmd_t" in part} == {"limit"}
    assert parts["in_service"]["p"] == "binary_sensor"
    bodies = told(station, CommandOptions()).values()
    assert not any("cmd_t" in part for body in bodies for part in body["cmps"].values())


def test_what_a_charger_does_not_measure_is_not_offered(site):
    layout = replace(site.station.connectors[1].layout, measurands=frozenset({Measurand.ENERGY, Measurand.CURRENT}))
    layout = replace(layout, phases=1)
    connectors = {1: replace(site.station.connectors[1], layout=layout)}
    parts = told(replace(site.station, connectors=connectors))[CONNECTOR]["cmps"]
    meters = {name for name, part in parts.items() if part.get("stat_t", "").endswith(("/meter", "/transaction"))}
    assert meters == {"energy", "session", "current_l1", "charging", "transaction_events"}


def test_energy_counts_as_home_assistant_wants_it(site):
    parts = told(site.station)[CONNECTOR]["cmps"]
    assert parts["energy"]["stat_cla"] == "total_increasing"
    assert (parts["session"]["stat_cla"], "started_at" in parts["session"]["lrst_val_tpl"]) == ("total", True)
    assert parts["power"]["stat_cla"] == "measurement"


def test_a_measured_value_expires_after_three_times_the_longest_interval(site):
    parts = told(site.station)[CONNECTOR]["cmps"]
    assert {part["exp_aft"] for part in parts.values() if "exp_aft" in part} == {180}
    assert "exp_aft" not in parts["energy"], "the register stays what it was"


def test_attributes_come_from_documents_that_seldom_change(site):
    for body in told(site.station).values():
        for part in body["cmps"].values():
            assert part.get("json_attr_t", "").rpartition("/")[2] in ("", "error", "reservation")


def test_every_event_type_of_a_category_is_announced(site):
    seen = set()
    for body in told(site.station).values():
        for part in body["cmps"].values():
            if part["p"] == "event":
                category = part["stat_t"].rpartition("/")[2]
                assert set(part["evt_typ"]) == {kind for kind in KINDS if category_of(kind) == category}
                seen |= set(part["evt_typ"])
    assert KINDS - seen == {"command.executed", "command.refused"}


def test_every_command_names_its_place_carries_an_id_and_goes_by_the_name_of_home_assistant(site):
    commands = 0
    for body in told(able(site.station, *Capability)).values():
        for part in body["cmps"].values():
            if "cmd_t" in part:
                commands += 1
                assert part["cmd_t"].startswith("edged/v1/gw1/rpc/homeassistant/request/")
                assert part["cmd_tpl"].startswith('{"id":"ha-{{ now().timestamp() }}","args":{"station":"cs1"')
                assert part["qos"] == 1
    assert commands == 2 * 5 + 2  # operative, limit, stop, unlock, lock; restart of OCPP, reset of the station


def test_a_document_fits_into_every_broker_and_stays_small(site):
    device = of_station(able(site.station, *Capability), discovery())[CONNECTOR]
    assert len(device.document().body.encode()) < 10_000


# --- how entities come and go


class Shelf:
    """An outbox whose broker takes everything at once."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.outbox.connected(20)
        self.taken: list[tuple[str, str]] = []

    def take(self) -> None:
        while parcels := self.outbox.due(0.0):
            for parcel in parcels:
                self.taken.append((parcel.topic, parcel.document.body))
                self.outbox.settled(parcel.ticket)

    def last(self, topic: str) -> dict:
        return json.loads(next(body for t, body in reversed(self.taken) if t == topic))["cmps"]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_the_first_document_of_a_run_parts_with_all_that_is_not_there_and_the_next_is_without(site, shelf):
    announcer = Announcer(shelf.outbox, discovery())
    announcer.show_station(able(site.station))
    shelf.take()
    first = shelf.last(CONNECTOR)
    assert first["limit"] == {"p": "number"}
    assert next(iter(first)) == "locked", "what goes stands first"
    announcer.due(0.0)
    announcer.due(PARTING_S - 0.1)
    shelf.take()
    assert shelf.last(CONNECTOR) == first
    announcer.due(PARTING_S)
    shelf.take()
    assert "limit" not in shelf.last(CONNECTOR)
    assert {name for name, part in first.items() if len(part) > 1} == shelf.last(CONNECTOR).keys()


def test_an_entity_that_goes_is_parted_with_first_and_what_never_was_is_not_mentioned(site, shelf):
    announcer = Announcer(shelf.outbox, discovery())
    announcer.show_station(able(site.station, Capability.LIMIT))
    shelf.take()
    announcer.due(0.0)
    announcer.due(PARTING_S)
    announcer.show_station(able(site.station))
    shelf.take()
    gone = {name: part for name, part in shelf.last(CONNECTOR).items() if len(part) == 1}
    assert gone == {"limit": {"p": "number"}, "available_current": {"p": "sensor"}}


def test_a_shrunk_document_waits_until_the_broker_has_the_one_that_parts(site, shelf):
    announcer = Announcer(shelf.outbox, discovery())
    announcer.show_station(able(site.station))
    for second in range(20):
        announcer.due(float(second))
    shelf.take()
    assert shelf.last(CONNECTOR)["limit"] == {"p": "number"}


def test_an_entity_that_comes_back_before_its_parting_is_over_stays(site, shelf):
    announcer = Announcer(shelf.outbox, discovery())
    announcer.show_station(able(site.station))
    shelf.take()
    announcer.due(0.0)
    announcer.show_station(able(site.station, *Capability))
    shelf.take()
    announcer.due(1.0)
    announcer.due(1.0 + PARTING_S)
    shelf.take()
    assert shelf.last(CONNECTOR)["limit"]["name"] == "Current limit"
    assert all(len(part) > 1 for part in shelf.last(CONNECTOR).values())


def test_a_step_that_changes_no_entity_sends_nothing(site, shelf):
    announcer = Announcer(shelf.outbox, discovery())
    announcer.show_station(site.station)
    shelf.take()
    before, document = len(shelf.taken), shelf.outbox.shown(CONNECTOR)
    announcer.show_station(replace(site.station, operative=False))
    shelf.take()
    assert len(shelf.taken) == before
    assert shelf.outbox.shown(CONNECTOR) is document, "not even built again"


def test_when_home_assistant_has_come_back_everything_is_told_once_after_a_while(shelf):
    announcer = Announcer(shelf.outbox, discovery())
    assert announcer.heard("homeassistant/status", b"online", 10.0, share=0.5)
    assert announcer.heard("homeassistant/status", b"online", 11.0, share=0.9)
    assert [announcer.due(second) for second in (12.4, 12.5, 12.6, 30.0)] == [False, True, False, False]
    assert announcer.heard("homeassistant/status", b"offline", 40.0, share=0.0)
    assert not announcer.due(60.0)
    assert not announcer.heard("edged/v1/gw1/status", b"online", 70.0, share=0.0)
    assert not announcer.due(90.0)
