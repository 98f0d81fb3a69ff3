"""`edged probe`: what one charger is, tells and can do, asked directly."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edged.cli import asking, doubts, output
from edged.cli.abilities import abilities
from edged.cli.observed import (
    counts_json,
    milliseconds,
    observed_json,
    observed_words,
    say_counts,
    say_pairs,
    say_table,
)
from edged.cli.options import add_json
from edged.cli.progress import ProgressBar
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.chargers.inquiry import Inquiry
    from edged.chargers.line import BusSpec
    from edged.chargers.probe import Probe, Probing
    from edged.chargers.profile import DeviceProfile
    from edged.chargers.rapi.profile import RapiProfile
    from edged.chargers.silence import Silence
    from edged.cli.rapi_probe import RapiTarget
    from edged.settings import ResetLine, ResetRelay

SUMMARY = "ask one charger directly: who it is, every register, what is missing"
DETAILS = """\
Tells who the charger is and whether that fits its profile, every register with its raw words and meaning, what it does
not have, how long answers take, and what looks wrong though it answers. Nothing is written to it. A line that a running
daemon holds is refused: two masters spoil each other's answers. The exit status is 0 where the charger answered and its
profile may fit."""
EXAMPLES = (
    ("edged probe left -c edged.yaml", "a charger of the configuration"),
    ("edged probe --profile heidelberg-energy-control --serial /dev/ttyUSB0 --unit 3", "one on a serial line"),
    ("edged probe --profile keba-p30 --tcp 10.0.0.21", "one in the network"),
)
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
    return _probe(target, as_json=args.json)


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


def _probe(target: Target, *, as_json: bool) -> int:
    """Ctrl-C ends it with what was read so far."""
    from edged.chargers.fit import Verdict
    from edged.chargers.inquiry import Inquiry
    from edged.chargers.line import LineDown
    from edged.chargers.probe import Probing

    inquiry, bar = Inquiry(target.spec), ProgressBar()
    probing = Probing(
        target.profile,
        inquiry,
        unit_id=target.unit_id,
        point=target.point,
        tell=lambda name, number, count: bar.show(number, count, f"reading {name}" if number else name),
    )
    ended, failure = "", ""
    why: Silence | None = None
    try:
        why = asyncio.run(_ask(target, probing, inquiry, bar))
    except KeyboardInterrupt:
        ended = "stopped before everything was read"
        failure = "" if probing.has_answer else f"stopped before {target.name} had answered"
    except LineDown as down:
        failure = str(down)
    finally:
        bar.clear()
    if why is not None:
        _show_silence(target, why, as_json=as_json)
        return output.FAILED
    if failure:
        if not as_json:
            raise EdgedError(failure)
        output.say_json({"ok": False, "error": failure})
        return output.FAILED
    told = probing.result(ended=ended)
    fits = told.fit.verdict is not Verdict.DOES_NOT_FIT
    if as_json:
        output.say_json({"ok": fits, **document(target, told, inquiry.latency_timer_ms)})
    else:
        _show(target, told, _doubts(target.spec, told, inquiry))
    return output.DONE if fits else output.FAILED


async def _ask(target: Target, probing: Probing, inquiry: Inquiry, bar: ProgressBar) -> Silence | None:
    """Read it all into `probing`; why there is nothing to read, where nobody answers. Raises `LineDown`."""
    from edged.chargers import inquiry as asked
    from edged.chargers import silence
    from edged.chargers.probe import Silent

    try:
        await probing.run(listen_s=asked.LISTEN_S)
    except Silent as silent:
        bar.show(0, 1, "nobody answers, looking for other units")
        heard = silent.heard | await silence.look_for_others(inquiry, except_for=target.asked)
        inquiry.close()
        right = await silence.find_setting(
            target.profile,
            target.spec,
            unit_id=target.asked,
            heard=heard,
            tell=lambda other: bar.show(0, 1, f"nobody answers, trying {silence.setting_words(other)}"),
        )
        return silence.explain(
            target.profile,
            target.spec,
            unit_id=target.unit_id,
            point=target.point,
            heard=heard,
            hung_up=silent.hung_up,
            answers_at=right,
        )
    finally:
        inquiry.close()
    return None


# --- as JSON ----------------------------------------------------------------------------------------------------------


def document(target: Target, told: Probe, latency_timer_ms: int | None) -> dict[str, Any]:
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
        **counts_json(told.counts),
        "points_present": told.points_present,
        "other_masters_ask": sorted(told.heard.requests),
        "noise_bytes": told.heard.noise_bytes,
        "word_order": [asdict(each) for each in told.suspicions],
        "latency_timer_ms": latency_timer_ms,
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
        right = None if why.answers_at is None else line_words(why.answers_at)
        found = {"error": sentence, "clue": why.clue, "seen": why.seen, "other_units": why.other_units}
        more = {"answers_at": right, "other_masters_ask": why.other_masters_ask, "checks": why.checks}
        output.say_json({"ok": False, **_place(target), **found, **more})
        return
    output.complain(sentence)
    print("check, in this order:", file=sys.stderr)
    for place, check in enumerate(why.checks, start=1):
        print(f"  {place}. {output.clean(check)}", file=sys.stderr)
    if target.profile.setup:
        print(f"what {target.profile.vendor} asks for:", file=sys.stderr)
        for each in target.profile.setup:
            print(f"  - {output.clean(each)}", file=sys.stderr)


def _show(target: Target, told: Probe, wrong: Sequence[str]) -> None:
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
    say_counts(told.counts)
    if wrong:
        output.say("what looks wrong")
        for sentence in wrong:
            output.say(f"  {sentence}")
    if told.ended.startswith("stopped"):
        output.complain(told.ended)
    elif told.ended:
        output.complain(f"{told.ended}: look at power, wires and termination, then try again")
    if told.fit.verdict == "does not fit":
        output.complain(f"what answers there is no {told.profile.name}: edged scan names the profiles that fit")


def _doubts(spec: BusSpec, told: Probe, inquiry: Inquiry) -> list[str]:
    """What looks wrong though the charger answers, each with what to do."""
    of_line = doubts.of_line(spec, told.heard, inquiry.device, inquiry.latency_timer_ms)
    return [
        *of_line,
        *(f"{each}: it is another model or firmware, or its profile is wrong" for each in told.suspicions),
    ]


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
