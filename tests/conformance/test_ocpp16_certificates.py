"""Certificates of the security extension, as the CSMS handles them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.doors import shown_by_the_station
from tests.conformance.scene import PATIENCE_S, STATION, OpenScene, Scene
from tests.fakes.pki import DAY, Authority, authority

ROOT = authority(cn="Test root", serial=0xABCDEF)
CSMS_ROOT, MAKER_ROOT = "CentralSystemRootCertificate", "ManufacturerRootCertificate"
CPO = {"CpoName": "Example Energy"}


async def install(scene: Scene, use: str, pem: str = ROOT.pem) -> str:
    return await scene.status_of("InstallCertificate", certificateType=use, certificate=pem)


async def listed(scene: Scene, use: str) -> list[dict[str, Any]]:
    """The hash data of what is installed; NotFound is nothing."""
    answer = await scene.call("GetInstalledCertificateIds", certificateType=use)
    names: list[dict[str, Any]] = answer.get("certificateHashData", [])
    assert answer["status"] == ("Accepted" if names else "NotFound")
    return names


async def request(scene: Scene) -> str:
    """Trigger a signing request; the request."""
    answer = await scene.status_of("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    assert answer == "Accepted"
    csr = (await scene.expect("SignCertificate"))["csr"]
    assert isinstance(csr, str)
    return csr


@pytest.mark.req("TC_075_1_CS")
async def test_TC_075_1_CS_a_manufacturers_root_is_installed_and_listed(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await listed(scene, MAKER_ROOT) == []
    assert await install(scene, MAKER_ROOT) == "Accepted"
    (name,) = await listed(scene, MAKER_ROOT)
    assert name["hashAlgorithm"] == "SHA256" and name["serialNumber"] == "abcdef"
    assert await listed(scene, CSMS_ROOT) == []


@pytest.mark.req("TC_075_2_CS")
async def test_TC_075_2_CS_a_root_of_the_central_system_is_installed_and_listed(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await install(scene, CSMS_ROOT) == "Accepted"
    (name,) = await listed(scene, CSMS_ROOT)
    await scene.restart_daemon()
    assert await listed(scene, CSMS_ROOT) == [name]


@pytest.mark.req("TC_076_CS")
async def test_TC_076_CS_a_certificate_is_deleted_once(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await install(scene, CSMS_ROOT) == "Accepted"
    (name,) = await listed(scene, CSMS_ROOT)
    assert await scene.status_of("DeleteCertificate", certificateHashData=name) == "Accepted"
    assert await listed(scene, CSMS_ROOT) == []
    assert await scene.status_of("DeleteCertificate", certificateHashData=name) == "NotFound"


@pytest.mark.req("TC_077_CS", "A02.FR.07")
async def test_TC_077_CS_a_chain_for_a_key_that_is_not_ours_is_rejected_and_reported(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=CPO)
    before = datetime.now(UTC)
    await request(scene)
    stranger = Authority.new().client(STATION).chain_pem
    assert await scene.status_of("CertificateSigned", certificateChain=stranger) == "Rejected"
    event = await scene.expect("SecurityEventNotification", type="InvalidChargePointCertificate")
    told_at = datetime.fromisoformat(event["timestamp"])
    assert before.replace(microsecond=0) <= told_at <= datetime.now(UTC)
    assert 0 < len(event["techInfo"]) <= 255


@pytest.mark.req("TC_077_CS", "A02.FR.07")
@pytest.mark.parametrize("wrong", ["nonsense", "expired", "another authority"])
async def test_TC_077_CS_a_chain_that_does_not_hold_is_rejected_and_reported(open_scene: OpenScene, wrong: str) -> None:
    scene = await open_scene(keys=CPO)
    csms = Authority.new()
    assert await install(scene, CSMS_ROOT, csms.pem) == "Accepted"
    csr = await request(scene)
    now = datetime.now(UTC)
    chain = {
        "nonsense": "-----BEGIN CERTIFICATE-----",
        "expired": csms.sign_request(csr, not_before=now - 9 * DAY, not_after=now - DAY),
        "another authority": Authority.new().sign_request(csr),
    }[wrong]
    assert await scene.status_of("CertificateSigned", certificateChain=chain) == "Rejected"
    await scene.expect("SecurityEventNotification", type="InvalidChargePointCertificate")


@pytest.mark.req("TC_078_CS", "M05.FR.02")
@pytest.mark.parametrize("wrong", ["nonsense", "empty", "expired", "no authority"])
async def test_TC_078_CS_a_root_that_is_none_is_rejected_and_reported(open_scene: OpenScene, wrong: str) -> None:
    scene = await open_scene()
    now = datetime.now(UTC)
    pem = {
        "nonsense": "certificate",
        "empty": "",
        "expired": authority(begins=now - 9 * DAY, ends=now - DAY).pem,
        "no authority": Authority.new().server().pem,
    }[wrong]
    assert await install(scene, CSMS_ROOT, pem) == "Rejected"
    await scene.expect("SecurityEventNotification", type="InvalidCentralSystemCertificate")
    assert await listed(scene, CSMS_ROOT) == []


@pytest.mark.req("TC_074_CS", "A02.FR.02")
async def test_TC_074_CS_a_chain_is_asked_for_signed_and_accepted(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=CPO)
    csms = Authority.new()
    assert await install(scene, CSMS_ROOT, csms.pem) == "Accepted"
    chain = csms.sign_request(await request(scene))
    assert await scene.status_of("CertificateSigned", certificateChain=chain) == "Accepted"
    await scene.answered()
    assert scene.payloads("SecurityEventNotification") == []
    assert scene.csms.connection_count(STATION) == 1, "below profile 3 nothing is shown, and the line stays"


@pytest.mark.req("TC_074_CS", "A02.FR.08")
async def test_TC_074_CS_at_profile_3_the_new_certificate_is_used_for_a_new_connection(
    open_scene: OpenScene, tmp_path: Path
) -> None:
    csms = Authority.new()
    server = tmp_path / "csms"
    server.mkdir()
    cert, key = csms.client(STATION).write(server, "station")
    ca = server / "ca.pem"
    ca.write_text(csms.pem)
    scene = await open_scene(
        keys=CPO,
        csms_options={"tls": csms.server().server_context(server, clients=csms)},
        csms_settings={
            "security_profile": 3,
            "ca_file": str(ca),
            "client_certificate": {"cert": str(cert), "key": str(key)},
        },
    )
    assert await install(scene, CSMS_ROOT, csms.pem) == "Accepted"
    chain = csms.sign_request(await request(scene))
    assert await scene.status_of("CertificateSigned", certificateChain=chain) == "Accepted"
    await scene.csms.wait_disconnected(STATION, timeout_s=PATIENCE_S)
    await scene.csms.wait_connected(STATION, timeout_s=PATIENCE_S)
    await scene.answered()
    assert chain.startswith(shown_by_the_station(scene))


@pytest.mark.req("16-GEN-01")
async def test_without_a_name_of_the_operator_no_request_is_made(open_scene: OpenScene) -> None:
    scene = await open_scene()
    asked = await scene.status_of("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    assert asked == "Rejected"
    await scene.answered()
    assert scene.payloads("SignCertificate") == []


@pytest.mark.req("16-GEN-01")
async def test_a_heartbeat_and_a_status_are_triggered_by_the_extended_trigger_too(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.status_of("ExtendedTriggerMessage", requestedMessage="Heartbeat") == "Accepted"
    await scene.expect("Heartbeat")
    asked = await scene.status_of("ExtendedTriggerMessage", requestedMessage="StatusNotification", connectorId=1)
    assert asked == "Accepted"
    await scene.expect_status("Available", 1)
    asked = await scene.status_of("ExtendedTriggerMessage", requestedMessage="StatusNotification", connectorId=9)
    assert asked == "Rejected"
