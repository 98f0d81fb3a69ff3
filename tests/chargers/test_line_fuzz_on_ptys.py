"""The storms of `test_line_fuzz` in real time: virtual time and pipes in memory are not the only witnesses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from edged.chargers.line import BusSpec, LineKind, open_pipe
from tests.fakes.line_fuzz import EdgedMaster, Told, drive
from tests.fakes.noisy_line import NoisyLine, Weather
from tests.fakes.noisy_pty import NoisyPty

LINES, FRAMES = 24, 63
WEATHER = replace(Weather(), twice=0.0, hung_up=0.0, latest_s=0.6)
"""No second reply within 1.75 ms, and none at the limit's edge: this process's own delays would move it beyond what a
master can tell."""


async def _storm(seed: int) -> Told:
    end = NoisyPty()
    spec = BusSpec(kind=LineKind.SERIAL, port=end.port, baudrate=(38_400, 115_200)[seed % 2], echo=bool(seed % 3 == 0))
    line = NoisyLine(f"pty {seed}", spec, WEATHER, echo=seed % 3 == 0)
    end.serve(line)
    master = EdgedMaster(line, spec, seed, connect=open_pipe)
    told = await drive(master, line, seed, FRAMES)
    found = master.bus.statistics
    assert found.requests == line.frames
    assert told.done + told.refused + told.failed == told.asked
    await master.close()
    await line.stop()
    end.close()
    return told


async def test_no_storm_on_real_ttys_yields_a_wrong_value() -> None:
    async with asyncio.timeout(110):
        storms = await asyncio.gather(*(_storm(seed) for seed in range(LINES)))
    assert [wrong for told in storms for wrong in told.wrong] == []
    assert sum(told.done for told in storms) > LINES * FRAMES / 2
