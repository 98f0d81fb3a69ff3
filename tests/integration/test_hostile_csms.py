"""A CSMS that means harm, over every profile of 1.6, against the real daemon: nothing it says harms anybody."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edged.simulator.csms import Csms
from tests.fakes.pki import Authority
from tests.integration.daemon import PATIENCE_S, STATION, Edged, charger, site_file
from tests.integration.peers import Conversation, peer
from tests.integration.tyrant import GROWTH_BYTES, PROMPT_S, Tyrant, Victim, now, suffering, until

MANY = 10_000
HEAVY_MANY = 500
ROOT = "CentralSystemRootCertificate"
VENDORS = {"data_transfer": {"vendors": {"com.example": {}}}}

# --- ten thousand calls without a pause


def _list(number: int) -> str:
    entries = ",".join(
        f'{{"idTag":"T{number % 7}-{each}","idTagInfo":{{"status":"Accepted","parentIdTag":"FAMILY"}}}}'
        for each in range(100)
    )
    return f'{{"listVersion":{number + 1},"updateType":"Full","localAuthorizationList":[{entries}]}}'


def _profile(number: int) -> str:
    periods = [{"startPeriod": 60 * each, "limit": 6.0 + each % 20} for each in range(100)]
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    profile = {
        "chargingProfileId": number,
        "stackLevel": number % 90,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {**schedule, "startSchedule": now()},
    }
    return json.dumps({"connectorId": 1, "csChargingProfiles": profile})


def _log(number: int) -> str:
    return json.dumps({"logType": "SecurityLog", "requestId": number, "log": {"remoteLocation": "http://192.0.2.1/"}})


def _certificate(number: int) -> str:
    pem = f"-----BEGIN CERTIFICATE-----\n{'A' * 5000}{number}\n-----END CERTIFICATE-----\n"
    return json.dumps({"certificateType": "CentralSystemRootCertificate", "certificate": pem})


def _data(number: int) -> str:
    return '{"vendorId":"com.example","data":"' + "x" * 65_000 + f'{number}"}}'


def _firmware(number: int) -> str:
    image = {"location": "http://192.0.2.1/fw", "retrieveDateTime": now(), "signature": "AAAA"}
    return json.dumps({"requestId": number, "firmware": {**image, "signingCertificate": f"x{number}" * 500}})


HEAVY: dict[str, Callable[[int], str]] = {
    "SendLocalList": _list,
    "SetChargingProfile": _profile,
    "GetLog": _log,
    "InstallCertificate": _certificate,
    "DataTransfer": _data,
    "SignedUpdateFirmware": _firmware,
}


@pytest.mark.parametrize("action", HEAVY)
async def test_a_flood_of_heavy_calls_is_answered_call_by_call_and_keeps_nobody_else_waiting(edged: Edged, action: str):
    async with suffering(edged, keys={"CpoName": "Example"}, **VENDORS) as victim:
        async with victim.alive_meanwhile():
            verdicts = await victim.csms.flood(lambda number: (action, HEAVY[action](number)), HEAVY_MANY)
        assert verdicts.total() == HEAVY_MANY
        await victim.unharmed()
        assert victim.csms.calls["SecurityEventNotification"] <= victim.minutely(12), "the outbox was flooded"


def _light(number: int) -> tuple[str, str]:
    """Everything that may be asked at any time, none of it when it makes sense."""
    connector = number % 4 - 1
    calls: tuple[tuple[str, dict[str, object]], ...] = (
        ("RemoteStopTransaction", {"transactionId": number}),
        ("CancelReservation", {"reservationId": number}),
        ("ReserveNow", {"connectorId": connector, "expiryDate": now(), "idTag": "EVE", "reservationId": number}),
        ("UnlockConnector", {"connectorId": connector}),
        ("ChangeAvailability", {"connectorId": connector, "type": ("Inoperative", "Operative")[number % 2]}),
        ("ChangeConfiguration", {"key": f"k{number}", "value": "1"}),
        ("ClearCache", {}),
        ("ClearChargingProfile", {"id": number}),
        ("GetCompositeSchedule", {"connectorId": connector, "duration": 10**9}),
        ("GetLocalListVersion", {}),
        ("GetInstalledCertificateIds", {"certificateType": "CentralSystemRootCertificate"}),
        ("CertificateSigned", {"certificateChain": "x" * 5000}),
        ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": connector}),
        ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}),
        ("GetDiagnostics", {"location": "ftp://192.0.2.1/"}),
        ("UpdateFirmware", {"location": "http://192.0.2.1/", "retrieveDate": "2031-01-01T00:00:00Z"}),
        ("NoSuchAction", {}),
        ("GetConfiguration", {}),
    )
    action, payload = calls[number * 7 % len(calls)]
    return action, json.dumps(payload)


async def test_ten_thousand_calls_of_every_kind_and_out_of_order_are_each_answered_once(edged: Edged):
    async with suffering(edged, keys={"CpoName": "Example"}) as victim:
        async with victim.alive_meanwhile():
            verdicts = await victim.csms.flood(_light, MANY)
        assert verdicts.total() == MANY and len(verdicts) > 5
        await victim.csms.result("ChangeAvailability", {"connectorId": 0, "type": "Operative"})
        await victim.unharmed()
        assert victim.csms.calls["SecurityEventNotification"] <= victim.minutely(24), "the outbox was flooded"


# --- answers that are none


Answering = Callable[[str, dict[str, Any]], list[object]]
MANNERS: dict[str, Answering] = {
    "garbage": lambda ident, _: [[3, ident, {"status": {"a": [None]}, "currentTime": 5, "data": []}]],
    "a list": lambda ident, _: [[3, ident, []]],
    "an endless status": lambda ident, _: [[3, ident, {"status": "x" * 100_000}]],
    "twice, and otherwise": lambda ident, _: [
        [3, ident, {"status": "Accepted"}],
        [3, ident, {"status": "Rejected"}],
        [4, ident, "InternalError", "", {}],
    ],
    "a CALLERROR": lambda ident, _: [[4, ident, "InternalError", "no", {}]],
    "a CALLERROR of its own": lambda ident, _: [[4, ident, "\x1b[31m" * 100, "x" * 5000, {"a": [1] * 1000}]],
    "an error of the wrong shape": lambda ident, _: [[4, ident, 5]],
    "another's id": lambda ident, _: [[3, "nobody", {"status": "Accepted"}]],
    "never": lambda ident, _: [],
}
QUICKLY = {"MessageTimeout": 1, "TransactionMessageRetryInterval": 1, "CpoName": "Example"}


async def _send_data(victim: Victim) -> None:
    reply = await victim.edged.ask("data_transfer", vendor_id="com.example", data="hello")
    assert reply["ok"] or reply["error"]["message"]


async def _have_a_key_signed(victim: Victim) -> None:
    answer = await victim.csms.result("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
    assert answer == {"status": "Accepted"}


async def _provoke_an_event(victim: Victim) -> None:
    answer = await victim.csms.result("CertificateSigned", {"certificateChain": "no chain"})
    assert answer == {"status": "Rejected"}


ASKING: dict[str, Callable[[Victim], Awaitable[None]]] = {
    "DataTransfer": _send_data,
    "SignCertificate": _have_a_key_signed,
}


@pytest.mark.parametrize("action", ASKING)
async def test_an_answer_that_is_none_ends_what_was_asked_and_the_station_goes_on(edged: Edged, action: str):
    async with suffering(edged, keys=QUICKLY) as victim:
        for number, (manner, answering) in enumerate(MANNERS.items(), 1):
            victim.csms.answer(action, answering)
            async with asyncio.timeout(PATIENCE_S):
                await ASKING[action](victim)
            await until(partial(_called, victim, action, number), f"{action} is called, to be answered by {manner}")
        victim.csms.answer_well(action)
        await victim.unharmed()
        await victim.beats()


@pytest.mark.parametrize("manner", ["a CALLERROR", "an error of the wrong shape", "never"])
async def test_security_events_that_are_not_taken_wait_and_are_not_forced_upon_the_csms(edged: Edged, manner: str):
    async with suffering(edged, keys=QUICKLY) as victim:
        await edged.knows(lambda s: s["queued"] == 0)
        before = victim.csms.calls["SecurityEventNotification"]
        victim.csms.answer("SecurityEventNotification", MANNERS[manner])
        for _ in range(30):
            await _provoke_an_event(victim)
        await until(lambda: victim.csms.calls["SecurityEventNotification"] > before, "it tells of the first")
        await _send_data(victim)
        await victim.beats()
        assert victim.csms.calls["SecurityEventNotification"] == before + 1, "it does not take no for an answer"
        assert 1 <= (await edged.status())["stations"][0]["queued"] <= victim.minutely(12), "the outbox is flooded"


def _called(victim: Victim, action: str, times: int) -> bool:
    return victim.csms.calls[action] >= times


async def test_answers_to_questions_never_asked_change_nothing(edged: Edged):
    async with suffering(edged) as victim:
        for number in range(2000):
            await victim.csms.line.send(f'[3,"never-{number}",{{"status":"Accepted","transactionId":{number}}}]')
            await victim.csms.line.send(f'[4,"never-{number}","SecurityError","who are you",{{}}]')
        await victim.unharmed()
        assert victim.csms.calls["BootNotification"] == 1, "it believed that it was forgotten"
        assert victim.csms.calls["SecurityEventNotification"] <= 3


async def test_chains_that_nobody_asked_for_are_refused_and_a_few_are_reported(edged: Edged):
    root = Authority.new("Somebody")
    stranger = root.client("CP-1").chain_pem + root.pem
    async with suffering(edged, keys={"CpoName": "Example"}) as victim:
        await victim.csms.result("InstallCertificate", {"certificateType": ROOT, "certificate": root.pem})
        for number in range(60):
            chain = stranger if number % 2 else "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
            answer = await victim.csms.result("CertificateSigned", {"certificateChain": chain})
            assert answer == {"status": "Rejected"}
        await victim.unharmed()
        told = [event["type"] for event in victim.csms.told("SecurityEventNotification")]
        assert 1 <= told.count("InvalidChargePointCertificate") <= victim.minutely(10)
        assert not list((edged.state_dir / "keys").glob("*")), "it has made a key for a stranger's chain"


async def test_calls_before_the_boot_is_answered_harm_nobody(edged: Edged):
    """The CSMS asks and asks, and says its word about the boot at last."""
    boots: list[str] = []

    def keep_waiting(ident: str, payload: dict[str, Any]) -> list[object]:
        boots.append(ident)
        return []

    async with Tyrant() as csms:
        csms.answer("BootNotification", keep_waiting)
        edged.configure(site_file({"box": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms=csms.url))
        await edged.up()
        await until(lambda: bool(boots), "it has said that it is there")
        verdicts = await csms.flood(_light, 500)
        assert verdicts.total() == 500
        assert set(csms.calls) == {"BootNotification"}, "it spoke before it was accepted"
        answer = {"status": "Accepted", "currentTime": now(), "interval": 1}
        await csms.line.send(json.dumps([3, boots[-1], answer]))
        await until(lambda: csms.calls["Heartbeat"] >= 1, "it is in service")
        assert "Traceback" not in edged.log


# --- lines that are no good


async def test_two_stations_with_one_identity_take_the_line_from_each_other_and_both_live(folder: Path):
    """Whoever comes last has the line. They back off: a CSMS that lets this happen is not hammered."""
    async with Csms() as csms, contextlib.AsyncExitStack() as stack:
        twins = []
        for name in ("one", "two"):
            place = folder / name
            place.mkdir()
            twin = Edged(place)
            stack.push_async_callback(twin.close)
            twin.configure(site_file({"box": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms=csms.url))
            await twin.up()
            twins.append(twin)
        await until(lambda: csms.connection_count(STATION) >= 3, "they have met")
        began_s, before = time.monotonic(), csms.connection_count(STATION)
        await until(lambda: csms.connection_count(STATION) >= before + 2, "they go on")
        assert csms.connection_count(STATION) - before <= 4 * (time.monotonic() - began_s + 1)
        for twin in twins:
            assert (await twin.status())["stations"][0]["id"] == STATION
            assert "Traceback" not in twin.log


async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    proof = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    more = (f"Sec-WebSocket-Accept: {proof}", "Sec-WebSocket-Protocol: ocpp1.6", "", "")
    writer.write("\r\n".join((*lines, *more)).encode())
    await writer.drain()


async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The handshake byte by byte."""
    for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def a_frame_byte_by_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await handshake(reader, writer)
    writer.write(b"\x81\x7f" + (400_000).to_bytes(8, "big"))
    while True:
        writer.write(b"[")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await handshake(reader, writer)
    writer.write(b"\x01\x01[")
    while True:
        writer.write(b"\x00\x01[" * 10_000)
        await writer.drain()
        await asyncio.sleep(0)


async def a_frame_of_all_memory(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await handshake(reader, writer)
    writer.write(b"\x81\x7f" + (2**62).to_bytes(8, "big"))
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()
        await asyncio.sleep(0)


async def endless_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """And its pongs are not read."""
    await handshake(reader, writer)
    while True:
        writer.write((b"\x89\x7d" + b"x" * 125) * 100)
        await writer.drain()
        await asyncio.sleep(0)


LINES = {"handshake": slowly, "frame": a_frame_byte_by_byte, "pieces": endless_pieces}
LINES |= {"giant": a_frame_of_all_memory, "pings": endless_pings}


@pytest.mark.parametrize("conversation", LINES.values(), ids=LINES)
async def test_a_line_that_is_fed_slowly_or_without_end_costs_neither_memory_nor_patience(
    edged: Edged, conversation: Conversation
):
    async with peer(conversation) as server:
        nowhere = charger("phoenix-charx-sec", "127.0.0.1:9")
        edged.configure(site_file({"box": nowhere}, csms=f"ws://127.0.0.1:{server.port}/ocpp", keys=QUICKLY))
        await edged.up()
        weight = edged.resident_bytes
        await until(lambda: server.visits >= 1, "it has come")
        for _ in range(10):
            asked_s = time.monotonic()
            await edged.status()
            assert time.monotonic() - asked_s < PROMPT_S
            await asyncio.sleep(0.1)
        assert edged.resident_bytes < weight + GROWTH_BYTES
        assert "Traceback" not in edged.log
        edged.signal(signal.SIGTERM)
        assert await edged.ended() == 0
