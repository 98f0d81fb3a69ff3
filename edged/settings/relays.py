"""What may cut a charger's power: the key `reset_relay`, an output of a relay board or a GPIO line of this computer.

Owns how it is written. Refuses to know which chargers there are (`wiring`), and how a line is used.
"""

from __future__ import annotations

import os
import re
import stat

from edged.settings.model import DEFAULT_OFF_S, MAX_GPIO_LINES, Level, ResetLine, ResetRelay
from edged.settings.section import Pattern, Section

LONGEST_OFF_S = 60.0
SYSTEM = "/sys"
CHIP_PATH = Pattern(re.compile(r"/.+"), "write the whole path, like /dev/gpiochip0")
_OF_BOARDS = ("charger", "output")
_OF_LINES = ("gpio", "line", "active")


def read_reset_relay(section: Section) -> ResetRelay | ResetLine | None:
    """What stands under `reset_relay` of a charger; None where there is nothing, or it is wrong."""
    if "reset_relay" not in section:
        section.node("reset_relay")
        return None
    relay = section.section("reset_relay")
    off_s = relay.number("off_s", DEFAULT_OFF_S, low=1, high=LONGEST_OFF_S, unit="seconds")
    if ("gpio" in relay) == ("charger" in relay):
        for key in (*_OF_BOARDS, *_OF_LINES):
            relay.node(key)
        what = "has both" if "gpio" in relay else "has neither"
        section.error(
            "reset_relay", f"{what}: write charger: and output: of a relay board, or gpio: and line: of this computer"
        )
        found: ResetRelay | ResetLine | None = None
    elif "gpio" in relay:
        found = _line(relay, off_s)
    else:
        found = _output(relay, off_s)
    relay.close()
    return found


def _output(relay: Section, off_s: float) -> ResetRelay | None:
    charger = relay.text("charger", required="the name of the charger that is a relay board")
    if "output" not in relay:
        relay.error("output", "is missing: write the number of the relay, from 1")
    output = relay.integer("output", 1, low=1, high=64)
    _refuse(relay, _OF_LINES, "a GPIO line")
    return None if charger is None else ResetRelay(charger=charger, output=output, off_s=off_s)


def _line(relay: Section, off_s: float) -> ResetLine | None:
    gpio = relay.text("gpio", pattern=CHIP_PATH, required="the path of a GPIO chip")
    if "line" not in relay:
        relay.error("line", "is missing: write the number of the line on its chip, from 0 (gpioinfo shows them)")
    line = relay.integer("line", 0, low=0, high=MAX_GPIO_LINES - 1)
    active = relay.choice("active", Level, Level.HIGH)
    _refuse(relay, _OF_BOARDS, "a relay board")
    if gpio is None:
        return None
    flaw = flaw_of_chip(gpio)
    if flaw is not None:
        relay.warning("gpio", f"{flaw}: the charger cannot be reset by it")
    return ResetLine(gpio=gpio, line=line, active=active, off_s=off_s)


def _refuse(relay: Section, keys: tuple[str, ...], owner: str) -> None:
    for key in keys:
        if key in relay:
            relay.node(key)
            relay.error(key, f"is a key of {owner}: delete it")


def flaw_of_chip(path: str) -> str | None:
    """Why this is no GPIO chip here and now, as far as that shows without opening it (which another device may mind:
    a pipe waits for ever, a serial port resets what is behind it)."""
    try:
        found = os.stat(path)
    except OSError as error:
        return f"cannot be looked at on this computer ({error.strerror})"
    if not stat.S_ISCHR(found.st_mode):
        return "is no GPIO chip"
    device = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    try:
        kind = os.path.basename(os.readlink(f"{SYSTEM}/dev/char/{device}/subsystem"))
    except OSError:
        return None  # a device that the kernel has no more to say of: the chip itself will tell
    return None if kind == "gpio" else "is no GPIO chip"
