"""The story as data, second part: locks, availability, a key, and what the building asks over MQTT."""

from __future__ import annotations

from typing import Final

from edged.cli.demo import building, claims, home
from edged.cli.demo.acts import arrive, leave, soon
from edged.cli.demo.broker import TREE
from edged.cli.demo.places import BOB, CARD, CAROL, GATE, HALL, RIGHT
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Seen, Step
from edged.simulator.model import PointModel

KEY: Final = "MeterValueSampleInterval"
KEY_VALUE: Final = "3"
BUILDING_RESERVATION: Final = 70

# --- locks


async def _two_cars(stage: Stage) -> None:
    await arrive(stage, GATE)
    await arrive(stage, HALL)
    stage.point(GATE).swipe(CARD)
    stage.point(HALL).swipe(BOB)


async def _unlock_gate(stage: Stage) -> None:
    await stage.call("UnlockConnector", {"connectorId": GATE.connector})


async def _unlock_jammed(stage: Stage) -> None:
    stage.point(HALL).jam_lock(True)
    await stage.call("UnlockConnector", {"connectorId": HALL.connector})


async def _unlock_freed(stage: Stage) -> None:
    stage.point(HALL).jam_lock(False)
    await stage.call("UnlockConnector", {"connectorId": HALL.connector})


LOCKS: Final = Chapter(
    title="Locks (KEBA and CHARX, both with a socket)",
    steps=(
        Step(
            sentence="two cars charge, their cables locked in",
            act=_two_cars,
            claims=(
                claims.called("StartTransaction", connectorId=GATE.connector, idTag=CARD),
                claims.called("StartTransaction", connectorId=HALL.connector, idTag=BOB),
                claims.lock(GATE, closed=True),
                claims.lock(HALL, closed=True),
                claims.flowing(GATE),
                claims.flowing(HALL),
                claims.status(GATE, "Charging"),
                claims.status(HALL, "Charging"),
                claims.mirrored(GATE, "lock", state="locked"),
            ),
        ),
        Step(
            sentence="the CSMS unlocks connector 4: energy off, then the bolt, read back",
            act=_unlock_gate,
            timeout_s=40,
            claims=(
                claims.answered("UnlockConnector", status="Unlocked"),
                claims.called("StopTransaction", reason="UnlockCommand"),
                claims.contactor(GATE, closed=False),
                claims.lock(GATE, closed=False),
                claims.mirrored(GATE, "lock", state="unlocked"),
            ),
        ),
        Step(
            sentence="the lock of connector 3 jams: the CSMS is told that it stayed shut",
            act=_unlock_jammed,
            timeout_s=40,
            claims=(
                claims.answered("UnlockConnector", status="UnlockFailed"),
                claims.called("StopTransaction", reason="UnlockCommand"),
                claims.contactor(HALL, closed=False),
                claims.lock(HALL, closed=True),
                claims.status(HALL, "Faulted", errorCode="ConnectorLockFailure"),
                claims.mirrored(HALL, "lock", state="jammed"),
            ),
        ),
        Step(
            sentence="somebody frees the bolt: the next attempt succeeds",
            act=_unlock_freed,
            timeout_s=40,
            claims=(
                claims.answered("UnlockConnector", status="Unlocked"),
                claims.lock(HALL, closed=False),
                claims.status(HALL, "Finishing"),
            ),
        ),
        Step(
            sentence="both cars leave",
            act=lambda stage: leave(stage, GATE, HALL),
            claims=(claims.status(GATE, "Available"), claims.status(HALL, "Available")),
        ),
    ),
)


# --- availability


async def _out(stage: Stage) -> None:
    await stage.call("ChangeAvailability", {"connectorId": RIGHT.connector, "type": "Inoperative"})


async def _back(stage: Stage) -> None:
    await stage.call("ChangeAvailability", {"connectorId": RIGHT.connector, "type": "Operative"})


def _pilot(point: PointModel) -> str:
    return f"pilot in state {point.cp_state.value}"


AVAILABILITY: Final = Chapter(
    title="Out of service and back (Heidelberg)",
    steps=(
        Step(
            sentence="the CSMS takes connector 2 out of service",
            act=_out,
            claims=(
                claims.answered("ChangeAvailability", status="Accepted"),
                claims.status(RIGHT, "Unavailable"),
                claims.hardware(RIGHT, "locked out", lambda point: Seen(not point.available, _pilot(point))),
                claims.mirrored(RIGHT, "availability", state="Inoperative"),
            ),
        ),
        Step(
            sentence="and puts it back into service",
            act=_back,
            timeout_s=40,
            claims=(
                claims.answered("ChangeAvailability", status="Accepted"),
                claims.status(RIGHT, "Available"),
                claims.hardware(RIGHT, "back in service", lambda point: Seen(point.available, _pilot(point))),
                claims.mirrored(RIGHT, "availability", state="Operative"),
            ),
        ),
    ),
)


# --- a key


async def _change_key(stage: Stage) -> None:
    await stage.call("ChangeConfiguration", {"key": KEY, "value": KEY_VALUE})


async def ask_key(stage: Stage) -> None:
    await stage.call("GetConfiguration", {"key": [KEY]})


def _key_says(stage: Stage) -> Seen:
    found = stage.answer.get("configurationKey", [])
    value = next((one.get("value") for one in found if one.get("key") == KEY), None)
    return Seen(value == KEY_VALUE, f"{KEY} is {value}")


KEY_SAYS: Final = claims.csms(f"{KEY} is {KEY_VALUE}", _key_says)

KEYS: Final = Chapter(
    title="A configuration key",
    steps=(
        Step(
            sentence=f"the CSMS sets {KEY} to {KEY_VALUE} s",
            act=_change_key,
            claims=(
                claims.answered("ChangeConfiguration", status="Accepted"),
                claims.kept("configuration", KEY, "the key is kept"),
            ),
        ),
        Step(sentence="and reads it back", act=ask_key, claims=(KEY_SAYS,)),
    ),
)


# --- the building


async def _building_reserves(stage: Stage) -> None:
    args = {
        "connector": RIGHT.connector,
        "reservation_id": BUILDING_RESERVATION,
        "id_token": CAROL,
        "expires_at": soon(300),
    }
    await building.ask(stage, "reserve_now", args)


async def _latecomer(stage: Stage) -> None:
    stage.notes["latecomer"] = await stage.observe("latecomer")


def _same_picture(stage: Stage) -> Seen:
    assert stage.observer is not None
    late = stage.notes["latecomer"].retained
    wanted = [topic for topic in stage.observer.topics if topic.startswith(f"{TREE}/station/")]
    missing = [topic for topic in wanted if topic not in late]
    return Seen(bool(wanted) and not missing, f"{len(wanted) - len(missing)} of {len(wanted)} topics retained")


def _sees_reservation(stage: Stage) -> Seen:
    late = stage.notes["latecomer"].connector(RIGHT.connector, "reservation")
    return Seen(late.get("active") is True, f"the latecomer reads reservation {late.get('reservation_id')}")


async def _building_cancels(stage: Stage) -> None:
    await building.ask(stage, "cancel_reservation", {"reservation_id": BUILDING_RESERVATION})


BUILDING: Final = Chapter(
    title="The building asks over MQTT",
    steps=(
        Step(
            sentence="the building reserves connector 2; the CSMS sees it",
            act=_building_reserves,
            needs_broker=True,
            claims=(
                building.granted("reserve_now"),
                claims.status(RIGHT, "Reserved"),
                claims.mirrored(RIGHT, "reservation", active=True, reservation_id=BUILDING_RESERVATION),
            ),
        ),
        Step(
            sentence="who subscribes only now gets the same picture",
            act=_latecomer,
            needs_broker=True,
            claims=(
                claims.broker("all topics retained", _same_picture),
                claims.broker("the reservation is there", _sees_reservation),
                claims.broker("Home Assistant finds every device whole", home.seen_by("latecomer")),
            ),
        ),
        Step(
            sentence="the building takes its reservation back",
            act=_building_cancels,
            needs_broker=True,
            claims=(
                building.granted("cancel_reservation"),
                claims.status(RIGHT, "Available"),
                claims.mirrored(RIGHT, "reservation", active=False),
            ),
        ),
    ),
)
