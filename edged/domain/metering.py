"""What is sampled, and when. 1.6 §3.16, 2.x J01, J02. The register itself is `energy_register`'s.

Invariants: a stale reading is never sampled, and none gets a newer time than it has · one aligned slot is
sampled once · Transaction.Begin and Transaction.End are never thinned out · the numbers of a transaction's records
have no gap (what is given up for want of room has never had one) but where a run has ended without a word: none is
ever given twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edged.domain.effects import MeterRecord, RecordKind, Sample, SampleContext, SampledValue, TransactionRecord
from edged.domain.hardware import Measurand, Meter, Phases
from edged.domain.policy import Trigger
from edged.domain.station import Connector, Station, Transaction
from edged.domain.transition import Draft
from edged.domain.types import Now, Stamp

STALE_AFTER_S = 15.0
KEEP_ENERGY_WH = 250.0
KEEP_TIME_S = 60.0
DAY_S = 86_400
ALIGNED_LATE_S = 10
MAX_QUEUED = 5_000
UNKEPT_MAX = 100
"""How many records may have got their numbers and wait for the disk (`store.deferral`). What ends without a word may
have told them: so many numbers are then left out."""
UNKEPT_S = 3600.0
"""How long what was told may wait for the disk: so much older than the cut is what a power cut leaves of a register."""
KNOWN = frozenset(Measurand)
ENDED_SAMPLES = "TxEndedSampleInterval"
ENDED_ALIGNED = "TxEndedAlignedInterval"
IN_END = ("StopTxnSampledData", "StopTxnAlignedData")
ALWAYS = frozenset(
    {
        *(Trigger.AUTHORIZED, Trigger.REMOTE_START, Trigger.STOP_AUTHORIZED, Trigger.REMOTE_STOP),
        Trigger.DEAUTHORIZED,
    }
)
"""Updates that come once in a transaction at most, and say what no later one says again."""

# --- what is recent


def fresh(connector: Connector, now: Now) -> bool:
    """Whether the last reading is recent enough to be reported as a measurement."""
    return (
        connector.online
        and connector.observed_at_s is not None
        and now.monotonic_s - connector.observed_at_s <= STALE_AFTER_S
    )


def register_fresh(connector: Connector, now: Now) -> bool:
    """The same of the register, which a charger may leave out while it tells the rest, or tell and not be believed."""
    at = connector.energy_at
    return fresh(connector, now) and at is not None and now.monotonic_s - at.monotonic_s <= STALE_AFTER_S


# --- samples


def sample(station: Station, number: int, key: str, context: SampleContext, now: Now) -> Sample | None:
    """The measurands of a configuration key, as they are now; None without a fresh reading or without values."""
    connector = station.connectors[number]
    if not fresh(connector, now):
        return None
    names = _named(station, key)
    if not register_fresh(connector, now):
        names = tuple(name for name in names if name is not Measurand.ENERGY)
    values = _all(connector, names)
    return Sample(station.stamp(now), context, values) if values else None


def _named(station: Station, *keys: str) -> tuple[Measurand, ...]:
    """The measurands that these keys name, each once."""
    names = dict.fromkeys(name for key in keys for name in station.configuration.items(key))
    return tuple(Measurand(name) for name in names if name in KNOWN)


def _values(connector: Connector, measurand: Measurand) -> tuple[SampledValue, ...]:
    meter = connector.meter
    match measurand:
        case Measurand.ENERGY:
            return _single(measurand, connector.energy_wh)
        case Measurand.POWER:
            return _single(measurand, meter.power_w)
        case Measurand.CURRENT:
            return _each(measurand, meter.current_a, "")
        case Measurand.VOLTAGE:
            return _each(measurand, meter.voltage_v, "-N")
        case Measurand.CURRENT_OFFERED:
            return _single(measurand, _offered(connector))
        case Measurand.FREQUENCY:
            return _single(measurand, meter.frequency_hz)
        case Measurand.TEMPERATURE:
            return _single(measurand, meter.temperature_c)
        case Measurand.SOC:
            return _single(measurand, meter.soc_pct)
        case Measurand.ENERGY_INTERVAL:
            return ()


def _offered(connector: Connector) -> float | None:
    """What the charger says that it offers: nothing while it withholds, whatever limit it was set to (16-MV-10)."""
    if connector.limit_ma is None:
        return None
    return 0.0 if connector.permitted is False else connector.limit_ma / 1000


def _single(measurand: Measurand, value: float | None) -> tuple[SampledValue, ...]:
    return () if value is None or not math.isfinite(value) else (SampledValue(measurand, value),)


def _each(measurand: Measurand, phases: Phases, suffix: str) -> tuple[SampledValue, ...]:
    pairs = (("L1", phases.l1), ("L2", phases.l2), ("L3", phases.l3))
    return tuple(
        SampledValue(measurand, value, name + suffix)
        for name, value in pairs
        if value is not None and math.isfinite(value)
    )


# --- what is due


def sample_due(draft: Draft) -> None:
    """Periodic samples of running transactions, and clock-aligned samples of every connector."""
    for number in draft.station.connectors:
        transaction = draft.station.running(number)
        if transaction is not None:
            _periodic(draft, number, transaction)
            _keep(draft, number)
    _aligned(draft)


def _periodic(draft: Draft, number: int, transaction: Transaction) -> None:
    """Those that are told at once, and those that wait for the end: at an interval of their own, or the same."""
    configuration, now_s = draft.station.configuration, draft.now.monotonic_s
    next_s, due = _next(transaction.next_sample_at_s, configuration.number("MeterValueSampleInterval"), now_s)
    if next_s != transaction.next_sample_at_s:
        draft.transact(transaction.id, next_sample_at_s=next_s)
    if due:
        _record(draft, number, "MeterValuesSampledData", SampleContext.PERIODIC, Trigger.METER_VALUE_PERIODIC)
    if configuration.text(ENDED_SAMPLES):
        next_s, due = _next(transaction.next_ended_sample_at_s, configuration.number(ENDED_SAMPLES), now_s)
        if next_s != transaction.next_ended_sample_at_s:
            draft.transact(transaction.id, next_ended_sample_at_s=next_s)
    if due:
        _collect(draft, number, "StopTxnSampledData", SampleContext.PERIODIC)


def _next(due_s: float | None, interval_s: int, now_s: float) -> tuple[float | None, bool]:
    """When the next sample is due, and whether one is now. A shorter interval counts from now; 0 is none at all."""
    if interval_s == 0:
        return None, False
    if due_s is None or due_s > now_s + interval_s:
        return now_s + interval_s, False
    if now_s < due_s:
        return due_s, False
    missed = int((now_s - due_s) // interval_s)
    return due_s + (missed + 1) * interval_s, True


def _aligned(draft: Draft) -> None:
    """What is told at once, and what waits for the end: at an interval of its own, or the same. Where it is only to be
    told while the station is idle, one transaction anywhere silences it (J01.FR.20)."""
    configuration, numbers = draft.station.configuration, draft.station.connectors
    slot, due = _slot(draft.station.aligned_slot, configuration.number("ClockAlignedDataInterval"), draft.now)
    if slot != draft.station.aligned_slot:
        draft.update(aligned_slot=slot)
    busy = any(draft.station.running(number) is not None for number in numbers)
    if due and not (busy and configuration.flag("AlignedDataSendDuringIdle")):
        _tell_aligned(draft)
    if configuration.text(ENDED_ALIGNED):
        slot, due = _slot(draft.station.ended_slot, configuration.number(ENDED_ALIGNED), draft.now)
        if slot != draft.station.ended_slot:
            draft.update(ended_slot=slot)
    if due:
        for number in numbers:
            _collect(draft, number, "StopTxnAlignedData", SampleContext.CLOCK)


def _slot(last: int | None, interval_s: int, now: Now) -> tuple[int | None, bool]:
    """The slot of this moment, by the second at which it began, and whether it is to be sampled now.

    One set a slot, counted from midnight UTC, at its beginning: a step of the clock into the middle of a slot, or a
    new interval, waits for the next. A slot that was sampled is not sampled again unless the clock was wrong by more
    than a day. A clock that is not trusted has no slots."""
    if interval_s == 0 or not now.synchronized:
        return None, False
    day_s = now.utc.hour * 3600 + now.utc.minute * 60 + now.utc.second
    slot = now.utc.toordinal() * DAY_S + day_s - day_s % interval_s
    if last is not None and last - DAY_S < slot <= last:
        return last, False
    return slot, last is not None and slot > last and day_s % interval_s <= ALIGNED_LATE_S


def _tell_aligned(draft: Draft) -> None:
    for number in draft.station.connectors:
        if draft.station.running(number) is not None:
            _record(draft, number, "MeterValuesAlignedData", SampleContext.CLOCK, Trigger.METER_VALUE_CLOCK)
            continue
        values = sample(draft.station, number, "MeterValuesAlignedData", SampleContext.CLOCK, draft.now)
        if values is not None and draft.station.queued < MAX_QUEUED:
            draft.enqueue(MeterRecord(number, (values,)))
            note_reported(draft, number)


def _record(draft: Draft, number: int, key: str, context: SampleContext, trigger: Trigger) -> None:
    """Intermediate values are given up the more of them, the longer the queue has grown: every other one where it is
    half full, at last all (16-MV-13, E04.FR.08)."""
    values = sample(draft.station, number, key, context, draft.now)
    transaction = draft.station.running(number)
    if values is None or transaction is None:
        return
    if transaction.skipped + 1 < MAX_QUEUED // max(1, MAX_QUEUED - draft.station.queued):
        draft.transact(transaction.id, skipped=transaction.skipped + 1)
    else:
        draft.transact(transaction.id, skipped=0)
        update(draft, number, trigger, (values,))


def update(
    draft: Draft,
    number: int,
    trigger: Trigger,
    samples: tuple[Sample, ...] = (),
    *,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Write an update of the running transaction, where this version wants to hear of such.

    `told`: more fields of the record. Where there is no room left, only what was decided of the driver is still
    written (`ALWAYS`); starts and ends always are.
    """
    transaction = draft.station.running(number)
    if transaction is None or trigger not in draft.station.policy.update_triggers:
        return
    if draft.station.queued >= MAX_QUEUED and trigger not in ALWAYS:
        return
    at = draft.station.stamp(draft.now)
    transaction = draft.transact(transaction.id, seq_no=transaction.seq_no + 1, told_at=at)
    draft.enqueue(
        TransactionRecord(
            kind=RecordKind.UPDATED,
            transaction_id=transaction.id,
            connector=number,
            trigger=trigger,
            seq_no=transaction.seq_no,
            at=at,
            offline=not draft.station.link.serving,
            phase=transaction.told_phase or draft.station.connectors[number].phase,
            plugged=draft.station.connectors[number].plugged,
            samples=samples,
            **(told or {}),
        )
    )
    if samples:
        note_reported(draft, number)


# --- what goes into the end of a transaction


def _collect(draft: Draft, number: int, key: str, context: SampleContext) -> None:
    transaction = draft.station.running(number)
    values = sample(draft.station, number, key, context, draft.now)
    if transaction is None or values is None:
        return
    limit = draft.station.configuration.number("StopTransactionMaxMeterValues")
    draft.transact(transaction.id, samples=thin((*transaction.samples, values), limit - 1))
    note_reported(draft, number)  # it is kept already: an end that a power cut brings may not lie below it


def thin(samples: tuple[Sample, ...], limit: int) -> tuple[Sample, ...]:
    """Every other intermediate sample goes when there are too many (16-MV-09); Begin and End stay."""
    while len(samples) > limit:
        fixed = (SampleContext.BEGIN, SampleContext.END)
        middle = [index for index, one in enumerate(samples) if one.context not in fixed]
        if not middle:
            return samples
        gone = set(middle[1::2] or middle)
        samples = tuple(one for index, one in enumerate(samples) if index not in gone)
    return samples


def begin(draft: Draft, number: int) -> tuple[Sample, ...]:
    """What a start is told with, where it has no register of its own: TxStartedMeasurands (E01.FR.09)."""
    if not draft.station.policy.begin_in_start:
        return ()
    return edge_samples(draft.station, number, SampleContext.BEGIN, draft.now, "TxStartedMeasurands")


def lost_end(station: Station, meter_wh: float, at: Stamp) -> tuple[Sample, ...]:
    """What is known of the end of a transaction that was interrupted, where an end has no register of its own."""
    if not station.policy.begin_in_start or Measurand.ENERGY not in _named(station, *IN_END):
        return ()
    return (Sample(at, SampleContext.END, _single(Measurand.ENERGY, meter_wh)),)


def edge_samples(station: Station, number: int, context: SampleContext, now: Now, *keys: str) -> tuple[Sample, ...]:
    """Transaction.Begin or Transaction.End of every measurand that the keys name (none: those of the end).

    A register that is old still stands where it was, and says so by the time at which it was read (or was told since);
    nothing else that is old is known any more.
    """
    connector = station.connectors[number]
    names = _named(station, *(keys or IN_END))
    at = station.stamp(now)
    if not register_fresh(connector, now) and (not fresh(connector, now) or Measurand.ENERGY in names):
        names = tuple(name for name in names if name is Measurand.ENERGY)
        running = station.running(number)
        told = tuple(sample.at for sample in running.samples) if running is not None else ()
        read = () if connector.energy_at is None else (station.stamp(connector.energy_at),)
        at = max((*told, *read), key=lambda stamp: stamp.utc, default=at)
    values = _all(connector, names)
    return (Sample(at, context, values),) if values else ()


def _all(connector: Connector, names: tuple[Measurand, ...]) -> tuple[SampledValue, ...]:
    return tuple(value for name in names for value in _values(connector, name))


# --- what a power cut leaves


def _keep(draft: Draft, number: int) -> None:
    """Store the register once it has moved enough, or time has passed: what StopTransaction(PowerLoss) will say."""
    transaction = draft.station.running(number)
    connector = draft.station.connectors[number]
    if transaction is None or connector.energy_wh is None or not register_fresh(connector, draft.now):
        return
    moved_wh = connector.energy_wh - transaction.kept_meter_wh
    age_s = (draft.now.utc - transaction.kept_at.utc).total_seconds()
    if moved_wh >= KEEP_ENERGY_WH or (moved_wh > 0 and not 0 <= age_s < KEEP_TIME_S):
        note_reported(draft, number)


def note_reported(draft: Draft, number: int) -> None:
    """What was told of the register must stand after a power cut: no end, and no later value, may lie below it."""
    connector = draft.station.connectors[number]
    if connector.energy_wh is None:
        return
    if connector.energy_kept_wh != connector.energy_wh:
        draft.change(number, energy_kept_wh=connector.energy_wh)
    transaction = draft.station.running(number)
    if transaction is not None and transaction.kept_meter_wh < connector.energy_wh:
        draft.transact(transaction.id, kept_meter_wh=connector.energy_wh, kept_at=draft.station.stamp(draft.now))


def measurands_of(station: Station) -> frozenset[str]:
    """What at least one connector of the station can measure."""
    return frozenset(m.value for c in station.connectors.values() for m in c.layout.measurands)


def blank(meter: Meter) -> Meter:
    """A stale reading as it may be shown: the register stays, the rest is unknown."""
    return Meter(energy_wh=meter.energy_wh)
