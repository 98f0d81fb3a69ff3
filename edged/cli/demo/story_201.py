"""The story as data: the CSMS learns OCPP 2.0.1, and what was kept in 1.6 goes on; then a session that begins with the
plug and ends while the network is away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.cli.demo import claims, claims_201
from edged.cli.demo.accounts_201 import events_by_transaction
from edged.cli.demo.acts import left, reservation, soon
from edged.cli.demo.daemon import Disk
from edged.cli.demo.places import (
    BOB,
    CAROL,
    FIRST_VERSION,
    HALL,
    PLACES,
    SECOND_VERSION,
    STATION,
)
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step
from edged.cli.demo.story_commands import KEY, KEY_VALUE
from edged.cli.demo.story_limits import FULL_A, SOON_S

RESERVATION: Final = 30
INVENTORY, PROFILES = 1, 2
"""The requestIds of the reports."""
PROFILE: Final = 31
MESSAGE: Final = 41
WELCOME: Final = "Hello CAROL, 10 A until the sun is out"
START_POINT: Final = "EVConnected"
ALERT_W: Final = 8000
LIMIT_A: Final = 10
MIN_VARIABLES: Final = 100

# --- the CSMS learns another version


async def _reserve(stage: Stage) -> None:
    await stage.call("ReserveNow", reservation(HALL, RESERVATION, CAROL, seconds=600))


async def _learn(stage: Stage) -> None:
    stage.csms.accept_versions(SECOND_VERSION, FIRST_VERSION)
    await stage.csms.close(STATION)


def _introduced(_stage: Stage, payload: Mapping[str, Any]) -> bool | str:
    station: Any = payload.get("chargingStation", {})
    named = (station.get("vendorName"), station.get("model")) == ("Example Energy", "Depot 3")
    return f"{station.get('model')}, reason {payload.get('reason')}" if named else False


def _speaks(stage: Stage) -> Seen:
    assert stage.observer is not None
    version = stage.observer.document(f"station/{STATION}/info").get("ocpp_version")
    return Seen(version == SECOND_VERSION, f"ocpp_version {version}")


async def _ask_everything(stage: Stage) -> None:
    await stage.call("GetBaseReport", {"requestId": INVENTORY, "reportBase": "FullInventory"})


def _in_pages(stage: Stage) -> Seen:
    pages = claims_201.pages(stage, "NotifyReport", INVENTORY)
    numbers = [page["seqNo"] for page in pages]
    more = [page.get("tbc", False) for page in pages]
    whole = bool(pages) and more == [True] * (len(pages) - 1) + [False]
    entries = [entry for page in pages for entry in page.get("reportData", ())]
    evses = {entry["component"]["evse"]["id"] for entry in entries if "evse" in entry["component"]}
    ok = whole and numbers == list(range(len(pages))) and len(entries) >= MIN_VARIABLES and len(evses) == len(PLACES)
    return Seen(ok, f"{len(entries)} variables, {len(evses)} EVSEs, {len(pages)} pages{'' if whole else ' so far'}")


def _same_value(stage: Stage) -> Seen:
    told = [
        attribute.get("value")
        for page in claims_201.pages(stage, "NotifyReport", INVENTORY)
        for entry in page.get("reportData", ())
        if (entry["component"]["name"], entry["variable"]["name"]) == ("SampledDataCtrlr", "TxUpdatedInterval")
        for attribute in entry["variableAttribute"]
    ]
    return Seen(told == [KEY_VALUE], f"TxUpdatedInterval {', '.join(map(str, told)) or 'not told'}")


async def _start_point(stage: Stage) -> None:
    where = {"component": {"name": "TxCtrlr"}, "variable": {"name": "TxStartPoint"}}
    await stage.call("SetVariables", {"setVariableData": [{**where, "attributeValue": START_POINT}]})


SWITCH: Final = Chapter(
    title="The CSMS learns OCPP 2.0.1",
    steps=(
        Step(
            sentence="still in 1.6, the CSMS reserves connector 3 for CAROL",
            act=_reserve,
            claims=(
                claims.answered("ReserveNow", status="Accepted"),
                claims.status(HALL, "Reserved"),
                claims.mirrored(HALL, "reservation", active=True, reservation_id=RESERVATION),
            ),
        ),
        Step(
            sentence="it learns 2.0.1: the station speaks it, and her reservation is still there",
            act=_learn,
            timeout_s=30,
            claims=(
                claims.called("BootNotification", then=_introduced),
                claims_201.status(HALL, "Reserved"),
                claims.kept("reservation", str(RESERVATION), "the reservation is kept"),
                claims.mirrored(HALL, "reservation", active=True, reservation_id=RESERVATION),
                claims.broker(f"ocpp_version {SECOND_VERSION}", _speaks),
            ),
        ),
        Step(
            sentence=f"the full report, page by page; {KEY} of 1.6 has its 2.0.1 name",
            act=_ask_everything,
            timeout_s=30,
            claims=(
                claims.answered("GetBaseReport", status="Accepted"),
                claims.csms("all pages, numbered, the last one said to be", _in_pages),
                claims.csms(f"TxUpdatedInterval {KEY_VALUE}", _same_value),
            ),
        ),
        Step(
            sentence="the CSMS wants transactions to begin with the plug",
            act=_start_point,
            claims=(
                claims_201.set_as_wanted("setVariableResult"),
                claims.kept("configuration", "TxStartPoint", "TxStartPoint is kept"),
            ),
        ),
    ),
)


# --- plug first


async def _plug_in(stage: Stage) -> None:
    stage.point(HALL).plug_in()


PLUG_FIRST: Final = Chapter(
    title="Plug first, token later (2.0.1, CHARX)",
    builds_on=SWITCH.title,
    steps=(
        Step(
            sentence="a cable is plugged in: the transaction begins, nothing flows",
            act=_plug_in,
            claims=(
                claims_201.event(HALL, eventType="Started", triggerReason="CablePluggedIn", seqNo=0),
                claims.contactor(HALL, closed=False),
                claims.mirrored(HALL, "transaction", active=True),
                claims.mirrored(HALL, "reservation", active=True, reservation_id=RESERVATION),
            ),
        ),
        Step(
            sentence="BOB is refused: it is CAROL's",
            act=lambda stage: stage.present(HALL, BOB),
            claims=(
                claims.admitted(yes=False),
                claims.contactor(HALL, closed=False),
                claims.hardware(HALL, "no permit", lambda point: Seen(not point.permit, "hall has no permit")),
            ),
        ),
        Step(
            sentence="CAROL is let in, with the reservation that was made in 1.6",
            act=lambda stage: stage.present(HALL, CAROL),
            claims=(
                claims.admitted(yes=True),
                claims_201.event(HALL, eventType="Updated", triggerReason="Authorized", reservationId=RESERVATION),
                claims_201.event(HALL, chargingState="Charging"),
                claims.kept("reservation", str(RESERVATION), "the reservation is used up", there=False),
                claims.contactor(HALL, closed=True),
                claims.drawn(HALL, FULL_A),
            ),
        ),
    ),
)


# --- a limit, an alert, a message


async def _monitor(stage: Stage) -> None:
    power = {"component": {"name": "EVSE", "evse": {"id": HALL.evse}}, "variable": {"name": "Power"}}
    monitor = {**power, "type": "LowerThreshold", "value": ALERT_W, "severity": 2}
    await stage.call("SetVariableMonitoring", {"setMonitoringData": [monitor]})
    results: Any = stage.answer.get("setMonitoringResult") or [{}]
    stage.notes["monitor"] = results[0].get("id")


def _quiet(stage: Stage) -> Seen:
    count = len(_alerts(stage))
    return Seen(count == 0, "no alert" if count == 0 else f"{count} alerts")


def _alerts(stage: Stage) -> list[Mapping[str, Any]]:
    """What the monitor has said since the step began."""
    messages: Any = stage.csms.received("NotifyEvent", station=STATION, after=stage.mark)
    entries = [entry for message in messages for entry in message["eventData"]]
    return [entry for entry in entries if entry.get("variableMonitoringId") == stage.notes.get("monitor")]


async def _limit(stage: Stage) -> None:
    schedule = {
        "id": 1,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": LIMIT_A}],
    }
    profile = {
        "id": PROFILE,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "transactionId": claims_201.running_transaction(stage, HALL),
        "chargingSchedule": [schedule],
    }
    await stage.call("SetChargingProfile", {"evseId": HALL.evse, "chargingProfile": profile})


def _alerted(stage: Stage) -> Seen:
    """The power that the alert tells is what flowed at some moment on the way down."""
    came = [one for one in _alerts(stage) if one["trigger"] == "Alerting" and not one.get("cleared")]
    words = ", ".join(f"{float(one['actualValue']):.0f} W" for one in came)
    ok = len(came) == 1 and float(came[0]["actualValue"]) < ALERT_W
    return Seen(ok, f"alert: {words or 'none'}")


async def _ask_profiles(stage: Stage) -> None:
    await stage.call("GetChargingProfiles", {"requestId": PROFILES, "evseId": HALL.evse, "chargingProfile": {}})


def _reported(stage: Stage) -> Seen:
    found = [
        (profile["id"], period["limit"])
        for page in claims_201.pages(stage, "ReportChargingProfiles", PROFILES)
        for profile in page["chargingProfile"]
        for schedule in profile["chargingSchedule"]
        for period in schedule["chargingSchedulePeriod"]
    ]
    words = ", ".join(f"profile {number}: {limit:g} A" for number, limit in found)
    return Seen(found == [(PROFILE, LIMIT_A)], words or "no profile")


def _set_to(status: Mapping[str, Any]) -> Seen:
    """What the charger's register says, as the daemon reads it back."""
    one = next(one for one in status["connectors"] if one["connector"] == HALL.connector)
    return Seen(one["set_to_a"] == LIMIT_A, f"the charger reports {one['set_to_a']} A")


async def _greet(stage: Stage) -> None:
    message = {
        "id": MESSAGE,
        "priority": "NormalCycle",
        "transactionId": claims_201.running_transaction(stage, HALL),
        "message": {"format": "UTF8", "language": "en", "content": WELCOME},
    }
    await stage.call("SetDisplayMessage", {"message": message})


def _shown(text: str | None) -> Claim:
    """What the display at connector 3 is to show; None: nothing."""

    def look(stage: Stage) -> Seen:
        assert stage.observer is not None
        messages = stage.observer.connector(HALL.connector, "display").get("messages")
        if messages is None:
            return Seen(False, "3/display is not there")
        texts = [one["text"] for one in messages]
        return Seen(texts == ([] if text is None else [text]), f"3/display {'; '.join(texts) or 'empty'}")

    return claims.broker(f"3/display {text or 'empty'}", look)


LIMITED: Final = Chapter(
    title="An alert, a limit, a word on the display (2.0.1)",
    builds_on=PLUG_FIRST.title,
    steps=(
        Step(
            sentence=f"the CSMS wants to hear when EVSE 3 gives less than {ALERT_W / 1000:g} kW",
            act=_monitor,
            claims=(
                claims_201.set_as_wanted("setMonitoringResult", "status"),
                claims.csms("no alert", _quiet, lasting=True),
            ),
        ),
        Step(
            sentence=f"it allows CAROL {LIMIT_A} A: the car follows, and the monitor speaks",
            act=_limit,
            claims=(
                claims.answered("SetChargingProfile", status="Accepted"),
                claims.drawn(HALL, LIMIT_A, within_s=SOON_S),
                claims.csms(f"one alert, below {ALERT_W} W", _alerted),
            ),
        ),
        Step(
            sentence="the profile is read back, and so is the charger's register",
            act=_ask_profiles,
            claims=(
                claims.answered("GetChargingProfiles", status="Accepted"),
                claims.csms(f"profile {PROFILE}: {LIMIT_A} A", _reported),
                claims.socket(f"the charger reports {LIMIT_A} A", _set_to),
            ),
        ),
        Step(
            sentence="a message for CAROL: a display finds it on MQTT",
            act=_greet,
            claims=(claims.answered("SetDisplayMessage", status="Accepted"), _shown(WELCOME)),
        ),
    ),
)


# --- told later


async def _cut(stage: Stage) -> None:
    stage.notes["transaction"] = claims_201.running_transaction(stage, HALL)
    stage.csms.cut()
    await stage.csms.wait_disconnected(STATION, timeout_s=5)


def _offline(status: Mapping[str, Any]) -> Seen:
    online = status["csms"]["online"]
    return Seen(not online, f"link {'up' if online else 'down'}")


async def _leave_offline(stage: Stage) -> None:
    await stage.present(HALL, CAROL)
    await left(stage, HALL)
    stage.notes["left"] = soon(0)


def _waits(disk: Disk) -> Seen:
    return Seen(disk.waiting >= 1, f"{disk.waiting} messages wait")


async def _restore(stage: Stage) -> None:
    stage.csms.restore()
    await stage.csms.wait_connected(STATION, timeout_s=20)


def _as_it_was(stage: Stage, event: Mapping[str, Any]) -> bool | str:
    """The end is told with the time at which it happened."""
    return "before the line was back" if event["timestamp"] <= stage.notes["left"] else False


def _without_gaps(stage: Stage) -> Seen:
    events = events_by_transaction(stage.csms).get(stage.notes.get("transaction", ""), [])
    numbers = [event["seqNo"] for event in events]
    offline = sum(1 for event in events if event.get("offline"))
    ok = numbers == list(range(len(numbers))) and offline > 0
    return Seen(ok, f"seqNo 0 to {numbers[-1] if numbers else '?'}, {offline} of them offline")


TOLD_LATER: Final = Chapter(
    title="An end without the CSMS, told later (2.0.1)",
    builds_on=PLUG_FIRST.title,
    steps=(
        Step(
            sentence="the network goes; CAROL charges on",
            act=_cut,
            claims=(claims.socket("link down", _offline), claims.flowing(HALL)),
        ),
        Step(
            sentence="she stops and drives away",
            act=_leave_offline,
            timeout_s=30,
            claims=(
                claims.contactor(HALL, closed=False),
                claims.disk("a message waits", _waits),
                claims.mirrored(HALL, "transaction", active=False),
                _shown(None),
                claims.silence(),
            ),
        ),
        Step(
            sentence="it is back: the end is told as it was, no number is missing",
            act=_restore,
            timeout_s=40,
            claims=(
                claims_201.event(HALL, eventType="Ended", offline=True, then=_as_it_was),
                claims.csms("seqNo without a gap, some of them offline", _without_gaps),
                claims_201.status_now(HALL, "Available"),
            ),
        ),
    ),
)
