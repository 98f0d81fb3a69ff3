"""The design's invariants as checks that can fail, each in a function of its own name, over a world's whole history.

Judges from outside wherever it can: by what the CSMS has in its hands, what the hardware does, what lies on the disk
and what the broker retains; the station's own words are only compared with these.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

from edged.csms.endpoint import ConnectionSettings
from edged.domain.configuration import Configuration
from edged.domain.desired import desired
from edged.domain.effects import (
    Announce,
    Dequeue,
    Effect,
    Enqueue,
    EventRecord,
    Lane,
    MeterRecord,
    Perform,
    Record,
    RecordKind,
    StopReason,
    TransactionRecord,
    lane_of,
)
from edged.domain.events import Event, RecordDelivered, RecordGivenUp
from edged.domain.hardware import Measurand
from edged.domain.metering import UNKEPT_MAX
from edged.domain.station import Station
from edged.domain.transition import Transition
from edged.domain.types import Now, Stamp
from edged.mqtt.documents import Document, carry
from edged.mqtt.topics import topics
from edged.ocpp.message_id import record_message_id
from tests.fakes import site as builder
from tests.fakes.broker import NAMES
from tests.fakes.central import FAMILY, Message, energies
from tests.fakes.invariants import Witness
from tests.fakes.kept import kept
from tests.fakes.world import IDENTITY, PATIENCE, TRUTH, World
from tests.sim.orders import Orders
from tests.sim.promises import Promises
from tests.sim.standing import (
    BEGINNING,
    Arose,
    Standing,
    it_says_that_it_was_late,
    statuses,
    tells_201,
    the_csms_is_told_of_each_reservation_that_ends_by_itself,
)
from tests.sim.told import Told

CLOCK_MARGIN_S = 10.0
SWITCH_S = 5.0
CALM_S = 15.0
RELOADED = 0.01
RELOADED_DEGRADED = 0.1
REFUSALS_MAX = 8
LATE_S = 40.0
"""Of what waits for the disk: records that are under way just then, and a commit that takes its time."""
ANY: dict[str, int] = {}
"""The CSMS's names for transactions, where a start may have been told twice and so has got two."""
REASONS_16 = {StopReason.MASTER_PASS: "Local", StopReason.TIMEOUT: "Other", StopReason.STOPPED_BY_EV: "Other"}
"""What 1.6 has no word for, and what it says instead."""
ENDED = {"reservation.used", "reservation.expired", "reservation.cancelled", "reservation.removed"}


@dataclass
class Held:
    """A reservation as it was announced, read from the CSMS's or the BMS's own words."""

    id: int
    connector: int | None
    token: str
    group: str | None
    until: Any
    evse: int | None = None
    kind: str | None = None

    @property
    def pinned(self) -> bool:
        return self.connector is not None or self.evse is not None


@dataclass
class Laws:
    """Implements `Watch`. `records` is every record that was ever kept, by number. `memory` is the station behind its
    last step, `durable` behind its last commit, `young` what was recorded since; `lost`: what cuts have taken of that.
    `told_wh`: the highest register that was told of each transaction; `offsets_wh`: how the chargers' registers
    stood against what they had counted when the last run ended."""

    world: World
    witness: Witness = field(default_factory=Witness)
    records: dict[int, Record] = field(default_factory=dict)
    dequeued: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)
    held: dict[int, Held] = field(default_factory=dict)
    used: dict[int, list[Held]] = field(default_factory=dict)
    arose: dict[int, Arose] = field(default_factory=dict)
    started: dict[str, TransactionRecord] = field(default_factory=dict)
    ended: dict[str, TransactionRecord] = field(default_factory=dict)
    entitled_s: dict[int, float] = field(default_factory=dict)
    asked_s: dict[int, float] = field(default_factory=dict)
    memory: Station | None = None
    durable: Station | None = None
    young: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    told_wh: dict[str, float] = field(default_factory=dict)
    offsets_wh: dict[int, float] = field(default_factory=dict)
    waits_since_s: float | None = None
    steps: int = 0
    statuses_since_s: float = 0.0
    statuses: Mapping[int, str] = field(default_factory=dict)
    promises: Promises = field(init=False)
    orders: Orders = field(init=False)
    told: Told = field(init=False)
    standing: Standing = field(init=False)

    def __post_init__(self) -> None:
        self.promises = Promises(self.world)
        self.standing = Standing(self)
        self.orders = Orders(self)
        self.told = Told(self.world)
        self.random = random.Random(f"laws {self.world.seed}")

    # --- Watch

    def kept(self, before: Station, event: Event, after: Station, effects: tuple[Effect, ...], now: Now) -> None:
        self.steps += 1
        self.witness.saw(before, event, Transition(after, effects), now)
        used = [e for e in effects if isinstance(e, Announce) and e.kind == "reservation.used"]
        for effect in effects:
            if isinstance(effect, Enqueue):
                self._recorded(effect, after)
            elif isinstance(effect, Dequeue):
                crowded = isinstance(self.records[effect.seq], EventRecord)
                assert crowded or isinstance(event, RecordDelivered | RecordGivenUp), (
                    "a record is forgotten for nothing"
                )
                self.dequeued.add(effect.seq)
                if isinstance(event, RecordGivenUp):
                    self.given_up.add(effect.seq)
                    self.world.given_up.add(effect.seq)
            elif isinstance(effect, Announce) and effect not in used:
                self._announced(effect, after, effects)
        the_csms_is_told_of_each_reservation_that_ends_by_itself(before, after, effects)
        for effect in used:  # behind the record that uses it
            self._announced(effect, after, effects)
        self.orders.kept(before, event, after, effects)
        self.told.kept(before, event, after, effects)
        self.memory = after
        if self.world.disk.defers:
            assert self.durable is not None
            what_a_cut_takes_are_samples(self, self.durable, after)
            if self.waits_since_s is None:
                self.waits_since_s = self.world.elapsed_s

    def committed(self) -> None:
        self.durable = self.memory
        self.young.clear()
        self.waits_since_s = None

    def _recorded(self, effect: Enqueue, after: Station) -> None:
        assert effect.seq not in self.records, f"the number {effect.seq} is given twice"
        self.records[effect.seq] = effect.record
        self.young.add(effect.seq)
        world = self.world
        self.arose[effect.seq] = Arose(world.line_no, world.elapsed_s, world.wire.connected)
        if isinstance(effect.record, TransactionRecord):
            an_end_with_the_power_says_what_the_register_says(self, effect.record, after)
            each_transaction_ends_exactly_once_with_a_cause(self, effect.record)
            a_transaction_starts_for_the_holder(self, effect.record)

    def _announced(self, told: Announce, after: Station, effects: tuple[Effect, ...]) -> None:
        if told.kind == "reservation.made":
            made = after.reservations[told.data["reservation_id"]]
            group = None if made.group is None else made.group.value
            target = made.target
            self.held[made.id] = Held(
                made.id,
                target.connector,
                made.id_token.value,
                group,
                made.expires_at,
                evse=target.evse,
                kind=target.connector_type,
            )
        elif told.kind in ENDED:
            gone = self.held.pop(told.data["reservation_id"])
            self.promises.reservation_ended(gone.id)
            a_reservation_is_not_released_early(self, told, gone)
            if told.kind == "reservation.used":
                self.used.setdefault(gone.id, []).append(gone)
                starts = [e.record for e in effects if isinstance(e, Enqueue)]
                used = [r for r in starts if isinstance(r, TransactionRecord) and r.reservation_id == gone.id]
                waiting = [c.authorization for c in after.connectors.values() if c.authorization is not None]
                let_in = any(one.reservation_id == gone.id for one in waiting)
                assert used or let_in, "a reservation is used by nobody"

    def handled(self, before: Station, after: Station) -> None:
        desired_equals_derived(self, before, after)
        self._watch_statuses(after)
        if self.random.random() < (RELOADED if not self.world.engine.degraded else RELOADED_DEGRADED):
            disk_equals_memory(self, after)

    def _watch_statuses(self, station: Station) -> None:
        """Since when the CSMS could have known all there is to know."""
        ours = statuses(self.world.version_kept, station)
        serving = self.world.wire.connected and station.link.serving and not self.world.engine.degraded
        if ours != self.statuses or not serving or self.world.stalled:
            self.statuses, self.statuses_since_s = ours, self.world.elapsed_s

    def booted(self, station: Station) -> None:
        if self.durable is not None:
            assert _kept(self, station) == _kept(self, self.durable), "the restart forgot or invented something"
        self.memory = self.durable = station
        self.promises.check()
        self.statuses_since_s = self.world.elapsed_s

    def died(self) -> None:
        if self.world.unexpected and self.memory is not None and self.durable is not None:
            again = ends_that_are_told_once_more(self)
            what_a_cut_takes_are_samples(self, self.durable, self.memory)
            lost = self.young - self.dequeued
            self.lost |= lost
            self.dequeued -= again.keys()
            self.witness.restarted(self.durable, lost, again)
            self.world.central.forgives(self.durable)
        else:
            if self.memory is not None and self.durable is not None:
                _equal(_kept(self, self.durable), _kept(self, self.memory))
            self.witness.restarted()
        self.young.clear()
        self.waits_since_s = None
        self.offsets_wh = {number: box.register_offset_wh for number, box in self.world.boxes.items()}
        self.standing.died()
        self.orders.died()
        self.told.died()
        self.witness.answered.clear()  # a CSMS may repeat a request to the next process

    def second(self) -> None:
        no_energy_for_a_token_that_does_not_match_a_reservation(self)
        contactor_open_before_unlock(self)
        every_call_is_answered_exactly_once(self)
        what_waits_for_the_disk_waits_no_longer_than_it_may(self)
        self.orders.second()
        self.standing.second()
        if self.world.seconds % 5 == 0:
            after_a_reconnect_the_csms_view_equals_ours(self)

    def asked(self, number: int, action: str, payload: Mapping[str, Any]) -> None:
        self.asked_s.setdefault(number, self.world.elapsed_s)
        self.promises.asked(number, action, payload)

    def attempted(self, settings: ConnectionSettings) -> None:
        self.orders.attempted(settings)

    def acknowledged(self, number: int, action: str, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        accepted_and_acknowledged_implies_on_disk(self, number, action, asked, answer)
        what_the_hardware_did_is_read_back(self, number, action, asked, answer)

    # --- after the storm

    def judge(self) -> None:
        """Everything works again and is calm: nothing lost, nothing doubled, every view equal."""
        for _ in range(20):
            if self.world.elapsed_s - self.statuses_since_s >= CALM_S:
                break
            self.world.run(CALM_S)  # what has changed this very moment is told a moment later
        assert self.world.wire.connected, "the station has locked itself out"
        world, station = self.world, self.world.engine.station
        every_call_is_answered_exactly_once(self)
        assert station.queued == 0, f"{station.queued} records were never delivered"
        assert not station.transactions, "a transaction was never finished with"
        assert self.started.keys() == self.ended.keys(), "a transaction never ended"
        assert self.records.keys() - self.lost == self.dequeued - self.lost, "a record was never delivered"
        messages_leave_in_order_none_lost_none_invented(self)
        for number, ours in statuses(world.version_kept, station).items():
            theirs = world.central.statuses.get(number)
            assert theirs == ours, f"the CSMS believes that connector {number} is {theirs}, it is {ours}"
        self._the_csms_knows_every_end()
        disk_equals_memory(self, station)
        self.promises.check()
        self.orders.judge()
        self.standing.judge()
        self.told.judge()
        if world.plan.mirror:
            the_brokers_retained_set_equals_topics(self)

    def _the_csms_knows_every_end(self) -> None:
        if self.world.central.mixed:
            return  # what was begun in one version and ended in the other stands in neither's books as a whole
        unnamed = {r.transaction_id for seq, r in self.records.items() if _is(r, RecordKind.STARTED, self, seq)}
        nameless = sum(1 for one in self.world.central.sessions.values() if one.stop is None)
        lost_ends = sum(1 for seq, r in self.records.items() if _is(r, RecordKind.ENDED, self, seq))
        assert nameless <= len(unnamed) + lost_ends, "the CSMS was never told the end of a transaction"


def _is(record: Record, kind: RecordKind, laws: Laws, seq: int) -> bool:
    return isinstance(record, TransactionRecord) and record.kind is kind and seq in laws.given_up


# --- one law, one function


def each_transaction_ends_exactly_once_with_a_cause(laws: Laws, record: TransactionRecord) -> None:
    if record.kind is RecordKind.STARTED:
        assert record.transaction_id not in laws.started, "a transaction began twice"
        laws.started[record.transaction_id] = record
        return
    assert record.transaction_id in laws.started, "a record of a transaction that never began"
    assert record.transaction_id not in laws.ended, "a record behind the end, or a second end"
    if record.kind is RecordKind.ENDED:
        assert record.reason is not None, "an end without a cause"
        laws.ended[record.transaction_id] = record


def a_transaction_starts_for_the_holder(laws: Laws, record: TransactionRecord) -> None:
    """Where a connector was kept for somebody, only that one starts there, and with the reservation's number."""
    if record.id_token is None or record.kind is RecordKind.ENDED or record.trigger not in BEGINNING:
        return
    token = record.id_token.value
    if record.reservation_id is not None:
        held_now = laws.held.get(record.reservation_id)
        candidates = [*laws.used.get(record.reservation_id, ()), *([] if held_now is None else [held_now])]
        fitting = [one for one in candidates if _holds(one, token)]
        assert fitting, "a reservation was used by somebody else"
        assert any(_covers(laws, one, record.connector) for one in fitting), "a reservation was used at another place"
    for held in laws.held.values():
        if held.pinned and _covers(laws, held, record.connector):
            assert held.id == record.reservation_id, "energy for somebody else than the holder"


def _covers(laws: Laws, held: Held, number: int) -> bool:
    """A reservation of a connector takes its whole EVSE, for that can charge one car at a time."""
    evse_of = laws.world.evse_of
    if held.connector is not None:
        return evse_of(held.connector) == evse_of(number)
    if held.evse is not None:
        return held.evse == evse_of(number)
    kinds = {one.connector_type.casefold() for one in laws.world.plan.layouts if one.number == number}
    return held.kind is None or held.kind.casefold() in kinds


def _holds(held: Held, token: str) -> bool:
    if held.token.casefold() == token.casefold():
        return True
    return held.group is not None and token.upper() in FAMILY


def a_reservation_is_not_released_early(laws: Laws, told: Announce, gone: Held) -> None:
    """By the true time, whatever the station's own clock believes."""
    if told.kind == "reservation.expired":
        left = gone.until - laws.world.true_utc()
        assert left < timedelta(seconds=CLOCK_MARGIN_S), f"released {left} too early"


def no_energy_for_a_token_that_does_not_match_a_reservation(laws: Laws) -> None:
    """At the contactor: closed only for a running transaction of a driver who is let in. A charger that cannot be
    reached, and the time that a switch takes, are excused; tokens against reservations are judged at the start."""
    world = laws.world
    for number, box in world.boxes.items():
        entitled = not box.contactor
        if world.alive() and not box.unreachable and not entitled:
            running = world.engine.station.running(number)
            named = running is not None and running.id_token is not None and running.halted is None
            entitled = running is not None and named and not _blocked(world, running.id)
        unsteered = world.stalled and number not in world.engine.wanted  # it has not even begun
        if entitled or not world.alive() or box.unreachable or unsteered:
            laws.entitled_s[number] = world.elapsed_s
        late_s = world.elapsed_s - laws.entitled_s.get(number, 0.0)
        assert late_s <= SWITCH_S, f"energy for nobody on connector {number} for {late_s:.0f} s"


def _blocked(world: World, transaction_id: str) -> bool:
    """A token that the CSMS has called invalid in the answer to the start, and that must not charge any further."""
    transaction = world.engine.station.transactions[transaction_id]
    configuration = world.engine.station.configuration
    return transaction.deauthorized and configuration.number("MaxEnergyOnInvalidId") == 0


def contactor_open_before_unlock(laws: Laws) -> None:
    for box in laws.world.boxes.values():
        assert not box.sins, f"connector {box.number}: {box.sins}"


def every_call_is_answered_exactly_once(laws: Laws) -> None:
    """The CSMS's and the BMS's, as long as the line on which they came stands."""
    central, broker = laws.world.central, laws.world.broker
    assert not central.sins, central.sins[:5]
    assert not central.overdue(), central.overdue()
    assert not broker.sins(), broker.sins()[:5]


def desired_equals_derived(laws: Laws, before: Station, after: Station) -> None:
    engine = laws.world.engine
    if engine.degraded:
        energy_that_a_lost_step_would_have_stopped_is_withheld(laws, after)
        return
    for number in after.connectors:
        if _untouched(before, after, number) and laws.steps % 50:
            continue
        wanted = desired(after, number)
        assert engine.wanted.get(number) == wanted, f"desired differs from derived on {number}"
        assert laws.world.boxes[number].wanted == wanted, f"the driver of {number} was not told"


def energy_that_a_lost_step_would_have_stopped_is_withheld(laws: Laws, station: Station) -> None:
    """While the disk keeps nothing: less energy than the station allows, never more."""
    engine = laws.world.engine
    for number, wanted in engine.wanted.items():
        stopped = any(
            desired(before, number).permit_charging and not desired(after, number).permit_charging
            for before, after in laws.world.disk.refused
        )
        allowed = desired(station, number).permit_charging and not stopped
        assert allowed or not wanted.permit_charging, f"energy that nothing allows on {number}"


def _untouched(before: Station, after: Station, number: int) -> bool:
    """Nothing that `desired` looks at has changed: the same objects."""
    names = ("transactions", "pending", "reset", "configuration", "operative", "idle_resets", "firmware")
    same = all(getattr(before, name) is getattr(after, name) for name in names)
    return same and before.connectors[number] is after.connectors[number]


def disk_equals_memory(laws: Laws, memory: Station) -> None:
    """The disk and what waits for it are memory; the disk alone is memory as it was behind the last commit."""
    _equal(_kept(laws, memory), _kept(laws, laws.world.reload(waiting=True)))
    if laws.durable is not None:
        _equal(_kept(laws, laws.durable), _kept(laws, laws.world.reload()))


def ends_that_are_told_once_more(laws: Laws) -> dict[int, Record]:
    """What the disk still has of what the CSMS has processed: the last word of all, whose message nothing has followed,
    or samples before it."""
    there = laws.world.store.load(IDENTITY).outbox
    again = {seq: laws.records[seq] for seq in there if seq in laws.dequeued}
    if again:
        assert laws.memory is not None and laws.memory.queued == 0, "something would be told again behind its successor"
        assert not laws.young, "something was recorded while what the CSMS has was on the disk"
    for record in again.values():
        ended = isinstance(record, TransactionRecord) and record.kind is RecordKind.ENDED
        assert ended or _is_sample(record), f"it will be told again: {record}"
    return again


def _is_sample(record: Record) -> bool:
    if isinstance(record, TransactionRecord):
        return record.kind is RecordKind.UPDATED and record.id_token is None
    return isinstance(record, MeterRecord)


def what_a_cut_takes_are_samples(laws: Laws, disk: Station, memory: Station) -> None:
    """Of the station nothing but how far registers and numbers are; of the records nothing but samples and how a
    transaction stands."""
    over = {name: one for name, one in disk.transactions.items() if name not in memory.transactions}
    assert not any(one.active for one in over.values()), "a cut takes the end of a transaction"
    memory = replace(memory, transactions={**memory.transactions, **over})
    _equal(_without_samples(_kept(laws, disk)), _without_samples(_kept(laws, memory)))
    for seq in laws.young:
        assert _is_sample(laws.records[seq]), f"a cut takes {laws.records[seq]}"
    assert len(laws.young) <= UNKEPT_MAX, "more numbers were given out than a restart leaves out"


def _without_samples(station: Station) -> Station:
    stamp = Stamp(TRUTH, True, "")
    return replace(
        station,
        next_seq=0,
        queued=0,
        wall_kept=TRUTH,
        ran_kept_s=0.0,
        boot=replace(station.boot, floor=TRUTH),
        clock=Now(TRUTH, 0.0, False),
        connectors={
            number: replace(one, energy_kept_wh=None, spent=one.spent and one.plugged)
            for number, one in station.connectors.items()
        },
        transactions={
            name: replace(one, seq_no=0, told_at=None, kept_meter_wh=0.0, kept_at=stamp, samples=(), queued=0)
            for name, one in station.transactions.items()
        },
    )


def what_waits_for_the_disk_waits_no_longer_than_it_may(laws: Laws) -> None:
    world = laws.world
    if not world.alive() or world.disk_full or world.commit_fails or world.engine.degraded or world.stalled:
        laws.waits_since_s = None if laws.waits_since_s is None else world.elapsed_s
    elif laws.waits_since_s is not None and not world.committing:
        waited_s = world.elapsed_s - laws.waits_since_s
        assert waited_s <= PATIENCE.told_s + LATE_S, f"samples have waited {waited_s:.0f} s for the disk"


def an_end_with_the_power_says_what_the_register_says(laws: Laws, record: TransactionRecord, after: Station) -> None:
    """Whatever the disk had of it: with a charger that was asked since, and tells what it told before."""
    told = [v.value for s in record.samples for v in s.values if v.measurand is Measurand.ENERGY]
    if record.kind is RecordKind.ENDED and record.reason is StopReason.POWER_LOSS:
        box = laws.world.boxes[record.connector]
        same = box.register_offset_wh == laws.offsets_wh.get(record.connector) and not box.noise
        if same and after.connectors[record.connector].energy_wh is not None:
            told_wh = laws.told_wh.get(record.transaction_id, 0.0)
            assert record.meter_wh is not None and record.meter_wh >= told_wh, "the end is below what was told"
    elif told:
        laws.told_wh[record.transaction_id] = max(laws.told_wh.get(record.transaction_id, 0.0), *told)


def _equal(ours: Station, theirs: Station) -> None:
    differing = [f.name for f in fields(ours) if getattr(ours, f.name) != getattr(theirs, f.name)]
    both = [_differing(getattr(ours, name), getattr(theirs, name)) for name in differing]
    assert not differing, f"the disk differs from memory: {dict(zip(differing, both, strict=True))}"


def _differing(ours: Any, theirs: Any) -> Any:
    """Of two maps only the entries that differ."""
    if isinstance(ours, Configuration) and isinstance(theirs, Configuration):
        ours, theirs = {**ours.changed, "site": ours.site}, {**theirs.changed, "site": theirs.site}
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return ours, theirs
    names = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
    return {name: (ours.get(name), theirs.get(name)) for name in names}


def _kept(laws: Laws, station: Station) -> Station:
    """What must outlive the process. A station that was never written takes its first wall clock from each boot."""
    if "station" not in laws.world.store.load(IDENTITY).facts:
        station = replace(station, wall_kept=TRUTH)
    configuration = replace(station.configuration, computed={})  # which version is spoken stands beside the station
    return kept(replace(station, policy=builder.POLICY, configuration=configuration))


def accepted_and_acknowledged_implies_on_disk(
    laws: Laws, number: int, action: str, asked: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    laws.promises.acknowledged(number, action, asked, answer)
    laws.promises.check()


def what_the_hardware_did_is_read_back(
    laws: Laws, number: int, action: str, asked: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    """Said of a lock that has opened since it was asked for the first time."""
    if action == "UnlockConnector" and answer["status"] == "Unlocked":
        number_of = laws.world.number_of
        place = number_of(asked["evseId"], asked["connectorId"]) if "evseId" in asked else asked["connectorId"]
        assert place is not None, "Unlocked was said of nothing"
        box = laws.world.boxes[place]
        assert box.unlocked_at_s >= laws.asked_s[number], "Unlocked was said of a lock that did not open"


def after_a_reconnect_the_csms_view_equals_ours(laws: Laws) -> None:
    """Whenever the line has been quiet for long enough that everything must have been told."""
    world = laws.world
    if not world.alive():
        return
    central, link, ours = world.central, world.link, laws.statuses
    if world.stalled or not world.wire.connected:
        laws.statuses_since_s = world.elapsed_s
    calm_s = world.elapsed_s - laws.statuses_since_s
    if calm_s < CALM_S or central.bad_mood_on_this_line or not link.session.idle or link._waiting:
        return
    theirs = {number: central.statuses.get(number, "?") for number in ours}
    assert theirs == ours, f"the CSMS believes {theirs}, it is {ours}"


def the_brokers_retained_set_equals_topics(laws: Laws) -> None:
    """Each state topic holds what the station is; what only a reader's past can tell is left out."""
    world = laws.world
    head = f"{NAMES.prefix}/station/"
    retained = {topic: document for topic, document in world.broker.retained.items() if topic.startswith(head)}
    wanted = topics(world.engine.station, world.mirror._stations.shown(IDENTITY))
    assert retained.keys() == wanted.keys(), retained.keys() ^ wanted.keys()
    for topic, document in wanted.items():
        now = carry(retained[topic], document)  # a transaction that has ended is shown until the next
        assert _timeless(retained[topic]) == _timeless(now), f"{topic} is out of date at the broker"


def _timeless(document: Document) -> Any:
    body = document.body
    return body if isinstance(body, str) else {k: v for k, v in body.items() if k not in ("since", "previous")}


def messages_leave_in_order_none_lost_none_invented(laws: Laws) -> None:
    """What the CSMS processed, in its order, is the list of records; one that was given up may or may not be there."""
    received = list(laws.world.central.received)
    if laws.world.central.mixed:
        nothing_is_lost_between_versions(laws, received)
        return
    names: dict[str, int] = {}
    position = 0
    for seq, record in sorted(laws.records.items()):
        if lane_of(record) is not Lane.TRANSACTION:
            continue
        found = position < len(received) and _tells(received[position], record, names)
        if found and seq in laws.lost:  # one that was recorded later may say the same
            found = received[position].ident in _idents(seq, record)
        if found:
            it_says_that_it_was_late(laws, received[position], record, laws.arose[seq])
            begun = isinstance(record, TransactionRecord) and record.kind is RecordKind.STARTED
            if isinstance(record, TransactionRecord) and begun and "transactionId" in received[position].answer:
                names[record.transaction_id] = received[position].answer["transactionId"]
            position += 1
        else:
            there = received[position] if position < len(received) else None
            excused = seq in laws.given_up or seq in laws.lost
            assert excused, f"record {seq} is lost or out of order: {record} where there is {there}"
    assert position == len(received), f"invented: {received[position]}"


def _idents(seq: int, record: Record) -> set[str]:
    """The message ids under which a record may have been told."""
    return {record_message_id(IDENTITY, seq, record, refusals=refusals) for refusals in range(REFUSALS_MAX)}


def nothing_is_lost_between_versions(laws: Laws, received: list[Message]) -> None:
    """A record whose answer was lost is told once more in the words of the next version, and a transaction may have two
    names then: so each record is told at least once."""
    for seq, record in laws.records.items():
        if lane_of(record) is Lane.TRANSACTION and seq not in laws.given_up and seq not in laws.lost:
            assert any(_tells(message, record, ANY) for message in received), f"record {seq} is lost: {record}"


def _tells(message: Message, record: Record, names: Mapping[str, int]) -> bool:
    """Whether a message says what a record holds."""
    told = message.payload
    if message.action == "TransactionEvent" or "evseId" in told:
        return tells_201(message, record)
    if isinstance(record, MeterRecord):
        return message.action == "MeterValues" and "transactionId" not in told and _same_energy(told, record)
    assert isinstance(record, TransactionRecord)
    if record.kind is RecordKind.STARTED:
        wanted: Mapping[str, Any] = {
            "connectorId": record.connector,
            "idTag": record.id_token.value if record.id_token else "",
            "meterStart": round(record.meter_wh or 0.0),
            "reservationId": record.reservation_id,
        }
        return message.action == "StartTransaction" and all(told.get(k) == v for k, v in wanted.items())
    if names is not ANY and told.get("transactionId") not in (names.get(record.transaction_id), -1):
        return False
    if record.kind is RecordKind.ENDED:
        wanted = {
            "meterStop": round(record.meter_wh or 0.0),
            "reason": REASONS_16.get(record.reason, record.reason.value) if record.reason else None,
            "idTag": record.id_token.value if record.id_token else None,
        }
        return message.action == "StopTransaction" and all(told.get(k) == v for k, v in wanted.items())
    return message.action == "MeterValues" and _same_energy(told, record)


def _same_energy(told: Mapping[str, Any], record: MeterRecord | TransactionRecord) -> bool:
    ours = [v.value for s in record.samples for v in s.values if v.measurand is Measurand.ENERGY]
    theirs = energies(dict(told))
    same = len(ours) == len(theirs) and all(abs(one - other) < 0.01 for one, other in zip(ours, theirs, strict=True))
    contexts = {v.get("context") for s in told["meterValue"] for v in s["sampledValue"]}
    return told["connectorId"] == record.connector and same and contexts == {s.context.value for s in record.samples}


__all__ = ["Laws", "Perform"]
