"""Where local people's requests come in: the desks of MQTT and of the control socket, put before the engines.

Glue between rooms that may not know each other: the command room (mqtt), the control socket (local), the store and
the engines. Decides nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.domain.effects import Effect, Reply
from edged.domain.events import Event
from edged.domain.journal import Entry, Journal, TransferEntry
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.mqtt.audit import Audit, Tell
from edged.mqtt.commands import Code, Envelope, Origin, Problem, parse_request
from edged.mqtt.desk import Desk, TellTransfers
from edged.mqtt.documents import Document
from edged.mqtt.event_history import EventHistory, TellEvents
from edged.mqtt.ledger import FORGOTTEN, KeptReply, Key
from edged.mqtt.names import Names
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.topics import CsmsView, Shown
from edged.ports import Clock, StoreError
from edged.store.copying import COPY
from edged.store.files import remove_quietly
from edged.store.port import SavedReply, Store
from edged.store.sqlite import SqliteStore
from edged.views import EngineView

if TYPE_CHECKING:
    from edged.mqtt.mirror import MqttMirror

_log = logging.getLogger(__name__)

LOCAL = "local"
STATUS = "status"
BACKUP = "backup"
TICK_S = 0.5


class TransferHistory:
    """Reads the store off the event loop, on the thread `executor`, behind the commits that wait already."""

    def __init__(self, store: Store, executor: Executor, clock: Clock) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock

    def read(self, identity: str, limit: int, tell: TellTransfers) -> None:
        load = partial(self._store.journal_load, identity, Journal.TRANSFER, limit=limit)
        try:
            reading = asyncio.get_running_loop().run_in_executor(self._executor, load)
        except RuntimeError:  # the daemon has let go of its store
            tell(None, self._clock.now())
        else:
            reading.add_done_callback(partial(self._told, tell))

    def _told(self, tell: TellTransfers, reading: asyncio.Future[list[Entry]]) -> None:
        entries = None
        try:
            entries = [entry for entry in reading.result() if isinstance(entry, TransferEntry)]
        except StoreError as error:
            _log.warning("the history of data transfers cannot be read: %s", error)
        except asyncio.CancelledError:
            _log.debug("the history of data transfers is not read any more")
        tell(entries, self._clock.now())


class StationsView:
    """`mqtt.desk.Stations`: every engine's committed station, and how it is shown."""

    def __init__(self, names: Names, id_tokens: str, history: TransferHistory | None = None) -> None:
        self._names = names
        self._history = history
        self._id_tokens = IdTokenPolicy(id_tokens)
        self._engines: dict[str, EngineView] = {}
        self._csms: dict[str, CsmsView] = {}
        self.events: EventHistory | None = None
        self.sources: Mapping[str, str] = {}
        self.told: Callable[[str], Document | None] = lambda _topic: None
        self.as_of: Callable[[Station], int | None] = lambda _station: None

    def add(self, identity: str, engine: EngineView, csms: CsmsView) -> None:
        self._engines[identity] = engine
        self._csms[identity] = csms

    def see(self, identity: str, csms: CsmsView) -> None:
        """The link's own view has changed."""
        self._csms[identity] = csms

    def stations(self) -> Mapping[str, Station]:
        return {identity: engine.station for identity, engine in self._engines.items()}

    def shown(self, identity: str) -> Shown:
        return Shown(
            names=self._names,
            id_tokens=self._id_tokens,
            csms=self._csms[identity],
            sources=self.sources,
            told=self.told,
            as_of=self.as_of,
        )

    def submit(self, identity: str, event: Event) -> bool:
        return self._engines[identity].post(event)

    def read_transfers(self, identity: str, limit: int, tell: TellTransfers) -> None:
        assert self._history is not None, "who lists transfers has a history"
        self._history.read(identity, limit, tell)

    def read_events(self, after_seq: int, limit: int, tell: TellEvents) -> None:
        assert self.events is not None, "who looks back has a history"
        self.events.read(after_seq, limit, tell)


class DatabaseCopies:
    """Copies of the database for `edged backup`: only its daemon can make one, and nobody else says where."""

    def __init__(
        self, store: SqliteStore, executor: Executor, state_dir: Path, keep: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`keep` brings to the disk what waits for it."""
        self._store = store
        self._executor = executor
        self._keep = keep
        self._path = state_dir.absolute() / COPY
        remove_quietly(self._path)  # of somebody who did not come back for it

    async def make(self) -> dict[str, Any]:
        """The answer's envelope: where the copy lies, for its owner and root to read."""
        if self._keep is not None:
            await self._keep()
        try:
            copying = asyncio.get_running_loop().run_in_executor(self._executor, self._store.backup, self._path)
        except RuntimeError:  # the daemon has let go of its store
            return {"ok": False, "error": {"code": str(Code.INTERNAL), "message": "it is being stopped: try again"}}
        try:
            await copying
        except StoreError as error:
            return {"ok": False, "error": {"code": str(Code.INTERNAL), "message": str(error)}}
        return {"ok": True, "result": {"copy": str(self._path), "state": str(self._path.parent)}}


class LocalDesk:
    """The control socket's desk: every command is allowed, for the file system decides who may connect.

    `status` and `backup` are commands of its own, of the command line and of nobody else.
    """

    def __init__(
        self,
        stations: StationsView,
        clock: Clock,
        *,
        run_id: str,
        status: Callable[[], dict[str, Any]],
        audit: Tell | None = None,
        copies: DatabaseCopies | None = None,
    ) -> None:
        self._clock = clock
        self._status = status
        self._copies = copies
        self._desk = Desk(
            stations,
            channel=LOCAL,
            run_id=f"local-{run_id}",
            audit=None if audit is None else Audit(audit, channel=LOCAL),
        )

    async def dispatch(self, command: str, args: dict[str, Any], ident: str | None) -> dict[str, Any]:
        """One request of the control socket, to its one answer."""
        if command == STATUS:
            return {"ok": True, "result": self._status()}
        if command == BACKUP and self._copies is not None:
            return await self._copies.make()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def send(envelope: Envelope, body: Mapping[str, Any]) -> None:
            if not answer.done():
                answer.set_result(dict(body))

        raw = json.dumps({"id": ident, "command": command, "args": args}).encode()
        now = self._clock.now()
        self._desk.take(parse_request(raw, Origin(actor=LOCAL), now), send, now)
        while not answer.done():
            await asyncio.wait([answer], timeout=TICK_S)
            self._desk.tick(self._clock.now())
        return answer.result()

    def tick(self) -> None:
        self._desk.tick(self._clock.now())

    def answer(self, reply: Reply) -> bool:
        return self._desk.settle(reply, self._clock.now())

    def fail(self, request: RequestRef, reason: str) -> bool:
        return self._desk.fail(request, Problem(Code.INTERNAL, reason), self._clock.now())


class MirrorDesk:
    """The MQTT mirror as the engine's desk."""

    def __init__(self, mirror: MqttMirror) -> None:
        self._mirror = mirror

    def answer(self, reply: Reply) -> bool:
        return self._mirror.answer(reply)

    def replies(self, event: Event, effects: Sequence[Effect], wall: datetime) -> tuple[SavedReply, ...]:
        """What the disk must have together with a step: answers to local commands, and which are under way."""
        answers = [effect for effect in effects if isinstance(effect, Reply)]
        request = getattr(event, "request", None)
        if not answers and request is None:
            return ()
        return tuple(_saved(kept, wall) for kept in self._mirror.keep_with(request, answers))

    def fail(self, request: RequestRef, reason: str) -> bool:
        return self._mirror.fail(request, Problem(Code.INTERNAL, reason))


class StoredReplies:
    """`mqtt.ledger.ReplyStore` on the daemon's database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def load(self) -> Sequence[KeptReply]:
        found: dict[Key, KeptReply] = {}
        for saved in self._store.replies_load():
            try:
                body = json.loads(saved.payload)
            except ValueError:
                _log.warning("a kept answer to %s is unreadable and left out", saved.command[:64])
                continue
            key = (saved.actor, saved.command, saved.id)
            found.pop(key, None)
            if body != FORGOTTEN:
                found[key] = KeptReply(key, body)
        return list(found.values())

    def save(self, reply: KeptReply, forget: Sequence[Key]) -> None:
        """The store bounds itself; what is to be forgotten leaves it by age and number."""
        self._store.reply_save(_saved(reply, self._clock.now().utc))


def _saved(reply: KeptReply, wall: datetime) -> SavedReply:
    actor, command, ident = reply.key
    return SavedReply(actor=actor, command=command, id=ident, payload=json.dumps(dict(reply.body)), at=wall)


def plain(value: Any) -> Any:
    """A statistics snapshot as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 6)
    return value if isinstance(value, int | str | bool | None) else str(value)
