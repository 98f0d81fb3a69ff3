"""A charger's registers as an installer's tool meets them, and slaves that live in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from edged.chargers.library import load_profile
from edged.chargers.modbus import Read, Table, rtu_frame
from edged.chargers.profile_terms import Register, is_text
from edged.chargers.registers import Value

T = TypeVar("T")
ESP32: Mapping[str, Value] = {
    "state": "B1",
    "enabled": 1,
    "available": 1,
    "charging_current": 16.0,
    "voltage_l1": 231.5,
    "voltage_l2": 229.0,
    "voltage_l3": 230.0,
    "max_charging_current": 32,
    "socket_outlet": 0,
    "uptime": 4711,
    "firmware": "v2.1.0",
}
"""A tethered esp32-evse with a car that does not charge."""


def raw_words(register: Register, value: Value | None) -> tuple[int, ...]:
    """A value as the register's words, zeros where nothing is said."""
    if value is None:
        return (0,) * register.codec.words
    return register.codec.encode(str(value) if is_text(register) else value)


def cells(profile_name: str, values: Mapping[str, Value]) -> dict[int, int]:
    """Words by address of a profile whose readable registers all lie in one table."""
    found: dict[int, int] = {}
    for register in load_profile(profile_name).registers_at(None).values():
        if register.readable:
            for at, word in enumerate(raw_words(register, values.get(register.name)), register.address):
                found[at] = word
    return found


class Line(Protocol):
    """The charger's end of a serial line."""

    units: Any

    def send(self, data: bytes) -> None: ...


async def chatter(line: Line, *, unit_id: int = 77) -> None:
    """Another master, which asks its own unit again and again until somebody else asks something on its line."""
    loop = asyncio.get_running_loop()
    theirs = rtu_frame(unit_id, Read(table=Table.INPUT, address=5, count=14).pdu)

    def speak() -> None:
        if not line.units.requests:
            line.send(theirs)
            loop.call_later(0.03, speak)

    speak()


class LoopThread:
    """An event loop in a thread: slaves live there while a command runs in the test's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="slaves")
    thread.start()
    try:
        yield LoopThread(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
