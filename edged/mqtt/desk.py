"""The desk: takes checked requests in and sees to it that each gets exactly one answer.

No transport and no clock of its own: MQTT and the control socket each have a desk, `now` is an argument. Owns what is
in progress, repetition, rate and time-outs. Refuses to decide: a command becomes a domain event for the station's
engine or a question for the store, or is answered from the station as it is.

Invariants: one answer a request, within its command's time-out · a request with an id that was answered is never
carried out again · what the engine answers after the time-out is remembered for a repetition, and not sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.journal import TransferEntry
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef
from edged.mqtt.commands import Code, Command, Envelope, Problem, Refusal, reply_body
from edged.mqtt.conversion import (
    Answer,
    Ask,
    LookUp,
    encode_result,
    interpret,
    list_transfers,
    nothing_happened,
)
from edged.mqtt.ledger import KeptReply, Key, MemoryReplies, RateLimit, ReplyCache, ReplyStore
from edged.mqtt.topics import Shown
from edged.ports import StoreError

log = logging.getLogger(__name__)

LATE_S = 600.0
"""How long the engine may take before its answer is not waited for any more."""

Send = Callable[[Envelope, Mapping[str, Any]], None]
"""Where an answer goes: the envelope says whose it is, the body is the reply but for `v` and `ts`."""


TellTransfers = Callable[[Sequence[TransferEntry] | None, Now], None]


class Stations(Protocol):
    """The stations behind the desk, by OCPP identity."""

    def stations(self) -> Mapping[str, Station]: ...

    def shown(self, identity: str) -> Shown:
        """How this station is shown."""

    def submit(self, identity: str, event: Event) -> bool:
        """Hand an event to the station's engine, whose `Reply` comes back to `Desk.settle`. False: it is full."""

    def read_transfers(self, identity: str, limit: int, tell: TellTransfers) -> None:
        """Have the last transfers read; `tell` gets them later, on the event loop, or None where they cannot be."""


@dataclass(slots=True)
class _Job:
    command: Command
    taken_s: float
    send: Send | None


class Desk:
    """`channel`: what the core knows the callers by; "mqtt" becomes "mqtt:ACTOR", "local" stays."""

    def __init__(
        self,
        stations: Stations,
        *,
        channel: str,
        run_id: str,
        rate: RateLimit | None = None,
        in_progress: int = 64,
        cache: ReplyCache | None = None,
        store: ReplyStore | None = None,
    ) -> None:
        self.refused = 0
        self.executed = 0
        self._stations = stations
        self._channel = channel
        self._run_id = run_id
        self._rate = rate
        self._in_progress = in_progress
        self._cache: ReplyCache = cache if cache is not None else MemoryReplies()
        self._store = store
        self._jobs: dict[str, _Job] = {}
        self._keys: dict[Key, str] = {}
        self._count = 0

    def recall(self, now: Now) -> None:
        """Load the answers of former runs."""
        if self._store is not None:
            for kept in self._store.load():
                self._cache.keep(kept.key, kept.body, now.monotonic_s)

    @property
    def waiting(self) -> int:
        """Commands in progress."""
        return len(self._jobs)

    def take(self, request: Command | Refusal, send: Send, now: Now) -> None:
        """One request. Answers at once where it can."""
        envelope = request.envelope
        if self._rate is not None and not self._rate.allow(envelope.actor, now.monotonic_s):
            self._refuse(envelope, Problem(Code.BUSY, "too many requests; slow down"), send)
        elif isinstance(request, Refusal):
            self._refuse(envelope, request.problem, send)
        elif (key := request.key) is not None and key in self._keys:
            self._refuse(envelope, Problem(Code.DUPLICATE_IN_PROGRESS, "this id is being carried out"), send)
        elif key is not None and (body := self._cache.find(key, now.monotonic_s)) is not None:
            send(envelope, {**body, "repeated": True})
        elif len(self._jobs) >= self._in_progress:
            self._refuse(envelope, Problem(Code.BUSY, "too many commands are in progress"), send)
        else:
            self._carry_out(request, send, now)

    def settle(self, reply: Reply, now: Now) -> bool:
        """The engine's answer; False where it is for nobody here."""
        job = self._jobs.pop(reply.request.id, None)
        if job is None:
            return False
        self._finish(job, encode_result(reply), now, repeatable=nothing_happened(reply))
        return True

    def fail(self, request: RequestRef, problem: Problem, now: Now) -> bool:
        """The engine could not carry it out (a commit that failed: nothing has happened)."""
        job = self._jobs.pop(request.id, None)
        if job is None:
            return False
        self._finish(job, problem, now)
        return True

    def tick(self, now: Now) -> None:
        """Answer what has waited too long. Its key stays in progress until the engine is through with it."""
        for ident, job in tuple(self._jobs.items()):
            waited_s = now.monotonic_s - job.taken_s
            if job.send is not None and waited_s >= job.command.shape.timeout_s:
                problem = Problem(
                    Code.TIMEOUT, f"no result within {job.command.shape.timeout_s:g} s; it may still come"
                )
                job.send(job.command.envelope, self._body(job, problem, now))
                job.send = None
            if waited_s >= LATE_S:
                del self._jobs[ident]
                self._release(job)

    def close(self, now: Now) -> None:
        """The daemon stops: whoever waits is told so."""
        for job in self._jobs.values():
            if job.send is not None:
                problem = Problem(Code.TIMEOUT, "the gateway is stopping; whether it was carried out is not known")
                job.send(job.command.envelope, self._body(job, problem, now))
        self._jobs.clear()
        self._keys.clear()

    # --- within

    def _refuse(self, envelope: Envelope, problem: Problem, send: Send) -> None:
        self.refused += 1
        log.debug("command %s of %s refused: %s", envelope.command[:64], envelope.actor[:64], problem.code)
        send(envelope, reply_body(envelope, problem))

    def _carry_out(self, command: Command, send: Send, now: Now) -> None:
        self._count += 1
        ident = f"{self._run_id}-{self._count}"
        channel = f"{self._channel}:{command.envelope.actor}" if self._channel == "mqtt" else self._channel
        job = _Job(command, now.monotonic_s, send)
        outcome = interpret(
            command,
            RequestRef(channel, ident, command.name),
            stations=self._stations.stations(),
            shown=self._stations.shown,
        )
        if isinstance(outcome, Problem):
            self._refuse(command.envelope, outcome, send)
            return
        if isinstance(outcome, Answer):
            self._finish(job, outcome.result, now)
            return
        self._jobs[ident] = job
        if (key := command.key) is not None:
            self._keys[key] = ident
        if isinstance(outcome, LookUp):
            self._stations.read_transfers(
                outcome.identity, outcome.limit, partial(self._found, ident, outcome.identity)
            )
            return
        if not self._submit(outcome):
            del self._jobs[ident]
            self._release(job)
            self._refuse(command.envelope, Problem(Code.BUSY, "the station has no room for it at the moment"), send)

    def _submit(self, ask: Ask) -> bool:
        return self._stations.submit(ask.identity, ask.event)

    def _found(self, ident: str, identity: str, entries: Sequence[TransferEntry] | None, now: Now) -> None:
        """What the store gave."""
        job = self._jobs.pop(ident, None)
        if job is None:
            return
        station = self._stations.stations().get(identity)
        if entries is None or station is None:
            self._finish(job, Problem(Code.INTERNAL, "the history cannot be read"), now, repeatable=True)
        else:
            self._finish(job, list_transfers(entries, station), now)

    def _finish(self, job: _Job, outcome: Mapping[str, Any] | Problem, now: Now, *, repeatable: bool = False) -> None:
        """`repeatable`: the same request may be carried out again."""
        self._release(job)
        self.executed += 1
        body = self._body(job, outcome, now)
        if (key := job.command.key) is not None and not repeatable:
            self._remember(key, body, now, on_disk=not job.command.shape.reads_only)
        if job.send is not None:
            job.send(job.command.envelope, body)

    def _remember(self, key: Key, body: Mapping[str, Any], now: Now, *, on_disk: bool) -> None:
        forgotten = self._cache.keep(key, body, now.monotonic_s)
        if self._store is None or not on_disk:
            return
        try:
            self._store.save(KeptReply(key, body), forgotten)
        except StoreError as error:
            log.warning(
                "an answer to a command was not kept on disk: a repetition after a restart runs again: %s", error
            )

    def _release(self, job: _Job) -> None:
        if (key := job.command.key) is not None:
            self._keys.pop(key, None)

    def _body(self, job: _Job, outcome: Mapping[str, Any] | Problem, now: Now) -> dict[str, Any]:
        duration_ms = round((now.monotonic_s - job.taken_s) * 1000)
        return reply_body(job.command.envelope, outcome, duration_ms=max(0, duration_ms))
