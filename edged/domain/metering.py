"""What is sampled, when, and the energy register as we report it. 1.6 §3.16.

Invariants: a stale reading is never sampled · the reported register never runs backwards · one aligned slot is
sampled once · Transaction.Begin and Transaction.End are never thinned out.
"""

from __future__ import annotations

import math

from edged.domain.effects import MeterRecord, RecordKind, Sample, SampleContext, SampledValue, TransactionRecord
from edged.domain.hardware import Measurand, Meter, Phases
from edged.domain.policy import Trigger
from edged.domain.station import Connector, Station, Transaction
from edged.domain.transition import Draft
from edged.domain.types import Now

STALE_AFTER_S = 15.0
KEEP_ENERGY_WH = 250.0
KEEP_TIME_S = 60.0
LOWER_READINGS_TO_BELIEVE = 3
DAY_S = 86_400
ALIGNED_LATE_S = 10
MAX_QUEUED = 5_000
KNOWN = frozenset(Measurand)

# --- the register


def register(connector: Connector, raw_wh: float | None) -> dict[str, float | int | None]:
    """New values of the connector's energy facts for one good raw reading.

    A lower reading is not believed at once (a corrupt word, a meter that starts); when it stays lower, the meter was
    replaced or has overflown, and the difference is added from then on.
    """
    if raw_wh is None or not math.isfinite(raw_wh) or raw_wh < 0:
        return {}
    last = connector.energy_wh if connector.energy_wh is not None else connector.energy_kept_wh
    reported = raw_wh + connector.energy_offset_wh
    if last is None or reported >= last:
        return {"energy_wh": reported, "lower_readings": 0}
    if connector.lower_readings + 1 < LOWER_READINGS_TO_BELIEVE:
        return {"energy_wh": last, "lower_readings": connector.lower_readings + 1}
    return {"energy_wh": last, "energy_offset_wh": last - raw_wh, "energy_kept_wh": last, "lower_readings": 0}


def fresh(connector: Connector, now: Now) -> bool:
    """Whether the last reading is recent enough to be reported as a measurement."""
    return (
        connector.online
        and connector.observed_at_s is not None
        and now.monotonic_s - connector.observed_at_s <= STALE_AFTER_S
    )


# --- samples


def sample(station: Station, number: int, key: str, context: SampleContext, now: Now) -> Sample | None:
    """The measurands of a configuration key, as they are now; None without a fresh reading or without values."""
    connector = station.connectors[number]
    if not fresh(connector, now):
        return None
    values = tuple(value for name in _named(station, key) for value in _values(connector, name))
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
    interval_s = draft.station.configuration.number("MeterValueSampleInterval")
    now_s = draft.now.monotonic_s
    if interval_s == 0:
        if transaction.next_sample_at_s is not None:
            draft.transact(transaction.id, next_sample_at_s=None)
        return
    due = transaction.next_sample_at_s
    if due is None or due > now_s + interval_s:
        draft.transact(transaction.id, next_sample_at_s=now_s + interval_s)
        return
    if now_s < due:
        return
    missed = int((now_s - due) // interval_s)
    draft.transact(transaction.id, next_sample_at_s=due + (missed + 1) * interval_s)
    _record(draft, number, "MeterValuesSampledData", SampleContext.PERIODIC, Trigger.METER_VALUE_PERIODIC)
    _collect(draft, number, "StopTxnSampledData", SampleContext.PERIODIC)


def _aligned(draft: Draft) -> None:
    """One set a slot, counted from midnight UTC, at its beginning: a step of the clock into the middle of a slot, or a
    new interval, waits for the next. A slot that was sampled is not sampled again unless the clock was wrong by more
    than a day. A clock that is not trusted has no slots. `aligned_slot`: the second at which the slot began."""
    interval_s = draft.station.configuration.number("ClockAlignedDataInterval")
    if interval_s == 0 or not draft.now.synchronized:
        if draft.station.aligned_slot is not None:
            draft.update(aligned_slot=None)
        return
    utc = draft.now.utc
    day_s = utc.hour * 3600 + utc.minute * 60 + utc.second
    slot = utc.toordinal() * DAY_S + day_s - day_s % interval_s
    last = draft.station.aligned_slot
    if last is not None and last - DAY_S < slot <= last:
        return
    draft.update(aligned_slot=slot)
    if last is None or slot < last or day_s % interval_s > ALIGNED_LATE_S:
        return
    for number in draft.station.connectors:
        if draft.station.running(number) is not None:
            _record(draft, number, "MeterValuesAlignedData", SampleContext.CLOCK, Trigger.METER_VALUE_CLOCK)
            _collect(draft, number, "StopTxnAlignedData", SampleContext.CLOCK)
            continue
        values = sample(draft.station, number, "MeterValuesAlignedData", SampleContext.CLOCK, draft.now)
        if values is not None and draft.station.queued < MAX_QUEUED:
            draft.enqueue(MeterRecord(number, (values,)))
            note_reported(draft, number)


def _record(draft: Draft, number: int, key: str, context: SampleContext, trigger: Trigger) -> None:
    """Intermediate values are given up where the queue has grown too long; starts and ends never are (16-MV-13)."""
    values = sample(draft.station, number, key, context, draft.now)
    if values is not None and draft.station.queued < MAX_QUEUED:
        update(draft, number, trigger, (values,))


def update(draft: Draft, number: int, trigger: Trigger, samples: tuple[Sample, ...] = ()) -> None:
    """Write an update of the running transaction, where this version wants to hear of such."""
    transaction = draft.station.running(number)
    if transaction is None or trigger not in draft.station.policy.update_triggers:
        return
    transaction = draft.transact(transaction.id, seq_no=transaction.seq_no + 1)
    draft.enqueue(
        TransactionRecord(
            kind=RecordKind.UPDATED,
            transaction_id=transaction.id,
            connector=number,
            trigger=trigger,
            seq_no=transaction.seq_no,
            at=draft.station.stamp(draft.now),
            offline=not draft.station.link.serving,
            phase=draft.station.connectors[number].phase,
            samples=samples,
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


def edge_samples(station: Station, number: int, context: SampleContext, now: Now) -> tuple[Sample, ...]:
    """Transaction.Begin or Transaction.End of every measurand that the two StopTxn lists name."""
    connector = station.connectors[number]
    names = _named(station, "StopTxnSampledData", "StopTxnAlignedData")
    if not fresh(connector, now):  # the register still stands where it was; nothing else is known any more
        names = tuple(name for name in names if name is Measurand.ENERGY)
    values = tuple(value for name in names for value in _values(connector, name))
    return (Sample(station.stamp(now), context, values),) if values else ()


# --- what a power cut leaves


def _keep(draft: Draft, number: int) -> None:
    """Store the register once it has moved enough, or time has passed: what StopTransaction(PowerLoss) will say."""
    transaction = draft.station.running(number)
    connector = draft.station.connectors[number]
    if transaction is None or connector.energy_wh is None or not fresh(connector, draft.now):
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
