"""Builders for pure tests: a station without a disk, a wire or a clock, and the moves that people and chargers make."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from edged.domain.configuration import Configuration
from edged.domain.effects import Effect, RestartScope
from edged.domain.events import (
    BootAnswered,
    ConnectorObserved,
    Event,
    LinkUp,
    PresentToken,
    Registration,
    ReserveNow,
    Started,
    Target,
    Tick,
    TokenAnswered,
)
from edged.domain.hardware import Capability, ChargerState, Measurand, Meter, Observation
from edged.domain.policy import Policy, ReservationUse, StartPoint, Trigger
from edged.domain.station import Boot, Connector, ConnectorLayout, Identity, SiteRules, Station
from edged.domain.step import step
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now, RequestRef

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
    """A station that is stepped by hand. `effects` are those of the last move, `history` all of them."""

    station: Station
    now: Now
    effects: tuple[Effect, ...] = ()
    history: list[Effect] = field(default_factory=list)
    energy_wh: dict[int, float] = field(default_factory=dict)
    requests: int = 0

    @classmethod
    def build(cls, connectors: int = 2, *, online: bool = True, seen: bool = True, **shape: Any) -> Site:
        """A site that has started; `seen`: every charger was polled once, idle; `online`: accepted by a CSMS."""
        fresh = station(connectors, **shape)
        site = cls(fresh, fresh.clock)
        site.do(Started(continued=False))
        if seen:
            for number in fresh.connectors:
                site.look(number, ChargerState.AVAILABLE)
        if online:
            site.do(LinkUp())
            site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
        return site

    def do(self, event: Event) -> tuple[Effect, ...]:
        transition = step(self.station, event, self.now)
        self.station, self.effects = transition.station, transition.effects
        self.history.extend(self.effects)
        return self.effects

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
        return self.do(TokenAnswered(next(iter(self.station.pending)), info))

    def ref(self, action: str = "", channel: str = "csms") -> RequestRef:
        self.requests += 1
        return RequestRef(channel, str(self.requests), action)

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
