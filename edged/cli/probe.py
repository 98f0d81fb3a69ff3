"""`edged probe`: what one charger is, tells and can do, asked directly."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edged.cli import asking, output
from edged.cli.check import abilities
from edged.cli.observed import milliseconds, observed_json, observed_words, say_pairs, say_table
from edged.cli.options import add_json
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.chargers.line import BusSpec
    from edged.chargers.probe import Probe
    from edged.chargers.profile import DeviceProfile
    from edged.chargers.rapi.profile import RapiProfile
    from edged.chargers.silence import Silence
    from edged.cli.rapi_probe import RapiTarget
    from edged.settings import ResetLine, ResetRelay

SUMMARY = "ask one charger directly: who it is, every register, what is missing"
TOP_EVIDENCE = 6


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charger", metavar="CHARGER", nargs="?", help="a charger of the configuration")
    parser.add_argument("--profile", metavar="NAME", help="what to take it for, where it is in no configuration")
    asking.add_line(parser)
    speed = asking.number(*asking.BAUDRATES)
    parser.add_argument("--baudrate", metavar="N", type=speed, help="with --serial (default the profile's)")
    parser.add_argument("--parity", choices=asking.PARITIES, help="with --serial (default the profile's)")
    parser.add_argument("--stopbits", type=int, choices=(1, 2), help="with --serial (default the profile's)")
    parser.add_argument("--unit", metavar="N", type=asking.number(0, 255), help="unit id (default the profile's)")
    parser.add_argument("--point", metavar="N", type=asking.number(1, 64), help="charging point (default 1)")
    add_json(parser, "what it told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A charger and where it is."""

    name: str
    profile: DeviceProfile
    spec: BusSpec
    unit_id: int
    point: int
    relay: ResetRelay | ResetLine | None = None

    @property
    def asked(self) -> int:
        """The unit id of the point."""
        from edged.chargers.planning import unit_of

        return unit_of(self.unit_id, self.profile.points, self.point)


def run(args: argparse.Namespace) -> int:
    own = asking.has_line(args) or args.profile is not None
    extra = (args.baudrate, args.parity, args.stopbits, args.unit, args.point)
    if args.charger is not None and (own or any(each is not None for each in extra)):
        output.complain(f"the configuration says where {args.charger} is: leave the other options out")
        return output.USAGE
    if args.charger is None and not (args.profile and asking.has_line(args)):
        output.complain("name a charger of the configuration, or write --profile NAME and --tcp, --serial or ...")
        return output.USAGE
    target = _configured(args) if args.charger is not None else _given(args)
    asking.keep_off_the_daemon([target.spec], args.control)
    if not isinstance(target, Target):
        from edged.cli.rapi_probe import probe_rapi

        return asyncio.run(probe_rapi(target, as_json=args.json))
    return asyncio.run(_probe(target, as_json=args.json))


def _configured(args: argparse.Namespace) -> Target | RapiTarget:
    from edged.chargers.factory import spec_for_point
    from edged.chargers.library import load_any, load_profile
    from edged.chargers.rapi.profile import RapiProfile
    from edged.cli.rapi_probe import RapiTarget
    from edged.site import load_site
    from edged.words import bus_spec

    settings = load_site(args.config)
    charger = settings.chargers.get(args.charger)
    if charger is None:
        known = ", ".join(settings.chargers)
        raise EdgedError(f"there is no charger {args.charger} in {args.config}: it has {known}")
    found = load_any(charger.profile, settings.profiles_dir)
    if isinstance(found, RapiProfile):
        return RapiTarget(name=charger.name, profile=found, spec=bus_spec(charger.line), relay=charger.reset_relay)
    profile = load_profile(charger.profile, settings.profiles_dir)
    return Target(
        name=charger.name,
        profile=profile,
        spec=spec_for_point(bus_spec(charger.line), profile, charger.point),
        unit_id=profile.bus.unit_id if charger.unit_id is None else charger.unit_id,
        point=charger.point,
        relay=charger.reset_relay,
    )


def _given(args: argparse.Namespace) -> Target | RapiTarget:
    from edged.chargers.factory import spec_for_point, why_not
    from edged.chargers.rapi.profile import RapiProfile
    from edged.site import profiles_dir

    found = asking.any_profile_of(args.profile, profiles_dir(args.config))
    if isinstance(found, RapiProfile):
        return _given_rapi(args, found)
    profile = asking.profile_of(args.profile, profiles_dir(args.config))
    rules = profile.bus
    spec = asking.named_line(
        args,
        baudrate=args.baudrate or rules.baudrate,
        parity=args.parity or rules.parity,
        stopbits=args.stopbits or rules.stopbits,
        port=rules.port,
    )
    unit_id, point = rules.unit_id if args.unit is None else args.unit, args.point or 1
    reason = why_not(profile, spec, unit_id=unit_id, point=point)
    if reason is not None:
        raise EdgedError(f"{reason}: name another line, unit or profile")
    spec = spec_for_point(spec, profile, point)
    return Target(name="the charger", profile=profile, spec=spec, unit_id=unit_id, point=point)


def _given_rapi(args: argparse.Namespace, profile: RapiProfile) -> RapiTarget:
    from edged.cli.rapi_probe import RapiTarget

    if args.tcp is not None:
        raise EdgedError(f"{profile.name} has no network plug: write --serial, or --rtu-over-tcp for a converter")
    if args.unit is not None or (args.point or 1) != 1:
        raise EdgedError(f"{profile.name} is alone on its line and is one point: leave --unit and --point out")
    spec = asking.named_line(
        args,
        baudrate=args.baudrate or profile.baudrate,
        parity=args.parity or "none",
        stopbits=args.stopbits or 1,
        port=0,
    )
    return RapiTarget(name="the charger", profile=profile, spec=spec)


async def _probe(target: Target, *, as_json: bool) -> int:
    from edged.chargers import silence
    from edged.chargers.fit import Verdict
    from edged.chargers.inquiry import Inquiry
    from edged.chargers.line import LineDown
    from edged.chargers.probe import Silent, probe

    inquiry = Inquiry(target.spec)
    try:
        try:
            told = await probe(target.profile, inquiry, unit_id=target.unit_id, point=target.point)
        except Silent as silent:
            heard = silent.heard | await silence.look_for_others(inquiry, except_for=target.asked)
            why = silence.explain(
                target.profile,
                target.spec,
                unit_id=target.unit_id,
                point=target.point,
                heard=heard,
                hung_up=silent.hung_up,
            )
            _show_silence(target, why, as_json=as_json)
            return output.FAILED
    except LineDown as down:
        sentence = asking.why_down(target.spec, down)
        if as_json:
            output.say_json({"ok": False, "error": sentence})
            return output.FAILED
        raise EdgedError(sentence) from down
    finally:
        inquiry.close()
    fits = told.fit.verdict is not Verdict.DOES_NOT_FIT
    if as_json:
        output.say_json({"ok": fits, **document(target, told)})
    else:
        _show(target, told)
    return output.DONE if fits else output.FAILED


# --- as JSON ----------------------------------------------------------------------------------------------------------


def document(target: Target, told: Probe) -> dict[str, Any]:
    """What `--json` prints; docs/installer.md explains each member."""
    return {
        **_place(target),
        "identity": dict(told.identity),
        "fit": {
            "verdict": told.fit.verdict,
            "score": told.fit.score,
            "evidence": [asdict(each) for each in told.fit.evidence],
        },
        "registers": [
            {
                "name": each.name,
                "table": each.table,
                "address": each.address,
                "raw": each.words,
                "value": each.value.hex() if isinstance(each.value, bytes) else each.value,
                "unit": each.unit,
                "meaning": each.meaning,
                "round_trip_ms": milliseconds(each.round_trip_s),
                "error": each.error,
            }
            for each in told.readings
        ],
        "missing": [each.name for each in told.missing],
        "observed": None if told.observed is None else observed_json(told.observed),
        "capabilities": sorted(told.capabilities),
        "cannot": {capability.value: reason for capability, reason in told.cannot.items()},
        "abilities": {name: asdict(each) for name, each in abilities(told.capabilities, target.relay).items()},
        "questions": {
            "asked": told.counts.requests,
            "refused": told.counts.exceptions,
            "unanswered": told.counts.timeouts,
            "damaged": told.counts.damaged,
            "hang_ups": told.counts.hang_ups,
        },
        "round_trip_ms": dict(zip(("min", "median", "max"), map(milliseconds, told.counts.spread_s), strict=True)),
        "points_present": told.points_present,
        "ended": told.ended,
    }


def _place(target: Target) -> dict[str, Any]:
    from edged.chargers.silence import line_words

    return {
        "charger": target.name,
        "profile": target.profile.name,
        "line": line_words(target.spec),
        "unit_id": target.asked,
        "point": target.point,
    }


# --- for people -------------------------------------------------------------------------------------------------------


def _show_silence(target: Target, why: Silence, *, as_json: bool) -> None:
    from edged.chargers.silence import line_words

    sentence = f"{target.name} does not answer as unit {target.asked} on {line_words(target.spec)}: {why.seen}"
    if as_json:
        found = {"error": sentence, "clue": why.clue, "seen": why.seen, "other_units": why.other_units}
        output.say_json({"ok": False, **_place(target), **found, "checks": why.checks})
        return
    output.complain(sentence)
    print("check, in this order:", file=sys.stderr)
    for place, check in enumerate(why.checks, start=1):
        print(f"  {place}. {output.clean(check)}", file=sys.stderr)
    if target.profile.setup:
        print(f"what {target.profile.vendor} asks for:", file=sys.stderr)
        for each in target.profile.setup:
            print(f"  - {output.clean(each)}", file=sys.stderr)


def _show(target: Target, told: Probe) -> None:
    from edged.chargers.silence import line_words

    profile = told.profile
    point = f" point {told.point}" if profile.points.count > 1 else ""
    output.say(f"{target.name}: unit {told.unit_id}{point} on {line_words(target.spec)}")
    _show_identity(told)
    output.say()
    output.say("registers")
    _show_registers(told)
    output.say()
    if told.fit.verdict != "does not fit":
        _show_missing(told)
        output.say("what edged would make of it")
        say_pairs(observed_words(told.observed) if told.observed is not None else {"state": "lost: it cannot be read"})
        output.say()
        output.say("what OCPP can do with it")
        for name, ability in abilities(told.capabilities, target.relay).items():
            output.say(f"  {name:<13} {'yes' if ability.able else 'no '}  {ability.because}")
        output.say()
    least, middle, most = told.counts.spread_s
    output.say(f"round trips: {least * 1000:.1f} ms at least, {middle * 1000:.1f} median, {most * 1000:.1f} at most")
    counts = told.counts
    output.say(
        f"questions: {counts.requests} asked, {counts.exceptions} refused, {counts.timeouts} not answered, "
        f"{counts.damaged} answers damaged"
        + (f", the connection was closed {counts.hang_ups} times" if counts.hang_ups else "")
    )
    if told.ended:
        output.complain(f"{told.ended}: look at power, wires and termination, then try again")
    if told.fit.verdict == "does not fit":
        output.complain(f"what answers there is no {told.profile.name}: edged scan names the profiles that fit")


def _show_identity(told: Probe) -> None:
    for name, value in told.identity.items():
        output.say(f"  {name:<13}  {value}")
    if told.points_present is not None:
        output.say(f"  {'points':<13}  {told.points_present}")
    profile = told.profile
    output.say(f"it {told.fit.verdict} {profile.name} ({profile.vendor} {profile.model}):")
    for each in told.fit.evidence[:TOP_EVIDENCE]:
        mark = "+" if each.weight > 0 else "-" if each.weight < 0 else " "
        output.say(f"  {mark} {each.text}")


def _show_registers(told: Probe) -> None:
    from edged.chargers.meaning import shown

    rows = [("register", "at", "raw", "value", "", "ms", "meaning")]
    for each in told.readings:
        raw = " ".join(f"{word:04x}" for word in (each.words or ())[:4])
        raw += " ..." if each.words and len(each.words) > 4 else ""
        took = f"{each.round_trip_s * 1000:.1f}" if each.round_trip_s is not None else "-"
        value = shown(each.value) if each.words is not None else "-"
        what = each.error or each.meaning
        rows.append((each.name, f"{each.table}{each.address}", raw or "-", value or '""', each.unit, took, what))
    say_table(rows)


def _show_missing(told: Probe) -> None:
    if told.missing or told.cannot:
        output.say("missing")
    for each in told.missing:
        output.say(f"  {each.name} ({each.table}{each.address}): {each.error}")
    for capability, reason in sorted(told.cannot.items()):
        output.say(f"  {capability.replace('_', ' ')}: its profile can, this charger cannot: {reason}")
    if told.missing or told.cannot:
        output.say()
