"""The accounts of a whole story: what the CSMS was told of transactions, against the rules and the chargers' registers.

Pure reading of the CSMS's record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from typing import Any, Final

from edged.cli.demo import accounts_201
from edged.cli.demo.places import PLACES, STATION
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Seen
from edged.mqtt.event_log import UNKEPT_MAX
from edged.simulator.csms import Csms
from edged.simulator.csms_record import Direction, Frame, Kind

ABOUT_TRANSACTIONS: Final = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})
UNSEEN_S: Final = 3.0
"""How long energy may flow unseen at the end of a transaction, in wire time: two looks and the opening."""
FULL_POWER_W: Final = 3 * 16.0 * 230.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The story in numbers. `proof`: what is wrong with the order of transactions, empty where nothing is."""

    transactions: int
    energy_wh: float
    from_station: int
    to_station: int
    published: int | None
    events: int | None
    violations: tuple[str, ...]
    proof: tuple[str, ...]

    def as_json(self) -> Mapping[str, Any]:
        return asdict(self)


def transaction_calls(csms: Csms, *, after: int = 0) -> list[Frame]:
    """What the station told about transactions, in the order in which it came."""
    return [
        frame
        for frame in csms.record
        if frame.index >= after
        and frame.station == STATION
        and frame.direction is Direction.RECEIVED
        and frame.kind is Kind.CALL
        and frame.action in ABOUT_TRANSACTIONS
    ]


def words(csms: Csms, frame: Frame) -> str:
    """A frame in two words, as in "Start ALICE"."""
    payload = frame.payload if isinstance(frame.payload, dict) else {}
    token = payload.get("idTag")
    if token is None:
        transaction = csms.answers.transactions.get(payload.get("transactionId", -1))
        token = transaction.started.get("idTag") if transaction is not None else "?"
    return f"{frame.action.removesuffix('Transaction')} {token}"


def faults_in_order(csms: Csms) -> list[str]:
    """What is wrong in 1.6: a start or a stop told twice or never, values outside of them, times that run backwards."""
    wrong: list[str] = []
    answers = _given_ids(csms)
    starts: dict[int, int] = {}
    stops: Counter[int] = Counter()
    seen: Counter[str] = Counter()
    latest = ""
    for frame in transaction_calls(csms):
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        number = answers.get(frame.message_id) if frame.action == "StartTransaction" else payload.get("transactionId")
        if not isinstance(number, int):
            wrong.append(f"{frame.action} without a transaction")
            continue
        if frame.action == "StartTransaction":
            starts[number] = frame.index
            seen[_key(payload)] += 1
        elif number not in starts:
            wrong.append(f"{frame.action} of {number} before its start")
        elif stops[number] and frame.action == "MeterValues":
            wrong.append(f"MeterValues of {number} after its stop")
        if frame.action == "StopTransaction":
            stops[number] += 1
        if frame.action != "MeterValues":
            moment = str(payload.get("timestamp"))
            if moment < latest:
                wrong.append(f"{frame.action} of {number} is older than what came before it")
            latest = max(latest, moment)
    wrong += [f"transaction {number} was stopped {stops[number]} times" for number in starts if stops[number] != 1]
    wrong += [f"the same start came {count} times: {key}" for key, count in seen.items() if count > 1]
    return wrong


def _given_ids(csms: Csms) -> dict[str, object]:
    """The transaction id that the CSMS gave in answer to each StartTransaction, by message id."""
    return {
        frame.message_id: frame.payload.get("transactionId")
        for frame in csms.record
        if frame.direction is Direction.SENT and frame.action == "StartTransaction" and isinstance(frame.payload, dict)
    }


def _key(payload: Mapping[str, Any]) -> str:
    return f"connector {payload.get('connectorId')}, {payload.get('idTag')}, {payload.get('timestamp')}"


def energy_told_wh(csms: Csms, connector: int) -> float:
    """What the transactions of a connector add up to, as the CSMS knows them in 1.6."""
    total_wh = 0.0
    for one in csms.answers.transactions.values():
        if one.started.get("connectorId") == connector and one.stopped is not None:
            total_wh += _wh(one.stopped, "meterStop") - _wh(one.started, "meterStart")
    return total_wh


def _wh(payload: Mapping[str, object], member: str) -> float:
    value = payload.get(member)
    return float(value) if isinstance(value, int | float) else 0.0


def every_wh(stage: Stage) -> Seen:
    """Each charger delivered what its transactions tell; more only by what flows while a contactor opens."""
    parts, ok = [], True
    for place in PLACES:
        before = stage.csms.answers.transactions.values()
        count, told_wh = accounts_201.energy_wh(stage.csms, place)
        count += sum(1 for one in before if one.started["connectorId"] == place.connector)
        told_wh += energy_told_wh(stage.csms, place.connector)
        flowed_wh = stage.point(place).energy_wh - place.energy_wh
        unseen_wh = count * (FULL_POWER_W * stage.options.speed * UNSEEN_S / 3600 + 1)
        ok = ok and told_wh - 1 <= flowed_wh <= told_wh + unseen_wh
        parts.append(f"{place.charger} {told_wh:.0f}/{flowed_wh:.0f}")
    return Seen(ok, f"told/flowed Wh: {', '.join(parts)}")


def all_faults(csms: Csms) -> list[str]:
    """What is wrong with the order of transactions, in either version."""
    return faults_in_order(csms) + accounts_201.faults_in_order(csms)


def events_told(stage: Stage) -> int | None:
    """How many events came over MQTT, each counted once; None without a broker."""
    return None if stage.observer is None else len(stage.observer.events)


def faults_in_events(stage: Stage) -> list[str]:
    """What is wrong with the events: one that is missing or comes before its predecessor. A run behind `kill -9` leaves
    some numbers out."""
    events = [] if stage.observer is None else stage.observer.events
    wrong = (
        f"event {told.seq} came where {before.seq + 1} was to come"
        for before, told in pairwise(events)
        if not 0 <= told.seq - (before.seq + 1) <= (UNKEPT_MAX if told.unexpected else 0)
    )
    return list(islice(wrong, 1))


def count(csms: Csms) -> int:
    """The transactions that the CSMS knows, in either version."""
    return len(csms.answers.transactions) + len(csms.transactions)


def totals(stage: Stage) -> Totals:
    """The story in numbers, as it stands."""
    frames = [frame for frame in stage.csms.record if frame.kind is Kind.CALL]
    return Totals(
        transactions=count(stage.csms),
        energy_wh=round(
            sum(
                energy_told_wh(stage.csms, place.connector) + accounts_201.energy_wh(stage.csms, place)[1]
                for place in PLACES
            ),
            1,
        ),
        from_station=sum(1 for frame in frames if frame.direction is Direction.RECEIVED),
        to_station=sum(1 for frame in frames if frame.direction is Direction.SENT),
        published=None if stage.observer is None else stage.observer.messages,
        events=events_told(stage),
        violations=tuple(stage.csms.violations),
        proof=(*all_faults(stage.csms), *faults_in_events(stage)),
    )
