"""Network connection profiles: what may be written, in which order they are gone, and that nobody is locked out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.domain import access, routes
from edged.domain.answers import NetworkProfileStatus, Reason
from edged.domain.commands import SetNetworkProfile
from edged.domain.configuration import ConfigurationStatus
from edged.domain.credentials import CertificateUse, InstalledCertificate, LinkFailure, NetworkProfile, Way
from edged.domain.effects import NoticeKind, Notify
from edged.domain.events import BootAnswered, LinkDown, LinkFailed, LinkProven, LinkUp, Registration
from edged.domain.network import url_problem
from edged.domain.station import SiteRules
from edged.domain.types import SecretText
from edged.store import records
from tests.fakes.site import START, Site

ACCEPTED, REJECTED = NetworkProfileStatus.ACCEPTED, NetworkProfileStatus.REJECTED
REBOOT = ConfigurationStatus.REBOOT_REQUIRED
RULES = SiteRules(security_profile=1, has_password=True, credentials_digest="as installed")
ROOT = InstalledCertificate(
    use=CertificateUse.CSMS_ROOT,
    pem="PEM",
    fingerprint="aa",
    subject="CN=root",
    hashes=(),
    not_before=START,
    not_after=datetime(2036, 1, 1, tzinfo=UTC),
)
NEW_PASSWORD = "correct horse battery"


def built(*, digest: str = "as installed", **rules: Any) -> Site:
    site = Site.build(1, online=False, rules=replace(RULES, credentials_digest=digest, **rules))
    online(site)
    return site


def online(site: Site) -> None:
    """A line, a word of the CSMS on it, and its answer to a boot where there was one."""
    number = site.station.access.number
    site.do(LinkUp(number))
    booted = any(isinstance(effect, Notify) and effect.kind is NoticeKind.BOOT for effect in site.effects)
    site.do(LinkProven(number))
    if booted:
        site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))


def profile(slot: int = 2, **changes: Any) -> NetworkProfile:
    told = {"url": f"wss://csms{slot}.example.com/ocpp", "security_profile": 1, "message_timeout_s": 20}
    return NetworkProfile(slot=slot, **{**told, **changes})


def write(site: Site, slot: int = 2, **changes: Any) -> tuple[Any, str]:
    one = profile(slot, **changes)
    site.do(SetNetworkProfile(request=site.ref("SetNetworkProfile"), slot=slot, profile=one))
    return site.reply().status, site.reply().reason


def prefer(site: Site, value: str) -> tuple[Any, str]:
    return site.set("NetworkConfigurationPriority", value), site.reply().reason


def fails(site: Site, times: int = 3, failure: LinkFailure = LinkFailure.UNREACHABLE) -> None:
    for _ in range(times):
        site.do(LinkFailed(site.station.access.number, failure, "so it is"))


def slot(site: Site) -> int:
    return routes.active_slot(site.station)


def moved(site: Site, value: str = "2,1") -> Site:
    """Slot 2 is written, preferred, and the station has started again."""
    assert write(site)[0] is ACCEPTED
    assert prefer(site, value)[0] is REBOOT
    site.restart()
    return site


# --- what may be written


@pytest.mark.req("B09.FR.01")
def test_a_profile_is_kept_in_its_slot_and_nothing_else_changes() -> None:
    site = built()
    before = site.station.access
    assert write(site) == (ACCEPTED, "")
    assert site.station.network == {2: profile()}
    assert site.station.access == before
    site.restart()
    assert site.station.network == {2: profile()} and slot(site) == 1


@pytest.mark.req("B09.FR.05", "B09.FR.06")
def test_there_are_three_slots() -> None:
    site = built()
    assert [write(site, number)[0] for number in (1, 2, 3)] == [ACCEPTED] * 3
    assert write(site, 4) == (REJECTED, Reason.INVALID_CONF_SLOT)
    assert write(site, 0) == (REJECTED, Reason.INVALID_CONF_SLOT)


@pytest.mark.req("B09.FR.04", "TC_A_22_CS")
@pytest.mark.parametrize("lower", [0, 1])
def test_a_lower_security_profile_is_refused(lower: int) -> None:
    site = built(security_profile=2)
    assert write(site, security_profile=lower) == (REJECTED, Reason.NO_SECURITY_DOWNGRADE)
    assert site.station.network == {}


@pytest.mark.req("B09.FR.02", "TC_B_43_CS")
@pytest.mark.parametrize(
    "changes",
    [
        {"security_profile": 4},
        {"security_profile": -1},
        {"security_profile": 2, "url": "ws://csms.example.com"},
        {"message_timeout_s": 0},
        {"message_timeout_s": 3601},
        {"url": "https://csms.example.com"},
    ],
)
def test_what_cannot_be_a_profile_is_refused(changes: dict[str, Any]) -> None:
    site = built()
    assert write(site, **changes) == (REJECTED, Reason.INVALID_NETWORK_CONF)
    assert site.station.network == {}


@pytest.mark.req("B09.FR.02")
def test_what_this_station_does_not_have_is_refused_and_named() -> None:
    site = built()
    site.do(SetNetworkProfile(request=site.ref(), slot=2, profile=None, lacking="there is no modem to be set up"))
    assert (site.reply().status, site.reply().reason) == (REJECTED, Reason.INVALID_NETWORK_CONF)
    assert "modem" in site.reply().detail


@pytest.mark.parametrize(
    "good",
    ["ws://a", "wss://csms.example.com", "ws://10.0.0.1:8080/x/y", "wss://[::1]:9000/", "ws://csms_1.local./ocpp/%20"],
)
def test_an_address_is_a_websockets(good: str) -> None:
    assert url_problem(good) is None


@pytest.mark.parametrize(
    "bad",
    [
        *("", "ws://", "ws:///x", "csms.example.com", "ws://a b", "ws://a/b c", "ws://a\n", "ws://ä.example.com"),
        *("ws://user:pass@csms", "ws://a?b", "ws://a/b?c", "ws://a/b#c", "ws://a:0", "ws://a:65536", "ws://a:x"),
        *("ws://-a", "ws://a..b", "ws://[::g]", "ws://[1.2.3.4]", "ws://" + "a" * 64, "ws://a/" + "x" * 512, "WS://a"),
    ],
)
def test_everything_else_is_none(bad: str) -> None:
    assert url_problem(bad) is not None


# --- in which order


@pytest.mark.req("B10.FR.01", "TC_B_45_CS")
def test_an_order_of_slots_counts_from_the_next_start() -> None:
    site = built()
    write(site)
    assert prefer(site, "2,1") == (REBOOT, "")
    assert slot(site) == 1


@pytest.mark.req("B10.FR.02")
@pytest.mark.parametrize("value", ["3", "1,2", "2", "1,3"])
def test_an_order_with_a_slot_that_nobody_has_written_is_refused(value: str) -> None:
    assert prefer(built(), value) == (ConfigurationStatus.REJECTED, Reason.INVALID_CONF_SLOT)


@pytest.mark.parametrize("value", ["", "1,1", "4", "x", "1;2"])
def test_what_is_no_order_is_refused(value: str) -> None:
    site = built()
    write(site)
    assert prefer(site, value)[0] is ConfigurationStatus.REJECTED


@pytest.mark.req("A05.FR.02", "TC_A_20_CS")
def test_an_order_that_leads_to_tls_needs_a_root() -> None:
    site = built()
    write(site, security_profile=2)
    assert prefer(site, "2,1") == (ConfigurationStatus.REJECTED, Reason.INVALID_NETWORK_CONF)
    site.station = replace(site.station, certificates={ROOT.key: ROOT})
    assert prefer(site, "2,1") == (REBOOT, "")


@pytest.mark.req("A05.FR.03", "TC_A_21_CS")
def test_an_order_that_leads_to_profile_3_needs_a_certificate_of_our_own() -> None:
    site = built(has_root=True)
    write(site, security_profile=3)
    assert prefer(site, "2,1") == (ConfigurationStatus.REJECTED, Reason.INVALID_NETWORK_CONF)
    other = built(has_root=True, has_client_certificate=True)
    write(other, security_profile=3)
    assert prefer(other, "2,1") == (REBOOT, "")


# --- how it goes


@pytest.mark.req("B10.FR.04", "A05.FR.05", "TC_B_45_CS")
def test_a_start_begins_with_the_first_of_the_order_and_the_other_csms_is_told_who_comes() -> None:
    site = moved(built())
    way = site.station.access.way
    assert (slot(site), way.url, routes.message_timeout_s(site.station)) == (2, profile().url, 20)
    site.do(LinkUp(site.station.access.number))
    assert Notify(NoticeKind.BOOT) in site.effects
    site.do(LinkProven(site.station.access.number))
    assert site.station.access.former is None
    site.restart()
    assert slot(site) == 2, "it has worked, and is still the first"


@pytest.mark.req("B10.FR.03", "B10.FR.07", "TC_B_46_CS", "TC_B_49_CS")
@pytest.mark.parametrize("attempts", [1, 3])
def test_after_so_many_attempts_what_worked_before_has_its_turn(attempts: int) -> None:
    site = built()
    site.set("NetworkProfileConnectionAttempts", str(attempts))
    moved(site, "2")
    fails(site, attempts - 1)
    assert slot(site) == 2
    fails(site, 1)
    assert slot(site) == 1
    online(site)
    assert slot(site) == 1 and site.station.access.former is None


@pytest.mark.req("B10.FR.03", "B10.FR.08")
def test_each_entry_has_its_turn_in_order_and_then_all_again() -> None:
    site = built()
    write(site, 2)
    write(site, 3)
    prefer(site, "3,2")
    site.restart()
    seen = [slot(site)]
    for _ in range(5):
        fails(site)
        seen.append(slot(site))
    assert seen == [3, 2, 1, 3, 2, 1]


@pytest.mark.req("B10.FR.03")
def test_a_csms_that_is_lost_gives_way_to_the_next_after_so_many_attempts() -> None:
    site = moved(built())
    online(site)
    site.do(LinkDown("cut", site.station.access.number))
    fails(site, 2)
    assert slot(site) == 2
    fails(site, 1)
    assert slot(site) == 1
    fails(site, 3)
    assert slot(site) == 2, "all over again"


def test_a_word_of_the_csms_starts_the_count_anew() -> None:
    site = moved(built())
    online(site)
    site.do(LinkDown("cut", site.station.access.number))
    fails(site, 2)
    online(site)
    site.do(LinkDown("cut", site.station.access.number))
    fails(site, 2)
    assert slot(site) == 2


def test_a_csms_that_shuts_every_line_before_it_says_a_word_is_left() -> None:
    site = moved(built())
    for _ in range(3):
        site.do(LinkUp(site.station.access.number))
        site.do(LinkDown("cut", site.station.access.number))
    assert slot(site) == 1


def test_whoever_takes_the_line_and_says_nothing_is_left_after_a_while() -> None:
    site = moved(built())
    site.wait(500)
    assert slot(site) == 2, "nobody has answered yet: it is attempts that count"
    site.do(LinkUp(site.station.access.number))
    site.wait(int(access.TRIAL_S) - 1)
    assert slot(site) == 2
    site.wait(2)
    assert slot(site) == 1


@pytest.mark.req("A05.FR.05")
def test_a_slot_that_is_in_use_and_written_anew_counts_from_the_next_start() -> None:
    site = built(has_root=True)
    moved(site)
    online(site)
    write(site, security_profile=2, message_timeout_s=7)
    assert (access.security_profile(site.station), routes.message_timeout_s(site.station)) == (1, 20)
    site.restart()
    assert (access.security_profile(site.station), routes.message_timeout_s(site.station)) == (2, 7)
    fails(site)
    assert access.security_profile(site.station) == 1


@pytest.mark.req("B10.FR.10", "20-J-05")
def test_whoever_comes_by_another_profile_introduces_itself_and_by_the_same_one_does_not() -> None:
    site = moved(built())
    online(site)
    site.do(LinkDown("cut", site.station.access.number))
    site.do(LinkUp(site.station.access.number))
    assert Notify(NoticeKind.BOOT) not in site.effects
    site.do(LinkProven(site.station.access.number))
    site.do(LinkDown("cut", site.station.access.number))
    fails(site)
    site.do(LinkUp(site.station.access.number))
    assert slot(site) == 1 and Notify(NoticeKind.BOOT) in site.effects


@pytest.mark.req("A05.FR.06", "TC_A_19_CS")
def test_a_higher_security_profile_that_works_takes_the_lower_slots_away() -> None:
    site = built(has_root=True)
    write(site, 2, security_profile=2)
    write(site, 3)
    prefer(site, "2,3,1")
    site.restart()
    assert set(site.station.network) == {2, 3}, "nothing has worked yet"
    online(site)
    assert access.security_profile(site.station) == 2
    assert set(site.station.network) == {2}
    assert site.station.configuration.text("NetworkConfigurationPriority") == "2"
    site.do(LinkDown("cut", site.station.access.number))
    fails(site, 12)
    assert slot(site) == 2, "nothing below is ever gone again"


@pytest.mark.req("A05.FR.05")
def test_a_higher_security_profile_that_does_not_work_costs_nothing() -> None:
    site = built(has_root=True)
    write(site, 2, security_profile=2)
    prefer(site, "2")
    site.restart()
    fails(site, 3, LinkFailure.CERTIFICATE)
    assert (slot(site), access.security_profile(site.station)) == (1, 1)
    online(site)
    assert set(site.station.network) == {2}


def test_what_the_installer_wrote_is_the_last_resort_of_every_order() -> None:
    site = moved(built(), "2")
    online(site)
    site.do(LinkDown("cut", site.station.access.number))
    fails(site)
    assert slot(site) == 1 and site.station.access.way.url is None


def test_a_new_password_holds_for_every_place() -> None:
    site = moved(built())
    online(site)
    site.set("AuthorizationKey", NEW_PASSWORD)
    ways = site.station.access.ways
    assert [way.slot for way in ways] == [2, 2, None, None]
    assert [way.password is not None for way in ways] == [True, False, True, False]
    site.do(LinkDown("cut", site.station.access.number))
    fails(site, 6)
    assert slot(site) == 1 and site.station.access.way.password is not None


def test_the_first_csms_is_still_found_with_the_password_that_it_knows() -> None:
    """It was given one, and so was the next; then the next is gone."""
    site = built()
    site.set("AuthorizationKey", "the first one's password")
    site.do(LinkDown("cut", site.station.access.number))
    online(site)
    moved(site)
    online(site)
    site.set("AuthorizationKey", NEW_PASSWORD)
    site.do(LinkDown("cut", site.station.access.number))
    online(site)
    site.do(LinkDown("cut", site.station.access.number))
    tried = set()
    for _ in range(4):
        fails(site)
        way = site.station.access.way
        tried.add((way.slot, None if way.password is None else way.password.value))
    assert {(None, "the first one's password"), (None, NEW_PASSWORD), (None, None), (2, NEW_PASSWORD)} == tried


def test_whatever_place_is_tried_shows_the_key_that_is_kept() -> None:
    """The former one goes once its successor has worked, wherever that was."""
    site = built()
    used = Way(password=SecretText(NEW_PASSWORD), key_id="former")
    site.station = replace(
        site.station, access=replace(site.station.access, way=used, home=used, site_digest="as installed")
    )
    site.disk.commit("TEST", records.writes(built().station, site.station, ()), site.now.utc)
    moved(site)
    online(site)
    assert site.station.access.home == used
    way = replace(site.station.access.way, key_id="renewed")
    renewed = replace(site.station, access=replace(site.station.access, way=way))
    assert {way.key_id for way in routes.row(renewed) if way != Way()} == {"renewed"}


def test_the_same_password_once_more_is_no_second_way() -> None:
    site = built()
    for _ in range(2):
        site.set("AuthorizationKey", NEW_PASSWORD)
        number = site.station.access.number
        site.do(LinkDown("cut", number))
        online(site)
    site.set("AuthorizationKey", NEW_PASSWORD)
    assert site.station.access.number > number and site.station.access.former is None


def test_an_installer_who_writes_another_address_is_believed_more_than_every_csms() -> None:
    site = moved(built())
    online(site)
    assert site.fresh is not None
    site.fresh = replace(site.fresh, rules=replace(RULES, credentials_digest="another"))
    site.restart()
    assert slot(site) == 1 and site.station.network == {} and site.station.access.former is None
    assert site.station.configuration.text("NetworkConfigurationPriority") == "1"


def test_a_written_slot_1_leaves_the_site_s_own_way_as_the_last_resort() -> None:
    site = built()
    write(site, 1)
    site.restart()
    assert site.station.access.way.url == profile(1).url
    fails(site)
    assert site.station.access.way.url is None


def test_an_order_survives_a_restart_in_the_middle_of_a_trial() -> None:
    site = moved(built())
    fails(site)
    assert slot(site) == 1
    site.restart()
    assert slot(site) == 2, "a start begins with the first"
    fails(site)
    assert slot(site) == 1


def test_without_a_slot_nothing_is_counted_for_anybody() -> None:
    site = built()
    site.do(LinkDown("cut", 0))
    before = site.station.access
    fails(site, 50)
    assert site.station.access == before
