"""How often what has happened in a session. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What happened since the session was made. `late` counts every answer that nobody waited for, `unasked` those of
    them to something that was never asked, or was answered already."""

    calls_in: int = 0
    calls_out: int = 0
    results_in: int = 0
    errors_in: int = 0
    errors_out: int = 0
    timeouts: int = 0
    refused: int = 0
    late: int = 0
    unasked: int = 0
    duplicates: int = 0
    busy: int = 0
    unknown_types: int = 0
