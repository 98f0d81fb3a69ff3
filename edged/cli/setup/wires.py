"""Lines: those of the draft, those of this computer, those with an address; which one is meant.

Owns how a line is chosen and written down. Refuses to know who is on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from edged.chargers.line import BusSpec, LineKind
from edged.chargers.serial_ports import SerialPorts
from edged.cli.setup import draft
from edged.cli.setup.dialogue import Dialogue
from edged.cli.setup.draft import Place
from edged.settings.document import Node
from edged.settings.wiring import MODBUS_TCP_PORT, PORT_PATH

_SETTINGS = re.compile(r"([0-9]{3,7}) +8([NEO])([12])", re.IGNORECASE)
_PARITIES = {"N": "none", "E": "even", "O": "odd"}
_ADDRESS = re.compile(
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)
NETWORKS = {
    LineKind.TCP: "a charger with a network address (Modbus TCP)",
    LineKind.RTU_OVER_TCP: "a serial-to-Ethernet converter",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """A line that was chosen. `bus`: its name in the draft, None where it is new there."""

    spec: BusSpec
    bus: str | None = None


def known_wires(tree: Node) -> list[Wire]:
    """The buses of a draft."""
    found = []
    for bus in draft.names_at(tree, ("buses",)):
        port = draft.text_at(tree, ("buses", bus, "serial"))
        place = _place(draft.text_at(tree, ("buses", bus, "rtu_over_tcp")) or "", None)
        if port is not None:
            found.append(Wire(_spec_of_bus(tree, bus, port), bus))
        elif place is not None:
            found.append(Wire(BusSpec(kind=LineKind.RTU_OVER_TCP, host=place[0], tcp_port=place[1]), bus))
    return found


def choose(talk: Dialogue, tree: Node, ports: SerialPorts) -> Wire:
    """The line that a charger is on."""
    wires = known_wires(tree)
    used = {ports.device(port) for port in (*(wire.spec.port for wire in wires), *_own_ports(tree)) if port}
    fresh = [port for port in ports.names() if ports.device(port) not in used]
    place = talk.choose(
        "Which line is it on",
        [
            *(f"{wire.bus} of the configuration: {wire.spec}" for wire in wires),
            *fresh,
            *NETWORKS.values(),
            "a serial port that is not listed here",
        ],
        help="Serial ports keep their names under /dev/serial/by-id wherever they are plugged in.",
    )
    if place < len(wires):
        return wires[place]
    place -= len(wires)
    if place < len(fresh):
        return Wire(BusSpec(kind=LineKind.SERIAL, port=fresh[place]))
    place -= len(fresh)
    return _typed_address(talk, wires, list(NETWORKS)[place]) if place < len(NETWORKS) else _typed_port(talk, wires)


def ask_settings(talk: Dialogue, spec: BusSpec) -> BusSpec:
    """The same serial line, as fast as the installer says; what `spec` says is the default."""
    told = talk.ask(
        "Speed, parity and stop bits of the line",
        default=f"{spec.baudrate} 8{spec.parity[0].upper()}{spec.stopbits}",
        help="8E1 is even parity and one stop bit, 8N1 no parity, 8O1 odd parity.",
        check=lambda each: None if _line_settings(each) else "write it like 19200 8E1",
    )
    found = _line_settings(told)
    assert found is not None
    return replace(spec, baudrate=found[0], parity=found[1], stopbits=found[2])


def put_line(tree: Node, place: Place, spec: BusSpec, key: str) -> Node:
    """The draft with the parameters of a line at a place; `key`: what a serial port is called there."""
    if spec.kind is not LineKind.SERIAL:
        return draft.put(tree, (*place, "rtu_over_tcp"), draft.text(addresses(spec)[0]))
    tree = draft.put(tree, (*place, key), draft.text(spec.port))
    for name, value in (("baudrate", spec.baudrate), ("parity", spec.parity), ("stopbits", spec.stopbits)):
        tree = draft.put(tree, (*place, name), draft.plain(value))
    return tree


def addresses(spec: BusSpec) -> tuple[str, ...]:
    """How an endpoint may be written, the usual way first."""
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return (f"{host}:{spec.tcp_port}", *([host] if spec.tcp_port == MODBUS_TCP_PORT else []))


def _spec_of_bus(tree: Node, bus: str, port: str) -> BusSpec:
    def told(key: str, default: str) -> str:
        return draft.text_at(tree, ("buses", bus, key)) or default

    baudrate, parity, stopbits = told("baudrate", "19200"), told("parity", "even"), told("stopbits", "1")
    spec = BusSpec(kind=LineKind.SERIAL, port=port)
    if _line_settings(f"{baudrate} 8N1") is None or parity not in _PARITIES.values():
        return spec  # the loader says what is wrong with it
    return replace(spec, baudrate=int(baudrate), parity=parity, stopbits=2 if stopbits == "2" else 1)


def _own_ports(tree: Node) -> list[str | None]:
    names = draft.names_at(tree, ("chargers",))
    return [draft.text_at(tree, ("chargers", name, "serial", "port")) for name in names]


def _typed_port(talk: Dialogue, wires: list[Wire]) -> Wire:
    def check(answer: str) -> str | None:
        return None if PORT_PATH.expression.fullmatch(answer) else PORT_PATH.advice

    port = talk.ask("The path of the port", check=check, help="Like /dev/ttyAMA0.")
    same = (wire for wire in wires if wire.spec.port == port)
    return next(same, Wire(BusSpec(kind=LineKind.SERIAL, port=port)))


def _typed_address(talk: Dialogue, wires: list[Wire], kind: LineKind) -> Wire:
    usual = MODBUS_TCP_PORT if kind is LineKind.TCP else None
    wanted = "HOST:PORT, like 10.0.0.21:502 or [fd00::21]:502"
    told = talk.ask(
        "Its address",
        help=f"HOST or HOST:PORT; without a port {usual}." if usual else "HOST:PORT, like 10.0.0.40:4001.",
        check=lambda each: None if _place(each, usual) else f"write {wanted}",
    )
    place = _place(told, usual)
    assert place is not None
    spec = BusSpec(kind=kind, host=place[0], tcp_port=place[1])
    same = (wire for wire in wires if wire.spec.kind is kind and wire.spec.endpoint == spec.endpoint)
    return next(same, Wire(spec))


def _place(text: str, usual: int | None) -> tuple[str, int] | None:
    """Host and port, None where it is no address."""
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else usual
    if found is None or port is None or not 1 <= port <= 65535:
        return None
    return found["host"].strip("[]"), port


def _line_settings(text: str) -> tuple[int, str, int] | None:
    found = _SETTINGS.fullmatch(text.strip())
    if found is None or not 300 <= int(found[1]) <= 4_000_000:
        return None
    return int(found[1]), _PARITIES[found[2].upper()], int(found[3])
