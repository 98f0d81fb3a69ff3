"""The small interfaces between the engine and the world. Each is as small as its users.

A fake implements a port; the same contract tests run against the fake and the real adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from edged.domain.effects import Effect, Lane, Record, Reply, RestartScope
from edged.domain.events import Event
from edged.domain.hardware import Action, ActionOutcome, Capability, Desired, Measurand, Observation
from edged.domain.jobs import Job
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef


class EdgedError(Exception):
    """Root of every error that a shell of edged raises on purpose.

    EdgedError
      ChargerError           a charger did not do or tell what was asked
        ChargerUnreachable   nothing, or nothing valid, came back from the wire in time
        ChargerRefused       the charger answered with an exception, or read back something else
      SettingsError          a configuration or profile is wrong (settings.py)
      StoreError             the disk did not keep what it was given
        StoreDamaged         and never will: the database itself is broken
        StoreWithheld        what is there is not for this daemon, and trying again does not help
    """


class ChargerError(EdgedError):
    """A charger did not do or tell what was asked."""


class ChargerUnreachable(ChargerError):
    """Nothing, or nothing valid, came back from the wire in time."""


class ChargerRefused(ChargerError):
    """The charger answered with an exception, or reads back something else than what was written."""


class StoreError(EdgedError):
    """The disk did not keep what it was given; nothing of the failed commit is visible."""


class StoreDamaged(StoreError):
    """The file is no longer a sound database: it must be opened anew, which sets it aside."""


class StoreWithheld(StoreError):
    """What is kept is sound and not for this daemon (a newer version's, handed over, half restored): ask a person."""


class Clock(Protocol):
    """Wall clock and monotonic clock of this boot."""

    def now(self) -> Now: ...

    def learn(self, utc: datetime) -> None:
        """The CSMS told the time: kept as an offset inside edged, the system clock is not ours to set."""


class Charger(Protocol):
    """One charging point behind a protocol. Every method may raise `ChargerError`; none hangs beyond its deadline."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def measurands(self) -> frozenset[Measurand]: ...

    @property
    def poll_interval_s(self) -> float: ...

    async def observe(self) -> Observation:
        """One snapshot, everything in it read just now."""

    async def apply(self, desired: Desired) -> None:
        """Write what differs from what the charger has, then read it back. `ChargerRefused` where it did not take."""

    async def perform(self, action: Action) -> ActionOutcome:
        """Run a one-shot action to its end and tell what the charger reports after it."""

    async def close(self) -> None:
        """Let go of the wire."""


class ChargerListener(Protocol):
    """Where a driver reports to. Called from the event loop, never blocks."""

    def observed(self, observation: Observation) -> None: ...

    def lost(self, reason: str) -> None:
        """The charger stopped answering (told once for each outage; the next `observed` ends it)."""

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None: ...


class Driver(Protocol):
    """Keeps one charging point as it should be. `want` and `perform` return at once."""

    def start(self, listener: ChargerListener) -> None: ...

    def want(self, desired: Desired) -> None: ...

    def perform(self, action: Action, ticket: str) -> None: ...

    async def stop(self) -> None: ...


class StationStore(Protocol):
    """Where one station's kept facts are durable. `commit` blocks and is called from a worker thread."""

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Any:
        """What a step wants written; falsy when nothing kept has changed. Fast."""

    def defer(self, difference: Any, now: Now) -> bool:
        """Keep it in memory for the next commit, if there is nothing in it that must not wait: then the step may be
        seen. False: it must be committed first."""

    def overdue(self, now: Now) -> bool:
        """Whether something has waited for a commit for as long as it may."""

    def commit(self, difference: Any, wall: datetime) -> None:
        """All of it and all that waits, or nothing; durable on return. Raises `StoreError`; the next commit may
        succeed."""

    def keep(self, wall: datetime, *, anyway: bool = False) -> bool:
        """Commit what waits; False: nothing does. `anyway`: then the moment alone, so that one knows whether the disk
        keeps anything. Raises `StoreError`: what waits goes on waiting."""

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        """The lane's oldest records after that number, in order; also such as wait for the disk."""


class CsmsLink(Protocol):
    """The line to the CSMS as the engine uses it. Nothing here waits; events come back through the engine's inbox."""

    def reply(self, reply: Reply, station: Station) -> None:
        """Answer the CSMS's own request."""

    def refuse(self, request: RequestRef, reason: str) -> None:
        """The request could not be carried out for a fault of ours (CALLERROR InternalError, or what the version
        has for it)."""

    def show(self, station: Station, now: Now, effects: Sequence[Effect]) -> None:
        """The station after a committed step: send what is new, tell what differs, follow changed settings."""

    async def flush(self, timeout_s: float) -> None:
        """Wait until what was answered has left, at most so long."""


class Desk(Protocol):
    """Where local requests came in and wait for their answers."""

    def answer(self, reply: Reply) -> bool:
        """An answer; False where nobody here waits for it."""

    def fail(self, request: RequestRef, reason: str) -> bool:
        """The request could not be carried out for a fault of ours; nothing has happened."""


class Mirror(Protocol):
    """Whoever watches the station: level-triggered views, told after each committed step."""

    def show(self, station: Station, now: Now) -> None: ...


class Jobs(Protocol):
    """Who does what takes long or needs the world. Both return at once; what comes of a job is an event
    (`JobStaged`, `JobDone`) in the inbox of the engine whose station commissioned it."""

    def commission(self, ticket: str, job: Job, station: Station) -> None:
        """`station`: as it is committed, for a job that shows it (an archive of logs)."""

    def abandon(self, ticket: str) -> None: ...


class Host(Protocol):
    """The computer, or the service, that edged runs on."""

    def restart(self, scope: RestartScope) -> None: ...
