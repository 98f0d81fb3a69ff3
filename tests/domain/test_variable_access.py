"""Reading, writing and reporting variables."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain import reporting
from edged.domain.answers import Reason
from edged.domain.configuration import ConfigurationStatus, Mutability
from edged.domain.device_model import inventory, mutability
from edged.domain.device_model_facts import ITEMS_PER_MESSAGE
from edged.domain.device_model_terms import Entry
from edged.domain.effects import Announce, Ask, Reply, ReportPage
from edged.domain.events import PageTaken, QuestionAnswered
from edged.domain.hardware import ChargerState, Fault, FaultCode
from edged.domain.station import SiteRules
from edged.domain.types import SecretText
from edged.domain.variable_access import fits
from edged.domain.variables import (
    Attribute,
    Component,
    Criterion,
    GetBaseReport,
    GetReport,
    GetVariables,
    InventoryStatus,
    ReportBase,
    SetVariables,
    Variable,
    VariableChange,
    VariableFilter,
    VariableQuery,
    VariableResult,
    VariableStatus,
)
from tests.fakes.site import Site

ACCEPTED, REJECTED = VariableStatus.ACCEPTED, VariableStatus.REJECTED
TIMEOUT = (Component("TxCtrlr"), Variable("EVConnectionTimeOut"))
PASSWORD = (Component("SecurityCtrlr"), Variable("BasicAuthPassword"))


def results(site: Site) -> tuple[VariableResult, ...]:
    (reply,) = site.of(Reply)
    assert isinstance(reply.data, tuple)
    return reply.data


def get(site: Site, *queries: VariableQuery) -> tuple[VariableResult, ...]:
    site.do(GetVariables(site.ref("GetVariables"), queries))
    return results(site)


def put(site: Site, *changes: VariableChange) -> tuple[VariableResult, ...]:
    site.do(SetVariables(site.ref("SetVariables"), changes))
    return results(site)


def put_one(site: Site, component: str, variable: str, value: str, instance: str | None = None) -> VariableResult:
    (result,) = put(site, VariableChange(Component(component), Variable(variable, instance), value))
    return result


# --- reading


@pytest.mark.req("B06.FR.01", "B06.FR.02", "B06.FR.03", "B06.FR.04", "B06.FR.10", "B06.FR.11", "TC_B_07_CS")
def test_each_query_has_its_result_in_order_with_the_names_that_were_asked() -> None:
    site = Site.build(1)
    odd = (Component("txctrlr"), Variable("EVCONNECTIONTIMEOUT"))
    first, second, third = get(
        site, VariableQuery(*odd), VariableQuery(*PASSWORD), VariableQuery(*TIMEOUT, Attribute.ACTUAL)
    )
    assert (first.component, first.variable) == odd
    assert (first.attribute, first.status, first.value) == (Attribute.ACTUAL, ACCEPTED, "60")
    assert (second.status, second.value, second.reason) == (REJECTED, None, Reason.WRITE_ONLY)
    assert (third.component, third.value) == (TIMEOUT[0], "60")


@pytest.mark.req("B06.FR.06", "B06.FR.07", "B06.FR.08", "TC_B_32_CS", "TC_B_33_CS", "TC_B_34_CS")
def test_what_is_not_there_has_a_status_of_its_own_and_no_value() -> None:
    asked = (
        VariableQuery(Component("Nonsense"), Variable("Enabled")),
        VariableQuery(TIMEOUT[0], Variable("Nonsense")),
        VariableQuery(*TIMEOUT, Attribute.TARGET),
        VariableQuery(Component("Nonsense"), Variable("Enabled"), Attribute.MAX_SET),
    )
    found = get(Site.build(1), *asked)
    assert [result.status for result in found] == [
        VariableStatus.UNKNOWN_COMPONENT,
        VariableStatus.UNKNOWN_VARIABLE,
        VariableStatus.NOT_SUPPORTED_ATTRIBUTE,
        VariableStatus.UNKNOWN_COMPONENT,
    ]
    assert [result.attribute for result in found] == [
        Attribute.ACTUAL,
        Attribute.ACTUAL,
        Attribute.TARGET,
        Attribute.MAX_SET,
    ]
    assert all(result.value is None for result in found)


@pytest.mark.req("B06.FR.13")
def test_what_has_no_value_yet_is_empty() -> None:
    (result,) = get(Site.build(1), VariableQuery(Component("SecurityCtrlr"), Variable("OrganizationName")))
    assert (result.status, result.value) == (ACCEPTED, "")


@pytest.mark.req("B06.FR.16")
def test_more_items_than_a_request_may_have_are_answered_with_none() -> None:
    site = Site.build(1)
    site.do(GetVariables(site.ref("GetVariables"), (VariableQuery(*TIMEOUT),) * 101))
    assert site.reply().data is None and site.reply().reason == Reason.TOO_MANY_ELEMENTS
    site.do(SetVariables(site.ref("SetVariables"), (VariableChange(*TIMEOUT, "9"),) * (ITEMS_PER_MESSAGE + 1)))
    assert site.reply().data is None
    assert site.station.configuration.text("ConnectionTimeOut") == "60"
    assert len(get(site, *(VariableQuery(*TIMEOUT),) * 100)) == 100


# --- writing


@pytest.mark.req("B05.FR.01", "B05.FR.02", "B05.FR.03", "B05.FR.10", "B05.FR.12", "TC_B_10_CS")
def test_each_change_stands_for_itself_and_all_are_kept_together() -> None:
    site = Site.build(1)
    found = put(
        site,
        VariableChange(*TIMEOUT, "11"),
        VariableChange(*TIMEOUT, "many"),
        VariableChange(Component("AuthCtrlr"), Variable("LocalPreAuthorize"), "TRUE", Attribute.ACTUAL),
        VariableChange(Component("Nonsense"), Variable("Nonsense"), "1"),
    )
    assert [result.status for result in found] == [ACCEPTED, REJECTED, ACCEPTED, VariableStatus.UNKNOWN_COMPONENT]
    assert {result.attribute for result in found} == {Attribute.ACTUAL}
    told = {one.data["key"]: one.data["value"] for one in site.of(Announce)}
    assert told == {"ConnectionTimeOut": "11", "LocalPreAuthorize": "true"}
    site.restart()
    assert site.station.configuration.text("ConnectionTimeOut") == "11"
    assert site.station.configuration.flag("LocalPreAuthorize")


@pytest.mark.req("B05.FR.04", "B05.FR.05", "B05.FR.06", "TC_B_35_CS", "TC_B_36_CS", "TC_B_37_CS")
def test_what_is_not_there_cannot_be_changed() -> None:
    found = put(
        Site.build(1),
        VariableChange(Component("Nonsense"), Variable("Enabled"), "1"),
        VariableChange(TIMEOUT[0], Variable("Nonsense"), "1"),
        VariableChange(*TIMEOUT, "1", Attribute.MIN_SET),
    )
    assert [result.status for result in found] == [
        VariableStatus.UNKNOWN_COMPONENT,
        VariableStatus.UNKNOWN_VARIABLE,
        VariableStatus.NOT_SUPPORTED_ATTRIBUTE,
    ]


@pytest.mark.req("B05.FR.07", "B05.FR.08", "TC_B_11_CS")
@pytest.mark.parametrize(
    ("component", "variable", "value", "reason"),
    [
        ("TxCtrlr", "EVConnectionTimeOut", "soon", Reason.INVALID_VALUE),
        ("TxCtrlr", "EVConnectionTimeOut", "1.5", Reason.INVALID_VALUE),
        ("TxCtrlr", "EVConnectionTimeOut", "-1", Reason.VALUE_TOO_LOW),
        ("TxCtrlr", "EVConnectionTimeOut", "86401", Reason.VALUE_TOO_HIGH),
        ("OCPPCommCtrlr", "HeartbeatInterval", "0", Reason.VALUE_TOO_LOW),
        ("AuthCtrlr", "LocalPreAuthorize", "yes", Reason.INVALID_VALUE),
        ("TxCtrlr", "TxStartPoint", "ParkingBayOccupancy", Reason.INVALID_VALUE),
        ("ClockCtrlr", "TimeSource", "GPS", Reason.INVALID_VALUE),
        ("ClockCtrlr", "TimeSource", "", Reason.INVALID_VALUE),
        ("SecurityCtrlr", "OrganizationName", "x" * 65, Reason.VALUE_OUT_OF_RANGE),
        ("SampledDataCtrlr", "TxUpdatedMeasurands", "Frequency", Reason.INVALID_VALUE),
    ],
)
def test_a_value_that_cannot_be_is_rejected_with_the_reason(
    component: str, variable: str, value: str, reason: Reason
) -> None:
    site = Site.build(1)
    before = site.station.configuration
    result = put_one(site, component, variable, value)
    assert (result.status, result.reason) == (REJECTED, reason)
    assert result.detail
    assert site.station.configuration == before


@pytest.mark.req("B05.FR.09", "TC_B_39_CS")
def test_what_is_read_only_is_not_changed() -> None:
    site = Site.build(1)
    fixed = [one for one in inventory(site.station) if mutability(site.station, one) is Mutability.READ_ONLY]
    assert len(fixed) > 20
    for one in fixed:
        (result,) = put(site, VariableChange(one.component, one.variable, "1"))
        assert (result.status, result.reason) == (REJECTED, Reason.READ_ONLY), one.definition.name


def test_what_can_be_written_takes_the_value_that_it_has() -> None:
    site = Site.build(2, configuration={"CpoName": "Example"})
    for one in inventory(site.station):
        if mutability(site.station, one) is Mutability.READ_WRITE:
            (before,) = get(site, VariableQuery(one.component, one.variable))
            assert before.value is not None
            (result,) = put(site, VariableChange(one.component, one.variable, before.value))
            assert result.status in (ACCEPTED, VariableStatus.REBOOT_REQUIRED), (one.definition.name, result)


@pytest.mark.req("A01.FR.01", "A01.FR.02", "A01.FR.12", "A00.FR.205")
@pytest.mark.parametrize("good", ["sixteen-chars-ok", "A" * 40, "*-_=:+|@.abcdefgh"])
def test_a_password_is_taken_kept_and_told_to_nobody(good: str) -> None:
    site = Site.build(1, rules=SiteRules(has_password=True, security_profile=1))
    (result,) = put(site, VariableChange(*PASSWORD, good))
    assert result.status is ACCEPTED
    assert good not in repr(site.effects)
    way = site.station.access.way.password
    assert way is not None and way.value == good
    assert good not in repr(SetVariables(site.ref("SetVariables"), (VariableChange(*PASSWORD, good),)))


@pytest.mark.req("A01.FR.11", "A01.FR.12")
@pytest.mark.parametrize(
    "bad",
    [
        "fifteen-chars-x",
        "A" * 41,
        "with spaces in between",
        "sixteen-chars-ok-%",
        "sixteen chars %",
        "sixteen-chars-ok\n",
        "é" * 16,
    ],
)
def test_what_cannot_be_a_password_is_rejected_and_not_repeated(bad: str) -> None:
    site = Site.build(1, rules=SiteRules(has_password=True, security_profile=1))
    (result,) = put(site, VariableChange(*PASSWORD, bad))
    assert (result.status, result.reason) == (REJECTED, Reason.INVALID_VALUE)
    assert bad not in repr(site.effects)
    assert site.station.access.way.password is None


def test_the_same_key_may_be_changed_twice_and_the_last_word_counts() -> None:
    site = Site.build(1)
    put(site, VariableChange(*TIMEOUT, "11"), VariableChange(*TIMEOUT, "12"))
    assert site.station.configuration.text("ConnectionTimeOut") == "12"
    assert site.set("ConnectionTimeOut", "13") is ConfigurationStatus.ACCEPTED
    (result,) = get(site, VariableQuery(*TIMEOUT))
    assert result.value == "13"


WRITABLE = [
    (one.component, one.variable)
    for one in inventory(Site.build(2).station)
    if mutability(Site.build(2).station, one) is not Mutability.READ_ONLY
]


@given(st.sampled_from(WRITABLE), st.text(max_size=1000) | st.from_regex(r"-?[0-9.eE+,]{0,30}", fullmatch=True))
@settings(deadline=None)
def test_whatever_is_written_is_refused_with_a_reason_or_taken_and_may_be_written_again(
    where: tuple[Component, Variable], text: str
) -> None:
    site = Site.build(2)
    before = site.station.configuration
    (result,) = put(site, VariableChange(*where, text))
    if result.status is REJECTED:
        assert result.reason and site.station.configuration == before
        return
    assert result.status is ACCEPTED
    (read,) = get(site, VariableQuery(*where))
    if read.status is ACCEPTED:
        assert read.value is not None
        (again,) = put(site, VariableChange(*where, read.value))
        assert again.status is ACCEPTED
        assert get(site, VariableQuery(*where))[0].value == read.value
    site.restart()
    assert site.station.configuration.changed.keys() >= before.changed.keys()


# --- switches that switch


@pytest.mark.req("H01.FR.01")
def test_reservations_can_be_switched_off_and_on_and_are_not_lost_by_it() -> None:
    site = Site.build(1)
    site.reserve(1, "ALICE", connector=1)
    assert put_one(site, "ReservationCtrlr", "Enabled", "false").status is ACCEPTED
    assert site.status(1) == "Available" and 1 in site.station.reservations
    site.reserve(2, "BOB", connector=1)
    assert site.reply().status == "Rejected"
    put_one(site, "ReservationCtrlr", "Enabled", "true")
    assert site.status(1) == "Reserved"


# --- reports


def pages(site: Site, *, taken: bool = True) -> list[ReportPage]:
    """All pages of the report that was asked for last, each taken by the CSMS."""
    found: list[ReportPage] = []
    asks = site.of(Ask)
    while asks:
        (ask,) = asks
        assert isinstance(ask.question, ReportPage)
        found.append(ask.question)
        site.do(QuestionAnswered(ask.ticket, PageTaken() if taken else None))
        asks = site.of(Ask)
    return found


def base(site: Site, which: ReportBase) -> list[Entry]:
    site.do(GetBaseReport(site.ref("GetBaseReport"), 7, which))
    assert site.reply().status is InventoryStatus.ACCEPTED
    return [one for page in pages(site) for one in page.items]


def report(site: Site, *wanted: VariableFilter, criteria: Iterable[Criterion] = ()) -> list[Entry]:
    event = GetReport(request=site.ref("GetReport"), request_id=8, criteria=frozenset(criteria), wanted=tuple(wanted))
    site.do(event)
    if site.reply().status is InventoryStatus.EMPTY:
        assert not site.of(Ask)
        return []
    assert site.reply().status is InventoryStatus.ACCEPTED
    return [one for page in pages(site) for one in page.items]


@pytest.mark.req("B07.FR.01", "B07.FR.03", "B07.FR.04", "B07.FR.08", "B07.FR.10")
def test_a_full_report_comes_in_pages_and_holds_everything_once() -> None:
    site = Site.build(12)
    site.do(GetBaseReport(site.ref("GetBaseReport"), 7, ReportBase.FULL))
    first = site.effects[0]
    assert isinstance(first, Reply) and first.status is InventoryStatus.ACCEPTED
    told = pages(site)
    assert [page.seq_no for page in told] == list(range(len(told)))
    assert [page.more for page in told] == [True] * (len(told) - 1) + [False]
    assert {page.request_id for page in told} == {7}
    assert max(len(page.items) for page in told) == reporting.PAGE_ITEMS
    assert [one for page in told for one in page.items] == list(inventory(site.station))
    assert not site.station.pending


@pytest.mark.req("B07.FR.07", "B07.FR.12")
def test_the_configuration_is_everything_that_can_be_written() -> None:
    site = Site.build(2)
    found = base(site, ReportBase.CONFIGURATION)
    writable = (Mutability.READ_WRITE, Mutability.WRITE_ONLY)
    assert found == [one for one in inventory(site.station) if mutability(site.station, one) in writable]
    assert any(one.definition.name == "SecurityCtrlr.BasicAuthPassword" for one in found)


@pytest.mark.req("B07.FR.09")
def test_the_summary_is_what_can_charge_and_what_is_wrong() -> None:
    site = Site.build(2)
    assert {one.variable.name for one in base(site, ReportBase.SUMMARY)} == {"AvailabilityState"}
    site.look(2, ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND),))
    wrong = [one.component for one in base(site, ReportBase.SUMMARY) if one.variable.name == "Problem"]
    assert wrong == [
        Component("ChargingStation"),
        Component("EVSE", evse=2),
        Component("Connector", evse=2, connector=1),
    ]


@pytest.mark.req("B07.FR.13", "B08.FR.16")
def test_too_many_reports_at_a_time_are_rejected() -> None:
    site = Site.build(1)
    for number in range(reporting.MAX_REPORTS):
        site.do(GetBaseReport(site.ref("GetBaseReport"), number, ReportBase.FULL))
        assert site.reply().status is InventoryStatus.ACCEPTED
    site.do(GetBaseReport(site.ref("GetBaseReport"), 99, ReportBase.FULL))
    assert site.reply().status is InventoryStatus.REJECTED
    assert not site.of(Ask)


@pytest.mark.req("B08.FR.11", "B08.FR.20", "B08.FR.21", "TC_B_54_CS", "TC_B_55_CS")
def test_a_filter_without_a_variable_or_its_instance_takes_all_of_them() -> None:
    site = Site.build(2)
    data = Component("devicedatactrlr")
    every = {one.definition.name for one in report(site, VariableFilter(data))}
    assert len(every) > 6 and all(name.startswith("DeviceDataCtrlr.") for name in every)
    items = {one.variable.instance for one in report(site, VariableFilter(data, Variable("itemspermessage")))}
    assert items == {"GetReport", "GetVariables", "SetVariables"}
    (one,) = report(site, VariableFilter(data, Variable("ItemsPerMessage", "getreport")))
    assert one.definition.name == "DeviceDataCtrlr.ItemsPerMessage[GetReport]"


@pytest.mark.req("B08.FR.22", "B08.FR.23", "B08.FR.24", "TC_B_56_CS")
def test_a_filter_without_a_place_takes_every_place() -> None:
    site = Site.build(3)
    state = Variable("AvailabilityState")
    assert [one.component.evse for one in report(site, VariableFilter(Component("EVSE"), state))] == [1, 2, 3]
    (here,) = report(site, VariableFilter(Component("EVSE", evse=2), state))
    assert here.component == Component("EVSE", evse=2)
    (plug,) = report(site, VariableFilter(Component("Connector", evse=2), state))
    assert plug.component == Component("Connector", evse=2, connector=1)


@pytest.mark.req("B08.FR.15")
@pytest.mark.parametrize(
    "wanted",
    [
        VariableFilter(Component("Nonsense")),
        VariableFilter(Component("TxCtrlr"), Variable("Nonsense")),
        VariableFilter(Component("TxCtrlr", instance="x")),
        VariableFilter(Component("TxCtrlr", evse=1)),
        VariableFilter(Component("EVSE", evse=9)),
        VariableFilter(Component("EVSE", evse=1, connector=1)),
    ],
)
def test_what_fits_nothing_is_empty(wanted: VariableFilter) -> None:
    assert report(Site.build(1), wanted) == []


@pytest.mark.req("B08.FR.07", "B08.FR.08", "B08.FR.09", "B08.FR.13")
def test_a_component_is_available_or_enabled_unless_it_says_that_it_is_not() -> None:
    site = Site.build(1)
    put_one(site, "ReservationCtrlr", "Enabled", "false")
    enabled = {one.component.name for one in report(site, criteria=[Criterion.ENABLED])}
    assert "ReservationCtrlr" not in enabled and {"TxCtrlr", "AuthCtrlr", "EVSE"} <= enabled
    available = {one.component.name for one in report(site, criteria=[Criterion.AVAILABLE])}
    assert {"ReservationCtrlr", "TxCtrlr", "EVSE", "ChargingStation"} <= available
    every = {one.component.name for one in inventory(site.station)}
    silent = {"ConnectorPlugRetentionLock"}  # nobody has told how it is
    assert {one.component.name for one in report(site, criteria=[Criterion.ACTIVE])} == every - silent
    both = {one.component.name for one in report(site, criteria=[Criterion.ENABLED, Criterion.AVAILABLE])}
    assert both == every


@pytest.mark.req("B08.FR.10", "B08.FR.05", "TC_B_18_CS")
def test_a_problem_is_only_where_one_is_told() -> None:
    site = Site.build(2)
    assert report(site, criteria=[Criterion.PROBLEM]) == []
    site.look(2, ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND),))
    evse = VariableFilter(Component("EVSE"), Variable("AvailabilityState"))
    (one,) = report(site, evse, criteria=[Criterion.PROBLEM])
    assert one.component == Component("EVSE", evse=2)


def test_a_request_without_a_wish_is_about_everything() -> None:
    site = Site.build(1)
    assert report(site) == list(inventory(site.station))


@pytest.mark.req("B08.FR.17")
def test_more_filters_than_a_request_may_have_are_refused() -> None:
    site = Site.build(1)
    wanted = (VariableFilter(Component("TxCtrlr")),) * (reporting.PAGE_ITEMS + 1)
    site.do(GetReport(request=site.ref("GetReport"), request_id=1, wanted=wanted))
    assert site.reply().reason == Reason.TOO_MANY_ELEMENTS
    assert not site.of(Ask)


def test_a_filter_fits_what_it_names() -> None:
    (one, *_) = inventory(Site.build(1).station)
    assert fits(one, VariableFilter(one.component, one.variable))
    assert not fits(one, VariableFilter(one.component, Variable("Nonsense")))


def test_a_report_ends_with_the_line() -> None:
    site = Site.build(12)
    site.do(GetBaseReport(site.ref("GetBaseReport"), 7, ReportBase.FULL))
    assert len(pages(site, taken=False)) == 1
    assert not site.station.pending


@pytest.mark.req("A00.FR.205", "A01.FR.01")
@pytest.mark.parametrize("password", ["0123456789abcdef" * 2, "plain-characters-16"])
def test_a_password_is_its_characters_also_where_the_site_writes_bytes_in_hexadecimal(password: str) -> None:
    site = Site.build(1, rules=SiteRules(hex_password=True, has_password=True, security_profile=1))
    (result,) = put(site, VariableChange(*PASSWORD, password))
    assert result.status is ACCEPTED
    assert site.station.access.way.password == SecretText(password, literal=True)
    assert not any(password in repr(effect) for effect in site.history)
    site.restart()
    assert site.station.access.way.password == SecretText(password, literal=True)
