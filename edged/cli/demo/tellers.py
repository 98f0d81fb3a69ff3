"""Who tells the story: a view that is redrawn on a terminal, a line a step everywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

from edged.cli.demo.ink import VERDICT_COLORS, Ink
from edged.cli.demo.places import PLACES, STATION, Place
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Outcome, Step, Verdict
from edged.cli.demo.view import MIN_COLUMNS, MIN_ROWS, Picture, PlaceShown, Telling, render, what_failed
from edged.cli.output import clean
from edged.simulator.parts import Cable

REDRAW_S: Final = 0.2
ASK_S: Final = 0.5
LINGER_S: Final = 0.35
"""How long a step that took no time stays before the next begins, on a terminal: people read."""
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"


class PlainTeller:
    """One line a step, as it happens."""

    linger_s = 0.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._ink = Ink.of(stream)
        self._began_s = time.monotonic()

    async def __aenter__(self) -> PlainTeller:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def begins(self, chapter: Chapter, step: Step) -> None:
        """Nothing yet: the line comes with the outcome."""

    def ends(self, outcome: Outcome) -> None:
        elapsed_s = time.monotonic() - self._began_s
        verdict = self._ink.paint(f"{outcome.verdict.value:<9}", VERDICT_COLORS[outcome.verdict])
        self._write(f"[{elapsed_s:5.1f} s] {verdict} {clean(outcome.chapter)}: {clean(outcome.sentence)}")
        if outcome.verdict is Verdict.FAILED:
            for line in what_failed(outcome):
                self._write(f"          {clean(line)}")

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class LiveTeller:
    """A screen that is redrawn while the story happens; the terminal is given back as it was."""

    linger_s = LINGER_S

    def __init__(self, stream: TextIO, stage: Stage) -> None:
        self._stream = stream
        self._stage = stage
        self._ink = Ink.of(stream)
        self._began_s = time.monotonic()
        self._outcomes: list[Outcome] = []
        self._now: tuple[str, str, float] = ("", "", 0.0)
        self._status: Mapping[str, Any] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> LiveTeller:
        self._stream.write(_ENTER)
        self._tasks = [asyncio.create_task(self._redraw()), asyncio.create_task(self._ask())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stream.write(_LEAVE)
        self._stream.flush()
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome  # a bug of the view must be seen

    def begins(self, chapter: Chapter, step: Step) -> None:
        self._now = (chapter.title, step.sentence, time.monotonic())

    def ends(self, outcome: Outcome) -> None:
        self._now = ("", "", 0.0)
        self._outcomes.append(outcome)
        self._draw()

    async def _redraw(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(REDRAW_S)

    async def _ask(self) -> None:
        while True:
            self._status = await self._stage.daemon.status()
            await asyncio.sleep(ASK_S)

    def _draw(self) -> None:
        columns, rows = terminal_size(self._stream)
        chapter, sentence, since_s = self._now
        telling = Telling(
            outcomes=tuple(self._outcomes),
            chapter=chapter,
            sentence=sentence,
            for_s=time.monotonic() - since_s if sentence else 0.0,
        )
        picture = photograph(self._stage, self._status, elapsed_s=time.monotonic() - self._began_s)
        lines = render(picture, telling, columns=columns - 1, rows=rows - 1, ink=self._ink)
        self._stream.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._stream.flush()


Telltale = PlainTeller | LiveTeller


def choose(stage: Stage, *, stream: TextIO, plain: bool) -> Telltale:
    """The live view where there is a terminal that can show it."""
    columns, rows = terminal_size(stream)
    able = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if plain or not able or columns < MIN_COLUMNS or rows < MIN_ROWS:
        return PlainTeller(stream)
    return LiveTeller(stream, stage)


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows; 80 and 24 where there is no terminal."""
    with contextlib.suppress(OSError, ValueError):
        size = os.get_terminal_size(stream.fileno())
        if size.columns > 0 and size.lines > 0:
            return size.columns, size.lines
    return 80, 24


def photograph(stage: Stage, status: Mapping[str, Any] | None, *, elapsed_s: float) -> Picture:
    """The site at this moment. `status`: the daemon's last word, None where it does not answer."""
    reports: dict[object, str] = {}
    for payload in stage.csms.received("StatusNotification", station=STATION):
        if "connectorStatus" in payload:  # in 2.0.1
            reports[payload.get("evseId")] = str(payload["connectorStatus"])
        else:
            reports[payload.get("connectorId")] = str(payload.get("status"))
    return Picture(
        places=tuple(_shown(stage, place, reports.get(place.connector, "-"), status) for place in PLACES),
        csms_up=bool(stage.csms.connected),
        broker=None if stage.observer is None else stage.observer.text("status") or "up",
        daemon_pid=stage.daemon.pid if stage.daemon.running else None,
        queued=None if status is None else status.get("queued"),
        elapsed_s=elapsed_s,
        speed=stage.options.speed,
        version="" if status is None else str(status["csms"].get("version") or ""),
    )


def _shown(stage: Stage, place: Place, status: str, told: Mapping[str, Any] | None) -> PlaceShown:
    point = stage.point(place)
    reserved = [
        f"#{one['id']}"
        for one in (told or {}).get("reservations", [])
        if one["connector"] == place.connector or one["evse"] == place.evse
    ]
    lock = "closed" if point.lock_closed else "open"
    if point.spec.cable is Cable.TETHERED:
        lock = "-"
    elif point.jammed:
        lock = "JAMMED"
    return PlaceShown(
        connector=place.connector,
        charger=place.charger,
        status=status,
        contactor="closed" if point.contactor_closed else "open",
        lock=lock,
        power_w=point.power_w,
        energy_wh=point.energy_wh,
        reservation=" ".join(reserved),
    )


def stdout_or_stderr(*, as_json: bool) -> TextIO:
    """Where the story is told: the table as JSON has standard output for itself."""
    return sys.stderr if as_json else sys.stdout
