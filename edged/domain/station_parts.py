"""Small parts of a station: the tokens that it knows, what it counts, and what it is cut off from. Data only.

What is marked *kept* is stored (store.records).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edged.domain.types import IdToken, IdTokenInfo, Stamp


@dataclass(frozen=True, slots=True)
class CachedToken:
    """One entry of the authorization cache (*kept*)."""

    id_token: IdToken
    info: IdTokenInfo
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ListedToken:
    """One entry of the local authorization list (*kept*)."""

    id_token: IdToken
    info: IdTokenInfo


@dataclass(frozen=True, slots=True)
class SecurityTally:
    """How often security events of one type came: `told` since `since_s` (monotonic), `withheld` of them were not."""

    since_s: float
    told: int = 0
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class WrongCodes:
    """How many wrong codes were typed in of late, the last at `last_s` (monotonic)."""

    count: int = 0
    last_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """Local people have stopped OCPP: since when, and how many records were not kept for the CSMS. `limits_gone`: the
    EVSEs (0: the station) whose local limits the CSMS knows and that have none any more."""

    since: Stamp
    not_kept: int = 0
    limits_gone: frozenset[int] = frozenset()
