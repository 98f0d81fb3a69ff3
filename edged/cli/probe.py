"""`edged probe`: what one charger is, tells and can do, asked directly."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edged.cli import asking, output
from edged.cli.check import abilities
from edged.cli.options import add_json
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.chargers.interpretation import Reading
    from edged.chargers.line import BusSpec
    from edged.chargers.probe import Probe
    from edged.chargers.profile import DeviceProfile
    from edged.chargers.silence import Silence
    from edged.domain.hardware import Meter, Phases
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
    return asyncio.run(_probe(target, as_json=args.json))


def _configured(args: argparse.Namespace) -> Target:
    from edged.chargers.factory import spec_for_point
    from edged.chargers.library import load_profile
    from edged.site import load_site
    from edged.words import bus_spec

    settings = load_site(args.config)
    charger = settings.chargers.get(args.charger)
    if charger is None:
        known = ", ".join(settings.chargers)
        raise EdgedError(f"there is no charger {args.charger} in {args.config}: it has {known}")
    profile = load_profile(charger.profile, settings.profiles_dir)
    return Target(
        name=charger.name,
        profile=profile,
        spec=spec_for_point(bus_spec(charger.line), profile, charger.point),
        unit_id=profile.bus.unit_id if charger.unit_id is None else charger.unit_id,
        point=charger.point,
        relay=charger.reset_relay,
    )


def _given(args: argparse.Namespace) -> Target:
    from edged.chargers.factory import spec_for_point, why_not
    from edged.site import profiles_dir

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
                "round_trip_ms": _ms(each.round_trip_s),
                "error": each.error,
            }
            for each in told.readings
        ],
        "missing": [each.name for each in told.missing],
        "observed": None if told.observed is None else _observed_json(told.observed),
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
        "round_trip_ms": dict(zip(("min", "median", "max"), map(_ms, told.counts.spread_s), strict=True)),
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


def _observed_json(observed: Reading) -> dict[str, Any]:
    found = asdict(observed)
    found["faults"] = [asdict(fault) for fault in observed.faults]
    return found


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


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
        _say_pairs(observed_words(told.observed) if told.observed is not None else {"state": "lost: it cannot be read"})
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
    _say_table(rows)


def _show_missing(told: Probe) -> None:
    if told.missing or told.cannot:
        output.say("missing")
    for each in told.missing:
        output.say(f"  {each.name} ({each.table}{each.address}): {each.error}")
    for capability, reason in sorted(told.cannot.items()):
        output.say(f"  {capability.replace('_', ' ')}: its profile can, this charger cannot: {reason}")
    if told.missing or told.cannot:
        output.say()


def observed_words(observed: Reading) -> dict[str, str]:
    """One poll as a person says it; what the charger does not tell is said to be so."""
    limit_a = observed.limit_a
    words = {
        "state": observed.state.replace("_", " "),
        "plugged": _told(observed.plugged, "yes", "no"),
        "lock": "it does not tell" if observed.lock == "unknown" else observed.lock.value,
        "in service": _told(observed.operative, "yes", "no"),
        "may charge": _told(observed.permit_charging, "yes", "no, energy is withheld"),
        "limit": "it does not tell" if limit_a is None else f"{limit_a:g} A",
        "faults": "; ".join(
            f"{fault.code.value} {fault.vendor_code}".strip() + (f" ({fault.info})" if fault.info else "")
            for fault in observed.faults
        )
        or "none",
    }
    return {**words, "meter": ", ".join(_meter(observed.meter)) or "none of its registers has a value"}


def _told(value: bool | None, yes: str, no: str) -> str:
    return "it does not tell" if value is None else yes if value else no


def _meter(meter: Meter) -> Iterable[str]:
    if meter.energy_wh is not None:
        yield f"{meter.energy_wh:.0f} Wh"
    if meter.power_w is not None:
        yield f"{meter.power_w:.0f} W"
    for phases, unit in ((meter.current_a, "A"), (meter.voltage_v, "V")):
        text = _phases(phases)
        if text:
            yield f"{text} {unit}"
    for value, unit in ((meter.frequency_hz, "Hz"), (meter.temperature_c, "degC"), (meter.soc_pct, "% in the car")):
        if value is not None:
            yield f"{value:g} {unit}"


def _phases(phases: Phases) -> str:
    values = (phases.l1, phases.l2, phases.l3)
    return (
        "/".join("-" if each is None else f"{each:g}" for each in values) if any(v is not None for v in values) else ""
    )


def _say_pairs(pairs: Mapping[str, str]) -> None:
    for name, value in pairs.items():
        output.say(f"  {name:<13}  {value}")


def _say_table(rows: Sequence[Sequence[str]]) -> None:
    rows = [[output.clean(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        output.say(f"  {line}".rstrip())
