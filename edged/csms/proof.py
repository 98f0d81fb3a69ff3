"""Whether the CSMS has said a word on this line: that proves the way by which it came about, the line alone does not.
Where there are ways to other places, a CSMS that rejects the station proves nothing: it may be the wrong one.

Owns the number of the way with which the line was opened. Told once a line, and only where a way is on trial.
"""

from __future__ import annotations

from collections.abc import Callable

from edged.domain import routes
from edged.domain.events import Event, LinkProven, Registration
from edged.domain.station import Station
from edged.ocpp.rpc import FrameRefused


class Proof:
    """`post` takes the event to the core."""

    def __init__(self, post: Callable[[Event], bool]) -> None:
        self.number = 0
        self._post = post
        self._told = False

    def opened(self, number: int) -> None:
        """A new line, and the way that it has come."""
        self.number, self._told = number, False

    def heard(self, event: object, station: Station, registration: Registration | None) -> None:
        """A frame of the CSMS, and what it last said of the station (None: nothing in this version); one that cannot be
        understood proves nothing."""
        doubted = station.access.former is not None or station.access.attempts > 0
        if self._told or not doubted or isinstance(event, FrameRefused):
            return
        if registration is Registration.REJECTED and routes.roaming(station):
            return
        self._told = True
        self._post(LinkProven(self.number))
