"""What must hold after every step, whatever happened. The design's invariants as far as they concern the core.

`check_station` judges a station alone, `check_step` a step, and a `Witness` what only the whole history can tell. None
of them knows how the station came to be: pure tests and whole-site simulations use the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from edged.domain.commands import Command
from edged.domain.connector import phase_of
from edged.domain.desired import desired
from edged.domain.effects import (
    Dequeue,
    Enqueue,
    MeterRecord,
    Notify,
    Perform,
    RecordKind,
    Reply,
    Restart,
    Sample,
    TransactionRecord,
)
from edged.domain.events import Event, PresentToken, RecordDelivered, RecordGivenUp, Started, Tick
from edged.domain.hardware import Action, ChargerState, Measurand
from edged.domain.metering import UNKEPT_MAX
from edged.domain.pending import PendingAvailability, PendingToken, PendingUnlock
from edged.domain.places import capable_places, counted, free_places, guaranteed, pinned_on
from edged.domain.station import Reservation, Station
from edged.domain.transition import Transition
from edged.domain.types import Now, Phase, RequestRef, same_group
from tests.fakes.device_invariants import Alerts
from tests.fakes.order_invariants import Orders
from tests.fakes.profile_invariants import check_profiles

NOBODY = RequestRef("", "")


# --- a station alone


def check_station(station: Station) -> None:
    """Facts that must agree with each other at any time after a step."""
    _check_transactions(station)
    _check_places(station)
    for number in station.connectors:
        _check_energy(station, number)
        _check_connector(station, number)
    for ticket, pending in station.pending.items():
        assert ticket == pending.ticket
        if isinstance(pending, PendingToken | PendingUnlock):
            assert pending.connector in station.connectors
    questions = [p.connector for p in station.pending.values() if isinstance(p, PendingToken)]
    assert len(questions) == len(set(questions)), "two tokens are judged for one connector"
    unlocks = [p.connector for p in station.pending.values() if isinstance(p, PendingUnlock)]
    assert len(unlocks) == len(set(unlocks)), "two unlocks on one connector"
    changing = [n for p in station.pending.values() if isinstance(p, PendingAvailability) for n in p.connectors]
    assert len(changing) == len(set(changing)), "two changes of availability on one connector"
    marked = {n for n, c in station.connectors.items() if c.changing is not None}
    assert set(changing) == marked, "a connector changes for nobody, or somebody waits for nothing"


def _check_transactions(station: Station) -> None:
    owners = [c.transaction_id for c in station.connectors.values() if c.transaction_id is not None]
    assert len(owners) == len(set(owners)), "one transaction on two connectors"
    active = {t.id for t in station.transactions.values() if t.active}
    assert set(owners) == active, "an active transaction without its connector, or the other way round"
    per_evse = Counter(c.layout.evse_id for c in station.connectors.values() if c.transaction_id is not None)
    assert all(count == 1 for count in per_evse.values()), "two transactions on one EVSE"
    for transaction in station.transactions.values():
        assert transaction.active or transaction.queued > 0, "an ended transaction is kept for nothing"
        assert transaction.kept_meter_wh >= transaction.meter_start_wh
        if transaction.ending is not None:
            assert transaction.ending.meter_wh >= transaction.meter_start_wh, "an end below its start"


def _check_places(station: Station) -> None:
    pinned: Counter[int] = Counter()
    for reservation in station.reservations.values():
        if reservation.target.pinned:
            pinned[_evse(station, reservation)] += 1
    assert all(count == 1 for count in pinned.values()), "two holders of one place"
    if station.configuration.flag("ReservationEnabled"):
        targets = [r.target for r in counted(station).values()]
        assert guaranteed(capable_places(station), targets), "more is promised than can be kept"
    used = [c.authorization.reservation_id for c in station.connectors.values() if c.authorization is not None]
    named = [one for one in used if one is not None]
    assert len(named) == len(set(named)), "one reservation lets two drivers in"


def _evse(station: Station, reservation: Reservation) -> int:
    if reservation.target.evse is not None:
        return reservation.target.evse
    assert reservation.target.connector is not None
    return station.connectors[reservation.target.connector].layout.evse_id


def _check_energy(station: Station, number: int) -> None:
    """Energy only for an authorized, running transaction whose token fits the reservation of the place, if any."""
    wanted = desired(station, number)
    connector = station.connectors[number]
    limit_ma, layout = wanted.current_limit_ma, connector.layout
    assert limit_ma is not None
    assert limit_ma == 0 or layout.min_current_ma <= limit_ma <= layout.max_current_ma, "a current that cannot be"
    if not wanted.permit_charging:
        return
    assert limit_ma > 0, "energy where the limit is nothing"
    running = station.running(number)
    assert running is not None and running.active, "energy without a transaction"
    assert running.id_token is not None, "energy without a driver"
    assert running.halted is None, "energy for a driver who was stopped"
    assert connector.plugged and not connector.blocked, "energy into a connector that is not in order"
    assert station.reset is None and not station.seized(number)
    assert wanted.locked is not False, "energy through an open lock"
    pinned = pinned_on(station, number)
    if pinned is not None:
        fits = pinned.id_token.matches(running.id_token) or same_group(pinned.group, running.group)
        assert fits, "energy for a driver who does not hold the reservation"


def _check_connector(station: Station, number: int) -> None:
    connector = station.connectors[number]
    if connector.transaction_id is not None:
        assert connector.authorization is None, "a driver waits behind a transaction"
        running = station.running(number)
        halted = running is not None and running.halted is not None
        assert connector.phase is not Phase.IDLE, "a transaction in an idle connector"
        assert (connector.phase is Phase.FINISHING) is halted, "a session that is over and goes on, or the other way"
    elif connector.phase_since is not None:
        assert connector.phase in (Phase.IDLE, Phase.PREPARING, Phase.FINISHING), "a session without a transaction"
    if connector.authorization is not None and connector.phase_since is not None:
        assert connector.phase is Phase.PREPARING
        timeout_s = station.configuration.number("ConnectionTimeOut")
        assert connector.preparing_until_s is not None or timeout_s == 0, "a driver may wait for ever"
    assert connector.energy_offset_wh == connector.energy_offset_wh, "the register's offset is no number"


# --- one step


def check_step(before: Station, event: Event, transition: Transition, now: Now) -> None:
    """What a single step may not do."""
    after = transition.station
    check_station(after)
    for effect in transition.effects:
        if isinstance(effect, Perform) and effect.action is Action.UNLOCK:
            state = after.connectors[effect.connector].state
            assert state is not ChargerState.CHARGING, "unlocked before the contactor was open"
            assert not desired(after, effect.connector).permit_charging
    for reservation in after.reservations.values():
        old = before.reservations.get(reservation.id)
        assert old is not None or reservation.expires_at > now.utc, "a reservation is born dead"
    for number, connector in after.connectors.items():
        if connector.phase_since is not None:
            assert connector.phase is phase_of(after, connector, now), "a phase that its facts do not give"
        was = before.connectors[number]
        if was.energy_wh is not None and connector.energy_wh is not None:
            assert connector.energy_wh >= was.energy_wh, "the register ran backwards"
    _check_starts(before, transition)
    if after.charging_profiles or before.charging_profiles:
        check_profiles(after, now)
    if isinstance(event, Tick):
        _check_deadlines(after, now)


def _check_starts(before: Station, transition: Transition) -> None:
    """A transaction starts on a free connector, and on a reserved one only by using that reservation up."""
    after = transition.station
    over: set[str | None] = {None}  # one look can bring both: the car has gone, and the next driver's token
    for effect in transition.effects:
        if not isinstance(effect, Enqueue) or not isinstance(effect.record, TransactionRecord):
            continue
        record = effect.record
        if record.kind is RecordKind.ENDED:
            over.add(record.transaction_id)
        if record.kind is not RecordKind.STARTED:
            continue
        assert before.connectors[record.connector].transaction_id in over, "started where one was running"
        if record.id_token is None:
            continue
        pinned = pinned_on(before, record.connector)
        if pinned is not None and pinned.id in after.reservations:
            raise AssertionError("started on somebody's place, and the reservation is still pending")


def _check_deadlines(station: Station, now: Now) -> None:
    for one in station.charging_profiles.values():
        over = one.profile.valid_to is not None and one.profile.valid_to <= now.utc
        assert not (now.synchronized and over), "a charging profile outlived its end"
    for pending in station.pending.values():
        until_s = getattr(pending, "until_s", None)  # None: a job's end is waited for
        assert until_s is None or until_s > now.monotonic_s, f"{type(pending).__name__} is overdue and not given up"
    if station.reset is not None:
        assert station.reset.restarting or station.reset.until_s > now.monotonic_s, "a reset hangs"
    for reservation in station.reservations.values():
        assert not (now.synchronized and now.utc >= reservation.expires_at), "a reservation outlived its end"


# --- the whole history


@dataclass
class _Told:
    """What was told of one transaction."""

    seq_no: int
    energy_wh: float
    next_no: int = 1
    ended: bool = False
    start_delivered: bool = False


@dataclass
class Witness:
    """Sees every step of a station, over restarts, and raises `AssertionError` at the first that breaks a promise.

    A restarted station answers nobody from before: call `restarted` then.
    """

    waiting: dict[RequestRef, float] = field(default_factory=dict)
    answered: set[RequestRef] = field(default_factory=set)
    told: dict[str, _Told] = field(default_factory=dict)
    registers: dict[int, float] = field(default_factory=dict)
    outbox: dict[int, Any] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    restarts: int = 0
    orders: Orders = field(default_factory=Orders)
    alerts: Alerts = field(default_factory=Alerts)

    def saw(self, before: Station, event: Event, transition: Transition, now: Now) -> None:
        check_step(before, event, transition, now)
        self.orders.saw(before, event, transition, now)
        self.alerts.saw(before, event, transition.station, transition.effects)
        asked = _request_of(event)
        if asked is not None:
            assert asked not in self.waiting and asked not in self.answered, "the test asks twice under one name"
            self.waiting[asked] = now.monotonic_s
        if isinstance(event, Started):
            self.restarts = 0
        for effect in transition.effects:
            self._effect(effect)
        self._judge_waiting(transition.station)
        self._judge_reservations(before, event, transition)
        assert transition.station.queued == len(self.outbox), "the count of queued records is wrong"

    def restarted(
        self, disk: Station | None = None, lost: Collection[int] = (), again: Mapping[int, Any] = MappingProxyType({})
    ) -> None:
        """The process is gone; what it had not answered is answered by nobody. `disk`: it ended without a word, and
        this is what the disk has; `lost`: the records that it does not have any more, `again`: those that it still
        has."""
        self.waiting.clear()
        self.orders.restarted()
        if disk is None:
            return
        for seq in lost:
            del self.outbox[seq]
            self.gone.add(seq)
        self.outbox.update(again)
        self.gone -= again.keys()
        for number, connector in disk.connectors.items():
            self.registers[number] = min(self.registers.get(number, 0.0), connector.energy_kept_wh or 0.0)
        for name, transaction in disk.transactions.items():
            if transaction.active:
                told = self.told[name]
                told.energy_wh = min(told.energy_wh, transaction.kept_meter_wh)
                told.next_no = transaction.seq_no + UNKEPT_MAX + 1
                assert told.next_no > told.seq_no, "a number may be given twice"

    def _effect(self, effect: Any) -> None:
        match effect:
            case Reply():
                assert effect.request in self.waiting, f"answered twice, or nobody asked: {effect}"
                del self.waiting[effect.request]
                self.answered.add(effect.request)
            case Enqueue():
                assert effect.seq not in self.outbox and effect.seq not in self.gone, "a record's number came twice"
                self.outbox[effect.seq] = effect.record
                self._record(effect.record)
            case Dequeue():
                assert effect.seq in self.outbox, "a record went that was not there"
                del self.outbox[effect.seq]
                self.gone.add(effect.seq)
            case Restart():
                self.restarts += 1
                assert self.restarts == 1, "the restart was asked for twice"
                assert not self.waiting, "somebody is left without an answer by the restart"
            case Notify(sample=Sample()):
                self._samples(effect.connector or 0, (effect.sample,))
            case _:
                pass

    def _record(self, record: Any) -> None:
        if isinstance(record, MeterRecord):
            self._samples(record.connector, record.samples)
        if not isinstance(record, TransactionRecord):
            return
        told = self.told.get(record.transaction_id)
        if record.kind is RecordKind.STARTED:
            assert told is None, "a transaction started twice"
            assert record.meter_wh is not None and record.seq_no == 0
            self.told[record.transaction_id] = _Told(0, record.meter_wh)
            self._register(record.connector, record.meter_wh)
            return
        assert told is not None, "a transaction that never started"
        assert not told.ended, "a record after the end"
        assert record.seq_no == told.next_no, "a gap in a transaction's numbers"
        told.seq_no, told.next_no = record.seq_no, record.seq_no + 1
        if record.kind is RecordKind.ENDED:
            told.ended = True
            assert record.reason is not None, "an end without a cause"
            assert record.meter_wh is not None and record.meter_wh >= told.energy_wh, "energy ran backwards at the end"
            self._register(record.connector, record.meter_wh)
            return
        for wh in _energies(record.samples):
            assert wh >= told.energy_wh, "energy ran backwards in a transaction"
            told.energy_wh = wh
        self._samples(record.connector, record.samples)

    def _samples(self, connector: int, samples: tuple[Sample, ...]) -> None:
        for wh in _energies(samples):
            self._register(connector, wh)

    def _register(self, connector: int, wh: float) -> None:
        assert wh >= self.registers.get(connector, 0.0), "the reported register ran backwards"
        self.registers[connector] = wh

    def _judge_waiting(self, station: Station) -> None:
        """Whoever is not answered yet has a pending operation, and only one."""
        requests = (getattr(pending, "request", None) for pending in station.pending.values())
        pending = Counter(request for request in requests if request is not None and request != NOBODY)
        assert set(pending) == set(self.waiting), "a request was forgotten, or is waited for after its answer"
        assert all(count == 1 for count in pending.values()), "two operations for one request"

    def _judge_reservations(self, before: Station, event: Event, transition: Transition) -> None:
        """A reservation goes only for a reason that was announced."""
        ended = {"reservation.used", "reservation.expired", "reservation.cancelled", "reservation.removed"}
        said = {
            effect.data["reservation_id"] for effect in transition.effects if getattr(effect, "kind", None) in ended
        }
        gone = before.reservations.keys() - transition.station.reservations.keys()
        assert gone <= said, "a reservation vanished"
        if isinstance(event, RecordDelivered | RecordGivenUp):
            assert event.seq in self.gone


def _request_of(event: Event) -> RequestRef | None:
    return event.request if isinstance(event, Command | PresentToken) else None


def _energies(samples: tuple[Sample, ...]) -> list[float]:
    return [v.value for s in samples for v in s.values if v.measurand is Measurand.ENERGY]


__all__ = ["Witness", "check_station", "check_step", "free_places"]
