"""Roots as a 2.0.1 CSMS installs, lists and deletes them: M03 to M05."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conformance.doors import OLD, Pki, comes_back, secure, security_event
from tests.conformance.scene201 import SOCKET, STATION, OpenScene201, Scene201
from tests.fakes.pki import DAY, Authority, authority

ROOT = authority(cn="Test root", serial=0xABCDEF)
CSMS_ROOT, MAKER_ROOT = "CSMSRootCertificate", "ManufacturerRootCertificate"
NOT_SERVED = ("V2GRootCertificate", "MORootCertificate")


async def install(scene: Scene201, use: str, pem: str = ROOT.pem) -> dict[str, Any]:
    return await scene.call("InstallCertificate", certificateType=use, certificate=pem)


async def installed(scene: Scene201, use: str, pem: str = ROOT.pem) -> None:
    assert await install(scene, use, pem) == {"status": "Accepted"}


async def listed(scene: Scene201, *uses: str) -> list[dict[str, Any]]:
    """The chains of what is installed; NotFound is nothing. Without kinds all of them."""
    wanted = {"certificateType": list(uses)} if uses else {}
    answer = await scene.call("GetInstalledCertificateIds", **wanted)
    chains: list[dict[str, Any]] = answer.get("certificateHashDataChain", [])
    assert answer["status"] == ("Accepted" if chains else "NotFound")
    return chains


@pytest.mark.req("TC_M_01_CS", "TC_M_02_CS", "TC_M_12_CS", "TC_M_13_CS", "TC_M_17_CS", "TC_M_18_CS", "TC_M_19_CS")
@pytest.mark.req("M03.FR.01", "M03.FR.02", "M03.FR.03", "M03.FR.04", "M05.FR.01", "M05.FR.02", "M05.FR.17")
async def test_TC_M_01_CS_TC_M_02_CS_TC_M_12_CS_TC_M_13_CS_TC_M_17_CS_TC_M_18_CS_TC_M_19_CS_roots_installed(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    assert await listed(scene) == []
    await installed(scene, CSMS_ROOT)
    (csms,) = await listed(scene, CSMS_ROOT)
    assert csms["certificateType"] == CSMS_ROOT and "childCertificateHashData" not in csms
    assert csms["certificateHashData"]["hashAlgorithm"] == "SHA256"
    assert csms["certificateHashData"]["serialNumber"] == "abcdef"
    assert await listed(scene, MAKER_ROOT) == []
    await installed(scene, MAKER_ROOT)
    (maker,) = await listed(scene, MAKER_ROOT)
    await installed(scene, MAKER_ROOT)  # the same once more replaces itself
    assert await listed(scene, MAKER_ROOT, CSMS_ROOT) == await listed(scene) == [csms, maker]
    everything = [CSMS_ROOT, MAKER_ROOT, *NOT_SERVED, "V2GCertificateChain"]
    assert await listed(scene, *everything) == [csms, maker]
    await scene.restart_daemon()
    assert await listed(scene, CSMS_ROOT) == [csms]


@pytest.mark.req("M03.FR.02", "M05.FR.07")
async def test_roots_for_vehicles_are_refused_with_a_reason(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    for use in NOT_SERVED:
        answer = await install(scene, use)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnsupportedParam")
    assert await listed(scene, *NOT_SERVED, "V2GCertificateChain") == []


@pytest.mark.req("TC_M_07_CS", "M05.FR.07")
async def test_TC_M_07_CS_a_root_that_is_none_is_rejected_and_reported(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    now = datetime.now(UTC)
    wrong = (
        "certificate",
        "",
        authority(begins=now - 9 * DAY, ends=now - DAY).pem,
        Authority.new().server().pem,
    )
    for pem in wrong:
        answer = await install(scene, CSMS_ROOT, pem)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidCertificate")
        await scene.expect("SecurityEventNotification", type="InvalidCsmsCertificate")
    assert await listed(scene) == []


@pytest.mark.req("M05.FR.06")
async def test_a_full_store_says_so(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"CertificateStoreMaxLength": "1"})
    await installed(scene, CSMS_ROOT)
    answer = await install(scene, CSMS_ROOT, authority().pem)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "OutOfMemory")


@pytest.mark.req("TC_M_20_CS", "TC_M_22_CS", "M04.FR.01", "M04.FR.02", "M04.FR.04")
async def test_TC_M_20_CS_TC_M_22_CS_a_root_is_deleted_once(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await installed(scene, CSMS_ROOT)
    ((name),) = [chain["certificateHashData"] for chain in await listed(scene, CSMS_ROOT)]
    assert await scene.status_of("DeleteCertificate", certificateHashData=name) == "Accepted"
    assert await listed(scene) == []
    assert await scene.status_of("DeleteCertificate", certificateHashData=name) == "NotFound"


@pytest.mark.req("TC_M_23_CS", "M04.FR.06")
async def test_TC_M_23_CS_the_stations_own_certificate_and_the_last_root_are_not_deleted(
    open_scene201: OpenScene201, pki: Pki
) -> None:
    own = pki.stations.client(STATION)
    cert, key = own.write(pki.folder, "own")
    scene = await open_scene201(
        SOCKET,
        csms_options={"tls": pki.server(profile_3=True)},
        csms_settings={
            "security_profile": 3,
            "ca_file": pki.ca_file,
            "client_certificate": {"cert": str(cert), "key": str(key)},
        },
    )
    await installed(scene, MAKER_ROOT, pki.stations.pem)
    (chain,) = await listed(scene)
    name = {**chain["certificateHashData"], "serialNumber": f"{own.certificate.serial_number:x}"}
    assert await scene.status_of("DeleteCertificate", certificateHashData=name) == "Failed"
    assert len(scene.csms.logins) == 1


# --- a new root for the CSMS must be signed by the present one


@pytest.mark.req("TC_M_09_CS", "M05.FR.10", "M05.FR.11")
async def test_TC_M_09_CS_a_root_that_the_present_one_has_not_signed_is_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AdditionalRootCertificateCheck": "true"})
    first = Authority.new("First")
    await installed(scene, CSMS_ROOT, first.pem)
    answer = await install(scene, CSMS_ROOT, Authority.new("Somebody else").pem)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidCertificate")
    await scene.expect("SecurityEventNotification", type="InvalidCsmsCertificate")
    await installed(scene, CSMS_ROOT, first.below("Second").pem)
    assert len(await listed(scene, CSMS_ROOT)) == 2


@pytest.mark.req("TC_M_30_CS", "TC_M_31_CS", "M05.FR.13", "M05.FR.14")
@pytest.mark.parametrize("shown", ["the new", "the former"])
async def test_TC_M_30_CS_TC_M_31_CS_the_former_root_helps_out_until_the_new_one_has_brought_a_line(
    open_scene201: OpenScene201, pki: Pki, shown: str
) -> None:
    first = Authority.new("First")
    second = first.below("Second")
    tls = pki.server()
    scene = await open_scene201(
        SOCKET,
        keys={"AdditionalRootCertificateCheck": "true"},
        csms_options={"credentials": {STATION: OLD}, "tls": tls},
        csms_settings={"password": OLD, "ca_file": pki.ca_file},
    )
    await installed(scene, CSMS_ROOT, first.pem)
    await installed(scene, CSMS_ROOT, second.pem)
    assert len(await listed(scene, CSMS_ROOT)) == 2
    signer = second if shown == "the new" else first
    tls.load_cert_chain(*signer.server().write(pki.folder, "moved"))
    before = len(scene.csms.logins)
    assert await scene.status_of("Reset", type="Immediate") == "Accepted"
    assert secure(await comes_back(scene, before))
    left = len(await listed(scene, CSMS_ROOT))
    if shown == "the new":
        assert left == 1
    else:
        await security_event(scene, "InvalidCsmsCertificate")
        assert left == 2
