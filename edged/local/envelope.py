"""The control socket's words: one request a line in, one reply a line out. No I/O.

Owns the bounds and the checks of a request line. Refuses to know commands and their arguments. Invariant: a line from
anybody becomes a `Request` that holds only clean values, or a `BadLine` that says what was wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

MAX_LINE_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_ID_CHARS = 64
MAX_COMMAND_CHARS = 64
_MEMBERS = frozenset({"id", "command", "args"})


@dataclass(frozen=True, slots=True)
class Request:
    id: str | None
    command: str
    args: dict[str, Any]


class BadLine(Exception):
    """A line that is no request. `code` is one of the contract's."""

    def __init__(self, code: str, message: str, *, id: str | None = None, command: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = id
        self.command = command


def parse_line(line: bytes) -> Request:
    """The request in one line. Raises `BadLine`."""
    body = _decode(line)
    if not isinstance(body, dict):
        raise BadLine("bad_request", 'a request is an object: {"id": ..., "command": ..., "args": {...}}')
    ident, command = body.get("id"), body.get("command")
    if ident is not None and not (isinstance(ident, str) and 1 <= len(ident) <= MAX_ID_CHARS):
        raise BadLine("bad_request", f"id must be a text of 1 to {MAX_ID_CHARS} characters")
    if not (isinstance(command, str) and 1 <= len(command) <= MAX_COMMAND_CHARS):
        raise BadLine("bad_request", f"command must be a text of 1 to {MAX_COMMAND_CHARS} characters", id=ident)
    strange = sorted(body.keys() - _MEMBERS)
    if strange:
        members = ", ".join(name[:MAX_ID_CHARS] for name in strange[:5])
        raise BadLine("bad_request", f"a request has id, command and args, not {members}", id=ident, command=command)
    args = body.get("args")
    if args is not None and not isinstance(args, dict):
        raise BadLine("invalid_args", "args must be an object", id=ident, command=command)
    return Request(ident, command, args or {})


def _decode(line: bytes) -> Any:
    try:
        body = json.loads(line.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadLine("bad_json", message) from error
    if _depth_exceeds(body, MAX_DEPTH):
        raise BadLine("bad_json", f"nested deeper than {MAX_DEPTH} levels")
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:  # also UnicodeEncodeError: half a character; 1e999 became infinity
        raise BadLine("bad_json", "holds half a character or a number beyond all bounds") from error
    return body


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _depth_exceeds(value: Any, limit: int) -> bool:
    waiting = [(value, 1)]
    while waiting:
        inner, depth = waiting.pop()
        if isinstance(inner, (dict, list)):
            if depth > limit:
                return True
            children = inner.values() if isinstance(inner, dict) else inner
            waiting.extend((child, depth + 1) for child in children)
    return False


def error_reply(code: str, message: str, *, id: str | None = None, command: str | None = None) -> dict[str, Any]:
    """The envelope of a request that was not carried out."""
    reply: dict[str, Any] = {"id": id, "ok": False, "error": {"code": code, "message": message}}
    return reply if command is None else {"id": id, "command": command, **reply}


def encode_reply(reply: Mapping[str, Any]) -> bytes:
    """One line. Raises ValueError or TypeError for what is no JSON."""
    return json.dumps(reply, separators=(",", ":"), allow_nan=False).encode() + b"\n"
