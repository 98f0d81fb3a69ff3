"""Remote start and stop: what is answered first, and what follows. 1.6 §5.11/5.12, 2.x F01 to F04.

Refuses to know: how a driver is let in (`session`), what ends a transaction (`transaction`).
Invariant: Accepted says only that the attempt is made; the answer goes before anything that follows from it.
"""

from __future__ import annotations

from typing import NamedTuple

from edged.domain import authorization, charging_profile, session, transaction
from edged.domain.answers import Hindrance, Reason, Verdict
from edged.domain.choosing import choose_start, is_open
from edged.domain.commands import RequestStart, RequestStop
from edged.domain.effects import StopReason
from edged.domain.events import Registration
from edged.domain.places import in_order, place_of
from edged.domain.policy import Trigger
from edged.domain.reservation import Admission
from edged.domain.session import Driver
from edged.domain.station import Connector, Station
from edged.domain.transition import Draft
from edged.domain.types import RequestRef


class _Refusal(NamedTuple):
    detail: str
    reason: str = ""


def request_start(draft: Draft, event: RequestStart) -> None:
    """Start for a token: where it was said, else where it suits best. Of a transaction that runs without a driver the
    answer names the id (F01.FR.13)."""
    station = draft.station
    driver = Driver(
        token=event.id_token,
        group=event.group,
        group_told=event.group_told,
        remote=True,
        remote_start_id=event.remote_start_id,
        profile=event.profile,
    )
    number = _place(draft, event, driver)
    refusal = _refusal(draft, event, driver, number)
    if refusal is not None or number is None:
        detail, reason = refusal or _Refusal("no connector is free", Hindrance.OCCUPIED)
        draft.reply(event.request, Verdict.REJECTED, detail, reason=reason)
        return
    running = station.running(number)
    draft.reply(event.request, Verdict.ACCEPTED, data=running.id if running is not None else None)
    info = session.known_at(draft, number, driver.token)
    place = session.entry(station, number, driver, info)
    if station.configuration.flag("AuthorizeRemoteTxRequests") or place.admission is Admission.UNKNOWN_GROUP:
        session.admit(draft, number, driver)
    else:
        session.let_in(draft, number, driver, session.group_of(driver, info), place.reservation_id)


def _place(draft: Draft, event: RequestStart, driver: Driver) -> int | None:
    """The connector that is meant; None where no place was named and none suits. What was named is given back even
    where it does not suit: the refusal says why."""
    station = draft.station
    if event.connector is not None:
        return event.connector
    info = authorization.lookup(station, driver.token, draft.now)
    group = driver.group if driver.group_told else session.group_of(driver, info)
    named = () if event.evse is None else (event.evse,)
    evses = named or (info.evses if info is not None else ())
    number = choose_start(station, driver.token, group, evses=evses, group_known=driver.group_told)
    return place_of(station, None, event.evse) if number is None and named else number


def _refusal(draft: Draft, event: RequestStart, driver: Driver, number: int | None) -> _Refusal | None:
    """Why a remote start is Rejected (F01.FR.21 to 26, F02.FR.23 to 27), or None."""
    station = draft.station
    if not event.acceptable:
        return _Refusal("the charging profile does not fit a remote start", Reason.INVALID_PROFILE)
    if _unaccepted(station, event.request):
        return _Refusal("the station is not accepted yet", Reason.CS_NOT_ACCEPTED)
    if station.reset is not None:
        return _Refusal(session.RESTARTING, Hindrance.BUSY)
    if len(driver.token.value) > station.policy.id_token_max_chars:
        return _Refusal(session.TOO_LONG, Reason.INVALID_ID_TOKEN)
    if number is None and event.evse is None:
        return _Refusal("no connector is free", Hindrance.OCCUPIED)
    if number is None or number not in station.connectors:
        named = event.evse is not None
        reason = Reason.UNKNOWN_EVSE if named else Reason.UNKNOWN_CONNECTOR_ID
        return _Refusal("no such EVSE" if named else "no such connector", reason)
    connector = station.connectors[number]
    if not is_open(station, connector):
        return _why_not_open(station, connector)
    info = session.known_at(draft, number, driver.token)
    if authorization.is_master(station, session.group_of(driver, info)):
        return _Refusal(session.MASTER_STARTS_NOTHING, Reason.INVALID_ID_TOKEN)
    if session.entry(station, number, driver, info).admission is Admission.REFUSED:
        return _Refusal("reserved for somebody else", Hindrance.RESERVED)
    flaw = None
    if event.profile is not None:
        flaw = charging_profile.flaw_of_start(station, event.profile, number, draft.now)
    return None if flaw is None else _Refusal(flaw.detail, flaw.reason)


def _why_not_open(station: Station, connector: Connector) -> _Refusal:
    """The first thing that is in the way. Of a driver who charges or was let in 2.x has a code of its own."""
    busy = connector.authorization is not None or any(s.transaction_id for s in station.siblings(connector.number))
    if busy:
        return _Refusal("another driver is there", Reason.TX_IN_PROGRESS)
    if not connector.online:
        return _Refusal("the charger does not answer", Hindrance.OFFLINE)
    if connector.blocked:
        return _Refusal("the connector is faulted", Hindrance.FAULTED)
    if not in_order(station, connector):
        return _Refusal("the connector is out of service", Hindrance.UNAVAILABLE)
    if station.seized(connector.number):
        return _Refusal("an unlock or a reset is under way", Hindrance.BUSY)
    return _Refusal("another driver is there", Hindrance.OCCUPIED)


def _unaccepted(station: Station, request: RequestRef) -> bool:
    """A CSMS that has not accepted the station may not start or stop anything (B02.FR.05); local people may."""
    return request.channel == "csms" and station.link.registration is not Registration.ACCEPTED


def request_stop(draft: Draft, event: RequestStop) -> None:
    """RemoteStopTransaction: Accepted for a running transaction of that name, else Rejected (TC_028, F03.FR.07, 08)."""
    station = draft.station
    if _unaccepted(station, event.request):
        draft.reply(event.request, Verdict.REJECTED, "the station is not accepted yet", reason=Reason.CS_NOT_ACCEPTED)
        return
    for number in station.connectors:
        running = station.running(number)
        if running is None or station.reset is not None:
            continue
        by_ref = event.external_ref is not None and running.external_ref == event.external_ref
        if by_ref or event.transaction_id == running.id or event.connector == number:
            draft.reply(event.request, Verdict.ACCEPTED)
            transaction.stop(draft, number, StopReason.REMOTE, Trigger.REMOTE_STOP)
            return
    draft.reply(event.request, Verdict.REJECTED, "no such transaction is running", reason=Reason.TX_NOT_FOUND)
