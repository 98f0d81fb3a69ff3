"""How often the CSMS has refused a record, and when asking again cannot help.

Refuses to know: queues and waits. Invariant: what only may help later is never called hopeless.
"""

from __future__ import annotations

from typing import Final

from edged.domain.effects import Lane
from edged.ocpp.outbox import OutboxRow
from edged.ocpp.rpc import ErrorCode

NO_SUCH_MESSAGE: Final = frozenset({ErrorCode.NOT_IMPLEMENTED, ErrorCode.NOT_SUPPORTED})
MALFORMED: Final = frozenset({ErrorCode.FORMAT, ErrorCode.OCCURRENCE, ErrorCode.PROPERTY, ErrorCode.TYPE})
MAX_MALFORMED: Final = 5
"""A lane that is tried for ever must not wait for ever behind a message that the CSMS will never understand."""


class Refusals:
    """Of the rows that are on their way. `deaf`: the CSMS at the other end of this line has said that it has no message
    for security events; the others are not tried on it."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._deaf = False

    def opened(self) -> None:
        """Another line may be to a CSMS that was renewed."""
        self._deaf = False

    def deaf(self, row: OutboxRow) -> bool:
        """Whether the CSMS has refused all of this row's kind."""
        return self._deaf and row.lane == Lane.SECURITY.value

    def of(self, seq: int) -> int:
        return self._counts.get(seq, 0)

    def forget(self, seq: int) -> None:
        self._counts.pop(seq, None)

    def refused(self, row: OutboxRow, code: ErrorCode) -> str:
        """Once more. Why it is hopeless, or "". A transaction's record keeps all its attempts, whatever is said."""
        count = self._counts[row.seq] = self.of(row.seq) + 1
        if row.lane == Lane.TRANSACTION.value:
            return ""
        if code in NO_SUCH_MESSAGE:
            self._deaf = self._deaf or row.lane == Lane.SECURITY.value
            return "the CSMS has no such message"
        if row.lane == Lane.SECURITY.value and code in MALFORMED and count >= MAX_MALFORMED:
            return f"the CSMS finds it malformed: {code}, {count} times"
        return ""
