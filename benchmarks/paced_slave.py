"""Modbus slaves at the end of a slow wire: a pty that takes as long as the bytes would at a baud rate.

    python -m benchmarks.paced_slave BAUD [SILENT_UNIT]

A process of its own, so that the master under test cannot disturb its clock. Answers reads of holding registers and
writes of one register for every unit but the silent one; a reply is complete at the moment at which its last bit would
have come when the slave answers t3.5 after the request.
Says the terminal's path when ready. Once its input is closed, it says as JSON: how many requests came, how many of them
before t3.5 had passed (`early`), its own mean turnaround with what it was late (`turnaround_s`), when each request came
(`asked_at`), each value was written (`written_at`, by value) and the silent unit was asked (`silent_asked_at`), all of
`time.perf_counter`, and how long it was each time from then to the next request (`silent_took_s`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
import tty
from dataclasses import dataclass, field

from benchmarks.wire_limit import character_s, silence_s
from edged.chargers.modbus import crc16

REQUEST_BYTES = 8
WRITE_ONE = 6
SPIN_S = 0.002
STDIN = 0


@dataclass(slots=True)
class Told:
    requests: int = 0
    early: int = 0
    late_s: float = 0.0
    asked_at: list[float] = field(default_factory=list)
    written_at: dict[int, float] = field(default_factory=dict)
    silent_asked_at: list[float] = field(default_factory=list)
    silent_took_s: list[float] = field(default_factory=list)

    def document(self, baud: int) -> str:
        answered = max(1, self.requests - len(self.silent_asked_at))
        return json.dumps(
            {
                "requests": self.requests,
                "early": self.early,
                "turnaround_s": silence_s(baud) + self.late_s / answered,
                "asked_at": self.asked_at,
                "written_at": self.written_at,
                "silent_asked_at": self.silent_asked_at,
                "silent_took_s": self.silent_took_s,
            }
        )


def reply_to(request: bytes) -> bytes:
    if request[1] == WRITE_ONE:
        return request
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


def serve(baud: int, silent_unit: int | None) -> None:
    with contextlib.suppress(PermissionError):  # it stands for hardware, which waits for no scheduler
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    master, slave = os.openpty()
    tty.setraw(slave)
    print(os.ttyname(slave), flush=True)
    told = Told()
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
        told.requests += 1
        told.asked_at.append(arrived)
        if len(told.silent_took_s) < len(told.silent_asked_at):
            told.silent_took_s.append(arrived - told.silent_asked_at[-1])
        told.early += arrived - ended_at < 0.95 * silence_s(baud)
        if request[1] == WRITE_ONE:
            told.written_at[int.from_bytes(request[4:6])] = arrived
        if request[0] == silent_unit:
            told.silent_asked_at.append(arrived)
            ended_at = arrived + len(request) * character_s(baud)
            continue
        reply = reply_to(request)
        ended_at = arrived + (len(request) + len(reply)) * character_s(baud) + silence_s(baud)
        wait_until(ended_at)
        os.write(master, reply)
        told.late_s += time.perf_counter() - ended_at
    print(told.document(baud), flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
