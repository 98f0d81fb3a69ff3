"""The rules of a random life that came with 2.x: places by EVSE, start and stop points, variables, monitors, messages,
network profiles, the site's own limits, reports, and another version at the next line.

A mixin for `tests/domain/test_step.py`.
"""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from edged.dialects.v16 import Ocpp16
from edged.dialects.v201 import Ocpp201
from edged.domain.charging import LimitSource, ProfilePurpose
from edged.domain.charging_commands import GetChargingProfiles, SetLocalLimit
from edged.domain.commands import (
    ChangeAvailability,
    ClearDisplayMessage,
    GetDisplayMessages,
    GetTransactionStatus,
    RequestStart,
    RequestStop,
    ReserveNow,
    ResetKind,
    ResetStation,
    SetConfiguration,
    SetDisplayMessage,
    SetNetworkProfile,
    Target,
    TellCost,
    TellCustomer,
    TriggerMessage,
    UnlockConnector,
)
from edged.domain.credentials import NetworkProfile
from edged.domain.displays import DisplayMessage, MessagePriority, MessageState
from edged.domain.effects import NoticeKind
from edged.domain.events import (
    BootAnswered,
    Event,
    LinkDown,
    LinkUp,
    PageTaken,
    QuestionAnswered,
    Registration,
    VersionAgreed,
)
from edged.domain.monitors import (
    ClearMonitors,
    GetMonitoringReport,
    MonitoringBase,
    MonitoringCriterion,
    MonitorKind,
    MonitorOrder,
    SetMonitoringBase,
    SetMonitoringLevel,
    SetMonitors,
)
from edged.domain.station import ConnectorLayout, Station
from edged.domain.types import IdToken, Now, PersonalMessage, RequestRef
from edged.domain.variables import (
    Attribute,
    Component,
    GetBaseReport,
    GetReport,
    GetVariables,
    ReportBase,
    SetVariables,
    Variable,
    VariableChange,
    VariableFilter,
    VariableQuery,
)
from edged.ocpp.dialect import Dialect, computed_for

VERSIONS: tuple[Dialect, ...] = (Ocpp16(), Ocpp201())
SELDOM = st.sampled_from((False,) * 5 + (True,))
EVSES = st.sampled_from((1, 2, 3, 1, 2, 3, 0, 9))
GROUP = st.sampled_from((None, "FLEET", "POOL"))
TOKEN = st.sampled_from(("ALICE", "BOB", "CARLA"))
START_POINTS = ("Authorized", "EVConnected", "PowerPathClosed")
STOP_POINTS = (*START_POINTS, "EnergyTransfer")
VARIABLES = st.sampled_from(
    (
        (Component("EVSE", evse=1), Variable("AvailabilityState")),
        (Component("EVSE", evse=3), Variable("Power")),
        (Component("Connector", evse=2, connector=1), Variable("Problem")),
        (Component("ChargingStation"), Variable("Problem")),
        (Component("TxCtrlr"), Variable("EVConnectionTimeOut")),
        (Component("Nothing"), Variable("AvailabilityState")),
        (Component("EVSE", evse=9), Variable("AvailabilityState")),
    )
)


def _points(words: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True).map(",".join)


class AnyDevice:
    """What the machine has: `do`, `ref`, `station`, `now`, `agreed`."""

    station: Station
    now: Now
    asks: list[str]
    agreed: Dialect
    layouts: tuple[ConnectorLayout, ...]

    def do(self, event: Event) -> None:
        raise NotImplementedError

    def ref(self) -> RequestRef:
        raise NotImplementedError

    # --- versions

    @rule(version=st.sampled_from(VERSIONS), sure=SELDOM)
    def agree(self, version: Dialect, sure: bool) -> None:
        """The line comes back, and the CSMS speaks another version."""
        if not sure:
            return
        self.do(LinkDown("moved"))
        if version is not self.agreed:
            self.agreed = version
            self.do(VersionAgreed(version.policy, computed_for(version, self.layouts)))
        self.do(LinkUp(self.station.access.number))
        if self.station.link.boot_sent:
            self.do(BootAnswered(Registration.ACCEPTED, self.now.utc, 300))

    # --- points

    @rule(start=_points(START_POINTS), stop=_points(STOP_POINTS))
    def points(self, start: str, stop: str) -> None:
        self.do(SetConfiguration(self.ref(), "TxStartPoint", start))
        self.do(SetConfiguration(self.ref(), "TxStopPoint", stop))

    # --- places by EVSE

    @rule(
        reservation_id=st.sampled_from((1, 2, 3)),
        place=st.sampled_from(
            (Target(evse=1), Target(evse=3), Target(evse=3, connector_type="cCCS2"), Target(connector_type="cCCS2"))
        ),
        token=TOKEN,
        group=GROUP,
    )
    def reserve_evse(self, reservation_id: int, place: Target, token: str, group: str | None) -> None:
        self.do(
            ReserveNow(
                request=self.ref(),
                reservation_id=reservation_id,
                target=place,
                id_token=IdToken(token, "ISO14443"),
                group=IdToken(group) if group else None,
                expires_at=self.now.utc + timedelta(seconds=400),
            )
        )

    @rule(
        token=TOKEN,
        kind=st.sampled_from(("ISO14443", "Central", "NoAuthorization")),
        evse=st.sampled_from((None, 1, 2, 3, 9)),
        group=GROUP,
    )
    def start_at_evse(self, token: str, kind: str, evse: int | None, group: str | None) -> None:
        told = IdToken(group) if group else None
        named = IdToken(token, kind)
        self.do(
            RequestStart(request=self.ref(), id_token=named, evse=evse, group=told, group_told=True, remote_start_id=7)
        )

    @rule(data=st.data())
    def stop_by_id(self, data: st.DataObject) -> None:
        ids = [*self.station.transactions, "no such"]
        self.do(GetTransactionStatus(self.ref(), data.draw(st.sampled_from([*ids, None]))))
        self.do(RequestStop(request=self.ref(), transaction_id=data.draw(st.sampled_from(ids))))

    @rule(evse=EVSES, connector=st.sampled_from((1, 2, 1, 5)))
    def unlock_at_evse(self, evse: int, connector: int) -> None:
        self.do(UnlockConnector(self.ref(), evse=evse, connector_id=connector, ends_transaction=False))

    @rule(evse=EVSES, connector=st.sampled_from((None, None, 1, 2)), operative=st.sampled_from((True, True, False)))
    def change_availability_at_evse(self, evse: int, connector: int | None, operative: bool) -> None:
        self.do(ChangeAvailability(self.ref(), None, operative, evse=evse, connector_id=connector))

    @rule(kind=st.sampled_from((ResetKind.ON_IDLE, ResetKind.HARD)), evse=EVSES, sure=SELDOM, whole=SELDOM)
    def reset_evse(self, kind: ResetKind, evse: int, sure: bool, whole: bool) -> None:
        if sure:
            self.do(ResetStation(self.ref(), kind, evse=None if whole else evse))

    @rule(
        wanted=st.sampled_from(NoticeKind),
        evse=st.sampled_from((None, 1, 3, 0, 9)),
        connector=st.sampled_from((None, 1)),
    )
    def trigger_at_evse(self, wanted: NoticeKind, evse: int | None, connector: int | None) -> None:
        self.do(TriggerMessage(self.ref(), wanted, evse=evse, connector_id=connector))

    @rule(group=st.sampled_from(("", "POOL", "FLEET")), sure=SELDOM)
    def master_pass(self, group: str, sure: bool) -> None:
        if sure:
            self.do(SetConfiguration(self.ref(), "MasterPassGroupId", group))

    # --- the device model

    @rule(name=VARIABLES, attribute=st.sampled_from((None, *Attribute)), value=st.sampled_from(("20", "true", "")))
    def variables(self, name: tuple[Component, Variable], attribute: Attribute | None, value: str) -> None:
        self.do(GetVariables(self.ref(), (VariableQuery(*name, attribute),) * 2))
        self.do(SetVariables(self.ref(), (VariableChange(*name, value, attribute),)))

    @rule(base=st.sampled_from(ReportBase), name=VARIABLES, sure=SELDOM)
    def reports(self, base: ReportBase, name: tuple[Component, Variable], sure: bool) -> None:
        if sure:
            self.do(GetBaseReport(self.ref(), 1, base))
        self.do(GetReport(request=self.ref(), request_id=2, wanted=(VariableFilter(*name),)))
        self.do(GetMonitoringReport(request=self.ref(), request_id=3, criteria=frozenset(MonitoringCriterion)))

    @rule(refused=st.sampled_from(("", "", "InternalError")), taken=st.booleans())
    def turn_page(self, refused: str, taken: bool) -> None:
        if self.asks:
            self.do(QuestionAnswered(self.asks[-1], PageTaken() if taken else None, "" if taken else refused))

    # --- monitors

    @rule(
        name=VARIABLES,
        kind=st.sampled_from(MonitorKind),
        value=st.sampled_from((0.0, 1.0, 11.0, -5.0, 3600.0)),
        severity=st.sampled_from((0, 5, 9)),
        number=st.sampled_from((None, None, 10_001, 1, 1001)),
        transaction=st.booleans(),
    )
    def set_monitor(
        self,
        name: tuple[Component, Variable],
        kind: MonitorKind,
        value: float,
        severity: int,
        number: int | None,
        transaction: bool,
    ) -> None:
        component, variable = name
        order = MonitorOrder(
            id=number,
            component=component,
            variable=variable,
            kind=kind,
            value=value,
            severity=severity,
            transaction=transaction,
        )
        self.do(SetMonitors(self.ref(), (order,)))

    @rule(data=st.data(), base=st.sampled_from(MonitoringBase), level=st.sampled_from((0, 5, 9, 9, 10)), sure=SELDOM)
    def change_monitors(self, data: st.DataObject, base: MonitoringBase, level: int, sure: bool) -> None:
        number = data.draw(st.sampled_from([*self.station.monitors, 77]))
        self.do(ClearMonitors(self.ref(), (number,)))
        if sure:
            self.do(SetMonitoringBase(self.ref(), base))
            self.do(SetMonitoringLevel(self.ref(), level))

    # --- messages, costs, customers

    @rule(
        number=st.integers(1, 4),
        priority=st.sampled_from(MessagePriority),
        state=st.sampled_from((None, *MessageState)),
        ends_s=st.sampled_from((None, -5, 30)),
        text=st.sampled_from(("ASCII", "HTML")),
        data=st.data(),
    )
    def show_message(
        self,
        number: int,
        priority: MessagePriority,
        state: MessageState | None,
        ends_s: int | None,
        text: str,
        data: st.DataObject,
    ) -> None:
        message = DisplayMessage(
            id=number,
            priority=priority,
            content=PersonalMessage("hello", text),
            state=state,
            ends_at=None if ends_s is None else self.now.utc + timedelta(seconds=ends_s),
            transaction_id=data.draw(st.sampled_from([None, None, *self.station.transactions, "no such"])),
        )
        self.do(SetDisplayMessage(self.ref(), message))
        self.do(GetDisplayMessages(request=self.ref(), request_id=4, priority=priority))

    @rule(number=st.integers(1, 5), data=st.data())
    def take_message(self, number: int, data: st.DataObject) -> None:
        self.do(ClearDisplayMessage(self.ref(), number))
        self.do(TellCost(self.ref(), data.draw(st.sampled_from([*self.station.transactions, "no such"])), 3.5))

    @rule(token=TOKEN, report=st.booleans(), clear=st.booleans())
    def tell_customer(self, token: str, report: bool, clear: bool) -> None:
        self.do(TellCustomer(request=self.ref(), request_id=5, report=report, clear=clear, id_token=IdToken(token)))

    # --- ways and limits

    @rule(
        slot=st.sampled_from((1, 2, 3, 4)),
        profile=st.sampled_from((0, 1, 1, 2, 3)),
        url=st.sampled_from(("ws://other", "wss://other/ocpp", "odd")),
        priority=st.sampled_from((None, "1,2", "2,1", "3,2,1", "2")),
    )
    def set_network(self, slot: int, profile: int, url: str, priority: str | None) -> None:
        told = NetworkProfile(slot=slot, url=url, security_profile=profile, message_timeout_s=20)
        self.do(SetNetworkProfile(request=self.ref(), slot=slot, profile=told))
        if priority is not None:
            self.do(SetConfiguration(self.ref(), "NetworkConfigurationPriority", priority))

    @rule(evse=EVSES, limit_ma=st.sampled_from((None, 0, 5000, 10_000, 20_000)))
    def limit_here(self, evse: int, limit_ma: int | None) -> None:
        self.do(SetLocalLimit(request=self.ref(), evse=evse, limit_ma=limit_ma))

    @rule(
        evse=st.sampled_from((None, 0, 1, 9)),
        purpose=st.sampled_from((None, *ProfilePurpose)),
        sources=st.sampled_from(((), (LimitSource.CSO,), (LimitSource.EMS,))),
    )
    def report_profiles(
        self, evse: int | None, purpose: ProfilePurpose | None, sources: tuple[LimitSource, ...]
    ) -> None:
        event = GetChargingProfiles(request=self.ref(), request_id=6, evse=evse, purpose=purpose, sources=sources)
        self.do(event)


__all__ = ["VERSIONS", "AnyDevice"]
