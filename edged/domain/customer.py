"""CustomerInformation: what is kept here of a customer, told and taken away. 2.x N09, N10.

Kept of a token are: its word in the local list and in the authorization cache, its reservations, and its transactions
as long as the CSMS has not heard of them whole. Nothing is kept of a certificate, or under a name that only the CSMS
knows. Taking away empties the cache of the token; the local list is the CSMS's own (N10.FR.06), a reservation and a
transaction have their own ends, and what was not delivered has to be billed.

Refuses to know: how the text goes out. Invariant: what is told is what was there before it was taken away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from edged.domain import reporting
from edged.domain.answers import CustomerStatus, Reason
from edged.domain.commands import TellCustomer
from edged.domain.effects import ReportKind
from edged.domain.station import CachedToken, ListedToken, Station, Transaction
from edged.domain.transition import Draft, drop
from edged.domain.types import IdToken, IdTokenInfo, Stamp

PART_CHARS = 512
"""2.x's messages take no more at a time."""
NOTHING = "Nothing is kept of this customer."
CLEARED = "The authorization cache has been cleared of this customer."
REST = "The local list is not cleared, nor what has not come to its end."


def tell(draft: Draft, event: TellCustomer) -> None:
    """Exactly one customer, or Invalid (N09.FR.09); with neither flag there is nothing to do (N10.FR.07). The text
    follows the answer, and there is always one (N09.FR.06, N10.FR.04, N10.FR.06)."""
    named = [one for one in (event.id_token, event.certificate, event.identifier) if one is not None]
    if len(named) != 1:
        draft.reply(event.request, CustomerStatus.INVALID, "exactly one customer has to be named")
        return
    if not event.report and not event.clear:
        detail = "neither a report nor that something is cleared is asked for"
        draft.reply(event.request, CustomerStatus.REJECTED, detail, reason=Reason.INVALID_VALUE)
        return
    if not reporting.has_room(draft.station):
        detail = "too many reports are under way"
        draft.reply(event.request, CustomerStatus.REJECTED, detail, reason=Reason.OUT_OF_MEMORY)
        return
    facts = [] if event.id_token is None else list(_facts(draft.station, event.id_token))
    cleared = event.clear and event.id_token is not None and _clear(draft, event.id_token)
    draft.reply(event.request, CustomerStatus.ACCEPTED)
    draft.announce("customer.told", None, reported=event.report, cleared=cleared)
    lines = facts if event.report else []
    if cleared:
        lines.append(CLEARED)
    if event.clear and event.id_token is not None and any(_facts(draft.station, event.id_token)):
        lines.append(REST)
    reporting.begin(draft, ReportKind.CUSTOMER, event.request_id, _parts("\n".join(lines or [NOTHING])))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text[start : start + PART_CHARS] for start in range(0, len(text), PART_CHARS))


def _clear(draft: Draft, token: IdToken) -> bool:
    """Whether there was something to take away."""
    cache = draft.station.cache
    for key in _keys(cache, token):
        cache = drop(cache, key)
    cleared = len(cache) < len(draft.station.cache)
    if cleared:
        draft.update(cache=cache)
    return cleared


def _keys(entries: Mapping[str, ListedToken] | Mapping[str, CachedToken], token: IdToken) -> list[str]:
    """The entries that are this token's."""
    return [key for key in token.keys if key in entries and entries[key].id_token.matches(token)]


# --- what is known


def _facts(station: Station, token: IdToken) -> Iterator[str]:
    """A sentence for each thing, without the token itself."""
    for key in _keys(station.local_list, token):
        judgement = _judgement(station.local_list[key].info)
        yield f"Local authorization list, version {station.local_list_version}: {judgement}."
    for key in _keys(station.cache, token):
        cached = station.cache[key]
        yield f"Authorization cache, as of {_time(cached.updated_at)}: {_judgement(cached.info)}."
    for reservation in station.reservations.values():
        if reservation.id_token.matches(token):
            yield f"Reservation {reservation.id}, until {_time(reservation.expires_at)}."
    for connector in station.connectors.values():
        if connector.authorization is not None and connector.authorization.id_token.matches(token):
            yield f"Let in at EVSE {connector.layout.evse_id}."
    for transaction in station.transactions.values():
        if transaction.id_token is not None and transaction.id_token.matches(token):
            yield _transaction(station, transaction)


def _transaction(station: Station, transaction: Transaction) -> str:
    connector = station.connectors.get(transaction.connector)
    where = "" if connector is None else f" at EVSE {connector.layout.evse_id}"
    begin = f"Transaction {transaction.id}{where}, since {_moment(station, transaction.started)}"
    if transaction.ending is None:
        return f"{begin}, still running."
    energy_wh = transaction.ending.meter_wh - transaction.meter_start_wh
    until = _moment(station, transaction.ending.at)
    return f"{begin}, until {until}, {energy_wh:.0f} Wh, waits to be delivered."


def _judgement(info: IdTokenInfo) -> str:
    until = "" if info.expires_at is None else f", until {_time(info.expires_at)}"
    group = "" if info.group is None else ", of a group"
    return f"{info.status}{until}{group}"


def _moment(station: Station, stamp: Stamp) -> str:
    return _time(station.true_time(stamp))


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
