"""The station's own chains where a new one is used at once: 2.0.1 A02 with its errata."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edged.domain.answers import CertificateStatus, Reason
from edged.domain.commands import AcceptSignedChain, DeleteCertificate, TriggerSigning
from edged.domain.credentials import CertificateHash, ClientCertificate, LinkFailure, Way
from edged.domain.effects import Ask, Commission, Enqueue, SecurityRecord
from edged.domain.events import JobDone, LinkFailed, LinkProven, QuestionAnswered, SigningAnswer
from edged.domain.jobs import ChainFits, CheckChain, RequestMade
from edged.domain.station import SiteRules
from tests.fakes.site import POLICY, START, Site

AT_ONCE = replace(POLICY, renews_at_once=True)
CPO = {"CpoName": "Example"}
DAY = timedelta(days=1)
SITES_OWN = CertificateHash(algorithm="SHA256", issuer_name_hash="0aff", issuer_key_hash="", serial_number="51")
PROFILE_3 = SiteRules(security_profile=3, has_root=True, has_client_certificate=True, client_hashes=(SITES_OWN,))


def build(**options: Any) -> Site:
    return Site.build(**{"policy": AT_ONCE, "configuration": CPO, "rules": PROFILE_3, **options})


def named(serial: str, key_hash: str = "") -> CertificateHash:
    return CertificateHash(algorithm="SHA256", issuer_name_hash="aa11", issuer_key_hash=key_hash, serial_number=serial)


def renew(site: Site, key_id: str, **changes: Any) -> CertificateStatus:
    """The CSMS has a new key made and signs it."""
    site.advance(1)
    site.do(TriggerSigning(site.ref("TriggerMessage")))
    site.do(JobDone(site.of(Commission)[0].ticket, RequestMade(key_id, f"csr {key_id}")))
    site.do(QuestionAnswered(site.of(Ask)[0].ticket, SigningAnswer(True)))
    site.do(AcceptSignedChain(site.ref("CertificateSigned"), f"chain {key_id}"))
    shape: dict[str, Any] = {
        "key_id": key_id,
        "requested_at": START,
        "chain": f"chain {key_id}",
        "not_before": site.now.utc - DAY,
        "not_after": site.now.utc + 365 * DAY,
        "serial_number": key_id,
        "hashes": (named(key_id),),
    }
    site.do(JobDone(site.of(Commission)[0].ticket, ChainFits(ClientCertificate(**{**shape, **changes}))))
    status: CertificateStatus = site.reply().status
    return status


def works(site: Site) -> None:
    """A line comes about with the way that is in use, and the CSMS speaks on it."""
    site.do(LinkProven(site.station.access.number))


def fails(site: Site) -> None:
    for _ in range(3):
        site.do(LinkFailed(site.station.access.number, LinkFailure.AUTHENTICATION, "unknown"))


def told(site: Site) -> list[str]:
    records = (effect.record for effect in site.history if isinstance(effect, Enqueue))
    return [one.event_type for one in records if isinstance(one, SecurityRecord)]


@pytest.mark.req("A02.FR.06")
def test_a_chain_has_to_be_valid_now() -> None:
    site = build()
    site.do(AcceptSignedChain(site.ref("CertificateSigned"), "chain"))
    job = site.of(Commission)[0].job
    assert isinstance(job, CheckChain) and not job.future


@pytest.mark.req("A02.FR.08")
def test_a_chain_is_used_at_once_though_it_began_before_the_one_in_use() -> None:
    site = build()
    assert renew(site, "a1") is CertificateStatus.ACCEPTED
    works(site)
    assert renew(site, "b2", not_before=site.now.utc - 9 * DAY) is CertificateStatus.ACCEPTED
    assert site.station.access.way.key_id == "b2"
    assert site.station.access.former == Way(key_id="a1")


@pytest.mark.req("A02.FR.10")
def test_the_former_chain_goes_as_soon_as_the_new_one_has_brought_a_line() -> None:
    site = build()
    renew(site, "a1")
    works(site)
    renew(site, "b2")
    assert set(site.station.client_certificates) == {"a1", "b2"}
    works(site)
    assert set(site.station.client_certificates) == {"b2"}
    assert "DiscardedRenewedClientCertificate" not in told(site)
    site.restart()
    assert set(site.station.client_certificates) == {"b2"} and site.station.access.way.key_id == "b2"


@pytest.mark.req("A02.FR.28", "A02.FR.29")
@pytest.mark.parametrize("first", [True, False])
def test_a_chain_that_brings_no_line_gives_way_to_the_former_one_and_is_reported(first: bool) -> None:
    site = build()
    if not first:
        renew(site, "a1")
        works(site)
    renew(site, "b2")
    fails(site)
    assert site.station.access.way.key_id == (None if first else "a1")
    assert "b2" in site.station.client_certificates, "it may have its turn again"
    works(site)
    assert set(site.station.client_certificates) == (set() if first else {"a1"})
    assert told(site).count("DiscardedRenewedClientCertificate") == 1


def test_below_profile_3_nothing_is_shown_and_so_nothing_is_discarded() -> None:
    site = build(rules=SiteRules(security_profile=1, has_password=True))
    renew(site, "a1")
    renew(site, "b2")
    works(site)
    assert set(site.station.client_certificates) == {"a1", "b2"}


def test_where_a_chain_may_wait_the_former_one_stays() -> None:
    site = build(policy=POLICY)
    renew(site, "a1")
    works(site)
    renew(site, "b2")
    works(site)
    assert set(site.station.client_certificates) == {"a1", "b2"}


def test_a_chain_for_a_vehicle_is_refused_with_a_reason() -> None:
    site = build()
    site.do(AcceptSignedChain(site.ref("CertificateSigned"), "chain", known_kind=False))
    assert site.reply().status is CertificateStatus.REJECTED
    assert site.reply().reason == Reason.UNSUPPORTED_PARAM and site.of(Commission) == []


@pytest.mark.req("M04.FR.06")
def test_the_stations_own_certificate_is_not_deleted() -> None:
    site = build()
    renew(site, "a1")
    for own in (named("a1"), named("0A1", "the issuer's key"), replace(SITES_OWN, issuer_name_hash="0AFF")):
        site.do(DeleteCertificate(site.ref("DeleteCertificate"), own))
        assert site.reply().status is CertificateStatus.FAILED
    site.do(DeleteCertificate(site.ref("DeleteCertificate"), named("ff")))
    assert site.reply().status is CertificateStatus.NOT_FOUND
    assert set(site.station.client_certificates) == {"a1"}
