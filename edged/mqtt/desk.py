"""The desk: takes checked requests in and sees to it that each gets exactly one answer.

No transport and no clock of its own: MQTT and the control socket each have a desk, `now` is an argument. Owns what is
in progress, repetition, rate and time-outs. Refuses to decide: a command becomes a domain event for the station's
engine or a question for the store, or is answered from the station as it is.

Invariants: one answer a request, within its command's time-out · a request with an id that was answered is never
carried out again, also after a crash: its answer goes to the disk together with what it did (`keep_with`), and before
that, where the answer takes longer, that it was begun · what the engine answers after the time-out is remembered for a
repetition, and not sent · the answers to one caller about one connector keep the order of the requests, but that none
is held back longer than its time-out.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.journal import TransferEntry
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef
from edged.log_fields import fields
from edged.mqtt.audit import Audit
from edged.mqtt.commands import Code, Command, Envelope, Problem, Refusal, reply_body
from edged.mqtt.conversion import (
    Answer,
    Ask,
    LookBack,
    LookUp,
    Republish,
    encode_result,
    interpret,
    list_transfers,
    nothing_happened,
)
from edged.mqtt.event_history import TellEvents
from edged.mqtt.ledger import FORGOTTEN, OF, KeptReply, Key, MemoryReplies, RateLimit, ReplyCache, ReplyStore
from edged.mqtt.topics import Shown
from edged.ports import StoreError

log = logging.getLogger(__name__)

LATE_S = 600.0
"""How long the engine may take before its answer is not waited for any more."""
MAX_READ_CHARS = 2048
"""A longer answer to a question is not kept for a repetition: it is read again as easily."""
MAX_DATA_KEPT_CHARS = 4096
"""Of what a CSMS has answered: more is not kept for a repetition."""

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

    def read_events(self, after_seq: int, limit: int, tell: TellEvents) -> None:
        """Have the events after that number read; `tell` gets a page of them, or why there is none."""


Result = Mapping[str, Any] | bool | Problem
_Lane = tuple[str, str, int]
"""A caller, a station and a connector: their answers keep their order."""
_LOST = Problem(Code.TIMEOUT, "there was no result; whether it was carried out is not known")
_BEGUN = Problem(Code.TIMEOUT, "the gateway restarted while this was carried out; whether it was is not known")


@dataclass(slots=True)
class _Job:
    """`kept`: the answer as the disk has it. `begun`: the disk knows that it is under way. `answer`: what is to be
    sent when its turn has come."""

    command: Command
    taken_s: float
    send: Send | None
    lane: _Lane | None = None
    kept: Mapping[str, Any] | None = None
    begun: bool = False
    answer: Mapping[str, Any] | None = None

    def overdue(self, now: Now) -> bool:
        return self.send is not None and now.monotonic_s - self.taken_s >= self.command.shape.timeout_s

    @property
    def lasting_key(self) -> Key | None:
        """Its key, where its answer must outlive a restart."""
        return self.command.key if self.command.shape.lasting else None


class Desk:
    """`channel`: what the core knows the callers by; "mqtt" becomes "mqtt:ACTOR", "local" stays. `republish`: has every
    retained document sent again and tells how many there are; None: there is nobody who could."""

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
        republish: Callable[[], int] | None = None,
        audit: Audit | None = None,
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
        self._republish = republish
        self._audit = audit
        self._jobs: dict[str, _Job] = {}
        self._keys: dict[Key, str] = {}
        self._lanes: dict[_Lane, deque[_Job]] = {}
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
            self._refuse(envelope, Problem(Code.BUSY, "too many requests; slow down"), send, now)
        elif isinstance(request, Refusal):
            self._refuse(envelope, request.problem, send, now)
        elif (key := request.key) is not None and key in self._keys:
            self._refuse(envelope, Problem(Code.DUPLICATE_IN_PROGRESS, "this id is being carried out"), send, now)
        elif key is not None and (body := self._cache.find(key, now.monotonic_s)) is not None:
            self._repeat(request, body, send, now)
        elif len(self._jobs) + self._held >= self._in_progress:
            self._refuse(envelope, Problem(Code.BUSY, "too many commands are in progress"), send, now)
        else:
            self._carry_out(request, send, now)

    def keep_with(self, request: RequestRef | None, replies: Sequence[Reply], now: Now) -> tuple[KeptReply, ...]:
        """What has to be on the disk together with a step: the answers that it gives, and that the request which
        caused it is under way where it gives none. Only for requests of this desk that have an id."""
        found = []
        for reply in replies:
            job = self._jobs.get(reply.request.id)
            key = job.lasting_key if job is not None else None
            if job is None or key is None:
                continue
            if nothing_happened(reply):
                found += [KeptReply(key, FORGOTTEN)] if job.begun else []
            else:
                job.kept = self._body(job, encode_result(reply), now)
                found.append(KeptReply(key, _as_kept(job.command, job.kept)))
        job = self._jobs.get(request.id) if request is not None else None
        key = job.lasting_key if job is not None else None
        answered = any(reply.request == request for reply in replies)
        if job is not None and key is not None and not answered and not job.begun:
            job.begun = True
            found.append(KeptReply(key, _as_kept(job.command, reply_body(job.command.envelope, _BEGUN))))
        return tuple(found)

    def settle(self, reply: Reply, now: Now) -> bool:
        """The engine's answer; False where it is for nobody here."""
        job = self._jobs.pop(reply.request.id, None)
        if job is None:
            return False
        self._finish(job, encode_result(reply), now, repeatable=nothing_happened(reply))
        return True

    def fail(self, request: RequestRef, problem: Problem, now: Now) -> bool:
        """The engine could not carry it out (a commit that failed): nothing has happened, and the same request may come
        again."""
        job = self._jobs.pop(request.id, None)
        if job is None:
            return False
        job.kept = None
        self._finish(job, problem, now, repeatable=True)
        return True

    def tick(self, now: Now) -> None:
        """Answer what has waited too long. Its key stays in progress until the engine is through with it."""
        for ident, job in tuple(self._jobs.items()):
            if job.overdue(now):
                problem = Problem(
                    Code.TIMEOUT, f"no result within {job.command.shape.timeout_s:g} s; it may still come"
                )
                self._send(job, self._body(job, problem, now), now, at_once=True)
            if now.monotonic_s - job.taken_s >= LATE_S:
                del self._jobs[ident]
                self._release(job)
                self._remember(job, reply_body(job.command.envelope, _LOST), now, on_disk=False)
        for lane in tuple(self._lanes):
            for job in tuple(self._lanes.get(lane, ())):
                if job.answer is not None and job.overdue(now):
                    self._send(job, job.answer, now, at_once=True)
        if self._audit is not None:
            self._audit.tick(now.monotonic_s)

    def close(self, now: Now) -> None:
        """The daemon stops: whoever waits is told so, in the order of the lanes."""
        problem = Problem(Code.TIMEOUT, "the gateway is stopping; whether it was carried out is not known")
        in_lanes = [job for lane in tuple(self._lanes.values()) for job in tuple(lane)]
        for job in (*in_lanes, *self._jobs.values()):
            if job.send is not None:
                self._send(job, job.answer or self._body(job, problem, now), now, at_once=True)
        self._jobs.clear()
        self._keys.clear()
        self._lanes.clear()
        if self._audit is not None:
            self._audit.close()

    # --- within

    @property
    def _held(self) -> int:
        """Answers that wait for their turn."""
        return sum(job.answer is not None for lane in self._lanes.values() for job in lane)

    def _refuse(self, envelope: Envelope, problem: Problem, send: Send, now: Now) -> None:
        self.refused += 1
        words = "command %s of %s refused: %s"
        extra = fields(command=envelope.id)
        log.debug(words, envelope.command[:64], envelope.actor[:64], problem.code, extra=extra)
        body = reply_body(envelope, problem)
        self._note(envelope, body, now)
        send(envelope, body)

    def _note(self, envelope: Envelope, body: Mapping[str, Any], now: Now) -> None:
        if self._audit is not None:
            self._audit.note(envelope, body, now.monotonic_s)

    def _carry_out(self, command: Command, send: Send, now: Now) -> None:
        self._count += 1
        ident = f"{self._run_id}-{self._count}"
        channel = f"{self._channel}:{command.envelope.actor}" if self._channel == "mqtt" else self._channel
        job = _Job(command, now.monotonic_s, send)
        outcome = interpret(
            command,
            RequestRef(channel, ident, command.name, command.envelope.id or ident),
            stations=self._stations.stations(),
            shown=self._stations.shown,
        )
        if isinstance(outcome, Problem):
            self._refuse(command.envelope, outcome, send, now)
            return
        if isinstance(outcome, Answer):
            self._finish(job, outcome.result, now)
            return
        if isinstance(outcome, Republish):
            self._finish(job, self._publish_again(), now)
            return
        self._jobs[ident] = job
        if (key := command.key) is not None:
            self._keys[key] = ident
        if isinstance(outcome, LookUp):
            self._stations.read_transfers(
                outcome.identity, outcome.limit, partial(self._found, ident, outcome.identity)
            )
            return
        if isinstance(outcome, LookBack):
            self._stations.read_events(outcome.after_seq, outcome.limit, partial(self._found_events, ident))
            return
        self._queue_up(job, outcome.identity)
        if not self._submit(outcome):
            del self._jobs[ident]
            problem = Problem(Code.BUSY, "the station has no room for it at the moment")
            self._finish(job, problem, now, repeatable=True)

    def _publish_again(self) -> Result:
        if self._republish is None:
            return Problem(Code.NOT_SUPPORTED, "only over MQTT is there something to publish")
        return {"topics": self._republish()}

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

    def _found_events(self, ident: str, page: Mapping[str, Any] | Problem, now: Now) -> None:
        job = self._jobs.pop(ident, None)
        if job is not None:  # a page is large, and read again as easily as kept for a repetition
            self._finish(job, page, now, repeatable=True)

    def _finish(self, job: _Job, outcome: Result, now: Now, *, repeatable: bool = False) -> None:
        """`repeatable`: the same request may be carried out again."""
        self._release(job)
        self.executed += 1
        body = job.kept if job.kept is not None else self._body(job, outcome, now)
        if not repeatable:
            self._remember(job, body, now, on_disk=job.command.shape.lasting and job.kept is None)
        self._send(job, body, now)

    def _repeat(self, command: Command, kept: Mapping[str, Any], send: Send, now: Now) -> None:
        """The first answer again. An id for something else than before is a mistake that must be heard of: it would
        seem to be carried out."""
        if kept.get(OF, command.fingerprint) != command.fingerprint:
            problem = Problem(Code.CONFLICT, "this id was used for other arguments: each request needs its own")
            self._refuse(command.envelope, problem, send, now)
        else:
            send(command.envelope, {**{name: kept[name] for name in kept if name != OF}, "repeated": True})

    def _remember(self, job: _Job, body: Mapping[str, Any], now: Now, *, on_disk: bool) -> None:
        key = job.command.key
        if key is None or (job.command.shape.reads_only and len(repr(body)) > MAX_READ_CHARS):
            return
        kept = _as_kept(job.command, body)
        forgotten = self._cache.keep(key, kept, now.monotonic_s)
        if self._store is None or not on_disk:
            return
        try:
            self._store.save(KeptReply(key, kept), forgotten)
        except StoreError as error:
            words = "an answer to a command was not kept on disk: a repetition after a restart runs again: %s"
            log.warning(words, error, extra=fields(command=job.command.envelope.id))

    def _release(self, job: _Job) -> None:
        if (key := job.command.key) is not None:
            self._keys.pop(key, None)

    def _body(self, job: _Job, outcome: Result, now: Now) -> dict[str, Any]:
        duration_ms = round((now.monotonic_s - job.taken_s) * 1000)
        return reply_body(job.command.envelope, outcome, duration_ms=max(0, duration_ms))

    # --- the order of answers

    def _queue_up(self, job: _Job, identity: str) -> None:
        connector = job.command.arguments.get("connector")
        if connector:
            job.lane = (job.command.envelope.actor, identity, connector)
            self._lanes.setdefault(job.lane, deque()).append(job)

    def _send(self, job: _Job, body: Mapping[str, Any], now: Now, *, at_once: bool = False) -> None:
        """Send an answer, or hold it until those before it in its lane have gone. Only the first is sent."""
        if job.send is None:
            self._note(job.command.envelope, body, now)  # after its time-out: nobody waits, but it happened
            return
        lane = self._lanes.get(job.lane) if job.lane is not None else None
        if lane is None or job.lane is None:
            self._give(job, body, now)
            return
        job.answer = body
        if at_once:
            lane.remove(job)
            self._give(job, body, now)
        while lane and lane[0].answer is not None:
            first = lane.popleft()
            self._give(first, first.answer or {}, now)
        if not lane:
            del self._lanes[job.lane]

    def _give(self, job: _Job, body: Mapping[str, Any], now: Now) -> None:
        self._note(job.command.envelope, body, now)
        if job.send is not None:
            job.send(job.command.envelope, body)
            job.send = None


def _as_kept(command: Command, body: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as it is kept for a repetition: with what it answered, and without what is too long to be kept."""
    kept = {**body, OF: command.fingerprint}
    result = body.get("result")
    data = result.get("data") if isinstance(result, Mapping) else None
    if isinstance(result, Mapping) and isinstance(data, str) and len(data) > MAX_DATA_KEPT_CHARS:
        kept["result"] = {**result, "data": None}
        kept["warning"] = "the data of the answer was too long to be kept: list_data_transfers has it"
    return kept
