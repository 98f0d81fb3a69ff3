"""The story as data: charging profiles, for one car and for the whole station."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.cli.demo import claims
from edged.cli.demo.acts import arrive, leave, running_transaction
from edged.cli.demo.places import BOB, CARD, GATE, HALL, POLL_S, Place
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step

OF_THE_CAR, OF_THE_STATION = 21, 22
FULL_A: Final = 16.0
"""What these cars draw where nobody limits them."""
SOON_S: Final = 4 * POLL_S
"""A limit is written at once, and read back in the next poll; the rest is what a busy computer may take."""
HOUR_S: Final = 3600


def _profile(number: int, purpose: str, ampere: float, **more: object) -> Mapping[str, object]:
    return {
        "chargingProfileId": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative" if purpose == "TxProfile" else "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": ampere}],
        },
        **more,
    }


def car_profile(number: int, ampere: float, transaction: int | None) -> Mapping[str, object]:
    """The CSMS's words for a limit of one transaction."""
    return _profile(number, "TxProfile", ampere, transactionId=transaction)


async def _limit_car(stage: Stage, ampere: float) -> None:
    profile = car_profile(OF_THE_CAR, ampere, running_transaction(stage, HALL))
    await stage.call("SetChargingProfile", {"connectorId": HALL.connector, "csChargingProfiles": profile})


async def _limit_station(stage: Stage, ampere: float) -> None:
    profile = _profile(OF_THE_STATION, "ChargePointMaxProfile", ampere)
    await stage.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile})


async def _clear(stage: Stage, number: int) -> None:
    await stage.call("ClearChargingProfile", {"id": number})


async def _ask_schedule(stage: Stage) -> None:
    await stage.call("GetCompositeSchedule", {"connectorId": HALL.connector, "duration": HOUR_S})


def _says(ampere: float) -> Claim:
    """GetCompositeSchedule, as one period."""

    def look(stage: Stage) -> Seen:
        schedule: Any = stage.answer.get("chargingSchedule") or {}
        periods = [(one["startPeriod"], one["limit"]) for one in schedule.get("chargingSchedulePeriod", [])]
        words = ", ".join(f"{limit:g} {schedule['chargingRateUnit']} from {start} s" for start, limit in periods)
        ok = periods == [(0, ampere)] and schedule["duration"] == HOUR_S
        return Seen(ok, f"{words or 'nothing'}, for {schedule.get('duration')} s")

    return claims.csms(f"{ampere:g} A for {HOUR_S} s", look)


async def _bob(stage: Stage) -> None:
    await arrive(stage, HALL)
    stage.point(HALL).swipe(BOB)


async def _second(stage: Stage) -> None:
    await _limit_station(stage, 20)
    await arrive(stage, GATE)
    stage.point(GATE).swipe(CARD)


async def _over(stage: Stage) -> None:
    await leave(stage, GATE, HALL)
    await _clear(stage, OF_THE_STATION)


def _never_more(place: Place) -> Claim:
    """Nothing, and not the least that a charger can give instead."""
    return claims.hardware(
        place,
        f"{place.charger} offers nothing",
        lambda point: Seen(point.offered_ma == 0, f"{place.charger} offers {point.offered_ma / 1000:.1f} A"),
        lasting=True,
    )


LIMITS: Final = Chapter(
    title="Charging profiles (CHARX, then two makes together)",
    steps=(
        Step(
            sentence="BOB charges as fast as his car can",
            act=_bob,
            claims=(
                claims.called("StartTransaction", connectorId=HALL.connector, idTag=BOB),
                claims.drawn(HALL, FULL_A),
            ),
        ),
        Step(
            sentence="the CSMS allows him 10 A: the car follows at once",
            act=lambda stage: _limit_car(stage, 10),
            claims=(
                claims.answered("SetChargingProfile", status="Accepted"),
                claims.kept("profile", str(OF_THE_CAR), "the profile is kept"),
                claims.drawn(HALL, 10, within_s=SOON_S),
            ),
        ),
        Step(
            sentence="GetCompositeSchedule says so",
            act=_ask_schedule,
            claims=(claims.answered("GetCompositeSchedule", status="Accepted"), _says(10)),
        ),
        Step(
            sentence="3 A is less than a car can use: it gets none, and not 6",
            act=lambda stage: _limit_car(stage, 3),
            claims=(
                claims.answered("SetChargingProfile", status="Accepted"),
                claims.drawn(HALL, 0, within_s=SOON_S),
                claims.contactor(HALL, closed=False),
                claims.status(HALL, "SuspendedEVSE"),
                _never_more(HALL),
            ),
        ),
        Step(
            sentence="ClearChargingProfile: the current rises again",
            act=lambda stage: _clear(stage, OF_THE_CAR),
            claims=(
                claims.answered("ClearChargingProfile", status="Accepted"),
                claims.drawn(HALL, FULL_A),
                claims.status(HALL, "Charging"),
            ),
        ),
        Step(
            sentence="the station may take 20 A and a second car comes: 10 A for each",
            act=_second,
            claims=(
                claims.answered("SetChargingProfile", status="Accepted"),
                claims.called("StartTransaction", connectorId=GATE.connector, idTag=CARD),
                claims.drawn(GATE, 10),
                claims.drawn(HALL, 10),
            ),
        ),
        Step(
            sentence="10 A are too little for two: who came first charges, the other waits",
            act=lambda stage: _limit_station(stage, 10),
            claims=(
                claims.answered("SetChargingProfile", status="Accepted"),
                claims.status(GATE, "SuspendedEVSE"),
                claims.drawn(GATE, 0),
                claims.drawn(HALL, 10),
                _never_more(GATE),
            ),
        ),
        Step(
            sentence="the limit is taken away, and both cars leave",
            act=_over,
            claims=(
                claims.answered("ClearChargingProfile", status="Accepted"),
                claims.kept("profile", str(OF_THE_STATION), "no profile is left", there=False),
                claims.status(GATE, "Available"),
                claims.status(HALL, "Available"),
            ),
        ),
    ),
)
