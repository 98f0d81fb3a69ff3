"""`custom_keys` of a station: configuration keys that the site makes up, beside those of the standard.

A CSMS reads and changes them like any key, and EVerest's `set_custom_configuration_key` can change no others. edged
gives them no meaning: whoever watches them on MQTT does.
"""

from __future__ import annotations

import re
from enum import StrEnum

from edged.domain.configuration import VALUE_MAX_CHARS, ConfigKey, KeyKind, Mutability, normalize, wanted
from edged.domain.configuration_names import site_key
from edged.settings.section import Pattern, Section

MAX_CUSTOM_KEYS = 64
NAME = Pattern(re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}"), "use 1 to 50 letters, digits, _ and -, a letter first")
_LARGEST = 2**31 - 1


class CustomKind(StrEnum):
    TEXT = "text"
    INT = "int"
    DECIMAL = "decimal"
    BOOL = "bool"
    CHOICE = "choice"


def read_custom_keys(station: Section) -> tuple[ConfigKey, ...]:
    """Every key that holds together; what does not is reported."""
    found: dict[str, ConfigKey] = {}
    for name, section in station.entries("custom_keys", names=NAME, limit=MAX_CUSTOM_KEYS):
        key = _key(name, section)
        section.close()
        known = site_key(name)
        if known is not None:
            section.report.error(
                section.line, section.path, f"is {known.name}, a key of the standard: take another name"
            )
        elif name.casefold() in found:
            section.report.error(section.line, section.path, "stands there twice: keys ignore case")
        elif key is not None:
            found[name.casefold()] = key
    return tuple(found.values())


def _key(name: str, section: Section) -> ConfigKey | None:
    kind = section.choice("type", CustomKind, CustomKind.TEXT)
    is_text = kind is CustomKind.TEXT
    longest = VALUE_MAX_CHARS if is_text else _LARGEST
    allowed = tuple(text for text, _, _ in section.texts("allowed", limit=32, length=50))
    if (kind is CustomKind.CHOICE) != bool(allowed):
        section.error("allowed", "is for type: choice, and needed there: write the words that it may be")
        return None
    if any("," in word for word in allowed):
        section.error("allowed", "may hold no comma")
        return None
    key = ConfigKey(
        name=name,
        kind=KeyKind(kind.value),
        default=section.text("default", limit=VALUE_MAX_CHARS),
        mutability=Mutability.READ_ONLY if section.flag("read_only", False) else Mutability.READ_WRITE,
        minimum=section.integer("minimum", 0, low=0, high=longest),
        maximum=section.integer("maximum", longest, low=0, high=longest),
        allowed=allowed,
        reboot=section.flag("reboot", False),
        custom=True,
    )
    if key.default is None and not is_text:
        section.error("default", f"is missing: it {wanted(key, frozenset())}")
        return None
    if key.default is not None and normalize(key, key.default, connectors=0, measurands=frozenset()) is None:
        section.error("default", wanted(key, frozenset()))
        return None
    return key
