"""What a relay board is, as data, and how its document is read. PURE.

Owns: the keys of a profile of `kind: relay`. Refuses to know: files, lines on a wire, what hangs on an output.

Invariant: an output has one resting value, *off*. A board without power, one that has just come up and one that nobody
speaks to are all taken to be at rest; so what must then have power is wired to the normally-closed contact.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.chargers.modbus import Table
from edged.chargers.profile import BusRules
from edged.chargers.profile_document import Fields, Findings, Node, ProfileErrors
from edged.chargers.profile_reader import CERTAINTIES, read_bus, read_name, read_part, read_texts, read_word
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import Transport
from edged.chargers.registers import WordOrder

KIND = "relay"
MAX_OUTPUTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The board itself ends what it began: `value` + n switches an output on for n * `step_s`, n at most `most`."""

    value: int
    step_s: float
    most: int

    def steps(self, seconds: float) -> int | None:
        """How many steps last at least so long; None where so many do not exist."""
        count = max(1, -int(-seconds // self.step_s))
        return count if count <= self.most else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Output n lies at `first` + n - 1. `on` and `off` are written, `reads_on` and `reads_off` are read back."""

    table: Table
    first: int
    count: int
    on: int = 1
    off: int = 0
    reads_on: int = 1
    reads_off: int = 0
    pulse: Pulse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProfile:
    """Everything edged knows of a relay board model."""

    name: str
    vendor: str
    model: str
    certainty: str
    sources: tuple[str, ...]
    setup: tuple[str, ...]
    notes: tuple[str, ...]
    unproven: tuple[str, ...]
    bus: BusRules
    outputs: Outputs


def is_relay(root: Node) -> bool:
    """Whether a document is that of a relay board, right or wrong."""
    kind = root.value.get("kind") if isinstance(root.value, dict) else None
    return kind is not None and kind.value == KIND


def read_relay_profile(root: Node, path: str) -> RelayProfile:
    """The profile of a document. `path` only names it in errors. `ProfileErrors` with every error found."""
    findings = Findings(path, root)
    fields = Fields(findings, root, ())
    fields.node("kind")
    name = read_name(fields)
    certainty = read_word(fields, "certainty", CERTAINTIES, "C", required=True)
    _, bus = read_part(fields, "bus", read_bus, (WordOrder.BIG, BusRules(transports=(Transport.TCP,))), True)
    nothing = Outputs(table=Table.COIL, first=0, count=1)
    profile = RelayProfile(
        name=name,
        vendor=fields.text("vendor", required=True),
        model=fields.text("model", required=True),
        certainty=certainty,
        sources=read_texts(fields, "sources", required=True),
        setup=read_texts(fields, "setup"),
        notes=read_texts(fields, "notes"),
        unproven=read_texts(fields, "unproven"),
        bus=bus,
        outputs=read_part(fields, "outputs", _read_outputs, nothing, True),
    )
    fields.close()
    if findings.errors:
        raise ProfileErrors(findings.errors)
    return profile


def _read_outputs(fields: Fields) -> Outputs:
    table = fields.choice("table", Table, Table.COIL, required=True)
    if table not in (Table.COIL, Table.HOLDING):
        fields.error("table", f"table {table} cannot be written: C or H", ProfileRule.READ_ONLY_TABLE)
        table = Table.COIL
    high = 1 if table is Table.COIL else 0xFFFF
    on = fields.integer("on", 1, low=0, high=high)
    off = fields.integer("off", 0, low=0, high=high)
    outputs = Outputs(
        table=table,
        first=fields.integer("first", low=0, high=65535, required=True),
        count=fields.integer("count", 1, low=1, high=MAX_OUTPUTS, required=True),
        on=on,
        off=off,
        reads_on=fields.integer("reads_on", on, low=0, high=high),
        reads_off=fields.integer("reads_off", off, low=0, high=high),
        pulse=read_part(fields, "pulse", _read_pulse, None),
    )
    if outputs.on == outputs.off:
        fields.error("on", "on and off are the same", ProfileRule.SAME_ON_BOTH_SIDES)
    if outputs.reads_on == outputs.reads_off:
        fields.error("reads_on", "reads_on and reads_off are the same", ProfileRule.SAME_ON_BOTH_SIDES)
    if outputs.first + outputs.count > 0x10000:
        sentence = f"the last output would lie at {outputs.first + outputs.count - 1}, beyond 65535"
        fields.error("count", sentence, ProfileRule.IMPOSSIBLE_REGISTER)
    if outputs.pulse is not None and table is Table.COIL:
        sentence = "only outputs in holding registers can be told how long they stay on"
        fields.error("pulse", sentence, ProfileRule.PULSE_OF_COIL)
    return outputs


def _read_pulse(fields: Fields) -> Pulse:
    pulse = Pulse(
        value=fields.integer("value", low=0, high=0xFFFF, required=True),
        step_s=fields.number("step_s", 1.0, low=0.01, high=60, required=True),
        most=fields.integer("most", 1, low=1, high=0xFFFF, required=True),
    )
    if pulse.value + pulse.most > 0xFFFF:
        fields.error("most", f"{pulse.value} + {pulse.most} is more than a register holds", ProfileRule.OUT_OF_RANGE)
    return pulse
