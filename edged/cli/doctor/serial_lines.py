"""The serial lines of the configuration: are they there, may the service open them, does anybody else. Pure.

Nothing is judged by opening a port: another master would notice, and so would many a charger.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from edged.chargers.opening import LEAST_LATENCY_MS
from edged.cli.doctor.finding import Finding, Findings
from edged.cli.doctor.places import Page, drop_in, write_file

LATENCY_RULE = "/etc/udev/rules.d/61-ftdi.rules"
RIGHTS_RULE = "/etc/udev/rules.d/60-edged-serial.rules"
RELOAD_RULES = "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=tty"
_CONSOLE = re.compile(r"\bconsole=([A-Za-z]+[0-9]+)")
_PSEUDO_TERMINALS = range(136, 144)
"""systemd lets them through to every service but under DevicePolicy=strict."""
THIEVES = {
    "ModemManager": (
        "asks each serial adapter whether it is a modem",
        "sudo systemctl disable --now ModemManager",
    ),
    "brltty": ("takes adapters with a CH340 or CP210x chip for Braille displays", "sudo apt remove brltty"),
    "gpsd": ("asks serial adapters whether they are GPS receivers", "sudo systemctl disable --now gpsd gpsd.socket"),
}
"""Programs that take serial ports without being asked, by the name of their process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A line's port. `device`: what its name leads to. `number`: major and minor of the device, None where there is no
    character device. `driver`: as /proc/devices calls the major number. `group_may`: the group may read and write."""

    line: str
    port: str
    device: str = ""
    exists: bool = True
    number: tuple[int, int] | None = None
    driver: str = ""
    owner: str = "root"
    group: str = "dialout"
    owner_may: bool = True
    group_may: bool = True
    all_may: bool = False
    lasting: str | None = None
    latency_ms: int | None = None
    holders: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A GPIO chip for a `reset_relay`. `flaw`: why it is none, empty where it is one."""

    charger: str
    path: str
    flaw: str = ""
    group: str = "gpio"
    group_may: bool = True
    number: tuple[int, int] | None = None
    driver: str = "gpiochip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What edged's unit lets through to it. `rules`: DeviceAllow; `policy`: DevicePolicy, empty where there is no
    unit. `groups`: all groups of the service's user."""

    user: str = "edged"
    groups: Collection[str] = ()
    policy: str = ""
    rules: tuple[str, ...] = ()

    def lets_through(self, driver: str, number: tuple[int, int], device: str) -> bool:
        if self.policy in ("", "auto") and not self.rules:
            return True
        if self.policy != "strict" and number[0] in _PSEUDO_TERMINALS:
            return True
        names = {rule.partition(" ")[0] for rule in self.rules if "r" in rule.partition(" ")[2]}
        kinds = [name.removeprefix("char-") for name in names if name.startswith("char-")]
        return device in names or any(kind == str(number[0]) or fnmatchcase(driver, kind) for kind in kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialFacts:
    """`names`: every port that there is, by a name that lasts. `running`: names of processes. `consoles`: ports that
    the kernel's command line makes a console (as devices). `gettys`: ports with a login prompt."""

    ports: tuple[Port, ...]
    page: Page
    unit: Unit = field(default_factory=Unit)
    names: tuple[str, ...] = ()
    running: Collection[str] = ()
    consoles: Collection[str] = ()
    gettys: Collection[str] = ()
    chips: tuple[Chip, ...] = ()
    sees_holders: bool = True
    daemon_runs: bool = False


def parse_consoles(*command_lines: str) -> set[str]:
    """The ports that a kernel's command line names as a console."""
    return {f"/dev/{name}" for text in command_lines for name in _CONSOLE.findall(text[:65_536])}


def parse_drivers(text: str) -> dict[int, str]:
    """The character devices of /proc/devices: names by major number."""
    found: dict[int, str] = {}
    for line in text.partition("Block devices:")[0].splitlines()[:1024]:
        number, _, name = line.strip().partition(" ")
        if number.isascii() and number.isdecimal() and len(number) < 6 and name:
            found.setdefault(int(number), name.strip())
    return found


def judge(facts: SerialFacts) -> tuple[Finding, ...]:
    found = Findings("serial")
    for port in facts.ports:
        before = len(found.made)
        _port(found, port, facts)
        if len(found.made) == before:
            device = f", now {port.device}" if port.device not in ("", port.port) else ""
            found.ok(port.line, f"{port.port} is there{device}, and {facts.unit.user} may open it")
    if facts.ports:
        _thieves(found, facts)
        if not facts.sees_holders:
            found.unseen("holders", "whether another program has a port open was not seen")
    for chip in facts.chips:
        _chip(found, chip, facts)
    if not facts.ports and not facts.chips:
        found.ok("lines", "the configuration has no serial line")
    return found.made


def _port(found: Findings, port: Port, facts: SerialFacts) -> None:
    if not port.exists:
        _missing(found, port, facts)
        return
    if port.number is None:
        found.failed(
            port.line,
            f"{port.port} is no serial port",
            facts.page.change(f"write one that there is ({_shown(facts.names)})", port.port),
        )
        return
    if port.lasting is not None:
        found.warning(
            port.line,
            f"{port.port} is whichever adapter came first after a start",
            facts.page.change(f"write {port.lasting} instead", port.port),
        )
    _rights(found, port, facts.unit)
    if not facts.unit.lets_through(port.driver, port.number, port.device):
        kind = port.driver if port.driver and port.number[0] > 233 else str(port.number[0])
        found.failed(
            port.line,
            f"the unit's sandbox does not let edged to {port.device} (driver {port.driver or 'unknown'}, major number "
            f"{port.number[0]})",
            drop_in("serial", f"DeviceAllow=char-{kind} rw"),
        )
    for pid, name in port.holders:
        if name != "edged":
            found.failed(
                port.line,
                f"{port.port} is held by {name} (process {pid}): only one may ask on a line",
                f"sudo kill {pid}",
            )
    if port.device in facts.gettys:
        tty = port.device.rpartition("/")[2]
        found.failed(
            port.line,
            f"somebody can log in at {port.device}: what the chargers say is typed there",
            f"sudo systemctl disable --now serial-getty@{tty}.service",
        )
    if port.device in facts.consoles:
        found.failed(
            port.line,
            f"the kernel writes its messages to {port.device} (console= in its command line)",
            "sudo raspi-config nonint do_serial_cons 1 && sudo reboot",
        )
    _latency(found, port, facts)


def _missing(found: Findings, port: Port, facts: SerialFacts) -> None:
    sentence = f"there is no {port.port}: is the adapter plugged in?"
    if facts.names:
        mend = facts.page.change(f"write one that there is ({_shown(facts.names)})", port.port)
    else:
        sentence += " This computer shows no serial port at all"
        mend = "plug the adapter in, then: dmesg | tail"
    found.failed(port.line, sentence, mend)


def _shown(names: Iterable[str]) -> str:
    some = list(names)
    return ", ".join(some[:4]) + (f" and {len(some) - 4} more" if len(some) > 4 else "") or "there is none"


def _rights(found: Findings, port: Port, unit: Unit) -> None:
    if port.all_may or (port.group_may and port.group in unit.groups) or (port.owner_may and port.owner == unit.user):
        return
    if not port.group_may or port.group == "root":
        rule = f'SUBSYSTEM=="tty", KERNEL=="{port.device.rpartition("/")[2]}", GROUP="dialout", MODE="0660"'
        found.failed(
            port.line,
            f"{port.device} is for {port.owner} alone, and {unit.user} may not open it",
            write_file(RIGHTS_RULE, rule, then=RELOAD_RULES),
        )
    else:
        found.failed(
            port.line,
            f"{port.device} is for the group {port.group}, and {unit.user} is not in it",
            f"sudo usermod -aG {port.group} {unit.user} && sudo systemctl restart edged",
        )


def _latency(found: Findings, port: Port, facts: SerialFacts) -> None:
    if port.latency_ms is None or port.latency_ms <= LEAST_LATENCY_MS:
        return
    sentence = f"the adapter of {port.port} keeps each answer back for up to {port.latency_ms} ms"
    rule = 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'
    sentence += "; a rule of udev ends that, once the adapter is plugged in anew"
    mend = write_file(LATENCY_RULE, rule, then="sudo udevadm control --reload")
    if facts.daemon_runs:
        found.warning(port.line, sentence, mend)
    else:
        found.note(port.line, f"{sentence} (edged asks for {LEAST_LATENCY_MS} ms when it opens it)", mend)


def _thieves(found: Findings, facts: SerialFacts) -> None:
    usb = [port.port for port in facts.ports if port.exists and re.match(r"/dev/tty(USB|ACM)", port.device)]
    for name, (does, mend) in THIEVES.items():
        if name in facts.running and (usb or name == "gpsd"):
            found.warning(name, f"{name} runs on this computer and {does}", mend)


def _chip(found: Findings, chip: Chip, facts: SerialFacts) -> None:
    subject = f"reset_relay of {chip.charger}"
    if chip.flaw:
        found.failed(
            subject, f"{chip.path} {chip.flaw}", facts.page.change("write a GPIO chip that there is", chip.path)
        )
        return
    needs = []
    if chip.group not in facts.unit.groups or not chip.group_may:
        needs.append(f"SupplementaryGroups={chip.group if chip.group_may and chip.group != 'root' else 'gpio'}")
    if chip.number is not None and not facts.unit.lets_through(chip.driver, chip.number, chip.path):
        needs.append("DeviceAllow=char-gpiochip rw")
    if not needs:
        found.ok(subject, f"{chip.path} is there, and {facts.unit.user} may use it")
    elif chip.group_may and chip.group != "root":
        found.failed(subject, f"edged may not use {chip.path}", drop_in("gpio", *needs))
    else:
        rule = 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"'
        then = (
            "sudo groupadd --system --force gpio && sudo udevadm control --reload && "
            f"sudo udevadm trigger --subsystem-match=gpio && {drop_in('gpio', *needs)}"
        )
        found.failed(
            subject, f"{chip.path} is for root alone", write_file("/etc/udev/rules.d/60-gpio.rules", rule, then=then)
        )
