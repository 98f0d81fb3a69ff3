"""Changing and reading keys, from whatever side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.domain.answers import ConfigurationReport
from edged.domain.commands import GetConfiguration
from edged.domain.configuration import REGISTRY, ConfigKey, ConfigurationStatus, KeyKind, Mutability
from edged.domain.effects import Announce, Keep
from edged.domain.security_event import SecurityEvent
from tests.fakes.site import Site

GOOD = {
    KeyKind.BOOL: "true",
    KeyKind.INT: "7",
    KeyKind.DECIMAL: "7.5",
    KeyKind.MEASURANDS: "Voltage",
    KeyKind.ROTATIONS: "1.RST",
    KeyKind.TEXT: "Example Energy",
}
CHOSEN = (KeyKind.CHOICE, KeyKind.LIST, KeyKind.SEQUENCE)
WAYS = ("AuthorizationKey", "SecurityProfile")
"""Keys that are the way to the CSMS: test_access tells of them."""
SETTINGS = [key for key in REGISTRY.values() if key.name not in WAYS]


def read(site: Site, *keys: str) -> ConfigurationReport:
    site.do(GetConfiguration(site.ref("GetConfiguration"), keys))
    report = site.reply().data
    assert isinstance(report, ConfigurationReport)
    return report


@pytest.mark.req("TC_021_CS", "TC_040_2_CS")
@pytest.mark.parametrize("key", SETTINGS, ids=lambda key: key.name)
def test_every_key_is_changed_or_refused_by_its_access(key: ConfigKey) -> None:
    site = Site.build(2)
    before = site.station.configuration.text(key.name)
    good = key.allowed[0] if key.allowed and key.kind in CHOSEN else GOOD.get(key.kind, "x")[: key.maximum]
    status = site.set(key.name.lower(), good)
    if key.mutability is Mutability.READ_ONLY:
        assert status is ConfigurationStatus.REJECTED
        assert site.station.configuration.text(key.name) == before
        return
    assert status is (ConfigurationStatus.REBOOT_REQUIRED if key.reboot else ConfigurationStatus.ACCEPTED)
    assert read(site, key.name).keys[0].value == good
    site.restart()
    assert site.station.configuration.text(key.name) == good


def test_the_name_of_the_operator_fits_into_a_certificate_and_its_change_is_in_the_security_log() -> None:
    site = Site.build(1)
    assert site.set("CpoName", "x" * 65) is ConfigurationStatus.REJECTED
    assert site.set("CpoName", "x" * 64) is ConfigurationStatus.ACCEPTED
    assert [kept.entry.event_type for kept in site.of(Keep)] == [SecurityEvent.RECONFIGURATION]


@pytest.mark.req("TC_040_1_CS")
def test_an_unknown_key_is_not_supported() -> None:
    assert Site.build(1).set("Nonsense", "1") is ConfigurationStatus.NOT_SUPPORTED


@pytest.mark.req("TC_040_2_CS")
def test_a_bad_value_is_rejected_and_changes_nothing() -> None:
    site = Site.build(1)
    before = site.station.configuration
    for key, value in (("ConnectionTimeOut", "-1"), ("MeterValuesSampledData", "Voltage,Nonsense")):
        assert site.set(key, value) is ConfigurationStatus.REJECTED
    assert site.station.configuration == before


def test_a_change_is_told_once_with_who_made_it() -> None:
    site = Site.build(1)
    site.set("ConnectionTimeOut", "11")
    (said,) = site.of(Announce)
    assert said.data == {"key": "ConnectionTimeOut", "value": "11", "read_only": False, "changed_by": "csms"}
    site.set("ConnectionTimeOut", "11")
    assert not site.of(Announce)


@pytest.mark.req("16-TX-10")
def test_without_a_detachable_cable_the_unlock_key_cannot_be_changed() -> None:
    site = Site.build(1)
    name = "UnlockConnectorOnEVSideDisconnect"
    configuration = replace(site.station.configuration, computed={name: "false"})
    site.station = replace(site.station, configuration=configuration)
    assert site.set(name, "true") is ConfigurationStatus.REJECTED
    assert read(site, name).keys[0].read_only


@pytest.mark.req("TC_019_CS")
def test_without_names_all_keys_are_reported() -> None:
    report = read(Site.build(1))
    assert [key.name for key in report.keys] == [key.name for key in REGISTRY.values()]
    assert report.unknown == ()


@pytest.mark.req("TC_019_CS", "16-GEN-04")
def test_asked_keys_are_found_in_any_case_once_and_unknown_ones_are_named() -> None:
    report = read(Site.build(1), "heartbeatinterval", "HeartbeatInterval", "Foo", "foo", "Foo", "ResetRetries")
    assert [key.name for key in report.keys] == ["HeartbeatInterval", "ResetRetries"]
    assert report.unknown == ("Foo", "foo")
