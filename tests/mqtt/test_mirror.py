"""The mirror against Debian's broker, in both versions of the protocol, with the real core behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edged.domain.events import ChargerLost, PresentToken
from edged.domain.hardware import ChargerState
from edged.domain.types import IdToken
from edged.mqtt.event_log import EventLog, Tell
from edged.mqtt.events import Happening
from edged.mqtt.gateway_documents import GatewayView, HealthView
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.options import CommandOptions, IdTokenPolicy, Protocol

Make = Callable[..., MqttMirror]
PREFIX = "edged/v1/gw1"
ASPECTS = ("link", "status", "error", "availability", "lock", "reservation", "transaction", "limit", "meter")
STATE_TOPICS = {
    f"{PREFIX}/info",
    f"{PREFIX}/health",
    f"{PREFIX}/station/cs1/info",
    f"{PREFIX}/station/cs1/ocpp/is_connected",
    f"{PREFIX}/station/cs1/ocpp/connection",
    *(f"{PREFIX}/station/cs1/connector/{n}/{aspect}" for n in (1, 2) for aspect in ASPECTS),
}


def online(seen: list[Any]) -> bool:
    return any(s.topic == f"{PREFIX}/status" and s.payload == b"online" for s in seen)


async def test_everything_is_retained_and_online_comes_last(
    broker: Any, integrator: Any, site: Any, make_mirror: Make, protocol: Protocol
) -> None:
    site.observe(1)
    site.observe(2)
    make_mirror(broker.port, protocol).start()
    await integrator.wait_for(online)
    dump = [s for s in integrator.seen if not s.topic.endswith("/heartbeat")]
    first = next(n for n, s in enumerate(dump) if s.topic == f"{PREFIX}/status")
    assert {s.topic for s in dump[:first]} == STATE_TOPICS
    assert all(s.retain for s in dump)
    assert {s.topic for s in dump if s.qos == 0} == {t for t in STATE_TOPICS if t.endswith("/meter")}


async def test_a_difference_is_published_and_nothing_else(
    broker: Any, integrator: Any, site: Any, make_mirror: Make, protocol: Protocol
) -> None:
    site.observe(1)
    make_mirror(broker.port, protocol).start()
    await integrator.wait_for(online)
    before = len(integrator.seen)
    site.later(seconds=1)
    site.observe(1, plugged=True, state=ChargerState.CONNECTED)
    topic = f"{PREFIX}/station/cs1/connector/1/status"
    status = (await integrator.payload(topic, lambda s: s.json["status"] == "Preparing")).json
    assert (status["plugged"], status["previous"], status["since"]) == (True, "Available", "2026-08-22T10:00:01.000Z")
    place = f"{PREFIX}/station/cs1/connector/1/"
    told = {s.topic for s in integrator.seen[before:] if "/station/" in s.topic}
    assert told <= {f"{place}status", f"{place}meter"}


async def test_a_silent_charger_makes_the_meter_stale_and_keeps_the_register(
    broker: Any, integrator: Any, site: Any, make_mirror: Make
) -> None:
    site.observe(1)
    make_mirror(broker.port).start()
    await integrator.wait_for(online)
    site.happen(ChargerLost(1, "no answer"))
    meter = await integrator.payload(f"{PREFIX}/station/cs1/connector/1/meter", lambda s: s.json["quality"] == "stale")
    assert (meter.json["energy_wh"], meter.json["power_w"], meter.json["current_a"]["l1"]) == (123456, None, None)
    await integrator.payload(f"{PREFIX}/station/cs1/connector/1/link", lambda s: s.payload == b"offline")


async def test_the_meter_is_told_together_with_the_start_of_a_transaction(
    broker: Any, integrator: Any, site: Any, make_mirror: Make
) -> None:
    site.observe(1, plugged=True, state=ChargerState.CONNECTED)
    make_mirror(broker.port).start()
    await integrator.wait_for(online)
    little_more = replace(site.station.connectors[1].meter, energy_wh=123_459.0)  # within every dead band
    site.observe(1, plugged=True, state=ChargerState.CONNECTED, meter=little_more)
    site.happen(PresentToken(IdToken("DRIVER-0001"), 1))
    place = f"{PREFIX}/station/cs1/connector/1"
    await integrator.payload(f"{place}/transaction", lambda s: s.json["active"])
    await integrator.payload(f"{place}/meter", lambda s: s.json["energy_wh"] == 123_459)


async def test_the_goodbye_is_offline_and_retained(
    broker: Any, integrator: Any, make_mirror: Make, protocol: Protocol
) -> None:
    mirror = make_mirror(broker.port, protocol)
    mirror.start()
    await integrator.wait_for(online)
    await mirror.stop()
    last = await integrator.payload(f"{PREFIX}/status", lambda s: s.payload == b"offline")
    assert last.retain
    assert sum(s.topic == f"{PREFIX}/status" for s in integrator.seen) == 2, "the will was sent besides the goodbye"


async def test_a_broker_that_restarts_gets_the_whole_dump_again(
    broker: Any, watch: Callable[[], Any], site: Any, make_mirror: Make, until: Any, protocol: Protocol
) -> None:
    mirror = make_mirror(broker.port, protocol)
    mirror.start()
    await until(lambda: mirror.link.session == 1)
    broker.kill()
    await until(lambda: not mirror.link.connected)
    broker.start()
    await until(lambda: mirror.link.session == 2)
    newcomer = watch()
    await newcomer.wait_for(lambda seen: {s.topic for s in seen if s.retain} >= STATE_TOPICS)
    await newcomer.payload(f"{PREFIX}/status", lambda s: s.payload == b"online")
    info = await newcomer.payload(f"{PREFIX}/info")
    assert info.json["session"] == 2


async def test_a_state_that_changed_during_an_outage_is_right_afterwards(
    broker: Any, watch: Callable[[], Any], site: Any, make_mirror: Make, until: Any
) -> None:
    site.observe(1)
    mirror = make_mirror(broker.port)
    mirror.start()
    await until(lambda: mirror.link.session == 1)
    broker.stop()
    for n in range(200):
        site.observe(1, plugged=bool(n % 2), state=ChargerState.CONNECTED if n % 2 else ChargerState.AVAILABLE)
    broker.start()
    topic = f"{PREFIX}/station/cs1/connector/1/status"
    await watch().payload(topic, lambda s: s.json["status"] == "Preparing")


async def test_the_will_is_published_when_the_daemon_is_cut_off(
    broker: Any, integrator: Any, make_mirror: Make, protocol: Protocol
) -> None:
    make_mirror(broker.port, protocol).start()
    await integrator.wait_for(online)
    rival = make_mirror(broker.port, protocol)  # the same client id: the broker throws the first out
    rival.start()
    offline = await integrator.payload(f"{PREFIX}/status", lambda s: s.payload == b"offline")
    assert offline.retain


async def test_two_daemons_with_one_client_id_are_noticed(
    broker: Any, make_mirror: Make, until: Any, caplog: Any
) -> None:
    first, second = make_mirror(broker.port), make_mirror(broker.port)
    first.start()
    second.start()
    await until(lambda: first.link.contested and second.link.contested)
    assert any("edged-gw1" in record.getMessage() for record in caplog.records if record.levelname == "WARNING")


async def test_heartbeats_count_up_and_are_not_retained(broker: Any, integrator: Any, make_mirror: Make) -> None:
    make_mirror(broker.port, heartbeat_s=0.1).start()
    beats = await integrator.wait_for(
        lambda seen: len(b := [s for s in seen if s.topic.endswith("/heartbeat")]) >= 2 and b
    )
    assert [b.json["seq"] for b in beats[:2]] == [1, 2]
    assert not any(b.retain for b in beats)


async def test_health_is_repeated_and_shows_the_counters(broker: Any, integrator: Any, make_mirror: Make) -> None:
    make_mirror(broker.port, health_s=0.1).start()
    health = await integrator.payload(f"{PREFIX}/health", lambda s: s.json["mqtt"]["acked"] > 0)
    assert health.json["mqtt"]["protocol"] == "5"


def line(requests: int, *, is_open: bool = True, unit: str = "online", heard_s: float | None = 0.1) -> HealthView:
    of_unit = {"chargers": ["left"], "state": unit, "requests": requests, "last_answer_s": heard_s}
    bus = {"is_open": is_open, "down_reason": "" if is_open else "gone", "requests": requests, "units": {"1": of_unit}}
    return HealthView(buses={"/dev/ttyUSB0": bus}, disk_free_bytes=10**9 - requests, ocpp_queued=requests)


async def test_of_health_only_conditions_are_told_at_once(broker: Any, integrator: Any, make_mirror: Make) -> None:
    mirror = make_mirror(broker.port, health_s=3600)
    mirror.tell_health(line(1, heard_s=None))
    mirror.start()
    await integrator.wait_for(online)
    turns = (
        line(10, heard_s=None),
        line(11),  # heard for the first time
        line(20),
        line(21, unit="suspect"),  # one answer that did not come
        line(31, unit="dead"),
        line(32, unit="dead"),
        line(41, is_open=False, unit="dead"),
        line(51, is_open=True),
    )
    told = {11, 31, 41, 51}
    for view in turns:
        mirror.tell_health(view)
        requests = view.buses["/dev/ttyUSB0"]["requests"]
        if requests in told:
            await integrator.payload(
                f"{PREFIX}/health", lambda s, n=requests: s.json["buses"]["/dev/ttyUSB0"]["requests"] == n
            )
    seen = {s.json["buses"]["/dev/ttyUSB0"]["requests"] for s in integrator.seen if s.topic == f"{PREFIX}/health"}
    assert seen - {1} == told


async def test_a_broker_that_is_down_never_blocks_who_shows(
    site: Any, make_mirror: Make, until: Any, broker: Any
) -> None:
    broker.stop()
    mirror = make_mirror(broker.port)
    mirror.start()
    for _ in range(500):
        site.observe(1)
    await until(lambda: mirror.link.error is not None)
    assert not mirror.link.connected


async def test_commands_are_refused_to_everybody_by_default(broker: Any, integrator: Any, make_mirror: Make) -> None:
    make_mirror(broker.port, commands=CommandOptions()).start()
    await integrator.wait_for(online)
    reply = await integrator.call("ping")
    assert reply.json["error"]["code"] == "forbidden"


class Reader:
    """A disk that nobody asks."""

    def read(self, after_seq: int, limit: int, tell: Tell) -> None: ...


async def test_info_names_the_first_event_also_where_none_was_kept_when_the_broker_came(
    broker: Any, integrator: Any, site: Any, make_mirror: Make
) -> None:
    log = EventLog("b1", policy=IdTokenPolicy.MASKED, salt="gw1")
    mirror = make_mirror(broker.port, events=(log, Reader()))
    mirror.start()
    await integrator.wait_for(online)
    assert (await integrator.payload(f"{PREFIX}/info")).json["first_seq"] is None
    said = {"version": "0.1.0", "boot_id": "b1", "unexpected": False}
    log.kept(log.number([Happening(kind="gateway.started", at=site.clock.utc, synchronized=True, data=said)]))
    mirror.tell(GatewayView(version="0.1.0", boot_id="b1", started_at=site.clock.utc, synchronized=True))
    info = await integrator.payload(f"{PREFIX}/info", lambda s: s.json["first_seq"] is not None)
    assert (info.json["first_seq"], info.json["last_seq"]) == (1, 1)
