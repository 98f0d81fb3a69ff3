"""What a SecurityError may mean: that the CSMS has not accepted this station, or that it refuses this one message.

Owns how often it is believed to mean the first (16-BOOT-06): once for a record, so that none blocks its queue for ever,
and for everything else once until a heartbeat is answered. At most one entry a lane.
"""

from __future__ import annotations

from edged.csms.items import Item, RowItem

ANYTHING_ELSE = 0


class Doubts:
    """Keeps what has been believed."""

    def __init__(self) -> None:
        self._believed: set[int] = set()

    def believe(self, item: Item | RowItem, *, sure: bool) -> bool:
        """Whether the station is not accepted. `sure`: it is known not to be; then nothing is used up."""
        if sure:
            return True
        about = item.row.seq if isinstance(item, RowItem) else ANYTHING_ELSE
        if about in self._believed:
            return False
        self._believed.add(about)
        return True

    def settle(self, seq: int = ANYTHING_ELSE) -> None:
        """The CSMS has taken it, or it is given up."""
        self._believed.discard(seq)
