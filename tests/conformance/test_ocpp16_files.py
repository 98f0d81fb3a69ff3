"""Firmware and logs over the wire: real servers on loopback, a real hook, and a daemon that dies in between."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edged.system import installer
from tests.conformance.files import FIRMWARE, FTP_PASSWORD, LOOPBACK, Hook, maker, names_and_content, now
from tests.conformance.scene import PATIENCE_S, OpenScene, Scene
from tests.fakes import pki
from tests.fakes.file_servers import Call, WebServer, ftp_server, serving, status


def stages(scene: Scene, action: str = "FirmwareStatusNotification", *, after: int = 0) -> list[str]:
    return [str(payload["status"]) for payload in scene.messages(action, after=after)]


async def update(scene: Scene, url: str, **more: object) -> None:
    assert await scene.call("UpdateFirmware", location=url, retrieveDate=now(), **more) == {}


async def told(scene: Scene, word: str, action: str = "FirmwareStatusNotification") -> dict[str, Any]:
    """Until the CSMS has heard of this stage, since the last move or before."""
    return await scene.csms.wait_for(
        action, lambda payload: payload["status"] == word, after=0, timeout_s=2 * PATIENCE_S
    )


# --- unsigned firmware


@pytest.mark.req("TC_044_1_CS")
async def test_TC_044_1_CS_firmware_update(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings)
    await update(scene, server.url("/fw.bin"))
    await told(scene, "Installed")
    assert stages(scene) == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert hook.given.read_bytes() == FIRMWARE and hook.count == 1
    await scene.answered()
    assert not list((scene.daemon.state_dir / "transfer").glob("firmware-*")), "the file is of no more use"
    assert await scene.status_of("TriggerMessage", requestedMessage="FirmwareStatusNotification") == "Accepted"
    await scene.expect("FirmwareStatusNotification", status="Idle")


@pytest.mark.req("TC_044_1_CS")
async def test_TC_044_1_CS_firmware_update_with_a_restart_of_the_computer(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, server = Hook(tmp_path, exit_status=installer.REBOOTING), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings)
    await update(scene, server.url())
    await told(scene, "Installing")
    async with asyncio.timeout(PATIENCE_S):
        while not list((scene.daemon.state_dir / "transfer" / "results").glob("*.json")):
            await asyncio.sleep(0.02)
    boot = tmp_path / "boot-id"
    boot.write_text("after the restart")
    await scene.stop_daemon()
    monkeypatch.setattr(installer, "KERNEL_BOOT_ID", boot)
    scene.daemon.forget_the_boot()
    await scene.start_daemon()
    await scene.expect("FirmwareStatusNotification", status="Installed")
    assert scene.in_order("BootNotification", "FirmwareStatusNotification")
    assert stages(scene) == ["Downloading", "Downloaded", "Installing", "Installed"] and hook.count == 1


@pytest.mark.req("TC_044_2_CS")
async def test_TC_044_2_CS_firmware_update_download_failed(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(status(404))
    scene = await open_scene(site_settings=hook.settings)
    await update(scene, server.url(), retries=0)
    await told(scene, "DownloadFailed")
    assert stages(scene) == ["Downloading", "DownloadFailed"] and hook.count == 0


@pytest.mark.req("TC_044_3_CS")
@pytest.mark.parametrize("exit_status", [1, installer.NOT_FIRMWARE])
async def test_TC_044_3_CS_firmware_update_installation_failed(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path, exit_status: int
) -> None:
    hook, server = Hook(tmp_path, exit_status=exit_status), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings)
    await update(scene, server.url())
    await told(scene, "InstallationFailed")
    assert stages(scene) == ["Downloading", "Downloaded", "Installing", "InstallationFailed"]


async def test_the_csms_cannot_make_the_station_knock_at_its_neighbours(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    server = web(serving(FIRMWARE))
    scene = await open_scene(site_settings={"firmware": {"install": "/bin/true"}})
    await update(scene, server.url())
    await told(scene, "DownloadFailed")
    assert server.calls == []


async def test_a_reset_during_the_installation_is_rejected_and_nobody_can_start(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path, closed=True), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings)
    await update(scene, server.url())
    await hook.begun()
    await scene.csms.wait_for("StatusNotification", lambda p: p["status"] == "Unavailable", after=0)
    assert await scene.status_of("Reset", type="Hard") == "Rejected"
    assert await scene.remote_start("ALICE") == "Rejected"
    hook.open()
    await told(scene, "Installed")
    await scene.csms.wait_for(
        "StatusNotification", lambda p: p["connectorId"] == 1 and p["status"] == "Available", after=scene.since
    )


# --- a daemon that dies in between


async def test_a_download_goes_on_where_the_daemon_was_killed(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    content, release, sent = os.urandom(10 * 1024 * 1024), threading.Event(), threading.Event()

    def half(call: Call) -> None:
        call.send_response(200)
        call.send_header("ETag", '"one"')
        call.send_header("Content-Length", str(len(content)))
        call.end_headers()
        call.wfile.write(content[: 9 * 1024 * 1024])
        sent.set()
        release.wait(60)

    hook, server = Hook(tmp_path), web(half, serving(content))
    scene = await open_scene(site_settings=hook.settings, process=True)
    await update(scene, server.url())
    await asyncio.to_thread(sent.wait, PATIENCE_S)
    part = scene.daemon.state_dir / "transfer"
    async with asyncio.timeout(PATIENCE_S):
        while not list(part.glob("*.part.json")):
            await asyncio.sleep(0.05)
    await scene.restart_daemon(kill=True)
    release.set()
    await told(scene, "Installed")
    assert stages(scene) == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert hook.given.read_bytes() == content
    assert server.calls[1].headers["Range"], "what was there is not fetched again"


@pytest.mark.parametrize("meanwhile", [True, False])
async def test_an_installation_outlives_the_daemon(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path, meanwhile: bool
) -> None:
    hook, server = Hook(tmp_path, closed=True), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings, process=True)
    await update(scene, server.url())
    await hook.begun()
    if meanwhile:
        await scene.daemon.kill()
        hook.open()
        await scene.start_daemon(wait=False)
    else:
        await scene.restart_daemon(kill=True)
        hook.open()
    await told(scene, "Installed")
    assert stages(scene) == ["Downloading", "Downloaded", "Installing", "Installed"] and hook.count == 1


async def test_an_installation_that_the_power_interrupted_has_failed(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path, closed=True), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings, process=True)
    await update(scene, server.url())
    await hook.begun()
    await scene.daemon.kill()
    hook.cut_off()
    await scene.start_daemon()
    await told(scene, "InstallationFailed")
    assert stages(scene) == ["Downloading", "Downloaded", "Installing", "InstallationFailed"] and hook.count == 1


# --- logs


@pytest.mark.req("TC_045_1_CS")
async def test_TC_045_1_CS_get_diagnostics(open_scene: OpenScene, tmp_path: Path) -> None:
    scene = await open_scene(site_settings=LOOPBACK)
    up = tmp_path / "up"
    up.mkdir()
    with ftp_server(up, password=FTP_PASSWORD) as server:
        url = f"ftp://edged:{FTP_PASSWORD}@127.0.0.1:{server.address[1]}/"
        answer = await scene.call("GetDiagnostics", location=url, startTime=now(-3600), stopTime=now(3600))
        await told(scene, "Uploaded", "DiagnosticsStatusNotification")
    assert stages(scene, "DiagnosticsStatusNotification") == ["Uploading", "Uploaded"]
    content = names_and_content((up / answer["fileName"]).read_bytes())
    assert {"status.json", "keys.json", "edged.yaml", "versions.json", "security.log"} <= set(content)
    assert not list((scene.daemon.state_dir / "transfer").glob("log-*")), "nothing is left of it"


@pytest.mark.req("TC_045_1_CS")
async def test_no_secret_leaves_in_the_diagnostics(open_scene: OpenScene, tmp_path: Path) -> None:
    """Everything that is secret, in every place where it may get into an archive."""
    first, second = "First-Passw0rd-of-the-site", "Second-Passw0rd-by-csms"
    broker = "Br0ker-Passw0rd/of=the site"
    scene = await open_scene(
        process=True,
        csms_options={"credentials": {"CP-1": first}},
        csms_settings={"password": first, "security_profile": 1},
        station_settings={"offline_tokens": ["OFFLINE-TOKEN-9"]},
        site_settings={
            **LOOPBACK,
            "mqtt": {"url": "mqtt://127.0.0.1:1", "username": "edged", "password": broker},
            "log": {"level": "debug", "wire": True},
        },
    )
    await scene.charging("ALICE")
    await scene.reserve("DAD", 1, id=4, parent="FAMILY")
    await scene.call("ChangeConfiguration", key="AuthorizationKey", value=second)
    up = tmp_path / "up"
    up.mkdir()
    scene.csms.credentials = {"CP-1": second}
    await scene.csms.wait_connected("CP-1", timeout_s=PATIENCE_S)
    with ftp_server(up, password=FTP_PASSWORD) as server:
        url = f"ftp://edged:{FTP_PASSWORD}@127.0.0.1:{server.address[1]}/"
        answer = await scene.call("GetDiagnostics", location=url)
        await told(scene, "Uploaded", "DiagnosticsStatusNotification")
    content = names_and_content((up / answer["fileName"]).read_bytes())
    everything = b"\n".join([*map(str.encode, content), *content.values()])
    assert b"StartTransaction" in content["log.txt"] and b"heartbeat" in everything.lower()
    for secret in (first, second, broker, FTP_PASSWORD, "OFFLINE-TOKEN-9", "ALICE", "FAMILY"):
        assert secret.encode() not in everything, f"{secret} is in the archive"
        assert secret.encode().hex().encode() not in everything.lower()


@pytest.mark.req("TC_045_2_CS")
async def test_TC_045_2_CS_get_diagnostics_upload_failed(open_scene: OpenScene, web: Callable[..., WebServer]) -> None:
    server = web(status(500))
    scene = await open_scene(site_settings=LOOPBACK)
    answer = await scene.call("GetDiagnostics", location=server.url("/up/"), retries=0)
    assert answer["fileName"]
    await told(scene, "UploadFailed", "DiagnosticsStatusNotification")
    assert stages(scene, "DiagnosticsStatusNotification") == ["Uploading", "UploadFailed"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "/etc/passwd", "nonsense"])
async def test_a_log_goes_nowhere_that_is_no_address(open_scene: OpenScene, location: str) -> None:
    scene = await open_scene(site_settings=LOOPBACK)
    assert await scene.call("GetDiagnostics", location=location) == {}
    log = {"remoteLocation": location}
    assert await scene.status_of("GetLog", logType="DiagnosticsLog", requestId=3, log=log) == "Rejected"
    await scene.answered()
    assert scene.payloads("DiagnosticsStatusNotification", after=0) == []


@pytest.mark.req("TC_079_CS")
async def test_TC_079_CS_get_security_log(open_scene: OpenScene, web: Callable[..., WebServer]) -> None:
    server = web(status(201))
    scene = await open_scene(site_settings=LOOPBACK)
    answer = await scene.call(
        "GetLog",
        logType="SecurityLog",
        requestId=7,
        log={"remoteLocation": server.url("/up"), "oldestTimestamp": now(-60)},
    )
    assert answer["status"] == "Accepted" and answer["filename"].endswith(".log")
    await told(scene, "Uploaded", "LogStatusNotification")
    said = scene.messages("LogStatusNotification", after=0)
    assert said == [{"status": "Uploading", "requestId": 7}, {"status": "Uploaded", "requestId": 7}]
    assert b"StartupOfTheDevice" in server.calls[0].body


# --- signed firmware


async def signed_update(scene: Scene, url: str, signer: pki.Pair, signature: str, request_id: int = 9) -> str:
    firmware = {"location": url, "retrieveDateTime": now(), "signingCertificate": signer.pem, "signature": signature}
    return await scene.status_of("SignedUpdateFirmware", requestId=request_id, firmware=firmware)


async def trust(scene: Scene, root: pki.Pair) -> None:
    status = await scene.status_of(
        "InstallCertificate", certificateType="ManufacturerRootCertificate", certificate=root.pem
    )
    assert status == "Accepted"


@pytest.mark.req("TC_080_CS", "L01.FR.10", "L01.FR.20")
async def test_TC_080_CS_secure_firmware_update(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings)
    root, signer = maker()
    await trust(scene, root)
    assert await signed_update(scene, server.url(), signer, signer.sign_ecdsa(FIRMWARE)) == "Accepted"
    await told(scene, "Installed", "SignedFirmwareStatusNotification")
    said = scene.messages("SignedFirmwareStatusNotification", after=0)
    assert [one["status"] for one in said] == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "Installed",
    ]
    assert {one["requestId"] for one in said} == {9}
    await scene.csms.wait_for("SecurityEventNotification", lambda p: p["type"] == "FirmwareUpdated", after=0)
    assert hook.given.read_bytes() == FIRMWARE
    with pytest.raises(Exception, match="NotSupported"):
        await scene.call("UpdateFirmware", location=server.url(), retrieveDate=now())


@pytest.mark.req("TC_081_CS")
async def test_TC_081_CS_secure_firmware_update_with_a_wrong_signature(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    hook, server = Hook(tmp_path), web(serving(FIRMWARE))
    scene = await open_scene(site_settings=hook.settings)
    root, signer = maker()
    await trust(scene, root)
    assert await signed_update(scene, server.url(), signer, signer.sign_ecdsa(b"something else")) == "Accepted"
    await told(scene, "InvalidSignature", "SignedFirmwareStatusNotification")
    assert stages(scene, "SignedFirmwareStatusNotification") == ["Downloading", "Downloaded", "InvalidSignature"]
    await scene.csms.wait_for("SecurityEventNotification", lambda p: p["type"] == "InvalidFirmwareSignature", after=0)
    assert hook.count == 0


@pytest.mark.req("L01.FR.02", "L01.FR.23")
async def test_a_signer_that_nobody_vouches_for_is_refused(
    open_scene: OpenScene, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    server = web(serving(FIRMWARE))
    scene = await open_scene(site_settings=Hook(tmp_path).settings)
    root, _ = maker()
    _, stranger = maker()
    signature = stranger.sign_ecdsa(FIRMWARE)
    assert await signed_update(scene, server.url(), stranger, signature) == "InvalidCertificate"
    await trust(scene, root)
    assert await signed_update(scene, server.url(), stranger, signature) == "InvalidCertificate"
    await scene.csms.wait_for(
        "SecurityEventNotification", lambda p: p["type"] == "InvalidFirmwareSigningCertificate", after=0
    )
    assert server.calls == []
