"""What became of the questions that somebody who probes a charger has asked.

Owns the counting, whichever language was spoken. Refuses to know: what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from edged.chargers.line import LineDown
from edged.chargers.modbus import ExceptionReply, NoAnswer
from edged.ports import ChargerError


@dataclass(slots=True, kw_only=True)
class Counts:
    """How many questions came to what; `round_trips_s` of those that were answered, by a refusal too."""

    requests: int = 0
    refused: int = 0
    timeouts: int = 0
    damaged: int = 0
    hang_ups: int = 0
    round_trips_s: list[float] = field(default_factory=list)

    def note(self, error: ChargerError | None, *, refused: bool = False, round_trip_s: float | None) -> None:
        """One question. `refused`: a reply without an error that says no; `round_trip_s` None: nobody answered."""
        self.requests += 1
        match error:
            case None:
                self.refused += refused
            case ExceptionReply():
                self.refused += 1
            case LineDown():
                self.hang_ups += 1
            case NoAnswer():
                self.timeouts += 1
            case _:
                self.damaged += 1
        if round_trip_s is not None:
            self.round_trips_s.append(round_trip_s)

    @property
    def spread_s(self) -> tuple[float, float, float]:
        """Least, median and greatest round trip. Only where something was answered."""
        return min(self.round_trips_s), median(self.round_trips_s), max(self.round_trips_s)
