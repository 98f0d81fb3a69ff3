"""Which way the line should go, and when it changes to another: after the answer that accepted the change has left.

Owns the moment. Refuses to know why the way is another and how settings follow from a station. What the CSMS sends
right behind its order still arrives (the official test sends a reset), and no CALL is begun that the change would cut.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_

from edged.csms.connection import Connection
from edged.csms.endpoint import ConnectionSettings
from edged.domain.station import Station

GRACE_S = 1.0
PATIENCE_S = 5.0
"""How long a CALL in flight may hold the change up."""

SettingsFor = Callable[[Station], ConnectionSettings]


class Course:
    """`follow` at every step. `settings_for` is pure; it is asked when what it looks at has changed. None: the line
    goes one way for ever."""

    def __init__(self, settings_for: SettingsFor | None) -> None:
        self._settings_for = settings_for
        self._seen: tuple[object, ...] = ()
        self._wanted: ConnectionSettings | None = None
        self._move_at_s: float | None = None
        self._isolated = False

    @property
    def moving(self) -> bool:
        """Whether the line is about to end: nothing new should be begun on it."""
        return self._move_at_s is not None

    def number(self, connection: Connection | None) -> int:
        """The number of the way that the connection goes."""
        return 0 if self._settings_for is None or connection is None else connection.settings.access

    def follow_isolation(self, station: Station, connection: Connection | None) -> None:
        """Local people have stopped OCPP, or started it again."""
        isolated = station.isolation is not None
        if connection is None or isolated == self._isolated:
            return
        self._isolated = isolated
        if isolated:
            connection.pause("OCPP was stopped by local people")
        else:
            connection.resume()

    def follow(self, station: Station, connection: Connection | None, now_s: float, *, busy: bool) -> None:
        """`busy`: a CALL waits for its answer."""
        if self._settings_for is None or connection is None:
            return
        facts = (
            station.access,
            station.certificates,
            station.client_certificates,
            station.link.alarms,
            station.clock.synchronized,
        )
        if len(self._seen) != len(facts) or not all(map(is_, facts, self._seen)):
            self._seen = facts
            self._wanted = self._settings_for(station)
        wanted, current = self._wanted, connection.settings
        if wanted is None or wanted == current:
            self._move_at_s = None
        elif wanted.same_way(current):
            connection.adopt(wanted)
        elif self._due(now_s, connected=connection.connected, busy=busy):
            self._move_at_s = None
            connection.reconnect(wanted)

    def _due(self, now_s: float, *, connected: bool, busy: bool) -> bool:
        if not connected:
            return True
        if self._move_at_s is None:
            self._move_at_s = now_s + GRACE_S
        return now_s >= self._move_at_s + (PATIENCE_S if busy else 0.0)
