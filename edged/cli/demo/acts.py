"""What several chapters have their people do, and what they look up for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from edged.cli.demo.places import STATION, Place
from edged.cli.demo.stage import Stage

ASK_EVERY_S = 0.1


def soon(seconds: float) -> str:
    """A date as OCPP writes it."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reservation(place: Place, number: int, token: str, *, seconds: float) -> Mapping[str, object]:
    """The CSMS's words for a reservation."""
    return {"connectorId": place.connector, "expiryDate": soon(seconds), "idTag": token, "reservationId": number}


async def nothing(_stage: Stage) -> None:
    """The step is in what others do."""


async def leave(stage: Stage, *places: Place) -> None:
    """The drivers unplug and drive away."""
    for place in places:
        stage.point(place).plug_out()


async def left(stage: Stage, place: Place) -> None:
    """A driver drives away, and the daemon has noticed it; the step's time bounds the wait."""
    await leave(stage, place)
    await _until_plugged(stage, place, plugged=False)


async def arrive(stage: Stage, place: Place) -> None:
    """A car is plugged in, and the daemon has noticed it; the step's time bounds the wait."""
    stage.point(place).plug_in()
    await _until_plugged(stage, place, plugged=True)


async def _until_plugged(stage: Stage, place: Place, *, plugged: bool) -> None:
    while True:
        if (await connector(stage, place)).get("plugged") is plugged:
            return
        await asyncio.sleep(ASK_EVERY_S)


async def connector(stage: Stage, place: Place) -> Mapping[str, Any]:
    """What the daemon says of a connector; empty while it says nothing."""
    status = await stage.daemon.status() or {}
    return next((one for one in status.get("connectors", []) if one["connector"] == place.connector), {})


def running_transaction(stage: Stage, place: Place) -> int | None:
    """The CSMS's number of the transaction that runs at a place."""
    running = [
        one.transaction_id
        for one in stage.csms.answers.transactions.values()
        if one.stopped is None and one.started["connectorId"] == place.connector
    ]
    return running[-1] if running else None


def register_of(payload: Mapping[str, Any]) -> float | None:
    """The energy register in MeterValues, Wh."""
    for values in payload["meterValue"]:
        for sample in values["sampledValue"]:
            if sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register":
                return float(sample["value"])
    return None


def at(payload: Mapping[str, Any], place: Place) -> bool:
    return bool(payload["connectorId"] == place.connector)


def meter_values(stage: Stage, place: Place) -> list[float]:
    """The registers in the MeterValues of a place since the step began."""
    came = stage.csms.received("MeterValues", station=STATION, after=stage.mark)
    return [register for one in came if at(one, place) and (register := register_of(one)) is not None]
