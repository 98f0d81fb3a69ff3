"""OCPP frames for people who look on: what of a frame may be shown, and how many in a while. Pure.

Passwords, addresses and people are masked as in a log (`ocpp.masking`); here id tokens are shown under the policy too,
for the broker has more readers than the log. Invariants: a frame that cannot be read is not shown but counted · what is
left out for the rate or the size is counted. What a vendor puts into a DataTransfer is gone through where it is JSON,
and is shown as it is where it is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.domain.types import IdToken
from edged.mqtt.ledger import RateLimit
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.privacy import shown_token
from edged.ocpp.masking import MASK, masked

MAX_FRAME_CHARS: Final = 16 * 1024
"""A longer frame is cut: its beginning says what it was."""
MAX_READ_CHARS: Final = 128 * 1024
RATE_PER_S: Final = 20.0
BURST: Final = 200
TOKENS: Final = frozenset({"idtag", "parentidtag", "idtoken", "groupidtoken", "additionalidtoken"})
"""Members that are a token where they are a text, in small letters."""
_SECRET_WORDS: Final = ("password", "passwd", "secret", "credential", "privatekey", "private_key", "apikey", "api_key")
_TOKEN_KEYS: Final = frozenset({"masterpassgroupid"})
_SEALED: Final = frozenset({"exirequest", "exiresponse"})
"""Carry a vehicle's contract, private key included."""
_NAMES: Final = ("key", "name")
_PEOPLE: Final = "NotifyCustomerInformation"


class RawFrames:
    """`take` gives a frame's document, None where it is left out. `salt` as for `privacy.shown_token`."""

    def __init__(self, policy: IdTokenPolicy, *, salt: str) -> None:
        self.left_out = 0
        self._policy = policy
        self._salt = salt
        self._rate = RateLimit(rate_per_s=RATE_PER_S, burst=BURST)

    def take(self, station: str, frame: str | bytes, now_s: float) -> Mapping[str, Any] | None:
        if len(frame) > MAX_READ_CHARS or not self._rate.allow(station, now_s):
            self.left_out += 1
            return None
        try:
            message = json.loads(masked(frame))
            shown = self._shown(message)
            text = json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
            redacted = shown != json.loads(frame)
        except (ValueError, RecursionError):
            self.left_out += 1
            return None
        return {"frame": text[:MAX_FRAME_CHARS], "cut": len(text) > MAX_FRAME_CHARS, "redacted": redacted}

    def _shown(self, message: Any) -> Any:
        if isinstance(message, list) and len(message) > 3 and message[2] == _PEOPLE and isinstance(message[3], dict):
            message = [*message[:3], {**message[3], "data": MASK}, *message[4:]]
        return self._walk(message)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, str):
            return MASK if "PRIVATE KEY" in value else value
        if not isinstance(value, Mapping):
            return value
        own = [value, *(inner for inner in value.values() if isinstance(inner, Mapping))]
        names = [word for one in own for name in _NAMES if isinstance(word := one.get(name), str)]
        secret = any(map(_is_secret, names))
        token = any(name.casefold() in _TOKEN_KEYS for name in names)
        return {key: self._member(key, item, secret=secret, token=token) for key, item in value.items()}

    def _member(self, key: str, item: Any, *, secret: bool, token: bool) -> Any:
        """`secret`, `token`: the object speaks of a variable that holds one."""
        name = key.casefold()
        if name in TOKENS:
            return self._replaced(item, self._token)
        if name in _SEALED or _is_secret(key):
            return self._replaced(item, _mask)
        if (secret or token) and "value" in name:
            return self._replaced(item, self._token if token else _mask)
        if (secret or token) and name == "variableattribute" and isinstance(item, list):
            return [self._member("value", one, secret=secret, token=token) for one in item]
        if name == "data" and isinstance(item, str) and item.lstrip()[:1] in ("{", "["):
            return self._nested(item)
        return self._walk(item)

    def _replaced(self, item: Any, by: Callable[[str], Any]) -> Any:
        """Every text in it; what says the kind of a token stays."""
        if isinstance(item, str):
            return by(item)
        if isinstance(item, list):
            return [self._replaced(one, by) for one in item]
        if isinstance(item, Mapping):
            return {key: one if key in ("type", "mutability") else self._replaced(one, by) for key, one in item.items()}
        return item

    def _token(self, value: str) -> Any:
        return shown_token(IdToken(value), self._policy, salt=self._salt) if value and value != MASK else value

    def _nested(self, text: str) -> str:
        """JSON within a text."""
        try:
            return json.dumps(self._walk(json.loads(text)), separators=(",", ":"), ensure_ascii=False)
        except (ValueError, RecursionError):
            return text


def _mask(_text: str) -> str:
    return MASK


def _is_secret(name: str) -> bool:
    folded = name.casefold()
    return any(word in folded for word in _SECRET_WORDS)
