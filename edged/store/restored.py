"""The one value that a restored database carries to its next start: what it is, for people. Knows no SQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime

RESTORED = "restored"
"""Among the gateway's values. The next start says it and forgets it."""


def value_of(made_at: datetime, *, messages: int, transactions: int) -> str:
    """`made_at`: of the backup; the rest: how many of each were parked."""
    moment = made_at.astimezone(UTC).isoformat(timespec="seconds")
    return json.dumps({"made_at": moment, "messages": messages, "transactions": transactions})


def sentence_of(value: str) -> str:
    """The same for people; whatever the value has become."""
    missing = "what happened after it is missing"
    try:
        told = json.loads(value)
        moment = datetime.fromisoformat(told["made_at"]).astimezone(UTC)
        messages, transactions = int(told["messages"]), int(told["transactions"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return f"it was restored from a backup: {missing}"
    said = f"it was restored from a backup of {moment:%Y-%m-%d %H:%M} UTC: {missing}"
    if not messages and not transactions:
        return said
    parked = f"{counted(messages, 'message')} and {counted(transactions, 'transaction')}"
    return f"{said}, {parked} in it are parked and not sent"


def counted(number: int, what: str) -> str:
    """A number of things, in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
