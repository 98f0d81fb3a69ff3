"""What becomes of a line that is lost: what the operator is told of it, and when it is opened again.

Owns: when an outage begins and ends, that each is told once and its end once with its length, the pause before the next
attempt. Refuses to know: how a line is opened, who waits for it.

Invariants: an outage ends when the line has carried an answer (a serial port already when it is there again); however
often it is tried in between, nothing more is told, unless it is something that only people can mend. A network line
that is opened and not answered over costs the same growing pause as one that says no: a charger that serves one
connection may lock itself up for a time after a dropped one (some do for up to 300 s), and each attempt may begin
that time anew. A connection that has served and is ended by the other side is no outage yet: many a server ends those
that rest, some end each after one answer. It is opened anew when somebody asks, and only if that fails it is told of.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from random import Random

from edged.chargers.line import BusSpec, LineDown, LineKind, Pipe, SerialPipe
from edged.chargers.opening import LEAST_LATENCY_MS, Trouble, latency_words

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
LONGEST_LOCKED_PAUSE_S = 60.0
"""For a line that says no, or says nothing though it is open."""
STEADY_S = 60.0
"""A line that was open so long has come back, whether anybody has answered or not."""
SINGLES_UNTIL_KNOWN = 3
RENEWALS_PER_TRIAL = 256
"""So often a connection is ended before it would be, then the other side is tried with a second request again."""


@dataclass(slots=True)
class _Outage:
    """`troubles`: the kinds that were told. `is_told_over`: that the port is there again was told; `is_relapse`: it
    went once more after that."""

    since: float
    troubles: set[Trouble] = field(default_factory=set)
    is_told_over: bool = False
    is_relapse: bool = False


class LineWatch:
    """One line. Times are `moments.moment`."""

    def __init__(self, spec: BusSpec, rng: Random) -> None:
        self.device = ""
        self.latency_timer_ms: int | None = None
        self.failures = 0
        """Openings in a row that came to nothing."""
        self.was_refused = False
        """Whether it could not be opened for a while since it was lost, so that whoever is on it may have restarted."""
        self.is_passing = False
        """Whether it is a network line whose connection has served and has ended, and that will serve the next again as
        far as anybody knows."""
        self._spec = spec
        self._rng = rng
        self._outage: _Outage | None = None
        self._may_be_locked = False
        self._answers = self._singles = self._renewals = 0
        self._opened_at = 0.0
        self._latency_told_of = ""

    @property
    def pause_s(self) -> float:
        """How long to wait before the line is opened next."""
        if self.failures == 0:
            return 0.0
        longest_s = LONGEST_LOCKED_PAUSE_S if self._may_be_locked else LONGEST_PAUSE_S
        pause_s = min(longest_s, FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 16))
        return pause_s * (1 - 0.2 * self._rng.random())

    @property
    def is_used_up(self) -> bool:
        """Whether the other side is known to end each connection after one answer, and has given this one's."""
        return self._singles >= SINGLES_UNTIL_KNOWN and self._answers > 0

    def refused(self, error: LineDown, now: float) -> None:
        """The line could not be opened."""
        self.was_refused = True
        self.is_passing = False
        self._failed(may_be_locked=error.trouble is Trouble.REFUSED)
        first = self._outage is None
        outage = self._outage = self._outage or _Outage(now)
        if first or (error.trouble.is_for_people and error.trouble not in outage.troubles):
            place = self._spec.port or self._spec.host
            log.warning("%s", error if place in str(error) else f"{self._spec} is down: {error}")
        else:
            log.debug("%s is still down: %s", self._spec, error)
        outage.troubles.add(error.trouble)

    def opened(self, pipe: Pipe, now: float) -> None:
        """It is open; that is all that is known yet."""
        self._answers = 0
        is_usual, self.is_passing = self.is_passing, False
        self._opened_at = now
        outage, place = self._outage, str(self._spec)
        if isinstance(pipe, SerialPipe):
            self.device, self.latency_timer_ms = pipe.device, pipe.latency_timer_ms
            if pipe.device not in ("", self._spec.port):
                place = f"{self._spec} (now {pipe.device})"
        if outage is None:
            log.log(logging.DEBUG if is_usual else logging.INFO, "%s is open", place)
        elif self._spec.kind is LineKind.SERIAL and not outage.is_told_over:
            outage.is_told_over = True
            log.info("%s is open again after %s", place, lasted(now - outage.since))
        else:
            log.debug("%s is open", place)
        self._tell_latency()

    def answered(self, now: float) -> None:
        """Somebody on the line has answered: it works."""
        self._answers += 1
        if self._answers > 1:
            self._singles = 0
            if self._outage is None:
                return
        self.failures = 0
        self._may_be_locked = False
        outage, self._outage = self._outage, None
        if outage is not None and (outage.is_relapse or not outage.is_told_over):
            log.info("%s works again after %s", self._spec, lasted(now - outage.since))

    def lost(self, reason: str, now: float, *, is_idle: bool = False) -> None:
        """It was open and is no longer. `is_idle`: nobody had asked anything."""
        self.was_refused = False
        fruitless = self._answers == 0
        is_network = self._spec.kind is not LineKind.SERIAL
        self.is_passing = is_network and not fruitless
        self._singles += self.is_passing and self._answers == 1
        is_usual = is_idle or now - self._opened_at < STEADY_S
        if fruitless:
            self._failed(may_be_locked=is_network)
        outage = self._outage
        if outage is not None and outage.is_told_over and now - self._opened_at >= STEADY_S:
            outage = self._outage = None
        if outage is not None:
            outage.is_relapse = outage.is_told_over
            log.debug("%s was lost again: %s", self._spec, reason)
        elif self.is_passing and is_usual:
            log.debug("%s was lost, and is opened for the next request: %s", self._spec, reason)
        else:
            self._outage = _Outage(now, {Trouble.GONE})
            log.warning("%s was lost: %s%s", self._spec, reason, self._advice(fruitless=fruitless))

    def renewed(self) -> None:
        """It was used up, and we have ended it."""
        self.is_passing = True
        self._renewals += 1
        if self._renewals % RENEWALS_PER_TRIAL == 0:
            self._singles -= 1

    def _advice(self, *, fruitless: bool) -> str:
        if self._spec.kind is LineKind.SERIAL:
            return ""
        if not fruitless:
            return "; edged connects again by itself"
        return (
            ", before anything was answered: end other clients of this device (many serve one only), or wait, since "
            "some lock themselves up for minutes after a drop; edged tries ever more rarely, at last once a minute"
        )

    def _failed(self, *, may_be_locked: bool) -> None:
        self.failures += 1
        self._may_be_locked = may_be_locked

    def _tell_latency(self) -> None:
        """Once for each device that a line is opened as."""
        timer_ms = self.latency_timer_ms
        if timer_ms is None or timer_ms <= LEAST_LATENCY_MS or self._latency_told_of == self.device:
            return
        self._latency_told_of = self.device
        spec = self._spec
        words = latency_words(self.device, timer_ms, character_s=spec.character_s, silence_s=spec.silence_s)
        log.warning("%s: %s", spec, words)


def lasted(seconds: float) -> str:
    """A length of time as a person says it."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
