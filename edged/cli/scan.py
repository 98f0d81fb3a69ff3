"""`edged scan`: who is on a line, and which profiles fit them."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.cli import asking, doubts, output, rapi_scan
from edged.cli.options import add_json
from edged.cli.progress import ProgressBar
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.chargers.line import BusSpec
    from edged.chargers.profile import DeviceProfile
    from edged.chargers.rapi.search import FoundController
    from edged.chargers.scan import FoundUnit, Progress, Scan

SUMMARY = "look for units on a line and name the profiles that fit them"
DETAILS = """\
Asks unit ids one after the other, the likely ones first, and reads of each that answers what tells profiles apart; says
in advance how long that takes at most. A serial line without --baudrates and --parities is tried with the settings that
chargers come with. Ends with the lines to write into edged.yaml. Nothing is written to any unit, and a line that a
running daemon holds is refused."""
EXAMPLES = (
    ("edged scan yard -c edged.yaml", "a bus of the configuration, with its own settings"),
    ("edged scan --serial /dev/ttyUSB0", "a serial line of which nothing is known"),
    ("edged scan --serial /dev/ttyUSB0 --baudrates 9600,19200 --parities none,even --to 32", "a part of all that"),
)
FIRST_UNIT, LAST_UNIT = 1, 247
LAST_ON_TCP = 255
SHOWN_FITS = 3
SHOWN_EVIDENCE = 5
NEW_BUS = "line"
_CLEAR_LINE = "\r\x1b[K"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bus", metavar="BUS", nargs="?", help="a bus of the configuration, or a charger's own line")
    asking.add_line(parser)
    speeds = "baud rates to try with --serial, like 9600,19200 (default those that chargers come with)"
    parser.add_argument("--baudrates", metavar="N,N", type=_baudrates, help=speeds)
    parser.add_argument("--parities", metavar="P,P", type=_parities, help="parities to try: none, even, odd")
    parser.add_argument("--stopbits", type=int, choices=(1, 2), help="with --baudrates or --parities (default 1)")
    unit = asking.number(0, 255)
    parser.add_argument("--from", dest="first", metavar="N", type=unit, help=f"first unit id (default {FIRST_UNIT})")
    last = f"last unit id (default {LAST_UNIT}, on Modbus TCP {LAST_ON_TCP})"
    parser.add_argument("--to", dest="last", metavar="N", type=unit, help=last)
    parser.add_argument("--profile", metavar="NAME", help="look only whether this profile fits")
    add_json(parser, "what was found")


def _baudrates(text: str) -> tuple[int, ...]:
    parse = asking.number(*asking.BAUDRATES)
    return tuple(dict.fromkeys(parse(each) for each in text.split(",")))


def _parities(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split(",")))
    for word in words:
        if word not in asking.PARITIES:
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(asking.PARITIES)}")
    return words


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The line to scan with the settings to try; `bus` and `known` as the configuration has them (name by unit id)."""

    lines: Sequence[BusSpec]
    bus: str | None = None
    known: Mapping[int, str] = field(default_factory=dict)


def run(args: argparse.Namespace) -> int:
    from edged.chargers.scan import Scan, unit_ids
    from edged.site import profiles_dir

    if (args.bus is not None) == asking.has_line(args):
        output.complain("name one line: a bus of the configuration, or --serial, --tcp or --rtu-over-tcp")
        return output.USAGE
    if not args.serial and (args.baudrates or args.parities or args.stopbits):
        output.complain("baud rate, parity and stop bits are tried with --serial only: leave them out")
        return output.USAGE
    folder = profiles_dir(args.config)
    profiles = list(_all_profiles(folder, args.profile))
    where = _configured(args, profiles) if args.bus is not None else Where(lines=_given(args, profiles))
    kind = where.lines[0].kind
    first = FIRST_UNIT if args.first is None else args.first
    last = (LAST_ON_TCP if kind.value == "tcp" else LAST_UNIT) if args.last is None else args.last
    if first > last:
        output.complain(f"--from {first} is above --to {last}: swap them")
        return output.USAGE
    asking.keep_off_the_daemon(where.lines, args.control)
    ids = unit_ids(kind, first=first, last=last, profiles=profiles)
    scan = Scan(lines=where.lines, ids=ids, profiles=profiles, tell=_ProgressLine())
    return _scan(scan, where, rapi_scan.plan_for(args, where.lines, folder), as_json=args.json)


def _scan(scan: Scan, where: Where, plan: rapi_scan.RapiPlan | None, *, as_json: bool) -> int:
    from edged.chargers.line import LineDown

    if not as_json:
        _announce(scan, plan)
    ended = ""
    controllers: list[FoundController] = []
    try:
        asyncio.run(_search(scan, plan, controllers))
    except KeyboardInterrupt:
        ended = "stopped before everything was asked"
    except LineDown as down:
        ended = str(down)
    if sys.stderr.isatty():
        print(end=_CLEAR_LINE, file=sys.stderr, flush=True)
    found = bool(scan.found or controllers)
    if as_json:
        output.say_json({"ok": found, **document(scan, where, ended, plan, controllers)})
    else:
        _show(scan, where)
        for each in controllers:
            assert plan is not None
            rapi_scan.show(each, plan)
        if ended:
            output.complain(ended)
        elif not found:
            _complain_of_silence(scan, plan)
    return output.DONE if found else output.FAILED


async def _search(scan: Scan, plan: rapi_scan.RapiPlan | None, controllers: list[FoundController]) -> None:
    """Units first; a controller where nobody speaks Modbus. One that is expected there is asked before everybody."""
    from edged.chargers.rapi.search import look_for_controller

    async def look() -> bool:
        found = None if plan is None else await look_for_controller(plan.spec, plan.profiles)
        controllers.extend([] if found is None else [found])
        return found is not None

    is_first = plan is not None and plan.expected
    if is_first and await look():
        return
    await scan.run()
    if not scan.found and not is_first:
        await look()


def _all_profiles(folder: Path, only: str | None) -> Iterator[DeviceProfile]:
    """Every profile of a Modbus device that can be read, or the one; one that cannot is told and left out."""
    from edged.chargers.library import load_any, profile_names
    from edged.chargers.profile import DeviceProfile
    from edged.chargers.profile_document import ProfileErrors

    if only is not None:
        profile = asking.any_profile_of(only, folder)
        if isinstance(profile, DeviceProfile):
            yield profile
        return
    for name in profile_names(folder):
        try:
            profile = load_any(name, folder)
        except ProfileErrors as wrong:
            output.warn(f"{wrong.errors[0]}: this profile is left out")
            continue
        if isinstance(profile, DeviceProfile):
            yield profile


def _configured(args: argparse.Namespace, profiles: Sequence[DeviceProfile]) -> Where:
    from edged.chargers.planning import unit_of
    from edged.site import load_site
    from edged.words import bus_spec

    settings = load_site(args.config)
    line, bus = settings.buses.get(args.bus), args.bus
    if line is None and args.bus in settings.chargers:
        line, bus = settings.chargers[args.bus].line, settings.chargers[args.bus].bus
    if line is None:
        names = ", ".join((*settings.buses, *(name for name, each in settings.chargers.items() if each.bus is None)))
        raise EdgedError(f"there is no bus {args.bus} in {args.config}: it has {names}")
    points = {profile.name: profile.points for profile in profiles}
    known = {
        unit_of(each.unit_id, points[each.profile], each.point) if each.profile in points else each.unit_id: each.name
        for each in settings.chargers.values()
        if each.line == line and each.unit_id is not None
    }
    return Where(lines=[bus_spec(line)], bus=bus, known=known)


def _given(args: argparse.Namespace, profiles: Sequence[DeviceProfile]) -> list[BusSpec]:
    from edged.chargers.scan import serial_settings

    usual = serial_settings(profiles) or ((9600, "none", 1),)
    if args.serial and (args.baudrates or args.parities or args.stopbits):
        baudrates = args.baudrates or tuple(dict.fromkeys(each[0] for each in usual))
        parities = args.parities or ("none", "even")
        settings = tuple(itertools.product(baudrates, parities, (args.stopbits or 1,)))
    else:
        settings = usual if args.serial else usual[:1]
    return [
        asking.named_line(args, baudrate=baudrate, parity=parity, stopbits=stopbits, port=502)
        for baudrate, parity, stopbits in settings
    ]


# --- as JSON ----------------------------------------------------------------------------------------------------------


def document(
    scan: Scan,
    where: Where,
    ended: str,
    plan: rapi_scan.RapiPlan | None = None,
    controllers: Sequence[FoundController] = (),
) -> dict[str, Any]:
    """What `--json` prints; docs/installer.md explains each member."""
    from edged.chargers.silence import explain_line, line_words

    seen, checks = (
        ("", ())
        if scan.found or controllers or ended
        else explain_line(scan.lines[0], scan.heard, hung_up=scan.hang_ups > 0)
    )
    yaml = list(snippet(scan.found, where))
    for each in controllers:
        assert plan is not None
        yaml += rapi_scan.snippet(each, plan)
    return {
        "lines": [line_words(spec) for spec in scan.lines],
        "asked": scan.asked,
        "ended": ended,
        "units": [
            {
                "unit_id": unit.unit_id,
                "line": line_words(unit.spec),
                "first_refusal": unit.first_refusal,
                "round_trip_ms": round(unit.round_trip_s * 1000, 1),
                "at_every_id": unit.at_every_id,
                "configured_as": where.known.get(unit.unit_id),
                "identity": dict(unit.identity),
                "fits": [
                    {
                        "profile": fit.profile,
                        "verdict": fit.verdict,
                        "score": fit.score,
                        "evidence": [asdict(each) for each in fit.evidence],
                    }
                    for fit in unit.fits
                ],
            }
            for unit in scan.found
        ],
        "controllers": [rapi_scan.document(each, plan) for each in controllers if plan is not None],
        "absent": _absent(scan, where),
        "other_masters_ask": sorted(scan.heard.requests),
        "noise_bytes": scan.heard.noise_bytes,
        "latency_timer_ms": scan.latency_timer_ms,
        "snippet": "\n".join(yaml),
        "seen": seen,
        "checks": list(checks),
    }


def _absent(scan: Scan, where: Where) -> list[str]:
    there = {unit.unit_id for unit in scan.found}
    return [name for unit_id, name in where.known.items() if unit_id in scan.done and unit_id not in there]


# --- for people -------------------------------------------------------------------------------------------------------


def _announce(scan: Scan, plan: rapi_scan.RapiPlan | None) -> None:
    from edged.chargers.scan import IDENTIFY_S
    from edged.chargers.silence import line_words

    lines = [line_words(spec) for spec in scan.lines]
    ids = f"{len(scan.ids)} unit ids from {min(scan.ids)} to {max(scan.ids)}"
    where = lines[0] if len(lines) == 1 else f"{scan.lines[0].port} with {len(lines)} settings of the line"
    print(output.clean(f"asking {ids} on {where}"), file=sys.stderr)
    longest_s = scan.longest_s + (rapi_scan.PATIENCE_S if plan is not None else 0)
    print(
        f"this takes at most {_duration(longest_s)}, and up to {_duration(IDENTIFY_S)} for each unit that answers;"
        " Ctrl-C stops it and shows what was found",
        file=sys.stderr,
        flush=True,
    )


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


class _ProgressLine:
    """The bar of a scan; nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._bar = ProgressBar()

    def __call__(self, progress: Progress) -> None:
        spec = progress.spec
        at = f" at {spec.baudrate} 8{spec.parity[0].upper()}{spec.stopbits}" if spec.port else ""
        whom = "" if progress.doing.startswith("listening") else f" unit {progress.unit_id}"
        found = f", {progress.found} found" if progress.found else ""
        self._bar.show(progress.asked, progress.total, f"{progress.doing}{whom}{at}{found}")


def _show(scan: Scan, where: Where) -> None:
    from edged.chargers.silence import line_words

    if scan.working is not None and len(scan.lines) > 1:
        output.say(f"units answer at {line_words(scan.working)}")
    for unit in scan.found:
        _show_unit(unit, where)
    absent = _absent(scan, where)
    if scan.found and absent:
        output.say(f"configured, and not there: {', '.join(absent)}; ask each with edged probe NAME")
    spec = scan.working or scan.lines[0]
    for sentence in doubts.of_line(spec, scan.heard, scan.device, scan.latency_timer_ms) if scan.found else ():
        output.say(sentence)
    lines = list(snippet(scan.found, where))
    if lines:
        output.say()
        output.say("for edged.yaml:")
        for line in lines:
            output.say(line)


def _show_unit(unit: FoundUnit, where: Where) -> None:
    known = where.known.get(unit.unit_id)
    called = f" ({known} of the configuration)" if known else ""
    output.say(f"unit {unit.unit_id}{called} answers after {unit.round_trip_s * 1000:.1f} ms")
    if unit.at_every_id:
        output.say("  it answers whatever the unit id: it is one device")
    for name, value in unit.identity:
        output.say(f"  {name:<13}  {value}")
    if not unit.fits:
        output.say("  it was not read yet")
    elif unit.best is None:
        output.say("  no profile fits; the nearest:")
    for fit in unit.fits[: SHOWN_FITS if unit.best else 1]:
        if unit.best is not None and fit.verdict == "does not fit":
            break
        output.say(f"  {fit.verdict} {fit.profile} ({fit.score} points)")
        for each in fit.evidence[:SHOWN_EVIDENCE]:
            output.say(f"    {'+' if each.weight > 0 else '-' if each.weight < 0 else ' '} {each.text}")


def _complain_of_silence(scan: Scan, plan: rapi_scan.RapiPlan | None) -> None:
    from edged.chargers.silence import explain_line

    seen, checks = explain_line(scan.lines[0], scan.heard, hung_up=scan.hang_ups > 0)
    also = ", neither in Modbus nor to RAPI" if plan is not None else ""
    output.complain(f"nobody answered on {scan.lines[0]}{also}: {seen}")
    print("check, in this order:", file=sys.stderr)
    for place, check in enumerate(checks, start=1):
        print(f"  {place}. {output.clean(check)}", file=sys.stderr)


def snippet(found: Sequence[FoundUnit], where: Where) -> Iterator[str]:
    """YAML to paste: the units that no configuration has yet, each with the profile that fits best."""
    new = [unit for unit in found if unit.unit_id not in where.known and unit.fits]
    fitting = [unit for unit in new if unit.best is not None]
    if not new:
        return
    spec = new[0].spec
    if fitting and where.bus is None and spec.kind.value != "tcp":
        yield "buses:"
        line = f"serial: {spec.port}, baudrate: {spec.baudrate}, parity: {spec.parity}, stopbits: {spec.stopbits}"
        yield f"  {NEW_BUS}: {{{line if spec.port else f'rtu_over_tcp: {_quoted(spec)}'}}}"
    if fitting:
        yield "chargers:"
    for unit in new:
        best = unit.best
        if best is None:
            yield f"  # unit {unit.unit_id}: no profile fits; docs/profiles.md tells how to write one"
            continue
        line = f"tcp: {_quoted(spec)}" if spec.kind.value == "tcp" else f"bus: {where.bus or NEW_BUS}"
        others = [fit.profile for fit in unit.fits[1:] if fit.verdict == best.verdict]
        hint = f"   # or {', '.join(others[:SHOWN_FITS])}" if others else ""
        yield f"  unit-{unit.unit_id}: {{profile: {best.profile}, {line}, unit_id: {unit.unit_id}}}{hint}"


def _quoted(spec: BusSpec) -> str:
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return f'"{host}:{spec.tcp_port}"'
