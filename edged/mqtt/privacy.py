"""How a driver's token is shown to readers of MQTT: RFID numbers are personal data. Pure."""

from __future__ import annotations

import hashlib
from typing import assert_never

from edged.domain.types import IdToken
from edged.mqtt.options import IdTokenPolicy


def shown_token(token: IdToken | None, policy: IdTokenPolicy, *, salt: str) -> str | None:
    """The token under the policy. `salt` (the gateway's id) keeps digests of two sites from being compared; a digest
    still only hides a number from the casual reader, for there are few enough numbers to try them all. A code that was
    typed in is shown under no policy."""
    if token is None:
        return None
    if token.secret:
        return None if policy is IdTokenPolicy.NONE else token.masked()
    match policy:
        case IdTokenPolicy.MASKED:
            return token.masked()
        case IdTokenPolicy.FULL:
            return token.value
        case IdTokenPolicy.HASH:
            return hashlib.sha256(f"{salt}/{token.folded}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
        case IdTokenPolicy.NONE:
            return None
        case _:
            assert_never(policy)
