"""A station's name as one plain word, for whatever cannot hold an OCPP identity as it is.

Owns how an identity becomes a word. Refuses to know where the word is written.
Invariant: the word depends on the identity alone, never on which other stations there are. Two identities can have one
word only where one was made to look like the other's, or where 32 bits of a digest are the same: who reads the
stations of a gateway refuses both.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

SLUG_CHARS: Final = 64
_NOT_SLUG = re.compile(r"[^A-Za-z0-9_-]")


def slug_of(identity: str) -> str:
    """1 to 64 letters, digits, `_` and `-` for an OCPP identity, which may contain `+ # /`.

    An identity that fits is its own slug. Any other gets a digest behind it, for `a/b` is not `a-b`.
    """
    plain = _NOT_SLUG.sub("-", identity)
    if identity and plain == identity and len(identity) <= SLUG_CHARS:
        return identity
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: SLUG_CHARS - 9]}-{digest}"
