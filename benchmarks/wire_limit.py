"""How long a transaction takes on a serial line at least, and pymodbus's client to hold against it.

T = (request + reply) characters + the slave's turnaround, at least t3.5 + t3.5 before the next request; 11 bits a
character.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from pymodbus.client import AsyncModbusSerialClient

BITS_A_CHARACTER = 11
REQUEST_BYTES = 8
REGISTERS = 20


def character_s(baud: int) -> float:
    return BITS_A_CHARACTER / baud


def silence_s(baud: int) -> float:
    """t3.5 of Modbus over serial line V1.02 §2.5.1.1."""
    return 3.5 * BITS_A_CHARACTER / baud if baud <= 19_200 else 0.00175


def read_bytes(registers: int = REGISTERS) -> int:
    """The reply to a read of holding registers."""
    return 5 + 2 * registers


def transaction_s(baud: int, reply_bytes: int, *, turnaround_s: float = 0.0) -> float:
    """`turnaround_s` 0: a slave that is as quick as it may be."""
    silence = silence_s(baud)
    return (REQUEST_BYTES + reply_bytes) * character_s(baud) + max(turnaround_s, silence) + silence


@contextlib.asynccontextmanager
async def pymodbus_client(
    port: str, baud: int, *, timeout_s: float = 1.0, retries: int = 0
) -> AsyncIterator[AsyncModbusSerialClient]:
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it prints its last frames at each timeout
    client = AsyncModbusSerialClient(port, baudrate=baud, parity="N", stopbits=2, timeout=timeout_s, retries=retries)
    if not await client.connect():
        raise RuntimeError(f"pymodbus cannot open {port}")
    try:
        yield client
    finally:
        client.close()
