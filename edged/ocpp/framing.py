"""OCPP-J frames as text: what JSON must not smuggle in, and what a message's shape must be.

Owns: reading hostile text into plain values with its flaws named, writing ours.
Refuses to know: sessions, error codes, versions.
"""

from __future__ import annotations

import json
import math
import re
from hashlib import blake2b
from typing import Any, Final

MAX_ID_LENGTH: Final = 36  # 16-J-21, 20-J-02
MAX_ACTION_LENGTH: Final = 64
MAX_TEXT_LENGTH: Final = 255
MAX_DEPTH: Final = 32
_MAX_NUMBER_LENGTH: Final = 40
_ESCAPED_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class LocalProtocolError(AssertionError):
    """This program broke the protocol's rules: a bug, never the peer's doing."""


def usable_id(message_id: Any) -> bool:
    """Whether an id may be kept and answered: text of 1 to 36 printable characters."""
    return isinstance(message_id, str) and 1 <= len(message_id) <= MAX_ID_LENGTH and message_id.isprintable()


def call_flaw(message: list[Any]) -> str | None:
    """What is wrong with the shape of a CALL."""
    if len(message) != 4:
        return "a CALL has four elements"
    action, payload = message[2:]
    if not isinstance(action, str) or not 1 <= len(action) <= MAX_ACTION_LENGTH:
        return "the action is not a name"
    return None if isinstance(payload, dict) else "the payload is not an object"


def decode(frame: str) -> tuple[Any, str | None]:
    """Parse; also tell what JSON lets through but no message may hold. ValueError, RecursionError: not JSON at all."""
    flaws: list[str] = []

    def constant(_name: str) -> float:
        flaws.append("NaN and Infinity are not JSON")
        return 0.0

    def integer(digits: str) -> int:
        # 64 bits is what the store can keep; the length comes first, a long number is expensive to convert.
        if len(digits) <= _MAX_NUMBER_LENGTH and -(2**63) <= (number := int(digits)) < 2**63:
            return number
        flaws.append("a number is out of range")
        return 0

    def real(digits: str) -> float:
        if math.isfinite(number := float(digits)):
            return number
        flaws.append("a number is out of range")
        return 0.0

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            flaws.append("a key appears twice")
        return value

    message = json.loads(frame, parse_constant=constant, parse_int=integer, parse_float=real, object_pairs_hook=members)
    if _deeper_than(message, MAX_DEPTH):
        flaws.append("nested too deep")
    elif _ESCAPED_SURROGATE.search(frame):
        try:
            json.dumps(message, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            flaws.append("half a surrogate pair is not text")
    return message, flaws[0] if flaws else None


def _deeper_than(message: Any, limit: int) -> bool:
    level = [message] if isinstance(message, dict | list) else []
    for _ in range(limit):
        children = (child for item in level for child in (item.values() if isinstance(item, dict) else item))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def digest_of(content: list[Any]) -> bytes:
    """Equal for equal JSON values, whatever their keys' order and white space were."""
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).digest()


def shown(text: str) -> str:
    """The peer's text, fit for a log: bounded, on one line."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_TEXT_LENGTH])


def encode(message: list[Any]) -> str:
    """Our frame as text, ASCII only. `LocalProtocolError`: a value that JSON does not know."""
    try:
        return json.dumps(message, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"not expressible as JSON: {type(error).__name__}") from error
