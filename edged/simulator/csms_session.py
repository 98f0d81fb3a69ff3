"""One station's connection to the simulated CSMS: what it has asked and been asked, and how frames are read and
written.

Owns the errors that a CALL of the CSMS can end in, and the record's entries; decides no answer and judges nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import time
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection

from edged.ports import EdgedError
from edged.simulator.csms_record import Direction, Frame, Kind, Record
from edged.simulator.csms_rules import ConnectionView, Payload, StationView
from edged.simulator.csms_version import Version

KINDS = {2: Kind.CALL, 3: Kind.RESULT, 4: Kind.ERROR}


class CsmsError(EdgedError):
    """A CALL of the CSMS was not answered with a result.

    CsmsError
      CsmsCallError   the station answered with a CALLERROR
      CsmsOffline     no such station is connected, or it went away while it was asked
      CsmsTimeout     no answer in time
    """


class CsmsCallError(CsmsError):
    """The station answered with a CALLERROR."""

    def __init__(self, code: str, description: str, details: object) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = details


class CsmsOffline(CsmsError):
    """No such station is connected, or it went away while it was asked."""


class CsmsTimeout(CsmsError):
    """No answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a station came in. `user`: of Basic authentication; `client`: the common name in its certificate; `serial`:
    that certificate's number; `tls`: the version, None for a plain door."""

    station: str
    user: str | None
    tls: str | None
    client: str | None = None
    serial: str | None = None


class Session:
    """One connection of one station. `half_open`: nothing is read or answered any more."""

    def __init__(
        self, number: int, socket: ServerConnection, station: StationView, version: Version, record: Record
    ) -> None:
        self.number = number
        self.socket = socket
        self.version = version
        self.station = station
        self.view = ConnectionView()
        self.answering: set[asyncio.Task[None]] = set()
        self.half_open = False
        self._asked: dict[str, tuple[str, Payload, asyncio.Future[object]]] = {}
        self._record = record

    def abort(self) -> None:
        """Break the connection without a word."""
        self.socket.transport.abort()

    def ask(self, message_id: str, action: str, payload: Payload) -> asyncio.Future[object]:
        """Expect an answer: the future ends with its payload, or with a `CsmsError`."""
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._asked[message_id] = (action, payload, answer)
        return answer

    def forget(self, message_id: str) -> None:
        self._asked.pop(message_id, None)

    def answered(self, message_id: str, outcome: object) -> tuple[str, Payload] | None:
        """An answer came: end who waits for it. Returns the action and payload of the CALL, None where nobody
        asked."""
        asked = self._asked.pop(message_id, None)
        if asked is None:
            return None
        action, payload, answer = asked
        if not answer.done():
            if isinstance(outcome, CsmsError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        return action, payload

    def lost(self) -> None:
        """The connection is gone: nobody waits any longer."""
        for task in self.answering:
            task.cancel()
        for message_id, (action, _, _) in list(self._asked.items()):
            self.answered(message_id, CsmsOffline(f"{self.station.identity} went away before it answered {action}"))

    async def send(self, message: list[object], *, action: str) -> None:
        """Send a message and keep it in the record. Raises websockets' `ConnectionClosed`."""
        text = json.dumps(message, separators=(",", ":"))
        kind = KINDS[int(str(message[0]))]
        self.note(Direction.SENT, kind, text, message_id=str(message[1]), action=action, payload=message[-1])
        await self.socket.send(text)

    def note(
        self,
        direction: Direction,
        kind: Kind,
        raw: str | bytes,
        *,
        message_id: str = "",
        action: str = "",
        payload: object = None,
    ) -> None:
        """Keep a frame in the record."""
        frame = Frame(
            index=self._record.next_index(),
            at_s=time.monotonic(),
            station=self.station.identity,
            connection=self.number,
            direction=direction,
            kind=kind,
            message_id=message_id,
            action=action,
            payload=payload,
            raw=raw,
        )
        self._record.add(frame)


def parse(message: str | bytes) -> object:
    """A frame as JSON; None where it is none. Binary frames are none (OCPP-J §3.2)."""
    if not isinstance(message, str):
        return None
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return None


def authentic(header: str, identity: str, password: str | bytes | None) -> bool:
    """Whether an Authorization header is Basic, for that identity and with that password (None = there is none)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or password is None:
        return False
    try:
        user, _, given = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return False
    wanted = password.encode() if isinstance(password, str) else password
    return user == identity.encode() and hmac.compare_digest(given, wanted)


def certified(socket: ServerConnection) -> bool:
    """Whether TLS has found out who it is: then nobody asks for a password."""
    tls = socket.transport.get_extra_info("ssl_object")
    return tls is not None and bool(tls.getpeercert())


def login_of(socket: ServerConnection, identity: str) -> Login:
    """How a connection that was let in shows who it is."""
    assert socket.request is not None
    tls = socket.transport.get_extra_info("ssl_object")
    certificate = (tls.getpeercert() if tls is not None else None) or {}
    names = dict(pair for part in certificate.get("subject", ()) for pair in part)
    return Login(
        station=identity,
        user=_user(socket.request.headers.get("Authorization", "")),
        tls=None if tls is None else tls.version(),
        client=names.get("commonName"),
        serial=certificate.get("serialNumber"),
    )


def _user(header: str) -> str | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[0].decode(errors="replace")
    except binascii.Error:
        return None
