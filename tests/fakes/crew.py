"""Who does a station's jobs in virtual time: they succeed, fail, stall, tell how far they are, and die with the daemon.

What outlives the daemon is the site's: the hook that installs firmware, which is a unit of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from edged.domain.events import Event, JobDone, JobStaged
from edged.domain.jobs import (
    Cause,
    ChainFits,
    CheckChain,
    CheckSigner,
    Done,
    Failed,
    Fetched,
    FetchFirmware,
    InstallFirmware,
    Job,
    MakeRequest,
    Outcome,
    ReadRoot,
    RequestMade,
    RootRead,
    SendLog,
    Stage,
    VerifyFirmware,
)
from edged.domain.station import Station
from tests.fakes.certificates import chain_of, root_of

if TYPE_CHECKING:
    from tests.fakes.world import World

MAX_AT_ONCE = 8
"""One update, one signer, one upload, four certificates and one new key."""


@dataclass
class Hook:
    """The site's installer. `ends`: when each file's installation is over and how; lives through everything but a
    power cut in its middle."""

    world: World
    ends: dict[str, tuple[float, Outcome]] = field(default_factory=dict)
    sins: list[str] = field(default_factory=list)

    def begin(self, file: str, seconds: float, outcome: Outcome) -> None:
        if file in self.ends:
            self.sins.append("a file was installed twice")
        self.ends[file] = (self.world.elapsed_s + seconds, outcome)

    def power_cut(self) -> None:
        now_s = self.world.elapsed_s
        for file, (end_s, _) in self.ends.items():
            if end_s > now_s:
                self.ends[file] = (now_s, Failed("the power went"))


class Crew:
    """Implements `ports.Jobs` for one process."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(f"crew {world.seed} {world.boots}")
        self.running: dict[str, Job] = {}
        self.told_at_s: dict[str, float] = {}
        self.dead = False

    def commission(self, ticket: str, job: Job, station: Station) -> None:
        self.world.instruction()
        assert ticket not in self.running and ticket not in self.told_at_s, "a ticket was given twice"
        self.running[ticket] = job
        assert len(self.running) <= MAX_AT_ONCE, f"too many jobs at once: {list(self.running.values())}"
        self._begin(ticket, job)

    def abandon(self, ticket: str) -> None:
        self.world.instruction()
        self.running.pop(ticket, None)

    # --- how it goes

    def _begin(self, ticket: str, job: Job) -> None:
        chance, uniform = self.random.random(), self.random.uniform
        match job:
            case FetchFirmware():
                seconds = uniform(120, 400) if chance < 0.1 else uniform(2, 30)
                if chance > 0.7:
                    self._stage(ticket, Stage.PAUSED, seconds * 0.3)
                    self._stage(ticket, Stage.RESUMED, seconds * 0.6)
            case InstallFirmware():
                self._install(ticket, job)
                return
            case SendLog():
                seconds = uniform(120, 400) if chance < 0.1 else uniform(1, 25)
            case _:
                seconds = uniform(0.2, 12)
        self._end(ticket, seconds, self._outcome(job))

    def _install(self, ticket: str, job: InstallFirmware) -> None:
        hook, world = self.world.hook, self.world
        if not job.resume:
            seconds = self.random.uniform(2, 40)
            hook.begin(job.file, seconds, self._some(Done(), 0.6, Cause.VERIFICATION, Cause.OTHER))
            if self.random.random() < 0.3:
                self._stage(ticket, Stage.REBOOTING, seconds)
                hook.ends[job.file] = (world.elapsed_s + seconds, hook.ends[job.file][1])
                self._later(seconds + 0.5, lambda: world.die(power=True))
                return
        if job.file not in hook.ends:
            self._end(ticket, 0.5, Failed("it was never begun"))
            return
        end_s, _ = hook.ends[job.file]
        self._later(max(0.3, end_s - world.elapsed_s), lambda: self._done(ticket, hook.ends[job.file][1]))

    def _outcome(self, job: Job) -> Outcome:
        world = self.world
        now = world.true_utc()
        match job:
            case CheckSigner():
                return _judged(job.certificate)
            case FetchFirmware():
                return self._some(Fetched(f"firmware-{job.order.key}", 100, "00"), 0.8, *Cause)
            case VerifyFirmware():
                return _judged(job.order.signature)
            case SendLog():
                return self._some(Done(), 0.6, *Cause)
            case ReadRoot():
                if job.signed_by and "signed" not in job.pem:
                    return Failed("not signed by the present root", Cause.INVALID)
                judged = _judged(job.pem)
                return RootRead(root_of(job.pem, job.use, now)) if isinstance(judged, Done) else judged
            case MakeRequest():
                world.keys_made += 1
                made = RequestMade(f"key-{world.keys_made}", f"request for key-{world.keys_made}")
                return self._some(made, 0.9, Cause.OTHER)
            case CheckChain():
                key = next((key for key in job.keys if key.key_id in job.chain.split()), None)
                judged = _judged(job.chain)
                if key is None or isinstance(judged, Failed):
                    return Failed("no chain for a key of ours", Cause.INVALID)
                begins = now + timedelta(seconds=self.random.choice((-600, -600, 100)))
                return ChainFits(chain_of(key.key_id, key.requested_at, begins.replace(microsecond=0), job.chain))
            case InstallFirmware():
                raise AssertionError("the hook knows")
            case _:
                assert_never(job)

    def _some(self, outcome: Outcome, how_often: float, *causes: Cause) -> Outcome:
        if self.random.random() < how_often:
            return outcome
        return Failed("it did not work", self.random.choice(causes))

    # --- what is told

    def _stage(self, ticket: str, stage: Stage, after_s: float) -> None:
        self._later(after_s, lambda: self._tell(ticket, JobStaged(ticket, stage)))

    def _end(self, ticket: str, after_s: float, outcome: Outcome) -> None:
        self._later(after_s, lambda: self._done(ticket, outcome))

    def _later(self, after_s: float, what: Callable[[], None]) -> None:
        def do() -> None:
            if not self.dead:
                what()

        self.world.later(after_s, do)

    def _done(self, ticket: str, outcome: Outcome) -> None:
        if ticket in self.running:
            self._tell(ticket, JobDone(ticket, outcome))

    def _tell(self, ticket: str, event: Event) -> None:
        if ticket not in self.running:
            return
        if isinstance(event, JobDone):
            del self.running[ticket]
            self.told_at_s[ticket] = self.world.elapsed_s
        self.world.guard(lambda: self.world.engine.post(event))


def _judged(text: str) -> Done | Failed:
    """A word in the text says what a judge would find."""
    if "revoked" in text:
        return Failed("it is revoked", Cause.REVOKED)
    if "broken" in text:
        return Failed("it cannot be looked at", Cause.OTHER)
    return Done() if "good" in text else Failed("it is not valid", Cause.INVALID)


__all__ = ["Crew", "Hook"]
