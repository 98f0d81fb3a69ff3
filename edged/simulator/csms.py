"""A small, honest CSMS for OCPP-J 1.6 and 2.0.1: for the demo, and for scenario tests that need the other side of
the wire.

Owns the WebSocket server, who is connected, and the CSMS's own CALLs. It records every frame, judges what stations do
(`violations`), answers (by default sensibly, each answer can be scripted), and can misbehave like a network: `cut`,
`half_open`, answers late or never. Versions that it does not know may be accepted too; their frames are recorded and
answered with {}, but not judged.

    async with Csms() as csms:                      # csms.url is ws://127.0.0.1:PORT/ocpp
        boot = await csms.wait_for("BootNotification")
        mark = csms.mark()
        await csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await csms.wait_for("Heartbeat", after=mark)
"""

from __future__ import annotations

import asyncio
import http
import ssl
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from edged.simulator.csms_answers import Answers, Token
from edged.simulator.csms_answers_201 import Answers201
from edged.simulator.csms_desk import Desk
from edged.simulator.csms_doors import Doors
from edged.simulator.csms_record import Direction, Frame, Kind, Record
from edged.simulator.csms_rules import StationView
from edged.simulator.csms_scripts import Also, Answer, ErrorAnswer, Later, Silence
from edged.simulator.csms_session import (
    CsmsCallError,
    CsmsError,
    CsmsOffline,
    CsmsTimeout,
    Login,
    Session,
    authentic,
    certified,
    login_of,
)
from edged.simulator.csms_transactions import TransactionView
from edged.simulator.csms_version import Versions

__all__ = [
    "Also",
    "Csms",
    "CsmsCallError",
    "CsmsError",
    "CsmsOffline",
    "CsmsTimeout",
    "ErrorAnswer",
    "Later",
    "Login",
    "Silence",
    "Token",
    "TransactionView",
]

MAX_CONNECTIONS = 256


class Csms:
    """The CSMS. `station` may be left out everywhere while exactly one is connected.

    `credentials`: identity -> password for Basic authentication; None = nobody is asked. `station_timeout_s`: how
    long a station waits for an answer before it may send its next CALL, for the judgement of answers that never come.
    `tls` makes the one door secure; `second_tls` adds a secure door beside a plain one (`secure_url`), as a CSMS has
    that raises its stations' security profiles. A context that demands client certificates makes it profile 3.
    `versions`: the subprotocols that it accepts; a station gets the first that it offers among them, or the one that
    `prefer` names. `logins`: who came through which door, and how. `shows_out`: whom (by the login header) it lets in
    and sends away.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/ocpp",
        versions: Sequence[str] = ("ocpp1.6",),
        credentials: Mapping[str, str | bytes] | None = None,
        heartbeat_interval_s: int = 300,
        tokens: Mapping[str, Token] | None = None,
        tls: ssl.SSLContext | None = None,
        second_tls: ssl.SSLContext | None = None,
        second_port: int = 0,
        station_timeout_s: float | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path.rstrip("/")
        self.credentials = None if credentials is None else dict(credentials)
        self.record = Record()
        self.refused_logins = self.shown_out = 0
        self.logins: list[Login] = []
        self.shows_out: Callable[[str], bool] = lambda header: False
        self._versions = Versions(versions, tokens=tokens or {}, heartbeat_interval_s=heartbeat_interval_s)
        self._desk = Desk(station_timeout_s=station_timeout_s)
        self._tls, self._second_tls = tls, second_tls
        self._stations: dict[str, StationView] = {}
        self._sessions: dict[str, Session] = {}
        self._all: set[Session] = set()
        self._connections, self._cut = 0, False
        self._changed = asyncio.Condition()
        self._doors = Doors(self._serve, self._admit, self._versions.choose, host=host)
        self._secure_port = second_port

    # --- running ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.port = await self._doors.open(self.port, self._tls)
        if self._second_tls is not None:
            self._secure_port = await self._doors.open(self._secure_port, self._second_tls)

    async def stop(self) -> None:
        """Break all connections and close. Raises what a scripted answer raised: a broken script is the test's
        mistake."""
        for session in list(self._all):
            session.abort()
        await self._doors.close()
        self._desk.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """What a station is configured with; it appends its identity."""
        return f"{'wss' if self._tls else 'ws'}://{self.host}:{self.port}{self.path}"

    @property
    def secure_url(self) -> str:
        """The address of the second door."""
        return f"wss://{self.host}:{self._secure_port}{self.path}"

    @property
    def violations(self) -> list[str]:
        """What stations did against the rules, a sentence each."""
        return self._desk.rules.violations

    @property
    def answers(self) -> Answers:
        """The usual answers of 1.6, with its transactions, and the tokens of all versions."""
        return self._versions.answers

    @property
    def answers_201(self) -> Answers201:
        """The usual answers of 2.0.1."""
        return self._versions.answers_201

    @property
    def transactions(self) -> dict[str, TransactionView]:
        """The transactions of 2.0.1 by their ids, in the order in which they were first heard of."""
        return self._versions.conduct_201.transactions.views

    @property
    def connected(self) -> tuple[str, ...]:
        """The stations that are connected."""
        return tuple(self._sessions)

    def connection_count(self, station: str) -> int:
        """How many connections a station has made so far."""
        view = self._stations.get(station)
        return view.connections if view is not None else 0

    def mark(self) -> int:
        """The present position in the record, for `after`."""
        return self.record.mark()

    def received(self, action: str, *, station: str | None = None, after: int = 0) -> list[dict[str, object]]:
        """The payloads of all CALLs with that action that stations have sent."""
        return [
            frame.payload
            for frame in self.record
            if frame.index >= after and frame.is_call(action, station) and isinstance(frame.payload, dict)
        ]

    async def wait_for(
        self,
        action: str,
        predicate: Callable[[dict[str, object]], bool] | None = None,
        *,
        station: str | None = None,
        after: int = 0,
        timeout_s: float = 30.0,
    ) -> dict[str, object]:
        """The payload of the first such CALL at or after `after`, past or to come. `CsmsTimeout` where none comes."""

        def wanted(frame: Frame) -> bool:
            if not frame.is_call(action, station) or not isinstance(frame.payload, dict):
                return False
            return predicate is None or predicate(frame.payload)

        try:
            frame = await self.record.wait(wanted, after=after, timeout_s=timeout_s)
        except TimeoutError as error:
            raise CsmsTimeout(f"no {action} as wanted within {timeout_s:g} s") from error
        assert isinstance(frame.payload, dict)
        return frame.payload

    async def wait_connected(self, station: str | None = None, *, timeout_s: float = 30.0) -> str:
        """The identity of a station once it (any, with None) is connected. `CsmsTimeout` where it does not come."""
        await self._until(lambda: bool(self._sessions) if station is None else station in self._sessions, timeout_s)
        return next(iter(self._sessions)) if station is None else station

    async def wait_disconnected(self, station: str, *, timeout_s: float = 30.0) -> None:
        await self._until(lambda: station not in self._sessions, timeout_s)

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError as error:
            raise CsmsTimeout(f"no such connection within {timeout_s:g} s") from error

    # --- scripting ----------------------------------------------------------------------------------------------------

    def answer(self, action: str, answer: Answer, *, times: int | None = None) -> None:
        """Answer an action otherwise: a payload, a function of the `CallFromStation` (it may be a coroutine function)
        that returns one, or one of `Also`, `Later`, `Silence`, `ErrorAnswer`. With `times` only so often, in the order
        in which scripts were given; without, for good, once those are used up.
        """
        self._desk.scripts.add(action, answer, times=times)

    def answer_normally(self, action: str) -> None:
        """Forget what was scripted for an action."""
        self._desk.scripts.forget(action)

    def prefer(self, version: str | None) -> None:
        """Choose this subprotocol from now on wherever it is offered; None = the station's first."""
        self._versions.preferred = version

    def accept_versions(self, *versions: str) -> None:
        """Accept these subprotocols from now on; what is connected stays."""
        self._versions.accepted = versions

    # --- the CSMS's own calls -----------------------------------------------------------------------------------------

    async def call(
        self, action: str, payload: Mapping[str, object], *, station: str | None = None, timeout_s: float = 30.0
    ) -> dict[str, object]:
        """Call a station. Raises `CsmsCallError`, `CsmsOffline` or `CsmsTimeout`. Nothing is checked before it is
        sent."""
        session = self._session(station)
        message_id = str(uuid.uuid4())
        answer = session.ask(message_id, action, payload)
        self._desk.asks(session, action, payload)
        try:
            await session.send([2, message_id, action, dict(payload)], action=action)
            async with asyncio.timeout(timeout_s):
                result = await answer
        except TimeoutError as error:
            raise CsmsTimeout(f"{session.station.identity} did not answer {action} within {timeout_s:g} s") from error
        except ConnectionClosed as error:
            raise CsmsOffline(f"{session.station.identity} went away before {action} was sent") from error
        finally:
            session.forget(message_id)
        return result if isinstance(result, dict) else {}

    async def send_raw(self, text: str | bytes, *, station: str | None = None) -> None:
        """Send anything at all."""
        session = self._session(station)
        session.note(Direction.SENT, Kind.MALFORMED, text)
        await session.socket.send(text)

    def _session(self, station: str | None) -> Session:
        if station is None and len(self._sessions) == 1:
            return next(iter(self._sessions.values()))
        session = self._sessions.get(station or "")
        if session is None:
            there = ", ".join(self._sessions) or "nobody"
            raise CsmsOffline(f"{station or 'one station'} is not connected; connected: {there}")
        return session

    # --- misbehaving --------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The network goes: every connection breaks without a word and no new one comes about until `restore`."""
        self._cut = True
        for session in list(self._all):
            session.abort()

    def restore(self) -> None:
        self._cut = False

    def half_open(self, station: str | None = None) -> None:
        """Stop reading from and answering a station (no pongs either); its connection looks alive. New ones work."""
        session = self._session(station)
        session.half_open = True
        session.socket.transport.pause_reading()

    async def close(self, station: str | None = None, *, code: int = 1001, reason: str = "") -> None:
        """Close a connection politely."""
        await self._session(station).socket.close(code, reason)

    # --- connections --------------------------------------------------------------------------------------------------

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._cut:
            connection.transport.abort()
            return None
        identity = self._identity(request.path)
        if not identity:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no station identity in the path\n")
        if len(self._all) >= MAX_CONNECTIONS:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n")
        login, credentials = request.headers.get("Authorization", ""), self.credentials
        known = credentials is None or certified(connection)
        if not known and not authentic(login, identity, (credentials or {}).get(identity)):
            self.refused_logins += 1
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong identity or password\n")
        return None

    def _identity(self, path: str) -> str:
        prefix, _, identity = path.partition("?")[0].rpartition("/")
        return unquote(identity) if prefix == self.path else ""

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        if self.shows_out(socket.request.headers.get("Authorization", "")):
            self.shown_out += 1
            return await socket.close(1008, "nobody here knows you")
        identity = self._identity(socket.request.path)
        self.logins.append(login_of(socket, identity))
        station = self._stations.setdefault(identity, StationView(identity=identity))
        self._connections += 1
        station.connections += 1
        session = Session(self._connections, socket, station, self._versions.of(socket.subprotocol), self.record)
        old = self._sessions.get(identity)
        if old is not None:
            old.abort()
        self._all.add(session)
        if self._cut:
            session.abort()
        self._desk.line(session, up=True)
        await self._change(lambda: self._sessions.__setitem__(identity, session))
        try:
            async for message in socket:
                self._desk.received(session, message)
        except ConnectionClosed:
            pass
        finally:
            self._all.discard(session)
            session.lost()
            if self._sessions.get(identity) is session:
                self._desk.line(session, up=False)
                await self._change(lambda: self._sessions.__delitem__(identity))

    async def _change(self, change: Callable[[], None]) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()
