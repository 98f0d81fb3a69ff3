"""The station's own chains: new keys, signing requests, what comes back, and whose turn it is. Whitepaper A02, A03.

Each key is one `ClientCertificate`: without a chain its request waits. The newest chain whose time has come is offered
to `access` once; whether it is shown, and going back to what worked, is decided there.

Refuses to know: private keys. `key_id` names one, and only the certificate room reads it.

Invariants: a chain is kept only for a key of ours that was judged to fit · at most one request is on its way · the keys
and chains that are kept are few, whatever the CSMS asks for · nothing expires by a clock that is not trusted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from edged.domain import access
from edged.domain.answers import CertificateStatus, Reason, TriggerStatus
from edged.domain.commands import AcceptSignedChain, TriggerSigning
from edged.domain.credentials import CertificateUse, ClientCertificate
from edged.domain.effects import Abandon, Ask, Commission, SigningQuestion
from edged.domain.events import JobDone, QuestionAnswered, SigningAnswer
from edged.domain.jobs import Cause, ChainFits, CheckChain, Failed, MakeRequest, Outcome, RequestMade
from edged.domain.pending import PendingCertificate, PendingSigning
from edged.domain.security_event import SecurityEvent, note
from edged.domain.station import Station
from edged.domain.transition import Draft, drop, put

MONTH = timedelta(days=30)
"""How long before its end a chain is renewed; the last third of a life that is short."""
RENEWAL_PAUSE = timedelta(days=1)
MAX_WAITING = 3
"""Keys whose requests wait: the CSMS may answer an older one still."""
MAX_CHAINS = 4
MAX_JUDGED = 4
"""Certificates that are judged at once."""
JUDGED_S = 25.0
"""How long a certificate may be judged or a key be made: who asked is answered while it still waits."""
MAX_NAME_CHARS = 64
TOO_LONG = "it took too long"
LONGEST_WAIT_S = 7 * 86_400.0

# --- a new key and its request


def trigger(draft: Draft, event: TriggerSigning) -> None:
    """ExtendedTriggerMessage SignChargePointCertificate: the answer first, then the request (A02.FR.02)."""
    problem = _obstacle(draft.station)
    if problem is not None:
        draft.reply(event.request, TriggerStatus.REJECTED, problem)
        return
    draft.reply(event.request, TriggerStatus.ACCEPTED)
    _begin(draft)


def _obstacle(station: Station) -> str | None:
    if not station.link.online:
        return "the CSMS is not connected"
    common_name, organization = _names(station)
    if not organization:
        return "CpoName is not set"
    if len(common_name) > MAX_NAME_CHARS or len(organization) > MAX_NAME_CHARS:
        return f"CpoName, or the serial number, is longer than {MAX_NAME_CHARS} characters"
    return None


def _names(station: Station) -> tuple[str, str]:
    """Common name and organization (A02.FR.13). A station without a serial number is known by its identity."""
    return station.identity.serial_number or station.identity.id, station.configuration.text("CpoName").strip()


def _begin(draft: Draft) -> None:
    """One request at a time: one whose key is being made will do, one that is on its way makes room for the new."""
    for pending in _under_way(draft.station):
        if pending.key_id is None:
            return
        draft.settle(pending.ticket)
    ticket = draft.ticket()
    draft.wait(PendingSigning(ticket=ticket, until_s=draft.now.monotonic_s + JUDGED_S))
    draft.emit(Commission(ticket, MakeRequest(*_names(draft.station))))


def _under_way(station: Station) -> list[PendingSigning]:
    return [pending for pending in station.pending.values() if isinstance(pending, PendingSigning)]


def _made(draft: Draft, pending: PendingSigning, outcome: Outcome) -> None:
    """The key is kept with the request: a chain that comes after a restart still finds it."""
    draft.settle(pending.ticket)
    if not isinstance(outcome, RequestMade):
        reason = outcome.reason if isinstance(outcome, Failed) else "no key could be made"
        draft.announce("certificate.request_failed", None, reason=reason)
        return
    key = ClientCertificate(key_id=outcome.key_id, requested_at=draft.now.utc)
    draft.update(client_certificates=put(draft.station.client_certificates, key.key_id, key))
    draft.announce("certificate.requested", None, key=key.key_id)
    _ask(draft, replace(pending, key_id=outcome.key_id, csr=outcome.csr))


def _ask(draft: Draft, pending: PendingSigning) -> None:
    """SignCertificate. A ticket of its own each time: a late answer to an earlier one is nobody's."""
    ticket = draft.ticket()
    draft.wait(replace(pending, ticket=ticket, until_s=draft.now.monotonic_s + _wait_s(draft.station, pending)))
    draft.emit(Ask(ticket, SigningQuestion(pending.csr)))


def _wait_s(station: Station, pending: PendingSigning) -> float:
    """CertSigningWaitMinimum, doubled with each repetition."""
    first_s = float(station.configuration.number("CertSigningWaitMinimum"))
    return min(first_s * 2.0 ** min(pending.repeats, 32), LONGEST_WAIT_S)


def answered(draft: Draft, event: QuestionAnswered) -> None:
    """The CSMS will have it signed, or not. Without an answer the request goes out again in its time."""
    pending = draft.station.pending.get(event.ticket)
    if not isinstance(pending, PendingSigning):
        return
    if isinstance(event.answer, SigningAnswer):
        if event.answer.accepted:
            until_s = draft.now.monotonic_s + _wait_s(draft.station, pending)
            draft.wait(replace(pending, until_s=until_s))
            return
    elif not event.refused:
        return
    draft.settle(event.ticket)
    if pending.key_id is not None:
        _forget(draft, {pending.key_id})
    reason = event.refused or "the CSMS has refused the signing request"
    draft.announce("certificate.request_failed", None, reason=reason)


def _repeat(draft: Draft) -> None:
    """The request goes out again where no chain has come in time; then it is left to the CSMS."""
    for pending in _under_way(draft.station):
        if draft.now.monotonic_s < pending.until_s:
            continue
        if pending.key_id is None:
            draft.settle(pending.ticket)
            draft.emit(Abandon(pending.ticket))
            draft.announce("certificate.request_failed", None, reason=TOO_LONG)
            continue
        if not draft.station.link.serving:
            until_s = draft.now.monotonic_s + _wait_s(draft.station, pending)
            draft.wait(replace(pending, until_s=until_s))
            continue
        draft.settle(pending.ticket)
        if pending.repeats < draft.station.configuration.number("CertSigningRepeatTimes"):
            _ask(draft, replace(pending, repeats=pending.repeats + 1))
        else:
            draft.announce("certificate.request_failed", None, reason="no signed certificate came")


# --- the chain


def judged(station: Station) -> int:
    """How many certificates are being judged."""
    return sum(isinstance(pending, PendingCertificate) for pending in station.pending.values())


def leave(draft: Draft, pending: PendingCertificate, reason: str) -> None:
    """Nobody's judgement is waited for any more; nothing of the certificate is kept."""
    draft.settle(pending.ticket)
    draft.emit(Abandon(pending.ticket))
    status = CertificateStatus.REJECTED if pending.use is None else CertificateStatus.FAILED
    draft.reply(pending.request, status, reason)


def accept_chain(draft: Draft, event: AcceptSignedChain) -> None:
    """CertificateSigned: judged before it is answered (A02.FR.06)."""
    station = draft.station
    if not event.known_kind:
        reason = "this station has no certificates of this kind"
        draft.reply(event.request, CertificateStatus.REJECTED, reason, reason=Reason.UNSUPPORTED_PARAM)
        return
    if len(event.chain) > station.configuration.number("CertificateSignedMaxChainSize"):
        reason = "longer than CertificateSignedMaxChainSize"
        draft.reply(event.request, CertificateStatus.REJECTED, reason, reason=Reason.VALUE_TOO_HIGH)
        return
    if judged(station) >= MAX_JUDGED:
        draft.reply(event.request, CertificateStatus.REJECTED, "other certificates are being judged")
        return
    common_name, organization = _names(station)
    job = CheckChain(
        chain=event.chain,
        keys=tuple(station.client_certificates.values()),
        roots=tuple(one.pem for one in station.certificates.values() if one.use is CertificateUse.CSMS_ROOT),
        common_name=common_name,
        organization=organization,
        future=not station.policy.renews_at_once,
    )
    ticket = draft.ticket()
    until_s = draft.now.monotonic_s + JUDGED_S
    draft.wait(PendingCertificate(ticket=ticket, request=event.request, pem=event.chain, until_s=until_s))
    draft.emit(Commission(ticket, job))


def done(draft: Draft, event: JobDone) -> None:
    """A key was made, or a chain was judged."""
    pending = draft.station.pending.get(event.ticket)
    if isinstance(pending, PendingSigning):
        _made(draft, pending, event.outcome)
    elif isinstance(pending, PendingCertificate):
        draft.settle(event.ticket)
        _judged_chain(draft, pending, event.outcome)


def _judged_chain(draft: Draft, pending: PendingCertificate, outcome: Outcome) -> None:
    """A bad one is discarded and reported (A02.FR.07), and nothing is asked again (A02.FR.20): the key goes on waiting
    for a better one."""
    own = draft.station.client_certificates
    if not isinstance(outcome, ChainFits) or outcome.certificate.key_id not in own:
        reason = outcome.reason if isinstance(outcome, Failed) else "the key is not kept any more"
        invalid = not isinstance(outcome, Failed) or outcome.cause is Cause.INVALID
        draft.announce("certificate.refused", None, use="station", reason=reason)
        if invalid:
            for waiting in _under_way(draft.station):
                if waiting.key_id is not None:
                    draft.settle(waiting.ticket)
            note(draft, SecurityEvent.INVALID_STATION_CERTIFICATE, reason)
        word = Reason.INVALID_CERTIFICATE if invalid else ""
        draft.reply(pending.request, CertificateStatus.REJECTED, reason, reason=word)
        return
    chain = outcome.certificate
    requested_at = own[chain.key_id].requested_at
    answered_by_it = {one.key_id for one in own.values() if not one.chain and one.requested_at <= requested_at}
    for waiting in _under_way(draft.station):
        if waiting.key_id is not None and waiting.key_id in answered_by_it | {chain.key_id}:
            draft.settle(waiting.ticket)
    _forget(draft, answered_by_it - {chain.key_id})
    kept = replace(chain, requested_at=requested_at, offered=False, superseded_at=None, renewal_at=None)
    draft.update(client_certificates=put(draft.station.client_certificates, chain.key_id, kept))
    draft.announce("certificate.installed", None, use="station", subject=chain.subject)
    draft.reply(pending.request, CertificateStatus.ACCEPTED)


# --- which chain has its turn, and what is kept


def refresh(draft: Draft) -> None:
    """What time brings: judgements that nobody gave, repetitions, the turn of a chain that has begun, ends, renewal."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingCertificate) and draft.now.monotonic_s >= pending.until_s:
            leave(draft, pending, TOO_LONG)
    _repeat(draft)
    if draft.station.client_certificates:
        _offer(draft)
        _tidy(draft)
        _renew(draft)


def _offer(draft: Draft) -> None:
    """The newest chain that has begun has its turn, once (whitepaper A02.FR.08-09); where a chain is used at once, the
    last that came (2.x A02.FR.08)."""
    at_once = draft.station.policy.renews_at_once
    any_date = at_once and not draft.now.synchronized
    begun = [
        one
        for one in draft.station.client_certificates.values()
        if one.chain and one.not_before is not None and (any_date or one.not_before <= draft.now.utc)
    ]
    if not begun:
        return
    newest = max(begun, key=lambda one: (None if at_once else one.not_before, one.requested_at, one.key_id))
    for one in begun:
        if one.key_id != newest.key_id and one.superseded_at is None:
            _change(draft, replace(one, superseded_at=draft.now.utc))
    if not newest.offered:
        _change(draft, replace(newest, offered=True))
        access.use_key(draft, newest.key_id)


def _tidy(draft: Draft) -> None:
    """What was superseded is kept a month to fall back on (A02.FR.10), a request that nobody answers no longer either.
    What is in use stays."""
    in_use = {way.key_id for way in draft.station.access.ways}
    idle = [one for one in draft.station.client_certificates.values() if one.key_id not in in_use]
    idle.sort(key=lambda one: (one.requested_at, one.key_id))
    waiting = [one for one in idle if not one.chain]
    chains = [one for one in idle if one.chain]
    surplus = {one.key_id for one in (*waiting[:-MAX_WAITING], *chains[:-MAX_CHAINS], *_unused(draft, chains))}
    if draft.now.synchronized:
        long_ago = draft.now.utc - MONTH
        surplus |= {one.key_id for one in waiting if one.requested_at < long_ago}
        surplus |= {one.key_id for one in chains if one.superseded_at is not None and one.superseded_at < long_ago}
    if surplus:
        _forget(draft, surplus)


def _unused(draft: Draft, idle: Collection[ClientCertificate]) -> list[ClientCertificate]:
    """Where a chain is used at once: what is not shown once a line has come about, be it the former one (2.x A02.FR.10)
    or a new one by which none came, which is reported (A02.FR.29)."""
    station = draft.station
    on_trial = station.access.former is not None
    if not station.policy.renews_at_once or on_trial or access.security_profile(station) < access.HIGHEST_PROFILE:
        return []
    shown = access.client_key(station)
    unused = [one for one in idle if one.offered and one.key_id != shown]
    for one in unused:
        if one.superseded_at is None:
            note(draft, SecurityEvent.DISCARDED_CERTIFICATE, f"certificate {one.serial_number}")
            draft.announce("certificate.discarded", None, subject=one.subject)
    return unused


def _renew(draft: Draft) -> None:
    """A month before the end of the last chain a new one is asked for, once a day (A03.FR.02)."""
    station = draft.station
    if not draft.now.synchronized or not station.link.serving or _under_way(station):
        return
    lives = [
        (one.not_after, one.key_id, one.not_before)
        for one in station.client_certificates.values()
        if one.chain and one.not_before is not None and one.not_after is not None
    ]
    if not lives:
        return
    end, key_id, begin = max(lives)
    last = station.client_certificates[key_id]
    if draft.now.utc < end - min(MONTH, (end - begin) / 3) or _obstacle(station) is not None:
        return
    if last.renewal_at is None or draft.now.utc - last.renewal_at >= RENEWAL_PAUSE:
        _change(draft, replace(last, renewal_at=draft.now.utc))
        _begin(draft)


def _change(draft: Draft, certificate: ClientCertificate) -> None:
    draft.update(client_certificates=put(draft.station.client_certificates, certificate.key_id, certificate))


def _forget(draft: Draft, key_ids: Collection[str]) -> None:
    """The key's file goes once that is committed; who has the files sees to it."""
    kept = draft.station.client_certificates
    for key_id in key_ids:
        kept = drop(kept, key_id)
    draft.update(client_certificates=kept)
