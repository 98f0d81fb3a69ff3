"""One OCPP-J session without its socket: framing, one CALL in flight each way, time-outs, error codes.

Owns: what a frame means, which CALL waits for which answer, what may never be executed twice.
Refuses to know: sockets, clocks, actions, payload schemas, OCPP versions (their spellings come in as `CodeTable`).

Invariants: at most one own CALL in flight · every incoming CALL that was handed out is answered exactly once ·
no input raises · no answer echoes what came in · everything kept is bounded.

The owner feeds `receive` and `poll`, and after every call of any method sends what `take_outgoing` gives, in order.
On a lost line it calls `lost`; CALLs handed out before still want their `reply`, which is then only remembered for a
repeated CALL.

    LocalProtocolError   the only exception: this program broke the rules, not the peer
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from edged.ocpp.codes import CodeTable, ErrorCode
from edged.ocpp.counters import Counters
from edged.ocpp.framing import (
    MAX_TEXT_LENGTH,
    LocalProtocolError,
    call_flaw,
    decode,
    digest_of,
    encode,
    shown,
    usable_id,
)

__all__ = [
    "CallReceived",
    "CodeTable",
    "Counters",
    "ErrorCode",
    "ErrorReceived",
    "Event",
    "FrameRefused",
    "LocalProtocolError",
    "Request",
    "ResultReceived",
    "Session",
    "TimedOut",
]

MIN_CALL_TIMEOUT_S: Final = 1.0
_GIVEN_UP_IDS: Final = 32
_CALL, _RESULT, _ERROR = 2, 3, 4


@dataclass(frozen=True, slots=True)
class Request:
    """An outgoing CALL before it has an id."""

    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallReceived:
    """The peer wants something; answer with `reply` or `reply_error`, or silence it with `ignore`."""

    id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResultReceived:
    """Our CALL was answered."""

    ref: Any
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """Our CALL was refused, or its answer was unreadable (then `wire_code` is empty).

    `description` is the peer's, on one line and bounded.
    """

    ref: Any
    code: ErrorCode
    description: str
    wire_code: str = ""


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """A frame was not understood. `reason` is ours and quotes nothing of the frame."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Our CALL, with that id, got no answer in time."""

    ref: Any
    id: str = field(default="", compare=False)


Event = CallReceived | ResultReceived | ErrorReceived | FrameRefused


@dataclass(frozen=True, slots=True)
class _OwnCall:
    id: str
    ref: Any
    deadline_s: float


@dataclass(slots=True)
class _PendingCall:
    digest: bytes
    since_s: float
    reachable: bool = True  # false once the line it came on is gone
    foreign: bool = False  # asked in a version that is not spoken any more


@dataclass(frozen=True, slots=True)
class _Answered:
    digest: bytes
    since_s: float
    frame: str


class Session:
    """The state of one OCPP-J conversation; may outlive a connection (`lost`) so that repeated CALLs are still known.

    `new_id` mints ids (1 to 36 printable characters, never twice), `call_timeout_s` is asked at each CALL (at least
    1 s). A CALL repeated with the same id and content within `recent_s` gets the same answer again; the memory holds at
    most `recent_ids` answers and `recent_bytes` characters. The same id with other content is a new CALL: some peers
    count from 1 on every connection.
    """

    def __init__(
        self,
        codes: CodeTable,
        *,
        new_id: Callable[[], str],
        call_timeout_s: Callable[[], float],
        max_frame_bytes: int = 512 * 1024,
        max_pending_in: int = 16,
        recent_ids: int = 64,
        recent_bytes: int = 256 * 1024,
        recent_s: float = 300.0,
    ) -> None:
        self.counters = Counters()
        self._codes = codes
        self._new_id = new_id
        self._call_timeout_s = call_timeout_s
        self._max_frame_bytes = max_frame_bytes
        self._max_pending_in = max_pending_in
        self._recent_ids = recent_ids
        self._recent_bytes = recent_bytes
        self._recent_s = recent_s
        self._own: _OwnCall | None = None
        self._given_up: deque[str] = deque(maxlen=_GIVEN_UP_IDS)
        self._pending: dict[str, _PendingCall] = {}
        self._recent: OrderedDict[str, _Answered] = OrderedDict()
        self._recent_size = 0
        self._outgoing: list[str] = []

    @property
    def idle(self) -> bool:
        """Whether `call` is allowed."""
        return self._own is None

    @property
    def deadline_s(self) -> float | None:
        """When `poll` will have something to say, on the clock of `now_s`."""
        return None if self._own is None else self._own.deadline_s

    @property
    def pending_in(self) -> int:
        """Incoming CALLs that still want their answer."""
        return len(self._pending)

    def take_outgoing(self) -> list[str]:
        """The frames to send now, in order."""
        frames, self._outgoing = self._outgoing, []
        return frames

    def call(self, request: Request, ref: Any, now_s: float, *, message_id: str | None = None) -> None:
        """Send a CALL; `ref` comes back with its outcome. Only when `idle` (16-J-22). `message_id`: see 16-J-21."""
        if self._own is not None:
            raise LocalProtocolError("a CALL is already in flight")
        message_id = message_id or self._new_id()
        if not usable_id(message_id):
            raise LocalProtocolError("an id needs 1 to 36 printable characters")
        frame = encode([_CALL, message_id, request.action, request.payload])
        timeout_s = self._call_timeout_s()
        timeout_s = max(timeout_s, MIN_CALL_TIMEOUT_S) if math.isfinite(timeout_s) else MIN_CALL_TIMEOUT_S
        self._own = _OwnCall(message_id, ref, now_s + timeout_s)
        self._outgoing.append(frame)
        self.counters.calls_out += 1

    def poll(self, now_s: float) -> list[TimedOut]:
        """Give up the CALL in flight once its deadline has come."""
        own = self._own
        if own is None or now_s < own.deadline_s:
            return []
        self._own = None
        self._given_up.append(own.id)
        self.counters.timeouts += 1
        return [TimedOut(own.ref, own.id)]

    def lost(self) -> Any | None:
        """The line is gone: nothing waits any longer. Returns the reference of the CALL that was in flight."""
        own, self._own = self._own, None
        if own is not None:
            self._given_up.append(own.id)
        self._outgoing.clear()
        for pending in self._pending.values():
            pending.reachable = False
        return None if own is None else own.ref

    def speak(self, codes: CodeTable) -> None:
        """Another version from here on, behind `lost`. What was said in the former one is not said again, and CALLs of
        it that still want their answer get none: close them with `ignore`."""
        self._codes = codes
        self._recent.clear()
        self._recent_size = 0
        for pending in self._pending.values():
            pending.foreign = True

    def foreign(self, message_id: str) -> bool:
        """Whether the CALL that waits under this id was asked in a version that is not spoken any more."""
        pending = self._pending.get(message_id)
        return pending is not None and pending.foreign

    def reply(self, message_id: str, payload: dict[str, Any]) -> None:
        """Answer a CALL. A payload that JSON cannot express is our bug and leaves the CALL unanswered."""
        self._answer(message_id, [_RESULT, message_id, payload])

    def reply_error(
        self, message_id: str, code: ErrorCode, description: str, details: dict[str, Any] | None = None
    ) -> None:
        """Refuse a CALL. `description` is cut at 255 characters; neither it nor `details` may quote the request."""
        self._answer(message_id, self._error_frame(message_id, code, description, details))
        self.counters.errors_out += 1

    def ignore(self, message_id: str) -> None:
        """Leave a CALL unanswered on purpose (16-BOOT-04: not a word while the CSMS rejects us)."""
        if self._pending.pop(message_id, None) is None:
            raise LocalProtocolError("no CALL with this id waits for an answer")

    def receive(self, frame: str | bytes, now_s: float) -> list[Event]:
        """Take one frame from the peer. Whatever it holds, this returns; a CALL is only ever handed out once."""
        if isinstance(frame, bytes):
            return self._refuse("binary frame")
        # A character is at least one byte: this spares the encoding of a frame that is far too long anyway.
        if len(frame) > self._max_frame_bytes:
            return self._refuse("frame too long")
        try:
            size = len(frame.encode())
        except UnicodeEncodeError:
            return self._unreadable("not valid Unicode")
        if size > self._max_frame_bytes:
            return self._refuse("frame too long")
        try:
            message, flaw = decode(frame)
        except (ValueError, RecursionError):
            return self._unreadable("not JSON")
        if not isinstance(message, list) or not message or type(message[0]) is not int:
            return self._unreadable("not an OCPP-J message")
        match message[0]:
            case 2:
                return self._on_call(message, flaw, now_s)
            case 3 | 4:
                return self._on_answer(message, flaw)
            case _:
                return self._on_unknown_type(message)

    def _on_call(self, message: list[Any], flaw: str | None, now_s: float) -> list[Event]:
        if len(message) < 2 or not usable_id(message[1]):
            return self._unreadable("CALL without a usable id")
        message_id: str = message[1]
        flaw = call_flaw(message) or flaw
        digest = b"" if flaw else digest_of(message[2:])
        pending = self._pending.get(message_id)
        if pending is not None:
            if flaw or pending.foreign or pending.digest != digest:
                # An error with this id would be taken for the answer to the CALL that is being worked on.
                return self._refuse("another CALL under an id that is still open")
            pending.reachable = True
            self.counters.duplicates += 1
            return []
        if flaw:
            self._send_error(message_id, ErrorCode.FORMAT, flaw)
            return self._refuse(flaw)
        answered = self._recent.get(message_id)
        if answered is not None and answered.digest == digest and now_s - answered.since_s <= self._recent_s:
            self.counters.duplicates += 1
            self._outgoing.append(answered.frame)
            return []
        if len(self._pending) >= self._max_pending_in:
            self.counters.busy += 1
            self._send_error(message_id, ErrorCode.GENERIC, "busy")
            return []
        self._pending[message_id] = _PendingCall(digest, now_s)
        self.counters.calls_in += 1
        return [CallReceived(message_id, message[2], message[3])]

    def _on_answer(self, message: list[Any], flaw: str | None) -> list[Event]:
        own = self._own
        message_id = message[1] if len(message) > 1 else None
        if not isinstance(message_id, str):
            return self._refuse("answer without a usable id")
        if own is None or message_id != own.id:
            self.counters.late += 1
            self.counters.unasked += message_id not in self._given_up
            return []
        self._own = None
        if message[0] == _RESULT:
            if flaw is None and len(message) == 3 and isinstance(message[2], dict):
                self.counters.results_in += 1
                return [ResultReceived(own.ref, message[2])]
        elif flaw is None and 3 <= len(message) <= 5 and isinstance(message[2], str):
            self.counters.errors_in += 1
            description = message[3] if len(message) > 3 and isinstance(message[3], str) else ""
            code = self._codes.from_wire(message[2])
            return [ErrorReceived(own.ref, code, shown(description), shown(message[2])[:64])]
        # Our CALL was answered, if badly: waiting on would only turn this into a time-out.
        reason = flaw or "answer of the wrong shape"
        return [*self._refuse(reason), ErrorReceived(own.ref, ErrorCode.FORMAT, reason)]

    def _on_unknown_type(self, message: list[Any]) -> list[Event]:
        self.counters.unknown_types += 1
        if self._codes.answers_unknown_type:
            readable = len(message) > 1 and usable_id(message[1]) and message[1] not in self._pending
            message_id = message[1] if readable else self._codes.unreadable_id
            if message_id is not None:
                self._send_error(message_id, ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, "unknown message type")
        return []

    def _refuse(self, reason: str) -> list[Event]:
        self.counters.refused += 1
        return [FrameRefused(reason)]

    def _unreadable(self, reason: str) -> list[Event]:
        if self._codes.unreadable_id is not None:
            self._send_error(self._codes.unreadable_id, ErrorCode.RPC_FRAMEWORK, reason)
        return self._refuse(reason)

    def _error_frame(
        self, message_id: str, code: ErrorCode, description: str, details: dict[str, Any] | None = None
    ) -> list[Any]:
        return [_ERROR, message_id, self._codes.to_wire(code), description[:MAX_TEXT_LENGTH], details or {}]

    def _send_error(self, message_id: str, code: ErrorCode, description: str) -> None:
        self._outgoing.append(encode(self._error_frame(message_id, code, description)))
        self.counters.errors_out += 1

    def _answer(self, message_id: str, message: list[Any]) -> None:
        pending = self._pending.get(message_id)
        if pending is None:
            raise LocalProtocolError("no CALL with this id waits for an answer")
        frame = encode(message)
        del self._pending[message_id]
        if pending.reachable:
            self._outgoing.append(frame)
        self._remember(message_id, _Answered(pending.digest, pending.since_s, frame))

    def _remember(self, message_id: str, answered: _Answered) -> None:
        old = self._recent.pop(message_id, None)
        self._recent_size += len(answered.frame) - (0 if old is None else len(old.frame))
        self._recent[message_id] = answered
        while self._recent and (len(self._recent) > self._recent_ids or self._recent_size > self._recent_bytes):
            _, oldest = self._recent.popitem(last=False)
            self._recent_size -= len(oldest.frame)
