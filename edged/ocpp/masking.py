"""Frames as a log may show them: without passwords. Pure.

Masked are the values beside the name of a key that nobody may read, however the frame spells it, codes that a driver
typed in (2.x C04.FR.04) and what else a token has to it, what opens a modem or a tunnel (2.x B09), who a customer is
(2.x N09), and the credentials in addresses. Invariant: a frame that cannot be read as JSON and may hold such a name is
not shown at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"
SECRET_KEYS: Final = ("authorizationkey", "basicauthpassword")
"""The keys that are written and never read, in 1.6 and 2.x, in small letters."""
TYPED: Final = "keycode"
"""The kind of an idToken that is a code, in small letters."""
ENTRIES: Final = ("apn", "vpn")
"""Objects that hold passwords and little else, in small letters: not shown at all."""
PRIVATE: Final = ("additionalidtoken", "customeridentifier")
"""Fields with PINs and people, in small letters."""
_QUOTED_ENTRIES: Final = tuple(f'"{name}"' for name in (*ENTRIES, *PRIVATE))
_ID: Final = re.compile(r'\s*\[\s*[2-6]\s*,\s*"([^"\\]{1,64})"')
_NAMES: Final = frozenset({"key", "name", "status", "attributeStatus", "vendorId", "messageId"})
_ADDRESS: Final = re.compile(r"(:\\*/\\*/)((?:[^\s\"\\]|\\.)*+)")
"""From the colon on; a slash may be escaped, in text within text more than once. Taken whole, so that a frame is gone
through once."""


def id_of(frame: str | bytes) -> str | None:
    """A frame's message id, as far as one can be seen at a glance."""
    found = None if isinstance(frame, bytes) else _ID.match(frame)
    return found[1] if found else None


def masked(frame: str | bytes) -> str:
    """A frame for people."""
    if isinstance(frame, bytes):
        return f"{len(frame)} bytes"
    text = _addresses(frame)
    if not _suspicious(text):
        return text
    try:
        message = json.loads(text)
        shown = _without_secrets(message) if _mentions(message) else message
        return _addresses(json.dumps(shown, separators=(",", ":")))
    except (ValueError, RecursionError):
        return f"{len(frame)} characters that may hold a password"


def _addresses(text: str) -> str:
    """Without credentials: in front of the host, and behind the question mark, where signed addresses have theirs."""
    return _ADDRESS.sub(_plain, text)


def _plain(address: re.Match[str]) -> str:
    place, question, _ = address[2].partition("?")
    user, at, host = place.partition("/")[0].rpartition("@")
    path = place[len(user) + len(at) + len(host) :]
    return f"{address[1]}{MASK if at else ''}{at}{host}{path}{question}{MASK if question else ''}"


def _suspicious(text: str) -> bool:
    """Whether a secret's name may be in it: also an escape could spell one."""
    folded = text.casefold()
    return "\\u" in folded or any(name in folded for name in (*SECRET_KEYS, TYPED, *_QUOTED_ENTRIES))


def _mentions(value: Any) -> bool:
    return _suspicious(json.dumps(value, ensure_ascii=False))


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and any(secret in name.casefold() for secret in SECRET_KEYS)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if str(value.get("type")).casefold() == TYPED:
        value = {key: MASK if key == "idToken" else item for key, item in value.items()}
    nested = [inner for inner in value.values() if isinstance(inner, Mapping)]
    named = any(_is_secret(word) for one in (value, *nested) for word in one.values())
    return {key: _shown(key, item, hidden=named or _is_secret(key)) for key, item in value.items()}


def _shown(key: str, item: Any, *, hidden: bool) -> Any:
    """`hidden`: a secret's name stands beside it."""
    name = key.casefold()
    if (name in ENTRIES and isinstance(item, Mapping | list)) or name in PRIVATE:
        return MASK
    if not hidden or (key in _NAMES and not _is_secret(key)):
        return _without_secrets(item)
    return _hidden(item)


def _hidden(item: Any) -> Any:
    if isinstance(item, list):
        return [_hidden(one) for one in item]
    if isinstance(item, Mapping):
        return {key: word if key in _NAMES else _hidden(word) for key, word in item.items()}
    return item if isinstance(item, bool) or item is None else MASK
