"""What is sampled and when, and the register as it is reported."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain import metering
from edged.domain.configuration import ENERGY
from edged.domain.effects import (
    Enqueue,
    MeterRecord,
    RecordKind,
    Sample,
    SampleContext,
    SampledValue,
    TransactionRecord,
)
from edged.domain.events import Tick
from edged.domain.hardware import ChargerState, Measurand, Meter, Phases, Quality
from edged.domain.policy import Trigger
from edged.domain.types import Stamp
from tests.fakes.site import POLICY, START, Site

LISTS = "MeterValuesSampledData", "MeterValuesAlignedData", "StopTxnSampledData", "StopTxnAlignedData"


def samples(effects: object) -> list[TransactionRecord | MeterRecord]:
    return [
        e.record
        for e in effects  # type: ignore[attr-defined]
        if isinstance(e, Enqueue)
        and (isinstance(e.record, MeterRecord) or (isinstance(e.record, TransactionRecord) and e.record.samples))
    ]


# --- periodic


@pytest.mark.req("TC_070_CS", "16-MV-01", "16-MV-06")
def test_a_transaction_is_sampled_at_the_interval_from_its_start() -> None:
    site = Site.build(1, configuration={"MeterValueSampleInterval": "10"})
    site.plug(1)
    site.wait(7)
    site.show("ALICE", 1)
    site.accept()
    site.charge(1)
    found = samples(site.wait(30))
    assert len(found) == 3
    assert [r.samples[0].context for r in found] == [SampleContext.PERIODIC] * 3
    assert [(r.samples[0].at.utc - START).total_seconds() for r in found] == [17.0, 27.0, 37.0]


def test_without_an_interval_or_a_transaction_there_are_no_samples() -> None:
    site = Site.build(1, configuration={"MeterValueSampleInterval": "0"})
    site.start(1, "ALICE")
    assert not samples(site.wait(200))
    site = Site.build(1)
    assert not samples(site.wait(200))


def test_a_new_interval_holds_at_once() -> None:
    site = Site.build(1, configuration={"MeterValueSampleInterval": "600"})
    site.start(1, "ALICE")
    site.wait(5)
    site.set("MeterValueSampleInterval", "10")
    assert len(samples(site.wait(21))) == 2


def test_missed_moments_are_not_made_up_for() -> None:
    site = Site.build(1, configuration={"MeterValueSampleInterval": "10"})
    site.start(1, "ALICE")
    site.wait(1)
    site.advance(95)
    site.charge(1)
    assert len(samples(site.do(Tick()))) == 1
    assert len(samples(site.wait(10))) == 1


@pytest.mark.parametrize("how", ["lost", "old", "stale"])
def test_a_stale_reading_is_never_sampled(how: str) -> None:
    site = Site.build(1, configuration={"MeterValueSampleInterval": "5"})
    site.start(1, "ALICE")
    site.wait(6)
    if how == "lost":
        site.lose(1)
    site.advance(20)
    if how == "stale":
        site.look(1, ChargerState.CHARGING, quality=Quality.STALE)
    assert not samples(site.do(Tick()))


@pytest.mark.req("16-MV-05")
def test_every_phase_of_a_measurand_is_reported() -> None:
    site = Site.build(1, configuration={"MeterValuesSampledData": "Voltage,Current.Import,Power.Active.Import"})
    meter = Meter(power_w=7.0, current_a=Phases(1.0, 2.0, None), voltage_v=Phases(230.0, 231.0, math.nan))
    site.look(1, ChargerState.AVAILABLE, meter=meter)
    sample = metering.sample(site.station, 1, "MeterValuesSampledData", SampleContext.TRIGGER, site.now)
    assert sample is not None
    assert [(v.measurand, v.phase, v.value) for v in sample.values] == [
        (Measurand.VOLTAGE, "L1-N", 230.0),
        (Measurand.VOLTAGE, "L2-N", 231.0),
        (Measurand.CURRENT, "L1", 1.0),
        (Measurand.CURRENT, "L2", 2.0),
        (Measurand.POWER, None, 7.0),
    ]


@pytest.mark.parametrize("measurand", list(Measurand))
def test_every_measurand_can_be_sampled_or_is_left_out(measurand: Measurand) -> None:
    site = Site.build(1)
    meter = Meter(
        energy_wh=2000.0,
        power_w=1.0,
        current_a=Phases(1.0),
        voltage_v=Phases(230.0),
        frequency_hz=50.0,
        temperature_c=30.0,
        soc_pct=60.0,
    )
    site.look(1, ChargerState.AVAILABLE, meter=meter, current_limit_ma=16_000)
    site.station = replace(
        site.station, configuration=replace(site.station.configuration, site={"MeterValuesSampledData": measurand})
    )
    sample = metering.sample(site.station, 1, "MeterValuesSampledData", SampleContext.TRIGGER, site.now)
    assert (sample is None) is (measurand is Measurand.ENERGY_INTERVAL)


def test_a_measurand_that_this_version_does_not_know_is_left_out() -> None:
    site = Site.build(1, configuration={"MeterValuesSampledData": "Flux.Capacitance"})
    assert metering.sample(site.station, 1, "MeterValuesSampledData", SampleContext.TRIGGER, site.now) is None


# --- clock-aligned


@pytest.mark.req("TC_071_CS", "16-MV-01", "16-MV-02")
def test_aligned_values_come_on_the_grid_with_and_without_a_transaction() -> None:
    site = Site.build(2, configuration={"ClockAlignedDataInterval": "60", "MeterValueSampleInterval": "0"})
    site.advance(7)
    site.start(1, "ALICE")
    found = samples(site.wait(120))
    assert [(type(r), r.connector) for r in found] == [(TransactionRecord, 1), (MeterRecord, 2)] * 2
    assert {r.samples[0].at.utc.second for r in found} == {0}
    assert {r.samples[0].context for r in found} == {SampleContext.CLOCK}


@pytest.mark.req("16-MV-02")
@pytest.mark.parametrize(("first", "second"), [("900", "60"), ("60", "900")])
def test_a_new_interval_moves_to_the_new_grid(first: str, second: str) -> None:
    site = Site.build(1, configuration={"ClockAlignedDataInterval": first})
    site.wait(90)
    site.set("ClockAlignedDataInterval", second)
    found = samples(site.wait(1000))
    grid_s = int(second)
    assert found
    assert all((r.samples[0].at.utc - START).total_seconds() % grid_s == 0 for r in found)


@pytest.mark.req("16-MV-02")
def test_no_slot_is_sampled_twice_and_no_step_makes_up_for_slots() -> None:
    site = Site.build(1, configuration={"ClockAlignedDataInterval": "60"})
    assert len(samples(site.wait(61))) == 1
    site.now = replace(site.now, utc=site.now.utc - timedelta(seconds=30))
    assert not samples(site.wait(31)), "the same minute again"
    assert len(samples(site.wait(60))) == 1
    site.now = replace(site.now, utc=site.now.utc + timedelta(seconds=3_630))
    assert not samples(site.wait(1)), "into the middle of a slot"
    assert len(samples(site.wait(60))) == 1


def test_a_clock_that_was_wrong_by_years_does_not_silence_the_grid() -> None:
    site = Site.build(1, configuration={"ClockAlignedDataInterval": "60"})
    site.now = replace(site.now, utc=START + timedelta(days=4000))
    site.wait(61)
    site.now = replace(site.now, utc=START)
    assert len(samples(site.wait(61))) == 1


def test_a_clock_that_is_not_trusted_has_no_grid() -> None:
    site = Site.build(1, configuration={"ClockAlignedDataInterval": "5"}, synchronized=False)
    assert not samples(site.wait(30))
    site.trust()
    assert samples(site.wait(6))


# --- the register has a time of its own


@pytest.mark.parametrize("energy_wh", [None, math.nan, -1.0, 4_000_000.0], ids=["missing", "nan", "negative", "torn"])
def test_a_register_that_is_not_read_is_not_sampled_while_the_rest_is(energy_wh: float | None) -> None:
    keys = {"MeterValueSampleInterval": "5", "MeterValuesSampledData": f"{ENERGY},Power.Active.Import"}
    site = Site.build(1, configuration=keys)
    site.start(1, "ALICE")
    site.wait(6)
    for second in range(20):
        site.advance(1)
        torn = energy_wh if energy_wh != 4_000_000.0 else 4_000_000.0 + 1_000_000 * (second % 2)
        site.look(1, ChargerState.CHARGING, meter=Meter(energy_wh=torn, power_w=7.0))
        site.do(Tick())
    last = site.records(RecordKind.UPDATED)[-1].samples[0]
    assert [value.measurand for value in last.values] == [Measurand.POWER]


def test_the_register_at_the_end_of_a_silent_charger_says_when_it_was_read() -> None:
    site = Site.build(1, configuration={"StopTxnSampledData": ENERGY, "MeterValueSampleInterval": "0"})
    site.start(1, "ALICE")
    site.wait(10)
    read = site.now.utc
    site.advance(300)
    site.show("ALICE", 1)
    begin, end = site.records(RecordKind.ENDED)[-1].samples
    assert (begin.at.utc, end.at.utc) == (START, read)
    assert site.records(RecordKind.ENDED)[-1].at.utc == site.now.utc


def test_the_register_at_the_end_is_not_older_than_the_samples_before_it() -> None:
    site = Site.build(1, configuration={"StopTxnSampledData": ENERGY, "MeterValueSampleInterval": "10"})
    site.start(1, "ALICE")
    site.wait(8)
    site.wait(12, looks=False)
    site.advance(300)
    site.show("ALICE", 1)
    times = [sample.at.utc for sample in site.records(RecordKind.ENDED)[-1].samples]
    assert len(times) == 4 and times == sorted(times)


# --- the end of a transaction


@pytest.mark.req("16-MV-08", "16-MV-09")
def test_the_end_carries_begin_end_and_what_was_collected_between() -> None:
    site = Site.build(
        1,
        configuration={
            "StopTxnSampledData": "Energy.Active.Import.Register",
            "StopTxnAlignedData": "Power.Active.Import",
            "MeterValueSampleInterval": "10",
            "ClockAlignedDataInterval": "20",
        },
    )
    site.start(1, "ALICE")
    site.wait(25)
    site.show("ALICE", 1)
    contexts = [s.context.value for s in site.records(RecordKind.ENDED)[-1].samples]
    assert contexts[0] == "Transaction.Begin" and contexts[-1] == "Transaction.End"
    assert sorted(contexts[1:-1]) == ["Sample.Clock", "Sample.Periodic", "Sample.Periodic"]


@pytest.mark.req("16-MV-08")
def test_with_both_lists_empty_the_end_carries_nothing() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.wait(70)
    site.show("ALICE", 1)
    assert site.records(RecordKind.ENDED)[-1].samples == ()


@pytest.mark.req("16-MV-09")
@given(count=st.integers(0, 60), limit=st.integers(1, 20))
def test_thinning_keeps_begin_and_end_the_order_and_the_limit(count: int, limit: int) -> None:
    at = Stamp(START, True, "b")
    middle = [Sample(at, SampleContext.PERIODIC, (SampledValue(Measurand.ENERGY, float(n)),)) for n in range(count)]
    begin, end = Sample(at, SampleContext.BEGIN, ()), Sample(at, SampleContext.END, ())
    kept = metering.thin((begin, *middle, end), limit)
    assert kept[0] is begin and kept[-1] is end
    assert len(kept) <= max(limit, 2)
    values = [s.values[0].value for s in kept[1:-1]]
    assert values == sorted(values)


@pytest.mark.req("16-MV-09")
def test_a_long_transaction_stays_within_the_key_s_limit() -> None:
    site = Site.build(
        1,
        configuration={
            "StopTxnSampledData": "Energy.Active.Import.Register",
            "MeterValueSampleInterval": "1",
            "StopTransactionMaxMeterValues": "10",
        },
    )
    site.start(1, "ALICE")
    site.wait(200)
    site.show("ALICE", 1)
    found = site.records(RecordKind.ENDED)[-1].samples
    assert len(found) <= 10
    assert [found[0].context, found[-1].context] == [SampleContext.BEGIN, SampleContext.END]


def test_the_end_of_a_silent_charger_carries_only_the_register() -> None:
    site = Site.build(1, configuration={"StopTxnSampledData": "Energy.Active.Import.Register,Power.Active.Import"})
    site.start(1, "ALICE")
    site.wait(2)
    site.advance(60)
    site.show("ALICE", 1)
    last = site.records(RecordKind.ENDED)[-1].samples[-1]
    assert [v.measurand for v in last.values] == [Measurand.ENERGY]


# --- what a power cut leaves, and bounds


def test_the_register_is_kept_by_energy_or_by_time_not_at_every_poll() -> None:
    site = Site.build(1, configuration={"MeterValueSampleInterval": "0"})
    site.start(1, "ALICE")
    commits = site.disk.commits
    for _ in range(59):
        site.energy_wh[1] += 1.0
        site.wait(1)
    assert site.disk.commits == commits
    site.wait(2)
    assert site.disk.commits == commits + 1
    site.energy_wh[1] += metering.KEEP_ENERGY_WH
    site.wait(1)
    assert site.disk.commits == commits + 2


@pytest.mark.req("16-MV-13")
def test_offline_for_long_the_intermediate_values_are_given_up_but_no_start_and_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metering, "MAX_QUEUED", 20)
    site = Site.build(
        2,
        configuration={
            "MeterValueSampleInterval": "5",
            "ClockAlignedDataInterval": "5",
            "AllowOfflineTxForUnknownId": "true",
        },
    )
    site.offline()
    site.start(1, "ALICE")
    site.wait(300)
    assert site.station.queued <= 21
    site.show("ALICE", 1)
    site.start(2, "BOB")
    assert [r.kind for r in site.records()][-2:] == [RecordKind.ENDED, RecordKind.STARTED]


def test_an_idle_station_writes_nothing_between_two_looks() -> None:
    site = Site.build(2)
    commits = site.disk.commits
    site.wait(600)
    assert site.disk.commits == commits


# --- what a version with an interval for each asks


def twofold(**keys: str) -> Site:
    values = {"MeterValueSampleInterval": "0", "StopTxnSampledData": ENERGY, "StopTxnAlignedData": ENERGY, **keys}
    policy = replace(POLICY, begin_in_start=True, update_triggers=frozenset(Trigger))
    return Site.build(2, policy=policy, configuration=values)


def contexts(site: Site) -> list[SampleContext]:
    return [sample.context for sample in site.records(RecordKind.ENDED)[-1].samples]


@pytest.mark.req("E06.FR.11", "J02.FR.11")
@pytest.mark.parametrize(
    ("key", "context"),
    [
        ("TxEndedSampleInterval", SampleContext.PERIODIC),
        ("TxEndedAlignedInterval", SampleContext.CLOCK),
    ],
)
def test_what_goes_into_the_end_has_an_interval_of_its_own(key: str, context: SampleContext) -> None:
    site = twofold(**{key: "10"})
    site.start(1)
    site.wait(35)
    site.show("ALICE", 1)
    assert contexts(site) == [SampleContext.BEGIN, *[context] * 3, SampleContext.END]
    assert not [r for r in site.records(RecordKind.UPDATED) if r.samples]


@pytest.mark.req("E06.FR.11")
def test_an_interval_of_its_own_that_is_nothing_leaves_begin_and_end() -> None:
    own = {"TxEndedSampleInterval": "0", "TxEndedAlignedInterval": "0"}
    site = twofold(MeterValueSampleInterval="5", ClockAlignedDataInterval="5", **own)
    site.start(1)
    site.wait(20)
    site.show("ALICE", 1)
    assert contexts(site) == [SampleContext.BEGIN, SampleContext.END]
    assert {r.trigger for r in site.records(RecordKind.UPDATED) if r.samples} == {
        Trigger.METER_VALUE_PERIODIC,
        Trigger.METER_VALUE_CLOCK,
    }


@pytest.mark.req("J01.FR.20")
def test_while_one_charges_nothing_aligned_is_told_where_only_idleness_is_told_of() -> None:
    site = twofold(ClockAlignedDataInterval="5", AlignedDataSendDuringIdle="true", TxEndedAlignedInterval="5")
    site.start(1)
    site.wait(12)
    assert not [e for e in site.history if isinstance(e, Enqueue) and isinstance(e.record, MeterRecord)]
    assert not [r for r in site.records(RecordKind.UPDATED) if r.samples]
    site.show("ALICE", 1)
    assert SampleContext.CLOCK in contexts(site)
    site.wait(6)
    told = [e.record for e in site.history if isinstance(e, Enqueue)]
    assert {record.connector for record in told if isinstance(record, MeterRecord)} == {1, 2}


@pytest.mark.req("16-TX-11", "E06.FR.11")
def test_an_end_after_a_power_cut_is_not_below_the_samples_that_go_with_it() -> None:
    keys = {"MeterValueSampleInterval": "5", "MeterValuesSampledData": "", "StopTxnSampledData": ENERGY}
    site = Site.build(1, configuration=keys)
    site.start(1)
    for energy_wh in (1020.0, 1040.0, 1060.0):
        site.energy_wh[1] = energy_wh
        site.wait(5)
    site.restart()
    ended = site.records(RecordKind.ENDED)[-1]
    told = [v.value for s in ended.samples for v in s.values if v.measurand is Measurand.ENERGY]
    assert ended.meter_wh is not None and ended.meter_wh >= max(told)


@pytest.mark.req("16-MV-09", "16-TX-11", "J02.FR.16")
def test_the_end_after_a_power_cut_is_not_below_what_was_collected_for_it() -> None:
    site = twofold(TxEndedSampleInterval="2")
    site.start(1)
    for _ in range(4):
        site.energy_wh[1] += 30
        site.charge(1)
        site.wait(2)
    site.restart()
    (ended,) = site.records(RecordKind.ENDED)
    told = [value.value for sample in ended.samples for value in sample.values]
    assert told == sorted(told)
    assert ended.meter_wh == told[-1] == 1120.0
    assert site.connector(1).energy_kept_wh == 1120.0
