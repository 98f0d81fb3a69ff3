"""Why a CALL failed: one vocabulary for every version, and how a version spells it on the wire. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a CALL failed, in words that belong to no version. `CodeTable` spells them."""

    FORMAT = "FormatViolation"
    GENERIC = "GenericError"
    INTERNAL = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE = "OccurrenceConstraintViolation"
    PROPERTY = "PropertyConstraintViolation"
    PROTOCOL = "ProtocolError"
    RPC_FRAMEWORK = "RpcFrameworkError"
    SECURITY = "SecurityError"
    TYPE = "TypeConstraintViolation"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTable:
    """What one OCPP version says differently on the wire.

    `wire`: names sent where they differ from the neutral ones (also for codes that the version lacks).
    `also_read`: further names understood; neutral names and those of `wire` always are.
    `unreadable_id`: the id that answers a frame whose own id cannot be read ("-1" in 2.x, 20-J-02), None: ignore it.
    `answers_unknown_type`: 2.x answers MessageTypeNotSupported (20-J-03), 1.6 is silent (16-J-24).
    """

    wire: Mapping[ErrorCode, str] = field(default_factory=dict)
    also_read: Mapping[str, ErrorCode] = field(default_factory=dict)
    unreadable_id: str | None = None
    answers_unknown_type: bool = False

    def to_wire(self, code: ErrorCode) -> str:
        """The name that this version sends."""
        return self.wire.get(code, code.value)

    def from_wire(self, name: str) -> ErrorCode:
        """What a received name means; a name that nobody knows is GENERIC (vendors invent codes)."""
        for code in ErrorCode:
            if name == code.value:
                return code
        if name in self.also_read:
            return self.also_read[name]
        return next((code for code, wire in self.wire.items() if wire == name), ErrorCode.GENERIC)
