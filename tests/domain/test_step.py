"""A random life of a station, step by step, with every invariant judged after each."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    ClearCache,
    GetConfiguration,
    RequestStart,
    RequestStop,
    ReserveNow,
    ResetKind,
    ResetStation,
    SetConfiguration,
    Target,
    TriggerMessage,
    UnlockConnector,
)
from edged.domain.configuration import REGISTRY
from edged.domain.effects import Ask, AskAuthorization, NoticeKind, Perform, RecordKind, Restart, TransactionRecord
from edged.domain.events import (
    ActionPerformed,
    BootAnswered,
    BootFailed,
    ChargerLost,
    ConnectorObserved,
    Event,
    LinkDown,
    LinkUp,
    PresentToken,
    RecordDelivered,
    RecordGivenUp,
    Registration,
    Started,
    Tick,
    TimeTold,
    TokenAnswered,
)
from edged.domain.hardware import (
    ActionOutcome,
    Capability,
    ChargerState,
    Fault,
    FaultCode,
    LockState,
    Meter,
    Observation,
    Quality,
)
from edged.domain.station import Boot, SiteRules, Station, Vendor
from edged.domain.step import step
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now, RequestRef
from edged.ocpp.dialect import Dialect, computed_for
from edged.store import loading, records
from edged.store.memory import MemoryStore
from tests.fakes import site as builder
from tests.fakes.any_device import START_POINTS, STOP_POINTS, VERSIONS, AnyDevice
from tests.fakes.any_orders import AnyOrders
from tests.fakes.invariants import Witness
from tests.fakes.kept import kept

GROUPS = (None, "FLEET", "POOL")
V16, V201 = VERSIONS
SETTINGS = {
    "ConnectionTimeOut": ("0", "5", "60"),
    "MeterValueSampleInterval": ("0", "1", "30"),
    "ClockAlignedDataInterval": ("0", "5", "900"),
    "StopTxnSampledData": ("", "Energy.Active.Import.Register,Voltage"),
    "StopTransactionOnEVSideDisconnect": ("true", "false"),
    "UnlockConnectorOnEVSideDisconnect": ("true", "false"),
    "StopTransactionOnInvalidId": ("true", "false"),
    "MaxEnergyOnInvalidId": ("0", "200"),
    "TxStartPoint": (*START_POINTS, "EVConnected,Authorized"),
    "TxStopPoint": (*STOP_POINTS, "EVConnected,Authorized", "EVConnected,EnergyTransfer"),
    "MasterPassGroupId": ("", "POOL"),
    "LocalPreAuthorize": ("true", "false"),
    "AllowOfflineTxForUnknownId": ("true", "false"),
    "AuthorizeRemoteTxRequests": ("true", "false"),
    "MessageTimeout": ("1", "30"),
    "HeartbeatInterval": ("0", "10"),
    "ResetRetries": ("0", "2"),
}
LOCKING = builder.FULL | {Capability.LOCK_CONTROL}
SENSING = frozenset(
    {Capability.WITHHOLD, Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE, Capability.RESET_HARD}
)
PLAIN = frozenset({Capability.WITHHOLD, Capability.UNLOCK, Capability.DETACHABLE, Capability.RESET_SOFT})
NUMBERS = st.sampled_from((1, 2, 3, 4, 1, 2, 3, 4, 0, 5))
WHERE = st.sampled_from((None, 1, 2, 3, 4, 1, 2, 3, 4, 0, 5))
SELDOM = st.sampled_from((False,) * 11 + (True,))
TOKEN = st.sampled_from(("ALICE", "alice", "BOB", "CARLA", "ALICE", "BOB", "CARLA", ""))


def shapes() -> tuple[Any, ...]:
    """Four connectors on three EVSEs: with a lock that is driven, one that senses its availability, one that cannot."""
    return (
        builder.layout(1, capabilities=LOCKING),
        builder.layout(2, capabilities=SENSING),
        builder.layout(3, evse_id=3, connector_type="cCCS2", capabilities=PLAIN, charger="twin"),
        builder.layout(4, evse_id=3, connector_id=2, capabilities=PLAIN, charger="twin"),
    )


def _kept(station: Station) -> Station:
    """The kept facts but for the wall clock, which a boot takes from the newest commit."""
    return kept(replace(station, wall_kept=builder.START))


class AnyLife(AnyOrders, AnyDevice, RuleBasedStateMachine):
    """Whatever may happen to a station, in any order."""

    @initialize(
        version=st.sampled_from((V16, V201, V201)),
        synchronized=st.booleans(),
        lively=st.sampled_from((True, True, True, False)),
        settings_=st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in SETTINGS.items()}),
        profile=st.sampled_from((0, 1, 2)),
        installs=st.sampled_from((True, True, False)),
    )
    def build(
        self,
        version: Dialect,
        synchronized: bool,
        lively: bool,
        settings_: dict[str, str],
        profile: int,
        installs: bool,
    ) -> None:
        self.agreed, self.site, self.layouts = version, settings_, shapes()
        self.rules = SiteRules(
            security_profile=profile,
            has_password=profile > 0,
            has_root=profile > 1,
            credentials_digest="site",
            installs_firmware=installs,
            has_display=True,
            vendors={"known": Vendor(answer="yes")},
        )
        self.store = MemoryStore()
        self.witness = Witness()
        self.boots = 0
        self.asked = 0
        self.questions: list[str] = []
        self.actions: list[str] = []
        self.asks: list[str] = []
        self.raw_wh = {1: 1000.0, 2: 0.0, 3: 50.0, 4: 7.0}
        self.now = Now(builder.START, 1000.0, synchronized)
        self.station = self._fresh()
        self.do(Started(continued=False))
        if lively:
            self.all_looked(0.0)
            self.do(LinkUp(self.station.access.number))
            self.do(BootAnswered(Registration.ACCEPTED, self.now.utc, 300))

    def _fresh(self) -> Station:
        self.boots += 1
        policy = self.agreed.policy
        shape = builder.station(policy=policy, layouts=self.layouts, configuration=self.site, rules=self.rules)
        computed = {**shape.configuration.computed, **computed_for(self.agreed, self.layouts)}
        shape = replace(shape, configuration=replace(shape.configuration, computed=computed))
        floor = self.store.last_wall() or builder.START
        boot = Boot(id=f"boot-{self.boots}", floor=floor, started_s=self.now.monotonic_s)
        return replace(shape, boot=boot, clock=self.now, wall_kept=floor)

    def do(self, event: Event) -> None:
        before = self.station
        transition = step(before, event, self.now)
        self.witness.saw(before, event, transition, self.now)
        writes = records.writes(before, transition.station, transition.effects)
        if writes:
            self.store.commit("TEST", writes, self.now.utc)
        self.station = transition.station
        restarting = False
        for effect in transition.effects:
            if isinstance(effect, AskAuthorization):
                self.questions.append(effect.ticket)
            elif isinstance(effect, Perform):
                self.actions.append(effect.ticket)
            elif isinstance(effect, Ask):
                self.asks.append(effect.ticket)
            restarting = restarting or isinstance(effect, Restart)
        if restarting:
            self._restart(continued=True)

    def ref(self) -> RequestRef:
        self.asked += 1
        return RequestRef("csms", str(self.asked))

    # --- the hardware

    @rule(
        number=NUMBERS,
        state=st.sampled_from(ChargerState),
        plugged=st.sampled_from((None, None, True, False)),
        lock=st.sampled_from(LockState),
        operative=st.sampled_from((None, True, False)),
        permit_charging=st.sampled_from((None, True, False)),
        moved_wh=st.sampled_from((0.0, 0.0, 10.0, 150.0, -500.0, float("nan"))),
        token=st.sampled_from((None, None, None, "ALICE", "BOB", "x" * 40, "A\n")),
        quality=st.sampled_from((Quality.GOOD, Quality.GOOD, Quality.GOOD, Quality.STALE, Quality.BAD)),
        faulty=st.sampled_from((False, False, False, True)),
    )
    def look(self, number: int, moved_wh: float, faulty: bool, **seen: Any) -> None:
        wh = self.raw_wh.get(number, 0.0) + moved_wh
        if wh >= 0:
            self.raw_wh[number] = wh
        faults = (Fault(FaultCode.GROUND),) if faulty else ()
        meter = Meter(energy_wh=wh, power_w=11.0)
        self.do(ConnectorObserved(number, Observation(read_at=self.now, meter=meter, faults=faults, **seen)))

    @rule(
        number=st.integers(1, 4),
        state=st.sampled_from((ChargerState.CONNECTED, ChargerState.CONNECTED, ChargerState.AVAILABLE)),
    )
    def plug(self, number: int, state: ChargerState) -> None:
        meter = Meter(energy_wh=self.raw_wh[number])
        lock = LockState.LOCKED if self.station.running(number) else LockState.UNLOCKED
        self.do(ConnectorObserved(number, Observation(read_at=self.now, meter=meter, state=state, lock=lock)))

    @rule(number=st.integers(1, 4), token=TOKEN, group=st.sampled_from(GROUPS))
    def session(self, number: int, token: str, group: str | None) -> None:
        """A driver as in the book: plug in, show the token, the CSMS agrees, the charger delivers."""
        self.plug(number, ChargerState.CONNECTED)
        self.do(PresentToken(IdToken(token), number))
        if self.questions:
            info = IdTokenInfo(AuthorizationStatus.ACCEPTED, IdToken(group) if group else None)
            self.do(TokenAnswered(self.questions[-1], info))
        self.tick(2.0)
        self.all_looked(20.0)

    @rule(wh=st.sampled_from((1.0, 60.0, 1000.0)))
    def all_look(self, wh: float) -> None:
        self.tick(1.0)
        self.all_looked(wh)

    def all_looked(self, wh: float) -> None:
        """Every charger does as it is told."""
        for number, connector in self.station.connectors.items():
            running = self.station.running(number) is not None
            self.raw_wh[number] += wh if running else 0.0
            state = ChargerState.CHARGING if running else ChargerState.AVAILABLE
            if connector.plugged and not running:
                state = ChargerState.CONNECTED
            locked = (
                LockState.LOCKED if connector.plugged and not self.station.unlocking(number) else LockState.UNLOCKED
            )
            self.do(
                ConnectorObserved(
                    number,
                    Observation(
                        read_at=self.now,
                        state=state,
                        lock=locked,
                        operative=connector.changing if connector.changing is not None else connector.operative,
                        meter=Meter(energy_wh=self.raw_wh[number]),
                    ),
                )
            )

    @rule(number=NUMBERS, sure=SELDOM)
    def lose(self, number: int, sure: bool) -> None:
        if sure:
            self.do(ChargerLost(number, "no answer"))

    @rule(outcome=st.sampled_from(ActionOutcome), data=st.data())
    def act(self, outcome: ActionOutcome, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from([*self.actions[-4:], "unknown"]))
        self.do(ActionPerformed(ticket, outcome))

    # --- time

    @rule(seconds=st.sampled_from((0.0, 0.4, 1.0, 1.0, 5.0, 31.0, 200.0)))
    def tick(self, seconds: float) -> None:
        utc = self.now.utc + timedelta(seconds=seconds)
        self.now = replace(self.now, utc=utc, monotonic_s=self.now.monotonic_s + seconds)
        self.do(Tick())

    @rule(seconds=st.sampled_from((-100_000, -3600, -5, 5, 3600, 100_000)), trusted=st.booleans(), sure=SELDOM)
    def clock_steps(self, seconds: int, trusted: bool, sure: bool) -> None:
        if not sure:
            return
        self.now = replace(self.now, utc=self.now.utc + timedelta(seconds=seconds), synchronized=trusted)
        self.do(Tick())

    @rule(sure=SELDOM, continued=st.booleans(), off_s=st.sampled_from((1.0, 500.0)), trusted=st.booleans())
    def restart(self, sure: bool, continued: bool, off_s: float, trusted: bool) -> None:
        if not sure:
            return
        utc = self.now.utc + timedelta(seconds=off_s)
        self.now = Now(utc, self.now.monotonic_s + off_s, trusted)
        self._restart(continued=continued)

    def _restart(self, *, continued: bool) -> None:
        loaded = loading.load(self.store.load("TEST"), self._fresh())
        assert not loaded.damaged and not loaded.dropped and not loaded.forgotten, loaded.warnings
        if loaded.repairs:
            self.store.commit("TEST", loaded.repairs, self.now.utc)
        ours, theirs = _kept(self.station), _kept(loaded.station)
        differing = [f.name for f in fields(ours) if getattr(ours, f.name) != getattr(theirs, f.name)]
        both = {name: (getattr(ours, name), getattr(theirs, name)) for name in differing}
        assert not differing, f"the disk differs from memory: {both}"
        self.station = loaded.station
        self.questions.clear()
        self.actions.clear()
        self.asks.clear()
        self.witness.restarted()
        self.do(Started(continued=continued))

    # --- the line

    @rule(up=st.booleans())
    def line(self, up: bool) -> None:
        self.do(LinkUp(self.station.access.number) if up else LinkDown("cut"))
        if up and self.station.link.boot_sent:
            self.do(BootAnswered(Registration.ACCEPTED, self.now.utc, 300))

    @rule(
        status=st.sampled_from((Registration.ACCEPTED, Registration.ACCEPTED, Registration.PENDING, None)),
        interval_s=st.sampled_from((-1, 0, 10, 2**31)),
        sure=SELDOM,
    )
    def boot(self, status: Registration | None, interval_s: int, sure: bool) -> None:
        if sure:
            answer = BootAnswered(status, self.now.utc, interval_s) if status is not None else BootFailed()
            self.do(answer)

    @rule(
        status=st.sampled_from((*([AuthorizationStatus.ACCEPTED] * 4), *AuthorizationStatus, None)),
        group=st.sampled_from(GROUPS),
        data=st.data(),
    )
    def judge(self, status: AuthorizationStatus | None, group: str | None, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from([*self.questions[-3:], "unknown"]))
        info = IdTokenInfo(status, IdToken(group) if group else None) if status is not None else None
        self.do(TokenAnswered(ticket, info))

    @precondition(lambda self: self.witness.outbox)
    @rule(refused=st.booleans(), status=st.sampled_from((*AuthorizationStatus, None)))
    def deliver(self, refused: bool, status: AuthorizationStatus | None) -> None:
        seq = min(self.witness.outbox)
        record = self.witness.outbox[seq]
        if refused:
            self.do(RecordGivenUp(seq, record, "refused"))
            return
        started = isinstance(record, TransactionRecord) and record.kind is RecordKind.STARTED
        info = IdTokenInfo(status) if status is not None and isinstance(record, TransactionRecord) else None
        self.do(RecordDelivered(seq, record, seq if started else None, info))

    # --- people and commands

    @rule(token=TOKEN, connector=WHERE, asked=st.booleans())
    def show(self, token: str, connector: int | None, asked: bool) -> None:
        self.do(PresentToken(IdToken(token), connector, self.ref() if asked else None))

    @rule(
        reservation_id=st.sampled_from((1, 2, 3, None, -7)),
        place=st.sampled_from(
            (
                Target(),
                Target(connector_type="CTYPE2"),
                Target(connector_type="cCCS2"),
                Target(),
                Target(connector_type="none"),
                Target(evse=3),
                Target(evse=9),
                *(Target(connector=n) for n in (1, 2, 3, 4, 1, 2, 0, 5)),
            )
        ),
        token=TOKEN,
        group=st.sampled_from(GROUPS),
        seconds=st.sampled_from((-10, 0, 20, 900, 900, 10**8)),
    )
    def reserve(self, reservation_id: int | None, place: Target, token: str, group: str | None, seconds: int) -> None:
        self.do(
            ReserveNow(
                request=self.ref(),
                reservation_id=reservation_id,
                target=place,
                id_token=IdToken(token),
                group=IdToken(group) if group else None,
                expires_at=self.now.utc + timedelta(seconds=seconds),
            )
        )

    @rule(reservation_id=st.sampled_from((1, 2, 3, -7)))
    def cancel(self, reservation_id: int) -> None:
        self.do(CancelReservation(self.ref(), reservation_id))

    @rule(token=TOKEN, connector=WHERE, group=st.sampled_from(GROUPS), acceptable=st.booleans())
    def remote_start(self, token: str, connector: int | None, group: str | None, acceptable: bool) -> None:
        self.do(
            RequestStart(
                request=self.ref(),
                id_token=IdToken(token),
                connector=connector,
                group=IdToken(group) if group else None,
                remote_start_id=5,
                acceptable=acceptable or connector is None,
            )
        )

    @rule(connector=NUMBERS, by_id=st.booleans())
    def remote_stop(self, connector: int, by_id: bool) -> None:
        running = self.station.running(connector)
        if by_id and running is not None:
            self.do(RequestStop(request=self.ref(), transaction_id=running.id))
        elif by_id:
            self.do(RequestStop(request=self.ref(), external_ref=-1))
        else:
            self.do(RequestStop(request=self.ref(), connector=connector))

    @rule(connector=NUMBERS)
    def unlock(self, connector: int) -> None:
        self.do(UnlockConnector(self.ref(), connector))

    @rule(connector=NUMBERS, operative=st.sampled_from((True, True, True, False)))
    def change_availability(self, connector: int, operative: bool) -> None:
        self.do(ChangeAvailability(self.ref(), connector, operative))

    @rule(kind=st.sampled_from(ResetKind), sure=SELDOM)
    def reset(self, kind: ResetKind, sure: bool) -> None:
        if sure:
            self.do(ResetStation(self.ref(), kind))

    @rule(
        key=st.sampled_from((*(k.name for k in REGISTRY.values()), "Nonsense")),
        value=st.sampled_from(("0", "1", "30", "true", "false", "Voltage", "-1", "", "Energy.Active.Import.Register")),
    )
    def configure(self, key: str, value: str) -> None:
        self.do(SetConfiguration(self.ref(), key, value))

    @rule(wanted=st.sampled_from((None, *NoticeKind)), connector=WHERE)
    def trigger(self, wanted: NoticeKind | None, connector: int | None) -> None:
        self.do(TriggerMessage(self.ref(), wanted, connector))

    @rule(sure=SELDOM)
    def small_requests(self, sure: bool) -> None:
        if not sure:
            return
        self.do(GetConfiguration(self.ref(), ()))
        self.do(ClearCache(self.ref()))
        self.do(TimeTold(self.now.utc))


TestAnyLife = pytest.mark.req("16-TX-13", "16-RES-02", "16-RES-07", "16-AUTH-01", "16-MV-07", "16-BOOT-09")(
    AnyLife.TestCase
)
AnyLife.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
