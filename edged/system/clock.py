"""The time of a computer without a battery clock.

Owns the rule of what the wall clock is: the system's once NTP has set it; else what the CSMS told, run on by the
monotonic clock; else the system's, but never before the last moment that is known to have been. The system clock itself
is never set. Refuses to know who stores that last moment.

Invariants: the monotonic clock decides how time passes, a step of an untrusted system clock never takes us back;
`synchronized` never becomes false again. Only learning the time can take the wall clock back: then it was wrong.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edged.domain.types import Now

log = logging.getLogger(__name__)

SYNCHRONIZED_FILE = Path("/run/systemd/timesync/synchronized")
"""Made by systemd-timesyncd at the first synchronization of this boot; the sandbox does not allow to ask the kernel."""
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""What a CSMS tells outside of these bounds is not the time."""
JITTER = timedelta(seconds=2)
"""A CSMS tells whole seconds after a delay: less than this is no news."""


def _system_utc() -> datetime:
    return datetime.now(UTC)


class SystemClock:
    """`ports.Clock`.

    `floor`: the last wall clock that the store has seen. `trust_csms` False: NTP alone makes the clock synchronized.
    """

    def __init__(
        self,
        *,
        floor: datetime | None = None,
        trust_csms: bool = True,
        synchronized_file: Path = SYNCHRONIZED_FILE,
        wall: Callable[[], datetime] = _system_utc,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic_s = monotonic_s
        self._trust_csms = trust_csms
        self._synchronized_file = synchronized_file
        self._by_ntp = False
        self._learned: tuple[datetime, float] | None = None
        self._floor = (wall(), monotonic_s())
        if floor is not None and floor > LATEST:
            log.warning("the time that was kept last cannot be: %s", floor.isoformat())
        elif floor is not None:
            self.raise_floor(floor)

    def now(self) -> Now:
        monotonic_s = self._monotonic_s()
        if self._is_set_by_ntp():
            return Now(self._wall(), monotonic_s, True)
        if self._learned is not None:
            return Now(_run_on(self._learned, monotonic_s), monotonic_s, True)
        return Now(self._untrusted(monotonic_s), monotonic_s, False)

    def learn(self, utc: datetime) -> None:
        """What the CSMS told; without effect where NTP has spoken, or where it must not count."""
        if not self._trust_csms or self._is_set_by_ntp():
            return
        if utc.tzinfo is None or not EARLIEST <= utc <= LATEST:
            log.warning("the CSMS told a time that cannot be: %s", utc.isoformat())
            return
        monotonic_s = self._monotonic_s()
        told = utc.astimezone(UTC)
        if self._learned is not None and abs(told - _run_on(self._learned, monotonic_s)) < JITTER:
            return
        before = self.now().utc
        self._learned = (told, monotonic_s)
        log.info("the CSMS told the time: %+.0f s from what was assumed", (told - before).total_seconds())

    def raise_floor(self, utc: datetime) -> None:
        """This moment has been: an untrusted clock never shows an earlier one."""
        monotonic_s = self._monotonic_s()
        if utc > _run_on(self._floor, monotonic_s):
            self._floor = (utc.astimezone(UTC), monotonic_s)

    def _untrusted(self, monotonic_s: float) -> datetime:
        """The later of the system's clock and the floor; from then on that has been."""
        utc = max(self._wall(), _run_on(self._floor, monotonic_s))
        self._floor = (utc, monotonic_s)
        return utc

    def _is_set_by_ntp(self) -> bool:
        if not self._by_ntp and self._synchronized_file.exists():
            self._by_ntp = True
            log.info("the system clock is synchronized")
        return self._by_ntp


def _run_on(moment: tuple[datetime, float], monotonic_s: float) -> datetime:
    utc, since_s = moment
    return utc + timedelta(seconds=max(0.0, monotonic_s - since_s))
