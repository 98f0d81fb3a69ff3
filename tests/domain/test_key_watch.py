"""Configuration keys that local people watch, the installer's own keys, and who changed what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain.commands import SetConfiguration
from edged.domain.configuration import ConfigKey, ConfigurationStatus, KeyKind, Mutability
from edged.domain.effects import Announce
from edged.domain.events import BootAnswered, Registration
from edged.domain.local_commands import MonitorConfiguration
from tests.fakes.site import Site

BADGE = ConfigKey(name="BadgeText", kind=KeyKind.TEXT, default="hello", maximum=10, custom=True)
FLOOR = ConfigKey(name="Floor", kind=KeyKind.INT, default="1", mutability=Mutability.READ_ONLY, custom=True)


@pytest.fixture
def site() -> Site:
    site = Site.build()
    assert site.fresh is not None
    custom = {key.name.casefold(): key for key in (BADGE, FLOOR)}
    site.fresh = replace(site.fresh, configuration=replace(site.fresh.configuration, custom=custom))
    site.station = replace(site.station, configuration=replace(site.station.configuration, custom=custom))
    return site


def watch(site: Site, *keys: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    site.do(MonitorConfiguration(site.ref("monitor_configuration_keys", "mqtt:bms"), keys))
    report = site.reply().data
    return report.monitored, report.unknown


def put(site: Site, key: str, value: str, *, by: str = "mqtt:bms", custom_only: bool = False) -> ConfigurationStatus:
    site.do(SetConfiguration(site.ref("set", by), key, value, custom_only=custom_only))
    answer: ConfigurationStatus = site.reply().status
    return answer


def changes(site: Site) -> list[dict[str, Any]]:
    return [dict(e.data) for e in site.history if isinstance(e, Announce) and e.kind == "config.key_changed"]


def test_the_list_grows_and_what_is_unknown_is_named(site: Site) -> None:
    assert watch(site, "heartbeatinterval", "Nonsense") == (("HeartbeatInterval",), ("Nonsense",))
    assert watch(site, "BadgeText") == (("BadgeText", "HeartbeatInterval"), ())
    assert watch(site) == (("BadgeText", "HeartbeatInterval"), ())


def test_it_outlives_a_restart_with_who_changed_each(site: Site) -> None:
    watch(site, "HeartbeatInterval", "BadgeText")
    put(site, "BadgeText", "hi")
    site.restart()
    assert site.station.monitored_keys == {"HeartbeatInterval": "", "BadgeText": "mqtt:bms"}
    assert site.station.configuration.text("BadgeText") == "hi"


@pytest.mark.parametrize("by", ["csms", "mqtt:bms", "local"])
def test_whoever_changes_a_key_is_named(site: Site, by: str) -> None:
    watch(site, "ConnectionTimeOut")
    put(site, "ConnectionTimeOut", "77", by=by)
    assert changes(site)[-1] == {"key": "ConnectionTimeOut", "value": "77", "read_only": False, "changed_by": by}
    assert site.station.monitored_keys == {"ConnectionTimeOut": by}


def test_the_csms_changes_its_heartbeat_with_its_boot_answer(site: Site) -> None:
    watch(site, "HeartbeatInterval")
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 444))
    assert site.station.monitored_keys == {"HeartbeatInterval": "csms"}


def test_a_change_to_what_it_was_is_none(site: Site) -> None:
    put(site, "BadgeText", "hello")
    assert [one for one in changes(site) if one["key"] == "BadgeText"] == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("badgetext", "hi", ConfigurationStatus.ACCEPTED),
        ("BadgeText", "much too long a text", ConfigurationStatus.REJECTED),
        ("Floor", "2", ConfigurationStatus.REJECTED),
        ("HeartbeatInterval", "60", ConfigurationStatus.REJECTED),
        ("Nonsense", "1", ConfigurationStatus.NOT_SUPPORTED),
    ],
)
def test_as_a_custom_key_only_the_installers_own_can_be_set(
    site: Site, key: str, value: str, expected: ConfigurationStatus
) -> None:
    assert put(site, key, value, custom_only=True) is expected


def test_the_csms_can_change_a_key_of_the_installers_too(site: Site) -> None:
    assert put(site, "BadgeText", "hi", by="csms") is ConfigurationStatus.ACCEPTED
