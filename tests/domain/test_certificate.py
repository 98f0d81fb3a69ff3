"""The store of roots, and the station's own keys and chains."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from edged.domain import access, certificate
from edged.domain.answers import CertificateStatus, TriggerStatus
from edged.domain.commands import (
    AcceptSignedChain,
    DeleteCertificate,
    GetInstalledCertificates,
    InstallCertificate,
    TriggerSigning,
)
from edged.domain.credentials import (
    Access,
    CertificateHash,
    CertificateUse,
    ClientCertificate,
    InstalledCertificate,
    LinkFailure,
    Way,
)
from edged.domain.effects import Abandon, Announce, Ask, Commission, Enqueue, Reply, SecurityRecord, SigningQuestion
from edged.domain.events import JobDone, LinkFailed, LinkUp, QuestionAnswered, SigningAnswer, Tick
from edged.domain.jobs import Cause, ChainFits, CheckChain, Failed, MakeRequest, ReadRoot, RequestMade, RootRead
from edged.domain.pending import PendingCertificate, PendingSigning
from edged.domain.signing import JUDGED_S, MAX_CHAINS, MAX_JUDGED, MAX_WAITING
from edged.domain.station import SiteRules
from edged.domain.transition import Draft
from tests.fakes.site import START, Site

CSMS, MAKER = CertificateUse.CSMS_ROOT, CertificateUse.MANUFACTURER_ROOT
DAY = timedelta(days=1)
CPO = {"CpoName": "Example"}


def root(name: str, use: CertificateUse = CSMS, **changes: Any) -> InstalledCertificate:
    shape: dict[str, Any] = {
        "use": use,
        "pem": f"pem {name}",
        "fingerprint": name,
        "subject": f"CN={name}",
        "hashes": (hashes(name), hashes(name, "SHA512")),
        "not_before": START - DAY,
        "not_after": START + 999 * DAY,
    }
    return InstalledCertificate(**{**shape, **changes})


def hashes(name: str, algorithm: str = "SHA256") -> CertificateHash:
    return CertificateHash(
        algorithm=algorithm, issuer_name_hash=f"{name}aa", issuer_key_hash=f"{name}bb", serial_number="1f"
    )


def install(site: Site, name: str, use: CertificateUse = CSMS, outcome: Any = None) -> CertificateStatus:
    """The whole way, with the room's judgement (good, where none is given)."""
    site.do(InstallCertificate(site.ref("InstallCertificate"), use, f"pem {name}"))
    (commission,) = site.of(Commission)
    site.do(JobDone(commission.ticket, outcome or RootRead(root(name, use))))
    status: CertificateStatus = site.reply().status
    return status


def delete(site: Site, named: CertificateHash) -> CertificateStatus:
    site.do(DeleteCertificate(site.ref("DeleteCertificate"), named))
    status: CertificateStatus = site.reply().status
    return status


def listed(site: Site, *uses: CertificateUse) -> tuple[CertificateStatus, list[str]]:
    site.do(GetInstalledCertificates(site.ref("GetInstalledCertificateIds"), uses or None))
    return site.reply().status, [one.fingerprint for one in site.reply().data]


def alarms(site: Site) -> list[str]:
    """The security events that were queued for the CSMS by the last move."""
    return [e.record.event_type for e in site.of(Enqueue) if isinstance(e.record, SecurityRecord)]


# --- installing


@pytest.mark.req("M05.FR.01")
def test_a_root_is_judged_and_then_kept() -> None:
    site = Site.build()
    site.do(InstallCertificate(site.ref(), CSMS, "pem"))
    (commission,) = site.of(Commission)
    assert commission.job == ReadRoot(use=CSMS, pem="pem")
    assert not site.of(Reply) and not site.station.certificates
    site.do(JobDone(commission.ticket, RootRead(root("one"))))
    assert site.reply().status is CertificateStatus.ACCEPTED
    assert site.told() == ["certificate.installed"]
    site.restart()
    assert listed(site, CSMS) == (CertificateStatus.ACCEPTED, ["one"])


def test_one_certificate_may_be_installed_for_each_use() -> None:
    site = Site.build()
    assert install(site, "one") is install(site, "one", MAKER) is CertificateStatus.ACCEPTED
    site.restart()
    assert listed(site, CSMS)[1] == listed(site, MAKER)[1] == ["one"]
    assert listed(site) == (CertificateStatus.ACCEPTED, ["one", "one"])


@pytest.mark.req("M05.FR.03")
def test_a_full_store_takes_no_other_root_and_the_same_ones_again() -> None:
    site = Site.build(configuration={"CertificateStoreMaxLength": "2"})
    install(site, "one")
    install(site, "two", MAKER)
    assert install(site, "three") is CertificateStatus.REJECTED
    assert alarms(site) == []
    assert install(site, "one") is CertificateStatus.ACCEPTED
    assert listed(site)[1] == ["one", "two"]


@pytest.mark.req("M05.FR.02")
def test_an_invalid_root_of_the_csms_is_refused_and_reported() -> None:
    site = Site.build()
    assert install(site, "bad", outcome=Failed("it has expired", Cause.INVALID)) is CertificateStatus.REJECTED
    assert alarms(site) == ["InvalidCsmsCertificate"]
    assert not site.station.certificates


def test_an_invalid_root_of_the_manufacturer_is_refused_without_an_event() -> None:
    site = Site.build()
    assert install(site, "bad", MAKER, Failed("it has expired", Cause.INVALID)) is CertificateStatus.REJECTED
    assert alarms(site) == []


@pytest.mark.parametrize("cause", [Cause.UNSUPPORTED, Cause.OTHER])
def test_a_root_that_nobody_could_judge_is_a_failure_and_said_in_the_log(cause: Cause) -> None:
    site = Site.build()
    assert install(site, "one", outcome=Failed("packages are missing", cause)) is CertificateStatus.FAILED
    assert alarms(site) == []
    assert site.told() == ["certificate.refused"]


def test_several_roots_are_judged_at_once_but_not_any_number() -> None:
    site = Site.build()
    for _ in range(MAX_JUDGED):
        site.do(InstallCertificate(site.ref(), CSMS, "pem"))
        assert site.of(Commission)
    site.do(InstallCertificate(site.ref(), CSMS, "pem"))
    assert site.reply().status is CertificateStatus.FAILED
    site.do(AcceptSignedChain(site.ref(), "pem"))
    assert site.reply().status is CertificateStatus.REJECTED
    for n, pending in enumerate(tuple(site.station.pending.values())):
        assert isinstance(pending, PendingCertificate)
        site.do(JobDone(pending.ticket, RootRead(root(f"root{n}"))))
    assert len(site.station.certificates) == MAX_JUDGED and not site.station.pending


def test_a_restart_while_a_root_is_judged_leaves_everything_as_it_was() -> None:
    site = Site.build()
    site.do(InstallCertificate(site.ref(), CSMS, "pem"))
    (commission,) = site.of(Commission)
    site.restart()
    site.do(JobDone(commission.ticket, RootRead(root("one"))))
    assert not site.station.certificates and not site.station.pending


# --- signed by the present root


CHECKED = {"AdditionalRootCertificateCheck": "true"}


@pytest.mark.req("M05.FR.08")
def test_the_first_root_needs_nobodys_signature() -> None:
    site = Site.build(configuration=CHECKED)
    site.do(InstallCertificate(site.ref(), CSMS, "pem"))
    assert site.of(Commission)[0].job == ReadRoot(use=CSMS, pem="pem", signed_by=())


@pytest.mark.req("M05.FR.08", "M05.FR.10")
def test_a_further_root_must_be_signed_by_the_present_one_which_stays_as_a_fallback() -> None:
    site = Site.build(configuration=CHECKED)
    install(site, "one")
    install(site, "maker", MAKER)
    site.do(InstallCertificate(site.ref(), CSMS, "pem"))
    (commission,) = site.of(Commission)
    assert commission.job.signed_by == ("pem one",)
    site.do(JobDone(commission.ticket, RootRead(root("two"))))
    assert {one.fingerprint: one.fallback for one in site.station.certificates.values()} == {
        "one": True,
        "maker": False,
        "two": False,
    }
    site.restart()
    site.do(InstallCertificate(site.ref(), CSMS, "pem"))
    assert site.of(Commission)[0].job.signed_by == ("pem two",)


@pytest.mark.req("M05.FR.09")
def test_a_root_that_the_present_one_has_not_signed_is_refused() -> None:
    site = Site.build(configuration=CHECKED)
    install(site, "one")
    assert install(site, "two", outcome=Failed("not signed", Cause.INVALID)) is CertificateStatus.REJECTED
    assert listed(site, CSMS)[1] == ["one"] and not next(iter(site.station.certificates.values())).fallback


@pytest.mark.req("M05.FR.13")
def test_the_fallback_goes_once_a_line_has_come_about_with_the_new_root() -> None:
    site = Site.build(configuration=CHECKED)
    install(site, "one")
    install(site, "two")
    draft = Draft(site.station, site.now)
    certificate.proven(draft)
    assert [one.fingerprint for one in draft.station.certificates.values()] == ["two"]
    again = Draft(draft.station, site.now)
    certificate.proven(again)
    assert again.station is draft.station and again.effects == []


def test_the_present_root_once_more_makes_no_fallback_of_itself() -> None:
    site = Site.build(configuration=CHECKED)
    install(site, "one")
    assert install(site, "one") is CertificateStatus.ACCEPTED
    assert not next(iter(site.station.certificates.values())).fallback


def test_without_the_check_roots_stand_side_by_side() -> None:
    site = Site.build()
    install(site, "one")
    install(site, "two")
    assert not any(one.fallback for one in site.station.certificates.values())


def test_a_former_root_that_is_left_alone_is_the_present_one_again() -> None:
    """Otherwise nobody's root would be asked at the next attempt, and the system's authorities in its place."""
    site = Site.build(configuration=CHECKED, rules=SiteRules(security_profile=2))
    install(site, "one")
    install(site, "two")
    assert delete(site, hashes("two")) is CertificateStatus.ACCEPTED
    assert certificate.trusted(site.station) == ("pem one",)
    site.do(LinkUp())
    assert listed(site)[1] == ["one"]


# --- listing and deleting


@pytest.mark.req("M03.FR.02")
def test_nothing_of_a_kind_is_not_found() -> None:
    site = Site.build()
    assert listed(site, CSMS) == (CertificateStatus.NOT_FOUND, [])
    install(site, "one", MAKER)
    assert listed(site, CSMS) == (CertificateStatus.NOT_FOUND, [])


@pytest.mark.req("M04.FR.01", "M04.FR.02")
def test_a_root_is_deleted_once() -> None:
    site = Site.build()
    install(site, "one")
    install(site, "two")
    assert delete(site, hashes("one")) is CertificateStatus.ACCEPTED
    assert delete(site, hashes("one")) is CertificateStatus.NOT_FOUND
    site.restart()
    assert listed(site)[1] == ["two"]


@pytest.mark.parametrize("change", [{"algorithm": "sha512"}, {"serial_number": "001F"}, {"issuer_name_hash": "ONEAA"}])
def test_a_root_is_known_by_any_of_its_names_however_they_are_written(change: dict[str, str]) -> None:
    site = Site.build()
    install(site, "one")
    assert delete(site, replace(hashes("one"), **change)) is CertificateStatus.ACCEPTED


@pytest.mark.parametrize(
    "change", [{"algorithm": "SHA384"}, {"serial_number": "1f0"}, {"issuer_name_hash": ""}, {"issuer_key_hash": "00"}]
)
def test_a_name_that_differs_anywhere_names_nothing(change: dict[str, str]) -> None:
    site = Site.build()
    install(site, "one")
    assert delete(site, replace(hashes("one"), **change)) is CertificateStatus.NOT_FOUND


def test_a_certificate_that_is_installed_twice_is_deleted_for_both_uses() -> None:
    site = Site.build()
    install(site, "one")
    install(site, "one", MAKER)
    assert delete(site, hashes("one")) is CertificateStatus.ACCEPTED
    assert not site.station.certificates


@pytest.mark.req("M04.FR.06")
@pytest.mark.parametrize(
    ("rules", "others", "status"),
    [
        (SiteRules(security_profile=2), 0, CertificateStatus.FAILED),
        (SiteRules(security_profile=3), 0, CertificateStatus.FAILED),
        (SiteRules(security_profile=2), 1, CertificateStatus.ACCEPTED),
        (SiteRules(security_profile=2, has_root=True), 0, CertificateStatus.ACCEPTED),
        (SiteRules(security_profile=1), 0, CertificateStatus.ACCEPTED),
    ],
)
def test_the_only_root_by_which_the_csms_is_known_stays(
    rules: SiteRules, others: int, status: CertificateStatus
) -> None:
    site = Site.build(rules=rules)
    install(site, "one")
    install(site, "maker", MAKER)
    for n in range(others):
        install(site, f"other{n}")
    assert delete(site, hashes("one")) is status
    assert ("one" in listed(site, CSMS)[1]) == (status is CertificateStatus.FAILED)
    assert delete(site, hashes("maker")) is CertificateStatus.ACCEPTED


def test_a_root_that_is_needed_is_not_deleted_for_its_other_use_either() -> None:
    site = Site.build(rules=SiteRules(security_profile=2))
    install(site, "one")
    install(site, "one", MAKER)
    assert delete(site, hashes("one")) is CertificateStatus.FAILED
    assert len(site.station.certificates) == 2


def test_two_roots_of_one_name_are_not_both_deleted_where_they_are_all() -> None:
    """A CA's certificate that was renewed with its old key and number: one name means both."""
    site = Site.build(rules=SiteRules(security_profile=2))
    install(site, "one")
    install(site, "new", outcome=RootRead(root("new", hashes=(hashes("one"),))))
    assert delete(site, hashes("one")) is CertificateStatus.FAILED
    assert listed(site)[1] == ["one", "new"]


def test_a_judgement_that_never_comes_is_answered_and_left() -> None:
    site = Site.build()
    site.do(InstallCertificate(site.ref(), CSMS, "pem"))
    site.do(AcceptSignedChain(site.ref(), "chain"))
    tickets = [pending.ticket for pending in site.station.pending.values()]
    seen = site.wait(JUDGED_S)
    replies = [effect.status for effect in seen if isinstance(effect, Reply)]
    assert replies == [CertificateStatus.FAILED, CertificateStatus.REJECTED]
    assert [effect.ticket for effect in seen if isinstance(effect, Abandon)] == tickets
    assert not site.station.pending
    site.do(JobDone(tickets[0], RootRead(root("one"))))
    assert not site.station.certificates and not site.of(Reply)


def test_a_key_that_never_comes_makes_room_for_another() -> None:
    site = Site.build(configuration=CPO)
    trigger(site)
    seen = site.wait(JUDGED_S)
    assert [effect.kind for effect in seen if isinstance(effect, Announce)] == ["certificate.request_failed"]
    assert not site.station.pending
    trigger(site)
    assert len(site.of(Commission)) == 1


# --- signing requests


def trigger(site: Site) -> TriggerStatus:
    site.do(TriggerSigning(site.ref("ExtendedTriggerMessage")))
    status: TriggerStatus = site.reply().status
    return status


def request(site: Site, key_id: str = "a1") -> str:
    """A trigger, up to the question to the CSMS; the question's ticket."""
    assert trigger(site) is TriggerStatus.ACCEPTED
    (commission,) = site.of(Commission)
    site.do(JobDone(commission.ticket, RequestMade(key_id, f"csr {key_id}")))
    (ask,) = site.of(Ask)
    assert ask.question == SigningQuestion(f"csr {key_id}")
    return str(ask.ticket)


def requested(site: Site, key_id: str = "a1") -> None:
    """The CSMS will have it signed."""
    site.do(QuestionAnswered(request(site, key_id), SigningAnswer(True)))


def own(site: Site) -> dict[str, ClientCertificate]:
    return dict(site.station.client_certificates)


def under_way(site: Site) -> list[PendingSigning]:
    return [pending for pending in site.station.pending.values() if isinstance(pending, PendingSigning)]


@pytest.mark.req("A02.FR.02", "A02.FR.03", "A02.FR.13")
def test_a_trigger_makes_a_key_and_sends_its_request() -> None:
    site = Site.build(configuration=CPO)
    assert trigger(site) is TriggerStatus.ACCEPTED
    (commission,) = site.of(Commission)
    assert commission.job == MakeRequest("TEST", "Example")
    site.do(JobDone(commission.ticket, RequestMade("a1", "csr")))
    assert site.of(Ask)[0].question == SigningQuestion("csr")
    assert own(site) == {"a1": ClientCertificate(key_id="a1", requested_at=site.now.utc)}


@pytest.mark.req("A02.FR.13")
@pytest.mark.parametrize("name", ["", "   ", "x" * 65])
def test_without_a_usable_name_of_the_operator_nothing_is_made(name: str) -> None:
    site = Site.build(configuration={"CpoName": name})
    assert trigger(site) is TriggerStatus.REJECTED
    assert site.of(Commission) == []


def test_a_key_that_cannot_be_made_is_said_in_the_log() -> None:
    site = Site.build(configuration=CPO)
    trigger(site)
    site.do(JobDone(site.of(Commission)[0].ticket, Failed("packages are missing", Cause.UNSUPPORTED)))
    assert site.told() == ["certificate.request_failed"]
    assert not site.station.pending and not own(site)


def test_a_second_trigger_while_the_key_is_made_needs_no_second_key() -> None:
    site = Site.build(configuration=CPO)
    trigger(site)
    assert trigger(site) is TriggerStatus.ACCEPTED
    assert site.of(Commission) == []


def test_a_trigger_while_a_chain_is_awaited_makes_a_new_key_and_the_old_one_still_fits() -> None:
    site = Site.build(configuration=CPO)
    requested(site, "a1")
    requested(site, "a2")
    assert [pending.key_id for pending in under_way(site)] == ["a2"]
    assert set(own(site)) == {"a1", "a2"}


def test_keys_whose_requests_wait_are_few_however_often_one_is_triggered() -> None:
    site = Site.build(configuration=CPO)
    for n in range(20):
        site.advance(1)
        requested(site, f"k{n:02}")
    assert sorted(own(site)) == [f"k{n:02}" for n in range(20 - MAX_WAITING, 20)]
    assert len(site.station.pending) == 1


def test_a_request_that_the_csms_refuses_is_the_end_of_its_key() -> None:
    site = Site.build(configuration=CPO)
    site.do(QuestionAnswered(request(site), SigningAnswer(False)))
    assert not own(site) and not site.station.pending
    assert site.told() == ["certificate.request_failed"]
    assert not any(isinstance(effect, Ask) for effect in site.wait(200))


def test_a_csms_that_does_not_know_the_question_is_not_asked_again() -> None:
    site = Site.build(configuration=CPO)
    site.do(QuestionAnswered(request(site), None, "NotImplemented"))
    assert not own(site) and not site.station.pending


@pytest.mark.req("A02.FR.17", "A02.FR.18", "A02.FR.19")
def test_without_a_chain_the_request_is_repeated_at_doubled_intervals_so_often_as_the_key_says() -> None:
    site = Site.build(configuration={**CPO, "CertSigningWaitMinimum": "10", "CertSigningRepeatTimes": "2"})
    requested(site)
    asked_at = []
    for second in range(1, 200):
        for effect in site.wait(1):
            if isinstance(effect, Ask):
                asked_at.append(second)
                site.do(QuestionAnswered(effect.ticket, SigningAnswer(True)))
    assert asked_at == [10, 30]
    assert not site.station.pending
    assert set(own(site)) == {"a1"}, "the key goes on waiting"


def test_a_question_without_an_answer_is_repeated_too() -> None:
    site = Site.build(configuration={**CPO, "CertSigningWaitMinimum": "10", "CertSigningRepeatTimes": "1"})
    site.do(QuestionAnswered(request(site), None))
    assert under_way(site)
    assert [effect for effect in site.wait(10) if isinstance(effect, Ask)]


def test_a_late_answer_to_an_earlier_question_changes_nothing() -> None:
    site = Site.build(configuration={**CPO, "CertSigningWaitMinimum": "10"})
    first = request(site)
    site.wait(10)
    before = site.station
    site.do(QuestionAnswered(first, SigningAnswer(False)))
    assert site.station.pending == before.pending and own(site)


def test_while_the_line_is_down_no_repetition_is_used_up() -> None:
    site = Site.build(configuration={**CPO, "CertSigningWaitMinimum": "10", "CertSigningRepeatTimes": "1"})
    requested(site)
    site.offline()
    assert not any(isinstance(effect, Ask) for effect in site.wait(60))
    (pending,) = under_way(site)
    assert pending.repeats == 0


# --- chains


def fits(site: Site, key_id: str = "a1", **changes: Any) -> ChainFits:
    shape: dict[str, Any] = {
        "key_id": key_id,
        "requested_at": START,
        "chain": f"chain {key_id}",
        "not_before": site.now.utc - DAY,
        "not_after": site.now.utc + 365 * DAY,
        "subject": "CN=TEST",
        "serial_number": "1",
    }
    return ChainFits(ClientCertificate(**{**shape, **changes}))


def accept(site: Site, outcome: Any, chain: str = "chain") -> CertificateStatus:
    site.do(AcceptSignedChain(site.ref("CertificateSigned"), chain))
    (commission,) = site.of(Commission)
    site.do(JobDone(commission.ticket, outcome))
    status: CertificateStatus = site.reply().status
    return status


def signed(site: Site, key_id: str = "a1", **changes: Any) -> None:
    requested(site, key_id)
    assert accept(site, fits(site, key_id, **changes)) is CertificateStatus.ACCEPTED


PROFILE_3 = SiteRules(security_profile=3, has_root=True, has_client_certificate=True)


@pytest.mark.req("A02.FR.06")
def test_a_chain_is_judged_by_our_keys_roots_and_names() -> None:
    site = Site.build(configuration=CPO)
    install(site, "one")
    install(site, "maker", MAKER)
    requested(site)
    site.do(AcceptSignedChain(site.ref(), "chain"))
    assert site.of(Commission)[0].job == CheckChain(
        chain="chain",
        keys=(own(site)["a1"],),
        roots=("pem one",),
        common_name="TEST",
        organization="Example",
    )


@pytest.mark.req("A02.FR.08")
def test_a_chain_that_fits_is_kept_and_shown_at_profile_3() -> None:
    site = Site.build(configuration=CPO, rules=PROFILE_3)
    signed(site)
    assert own(site)["a1"].chain == "chain a1"
    assert site.station.access.way.key_id == "a1"
    assert site.station.access.former == Way()
    assert not site.station.pending
    site.restart()
    assert own(site)["a1"].offered and site.station.access.way.key_id == "a1"


def test_below_profile_3_the_line_stays_as_it_is() -> None:
    site = Site.build(configuration=CPO, rules=SiteRules(security_profile=1, has_password=True))
    signed(site)
    assert site.station.access.number == 0 and site.station.access.former is None
    assert access.client_key(site.station) == "a1"


@pytest.mark.req("A02.FR.07", "A02.FR.20")
def test_a_chain_that_does_not_fit_is_refused_and_reported_and_asked_for_no_more() -> None:
    site = Site.build(configuration=CPO)
    requested(site)
    assert accept(site, Failed("not for our key", Cause.INVALID)) is CertificateStatus.REJECTED
    assert alarms(site) == ["InvalidChargingStationCertificate"]
    assert not any(isinstance(effect, Ask) for effect in site.wait(200))
    assert accept(site, fits(site)) is CertificateStatus.ACCEPTED, "a better one is taken"


def test_a_chain_that_nobody_can_judge_is_refused_without_an_event() -> None:
    site = Site.build(configuration=CPO)
    assert accept(site, Failed("packages are missing", Cause.UNSUPPORTED)) is CertificateStatus.REJECTED
    assert alarms(site) == []


@pytest.mark.req("A02.FR.16")
def test_a_chain_that_is_too_long_is_refused_unseen() -> None:
    site = Site.build(configuration={**CPO, "CertificateSignedMaxChainSize": "100"})
    site.do(AcceptSignedChain(site.ref(), "c" * 101))
    assert site.reply().status is CertificateStatus.REJECTED
    assert site.of(Commission) == []


def test_a_chain_fits_its_key_after_a_restart_too() -> None:
    site = Site.build(configuration=CPO)
    requested(site)
    site.restart()
    assert accept(site, fits(site)) is CertificateStatus.ACCEPTED
    assert own(site)["a1"].chain


def test_a_chain_for_a_key_that_went_meanwhile_is_refused() -> None:
    site = Site.build(configuration=CPO)
    question = request(site)
    site.do(AcceptSignedChain(site.ref(), "chain"))
    (commission,) = site.of(Commission)
    site.do(QuestionAnswered(question, SigningAnswer(False)))
    site.do(JobDone(commission.ticket, fits(site)))
    assert site.reply().status is CertificateStatus.REJECTED
    assert not own(site)


def test_a_chain_ends_the_wait_for_older_requests_and_not_for_newer_ones() -> None:
    site = Site.build(configuration=CPO)
    requested(site, "a1")
    site.advance(1)
    requested(site, "a2")
    site.advance(1)
    requested(site, "a3")
    accept(site, fits(site, "a2"))
    assert set(own(site)) == {"a2", "a3"}
    assert [pending.key_id for pending in under_way(site)] == ["a3"]


@pytest.mark.req("A02.FR.09")
def test_a_chain_of_the_future_has_its_turn_when_it_begins() -> None:
    site = Site.build(configuration=CPO, rules=PROFILE_3)
    signed(site, "a1")
    _worked(site)
    signed(site, "a2", not_before=site.now.utc + timedelta(seconds=30))
    assert site.station.access.way.key_id == "a1"
    site.wait(29)
    assert site.station.access.way.key_id == "a1"
    site.wait(1)
    assert site.station.access.way.key_id == "a2"


def _worked(site: Site) -> None:
    """A line has come about with the way that is in use."""
    site.station = replace(site.station, access=Access(way=site.station.access.way, number=1))


def test_a_chain_has_its_turn_once_and_going_back_from_it_is_final() -> None:
    site = Site.build(configuration=CPO, rules=PROFILE_3)
    signed(site, "a1")
    site.station = replace(site.station, access=Access(way=Way(), number=9))
    site.wait(5)
    assert site.station.access.way.key_id is None


@pytest.mark.req("A02.FR.10")
def test_a_chain_that_was_superseded_is_kept_a_month() -> None:
    site = Site.build(configuration=CPO, rules=PROFILE_3)
    signed(site, "a1")
    _worked(site)
    signed(site, "a2", not_before=site.now.utc)
    _worked(site)
    site.advance(29 * 86_400)
    site.do(Tick())
    assert set(own(site)) == {"a1", "a2"}
    site.advance(2 * 86_400)
    site.do(Tick())
    assert set(own(site)) == {"a2"}


def test_nothing_goes_by_a_clock_that_is_not_trusted() -> None:
    site = Site.build(configuration=CPO)
    requested(site)
    site.now = replace(site.now, synchronized=False, utc=site.now.utc + 400 * DAY)
    site.do(Tick())
    assert own(site)


def test_a_request_that_nobody_answers_is_forgotten_after_a_month() -> None:
    site = Site.build(configuration=CPO)
    requested(site)
    site.advance(31 * 86_400)
    site.do(Tick())
    assert not own(site)


def test_chains_are_few_however_many_are_signed() -> None:
    site = Site.build(configuration=CPO, rules=PROFILE_3)
    for n in range(12):
        site.advance(1)
        signed(site, f"k{n:02}", not_before=site.now.utc)
    for n in range(12):
        site.advance(1)
        signed(site, f"f{n:02}", not_before=site.now.utc + 9 * DAY)
    in_use = {way.key_id for way in site.station.access.ways}
    assert len(own(site)) <= MAX_CHAINS + len(in_use)
    assert "k11" in own(site) and "f11" in own(site)


# --- renewal


def _renewals(site: Site) -> list[Commission]:
    return [effect for effect in site.effects if isinstance(effect, Commission) and isinstance(effect.job, MakeRequest)]


def _at(site: Site, moment: datetime) -> None:
    site.advance((moment - site.now.utc).total_seconds())
    site.do(Tick())


@pytest.mark.req("A03.FR.02")
def test_a_month_before_its_end_a_chain_is_renewed_once_a_day() -> None:
    site = Site.build(configuration=CPO)
    end = site.now.utc + 365 * DAY
    signed(site, not_after=end)
    _at(site, end - 31 * DAY)
    assert _renewals(site) == []
    _at(site, end - 30 * DAY)
    (commission,) = _renewals(site)
    site.do(JobDone(commission.ticket, Failed("the disk is full")))
    _at(site, end - 29.5 * DAY)
    assert _renewals(site) == []
    site.restart()
    site.do(Tick())
    _online(site)
    assert _renewals(site) == []
    _at(site, end - 28 * DAY)
    (commission,) = _renewals(site)
    site.do(JobDone(commission.ticket, RequestMade("a2", "csr a2")))
    assert accept(site, fits(site, "a2")) is CertificateStatus.ACCEPTED
    _at(site, end - 2 * DAY)
    assert _renewals(site) == [] and not site.station.pending


def _online(site: Site) -> None:
    site.station = replace(site.station, link=Site.build().station.link)


def test_a_short_life_is_not_renewed_without_end() -> None:
    site = Site.build(configuration=CPO)
    signed(site, not_before=site.now.utc, not_after=site.now.utc + 3 * DAY)
    site.do(Tick())
    assert _renewals(site) == []
    _at(site, site.now.utc + 2 * DAY)
    assert _renewals(site)


@pytest.mark.parametrize("lacking", ["clock", "line", "name"])
def test_nothing_is_renewed_without_what_it_takes(lacking: str) -> None:
    site = Site.build(configuration=CPO)
    signed(site, not_after=site.now.utc + 20 * DAY, not_before=site.now.utc - 300 * DAY)
    for effect in tuple(_renewals(site)):
        site.do(JobDone(effect.ticket, Failed("no")))
    site.advance(2 * 86_400)
    if lacking == "line":
        site.offline()
    elif lacking == "name":
        site.set("CpoName", "")
    else:
        site.now = replace(site.now, synchronized=False)
    site.do(Tick())
    assert _renewals(site) == []


# --- by which root the CSMS is known


def _fail(site: Site) -> None:
    """The CSMS's certificate is refused."""
    site.do(LinkFailed(site.station.access.number, LinkFailure.CERTIFICATE, "unknown authority"))


@pytest.mark.req("M05.FR.11", "M05.FR.12")
def test_the_former_root_helps_out_only_after_the_new_one_has_failed() -> None:
    site = Site.build(configuration=CHECKED, rules=SiteRules(security_profile=2))
    install(site, "one")
    install(site, "two")
    site.offline()
    assert certificate.trusted(site.station) == ("pem two",)
    _fail(site)
    assert certificate.trusted(site.station) == ("pem one", "pem two")
    site.do(LinkUp(site.station.access.number))
    assert listed(site, CSMS)[1] == ["one", "two"], "nothing was shown of the new one"
    site.offline()
    assert certificate.trusted(site.station) == ("pem two",)
    site.do(LinkUp(site.station.access.number))
    assert listed(site, CSMS)[1] == ["two"]


def test_a_line_without_tls_shows_nothing_of_a_root() -> None:
    site = Site.build(configuration=CHECKED)
    install(site, "one")
    install(site, "two")
    site.offline()
    site.do(LinkUp(site.station.access.number))
    assert listed(site, CSMS)[1] == ["one", "two"]


def test_bookkeeping_does_not_change_what_a_line_shows() -> None:
    site = Site.build(configuration=CPO, rules=PROFILE_3)
    signed(site)
    kept = own(site)["a1"]
    assert kept.offered and kept.shown == replace(kept, renewal_at=START, superseded_at=START).shown
    assert kept.shown != replace(kept, chain="another").shown
