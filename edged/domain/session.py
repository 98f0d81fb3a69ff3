"""What a driver's token does: let in, start, stop, release a cable; at a reader, through the BMS, or by remote start.

The place is chosen and the reservation judged before the CSMS is asked; both are judged again with its answer, for
the world may have moved meanwhile.
"""

from __future__ import annotations

from edged.domain import authorization, charging_profile, metering, reservation, transaction
from edged.domain.answers import TokenVerdict, Verdict
from edged.domain.authorization import Way
from edged.domain.charging import ChargingProfile
from edged.domain.choosing import asked, choose, choose_start, is_open, is_usable
from edged.domain.commands import RequestStart, RequestStop
from edged.domain.effects import AskAuthorization, StopReason
from edged.domain.events import PresentToken, Registration, TokenAnswered
from edged.domain.pending import PendingToken
from edged.domain.policy import ReservationUse, Trigger
from edged.domain.reservation import Admission
from edged.domain.station import Authorization, Connector, Station, Transaction
from edged.domain.transition import Draft
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now, RequestRef, same_group

ASK_MARGIN_S = 5.0
TOO_LONG = "the token is too long for this OCPP version"

# --- a token is shown


def present(draft: Draft, event: PresentToken) -> None:
    """A reader or the BMS shows a token."""
    if draft.station.reset is not None:
        draft.reply(event.request, TokenVerdict.BUSY, "the station is about to restart")
        return
    if len(event.id_token.value) > draft.station.policy.id_token_max_chars:
        draft.reply(event.request, TokenVerdict.REFUSED, TOO_LONG)
        draft.announce("transaction.rejected", event.connector, id_token=event.id_token, reason=TOO_LONG)
        return
    known = authorization.lookup(draft.station, event.id_token, draft.now)
    group = known.group if known is not None else None
    number = event.connector
    if number is None:
        number = choose(draft.station, event.id_token, group)
    if number is None or number not in draft.station.connectors:
        draft.reply(event.request, TokenVerdict.NO_CONNECTOR, "no connector waits for a token")
        return
    connector = draft.station.connectors[number]
    running = draft.station.running(number)
    if running is not None and running.id_token is not None and running.id_token.matches(event.id_token):
        _stop_locally(draft, running, event.id_token)  # its own driver never waits for a stranger's question
        draft.reply(event.request, TokenVerdict.STOPPED)
    elif asked(draft.station, number) is not None:
        draft.reply(event.request, TokenVerdict.BUSY, "another token is being checked for this connector")
    elif running is not None and running.id_token is not None:
        _show_to_stop(draft, running, event)
    elif connector.held_for is not None:
        _show_to_release(draft, connector, event)
    elif connector.authorization is not None and connector.authorization.id_token.matches(event.id_token):
        draft.change(number, authorization=None)
        draft.reply(event.request, TokenVerdict.RELEASED, "shown a second time: let go")
    else:
        _show_to_start(draft, number, event)


def _trusted_group(draft: Draft, token: IdToken) -> IdToken | None:
    """The group of a token that would be let in without the CSMS: one that is blocked or expired acts for nobody."""
    if authorization.judge_offline(draft.station, token, draft.now) is not Way.ADMIT:
        return None
    known = authorization.lookup(draft.station, token, draft.now)
    return known.group if known is not None else None


def _show_to_stop(draft: Draft, running: Transaction, event: PresentToken) -> None:
    """Another token than the starting one stops only with its group (16-AUTH-10, TC_069)."""
    if draft.station.link.serving:
        _ask(draft, running.connector, event.id_token, stop=True, request=event.request)
    elif transaction.belongs(running, event.id_token, _trusted_group(draft, event.id_token)):
        _stop_locally(draft, running, event.id_token)
        draft.reply(event.request, TokenVerdict.STOPPED)
    else:
        draft.reply(event.request, TokenVerdict.REFUSED, "the connector is in use")


def _stop_locally(draft: Draft, running: Transaction, token: IdToken) -> None:
    transaction.end(draft, running.connector, StopReason.LOCAL, Trigger.STOP_AUTHORIZED, id_token=token)


def _show_to_release(draft: Draft, connector: Connector, event: PresentToken) -> None:
    """A cable that is kept locked is let go by its own token or one of its group."""
    owner = connector.held_for
    known = authorization.lookup(draft.station, owner, draft.now) if owner is not None else None
    owners_group = known.group if known is not None else None
    group = _trusted_group(draft, event.id_token)
    if owner is None or owner.matches(event.id_token) or same_group(owners_group, group):
        draft.change(connector.number, held_for=None)
        draft.reply(event.request, TokenVerdict.RELEASED, "the cable is released")
    else:
        draft.reply(event.request, TokenVerdict.REFUSED, "the cable belongs to another driver")


def _show_to_start(draft: Draft, number: int, event: PresentToken) -> None:
    connector = draft.station.connectors[number]
    if not is_usable(draft.station, connector) or connector.authorization is not None:
        draft.reply(event.request, TokenVerdict.NO_CONNECTOR, "the connector is not free")
        return
    _admit(draft, number, event.id_token, request=event.request)


def _admit(
    draft: Draft,
    number: int,
    token: IdToken,
    *,
    request: RequestRef | None = None,
    remote: bool = False,
    remote_start_id: int | None = None,
    profile: ChargingProfile | None = None,
) -> None:
    """Let a token in, refuse it, or ask the CSMS first."""
    known = authorization.lookup(draft.station, token, draft.now)
    group = known.group if known is not None else None
    place = reservation.entry(draft.station, number, token, group, group_known=known is not None)
    if place.admission is Admission.REFUSED:
        _refuse(draft, number, token, TokenVerdict.RESERVED, request)
        return
    unknown_group = place.admission is Admission.UNKNOWN_GROUP
    way = authorization.judge(draft.station, token, draft.now, group_needed=unknown_group)
    if way is Way.ASK:
        _ask(draft, number, token, request=request, remote=remote, remote_start_id=remote_start_id, profile=profile)
    elif way is Way.ADMIT and not unknown_group:
        _let_in(
            draft,
            number,
            token,
            group,
            place.reservation_id,
            request,
            remote=remote,
            remote_start_id=remote_start_id,
            profile=profile,
        )
    elif way is Way.ADMIT:
        _refuse(draft, number, token, TokenVerdict.RESERVED, request)
    else:
        verdict = TokenVerdict.REFUSED if way is Way.REFUSE else TokenVerdict.OFFLINE
        _refuse(draft, number, token, verdict, request)


def _refuse(draft: Draft, number: int, token: IdToken, verdict: TokenVerdict, request: RequestRef | None) -> None:
    draft.reply(request, verdict)
    draft.announce("transaction.rejected", number, id_token=token, reason=verdict)


def _let_in(
    draft: Draft,
    number: int,
    token: IdToken,
    group: IdToken | None,
    reservation_id: int | None,
    request: RequestRef | None,
    *,
    remote: bool,
    remote_start_id: int | None,
    profile: ChargingProfile | None,
) -> None:
    running = draft.station.running(number)
    if running is not None:  # a transaction that began with the plug gets its driver
        draft.transact(running.id, id_token=token, group=group, reservation_id=reservation_id)
        charging_profile.adopt(draft, running, profile)
        metering.update(draft, number, Trigger.REMOTE_START if remote else Trigger.AUTHORIZED)
    else:
        admitted = Authorization(
            id_token=token,
            group=group,
            since_s=draft.now.monotonic_s,
            reservation_id=reservation_id,
            remote=remote,
            remote_start_id=remote_start_id,
            profile=profile,
        )
        draft.change(number, authorization=admitted, spent=False, note="", preparing_until_s=None)
    at_once = running is not None or draft.station.policy.reservation_used is ReservationUse.TOKEN_AUTHORIZED
    if reservation_id is not None and at_once:
        reservation.use(draft, reservation_id, number)
    if running is None and transaction.may_start(draft.station, draft.station.connectors[number]):
        transaction.start(draft, number)
        draft.reply(request, TokenVerdict.STARTED)
    else:
        draft.reply(request, TokenVerdict.AUTHORIZED)


# --- the CSMS is asked


def _ask(
    draft: Draft,
    number: int,
    token: IdToken,
    *,
    stop: bool = False,
    request: RequestRef | None = None,
    remote: bool = False,
    remote_start_id: int | None = None,
    profile: ChargingProfile | None = None,
) -> None:
    ticket = draft.ticket()
    draft.wait(
        PendingToken(
            ticket=ticket,
            id_token=token,
            connector=number,
            stop=stop,
            remote=remote,
            remote_start_id=remote_start_id,
            request=request,
            until_s=draft.now.monotonic_s + draft.station.configuration.number("MessageTimeout") + ASK_MARGIN_S,
            profile=profile,
        )
    )
    draft.emit(AskAuthorization(ticket, token))


def answered(draft: Draft, event: TokenAnswered) -> None:
    """The CSMS judged a token, or did not answer: then the offline rules hold."""
    pending = draft.station.pending.get(event.ticket)
    if not isinstance(pending, PendingToken):
        return
    draft.settle(pending.ticket)
    if draft.station.reset is not None:
        draft.reply(pending.request, TokenVerdict.BUSY, "the station is about to restart")
        return
    info = event.info
    if info is None:
        info = _without_answer(draft.station, pending, draft.now)
    else:
        authorization.remember(draft, pending.id_token, info)
    running = draft.station.running(pending.connector)
    if pending.stop:
        _answered_stop(draft, pending, info, running)
    elif info is None:
        _refuse(draft, pending.connector, pending.id_token, TokenVerdict.OFFLINE, pending.request)
    elif info.status is not AuthorizationStatus.ACCEPTED:
        _refuse(draft, pending.connector, pending.id_token, TokenVerdict.REFUSED, pending.request)
    else:
        _answered_start(draft, pending, info)


def _without_answer(station: Station, pending: PendingToken, now: Now) -> IdTokenInfo | None:
    """What the offline rules make of an unanswered question; None: unknown and not to be let in."""
    known = authorization.lookup(station, pending.id_token, now)
    way = authorization.judge_offline(station, pending.id_token, now)
    if way is Way.ADMIT:
        return IdTokenInfo(AuthorizationStatus.ACCEPTED, known.group if known is not None else None)
    return IdTokenInfo(AuthorizationStatus.INVALID) if way is Way.REFUSE else None


def _answered_stop(draft: Draft, pending: PendingToken, info: IdTokenInfo | None, running: Transaction | None) -> None:
    accepted = info is not None and info.status is AuthorizationStatus.ACCEPTED
    group = info.group if info is not None else None
    if running is None:
        draft.reply(pending.request, TokenVerdict.NO_CONNECTOR, "the transaction has ended meanwhile")
    elif accepted and transaction.belongs(running, pending.id_token, group):
        _stop_locally(draft, running, pending.id_token)
        draft.reply(pending.request, TokenVerdict.STOPPED)
    else:
        draft.reply(pending.request, TokenVerdict.REFUSED, "the connector is in use")


def _answered_start(draft: Draft, pending: PendingToken, info: IdTokenInfo) -> None:
    number = pending.connector
    connector = draft.station.connectors[number]
    place = reservation.entry(draft.station, number, pending.id_token, info.group, group_known=True)
    if not is_open(draft.station, connector):
        _refuse(draft, number, pending.id_token, TokenVerdict.NO_CONNECTOR, pending.request)
    elif place.admission not in (Admission.FREE, Admission.HOLDER):
        _refuse(draft, number, pending.id_token, TokenVerdict.RESERVED, pending.request)
    else:
        _let_in(
            draft,
            number,
            pending.id_token,
            info.group,
            place.reservation_id,
            pending.request,
            remote=pending.remote,
            remote_start_id=pending.remote_start_id,
            profile=pending.profile,
        )


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


# --- remote start and stop


def request_start(draft: Draft, event: RequestStart) -> None:
    """RemoteStartTransaction: Accepted says only that the attempt will be made."""
    station = draft.station
    known = authorization.lookup(station, event.id_token, draft.now)
    group = event.group or (known.group if known is not None else None)
    group_known = known is not None or event.group is not None
    number = event.connector if event.connector is not None else choose_start(station, event.id_token, group)
    refusal = _remote_refusal(station, event, number, group, group_known=group_known)
    if not refusal and number is not None and event.profile is not None:
        flaw = charging_profile.flaw_of_start(station, event.profile, number, draft.now)
        if flaw is not None:
            draft.reply(event.request, Verdict.REJECTED, flaw.detail, reason=flaw.reason)
            return
    if refusal or number is None:
        draft.reply(event.request, Verdict.REJECTED, refusal)
        return
    draft.reply(event.request, Verdict.ACCEPTED)
    place = reservation.entry(station, number, event.id_token, group, group_known=group_known)
    if station.configuration.flag("AuthorizeRemoteTxRequests") or place.admission is Admission.UNKNOWN_GROUP:
        _admit(
            draft,
            number,
            event.id_token,
            remote=True,
            remote_start_id=event.remote_start_id,
            profile=event.profile,
        )
    else:
        _let_in(
            draft,
            number,
            event.id_token,
            group,
            place.reservation_id,
            None,
            remote=True,
            remote_start_id=event.remote_start_id,
            profile=event.profile,
        )


def _remote_refusal(
    station: Station, event: RequestStart, number: int | None, group: IdToken | None, *, group_known: bool
) -> str:
    """Why a remote start is Rejected, or ""."""
    if not event.acceptable:
        return "the charging profile does not fit a remote start"
    if event.request.channel == "csms" and station.link.registration is not Registration.ACCEPTED:
        return "the station is not accepted yet"
    if station.reset is not None:
        return "the station is about to restart"
    if len(event.id_token.value) > station.policy.id_token_max_chars:
        return TOO_LONG
    if number is None:
        return "no connector is free"
    if number not in station.connectors:
        return "no such connector"
    if not is_open(station, station.connectors[number]):
        return "the connector is not free"
    place = reservation.entry(station, number, event.id_token, group, group_known=group_known)
    return "reserved for somebody else" if place.admission is Admission.REFUSED else ""


def request_stop(draft: Draft, event: RequestStop) -> None:
    """RemoteStopTransaction: Accepted for a running transaction of that name, else Rejected (TC_028)."""
    station = draft.station
    unaccepted = event.request.channel == "csms" and station.link.registration is not Registration.ACCEPTED
    for number in station.connectors:
        running = station.running(number)
        if running is None or unaccepted or station.reset is not None:
            continue
        by_ref = event.external_ref is not None and running.external_ref == event.external_ref
        if by_ref or event.transaction_id == running.id or event.connector == number:
            draft.reply(event.request, Verdict.ACCEPTED)
            transaction.end(draft, number, StopReason.REMOTE, Trigger.REMOTE_STOP)
            return
    draft.reply(event.request, Verdict.REJECTED, "no such transaction is running")
