"""What OCPP 2.0.1 asks of a station beyond the wire.

Owns the view of transactions, the reports that were asked for, and which ids the CSMS has given out. Sins that are
noticed: pages of reports that nobody asked for, that come before the answer, out of order or after the last one;
statuses of places that do not exist; ids of remote starts, reservations, logs and updates that nobody made;
questions about tokens that nobody asks about; events that do not say that they are late (E04.FR.03); all that
`csms_transactions` finds. A message that comes again under its id, after a line was lost, is no sin as long as it
says the same.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from edged.simulator.csms_answers_201 import UNASKED_TYPES
from edged.simulator.csms_rules import Payload, StationView
from edged.simulator.csms_transactions import Transactions, moment_of
from edged.simulator.ocpp_schemas import SCHEMAS_201

MAX_REMEMBERED = 10_000
PAGES = {
    "GetBaseReport": "NotifyReport",
    "GetReport": "NotifyReport",
    "GetMonitoringReport": "NotifyMonitoringReport",
    "CustomerInformation": "NotifyCustomerInformation",
    "GetDisplayMessages": "NotifyDisplayMessages",
    "GetChargingProfiles": "ReportChargingProfiles",
}
"""What is asked, and what the pages of its report are called."""
EARLY_PAGES = frozenset({"NotifyReport"})
"""What a station that is Pending may send because it was asked for (B02.FR.02)."""
PROGRESS = {"LogStatusNotification": "GetLog", "FirmwareStatusNotification": "UpdateFirmware"}
"""What is told of a long piece of work, and who ordered that. Only `Idle` belongs to none (L01.FR.20)."""
IDS = {
    "RequestStartTransaction": "remoteStartId",
    "ReserveNow": "id",
    "GetLog": "requestId",
    "UpdateFirmware": "requestId",
}
"""The ids that the CSMS gives out, and in which field."""
MAX_DECIMALS = 3
MAX_OUTAGES = 1_000
DOUBT = timedelta(seconds=0.3)
"""How long the two ends of a line may disagree whether it is up."""


@dataclass(slots=True, kw_only=True)
class Report:
    """A report that was asked for. `next_page`: the seqNo to come."""

    accepted: bool = False
    next_page: int = 0
    done: bool = False


class Conduct201:
    """`transactions`: the CSMS's view of them. `ids`: what the CSMS ordered, in all versions, by station and order."""

    name = "2.0.1"
    schemas = SCHEMAS_201
    malformed_code = "FormatViolation"
    early_code: str | None = "SecurityError"
    triggers: Mapping[str, str] = {
        "SignChargingStationCertificate": "SignCertificate",
        "SignV2GCertificate": "SignCertificate",
        "SignCombinedCertificate": "SignCertificate",
    }
    repeated = frozenset({"StatusNotification", "MeterValues", "TransactionEvent"})

    def __init__(self, ids: dict[tuple[str, str], set[object]] | None = None) -> None:
        self.transactions = Transactions()
        self._reports: dict[tuple[str, str, object], Report] = {}
        self._ids = {} if ids is None else ids
        self._heard: OrderedDict[tuple[str, str], tuple[str, Payload]] = OrderedDict()
        self._next_notice: dict[str, int] = {}
        self._down_since: dict[str, datetime] = {}
        self._outages: dict[str, deque[tuple[datetime, datetime]]] = {}

    def may_be_early(self, station: StationView, action: str, payload: Payload) -> bool:
        pending = station.boot_status == "Pending"
        if pending and action == "NotifyEvent":
            return "StatusNotification" in station.triggered
        return pending and action in EARLY_PAGES and self._report(station.identity, action, payload) is not None

    def line(self, station: str, *, up: bool, at: datetime) -> None:
        if not up:
            self._down_since[station] = at
        elif station in self._down_since:
            self._outages.setdefault(station, deque(maxlen=MAX_OUTAGES)).append((self._down_since.pop(station), at))

    def called(self, station: str, message_id: str, action: str, payload: Payload) -> Iterator[str]:
        known = self._heard.get((station, message_id))
        if known is not None:
            if known != (action, _lasting(payload)):
                yield f"{action} comes again as {message_id} and says something else"
            return
        self._heard[station, message_id] = (action, _lasting(payload))
        if len(self._heard) > MAX_REMEMBERED:
            self._heard.popitem(last=False)
        yield from _times(action, payload)
        match action:
            case "TransactionEvent":
                yield from self._transaction(station, payload)
            case "MeterValues":
                yield from self.transactions.readings(station, payload.get("evseId"), payload)
            case "StatusNotification":
                if min(_number(payload, "evseId"), _number(payload, "connectorId")) < 1:
                    yield f"a status of EVSE {payload.get('evseId')}, connector {payload.get('connectorId')}"
            case "NotifyEvent":
                yield from self._notice(station, payload)
            case "Authorize":
                kind = _field(payload, "idToken", "type")
                if kind in UNASKED_TYPES:
                    yield f"Authorize asks about a token of type {kind}"
            case "ReservationStatusUpdate":
                yield from self._given(station, "ReserveNow", payload.get("reservationId"), action)
            case _ if action in PAGES.values():
                yield from self._page(station, action, payload)
            case _ if action in PROGRESS:
                yield from self._progress(station, action, payload)
            case _:
                return

    def told(self, station: str, action: str, payload: Payload) -> None:
        return

    def asked(self, station: str, action: str, payload: Payload) -> None:
        if action in PAGES:
            self._reports[station, PAGES[action], payload.get("requestId")] = Report()
        if action in IDS:
            self._ids.setdefault((station, action), set()).add(payload.get(IDS[action]))

    def answered(self, station: str, action: str, asked: Payload, answer: Payload | None) -> Iterable[str]:
        if action in PAGES:
            key = (station, PAGES[action], asked.get("requestId"))
            if answer is not None and answer.get("status") == "Accepted":
                self._reports[key].accepted = True
            else:
                self._reports.pop(key, None)
        return ()

    # --- what is called

    def _transaction(self, station: str, payload: Payload) -> Iterator[str]:
        yield from self.transactions.take(station, payload)
        at = moment_of(payload.get("timestamp"))
        if at is not None and not payload.get("offline") and self._was_down(station, at):
            yield f"TransactionEvent of {at}, when the line was down, does not say that it is late"
        remote = _field(payload, "transactionInfo", "remoteStartId")
        if remote is not None:
            yield from self._given(station, "RequestStartTransaction", remote, "TransactionEvent")
        if "reservationId" in payload:
            yield from self._given(station, "ReserveNow", payload["reservationId"], "TransactionEvent")

    def _was_down(self, station: str, at: datetime) -> bool:
        """Whether the station had no line then, beyond doubt."""
        return any(down + DOUBT < at < up - DOUBT for down, up in self._outages.get(station, ()))

    def _given(self, station: str, order: str, number: object, action: str) -> Iterator[str]:
        if number not in self._ids.get((station, order), ()):
            yield f"{action} names the {IDS[order]} {number} of a {order} that nobody sent"

    def _progress(self, station: str, action: str, payload: Payload) -> Iterator[str]:
        if (payload.get("status") == "Idle") != ("requestId" not in payload):
            yield f"{action} is {payload.get('status')} with the requestId {payload.get('requestId')}"
        elif "requestId" in payload:
            yield from self._given(station, PROGRESS[action], payload["requestId"], action)

    def _notice(self, station: str, payload: Payload) -> Iterator[str]:
        """A message in several parts counts them from 0."""
        due, seq_no = self._next_notice.get(station, 0), payload.get("seqNo")
        if seq_no not in (due, 0):
            yield f"NotifyEvent comes as part {seq_no}, due was {due}"
        self._next_notice[station] = _number(payload, "seqNo") + 1 if payload.get("tbc") else 0

    def _report(self, station: str, action: str, payload: Payload) -> Report | None:
        return self._reports.get((station, action, payload.get("requestId")))

    def _page(self, station: str, action: str, payload: Payload) -> Iterator[str]:
        report, name = self._report(station, action, payload), f"{action} for the request {payload.get('requestId')}"
        if report is None:
            yield f"{name} comes, which nobody made or which was not accepted"
            return
        if not report.accepted:
            yield f"{name} comes before that was answered"
        if report.done:
            yield f"{name} comes after the last page"
        seq_no = payload.get("seqNo")
        if seq_no not in (report.next_page, None):
            yield f"{name} comes as page {seq_no}, due was {report.next_page}"
        report.next_page += 1
        report.done = not payload.get("tbc", False)


def _times(action: str, payload: Payload) -> Iterator[str]:
    """Times are written with an offset and at most milliseconds (20-J-09)."""
    for name in ("timestamp", "generatedAt"):
        text = payload.get(name)
        if text is not None:
            decimals = str(text).partition(".")[2].rstrip("Zz").partition("+")[0].partition("-")[0]
            if moment_of(text) is None or len(decimals) > MAX_DECIMALS:
                yield f"{action} has the {name} {text!r}"


def _lasting(payload: Payload) -> dict[str, object]:
    """What stays the same when a message is sent again: only whether it was late may change (E11.FR.07)."""
    return {name: value for name, value in payload.items() if name != "offline"}


def _number(payload: Payload, name: str) -> int:
    value = payload.get(name)
    return value if isinstance(value, int) else 0


def _field(payload: Payload, outer: str, inner: str) -> object:
    found = payload.get(outer)
    return found.get(inner) if isinstance(found, Mapping) else None
