"""The story as data, first part: the site wakes up, a driver charges, a reservation is kept at the hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.cli.demo import claims
from edged.cli.demo.acts import arrive, leave, left, meter_values, nothing, reservation, running_transaction
from edged.cli.demo.places import ALICE, BOB, CAROL, HALL, LEFT, PLACES
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step
from edged.simulator.model import PointModel

RESERVATION: Final = 7
PATIENCE_S: Final = 60.0
"""How long the stranger waits at the charger, in the physics' time."""

# --- the site wakes up


async def _start(stage: Stage) -> None:
    await stage.daemon.start()


def _registered(status: Mapping[str, Any]) -> Seen:
    word = status["csms"]["registration"]
    return Seen(word == "Accepted", f"registration {word}")


def _reached(status: Mapping[str, Any]) -> Seen:
    online = [one["charger"] for one in status["connectors"] if one["online"]]
    return Seen(len(online) == len(PLACES), f"online: {', '.join(online) or 'none'}")


WAKE: Final = Chapter(
    title="The site wakes up",
    vital=True,
    steps=(
        Step(
            sentence="the daemon starts and introduces itself to the CSMS",
            act=_start,
            timeout_s=30,
            claims=(
                claims.called("BootNotification", chargePointVendor="Example Energy", chargePointModel="Depot 3"),
                claims.socket("registration Accepted", _registered),
                claims.published("status", "online"),
            ),
        ),
        Step(
            sentence="five chargers of four makes answer on their lines",
            act=nothing,
            timeout_s=20,
            claims=(
                *(claims.status_now(place, "Available") for place in PLACES),
                claims.socket("all five online", _reached),
                *(claims.mirrored(place, "status", status="Available") for place in PLACES),
            ),
        ),
    ),
)


# --- a driver charges


async def _plug_in(stage: Stage) -> None:
    stage.point(HALL).plug_in()


async def _pause(stage: Stage) -> None:
    stage.point(HALL).pause()


async def _swipe(stage: Stage) -> None:
    stage.point(HALL).swipe(ALICE)


def _starts_right(stage: Stage, payload: Mapping[str, Any]) -> bool | str:
    """No energy has flowed since the last transaction: the register can only be this one."""
    stage.notes["meterStart"] = payload["meterStart"]
    return f"meterStart {payload['meterStart']} Wh" if payload["meterStart"] == int(HALL.energy_wh) else False


def _stops_right(stage: Stage, payload: Mapping[str, Any]) -> bool | str:
    """The car has paused: the register stands still, and what the CSMS is told is what the charger shows."""
    stop_wh, taken_wh = payload["meterStop"], payload["meterStop"] - stage.notes["meterStart"]
    right = stop_wh == int(stage.point(HALL).energy_wh) and taken_wh > 0
    return f"meterStop {stop_wh} Wh, {taken_wh} Wh taken" if right else False


def _register(point: PointModel) -> Seen:
    return Seen(point.session_wh > 0, f"{point.session_wh:.0f} Wh taken, register {int(point.energy_wh)} Wh")


def _rising(stage: Stage) -> Seen:
    registers = meter_values(stage, HALL)
    if len(registers) < 2:
        return Seen(False, f"{len(registers)} MeterValues")
    ok = HALL.energy_wh < registers[0] < registers[-1] <= stage.point(HALL).energy_wh
    return Seen(ok, f"MeterValues {registers[0]:.0f} and {registers[-1]:.0f} Wh")


RISING: Final[Claim] = claims.csms("two MeterValues, rising, never above the charger's register", _rising)

CHARGE: Final = Chapter(
    title="A driver charges (CHARX, Modbus TCP)",
    steps=(
        Step(
            sentence="a car is plugged in; without a token nothing flows",
            act=_plug_in,
            claims=(
                claims.status(HALL, "Preparing"),
                claims.contactor(HALL, closed=False),
                claims.mirrored(HALL, "status", status="Preparing", plugged=True),
            ),
        ),
        Step(
            sentence="ALICE shows her card at the reader: the transaction starts",
            act=_swipe,
            claims=(
                claims.called("Authorize", idTag=ALICE),
                claims.called("StartTransaction", connectorId=HALL.connector, idTag=ALICE, then=_starts_right),
                claims.status(HALL, "Charging"),
                claims.contactor(HALL, closed=True),
                claims.flowing(HALL),
                claims.mirrored(HALL, "transaction", active=True),
            ),
        ),
        Step(
            sentence="meter values tell how the energy flows",
            act=nothing,
            claims=(RISING, claims.hardware(HALL, "energy in the car", _register)),
        ),
        Step(
            sentence="the car has had enough for now",
            act=_pause,
            claims=(
                claims.status(HALL, "SuspendedEV"),
                claims.contactor(HALL, closed=False),
                claims.mirrored(HALL, "status", status="SuspendedEV"),
            ),
        ),
        Step(
            sentence="ALICE shows her card again: the transaction stops",
            act=_swipe,
            claims=(
                claims.called("StopTransaction", idTag=ALICE, then=_stops_right),
                claims.status(HALL, "Finishing"),
                claims.hardware(HALL, "the same register", _register),
                claims.mirrored(HALL, "transaction", active=False),
            ),
        ),
        Step(
            sentence="she drives away",
            act=lambda stage: leave(stage, HALL),
            claims=(claims.status(HALL, "Available"), claims.mirrored(HALL, "status", status="Available")),
        ),
    ),
)


# --- a reservation


async def _reserve(stage: Stage) -> None:
    await stage.call("ReserveNow", reservation(LEFT, RESERVATION, BOB, seconds=300))


async def _stranger(stage: Stage) -> None:
    """CAROL's token is good everywhere else. She waits a while, and the charger gives her nothing."""
    await arrive(stage, LEFT)
    await stage.present(LEFT, CAROL)
    point = stage.point(LEFT)
    await stage.site.until(lambda: point.connected_s >= PATIENCE_S, timeout_s=PATIENCE_S)


def _nothing_given(point: PointModel) -> Seen:
    words = f"contactor closed {point.charged_s:.0f} of {point.connected_s:.0f} s, {point.session_wh:.0f} Wh"
    return Seen(point.car is not None and point.charged_s == 0 and point.session_wh == 0, words)


async def _bob(stage: Stage) -> None:
    await left(stage, LEFT)
    await arrive(stage, LEFT)
    await stage.present(LEFT, BOB)


async def _remote_stop(stage: Stage) -> None:
    await stage.call("RemoteStopTransaction", {"transactionId": running_transaction(stage, LEFT)})


RESERVE: Final = Chapter(
    title="A reservation (Heidelberg, Modbus RTU)",
    steps=(
        Step(
            sentence="the CSMS reserves connector 1 for BOB",
            act=_reserve,
            claims=(
                claims.answered("ReserveNow", status="Accepted"),
                claims.status(LEFT, "Reserved"),
                claims.kept("reservation", str(RESERVATION), "the reservation is kept"),
                claims.mirrored(LEFT, "reservation", active=True, reservation_id=RESERVATION),
            ),
        ),
        Step(
            sentence="CAROL plugs in there and shows her token: refused at the hardware",
            act=_stranger,
            timeout_s=15 + PATIENCE_S,
            claims=(
                claims.admitted(yes=False),
                claims.hardware(LEFT, "the contactor never closed", _nothing_given, lasting=True),
                claims.not_called("StartTransaction"),
                claims.mirrored(LEFT, "transaction", active=False),
            ),
        ),
        Step(
            sentence="CAROL leaves, BOB comes: he is let in, the reservation is used",
            act=_bob,
            claims=(
                claims.admitted(yes=True),
                claims.called("StartTransaction", connectorId=LEFT.connector, idTag=BOB, reservationId=RESERVATION),
                claims.contactor(LEFT, closed=True),
                claims.flowing(LEFT),
                claims.kept("reservation", str(RESERVATION), "the reservation is used up", there=False),
                claims.mirrored(LEFT, "reservation", active=False),
            ),
        ),
        Step(
            sentence="the CSMS stops the transaction from afar",
            act=_remote_stop,
            claims=(
                claims.answered("RemoteStopTransaction", status="Accepted"),
                claims.called("StopTransaction", reason="Remote"),
                claims.contactor(LEFT, closed=False),
                claims.mirrored(LEFT, "status", status="Finishing"),
            ),
        ),
        Step(
            sentence="BOB drives away",
            act=lambda stage: leave(stage, LEFT),
            claims=(claims.status(LEFT, "Available"),),
        ),
    ),
)
