"""What an OCPP version must provide: one `Dialect`, a pure translator between wire payloads and the core's words.

A dialect keeps no state. Whatever it needs to know is in the station or in the request that it answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from edged.domain.effects import AskAuthorization, Notify, Question, Record, Reply
from edged.domain.events import Event, QuestionAnswered, RecordDelivered, TokenAnswered
from edged.domain.hardware import Capability
from edged.domain.policy import Policy
from edged.domain.station import ConnectorLayout, Station
from edged.domain.types import Now, RequestRef
from edged.ocpp.rpc import CodeTable, ErrorCode, Request

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A CALL that gets a CALLERROR. `description` names the violated rule and the field, never its value."""

    code: ErrorCode
    description: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """A record that cannot be worded yet (its transaction has no reference so far): ask again later."""


@dataclass(frozen=True, slots=True)
class Inexpressible:
    """A record for which this version has no words: it is dropped."""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What the CSMS is told of one connector (or of the station, key 0).

    Two reports are equal when the CSMS need not be told again: `at` does not count.
    """

    status: str
    error_code: str = "NoError"
    info: str = ""
    vendor_error_code: str = ""
    at: datetime | None = field(default=None, compare=False)


class Dialect(Protocol):
    """One OCPP version. Every `encode_*` gives a payload that its own schemas accept; text is cut to fit."""

    @property
    def subprotocol(self) -> str: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def codes(self) -> CodeTable: ...

    # --- the CSMS asks

    def decode_call(self, action: str, payload: Any, request: RequestRef) -> Event | CallRefused:
        """Check a CALL against the version's schema and rules, and put it into the core's words."""

    def encode_reply(self, reply: Reply, station: Station) -> Payload | CallRefused:
        """The CALLRESULT payload for an answer, or the CALLERROR that the version has for it.

        `reply.request.action` is the version's own action name.
        """

    def encode_failure(self, action: str) -> Payload | None:
        """The CALLRESULT that says that nothing was done, for the disk kept nothing. None: only a CALLERROR says so."""

    # --- the station tells

    def encode_record(self, record: Record, station: Station) -> Request | NotYet | Inexpressible: ...

    def decode_record_answer(self, seq: int, record: Record, payload: Any) -> RecordDelivered | None:
        """None: the answer is not one that the version allows; it counts as a failure to process."""

    def encode_authorization(self, question: AskAuthorization) -> Request: ...

    def decode_authorization(self, ticket: str, payload: Any) -> TokenAnswered: ...

    def encode_question(self, question: Question, station: Station) -> Request | None:
        """None: this version has no such message."""

    def decode_question_answer(self, ticket: str, question: Question, payload: Any) -> QuestionAnswered: ...

    def encode_notice(self, notice: Notify, station: Station, now: Now) -> Request | None: ...

    def decode_notice_answer(self, notice: Notify, payload: Any) -> Event | None:
        """BootNotification and Heartbeat answers mean something; the others nothing."""

    def statuses(self, station: Station) -> Mapping[int, StatusReport]:
        """What the CSMS should know of each connector and, under 0, of the station."""

    def encode_status(self, connector: int, report: StatusReport, station: Station) -> Request: ...

    # --- the configuration, in the version's view

    def computed_configuration(self, station_shape: Mapping[str, Any]) -> Mapping[str, str]:
        """Values of keys that follow from the version: SupportedFeatureProfiles and the like."""


def computed_for(dialect: Dialect, layouts: Iterable[ConnectorLayout]) -> Mapping[str, str]:
    """The values that follow from a version for a station of this shape."""
    shapes = tuple(layouts)
    detachable = any(Capability.DETACHABLE in shape.capabilities for shape in shapes)
    return dialect.computed_configuration({"connectors": len(shapes), "detachable": detachable})
