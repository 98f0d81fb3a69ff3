"""Who is on a line, for a dialogue: the search of `edged scan`, with what setup makes of the findings.

Owns: which settings and ids are tried, one sentence a finding. Invariants: it never writes to a charger; it never asks
on a line that a running edged holds; Ctrl-C ends the search with what was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edged.chargers import silence
from edged.chargers.fit import Fit, Verdict
from edged.chargers.library import AnyProfile, load_any, profile_names
from edged.chargers.line import BusSpec, LineDown, LineKind
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_document import ProfileErrors
from edged.chargers.rapi.profile import RapiProfile
from edged.chargers.rapi.search import FoundController, look_for_controller
from edged.chargers.scan import FoundUnit, Progress, Scan, serial_settings, unit_ids
from edged.cli import asking, rapi_scan
from edged.cli.progress import ProgressBar

USUAL_LAST = 16
"""Nobody gives the first charger of a line number 200; who did may say so."""
LAST_ID = {LineKind.SERIAL: 247, LineKind.RTU_OVER_TCP: 247, LineKind.TCP: 255}


@dataclass(frozen=True, slots=True)
class Finding:
    """Somebody who answered. `unit_id`: None where a controller has no address. `profiles`: those that fit, the best
    first. `words`: what it says of itself."""

    spec: BusSpec
    unit_id: int | None
    profiles: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Looked:
    """`trouble`: sentences to say where nobody answered, or not everybody was asked."""

    findings: tuple[Finding, ...]
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Library:
    """Every profile that can be read; `edged check` tells what is wrong with the others."""

    modbus: tuple[DeviceProfile, ...]
    rapi: tuple[RapiProfile, ...]

    @classmethod
    def of(cls, folder: Path) -> Library:
        """Takes seconds on a small computer."""
        found: list[AnyProfile] = []
        for name in profile_names(folder):
            try:
                found.append(load_any(name, folder))
            except ProfileErrors:
                continue
        return cls(
            tuple(each for each in found if isinstance(each, DeviceProfile)),
            tuple(each for each in found if isinstance(each, RapiProfile)),
        )

    def settings_to_try(self, spec: BusSpec) -> tuple[BusSpec, ...]:
        """The same serial line with every setting that chargers come with; a network has none."""
        if spec.kind is not LineKind.SERIAL:
            return (spec,)
        return tuple(
            replace(spec, baudrate=baudrate, parity=parity, stopbits=stopbits)
            for baudrate, parity, stopbits in serial_settings(self.modbus)
        )

    def usual_ids(self, kind: LineKind) -> tuple[int, ...]:
        """The first ones, and those that chargers come with."""
        own = {profile.bus.unit_id for profile in self.modbus}
        ids = unit_ids(kind, first=1, last=LAST_ID[kind], profiles=self.modbus)
        return tuple(each for each in ids if each <= USUAL_LAST or each in own)


@dataclass(slots=True)
class Search:
    """One search. `lines`: the same line with the settings to try, `ids`: whom to ask. A controller that speaks RAPI is
    looked for where nobody speaks Modbus. `control`: the socket of a daemon that may hold the line."""

    lines: Sequence[BusSpec]
    ids: Sequence[int]
    library: Library
    control: Path | None = None
    with_rapi: bool = True
    scan: Scan = field(init=False)

    def __post_init__(self) -> None:
        self.scan = Scan(lines=self.lines, ids=self.ids, profiles=self.library.modbus, tell=_Bar())

    @property
    def longest_s(self) -> float:
        return self.scan.longest_s + (rapi_scan.PATIENCE_S if self.with_rapi else 0)

    def run(self) -> Looked:
        """Raises `EdgedError` where a running daemon holds the line."""
        asking.keep_off_the_daemon(self.lines, self.control)
        ended = ""
        bar = ProgressBar()
        controllers: list[FoundController] = []
        try:
            asyncio.run(self._look(controllers))
        except KeyboardInterrupt:
            ended = "stopped before everything was asked"
        except LineDown as down:
            ended = str(down)
        bar.clear()
        findings = (*map(_unit, self.scan.found), *map(_controller, controllers))
        if ended or findings:
            return Looked(findings, (ended,) if ended else ())
        seen, checks = silence.explain_line(self.lines[0], self.scan.heard, hung_up=self.scan.hang_ups > 0)
        return Looked((), (f"nobody answered: {seen}", *(f"check: {each}" for each in checks)))

    async def _look(self, controllers: list[FoundController]) -> None:
        await self.scan.run()
        if self.scan.found or not self.with_rapi:
            return
        spec = self.lines[0]
        if spec.kind is LineKind.SERIAL:
            spec = replace(spec, baudrate=rapi_scan.BAUDRATE, parity=asking.PARITIES[0], stopbits=1)
        found = await look_for_controller(spec, self.library.rapi)
        if found is not None:
            controllers.append(found)


class _Bar:
    def __init__(self) -> None:
        self._bar = ProgressBar()

    def __call__(self, progress: Progress) -> None:
        spec = progress.spec
        where = f" at {spec.baudrate} 8{spec.parity[0].upper()}{spec.stopbits}" if spec.port else ""
        found = f", {progress.found} found" if progress.found else ""
        self._bar.show(progress.asked, progress.total, f"{progress.doing} unit {progress.unit_id}{where}{found}")


def _unit(unit: FoundUnit) -> Finding:
    told = ", ".join(f"{name} {value}" for name, value in unit.identity)
    words = f"unit {unit.unit_id} answers after {unit.round_trip_s * 1000:.0f} ms{f', {told}' if told else ''}"
    return Finding(unit.spec, unit.unit_id, _fitting(unit.fits), f"{words}: {_verdict(unit.fits)}")


def _controller(found: FoundController) -> Finding:
    told = ", ".join(f"{name} {value}" for name, value in found.identity.items())
    words = f"a controller answers to RAPI{f', {told}' if told else ''}"
    return Finding(found.spec, None, _fitting(found.fits), f"{words}: {_verdict(found.fits)}")


def _fitting(fits: Sequence[Fit]) -> tuple[str, ...]:
    return tuple(fit.profile for fit in fits if fit.verdict is not Verdict.DOES_NOT_FIT)


def _verdict(fits: Sequence[Fit]) -> str:
    if not fits:
        return "it was not read yet"
    best = fits[0]
    if best.verdict is Verdict.DOES_NOT_FIT:
        return f"no profile fits, the nearest is {best.profile}"
    return f"{best.profile} {best.verdict} ({best.score} points)"
