"""The shipped profiles that speak Modbus, by name. Those of another protocol have sheets and sweeps of their own."""

from __future__ import annotations

from edged.chargers.library import PACKAGED_DIR
from edged.chargers.profile_yaml import parse_document


def _speaks_modbus(text: str) -> bool:
    root = parse_document(text, "profile").value
    return isinstance(root, dict) and "kind" not in root


MODBUS_PATHS = tuple(
    path for path in sorted(PACKAGED_DIR.glob("*.yaml")) if _speaks_modbus(path.read_text(encoding="utf-8"))
)
MODBUS_NAMES = tuple(path.stem for path in MODBUS_PATHS)
