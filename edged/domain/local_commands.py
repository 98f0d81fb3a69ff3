"""What only local people can tell a station: nothing that a CSMS has words for. Part of `commands`; data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edged.domain.types import RequestRef


@dataclass(frozen=True, slots=True)
class StopOcpp:
    """Say nothing to the CSMS any more, and keep nothing new for it (`isolation`)."""

    request: RequestRef


@dataclass(frozen=True, slots=True)
class RestartOcpp:
    """Speak to the CSMS again."""

    request: RequestRef


@dataclass(frozen=True, slots=True)
class MonitorConfiguration:
    """Watch these keys from now on, beside those that are watched already."""

    request: RequestRef
    keys: tuple[str, ...]


class LockWish(StrEnum):
    LOCKED = "locked"  # closed, and kept so whoever comes
    UNLOCKED = "unlocked"  # open now; the next driver's session closes it as ever
    AUTO = "auto"  # as sessions want it


@dataclass(frozen=True, slots=True)
class SetLock:
    request: RequestRef
    connector: int
    wish: LockWish


@dataclass(frozen=True, slots=True)
class ClearFault:
    request: RequestRef
    connector: int


LocalCommand = StopOcpp | RestartOcpp | MonitorConfiguration | SetLock | ClearFault
