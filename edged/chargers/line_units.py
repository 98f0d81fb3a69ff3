"""Who is on a line, who of them is alive, and who may be asked when.

Owns: the units' health, the budget for those that do not answer, whether the line itself may be dead.
Refuses to know: what is asked, who is next (the queue), how a request is done (the wire). Times are moments of the
caller.

Invariants: a unit whose last request failed is asked for anything but a command or a keep-alive at most once a cycle
and at most a `DEAD_BUDGET`th of the time, while anybody else is online; dead, it is asked at most once per back-off
interval, and everything else fails at once; after a request that was not answered, no other request that its late
reply could be taken for is sent to that unit while the reply may still come.
"""

from __future__ import annotations

import math
from random import Random

from edged.chargers.job_queue import Job, Priority
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import CrcError, NoAnswer
from edged.chargers.unit_health import UnitHealth, UnitState
from edged.ports import ChargerUnreachable

DEAD_BUDGET = 5
SHORTEST_PROBE_INTERVAL_S = 1.0
FEWEST_SILENCES, MOST_SILENCES = 3, 48
LONGEST_SILENCE_S = 120.0
"""A network connection over which nobody has answered for so long is opened anew: some chargers take one and never
serve it (they lock themselves up after a drop), and silent units are asked too seldom for counting to find that out."""
SPAN_WEIGHT = 0.1
FIRST_LIFE_S, LONGEST_LIFE_S = 60.0, 3600.0
"""A server that ends its connections again and again is no charger that restarts again and again: what is written at
the beginning of a session wears out its memory."""


class LineUnits:
    """The units of one line, known from the first time that they are named."""

    def __init__(self, spec: BusSpec, rng: Random) -> None:
        self.known: dict[int, UnitHealth] = {}
        self._rng = rng
        self._fixed_timeout_s = spec.timeout_s
        self._is_network = spec.kind is not LineKind.SERIAL
        self._replies_are_anonymous = spec.kind is not LineKind.TCP
        self._next_probe_at = 0.0
        self._silences = 0
        self._silences_allowed = FEWEST_SILENCES
        self._silent_since = self._silent_until = 0.0
        self._span_s = 0.0
        self._reborn_at = -math.inf
        self._life_s = FIRST_LIFE_S

    def unit(self, unit_id: int) -> UnitHealth:
        """Raises `ValueError` where it is no unit id."""
        if unit_id not in self.known:
            if not 0 <= unit_id <= 255:
                raise ValueError(f"unit id {unit_id} is outside 0..255")
            self.known[unit_id] = UnitHealth(
                self._rng, fixed_timeout_s=self._fixed_timeout_s, is_network=self._is_network
            )
        return self.known[unit_id]

    @property
    def cycle_s(self) -> float:
        """How long one request of everyone who is not dead takes, as requests take on this line; 0 before the first."""
        return self._span_s * sum(unit.state is not UnitState.DEAD for unit in self.known.values())

    @property
    def is_anybody_online(self) -> bool:
        return any(unit.state is UnitState.ONLINE for unit in self.known.values())

    # --- before a request

    def ready_at(self, job: Job) -> float:
        """When the job's unit may be asked for it, as far as that unit and the budget are concerned.

        A repetition need not wait for the late reply of its twin, which carries the same registers.
        """
        unit = self.known[job.unit_id]
        at = unit.ready_at
        if job.failed is None:
            if unit.owes_until:
                at = max(at, unit.owes_until.get(job.request.function, 0.0))
            if unit.failures and unit.state is UnitState.SUSPECT and self._must_spend(job, unit):
                at = max(at, self._next_probe_at)
        return at

    def check(self, job: Job, now: float) -> None:
        """Raises `NoAnswer` for a dead unit that is not due for a try. A command always is."""
        unit = self.known[job.unit_id]
        if unit.state is not UnitState.DEAD or job.priority <= Priority.COMMAND:
            return
        if now < unit.retry_at:
            raise NoAnswer(f"unit {job.unit_id} is silent, next try in {unit.retry_at - now:.0f} s")

    def spend(self, job: Job, now: float) -> None:
        """The request begins. Raises `NoAnswer` where the unit is dead and another one has just been tried."""
        unit = self.known[job.unit_id]
        if not self._must_spend(job, unit):
            return
        if unit.state is UnitState.DEAD and now < self._next_probe_at:
            raise NoAnswer("the unit is silent, and another silent one has just been tried")
        self._next_probe_at = now + max(SHORTEST_PROBE_INTERVAL_S, DEAD_BUDGET * unit.timeout_s, self.cycle_s)

    def _must_spend(self, job: Job, unit: UnitHealth) -> bool:
        """With nobody else alive there is nothing to save; who has not been asked yet is not known to be silent."""
        if unit.state is UnitState.ONLINE or unit.failures == 0 or job.failed is not None:
            return False
        urgent = Priority.COMMAND if unit.state is UnitState.DEAD else Priority.KEEP_ALIVE
        return job.priority > urgent and self.is_anybody_online

    # --- after a request

    def took(self, seconds: float) -> None:
        """A transaction held the line for so long, the pause behind it included."""
        self._span_s += SPAN_WEIGHT * (seconds - self._span_s) if self._span_s else seconds

    def proved_alive(self, *, by_answer: bool) -> None:
        """Something valid came: the line works. `by_answer`: it was no refusal."""
        self._silences = 0
        if by_answer:
            self._silences_allowed = FEWEST_SILENCES

    def failed(self, job: Job, now: float) -> bool:
        """No valid frame came; whether that makes the unit dead who was not."""
        if self._silences == 0:
            self._silent_since = now
        self._silent_until = now
        self._silences += 1
        if job.forgiving:
            return False
        unit = self.known[job.unit_id]
        was_dead = unit.state is UnitState.DEAD
        unit.failed(now)
        return unit.state is UnitState.DEAD and not was_dead

    def count(self, job: Job, error: ChargerUnreachable) -> None:
        unit = self.known[job.unit_id]
        if isinstance(error, CrcError):
            unit.crc_errors += 1
        elif isinstance(error, NoAnswer):
            unit.timeouts += 1
        else:
            unit.protocol_errors += 1

    def expect_late_reply(self, job: Job, now: float) -> None:
        """Of two requests with the same function (of a repeated one, too) the later could get the earlier's reply.

        On Modbus TCP it could not: a reply names its request.
        """
        if self._replies_are_anonymous:
            unit = self.known[job.unit_id]
            unit.owes_until[job.request.function] = now + unit.late_limit_s

    def is_half_open(self) -> bool:
        """Whether a network connection may be dead without anybody having told us: nothing came from any unit."""
        if not self._is_network or self._silences < FEWEST_SILENCES or self.is_anybody_online:
            return False
        if self._silences < self._silences_allowed and self._silent_until - self._silent_since < LONGEST_SILENCE_S:
            return False
        self._silences_allowed = min(MOST_SILENCES, 2 * self._silences_allowed)
        return True

    def line_opened(self, now: float, *, is_again: bool, was_refused: bool) -> None:
        """`was_refused`: it could not be opened for a while, so that silence was the line's fault."""
        if is_again and self._is_new_life(now, was_refused):
            for unit in self.known.values():
                unit.line_reopened(forgiven=self._silences == 0 or was_refused)
        self._silences = 0

    def _is_new_life(self, now: float, was_refused: bool) -> bool:
        """Whether the units may be other than they were. After a connection that served, was ended and could be opened
        at once, that is believed ever more seldom: at last once in `LONGEST_LIFE_S`."""
        may_be_habit = self._is_network and not was_refused and self._silences == 0
        age_s = now - self._reborn_at
        if may_be_habit and age_s < self._life_s:
            return False
        goes_on = may_be_habit and age_s < 4 * self._life_s
        self._life_s = min(LONGEST_LIFE_S, 2 * self._life_s) if goes_on else FIRST_LIFE_S
        self._reborn_at = now
        return True
