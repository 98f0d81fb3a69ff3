"""What people read in the log of a station's steps: what was announced, and faults as they come and go.

Owns the words of these entries and what each is about (`edged.log_fields`). Refuses to know what a step does.
Invariant: a step that tells nothing costs next to nothing, for most are polls.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

from edged.domain.effects import Announce, Effect
from edged.domain.events import Event
from edged.domain.hardware import Fault
from edged.domain.station import Station
from edged.log_fields import about, fields

_log = logging.getLogger(__name__)
WORTH_A_WARNING = frozenset({"gateway.reset_refused"})
"""Announcements that somebody should look into."""
_CSMS = "csms"


@contextlib.contextmanager
def handling(event: Event) -> Iterator[None]:
    """While an event is handled, entries are about its connector and about who asked for it."""
    request = getattr(event, "request", None)
    connector = getattr(event, "connector", None)
    if request is None:
        asked = {}
    else:
        asked = {"message_id": request.id} if request.channel == _CSMS else {"command": request.name or request.id}
    with about(connector=connector or None, **asked):
        yield


def tell(before: Station, after: Station, effects: Sequence[Effect]) -> None:
    """A step was kept: say what there is to say of it."""
    for effect in effects:
        if isinstance(effect, Announce):
            _announced(before, after, effect)
    if before.connectors is after.connectors:
        return
    for number, connector in after.connectors.items():
        former = before.connectors[number].faults
        if connector.faults is not former and connector.faults != former:
            _faults(before, after, number, former)


def _announced(before: Station, after: Station, told: Announce) -> None:
    place = "" if told.connector is None else f" connector {told.connector}"
    data = ", ".join(f"{name} {value}" for name, value in told.data.items())
    transaction = told.data.get("transaction_id") or _transaction(before, after, told.connector)
    extra = fields(connector=told.connector or None, transaction=transaction)
    level = logging.WARNING if told.kind in WORTH_A_WARNING else logging.INFO
    _log.log(level, "%s%s: %s%s", after.identity.id, place, told.kind, f" ({data})" if data else "", extra=extra)


def _faults(before: Station, after: Station, number: int, former: tuple[Fault, ...]) -> None:
    now = after.connectors[number].faults
    extra = fields(connector=number, transaction=_transaction(before, after, number))
    for fault in now:
        if fault not in former:
            level = logging.WARNING if fault.blocking else logging.INFO
            _log.log(level, "%s connector %d: fault %s", after.identity.id, number, _named(fault), extra=extra)
    for fault in former:
        if fault not in now:
            _log.info("%s connector %d: fault over: %s", after.identity.id, number, _named(fault), extra=extra)


def _transaction(before: Station, after: Station, number: int | None) -> str | None:
    """That runs on a connector, or has run there until this step."""
    running = None if number is None else after.running(number) or before.running(number)
    return None if running is None else running.id


def _named(fault: Fault) -> str:
    more = ", ".join(filter(None, (fault.vendor_code, fault.info)))
    return f"{fault.code} ({more})" if more else str(fault.code)
