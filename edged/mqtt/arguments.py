"""The commands: their names, their arguments, and how an argument is checked (docs/mqtt).

Pure. Knows shapes and bounds; refuses to know whether a connector or a reservation exists.
Invariant: what `read_arguments` returns holds only declared names, each of its declared Python type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from edged.domain.configuration import KEY_MAX_CHARS, VALUE_MAX_CHARS
from edged.domain.effects import NoticeKind
from edged.domain.files import LogKind
from edged.domain.local_commands import LockWish

MAX_ID: Final = 2**31 - 1
MAX_AMPERE: Final = 1_000
MAX_CONNECTOR: Final = 10_000
MAX_DATA_CHARS: Final = 16 * 1024
MAX_LISTED_TRANSFERS: Final = 100
MAX_LISTED_EVENTS: Final = 500
MAX_SEQ: Final = 2**53 - 1
MAX_LOCATION_CHARS: Final = 512
MAX_RETRIES: Final = 100
MAX_RETRY_INTERVAL_S: Final = 86_400
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_TOKEN_KINDS: Final = (
    "Central",
    "eMAID",
    "ISO14443",
    "ISO15693",
    "KeyCode",
    "Local",
    "MacAddress",
    "NoAuthorization",
)

Check = Callable[[Any], Any]
"""Gives the value in its Python type; raises `ArgumentError` with what was expected."""


class ArgumentError(ValueError):
    """A value is not what its argument takes. The text says what is, and never repeats the value."""


def parse_time(value: Any) -> datetime:
    """RFC 3339 with an offset, to UTC."""
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        text = re.sub(r"\.(\d{1,9})", lambda found: "." + found[1][:6].ljust(6, "0"), value.upper().replace(" ", "T"))
        try:
            return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ArgumentError("is no date that exists") from error
    raise ArgumentError("must be a time like 2026-08-22T11:00:00Z")


def whole(minimum: int, maximum: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, float) and value.is_integer() and math.isfinite(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ArgumentError(f"must be a whole number from {minimum} to {maximum}")
        return int(value)

    return check


def amperes(value: Any) -> int:
    """A current in ampere, to milliampere."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_AMPERE:
        raise ArgumentError(f"must be a number of amperes from 0 to {MAX_AMPERE}")
    return round(value * 1000)


def text(maximum: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= maximum or any(ord(c) < 32 for c in value):
            raise ArgumentError(f"must be a text of 1 to {maximum} characters without control characters")
        return value

    return check


def free_text(maximum: int) -> Check:
    """Any text at all: it is carried, not understood."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > maximum:
            raise ArgumentError(f"must be a text of at most {maximum} characters")
        return value

    return check


def texts(maximum: int, length: int) -> Check:
    of_one = text(length)

    def check(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > maximum:
            raise ArgumentError(f"must be a list of at most {maximum} texts")
        return tuple(of_one(item) for item in value)

    return check


def truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ArgumentError("must be true or false")
    return value


def one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        if value not in words:
            raise ArgumentError(f"must be one of {', '.join(words)}")
        return str(value)

    return check


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    check: Check
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandShape:
    """One command. `reads_only`: repeating it changes nothing, so its answers need not survive a restart.
    `of_this_run`: what it does ends with the daemon, so they must not: an old one would say what is not so any more.

    `one_of`: exactly one of these arguments is given. `id_unless`: the request needs an id of its own unless this
    argument is there; "" means always, None never.
    """

    name: str
    arguments: tuple[Argument, ...] = ()
    one_of: tuple[str, ...] = ()
    reads_only: bool = False
    of_this_run: bool = False
    id_unless: str | None = None
    timeout_s: float = 10.0

    @property
    def lasting(self) -> bool:
        """Whether its answers must outlive a restart."""
        return not self.reads_only and not self.of_this_run


_STATION = Argument("station", text(255))
_TOKEN = Argument("id_token", text(36), required=True)
_KIND = Argument("type", one_of(*_TOKEN_KINDS))
_CONNECTOR = Argument("connector", whole(1, MAX_CONNECTOR))
_THIS_CONNECTOR = Argument("connector", whole(1, MAX_CONNECTOR), required=True)
_SOME_CONNECTOR = Argument("connector", whole(0, MAX_CONNECTOR))  # 0, or left out: the station
_KEY = Argument("key", text(KEY_MAX_CHARS), required=True)
_VALUE = Argument("value", free_text(VALUE_MAX_CHARS), required=True)
_RETRIES = (Argument("retries", whole(0, MAX_RETRIES)), Argument("retry_interval", whole(0, MAX_RETRY_INTERVAL_S)))
_LOCATION = Argument("location", text(MAX_LOCATION_CHARS), required=True)
SLOW_S: Final = 30.0
"""For what waits for a charger or the CSMS."""

SHAPES: Final[Mapping[str, CommandShape]] = {
    shape.name: shape
    for shape in (
        CommandShape(name="ping", reads_only=True),
        CommandShape(name="get_state", arguments=(_STATION,), reads_only=True),
        CommandShape(name="list_reservations", arguments=(_STATION,), reads_only=True),
        CommandShape(name="present_token", arguments=(_STATION, _CONNECTOR, _TOKEN, _KIND)),
        CommandShape(
            name="reserve_now",
            arguments=(
                _STATION,
                Argument("connector", whole(0, MAX_CONNECTOR)),  # 0: any, as in 1.6
                Argument("evse_id", whole(1, MAX_CONNECTOR)),
                Argument("connector_type", text(20)),
                Argument("reservation_id", whole(0, MAX_ID)),
                _TOKEN,
                _KIND,
                Argument("group_id_token", text(36)),
                Argument("expires_at", parse_time, required=True),
            ),
            one_of=("connector", "evse_id", "connector_type"),
            id_unless="reservation_id",
        ),
        CommandShape(
            name="cancel_reservation",
            arguments=(_STATION, Argument("reservation_id", whole(0, MAX_ID), required=True)),
        ),
        CommandShape(name="start_transaction", arguments=(_STATION, _THIS_CONNECTOR, _TOKEN, _KIND), id_unless=""),
        CommandShape(
            name="stop_transaction",
            arguments=(_STATION, Argument("transaction_id", text(36)), _CONNECTOR),
            one_of=("transaction_id", "connector"),
        ),
        CommandShape(
            name="change_availability",
            arguments=(
                _STATION,
                Argument("connector", whole(0, MAX_CONNECTOR), required=True),  # 0: the station
                Argument("type", one_of("Operative", "Inoperative"), required=True),
            ),
            timeout_s=SLOW_S,
        ),
        CommandShape(name="unlock_connector", arguments=(_STATION, _THIS_CONNECTOR), timeout_s=SLOW_S),
        CommandShape(
            name="reset",
            arguments=(
                _STATION,
                Argument("type", one_of("Soft", "Hard", "OnIdle"), required=True),
                Argument("evse_id", whole(1, MAX_CONNECTOR)),
            ),
            id_unless="",
            timeout_s=SLOW_S,
        ),
        CommandShape(
            name="trigger_message",
            arguments=(
                _STATION,
                Argument("requested_message", one_of(*NoticeKind), required=True),
                Argument("connector", whole(0, MAX_CONNECTOR)),
            ),
        ),
        CommandShape(
            name="get_configuration_key",
            arguments=(_STATION, Argument("keys", texts(200, KEY_MAX_CHARS))),
            reads_only=True,
        ),
        CommandShape(
            name="set_configuration_key",
            arguments=(_STATION, _KEY, _VALUE),
        ),
        CommandShape(name="set_custom_configuration_key", arguments=(_STATION, _KEY, _VALUE)),
        CommandShape(
            name="monitor_configuration_keys",
            arguments=(_STATION, Argument("keys", texts(200, KEY_MAX_CHARS), required=True)),
        ),
        CommandShape(name="stop", arguments=(_STATION,), of_this_run=True),
        CommandShape(name="restart", arguments=(_STATION,), of_this_run=True),
        CommandShape(
            name="set_lock",
            arguments=(_STATION, _THIS_CONNECTOR, Argument("state", one_of(*LockWish), required=True)),
            timeout_s=SLOW_S,
        ),
        CommandShape(
            name="set_limit",
            arguments=(_STATION, _SOME_CONNECTOR, Argument("limit_a", amperes, required=True)),
        ),
        CommandShape(name="clear_limit", arguments=(_STATION, _SOME_CONNECTOR)),
        CommandShape(name="clear_fault", arguments=(_STATION, _THIS_CONNECTOR)),
        CommandShape(name="republish", reads_only=True),
        CommandShape(name="clear_cache", arguments=(_STATION,)),
        CommandShape(
            name="security_event",
            arguments=(
                _STATION,
                Argument("type", text(50), required=True),
                Argument("info", free_text(255)),
                Argument("critical", truth),
                Argument("timestamp", parse_time),
            ),
        ),
        CommandShape(
            name="update_firmware",
            arguments=(
                _STATION,
                _LOCATION,
                Argument("retrieve_date", parse_time),
                Argument("install_date", parse_time),
                *_RETRIES,
            ),
        ),
        CommandShape(
            name="get_diagnostics",
            arguments=(
                _STATION,
                _LOCATION,
                Argument("log", one_of(*LogKind)),
                Argument("start_time", parse_time),
                Argument("stop_time", parse_time),
                *_RETRIES,
            ),
        ),
        CommandShape(
            name="data_transfer",
            arguments=(
                _STATION,
                Argument("vendor_id", text(255), required=True),
                Argument("message_id", text(50)),
                Argument("data", free_text(MAX_DATA_CHARS)),
            ),
            timeout_s=SLOW_S,
        ),
        CommandShape(
            name="get_events",
            arguments=(
                Argument("after_seq", whole(0, MAX_SEQ), required=True),
                Argument("limit", whole(1, MAX_LISTED_EVENTS)),
            ),
            reads_only=True,
        ),
        CommandShape(
            name="list_data_transfers",
            arguments=(_STATION, Argument("limit", whole(1, MAX_LISTED_TRANSFERS))),
            reads_only=True,
        ),
    )
}
"""What this daemon carries out."""

NOT_SERVED: Final[frozenset[str]] = frozenset()
"""Commands of the contract that this daemon knows by name only: `not_supported`."""


def read_arguments(shape: CommandShape, given: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The checked arguments, and the names that the command does not take (they are ignored: readers ignore unknown
    members). A null is an argument left out. Raises `ArgumentError`, its text beginning with the argument's name."""
    values: dict[str, Any] = {}
    for argument in shape.arguments:
        value = given.get(argument.name)
        if value is None:
            if argument.required:
                raise ArgumentError(f"{argument.name} is missing")
            continue
        try:
            values[argument.name] = argument.check(value)
        except ArgumentError as error:
            raise ArgumentError(f"{argument.name} {error}") from error
    if shape.one_of and sum(name in values for name in shape.one_of) != 1:
        raise ArgumentError(f"exactly one of {', '.join(shape.one_of)} must be given")
    known = {argument.name for argument in shape.arguments}
    return values, tuple(name for name in given if name not in known)
