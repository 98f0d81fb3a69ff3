"""What an OpenEVSE controller says, written by hand from its documents, and what each transcript means; desired states
and the exact commands that they take. The transcripts owe nothing to edged's parser and nothing to the simulator.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.chargers.library import load_charger
from edged.chargers.line import BusSpec, Inbox, LineKind
from edged.chargers.rapi.charger import RapiCharger
from edged.chargers.rapi.link import Link
from edged.chargers.rapi.profile import RapiProfile
from edged.domain.hardware import Action, ActionOutcome, ChargerState, Desired, LockState, Observation
from edged.ports import ChargerRefused
from edged.system.clock import SystemClock

SHEET: Mapping[str, Any] = yaml.load(
    (Path(__file__).parent / "transcripts" / "openevse-rapi.yaml").read_text(), Loader=yaml.BaseLoader
)
"""Every scalar is a text here, as it is on the wire."""
SHIPPED = load_charger("openevse-rapi")
assert isinstance(SHIPPED, RapiProfile)
STATES = {0x00, *range(0x01, 0x0C), 0x0E, 0xFE, 0xFF}
FLAGS = (0x0002, 0x0008, 0x0040, 0x0100, 0x4000, 0x8000)


def told(value: str | None) -> Any:
    """A word of the sheet as a value."""
    return {"null": None, "true": True, "false": False}.get(str(value), value)


class Wire:
    """The far end of a line that answers from a transcript. `commands`: all that came and is no question or pulse."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.inbox = Inbox()
        self.commands: list[str] = []
        self._replies = {**SHEET["base"], **entry.get("replies", {}), **entry.get("from", {})}
        self._entry = entry

    async def write(self, data: bytes) -> None:
        text = data.decode("ascii")
        assert text.endswith("\r") and len(text) <= 32, "a controller could not take this in"
        body, caret, check = text[:-1].rpartition("^")
        assert caret and check == self._check(body), "a controller would not answer this"
        asked, colon, sequence = body.partition(" :")
        assert colon and 1 <= int(sequence, 16) <= 255
        if asked.startswith("$G"):
            self._say(self._replies[asked], sequence)
            return
        if asked == "$SY":
            self._say("$OK 60 6 0", sequence)
            return
        self.commands.append(asked)
        self._replies |= self._entry.get("then", {}).get(asked, {})
        if asked not in self._entry.get("silent", ()):
            self._say(self._entry.get("answers", {}).get(asked, "$OK"), sequence)
        event = self._entry.get("says", {}).get(asked)
        if event is not None:
            self._say(event, "")

    def _say(self, words: str, sequence: str) -> None:
        body = f"{words} :{sequence}" if sequence else words
        self.inbox.feed(f"{body}^{self._check(body)}\r".encode("ascii"))

    @staticmethod
    def _check(body: str) -> str:
        found = 0
        for character in body:
            found ^= ord(character)
        return f"{found:02X}"

    def close(self) -> None:
        self.inbox.lose("closed")


@asynccontextmanager
async def charger_at(entry: Mapping[str, Any]) -> AsyncIterator[tuple[RapiCharger, Wire]]:
    wire = Wire(entry)

    async def connect(spec: BusSpec) -> Wire:
        return wire

    changes = {name: told(value) for name, value in entry.get("profile", {}).items()}
    link = Link(BusSpec(kind=LineKind.SERIAL, port="/dev/null", baudrate=115_200, timeout_s=0.2), connect=connect)
    charger = RapiCharger(replace(SHIPPED, **changes), link, clock=SystemClock())
    try:
        yield charger, wire
    finally:
        await charger.close()
        await link.close()


def shown(observation: Observation, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What an observation says of that which a transcript speaks of, in the sheet's words."""
    meter, faults = observation.meter, observation.faults
    amperes = None if observation.current_limit_ma is None else observation.current_limit_ma / 1000
    values: dict[str, Any] = {
        "state": observation.state,
        "plugged": observation.plugged,
        "permit": observation.permit_charging,
        "limit_a": amperes,
        "lock": observation.lock,
        "operative": observation.operative,
        "faults": [fault.vendor_code for fault in faults],
        "code": faults[0].code if faults else None,
        "counted": next((text for text in wanted.get("counted", "").split() if text in faults[0].info), None)
        if faults
        else None,
        "energy_wh": meter.energy_wh,
        "current_a": meter.current_a.l1,
        "voltage_v": meter.voltage_v.l1,
        "power_w": meter.power_w,
        "temperature_c": meter.temperature_c,
    }
    return {name: values[name] for name in wanted}


def meant(name: str, value: Any) -> Any:
    value = told(value) if not isinstance(value, list) else value
    if name.endswith(("_a", "_wh", "_v", "_c", "_w")) and value is not None:
        return pytest.approx(float(value))
    return value


def wanted_of(entry: Mapping[str, Any]) -> Desired:
    words = entry["desired"]
    return Desired(
        permit_charging=told(words["permit"]),
        current_limit_ma=round(float(words["limit_a"]) * 1000),
        operative=told(words.get("operative", "true")),
    )


@pytest.mark.parametrize("key", SHEET["transcripts"])
async def test_a_transcript_means_what_its_document_says(key: str) -> None:
    entry = SHEET["transcripts"][key]
    async with charger_at(entry) as (charger, wire):
        observation = await charger.observe()
    assert wire.commands == [], "looking commands nothing"
    assert shown(observation, entry["expect"]) == {name: meant(name, each) for name, each in entry["expect"].items()}
    assert all(fault.blocking for fault in observation.faults)


@pytest.mark.parametrize("key", SHEET["writes"])
async def test_a_desired_state_takes_exactly_these_commands(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.chargers.rapi.charger.VERIFY_S", 0.2)
    entry = SHEET["writes"][key]
    async with charger_at(entry) as (charger, wire):
        if "refused" in entry:
            with pytest.raises(ChargerRefused, match=entry["refused"]):
                await charger.apply(wanted_of(entry))
        else:
            await charger.apply(wanted_of(entry))
        assert wire.commands == entry["takes"]
        if "refused" not in entry:
            await charger.apply(wanted_of(entry))
            assert wire.commands == entry["takes"], "what is so already is not written again"


@pytest.mark.parametrize("key", SHEET["actions"])
async def test_an_action_takes_exactly_these_commands(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.chargers.rapi.actions.VERIFY_S", 0.2)
    entry = SHEET["actions"][key]
    async with charger_at(entry) as (charger, wire):
        async with asyncio.timeout(30):
            outcome = await charger.perform(Action(entry["action"]))
        assert (outcome, wire.commands) == (ActionOutcome(entry["outcome"]), entry["takes"])
        if entry["action"] == "reset_hard":
            assert (await charger.observe()).booted is True


def status_words() -> list[list[str]]:
    return [entry["replies"].get("$GS", SHEET["base"]["$GS"]).split() for entry in SHEET["transcripts"].values()]


def test_every_state_and_every_flag_of_the_document_has_a_transcript() -> None:
    assert {int(words[1], 16) for words in status_words()} == STATES
    seen = 0
    for words in status_words():
        seen |= int(words[4], 16) if len(words) > 4 else 0
    assert all(seen & flag for flag in FLAGS)


def test_every_state_that_edged_knows_of_such_a_charger_is_expected_somewhere() -> None:
    states = {entry["expect"].get("state") for entry in SHEET["transcripts"].values()}
    assert {
        "available",
        "connected",
        "connected_ready",
        "charging",
        "suspended_evse",
        "unavailable",
        "faulted",
    } < states
    assert states - {None} <= set(ChargerState)
    assert {entry["expect"].get("lock") for entry in SHEET["transcripts"].values()} >= {
        LockState.LOCKED,
        LockState.UNLOCKED,
        LockState.UNKNOWN,
    }


def test_no_transcript_wears_the_eeprom() -> None:
    for entry in (*SHEET["writes"].values(), *SHEET["actions"].values()):
        assert all(command.endswith(" V") for command in entry["takes"] if command.startswith("$SC"))
