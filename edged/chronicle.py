"""What people read in the log of a station's steps: what was announced, and faults as they come and go.

Owns the words of these entries and what each is about (`edged.log_fields`). Refuses to know what a step does.
Invariant: a step that tells nothing costs next to nothing, for most are polls.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from edged.domain.effects import Announce, Effect, Reply
from edged.domain.events import Event
from edged.domain.hardware import Fault
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.log_fields import about, fields

_log = logging.getLogger(__name__)
WORTH_A_WARNING = frozenset({"gateway.reset_refused"})
"""Announcements that somebody should look into."""
_CSMS = "csms"


@contextlib.contextmanager
def handling(event: Event) -> Iterator[None]:
    """While an event is handled, entries are about its connector and about who asked for it."""
    with about(connector=getattr(event, "connector", None) or None, **_asked(getattr(event, "request", None))):
        yield


def tell(before: Station, after: Station, effects: Sequence[Effect]) -> None:
    """A step was kept: say what there is to say of it. What answers a request is about that request, too."""
    for effect in effects:
        if isinstance(effect, Announce):
            transaction = effect.data.get("transaction_id") or _transaction(before, after, effect.connector)
            extra = fields(connector=effect.connector or None, transaction=transaction, **_answered(effects))
            _announced(after, effect, extra)
    if before.connectors is after.connectors:
        return
    for number, connector in after.connectors.items():
        former = before.connectors[number].faults
        if connector.faults is not former and connector.faults != former:
            extra = fields(connector=number, transaction=_transaction(before, after, number), **_answered(effects))
            _faults(after, number, former, extra)


def _answered(effects: Sequence[Effect]) -> dict[str, str]:
    return _asked(next((effect.request for effect in effects if isinstance(effect, Reply)), None))


def _asked(request: RequestRef | None) -> dict[str, str]:
    """The field that names a request, as its sender does."""
    if request is None:
        return {}
    return {"message_id": request.id} if request.channel == _CSMS else {"command": request.name or request.id}


def _announced(after: Station, told: Announce, extra: dict[str, Any]) -> None:
    place = "" if told.connector is None else f" connector {told.connector}"
    data = ", ".join(f"{name} {value}" for name, value in told.data.items())
    level = logging.WARNING if told.kind in WORTH_A_WARNING else logging.INFO
    _log.log(level, "%s%s: %s%s", after.identity.id, place, told.kind, f" ({data})" if data else "", extra=extra)


def _faults(after: Station, number: int, former: tuple[Fault, ...], extra: dict[str, Any]) -> None:
    now = after.connectors[number].faults
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
