"""Firmware updates: every stage in its order, told in the commit that makes it true, whatever comes between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edged.dialects.v16 import POLICY as V16
from edged.domain.answers import FileStatus, ResetStatus, Verdict
from edged.domain.commands import ResetKind, ResetStation, TriggerMessage, UpdateFirmware
from edged.domain.credentials import CertificateHash, CertificateUse, InstalledCertificate
from edged.domain.desired import desired
from edged.domain.effects import (
    Abandon,
    Commission,
    FirmwareRecord,
    Keep,
    NoticeKind,
    Notify,
    RecordKind,
    Reply,
    Restart,
)
from edged.domain.events import JobDone, JobStaged, Tick
from edged.domain.files import FirmwareOrder, FirmwareStatus, FirmwareUpdate
from edged.domain.firmware import JUDGED_S, shown
from edged.domain.hardware import Capability
from edged.domain.jobs import (
    Cause,
    CheckSigner,
    Done,
    Failed,
    Fetched,
    FetchFirmware,
    InstallFirmware,
    Outcome,
    Stage,
    VerifyFirmware,
)
from edged.domain.journal import SecurityEntry
from edged.domain.station import SiteRules
from tests.fakes.site import FULL, START, Site, layout

S = FirmwareStatus
HOOK = SiteRules(installs_firmware=True)
ROOT = InstalledCertificate(
    use=CertificateUse.MANUFACTURER_ROOT,
    pem="ROOT PEM",
    fingerprint="ab",
    subject="CN=maker",
    hashes=(CertificateHash(algorithm="SHA256", issuer_name_hash="a", issuer_key_hash="b", serial_number="1"),),
    not_before=START,
    not_after=START + timedelta(days=365),
)
FILE = Fetched("firmware-1", 100, "00")


def build(connectors: int = 2, *, root: bool = False, **options: Any) -> Site:
    options = {"policy": V16, "rules": HOOK, **options}
    site = Site.build(connectors, **options)
    if root:
        site.station = replace(site.station, certificates={"ab": ROOT})
    return site


def order(site: Site, *, request_id: int | None = None, **changes: Any) -> Any:
    """The answer to an update, if there is one already."""
    wanted: dict[str, Any] = {"location": "https://example.com/fw", "retrieve_at": site.now.utc}
    if request_id is not None:
        wanted.update(request_id=request_id, signed=True, signing_certificate="PEM", signature="c2ln")
    site.do(UpdateFirmware(site.ref("UpdateFirmware"), FirmwareOrder(**{**wanted, **changes})))
    replies = site.of(Reply)
    return replies[0].status if replies else None


def update(site: Site) -> FirmwareUpdate:
    assert site.station.firmware is not None
    return site.station.firmware


def job(site: Site) -> Commission:
    newest: Commission = site.last(Commission)
    return newest


def end(site: Site, outcome: Outcome = Done()) -> None:
    """The newest job ends."""
    site.do(JobDone(job(site).ticket, outcome))


def stage(site: Site, reached: Stage) -> None:
    site.do(JobStaged(job(site).ticket, reached))


def told(site: Site) -> list[FirmwareStatus]:
    """What was enqueued for the CSMS so far, in order."""
    records = (getattr(effect, "record", None) for effect in site.history)
    return [record.status for record in records if isinstance(record, FirmwareRecord)]


def kept(site: Site) -> list[str]:
    """The security log so far."""
    entries = [effect.entry for effect in site.history if isinstance(effect, Keep)]
    return [entry.event_type for entry in entries if isinstance(entry, SecurityEntry)]


def unsigned(site: Site, outcome: Outcome = FILE) -> None:
    order(site)
    end(site, outcome)


def signed(site: Site, **changes: Any) -> None:
    """As far as the signature."""
    order(site, request_id=7, **changes)
    end(site)
    end(site, FILE)


def test_the_computers_restart_is_the_firmwares_though_edged_was_restarted_before() -> None:
    site = build()
    unsigned(site)
    site.restart(continued=True)
    site.do(Tick())
    assert site.station.next_boot_reason == "FirmwareUpdate"
    end(site, Failed("no"))
    assert site.station.next_boot_reason is None


# --- a signer that nobody judges


def test_a_signer_that_is_not_judged_in_time_is_answered_and_left() -> None:
    site = build(root=True)
    assert order(site, request_id=7) is None
    ticket = job(site).ticket
    seen = site.wait(JUDGED_S)
    assert [effect.status for effect in seen if isinstance(effect, Reply)] == [FileStatus.REJECTED]
    assert [effect.ticket for effect in seen if isinstance(effect, Abandon)] == [ticket]
    site.do(JobDone(ticket, Done()))
    assert site.station.firmware is None and not site.station.pending


# --- the whole way


@pytest.mark.req("TC_044_1_CS")
def test_an_unsigned_update_goes_from_the_download_to_the_installation() -> None:
    site = build()
    assert order(site) is FileStatus.ACCEPTED
    assert told(site) == [S.DOWNLOADING] and isinstance(job(site).job, FetchFirmware)
    end(site, FILE)
    assert told(site) == [S.DOWNLOADING, S.DOWNLOADED, S.INSTALLING]
    assert job(site).job == InstallFirmware("firmware-1")
    end(site)
    assert told(site)[-1] is S.INSTALLED
    assert "FirmwareUpdated" in kept(site)


@pytest.mark.req("TC_080_CS", "L01.FR.10")
def test_a_signed_update_is_judged_fetched_verified_and_installed() -> None:
    site = build(root=True)
    assert order(site, request_id=7) is None
    assert job(site).job == CheckSigner("PEM", ("ROOT PEM",))
    end(site)
    assert site.reply().status is FileStatus.ACCEPTED
    end(site, FILE)
    assert isinstance(job(site).job, VerifyFirmware)
    end(site)
    stage(site, Stage.REBOOTING)
    end(site)
    assert told(site) == [
        S.DOWNLOADING,
        S.DOWNLOADED,
        S.SIGNATURE_VERIFIED,
        S.INSTALLING,
        S.INSTALL_REBOOTING,
        S.INSTALLED,
    ]
    records = [r for r in site.outbox.values() if isinstance(r, FirmwareRecord)]
    assert {record.request_id for record in records} == {7}


@pytest.mark.parametrize(("request_id", "words"), [(7, True), (None, False)])
def test_pauses_are_told_of_updates_whose_message_has_the_word(request_id: int | None, words: bool) -> None:
    site = build(root=request_id is not None)
    order(site, request_id=request_id)
    if request_id is not None:
        end(site)
    for reached in (Stage.PAUSED, Stage.RESUMED, Stage.PAUSED, Stage.RESUMED):
        stage(site, reached)
    pauses = [S.DOWNLOAD_PAUSED, S.DOWNLOADING] * 2 if words else []
    assert told(site) == [S.DOWNLOADING, *pauses]


def test_a_stage_that_does_not_fit_or_is_an_old_jobs_changes_nothing() -> None:
    site = build()
    order(site)
    old = job(site).ticket
    stage(site, Stage.RESUMED)
    stage(site, Stage.REBOOTING)
    order(site)
    before = update(site)
    site.do(JobStaged(old, Stage.PAUSED))
    site.do(JobDone(old, FILE))
    assert update(site) == before


# --- what fails


@pytest.mark.req("TC_044_2_CS")
def test_a_download_that_fails_is_the_end() -> None:
    site = build()
    unsigned(site, Failed("no such host"))
    assert told(site) == [S.DOWNLOADING, S.DOWNLOAD_FAILED]
    assert update(site).over and update(site).reason == "no such host"


@pytest.mark.req("TC_044_3_CS")
@pytest.mark.parametrize("cause", [Cause.OTHER, Cause.VERIFICATION])
def test_an_unsigned_installation_that_fails_is_told_whatever_1_6_calls_it(cause: Cause) -> None:
    site = build()
    unsigned(site)
    end(site, Failed("it said no", cause))
    assert told(site) == [S.DOWNLOADING, S.DOWNLOADED, S.INSTALLING, S.INSTALLATION_FAILED]
    assert "FirmwareUpdated" not in kept(site)


def test_a_file_that_the_installer_does_not_know_is_told_as_that() -> None:
    site = build(root=True)
    signed(site)
    end(site)
    end(site, Failed("no firmware", Cause.VERIFICATION))
    assert told(site)[-1] is S.INSTALL_VERIFICATION_FAILED


@pytest.mark.req("TC_081_CS")
@pytest.mark.parametrize("cause", [Cause.INVALID, Cause.REVOKED])
def test_a_wrong_signature_is_never_installed_and_goes_into_the_security_log(cause: Cause) -> None:
    site = build(root=True)
    signed(site)
    end(site, Failed("the signature is wrong", cause))
    assert told(site) == [S.DOWNLOADING, S.DOWNLOADED, S.INVALID_SIGNATURE]
    assert "InvalidFirmwareSignature" in kept(site)
    assert not any(isinstance(e, Commission) and isinstance(e.job, InstallFirmware) for e in site.history)


def test_a_signature_that_could_not_be_looked_at_is_not_called_wrong() -> None:
    site = build(root=True)
    signed(site)
    end(site, Failed("the disk is broken"))
    assert told(site)[-1] is S.INSTALLATION_FAILED
    assert "InvalidFirmwareSignature" not in kept(site)


def test_without_a_hook_nothing_claims_to_install() -> None:
    site = build(rules=SiteRules())
    unsigned(site)
    assert told(site) == [S.DOWNLOADING, S.DOWNLOADED, S.INSTALLATION_FAILED]
    assert "firmware.install" in update(site).reason


# --- who may order


@pytest.mark.req("L01.FR.23", "L01.FR.02")
@pytest.mark.parametrize(
    ("cause", "status", "noted"),
    [
        (Cause.INVALID, FileStatus.INVALID_CERTIFICATE, True),
        (Cause.REVOKED, FileStatus.REVOKED_CERTIFICATE, True),
        (Cause.OTHER, FileStatus.REJECTED, False),
    ],
)
def test_a_signer_that_is_not_trusted_is_refused(cause: Cause, status: FileStatus, noted: bool) -> None:
    site = build(root=True)
    order(site, request_id=7)
    end(site, Failed("not theirs", cause))
    assert site.reply().status is status
    assert ("InvalidFirmwareSigningCertificate" in kept(site)) is noted
    assert site.station.firmware is None and told(site) == []


def test_without_a_manufacturers_root_nobody_can_sign() -> None:
    site = build()
    assert order(site, request_id=7) is FileStatus.INVALID_CERTIFICATE
    assert "InvalidFirmwareSigningCertificate" in kept(site)


@pytest.mark.req("L01.FR.20")
def test_an_unsigned_update_is_refused_where_a_manufacturers_root_is_installed() -> None:
    site = build(root=True)
    assert order(site) is FileStatus.SIGNED_ONLY
    assert site.station.firmware is None


@pytest.mark.parametrize("location", ["file:///etc/passwd", "", "/etc/passwd", "sftp://h/f", "http://", "ftp://u:p@/f"])
def test_a_signed_update_from_what_is_no_address_is_rejected(location: str) -> None:
    site = build(root=True)
    assert order(site, request_id=7, location=location) is FileStatus.REJECTED


@pytest.mark.parametrize("ends", [False, True])
def test_one_signer_is_judged_at_a_time_and_the_newer_order_wins(ends: bool) -> None:
    site = build(root=True)
    order(site, request_id=7)
    first = job(site).ticket
    assert order(site, request_id=8) is FileStatus.REJECTED, "the older one's answer"
    assert site.of(Abandon) == [Abandon(first)]
    if ends:
        site.do(JobDone(first, Done()))
    end(site)
    assert site.reply().status is FileStatus.ACCEPTED
    assert update(site).order.request_id == 8


@pytest.mark.req("L01.FR.26")
def test_a_newer_order_cancels_the_running_one() -> None:
    site = build(root=True)
    signed(site)
    running = job(site).ticket
    order(site, request_id=8)
    end(site)
    assert site.reply().status is FileStatus.ACCEPTED_CANCELED
    assert Abandon(running) in site.effects
    assert told(site)[-1] is S.DOWNLOADING and update(site).order.request_id == 8


def test_each_order_has_a_name_of_its_own() -> None:
    site = build()
    order(site)
    first = update(site).order.key
    order(site)
    assert first and update(site).order.key not in ("", first)


@pytest.mark.req("L01.FR.27")
@pytest.mark.parametrize("request_id", [None, 8])
def test_nothing_replaces_an_installation(request_id: int | None) -> None:
    site = build(root=request_id is not None)
    if request_id is not None:
        signed(site)
        end(site)
    else:
        unsigned(site)
    before = update(site)
    assert order(site, request_id=request_id) is FileStatus.REJECTED
    assert update(site) == before


def test_an_order_whose_signer_was_judged_when_an_installation_had_begun_is_rejected() -> None:
    site = build()
    order(site)
    download = job(site).ticket
    site.station = replace(site.station, certificates={"ab": ROOT})
    order(site, request_id=8)
    judging = job(site).ticket
    site.do(JobDone(download, FILE))
    site.do(JobDone(judging, Done()))
    assert site.reply().status is FileStatus.REJECTED
    assert update(site).installing


# --- times


@pytest.mark.req("L01.FR.13", "L01.FR.16")
def test_what_is_due_later_is_scheduled_and_done_in_time() -> None:
    site = build(root=True)
    order(site, request_id=7, retrieve_at=START + timedelta(seconds=60), install_at=START + timedelta(seconds=120))
    end(site)
    assert told(site) == [S.DOWNLOAD_SCHEDULED]
    site.wait(59)
    assert told(site) == [S.DOWNLOAD_SCHEDULED]
    site.wait(1)
    assert told(site)[1:] == [S.DOWNLOADING]
    end(site, FILE)
    end(site)
    assert told(site)[2:] == [S.DOWNLOADED, S.SIGNATURE_VERIFIED, S.INSTALL_SCHEDULED]
    site.wait(59)
    assert told(site)[-1] is S.INSTALL_SCHEDULED
    assert site.status(1) == "Available"
    site.wait(1)
    assert told(site)[-1] is S.INSTALLING


def test_an_unsigned_update_that_is_due_later_says_nothing_until_then() -> None:
    site = build()
    order(site, retrieve_at=START + timedelta(seconds=60))
    assert told(site) == []
    site.wait(60)
    assert told(site) == [S.DOWNLOADING]


def test_clocks_that_differ_by_a_moment_schedule_nothing() -> None:
    site = build(root=True)
    order(site, request_id=7, retrieve_at=START + timedelta(seconds=3))
    end(site)
    assert told(site) == []
    site.wait(3)
    assert told(site) == [S.DOWNLOADING]


# --- who charges goes first


@pytest.mark.req("L01.FR.06", "L01.FR.07")
def test_it_waits_for_the_transaction_and_lets_nobody_begin_another() -> None:
    site = build(2)
    site.start(1, "ALICE")
    unsigned(site)
    assert told(site)[-1] is S.DOWNLOADED
    assert (site.status(1), site.status(2)) == ("Charging", "Unavailable")
    assert desired(site.station, 1).permit_charging and not desired(site.station, 2).operative
    assert site.remote_start("BOB", 2) is Verdict.REJECTED
    site.unplug(1)
    assert site.records(RecordKind.ENDED)
    assert told(site)[-1] is S.INSTALLING
    assert site.status(1) == "Unavailable"
    end(site, Failed("no"))
    assert (site.status(1), site.status(2)) == ("Finishing", "Available")
    assert desired(site.station, 2).operative


def test_it_waits_for_a_driver_who_was_let_in() -> None:
    site = build(1)
    site.show("ALICE", 1)
    order(site)
    end(site, FILE)
    assert told(site)[-1] is S.DOWNLOADED
    site.accept()
    assert told(site)[-1] is S.DOWNLOADED and site.status(1) == "Preparing"
    site.plug(1)
    site.charge(1)
    assert site.status(1) == "Charging"
    site.unplug(1)
    assert told(site)[-1] is S.INSTALLING


def test_a_reservation_is_kept_and_its_connector_stays_in_service() -> None:
    site = build(2)
    site.reserve(1, "ALICE", 1, minutes=5)
    unsigned(site)
    assert told(site)[-1] is S.DOWNLOADED
    assert (site.status(1), site.status(2)) == ("Reserved", "Unavailable")
    assert site.station.reservations
    site.reserve(2, "BOB", 2)
    assert site.reply().status == "Unavailable"
    site.wait(301)
    assert told(site)[-1] is S.INSTALLING and not site.station.reservations


def test_while_any_place_is_promised_every_place_stays_in_service() -> None:
    site = build(2, configuration={"ReserveConnectorZeroSupported": "true"})
    site.reserve(1, "ALICE")
    unsigned(site)
    assert site.station.reservations and site.status(2) != "Unavailable"
    assert told(site)[-1] is S.DOWNLOADED
    site.cancel(1)
    assert told(site)[-1] is S.INSTALLING


def test_a_connector_that_is_put_into_service_meanwhile_is_so_when_the_firmware_is_done() -> None:
    shape = layout(1, capabilities=FULL | {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE})
    site = build(layouts=(shape,))
    site.available(1, False)
    site.look(1, site.connector(1).state, operative=False)
    unsigned(site)
    site.available(1, True)
    assert site.reply().status == "Accepted"
    assert site.status(1) == "Unavailable" and not desired(site.station, 1).operative
    end(site)
    assert desired(site.station, 1).operative


# --- resets, restarts and power cuts


@pytest.mark.parametrize("kind", list(ResetKind))
def test_a_reset_while_installing_is_rejected(kind: ResetKind) -> None:
    site = build()
    unsigned(site)
    site.do(ResetStation(site.ref("Reset"), kind))
    assert site.reply().status is ResetStatus.REJECTED and site.reply().detail == "firmware installation in progress"
    assert not site.of(Restart)


def test_a_reset_answers_who_waits_for_a_signer_and_begins_nothing_new() -> None:
    site = build(1, root=True)
    order(site, request_id=7)
    site.do(ResetStation(site.ref("Reset"), ResetKind.HARD))
    while not any(isinstance(e, Restart) for e in site.history):
        site.wait(1)
    rejected = [e for e in site.history if getattr(e, "status", None) is FileStatus.REJECTED]
    assert len(rejected) == 1


def test_a_reset_during_the_download_begins_no_installation() -> None:
    site = build(1)
    site.start(1, "ALICE")
    order(site)
    site.do(ResetStation(site.ref("Reset"), ResetKind.SOFT))
    end(site, FILE)
    assert told(site)[-1] is S.DOWNLOADED
    site.restart()
    assert told(site)[-1] is S.INSTALLING


def steps(site: Site) -> list[Outcome]:
    """What ends each job of a signed update after its acceptance, in order."""
    return [FILE, Done(), Done()]


@pytest.mark.parametrize("cut", range(4))
def test_a_power_cut_at_any_stage_repeats_nothing_and_leaves_nothing_out(cut: int) -> None:
    site = build(root=True)
    order(site, request_id=7)
    end(site)
    for number, outcome in enumerate(steps(site)):
        if number == cut:
            before = told(site)
            site.restart()
            assert told(site) == before, "a restart is no stage"
        end(site, outcome)
    if cut == 3:
        site.restart()
    assert told(site) == [S.DOWNLOADING, S.DOWNLOADED, S.SIGNATURE_VERIFIED, S.INSTALLING, S.INSTALLED]


def test_after_a_cut_while_installing_the_hook_is_asked_and_not_started_again() -> None:
    site = build()
    unsigned(site)
    site.restart()
    assert job(site).job == InstallFirmware("firmware-1", resume=True)


@pytest.mark.parametrize("stages", [[], [Stage.REBOOTING]])
def test_the_boot_of_an_installation_has_its_reason(stages: list[Stage]) -> None:
    site = build()
    unsigned(site)
    for reached in stages:
        stage(site, reached)
    assert site.station.next_boot_reason == "FirmwareUpdate"
    end(site)
    assert site.station.next_boot_reason is None


def test_a_connector_is_out_of_service_from_the_first_step_after_a_restart() -> None:
    site = build()
    unsigned(site)
    site.restart()
    assert not any(site.station.effective(number) for number in site.station.connectors)


# --- who asks


def trigger(site: Site, kind: NoticeKind) -> Any:
    site.do(TriggerMessage(site.ref("TriggerMessage"), kind, None))
    return site.reply().status


@pytest.mark.req("TC_054_CS", "L01.FR.28", "L01.FR.29")
def test_who_asks_is_told_the_last_stage() -> None:
    site = build(root=True)
    assert shown(site.station) == (S.IDLE, None)
    assert trigger(site, NoticeKind.FIRMWARE_STATUS) == "Accepted"
    assert site.of(Notify) == [Notify(NoticeKind.FIRMWARE_STATUS, triggered=True)]
    signed(site)
    assert shown(site.station) == (S.DOWNLOADED, 7)
    end(site)
    end(site)
    assert shown(site.station) == (S.IDLE, None)


# --- who may begin while firmware waits


@pytest.mark.req("L01.FR.07")
@pytest.mark.parametrize("allowed", [True, False])
def test_while_firmware_waits_a_free_place_is_open_where_new_sessions_are_allowed(allowed: bool) -> None:
    site = build(configuration={"AllowNewSessionsPendingFirmwareUpdate": "true" if allowed else "false"})
    site.start(1)
    unsigned(site)
    assert update(site).waiting and site.connector(2).withdrawn is not allowed
    site.unplug(1)
    assert update(site).status is S.INSTALLING
    assert site.connector(2).withdrawn, "while it is installed nobody can begin"
