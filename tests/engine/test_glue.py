"""Where rooms meet that may not know each other: shape, words, views and desks. They convert and pass on, no more."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from edged.chargers.library import load_profile
from edged.chargers.line import LineKind
from edged.desks import LOCAL, LocalDesk, MirrorDesk, StationsView, StoredReplies, TransferHistory, plain
from edged.dialects.v16 import Ocpp16
from edged.domain.commands import ReserveNow
from edged.domain.displays import Bill, DisplayMessage, MessagePriority
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.files import FirmwareOrder, FirmwareStatus, FirmwareUpdate
from edged.domain.hardware import Capability, ChargerState, Measurand
from edged.domain.journal import Direction, Entry, Journal, SecurityEntry, TransferEntry
from edged.domain.station import Boot, Station
from edged.domain.types import IdToken, Now, PersonalMessage, RequestRef, Stamp
from edged.mqtt.ledger import KeptReply
from edged.mqtt.names import Names
from edged.mqtt.topics import CsmsView
from edged.ports import StoreError
from edged.settings import (
    ChargerSettings,
    ConnectorSettings,
    CsmsSettings,
    EvseSettings,
    GatewaySettings,
    Parity,
    RtuOverTcpLine,
    SerialLine,
    StationSettings,
    TcpLine,
    TimeSource,
)
from edged.shape import DEFAULT_MAX_MA, ChargerFacts, first_values, fresh_station, layouts
from edged.store.memory import MemoryStore
from edged.store.port import Store
from edged.views import Watcher, status_document
from edged.words import bus_spec, charger_facts
from tests.fakes.site import START, Site

NOW = Now(START, 5.0, True)
CSMS = CsmsSettings(url="ws://csms.example.com/ocpp", versions=("ocpp1.6",))
ONE = (ConnectorSettings(type=None),)
FACTS = {
    "single": ChargerFacts(
        capabilities=frozenset({Capability.WITHHOLD, Capability.DETACHABLE}),
        measurands=frozenset({Measurand.ENERGY}),
        connector_type="cType2",
        max_current_ma=16_000,
    ),
    "double": ChargerFacts(
        capabilities=frozenset({Capability.WITHHOLD}),
        measurands=frozenset({Measurand.ENERGY, Measurand.POWER}),
        connector_type="sType2",
        phases=1,
        voltage_v=120.0,
        min_current_ma=10_000,
    ),
}


def settings(**changes: Any) -> StationSettings:
    evses = (
        EvseSettings(charger="double", connectors=(ConnectorSettings(type=None), ConnectorSettings(type="cCCS2"))),
        EvseSettings(charger="single", connectors=ONE),
    )
    return replace(StationSettings(id="DEPOT-7", csms=CSMS, evses=evses, vendor="Example", model="Depot 3"), **changes)


def fresh(**changes: Any) -> Station:
    boot = Boot(id="b", floor=START, started_s=0.0)
    gateway = GatewaySettings(id="gw", time_source=TimeSource.HOST)
    return fresh_station(
        settings(**changes), gateway, FACTS, Ocpp16(), boot=boot, now=NOW, firmware_version="edged 0.0"
    )


# --- shape


def test_connectors_are_numbered_through_the_station_in_the_order_of_the_file():
    found = layouts(settings(), FACTS)
    assert [(each.number, each.evse_id, each.connector_id, each.charger) for each in found] == [
        (1, 1, 1, "double"),
        (2, 1, 2, "double"),
        (3, 2, 1, "single"),
    ]


def test_a_connector_is_of_the_profiles_type_where_the_file_names_none():
    assert [each.connector_type for each in layouts(settings(), FACTS)] == ["sType2", "cCCS2", "cType2"]


def test_without_any_limit_a_connector_gets_the_default():
    assert [each.max_current_ma for each in layouts(settings(), FACTS)] == [DEFAULT_MAX_MA, DEFAULT_MAX_MA, 16_000]


def test_a_connector_is_wired_as_the_site_says():
    found = layouts(settings(), FACTS)
    assert [(each.phases, each.voltage_v, each.min_current_ma) for each in found] == [
        (1, 120.0, 10_000),
        (1, 120.0, 10_000),
        (3, 230.0, 6_000),
    ]


@pytest.mark.parametrize(
    ("profile", "site", "most_ma", "least_ma", "phases"),
    [
        ("heidelberg-energy-control", {}, 16_000, 6_000, 3),
        ("heidelberg-energy-control", {"max_current_ma": 10_000, "phases": 1}, 10_000, 6_000, 1),
        ("keba-p30", {}, DEFAULT_MAX_MA, 6_000, 3),
        ("keba-p30", {"max_current_ma": 80_000}, 63_000, 6_000, 3),
    ],
)
def test_what_a_charger_may_have_is_the_least_of_what_its_site_and_its_profile_say(
    profile: str, site: dict[str, int], most_ma: int, least_ma: int, phases: int
):
    line = TcpLine(host="10.0.0.1")
    written = ChargerSettings(name="left", profile=profile, line=line, **site)
    device = load_profile(profile)
    found = charger_facts(written, device, device.capabilities)
    assert (found.max_current_ma, found.min_current_ma, found.phases, found.voltage_v) == (
        most_ma,
        least_ma,
        phases,
        230.0,
    )


def test_a_fresh_station_is_what_its_file_says():
    station = fresh(offline_tokens=(IdToken("MASTER"),), serial_number="SN-1")
    assert (station.identity.id, station.identity.vendor, station.identity.serial_number) == (
        "DEPOT-7",
        "Example",
        "SN-1",
    )
    assert station.rules.offline_tokens == (IdToken("MASTER"),)
    assert not station.rules.time_from_csms
    assert station.configuration.text("NumberOfConnectors") == "3"
    assert set(station.connectors) == {1, 2, 3}


def test_first_values_stand_under_their_proper_names_whatever_their_case():
    good, bad = first_values(settings(configuration={"heartbeatinterval": "60"}), layouts(settings(), FACTS))
    assert (good, bad) == ({"HeartbeatInterval": "60"}, ())
    assert fresh(configuration={"heartbeatinterval": "60"}).configuration.number("HeartbeatInterval") == 60


def test_each_bad_first_value_is_told_and_the_good_ones_count():
    wrong = {"HeartbeatIntervall": "60", "ConnectionTimeOut": "soon", "ResetRetries": "2"}
    good, bad = first_values(settings(configuration=wrong), layouts(settings(), FACTS))
    assert good == {"ResetRetries": "2"}
    assert {each.key for each in bad} == {"HeartbeatIntervall", "ConnectionTimeOut"}
    assert all(each.sentence for each in bad)


# --- words


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (SerialLine(port="/dev/ttyUSB0", baudrate=9600, parity=Parity.NONE, stopbits=2), LineKind.SERIAL),
        (TcpLine(host="10.0.0.2", port=1502), LineKind.TCP),
        (RtuOverTcpLine(host="10.0.0.3", port=4001), LineKind.RTU_OVER_TCP),
    ],
)
def test_each_line_of_the_settings_is_a_line_of_the_bus(line: Any, kind: LineKind):
    spec = bus_spec(line)
    assert spec.kind is kind
    if isinstance(line, SerialLine):
        assert (spec.port, spec.baudrate, spec.parity, spec.stopbits) == ("/dev/ttyUSB0", 9600, "none", 2)
    else:
        assert (spec.host, spec.tcp_port) == (line.host, line.port)


# --- views


def test_a_watcher_is_told_of_a_station_once():
    told: list[Station] = []
    watcher = Watcher(lambda station, now: told.append(station))
    one, other = fresh(), fresh(model="other")
    for station in (one, one, other, other):
        watcher.show(station, NOW)
    assert told == [one, other]


def test_a_watcher_is_told_of_messages_and_costs_and_when_a_message_begins():
    told: list[Station] = []
    watcher = Watcher(lambda station, now: told.append(station))
    later = DisplayMessage(
        id=1,
        priority=MessagePriority.NORMAL,
        content=PersonalMessage("Hello", "UTF8"),
        starts_at=NOW.utc + timedelta(seconds=60),
    )
    known = replace(fresh(), clock=replace(NOW, synchronized=True))
    waiting = replace(known, display_messages={1: later})
    billed = replace(waiting, bills={1: Bill(total=1.0)})
    begun = replace(billed, clock=replace(known.clock, utc=later.starts_at))
    seen = (known, waiting, billed, replace(billed, tickets=1), begun, replace(begun, tickets=2))
    for station in seen:
        watcher.show(station, NOW)
    assert told == [known, waiting, billed, begun]


def test_the_status_document_is_json_and_shows_no_whole_token():
    site = Site.build(2)
    site.start(1, "SECRET-TOKEN-1")
    site.reserve(5, "SECRET-TOKEN-2", 2)
    document = status_document(site.station, degraded="the disk is full", link={"connected": True})
    text = json.dumps(document)
    assert "SECRET" not in text
    assert document["degraded"] == "the disk is full"
    assert document["csms"]["connected"] is True
    assert [each["id"] for each in document["reservations"]] == [5]
    assert [each["connector"] for each in document["transactions"]] == [1]
    assert [each["status"] for each in document["connectors"]] == ["Charging", "Reserved"]


def test_a_sound_disk_is_no_news():
    assert status_document(fresh(), degraded="", link={})["degraded"] is None


def test_the_status_document_tells_of_limits_lists_and_files_without_credentials():
    site = Site.build(1)
    order = FirmwareOrder(location="ftp://me:pass@host/f.bin", retrieve_at=site.now.utc, request_id=7)
    update = FirmwareUpdate(order=order, status=FirmwareStatus.DOWNLOAD_FAILED, reason="no such file")
    site.station = replace(site.station, firmware=update, local_list_version=3)
    document = status_document(site.station, degraded="", link={})
    assert document["firmware"] == {"status": "DownloadFailed", "request_id": 7, "reason": "no such file"}
    assert document["local_list"] == {"version": 3, "entries": 0, "contradicted": False}
    assert document["security"] == {"profile": 0, "on_trial": False}
    assert document["connectors"][0]["may_take_a"] == 32.0 and document["connectors"][0]["set_to_a"] is None
    assert document["upload"] is None and "pass" not in json.dumps(document)


@dataclass(frozen=True)
class Snapshot:
    count: int
    mean: float
    inner: Mapping[Any, Any]


def test_statistics_become_json_values():
    made = plain(Snapshot(3, 0.123456789, {1: ChargerState.CHARGING, "when": START, "none": None, "flag": True}))
    assert json.loads(json.dumps(made)) == {
        "count": 3,
        "mean": 0.123457,
        "inner": {"1": str(ChargerState.CHARGING), "when": str(START), "none": None, "flag": True},
    }


# --- desks


@dataclass
class Ticking:
    time: Now = field(default_factory=lambda: NOW)

    def now(self) -> Now:
        return self.time

    def learn(self, utc: datetime) -> None:
        raise AssertionError("a desk tells nobody the time")


@dataclass
class Taker:
    """An engine that takes what is posted, as long as it has room."""

    station: Station
    room: bool = True
    degraded: str = ""
    posted: list[Event] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def post(self, event: Event) -> bool:
        if self.room:
            self.posted.append(event)
            self.arrived.set()
        return self.room


@dataclass
class Reception:
    engine: Taker
    desk: LocalDesk
    clock: Ticking


@pytest.fixture
def reception() -> Reception:
    engine, clock = Taker(Site.build(2).station), Ticking()
    view = StationsView(Names("edged", "gw"), "masked")
    view.add("TEST", engine, CsmsView(url="ws://x", version=None, security_profile=0, state="connecting", reason=None))
    return Reception(engine, LocalDesk(view, clock, run_id="r", status=lambda: {"fine": True}), clock)


class Diskless:
    """A store of which only the journal is looked at; `wrong`: what the disk says instead."""

    def __init__(self, wrong: StoreError | None = None) -> None:
        self.wrong = wrong
        self.threads: list[str] = []

    def journal_load(self, station_id: str, kind: Journal, *, limit: int) -> list[Entry]:
        self.threads.append(threading.current_thread().name)
        if self.wrong is not None:
            raise self.wrong
        at = Stamp(START, True, "b")
        entry = TransferEntry(
            at=at,
            direction=Direction.FROM_CSMS,
            source=station_id,
            vendor_id="v",
            message_id=None,
            data=None,
            data_chars=limit,
            status="Accepted",
        )
        return [entry, SecurityEntry(at=at, event_type="not a transfer")]


async def listed(disk: Diskless, *, running: bool = True) -> dict[str, Any]:
    clock = Ticking()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk") as executor:
        if not running:
            executor.shutdown()
        history = TransferHistory(cast("Store", disk), executor, clock)
        view = StationsView(Names("edged", "gw"), "masked", history)
        seen = CsmsView(url="ws://x", version=None, security_profile=0, state="connecting", reason=None)
        view.add("TEST", Taker(Site.build(2).station), seen)
        desk = LocalDesk(view, clock, run_id="r", status=dict)
        return await desk.dispatch("list_data_transfers", {"limit": 7}, "a")


async def test_the_history_is_read_beside_the_event_loop():
    disk = Diskless()
    reply = await listed(disk)
    (only,) = reply["result"]["transfers"]
    assert (only["source"], only["data_chars"]) == ("TEST", 7)
    assert disk.threads == ["disk_0"]


async def test_a_disk_that_gives_no_history_is_an_answer_and_a_line_in_the_log(caplog):
    reply = await listed(Diskless(StoreError("read a journal: disk I/O error")))
    assert reply["error"]["code"] == "internal"
    assert "disk I/O error" in caplog.text


async def test_a_daemon_that_has_let_go_of_its_store_says_so():
    assert (await listed(Diskless(), running=False))["error"]["code"] == "internal"


RESERVE = {"connector": 1, "id_token": "BOB", "expires_at": "2027-01-01T00:00:00Z", "reservation_id": 5}


async def submitted(reception: Reception) -> tuple[asyncio.Task[dict[str, Any]], ReserveNow]:
    asking = asyncio.create_task(reception.desk.dispatch("reserve_now", RESERVE, "a"))
    await asyncio.wait_for(reception.engine.arrived.wait(), 30)
    (event,) = reception.engine.posted
    assert isinstance(event, ReserveNow) and event.request.channel == LOCAL
    return asking, event


async def test_status_is_answered_without_asking_a_station(reception: Reception):
    assert await reception.desk.dispatch("status", {}, None) == {"ok": True, "result": {"fine": True}}
    assert reception.engine.posted == []


async def test_a_command_goes_to_the_station_and_its_answer_to_the_asker(reception: Reception):
    asking, event = await submitted(reception)
    site = Site(reception.engine.station, NOW, fresh=reception.engine.station)
    site.do(event)
    assert reception.desk.answer(site.reply())
    answer = await asyncio.wait_for(asking, 30)
    assert answer["ok"] and answer["result"]["status"] == "Accepted"


async def test_what_the_disk_did_not_keep_is_an_internal_error(reception: Reception):
    asking, event = await submitted(reception)
    assert reception.desk.fail(event.request, "the disk is full")
    answer = await asyncio.wait_for(asking, 30)
    assert (answer["ok"], answer["error"]["code"]) == (False, "internal")
    assert "disk is full" in answer["error"]["message"]


async def test_a_station_without_room_is_busy(reception: Reception):
    reception.engine.room = False
    answer = await asyncio.wait_for(reception.desk.dispatch("reserve_now", RESERVE, "a"), 30)
    assert answer["error"]["code"] == "busy"


async def test_an_answer_to_a_question_of_another_desk_is_left_to_it(reception: Reception):
    site = Site.build(1)
    site.reserve(5, "BOB", 1)
    foreign: Reply = site.reply()
    assert not reception.desk.answer(foreign)
    assert not reception.desk.fail(RequestRef("mqtt:bms", "x", ""), "why")


async def test_an_unknown_command_is_refused_with_the_known_ones(reception: Reception):
    answer = await asyncio.wait_for(reception.desk.dispatch("dance", {}, None), 30)
    assert answer["error"]["code"] == "unknown_command"
    assert reception.engine.posted == []


async def test_nobody_waits_for_ever(reception: Reception):
    asking, _ = await submitted(reception)
    reception.clock.time = replace(NOW, monotonic_s=NOW.monotonic_s + 3600)
    answer = await asyncio.wait_for(asking, 30)
    assert answer["error"]["code"] == "timeout"


def test_the_mirrors_desk_hands_a_failure_on_as_an_internal_error():
    told: list[tuple[RequestRef, str, str]] = []

    class Mirror:
        def answer(self, reply: Reply) -> bool:
            return False

        def fail(self, request: RequestRef, problem: Any) -> bool:
            told.append((request, problem.code.value, problem.message))
            return True

    desk = MirrorDesk(Mirror())  # type: ignore[arg-type]
    request = RequestRef("mqtt:bms", "1", "")
    assert desk.fail(request, "the disk is full")
    assert told == [(request, "internal", "the disk is full")]


def test_kept_answers_come_back_as_they_were_and_an_unreadable_one_is_left_out():
    store = MemoryStore()
    clock = Ticking(Now(datetime.now(UTC), 0.0, True))
    replies = StoredReplies(store, clock)
    kept = KeptReply(("bms", "reserve_now", "a"), {"ok": True, "result": {"status": "Accepted"}})
    replies.save(kept, ())
    replies.save(KeptReply(("bms", "ping", "b"), {"ok": True}), ())
    store._replies[1] = replace(store._replies[1], payload="{not json")
    assert list(replies.load()) == [kept]
