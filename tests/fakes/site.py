"""Builders for pure tests: a station without a disk, a wire or a clock, and the moves that people and chargers make."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    RequestStart,
    RequestStop,
    ReserveNow,
    SetConfiguration,
    Target,
    UnlockConnector,
)
from edged.domain.configuration import Configuration
from edged.domain.effects import (
    Announce,
    AskAuthorization,
    Dequeue,
    Effect,
    Enqueue,
    Record,
    RecordKind,
    Reply,
    RestartScope,
    SecurityRecord,
    TransactionRecord,
)
from edged.domain.events import (
    BootAnswered,
    ChargerLost,
    ConnectorObserved,
    Event,
    LinkDown,
    LinkUp,
    PresentToken,
    RecordDelivered,
    Registration,
    Started,
    Tick,
    TokenAnswered,
)
from edged.domain.hardware import Capability, ChargerState, Measurand, Meter, Observation
from edged.domain.pending import PendingToken
from edged.domain.policy import Policy, ReservationUse, StartPoint, Trigger
from edged.domain.station import Boot, Connector, ConnectorLayout, Identity, SiteRules, Station
from edged.domain.status import connector_status
from edged.domain.step import step
from edged.domain.transaction import interrupted
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now, RequestRef
from edged.store import loading, records
from edged.store.memory import MemoryStore
from tests.fakes.invariants import Witness

START = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
POLICY = Policy(
    reservation_used=ReservationUse.TRANSACTION_STARTED,
    start_points=frozenset({StartPoint.POWER_PATH_CLOSED}),
    update_triggers=frozenset({Trigger.METER_VALUE_PERIODIC, Trigger.METER_VALUE_CLOCK}),
    reservation_records=False,
    csms_names_transactions=True,
)
FULL = frozenset(
    {
        Capability.WITHHOLD,
        Capability.LIMIT,
        Capability.UNLOCK,
        Capability.LOCK_SENSE,
        Capability.DETACHABLE,
        Capability.PERMIT_SENSE,
        Capability.TOKEN_READER,
    }
)
MEASURANDS = frozenset({Measurand.ENERGY, Measurand.POWER, Measurand.CURRENT, Measurand.VOLTAGE})


def layout(number: int, **changes: Any) -> ConnectorLayout:
    """A connector of its own EVSE on a charger of its own."""
    shape: dict[str, Any] = {
        "number": number,
        "evse_id": number,
        "connector_id": 1,
        "charger": f"charger-{number}",
        "connector_type": "cType2",
        "capabilities": FULL,
        "measurands": MEASURANDS,
    }
    return ConnectorLayout(**{**shape, **changes})


def station(
    connectors: int = 2,
    *,
    policy: Policy = POLICY,
    configuration: dict[str, str] | None = None,
    layouts: tuple[ConnectorLayout, ...] | None = None,
    rules: SiteRules | None = None,
    synchronized: bool = True,
) -> Station:
    """A station that nobody has seen or spoken to yet."""
    shapes = layouts or tuple(layout(number) for number in range(1, connectors + 1))
    now = Now(START, 1000.0, synchronized)
    return Station(
        identity=Identity(id="TEST", vendor="Example Energy", model="Depot 3"),
        policy=policy,
        rules=rules or SiteRules(hard_reset=RestartScope.SERVICE),
        boot=Boot(id="boot-1", floor=START, started_s=1000.0),
        configuration=Configuration(
            changed={},
            site=configuration or {},
            computed={"NumberOfConnectors": str(len(shapes)), "UnlockConnectorOnEVSideDisconnect": "true"},
        ),
        connectors={s.number: Connector(layout=s, capabilities=s.capabilities) for s in shapes},
        wall_kept=START,
        clock=now,
    )


@dataclass
class Site:
    """A station that is stepped by hand. `effects` are those of the last move, `history` all of them.

    Every step is judged by the invariants and kept on a disk in memory, from which `restart` comes back.
    """

    station: Station
    now: Now
    effects: tuple[Effect, ...] = ()
    history: list[Effect] = field(default_factory=list)
    energy_wh: dict[int, float] = field(default_factory=dict)
    requests: int = 0
    outbox: dict[int, Record] = field(default_factory=dict)
    witness: Witness = field(default_factory=Witness)
    disk: MemoryStore = field(default_factory=MemoryStore)
    fresh: Station | None = None

    @classmethod
    def build(cls, connectors: int = 2, *, online: bool = True, seen: bool = True, **shape: Any) -> Site:
        """A site that has started; `seen`: every charger was polled once, idle; `online`: accepted by a CSMS."""
        fresh = station(connectors, **shape)
        site = cls(fresh, fresh.clock, fresh=fresh)
        site.do(Started(continued=False))
        site.tell_security_events()
        if seen:
            for number in fresh.connectors:
                site.look(number, ChargerState.AVAILABLE)
        if online:
            site.do(LinkUp())
            site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
        return site

    def do(self, event: Event) -> tuple[Effect, ...]:
        transition = step(self.station, event, self.now)
        self.witness.saw(self.station, event, transition, self.now)
        writes = records.writes(self.station, transition.station, transition.effects)
        self.disk.commit(self.station.identity.id, writes, self.now.utc)
        self.station, self.effects = transition.station, transition.effects
        self.history.extend(self.effects)
        for effect in self.effects:
            if isinstance(effect, Enqueue):
                self.outbox[effect.seq] = effect.record
            elif isinstance(effect, Dequeue):
                del self.outbox[effect.seq]
        return self.effects

    def restart(
        self, *, continued: bool = False, off_s: float = 5.0, synchronized: bool = True, found: bool = True
    ) -> tuple[Effect, ...]:
        """The daemon is gone for a while and comes back from its disk; without `continued` the power was gone as well.

        Without `synchronized` the clock comes back at the last time that the disk has seen. `found`: a charger whose
        transaction the power has ended is looked at, and tells its register.
        """
        assert self.fresh is not None
        self.advance(off_s)
        floor = self.disk.last_wall() or START
        utc = self.now.utc if synchronized else floor
        self.now = Now(utc, self.now.monotonic_s, synchronized)
        boot = Boot(id=f"{self.station.boot.id}+", floor=floor, started_s=self.now.monotonic_s)
        shape = replace(self.fresh, boot=boot, clock=self.now, wall_kept=floor)
        loaded = loading.load(self.disk.load(self.station.identity.id), shape)
        assert not loaded.damaged, loaded.warnings
        self.disk.commit(self.station.identity.id, loaded.repairs, self.now.utc)
        self.witness.restarted()
        self.station = loaded.station
        effects = self.do(Started(continued=continued))
        for transaction in tuple(self.station.transactions.values()) if found else ():
            if transaction.active and interrupted(transaction):
                there = ChargerState.CONNECTED if transaction.connected else ChargerState.AVAILABLE
                effects += self.look(transaction.connector, there)
        self.effects = effects
        self.tell_security_events()
        return self.effects

    def tell_security_events(self) -> None:
        """The CSMS takes those that wait: every start brings one, and few tests are about them. `effects` stay."""
        effects = self.effects
        for seq, record in tuple(self.outbox.items()):
            if isinstance(record, SecurityRecord):
                self.do(RecordDelivered(seq, record))
        self.effects = effects

    def wait(self, seconds: float, *, looks: bool = True) -> list[Effect]:
        """Let time pass, a tick each second, the chargers polled with what they last said."""
        seen: list[Effect] = []
        whole = int(seconds)
        for _ in range(whole):
            self.advance(1.0)
            if looks:
                for number, connector in self.station.connectors.items():
                    if connector.online:
                        seen += self.look(number, connector.state)
            seen += self.do(Tick())
        return seen

    def advance(self, seconds: float) -> None:
        self.now = replace(
            self.now, utc=self.now.utc + timedelta(seconds=seconds), monotonic_s=self.now.monotonic_s + seconds
        )

    def look(self, number: int, state: ChargerState, **changes: Any) -> tuple[Effect, ...]:
        """One poll of a charger."""
        energy_wh = self.energy_wh.setdefault(number, 1000.0)
        seen: dict[str, Any] = {"read_at": self.now, "state": state, "meter": Meter(energy_wh=energy_wh, power_w=0.0)}
        return self.do(ConnectorObserved(number, Observation(**{**seen, **changes})))

    def plug(self, number: int) -> tuple[Effect, ...]:
        return self.look(number, ChargerState.CONNECTED)

    def unplug(self, number: int) -> tuple[Effect, ...]:
        return self.look(number, ChargerState.AVAILABLE)

    def charge(self, number: int) -> tuple[Effect, ...]:
        return self.look(number, ChargerState.CHARGING)

    def show(self, token: str, connector: int | None = None) -> tuple[Effect, ...]:
        return self.do(PresentToken(IdToken(token), connector, self.ref("present_token", "mqtt:bms")))

    def accept(self, group: str | None = None) -> tuple[Effect, ...]:
        """The CSMS accepts the token that it was asked about last."""
        info = IdTokenInfo(AuthorizationStatus.ACCEPTED, IdToken(group) if group else None)
        return self.do(TokenAnswered(self.question(), info))

    def refuse(self, status: AuthorizationStatus | None = AuthorizationStatus.INVALID) -> tuple[Effect, ...]:
        """The CSMS refuses the token that it was asked about; None: it does not answer."""
        return self.do(TokenAnswered(self.question(), IdTokenInfo(status) if status is not None else None))

    def question(self) -> str:
        """The ticket of the token that the CSMS is being asked about."""
        return next(p.ticket for p in self.station.pending.values() if isinstance(p, PendingToken))

    def start(self, number: int, token: str = "ALICE", *, group: str | None = None) -> None:
        """A whole start as in the book: plug, token, the CSMS accepts, the charger delivers."""
        self.plug(number)
        self.show(token, number)
        if any(isinstance(effect, AskAuthorization) for effect in self.effects):
            self.accept(group)
        self.charge(number)

    def deliver(self, external_ref: int | None = 77, status: AuthorizationStatus | None = None) -> tuple[Effect, ...]:
        """The CSMS takes the oldest record."""
        self.tell_security_events()
        seq = min(self.outbox)
        record = self.outbox[seq]
        started = isinstance(record, TransactionRecord) and record.kind is RecordKind.STARTED
        info = IdTokenInfo(status) if status is not None else None
        return self.do(RecordDelivered(seq, record, external_ref if started else None, info))

    def offline(self) -> tuple[Effect, ...]:
        return self.do(LinkDown("cut"))

    def lose(self, number: int) -> tuple[Effect, ...]:
        return self.do(ChargerLost(number, "no answer"))

    def trust(self, utc: datetime | None = None) -> tuple[Effect, ...]:
        """The time becomes known."""
        self.now = Now(utc or self.now.utc, self.now.monotonic_s, True)
        return self.do(Tick())

    def ref(self, action: str = "", channel: str = "csms") -> RequestRef:
        self.requests += 1
        return RequestRef(channel, str(self.requests), action)

    def remote_start(self, token: str, connector: int | None = None, **more: Any) -> Any:
        """The answer to a remote start."""
        request = self.ref("RemoteStartTransaction")
        self.do(RequestStart(request=request, id_token=IdToken(token), connector=connector, **more))
        return self.reply().status

    def remote_stop(self, external_ref: int) -> Any:
        self.do(RequestStop(request=self.ref("RemoteStopTransaction"), external_ref=external_ref))
        return self.reply().status

    def cancel(self, reservation_id: int) -> Any:
        self.do(CancelReservation(self.ref("CancelReservation"), reservation_id))
        return self.reply().status

    def available(self, number: int, operative: bool) -> tuple[Effect, ...]:
        return self.do(ChangeAvailability(self.ref("ChangeAvailability"), number, operative))

    def unlock(self, number: int) -> tuple[Effect, ...]:
        return self.do(UnlockConnector(self.ref("UnlockConnector"), number))

    def set(self, key: str, value: str) -> Any:
        self.do(SetConfiguration(self.ref("ChangeConfiguration"), key, value))
        return self.reply().status

    # --- what can be seen

    def reply(self) -> Reply:
        """The newest answer to anybody."""
        newest: Reply = self.last(Reply)
        return newest

    def of(self, kind: type[Any]) -> list[Any]:
        """The effects of a kind among those of the last move."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def told(self) -> list[str]:
        """What was announced by the last move."""
        return [effect.kind for effect in self.of(Announce)]

    def records(self, kind: RecordKind | None = None) -> list[TransactionRecord]:
        """Every transaction record so far, delivered or not."""
        every = [e.record for e in self.history if isinstance(e, Enqueue)]
        return [r for r in every if isinstance(r, TransactionRecord) and kind in (None, r.kind)]

    def status(self, number: int) -> str:
        return connector_status(self.station, number)

    def connector(self, number: int) -> Connector:
        return self.station.connectors[number]

    def reserve(
        self, reservation_id: int, token: str, connector: int = 0, *, minutes: float = 10, group: str | None = None
    ) -> tuple[Effect, ...]:
        return self.do(
            ReserveNow(
                request=self.ref("ReserveNow"),
                reservation_id=reservation_id,
                target=Target(connector=connector) if connector else Target(),
                id_token=IdToken(token),
                group=IdToken(group) if group else None,
                expires_at=self.now.utc + timedelta(minutes=minutes),
            )
        )

    def last(self, kind: type[Any]) -> Any:
        """The newest effect of a kind in the history."""
        return next(effect for effect in reversed(self.history) if isinstance(effect, kind))
