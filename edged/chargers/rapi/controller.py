"""One controller's commands, asked and answered in the words of `replies`.

Owns: which command tells what, which of them this controller does not know. Refuses to know: when and why it is asked.

Invariant: nothing here writes the EEPROM but `supervise`, and that only what differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from edged.chargers.job_queue import Priority
from edged.chargers.rapi.frames import Reply
from edged.chargers.rapi.link import Link
from edged.chargers.rapi.replies import (
    Capacity,
    Current,
    Lock,
    Status,
    Supervision,
    Values,
    read_amperes,
    read_capacity,
    read_connected,
    read_counters,
    read_current,
    read_energy,
    read_lock,
    read_status,
    read_supervision,
    read_temperature,
)
from edged.ports import ChargerRefused

T = TypeVar("T")
ACKNOWLEDGED = "165"
"""The word that ends a missed pulse."""


class Controller:
    """Every method may raise `ChargerUnreachable`, and `ChargerRefused` where something indispensable is refused."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.missing: set[str] = set()
        """Commands that this controller does not know."""

    def __str__(self) -> str:
        return f"controller at {self.link.spec}"

    async def status(self, priority: Priority = Priority.STATUS, *, forgiving: bool = False) -> Status:
        reply = await self.link.ask("GS", priority=priority, forgiving=forgiving)
        status = read_status(reply.values) if reply.is_ok else None
        if status is None:
            raise ChargerRefused(f"{self} answers $GS with {reply}, which is no state")
        return status

    async def is_connected(self) -> bool | None:
        """Whether a vehicle is there; None where it does not know."""
        return await self._told("G0", read_connected)

    async def amperes(self, priority: Priority = Priority.STATUS) -> int | None:
        """The current that it is set to."""
        return await self._told("GE", read_amperes, priority)

    async def current(self) -> Current | None:
        return await self._told("GG", read_current, Priority.METER)

    async def energy(self) -> tuple[int, int] | None:
        return await self._told("GU", read_energy, Priority.METER)

    async def temperature(self) -> float | None:
        return await self._told("GP", read_temperature, Priority.METER)

    async def counters(self) -> str:
        return await self._told("GF", read_counters) or ""

    async def lock(self, priority: Priority = Priority.STATUS) -> Lock | None:
        return await self._told("G5", read_lock, priority)

    async def capacity(self) -> Capacity | None:
        return await self._told("GC", read_capacity, Priority.IDENTITY)

    async def version(self) -> tuple[str, ...]:
        """Firmware and protocol, as it writes them."""
        return await self._told("GV", lambda values: values, Priority.IDENTITY) or ()

    async def supervision(self, priority: Priority = Priority.STATUS) -> Supervision | None:
        """None: built without."""
        return await self._told("GY", read_supervision, priority)

    async def supervise(self, interval_s: int, fallback_a: int) -> None:
        """Set what it falls back to, and begin anew. The controller writes its EEPROM only where that differs."""
        await self.order("SY", str(interval_s), str(fallback_a))

    async def acknowledge(self) -> None:
        """End a missed pulse. The controller then gives its own most current again."""
        await self.order("SY", ACKNOWLEDGED)

    async def limit(self, amperes: int, priority: Priority = Priority.COMMAND) -> int | None:
        """Set the current, in RAM only; what it says that it is set to."""
        return read_amperes((await self.link.ask("SC", str(amperes), "V", priority=priority)).values)

    async def order(self, name: str, *parameters: str, priority: Priority = Priority.COMMAND) -> Reply:
        """A command that must be taken."""
        reply = await self.link.ask(name, *parameters, priority=priority)
        if not reply.is_ok:
            raise ChargerRefused(f"{self} refused {' '.join((f'${name}', *parameters))} with {reply}")
        return reply

    async def _told(
        self, name: str, read: Callable[[Values], T | None], priority: Priority = Priority.STATUS
    ) -> T | None:
        """What a command tells; None where it is refused, which is remembered, or not understood."""
        if name in self.missing:
            return None
        reply = await self.link.ask(name, priority=priority)
        if not reply.is_ok:
            self.missing.add(name)
            return None
        return read(reply.values)
