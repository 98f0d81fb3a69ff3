"""Requests and replies: from bytes to a checked `Command` or a refusal, and from a result to a reply's body.

Pure and without a transport: MQTT and the control socket use the same functions (docs/mqtt). Refuses to know
what a command does. Invariants: no input raises · every refusal can be answered, with the caller's id where one could
be read · a reply never repeats what came in but for the id, the
command and the names of arguments that nobody takes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from edged.domain.types import Now
from edged.mqtt.arguments import NOT_SERVED, SHAPES, ArgumentError, CommandShape, parse_time, read_arguments
from edged.mqtt.names import Names
from edged.mqtt.options import CommandOptions

MAX_PAYLOAD_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 16
MAX_ID_CHARS: Final = 64
MAX_TTL_S: Final = 10 * 365 * 86_400
_ECHOED_NAME_CHARS: Final = 64
_PLAIN_CORRELATION_BYTES: Final = 64


class Code(StrEnum):
    """Why a command was not carried out as a call."""

    BAD_JSON = "bad_json"
    BAD_REQUEST = "bad_request"
    UNKNOWN_COMMAND = "unknown_command"
    INVALID_ARGS = "invalid_args"
    MISSING_ID = "missing_id"
    RETAINED = "retained"
    EXPIRED = "expired"
    DUPLICATE_IN_PROGRESS = "duplicate_in_progress"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    BUSY = "busy"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    NOT_SUPPORTED = "not_supported"
    CSMS_OFFLINE = "csms_offline"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why not: a code for programs, a sentence for people, and what helps to put it right."""

    code: Code
    message: str
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who asks for what and where the answer goes.

    `reply_topic` None: the answer goes back the way the request came. `correlation` is echoed byte for byte.
    """

    actor: str
    command: str
    id: str | None = None
    reply_topic: str | None = None
    correlation: bytes | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request that may be carried out."""

    envelope: Envelope
    shape: CommandShape
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def key(self) -> tuple[str, str, str] | None:
        """What makes a repetition the same request: actor, command and id. Correlation Data stands in for the id
        only where the command needs one: many clients send the same for everything."""
        ident, correlation = self.envelope.id, self.envelope.correlation
        if ident is None and self.shape.id_unless is not None and correlation:
            short = len(correlation) <= _PLAIN_CORRELATION_BYTES  # a broker carries 64 KiB of it
            ident = f"correlation:{correlation.hex() if short else hashlib.sha256(correlation).hexdigest()}"
        return None if ident is None else (self.envelope.actor, self.name, ident)

    @property
    def fingerprint(self) -> str:
        """What it asks for, in short: an id that comes again with something else is no repetition."""
        return hashlib.sha256(repr(sorted(self.arguments.items())).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that gets an error for an answer."""

    envelope: Envelope
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from: MQTT, with `names`, or the control socket, without.

    `command`: from the topic; None: it is a member of the body. `options` None: everything is allowed.
    """

    actor: str
    command: str | None = None
    names: Names | None = None
    options: CommandOptions | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    retained: bool = False


class _Unreadable(Exception):
    """Internal to the parser: the request is refused with this problem."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message)


def parse_request(raw: bytes, origin: Origin, now: Now) -> Command | Refusal:
    """Check one request from the outside in: its flags, its permission, its JSON, its envelope, its arguments."""
    envelope = _address(Envelope(actor=origin.actor, command=origin.command or ""), origin, None)
    problem: Problem | None = None
    body: Mapping[str, Any] = {}
    try:
        body = _read_body(raw)
        envelope = _read_envelope(envelope, body, origin)
    except _Unreadable as error:
        problem = error.problem
    if origin.retained:
        return Refusal(envelope, Problem(Code.RETAINED, "a command must not be published with the retain flag"))
    denied = _denied(envelope.command, origin)
    if denied is not None and (problem is None or origin.command is not None):
        problem = denied
    if problem is not None:
        return Refusal(envelope, problem)
    try:
        return _read_command(envelope, body, now)
    except _Unreadable as error:
        return Refusal(envelope, error.problem)


def _denied(command: str, origin: Origin) -> Problem | None:
    if origin.options is None or origin.options.allows(origin.actor, command):
        return None
    if command not in SHAPES and command not in NOT_SERVED and origin.options.actors.get(origin.actor):
        return None  # a known caller's misspelling is told as such
    return Problem(Code.FORBIDDEN, "this actor may not send this command")


def _read_body(raw: bytes) -> Mapping[str, Any]:
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise _Unreadable(Code.BAD_REQUEST, f"the payload is larger than {MAX_PAYLOAD_BYTES} bytes")
    if not raw.strip():
        return {}
    try:
        written = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Unreadable(Code.BAD_JSON, f"not UTF-8 at byte {error.start}") from error
    if _deeper_than(written, MAX_DEPTH):
        raise _Unreadable(Code.BAD_REQUEST, f"nested deeper than {MAX_DEPTH} levels")
    try:
        body = json.loads(written, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise _Unreadable(Code.BAD_JSON, message) from error
    except ValueError as error:  # a number with thousands of digits, NaN, an infinite number
        raise _Unreadable(Code.BAD_JSON, "a number that JSON or this program cannot hold") from error
    if not isinstance(body, dict):
        raise _Unreadable(Code.BAD_REQUEST, "the payload must be a JSON object")
    if _HALF.search(written) and _half_characters(body):
        raise _Unreadable(Code.BAD_JSON, "a text holds half of a surrogate pair")
    return body


_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Only so can half of a surrogate pair be written."""
_BRACKETS = re.compile(r"[\[\]{}]")


def _deeper_than(written: str, limit: int) -> bool:
    """Counted on the text: a hostile nesting must not reach the recursive parser."""
    if written.count("[") + written.count("{") <= limit:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_TEXTS.sub("", written)):
        depth += 1 if bracket in "[{" else -1
        if depth > limit:
            return True
    return False


def _no_constant(_name: str) -> float:
    raise ValueError


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError
    return value


def _half_characters(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return True
        return False
    if isinstance(value, dict):
        return any(_half_characters(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_half_characters(part) for part in value)


# --- the envelope


def _read_envelope(envelope: Envelope, body: Mapping[str, Any], origin: Origin) -> Envelope:
    ident = body.get("id")
    if ident is not None and not (isinstance(ident, str) and 1 <= len(ident) <= MAX_ID_CHARS and ident.isprintable()):
        raise _Unreadable(Code.BAD_REQUEST, f"id must be a text of 1 to {MAX_ID_CHARS} printable characters")
    envelope = replace(envelope, id=ident)
    if origin.command is None:
        command = body.get("command")
        if not isinstance(command, str) or not command:
            raise _Unreadable(Code.BAD_REQUEST, "command must be a text")
        envelope = replace(envelope, command=command)
    return _address(envelope, origin, _wanted_reply(body))


def _wanted_reply(body: Mapping[str, Any]) -> str | None:
    headers = body.get("headers")
    if headers is not None and not isinstance(headers, dict):
        raise _Unreadable(Code.BAD_REQUEST, "headers must be an object")
    wanted = body.get("reply_to")
    if wanted is None and headers:
        wanted = headers.get("replyTo")
    if wanted is not None and not isinstance(wanted, str):
        raise _Unreadable(Code.BAD_REQUEST, "the reply topic must be a text")
    return wanted


def _address(envelope: Envelope, origin: Origin, wanted: str | None) -> Envelope:
    """Where the reply goes: Response Topic before the body's wish before the default, and only below the caller's own
    reply prefix; otherwise anyone could make the daemon write anywhere with the daemon's rights."""
    envelope = replace(envelope, correlation=origin.correlation)
    if origin.names is None:
        return envelope
    default = origin.names.default_reply(origin.actor, envelope.command)
    wanted = origin.response_topic or wanted
    if wanted is None:
        return replace(envelope, reply_topic=default)
    allowed = origin.names.reply_address(origin.actor, wanted)
    if allowed is not None:
        return replace(envelope, reply_topic=allowed)
    prefix = origin.names.reply_prefix(origin.actor)
    return replace(envelope, reply_topic=default, warning=f"the reply topic must be a plain topic below {prefix}")


# --- the command


def _read_command(envelope: Envelope, body: Mapping[str, Any], now: Now) -> Command:
    shape = SHAPES.get(envelope.command)
    if shape is None and envelope.command in NOT_SERVED:
        raise _Unreadable(Code.NOT_SUPPORTED, f"{envelope.command} is not available in this version")
    if shape is None:
        raise _Unreadable(Code.UNKNOWN_COMMAND, "known commands: " + ", ".join(sorted(SHAPES)))
    _check_age(body, now)
    given = body.get("args")
    if given is None:
        given = body.get("payload")
    if given is not None and not isinstance(given, dict):
        raise _Unreadable(Code.BAD_REQUEST, "the arguments must be an object")
    try:
        arguments, ignored = read_arguments(shape, given or {})
    except ArgumentError as error:
        raise _Unreadable(Code.INVALID_ARGS, str(error)) from error
    has_id = envelope.id is not None or bool(envelope.correlation)
    if shape.id_unless is not None and not has_id and shape.id_unless not in arguments:
        raise _Unreadable(Code.MISSING_ID, "this command needs an id, so that a repetition is not carried out twice")
    if ignored:
        names = ", ".join(name[:_ECHOED_NAME_CHARS] for name in ignored[:4])
        envelope = replace(envelope, warning="; ".join(filter(None, (envelope.warning, f"ignored arguments: {names}"))))
    return Command(envelope=envelope, shape=shape, arguments=arguments)


def _check_age(body: Mapping[str, Any], now: Now) -> None:
    sent_at, ttl_s = body.get("ts"), body.get("ttl_s")
    if ttl_s is not None and (isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float) or ttl_s < 0):
        raise _Unreadable(Code.BAD_REQUEST, "ttl_s must be a number of seconds, 0 or more")
    if sent_at is None:
        return
    try:
        moment = parse_time(sent_at)
    except ArgumentError as error:
        raise _Unreadable(Code.BAD_REQUEST, f"ts {error}") from error
    if ttl_s is None or not now.synchronized:
        return
    age_s = (now.utc - moment).total_seconds()
    if age_s > min(ttl_s, MAX_TTL_S):
        raise _Unreadable(Code.EXPIRED, f"sent {age_s:.1f} s ago, valid for {float(min(ttl_s, MAX_TTL_S)):g} s")


# --- replies


def reply_body(
    envelope: Envelope,
    outcome: Problem | Mapping[str, Any] | bool | None,
    *,
    duration_ms: int | None = None,
    repeated: bool = False,
) -> dict[str, Any]:
    """The members of a reply, but for `v` and `ts`. A `Problem` makes it `ok: false`."""
    body: dict[str, Any] = {"id": envelope.id, "command": envelope.command[:MAX_ID_CHARS]}
    if isinstance(outcome, Problem):
        error: dict[str, Any] = {"code": outcome.code.value, "message": outcome.message}
        if outcome.details:
            error["details"] = dict(outcome.details)
        body |= {"ok": False, "error": error}
    else:
        body |= {"ok": True, "result": outcome}
    if duration_ms is not None:
        body["duration_ms"] = duration_ms
    if repeated:
        body["repeated"] = True
    if envelope.warning is not None:
        body["warning"] = envelope.warning
    return body
