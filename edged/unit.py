"""One station of a gateway and what belongs to it: data, and the order in which it comes to life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edged.chargers.driver import ChargerDriver
from edged.csms.connection import Connection
from edged.csms.link import Link
from edged.domain import access
from edged.domain.station import Station
from edged.domain.types import Now
from edged.engine import Engine
from edged.jobs import StationJobs
from edged.mqtt.topics import CsmsView
from edged.settings import StationSettings
from edged.views import status_document

SHOW_AFTER_S = 0.05
SHOW_AFTER_AT_MOST_S = 1.0
SHOW_SHARE = 0.05
"""Of a processor's time: more than this is not spent on showing a station, however many connectors it has."""


def boot_id(run_id: str, utc: datetime) -> str:
    """A name for a run that sorts behind those of the runs before it, and behind the bare run ids of former releases.
    `utc`: as the run knows it, which is never earlier than what the store has seen."""
    return f"t{int(utc.timestamp()):010d}-{run_id}"


class Begun:
    """A mirror that tells when there is something to be seen at all: the start has been thought through and kept."""

    def __init__(self) -> None:
        self._shown = asyncio.Event()

    def show(self, station: Station, now: Now) -> None:
        self._shown.set()

    async def wait(self) -> None:
        await self._shown.wait()


class Pace:
    """How soon after a step a station is shown. A look at all its connectors costs more the more there are, and a bus
    has something new of one of them all the time: the dearer the last look was, the more steps the next one is for.

    `with` it around the showing.
    """

    def __init__(self) -> None:
        self._began_s = self._took_s = 0.0

    @property
    def delay_s(self) -> float:
        return min(SHOW_AFTER_AT_MOST_S, max(SHOW_AFTER_S, self._took_s / SHOW_SHARE))

    def __enter__(self) -> None:
        self._began_s = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._took_s = time.thread_time() - self._began_s


@dataclass(slots=True)
class Unit:
    """One station and what belongs to it."""

    settings: StationSettings
    engine: Engine
    link: Link
    connection: Connection
    drivers: Mapping[int, ChargerDriver]
    jobs: StationJobs
    begun: Begun
    ticked: bool = False
    showing: asyncio.TimerHandle | None = None
    pace: Pace = field(default_factory=Pace)
    ended_seen: frozenset[str] = frozenset()

    def sees_end(self, station: Station) -> bool:
        """Whether a transaction has ended since the last call."""
        ended = frozenset(transaction.id for transaction in station.transactions.values() if not transaction.active)
        fresh, self.ended_seen = not ended <= self.ended_seen, ended
        return fresh

    async def connect(self) -> None:
        """Not before the start has been thought through: it may lead to another CSMS than the last run."""
        await self.begun.wait()
        await self.connection.run()

    def csms_view(self) -> CsmsView:
        """The way to the CSMS as MQTT shows it."""
        return CsmsView(
            url=self.connection.settings.url,
            version=self.link.subprotocol if self.link.connected else None,
            security_profile=access.security_profile(self.engine.station),
            state="connected" if self.link.connected else "stopped" if self.connection.paused else "connecting",
            reason=self.link.reason or None,
        )

    def status(self) -> dict[str, Any]:
        """What `edged status` shows of it."""
        return status_document(
            self.engine.station,
            degraded=self.engine.degraded,
            link={
                "url": self.connection.settings.url,
                "security_profile": access.security_profile(self.engine.station),
                "version": self.link.subprotocol,
                "connected": self.link.connected,
                "reason": self.link.reason or None,
            },
        )
