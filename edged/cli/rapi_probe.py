"""`edged probe` of a controller that speaks RAPI: what it answers, what it can, why it is silent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edged.cli import output
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
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.chargers.line import BusSpec
    from edged.chargers.rapi.probe import RapiProbe, Silence
    from edged.chargers.rapi.profile import RapiProfile
    from edged.settings import ResetLine, ResetRelay

TOP_EVIDENCE = 6
MODBUS_UNITS = (1, 2, 3, 4)
"""Who is asked in Modbus where RAPI was answered by nobody."""
MODBUS_PATIENCE_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RapiTarget:
    """A controller and where it is."""

    name: str
    profile: RapiProfile
    spec: BusSpec
    relay: ResetRelay | ResetLine | None = None

    @property
    def line(self) -> str:
        from edged.chargers.line import LineKind
        from edged.chargers.silence import line_words

        words = line_words(self.spec)
        return words if self.spec.kind is LineKind.SERIAL else words.replace("RTU over TCP", "RAPI over TCP")


async def probe_rapi(target: RapiTarget, *, as_json: bool) -> int:
    """Ask and tell. The exit status of the command."""
    from edged.chargers.fit import Verdict
    from edged.chargers.line import LineDown
    from edged.chargers.rapi.inquiry import RapiInquiry
    from edged.chargers.rapi.probe import Silent, explain, probe

    inquiry = RapiInquiry(target.spec)
    try:
        try:
            told = await probe(target.profile, inquiry)
        except Silent as silent:
            inquiry.close()
            units = await _modbus_units(target.spec)
            why = explain(target.spec, silent.heard, hung_up=silent.hung_up, modbus_units=units)
            _show_silence(target, why, units, as_json=as_json)
            return output.FAILED
    except LineDown as down:
        sentence = str(down)
        if as_json:
            output.say_json({"ok": False, "error": sentence})
            return output.FAILED
        raise EdgedError(sentence) from down
    finally:
        inquiry.close()
    fits = told.fit.verdict is not Verdict.DOES_NOT_FIT
    if as_json:
        output.say_json({"ok": fits, **document(target, told, inquiry.latency_timer_ms)})
    else:
        _show(target, told)
    return output.DONE if fits else output.FAILED


async def _modbus_units(spec: BusSpec) -> tuple[int, ...]:
    """Who answers on this line in Modbus."""
    from edged.chargers.inquiry import Inquiry
    from edged.chargers.line import LineDown
    from edged.chargers.modbus import Table

    inquiry = Inquiry(spec)
    found = []
    try:
        for unit_id in MODBUS_UNITS:
            told = await inquiry.ask(unit_id, Table.HOLDING, 0, 1, timeout_s=MODBUS_PATIENCE_S)
            if told.is_alive:
                found.append(unit_id)
    except LineDown:
        pass  # what it said to RAPI is all there is
    finally:
        inquiry.close()
    return tuple(found)


# --- as JSON ----------------------------------------------------------------------------------------------------------


def document(target: RapiTarget, told: RapiProbe, latency_timer_ms: int | None) -> dict[str, Any]:
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
                "table": each.question,
                "address": each.place,
                "raw": each.raw,
                "value": each.value,
                "unit": each.unit,
                "meaning": each.meaning,
                "round_trip_ms": milliseconds(each.round_trip_s),
                "error": each.error,
            }
            for each in told.readings
        ],
        "replies": [
            {
                "question": each.question,
                "reply": each.reply,
                "round_trip_ms": milliseconds(each.round_trip_s),
                "error": each.error,
            }
            for each in told.replies
        ],
        "missing": [each.name for each in told.missing],
        "observed": None if told.observed is None else observed_json(told.observed),
        "capabilities": sorted(told.capabilities),
        "cannot": {capability.value: reason for capability, reason in told.cannot.items()},
        "abilities": {name: asdict(each) for name, each in abilities(told.capabilities, target.relay).items()},
        **counts_json(told.counts),
        "points_present": None,
        "said_unasked": list(told.heard.events),
        "ended": told.ended,
        "other_masters_ask": list(told.heard.asked),
        "noise_bytes": told.heard.noise_bytes,
        "word_order": [],
        "latency_timer_ms": latency_timer_ms,
    }


def _place(target: RapiTarget) -> dict[str, Any]:
    return {
        "charger": target.name,
        "profile": target.profile.name,
        "line": target.line,
        "unit_id": None,
        "point": 1,
    }


# --- for people -------------------------------------------------------------------------------------------------------


def _show_silence(target: RapiTarget, why: Silence, units: Sequence[int], *, as_json: bool) -> None:
    sentence = f"{target.name} does not answer to RAPI on {target.line}: {why.seen}"
    if as_json:
        found = {"error": sentence, "clue": why.clue, "seen": why.seen, "other_units": list(units)}
        more = {"answers_at": None, "other_masters_ask": list(why.other_masters_ask), "checks": why.checks}
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


def _show(target: RapiTarget, told: RapiProbe) -> None:
    profile = told.profile
    output.say(f"{target.name}: alone on {target.line}")
    for name, value in told.identity.items():
        output.say(f"  {name:<13}  {value}")
    output.say(f"it {told.fit.verdict} {profile.name} ({profile.vendor} {profile.model}):")
    for each in told.fit.evidence[:TOP_EVIDENCE]:
        mark = "+" if each.weight > 0 else "-" if each.weight < 0 else " "
        output.say(f"  {mark} {each.text}")
    output.say()
    output.say("answers")
    _show_answers(told)
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
    _show_line(told)


def _show_answers(told: RapiProbe) -> None:
    rows: list[Sequence[str]] = [("value", "of", "raw", "value", "", "ms", "meaning")]
    for each in told.readings:
        took = f"{each.round_trip_s * 1000:.1f}" if each.round_trip_s is not None and each.place == 0 else ""
        value = "-" if each.value is None else f"{each.value:g}" if isinstance(each.value, float) else str(each.value)
        rows.append((each.name, each.question, each.raw or "-", value, each.unit, took, each.error or each.meaning))
    say_table(rows)
    output.say()
    say_table([("question", "reply"), *((each.question, each.reply or each.error) for each in told.replies)])


def _show_missing(told: RapiProbe) -> None:
    unanswered = [each for each in told.replies if each.error]
    if unanswered or told.cannot:
        output.say("missing")
    for each in unanswered:
        output.say(f"  {each.question}: {each.error}")
    for capability, reason in sorted(told.cannot.items()):
        output.say(f"  {capability.replace('_', ' ')}: its profile can, this charger cannot: {reason}")
    if unanswered or told.cannot:
        output.say()


def _show_line(told: RapiProbe) -> None:
    say_counts(told.counts)
    if told.heard.events:
        output.say(f"it said by itself: {', '.join(told.heard.events)}")
    if told.heard.asked:
        output.say(f"somebody else asks {told.heard.asked[0]} on this line: take the WiFi module off")
    if told.ended:
        output.complain(f"{told.ended}: look at power and wires, then try again")
    if told.fit.verdict == "does not fit":
        output.complain(f"what answers there is no {told.profile.name}")
