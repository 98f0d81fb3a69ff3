"""Codes that are typed in: who guesses must wait, longer each time. 2.x C04.FR.06.

Counted for the whole station: whoever guesses may walk from one keypad to the next. A code that is right does not
forgive the others, for it may be the guesser's own; a quarter of an hour without a wrong one does.
"""

from __future__ import annotations

from edged.domain.station import Station, WrongCodes
from edged.domain.transition import Draft
from edged.domain.types import Now

FREE = 3
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0
FORGIVEN_AFTER_S = 900.0


def wait_s(station: Station, now: Now) -> float:
    """How long no code is looked at, in seconds from now; 0: not at all."""
    wrong = station.wrong_codes
    if wrong.count < FREE:
        return 0.0
    longest_s = min(FIRST_WAIT_S * 2.0 ** min(wrong.count - FREE, 16), LONGEST_WAIT_S)
    return max(0.0, wrong.last_s + longest_s - now.monotonic_s)


def note_wrong(draft: Draft) -> None:
    """Nobody has this code."""
    wrong = draft.station.wrong_codes
    forgiven = draft.now.monotonic_s - wrong.last_s >= FORGIVEN_AFTER_S
    draft.update(wrong_codes=WrongCodes(1 if forgiven else wrong.count + 1, draft.now.monotonic_s))
