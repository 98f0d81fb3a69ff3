"""What a station remembers of its own past: the resets of late, and each connector's last fault. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from edged.domain.commands import ResetKind
from edged.domain.hardware import FaultCode
from edged.domain.types import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class PastReset:
    """A reset that was begun. `ran_s`: for how long the station had run by then, in all its runs. `source`: the channel
    it was ordered by; empty where that is not known any more. `evse` None: of the whole station."""

    at: Stamp
    ran_s: float
    kind: ResetKind
    source: str = ""
    evse: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastResets:
    """Those that may still count, in order."""

    resets: tuple[PastReset, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFault:
    """The last fault that a connector had. `cleared` None: it has it still."""

    code: FaultCode
    vendor_code: str = ""
    info: str = ""
    since: Stamp
    cleared: Stamp | None = None
