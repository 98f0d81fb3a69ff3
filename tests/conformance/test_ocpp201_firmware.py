"""Firmware updates of 2.0.1 over the wire: real servers on loopback, a real hook, real signatures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edged.system import installer
from tests.conformance.files import FIRMWARE, Hook, maker, now
from tests.conformance.scene201 import PATIENCE_S, SOCKET, OpenScene201, Scene201
from tests.fakes import pki
from tests.fakes.file_servers import WebServer, serving, status
from tests.fakes.pki import DAY

SOON = 0.2 * DAY / 86_400
"""Of a second: what is due sooner is not scheduled."""
NOTIFICATION = "FirmwareStatusNotification"
VERIFIED = ["Downloading", "Downloaded", "SignatureVerified"]
WHOLE = [*VERIFIED, "Installing", "Installed"]
Web = Callable[..., WebServer]


@dataclass(slots=True)
class Maker:
    """Who signs firmware, and the scene that knows its root."""

    scene: Scene201
    signer: pki.Pair
    root: pki.Pair

    async def update(
        self,
        url: str,
        *,
        request_id: int = 9,
        signer: pki.Pair | None = None,
        signature: str | None = None,
        retrieve: str | None = None,
        install: str | None = None,
        **more: object,
    ) -> str:
        """The status of an UpdateFirmware that is signed well, but for what is given."""
        chosen = signer or self.signer
        firmware: dict[str, Any] = {
            "location": url,
            "retrieveDateTime": retrieve or now(),
            "signingCertificate": chosen.pem,
            "signature": signature or chosen.sign_ecdsa(FIRMWARE),
        }
        if install is not None:
            firmware["installDateTime"] = install
        return await self.scene.status_of("UpdateFirmware", requestId=request_id, firmware=firmware, **more)


async def trusting(scene: Scene201) -> Maker:
    """The CSMS installs the manufacturer's root."""
    root, signer = maker()
    installed = await scene.status_of(
        "InstallCertificate", certificateType="ManufacturerRootCertificate", certificate=root.pem
    )
    assert installed == "Accepted"
    return Maker(scene, signer, root)


def stages(scene: Scene201, request_id: int = 9) -> list[str]:
    """What was told of an update; every status but Idle names it."""
    told = scene.messages(NOTIFICATION, after=0)
    assert all(("requestId" in one) is (one["status"] != "Idle") for one in told)
    return [one["status"] for one in told if one.get("requestId") == request_id]


async def told(scene: Scene201, word: str, request_id: int = 9) -> None:
    """Until the CSMS has heard of this stage, since the last move or before."""
    await scene.csms.wait_for(
        NOTIFICATION,
        lambda payload: payload["status"] == word and payload.get("requestId") == request_id,
        after=0,
        timeout_s=2 * PATIENCE_S,
    )


async def event(scene: Scene201, name: str) -> None:
    await scene.csms.wait_for("SecurityEventNotification", lambda payload: payload["type"] == name, after=0)


async def triggered(scene: Scene201) -> dict[str, Any]:
    assert await scene.status_of("TriggerMessage", requestedMessage=NOTIFICATION) == "Accepted"
    return await scene.expect(NOTIFICATION)


@pytest.mark.req(
    "TC_L_01_CS", "L01.FR.01", "L01.FR.04", "L01.FR.10", "L01.FR.20", "L01.FR.21", "L01.FR.28", "L01.FR.31"
)
async def test_TC_L_01_CS_a_signed_firmware_is_fetched_verified_and_installed(
    open_scene201: OpenScene201, web: Web, tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url("/fw.bin")) == "Accepted"
    await told(scene, "Installed")
    assert stages(scene) == WHOLE
    await event(scene, "FirmwareUpdated")
    assert hook.given.read_bytes() == FIRMWARE and hook.count == 1
    assert await triggered(scene) == {"status": "Idle"}, "L01.FR.25"


@pytest.mark.req("TC_L_01_CS", "L01.FR.15", "L01.FR.23")
async def test_TC_L_01_CS_a_firmware_that_restarts_the_computer_says_so(
    open_scene201: OpenScene201, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, server = Hook(tmp_path, exit_status=installer.REBOOTING), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url()) == "Accepted"
    await told(scene, "InstallRebooting")
    boot = tmp_path / "boot-id"
    boot.write_text("after the restart")
    await scene.stop_daemon()
    monkeypatch.setattr(installer, "KERNEL_BOOT_ID", boot)
    scene.daemon.forget_the_boot()
    await scene.start_daemon()
    booted = await scene.expect("BootNotification")
    assert booted["reason"] == "FirmwareUpdate"
    await scene.expect(NOTIFICATION, status="Installed", requestId=9)
    assert stages(scene) == [*VERIFIED, "Installing", "InstallRebooting", "Installed"]


@pytest.mark.req("TC_L_02_CS", "L01.FR.16")
async def test_TC_L_02_CS_an_installation_waits_for_its_time(
    open_scene201: OpenScene201, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.domain.firmware.AT_ONCE", SOON)
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url(), install=now(1.5)) == "Accepted"
    await told(scene, "InstallScheduled")
    assert hook.count == 0
    assert await triggered(scene) == {"status": "InstallScheduled", "requestId": 9}, "L01.FR.26"
    await told(scene, "Installed")
    assert [*dict.fromkeys(stages(scene))] == [*VERIFIED, "InstallScheduled", "Installing", "Installed"]


@pytest.mark.req("TC_L_03_CS", "L01.FR.13")
async def test_TC_L_03_CS_a_download_waits_for_its_time(
    open_scene201: OpenScene201, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.domain.firmware.AT_ONCE", SOON)
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url(), retrieve=now(1.0)) == "Accepted"
    await told(scene, "DownloadScheduled")
    assert server.calls == []
    await told(scene, "Installed")
    assert stages(scene) == ["DownloadScheduled", *WHOLE]


@pytest.mark.req("TC_L_05_CS", "L01.FR.02", "L01.FR.21", "L01.FR.22")
@pytest.mark.parametrize("wrong", ["expired", "of a stranger"])
async def test_TC_L_05_CS_a_signer_that_may_not_sign_is_refused_and_reported(
    open_scene201: OpenScene201, web: Web, tmp_path: Path, wrong: str
) -> None:
    server = web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=Hook(tmp_path).settings)
    made = await trusting(scene)
    moment = datetime.now(UTC)
    signers = {
        "expired": pki.issue(made.root, begins=moment - 9 * DAY, ends=moment - DAY),
        "of a stranger": maker()[1],
    }
    assert await made.update(server.url(), signer=signers[wrong]) == "InvalidCertificate"
    await event(scene, "InvalidFirmwareSigningCertificate")
    assert server.calls == [] and stages(scene) == []


@pytest.mark.req("TC_L_06_CS", "L01.FR.03", "L01.FR.04")
async def test_TC_L_06_CS_a_wrong_signature_is_reported_and_nothing_installed(
    open_scene201: OpenScene201, web: Web, tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    signature = made.signer.sign_ecdsa(b"something else")
    assert await made.update(server.url(), signature=signature) == "Accepted"
    await told(scene, "InvalidSignature")
    await event(scene, "InvalidFirmwareSignature")
    assert stages(scene) == ["Downloading", "Downloaded", "InvalidSignature"] and hook.count == 0


@pytest.mark.req("TC_L_07_CS", "L01.FR.10", "L01.FR.30")
async def test_TC_L_07_CS_a_download_that_fails_is_tried_again_and_then_told(
    open_scene201: OpenScene201, web: Web, tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(status(404), status(503))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url(), retries=0) == "Accepted"
    await told(scene, "DownloadFailed")
    assert stages(scene) == ["Downloading", "DownloadFailed"]
    assert await made.update(server.url(), request_id=10, retries=1, retryInterval=1) == "Accepted"
    await told(scene, "DownloadFailed", 10)
    assert stages(scene, 10) == ["Downloading", "DownloadPaused", "Downloading", "DownloadFailed"], "L01.FR.14"
    assert hook.count == 0


@pytest.mark.req("TC_L_08_CS", "L01.FR.29")
async def test_TC_L_08_CS_an_installation_that_fails_is_told_by_its_cause(
    open_scene201: OpenScene201, web: Web, tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path, exit_status=installer.NOT_FIRMWARE), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url()) == "Accepted"
    await told(scene, "InstallVerificationFailed")
    assert stages(scene) == [*VERIFIED, "Installing", "InstallVerificationFailed"]
    Hook(tmp_path, exit_status=1)
    assert await made.update(server.url(), request_id=10) == "Accepted"
    await told(scene, "InstallationFailed", 10)
    assert stages(scene, 10) == [*VERIFIED, "Installing", "InstallationFailed"]


@pytest.mark.req("TC_L_10_CS", "L01.FR.24")
async def test_TC_L_10_CS_a_newer_update_takes_the_place_of_one_that_waits(
    open_scene201: OpenScene201, web: Web, tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url(), request_id=1, retrieve=now(600.0)) == "Accepted"
    await told(scene, "DownloadScheduled", 1)
    assert await made.update(server.url(), request_id=2) == "AcceptedCanceled"
    await told(scene, "Installed", 2)
    assert (stages(scene, 1), stages(scene, 2)) == (["DownloadScheduled"], WHOLE)


@pytest.mark.req("L01.FR.27", "B11.FR.06")
async def test_while_firmware_is_installed_it_cannot_be_called_back_and_nobody_can_start(
    open_scene201: OpenScene201, web: Web, tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path, closed=True), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    made = await trusting(scene)
    assert await made.update(server.url()) == "Accepted"
    await hook.begun()
    await scene.csms.wait_for("StatusNotification", lambda p: p["connectorStatus"] == "Unavailable", after=0)
    answer = await scene.call(
        "UpdateFirmware",
        requestId=10,
        firmware={
            "location": server.url(),
            "retrieveDateTime": now(),
            "signingCertificate": made.signer.pem,
            "signature": made.signer.sign_ecdsa(FIRMWARE),
        },
    )
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "FwUpdateInProgress")
    assert await scene.status_of("Reset", type="Immediate") == "Rejected"
    hook.open()
    await told(scene, "Installed")
    assert stages(scene, 10) == []
    await scene.csms.wait_for("StatusNotification", lambda p: p["connectorStatus"] == "Available", after=scene.since)


async def charges(scene: Scene201, tag: str, evse: int) -> None:
    scene.plug(evse)
    await scene.expect_status("Occupied", evse)
    scene.swipe(tag, evse)
    await scene.expect_event("Started", evse=evse)
    await scene.energy_flows(evse)


@pytest.mark.req("TC_L_14_CS", "TC_L_15_CS", "L01.FR.06", "L01.FR.07")
@pytest.mark.parametrize("new_sessions", [True, False])
async def test_TC_L_14_CS_TC_L_15_CS_firmware_waits_for_whoever_charges(
    open_scene201: OpenScene201, web: Web, tmp_path: Path, new_sessions: bool
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    keys = {"AllowNewSessionsPendingFirmwareUpdate": "true" if new_sessions else "false"}
    scene = await open_scene201(SOCKET, SOCKET, keys=keys, site_settings=hook.settings)
    made = await trusting(scene)
    await charges(scene, "ALICE", 1)
    assert await made.update(server.url()) == "Accepted"
    await told(scene, "SignatureVerified")
    if new_sessions:
        await scene.settled()
        await charges(scene, "BOB", 2)
        assert hook.count == 0
        scene.unplug(2)
        await scene.expect_event("Ended", evse=2)
    else:
        await scene.csms.wait_for(
            "StatusNotification", lambda p: p["evseId"] == 2 and p["connectorStatus"] == "Unavailable", after=0
        )
    await scene.settled()
    assert hook.count == 0 and stages(scene) == VERIFIED
    scene.unplug(1)
    await scene.expect_event("Ended", evse=1)
    await told(scene, "Installed")
    assert stages(scene) == WHOLE


@pytest.mark.req("TC_L_18_CS", "L02.FR.01")
async def test_TC_L_18_CS_unsigned_firmware_is_taken_only_where_no_manufacturers_root_is_installed(
    open_scene201: OpenScene201, web: Web, tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene201(site_settings=hook.settings)
    firmware = {"location": server.url(), "retrieveDateTime": now()}
    assert await scene.status_of("UpdateFirmware", requestId=9, firmware=firmware) == "Accepted"
    await told(scene, "Installed")
    assert stages(scene) == ["Downloading", "Downloaded", "Installing", "Installed"]
    await trusting(scene)
    answer = await scene.call("UpdateFirmware", requestId=10, firmware=firmware)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "MissingParam")
    await scene.answered()
    assert stages(scene, 10) == [] and len(server.calls) == 1


async def test_what_is_no_update_is_refused_with_the_word_for_it(open_scene201: OpenScene201, tmp_path: Path) -> None:
    scene = await open_scene201(site_settings=Hook(tmp_path).settings)
    made = await trusting(scene)
    answer = await scene.call(
        "UpdateFirmware",
        requestId=1,
        firmware={
            "location": "file:///etc/passwd",
            "retrieveDateTime": now(),
            "signingCertificate": made.signer.pem,
            "signature": "c2ln",
        },
    )
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidURL")
    with pytest.raises(Exception, match="TypeConstraintViolation"):
        await made.update("https://example.com/fw", retrieve="tomorrow")
    assert stages(scene) == []
