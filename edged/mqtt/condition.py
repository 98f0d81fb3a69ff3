"""How it stands with the mirror itself: the part of `health` that this room can tell of its own parts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from edged.mqtt.client import LinkState
from edged.mqtt.desk import Desk
from edged.mqtt.outbox import Outbox


def condition(link: LinkState, outbox: Outbox, desk: Desk, *, raw_left_out: int, at: datetime) -> dict[str, Any]:
    """Counters since the start; `waiting`, `window_used` and `commands_in_progress` are of the moment."""
    counters, expires = outbox.counters, link.certificate_expires
    return {
        "protocol": link.version,
        "session": link.session,
        "last_error": link.error,
        "client_id_contested": link.contested,
        "subscription_refused": link.subscription_refused,
        "certificate_days": None if expires is None else (expires - at).days,
        "acked": counters.acked,
        "coalesced": counters.coalesced,
        "dropped": counters.dropped,
        "refused": counters.refused,
        "resent": counters.resent,
        "raw_dropped": counters.raw_dropped + raw_left_out,
        "waiting": outbox.depth,
        "window_used": outbox.under_way,
        "commands_executed": desk.executed,
        "commands_refused": desk.refused,
        "commands_in_progress": desk.waiting,
    }
