"""The CSMS's view of the transactions of OCPP 2.0.1, and what is wrong with the events that make it up.

Owns, for each transactionId, its events in their order, and each EVSE's energy register over time. Knows no message
ids: each event is given once. Bounded: the oldest transactions that have ended and the oldest readings go.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from edged.simulator.csms_rules import Payload

MAX_TRANSACTIONS = 10_000
MAX_EVENTS = 10_000
MAX_READINGS = 1_000
TOLERANCE_WH = 1e-6
REGISTER = "Energy.Active.Import.Register"
WH = {"Wh": 1.0, "kWh": 1000.0}
LOCAL = frozenset({"Local", None})
STOPS: Mapping[str, frozenset[str | None]] = {
    "StopAuthorized": LOCAL | {"MasterPass", "StoppedByEV"},
    "RemoteStop": frozenset({"Remote"}),
    "EVConnectTimeout": frozenset({"Timeout"}),
    "Deauthorized": frozenset({"DeAuthorized", "LocalOutOfCredit", "MasterPass"}),
    "ResetCommand": frozenset({"ImmediateReset", "Reboot"}),
    "EnergyLimitReached": frozenset({"EnergyLimitReached"}),
    "TimeLimitReached": frozenset({"TimeLimitReached"}),
    "AbnormalCondition": frozenset(
        {"EmergencyStop", "GroundFault", "OvercurrentFault", "PowerLoss", "PowerQuality", "Reboot", "Other"}
    ),
}
"""Which stoppedReason goes with which triggerReason of the end, None = left out, which means Local (E06.FR.08-09).
Triggers that are not here say only what ended it in the end, not who had stopped it before."""
NO_ENDS = frozenset({"CablePluggedIn", "EVDetected", "MeterValueClock", "MeterValuePeriodic", "RemoteStart", "Trigger"})
NO_STARTS = frozenset(
    {"EVConnectTimeout", "MeterValueClock", "MeterValuePeriodic", "RemoteStop", "StopAuthorized", "Trigger"}
)
CONNECTED = frozenset({"Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE"})


@dataclass(slots=True, kw_only=True)
class TransactionView:
    """One transaction as the CSMS knows it. `events`: the payloads of its TransactionEvents, each once."""

    transaction_id: str
    station: str
    events: deque[Payload] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    evse: int | None = None
    connector: int | None = None
    id_token: Mapping[str, object] | None = None
    charging_state: str | None = None
    seq_no: int | None = None
    last_at: datetime | None = None
    ended: bool = False


class Transactions:
    """All transactions by their ids."""

    def __init__(self) -> None:
        self.views: dict[str, TransactionView] = {}
        self._readings: dict[tuple[str, object], list[tuple[datetime, float]]] = {}

    def take(self, station: str, event: Payload) -> Iterator[str]:
        """An event that fits its schema. Yields what is wrong with it."""
        info = _mapping(event.get("transactionInfo"))
        transaction_id, kind = str(info.get("transactionId")), str(event.get("eventType"))
        view = self.views.get(transaction_id)
        if view is None:
            view = self._begin(transaction_id, station)
            if kind != "Started":
                yield f"the transaction {transaction_id} begins with {kind}"
        elif view.ended:
            what = "is used again" if kind == "Started" else f"has ended and goes on with {kind}"
            yield f"the transaction {transaction_id} {what}"
        elif kind == "Started":
            yield f"the transaction {transaction_id} is started twice"
        if view.station != station:
            yield f"the transaction {transaction_id} is one of {view.station}"
        yield from self._place(view, event)
        yield from _order(view, event)
        yield from _reasons(view, event, info)
        state = info.get("chargingState")
        if state in CONNECTED and view.evse is None:
            yield f"the transaction {transaction_id} is {state} at no EVSE that was told"
        if "idToken" in event and view.id_token is None:
            view.id_token = _mapping(event["idToken"])
        if state == "Charging" and view.id_token is None:
            yield f"the transaction {transaction_id} charges for nobody that was told"
        view.charging_state = str(state) if state is not None else view.charging_state
        view.events.append(event)
        view.ended = view.ended or kind == "Ended"
        yield from self.readings(station, view.evse if view.evse is not None else transaction_id, event)

    def running(self, station: str, evse: int) -> TransactionView | None:
        """The transaction at an EVSE."""
        views = (view for view in self.views.values() if view.station == station and view.evse == evse)
        return next((view for view in views if not view.ended), None)

    def readings(self, station: str, place: object, payload: Payload) -> Iterator[str]:
        """The register values in a message: in the order of their times they never fall (J02.FR.16)."""
        known = self._readings.setdefault((station, place), [])
        for reading in _register_values(payload):
            insort(known, reading)
            index = known.index(reading)
            for before, after in ((index - 1, index), (index, index + 1)):
                if before >= 0 and after < len(known) and _falls(known[before], known[after]):
                    yield (
                        f"the energy register of {place} runs backwards, from {known[before][1]:g} Wh at "
                        f"{known[before][0]} to {known[after][1]:g} Wh at {known[after][0]}"
                    )
        del known[:-MAX_READINGS]

    def _begin(self, transaction_id: str, station: str) -> TransactionView:
        if len(self.views) >= MAX_TRANSACTIONS:
            oldest = next((name for name, view in self.views.items() if view.ended), next(iter(self.views)))
            del self.views[oldest]
        view = TransactionView(transaction_id=transaction_id, station=station)
        self.views[transaction_id] = view
        return view

    def _place(self, view: TransactionView, event: Payload) -> Iterator[str]:
        place = _mapping(event.get("evse"))
        evse, connector = place.get("id"), place.get("connectorId")
        if isinstance(evse, int):
            if evse < 1:
                yield f"the transaction {view.transaction_id} is at EVSE {evse}"
            if view.evse not in (None, evse):
                yield f"the transaction {view.transaction_id} moves from EVSE {view.evse} to {evse}"
            if view.evse is None:
                other = self.running(view.station, evse)
                if other is not None:
                    yield f"EVSE {evse} has two transactions, {other.transaction_id} and {view.transaction_id}"
                view.evse = evse
        if isinstance(connector, int):
            view.connector = connector


def _order(view: TransactionView, event: Payload) -> Iterator[str]:
    """seqNo goes up by one (E01.FR.07), time does not go back."""
    seq_no = event.get("seqNo")
    if isinstance(seq_no, int):
        if view.seq_no is not None and seq_no != view.seq_no + 1:
            yield f"the transaction {view.transaction_id} goes from seqNo {view.seq_no} to {seq_no}"
        if seq_no < 0:
            yield f"the transaction {view.transaction_id} has seqNo {seq_no}"
        view.seq_no = seq_no
    at = moment_of(event.get("timestamp"))
    if at is None:
        yield f"the transaction {view.transaction_id} has an event at {event.get('timestamp')!r}"
    elif view.last_at is not None and at < view.last_at:
        yield f"the transaction {view.transaction_id} goes back in time, from {view.last_at} to {at}"
    view.last_at = at or view.last_at


def _reasons(view: TransactionView, event: Payload, info: Payload) -> Iterator[str]:
    trigger, stopped = str(event.get("triggerReason")), info.get("stoppedReason")
    name = f"the transaction {view.transaction_id}"
    match event.get("eventType"):
        case "Ended":
            if trigger in NO_ENDS:
                yield f"{name} ends by {trigger}"
            if trigger in STOPS and stopped not in STOPS[trigger]:
                yield f"{name} ends by {trigger} with the stoppedReason {stopped}"
        case kind:
            if stopped is not None:
                yield f"{name} has a stoppedReason in {kind}"
            if kind == "Started" and trigger in NO_STARTS:
                yield f"{name} starts by {trigger}"


def _register_values(payload: Payload) -> Iterator[tuple[datetime, float]]:
    for meter_value in _list(payload.get("meterValue")):
        at = moment_of(meter_value.get("timestamp"))
        for sample in _list(meter_value.get("sampledValue")):
            plain = "phase" not in sample and sample.get("location", "Outlet") == "Outlet"
            value, unit = sample.get("value"), _mapping(sample.get("unitOfMeasure"))
            factor, exponent = WH.get(str(unit.get("unit", "Wh"))), unit.get("multiplier", 0)
            if at is None or not plain or sample.get("measurand", REGISTER) != REGISTER:
                continue
            if factor is not None and isinstance(value, int | float) and isinstance(exponent, int):
                yield at, value * factor * 10.0**exponent


def _falls(before: tuple[datetime, float], after: tuple[datetime, float]) -> bool:
    return after[0] > before[0] and after[1] < before[1] - TOLERANCE_WH


def moment_of(text: object) -> datetime | None:
    """A time as the station writes it, which is with an offset; None where it cannot be read."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Mapping[str, object]]:
    return [_mapping(item) for item in value] if isinstance(value, list) else []
