"""The scene of OCPP 1.6: its moves and what is expected of a station that speaks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from edged.simulator.csms_record import Frame
from tests.conformance.stage import (
    BOARD,
    KEBA,
    LOCKING,
    OPENEVSE,
    PATIENCE_S,
    SOCKET,
    STATION,
    TETHERED,
    TOKENS,
    TWO_SOCKETS,
    Box,
    Stage,
    moment,
)

__all__ = [
    "BOARD",
    "KEBA",
    "LOCKING",
    "OPENEVSE",
    "PATIENCE_S",
    "SOCKET",
    "STATION",
    "TETHERED",
    "TOKENS",
    "TWO_SOCKETS",
    "Box",
    "OpenScene",
    "Scene",
    "moment",
]


@dataclass(slots=True)
class Scene(Stage):
    """A station of 1.6."""

    versions = ("ocpp1.6",)

    async def ready(self, *, after: int = 0) -> None:
        """The CSMS has heard of the station and of every connector."""
        for connector in (0, *self.connectors):
            await self.csms.record.wait(partial(_is_status_of, connector), after=after, timeout_s=PATIENCE_S)
        await self.answered()

    def named(self, frame: Frame) -> str:
        """A status as `Status 1 Charging`."""
        if frame.action != "StatusNotification" or not isinstance(frame.payload, dict):
            return frame.action
        return f"Status {frame.payload['connectorId']} {frame.payload['status']}"

    async def charging(self, tag: str = "ALICE", connector: int = 1) -> int:
        """A driver plugs in, shows a token and charges. Returns the transactionId."""
        self.plug(connector)
        await self.expect_status("Preparing", connector)
        self.swipe(tag, connector)
        await self.expect("StartTransaction", connectorId=connector)
        await self.expect_status("Charging", connector)
        return self.transaction_id()

    def transaction_id(self) -> int:
        """What the CSMS called the last transaction."""
        return max(self.csms.answers.transactions)

    # --- what the CSMS asks

    async def configure(self, key: str, value: object) -> None:
        """Change a key, which must be Accepted."""
        assert await self.status_of("ChangeConfiguration", key=key, value=_text(value)) == "Accepted"

    async def value_of(self, key: str) -> str:
        """A key's value as the CSMS reads it."""
        (found,) = (await self.call("GetConfiguration", key=[key]))["configurationKey"]
        return str(found["value"])

    async def remote_start(self, tag: str, connector: int | None = 1, **more: object) -> str:
        place = {} if connector is None else {"connectorId": connector}
        return await self.status_of("RemoteStartTransaction", idTag=tag, **place, **more)

    async def reserve(
        self, tag: str, connector: int = 1, *, id: int = 1, lasts_s: float = 600.0, parent: str | None = None
    ) -> str:
        more = {} if parent is None else {"parentIdTag": parent}
        expiry = (datetime.now(UTC) + timedelta(seconds=lasts_s)).isoformat().replace("+00:00", "Z")
        return await self.status_of(
            "ReserveNow", connectorId=connector, expiryDate=expiry, idTag=tag, reservationId=id, **more
        )

    # --- what is expected

    async def expect_status(
        self, status: str, connector: int = 1, *, within_s: float = PATIENCE_S, **fields: object
    ) -> dict[str, Any]:
        return await self.expect(
            "StatusNotification", connectorId=connector, status=status, within_s=within_s, **fields
        )


OpenScene = Callable[..., Awaitable[Scene]]
"""The fixture `open_scene`: the boxes, then `Scene`'s options and those of `Scene.open`."""


def _is_status_of(connector: int, frame: Frame) -> bool:
    found = frame.payload.get("connectorId") if isinstance(frame.payload, dict) else None
    return frame.is_call("StatusNotification", STATION) and found == connector


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
