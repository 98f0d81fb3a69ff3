"""What a display is to show: messages of the CSMS, and what a session costs. Data only. 2.x O and I."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edged.domain.types import PersonalMessage


class MessagePriority(StrEnum):
    ALWAYS_FRONT = "AlwaysFront"  # nothing else is shown
    IN_FRONT = "InFront"  # before the normal ones; several take turns
    NORMAL = "NormalCycle"


class MessageState(StrEnum):
    """While a message is to be shown."""

    CHARGING = "Charging"
    FAULTED = "Faulted"
    IDLE = "Idle"
    UNAVAILABLE = "Unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessage:
    """One message (*kept*). `state` None: always; `starts_at`/`ends_at` None: from now, without end. With a
    `transaction_id` it is that transaction's and goes with it."""

    id: int
    priority: MessagePriority
    content: PersonalMessage
    state: MessageState | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a session costs, as its driver is told. `message`: the tariff, or what the CSMS said last; `total`: in the
    configured currency; `final`: no more will follow."""

    transaction_id: str | None = None
    message: PersonalMessage | None = None
    total: float | None = None
    final: bool = False
