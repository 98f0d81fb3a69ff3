"""What a running daemon knows already, by its control socket: it is asked for its status and for nothing else.

What it says may come from another release, so every member may be missing or of another kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 3.0


class Presence(StrEnum):
    """FORBIDDEN: it listens, and not to this user. SILENT: something listens and tells nothing."""

    RUNNING = "running"
    ABSENT = "absent"
    FORBIDDEN = "forbidden"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """`problem`: why nothing is known of it. `asked_at`: when the status was told."""

    presence: Presence = Presence.ABSENT
    status: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    asked_at: datetime | None = None

    @property
    def runs(self) -> bool:
        return self.presence is Presence.RUNNING

    @property
    def may_run(self) -> bool:
        """Not known to be away: whatever only one may do is not done."""
        return self.presence is not Presence.ABSENT

    @property
    def buses(self) -> Mapping[str, Mapping[str, Any]]:
        return {
            str(name): told for name, told in mapping(self.status.get("buses")).items() if isinstance(told, Mapping)
        }

    @property
    def mqtt(self) -> Mapping[str, Any]:
        return mapping(self.status.get("mqtt"))

    @property
    def stations(self) -> tuple[Mapping[str, Any], ...]:
        found = self.status.get("stations")
        return tuple(each for each in found if isinstance(each, Mapping)) if isinstance(found, list) else ()

    def station(self, identity: str) -> Mapping[str, Any]:
        return next((each for each in self.stations if each.get("id") == identity), {})

    @property
    def clock(self) -> tuple[datetime, bool] | None:
        """The time by which it goes, and whether it trusts that."""
        for station in self.stations:
            told = mapping(station.get("clock"))
            try:
                utc = datetime.fromisoformat(str(told.get("utc")))
            except ValueError:
                continue
            if utc.tzinfo is not None:
                return utc.astimezone(UTC), told.get("synchronized") is True
        return None


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def ask_daemon(control: Path) -> Daemon:
    """One question, answered or given up within `PATIENCE_S`."""
    from edged.local.client import ControlClient, ControlError, ControlUnreachable

    try:
        with ControlClient(control, timeout_s=PATIENCE_S) as client:
            reply = client.request("status")
    except ControlUnreachable as error:
        forbidden = isinstance(error.__cause__, PermissionError)
        return Daemon(presence=Presence.FORBIDDEN if forbidden else Presence.ABSENT, problem=str(error))
    except ControlError as error:
        return Daemon(presence=Presence.SILENT, problem=str(error))
    status = reply.get("result")
    if not isinstance(status, dict):
        return Daemon(presence=Presence.SILENT, problem=f"what listens on {control} does not tell its state")
    return Daemon(presence=Presence.RUNNING, status=status, asked_at=datetime.now(UTC))
