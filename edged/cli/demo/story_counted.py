"""The story as data, in OCPP 2.0.1: reservations that name no place and are counted; a reset that waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.cli.demo import claims, claims_201
from edged.cli.demo.acts import arrive, left, soon
from edged.cli.demo.places import BOB, CABLE, CAROL, DAVE, FLEET, FRANK, LEFT, PLACES, RIGHT
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step
from edged.cli.demo.story_201 import SWITCH

FOR_DAVE, FOR_FLEET, FOR_CAROL, TOO_MANY = 51, 52, 53, 54
EXIT_RESTART: Final = 75
"""How the daemon ends when it wants to be started again; systemd does that."""
CARD_TYPE: Final = "ISO14443"


async def _reserve(stage: Stage, number: int, token: str, *, type: str | None = None, group: str | None = None) -> None:
    """The CSMS's words for a reservation that names no EVSE."""
    request: dict[str, object] = {
        "id": number,
        "expiryDateTime": soon(600),
        "idToken": {"idToken": token, "type": CARD_TYPE},
    }
    if type is not None:
        request["connectorType"] = type
    if group is not None:
        request["groupIdToken"] = {"idToken": group, "type": "Central"}
    await stage.call("ReserveNow", request)


async def _one_too_many(stage: Stage) -> None:
    await _reserve(stage, TOO_MANY, BOB, type=CABLE)
    stage.notes["third"] = stage.answer.get("status")
    await _reserve(stage, FOR_CAROL, CAROL)


def _no_third(stage: Stage) -> Seen:
    return Seen(stage.notes["third"] == "Occupied", f"the third is {stage.notes['third']}")


def _nobodys(status: Mapping[str, Any]) -> Seen:
    words = [one["status"] for one in status["connectors"]]
    ok = words == ["Available"] * len(PLACES) and len(status["reservations"]) == 1
    return Seen(ok, f"{', '.join(words)}; {len(status['reservations'])} reservation")


async def _frank(stage: Stage) -> None:
    await arrive(stage, LEFT)
    await stage.present(LEFT, FRANK)


def _kept(number: int, expects: str, *, there: bool = True) -> Claim:
    return claims.kept("reservation", str(number), expects, there=there)


async def _cancel(stage: Stage, number: int) -> None:
    await stage.call("CancelReservation", {"reservationId": number})


COUNTED: Final = Chapter(
    title="Reservations that are counted (2.0.1)",
    builds_on=SWITCH.title,
    steps=(
        Step(
            sentence="one of the two cables is reserved for DAVE: either may still be anybody's",
            act=lambda stage: _reserve(stage, FOR_DAVE, DAVE, type=CABLE),
            claims=(
                claims.answered("ReserveNow", status="Accepted"),
                _kept(FOR_DAVE, "the reservation is kept"),
                claims.socket("nothing shows Reserved", _nobodys),
                claims.not_called("StatusNotification"),
            ),
        ),
        Step(
            sentence="the other one for a fleet: now both are Reserved",
            act=lambda stage: _reserve(stage, FOR_FLEET, BOB, type=CABLE, group=FLEET),
            claims=(
                claims.answered("ReserveNow", status="Accepted"),
                claims_201.status(LEFT, "Reserved"),
                claims_201.status(RIGHT, "Reserved"),
            ),
        ),
        Step(
            sentence="no third cable; nor any place, for its driver could come first and take a cable",
            act=_one_too_many,
            claims=(
                claims.csms("the third is Occupied", _no_third),
                claims.answered("ReserveNow", status="Occupied"),
                _kept(TOO_MANY, "nothing is kept of the third", there=False),
                _kept(FOR_CAROL, "nor of the other", there=False),
            ),
        ),
        Step(
            sentence="FRANK is of the fleet: he charges in its place",
            act=_frank,
            claims=(
                claims.admitted(yes=True),
                claims_201.event(LEFT, triggerReason="Authorized", reservationId=FOR_FLEET),
                claims.contactor(LEFT, closed=True),
                claims.flowing(LEFT),
                _kept(FOR_FLEET, "the fleet's is used up", there=False),
                claims_201.status_now(RIGHT, "Reserved"),
            ),
        ),
        Step(
            sentence="DAVE does not come: his is cancelled, and the other cable is free",
            act=lambda stage: _cancel(stage, FOR_DAVE),
            claims=(
                claims.answered("CancelReservation", status="Accepted"),
                claims_201.status(RIGHT, "Available"),
                _kept(FOR_DAVE, "it is gone", there=False),
            ),
        ),
        Step(
            sentence="now any place can be had: CAROL's, wherever she likes",
            act=lambda stage: _reserve(stage, FOR_CAROL, CAROL),
            claims=(
                claims.answered("ReserveNow", status="Accepted"),
                _kept(FOR_CAROL, "CAROL's is kept"),
                claims.not_called("StatusNotification"),
            ),
        ),
    ),
)


# --- a reset that waits


async def _reset(stage: Stage) -> None:
    stage.notes["pid"] = stage.daemon.pid
    await stage.call("Reset", {"type": "OnIdle"})


def _runs_on(stage: Stage) -> Seen:
    same = stage.daemon.running and stage.daemon.pid == stage.notes["pid"]
    return Seen(same, f"process {stage.notes['pid']} {'runs' if same else 'is gone'}")


RUNS_ON: Final = claims.process("the daemon runs", _runs_on)


async def _frank_leaves(stage: Stage) -> None:
    await stage.present(LEFT, FRANK)
    await left(stage, LEFT)


async def _cancel_last(stage: Stage) -> None:
    """The demo does what systemd does: it starts again what asked for it."""
    await _cancel(stage, FOR_CAROL)
    stage.notes["exit"] = await stage.daemon.ended()
    await stage.daemon.start()


def _asked_for_it(stage: Stage) -> Seen:
    status = stage.notes["exit"]
    return Seen(status == EXIT_RESTART and stage.daemon.running, f"exit status {status}, started again")


WAITING: Final = Chapter(
    title="A reset that waits until nobody needs the station (2.0.1)",
    builds_on=COUNTED.title,
    steps=(
        Step(
            sentence="the CSMS wants a reset when idle; FRANK goes on charging",
            act=_reset,
            claims=(
                claims.answered("Reset", status="Scheduled"),
                claims.flowing(LEFT),
                RUNS_ON,
            ),
        ),
        Step(
            sentence="he drives away; CAROL's reservation still holds it back",
            act=_frank_leaves,
            claims=(
                claims_201.event(LEFT, eventType="Ended"),
                claims_201.status_now(LEFT, "Available"),
                _kept(FOR_CAROL, "CAROL's is kept"),
                RUNS_ON,
            ),
        ),
        Step(
            sentence="her reservation is cancelled: the station resets and comes back",
            act=_cancel_last,
            timeout_s=40,
            claims=(
                claims.process("ended to be started again", _asked_for_it),
                claims.called("BootNotification", reason="ScheduledReset"),
                *(claims_201.status(place, "Available") for place in PLACES),
                claims.published("status", "online"),
            ),
        ),
    ),
)
