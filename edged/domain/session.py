"""What a driver's token does: let in, start, stop, release a cable; at a reader, through the BMS, or by remote start.

The place is chosen and the reservation judged before the CSMS is asked; both are judged again with its answer, for
the world may have moved meanwhile. A master pass stops every driver's transaction and starts none (2.x C16).
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.domain import authorization, display, key_code, reservation, transaction
from edged.domain.answers import TokenVerdict
from edged.domain.authorization import Way
from edged.domain.charging import ChargingProfile
from edged.domain.choosing import asked, choose, is_open, is_usable
from edged.domain.effects import AskAuthorization, StopReason
from edged.domain.events import PresentToken, TokenAnswered
from edged.domain.pending import PendingToken
from edged.domain.policy import ReservationUse, Trigger
from edged.domain.reservation import Admission
from edged.domain.station import Authorization, Connector, Station, Transaction
from edged.domain.transition import Draft
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now, RequestRef, same_group

ASK_MARGIN_S = 5.0
TOO_LONG = "the token is too long for this OCPP version"
MASTER_STARTS_NOTHING = "a master pass starts nothing"
RESTARTING = "the station is about to restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Who wants to charge, and how that was said. `group`, `group_told`: as in `PendingToken`."""

    token: IdToken
    group: IdToken | None = None
    group_told: bool = False
    request: RequestRef | None = None
    remote: bool = False
    remote_start_id: int | None = None
    profile: ChargingProfile | None = None


# --- a token is shown


def present(draft: Draft, event: PresentToken) -> None:
    """A reader or the BMS shows a token."""
    token, request = authorization.recognize(draft.station, event.id_token), event.request
    if draft.station.reset is not None:
        draft.reply(request, TokenVerdict.BUSY, RESTARTING)
        return
    if len(token.value) > draft.station.policy.id_token_max_chars:
        draft.reply(request, TokenVerdict.REFUSED, TOO_LONG)
        draft.announce("transaction.rejected", event.connector, id_token=token, reason=TOO_LONG)
        return
    if token.secret and key_code.wait_s(draft.station, draft.now) > 0:
        draft.reply(request, TokenVerdict.REFUSED, "too many wrong codes: wait")
        return
    if authorization.is_master(draft.station, authorization.trusted_group(draft.station, token, draft.now)):
        _stop_all(draft, token, request)
        return
    number = _place_of(draft, token, event.connector)
    if number is None:
        draft.reply(request, TokenVerdict.NO_CONNECTOR, "no connector waits for a token")
        return
    connector = draft.station.connectors[number]
    running = draft.station.running(number)
    if running is not None and running.halted is not None:
        _show_when_over(draft, connector, token, request)
    elif running is not None and running.id_token is not None and running.id_token.matches(token):
        _stop_locally(draft, running, token)  # its own driver never waits for a stranger's question
        draft.reply(request, TokenVerdict.STOPPED)
    elif asked(draft.station, number) is not None:
        draft.reply(request, TokenVerdict.BUSY, "another token is being checked for this connector")
    elif running is not None and running.id_token is not None:
        _show_to_stop(draft, running, token, request)
    elif connector.held_for is not None:
        _show_to_release(draft, connector, token, request)
    elif connector.authorization is not None and connector.authorization.id_token.matches(token):
        draft.change(number, authorization=None)
        draft.reply(request, TokenVerdict.RELEASED, "shown a second time: let go")
    elif not is_usable(draft.station, connector) or connector.authorization is not None:
        draft.reply(request, TokenVerdict.NO_CONNECTOR, "the connector is not free")
    else:
        admit(draft, number, Driver(token=token, request=request))


def _place_of(draft: Draft, token: IdToken, connector: int | None) -> int | None:
    """The connector that a token is for. One that is nobody's here may be a master pass, which needs none."""
    station = draft.station
    if connector is not None:
        return connector if connector in station.connectors else None
    known = authorization.lookup(station, token, draft.now)
    number = choose(station, token, known)
    if number is None and station.configuration.text("MasterPassGroupId"):
        return next((n for n in station.connectors if station.running(n) is not None), None)
    return number


def _show_to_stop(draft: Draft, running: Transaction, token: IdToken, request: RequestRef | None) -> None:
    """Another token than the starting one stops only with its group (16-AUTH-10, TC_069, C09)."""
    group = authorization.trusted_group(draft.station, token, draft.now)
    if transaction.belongs(running, token, group):
        _stop_locally(draft, running, token)
        draft.reply(request, TokenVerdict.STOPPED)
    elif authorization.may_ask(draft.station, token, draft.now):
        _ask(draft, running.connector, Driver(token=token, request=request), stop=True)
    else:
        _turn_away(draft, token, request, TokenVerdict.REFUSED, "the connector is in use")


def _stop_locally(draft: Draft, running: Transaction, token: IdToken) -> None:
    transaction.stop(draft, running.connector, StopReason.LOCAL, Trigger.STOP_AUTHORIZED, id_token=token)


def _stop_all(draft: Draft, token: IdToken, request: RequestRef | None) -> None:
    """A master pass: every driver's transaction ends (C16.FR.02, 07, 08). A cable without a driver has none to end."""
    stopped = False
    for number in draft.station.connectors:
        running = draft.station.running(number)
        if running is not None and running.id_token is not None and running.halted is None:
            transaction.stop(draft, number, StopReason.MASTER_PASS, Trigger.STOP_AUTHORIZED, id_token=token)
            stopped = True
    if stopped:
        draft.reply(request, TokenVerdict.STOPPED)
        return
    draft.reply(request, TokenVerdict.REFUSED, MASTER_STARTS_NOTHING)
    draft.announce("transaction.rejected", None, id_token=token, reason=MASTER_STARTS_NOTHING)


def _show_when_over(draft: Draft, connector: Connector, token: IdToken, request: RequestRef | None) -> None:
    """Nobody charges on a transaction whose authorization is over (C01.FR.23): what may be left is a locked cable."""
    if connector.held_for is not None:
        _show_to_release(draft, connector, token, request)
    else:
        draft.reply(request, TokenVerdict.NO_CONNECTOR, "the session is over: the cable has to be unplugged")


def _show_to_release(draft: Draft, connector: Connector, token: IdToken, request: RequestRef | None) -> None:
    """A cable that is kept locked is let go by its own token or one of its group."""
    owner = connector.held_for
    known = authorization.lookup(draft.station, owner, draft.now) if owner is not None else None
    owners_group = known.group if known is not None else None
    group = authorization.offline_group(draft.station, token, draft.now)
    if owner is None or owner.matches(token) or same_group(owners_group, group):
        draft.change(connector.number, held_for=None)
        draft.reply(request, TokenVerdict.RELEASED, "the cable is released")
    else:
        _turn_away(draft, token, request, TokenVerdict.REFUSED, "the cable belongs to another driver")


# --- a driver is let in, or not


def entry(
    station: Station, number: int, driver: Driver, info: IdTokenInfo | None, *, answered: bool = False
) -> reservation.Entry:
    """What the reservations say to a driver of whom `info` is known; `answered`: by the CSMS, that knows the group."""
    known = info is not None or driver.group is not None
    group = group_of(driver, info)
    if driver.group_told and not answered:
        group, known = driver.group, True
    return reservation.entry(station, number, driver.token, group, group_known=known)


def group_of(driver: Driver, info: IdTokenInfo | None) -> IdToken | None:
    return driver.group or (info.group if info is not None else None)


def known_at(draft: Draft, number: int, token: IdToken) -> IdTokenInfo | None:
    """What is known here of a token that is shown at a connector."""
    evse = draft.station.connectors[number].layout.evse_id
    return authorization.lookup(draft.station, token, draft.now, evse=evse)


def admit(draft: Draft, number: int, driver: Driver) -> None:
    """Let a driver in, refuse him, or ask the CSMS first."""
    info = known_at(draft, number, driver.token)
    place = entry(draft.station, number, driver, info)
    if place.admission is Admission.REFUSED:
        _refuse(draft, number, driver, TokenVerdict.RESERVED)
        return
    unknown_group = place.admission is Admission.UNKNOWN_GROUP
    evse = draft.station.connectors[number].layout.evse_id
    way = authorization.judge(draft.station, driver.token, draft.now, evse=evse, group_needed=unknown_group)
    if way is Way.ASK:
        _ask(draft, number, driver)
    elif way is Way.ADMIT and not unknown_group:
        let_in(draft, number, driver, group_of(driver, info), place.reservation_id)
        display.judged(draft, number, None)
    elif way is Way.ADMIT:
        _refuse(draft, number, driver, TokenVerdict.RESERVED)
    else:
        _refuse(draft, number, driver, TokenVerdict.REFUSED if way is Way.REFUSE else TokenVerdict.OFFLINE)


def _refuse(draft: Draft, number: int, driver: Driver, verdict: TokenVerdict, detail: str = "") -> None:
    _turn_away(draft, driver.token, driver.request, verdict, detail)
    draft.announce("transaction.rejected", number, id_token=driver.token, reason=verdict)


def _turn_away(
    draft: Draft, token: IdToken, request: RequestRef | None, verdict: TokenVerdict, detail: str = ""
) -> None:
    if token.secret and verdict in (TokenVerdict.REFUSED, TokenVerdict.OFFLINE):
        key_code.note_wrong(draft)
    draft.reply(request, verdict, detail)


def let_in(draft: Draft, number: int, driver: Driver, group: IdToken | None, reservation_id: int | None) -> None:
    """The driver may charge: what runs already is his from now on, else he is waited for."""
    if authorization.is_master(draft.station, group):
        _refuse(draft, number, driver, TokenVerdict.REFUSED, MASTER_STARTS_NOTHING)
        return
    running = draft.station.running(number)
    if running is not None:  # a transaction that began with the plug gets its driver
        transaction.authorize(
            draft,
            running,
            token=driver.token,
            group=group,
            reservation_id=reservation_id,
            remote=driver.remote,
            remote_start_id=driver.remote_start_id,
            profile=driver.profile,
        )
    else:
        admitted = Authorization(
            id_token=driver.token,
            group=group,
            since_s=draft.now.monotonic_s,
            reservation_id=reservation_id,
            remote=driver.remote,
            remote_start_id=driver.remote_start_id,
            profile=driver.profile,
        )
        draft.change(number, authorization=admitted, spent=False, note="", preparing_until_s=None)
    at_once = running is not None or draft.station.policy.reservation_used is ReservationUse.TOKEN_AUTHORIZED
    if reservation_id is not None and at_once:
        reservation.use(draft, reservation_id, number)
    if running is None and transaction.may_start(draft.station, draft.station.connectors[number]):
        transaction.start(draft, number)
        draft.reply(driver.request, TokenVerdict.STARTED)
    else:
        draft.reply(driver.request, TokenVerdict.AUTHORIZED)


# --- the CSMS is asked


def _ask(draft: Draft, number: int, driver: Driver, *, stop: bool = False) -> None:
    ticket = draft.ticket()
    draft.wait(
        PendingToken(
            ticket=ticket,
            id_token=driver.token,
            connector=number,
            stop=stop,
            remote=driver.remote,
            remote_start_id=driver.remote_start_id,
            request=driver.request,
            until_s=draft.now.monotonic_s + draft.station.configuration.number("MessageTimeout") + ASK_MARGIN_S,
            profile=driver.profile,
            group=driver.group,
            group_told=driver.group_told,
        )
    )
    draft.emit(AskAuthorization(ticket, driver.token))


def _driver_of(pending: PendingToken) -> Driver:
    return Driver(
        token=pending.id_token,
        group=pending.group,
        group_told=pending.group_told,
        request=pending.request,
        remote=pending.remote,
        remote_start_id=pending.remote_start_id,
        profile=pending.profile,
    )


def answered(draft: Draft, event: TokenAnswered) -> None:
    """The CSMS judged a token, or did not answer: then the offline rules hold."""
    pending = draft.station.pending.get(event.ticket)
    if not isinstance(pending, PendingToken):
        return
    draft.settle(pending.ticket)
    if draft.station.reset is not None:
        draft.reply(pending.request, TokenVerdict.BUSY, RESTARTING)
        return
    info = event.info
    if info is None:
        info = _without_answer(draft.station, pending, draft.now)
    else:
        authorization.remember(draft, pending.id_token, info)
    valid = info is not None and info.status is AuthorizationStatus.ACCEPTED
    group = info.group if info is not None else None
    if valid and not pending.remote and authorization.is_master(draft.station, group):
        _stop_all(draft, pending.id_token, pending.request)
    elif pending.stop:
        _answered_stop(draft, pending, group if valid else None, valid=valid)
    else:
        _answered_start(draft, pending.connector, _driver_of(pending), info)


def _without_answer(station: Station, pending: PendingToken, now: Now) -> IdTokenInfo | None:
    """What the offline rules make of an unanswered question; None: unknown and not to be let in."""
    evse = None if pending.stop else station.connectors[pending.connector].layout.evse_id
    known = authorization.lookup(station, pending.id_token, now)
    way = authorization.judge_offline(station, pending.id_token, now, evse=evse)
    if way is Way.ADMIT:
        return IdTokenInfo(AuthorizationStatus.ACCEPTED, known.group if known is not None else None)
    return IdTokenInfo(AuthorizationStatus.INVALID) if way is Way.REFUSE else None


def _answered_stop(draft: Draft, pending: PendingToken, group: IdToken | None, *, valid: bool) -> None:
    running = draft.station.running(pending.connector)
    if running is None:
        draft.reply(pending.request, TokenVerdict.NO_CONNECTOR, "the transaction has ended meanwhile")
    elif valid and transaction.belongs(running, pending.id_token, group):
        _stop_locally(draft, running, pending.id_token)
        draft.reply(pending.request, TokenVerdict.STOPPED)
    elif valid:
        draft.reply(pending.request, TokenVerdict.REFUSED, "the connector is in use")
    else:
        _turn_away(draft, pending.id_token, pending.request, TokenVerdict.REFUSED, "the connector is in use")


def _answered_start(draft: Draft, number: int, driver: Driver, info: IdTokenInfo | None) -> None:
    connector = draft.station.connectors[number]
    if info is None:
        _refuse(draft, number, driver, TokenVerdict.OFFLINE)
        return
    if authorization.at_evse(info, connector.layout.evse_id).status is not AuthorizationStatus.ACCEPTED:
        _refuse(draft, number, driver, TokenVerdict.REFUSED)
        return
    place = entry(draft.station, number, driver, info, answered=True)
    if not is_open(draft.station, connector):
        _refuse(draft, number, driver, TokenVerdict.NO_CONNECTOR)
    elif place.admission not in (Admission.FREE, Admission.HOLDER):
        _refuse(draft, number, driver, TokenVerdict.RESERVED)
    else:
        let_in(draft, number, driver, group_of(driver, info), place.reservation_id)
        display.judged(draft, number, info.message)


def drop_question(draft: Draft, number: int, detail: str) -> None:
    """The driver who is being judged for this connector is not let in any more, whatever the CSMS will say."""
    pending = asked(draft.station, number)
    if pending is not None:
        draft.settle(pending.ticket)
        draft.reply(pending.request, TokenVerdict.NO_CONNECTOR, detail)


def give_up_overdue(draft: Draft) -> None:
    """Questions that nobody answered in time."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingToken) and draft.now.monotonic_s >= pending.until_s:
            answered(draft, TokenAnswered(pending.ticket, None))
