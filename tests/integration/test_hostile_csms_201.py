"""A CSMS that means harm, in 2.0.1, against the real daemon: nothing it says harms anybody."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from edged.simulator.csms import Csms
from tests.fakes.file_servers import WebServer, status
from tests.integration.daemon import PATIENCE_S, Edged, charger, site_file
from tests.integration.tyrant import Tyrant, Victim, now, suffering, until

BOTH = ("ocpp2.0.1", "ocpp1.6")
QUICKLY = {"MessageTimeout": 1, "TransactionMessageRetryInterval": 1, "CpoName": "Example"}
NEIGHBOUR = "CP-2"
SECRET = "hunter2-hunter2-hunter2"
Json = dict[str, Any]
Flood = Callable[[int], Json]


@contextlib.asynccontextmanager
async def suffering_201(edged: Edged, **more: Any) -> AsyncIterator[Victim]:
    async with Tyrant(versions=("ocpp2.0.1",)) as csms, suffering(edged, csms, **more) as victim:
        yield victim


def later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def variable(component: str, name: str, **more: Any) -> Json:
    return {"component": {"name": component}, "variable": {"name": name}, **more}


HEARTBEAT = variable("OCPPCommCtrlr", "HeartbeatInterval")
THRESHOLD = variable("OCPPCommCtrlr", "OfflineThreshold")
PASSWORD = variable("SecurityCtrlr", "BasicAuthPassword")
TOKEN = {"idToken": "EVE", "type": "ISO14443"}

# --- thousands of calls without a pause


def _profile(number: int) -> Json:
    periods = [{"startPeriod": 60 * each, "limit": 6.0 + each % 20} for each in range(100)]
    schedule = {"id": number, "chargingRateUnit": "A", "startSchedule": now(), "chargingSchedulePeriod": periods}
    profile = {
        "id": number,
        "stackLevel": number % 90,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
    }
    return {"evseId": number % 3, "chargingProfile": profile}


def _monitors(number: int) -> Json:
    kinds = ("UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned")
    watched = [
        variable("ChargingStation", "AvailabilityState", value=each, severity=each % 11, type=kinds[number % 5])
        for each in range(99)
    ]
    return {"setMonitoringData": [*watched, {**HEARTBEAT, "value": number, "severity": 9, "type": kinds[number % 5]}]}


def _network(number: int) -> Json:
    way = {"ocppVersion": "OCPP20", "ocppTransport": "JSON", "messageTimeout": 30, "securityProfile": 0}
    url = f"ws://192.0.2.1/{'x' * 400}{number}"
    return {"configurationSlot": number % 9, "connectionData": {**way, "ocppCsmsUrl": url, "ocppInterface": "Wired0"}}


def _message(number: int) -> Json:
    content = {"format": "UTF8", "content": "x" * 500 + str(number)}
    return {"message": {"id": number, "priority": "NormalCycle", "message": content}}


def _customer(number: int) -> Json:
    return {"requestId": number, "report": True, "clear": True, "idToken": {**TOKEN, "idToken": f"T{number}"}}


HEAVY: Mapping[str, Flood] = {
    "GetBaseReport": lambda number: {"requestId": number, "reportBase": "FullInventory"},
    "GetReport": lambda number: {"requestId": number, "componentVariable": [{"component": {"name": "EVSE"}}] * 40},
    "GetMonitoringReport": lambda number: {"requestId": number},
    "GetVariables": lambda number: {"getVariableData": [HEARTBEAT] * 100},
    "SetVariables": lambda number: {"setVariableData": [{**THRESHOLD, "attributeValue": str(number)}] * 99},
    "SetVariableMonitoring": _monitors,
    "SetDisplayMessage": _message,
    "SetNetworkProfile": _network,
    "CustomerInformation": _customer,
    "SetChargingProfile": _profile,
}
HEAVY_MANY = 150


def _reserve(number: int) -> tuple[str, str]:
    if number % 2:
        return "CancelReservation", json.dumps({"reservationId": number - 1})
    asked = {"id": number, "expiryDateTime": later(3600), "idToken": TOKEN}
    return "ReserveNow", json.dumps(asked | ({"evseId": 1} if number % 4 else {}))


def _light(number: int) -> tuple[str, str]:
    """Everything that may be asked at any time, none of it when it makes sense."""
    evse = number % 4
    calls: tuple[tuple[str, Json], ...] = (
        ("RequestStartTransaction", {"remoteStartId": number, "idToken": TOKEN, "evseId": 9}),
        ("RequestStopTransaction", {"transactionId": str(number)}),
        ("UnlockConnector", {"evseId": evse, "connectorId": 1}),
        ("ChangeAvailability", {"operationalStatus": ("Inoperative", "Operative")[number % 2], "evse": {"id": evse}}),
        ("ClearCache", {}),
        ("ClearChargingProfile", {"chargingProfileId": number}),
        ("ClearDisplayMessage", {"id": number}),
        ("ClearVariableMonitoring", {"id": list(range(200))}),
        ("CostUpdated", {"totalCost": number, "transactionId": "x"}),
        ("GetChargingProfiles", {"requestId": number, "chargingProfile": {}}),
        ("GetCompositeSchedule", {"duration": 10**9, "evseId": evse}),
        ("GetDisplayMessages", {"requestId": number}),
        ("GetLocalListVersion", {}),
        ("GetInstalledCertificateIds", {}),
        ("GetTransactionStatus", {}),
        ("CertificateSigned", {"certificateChain": "x" * 5000}),
        ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": evse}}),
        ("SetMonitoringBase", {"monitoringBase": ("All", "FactoryDefault", "HardWiredOnly")[number % 3]}),
        ("SetMonitoringLevel", {"severity": number % 10}),
        ("SetVariables", {"setVariableData": [{**HEARTBEAT, "attributeValue": "x"}] * 1000}),
        ("SetVariables", {"setVariableData": [{**HEARTBEAT, "attributeValue": "x" * 100_000}]}),
        ("GetVariables", {"getVariableData": [HEARTBEAT] * 101}),
        (
            "UpdateFirmware",
            {"requestId": number, "firmware": {"location": "http://192.0.2.1/", "retrieveDateTime": "x"}},
        ),
        ("PublishFirmware", {}),
        ("NoSuchAction", {}),
    )
    action, payload = calls[number * 7 % len(calls)]
    return action, json.dumps(payload)


async def test_floods_of_every_kind_are_answered_call_by_call_and_keep_nobody_waiting(edged: Edged):
    """Beside a station of another CSMS, which notices nothing."""
    async with Csms(versions=("ocpp2.0.1",), heartbeat_interval_s=1) as friend:
        beside = {
            "id": NEIGHBOUR,
            "vendor": "Example Energy",
            "model": "Depot 3",
            "csms": {"url": friend.url, "versions": ["ocpp2.0.1"]},
            "evses": [{"charger": "far"}],
        }
        more: Json = {"stations": [beside], "chargers": {"far": charger("phoenix-charx-sec", "127.0.0.1:9")}}
        async with suffering_201(edged, station={"display": True}, keys={"CpoName": "Example"}, **more) as victim:
            await friend.wait_for("Heartbeat")
            beats = len(friend.received("Heartbeat"))
            async with victim.alive_meanwhile():
                for action, flood in HEAVY.items():
                    verdicts = await victim.csms.flood(
                        lambda number, action=action, flood=flood: (action, json.dumps(flood(number))), HEAVY_MANY
                    )
                    assert verdicts.total() == HEAVY_MANY, action
                    if action.endswith("Report"):
                        await edged.until(lambda: _has_room(victim), "its reports have been told")
                assert (await victim.csms.flood(_reserve, 1000)).total() == 1000
                verdicts = await victim.csms.flood(_light, 2000)
            assert verdicts.total() == 2000 and len(verdicts) > 8
            await victim.csms.result("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1}})
            await victim.csms.result("ChangeAvailability", {"operationalStatus": "Operative"})
            await victim.unharmed()
            assert victim.csms.calls["SecurityEventNotification"] <= victim.minutely(24), "the outbox was flooded"
            assert len(friend.received("Heartbeat")) > beats and not friend.violations


# --- a boot that is answered badly, or late


async def test_calls_before_the_boot_is_answered_harm_nobody_and_change_nothing_of_the_boot(edged: Edged):
    """It asks and asks, says what is no answer, and says its word about the boot at last."""
    boots: list[str] = []

    def keep_waiting(ident: str, payload: Json) -> list[object]:
        boots.append(ident)
        return []

    async with Tyrant(versions=("ocpp2.0.1",)) as csms:
        csms.answer("BootNotification", keep_waiting)
        document = site_file({"box": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms=csms.url)
        document["stations"][0]["csms"]["versions"] = ["ocpp2.0.1"]
        edged.configure(document)
        await edged.up()
        await until(lambda: bool(boots), "it has said that it is there")
        assert (await csms.flood(_light, 500)).total() == 500
        for action, flood in HEAVY.items():
            await csms.call(action, flood(1))
        for junk in ([3, "nobody", {"status": "Accepted"}], [3, boots[-1]], [2, boots[-1], "Reset", {}], [9], "x"):
            await csms.line.send(json.dumps(junk))
        await until(lambda: csms.answers["-1"] >= 2, "it has read that")
        assert set(csms.calls) == {"BootNotification"}, "it spoke before it was accepted"
        csms.answer_well("BootNotification")
        await csms.call("TriggerMessage", {"requestedMessage": "BootNotification"})
        await csms.line.send(json.dumps([3, boots[-1], {"status": "Accepted", "currentTime": now(), "interval": 1}]))
        await until(lambda: csms.calls["Heartbeat"] >= 1, "it is in service")
        assert "Traceback" not in edged.log


# --- reports that nobody takes


def pages(victim: Victim, request_id: int) -> list[Json]:
    return [page for page in victim.csms.told("NotifyReport") if page["requestId"] == request_id]


async def report(victim: Victim, request_id: int) -> str:
    asked = {"requestId": request_id, "reportBase": "FullInventory"}
    return str((await victim.csms.result("GetBaseReport", asked))["status"])


async def whole_report(victim: Victim, request_id: int) -> None:
    """Every page of a report comes, once, in its order."""
    assert await report(victim, request_id) == "Accepted"
    await until(lambda: any(not page["tbc"] for page in pages(victim, request_id)), "the report has come to its end")
    told = pages(victim, request_id)
    assert [page["seqNo"] for page in told] == list(range(len(told))) and len(told) > 2


async def test_a_csms_that_never_takes_a_page_is_told_no_more_of_that_report(edged: Edged):
    async with suffering_201(edged, keys=QUICKLY) as victim:
        victim.csms.answer("NotifyReport", lambda ident, payload: [])
        verdicts = Counter([await report(victim, number) for number in range(40)])
        assert verdicts["Accepted"] == 8 and verdicts["Rejected"] == 32, verdicts
        async with victim.alive_meanwhile():
            await until(lambda: victim.csms.calls["NotifyReport"] == 8, "one page of each is tried")
        victim.csms.answer_well("NotifyReport")
        await edged.until(lambda: _has_room(victim), "those reports are over")
        await whole_report(victim, 100)
        assert victim.csms.calls["NotifyReport"] >= 11
        assert {page["seqNo"] for page in victim.csms.told("NotifyReport") if page["requestId"] < 40} == {0}
        await victim.unharmed()


async def _has_room(victim: Victim) -> bool:
    asked = {"requestId": 99, "reportBase": "SummaryInventory"}
    return bool((await victim.csms.result("GetBaseReport", asked))["status"] == "Accepted")


async def test_a_csms_that_refuses_every_page_is_told_the_report_once(edged: Edged):
    async with suffering_201(edged, keys=QUICKLY) as victim:
        victim.csms.answer("NotifyReport", lambda ident, payload: [[4, ident, "InternalError", "x" * 5000, {}]])
        await whole_report(victim, 1)
        await victim.beats()
        told = pages(victim, 1)
        assert len({page["seqNo"] for page in told}) == len(told), "a page came twice"
        await victim.unharmed()


async def test_a_line_that_is_closed_in_the_middle_of_a_report_ends_it(edged: Edged):
    async with suffering_201(edged, keys=QUICKLY) as victim:
        csms = victim.csms

        def close(ident: str, payload: Json) -> list[object]:
            if payload["seqNo"] == 1:
                csms.line.transport.abort()
            return [[3, ident, {}]]

        csms.answer("NotifyReport", close)
        for number in range(1, 4):
            lines = csms.connections
            assert await report(victim, number) == "Accepted"
            await until(lambda lines=lines: csms.connections > lines, "it has come back")
            await edged.until(victim.in_service, "it is in service")
        csms.answer_well("NotifyReport")
        await whole_report(victim, 4)
        told = {(page["requestId"], page["seqNo"]) for page in csms.told("NotifyReport") if page["requestId"] < 4}
        assert told <= {(number, page) for number in range(1, 4) for page in (0, 1)}
        await victim.unharmed(same_line=False)


# --- another version on every line


async def test_a_csms_that_speaks_another_version_on_every_line_loses_nothing(edged: Edged):
    async with (
        Tyrant(versions=BOTH) as csms,
        suffering(edged, csms, keys=QUICKLY | {"RetryBackOffRandomRange": 0}) as victim,
    ):
        asked = {"id": 7, "expiryDateTime": later(3600), "idToken": TOKEN, "evseId": 1}
        assert await csms.result("ReserveNow", asked) == {"status": "Accepted"}
        for number in range(1, 7):
            csms.speaks = BOTH[number % 2]
            lines = csms.connections
            for each in range(30):  # what it will not hear the answers of
                action, payload = HEAVY_OF[BOTH[(number + 1) % 2]][each % 4]
                await csms.line.send(json.dumps([2, f"lost-{number}-{each}", action, payload]))
            csms.line.transport.abort()
            await until(lambda lines=lines: csms.connections > lines, "it has come back")
            await edged.until(victim.in_service, f"it speaks {csms.speaks}")
        answers = [await csms.call("CancelReservation", {"reservationId": 7}) for _ in range(2)]
        assert [answer[2]["status"] for answer in answers] == ["Accepted", "Rejected"]
        await victim.unharmed(same_line=False)


HEAVY_OF: Mapping[str, tuple[tuple[str, Json], ...]] = {
    "ocpp2.0.1": (
        ("GetBaseReport", HEAVY["GetBaseReport"](1)),
        ("GetVariables", HEAVY["GetVariables"](1)),
        ("UnlockConnector", {"evseId": 1, "connectorId": 1}),
        ("CustomerInformation", _customer(1)),
    ),
    "ocpp1.6": (
        ("GetConfiguration", {}),
        ("UnlockConnector", {"connectorId": 1}),
        ("GetLocalListVersion", {}),
        ("TriggerMessage", {"requestedMessage": "BootNotification"}),
    ),
}

# --- monitors


async def test_monitors_on_everything_and_a_value_that_flutters_flood_nobody(edged: Edged):
    async with suffering_201(edged, keys=QUICKLY) as victim:
        csms = victim.csms
        await whole_report(victim, 1)
        found = [entry for page in pages(victim, 1) for entry in page["reportData"]]
        watched = [each for each in found if each["variableCharacteristics"]["supportsMonitoring"]]
        assert len(watched) > 50
        for start in range(0, len(watched), 50):
            orders = [
                {"component": each["component"], "variable": each["variable"], "value": 0, "type": kind, "severity": 0}
                for each in watched[start : start + 50]
                for kind in ("Delta", "UpperThreshold")
            ]
            results = (await csms.result("SetVariableMonitoring", {"setMonitoringData": orders}))["setMonitoringResult"]
            assert len(results) == len(orders)
        told: Counter[int] = Counter()

        def count(ident: str, payload: Json) -> list[object]:
            told.update(event.get("variableMonitoringId", 0) for event in payload["eventData"])
            return [[3, ident, {}]]

        csms.answer("NotifyEvent", count)
        async with victim.alive_meanwhile(), asyncio.timeout(2 * PATIENCE_S):
            for number in range(150):
                change = {**THRESHOLD, "attributeValue": str(10 + number % 2)}
                await csms.result("SetVariables", {"setVariableData": [change]})
                await asyncio.sleep(0.01)
        assert told and max(told.values()) <= victim.minutely(12), told.most_common(3)
        assert len(told) <= 2 * len(watched)
        await victim.unharmed()


async def test_events_that_are_never_taken_keep_nothing_else_waiting(edged: Edged):
    async with suffering_201(edged, keys=QUICKLY | {"TransactionMessageRetryInterval": 0}) as victim:
        csms = victim.csms
        csms.answer("NotifyEvent", lambda ident, payload: [[4, ident, "InternalError", "no", {}]])
        order = {**HEARTBEAT, "value": 0, "type": "Delta", "severity": 0}
        result = (await csms.result("SetVariableMonitoring", {"setMonitoringData": [order]}))["setMonitoringResult"][0]
        assert result["status"] == "Accepted"
        for number in range(3):
            change = {**HEARTBEAT, "attributeValue": str(1 + number % 2)}
            await csms.result("SetVariables", {"setVariableData": [change]})
            await victim.beats()
        await victim.unharmed()  # it owes nothing: what is refused so often is given up
        assert 3 <= csms.calls["NotifyEvent"] <= 3 * 4


# --- what is refused for ever


REFUSALS: Mapping[str, Callable[[str, Json], list[object]]] = {
    "refused": lambda ident, _: [[4, ident, "InternalError", "no", {}]],
    "garbage": lambda ident, _: [[3, ident, []]],
    "never": lambda ident, _: [],
}


async def test_the_end_of_a_reservation_that_is_never_taken_is_given_up(edged: Edged):
    async with suffering_201(edged, keys=QUICKLY | {"TransactionMessageRetryInterval": 0}) as victim:
        csms = victim.csms
        for number, answering in enumerate(REFUSALS.values()):
            csms.answer("ReservationStatusUpdate", answering)
            asked = {"id": number, "expiryDateTime": later(0.3), "idToken": TOKEN, "evseId": 1}
            assert await csms.result("ReserveNow", asked) == {"status": "Accepted"}
            await edged.knows(lambda s: not s["reservations"])
            assert await report(victim, number) == "Accepted"
            await edged.knows(lambda s: s["queued"] == 0)
        told = Counter(update["reservationId"] for update in csms.told("ReservationStatusUpdate"))
        assert told == {0: 3, 1: 3, 2: 3}, told
        await victim.unharmed()


async def test_security_events_that_are_refused_wait_and_are_not_forced_upon_the_csms(edged: Edged):
    async with suffering_201(edged, keys=QUICKLY) as victim:
        csms = victim.csms
        await edged.knows(lambda s: s["queued"] == 0)
        before = csms.calls["SecurityEventNotification"]
        csms.answer("SecurityEventNotification", REFUSALS["refused"])
        for _ in range(30):
            assert (await csms.result("CertificateSigned", {"certificateChain": "none"}))["status"] == "Rejected"
        await until(lambda: csms.calls["SecurityEventNotification"] > before, "it tells of the first")
        await victim.beats()
        assert csms.calls["SecurityEventNotification"] == before + 1, "it does not take no for an answer"
        assert 1 <= (await edged.status())["stations"][0]["queued"] <= victim.minutely(12), "the outbox is flooded"


# --- secrets


async def test_what_nobody_may_know_is_nowhere(edged: Edged):
    """Not in the log of every frame, nor in a report, the status, or the archive for the CSMS."""
    opened: Json = {
        "log": {"level": "debug", "wire": True},
        "files": {"allowed_hosts": ["127.0.0.2"]},
        "station_csms": {"password": "an-old-password-of-20-chars", "security_profile": 1},
    }
    with WebServer(status(200), host="127.0.0.2") as server:
        async with suffering_201(edged, keys=QUICKLY, **opened) as victim:
            csms = victim.csms
            for value in (SECRET + "x" * 20, "x" * 100 + SECRET, SECRET + "\x00", SECRET):
                await csms.call("SetVariables", {"setVariableData": [{**PASSWORD, "attributeValue": value}]})
            await until(lambda: csms.connections > 1, "it comes with its new password")
            await edged.until(victim.in_service, "it is in service")
            (read,) = (await csms.result("GetVariables", {"getVariableData": [PASSWORD]}))["getVariableResult"]
            assert read["attributeStatus"] == "Rejected" and "attributeValue" not in read
            way = _network(1)
            vpn = {"server": "v", "user": SECRET[:20], "password": SECRET[:20], "key": SECRET, "type": "IPSec"}
            apn = {"apn": "a", "apnPassword": SECRET[:20], "apnAuthentication": "PAP"}
            for more in ({"vpn": vpn}, {"apn": apn}, {"ocppCsmsUrl": f"ws://user:{SECRET}@127.0.0.1/"}):
                asked = {**way, "connectionData": {**way["connectionData"], **more}}
                assert (await csms.result("SetNetworkProfile", asked))["status"] == "Rejected"
            code = {"idToken": SECRET, "type": "KeyCode"}
            await csms.call("RequestStartTransaction", {"remoteStartId": 1, "idToken": code})
            await csms.call("ReserveNow", {"id": 1, "expiryDateTime": later(99), "idToken": code, "evseId": 1})
            entry = {"idToken": code, "idTokenInfo": {"status": "Accepted"}}
            listed = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]}
            assert await csms.result("SendLocalList", listed) == {"status": "Accepted"}
            told = {"requestId": 1, "report": True, "clear": False}
            await csms.call("CustomerInformation", {**told, "customerIdentifier": SECRET})
            await csms.call("CustomerInformation", {**told, "idToken": code})
            await whole_report(victim, 1)
            log = {"remoteLocation": server.url("/logs/", host="127.0.0.2")}
            assert (await csms.result("GetLog", {"logType": "DiagnosticsLog", "requestId": 2, "log": log}))["status"]
            await until(lambda: bool(server.calls), "the archive has come")
            shown = {"log": edged.log, "status": json.dumps(await edged.status())}
            shown["reports"] = json.dumps([payload for name, payload in csms.payloads if name.startswith("Notify")])
            assert all(f'"{action}"' in edged.log for action in ("SetNetworkProfile", "SendLocalList", "SetVariables"))
            for place, text in shown.items():
                assert SECRET[:15] not in text, f"{place}: {text[max(0, text.find(SECRET[:15]) - 300) :][:400]}"
            archive = gzip.decompress(server.calls[-1].body).decode("utf-8", "replace")
            assert "station" in archive and SECRET[:15] not in archive
            assert "buses.json" in archive and '"chargers": [' in archive and '"cycle_p50_s"' in archive
            await victim.unharmed(same_line=False)
