"""The way to the CSMS in 2.0.1 over real TLS: passwords, what the CSMS shows, and the station's own certificate."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.doors import (
    HOST,
    OLD,
    WRONG,
    Pki,
    comes_back,
    is_down,
    profile_1,
    reconnects,
    secure,
    security_event,
    shown_by_the_station,
)
from tests.conformance.scene201 import SOCKET, STATION, OpenScene201, Scene201
from tests.fakes.gate import Gate
from tests.fakes.pki import DAY, Authority

NEW = "The-Brand-New_Password@201"
CPO = {"CpoName": "Example Energy"}
PASSWORD = ("SecurityCtrlr", "BasicAuthPassword")
WITH_PASSWORD: dict[str, Any] = {"csms_options": {"credentials": {STATION: OLD}}, "csms_settings": profile_1()}


def over_tls(tls: ssl.SSLContext, pki: Pki) -> dict[str, Any]:
    """Security profile 2."""
    return {
        "csms_options": {"credentials": {STATION: OLD}, "tls": tls},
        "csms_settings": {"password": OLD, "ca_file": pki.ca_file},
    }


def certified(pki: Pki, **station: Any) -> dict[str, Any]:
    """Security profile 3."""
    return {
        "keys": CPO,
        "csms_options": {"tls": pki.server(profile_3=True)},
        "csms_settings": {
            "security_profile": 3,
            "ca_file": pki.ca_file,
            "client_certificate": pki.station(**station),
        },
    }


# --- who is who


@pytest.mark.req("TC_A_01_CS", "A00.FR.202", "A00.FR.203", "A00.FR.204", "A00.FR.205")
async def test_TC_A_01_CS_the_identity_is_the_user_of_basic_authentication_each_time(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(SOCKET, **WITH_PASSWORD)
    await reconnects(scene)
    assert [login.user for login in scene.csms.logins] == [STATION, STATION]
    assert scene.csms.refused_logins == 0


@pytest.mark.req("TC_A_04_CS", "A00.FR.309", "A00.FR.312", "A00.FR.313", "A00.FR.319", "A00.FR.321")
async def test_TC_A_04_CS_a_server_that_somebody_known_vouches_for_is_spoken_to(
    open_scene201: OpenScene201, pki: Pki
) -> None:
    scene = await open_scene201(SOCKET, **over_tls(pki.server(), pki))
    (login,) = scene.csms.logins
    assert secure(login) and login.user == STATION
    assert await scene.get_variable("SecurityCtrlr", "SecurityProfile") == "2"


@pytest.mark.req("TC_A_05_CS", "A00.FR.309", "A00.FR.310", "A00.FR.311")
@pytest.mark.parametrize("wrong", [name for name in WRONG if name != "another host's"])
async def test_TC_A_05_CS_a_server_with_a_wrong_certificate_learns_nothing_and_is_reported_later(
    open_scene201: OpenScene201, pki: Pki, wrong: str
) -> None:
    tls = pki.server(WRONG[wrong](pki))
    scene = await open_scene201(SOCKET, wait=False, **over_tls(tls, pki))
    await is_down(scene, "certificate is refused")
    assert (scene.csms.logins, scene.csms.refused_logins) == ([], 0)
    tls.load_cert_chain(*pki.root.server().write(pki.folder, "mended"))
    await scene.ready()
    await security_event(scene, "InvalidCsmsCertificate")


def old_tls(context: ssl.SSLContext) -> None:
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def weak_ciphers(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")


@pytest.mark.req("TC_A_06_CS", "A00.FR.314", "A00.FR.316", "A00.FR.318", "A00.FR.416")
@pytest.mark.parametrize(
    ("weaken", "reason", "event"),
    [
        (old_tls, "no TLS version", "InvalidTLSVersion"),
        (weak_ciphers, "no acceptable TLS cipher suite", "InvalidTLSCipherSuite"),
    ],
)
async def test_TC_A_06_CS_a_server_with_old_tls_only_is_left_and_reported_later(
    open_scene201: OpenScene201, pki: Pki, weaken: Callable[[ssl.SSLContext], None], reason: str, event: str
) -> None:
    weak = pki.server()
    weaken(weak)
    with Gate(weak) as gate:
        options = over_tls(pki.server(), pki)
        options["csms_settings"]["url"] = f"wss://{HOST}:{gate.port}/ocpp"
        scene = await open_scene201(SOCKET, wait=False, **options)
        await is_down(scene, reason)
        assert (scene.csms.logins, scene.csms.refused_logins) == ([], 0)
        gate.target, gate.context = urlsplit(scene.csms.url).port or 0, None
        await scene.ready()
        await security_event(scene, event)
        await scene.stop_daemon()


@pytest.mark.req("A00.FR.321")
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
async def test_the_suites_that_are_demanded_are_offered(open_scene201: OpenScene201, pki: Pki, suite: str) -> None:
    tls = pki.server()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers(suite)
    scene = await open_scene201(SOCKET, **over_tls(tls, pki))
    assert [login.tls for login in scene.csms.logins] == ["TLSv1.2"]


@pytest.mark.req("TC_A_07_CS", "A00.FR.401", "A00.FR.402", "A00.FR.415", "A00.FR.503")
async def test_TC_A_07_CS_the_station_shows_its_own_certificate(open_scene201: OpenScene201, pki: Pki) -> None:
    scene = await open_scene201(SOCKET, **certified(pki))
    (login,) = scene.csms.logins
    assert (login.client, login.user) == (STATION, None)
    assert await scene.get_variable("SecurityCtrlr", "SecurityProfile") == "3"


# --- the password


@pytest.mark.req("TC_A_09_CS", "A01.FR.01", "A01.FR.11", "A01.FR.12")
async def test_TC_A_09_CS_a_new_password_is_used_for_a_new_connection_at_once(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, **WITH_PASSWORD)
    before = len(scene.csms.logins)
    assert await scene.set_variable(*PASSWORD, NEW) == "Accepted"
    scene.csms.credentials = {STATION: NEW}
    await comes_back(scene, before)
    assert "BootNotification" not in scene.calls(), "it has not restarted"
    assert await scene.get_variable(*PASSWORD) == "Rejected", "nobody is shown it"
    await scene.restart_daemon()
    assert scene.csms.refused_logins == 0


@pytest.mark.req("TC_A_10_CS", "A01.FR.12")
async def test_TC_A_10_CS_what_cannot_be_a_password_is_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, **WITH_PASSWORD)
    for bad in ("x" * 15, "x" * 41, "with a space in between", "Gärtner-und-Söhne-1", 'quoted-and-"more"-x'):
        assert await scene.set_variable(*PASSWORD, bad) == "Rejected", bad
    await scene.settled()
    assert len(scene.csms.logins) == 1
    await reconnects(scene)
    assert scene.csms.refused_logins == 0, "the old one is in use"


# --- the station's own certificate


async def request(scene: Scene201) -> str:
    """Trigger a signing request; the request."""
    assert await scene.status_of("TriggerMessage", requestedMessage="SignChargingStationCertificate") == "Accepted"
    asked = await scene.expect("SignCertificate")
    assert asked["certificateType"] == "ChargingStationCertificate"
    return str(asked["csr"])


async def signed(scene: Scene201, chain: str, **more: object) -> str:
    return await scene.status_of("CertificateSigned", certificateChain=chain, **more)


@pytest.mark.req("TC_A_11_CS", "A02.FR.02", "A02.FR.03", "A02.FR.06", "A02.FR.08", "A02.FR.10", "F06.FR.04")
async def test_TC_A_11_CS_a_new_certificate_is_used_for_a_new_connection_at_once(
    open_scene201: OpenScene201, pki: Pki
) -> None:
    scene = await open_scene201(SOCKET, **certified(pki))
    chain = pki.stations.sign_request(await request(scene))
    before = len(scene.csms.logins)
    assert await signed(scene, chain, certificateType="ChargingStationCertificate") == "Accepted"
    login = await comes_back(scene, before)
    assert login.client == STATION and chain.startswith(shown_by_the_station(scene))
    second = pki.stations.sign_request(await request(scene))
    before = len(scene.csms.logins)
    assert await signed(scene, second) == "Accepted"
    await comes_back(scene, before)
    await scene.restart_daemon()
    assert second.startswith(shown_by_the_station(scene))
    keys = [path for path in (scene.daemon.state_dir / "keys").rglob("*.pem") if "chain" not in path.name]
    assert len(keys) == 1, "the former one is discarded"


@pytest.mark.req("TC_A_14_CS", "A02.FR.06", "A02.FR.07", "A03.FR.07")
@pytest.mark.parametrize("wrong", ["nonsense", "expired", "begins tomorrow", "another station's"])
async def test_TC_A_14_CS_a_chain_that_does_not_hold_is_rejected_and_reported(
    open_scene201: OpenScene201, pki: Pki, wrong: str
) -> None:
    scene = await open_scene201(SOCKET, keys=CPO)
    csr = await request(scene)
    now = datetime.now(UTC)
    chain = {
        "nonsense": "-----BEGIN CERTIFICATE-----",
        "expired": pki.stations.sign_request(csr, not_before=now - 9 * DAY, not_after=now - DAY),
        "begins tomorrow": pki.stations.sign_request(csr, not_before=now + DAY),
        "another station's": Authority.new().client("CP-2").chain_pem,
    }[wrong]
    assert await signed(scene, chain) == "Rejected"
    await scene.expect("SecurityEventNotification", type="InvalidChargingStationCertificate")
    assert scene.payloads("SignCertificate") == [], "A02.FR.20"


@pytest.mark.req("A02.FR.16", "A02.FR.13")
async def test_a_chain_that_is_too_long_or_for_a_vehicle_is_rejected_with_its_reason(
    open_scene201: OpenScene201, pki: Pki
) -> None:
    scene = await open_scene201(SOCKET, keys={**CPO, "CertificateSignedMaxChainSize": "100"})
    chain = pki.stations.sign_request(await request(scene))
    answer = await scene.call("CertificateSigned", certificateChain=chain)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "ValueTooHigh")
    answer = await scene.call("CertificateSigned", certificateChain="c", certificateType="V2GCertificate")
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnsupportedParam")
    for trigger in ("SignV2GCertificate", "SignCombinedCertificate"):
        assert await scene.status_of("TriggerMessage", requestedMessage=trigger) == "NotImplemented"


@pytest.mark.req("TC_A_15_CS")
async def test_TC_A_15_CS_a_request_that_the_csms_refuses_is_left_at_that(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, keys={**CPO, "CertSigningWaitMinimum": "1"})
    scene.csms.answer("SignCertificate", {"status": "Rejected"})
    await request(scene)
    await scene.settled()
    assert scene.calls().count("SignCertificate") == 1
    assert await scene.status_of("TriggerMessage", requestedMessage="Heartbeat") == "Accepted"


@pytest.mark.req("TC_A_23_CS", "A02.FR.17", "A02.FR.18")
async def test_TC_A_23_CS_without_a_certificate_the_request_goes_out_again_and_then_no_more(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(SOCKET, keys=CPO)
    await scene.configure("SecurityCtrlr.CertSigningWaitMinimum", 1)
    await scene.configure("SecurityCtrlr.CertSigningRepeatTimes", 1)
    await request(scene)
    mark = scene.since
    while len(scene.payloads("SignCertificate", after=mark)) < 2:
        await scene.settled()
    first, second = [
        frame for frame in scene.csms.record if frame.index >= mark and frame.is_call("SignCertificate", STATION)
    ]
    assert second.at_s - first.at_s >= 0.9


@pytest.mark.req("A02.FR.28", "A02.FR.29")
async def test_a_certificate_that_the_csms_does_not_let_in_gives_way_to_the_former_one(
    open_scene201: OpenScene201, pki: Pki
) -> None:
    scene = await open_scene201(SOCKET, **certified(pki))
    chain = Authority.new("Not let in").sign_request(await request(scene))
    before = len(scene.csms.logins)
    assert await signed(scene, chain) == "Accepted"
    login = await comes_back(scene, before)
    assert login.client == STATION and not chain.startswith(shown_by_the_station(scene))
    await security_event(scene, "DiscardedRenewedClientCertificate", after=scene.since)
    assert (await scene.daemon.state())["security"] == {"profile": 3, "on_trial": False}


# --- what is told of the station's life


@pytest.mark.req("A04.FR.01", "A04.FR.02")
async def test_each_start_and_each_reset_is_a_security_event_that_reaches_the_csms(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    await security_event(scene, "StartupOfTheDevice")
    assert await scene.status_of("Reset", type="OnIdle") == "Accepted"
    await scene.ready(after=scene.since)
    for name in ("ResetOrReboot", "StartupOfTheDevice"):
        await security_event(scene, name, after=scene.since)
