"""A Modbus slave at the end of a slow wire: a pty that takes as long as the bytes would at a baud rate.

A process of its own, so that the master under test cannot disturb its clock. Answers any read of holding registers,
the reply complete at the moment at which its last bit would have come when the slave answers t3.5 after the request.
Says the terminal's path when ready; once its input is closed, how often a master spoke before t3.5 had passed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
import tty

from edged.chargers.modbus import crc16

BITS_A_CHARACTER = 11
REQUEST_BYTES = 8
SPIN_S = 0.002
STDIN = 0


def character_s(baud: int) -> float:
    return BITS_A_CHARACTER / baud


def silence_s(baud: int) -> float:
    """t3.5 of Modbus over serial line V1.02 §2.5.1.1."""
    return 3.5 * BITS_A_CHARACTER / baud if baud <= 19_200 else 0.00175


def reply_to(request: bytes) -> bytes:
    count = int.from_bytes(request[4:6])
    body = bytes((request[0], request[1], 2 * count)) + bytes(range(2 * count))
    return body + crc16(body).to_bytes(2, "little")


def wait_until(moment: float) -> None:
    """Sleep, then spin the last two milliseconds: this process has nothing else to do."""
    remaining = moment - time.perf_counter()
    if remaining > SPIN_S:
        time.sleep(remaining - SPIN_S)
    while time.perf_counter() < moment:
        pass


def serve(baud: int) -> None:
    with contextlib.suppress(PermissionError):  # it stands for hardware, which waits for no scheduler
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    master, slave = os.openpty()
    tty.setraw(slave)
    print(os.ttyname(slave), flush=True)
    requests = early = 0
    ended_at = -1.0
    received = b""
    while True:
        ready, _, _ = select.select([master, STDIN], [], [])
        if STDIN in ready:
            break
        arrived = time.perf_counter()
        received += os.read(master, 256)
        if len(received) < REQUEST_BYTES:
            continue
        request, received = received[:REQUEST_BYTES], received[REQUEST_BYTES:]
        requests += 1
        early += arrived - ended_at < 0.95 * silence_s(baud)
        reply = reply_to(request)
        ended_at = arrived + (len(request) + len(reply)) * character_s(baud) + silence_s(baud)
        wait_until(ended_at)
        os.write(master, reply)
    print(json.dumps({"requests": requests, "early": early}), flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
