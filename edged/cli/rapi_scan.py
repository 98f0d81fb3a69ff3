"""The part of `edged scan` that looks for a controller which speaks RAPI, where nobody speaks Modbus."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.cli import output

if TYPE_CHECKING:
    from edged.chargers.line import BusSpec
    from edged.chargers.rapi.profile import RapiProfile
    from edged.chargers.rapi.search import FoundController

BAUDRATE = 115_200
SHOWN_EVIDENCE = 5
PATIENCE_S = 2
"""So long it may take where nobody answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RapiPlan:
    """Where to look, and for what. `expected`: a controller is what the installer says is there, so it is asked first.
    `configured_as`: its name in the configuration."""

    spec: BusSpec
    profiles: Sequence[RapiProfile]
    expected: bool = False
    configured_as: str | None = None


def rapi_profiles(folder: Path) -> tuple[RapiProfile, ...]:
    """Every such profile that can be read; `edged scan` tells of those that cannot where it reads the others."""
    from edged.chargers.library import load_any, profile_names
    from edged.chargers.profile_document import ProfileErrors
    from edged.chargers.rapi.profile import RapiProfile

    found = []
    for name in profile_names(folder):
        try:
            profile = load_any(name, folder)
        except ProfileErrors:
            continue
        if isinstance(profile, RapiProfile):
            found.append(profile)
    return tuple(found)


def plan_for(args: argparse.Namespace, lines: Sequence[BusSpec], folder: Path) -> RapiPlan | None:
    """How to look on this line, None where RAPI cannot be spoken on it or the options leave it out."""
    from edged.chargers.line import LineKind
    from edged.cli import asking

    profiles = rapi_profiles(folder)
    spec = lines[0]
    if args.profile is not None:
        profiles = tuple(each for each in profiles if each.name == args.profile)
    if spec.kind is LineKind.TCP or not profiles:
        return None
    if args.bus is not None:
        return _configured(args, spec, profiles)
    if spec.kind is LineKind.SERIAL:
        if BAUDRATE not in (args.baudrates or (BAUDRATE,)):
            return None
        spec = replace(spec, baudrate=BAUDRATE, parity=asking.PARITIES[0], stopbits=1)
    return RapiPlan(spec=spec, profiles=profiles, expected=args.profile is not None)


def _configured(args: argparse.Namespace, spec: BusSpec, profiles: Sequence[RapiProfile]) -> RapiPlan | None:
    """A bus is Modbus; a charger's own line is what its profile speaks."""
    from edged.site import load_site

    charger = load_site(args.config).chargers.get(args.bus)
    names = {each.name for each in profiles}
    if charger is None or charger.bus is not None:
        return None
    known = charger.profile in names
    return RapiPlan(spec=spec, profiles=profiles, expected=known, configured_as=charger.name if known else None)


def document(found: FoundController, plan: RapiPlan) -> dict[str, Any]:
    """What `--json` prints of it; docs/installer.md explains each member."""
    return {
        "line": line_words(found.spec),
        "round_trip_ms": round(found.round_trip_s * 1000, 1),
        "configured_as": plan.configured_as,
        "identity": dict(found.identity),
        "fits": [
            {
                "profile": fit.profile,
                "verdict": fit.verdict,
                "score": fit.score,
                "evidence": [asdict(each) for each in fit.evidence],
            }
            for fit in found.fits
        ],
    }


def line_words(spec: BusSpec) -> str:
    """The line as an installer says it."""
    from edged.chargers import silence

    return silence.line_words(spec).replace("RTU over TCP", "RAPI over TCP")


def show(found: FoundController, plan: RapiPlan) -> None:
    called = f" ({plan.configured_as} of the configuration)" if plan.configured_as else ""
    took = f"{found.round_trip_s * 1000:.1f} ms"
    output.say(f"a controller{called} answers to RAPI on {line_words(found.spec)} after {took}")
    for name, value in found.identity.items():
        output.say(f"  {name:<13}  {value}")
    for fit in found.fits:
        output.say(f"  {fit.verdict} {fit.profile} ({fit.score} points)")
        for each in fit.evidence[:SHOWN_EVIDENCE]:
            output.say(f"    {'+' if each.weight > 0 else '-' if each.weight < 0 else ' '} {each.text}")
    lines = list(snippet(found, plan))
    if lines:
        output.say()
        output.say("for edged.yaml:")
        for line in lines:
            output.say(line)


def snippet(found: FoundController, plan: RapiPlan) -> Iterator[str]:
    """YAML to paste, where the configuration has it not yet."""
    if plan.configured_as is not None or found.best is None:
        return
    spec = found.spec
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    line = f"serial: {{port: {spec.port}}}" if spec.port else f'rtu_over_tcp: "{host}:{spec.tcp_port}"'
    if spec.port and spec.baudrate != BAUDRATE:
        line = f"serial: {{port: {spec.port}, baudrate: {spec.baudrate}}}"
    yield "chargers:"
    yield f"  controller: {{profile: {found.best.profile}, {line}}}"
