"""The way to the CSMS: what may be changed, what becomes of a change that does not work, and what nobody is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.domain import access
from edged.domain.answers import ConfigurationReport
from edged.domain.commands import GetConfiguration
from edged.domain.configuration import ConfigurationStatus
from edged.domain.credentials import (
    Access,
    CertificateUse,
    ClientCertificate,
    InstalledCertificate,
    LinkFailure,
    Way,
)
from edged.domain.effects import Announce, Keep, NoticeKind, Notify
from edged.domain.events import LinkDown, LinkFailed, LinkProven, LinkUp
from edged.domain.journal import SecurityEntry
from edged.domain.security_event import SecurityEvent
from edged.domain.station import SiteRules
from edged.domain.transition import Draft
from edged.domain.types import SecretText
from tests.fakes.site import START, Site

ACCEPTED, REJECTED = ConfigurationStatus.ACCEPTED, ConfigurationStatus.REJECTED
NEW = "correct horse battery"
NEWER = "incorrect horse battery"
RULES = SiteRules(
    security_profile=1,
    has_password=True,
    has_root=True,
    has_client_certificate=True,
    credentials_digest="as installed",
)
ROOT = InstalledCertificate(
    use=CertificateUse.CSMS_ROOT,
    pem="PEM",
    fingerprint="aa",
    subject="CN=root",
    hashes=(),
    not_before=START,
    not_after=datetime(2036, 1, 1, tzinfo=UTC),
)


def built(**changes: Any) -> Site:
    return Site.build(1, rules=replace(RULES, **changes))


def way(site: Site) -> Access:
    return site.station.access


def reads(site: Site, key: str) -> str | None:
    site.do(GetConfiguration(site.ref("GetConfiguration"), (key,)))
    report = site.reply().data
    assert isinstance(report, ConfigurationReport)
    (found,) = report.keys
    return found.value


def fails(site: Site, failure: LinkFailure = LinkFailure.AUTHENTICATION, *, times: int = 1) -> None:
    for _ in range(times):
        site.do(LinkFailed(way(site).number, failure, "so it is"))


def comes(site: Site) -> None:
    """A line, and a word of the CSMS on it."""
    site.do(LinkUp(way(site).number))
    site.do(LinkProven(way(site).number))


def logged(site: Site) -> list[str]:
    """The security log of the last move."""
    return [kept.entry.event_type for kept in site.of(Keep) if isinstance(kept.entry, SecurityEntry)]


def give_key(site: Site, key_id: str) -> None:
    draft = Draft(site.station, site.now)
    access.use_key(draft, key_id)
    site.station = draft.station


# --- the password


@pytest.mark.req("TC_073_CS", "A01.FR.01")
def test_a_new_password_is_kept_with_the_one_that_worked() -> None:
    site = built()
    assert site.set("AuthorizationKey", NEW) is ACCEPTED
    assert way(site).way == Way(password=SecretText(NEW))
    assert way(site).former == Way()
    assert way(site).number == 1
    site.restart()
    assert (way(site).way, way(site).former, way(site).number) == (Way(password=SecretText(NEW)), Way(), 1)


@pytest.mark.parametrize("good", ["00" * 16, "aF" * 20, "sixteen chars ok", "x" * 40, "with:colon and space"])
def test_a_password_is_bytes_in_hexadecimal_or_a_text(good: str) -> None:
    assert built().set("AuthorizationKey", good) is ACCEPTED


@pytest.mark.req("A01.FR.01")
@pytest.mark.parametrize(
    "bad", ["", "x" * 15, "x" * 41, "ü" * 20, "sixteen\tchars ok", "line one\nline two", "00" * 21]
)
def test_what_cannot_be_a_password_is_rejected_and_the_old_one_stays(bad: str) -> None:
    site = built()
    before = way(site)
    assert site.set("AuthorizationKey", bad) is REJECTED
    assert way(site) == before
    assert not logged(site)


@pytest.mark.parametrize("bad", ["x" * 20, "00" * 15, "0" * 33, "00" * 21])
def test_where_passwords_are_bytes_a_text_is_none(bad: str) -> None:
    site = built(hex_password=True)
    assert site.set("AuthorizationKey", bad) is REJECTED
    assert site.set("AuthorizationKey", "0123456789abcdefABCD" * 2) is ACCEPTED


@pytest.mark.req("A01.FR.11", "A01.FR.12")
def test_nobody_is_shown_a_password() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    (said,) = [effect for effect in site.of(Announce) if effect.kind == "config.key_changed"]
    assert said.data == {"key": "AuthorizationKey", "value": None, "read_only": False, "changed_by": "csms"}
    assert logged(site) == [SecurityEvent.RECONFIGURATION]
    assert NEW not in repr(site.station) + repr(site.history)
    assert reads(site, "AuthorizationKey") is None
    assert NEW not in repr(site.history)


def test_a_way_that_works_has_no_other_beside_it() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.do(LinkProven(0))
    assert way(site).former is not None, "that line came about with the old password"
    comes(site)
    assert (way(site).former, way(site).until_s) == (None, None)
    assert "ocpp.access_confirmed" in site.told()
    site.wait(access.TRIAL_S * 2)
    assert way(site).way.password == SecretText(NEW)


def test_a_password_that_is_refused_three_times_gives_way_to_the_former_one() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.offline()
    fails(site, times=2)
    assert way(site).way.password == SecretText(NEW)
    fails(site)
    assert (way(site).way, way(site).number) == (Way(), 2)
    assert "ocpp.access_rolled_back" in site.told()
    assert logged(site) == [SecurityEvent.RECONFIGURATION]
    comes(site)
    assert (way(site).way, way(site).former) == (Way(), None)
    assert "ocpp.access_restored" in site.told()


def test_a_refusal_of_a_line_that_was_opened_before_the_change_says_nothing_of_it() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    for _ in range(5):
        site.do(LinkFailed(0, LinkFailure.AUTHENTICATION, "so it was"))
    assert way(site).failures == 0


def test_whichever_of_the_two_passwords_works_first_stays() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.offline()
    fails(site, times=3)
    fails(site, times=30)
    assert way(site).way == Way(), "its turn lasts: a CSMS is not asked faster for it"
    site.wait(access.TRIAL_S + 1)
    assert (way(site).way, way(site).former) == (Way(password=SecretText(NEW)), Way())
    comes(site)
    assert (way(site).way, way(site).former) == (Way(password=SecretText(NEW)), None)


def test_a_network_that_is_away_does_not_speak_against_a_password() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.offline()
    for _ in range(10):
        fails(site, LinkFailure.UNREACHABLE)
        site.wait(access.TRIAL_S)
    assert (way(site).way.password, way(site).number) == (SecretText(NEW), 1)


def test_a_csms_that_is_there_and_gives_no_line_in_time_speaks_against_it() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.offline()
    fails(site, LinkFailure.OTHER, times=5)
    assert way(site).way.password == SecretText(NEW)
    site.wait(access.TRIAL_S + 1)
    assert way(site).way == Way()


def test_turns_become_longer_and_are_told_once() -> None:
    site = built()
    site.set("SecurityProfile", "2")
    site.offline()
    turns: list[float] = []
    since_s, number, told = site.now.monotonic_s, way(site).number, 0
    while len(turns) < 6:
        site.wait(10, looks=False)
        if way(site).number != number:
            turns.append(site.now.monotonic_s - since_s)
            since_s, number = site.now.monotonic_s, way(site).number
    told = sum(isinstance(e, Announce) and e.kind == "ocpp.access_rolled_back" for e in site.history)
    assert turns == sorted(turns)
    assert turns[-1] >= 4 * turns[0]
    assert told == 1


@pytest.mark.req("A05.FR.08")
def test_of_two_orders_in_a_row_the_first_may_work_where_the_second_does_not() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.set("SecurityProfile", "2")
    assert way(site).way == Way(security_profile=2, password=SecretText(NEW))
    assert way(site).number == 2
    site.restart()
    site.offline()
    fails(site, LinkFailure.CERTIFICATE, times=3)
    assert way(site).way == Way(password=SecretText(NEW)), "the CSMS may take the old password no more"
    comes(site)
    assert (way(site).way, way(site).former, way(site).further) == (Way(password=SecretText(NEW)), None, ())
    assert reads(site, "SecurityProfile") == "1"


def test_of_orders_in_a_row_that_all_fail_what_worked_before_them_has_its_turn_and_then_the_newest_again() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.set("SecurityProfile", "2")
    site.offline()
    fails(site, times=3)
    fails(site, times=3)
    assert way(site).way == Way()
    fails(site, times=20)
    assert way(site).way == Way(), "its turn lasts"
    site.wait(access.TRIAL_S + 1)
    assert way(site).way == Way(security_profile=2, password=SecretText(NEW))
    comes(site)
    assert "ocpp.access_confirmed" in site.told()


def test_however_many_orders_come_in_a_row_what_worked_before_them_is_kept() -> None:
    site = built()
    for number in range(20):
        assert site.set("AuthorizationKey", f"password number {number:04}") is ACCEPTED
    assert len(way(site).ways) == access.MAX_WAYS
    assert way(site).ordered[-1] == Way()
    assert way(site).way == Way(password=SecretText("password number 0019"))


# --- what proves a way


def test_a_line_alone_proves_nothing_and_the_csms_is_asked_for_a_word() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.offline()
    site.do(LinkUp(way(site).number))
    assert way(site).former == Way()
    assert Notify(NoticeKind.HEARTBEAT) in site.effects
    site.do(LinkProven(way(site).number))
    assert way(site).former is None


def test_a_csms_that_lets_everybody_in_and_closes_again_has_refused() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    for _ in range(access.MAX_REFUSALS):
        number = way(site).number
        site.do(LinkUp(number))
        site.do(LinkDown("closed by the CSMS (1008)", number))
    assert way(site).way == Way()


def test_the_end_of_the_line_on_which_a_change_was_ordered_says_nothing_of_it() -> None:
    site = built()
    number = way(site).number
    site.set("AuthorizationKey", NEW)
    site.do(LinkDown("the settings have changed", number))
    assert way(site).failures == 0


def test_an_order_after_going_back_is_tried_against_what_is_used() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    site.offline()
    fails(site, times=3)
    site.set("AuthorizationKey", NEWER)
    assert (way(site).way, way(site).former) == (Way(password=SecretText(NEWER)), Way())
    assert way(site).swaps == 0


def test_a_trial_begins_anew_after_a_restart_and_ends() -> None:
    site = built()
    site.set("SecurityProfile", "2")
    site.restart()
    assert way(site).until_s is not None
    site.wait(access.TRIAL_S - 2)
    assert way(site).swaps == 0
    site.wait(4)
    assert (way(site).way, access.security_profile(site.station)) == (Way(), 1)


# --- the installer's word


def test_credentials_that_the_installer_writes_win_over_what_the_csms_set() -> None:
    site = built()
    site.set("AuthorizationKey", NEW)
    comes(site)
    assert site.fresh is not None
    site.restart()
    assert way(site).way.password == SecretText(NEW), "nothing was written"
    number = way(site).number
    site.fresh = replace(site.fresh, rules=replace(site.fresh.rules, credentials_digest="written anew"))
    site.restart()
    assert way(site).way == Way()
    assert way(site).number > number
    assert "ocpp.access_dropped" in site.told()
    site.restart()
    assert "ocpp.access_dropped" not in site.told()


def test_stale_credentials_are_not_even_used_before_the_first_step() -> None:
    stale = Access(way=Way(security_profile=2, password=SecretText(NEW), key_id="k"), site_digest="other")
    site = built()
    before = replace(site.station, access=stale)
    assert access.way_of(before) == Way()
    assert access.security_profile(before) == 1
    assert access.client_key(before) is None


# --- the security profile


@pytest.mark.req("TC_083_CS", "A05.FR.05", "A05.FR.06")
def test_a_higher_profile_is_accepted_and_shown_with_the_lower_one_kept_until_it_works() -> None:
    site = built()
    assert site.set("SecurityProfile", "2") is ACCEPTED
    assert reads(site, "SecurityProfile") == "2"
    assert way(site).former == Way()
    assert logged(site) == []


@pytest.mark.req("A05.FR.09")
def test_a_profile_that_works_leaves_no_lower_one() -> None:
    site = built()
    site.set("SecurityProfile", "2")
    comes(site)
    site.offline()
    fails(site, LinkFailure.CERTIFICATE, times=20)
    site.wait(access.TRIAL_S * 3)
    assert access.security_profile(site.station) == 2


@pytest.mark.req("A05.FR.08")
@pytest.mark.parametrize("failure", [LinkFailure.CERTIFICATE, LinkFailure.TLS_VERSION, LinkFailure.UNREACHABLE])
def test_a_profile_that_gives_no_line_goes_back_to_the_lower_one(failure: LinkFailure) -> None:
    site = built()
    site.set("SecurityProfile", "2")
    site.offline()
    fails(site, failure, times=2)
    site.wait(access.TRIAL_S + 1)
    assert access.security_profile(site.station) == 1
    comes(site)
    assert reads(site, "SecurityProfile") == "1"


@pytest.mark.req("TC_084_CS", "A05.FR.01")
@pytest.mark.parametrize("value", ["0", "1", "2", "4", "-1", "two", ""])
def test_a_profile_that_is_not_higher_is_rejected(value: str) -> None:
    site = built(security_profile=2)
    assert site.set("SecurityProfile", value) is REJECTED
    assert way(site).way == Way()


@pytest.mark.req("TC_084_CS", "A05.FR.02", "A05.FR.03", "A05.FR.04")
@pytest.mark.parametrize(
    ("there", "value", "status"),
    [
        ({"has_password": False}, "1", REJECTED),
        ({"has_password": False}, "2", REJECTED),
        ({"has_password": False}, "3", ACCEPTED),
        ({"has_root": False}, "1", ACCEPTED),
        ({"has_root": False}, "2", REJECTED),
        ({"has_root": False}, "3", REJECTED),
        ({"has_client_certificate": False}, "2", ACCEPTED),
        ({"has_client_certificate": False}, "3", REJECTED),
    ],
)
def test_a_profile_without_what_it_needs_is_rejected(there: Any, value: str, status: ConfigurationStatus) -> None:
    assert built(security_profile=0, **there).set("SecurityProfile", value) is status


def test_a_password_from_the_csms_will_do_for_a_profile() -> None:
    site = built(security_profile=0, has_password=False)
    site.set("AuthorizationKey", NEW)
    assert site.set("SecurityProfile", "1") is ACCEPTED


def test_an_identity_that_basic_authentication_cannot_express_is_no_candidate_for_it() -> None:
    site = built(security_profile=0)
    site.station = replace(site.station, identity=replace(site.station.identity, id="DEPOT:7"))
    assert access.missing(site.station, 1) is not None
    assert access.missing(site.station, 3) is None


def test_an_installed_root_will_do_as_well() -> None:
    site = built(has_root=False)
    site.station = replace(site.station, certificates={"aa": replace(ROOT, use=CertificateUse.MANUFACTURER_ROOT)})
    assert access.missing(site.station, 2) is not None
    site.station = replace(site.station, certificates={"aa": ROOT})
    assert access.missing(site.station, 2) is None


# --- the station's own certificate


def chain(key_id: str, day: int, text: str = "CHAIN") -> ClientCertificate:
    at = datetime(2026, 5, day, tzinfo=UTC)
    return ClientCertificate(key_id=key_id, requested_at=START, chain=text, not_before=at if text else None)


def test_a_chain_that_has_not_begun_shows_nobody_who_we_are() -> None:
    site = built(has_client_certificate=False)
    now, later = site.now.utc, site.now.utc + timedelta(days=1)
    chains = {
        key_id: ClientCertificate(key_id=key_id, requested_at=now, chain="PEM", not_before=at, not_after=later)
        for key_id, at in (("begun", now), ("later", later))
    }
    site.station = replace(site.station, client_certificates=chains)
    assert access.client_key(site.station) == "begun"
    site.station = replace(site.station, client_certificates={"later": chains["later"]})
    assert access.client_key(site.station) is None
    assert access.missing(site.station, 3) == "there is no client certificate"


def test_the_newest_chain_is_taken_for_profile_3_where_the_site_has_none() -> None:
    site = built(has_client_certificate=False)
    several = {one.key_id: one for one in (chain("old", 1), chain("new", 2), chain("waits", 3, ""))}
    site.station = replace(site.station, client_certificates=several)
    assert site.set("SecurityProfile", "3") is ACCEPTED
    assert way(site).way == Way(security_profile=3, key_id="new")


@pytest.mark.req("TC_074_CS")
def test_a_renewed_certificate_is_tried_with_the_former_one_at_hand() -> None:
    site = built(security_profile=3)
    give_key(site, "key-2")
    assert (way(site).way.key_id, way(site).former, way(site).number) == ("key-2", Way(), 1)
    site.offline()
    fails(site, times=3)
    assert access.client_key(site.station) is None


def test_a_certificate_that_no_line_shows_is_kept_for_later_without_a_new_line() -> None:
    site = built(security_profile=2)
    give_key(site, "key-2")
    assert (way(site).number, way(site).former) == (0, None)
    assert site.set("SecurityProfile", "3") is ACCEPTED
    assert way(site).way == Way(security_profile=3, key_id="key-2")


# --- the security log


@pytest.mark.req("16-SEC-01")
@pytest.mark.parametrize(
    ("failure", "event"),
    [
        (LinkFailure.AUTHENTICATION, SecurityEvent.WE_FAILED_TO_AUTHENTICATE),
        (LinkFailure.CERTIFICATE, SecurityEvent.INVALID_CSMS_CERTIFICATE),
        (LinkFailure.OTHER_HOST, SecurityEvent.CSMS_FAILED_TO_AUTHENTICATE),
        (LinkFailure.TLS_VERSION, SecurityEvent.INVALID_TLS_VERSION),
        (LinkFailure.TLS_CIPHER, SecurityEvent.INVALID_TLS_CIPHER),
    ],
)
def test_what_went_wrong_is_in_the_security_log_once_an_outage(failure: LinkFailure, event: SecurityEvent) -> None:
    site = built()
    site.offline()
    seen: list[str] = []
    for _ in range(4):
        fails(site, failure)
        seen += logged(site)
    assert seen == [event]
    comes(site)
    site.offline()
    fails(site, failure)
    assert logged(site) == [event]


@pytest.mark.parametrize("failure", [LinkFailure.OTHER, LinkFailure.UNREACHABLE])
def test_an_ordinary_outage_is_no_security_event(failure: LinkFailure) -> None:
    site = built()
    site.offline()
    fails(site, failure)
    assert not logged(site)
